"""The report as one page: what the template shows, with every coordinate of its drawings worked out here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from recovery.parity import drawing, sections, survival, verdicts
from recovery.parity.audit import LOAD, NUMBER_EFFECTS, Audit, case_mix
from recovery.parity.drawing import LEFT, RIGHT, ROW, WIDE, scaled, span, ticks
from recovery.parity.effects import Estimate
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.metrics import PROMISE_KEPT
from recovery.parity.reading import REASONS, Cases
from recovery.parity.wording import KINDS, MARKS, RANK, SAYS, cell, claim, effect_text, words

LINES = 6  # channels that get a curve; more cannot be told apart
DASHES = ("", "7 3", "2 3", "10 3 2 3", "1 5", "12 4")
POINTS = 160  # of one curve
MARGINS_SHOWN = ("risk_difference", "time_ratio", "probability")  # the others where there is such a measure
MEANT = 0.05  # p before correction, of the crude or the adjusted gap: above it a mix of cases explains nothing
LINES_OF_TYPES = 400  # more make no page; the JSON has them all


def answer(audit: Audit) -> str:
    """The whole report in one sentence."""
    said, unequal = _like_for_like(audit)
    more = sections.findings(audit)
    return said if unequal or not more else f"No, not alike: {more[0]}."


def besides(audit: Audit) -> list[str]:
    """What goes with the answer, in a sentence each: found inside customers, after going public, or like for like."""
    said, unequal = _like_for_like(audit)
    more = sections.findings(audit)
    found = [f"{each[0].upper()}{each[1:]}." for each in (more if unequal else more[1:])]
    return found if unequal or not more else [*found, f"Otherwise: {said[0].lower()}{said[1:]}"]


def _like_for_like(audit: Audit) -> tuple[str, bool]:
    """What the comparison of all cases says, and whether it says no."""
    overall = audit.overall
    if audit.cases.excluded.issuperset(audit.cases.channels):
        return "Every channel of the file is left out by the map's exclude_channels.", False
    if not overall:
        return "There is nothing to compare: only one channel counts here, or no measure can be compared.", False
    red = [each for each in overall if each.verdict == "red"]
    amber = [each for each in overall if each.verdict == "amber"]
    green = [each for each in overall if each.verdict == "green"]
    inside = sum(each.verdict == "red" for each in audit.by_stratum)
    several = "one finding" if inside == 1 else f"{inside} findings"
    more = f"; inside single types there are {several}" if inside else ""
    if red:
        red.sort(key=lambda each: each.tested.p or 0.0)
        rest = f", and {len(red) - 1} more differences were found" if len(red) > 2 else ""
        rest = ", and 1 more difference was found" if len(red) == 2 else rest
        return f"No, not alike: {claim(red[0])}{rest}{more}.", True
    if inside:
        worst = min((each for each in audit.by_stratum if each.verdict == "red"), key=lambda each: each.tested.p or 0.0)
        mean = (
            "all types taken together no difference is shown"
            if not amber
            else "all types taken together there is something to watch"
        )
        return f"Not alike in every type, though {mean}: {claim(worst)}, the clearest of {several}.", True
    if amber:
        return f"Not shown to be alike, and worth watching: {claim(amber[0])}.", False
    mixed = [each for each in overall if each.heterogeneity and each.counts and each.heterogeneity.p_direction < 0.001]
    inner = f"; but types point different ways ({words(mixed[0].metric)}): look inside them" if mixed else ""
    watched = sum(each.verdict == "amber" for each in audit.by_stratum)
    if watched and not inner:
        inner = f"; inside single types there {'is one comparison' if watched == 1 else f'are {watched} comparisons'} to watch"
    if len(green) == len(overall):
        return (
            f"Yes, as far as this file shows: like for like every channel is within the margin on every measure{inner}."
        ), False
    if green:
        return (
            f"Like for like, {len(green)} of {len(overall)} comparisons are shown to be alike, none overall to differ; "
            f"for the other {len(overall) - len(green)} there are too few cases to say{inner}."
        ), False
    return "Too few cases to say: no difference is shown and no likeness either.", False


def context(audit: Audit, made: dict[str, Any]) -> dict[str, Any]:
    """Everything the template needs; made: the report's JSON object."""
    cases = audit.cases
    trap = _trap(audit)
    return {
        "report": made,
        "answer": answer(audit),
        "besides": besides(audit),
        "trap_sentence": _trap_sentence(trap),
        "against": audit.reference or "all the other channels together",
        "alike": _alike(audit),
        "loads": _loads(audit),
        "grid": _grid(audit),
        "legend": [{"verdict": each, "mark": MARKS[each], "says": SAYS[each]} for each in RANK],
        "forests": drawing.forests(audit.overall),
        "trap": trap,
        "curves": _curves(cases) if cases.timed else None,
        "promises": _promises(audit, made) if cases.promises else [],
        "channels": list(made["channels"].items()),
        "outcomes": _outcomes(made),
        "standardised": _standardised(audit),
        "strata": _by_type(audit),
        "strata_left": max(0, len(audit.by_stratum) - LINES_OF_TYPES),
        "rejected": [
            {"reason": words(reason), "means": REASONS.get(reason, ""), "rows": rows}
            for reason, rows in sorted(made["rows"]["rejected"].items(), key=lambda each: -each[1])
        ],
        **sections.context(audit, made),
        "margins": [
            {
                "kind": KINDS[kind],
                "low": effect_text(Estimate(kind=kind), each.low),
                "high": effect_text(Estimate(kind=kind), each.high),
            }
            for kind, each in verdicts.MARGINS.items()
            if kind in MARGINS_SHOWN or any(kind == made.tested.effects[0].kind for made in audit.overall)
        ],
        "fewest": verdicts.FEWEST,
        "numbers": any(each.number for each in audit.metrics),
    }


def _alike(audit: Audit) -> str:
    types = " and ".join(each for each in audit.strata_by if each != LOAD) or "nothing: the map names no type"
    if not audit.by_type:
        return types
    named = " and ".join(dict.fromkeys(words(each.metric) for each in audit.by_type))
    return f"{types}; for {named} as long a wait to be expected, by type and load when the case came"


def _loads(audit: Audit) -> list[dict[str, Any]]:
    """What was compared among cases of like expected waits, beside the same inside types and all together."""
    found = {(each.metric, each.channel): each for each in audit.overall}
    crude = {(each.metric, each.channel): each for each in audit.crude}
    return [
        {
            **cell(found[each.metric, each.channel]),
            "types": cell(each),
            "mixed": effect_text(crude[each.metric, each.channel].tested.effects[0]),
        }
        for each in audit.by_type
    ]


def _grid(audit: Audit) -> dict[str, Any]:
    metrics = list(dict.fromkeys(each.metric for each in audit.overall))
    channels = list(dict.fromkeys(each.channel for each in audit.overall))
    by = {(each.channel, each.metric): cell(each) for each in audit.overall}
    return {
        "metrics": [words(each) for each in metrics],
        "rows": [
            {"channel": channel, "cells": [by.get((channel, metric)) for metric in metrics]} for channel in channels
        ],
    }


# --------------------------------------------------------------------------------------------------- drawings


def _trap(audit: Audit) -> dict[str, Any] | None:
    """Crude against adjusted, side by side on one log scale: odds ratios and time ratios."""
    rows: list[dict[str, Any]] = []
    values: list[float] = []
    for before, after in zip(audit.crude, audit.overall, strict=True):
        for kind in ("odds_ratio", "time_ratio", *NUMBER_EFFECTS.values()):
            crude, adjusted = before.effect(kind), after.effect(kind)
            if not crude or not adjusted or not crude.value or not adjusted.value or not after.counts:
                continue
            chance = not any(each.tested.p is not None and each.tested.p <= MEANT for each in (before, after))
            values += [crude.value, adjusted.value]
            rows.append(
                {
                    "channel": after.channel,
                    "versus": after.versus,
                    "metric": words(after.metric),
                    "kind": KINDS[kind],
                    "crude": crude.value,
                    "adjusted": adjusted.value,
                    "mix": "" if chance else case_mix(before, after) or "",
                    "chance": chance,
                    "verdict": after.verdict,
                    "time": kind == "time_ratio",
                    "number": kind in NUMBER_EFFECTS.values(),
                }
            )
    if not rows:
        return None
    low, high = span([0.8, 1.25, *values], True)
    for place, row in enumerate(rows):
        y = 40 + place * ROW
        row |= {"y": y, "text_y": y + 4, "low_y": y + 5}
        row |= {"x1": scaled(math.log(row["crude"]), low, high), "x2": scaled(math.log(row["adjusted"]), low, high)}
    height = 40 + len(rows) * ROW
    marks = [{"x": scaled(math.log(each), low, high), "label": f"{each:g}"} for each in ticks(low, high, True)]
    return {
        "rows": rows,
        "ticks": marks,
        "equal": scaled(0.0, low, high),
        "height": height + 34,
        "bottom": height,
        "tick_y": height + 18,
        "text_x": LEFT - 10,
        "right_x": WIDE - RIGHT + 12,
    }


def _trap_sentence(trap: dict[str, Any] | None) -> str:
    rows = [row for row in trap["rows"] if row["mix"]] if trap else []
    if not rows:
        return ""
    row = max(rows, key=lambda each: abs(math.log(each["crude"] / each["adjusted"])))
    verb = {
        "explains": "the mix of cases explains most of that",
        "hides": "the mix of cases hides a larger gap",
        "reverses": "the gap points the other way",
    }
    return (
        f"All together, {row['channel']} against {row['versus']} shows {row['crude']:.2f} "
        f"({row['kind']}, {row['metric']}); "
        f"like for like it is {row['adjusted']:.2f}: {verb[row['mix']]}."
    )


def _curves(cases: Cases) -> dict[str, Any] | None:
    """The share still open by waiting time, per channel, open cases counted until the snapshot; time on a log scale."""
    sizes = np.bincount(cases.channel, minlength=len(cases.channels))
    shown = [
        code
        for code in np.argsort(-sizes)
        if cases.channels[code] not in cases.excluded and sizes[code] >= verdicts.FEWEST
    ][:LINES]
    if not shown:
        return None
    positive = cases.hours[(cases.hours > 0) & np.isin(cases.channel, shown)]
    if len(positive) == 0:
        return None
    first, last = max(float(np.quantile(positive, 0.01)), 1 / 60), float(positive.max())
    if last <= first * 1.01:
        first = last / 10
    top, bottom, left, right = 16.0, 300.0, 48.0, 556.0

    def across(hours: float) -> float:
        return left + (math.log(min(max(hours, first), last) / first)) / math.log(last / first) * (right - left)

    grid = np.geomspace(first, last, POINTS)
    lines = []
    for place, code in enumerate(shown):
        own = cases.channel == code
        times, share = survival.curve(cases.hours[own], cases.closed[own])
        watched = float(cases.hours[own].max())
        steps = np.concatenate([[1.0], share])[np.searchsorted(times, grid, side="right")]
        points = [
            (across(float(x)), top + (1 - float(y)) * (bottom - top))
            for x, y in zip(grid, steps, strict=True)
            if x <= watched
        ]
        lines.append(
            {
                "name": cases.channels[code],
                "n": f"{int(own.sum()):,}",
                "open": f"{int((~cases.closed[own]).sum()):,}",
                "colour": place + 1,
                "dash": DASHES[place],
                "path": _steps(points),
                "end": points[-1] if points else (left, top),
                "median": survival.quantile(times, share, 0.5),
                "legend_y": top + 14 + place * 44,
                "sub_y": top + 30 + place * 44,
                "line_y": top + 10 + place * 44,
            }
        )
    marks = (
        (1 / 60, "1 min"),
        (1, "1 h"),
        (24, "1 day"),
        (168, "1 week"),
        (730, "1 month"),
        (8766, "1 year"),
        (87660, "10 years"),
    )
    return {
        "lines": lines,
        "top": top,
        "bottom": bottom,
        "left": left,
        "right": right,
        "tick_y": bottom + 18,
        "ticks": [{"x": across(hours), "label": label} for hours, label in marks if first <= hours <= last],
        "shares": [{"y": top + (1 - each / 4) * (bottom - top), "label": f"{each * 25} %"} for each in range(5)],
    }


def _steps(points: Sequence[tuple[float, float]]) -> str:
    parts = []
    for place, (x, y) in enumerate(points):
        parts.append(f"M{x:.1f} {y:.1f}" if place == 0 else f"H{x:.1f}V{y:.1f}")
    return "".join(parts)


# ----------------------------------------------------------------------------------------------------- tables


def _promises(audit: Audit, made: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, each in made["channels"].items():
        due = each["promise_kept"]["due"]
        rows.append(
            {
                "channel": name,
                "promised": each["promised_hours"],
                "due": due,
                "share": each["promise_kept"]["kept"] / due if due else None,
                "standard": audit.standardised.get(PROMISE_KEPT, {}).get(name),
                "excluded": each["excluded"],
            }
        )
    return rows


def _outcomes(made: dict[str, Any]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for each in made["channels"].values() for name in each["outcomes"])
    names.pop(RESPONSE_COVERAGE, None)  # has a section of its own
    return [
        {
            "name": words(name),
            "kind": next(each["outcomes"][name]["kind"] for each in made["channels"].values()),
            "rows": [
                {"channel": channel, "outcome": each["outcomes"][name]} for channel, each in made["channels"].items()
            ],
        }
        for name in names
    ]


def _standardised(audit: Audit) -> list[dict[str, Any]]:
    units = {each.name: each.unit for each in audit.metrics if each.is_time or each.is_graded}
    units |= {each.name: "mean" for each in audit.metrics if each.number}
    return [
        {
            "metric": words(metric),
            "unit": units.get(metric, "share"),
            "strata": audit.shared_strata[metric],
            "values": [{"channel": channel, "value": value} for channel, value in line.items() if value is not None],
        }
        for metric, line in audit.standardised.items()
        if metric in audit.shared_strata
    ]


def _by_type(audit: Audit) -> list[dict[str, Any]]:
    """Contrasts inside strata, findings first, then the largest."""
    ordered = sorted(audit.by_stratum, key=lambda each: (RANK[each.verdict], -each.fewest))
    return [cell(each) for each in ordered[:LINES_OF_TYPES]]
