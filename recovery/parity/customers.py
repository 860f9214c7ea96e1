"""Customers compared with themselves: two cases of one customer on two channels (R083).

A pair is two cases of one customer, of one type, on two channels, opened within 90 days of each other and next to each
other in time; a case is in one pair at most, the earliest are paired first. What a customer is like, and what the case
is about, is then the same on both sides. A pair says

    y = score of the channel's case - score of the other case

* shares: the score is 1 or 0; with one pair a customer the test is McNemar's (1947);
* times: Prentice-Wilcoxon scores over all paired cases of the type, censored at the snapshot, which is the paired
Prentice-Wilcoxon test (O'Brien and Fleming 1987, Biometrics 43:169-180).

People turn to a second channel *because* the first was slow, so the first case of a pair tends to be the slow one
whatever its channel. Pairs in which the channel came first therefore weigh together as much as pairs in which it came
second, as in a cross-over trial (Hills and Armitage 1979; Koch 1972): with o = 1, -1 or 0 (first, second, same moment)

    a = 1 - o * sum(o) / sum(o^2),   U = sum a * y,   V = sum over customers (sum of a * (y - o * sum(o y) / sum(o^2)))^2

A customer is one observation in V, however many pairs they have (Liang and Zeger 1986). With few customers the signs of
their sums are dealt 9,999 times instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from recovery.parity import effects, kernel, verdicts
from recovery.parity.columns import Flags
from recovery.parity.contrasts import Contrast, judged
from recovery.parity.dates import DAY, NOTHING
from recovery.parity.effects import Z90, Z95, Estimate, Result
from recovery.parity.kernel import Floats, Ints, Pair
from recovery.parity.metrics import Metric
from recovery.parity.reading import Cases

WINDOW_DAYS = 90
DEALT_BELOW = 50  # customers whose pairs differ
FARTHEST_BINS = 2.0  # times the number of bins: farther than any shift
NEAR_BINS = 0.03


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs as positions of their cases: (pairs,) each; together: opened at the same moment, so neither came first."""

    first: Ints
    second: Ints
    together: Flags
    of_different_types: int  # left out

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One channel against the others inside customers. contrast.n: pairs; channel_first: of them."""

    contrast: Contrast
    customers: int
    channel_first: int


@dataclass(frozen=True, kw_only=True)
class Within:
    """The comparison of customers with themselves."""

    customers: int  # that have a pair
    pairs: int
    of_different_types: int
    lines: tuple[Line, ...]

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        return tuple(each.contrast for each in self.lines)


@dataclass(frozen=True, kw_only=True)
class _Sides:
    """Pairs of one contrast and metric: rows of the channel's cases and of the other ones, and who came first."""

    own: Ints
    other: Ints
    order: Floats  # 1 the channel, -1 the other, 0 neither
    customer: Ints  # codes without gaps
    kind: Ints  # the same

    def part(self, rows: Flags) -> _Sides:
        return _Sides(
            own=self.own[rows],
            other=self.other[rows],
            order=self.order[rows],
            customer=_without_gaps(self.customer[rows]),
            kind=_without_gaps(self.kind[rows]),
        )


def pairs_of(cases: Cases, rows: Flags) -> Pairs:
    """Pair the cases of each customer; rows: the cases that may be compared. Needs cases.customers_known."""
    able = np.flatnonzero(rows & (cases.customer >= 0) & (cases.opened != NOTHING))
    order = able[_in_order(cases.customer[able], cases.type[able], cases.opened[able])]
    first, second = _neighbours(cases, order, same_type=True)
    free = np.zeros(len(cases), dtype=bool)
    free[able] = True
    free[first] = free[second] = False
    left = np.flatnonzero(free)
    order = left[_in_order(cases.customer[left], np.zeros(len(left), dtype=np.int32), cases.opened[left])]
    apart, _ = _neighbours(cases, order, same_type=False)
    return Pairs(
        first=first,
        second=second,
        together=np.asarray(cases.opened[first] == cases.opened[second]),
        of_different_types=len(apart),
    )


def _in_order(customer: npt.NDArray[np.int32], kind: npt.NDArray[np.int32], opened: Ints) -> Ints:
    """Places by customer, kind and time; as one number where that is large enough, which sorts much sooner than three."""
    least = int(opened.min(initial=0))
    kinds, span = int(kind.max(initial=0)) + 1, int(opened.max(initial=0)) - least + 1
    if (int(customer.max(initial=0)) + 1) * kinds * span >= 2**63:
        return np.lexsort((opened, kind, customer))
    return np.argsort((customer.astype(np.int64) * kinds + kind) * span + opened - least, kind="stable")


def _neighbours(cases: Cases, order: Ints, *, same_type: bool) -> tuple[Ints, Ints]:
    """Take every second of the neighbours that fit, from the start of each run of them: no case is used twice."""
    here, after = order[:-1], order[1:]
    fits = np.asarray(
        (cases.customer[here] == cases.customer[after])
        & (cases.channel[here] != cases.channel[after])
        & (cases.opened[after] - cases.opened[here] <= WINDOW_DAYS * DAY)
        & ((cases.type[here] == cases.type[after]) == same_type)
    )
    places = np.arange(len(fits))
    starts = fits & ~np.concatenate([[False], fits[:-1]]) if len(fits) else fits
    since = places - np.maximum.accumulate(np.where(starts, places, 0)) if len(fits) else places
    taken = fits & (since % 2 == 0)
    return here[taken], after[taken]


def within(
    cases: Cases, metrics: Sequence[Metric], opponents: Sequence[tuple[int, list[int], str]], shown: Sequence[int]
) -> Within | None:
    """Compare every channel with the others inside customers; None when the file knows no customers.

    opponents: (channel, codes of what it is compared with, their name); shown: channels that may be compared.
    Corrected for all comparisons inside customers, which are a family of their own. Numbers are not compared inside them.
    """
    if not cases.customers_known:
        return None
    pairs = pairs_of(cases, _among(cases, shown)[cases.channel])
    made: list[tuple[Contrast, int, int]] = []
    every = [_sides(cases, pairs, code, others) for code, others, _ in opponents]
    for metric in metrics:
        if metric.number:
            continue
        place = np.cumsum(metric.valid) - 1
        for (code, _, versus), whole in zip(opponents, every, strict=True):
            sides = whole.part(metric.valid[whole.own] & metric.valid[whole.other])
            made.append(_compared(cases, metric, place, sides, cases.channels[code], versus))
    found = judged([each for each, _, _ in made])
    return Within(
        customers=len(np.unique(cases.customer[pairs.first])),
        pairs=len(pairs),
        of_different_types=pairs.of_different_types,
        lines=tuple(
            Line(contrast=contrast, customers=customers, channel_first=first)
            for contrast, (_, customers, first) in zip(found, made, strict=True)
        ),
    )


def _among(cases: Cases, codes: Sequence[int]) -> Flags:
    """Whether each channel is one of these: (channels,)."""
    among = np.zeros(len(cases.channels), dtype=bool)
    among[list(codes)] = True
    return among


def _sides(cases: Cases, pairs: Pairs, code: int, others: list[int]) -> _Sides:
    before, after = cases.channel[pairs.first], cases.channel[pairs.second]
    among = _among(cases, others)
    leads, follows = (before == code) & among[after], (after == code) & among[before]
    used = np.flatnonzero(leads | follows)
    first, second, leading = pairs.first[used], pairs.second[used], leads[used]
    own = np.where(leading, first, second)
    return _Sides(
        own=own,
        other=np.where(leading, second, first),
        order=np.where(pairs.together[used], 0.0, np.where(leading, 1.0, -1.0)),
        customer=np.unique(cases.customer[own], return_inverse=True)[1].astype(np.int64),
        kind=np.unique(cases.type[own], return_inverse=True)[1].astype(np.int64),
    )


def _without_gaps(codes: Ints) -> Ints:
    there = np.zeros(int(codes.max(initial=-1)) + 1, dtype=bool)
    there[codes] = True
    closed_up: Ints = (np.cumsum(there) - 1)[codes]
    return closed_up


def _compared(
    cases: Cases, metric: Metric, place: Ints, sides: _Sides, channel: str, versus: str
) -> tuple[Contrast, int, int]:
    count = len(sides.own)
    own, other = place[sides.own], place[sides.other]
    balance = balanced(sides.order)
    gap, floor = None, verdicts.LEAST_GAP_HOURS
    if metric.is_time:
        tested = _times(metric, own, other, sides, balance)
        gap = effects.mean_gap(_cells(metric, own, other, sides.kind), metric.mids) if count else 0.0
        if metric.promised is not None:
            promised = metric.promised[np.concatenate([own, other])]
            promised = promised[~np.isnan(promised)]
            if len(promised):
                floor = max(floor, verdicts.LEAST_GAP_OF_PROMISE * float(np.median(promised)))
    elif metric.is_graded:
        tested = effects.graded(linear("probability", _longer(metric, own, other), sides.order, sides.customer, at=0.5))
    else:
        yes = (metric.place == 0).astype(float)
        tested = linear("risk_difference", yes[own] - yes[other], sides.order, sides.customer)
    contrast = Contrast(
        metric=metric.name, channel=channel, versus=versus, stratum=None, n=count, n_versus=count, comparable=count,
        fewest=int(balance.sum() + 1e-9), tested=tested, gap_hours=gap, floor_hours=floor,
    )  # fmt: skip
    return contrast, int(sides.customer.max(initial=-1)) + 1, int((sides.order > 0).sum())


def balanced(order: Floats) -> Floats:
    """Weights that give both orders the same say: (pairs,). They add up to the pairs that count, 4 n m / (n + m)."""
    square = float((order**2).sum())
    weights: Floats = 1.0 - order * (order.sum() / square if square else 0.0)
    return weights


def _free_of_order(y: Floats, order: Floats) -> Floats:
    square = float((order**2).sum())
    free: Floats = y - order * (float((order * y).sum()) / square if square else 0.0)
    return free


def _sums(y: Floats, order: Floats, balance: Floats, customer: Ints) -> Floats:
    """What each customer adds to U."""
    return np.bincount(customer, balance * _free_of_order(y, order)).astype(np.float64)


def dealt(sums: Floats) -> tuple[float, float] | None:
    """p and the 95 % critical value of |z| when the sign of every customer's sum is dealt anew; None when nothing
    varies.
    """
    sums = sums[np.abs(sums) > 1e-12]
    if len(sums) == 0:
        return None
    random = np.random.default_rng(kernel.SEED)
    draws = np.abs(random.choice([-1.0, 1.0], (kernel.DRAWS, len(sums))) @ sums)
    p = float((1 + (draws >= abs(sums.sum()) - 1e-9).sum()) / (1 + kernel.DRAWS))
    return p, float(np.quantile(draws, 0.95) / np.sqrt((sums**2).sum()))


def _tested(sums: Floats, name: str) -> tuple[float | None, float | None, float, str | None]:
    """z, p, the critical value of |z| that belongs to p, and the name of the test."""
    spread = float(np.sqrt((sums**2).sum()))
    if spread <= 1e-12:
        return None, None, Z95, None
    z = float(sums.sum()) / spread
    if (np.abs(sums) > 1e-12).sum() < DEALT_BELOW:
        found = dealt(sums)
        if found is not None:
            return z, found[0], found[1], "signs_dealt_anew"
    return z, kernel.normal_p(z), Z95, name


def linear(kind: str, y: Floats, order: Floats, customer: Ints, *, at: float = 0.0) -> Result:
    """Test and interval for a mean difference inside pairs, by inverting the test.

    y: (pairs,) differences, channel minus the other; order, customer: as in the module's text, customer without gaps;
    at: what a difference of 0 is shown as.
    """
    balance = balanced(order)
    total = float(balance.sum())
    if len(y) == 0 or total < 1e-9:
        return Result(effects=(Estimate(kind=kind),), p=None, z=None, test=None)
    seen, slope = _sums(y, order, balance, customer), np.bincount(customer, balance**2).astype(np.float64)
    value = float((balance * y).sum()) / total
    z, p, critical, test = _tested(seen, "paired_difference")
    if z is None:
        return Result(effects=(Estimate(kind=kind, value=at + value),), p=None, z=None, test=None)
    ends = [each for level in (critical, critical * Z90 / Z95) for each in _ends(seen, slope, level)]
    reach = 1.0 - at  # a difference of shares ends at -1 and 1, a chance at 0 and 1
    low, high, low90, high90 = (None if each is None else at + float(np.clip(each, -reach, reach)) for each in ends)
    return Result(
        effects=(Estimate(kind=kind, value=at + value, low=low, high=high, low90=low90, high90=high90),),
        p=p,
        z=z,
        test=test,
    )


def _ends(seen: Floats, slope: Floats, critical: float) -> tuple[float | None, float | None]:
    """Where (sum(seen) - x sum(slope))^2 = critical^2 * sum((seen - x slope)^2)."""
    square = critical**2
    a = float(slope.sum() ** 2 - square * (slope**2).sum())
    b = float(-2 * (seen.sum() * slope.sum() - square * (seen * slope).sum()))
    c = float(seen.sum() ** 2 - square * (seen**2).sum())
    inside = b * b - 4 * a * c
    if a <= 0 or inside < 0:
        return None, None
    root = float(np.sqrt(inside))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


# ---------------------------------------------------------------------------------------------------- times


def _cells(metric: Metric, own: Ints, other: Ints, kind: Ints) -> Pair:
    side = np.repeat([0, 1], len(own))
    both = np.concatenate([own, other])
    shape = (int(kind.max(initial=0)) + 1, 2, metric.bins)
    return Pair(*kernel.table(np.tile(kind, 2), side, metric.place[both], metric.event[both], shape))


def _times(metric: Metric, own: Ints, other: Ints, sides: _Sides, balance: Floats) -> Result:
    """The paired Prentice-Wilcoxon test and the time ratio by inverting it; where bins are no logarithms, the chance of
    waiting longer than oneself on another channel.
    """
    longer = linear("probability", _longer(metric, own, other), sides.order, sides.customer, at=0.5)
    if metric.width is None:
        return longer
    nothing = Result(effects=(Estimate(kind="time_ratio"), *longer.effects), p=None, z=None, test=None)
    if len(own) == 0 or balance.sum() < 1e-9:
        return nothing
    scored = _Scored(metric, own, other, sides.kind)

    def sums_at(shift: float) -> Floats:
        return _sums(scored.differences(shift), sides.order, balance, sides.customer)

    z, p, critical, test = _tested(sums_at(0.0), "paired_prentice_wilcoxon")
    if z is None:
        return nothing

    def z_at(shift: float) -> float:
        sums = sums_at(shift)
        spread = float(np.sqrt((sums**2).sum()))
        return float(sums.sum()) / spread if spread > 1e-12 else float(np.sign(sums.sum())) * 99.0

    targets = (0.0, -critical, critical, -critical * Z90 / Z95, critical * Z90 / Z95)
    solved = _solved(z_at, targets, FARTHEST_BINS * metric.bins)
    ratios = [effects.finite(float(np.exp(metric.width * each))) for each in solved]
    ratio = Estimate(
        kind="time_ratio", value=ratios[0], low=ratios[1], high=ratios[2], low90=ratios[3], high90=ratios[4]
    )
    return Result(effects=(ratio, *longer.effects), p=p, z=z, test=test)


def _solved(z_at: Callable[[float], float], targets: Sequence[float], farthest: float) -> list[float]:
    """The shifts at which z has wanted values; NaN where none has. z grows with the shift."""
    known: dict[float, float] = {}

    def z_of(shift: float) -> float:
        if shift not in known:
            known[shift] = z_at(shift)
        return known[shift]

    solved = []
    for target in targets:
        low, high = -farthest, farthest
        if z_of(low) > target or z_of(high) < target:
            solved.append(float("nan"))
            continue
        for shift, z in known.items():  # what was looked at before narrows the search
            if z <= target:
                low = max(low, shift)
        high = min((shift for shift, z in known.items() if z > target and shift > low), default=high)
        solved.append(float(brentq(lambda shift, to=target: z_of(shift) - to, low, high, xtol=NEAR_BINS)))
    return solved


class _Scored:
    """Scores of paired cases when the channel's times are multiplied by exp(-shift * width of a bin)."""

    def __init__(self, metric: Metric, own: Ints, other: Ints, kind: Ints) -> None:
        self.bins, self.kinds = metric.bins, int(kind.max()) + 1
        self.base = kind * metric.bins
        self.own, self.own_seen = metric.place[own], metric.event[own].astype(float)
        self.other, self.other_seen = self.base + metric.place[other], metric.event[other].astype(float)
        size = self.bins * self.kinds
        self.other_d = np.bincount(self.other, self.other_seen, size)
        self.other_n = np.bincount(self.other, minlength=size)

    def differences(self, shift: float) -> Floats:
        """Score of the channel's case minus the other's: (pairs,); high scores are early outcomes."""
        whole = int(np.floor(-shift))
        part = -shift - whole
        low = self.base + np.clip(self.own + whole, 0, self.bins - 1)
        high = self.base + np.clip(self.own + whole + 1, 0, self.bins - 1)
        size, shape = self.bins * self.kinds, (self.kinds, self.bins)
        d = self.other_d + np.bincount(low, (1 - part) * self.own_seen, size)
        n = self.other_n + (1 - part) * np.bincount(low, minlength=size)
        if part:
            d, n = d + np.bincount(high, part * self.own_seen, size), n + part * np.bincount(high, minlength=size)
        seen: Floats = d.reshape(shape).astype(np.float64)
        risk = kernel.at_risk(n.reshape(shape))
        weights = kernel.weights(seen, risk)
        with np.errstate(divide="ignore", invalid="ignore"):
            hazard = np.where(risk > 0, weights * seen / risk, 0.0).cumsum(axis=1).ravel()
        weight = weights.ravel()
        here = (1 - part) * (weight[low] * self.own_seen - hazard[low])
        if part:
            here += part * (weight[high] * self.own_seen - hazard[high])
        scores: Floats = here - (weight[self.other] * self.other_seen - hazard[self.other])
        return scores


def _longer(metric: Metric, own: Ints, other: Ints) -> Floats:
    """Half for pairs in which the channel's case waited longer, minus half for shorter, 0 where equal or not known."""
    mine, theirs = metric.values[own], metric.values[other]
    seen, seen_other = metric.event[own], metric.event[other]
    longer = seen_other & ((mine > theirs) | ((mine == theirs) & ~seen))
    shorter = seen & ((mine < theirs) | ((mine == theirs) & ~seen_other))
    return np.where(longer, 0.5, 0.0) - np.where(shorter, 0.5, 0.0)
