"""The audit itself: metrics out of cases, every channel against its counterpart, crude and like for like, then
verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from recovery.parity import (
    Unusable,
    customers,
    effects,
    kernel,
    means,
    prognostic,
    public,
    ranking,
    standard,
    survival,
    verdicts,
)
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
LOAD = "load"
NUMBER_EFFECTS = {"ratio": "part_ratio", "amount": "amount_ratio", "count": "count_ratio"}
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
    by_type: tuple[
        Contrast, ...
    ]  # beside those of `contrasts` whose like are cases that can be expected to take as long
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

    strata_by: what makes cases alike, out of type and month; with load, of the first answer and the resolution like are cases
    that can be expected to take as long (parity/prognostic.py). Raises Unusable when the reference is not a channel of the file.
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
        each
        for each in strata_by
        if (each == "type" and cases.typed) or (each == "month" and (cases.month >= 0).any()) or each == LOAD
    )
    stratum, names = _strata(cases, strata_by)
    metrics = tuple(metrics_of(cases, len(names)))
    pairs = list(_opponents(cases, shown, reference))
    by_load = frozenset({TIME_TO_RESOLUTION} | ({cases.response.name} if cases.response else set()))
    engine = _Engine(
        cases=cases, stratum=stratum, names=names, shown=shown, by_load=by_load if LOAD in strata_by else frozenset()
    )
    compared = [each for metric in metrics for each in engine.compare(metric, pairs, by_stratum=by_stratum)]
    contrasts = judged([line for each in compared for line in (each.overall, *each.inside)])
    crude = judged([each.crude for each in compared])
    types = judged([each.by_type or each.overall for each in compared])
    by_type = [line for line, each in zip(types, compared, strict=True) if each.by_type is not None]
    standardised, shared = standard.standardised(cases, metrics, stratum, names, shown, engine.orders)
    within = customers.within(cases, metrics, pairs, shown)
    went_public = public.went_public(cases)
    notes = (*cases.notes, *_notes(contrasts, crude, shared, pairs, cases))
    if LOAD in strata_by:
        notes = (*notes, *_of_load(contrasts, by_type, [each for each in metrics if each.name in by_load]))
    return Audit(
        cases=cases, reference=reference, strata_by=strata_by, strata=names, stratum=stratum, metrics=metrics,
        crude=tuple(crude), contrasts=tuple(contrasts), by_type=tuple(by_type),
        standardised=standardised, shared_strata=shared, notes=notes,
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


class _Compared(NamedTuple):
    """One pair on one metric: like for like, all thrown together, inside strata, and where like means as long expected: the
    same inside types alone.
    """

    overall: Contrast
    crude: Contrast
    inside: list[Contrast]
    by_type: Contrast | None


@dataclass(kw_only=True)
class _Cells:
    """A metric counted by stratum, channel and bin; floors: hours per stratum; moments: (3, strata, channels) of a number."""

    d: Floats
    q: Floats
    floors: Floats
    moments: Floats | None

    def pair(self, code: int, others: list[int]) -> Pair:
        return Pair(
            np.stack([self.d[:, code], self.d[:, others].sum(axis=1)], axis=1),
            np.stack([self.q[:, code], self.q[:, others].sum(axis=1)], axis=1),
        )

    def moments_of(self, code: int, others: list[int]) -> Floats | None:
        """(3, strata, 2)"""
        made = self.moments
        return None if made is None else np.stack([made[:, :, code], made[:, :, others].sum(axis=2)], axis=2)

    def largest(self, others: list[int], used: Flags) -> int:
        """Cases of the largest other channel in these strata."""
        return int(max((float(self.d[used, each].sum() + self.q[used, each].sum()) for each in others), default=0))


@dataclass(kw_only=True)
class _Engine:
    cases: Cases
    stratum: Ints
    names: tuple[str, ...]
    shown: list[int]
    by_load: frozenset[str]  # metrics of which like are cases that can be expected to take as long
    orders: dict[str, Ints] = field(default_factory=dict)  # by metric: its valid rows by stratum, then time

    def compare(
        self, metric: Metric, pairs: list[tuple[int, list[int], str]], *, by_stratum: bool
    ) -> Iterator[_Compared]:
        """Yield what is compared of every pair."""
        stratum, channel = self.stratum[metric.valid], self.cases.channel[metric.valid].astype(np.int64)
        strata, likes = len(self.names), stratum
        if metric.apart is not None and metric.apart.any():
            likes = stratum * (int(metric.apart.max()) + 1) + metric.apart
            likes, by_stratum = np.unique(likes, return_inverse=True)[1].astype(np.int64), False
            strata = int(likes.max(initial=-1)) + 1
        made = self._cells(metric, likes, channel, strata)
        load = prognostic.strata(self.cases, metric) if metric.name in self.by_load else None
        expected = self._cells(metric, load, channel, int(load.max()) + 1) if load is not None else None
        ranked = ranking.Ranking(metric, stratum, channel, strata)
        self.orders[metric.name] = ranked.order
        for code, others, versus in pairs:
            cells, name = made.pair(code, others), self.cases.channels[code]
            ranks, mixed_rank = ranked.log_ranks(code, others)
            every = (made.d[:, others] + made.q[:, others]).sum(axis=2).max(axis=1)  # per stratum, of the largest other
            by_type = replace(
                _overall(metric, made, code, others, name, versus),
                log_rank=_line(ranks),
                heterogeneity=effects.heterogeneity(cells),
                share_ratio=effects.share_ratio(cells) if metric.name == RESPONSE_COVERAGE else None,
            )
            overall = by_type
            if expected is not None:
                overall = replace(
                    _overall(metric, expected, code, others, name, versus),
                    log_rank=by_type.log_rank,
                    heterogeneity=by_type.heterogeneity,
                )
            pooled, moments = cells.pooled(), made.moments_of(code, others)
            largest = made.largest(others, np.ones(strata, dtype=bool))
            mixed = replace(
                _contrast(metric, name, versus, None, pooled.sizes(), np.ones(1, dtype=bool), largest),
                tested=_tested(metric, pooled, None if moments is None else moments.sum(axis=1, keepdims=True)),
                log_rank=_line(mixed_rank),
                gap_hours=effects.mean_gap(pooled, metric.mids) if metric.is_time else None,
                floor_hours=overall.floor_hours,
            )
            inside = self._inside(metric, by_type, cells, moments, ranks, made.floors, every) if by_stratum else []
            yield _Compared(overall, mixed, inside, by_type if expected is not None else None)

    def _cells(self, metric: Metric, stratum: Ints, channel: Ints, strata: int) -> _Cells:
        channels = len(self.cases.channels)
        d, q = kernel.table(stratum, channel, metric.place, metric.event, (strata, channels, metric.bins))
        moments = None
        if metric.number:
            at, size = stratum * channels + channel, strata * channels
            sums = [np.bincount(at, metric.values**power, minlength=size) for power in (0, 1, 2)]
            moments = np.stack(sums).reshape(3, strata, channels).astype(np.float64)
        return _Cells(d=d, q=q, floors=_floors(metric, stratum, strata), moments=moments)

    def _inside(
        self,
        metric: Metric,
        overall: Contrast,
        cells: Pair,
        moments: Floats | None,
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
        elif metric.is_graded:
            tests = [effects.graded(each) for each in effects.times_by_stratum(part, width=None, wanted=enough)]
        else:
            tests = [
                _tested(metric, each, None if moments is None else moments[:, [code]])
                for each, code in zip(single, used, strict=True)
            ]
        return [
            replace(
                overall,
                stratum=self.names[code],
                n=int(sizes[code, 0]),
                n_versus=int(sizes[code, 1]),
                comparable=int(sizes[code, 0]),
                fewest=int(fewest[code]),
                tested=tests[at],
                log_rank=_line(ranks, int(code)),
                floor_hours=float(floors[code]),
                gap_hours=effects.mean_gap(single[at], metric.mids) if metric.is_time else None,
                heterogeneity=None,
                share_ratio=None,
            )
            for at, code in enumerate(used)
        ]


def _overall(metric: Metric, made: _Cells, code: int, others: list[int], channel: str, versus: str) -> Contrast:
    """All strata together."""
    cells = made.pair(code, others)
    sizes = cells.sizes()
    both = np.asarray((sizes > 0).all(axis=1))
    overlap = np.where(both, sizes.prod(axis=1) / np.maximum(sizes.sum(axis=1), 1), 0.0)
    floor = float((made.floors * overlap).sum() / overlap.sum()) if overlap.sum() else verdicts.LEAST_GAP_HOURS
    return replace(
        _contrast(metric, channel, versus, None, sizes, both, made.largest(others, both)),
        tested=_tested(metric, cells, made.moments_of(code, others)),
        gap_hours=effects.mean_gap(cells, metric.mids) if metric.is_time else None,
        floor_hours=floor,
    )


def _tested(metric: Metric, cells: Pair, moments: Floats | None) -> Result:
    if metric.is_time:
        return effects.times(cells, width=metric.width)
    if metric.is_graded:
        return effects.grades(cells)
    if moments is not None:
        n, total, squares = moments
        return means.compared(
            cells, means.Moments(n=n, total=total, squares=squares), kind=NUMBER_EFFECTS[metric.number]
        )
    return effects.binary(cells)


def _floors(metric: Metric, stratum: Ints, strata: int) -> Floats:
    """Hours below which a gap in a stratum does not matter: five minutes, or a twentieth of its median promise (domain.md C.5).

    Both in elapsed hours, as the gap is. Where nothing was promised about a time, there is no yardstick but the minutes.
    """
    floors = np.full(strata, verdicts.LEAST_GAP_HOURS)
    if metric.promised is None:
        return floors
    known = ~np.isnan(metric.promised)
    if not known.any():
        return floors
    order = np.argsort(stratum[known], kind="stable")
    codes, starts = np.unique(stratum[known][order], return_index=True)
    for code, values in zip(codes, np.split(metric.promised[known][order], starts[1:]), strict=True):
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


def _line(ranks: survival.LogRank | None, at: int | None = None) -> LogRankLine | None:
    if ranks is None:
        return None
    observed, expected, variance = (float(each.sum() if at is None else each[at]) for each in ranks)
    z = (observed - expected) / np.sqrt(variance) if variance > 0 else float("nan")
    return LogRankLine(observed=observed, expected=expected, z=effects.finite(z), p=kernel.normal_p(z))


def log_effect(contrast: Contrast) -> float | None:
    """The effect on a log scale, where crude and adjusted can be compared."""
    for kind in ("odds_ratio", "time_ratio", *NUMBER_EFFECTS.values(), "probability"):
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
    p = min((each.tested.p for each in (crude, adjusted) if each.tested.p is not None), default=1.0)
    if before is None or after is None or not (crude.counts and adjusted.counts):
        return None
    return mix_of(before, after, p=p)


def mix_of(before: float, after: float, *, p: float) -> str | None:
    """What the mix of cases does to a gap. before, after: crude and adjusted on a log scale; p: the smaller of the two."""
    if p > CHANCE or abs(before - after) <= CASE_MIX:
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


def _of_load(contrasts: list[Contrast], by_type: list[Contrast], metrics: list[Metric]) -> Iterator[str]:
    """Where like are cases that can be expected to take as long, and what that changes."""
    known = {each.metric for each in by_type}
    for metric in metrics:
        if metric.name in known:
            yield (
                f"{metric.name}: alike are cases that could be expected to take as long, by type and by the load when they "
                "came, whatever their channel; the same by type alone stands beside it."
            )
        else:
            yield (
                f"{metric.name}: fewer than {prognostic.ENOUGH} cases with a time of opening, or too few of them ended, to "
                "say how long a case could be expected to take: alike are cases of one type."
            )
    overall = {(each.metric, each.channel): each for each in contrasts if each.stratum is None}
    words = {
        "explains": "load explains: much of the gap inside types goes away among cases that came under like load",
        "hides": "load hides: among cases that came under like load the gap is larger than inside types",
        "reverses": "load reverses: among cases that came under like load the gap points the other way than inside types",
    }
    for before in by_type:
        after = overall[before.metric, before.channel]
        found = case_mix(before, after)
        kind = after.tested.effects[0].kind
        values = [each.effect(kind) for each in (before, after)]
        first, last = (each.value if each and each.value is not None else np.nan for each in values)
        if found:
            label = f"{after.metric}, {after.channel} against {after.versus}"
            yield f"{label}: {words[found]} ({kind} {first:.2f} by type, {last:.2f} by load)."
