"""How many steps somebody takes to show who they are before they are helped, and which kinds of step may be next.

What is to be released or changed decides, and how strong the evidence is already; by which channel they came is no fact here.
A number that others can read or guess proves nothing by itself (docs/security.md, rule 1).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class CheckKind(TextChoices):
    """What somebody is asked to show. Every kind can be shown by whoever speaks, writes or stands before us."""

    REFERENCE = "reference", _("the number of an order or contract, known")
    CODE = "code", _("a code that we sent to a proved mail address of theirs")
    CALL_BACK = "call_back", _("reached by calling back a proved number of theirs")
    DOCUMENT = "document", _("an identity document, seen")
    AUTHORITY = "authority", _("an authority to act for the customer, seen")


class CheckNeed(TextChoices):
    """What it is needed for."""

    RELEASE = "release", _("to tell what is only theirs to know")
    MONEY = "money", _("to pay, or to change where money goes")
    ADDRESS = "address", _("to change an address of theirs")
    ACT_FOR = "act_for", _("to let somebody act for them")


class CheckState(TextChoices):
    ASKED = "asked", _("asked")
    PASSED = "passed", _("shown")
    FAILED = "failed", _("not shown")
    WITHDRAWN = "withdrawn", _("not asked any more")


SHOWING: Final = frozenset({CheckKind.CODE, CheckKind.CALL_BACK, CheckKind.DOCUMENT})
"""Kinds that show who somebody is; a known number and an authority do not by themselves."""
COUNTING: Final = (CheckState.ASKED, CheckState.PASSED)
"""Steps that stand in a matter: shown, or still asked for. What failed or was taken back shows nothing."""
CODE_LASTS: Final = timedelta(hours=24)
"""NIST SP 800-63A (2017) section 4.4.1.6: a confirmation code sent to a mail address is valid for at most 24 hours."""
CODES_A_DAY: Final = 3
"""Codes to one customer within 24 hours, as many as the door of accounts sends."""
TRIES: Final = 5
"""Codes that may be typed in; the last wrong one ends the step."""
LAPSES_AFTER: Final = timedelta(days=14)
"""A step that nobody showed for so long is asked no more."""

STEPS: Final[dict[CheckNeed, tuple[int, int]]] = {
    CheckNeed.RELEASE: (1, 0),
    CheckNeed.MONEY: (2, 1),
    CheckNeed.ADDRESS: (2, 1),
    CheckNeed.ACT_FOR: (2, 1),
}
"""Steps for each need: where who speaks is a claim, and where it is proved already. These numbers are choices of the house."""


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """What is known before somebody is asked.

    is_proved: the newest words came from an address that is proved to be the customer's (our token and a known sender, what our
    border server says of the mail, a log-in); a caller's number is a claim. has_proved_mail, has_proved_number: there is a
    proved mail address, a proved phone number of the customer, to which something can go.
    """

    need: CheckNeed
    is_proved: bool
    has_proved_mail: bool
    has_proved_number: bool


def steps(facts: CheckFacts) -> int:
    """Give how many steps are asked of somebody in all, 0 or more. Source: STEPS."""
    claimed, proved = STEPS[facts.need]
    return proved if facts.is_proved else claimed


def possible(facts: CheckFacts) -> frozenset[CheckKind]:
    """Give the kinds that can be asked at all: a code and a call back need somewhere proved to go."""
    lacking = {
        CheckKind.CODE: not facts.has_proved_mail,
        CheckKind.CALL_BACK: not facts.has_proved_number,
    }
    return frozenset(kind for kind in CheckKind if not lacking.get(kind, False))


def may_be_next(facts: CheckFacts, *, standing: Collection[CheckKind]) -> frozenset[CheckKind]:
    """Give the kinds of which one may be asked next within the rules; none when enough is shown or asked for.

    standing: kinds shown or still asked for in the matter, whatever they were needed for.
    """
    return possible(facts) & _lacking(facts, standing=frozenset(standing))


def _lacking(facts: CheckFacts, *, standing: frozenset[CheckKind]) -> frozenset[CheckKind]:
    """Kinds of which one more is lacking. A known number is one of two steps at most, beside one that shows who they are;
    whoever acts for another shows the authority, and where who speaks is a claim who they are besides.
    """
    asked, shown = steps(facts), SHOWING & standing
    if facts.need == CheckNeed.ACT_FOR:
        more = SHOWING - standing if len(shown) < asked - 1 else frozenset()
        return more | ({CheckKind.AUTHORITY} - standing)
    numbers = frozenset({CheckKind.REFERENCE}) if asked > 1 else frozenset()
    if len(shown | numbers & standing) >= asked:
        return frozenset()
    return (SHOWING | numbers) - standing


def is_beyond(kind: CheckKind, facts: CheckFacts, *, standing: Collection[CheckKind]) -> bool:
    """Say whether asking for this is more than the rules ask for; then somebody has to write why, and it counts all the same."""
    return kind not in may_be_next(facts, standing=standing)


def is_enough(facts: CheckFacts, *, passed: Collection[CheckKind]) -> bool:
    """Say whether what was shown in a matter is what the rules ask for."""
    return not _lacking(facts, standing=frozenset(passed))


def has_lapsed(*, asked_at: datetime, at: datetime) -> bool:
    """Say whether a code is too old to be told to us."""
    return at - asked_at >= CODE_LASTS
