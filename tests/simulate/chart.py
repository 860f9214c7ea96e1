"""The chart of the simulated queues."""

from __future__ import annotations

from math import ceil, log10

from tests.drawing import head, scale, sheet, text
from tests.simulate.tables import EVEN, OVERLOAD, QUIET, RUSH, Found

LEFT, RIGHT = 330, 830
ROW = 24


def drawn(found: Found) -> str:
    """Draw how unequal the waits are, who is late in an overload, and the latest after a rush, one below the other."""
    parts: list[str] = []
    top = _unequal(found, parts, 16)
    top = _overload(found, parts, top + 20)
    top = _rush(found, parts, top + 20)
    return sheet("What the order of the queue does", parts, top)


def _names(found: Found, scenario: str) -> list[str]:
    return [name for played, name in found if played == scenario]


def _rows(parts: list[str], top: float, names: list[str]) -> list[float]:
    """Write one name per row. Returns the middle of each row."""
    middles = [top + ROW * row + ROW / 2 for row in range(len(names))]
    for name, y in zip(names, middles, strict=True):
        parts.append(text(LEFT - 14, y + 4, name, anchor="end"))
    return middles


def _dot(x: float, y: float, style: str = "mark") -> str:
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'


def _on_log(value: float, low: float, high: float) -> float:
    value = min(max(value, low), high)
    return LEFT + (RIGHT - LEFT) * (log10(value / low) / log10(high / low))


def _unequal(found: Found, parts: list[str], top: float) -> float:
    top = head(
        parts,
        top,
        "How long each channel waits beside the others, load 0.85",
        "one dot per channel · 1: as long as the others · grey band: "
        f"{EVEN[0]} to {EVEN[1]}",
    )  # fmt: skip
    names = _names(found, QUIET.name)
    low, high = 0.01, 100.0
    bottom = top + ROW * len(names)
    first, last = _on_log(EVEN[0], low, high), _on_log(EVEN[1], low, high)
    ticks = (0.01, 0.1, 0.5, 1, 2, 10, 100)
    scale(parts, top, bottom, [(_on_log(each, low, high), f"{each:g}") for each in ticks])
    parts.append(f'<rect class="band" x="{first:.1f}" y="{top}" width="{last - first:.1f}" height="{bottom - top}"/>')
    for name, y in zip(names, _rows(parts, top, names), strict=True):
        parts += [_dot(_on_log(each, low, high), y) for each in found[QUIET.name, name].ratios()]
    return bottom + 20


def _overload(found: Found, parts: list[str], top: float) -> float:
    top = head(
        parts,
        top,
        "Too few people for 20 days, load 1.10: how many are late",
        "● critical harm · ○ everybody",
    )
    names = _names(found, OVERLOAD.name)
    bottom = top + ROW * len(names)

    def x(share: float) -> float:
        return LEFT + (RIGHT - LEFT) * share

    scale(parts, top, bottom, [(x(each / 4), f"{each / 4:.0%}") for each in range(5)])
    for name, y in zip(names, _rows(parts, top, names), strict=True):
        tally = found[OVERLOAD.name, name]
        parts += [_dot(x(tally.late_share), y, "other"), _dot(x(tally.critical_late), y)]
    return bottom + 20


def _rush(found: Found, parts: list[str], top: float) -> float:
    top = head(
        parts,
        top,
        "Five days with 1.6 times as many people: how late the latest is",
        "business hours after the promise, at most over all runs",
    )
    names = _names(found, RUSH.name)
    bottom = top + ROW * len(names)
    hours = [found[RUSH.name, name].latest / 60 for name in names]
    high = max(ceil(max(hours) / 12), 1) * 12

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value / high

    scale(parts, top, bottom, [(x(each), f"{each} h") for each in range(0, high + 1, 12)])
    for value, y in zip(hours, _rows(parts, top, names), strict=True):
        parts.append(
            f'<rect class="mark" x="{LEFT}" y="{y - 6:.1f}" width="{x(max(value, 0)) - LEFT:.1f}" height="12"/>'
        )
    return bottom + 20
