"""The audit itself: metrics out of cases, every channel against its counterpart, crude and like for like, then
verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recovery.parity import Unusable, customers, effects, kernel, public, survival, verdicts
from recovery.parity.columns import Flags
from recovery.parity.contrasts import Contrast, LogRankLine, judged
from recovery.parity.customers import Within
from recovery.parity.effects import Estimate, Result
from recovery.parity.kernel import Floats, Ints, Pair
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.metrics import TIME_TO_RESOLUTION, Metric
from recovery.parity.metrics import of as metrics_of
from recovery.parity.public import WentPublic
from recovery.parity.reading import Cases

OTHERS = "others"
SHARED_STRATUM = 20  # cases that every shown channel has in a stratum used for standardising
CHANCE = 0.05  # a gap with a larger p, crude and adjusted, is not worth explaining
CASE_MIX = np.log(1.10)  # crude and adjusted further apart than this: the mix of cases explains or hides


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Everything a report shows."""

    cases: Cases
    reference: str | None
    strata_by: tuple[str, ...]
    strata: tuple[str, ...]
    stratum: Ints
    metrics: tuple[Metric, ...]
    crude: tuple[Contrast, ...]
    contrasts: tuple[Contrast, ...]
    standardised: dict[str, dict[str, float | None]]
    shared_strata: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    within: Within | None = None  # where the file knows customers
    went_public: WentPublic | None = None  # where the map says which channels are public, too

    @cached_property
    def overall(self) -> tuple[Contrast, ...]:
        return tuple(each for each in self.contrasts if each.stratum is None)

    @cached_property
    def by_stratum(self) -> tuple[Contrast, ...]:
        return tuple(each for each in self.contrasts if each.stratum is not None)


def audit(
    cases: Cases, *, reference: str | None = None, strata_by: tuple[str, ...] = ("type",), by_stratum: bool = False
) -> Audit:
    """Compare every channel with `reference`, or without one with all the others together.

    strata_by: what makes cases alike, out of type and month. Raises Unusable when the reference is not a channel of the
    file.
    """
    shown = [
        code for code, name in enumerate(cases.channels) if name not in cases.excluded and (cases.channel == code).any()
    ]
    if reference is not None:
        known = [cases.channels[code] for code in shown]
        if reference not in known:
            raise Unusable(
                f"The reference {reference} is not a channel that can be compared; the file has {', '.join(known)}."
            )
    strata_by = tuple(
        each for each in strata_by if (each == "type" and cases.typed) or (each == "month" and (cases.month >= 0).any())
    )
    stratum, names = _strata(cases, strata_by)
    metrics = tuple(metrics_of(cases, len(names)))
    pairs = list(_opponents(cases, shown, reference))
    engine = _Engine(cases=cases, stratum=stratum, names=names, shown=shown)
    crude: list[Contrast] = []
    made: list[Contrast] = []
    for metric in metrics:
        for overall, mixed, inside in engine.compare(metric, pairs, by_stratum=by_stratum):
            made += [overall, *inside]
            crude.append(mixed)
    contrasts, crude = judged(made), judged(crude)
    standardised, shared = _standardised(engine, metrics)
    within = customers.within(cases, metrics, pairs, shown)
    went_public = public.went_public(cases)
    notes = (*cases.notes, *_notes(contrasts, crude, shared, pairs, cases))
    return Audit(
        cases=cases, reference=reference, strata_by=strata_by, strata=names, stratum=stratum, metrics=metrics,
        crude=tuple(crude), contrasts=tuple(contrasts), standardised=standardised, shared_strata=shared, notes=notes,
        within=within, went_public=went_public,
    )  # fmt: skip


def _strata(cases: Cases, by: tuple[str, ...]) -> tuple[Ints, tuple[str, ...]]:
    months = np.where(cases.month >= 0, cases.month, 0) if "month" in by else np.zeros(len(cases), dtype=np.int64)
    types = cases.type if "type" in by else np.zeros(len(cases), dtype=np.int64)
    span = int(months.max()) + 1 if len(months) else 1
    codes, stratum = np.unique(types.astype(np.int64) * span + months, return_inverse=True)
    names = []
    for code in codes:
        kind, month = divmod(int(code), span)
        parts = [cases.types[kind]] if "type" in by else []
        if "month" in by:
            parts.append(f"{month // 12:04d}-{month % 12 + 1:02d}" if month else "(no month)")
        names.append(" · ".join(parts) or "all")
    return stratum.astype(np.int64), tuple(names)


def _opponents(cases: Cases, shown: list[int], reference: str | None) -> Iterator[tuple[int, list[int], str]]:
    """Yield (channel, the codes of what it is compared with, their name), the channels with most cases first."""
    sizes = np.bincount(cases.channel, minlength=len(cases.channels))
    ordered = sorted(shown, key=lambda code: (-sizes[code], cases.channels[code]))
    for code in ordered:
        name = cases.channels[code]
        if reference is None and len(ordered) > 1:
            others = [each for each in ordered if each != code]
            yield code, others, OTHERS if len(ordered) > 2 else cases.channels[others[0]]
        elif reference is not None and name != reference:
            yield code, [cases.channels.index(reference)], reference


@dataclass(kw_only=True)
class _Engine:
    cases: Cases
    stratum: Ints
    names: tuple[str, ...]
    shown: list[int]
    orders: dict[str, Ints] = field(default_factory=dict)  # by metric: its valid rows by stratum, then time

    def compare(
        self, metric: Metric, pairs: list[tuple[int, list[int], str]], *, by_stratum: bool
    ) -> Iterator[tuple[Contrast, Contrast, list[Contrast]]]:
        """Yield (like for like, crude, per stratum) for every pair."""
        strata, channels = len(self.names), len(self.cases.channels)
        stratum, channel = self.stratum[metric.valid], self.cases.channel[metric.valid].astype(np.int64)
        d, q = kernel.table(stratum, channel, metric.place, metric.event, (strata, channels, metric.bins))
        ranking = _Ranking(metric, stratum, channel, strata)
        self.orders[metric.name] = ranking.order
        floors = self._floors(metric, stratum)
        for code, others, versus in pairs:
            cells = Pair(
                np.stack([d[:, code], d[:, others].sum(axis=1)], axis=1),
                np.stack([q[:, code], q[:, others].sum(axis=1)], axis=1),
            )
            sizes = cells.sizes()
            both = np.asarray((sizes > 0).all(axis=1))
            ranks, mixed_rank = ranking.log_ranks(code, others)
            every = (d[:, others] + q[:, others]).sum(axis=2).max(axis=1)  # per stratum, of the largest other channel
            largest = int(max((float(d[both, each].sum() + q[both, each].sum()) for each in others), default=0))
            line = _contrast(metric, self.cases.channels[code], versus, None, sizes, both, largest)
            tested = effects.times(cells, width=metric.width) if metric.is_time else effects.binary(cells)
            overlap = np.where(both, sizes.prod(axis=1) / np.maximum(sizes.sum(axis=1), 1), 0.0)
            floor = float((floors * overlap).sum() / overlap.sum()) if overlap.sum() else verdicts.LEAST_GAP_HOURS
            gap = effects.mean_gap(cells, metric.mids) if metric.is_time else None
            overall = replace(
                line,
                tested=tested,
                log_rank=_line(ranks),
                gap_hours=gap,
                floor_hours=floor,
                heterogeneity=effects.heterogeneity(cells),
                share_ratio=effects.share_ratio(cells) if metric.name == RESPONSE_COVERAGE else None,
            )
            pooled = cells.pooled()
            largest_crude = int(max((float(d[:, each].sum() + q[:, each].sum()) for each in others), default=0))
            mixed = replace(
                _contrast(
                    metric,
                    self.cases.channels[code],
                    versus,
                    None,
                    pooled.sizes(),
                    np.ones(1, dtype=bool),
                    largest_crude,
                ),
                tested=effects.times(pooled, width=metric.width) if metric.is_time else effects.binary(pooled),
                log_rank=_line(mixed_rank),
                gap_hours=effects.mean_gap(pooled, metric.mids) if metric.is_time else None,
                floor_hours=floor,
            )
            yield overall, mixed, self._inside(metric, line, cells, ranks, floors, every) if by_stratum else []

    def _inside(
        self,
        metric: Metric,
        line: Contrast,
        cells: Pair,
        ranks: survival.LogRank | None,
        floors: Floats,
        largest: Floats,
    ) -> list[Contrast]:
        sizes = cells.sizes()
        used = np.flatnonzero((sizes > 0).all(axis=1))
        fewest = np.minimum(sizes.min(axis=1), largest)
        enough = fewest[used] >= verdicts.FEWEST
        part = Pair(cells.d[used], cells.q[used])
        single = [Pair(part.d[at : at + 1], part.q[at : at + 1]) for at in range(len(used))]
        if metric.is_time:
            tests = effects.times_by_stratum(part, width=metric.width, wanted=enough)
        else:
            tests = [effects.binary(each) for each in single]
        found = []
        for at, code in enumerate(used):
            found.append(
                replace(
                    line,
                    stratum=self.names[code],
                    n=int(sizes[code, 0]),
                    n_versus=int(sizes[code, 1]),
                    comparable=int(sizes[code, 0]),
                    fewest=int(fewest[code]),
                    tested=tests[at],
                    log_rank=_line(ranks, int(code)),
                    floor_hours=float(floors[code]),
                    gap_hours=effects.mean_gap(single[at], metric.mids) if metric.is_time else None,
                )
            )
        return found

    def _floors(self, metric: Metric, stratum: Ints) -> Floats:
        """Hours below which a gap in a stratum does not matter: five minutes, or a twentieth of its median promise.

        The promise of a file is about resolution, so it is no yardstick for other durations.
        """
        floors = np.full(len(self.names), verdicts.LEAST_GAP_HOURS)
        promised = self.cases.promised_hours[metric.valid]
        known = ~np.isnan(promised)
        if metric.name != TIME_TO_RESOLUTION or not known.any():
            return floors
        order = np.argsort(stratum[known], kind="stable")
        codes, starts = np.unique(stratum[known][order], return_index=True)
        for code, values in zip(codes, np.split(promised[known][order], starts[1:]), strict=True):
            floors[code] = max(verdicts.LEAST_GAP_HOURS, verdicts.LEAST_GAP_OF_PROMISE * float(np.median(values)))
        return floors


_UNTESTED = Result(effects=(Estimate(kind="probability"),), p=None, z=None, test=None)


def _contrast(
    metric: Metric, channel: str, versus: str, stratum: str | None, sizes: Floats, both: Flags, largest: int
) -> Contrast:
    """Count both sides. largest: cases of the largest channel on the other side.

    Many channels that are each too few to say are too few together: nobody could tell whom a finding is about.
    """
    total, shared = sizes.sum(axis=0), sizes[both].sum(axis=0)
    return Contrast(
        metric=metric.name, channel=channel, versus=versus, stratum=stratum, n=int(total[0]), n_versus=int(total[1]),
        comparable=int(shared[0]), fewest=min(int(shared.min()), largest), tested=_UNTESTED,
    )  # fmt: skip


class _Ranking:
    """The log-rank tests of one metric: rows are ranked once for all channels that are compared among the same rows."""

    def __init__(self, metric: Metric, stratum: Ints, channel: Ints, strata: int) -> None:
        self._metric, self._stratum, self._channel, self._strata = metric, stratum, channel, strata
        self._among: frozenset[int] = frozenset()
        self._known: dict[int, tuple[survival.LogRank, survival.LogRank]] = {}
        self._flat = self.order = np.empty(0, dtype=np.int64)
        if metric.is_time:
            self._flat = np.argsort(metric.values, kind="stable")
            self.order = self._flat[np.argsort(_small(stratum[self._flat], strata), kind="stable")]

    def log_ranks(self, code: int, others: list[int]) -> tuple[survival.LogRank, survival.LogRank] | tuple[None, None]:
        """Of a channel against others: like for like, and crude; None for what is no time."""
        if not self._metric.is_time:
            return None, None
        among = frozenset((code, *others))
        if among != self._among:
            like = self._ranked(among, self.order, self._stratum, self._strata)
            mixed = self._ranked(among, self._flat, np.zeros_like(self._stratum), 1)
            self._among, self._known = among, {each: (like[each], mixed[each]) for each in among}
        return self._known[code]

    def _ranked(self, among: frozenset[int], order: Ints, stratum: Ints, strata: int) -> dict[int, survival.LogRank]:
        of_pair = np.zeros(max(int(self._channel.max(initial=0)), *among) + 1, dtype=bool)
        of_pair[list(among)] = True
        used = order[of_pair[self._channel[order]]]
        ranked = survival.Ranked(stratum, self._metric.values, self._metric.event, strata=strata, order=used)
        channel = self._channel[used]
        return {code: ranked.log_rank(channel == code) for code in among}


def _small(codes: Ints, count: int) -> npt.NDArray[np.integer]:
    """Codes as narrow as they may be: numpy sorts those of two bytes in one pass."""
    return codes.astype(np.uint16) if count < 2**16 else codes


def _line(ranks: survival.LogRank | None, at: int | None = None) -> LogRankLine | None:
    if ranks is None:
        return None
    observed, expected, variance = (float(each.sum() if at is None else each[at]) for each in ranks)
    z = (observed - expected) / np.sqrt(variance) if variance > 0 else float("nan")
    return LogRankLine(observed=observed, expected=expected, z=effects.finite(z), p=kernel.normal_p(z))


def _standardised(
    engine: _Engine, metrics: tuple[Metric, ...]
) -> tuple[dict[str, dict[str, float | None]], dict[str, tuple[str, ...]]]:
    """Every channel's value over one mix: the strata of which all channels with enough cases have at least 20 answers.

    A stratum weighs as many cases as these channels have in it, so the mix is the same for every channel.

    Where they share none, the smallest channel is left out (its value is null) until they do.
    """
    cases, stratum, names, shown = engine.cases, engine.stratum, engine.names, engine.shown
    sizes = _per_stratum(stratum, cases.channel, len(names), len(cases.channels))
    values: dict[str, dict[str, float | None]] = {}
    shared: dict[str, tuple[str, ...]] = {}
    for metric in metrics:
        where, channel = stratum[metric.valid], cases.channel[metric.valid]
        counts = _per_stratum(where, channel, len(names), len(cases.channels))
        total = counts.sum(axis=0)
        usual = sorted((code for code in shown if total[code] >= verdicts.FEWEST), key=lambda code: -total[code])
        common = np.zeros(len(names), dtype=bool)
        while len(usual) > 1:
            common = np.asarray((counts[:, usual] >= SHARED_STRATUM).all(axis=1))
            if common.any():
                break
            usual.pop()
        line: dict[str, float | None] = {cases.channels[code]: None for code in shown}
        if len(usual) > 1 and common.any():
            mix = sizes[:, usual].sum(axis=1) * common
            for code in usual:
                line[cases.channels[code]] = _standard(
                    metric, where, channel == code, np.flatnonzero(common), mix / mix.sum(), engine.orders[metric.name]
                )
            shared[metric.name] = tuple(names[code] for code in np.flatnonzero(common))
        values[metric.name] = line
    return values, shared


def _per_stratum(stratum: Ints, channel: npt.NDArray[np.integer], strata: int, channels: int) -> Ints:
    """Count rows: (strata, channels)."""
    return np.bincount(stratum * channels + channel, minlength=strata * channels).reshape(strata, channels)


def _standard(metric: Metric, stratum: Ints, own: Flags, used: Ints, mix: Floats, order: Ints) -> float | None:
    """The share of yes, or the median time, that a channel would have with the given mix of strata."""
    if not metric.is_time:
        yes = np.bincount(stratum[own & (metric.place == 0)], minlength=len(mix))
        every = np.bincount(stratum[own], minlength=len(mix))
        return float((yes[used] / every[used] * mix[used]).sum())
    rows = order[own[order]]
    ends = np.cumsum(np.bincount(stratum[rows], minlength=len(mix)))
    curves = []
    for code in used:
        part = rows[ends[code - 1] if code else 0 : ends[code]]
        curves.append(survival.curve(metric.values[part], metric.event[part]))
    return survival.standardised_quantile(curves, mix[used], 0.5)


def log_effect(contrast: Contrast) -> float | None:
    """The effect on a log scale, where crude and adjusted can be compared."""
    for kind in ("odds_ratio", "time_ratio", "probability"):
        effect = contrast.effect(kind)
        if (
            effect is not None
            and effect.value is not None
            and 0 < effect.value < (1 if kind == "probability" else np.inf)
        ):
            value = effect.value / (1 - effect.value) if kind == "probability" else effect.value
            return float(np.log(value))
    return None


def case_mix(crude: Contrast, adjusted: Contrast) -> str | None:
    """Does the mix of cases explain a crude gap, or hide a real one? None when both say about the same, or neither more
    than chance would.
    """
    before, after = log_effect(crude), log_effect(adjusted)
    if min((each.tested.p for each in (crude, adjusted) if each.tested.p is not None), default=1.0) > CHANCE:
        return None
    if before is None or after is None or not (crude.counts and adjusted.counts) or abs(before - after) <= CASE_MIX:
        return None
    if before * after < 0 and min(abs(before), abs(after)) > CASE_MIX:
        return "reverses"
    return "explains" if abs(after) < abs(before) else "hides"


def _notes(
    contrasts: list[Contrast],
    crude: list[Contrast],
    shared: dict[str, tuple[str, ...]],
    pairs: list[tuple[int, list[int], str]],
    cases: Cases,
) -> Iterator[str]:
    if not pairs:
        yield "Only one channel can be compared, so there is nothing to compare it with."
    if not cases.timed:
        yield "The file has no opened and closed times, so no waiting times; open is not told from closed."
    words = {
        "explains": "case mix explains: much of the crude gap goes away when like is compared with like",
        "hides": "case mix hides: like for like the gap is larger than it looks all together",
        "reverses": "case mix reverses: like for like the gap points the other way than all together",
    }
    overall = [each for each in contrasts if each.stratum is None]
    for before, after in zip(crude, overall, strict=True):
        label = f"{after.metric}, {after.channel} against {after.versus}"
        found = case_mix(before, after)
        if found:
            kind = "odds_ratio" if after.effect("odds_ratio") else after.tested.effects[0].kind
            values = [each.effect(kind) for each in (before, after)]
            first, last = (each.value if each and each.value is not None else np.nan for each in values)
            yield f"{label}: {words[found]} ({kind} {first:.2f} crude, {last:.2f} adjusted)."
        if after.share_ratio is not None and after.share_ratio < verdicts.HARD_FAIL and after.counts:
            fails = "fails hard" if after.verdict == "red" else "and may be chance"
            yield f"{label}: the ratio of adjusted shares is {after.share_ratio:.2f}, below four fifths: {fails}."
        mixed = after.heterogeneity
        if mixed is not None and after.counts and mixed.p_direction < 0.05:
            yield (
                f"{label}: the direction differs between strata (Gail-Simon p {mixed.p_direction:.2g}); "
                "read the strata, not the average."
            )
        elif mixed is not None and after.counts and mixed.p < 0.05:
            yield (
                f"{label}: the size of the gap differs between strata "
                f"(Cochran Q {mixed.q:.1f} in {mixed.strata}, p {mixed.p:.2g})."
            )
        if after.n and after.comparable < 0.95 * after.n and (after.counts or not after.comparable):
            left = 1 - after.comparable / after.n
            yield f"{label}: {left:.0%} of its cases had no comparable case on the other side and say nothing here."
    for name, strata in shared.items():
        listed = ", ".join(strata[:12]) + (" …" if len(strata) > 12 else "")
        yield f"{name}: standardised over {len(strata)} strata that all channels shown share: {listed}."
