"""After news of a death: what stops, for whom, and who decides (R168, P01, P02)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from crm.policy.outgoing import MessageKind

CAUTIOUS_FOR = timedelta(hours=72)
"""How long words that may tell of a death hold back what is cheerful while a person looks; then it ends by itself (ADR 0031)."""
STOPPED_WITHIN = timedelta(minutes=5)
"""Within this nothing cheerful waits to leave any more, whoever wrote it and whenever (R168)."""
OWED = frozenset({MessageKind.SERVICE, MessageKind.NOTICE})
"""What we owe or report. Every other kind of message is cheerful, also one that is invented later."""

BEREAVEMENT, MAY_BE_BEREAVEMENT = "bereavement", "bereavement_possible"
"""Reasons of a hold: a death was reported; words may tell of one."""
GRIEF = (BEREAVEMENT, MAY_BE_BEREAVEMENT)


class WhoDied(TextChoices):
    CUSTOMER = "customer", _("the customer")
    HOUSEHOLD = "household", _("somebody of their household")
    CLOSE = "close", _("somebody close to them")


class BereavementState(TextChoices):
    PROPOSED = "proposed", _("a person has to look")
    STANDING = "standing", _("stands")
    DISMISSED = "dismissed", _("looked at: no death")
    LIFTED = "lifted", _("ended")


BEREAVEMENT_NEXT: dict[BereavementState, frozenset[BereavementState]] = {
    BereavementState.PROPOSED: frozenset({BereavementState.STANDING, BereavementState.DISMISSED}),
    BereavementState.STANDING: frozenset({BereavementState.LIFTED}),
    BereavementState.DISMISSED: frozenset(),
    BereavementState.LIFTED: frozenset(),
}


def is_cheerful(kind: MessageKind) -> bool:
    """Say whether a kind of message must not reach a house of mourning."""
    return kind not in OWED


def counts_as_member(*, left_at: datetime | None, was_mistake: bool, since: datetime) -> bool:
    """Say whether somebody belongs to a household that a death since `since` concerns.

    Whoever joins later does; whoever moves out afterwards does not mourn less; whoever was noted by mistake never did.
    """
    return not was_mistake and (left_at is None or left_at >= since)
