"""What waits for a second person, because somebody has just seen how loud the customer is (E01)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy

LOOK_WEIGHS_FOR = timedelta(hours=24)
"""How long after a look at a customer's reach what is decided about them takes two people."""


class HeldKind(TextChoices):
    FACTS = "facts", gettext_lazy("other facts, and with them the severity and what is owed")
    REMEDY = "remedy", gettext_lazy("something is given")


class HeldState(TextChoices):
    HELD = "held", gettext_lazy("waits for a second person")
    APPROVED = "approved", gettext_lazy("done, as two people decided")
    REFUSED = "refused", gettext_lazy("not done")


def has_fresh_eyes(person: int, *, asked_by: int | None, looked: Collection[int]) -> bool:
    """Say whether somebody can be the second person: they did not ask for it, and have not looked at reach themselves."""
    return person != asked_by and person not in looked
