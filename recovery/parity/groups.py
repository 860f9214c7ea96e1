"""Channels pooled into groups, for houses that have too few matters on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from recovery.parity.own import Matters, Whole


def pooled(matters: Matters, groups: Mapping[str, str]) -> Matters:
    """Give the same matters with groups in the place of channels. groups: the group of every channel.

    Raises KeyError for a channel that has none.
    """
    names = tuple(dict.fromkeys(groups.values()))
    group_of = np.array([names.index(groups[channel]) for channel in matters.channels], dtype=np.int64)

    def moved(codes: Whole) -> Whole:
        return np.asarray(group_of[codes], dtype=np.int64)

    return replace(
        matters,
        columns={**matters.columns, "channel": moved(matters.columns["channel"])},
        dismissed={**matters.dismissed, "channel": moved(matters.dismissed["channel"])},
        channels=names,
    )
