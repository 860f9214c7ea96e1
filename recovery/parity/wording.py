"""The words and figures of a report, the same on the page, in the terminal and in the answer."""

from __future__ import annotations

import math
from typing import Any

from recovery.parity.contrasts import Contrast
from recovery.parity.effects import Estimate
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.metrics import PROMISE_KEPT, TIME_TO_RESOLUTION

WORDS = {PROMISE_KEPT: "promise kept", TIME_TO_RESOLUTION: "time to resolution"}
ANSWERED = "an answer of any kind"
RANK = {"red": 0, "amber": 1, "grey": 2, "green": 3}
MARKS = {"red": "■", "amber": "▲", "green": "●", "grey": "○"}
SAYS = {
    "red": "treated differently",
    "amber": "watch",
    "green": "alike, within the margin",
    "grey": "too little to say",
}
KINDS = {
    "risk_difference": "difference of shares, in percentage points",
    "time_ratio": "times as long as the other side",
    "probability": "chance of waiting longer, or of the worse grade, than a like case of the other side",
    "odds_ratio": "odds ratio",
    "part_ratio": "part got of what was owed, times that of the other side",
    "amount_ratio": "mean amount, times that of the other side",
    "count_ratio": "mean number, times that of the other side",
}


def words(metric: str) -> str:
    return WORDS.get(metric, metric.replace("_", " "))


def effect_text(effect: Estimate, value: float | None = None) -> str:
    """One effect in the unit people read."""
    value = effect.value if value is None else value
    if value is None:
        return "–"
    if effect.kind == "risk_difference":
        return f"{_points(value)} points"
    if effect.kind == "probability":
        side, share = longer(value, graded=effect.graded)
        return f"{share} {side}"
    return f"× {value:.2f}"


def longer(chance: float, *, graded: bool = False) -> tuple[str, str]:
    """The chance of waiting longer, told from the side that it falls on: ("longer", "60%") or ("shorter", "60%").

    graded: of the worse grade; then "worse" or "better".
    """
    more, less = ("worse", "better") if graded else ("longer", "shorter")
    return (more, f"{chance:.0%}") if chance >= 0.5 else (less, f"{1 - chance:.0%}")


def _points(share: float) -> str:
    return f"{round(share * 100, 1) + 0.0:+.1f}"  # no minus before nothing


def interval_text(effect: Estimate) -> str:
    def end(value: float | None, missing: str) -> str:
        if value is None:
            return missing
        return (
            _points(value)
            if effect.kind == "risk_difference"
            else f"{value:.0%}"
            if effect.kind == "probability"
            else f"{value:.2f}"
        )

    if effect.low is None and effect.high is None:
        return "–"
    if effect.kind == "probability" and effect.value is not None and effect.value < 0.5:
        low, high = (None if each is None else 1 - each for each in (effect.high, effect.low))  # as the effect is told
        return f"{end(low, '0')} to {end(high, 'unbounded')}"
    return f"{end(effect.low, '0')} to {end(effect.high, 'unbounded')}"


def claim(contrast: Contrast) -> str:
    """One contrast as a clause: who, compared with whom, by how much."""
    effect = contrast.tested.effects[0]
    against = (
        "comparable cases of all other channels"
        if contrast.versus == "others"
        else f"comparable cases of {contrast.versus}"
    )
    where = f" (in {contrast.stratum})" if contrast.stratum else ""
    value = effect.value if effect.value is not None else math.nan
    if effect.kind == "time_ratio":
        what = f"{words(contrast.metric)} is {value:.2f} times as long as for {against}"
    elif effect.kind.endswith("_ratio"):
        what = f"{words(contrast.metric)} is in the mean {value:.2f} times that for {against}"
    elif effect.kind == "probability":
        side, share = longer(value, graded=effect.graded)
        what = f"{words(contrast.metric)} is {side} in {share} of pairs with {against}, where half would be equal"
    else:
        more = "more" if value > 0 else "less"
        name = ANSWERED if contrast.metric == RESPONSE_COVERAGE else words(contrast.metric)
        what = f"{name} is {abs(value) * 100:.1f} points {more} often than for {against}"
    return f"for {contrast.channel}{where} {what}"


def cell(contrast: Contrast) -> dict[str, Any]:
    effect = contrast.tested.effects[0]
    odds = contrast.effect("odds_ratio")
    return {
        "metric": words(contrast.metric),
        "channel": contrast.channel,
        "versus": contrast.versus,
        "stratum": contrast.stratum,
        "n": contrast.n,
        "n_versus": contrast.n_versus,
        "verdict": contrast.verdict,
        "mark": MARKS[contrast.verdict],
        "says": SAYS[contrast.verdict],
        "effect": effect_text(effect),
        "interval": interval_text(effect),
        "odds": f"{odds.value:.2f}" if odds and odds.value is not None else "",
        "p": p_text(contrast.tested.p),
        "p_holm": p_text(contrast.p_holm),
        "needed": contrast.n_needed,
    }


def p_text(value: float | None) -> str:
    return "–" if value is None else "< 0.0001" if value < 0.0001 else f"{value:.2g}"
