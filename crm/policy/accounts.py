"""Whose matters an account may see, and what a change of its address holds back (C04, C07, P06)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

UNDONE_WITHIN = timedelta(hours=24)
"""For how long the old address can take a change back; until then no old history opens to the new one (C07)."""
DATA_ASKED_AFTER = timedelta(days=7)
"""How long after a change of address nobody gets a copy of all that is known about them (P06)."""
FACTOR_STANDS_FOR = timedelta(hours=24)
"""How long a second factor must have been set up before it proves more than that somebody is in the account now."""
PROOF_LASTS = timedelta(minutes=15)
"""For how long a second factor that was shown counts."""
CODE_LASTS = timedelta(minutes=10)
TRIES = 5
CODES_A_DAY = 3
SIGN_UP_LASTS = timedelta(days=3)
"""How long an account waits for the proof of its address before it is removed."""


class Sight(TextChoices):
    NOTHING = "nothing", _("nothing")
    FROM_NOW = "from_now", _("what starts from now on")
    HISTORY = "history", _("the whole history")


@dataclass(frozen=True, slots=True)
class SightFacts:
    """What is known about an account that somebody made by themselves.

    proved_here: the address was proved in the session that asks. is_living: the customer whose address it is lives and was not
    erased. second_proof: a second factor, or a code sent to another proved address of the customer, was shown just now.
    """

    proved_here: bool
    is_living: bool
    second_proof: bool
    address_changed_at: datetime | None


def sight(facts: SightFacts, *, at: datetime) -> Sight:
    """Say what of a customer's matters an account may see: an address alone opens nothing that was there before (C04, C07)."""
    if not (facts.proved_here and facts.is_living):
        return Sight.NOTHING
    if not facts.second_proof or is_within(UNDONE_WITHIN, since=facts.address_changed_at, at=at):
        return Sight.FROM_NOW
    return Sight.HISTORY


def may_ask_for_their_data(
    *, address_changed_at: datetime | None, second_factor_at: datetime | None, at: datetime
) -> bool:
    """Say whether a copy of everything may be given to this account: a second proof just now, no new address for a week (P06)."""
    return is_within(PROOF_LASTS, since=second_factor_at, at=at) and not is_within(
        DATA_ASKED_AFTER, since=address_changed_at, at=at
    )


def is_within(window: timedelta, *, since: datetime | None, at: datetime) -> bool:
    """Say whether something happened less than `window` before `at`; what is dated after `at` counts as just now."""
    return since is not None and at - since < window
