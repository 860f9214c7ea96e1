"""What becomes of a finding of the audit: it is explained or put right by people, and ended only by a later audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class FindingState(TextChoices):
    OPEN = "open", _("open")
    EXPLAINED = "explained", _("explained")
    CORRECTING = "correcting", _("being put right")
    DISPUTED = "disputed", _("disputed")
    VERIFIED = "verified", _("verified: gone")


class FindingOrigin(TextChoices):
    """What opened a finding. A look compares a window of 28 days by itself; an alarm adds up all nights, and so rings for less, or
    sooner; agreed test pairs tell the same facts on two channels. What people do about it is the same. A look ends what a look or
    an alarm opened; what pairs showed is ended by later pairs (`is_gone`).
    """

    LOOK = "look", _("found by a look")
    ALARM = "alarm", _("rang between looks")
    PAIRS = "pairs", _("shown by agreed test pairs")


class Rang(TextChoices):
    """How a channel rang at night."""

    EVER = "ever", _("treated differently, adding up all nights")
    CHANGE = "change", _("has become worse in the last weeks")


class Taught(TextChoices):
    """What our treatment of a first private matter did to where the next one was told (R076)."""

    PUBLIC = "public", _("answering late teaches people to speak publicly")
    PRIVATE = "private", _("who was answered late spoke publicly less often")
    NOTHING = "nothing", _("answering late makes no difference to where people speak")
    UNKNOWN = "unknown", _("too few to say")


FINDING_NEXT: dict[FindingState, frozenset[FindingState]] = {
    FindingState.OPEN: frozenset(
        {FindingState.EXPLAINED, FindingState.CORRECTING, FindingState.DISPUTED, FindingState.VERIFIED}
    ),
    FindingState.EXPLAINED: frozenset({FindingState.CORRECTING, FindingState.DISPUTED, FindingState.VERIFIED}),
    FindingState.CORRECTING: frozenset({FindingState.EXPLAINED, FindingState.DISPUTED, FindingState.VERIFIED}),
    FindingState.DISPUTED: frozenset({FindingState.EXPLAINED, FindingState.CORRECTING, FindingState.VERIFIED}),
    FindingState.VERIFIED: frozenset(),
}
"""Which state may follow which. Verified follows from an audit alone; nobody can say that a difference is gone."""

BY_PEOPLE = frozenset({FindingState.EXPLAINED, FindingState.CORRECTING, FindingState.DISPUTED})


@dataclass(frozen=True, slots=True)
class LaterLook:
    """What a later audit says of the comparison that a finding is about. verdict: red, amber, green or grey; "" when it has none.

    since: the beginning of the audit's window.
    """

    verdict: str
    since: datetime


def is_gone(look: LaterLook, *, opened_at: datetime, held_by_pairs: bool = False) -> bool:
    """Say whether a later look ends a finding.

    Green does: likeness was shown. Amber and grey do only over matters that all began after the finding was opened, for while old
    matters are in the window, "no longer significant" may be the window moving. A comparison that is not there ends nothing.
    held_by_pairs: agreed test pairs showed it, and no later run of pairs has let go of it: no look ends that, for a look compares
    other people's matters and takes for alike what was graded alike, while a pair is the same facts twice.
    """
    if held_by_pairs:
        return False
    if look.verdict == "green":
        return True
    return look.verdict in ("amber", "grey") and look.since >= opened_at


UNWANTED = frozenset(
    {
        "came_back",
        "handed_over",
        "hand_offs",
        "verification_steps",
        "went_quiet",
        "dismissed",
        "severity_graded_low",
        "merit_graded_low",
        "dismissal_overturned",
        "manner_below_good",
    }
)
"""Yes/no outcomes and numbers of which more is worse for a customer."""
EQUAL = {
    "time_ratio": 1.0,
    "probability": 0.5,
    "risk_difference": 0.0,
    "part_ratio": 1.0,
    "amount_ratio": 1.0,
    "count_ratio": 1.0,
    "hazard_ratio": 1.0,
}
"""The value of each kind of effect where no side is treated better."""
OF_WAITS = frozenset({"time_ratio", "probability"})


def is_favoured(metric: str, *, effect: str, value: float) -> bool:
    """Say whether a channel got the better treatment by one comparison with the others.

    effect: time_ratio, part_ratio, amount_ratio, count_ratio (1 is equal), hazard_ratio (how much sooner what is wanted comes; 1 is
    equal), probability (of waiting longer; one half is equal) or risk_difference (0 is equal). Raises KeyError for another effect.
    """
    less = value < EQUAL[effect]
    return less if effect in OF_WAITS or (metric in UNWANTED and effect != "hazard_ratio") else not less
