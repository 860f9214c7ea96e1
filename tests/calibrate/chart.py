"""The chart of a calibration, as SVG by hand: readable in light and dark, and without colours."""

from __future__ import annotations

from math import log10

from tests.calibrate.tables import NAMES, SHARES, Line, Lines, cases, only, share
from tests.drawing import head, scale, sheet, text

LEFT, RIGHT = 250, 830
DASHES = ("", "7 4", "2 3")
GROUPS = {  # row of the power curves -> what its lines are
    "response": [("response", 1.25), ("response", 1.5), ("response", 2.0)],
    "resolution": [("resolution", 1.25), ("resolution", 1.5), ("resolution", 2.0)],
    "answered": [("answered", -0.05), ("answered", -0.10)],
    "approved": [("approved", -0.10), ("approved", -0.20)],
    "reopened, handed on, visit": [("reopened", 0.06), ("handed_on", 0.10), ("visit", 1.5)],
}


def drawn(found: Lines) -> str:
    """Draw whatever sections there are, one below the other."""
    parts: list[str] = []
    top = 16
    for draw in (_equality, _real, _margin, _power):
        top = draw(found, parts, top)
    return sheet("How often the parity report is wrong, and what it finds", parts, top)


def _bars(parts: list[str], top: float, lines: Lines, marks: tuple[str, str], most: float) -> float:
    """One row per line; a dot for the first of `marks`, a ring for the second; the aim of .03 to .07 as a band."""
    rows = len(lines)

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(value / most, 1.0)

    parts.append(
        f'<rect class="band" x="{x(0.03):.1f}" y="{top}" width="{x(0.07) - x(0.03):.1f}" height="{rows * 24}"/>'
    )
    scale(parts, top, top + rows * 24, [(x(most * each / 4), f"{most * each / 4:.2f}") for each in range(5)])
    for row, (line, each) in enumerate(lines.items()):
        y = top + row * 24 + 12
        parts.append(text(LEFT - 12, y + 4, f"{cases(line)} cases", anchor="end"))
        for place, name in enumerate(marks):
            style = "other" if place else "mark"
            parts.append(f'<circle class="{style}" cx="{x(share(each, name)):.1f}" cy="{y:.1f}" r="{5 + place}"/>')
    return top + rows * 24 + 20


def _equality(found: Lines, parts: list[str], top: float) -> float:
    lines = only(found, "equality")
    if not lines:
        return top
    top = head(
        parts,
        top,
        "Nobody is treated differently: chance of any red",
        "● like for like · ○ without types · grey band: 0.03 to 0.07",
    )
    return _bars(parts, top, lines, ("any red", "any crude red"), 1.0) + 20


def _real(found: Lines, parts: list[str], top: float) -> float:
    lines = only(found, "real")
    if not lines:
        return top
    top = head(
        parts,
        top,
        "Channels of a real export dealt anew inside types",
        "● any red · ○ any red or amber · grey band: 0.03 to 0.07",
    )
    return _bars(parts, top, lines, ("any red", "any red or amber"), 0.2) + 20


def _margin(found: Lines, parts: list[str], top: float) -> float:
    lines = only(found, "margin")
    if not lines:
        return top
    top = head(
        parts,
        top,
        "A gap exactly at the margin, called alike",
        "each dot one channel, size and number of cases · dashed: 0.05",
    )
    metrics = list(dict.fromkeys(line.metric for line in lines))

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(value, 0.1) / 0.1

    bottom = top + len(metrics) * 22
    scale(parts, top, bottom, [(x(each / 50), f"{each / 50:.2f}") for each in range(6)])
    parts.append(f'<line class="limit" x1="{x(0.05):.1f}" x2="{x(0.05):.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
    for row, metric in enumerate(metrics):
        y = top + row * 22 + 11
        parts.append(text(LEFT - 12, y + 4, NAMES[metric], anchor="end"))
        own = [share(each, "green") for line, each in lines.items() if line.metric == metric]
        parts += [f'<circle class="mark" fill-opacity=".55" cx="{x(each):.1f}" cy="{y:.1f}" r="4"/>' for each in own]
    return bottom + 40


def _power(found: Lines, parts: list[str], top: float) -> float:
    lines = only(found, "power")
    if not lines:
        return top
    top = head(parts, top, "Planted in one channel: chance of red", "by the number of cases in the file")
    channels = list(dict.fromkeys(line.channel for line in lines))
    sizes = sorted({line.n for line in lines})
    wide, high, first = 190, 110, 220
    for row, (title, wanted) in enumerate(GROUPS.items()):
        here = top + row * (high + 46)
        parts.append(text(16, here + 14, title))
        for which, (metric, size) in enumerate(wanted):
            y = here + 34 + which * 18
            parts.append(_curve([(16, y - 4), (44, y - 4)], which))
            parts.append(text(52, y, _label(metric, size), "small"))
        for column, channel in enumerate(channels):
            left = first + column * (wide + 22)

            def x(n: int, left: float = left) -> float:
                return left + wide * log10(n / sizes[0]) / log10(sizes[-1] / sizes[0])

            def y_of(value: float, here: float = here) -> float:
                return here + high - (high - 8) * value

            if row == 0:
                parts.append(text(left + wide, here - 6, channel, "small", "end"))
            for value in (0, 0.5, 1):
                y = y_of(value)
                parts.append(f'<line class="axis" x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
                if column == 0:
                    parts.append(text(left - 6, y + 4, f"{value:g}", "small soft", "end"))
            for n in sizes:
                anchor = "start" if n == sizes[0] else "end" if n == sizes[-1] else "middle"
                parts.append(text(x(n), here + high + 14, _short(n), "small soft", anchor))
            for which, (metric, size) in enumerate(wanted):
                points = [
                    (x(n), y_of(share(lines[Line("power", n, metric, size, channel)], "red")))
                    for n in sizes
                    if Line("power", n, metric, size, channel) in lines
                ]
                parts.append(_curve(points, which))
    return top + len(GROUPS) * (high + 46)


def _curve(points: list[tuple[float, float]], which: int) -> str:
    placed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line s{which}" stroke-dasharray="{DASHES[which]}" points="{placed}"/>'


def _label(metric: str, size: float) -> str:
    what = f"{size * 100:+.0f} points".replace("-", "−") if metric in SHARES else f"× {size:g}"
    return f"{metric.replace('_', ' ')} {what}"


def _short(n: int) -> str:
    return f"{n // 1000}k" if n % 1000 == 0 else str(n)
