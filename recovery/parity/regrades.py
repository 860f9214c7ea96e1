"""What grading again says of the first grading, by channel: bias of severity and merit, dismissals that were wrong, manner (C.3).

Each channel against all others, by the kernel of the audit: shares, like with like (severity and merit among matters that the
second grading finds equally grave, or equally right). Corrected for all comparisons of a set, which is a family of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import stdtrit

from recovery.parity import effects, kernel
from recovery.parity.contrasts import Contrast, judged
from recovery.parity.kernel import Pair

SEVERITY, MERIT, OVERTURNED, MANNER = (
    "severity_graded_low",
    "merit_graded_low",
    "dismissal_overturned",
    "manner_below_good",
)
METRICS: Final = (SEVERITY, MERIT, OVERTURNED, MANNER)
"""Shares, of which more is worse for the customer."""
OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class Regraded:
    """One matter that was graded again. Differences are the first grading less the second, in steps; None: not asked.

    severity, merit: what the second grading found, "" where not asked. manner: mean of the three items, 1 to 5.
    is_kind: whether that is good. guessed: whether the channel was guessed rightly; None: nobody guessed.
    """

    number: int  # of the conversation
    channel: str
    severity: str = ""
    severity_difference: int | None = None
    merit: str = ""
    merit_difference: int | None = None
    overturned: bool | None = None
    manner: float | None = None
    is_kind: bool | None = None
    guessed: bool | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One channel and one thing that was asked, as a page shows it.

    n, n_versus: matters of the channel and of all others; share: how many went the worse way, and versus_share of the others.
    mean: of the signed difference in steps (below 0: graded too low at first), or of the manner index; low, high: its 95 % interval
    (Student's); None where there are too few. contrast: the test against all others, with its verdict.
    """

    metric: str
    channel: str
    n: int
    n_versus: int
    share: float
    versus_share: float | None
    mean: float | None
    low: float | None
    high: float | None
    contrast: Contrast


_WORSE: Final[dict[str, Callable[[Regraded], bool | None]]] = {
    SEVERITY: lambda one: None if one.severity_difference is None else one.severity_difference < 0,
    MERIT: lambda one: None if one.merit_difference is None else one.merit_difference < 0,
    OVERTURNED: lambda one: one.overturned,
    MANNER: lambda one: None if one.is_kind is None else not one.is_kind,
}
_VALUE: Final[dict[str, Callable[[Regraded], float | None]]] = {
    SEVERITY: lambda one: one.severity_difference,
    MERIT: lambda one: one.merit_difference,
    OVERTURNED: lambda one: None if one.overturned is None else float(one.overturned),
    MANNER: lambda one: one.manner,
}
_LIKE: Final[dict[str, Callable[[Regraded], str]]] = {
    SEVERITY: lambda one: one.severity,
    MERIT: lambda one: one.merit,
    OVERTURNED: lambda one: "",
    MANNER: lambda one: "",
}


def went_worse(one: Regraded, metric: str) -> bool | None:
    """Whether a matter went the worse way by one metric; None where that was not asked. Raises KeyError for another metric."""
    return _WORSE[metric](one)


def by_channel(rows: Sequence[Regraded]) -> tuple[Line, ...]:
    """One line for each metric and channel that has a matter, in the order of the metrics and then of the channels' names."""
    made: list[tuple[str, str, list[Regraded], list[Regraded]]] = []
    for metric in METRICS:
        asked = [one for one in rows if went_worse(one, metric) is not None]
        for channel in sorted({one.channel for one in asked}):
            own = [one for one in asked if one.channel == channel]
            made.append((metric, channel, own, [one for one in asked if one.channel != channel]))
    contrasts = judged([_contrast(metric, channel, own, others) for metric, channel, own, others in made])
    return tuple(
        _line(metric, channel, own, others, contrast)
        for (metric, channel, own, others), contrast in zip(made, contrasts, strict=True)
    )


def _contrast(metric: str, channel: str, own: list[Regraded], others: list[Regraded]) -> Contrast:
    pair = _pair(metric, own, others)
    sizes = pair.comparable().sizes()
    return Contrast(
        metric=metric,
        channel=channel,
        versus=OTHERS,
        stratum=None,
        n=len(own),
        n_versus=len(others),
        comparable=int(sizes[:, 0].sum()),
        fewest=int(sizes.sum(axis=0).min()) if len(sizes) else 0,
        tested=effects.binary(pair),
    )


def _pair(metric: str, own: list[Regraded], others: list[Regraded]) -> Pair:
    like = sorted({_LIKE[metric](one) for one in [*own, *others]})
    both = [*own, *others]
    return Pair(
        *kernel.table(
            np.array([like.index(_LIKE[metric](one)) for one in both], dtype=np.int64),
            np.array([0] * len(own) + [1] * len(others), dtype=np.int64),
            np.array([0 if went_worse(one, metric) else 1 for one in both], dtype=np.int64),
            np.ones(len(both), dtype=bool),
            (len(like), 2, 2),
        )
    )


def _line(metric: str, channel: str, own: list[Regraded], others: list[Regraded], contrast: Contrast) -> Line:
    values = [value for one in own if (value := _VALUE[metric](one)) is not None]
    mean, low, high = mean_of(values)
    return Line(
        metric=metric,
        channel=channel,
        n=len(own),
        n_versus=len(others),
        share=sum(bool(went_worse(one, metric)) for one in own) / len(own),
        versus_share=sum(bool(went_worse(one, metric)) for one in others) / len(others) if others else None,
        mean=mean,
        low=low,
        high=high,
        contrast=contrast,
    )


def mean_of(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """A mean with Student's 95 % interval; no interval for fewer than two values."""
    if not values:
        return None, None, None
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    half = float(stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def guessed_rightly(rows: Sequence[Regraded]) -> tuple[int, int]:
    """How often the channel was guessed rightly, and how often somebody guessed: whether the veil held."""
    guesses = [one.guessed for one in rows if one.guessed is not None]
    return sum(guesses), len(guesses)
