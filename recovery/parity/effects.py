"""How large a difference is, with an interval from the same test that gives its p."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import chdtrc, gammaln, ndtri

from recovery.parity import kernel
from recovery.parity.kernel import Floats, Ints, Pair

EXACT_BELOW = 50  # expected events, or non-events, on a side: domain decision, from coverage simulations
PERMUTE_BELOW = 30  # events on a side
Z95, Z90 = float(ndtri(0.975)), float(ndtri(0.95))
FARTHEST = np.log(1e6)  # largest log odds ratio looked for
ALL_TARGETS_BELOW = 2_000_000  # cells; more are solved target by target to save memory
STEPS = 40  # towards a shift; a handful is enough
FIRST_SLOPE = 2.0  # bins for one z, where nothing is known yet
CLOSE = 0.01  # bins between the last two steps


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One effect: the value, its 95 % and 90 % intervals; None where it is not reached or not defined.

    kind: odds_ratio, risk_difference (channel minus versus, -1 to 1), time_ratio (channel / versus),
    probability (that a case of the channel waits longer than a like one of the other side, ties half; where `graded`, that it
    got the worse grade), part_ratio, amount_ratio, count_ratio (of means: channel / versus).
    """

    kind: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    low90: float | None = None
    high90: float | None = None
    graded: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """One comparison: the test, its p and z, and its effects; the first effect carries the verdict."""

    effects: tuple[Estimate, ...]
    p: float | None
    z: float | None
    test: str | None


def finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# ---------------------------------------------------------------------------------------------- yes and no


def binary(pair: Pair) -> Result:
    """Compare shares. pair: two bins, the first is yes, nothing censored; strata are combined.

    Odds ratio: Mantel and Haenszel 1959 with the variance of Robins, Breslow and Greenland 1986. Risk difference:
    Greenland and Robins 1985 with Sato's variance 1989. With few expected events or non-events: exact conditional mid-p
    test, and intervals by tilting the one convolved distribution (a common odds ratio multiplies its terms by psi^x),
    mapped to a risk difference.
    """
    pair = pair.comparable()
    a, b = pair.d[:, 0, 0], pair.d[:, 1, 0]
    n1, n2 = pair.d[:, 0].sum(axis=1), pair.d[:, 1].sum(axis=1)
    if len(a) == 0:
        return Result(
            effects=(Estimate(kind="risk_difference"), Estimate(kind="odds_ratio")), p=None, z=None, test=None
        )
    n = n1 + n2
    overlap = float((n1 * n2 / n).sum())
    difference = float(((a * n2 - b * n1) / n).sum()) / overlap
    up, down = (a * (n2 - b) / n), (b * (n1 - a) / n)
    ratio = float(up.sum() / down.sum()) if down.sum() > 0 else float("nan")
    z = kernel.z_of(kernel.score(pair))
    if _scarcest(a, b, n1, n2) < EXACT_BELOW:
        return _exact(a, b, n1, n2, difference, ratio, z)
    spread = np.sqrt(_sato(a, b, n1, n2, difference) / overlap**2)
    log_spread = _log_odds_spread(a, b, n1, n2)
    return Result(
        effects=(_around("risk_difference", difference, spread), _ratio_around(ratio, log_spread)),
        p=kernel.normal_p(z),
        z=finite(z),
        test="cochran_mantel_haenszel",
    )


def share_ratio(pair: Pair) -> float | None:
    """Ratio of adjusted shares, first side / second (Mantel and Haenszel's; Rothman and Boice 1979); pair as in
    `binary`.
    """
    pair = pair.comparable()
    sizes = pair.sizes()
    total = sizes.sum(axis=1)
    below = float((pair.d[:, 1, 0] * sizes[:, 0] / total).sum())
    return float((pair.d[:, 0, 0] * sizes[:, 1] / total).sum()) / below if below > 0 else None


def _scarcest(a: Floats, b: Floats, n1: Floats, n2: Floats) -> float:
    """Expected events or non-events, on the side that has fewest."""
    m, n = a + b, n1 + n2
    expected = float((n1 * m / n).sum()), float((n2 * m / n).sum())
    return min(*expected, float(n1.sum()) - expected[0], float(n2.sum()) - expected[1])


def _around(kind: str, value: float, spread: float, *, low: float = -1.0, high: float = 1.0) -> Estimate:
    ends = [float(np.clip(value + sign * spread, low, high)) for sign in (-Z95, Z95, -Z90, Z90)]
    return Estimate(
        kind=kind,
        value=finite(value),
        low=finite(ends[0]),
        high=finite(ends[1]),
        low90=finite(ends[2]),
        high90=finite(ends[3]),
    )


def _ratio_around(ratio: float, spread: float) -> Estimate:
    if not ratio > 0 or not np.isfinite(ratio * spread):
        return Estimate(kind="odds_ratio", value=finite(ratio))
    ends = [float(ratio * np.exp(sign * spread)) for sign in (-Z95, Z95, -Z90, Z90)]
    return Estimate(kind="odds_ratio", value=ratio, low=ends[0], high=ends[1], low90=ends[2], high90=ends[3])


def _sato(a: Floats, b: Floats, n1: Floats, n2: Floats, difference: float) -> float:
    n = n1 + n2
    slope = (b * (n1 / n) ** 2 - a * (n2 / n) ** 2 + (n1 / n) * (n2 / n) * (n2 - n1) / 2.0).sum()
    base = ((a * (n2 - b) + b * (n1 - a)) / n).sum() / 2.0
    return max(float(difference * slope + base), 0.0)


def _log_odds_spread(a: Floats, b: Floats, n1: Floats, n2: Floats) -> float:
    n = n1 + n2
    c, d = n1 - a, n2 - b
    p, q = (a + d) / n, (b + c) / n
    r, s = a * d / n, b * c / n
    total_r, total_s = r.sum(), s.sum()
    if total_r <= 0 or total_s <= 0:
        return float("nan")
    variance = (
        (p * r).sum() / (2 * total_r**2)
        + (p * s + q * r).sum() / (2 * total_r * total_s)
        + (q * s).sum() / (2 * total_s**2)
    )
    return float(np.sqrt(variance))


def _exact(a: Floats, b: Floats, n1: Floats, n2: Floats, difference: float, ratio: float, z: float) -> Result:
    lowest, logs = convolved(n1, n2, a + b)
    places = np.arange(len(logs)) + lowest
    seen = int(a.sum())
    p = _mid_p(logs, places, seen)
    ends = {level: _tilted(logs, places, seen, level) for level in (0.05, 0.10)} if len(places) > 1 else None
    if ends is None:
        return Result(
            effects=(_unvaried(float(n1.sum()), float(n2.sum())), Estimate(kind="odds_ratio", value=finite(ratio))),
            p=None,
            z=None,
            test="exact_conditional",
        )
    (low, high), (low90, high90) = ends[0.05], ends[0.10]
    odds = Estimate(
        kind="odds_ratio",
        value=finite(ratio),
        low=_odds(low),
        high=_odds(high),
        low90=_odds(low90),
        high90=_odds(high90),
    )
    mapped = [difference_at(psi, n1, n2, a + b) for psi in (low, high, low90, high90)]
    luck = _luck(n1 + n2, a + b)
    risk = Estimate(
        kind="risk_difference",
        value=difference,
        low=_widened(min(mapped[0], difference), difference, Z95 * luck, -1.0),
        high=_widened(max(mapped[1], difference), difference, Z95 * luck, 1.0),
        low90=_widened(min(mapped[2], difference), difference, Z90 * luck, -1.0),
        high90=_widened(max(mapped[3], difference), difference, Z90 * luck, 1.0),
    )
    return Result(effects=(risk, odds), p=p, z=finite(z), test="exact_conditional")


def _unvaried(first: float, second: float) -> Estimate:
    """The difference where every case on both sides ended alike: how far the shares could lie apart all the same.

    Each side's bound is Clopper and Pearson's 1934 for no event in so many cases. Nothing to test, but a claim of
    likeness can be made.
    """
    bounds = {level: (-(1 - level ** (1 / second)), 1 - level ** (1 / first)) for level in (0.025, 0.05)}
    (low, high), (low90, high90) = bounds[0.025], bounds[0.05]
    return Estimate(kind="risk_difference", value=0.0, low=low, high=high, low90=low90, high90=high90)


def _luck(n: Floats, m: Floats) -> float:
    """How far, relatively, the number of events could have been another (of non-events, where they are fewer)."""
    events, every = float(m.sum()), float(n.sum())
    rare = min(events, every - events)
    return float(np.sqrt((1 - rare / every) / max(rare, 1.0)))


def _widened(end: float, value: float, luck: float, side: float) -> float:
    """An end of the difference with the luck of the total added: squares of both distances add (Zou and Donner 2008).

    side: -1 for the lower end, 1 for the upper one; an end may lie at the value itself (no event on one side).

    The conditional distribution holds the number of events fixed, and a difference of shares grows with it; at no
    difference there is nothing to add, so that interval and p still agree.
    """
    moved = value + side * float(np.hypot(end - value, end * luck))
    return float(
        np.clip(max(moved, 0.0) if end > 0 > moved else min(moved, 0.0) if end < 0 < moved else moved, -1.0, 1.0)
    )


def _mid_p(logs: Floats, places: Ints, seen: int) -> float | None:
    below, at, above = _tails(logs, places, seen, 0.0)
    return min(1.0, 2.0 * min(below + at / 2, above + at / 2)) if len(places) > 1 else None


def _odds(log_psi: float) -> float | None:
    return 0.0 if log_psi == -np.inf else finite(float(np.exp(log_psi)))


def convolved(n1: Floats, n2: Floats, m: Floats) -> tuple[int, Floats]:
    """Log distribution of the first side's yeses given every stratum's margins, under equal odds: (smallest value,
    logs).

    n1, n2: cases per stratum and side; m: yeses per stratum. The sum of hypergeometrics, convolved stratum by stratum.
    """
    lowest, made = 0, np.ones(1)
    for first, second, yeses in zip(n1, n2, m, strict=True):
        start, stop = int(max(0, yeses - second)), int(min(first, yeses))
        x = np.arange(start, stop + 1, dtype=float)
        logs = -(gammaln(x + 1) + gammaln(first - x + 1) + gammaln(yeses - x + 1) + gammaln(second - yeses + x + 1))
        part = np.exp(logs - logs.max())
        made = np.convolve(made, part / part.sum())
        lowest += start
    with np.errstate(divide="ignore"):
        return lowest, np.log(made)


def _tails(logs: Floats, places: Ints, seen: int, log_psi: float) -> tuple[float, float, float]:
    tilted = logs + log_psi * places
    chances = np.exp(tilted - tilted.max())
    chances /= chances.sum()
    here = seen - int(places[0])
    return float(chances[:here].sum()), float(chances[here]), float(chances[here + 1 :].sum())


def _tilted(logs: Floats, places: Ints, seen: int, level: float) -> tuple[float, float]:
    """Mid-p interval of the log odds ratio."""

    def above(log_psi: float) -> float:
        _, at, more = _tails(logs, places, seen, log_psi)
        return more + at / 2 - level / 2

    def below(log_psi: float) -> float:
        less, at, _ = _tails(logs, places, seen, log_psi)
        return less + at / 2 - level / 2

    low = -np.inf if seen == places[0] or above(-FARTHEST) > 0 else float(brentq(above, -FARTHEST, FARTHEST, xtol=1e-6))
    high = np.inf if seen == places[-1] or below(FARTHEST) > 0 else float(brentq(below, -FARTHEST, FARTHEST, xtol=1e-6))
    return low, high


def difference_at(log_psi: float, n1: Floats, n2: Floats, m: Floats) -> float:
    """The standardised risk difference that a common odds ratio means, with every stratum's margins as they are."""
    psi = float(np.exp(np.clip(log_psi, -FARTHEST, FARTHEST)))
    lead = n2 - m + psi * (n1 + m)
    a = 2 * psi * n1 * m / np.maximum(lead + np.sqrt(np.maximum(lead**2 + 4 * (1 - psi) * psi * n1 * m, 0.0)), 1e-300)
    n = n1 + n2
    return float(((a * n2 - (m - a) * n1) / n).sum() / (n1 * n2 / n).sum())


# ---------------------------------------------------------------------------------------------------- times


def times(pair: Pair, *, width: float | None) -> Result:
    """Compare waiting times in all strata together.

    width: of a bin on the log scale, or None where bins are not logarithmic (whole days, many zeros): then there is no
    time ratio and the probability of waiting longer comes first.
    """
    pair = pair.comparable()
    sums = kernel.score(pair)
    z, p, critical, test = _test_of(pair, sums)
    longer = _probability(pair, float(sums.u.sum()), float(sums.v.sum()), critical)
    if width is None:
        return Result(effects=(longer,), p=p, z=z, test=test)
    if z is None:
        return Result(effects=(Estimate(kind="time_ratio"), longer), p=p, z=z, test=test)
    group = np.zeros(len(pair.d), dtype=np.int64)
    solved = inverted(
        pair, np.array([[0.0], [-critical], [critical], [-critical * Z90 / Z95], [critical * Z90 / Z95]]), group, 1
    )
    return Result(effects=(_time_ratio(solved[:, 0], width), longer), p=p, z=z, test=test)


def grades(pair: Pair) -> Result:
    """Compare grades in all strata together: van Elteren's test and the chance of the worse grade.

    pair: one bin for each grade, the best first, nothing censored.
    """
    return graded(times(pair, width=None))


def graded(result: Result) -> Result:
    """The same result, told of grades instead of waits."""
    return replace(result, effects=tuple(replace(each, graded=True) for each in result.effects))


def times_by_stratum(pair: Pair, *, width: float | None, wanted: npt.NDArray[np.bool_]) -> list[Result]:
    """Compare waiting times in each stratum alone; strata that are not `wanted` (too few cases) get no permutation
    test.
    """
    sums = kernel.score(pair)
    tests = [
        _test_of(
            Pair(pair.d[at : at + 1], pair.q[at : at + 1]),
            kernel.Score(sums.u[at : at + 1], sums.v[at : at + 1]),
            exact=bool(wanted[at]),
        )
        for at in range(len(pair.d))
    ]
    longer = [
        _probability(Pair(pair.d[at : at + 1], pair.q[at : at + 1]), float(sums.u[at]), float(sums.v[at]), tests[at][2])
        for at in range(len(pair.d))
    ]
    if width is None:
        return [Result(effects=(one,), p=p, z=z, test=test) for one, (z, p, _, test) in zip(longer, tests, strict=True)]
    ratios = [Estimate(kind="time_ratio")] * len(pair.d)
    usable = np.flatnonzero([z is not None for z, *_ in tests])
    chunk = max(1, ALL_TARGETS_BELOW // (5 * pair.d.shape[2]))
    for start in range(0, len(usable), chunk):
        part = usable[start : start + chunk]
        edge = np.array([tests[at][2] for at in part])
        targets = np.stack([0 * edge, -edge, edge, -edge * Z90 / Z95, edge * Z90 / Z95])
        solved = inverted(Pair(pair.d[part], pair.q[part]), targets, np.arange(len(part)), len(part))
        for column, at in enumerate(part):
            ratios[at] = _time_ratio(solved[:, column], width)
    return [
        Result(effects=(ratio, one), p=p, z=z, test=test)
        for ratio, one, (z, p, _, test) in zip(ratios, longer, tests, strict=True)
    ]


def _test_of(
    pair: Pair, sums: kernel.Score, *, exact: bool = True
) -> tuple[float | None, float | None, float, str | None]:
    """z, p, the critical value of |z| that belongs to p, and the name of the test."""
    z = kernel.z_of(sums)
    if not np.isfinite(z):
        return None, None, Z95, None
    name = "prentice_wilcoxon" if pair.q.sum() else "van_elteren"
    if exact and pair.d.sum(axis=(0, 2)).min() < PERMUTE_BELOW:
        found = kernel.permuted(pair)
        if found is not None:
            return z, found[0], found[1], "permutation"
    return z, kernel.normal_p(z), Z95, name


def _probability(pair: Pair, u: float, v: float, critical: float) -> Estimate:
    """Wilcoxon's statistic as a chance: exactly the Mann-Whitney share without censoring; strata weigh n1 n2 / n.

    Open cases hide a part of the gap, so U alone would call channels alike because little has been seen. U / V does
    not shrink; it is multiplied by the V that the same cases would have if all were seen to their end.
    """
    sizes = pair.sizes()
    with np.errstate(divide="ignore", invalid="ignore"):
        overlap = np.nan_to_num(sizes.prod(axis=1) / sizes.sum(axis=1))
    if overlap.sum() <= 0:
        return Estimate(kind="probability")
    unit = 1 / (2 * float(overlap.sum()))
    if pair.q.any() and v > 0:
        unit *= float((overlap * _whole_variance(pair)).sum()) / v
    value = float(np.clip(0.5 - u * unit, 0.0, 1.0))
    return _around("probability", value, critical / Z95 * float(np.sqrt(v)) * unit, low=0.0)


def _whole_variance(pair: Pair) -> Floats:
    """V per n1 n2 / n without censoring: a third, less for ties; what is still open at the end counts as without."""
    d, n = pair.d.sum(axis=1), (pair.d + pair.q).sum(axis=1)
    y = kernel.at_risk(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(y > 0, kernel.weights(d, y) * d / y, 0.0)  # of all cases, that end in each bin
    return np.asarray((1.0 - (share**3).sum(axis=1)) / 3.0)


def _time_ratio(shifts: Floats, width: float) -> Estimate:
    value, low, high, low90, high90 = (finite(float(np.exp(width * each))) for each in shifts)
    return Estimate(kind="time_ratio", value=value, low=low, high=high, low90=low90, high90=high90)


def inverted(pair: Pair, targets: Floats, group: Ints, groups: int) -> Floats:
    """Shifts, in bins, at which the test gives wanted z values: (targets, groups); NaN where no shift gives it.

    targets: (targets, groups) z values; group: code per stratum. z grows with the shift: secants find it, and halving
    where they leave what is known to hold it.
    """
    wanted, strata, bins = len(targets), len(pair.d), pair.d.shape[2]
    if wanted > 1 and wanted * strata * bins > ALL_TARGETS_BELOW:
        return np.concatenate([inverted(pair, targets[at : at + 1], group, groups) for at in range(wanted)])
    cells = kernel.Shifting(pair)

    def off(shift: Floats) -> Floats:
        sums = cells.score(shift.T if groups == 1 else shift.T[group])
        u, v = (_summed(each, group, groups).T for each in sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            z: Floats = np.where(v > 0, u / np.sqrt(v), np.sign(u) * 99.0)
        return z - targets

    low, high = np.full(targets.shape, -float(bins)), np.full(targets.shape, float(bins))
    unreachable = (off(low) > 0) | (off(high) < 0)
    before, at = np.zeros(targets.shape), np.zeros(targets.shape)
    off_before = np.zeros(targets.shape)
    for step in range(STEPS):
        here = off(at)
        high, low = np.where(here > 0, np.minimum(at, high), high), np.where(here > 0, low, np.maximum(at, low))
        with np.errstate(divide="ignore", invalid="ignore"):
            after = at - here * (FIRST_SLOPE if step == 0 else (at - before) / (here - off_before))
        after = np.where((after > low) & (after < high), after, (low + high) / 2)
        before, off_before, at = at, here, after
        if np.minimum(np.abs(at - before), high - low)[~unreachable].max(initial=0.0) < CLOSE:
            break
    found: Floats = np.where(unreachable, np.nan, at)
    return found


def _summed(values: Floats, group: Ints, groups: int) -> Floats:
    """Add (strata, targets) up to (groups, targets)."""
    made: Floats = np.zeros((groups, values.shape[1]))
    np.add.at(made, group, values)
    return made


def mean_gap(pair: Pair, hours: Floats) -> float:
    """Difference of mean hours within the time both sides were watched, strata weighed n1 n2 / n (restricted means).

    hours: one representative time per bin.
    """
    pair = pair.comparable()
    if len(pair.d) == 0:
        return 0.0
    n = pair.d + pair.q
    risk = kernel.at_risk(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.where(risk > 0, 1.0 - pair.d / risk, 1.0).cumprod(axis=2)
    watched = np.asarray((risk[:, :, 1:] > 0).all(axis=1))
    means = (survival[:, :, :-1] * np.diff(hours) * watched[:, None]).sum(axis=2)
    sizes = pair.sizes()
    overlap = sizes.prod(axis=1) / sizes.sum(axis=1)
    return float(((means[:, 0] - means[:, 1]) * overlap).sum() / overlap.sum())


def p_value(pair: Pair, *, is_time: bool) -> float | None:
    """The p of `times` or `binary` without the effects, which take longer to work out."""
    pair = pair.comparable()
    if is_time or len(pair.d) == 0:
        return _test_of(pair, kernel.score(pair))[1]
    a, b = pair.d[:, 0, 0], pair.d[:, 1, 0]
    n1, n2 = pair.d[:, 0].sum(axis=1), pair.d[:, 1].sum(axis=1)
    if _scarcest(a, b, n1, n2) >= EXACT_BELOW:
        return kernel.normal_p(kernel.z_of(kernel.score(pair)))
    lowest, logs = convolved(n1, n2, a + b)
    return _mid_p(logs, np.arange(len(logs)) + lowest, int(a.sum()))


# ---------------------------------------------------------------------------------------------- heterogeneity


@dataclass(frozen=True, kw_only=True)
class Heterogeneity:
    """Do strata agree? p of Cochran's Q, and p of Gail and Simon's test that the direction itself differs (1985)."""

    strata: int
    q: float
    p: float
    p_direction: float


def heterogeneity(pair: Pair) -> Heterogeneity | None:
    """Compare the strata's one-step effects U / V, whose variance is 1 / V; None with fewer than two strata to
    compare.
    """
    sums = kernel.score(pair.comparable())
    used = sums.v > 1e-9
    u, v = sums.u[used], sums.v[used]
    if len(u) < 2:
        return None
    q = max(float((u**2 / v).sum() - u.sum() ** 2 / v.sum()), 0.0)
    forward, backward = float((u**2 / v)[u > 0].sum()), float((u**2 / v)[u < 0].sum())
    freedom = np.arange(1, len(u))
    logs = gammaln(len(u)) - gammaln(freedom + 1) - gammaln(len(u) - freedom) - (len(u) - 1) * np.log(2)
    direction = float((np.exp(logs) * chdtrc(freedom, min(forward, backward))).sum())
    return Heterogeneity(strata=len(u), q=q, p=float(chdtrc(len(u) - 1, q)), p_direction=direction)
