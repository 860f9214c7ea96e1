"""One comparison with everything that is said of it, and the verdicts over a family of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recovery.parity import verdicts
from recovery.parity.effects import Estimate, Heterogeneity, Result
from recovery.parity.maps import RESPONSE_COVERAGE


@dataclass(frozen=True, kw_only=True)
class LogRankLine:
    """The stratified log-rank test of one contrast, from rows."""

    observed: float
    expected: float
    z: float | None
    p: float | None
    p_bh: float | None = None


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One channel against another, or all others, on one metric: overall (stratum None) or in one stratum."""

    metric: str
    channel: str
    versus: str
    stratum: str | None
    n: int
    n_versus: int
    comparable: int  # of n, in strata where both sides have cases
    fewest: int  # on the smaller side, comparable
    tested: Result
    log_rank: LogRankLine | None = None
    gap_hours: float | None = None
    floor_hours: float = verdicts.LEAST_GAP_HOURS
    heterogeneity: Heterogeneity | None = None
    share_ratio: float | None = None  # of adjusted shares, channel / versus; of response coverage only
    p_holm: float | None = None
    p_bh: float | None = None
    verdict: verdicts.Verdict = "grey"
    n_needed: int | None = None

    @property
    def counts(self) -> bool:
        """Is it one of the tests that are corrected for: enough cases on both sides."""
        return self.fewest >= verdicts.fewest_of(self.tested.effects[0].kind)

    def effect(self, kind: str) -> Estimate | None:
        return next((each for each in self.tested.effects if each.kind == kind), None)


def judged(made: list[Contrast]) -> list[Contrast]:
    """Correct for the number of tests over all contrasts with enough cases, and give each its verdict.

    Response coverage may fail hard: see verdicts.HARD_FAIL.
    """
    p = [each.tested.p if each.counts else None for each in made]
    holm, bh = verdicts.holm(p), verdicts.benjamini_hochberg(p)
    ranks = verdicts.benjamini_hochberg([each.log_rank.p if each.counts and each.log_rank else None for each in made])
    hard = _failing_hard(made)
    found = []
    for place, (each, p_holm, p_bh, rank) in enumerate(zip(made, holm, bh, ranks, strict=True)):
        margin = verdicts.margin_of(each.metric, each.tested.effects[0].kind)
        verdict = verdicts.decide(
            each.tested,
            fewest=each.fewest,
            p_holm=p_holm,
            p_bh=p_bh,
            gap_hours=each.gap_hours,
            floor_hours=each.floor_hours,
            margin=margin,
        )
        if place in hard:
            verdict = "red"
        needed = (
            verdicts.needed(each.tested, n=each.n, fewest=each.fewest, margin=margin) if verdict == "grey" else None
        )
        log_rank = replace(each.log_rank, p_bh=rank) if each.log_rank else None
        found.append(replace(each, p_holm=p_holm, p_bh=p_bh, verdict=verdict, n_needed=needed, log_rank=log_rank))
    return found


def _failing_hard(made: list[Contrast]) -> set[int]:
    """Places of response coverage below four fifths of the other side's.

    A ratio alone proves nothing where there are few cases, so the gap must also be significant at 5 % after Holm's
    correction over the comparisons of coverage alone: a smaller family than the report's, for an answer that never came
    is the first thing to be sure about.
    """
    places = [
        place
        for place, each in enumerate(made)
        if each.metric == RESPONSE_COVERAGE and each.stratum is None and each.counts
    ]
    corrected = verdicts.holm([made[place].tested.p for place in places])
    return {
        place
        for place, p in zip(places, corrected, strict=True)
        if p is not None and p <= verdicts.RED_LEVEL and _ratio(made[place]) < verdicts.HARD_FAIL
    }


def _ratio(contrast: Contrast) -> float:
    return 1.0 if contrast.share_ratio is None else contrast.share_ratio
