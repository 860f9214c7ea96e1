"""The log-rank tests of one metric, ranked once for all channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recovery.parity import survival
from recovery.parity.kernel import Ints
from recovery.parity.metrics import Metric


class Ranking:
    """The log-rank tests of one metric: rows are ranked once for all channels that are compared among the same rows."""

    def __init__(self, metric: Metric, stratum: Ints, channel: Ints, strata: int) -> None:
        self._metric, self._stratum, self._channel, self._strata = metric, stratum, channel, strata
        self._among: frozenset[int] = frozenset()
        self._known: dict[int, tuple[survival.LogRank, survival.LogRank]] = {}
        self._flat = self.order = np.empty(0, dtype=np.int64)
        if metric.is_time:
            self._flat = np.argsort(metric.values)  # cases that ended together may stand in any order
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
