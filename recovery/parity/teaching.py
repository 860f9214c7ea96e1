"""What our behaviour teaches: does a private matter that was answered late send its customer to a public channel next time? (R076)

Of each customer the first matter of the window counts, if it was private, and the next one they told us of, once it was known
whether the first was answered by the promised time. Compared like for like: the same private channel and type of matter. It is an
association: who is answered late may differ in what they needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recovery.parity import effects, verdicts
from recovery.parity.effects import Estimate
from recovery.parity.kernel import Pair, table
from recovery.parity.own import UNKNOWN, Matters

LATE, IN_TIME = 0, 1


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Customers by how their first private matter was answered, and of these, who spoke publicly next.

    difference: of the shares, late minus in time, like for like. needed: customers answered late that would about tell; None
    where the difference tells already.
    """

    late: int
    late_public: int
    in_time: int
    in_time_public: int
    difference: Estimate
    needed: int | None

    @property
    def tells(self) -> bool:
        return self.needed is None


def lesson(matters: Matters, *, public: frozenset[str]) -> Lesson:
    """Read it from all matters of a window. public: names of channels on which everybody can read along."""
    columns = matters.columns
    order = np.lexsort((columns["number"], columns["spoke_at"], columns["customer"]))
    customer = columns["customer"][order]
    starts = np.flatnonzero(np.concatenate([[True], customer[1:] != customer[:-1]])) if len(order) else np.empty(0, int)
    starts = starts[np.flatnonzero(starts + 1 < len(order))]
    starts = starts[customer[starts] == customer[starts + 1]]
    first, second = order[starts], order[starts + 1]
    is_public = np.isin(np.array(matters.channels), list(public))[columns["channel"]]
    kept = columns["answered_as_promised"][first]
    known_at = np.where(kept == 1, columns["answered_at"][first], columns["answer_due_at"][first])
    used = ~is_public[first] & (kept != UNKNOWN) & (columns["spoke_at"][second] > known_at)
    first, second = first[used], second[used]
    side = np.where(columns["answered_as_promised"][first] == 1, IN_TIME, LATE)
    aloud = is_public[second]
    like = columns["type"][first] * len(matters.channels) + columns["channel"][first]
    strata, stratum = np.unique(like, return_inverse=True)
    cells = table(
        stratum.astype(np.int64), side, np.where(aloud, 0, 1), np.ones(len(side), dtype=bool), (len(strata), 2, 2)
    )
    pair = Pair(*cells).comparable()
    tested = effects.binary(pair)
    difference = tested.effects[0]
    fewest = int(pair.sizes().sum(axis=0).min()) if len(pair.d) else 0
    late = int((side == LATE).sum())
    return Lesson(
        late=late, late_public=int(aloud[side == LATE].sum()), in_time=int((side == IN_TIME).sum()),
        in_time_public=int(aloud[side == IN_TIME].sum()), difference=difference,
        needed=None if _tells(difference, fewest) else max(verdicts.FEWEST, _needed(tested, late, fewest)),
    )  # fmt: skip


def _tells(difference: Estimate, fewest: int) -> bool:
    low, high = difference.low, difference.high
    return fewest >= verdicts.FEWEST and (
        (low is not None and low > 0) or (high is not None and high < 0) or verdicts.alike(difference)
    )


def _needed(tested: effects.Result, late: int, fewest: int) -> int:
    return verdicts.needed(tested, n=late, fewest=fewest) or late + 1
