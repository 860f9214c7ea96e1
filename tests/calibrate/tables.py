"""What was counted, as tables for people."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

SECTIONS = (
    "equality", "real", "margin", "power", "themselves", "public", "daily", "slipped", "bursts", "remedies", "pairs",
)  # fmt: skip
MARKS = ("<!-- calibration: written by python -m tests.calibrate --tables -->", "<!-- end of calibration -->")
NAMES = {
    "response": "response (hours)",
    "resolution": "resolution (hours, a fifth open)",
    "visit": "visit (whole days)",
    "resolution_days": "resolution (whole days, a fifth open)",
    "answered": "answered (97 %)",
    "approved": "approved (70 % of 30 %)",
    "reopened": "reopened (8 %)",
    "handed_on": "handed on (30 %)",
    "part": "part given of what was owed",
    "halved": "half of what was owed, given to a part of the cases:",
    "amount": "amount (nothing in six of ten)",
    "hand_offs": "hand-offs (0.4 in the mean)",
    "pairs_first": "first answer",
    "pairs_milder": "graded a step milder, that share of its sides:",
    "pairs_short": "less than was owed, that share of its sides:",
}
PAIRED = {
    "first_response": "first answer",
    "time_to_resolution": "resolution",
    "remedy_in_full": "all that was owed",
    "severity_graded_low": "severity",
}
SHARES = ("answered", "approved", "reopened", "handed_on")


class Line(NamedTuple):
    """One line of the calibration: a section, so many cases, and what was planted where."""

    section: str
    n: int
    metric: str = ""
    size: float = 0.0
    channel: str = ""

    def words(self) -> str:
        return " · ".join(
            each for each in (self.section, planted(self) if self.metric else "", self.channel, cases(self)) if each
        )


Lines = dict[Line, tuple[int, Counter[str]]]


def cases(line: Line) -> str:
    return f"{line.n:,}" if line.n else "all"


def planted(line: Line) -> str:
    """What was planted, in words."""
    if line.metric in ("halved", "pairs_milder", "pairs_short"):
        what = f"{line.size:.0%}"
    elif line.metric in SHARES:
        what = f"{line.size * 100:+.0f} points".replace("-", "−")
    elif line.section == "margin" and line.size < 0.8:
        what = f"{line.size:.0%} wait longer"
    else:
        what = f"× {line.size:g}"
    return f"{NAMES[line.metric]} {what}"


def share(found: tuple[int, Counter[str]], name: str) -> float:
    return found[1][name] / found[0]


def _with_error(found: tuple[int, Counter[str]], name: str) -> str:
    value = share(found, name)
    return f"{value:.3f} ± {1.96 * (value * (1 - value) / found[0]) ** 0.5:.3f}"


def written(found: Lines) -> str:
    """All tables, in Markdown."""
    made = (_audits(found, "equality"), _audits(found, "real"), _margin(found), _power(found), _themselves(found))
    made = (*made, _public(found), _daily(found), _slipped(found), _bursts(found), _remedies(found), _pairs(found))
    return "\n\n".join(part for part in made if part)


def only(found: Lines, section: str) -> Lines:
    """The lines of one section."""
    return {line: each for line, each in found.items() if line.section == section}


def _audits(found: Lines, section: str) -> str:
    lines = only(found, section)
    if not lines:
        return ""
    compared = next(iter(lines.values()))
    told = (
        f"No channel is treated differently; chance of any such verdict among the report's "
        f"{compared[1]['compared'] // compared[0]} comparisons ({compared[0]:,} replications):"
        if section == "equality"
        else f"Channels of a real export (Boston 311, 2015) dealt anew inside its types ({compared[0]:,} replications):"
    )
    head = ["cases", "any red", "any red or amber", "any significant after Holm, whatever its size"]
    columns = ["any red", "any red or amber", "any significant"]
    if section == "equality":
        head, columns = [*head, "any red without types"], [*columns, "any crude red"]
    head.append("comparisons shown alike")
    rows = [
        [cases(line), *(_with_error(each, name) for name in columns), f"{each[1]['green'] / each[1]['compared']:.0%}"]
        for line, each in lines.items()
    ]
    return told + "\n\n" + _table(head, rows)


def _margin(found: Lines) -> str:
    lines = only(found, "margin")
    if not lines:
        return ""
    replications = next(iter(lines.values()))[0]
    worst = max(share(each, "green") for each in lines.values())
    return (
        f"A gap exactly as large as the margin, called alike ({replications:,} replications; ± "
        f"{1.96 * (0.05 * 0.95 / replications) ** 0.5:.3f} at 0.05; the largest is {worst:.3f}):\n\n"
    ) + _crossed(lines, "green", 3)


def _power(found: Lines) -> str:
    lines = only(found, "power")
    if not lines:
        return ""
    replications = next(iter(lines.values()))[0]
    return (
        f"Planted in one channel, found red ({replications:,} replications; ± "
        f"{1.96 * (0.25 / replications) ** 0.5:.2f} at most):\n\n"
    ) + _crossed(lines, "red", 2)


def _themselves(found: Lines) -> str:
    lines = only(found, "themselves")
    if not lines:
        return ""
    columns = ["wait significant", "share significant", "wait red", "share red"]
    rows = [[line.channel, *(_with_error(each, name) for name in columns)] for line, each in lines.items()]
    return (
        "Customers compared with themselves: 500 customers with two to four cases each, of which about 170 pairs; "
        f"customers differ a lot (sigma 1.0 against 0.7 inside) ({next(iter(lines.values()))[0]:,} replications):\n\n"
    ) + _table(["planted in the phone", "wait, p < 0.05", "share, p < 0.05", "wait, red", "share, red"], rows)


def _public(found: Lines) -> str:
    lines = only(found, "public")
    if not lines:
        return ""
    names = ("significant", "red", "inside")
    rows = [
        [cases(line), f"× {line.size:g}", *(_with_error(each, name) for name in names), f"{_mean_ratio(each):.2f}"]
        for line, each in lines.items()
    ]
    return (
        "Going public: private cases of two types, customers who differ, half of whom would post after 40 hours on "
        f"average if the case is still open ({next(iter(lines.values()))[0]:,} replications):\n\n"
    ) + _table(["customers", "planted", "p < 0.05", "red", "interval holds it", "geometric mean"], rows)


def _daily(found: Lines) -> str:
    lines = only(found, "daily")
    if not lines:
        return ""
    columns = ["ever", "ever, of four", "any change", "naive", "naive, corrected for channels"]
    rows = [
        [cases(line), *(_with_error(each, name) for name in columns), f"{share(each, 'changes') * 52 / 25:.2f}"]
        for line, each in lines.items()
    ]
    return (
        "No channel is treated differently, and somebody looks every night of half a year (182 nights, first answers, 6 channels; "
        f"{next(iter(lines.values()))[0]:,} replications); chance that it ever rings for any channel:\n\n"
    ) + _table(
        ["cases a day", "E ≥ 20", "E ≥ 80", "R ≥ 52·6", "a 5 % test every night", "the same, corrected for channels",
         "false alarms of R a year"], rows
    )  # fmt: skip


def _slipped(found: Lines) -> str:
    lines = only(found, "slipped")
    if not lines:
        return ""
    rows = []
    for line, each in lines.items():
        told = [planted(line), line.channel, cases(line)]
        for name in ("change", "ever"):
            delay = _median_delay(each, f"{name} after ")
            told.append(f"{share(each, name):.2f}, {delay} d" if delay is not None else f"{share(each, name):.2f}")
        rows.append(told)
    return (
        "A channel slows down on day 91: rung for it by day 182, and after how many days in the middle of those "
        f"({next(iter(lines.values()))[0]:,} replications):\n\n"
    ) + _table(["planted", "channel", "cases a day", "R ≥ 52·6 (that channel)", "E ≥ 20 (any channel)"], rows)


def _median_delay(found: tuple[int, Counter[str]], words: str) -> int | None:
    delays = sorted(
        day for name, times in found[1].items() if name.startswith(words) for day in [int(name[len(words) :])] * times
    )
    return delays[len(delays) // 2] if delays else None


def _bursts(found: Lines) -> str:
    lines = only(found, "bursts")
    equal = {line: each for line, each in lines.items() if not line.metric}
    if not equal:
        return ""
    names = ("red", *(f"significant by {each}" for each in ("load", "type", "crude")))
    rows = [[line.channel, cases(line), *(_with_error(each, name) for name in names)] for line, each in equal.items()]
    head = ["load", "cases", "red under like load", "significant under like load", "inside types alone", "all together"]
    told = (
        "Nobody is treated differently; chance that the time of a first answer or of a resolution is red on any channel, or "
        "significant after Holm over these twelve comparisons whatever its size "
        f"({next(iter(equal.values()))[0]:,} replications). With bursts four of 28 days are congested, and two thirds of the "
        "social cases come on these:"
    )
    planted_there = {line: each for line, each in lines.items() if line.metric}
    power = "Planted on top of the bursts, found red under like load:\n\n" + _crossed(planted_there, "red", 2)
    return f"{told}\n\n{_table(head, rows)}" + (f"\n\n{power}" if planted_there else "")


def _remedies(found: Lines) -> str:
    lines = only(found, "remedies")
    if not lines:
        return ""
    equal = {line: each for line, each in lines.items() if not line.metric}
    rows = [
        [cases(line), *(_with_error(each, name) for name in ("any red part", "any red"))]
        for line, each in equal.items()
    ]
    told = (
        "Something is owed in every case and nobody is treated differently; chance that anything is red on any channel "
        f"({next(iter(lines.values()))[0]:,} replications):"
    )
    head = ["cases", "part of what was owed", "that, an amount or the hand-offs"]
    hit = {line: each for line, each in lines.items() if line.metric}
    return (
        f"{told}\n\n{_table(head, rows)}\n\nPlanted in one channel, found red:\n\n{_crossed(hit, 'red', 2)}"
        f"\n\nThe same, called alike:\n\n{_crossed(hit, 'green', 3)}"
    )


def _pairs(found: Lines) -> str:
    lines = only(found, "pairs")
    if not lines:
        return ""
    equal = {line: each for line, each in lines.items() if not line.metric}
    names = ("rang", *(f"rang by {metric}" for metric in PAIRED))
    rows = [[cases(line), *(_with_error(each, name) for name in names)] for line, each in equal.items()]
    told = (
        "Agreed test pairs on six channels, weighed every night; nobody is treated differently; chance that anything ever rings "
        f"within so many pairs of the house ({next(iter(lines.values()))[0]:,} replications):"
    )
    head = ["pairs", "anything", *PAIRED.values()]
    planted_there = {line: each for line, each in lines.items() if line.metric}
    return (
        f"{told}\n\n{_table(head, rows)}\n\nPlanted in one channel, rung for it within so many of its pairs:\n\n"
        f"{_crossed(planted_there, 'rang', 2)}"
    )


def _mean_ratio(found: tuple[int, Counter[str]]) -> float:
    return math.exp(found[1]["log ratio, thousandths"] / 1000 / found[0])


def _crossed(lines: Lines, name: str, digits: int) -> str:
    sizes = sorted({line.n for line in lines})
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for line, each in lines.items():
        rows.setdefault((planted(line), line.channel), {})[line.n] = f"{share(each, name):.{digits}f}"
    body = [[*row, *(values.get(n, "–") for n in sizes)] for row, values in rows.items()]
    return _table(["planted", "channel", *(f"{n:,}" for n in sizes)], body)


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(each)} |" for each in (head, ["---"] * len(head), *rows))


def put(page: Path, text: str) -> None:
    """Write the tables between the two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", encoding="utf-8")
