"""Strata by how long a case could be expected to wait, whichever channel it came by.

When the posts of a channel come on the days on which everything waits, a comparison inside kinds of cases blames that
channel for the days. So the log of the wait is predicted from what is there before anybody treats a case: its kind (with
severity), its language and the block of time in which it came, over all channels together. The channel is not among what
predicts, nor is anything that treatment brings: who answered, their team, hand-offs. Cases of which like waits are expected
are then alike.

The prediction is a ridge regression on what a case belongs to, cross-fitted: no case, and no other case of its customer,
takes part in its own prediction. Waits that have not ended are filled in from the waits that lasted at least as long
(Buckley and James 1979), and a wait far from what was expected moves nothing (Huber 1964). Everything is worked out on
counts by kind, language and block, so a million cases cost little more than a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from recovery.parity.dates import DAY, NOTHING
from recovery.parity.kernel import SEED, Floats, Ints
from recovery.parity.metrics import SHORTEST_HOURS, Metric
from recovery.parity.reading import Cases

ENOUGH = 400  # waits, half of them ended, below which kinds of cases alone are compared
FOLDS, LARGEST_FOLD = 5, 0.4
FEWEST_BINS, MOST_BINS, PER_BIN = 40, 100, 50  # strata; more of them as cases allow
MOST_KINDS = 200  # the commonest; the others count as one kind
BLOCKS = (DAY // 3, DAY, 7 * DAY, 30 * DAY, 91 * DAY, 365 * DAY)  # seconds: a shift, a day, and so on
MOST_BLOCKS = 120
FILLED_IN = 2  # times that unfinished waits are filled in and far ones brought near
FAR = 2.5  # median absolute deviations: a wait farther from what was expected counts as so far (Huber 1964)
STEPS = 400  # of the curve from which they are
SAMPLE = 50_000  # residuals enough to tell how far apart they lie
KIND_PENALTY = 1.0
BROAD_PENALTIES, FINE_PENALTIES = (0.1, 1.0, 10.0), (3.0, 30.0, 300.0)  # of days and shifts: those that predict best


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """What cases belong to, as counts. A cell is a kind, a language and a block.

    codes: (cells, groups) which member of each group a cell belongs to, counted through over all groups; sizes: members
    per group; span: (members,) 0 of a kind or language, 1 of a day or what else is broad, 2 of a shift or what is fine;
    n: (cells, folds) cases; cell: of every case, with its fold.
    """

    codes: Ints
    sizes: tuple[int, ...]
    span: Ints
    n: Floats
    cell: Ints


def strata(cases: Cases, metric: Metric) -> Ints | None:
    """Deal the valid cases of a time into strata of like expected waits: a code per case, 0 for the shortest.

    None where there are too few cases, or nothing that tells them apart; then kinds of cases alone are compared.
    """
    events = int(metric.event.sum())
    if len(cases.opened) != len(cases) or len(metric.values) < ENOUGH or events < ENOUGH / 2:
        return None
    opened = cases.opened[metric.valid]
    if (opened == NOTHING).any():
        return None
    groups = _groups(cases, metric.valid, opened)
    if groups is None:
        return None
    hours = metric.values * (24.0 if metric.unit == "days" else 1.0)
    score = _predicted(groups, np.log(np.maximum(hours, SHORTEST_HOURS)), metric.event)
    return _dealt(groups, score, min(MOST_BINS, max(FEWEST_BINS, len(hours) // PER_BIN)))


def _groups(cases: Cases, valid: npt.NDArray[np.bool_], opened: Ints) -> _Groups | None:
    kind = _common(cases.type[valid], MOST_KINDS)
    known = cases.language[valid] if len(cases.language) == len(cases) else np.zeros(len(opened), dtype=np.int32)
    language = _common(known, MOST_KINDS)
    width, wider = _widths(opened)
    block = opened // width - int(opened.min()) // width
    kinds, languages, blocks = (int(each.max()) + 1 for each in (kind, language, block))
    if kinds * blocks * languages == 1:
        return None
    whole = (kind * languages + language) * blocks + block
    fold = _folds(cases, valid)
    counted = np.bincount(whole * FOLDS + fold, minlength=kinds * languages * blocks * FOLDS).reshape(-1, FOLDS)
    used = np.flatnonzero(counted.sum(axis=1))
    place = np.zeros(len(counted), dtype=np.int64)
    place[used] = np.arange(len(used))
    left, at = np.divmod(used, blocks)
    since = (at + int(opened.min()) // width) * width  # when the block began
    members = [left // languages, left % languages, since // wider - since.min() // wider, at]
    if width < DAY:
        members.append(since % DAY // width)
    sizes = tuple(int(each.max()) + 1 for each in members)
    starts = np.cumsum((0, *sizes[:-1]))
    return _Groups(
        codes=np.stack(members, axis=1) + starts,
        sizes=sizes,
        span=np.repeat((0, 0, 1, 2, 1)[: len(sizes)], sizes),
        n=counted[used].astype(float),
        cell=place[whole] * FOLDS + fold,
    )


def _common(codes: npt.NDArray[np.integer[Any]], most: int) -> Ints:
    """The same codes, counted anew in the order in which they come; beyond `most` the rarest are one.

    The order of the rows decides, not how their reader numbered things, so that the same rows give the same strata.
    """
    first, count = _first(codes), np.bincount(codes)
    used = np.flatnonzero(count)
    used = used[np.argsort(first[used])]
    ranked = used if len(used) <= most else used[np.argsort(-count[used], kind="stable")]
    new = np.zeros(len(count), dtype=np.int64)
    new[ranked] = np.minimum(np.arange(len(ranked)), most)
    return np.asarray(new[codes])


def _first(codes: npt.NDArray[np.integer[Any]]) -> Ints:
    """Where each code comes first."""
    found = np.zeros(int(codes.max()) + 1, dtype=np.int64)
    found[codes[::-1]] = np.arange(len(codes))[::-1]  # of what is written to one place, the last stays
    return found


def _widths(opened: Ints) -> tuple[int, int]:
    """Seconds of a block, the shortest that makes no more than MOST_BLOCKS, and of the wider one around it."""
    span = int(opened.max()) - int(opened.min())
    place = next((place for place, width in enumerate(BLOCKS) if span // width + 2 <= MOST_BLOCKS), len(BLOCKS) - 1)
    return BLOCKS[place], BLOCKS[min(place + 1, len(BLOCKS) - 1)]


def _folds(cases: Cases, valid: npt.NDArray[np.bool_]) -> Ints:
    """A fold for every valid case, the same for all cases of a customer, unless so few customers have most of the cases that
    a fold would be left with little to learn from.
    """
    dealt = np.random.default_rng(SEED).integers(0, FOLDS, len(cases))
    by_case = np.asarray(dealt[valid])
    if len(cases.customer) != len(cases) or not (cases.customer >= 0).any():
        return by_case
    known = cases.customer >= 0
    dealt[known] = dealt[known][_first(cases.customer[known])][cases.customer[known]]
    by_customer = np.asarray(dealt[valid])
    return by_case if np.bincount(by_customer).max() > LARGEST_FOLD * len(by_customer) else by_customer


def _predicted(groups: _Groups, waited: Floats, event: npt.NDArray[np.bool_]) -> Floats:
    """The expected log wait of every cell, as seen from the other folds: (cells, folds)."""
    solver = _Ridge(groups)
    made = solver.predicted(waited)
    for _ in range(FILLED_IN):
        expected = made.ravel()[groups.cell]
        residual = waited - expected
        if not event.all():
            residual[~event] = _lasting(residual, event)
        some = residual[:: len(residual) // SAMPLE + 1]
        far = FAR * float(np.median(np.abs(some - np.median(some))))
        made = solver.predicted(expected + np.clip(residual, -far, far))
    return made


def _lasting(residual: Floats, event: npt.NDArray[np.bool_]) -> Floats:
    """What residuals that lasted at least as long as each unfinished one came to in the mean (Kaplan and Meier's curve)."""
    low, high = float(residual.min()), float(residual.max())
    step = max(high - low, 1e-9) / STEPS
    place = np.minimum(((residual - low) / step).astype(np.int64), STEPS - 1)
    every = np.bincount(place, minlength=STEPS)
    ended = np.bincount(place[event], minlength=STEPS)
    risk = every[::-1].cumsum()[::-1]
    after = np.where(risk > 0, 1.0 - ended / np.maximum(risk, 1), 1.0).cumprod()
    before = np.concatenate([[1.0], after[:-1]])
    drop = before - after
    drop[-1] += after[-1]  # who outlasted all is taken to end there
    middle = low + (np.arange(STEPS) + 0.5) * step
    beyond = (drop * middle)[::-1].cumsum()[::-1] - drop * middle  # of those that end in later bins
    share = after.copy()
    share[-1] = 0.0
    mean = np.where(share > 1e-9, beyond / np.maximum(share, 1e-9), middle)
    return np.asarray(np.maximum(mean[place[~event]], residual[~event]))


class _Ridge:
    """A ridge regression on what cells belong to, fitted without each fold in turn."""

    def __init__(self, groups: _Groups) -> None:
        self.groups = groups
        size, codes = sum(groups.sizes), groups.codes
        self.folds = np.zeros((FOLDS, size + 1, size + 1))
        for fold in range(FOLDS):
            n = groups.n[:, fold]
            for one in codes.T:
                for other in codes.T:
                    self.folds[fold, :size, :size] += np.bincount(one * size + other, n, minlength=size * size).reshape(
                        size, size
                    )
                self.folds[fold, size, :size] += np.bincount(one, n, minlength=size)
            self.folds[fold, :size, size] = self.folds[fold, size, :size]
            self.folds[fold, size, size] = n.sum()

    def predicted(self, values: Floats) -> Floats:
        """The fitted value of every cell from the cases outside each fold, at the penalty that does best there."""
        n, codes = self.groups.n, self.groups.codes
        size = sum(self.groups.sizes)
        sums = np.bincount(self.groups.cell, values, minlength=n.size).reshape(n.shape)
        told = np.zeros((FOLDS, size + 1))
        for one in codes.T:
            for fold in range(FOLDS):
                told[fold, :size] += np.bincount(one, sums[:, fold], minlength=size)
        told[:, size] = sums.sum(axis=0)
        whole, all_told = self.folds.sum(axis=0), told.sum(axis=0)
        best, least = np.zeros(n.shape), np.inf
        for broad, fine in product(BROAD_PENALTIES, FINE_PENALTIES):
            ridge = np.diag(np.append(np.array([KIND_PENALTY, broad, fine])[self.groups.span], 1e-6))
            fitted = np.stack(
                [np.linalg.solve(whole - self.folds[fold] + ridge, all_told - told[fold]) for fold in range(FOLDS)]
            )
            made = fitted[:, codes].sum(axis=2).T + fitted[:, size]
            off = float((n * made**2 - 2.0 * made * sums).sum())
            if off < least:
                best, least = made, off
        return best


def _dealt(groups: _Groups, score: Floats, bins: int) -> Ints:
    """Cut the scores of all cases into so many parts of about equal size."""
    n = groups.n.ravel()
    order = np.argsort(np.round(score.ravel(), 9), kind="stable")
    before = n[order].cumsum() - n[order]
    part = np.empty(len(order), dtype=np.int64)
    part[order] = np.minimum(((before + n[order] / 2) * bins / n.sum()).astype(np.int64), bins - 1)
    there = np.bincount(part[n > 0], minlength=bins) > 0
    return np.asarray((np.cumsum(there) - 1)[part][groups.cell])
