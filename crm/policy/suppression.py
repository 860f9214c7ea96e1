"""What stops a message to an address, whatever its owner allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from crm.policy.consent import Medium, Purpose


class SuppressionScope(TextChoices):
    ALL_BUT_OWED = "all_but_owed", _("everything but what is owed")
    CHEERFUL = "cheerful", _("cards and surprises")
    MARKETING = "marketing", _("news and offers")
    SURVEY = "survey", _("questions to them")
    CALLS = "calls", _("calls that nobody asked for")


class SuppressionReason(TextChoices):
    UNSUBSCRIBE = "unsubscribe", _("they asked for it")
    COMPLAINT = "complaint", _("they called a message unwanted")
    PAUSE = "pause", _("they asked for a pause")
    BEREAVEMENT = "bereavement", _("somebody has died")
    BOUNCE = "bounce", _("nothing reaches anybody there")
    LEGAL = "legal", _("the law, or a list of objections")
    DECEASED_LIST = "deceased_list", _("a list of people who have died")


ENDED_BY_A_YES: Final = frozenset(
    {
        SuppressionReason.UNSUBSCRIBE,
        SuppressionReason.COMPLAINT,
        SuppressionReason.BEREAVEMENT,
        SuppressionReason.BOUNCE,
    }
)
"""What a new yes of the customer ends. A pause ends when they end it; a list is corrected where it is kept."""

_STOPPED_BY: Final[Mapping[str, tuple[SuppressionScope, ...]]] = {
    Purpose.BIRTHDAY: (SuppressionScope.CHEERFUL,),
    Purpose.SURPRISE: (SuppressionScope.CHEERFUL,),
    Purpose.NEWS: (SuppressionScope.MARKETING,),
    Purpose.SURVEY: (SuppressionScope.SURVEY,),
    Purpose.REVIEW: (SuppressionScope.SURVEY, SuppressionScope.MARKETING),  # a question that advertises us
    Purpose.COCREATE: (SuppressionScope.SURVEY,),
    Purpose.RESEARCH: (SuppressionScope.SURVEY,),
}
"""The first of each is its own."""


def scopes_that_stop(purpose: str, medium: str) -> tuple[SuppressionScope, ...]:
    """Name the suppressions that stop a message of a purpose over a medium, whatever its recipient allowed."""
    calls = (SuppressionScope.CALLS,) if medium == Medium.CALL else ()
    return (SuppressionScope.ALL_BUT_OWED, *_STOPPED_BY.get(purpose, ()), *calls)


def scopes_ended_by_yes(purpose: str, medium: str) -> tuple[SuppressionScope, ...]:
    """Name the suppressions that a new yes to a purpose ends: its own, and no other purpose's."""
    others = _STOPPED_BY.get(purpose, ())[1:]
    return tuple(scope for scope in scopes_that_stop(purpose, medium) if scope not in others)
