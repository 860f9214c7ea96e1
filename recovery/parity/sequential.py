"""Watching between looks: evidence that may be looked at every night, because it keeps its word whenever one stops looking.

A test at 5 % that is repeated every night finds something nearly always. Here evidence is an e-value: a number whose mean is at
most 1 where nobody is treated differently, whatever was seen before and whenever one stops (Ville 1939; Shafer 2021).

* **Ties.** Everything is a list of moments at which, in one stratum, `d` of `y` cases have their outcome; of both, how many are of
  each channel. Where the channel says nothing, the channel's share of the d is hypergeometric given what was before: increments
  `d_c - d y_c / y` are those of a martingale, with the log-rank's variance (Mantel 1966; Cox 1975).
* **Calendar time.** A slice of the calendar counts the outcomes that came in it, each among the cases that were as old within that
  slice (entry delayed to the slice's beginning). The hazard may depend on kind, age and slice, so on a busy week too, only not on
  the channel. What one slice adds is 0 on average given all slices before.
* **Ever** (two-sided). `E = sqrt(r / (r + V)) * exp(U^2 / (2 (V + r)))`, the mixture of exp(a U - a^2 V / 2) over a normal a of
  variance 1 / r (Robbins 1970), per channel, averaged over channels. It rings where the average has *ever* reached its limit.
* **Since when** (one-sided). Cohorts of a week, once they are a week old, give exact e-values of hazard ratios against 1:
  `ratio^d_c / (1 + (ratio - 1) y_c / y)^d` (ter Schure, Perez-Ortiz, Ly and Gruenwald 2024; ties by Hoeffding 1963: drawing without
  replacement has the smaller mean). The Shiryaev-Roberts sum `R <- (1 + R) e` rings at 52 weeks for each channel: R less the number
  of weeks is a martingale, so false alarms are a year apart on average or more (Pollak 1985; Shin, Ramdas and Rinaldo 2024).
Evidence of agreed test pairs has a file of its own: recovery/parity/probes.py.

For times the outcome is the wanted one (an answer): U above 0 is sooner. For shares it is the worse one (no answer): U above 0 is
worse. All in logarithms: R and E of a plain wrong outgrow a double within some months.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from recovery.parity.columns import Flags
from recovery.parity.effects import Z95, Estimate
from recovery.parity.kernel import Floats, Ints

PRIOR: Final = 25.0
"""r: where V is as large, the mixture is at its sharpest; about a hundred outcomes of a channel."""
EVER: Final = 20.0
"""For one measure alone: ever a false alarm in one of twenty shops."""
WEEKS: Final = 52
SLOWER: Final = (0.8, 0.65, 0.5)
"""Ratios of hazards that the change detector looks for."""
WORSE: Final = (1.25, 1.5, 2.0)
"""The like for the odds that a case ends worse."""
ENOUGH: Final = 8.0
"""Cases of a kind in a slice, on average over cases: fewer compare nobody with anybody."""


def limit(metrics: int) -> float:
    """Log of what an averaged E must reach where so many measures are watched: a false alarm, ever, in one of twenty shops."""
    return float(np.log(EVER * metrics))


def change_limit(channels: int, metrics: int = 1) -> float:
    """Log of what R must reach: over all channels and measures false alarms are on average a year apart or more."""
    return float(np.log(WEEKS * channels * metrics))


@dataclass(frozen=True, kw_only=True)
class Waits:
    """Cases that wait for one outcome, one row each, times in one unit.

    stratum, channel: codes; opened: when; wait: until the outcome, or where it was not `seen`, until nobody looks any more.
    """

    stratum: Ints
    channel: Ints
    opened: Floats
    wait: Floats
    seen: Flags

    def part(self, rows: Flags) -> Waits:
        return Waits(
            stratum=self.stratum[rows], channel=self.channel[rows], opened=self.opened[rows], wait=self.wait[rows],
            seen=self.seen[rows],
        )  # fmt: skip


class Sums(NamedTuple):
    """What ties add up to: (channels,) each. n: outcomes of the channel that could be compared; overlap: for shares, the weight by
    which u becomes a difference of shares.
    """

    n: Floats
    u: Floats
    v: Floats
    overlap: Floats


@dataclass(frozen=True)
class Ties:
    """d, y: (ties,) outcomes and cases; own_d, own_y: (ties, channels), of them each channel's."""

    d: Floats
    y: Floats
    own_d: Floats
    own_y: Floats

    def sums(self) -> Sums:
        share = self.own_y / self.y[:, None]
        spread = self.d * (self.y - self.d) / np.maximum(self.y - 1.0, 1.0)
        return Sums(
            n=self.own_d.sum(axis=0),
            u=(self.own_d - self.d[:, None] * share).sum(axis=0),
            v=(spread[:, None] * share * (1.0 - share)).sum(axis=0),
            overlap=(self.own_y * (1.0 - share)).sum(axis=0),
        )

    def log_e(self, ratio: float) -> Floats:
        """Log e-value per channel for "its hazard (or odds) is `ratio` times that of the others" against 1: (channels,)."""
        share = self.own_y / self.y[:, None]
        found: Floats = self.own_d.sum(axis=0) * np.log(ratio) - (
            self.d[:, None] * np.log1p((ratio - 1.0) * share)
        ).sum(axis=0)
        return found


def averaged(logs: Floats) -> Floats:
    """Log of the mean of exp(logs) over the first axis, never leaving logarithms."""
    most = logs.max(axis=0)
    found: Floats = most + np.log(np.exp(logs - most).mean(axis=0))
    return found


def enough(stratum: Ints) -> bool:
    """Say whether a slice with these cases compares like with like. It asks how many came, never what became of them."""
    sizes = np.bincount(stratum).astype(float)
    return bool(len(stratum)) and float((sizes**2).sum() / sizes.sum()) >= ENOUGH


def calendar(waits: Waits, *, since: float, until: float, channels: int, horizon: float) -> Ties:
    """The outcomes that came from `since` to before `until`, each among the cases of its stratum that were as old in that time.

    Nobody is watched for longer than `horizon` after opening.
    """
    here = waits.part((waits.opened < until) & (waits.opened + waits.wait >= since) & (waits.opened + horizon >= since))
    entry = np.maximum(since - here.opened, 0.0)
    leaving = np.minimum(until - here.opened, horizon)
    seen = here.seen & (here.wait < until - here.opened) & (here.wait <= horizon)
    return _ties(here.stratum, here.channel, entry, np.minimum(here.wait, leaving), seen, channels)


def cohort(waits: Waits, *, channels: int, horizon: float) -> Ties:
    """The outcomes of cases that were opened together, each among the cases of its stratum that waited as long."""
    seen = waits.seen & (waits.wait <= horizon)
    return _ties(
        waits.stratum, waits.channel, np.zeros(len(waits.wait)), np.minimum(waits.wait, horizon), seen, channels
    )


def shares(stratum: Ints, channel: Ints, worse: Flags, *, channels: int) -> Ties:
    """Cases of one cohort that ended well or worse: one tie a stratum."""
    if len(stratum) == 0:
        return _nothing(channels)
    codes, place = np.unique(stratum, return_inverse=True)
    shape = (len(codes), channels)
    flat = place * channels + channel
    every = np.bincount(flat, minlength=shape[0] * channels).reshape(shape).astype(float)
    bad = np.bincount(flat[worse], minlength=shape[0] * channels).reshape(shape).astype(float)
    used = every.sum(axis=1) > 1
    return Ties(bad[used].sum(axis=1), every[used].sum(axis=1), bad[used], every[used])


def _nothing(channels: int) -> Ties:
    return Ties(np.zeros(0), np.zeros(0), np.zeros((0, channels)), np.zeros((0, channels)))


def _ties(stratum: Ints, channel: Ints, entry: Floats, leaving: Floats, seen: Flags, channels: int) -> Ties:
    """At risk at an age: entered by then, and not gone before."""
    if not seen.any():
        return _nothing(channels)
    grid = np.unique(leaving[seen])
    wide = len(grid) + 1
    ins = stratum * wide + np.searchsorted(grid, entry, side="left")  # from the first outcome at or after entry
    outs = stratum * wide + np.searchsorted(grid, leaving, side="right") - 1  # to the last at or before leaving
    keys = np.unique(outs[seen])
    own_d, own_y = np.zeros((len(keys), channels)), np.zeros((len(keys), channels))
    for code in range(channels):
        own = channel == code
        if own.any():
            entered, left = np.sort(ins[own]), np.sort(outs[own])
            own_y[:, code] = np.searchsorted(entered, keys, side="right") - np.searchsorted(left, keys, side="left")
            own_d[:, code] = np.bincount(np.searchsorted(keys, outs[own & seen]), minlength=len(keys))
    y = own_y.sum(axis=1)
    used = y > 1
    return Ties(own_d[used].sum(axis=1), y[used], own_d[used], own_y[used])


# ----------------------------------------------------------------------------------------------------- evidence


def log_e(u: Floats, v: Floats) -> Floats:
    """Log E of sums: 0 where nothing was seen."""
    found: Floats = 0.5 * np.log(PRIOR / (PRIOR + v)) + u**2 / (2.0 * (v + PRIOR))
    return found


def rings(logs: Floats, *, at: float) -> Flags:
    """Which channels ring, given log E of each and the log limit `at` of their average.

    A channel whose E alone carries the average over the limit rings for itself; where only all together reach it, the strongest.
    """
    if len(logs) == 0 or averaged(logs) < at:
        return np.zeros(len(logs), dtype=bool)
    found: Flags = logs - np.log(len(logs)) >= at
    found[int(np.argmax(logs))] = True
    return found


def further(log_r: Floats, ties: Ties, *, ratios: Sequence[float]) -> Floats:
    """One more week of the Shiryaev-Roberts sums, R <- (1 + R) e: (ratios, channels), -inf before the first week.

    A channel's R is the average over the ratios (`averaged`): mixing sums keeps a small shift that mixing each week would lose.
    """
    found: Floats = np.logaddexp(0.0, log_r) + np.stack([ties.log_e(ratio) for ratio in ratios])
    return found


def hazard_ratio(u: float, v: float) -> Estimate:
    """About how large: the one-step ratio of hazards (of odds, for shares) with its 95 % interval (Peto; Yusuf et al. 1985).

    Above 1: more often, or sooner. None where nothing can be compared.
    """
    if v <= 0:
        return Estimate(kind="hazard_ratio")
    value, low, high = (float(np.exp((u + sign * Z95 * v**0.5) / v)) for sign in (0.0, -1.0, 1.0))
    return Estimate(kind="hazard_ratio", value=value, low=low, high=high)


def difference(u: float, v: float, overlap: float) -> Estimate:
    """About how many more ended *well*, in shares: the Mantel-Haenszel difference with its 95 % interval."""
    if overlap <= 0:
        return Estimate(kind="risk_difference")
    value, half = -u / overlap, Z95 * v**0.5 / overlap
    return Estimate(kind="risk_difference", value=value, low=max(-1.0, value - half), high=min(1.0, value + half))
