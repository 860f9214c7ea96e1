"""Parts of the page that need more than a channel: who was answered, the same customer twice, going public."""

from __future__ import annotations

from typing import Any

from recovery.parity import drawing, verdicts
from recovery.parity.audit import Audit
from recovery.parity.contrasts import Contrast
from recovery.parity.customers import WINDOW_DAYS
from recovery.parity.effects import Estimate
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.public import Uplift
from recovery.parity.wording import ANSWERED, MARKS, RANK, SAYS, cell, effect_text, interval_text, longer, words

SEED_SHARE = 0.42  # "never received a response of any kind" (58 %): the complaint this product began with (R033)
BAR, BAR_LEFT, BAR_RIGHT = 34.0, 190.0, 560.0


def ratio_text(uplift: Uplift) -> str:
    return effect_text(uplift.ratio)


def interval_of(uplift: Uplift) -> str:
    return interval_text(uplift.ratio)


def findings(audit: Audit) -> list[str]:
    """Clauses for the answer: the clearest red inside customers, and the gain from going public."""
    found = []
    if audit.within is not None:
        red = [each for each in audit.within.contrasts if each.verdict == "red"]
        if red:
            found.append(_inside(min(red, key=lambda each: each.tested.p or 0.0)))
    if audit.went_public is not None:
        whole = audit.went_public.whole
        months = [each for each in audit.went_public.months if each.verdict == "red"]
        if whole.verdict == "red":
            found.append(f"going public pays: {_gain(whole)}")
        elif months:
            listed = ", ".join(f"{each.month}" for each in months)
            found.append(f"going public paid for cases opened in {listed}: {_gain(months[0])}")
    return found


def _gain(uplift: Uplift) -> str:
    value = uplift.ratio.value or 1.0
    return f"once its customer has written publicly, a private case is settled at {value:.2f} times the rate"


def _inside(contrast: Contrast) -> str:
    effect = contrast.tested.effects[0]
    value = effect.value if effect.value is not None else 0.0
    against = "on other channels" if contrast.versus == "others" else f"on {contrast.versus}"
    if effect.kind == "time_ratio":
        what = f"is {value:.2f} times as long on {contrast.channel} as {against}"
    elif effect.kind == "probability":
        side, share = longer(value, graded=effect.graded)
        what = f"is {side} on {contrast.channel} than {against} in {share} of pairs, where half would be equal"
    else:
        more = "more" if value > 0 else "less"
        what = f"is {abs(value) * 100:.1f} points {more} often on {contrast.channel} than {against}"
    name = ANSWERED if contrast.metric == RESPONSE_COVERAGE else words(contrast.metric)
    return f"for one and the same customer {name} {what}"


def context(audit: Audit, made: dict[str, Any]) -> dict[str, Any]:
    """What the template needs beside the rest; None where the file does not know it."""
    return {
        "coverage": _coverage(audit, made) if audit.cases.response else None,
        "within": _within(audit, made) if audit.within else None,
        "uplift": _uplift(audit, made) if audit.went_public else None,
        "coverage_margin": f"{verdicts.COVERAGE.high * 100:.0f}",
    }


def _coverage(audit: Audit, made: dict[str, Any]) -> dict[str, Any]:
    """A bar per channel from nobody to everybody, a line where the complaint stood, and one at the target."""
    of_channel = {each.channel: each for each in audit.overall if each.metric == RESPONSE_COVERAGE}
    standard = audit.standardised.get(RESPONSE_COVERAGE, {})

    def across(share: float) -> float:
        return BAR_LEFT + share * (BAR_RIGHT - BAR_LEFT)

    rows: list[dict[str, Any]] = []
    for name, each in made["channels"].items():
        answered = each["outcomes"][RESPONSE_COVERAGE]
        if answered["share"] is None:
            continue
        contrast = of_channel.get(name)
        y = 44 + len(rows) * BAR
        rows.append(
            {
                "channel": name,
                "excluded": each["excluded"],
                "n": answered["n"],
                "missed": answered["n"] - answered["true"],
                "share": answered["share"],
                "percent": f"{answered['share'] * 100:.1f} %",
                "standard": standard.get(name),
                "contrast": cell(contrast) if contrast else None,
                "ratio": contrast.share_ratio if contrast else None,
                "verdict": contrast.verdict if contrast else "grey",
                "wide": across(answered["share"]) - BAR_LEFT,
                "y": y - 8,
                "text_y": y + 4,
            }
        )
    bottom = 44 + len(rows) * BAR - 12
    return {
        "rows": rows,
        "outcome": words(audit.cases.response.name) if audit.cases.response else "",
        "mature_hours": made["response"]["mature_hours"],
        "given": made["response"]["mature_hours_given"],
        "promised": audit.cases.response is not None and audit.cases.response.promised,
        "seed_x": across(SEED_SHARE),
        "seed": f"{SEED_SHARE * 100:.0f} %",
        "target_x": across(1.0),
        "left": BAR_LEFT,
        "right_x": BAR_RIGHT + 14,
        "bottom": bottom,
        "tick_y": bottom + 18,
        "height": bottom + 30,
        "ticks": [{"x": across(each / 4), "label": f"{each * 25} %"} for each in range(5)],
        "hard": f"{verdicts.HARD_FAIL * 100:.0f} %",
    }


def _within(audit: Audit, made: dict[str, Any]) -> dict[str, Any]:
    found = audit.within
    lines = sorted(found.lines, key=lambda each: (RANK[each.contrast.verdict], -each.contrast.n)) if found else []
    rows = [cell(each.contrast) | {"customers": each.customers, "first": each.channel_first} for each in lines]
    numbers: dict[str, Any] = made["within_customer"]
    return numbers | {
        "forests": drawing.forests(each.contrast for each in found.lines) if found else [],
        "rows": rows,
        "window": WINDOW_DAYS,
    }


def _uplift(audit: Audit, made: dict[str, Any]) -> dict[str, Any]:
    found = audit.went_public
    lines = [found.whole, *found.months] if found else []
    texts = [
        {
            "channel": each.month or "all months",
            "metric": f"{each.resolved_after} resolved after",
            "cases": each.cases,
            "went_public": each.went_public,
            "resolved_after": each.resolved_after,
            "expected_after": each.expected_after,
            "verdict": each.verdict,
            "mark": MARKS[each.verdict],
            "says": SAYS[each.verdict],
            "effect": ratio_text(each),
            "interval": interval_of(each),
            "needed": each.resolutions_needed,
        }
        for each in lines
    ]
    drawn: list[tuple[dict[str, Any], Estimate]] = [
        (text, each.ratio) for text, each in zip(texts, lines, strict=True) if each.ratio.value is not None
    ]
    margin = verdicts.MARGINS["time_ratio"]
    says = "rate of resolution after the post, against like cases as old without one"
    numbers: dict[str, Any] = made["went_public"]
    return numbers | {
        "rows": texts,
        "plot": drawing.forest(drawn, kind="time_ratio", margin=margin, says=says) if drawn else None,
        "channels": ", ".join(made["went_public"]["public_channels"]),
        "window": WINDOW_DAYS,
    }
