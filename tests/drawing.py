"""Charts as SVG by hand: readable in light and dark, and without colours."""

from __future__ import annotations

from xml.sax.saxutils import escape

WIDE = 860
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b1f24; }
.paper { fill: #ffffff; } .head { font-weight: 600; font-size: 15px; } .small { font-size: 11px; } .soft { fill: #59636e; }
.axis { stroke: #c4cad1; } .limit { stroke: #b3261e; stroke-dasharray: 4 3; } .band { fill: #59636e; opacity: .16; }
.mark { fill: #0b5cad; } .other { fill: none; stroke: #8a5a00; stroke-width: 2; }
.line { fill: none; stroke-width: 2; } .s0 { stroke: #0b5cad; } .s1 { stroke: #8a5a00; } .s2 { stroke: #7a1fa2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ec; } .paper { fill: #14181c; } .soft { fill: #a3adb8; } .axis { stroke: #46505b; }
.limit { stroke: #ff8a80; } .mark { fill: #6cb6ff; } .other { stroke: #e3b341; } .band { fill: #a3adb8; }
.s0 { stroke: #6cb6ff; } .s1 { stroke: #e3b341; } .s2 { stroke: #d8a6ff; }
}
"""


def sheet(title: str, parts: list[str], height: float) -> str:
    """Put what was drawn on one sheet, WIDE wide."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {height}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDE}" height="{height}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'


def scale(parts: list[str], top: float, bottom: float, ticks: list[tuple[float, str]]) -> None:
    """Draw an upright line for each tick, and its label below."""
    for x, label in ticks:
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        parts.append(text(x, bottom + 14, label, "small soft", "middle"))


def head(parts: list[str], top: float, title: str, under: str) -> float:
    """Write a section's title and the line below it. Returns where its drawing begins."""
    parts.extend((text(16, top + 14, title, "head"), text(16, top + 32, under, "small soft")))
    return top + 44
