"""Levelling up: what is done about a channel whose customers wait longer than like ones elsewhere. Numbers in, a plan out.

Causes come first, then a bounded credit that lets the channel borrow slack in the queue; whoever waits less is never slowed down.
An integral control with dead band and saturation, one step for each time it has been measured (domain.md C.7, docs/adr/0043).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from recovery.parity.contrasts import Contrast

DEAD_BAND = math.log(1.05)
"""A channel may wait so much longer, as a logarithm, before anything is done."""
KAPPA_OF_PROMISE = 0.10
KAPPA_LEAST, KAPPA_MOST = 60.0, 200.0
"""Minutes of credit for a unit of log gap and step: a tenth of the median promise, inside the span that was found stable."""
MOST_OF_PROMISE = 0.5
"""No credit exceeds half of the median promise."""
MOST_MINUTES = 720
"""Nor half of a day."""
LEAK = 0.9
"""What a step leaves of a credit whose finding is gone: the crutch is taken away slowly, to see who walks."""
LEAST_CREDIT = 5
"""A credit of fewer minutes is none."""
LATE_SHARE = 0.2
"""From this share of a channel's messages on that reach us later than they may, the way in is a cause."""
UNCERTIFIED_SHARE = 0.2
"""From this share on of those passed over because whoever was free lacked a certificate, certificates are a cause."""


class CorrectionKind(TextChoices):
    """What can be done, causes first."""

    INGEST_FIX = "ingest_fix", _("mend the way in")
    CERTIFY = "certify", _("certify colleagues")
    GUIDE_FIX = "guide_fix", _("write what colleagues lack to answer well")
    CAPACITY_MOVE = "capacity_move", _("more hours, or hours at other times")
    PRIORITY_CREDIT = "priority_credit", _("a credit in the queue")
    BACKPAY_REMEDY = "backpay_remedy", _("give what was owed and not given")


CAUSES = (CorrectionKind.INGEST_FIX, CorrectionKind.CERTIFY, CorrectionKind.GUIDE_FIX)


@dataclass(frozen=True, slots=True)
class Gap:
    """How much longer a channel's customers waited than like ones of all others. ratio, low, high: 1 is equal; the 95 % interval.

    is_material: the mean gap is larger than what does not matter (five minutes).
    """

    ratio: float
    low: float
    high: float
    is_material: bool = True

    @property
    def log(self) -> float:
        return math.log(self.ratio)

    @property
    def lags(self) -> bool:
        return self.is_material and math.log(self.low) > DEAD_BAND


def gap_of(line: Contrast) -> Gap | None:
    """What one comparison of waiting times says; None where it has no interval below.

    Where waits are too often nothing for a ratio, the odds of waiting longer stand for it.
    """
    effect = line.tested.effects[0]
    if effect.kind not in ("time_ratio", "probability") or not line.counts:
        return None
    is_odds = effect.kind == "probability"
    value, low, high = (_ratio(each, is_odds=is_odds) for each in (effect.value, effect.low, effect.high))
    if value is None or low is None:
        return None
    is_material = line.gap_hours is None or abs(line.gap_hours) > line.floor_hours
    return Gap(value, low, math.inf if high is None else high, is_material)


def _ratio(value: float | None, *, is_odds: bool) -> float | None:
    if value is None or value <= 0 or (is_odds and value >= 1):
        return None
    return value / (1 - value) if is_odds else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """One channel as the planner sees it.

    gap: None where nothing can be said. stands: that it waits longer was found, and nobody explained or disputes it. credit: its
    minutes now. late_in: share of its messages that reached us later than they may. uncertified: of those passed over on it, the
    share for which whoever was free lacked the certificate. lacks_guide: colleagues said that they lack words to answer well.
    causes_named: causes were named to people at an earlier step.
    """

    channel: str
    gap: Gap | None
    stands: bool
    credit: int = 0
    late_in: float = 0.0
    uncertified: float = 0.0
    lacks_guide: bool = False
    causes_named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What is promised, kept and manned. promised: median promise in minutes. late: share of first answers that missed theirs.

    offered, capacity: hours a week of work that comes and that can be done; None where nobody knows.
    """

    promised: float
    late: float = 0.0
    offered: float | None = None
    capacity: float | None = None

    @property
    def kappa(self) -> float:
        return min(KAPPA_MOST, max(KAPPA_LEAST, KAPPA_OF_PROMISE * self.promised))

    @property
    def most(self) -> int:
        """The largest credit, in minutes."""
        return min(MOST_MINUTES, int(MOST_OF_PROMISE * self.promised))

    @property
    def is_feasible(self) -> bool:
        """Whether some order of the queue can keep the promises: no more comes than can be done, as far as anybody knows."""
        return self.offered is None or self.capacity is None or self.offered <= self.capacity

    @property
    def hours_short(self) -> float | None:
        """Hours a week that are missing; 0 where they would do but not when they are needed, None where nobody knows."""
        if self.offered is None or self.capacity is None:
            return None
        return max(0.0, self.offered - self.capacity)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do for a channel. before, size: a credit's minutes before and after, a cause's share, or how many hours."""

    kind: CorrectionKind
    channel: str
    size: float
    before: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """steps: in the order in which they are to be done. says_hours: no reordering can fix this; hours_short says how many."""

    steps: tuple[Step, ...]
    says_hours: bool = False
    hours_short: float | None = None


def plan(lags: Sequence[Lag], house: House, *, kappa: float | None = None) -> Plan:
    """Plan one step. kappa: minutes for a unit of log gap, where it is not the house's own.

    A channel that lags gets its causes named first and the credit at the next step, since what is mended needs none. Where more
    work comes than can be done no credit grows: it could only move the lateness to others.
    """
    gain = house.kappa if kappa is None else kappa
    steps: list[Step] = []
    saturated = False
    for lag in lags:
        lags_now = lag.stands and lag.gap is not None and lag.gap.lags
        causes = list(_causes(lag)) if lags_now else []
        steps += causes
        credit = credit_after(lag, house, kappa=gain)
        if credit > lag.credit and (not house.is_feasible or (causes and not lag.causes_named)):
            credit = lag.credit
        saturated = saturated or (lags_now and credit >= house.most)
        if credit != lag.credit:
            steps.append(Step(CorrectionKind.PRIORITY_CREDIT, lag.channel, credit, lag.credit))
    lagging = [lag for lag in lags if lag.stands and lag.gap is not None and lag.gap.lags]
    says_hours = bool(lagging) and (not house.is_feasible or (saturated and house.late > 0))
    if says_hours:
        worst = max(lagging, key=lambda lag: lag.gap.log if lag.gap is not None else 0.0)
        steps.append(Step(CorrectionKind.CAPACITY_MOVE, worst.channel, house.hours_short or 0.0))
    order = list(CorrectionKind)
    steps.sort(key=lambda step: order.index(step.kind))
    return Plan(tuple(steps), says_hours, house.hours_short if says_hours else None)


def credit_after(lag: Lag, house: House, *, kappa: float) -> int:
    """The credit of a channel after a step, in whole minutes: never below nothing, never above the house's most.

    It grows by kappa for a unit of log gap beyond the dead band while the channel lags; is let go slowly once the finding is gone;
    falls by half of kappa for a unit by which the channel waits less than the others.
    """
    if lag.stands and lag.gap is not None and lag.gap.lags:
        credit = lag.credit + kappa * (lag.gap.log - DEAD_BAND)
    else:
        credit = lag.credit * (1.0 if lag.stands else LEAK)
        credit += 0.5 * kappa * min(lag.gap.log, 0.0) if lag.gap is not None else 0.0
    bounded = round(min(float(house.most), max(0.0, credit)))
    return bounded if bounded >= LEAST_CREDIT else 0


def _causes(lag: Lag) -> Iterable[Step]:
    if lag.late_in >= LATE_SHARE:
        yield Step(CorrectionKind.INGEST_FIX, lag.channel, lag.late_in)
    if lag.uncertified >= UNCERTIFIED_SHARE:
        yield Step(CorrectionKind.CERTIFY, lag.channel, lag.uncertified)
    if lag.lacks_guide:
        yield Step(CorrectionKind.GUIDE_FIX, lag.channel, 1.0)
