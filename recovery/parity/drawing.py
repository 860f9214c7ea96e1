"""Coordinates of the drawings of estimates with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from recovery.parity import verdicts
from recovery.parity.contrasts import Contrast
from recovery.parity.effects import Estimate
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.wording import KINDS, cell

WIDE, LEFT, RIGHT, ROW = 760.0, 215.0, 165.0, 34.0


def scaled(value: float, low: float, high: float) -> float:
    return LEFT + (min(max(value, low), high) - low) / (high - low) * (WIDE - LEFT - RIGHT)


def forests(contrasts: Iterable[Contrast]) -> list[dict[str, Any]]:
    """One drawing per kind of effect and margin: estimate, 95 % interval and the margin."""
    contrasts = [each for each in contrasts if each.tested.effects[0].value is not None]
    found = []
    for kind, margin in (*verdicts.MARGINS.items(), ("risk_difference", verdicts.COVERAGE)):
        lines = [
            each
            for each in contrasts
            if each.tested.effects[0].kind == kind and verdicts.margin_of(each.metric, kind) is margin
        ]
        lines = [each for each in lines if each.counts] or lines
        if lines:
            rows = [(cell(each), each.tested.effects[0]) for each in lines]
            says = KINDS[kind] + (": answered at all" if lines[0].metric == RESPONSE_COVERAGE else "")
            found.append(forest(rows, kind=kind, margin=margin, says=says))
    return found


def forest(
    lines: list[tuple[dict[str, Any], Estimate]], *, kind: str, margin: verdicts.Margin, says: str
) -> dict[str, Any]:
    """One drawing: lines of what is written beside an estimate (channel, metric, verdict, mark, effect, interval), and
    the estimate.
    """
    log = margin.ratio
    ends = [value for _, each in lines for value in (each.value, each.low, each.high) if value is not None]
    low, high = span([margin.low, margin.high, *ends], log)
    turn = math.log if log else float
    rows = []
    for place, (text, each) in enumerate(lines):
        value = each.value if each.value is not None else margin.equal
        first, last = each.low, each.high
        y = 40 + place * ROW
        rows.append(
            text
            | {
                "y": y,
                "text_y": y + 4,
                "x": scaled(turn(max(value, 1e-9)) if log else value, low, high),
                "x1": scaled(turn(max(first, 1e-9)) if log else first, low, high) if first is not None else LEFT,
                "x2": scaled(turn(last) if log else last, low, high) if last is not None else WIDE - RIGHT,
            }
        )
    x1, x2 = (scaled(turn(each), low, high) for each in (margin.low, margin.high))
    height = 40 + len(rows) * ROW
    return {
        "kind": kind,
        "says": says,
        "rows": rows,
        "height": height + 34,
        "bottom": height,
        "tick_y": height + 18,
        "equal": scaled(turn(margin.equal), low, high),
        "margin_x": x1,
        "margin_wide": x2 - x1,
        "ticks": [{"x": scaled(turn(each), low, high), "label": tick(each, kind)} for each in ticks(low, high, log)],
        "band": height - 18,
        "text_x": LEFT - 10,
        "right_x": WIDE - RIGHT + 12,
    }


def span(values: Iterable[float], log: bool) -> tuple[float, float]:
    turned = [math.log(min(max(each, 0.02), 50)) for each in values] if log else list(values)
    low, high = min(turned), max(turned)
    room = (high - low) * 0.06 or 0.1
    return low - room, high + room


def ticks(low: float, high: float, log: bool) -> list[float]:
    if log:
        usual = (0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50)
        inside = [each for each in usual if low <= math.log(each) <= high]
        far = [each for each in inside if each in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)]
        return far if high - low > math.log(8) else inside
    step = 10 ** math.floor(math.log10(high - low))
    step = next(each for each in (step / 5, step / 2, step, step * 2) if (high - low) / each <= 8)
    return [round(each * step, 6) for each in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick(value: float, kind: str) -> str:
    if kind == "risk_difference":
        if abs(value) < 1e-9:
            return "0"
        return f"{value * 100:+.0f}" if abs(value * 1000) % 10 < 1e-6 else f"{value * 100:+.1f}"
    return f"{value:.0%}" if kind == "probability" else f"{value:g}"
