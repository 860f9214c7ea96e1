"""What made a failure happen, by code: the list that later causes join (R019)."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Cause(TextChoices):
    UNREQUESTED_CHANGE = "unrequested_change", _("a service was changed without the customer's own request")
