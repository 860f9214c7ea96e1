"""A shop with a known answer: cases in which nothing depends on the channel but what is planted.

Six channels (34, 24, 16, 12, 9 and 5 % of the cases) over 24 types whose mix depends on the channel; a median wait per
type; a shock common to all cases of a day (sd 0.25); a window of 28 days. Eight things to compare: times are log-normal
(first response: sigma 0.9; resolution: sigma 1.1, and the end of the window leaves a fifth or so of them open; a visit:
sigma 0.9, known in whole days), 3 % are never answered, approval is asked for in 30 % of the cases and given in 70 % of
these, 8 % are reopened, 30 % handed on, and the promise of five days is kept as the waits allow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

import numpy as np
import numpy.typing as npt

from recovery.parity import metrics
from recovery.parity.reading import Answers, Cases

CHANNELS = {"phone": 0.34, "email": 0.24, "web": 0.16, "social": 0.12, "chat": 0.09, "letter": 0.05}
TYPES = 24
DAYS = 28
PROMISED_HOURS = 120.0
RATIOS = ("response", "resolution", "resolution_days", "visit")  # planted as a ratio; the others as a difference
MANY = 2_000_000  # draws for a chance that has no formula
Floats = npt.NDArray[np.float64]


@cache
def _types() -> tuple[Floats, Floats]:
    """The mix of types of each channel, cumulated, and the median of each type relative to all."""
    shape = np.random.default_rng(99)  # the world stays the same, the cases are new
    mixes = shape.dirichlet(np.full(TYPES, 1.5), size=len(CHANNELS))
    return mixes.cumsum(axis=1), np.exp(shape.normal(0.0, 0.8, TYPES))


def medians() -> Floats:
    """The median wait of each type, relative to all."""
    return _types()[1]


def simulate(n: int, seed: int, *, channel: str = "", metric: str = "", size: float = 0.0) -> Cases:
    """Make one window of n cases. metric, size: planted in `channel`: a time ratio, or a difference of shares.

    metric resolution_days: resolution, with opened and closed known in whole days.
    """
    random = np.random.default_rng(seed)
    mixes, medians = _types()
    code = random.choice(len(CHANNELS), n, p=list(CHANNELS.values()))
    kind = np.minimum((random.random(n)[:, None] > mixes[code]).sum(axis=1), TYPES - 1)
    opened = random.random(n) * DAYS * 24.0
    shock = random.normal(0.0, 0.25, DAYS)[(opened // 24).astype(int)]
    hit = code == list(CHANNELS).index(channel) if channel else np.zeros(n, dtype=bool)

    def wait(base: float, sigma: float, *names: str) -> Floats:
        spent: Floats = base * medians[kind] * np.exp(shock + random.normal(0, sigma, n))
        return np.where(hit, spent * size, spent) if metric in names else spent

    def yes(chance: float, name: str) -> npt.NDArray[np.bool_]:
        return np.asarray(random.random(n) < chance + np.where(hit & (metric == name), size, 0.0))

    response = wait(3.0, 0.9, "response")
    resolution = wait(60.0, 1.1, "resolution", "resolution_days")
    visit = wait(40.0, 0.9, "visit") // 24.0
    answered, approved, reopened = yes(0.97, "answered"), yes(0.7, "approved"), yes(0.08, "reopened")
    handed_on, asked = yes(0.3, "handed_on"), random.random(n) < 0.3
    age = DAYS * 24.0 - opened
    by_day = metric == "resolution_days"
    if by_day:
        resolution, age = resolution // 24.0 * 24.0, age // 24.0 * 24.0
    closed = resolution <= age
    outcomes = (
        Answers(name="answered", kind="bool", values=answered.astype(float)),
        Answers(name="approved", kind="bool", values=np.where(asked, approved, np.nan)),
        Answers(name="reopened", kind="bool", values=np.where(closed, reopened, np.nan)),
        Answers(name="handed_on", kind="bool", values=handed_on.astype(float)),
        Answers(name="response", kind="duration", values=np.where(answered, response, np.nan)),
        Answers(name="visit", kind="duration", values=visit, unit="days", by_day=True),
    )
    due = closed | (age > PROMISED_HOURS)
    return Cases(
        channels=tuple(CHANNELS),
        types=tuple(f"type {each}" for each in range(TYPES)),
        channel=code.astype(np.int32),
        type=kind.astype(np.int32),
        month=np.full(n, 2026 * 12, dtype=np.int32),
        hours=np.where(closed, resolution, age),
        closed=closed,
        promised_hours=np.full(n, PROMISED_HOURS),
        due=due,
        kept=due & closed & (resolution <= PROMISED_HOURS),
        outcomes=outcomes,
        snapshot=datetime(2026, 1, 29, tzinfo=UTC),
        timed=True,
        promises=True,
        by_day=by_day,
        typed=True,
        excluded=frozenset(),
        read=n,
        rejected={},
        rejected_by_channel={},
    )


def only(cases: Cases, metric: str) -> Cases:
    """The same cases with one thing to compare; metric: as the report names it."""
    named = tuple(each for each in cases.outcomes if each.name == metric)
    if metric == metrics.PROMISE_KEPT:
        return dataclasses.replace(cases, outcomes=(), timed=False)
    return dataclasses.replace(cases, outcomes=named, timed=not named, promises=False)


@cache
def ratio_for(chance: float, metric: str) -> float:
    """The time ratio that makes a case of the channel wait longer than a like one with this chance, ties half.

    For times in whole days there is no formula: found by halving over many draws.
    """
    random = np.random.default_rng(7)
    _, medians = _types()
    base, sigma = (40.0, 0.9) if metric == "visit" else (60.0, 1.1)
    mean, noise = medians[random.integers(0, TYPES, MANY)], np.hypot(sigma, 0.25)
    one, other = (base * mean * np.exp(random.normal(0, noise, MANY)) / 24.0 for _ in range(2))
    low, high = 1.0, 2.0
    for _ in range(16):
        middle = (low + high) / 2
        here, there = np.floor(one * middle), np.floor(other)
        longer = float((here > there).mean() + (here == there).mean() / 2)
        low, high = (middle, high) if longer < chance else (low, middle)
    return (low + high) / 2


def dealt_anew(cases: Cases, seed: int, *, n: int) -> Cases:
    """Shuffle channels inside types among the compared channels; n: a sample of so many cases, 0 for all."""
    random = np.random.default_rng(seed)
    left_out = [code for code, name in enumerate(cases.channels) if name in cases.excluded]
    rows = np.flatnonzero(~np.isin(cases.channel, left_out))
    if n:
        rows = np.sort(random.choice(rows, n, replace=False))
    channel = cases.channel[rows].copy()
    for own in _groups(cases.type[rows]):
        channel[own] = channel[random.permutation(own)]
    columns = {
        name: getattr(cases, name)[rows]
        for name in ("type", "month", "hours", "closed", "promised_hours", "due", "kept")
    }
    return dataclasses.replace(cases, channel=channel, outcomes=(), **columns)


def _groups(codes: npt.NDArray[np.int32]) -> Iterable[npt.NDArray[np.int64]]:
    return (np.flatnonzero(codes == code) for code in np.unique(codes))
