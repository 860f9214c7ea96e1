"""A stored look as drawings: every coordinate in percent of the width, so that a page fits any screen and words stay words.

What is drawn stands in the report already; nothing is computed again from matters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Protocol

from recovery.parity import verdicts
from recovery.parity.audit import mix_of
from recovery.parity.drawing import span, ticks
from recovery.parity.drawing import tick as tick_label

Line = Mapping[str, Any]
"""One line of a report's `contrasts` or `crude`, see report.schema.json."""

ROOM = 0.5
"""Percent kept free at either side, so that a mark at the edge is seen."""
HEIGHT = 72.0
"""Of one channel's drawing over the looks, in pixels."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a size lies between 0 and 100 percent; log for ratios."""

    low: float
    high: float
    log: bool

    def at(self, value: float) -> float:
        """Place a value; what lies beyond an end is placed at that end."""
        turned = math.log(max(value, 1e-9)) if self.log else value
        inside = min(max(turned, self.low), self.high)
        return round(ROOM + (inside - self.low) / (self.high - self.low) * (100 - 2 * ROOM), 2)


def first_lines(lines: Iterable[Line]) -> dict[tuple[str, str], Line]:
    """The line that the verdict stands on for every channel and metric: a comparison's first effect."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        if line["stratum"] is None:
            found.setdefault((line["channel"], line["metric"]), line)
    return found


def margin_of(line: Line) -> verdicts.Margin:
    return verdicts.margin_of(line["metric"], line["effect"])


def forest(lines: Sequence[Line], crude: Mapping[tuple[str, str], Line]) -> dict[str, Any]:
    """One metric: every channel's size with its 95 % interval, the band within which it counts as alike, and the crude size."""
    margin = margin_of(lines[0])
    told = [line for line in lines if line["n"] >= verdicts.FEWEST and line["estimate"] is not None]
    ends = [line[name] for line in told for name in ("estimate", "low", "high") if line[name] is not None]
    ends += [one["estimate"] for line in told if (one := crude.get(_key(line))) and one["estimate"] is not None]
    scale = Scale(*span([margin.low, margin.high, *ends], margin.ratio), margin.ratio)
    kind = lines[0]["effect"]
    return {
        **_band(margin, scale),
        "ticks": [
            {"x": scale.at(each), "label": tick_label(each, kind)}
            for each in _apart(ticks(scale.low, scale.high, margin.ratio), scale)
        ],
        "rows": {line["channel"]: _placed(line, crude.get(_key(line)), scale) for line in lines},
    }


def _key(line: Line) -> tuple[str, str]:
    return line["channel"], line["metric"]


def _apart(found: list[float], scale: Scale) -> list[float]:
    """Of the ticks those that leave room for their words on a narrow screen."""
    kept: list[float] = []
    for each in found:
        if 4 <= scale.at(each) <= 96 and (not kept or scale.at(each) - scale.at(kept[-1]) >= 16):
            kept.append(each)
    return kept


def _band(margin: verdicts.Margin, scale: Scale) -> dict[str, float]:
    low, high = scale.at(margin.low), scale.at(margin.high)
    return {"band": low, "band_wide": round(high - low, 2), "equal": scale.at(margin.equal)}


def _placed(line: Line, crude: Line | None, scale: Scale) -> dict[str, Any] | None:
    if line["estimate"] is None:
        return None
    return {
        "x": scale.at(line["estimate"]),
        "x1": ROOM if line["low"] is None else scale.at(line["low"]),
        "x2": 100 - ROOM if line["high"] is None else scale.at(line["high"]),
        "crude": scale.at(crude["estimate"]) if crude is not None and crude["estimate"] is not None else None,
    }


def mix(channel: str, metric: str, *, adjusted: Iterable[Line], crude: Iterable[Line]) -> str:
    """What the mix of matters does to a gap: "explains", "hides", "reverses"; "" where both say about the same, or chance alone.

    Simpson (1951): a channel that looks quick all together can be the slow one like for like.
    """
    after, before = (_logged(lines, channel, metric) for lines in (adjusted, crude))
    if after is None or before is None:
        return ""
    return mix_of(before[0], after[0], p=min(before[1], after[1])) or ""


def _logged(lines: Iterable[Line], channel: str, metric: str) -> tuple[float, float] | None:
    """A comparison's size on a log scale, and its p; None where it has too few matters on one side."""
    by_kind = {line["effect"]: line for line in lines if _key(line) == (channel, metric) and line["stratum"] is None}
    for kind in ("odds_ratio", "time_ratio", "part_ratio", "amount_ratio", "count_ratio", "probability"):
        line = by_kind.get(kind)
        if line is None or line["estimate"] is None or line["estimate"] <= 0:
            continue
        value = line["estimate"]
        if kind == "probability":
            if value >= 1:
                continue
            value = value / (1 - value)
        if min(line["n"], line["n_versus"]) < verdicts.fewest_of(kind):
            return None
        return math.log(value), 1.0 if line["p"] is None else line["p"]
    return None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look said of a metric: as of when, and a line of each channel."""

    at: datetime
    lines: Mapping[str, Line]


def over_time(looks: Sequence[Look], spells: Iterable[tuple[str, datetime, datetime | None]]) -> dict[str, Any] | None:
    """Every channel's size over the looks, the earliest first, and the times in which a finding stood (channel, from, to).

    None where nothing can be drawn: fewer than two looks that say something of this metric.
    """
    told = [look for look in looks if look.lines]
    if len(told) < 2:
        return None
    newest = told[-1].lines
    margin = margin_of(next(iter(newest.values())))
    kind = next(iter(newest.values()))["effect"]
    alike = [line for look in told for line in look.lines.values() if line["effect"] == kind]
    values = [line["estimate"] for line in alike if line["n"] >= verdicts.FEWEST and line["estimate"] is not None]
    scale = Scale(*span([margin.low, margin.high, *values], margin.ratio), margin.ratio)
    first, last = told[0].at, told[-1].at
    spells = list(spells)
    channels = []
    for channel in dict.fromkeys(name for look in reversed(told) for name in look.lines):
        points = [
            _point(look, line, kind, scale, _across(look.at, first, last))
            for look in told
            if (line := look.lines.get(channel)) is not None
            and line["estimate"] is not None
            and line["effect"] == kind
            and line["n"] >= verdicts.FEWEST
        ]
        if not points:
            continue
        channels.append(
            {
                "channel": channel,
                "points": points,
                "steps": [
                    {"x1": one["x"], "y1": one["y"], "x2": other["x"], "y2": other["y"]}
                    for one, other in pairwise(points)
                ],
                "findings": [_spell(since, until, first, last) for name, since, until in spells if name == channel],
                "newest": newest.get(channel),
            }
        )
    top, bottom = _down(margin.high, scale), _down(margin.low, scale)
    return {
        "channels": channels,
        "since": first,
        "until": last,
        "looks": len(told),
        "height": HEIGHT,
        "band": top,
        "band_high": round(bottom - top, 1),
        "equal": _down(margin.equal, scale),
    }


def _across(at: datetime, first: datetime, last: datetime) -> float:
    return round(1 + 98 * min(max((at - first) / (last - first), 0.0), 1.0), 2)


def _down(value: float, scale: Scale) -> float:
    return round(HEIGHT - 6 - scale.at(value) / 100 * (HEIGHT - 16), 1)


def _point(look: Look, line: Line, kind: str, scale: Scale, x: float) -> dict[str, Any]:
    return {
        "x": x,
        "y": _down(line["estimate"], scale),
        "y1": _down(line["high"], scale) if line["high"] is not None else 0.0,
        "y2": _down(line["low"], scale) if line["low"] is not None else HEIGHT,
        "verdict": line["verdict"],
        "at": look.at,
        "line": line,
    }


def _spell(since: datetime, until: datetime | None, first: datetime, last: datetime) -> dict[str, Any]:
    x1, x2 = _across(since, first, last), _across(until or last, first, last)
    return {"x": x1, "wide": round(max(x2 - x1, 0.8), 2), "since": since, "until": until}


class Evidence(Protocol):
    """One line of recovery.actions.watching.series: natural logarithms by day, and where each rings."""

    @property
    def channel(self) -> str: ...
    @property
    def days(self) -> Sequence[date]: ...
    @property
    def log_e(self) -> Sequence[float]: ...
    @property
    def log_r(self) -> Sequence[float | None]: ...
    @property
    def log_e_limit(self) -> float: ...
    @property
    def log_r_limit(self) -> float | None: ...
    @property
    def rang(self) -> Sequence[str]: ...


def evidence(lines: Sequence[Evidence]) -> dict[str, Any] | None:
    """The evidence between looks, line by line as parts of what would ring: 0 is none, 1 rings. None before the second night."""
    told = [line for line in lines if len(line.days) > 1]
    if not told:
        return None
    first = min(line.days[0] for line in told)
    last = max(line.days[-1] for line in told)
    return {
        "since": first,
        "until": last,
        "height": HEIGHT,
        "limit": _part_down(1.0),
        "lines": [
            {
                "channel": line.channel,
                "ever": _path(line.days, line.log_e, line.log_e_limit, first, last),
                "change": _path(line.days, line.log_r, line.log_r_limit, first, last) if line.log_r_limit else [],
                "rang": [
                    {"x": _day_across(day, first, last), "day": day}
                    for day, kind in zip(line.days, line.rang, strict=True)
                    if kind
                ],
                "now": _percent(line.log_e[-1], line.log_e_limit),
                "now_change": _percent(_newest(line.log_r), line.log_r_limit) if line.log_r_limit else None,
            }
            for line in told
        ],
    }


def _newest(values: Sequence[float | None]) -> float:
    return next((each for each in reversed(values) if each is not None), 0.0)


def _percent(value: float, limit: float) -> int:
    return round(100 * max(value, 0.0) / limit)


def _path(
    days: Sequence[date], values: Sequence[float | None], limit: float, first: date, last: date
) -> list[dict[str, float]]:
    points = [
        (_day_across(day, first, last), _part_down(value / limit))
        for day, value in zip(days, values, strict=True)
        if value is not None
    ]
    return [{"x1": one[0], "y1": one[1], "x2": other[0], "y2": other[1]} for one, other in pairwise(points)]


def _day_across(day: date, first: date, last: date) -> float:
    return round(1 + 98 * (day - first).days / max((last - first).days, 1), 2)


def _part_down(part: float) -> float:
    """Where a part of what rings lies: nothing at the bottom, what rings a sixth below the top."""
    return round(HEIGHT - 6 - min(max(part, 0.0), 1.15) * (HEIGHT - 18), 1)
