"""Does going public speed things up? The hazard of a private case's resolution after against before its customer wrote
publicly (R061).

A private case counts from its opening. It carries the label "public" from the first moment at which its customer opened
a case on a public channel while it was still open, and not a moment earlier: whoever went public had to wait until
then, and to count that waiting as "public" would make going public look slow (immortal time; Suissa 2008, American
Journal of Epidemiology 167:492-499). At every resolution the cases with and without the label that are as old, of the
same type and from the same private channel are compared:

    Cox's model (1972) with one covariate that changes with time, stratified by type and private channel, ties by Efron
    1977; the spread is Lin and Wei's (1989), with all cases of a customer as one observation, or Cox's own where it is larger.

The ratio of hazards is above 1 where cases are resolved sooner once their customer has gone public.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recovery.parity import kernel, verdicts
from recovery.parity.columns import HOUR, Flags
from recovery.parity.contrasts import Contrast
from recovery.parity.customers import WINDOW_DAYS
from recovery.parity.dates import DAY, NOTHING
from recovery.parity.effects import Z90, Z95, Estimate, Result
from recovery.parity.kernel import Floats, Ints
from recovery.parity.reading import Cases

WENT_PUBLIC, PUBLIC, PRIVATE = "went_public", "public", "private"
DETECTABLE = 1.25  # the ratio that enough resolutions would show four times of five
FARTHEST = 12.0  # log of a hazard ratio
STEPS = 60
CLOSE = 1e-9  # between the last two steps; Newton's last one is then right to the last digit


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Time at risk, one row per case and label: from `start` (excluded) to `stop`, in one unit; (rows,) each.

    public: the label; resolved: the span ends with the resolution; stratum, customer: codes.
    """

    start: Floats
    stop: Floats
    public: Flags
    resolved: Flags
    stratum: Ints
    customer: Ints

    def part(self, rows: Flags) -> Spans:
        return Spans(
            start=self.start[rows], stop=self.stop[rows], public=self.public[rows], resolved=self.resolved[rows],
            stratum=self.stratum[rows], customer=self.customer[rows],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Cox's model with the label alone. after: resolutions with the label; expected: of them, were the ratio 1."""

    after: int
    expected: float
    log_ratio: float | None
    spread: float | None  # of log_ratio: robust, or the model's where that is larger
    information: float


@dataclass(frozen=True, kw_only=True)
class Uplift:
    """The ratio over the whole file (month None) or of the cases opened in one month."""

    month: str | None
    cases: int  # private ones
    went_public: int  # of them, while open
    resolved_before: int  # without the label
    resolved_after: int  # with it
    expected_after: float  # were the ratio 1
    tested: Result
    p_holm: float | None = None
    verdict: verdicts.Verdict = "grey"
    resolutions_needed: int | None = None  # with the label

    @property
    def ratio(self) -> Estimate:
        return self.tested.effects[0]


@dataclass(frozen=True, kw_only=True)
class WentPublic:
    """The uplift, whole and by month; left_out: private cases whose customer had written publicly before."""

    channels: tuple[str, ...]
    customers: int
    left_out: int
    whole: Uplift
    months: tuple[Uplift, ...]


def went_public(cases: Cases) -> WentPublic | None:
    """Measure what going public changes; None where the map names no public channel or the file has no waiting times.

    Private: a case on a channel that is compared and not public. A private case whose customer opened a public one in
    the 90 days before, or at the same moment, is left out: that customer did not write privately first.
    """
    if not (cases.public and cases.customers_known and cases.timed):
        return None
    known = np.asarray((cases.customer >= 0) & (cases.opened != NOTHING))
    names = np.array(cases.channels)
    is_public = np.isin(names, list(cases.public))[cases.channel]
    is_private = (~np.isin(names, [*cases.public, *cases.excluded]))[cases.channel] & known
    earlier, posted = _posts(cases, np.flatnonzero(is_public & known), np.flatnonzero(is_private))
    own = np.flatnonzero(is_private)[~earlier]
    spans, case = _spans(cases, own, posted[~earlier])
    months = cases.month[own][case]
    found = [_measured(spans, None)]
    for month in np.unique(cases.month[own]):
        rows, name = np.asarray(months == month), f"{month // 12:04d}-{month % 12 + 1:02d}"
        if month >= 0:
            found.append(replace(found[0], month=name) if rows.all() else _measured(spans.part(rows), name))
    whole, *rest = _judged(found[:1]) + _judged(found[1:])
    return WentPublic(
        channels=tuple(sorted(cases.public)),
        customers=len(np.unique(spans.customer[spans.public])),
        left_out=int(earlier.sum()),
        whole=whole,
        months=tuple(rest),
    )


def as_contrast(found: WentPublic) -> Contrast:
    """The whole uplift as one comparison among those of an audit: cases once their customer had gone public against before."""
    whole = found.whole
    ratio = replace(whole.ratio, kind="hazard_ratio")
    return Contrast(
        metric=WENT_PUBLIC, channel=PUBLIC, versus=PRIVATE, stratum=None, n=whole.went_public,
        n_versus=whole.cases - whole.went_public, comparable=whole.went_public, fewest=whole.resolved_after,
        tested=replace(whole.tested, effects=(ratio,)), p_holm=whole.p_holm, verdict=whole.verdict,
        n_needed=whole.resolutions_needed,
    )  # fmt: skip


def _posts(cases: Cases, public: Ints, private: Ints) -> tuple[Flags, Floats]:
    """For every private case: did its customer write publicly shortly before it, and the hours until they next did.

    Hours are NaN where they never did; whole days where the file knows days only.
    """
    span = int(cases.opened[np.concatenate([public, private])].max(initial=0)) + WINDOW_DAYS * DAY + 2
    least = int(cases.opened[np.concatenate([public, private])].min(initial=0))
    wide = span - least
    posts = np.sort(cases.customer[public].astype(np.int64) * wide + cases.opened[public] - least)
    keys = cases.customer[private].astype(np.int64) * wide + cases.opened[private] - least
    after = np.searchsorted(posts, keys, side="right")
    padded = np.concatenate([posts, [-1]])
    before = padded[after - 1]
    earlier = (after > 0) & (before // wide == cases.customer[private]) & (keys - before <= WINDOW_DAYS * DAY)
    following = padded[after]
    hours = np.where(following // wide == cases.customer[private], (following - keys) / HOUR, np.nan)
    if cases.by_day:
        hours = np.round(hours / 24.0) * 24.0
    return np.asarray(earlier), hours


def _spans(cases: Cases, own: Ints, posted: Floats) -> tuple[Spans, Ints]:
    """Split every private case at the public post; and the place in `own` of each span's case.

    A post on the day (or at the moment) of the resolution came too late to count.
    """
    waits, closed = cases.hours[own], cases.closed[own]
    with np.errstate(invalid="ignore"):
        split = np.flatnonzero(posted < waits)
    stop = waits.copy()
    stop[split] = posted[split]
    resolved = closed.copy()
    resolved[split] = False
    case = np.concatenate([np.arange(len(own)), split])
    stratum = cases.type.astype(np.int64) * len(cases.channels) + cases.channel
    return (
        Spans(
            start=np.concatenate([np.full(len(own), -1.0), posted[split]]),  # from before the first hour: 0 waits count
            stop=np.concatenate([stop, waits[split]]),
            public=np.repeat([False, True], [len(own), len(split)]),
            resolved=np.concatenate([resolved, closed[split]]),
            stratum=np.unique(stratum[own][case], return_inverse=True)[1].astype(np.int64),
            customer=cases.customer[own][case].astype(np.int64),
        ),
        case,
    )


def _measured(spans: Spans, month: str | None) -> Uplift:
    made = fitted(spans)
    ratio = Estimate(kind="time_ratio")
    p = z = None
    if made.log_ratio is not None and made.spread:
        z = made.log_ratio / made.spread
        p = kernel.normal_p(z)
        value, *ends = (float(np.exp(made.log_ratio + sign * made.spread)) for sign in (0.0, -Z95, Z95, -Z90, Z90))
        low, high, low90, high90 = ends
        ratio = Estimate(kind="time_ratio", value=value, low=low, high=high, low90=low90, high90=high90)
    with_label = spans.public
    return Uplift(
        month=month,
        cases=int((~with_label).sum()),
        went_public=int(with_label.sum()),
        resolved_before=int((spans.resolved & ~with_label).sum()),
        resolved_after=made.after,
        expected_after=made.expected,
        tested=Result(effects=(ratio,), p=p, z=z, test="cox_time_dependent" if p is not None else None),
    )


def _judged(found: list[Uplift]) -> list[Uplift]:
    """Red: credibly above 1, however little, for a gain from going public is what must not be (R061). Green: inside the
    margin. Amber: credibly below 1, or above it only before the correction. Grey: the rest, or too few resolutions.
    """
    enough = [each.resolved_after >= verdicts.FEWEST for each in found]
    p = [each.tested.p if able else None for each, able in zip(found, enough, strict=True)]
    judged = []
    for each, able, p_holm, p_bh in zip(found, enough, verdicts.holm(p), verdicts.benjamini_hochberg(p), strict=True):
        ratio = each.ratio
        verdict: verdicts.Verdict = "grey"
        if able and ratio.value is not None and p_holm is not None and p_bh is not None:
            if p_holm <= verdicts.RED_LEVEL and ratio.value > 1:
                verdict = "red"
            elif verdicts.alike(ratio):
                verdict = "green"
            elif p_bh <= verdicts.AMBER_LEVEL:
                verdict = "amber"
        needed = verdicts.needed(each.tested, n=each.resolved_after, fewest=each.resolved_after) if able else None
        if not able:
            needed = verdicts.FEWEST
        judged.append(
            replace(each, p_holm=p_holm, verdict=verdict, resolutions_needed=needed if verdict == "grey" else None)
        )
    return judged


# ------------------------------------------------------------------------------------------------------ Cox


def fitted(spans: Spans) -> Fit:
    """Fit the log hazard ratio of the label.

    log_ratio is None where no resolution has cases with and without the label at risk, or where it has no finite
    maximum: all or none of these resolutions have the label.
    """
    ties = _Ties(spans)
    after = int((spans.resolved & spans.public).sum())
    own = float(ties.own.sum())
    if ties.total.sum() == 0 or own in (0.0, float(ties.total.sum())):
        return Fit(after=after, expected=ties.expected(0.0), log_ratio=None, spread=None, information=0.0)
    low, high, found = -FARTHEST, FARTHEST, 0.0
    for _ in range(STEPS):  # the score falls as the ratio grows: Newton's steps, and halving where they would leave
        expected, information = ties.expected_and_information(found)
        low, high = (found, high) if own > expected else (low, found)
        step = found + (own - expected) / information if information > 0 else low
        step = step if low < step < high else (low + high) / 2
        near, found = abs(step - found) < CLOSE, step
        if near:
            break
    information = ties.expected_and_information(found)[1]
    spread = max(float(np.sqrt(ties.robust(found))) / information, information**-0.5) if information > 0 else None
    return Fit(after=after, expected=ties.expected(0.0), log_ratio=found, spread=spread, information=information)


class _Ties:
    """Resolutions at one time in one stratum where cases with and without the label are at risk; Efron's denominators.

    own, total: resolutions with the label, and all; risk_own, risk: at risk, likewise. (ties,) each.
    """

    def __init__(self, spans: Spans) -> None:
        self.spans = spans
        grid, place = np.unique(spans.stop, return_inverse=True)
        self.wide = len(grid) + 2
        self.starts = spans.stratum * self.wide + np.searchsorted(grid, spans.start, side="right")
        self.stops = spans.stratum * self.wide + place + 1
        keys, total = np.unique(self.stops[spans.resolved], return_counts=True)
        own_keys, own = np.unique(self.stops[spans.resolved & spans.public], return_counts=True)
        risk, risk_own = self._at_risk(keys, slice(None)), self._at_risk(keys, spans.public)
        mixed = (risk_own > 0) & (risk_own < risk)
        self.keys, self.total, self.risk, self.risk_own = keys[mixed], total[mixed], risk[mixed], risk_own[mixed]
        self.own = np.zeros(len(keys))
        self.own[np.searchsorted(keys, own_keys)] = own
        self.own = self.own[mixed]
        self.tie = np.repeat(np.arange(len(self.keys)), self.total)
        ends = np.cumsum(self.total)
        self.gone = (np.arange(len(self.tie)) - np.repeat(ends - self.total, self.total)) / self.total[self.tie]

    def _at_risk(self, keys: Ints, rows: Flags | slice) -> Ints:
        """Spans that have begun before and not ended before: those that stop no earlier, less those that start no
        earlier.
        """
        stops, starts = np.sort(self.stops[rows]), np.sort(self.starts[rows])
        until = (keys // self.wide + 1) * self.wide
        later = [np.searchsorted(each, until) - np.searchsorted(each, keys) for each in (stops, starts)]
        at_risk: Ints = later[0] - later[1]
        return at_risk

    def _shares(self, log_ratio: float) -> tuple[Floats, Floats]:
        """Per resolution: the denominator, and the label's part in it."""
        times = float(np.exp(log_ratio))
        own = times * (self.risk_own[self.tie] - self.gone * self.own[self.tie])
        rest = (self.risk - self.risk_own)[self.tie] - self.gone * (self.total - self.own)[self.tie]
        return own + rest, own / (own + rest)

    def expected(self, log_ratio: float) -> float:
        return float(self._shares(log_ratio)[1].sum())

    def expected_and_information(self, log_ratio: float) -> tuple[float, float]:
        share = self._shares(log_ratio)[1]
        return float(share.sum()), float((share * (1 - share)).sum())

    def robust(self, log_ratio: float) -> float:
        """Sum over customers of their squared score residuals."""
        spans, times = self.spans, float(np.exp(log_ratio))
        below, share = self._shares(log_ratio)
        per_tie = len(self.keys)
        hazard, weighted = np.bincount(self.tie, 1 / below, per_tie), np.bincount(self.tie, share / below, per_tie)
        late = np.bincount(self.tie, self.gone / below, per_tie)
        late_weighted = np.bincount(self.tie, self.gone * share / below, per_tie)
        middle = np.bincount(self.tie, share, per_tie) / np.maximum(self.total, 1)
        sums, weighted_sums = (np.concatenate([[0.0], np.cumsum(each)]) for each in (hazard, weighted))
        first = np.searchsorted(self.keys, self.starts, side="right")
        order = np.argsort(self.stops)
        last = np.empty(len(order), dtype=np.int64)
        last[order] = np.searchsorted(
            self.keys, self.stops[order], side="right"
        )  # what is in order is found much sooner
        label = spans.public.astype(float)
        risk = np.where(spans.public, times, 1.0)
        residual = -risk * (label * (sums[last] - sums[first]) - (weighted_sums[last] - weighted_sums[first]))
        place = np.clip(last - 1, 0, per_tie - 1)
        ended = spans.resolved & (last > first) & (self.keys[place] == self.stops)
        at = place[ended]
        residual[ended] += (label[ended] - middle[at]) + risk[ended] * (label[ended] * late[at] - late_weighted[at])
        per_customer = np.bincount(np.unique(spans.customer, return_inverse=True)[1], residual)
        return float((per_customer**2).sum())
