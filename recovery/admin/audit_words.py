"""Words, marks and units of the audit's comparisons, as every page of them says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.channels import Channel

METRICS: dict[str, Any] = {
    "response_coverage": gettext_lazy("answered at all"),
    "first_response": gettext_lazy("time to the first answer"),
    "time_to_resolution": gettext_lazy("time until it was settled"),
    "ingest_lag": gettext_lazy("time until it reached us"),
    "answered_as_promised": gettext_lazy("first answer as promised"),
    "confirmed_as_promised": gettext_lazy("written confirmation as promised"),
    "remedy_in_full": gettext_lazy("got all the money that was owed"),
    "came_back": gettext_lazy("came back after it was settled"),
    "handed_over": gettext_lazy("passed on to another colleague"),
    "went_quiet": gettext_lazy("ended because the customer went quiet"),
    "exception_approved": gettext_lazy("exception approved, where one was asked for"),
    "promises_kept": gettext_lazy("every promise kept"),
    "remedy_part": gettext_lazy("part given of what was owed"),
    "remedy_amount": gettext_lazy("money given"),
    "hand_offs": gettext_lazy("how often passed on"),
    "verification_steps": gettext_lazy("how often asked who they are"),
    "gesture_sent": gettext_lazy("kindness sent as planned"),
    "dismissed": gettext_lazy("ended without an answer"),
    "went_public": gettext_lazy("settled sooner after going public"),
    "survey_answered": gettext_lazy("answered our questions"),
    "csat": gettext_lazy("satisfied, they say"),
    "fair_outcome": gettext_lazy("the outcome was fair, they say"),
    "fair_process": gettext_lazy("the way there was fair, they say"),
    "fair_manner": gettext_lazy("we treated them well, they say"),
    "effort": gettext_lazy("we made it easy, they say"),
    "severity_graded_low": gettext_lazy("graded too mild"),
    "merit_graded_low": gettext_lazy("found less right"),
    "dismissal_overturned": gettext_lazy("wrongly dismissed"),
    "manner_below_good": gettext_lazy("answered less kindly"),
}
GRADED: frozenset[str] = frozenset({"csat", "fair_outcome", "fair_process", "fair_manner", "effort"})
MEANS: dict[str, Any] = {
    "response_coverage": gettext_lazy(
        "Of matters whose promised first answer was due: the share that a person answered."
    ),
    "first_response": gettext_lazy(
        "From when the customer spoke to our first human answer; who still waits counts as waiting."
    ),
    "time_to_resolution": gettext_lazy(
        "From when the customer spoke until the matter was settled and did not come back."
    ),
    "ingest_lag": gettext_lazy("From when the customer spoke until it reached us: pollers, post, writing up."),
    "answered_as_promised": gettext_lazy("Our first answer left by the time everybody is promised."),
    "confirmed_as_promised": gettext_lazy("After a talk, the confirmation in writing left by the promised time."),
    "remedy_in_full": gettext_lazy("In settled cases: what was given reached what the rules say is owed."),
    "came_back": gettext_lazy("Of settled matters: the share that came back."),
    "handed_over": gettext_lazy("The share that another colleague took over."),
    "went_quiet": gettext_lazy("Of ended matters: the share that ended because the customer no longer answered."),
    "exception_approved": gettext_lazy("Of exceptions asked for: the share that a second person approved."),
    "promises_kept": gettext_lazy(
        "Everything that was promised in the matter and came due was kept in time; the written confirmation stands by itself."
    ),
    "remedy_part": gettext_lazy(
        "In settled cases: what was given as a part of what the rules say is owed, against that part on other channels."
    ),
    "remedy_amount": gettext_lazy(
        "In settled cases: the money that was given, compared within one currency, against the mean on other channels."
    ),
    "hand_offs": gettext_lazy("How often a matter went to another colleague, against the mean on other channels."),
    "verification_steps": gettext_lazy(
        "How often a customer was asked to show who they are, shown or not, against the mean on other channels."
    ),
    "gesture_sent": gettext_lazy(
        "Of kindnesses that were to leave: the share that did, by the channel on which the customer first came to us."
    ),
    "dismissed": gettext_lazy("Spam, duplicates, abuse, not for us, or a post that needs no answer."),
    "went_public": gettext_lazy(
        "Private matters whose customer then wrote publicly: settled per hour after the post, against before it."
    ),
    "survey_answered": gettext_lazy(
        "Of matters whose customer was asked how it was: the share that answered. The grades say nothing of the others."
    ),
    "csat": gettext_lazy(
        "Satisfied with how it went, 1 to 5: the chance of the worse grade in a pair of like matters."
    ),
    "fair_outcome": gettext_lazy(
        "What came of it was fair, 1 to 5: the chance of the worse grade in a pair of like matters."
    ),
    "fair_process": gettext_lazy(
        "The way there was fair, 1 to 5: the chance of the worse grade in a pair of like matters."
    ),
    "fair_manner": gettext_lazy(
        "We were polite and explained ourselves, 1 to 5: the chance of the worse grade in a pair."
    ),
    "effort": gettext_lazy("We made it easy, 1 to 7: the chance of the worse grade in a pair of like matters."),
    "severity_graded_low": gettext_lazy(
        "How many were graded milder at first than by who did not know the channel; and the mean of the steps."
    ),
    "merit_graded_low": gettext_lazy(
        "How many customers were found less in the right at first; and the mean of the steps."
    ),
    "dismissal_overturned": gettext_lazy("How many of those dismissed a second colleague would have answered."),
    "manner_below_good": gettext_lazy(
        "How many answers score below 4 of 5 on friendly, helpful and sympathetic together; and the mean."
    ),
}
PAIRS_MEAN: dict[str, Any] = {
    "first_response": gettext_lazy(
        "The same facts told on two channels: how long this side waited for our first answer."
    ),
    "time_to_resolution": gettext_lazy(
        "The same facts told on two channels: how long it took until this side was settled."
    ),
    "remedy_in_full": gettext_lazy(
        "The same facts told on two channels: how often this side got all that was owed and the other did not, less the reverse."
    ),
    "severity_graded_low": gettext_lazy(
        "The same facts told on two channels: how often this side was graded milder than the other, less how often graver."
    ),
}
"""What a size means that agreed test pairs tell."""
FEWEST, FEWEST_PARTS = 25, 10
"""Matters on each side below which nothing is compared, and of parts of what was owed; the same as in the audit."""
TONES = {"red": "late", "amber": "soon", "green": "good", "grey": ""}
SAYS: dict[str, Any] = {
    "red": gettext_lazy("treated differently"),
    "amber": gettext_lazy("to watch"),
    "green": gettext_lazy("shown to be alike"),
    "grey": gettext_lazy("too little to say"),
}


READS: dict[str, Any] = {
    "time_ratio": gettext_lazy("× 1.00 is equal; × 2.00 means that like matters wait twice as long."),
    "risk_difference": gettext_lazy("0 points is equal; + 5 points means five more of a hundred like matters."),
    "probability": gettext_lazy("50 % of pairs is equal: of two like matters, how often this channel's waits longer."),
    "part_ratio": gettext_lazy("× 1.00 is equal; × 0.90 means a tenth less of what is owed than elsewhere."),
    "amount_ratio": gettext_lazy("× 1.00 is equal; × 0.90 means a tenth less money in the mean than elsewhere."),
    "count_ratio": gettext_lazy("× 1.00 is equal; × 2.00 means twice as often in the mean as elsewhere."),
}
READS_OF_GRADES = gettext_lazy(
    "50 % of pairs is equal: of two like matters, how often this channel's got the worse grade."
)
ASIDE: dict[str, Any] = {"public": gettext_lazy("after going public"), "private": gettext_lazy("while private")}
"""Sides of a comparison that are no channels."""
MARKS = {"red": "■", "amber": "▲", "green": "●", "grey": "○"}
"""Beside the colour, so that a verdict is told without it; the same as in the report."""
SHORT: dict[str, Any] = {
    "red": gettext_lazy("differs"),
    "amber": gettext_lazy("watch"),
    "green": gettext_lazy("alike"),
    "grey": gettext_lazy("too little"),
}
MIXES: dict[str, Any] = {
    "explains": gettext_lazy(
        "All together there seems to be a larger gap. Most of it is other work, not other treatment."
    ),
    "hides": gettext_lazy(
        "All together the gap looks smaller than it is: this channel gets other work, which hides it."
    ),
    "reverses": gettext_lazy(
        "All together it points the other way: this channel gets other work. Believe the comparison of like with like."
    ),
}
"""What the mix of matters does to a gap (Simpson's paradox)."""


def line_shown(line: Mapping[str, Any]) -> dict[str, Any]:
    nothing = had_none(line)
    return {
        **line,
        "name": METRICS.get(line["metric"], line["metric"]),
        "on": channel_name(line["channel"]),
        "says": _("nothing to compare") if nothing else SAYS[line["verdict"]],
        "short": _("nothing") if nothing else SHORT[line["verdict"]],
        "is_nothing": nothing,
        "needed": needed_shown(line.get("n_needed"), n=line["n"], effect=line["effect"]),
        "mark": MARKS[line["verdict"]],
        "tone": TONES[line["verdict"]],
        "size": size_shown(line["metric"], line["effect"], line["estimate"]),
        "interval": interval_shown(line),
    }


def had_none(line: Mapping[str, Any]) -> bool:
    """Whether an amount or a count was nought for everybody who can be compared, on both sides."""
    of_size = line["effect"] in ("amount_ratio", "count_ratio") and line["estimate"] is None
    return of_size and line["n"] >= FEWEST and line.get("p") is None and line.get("n_needed") is None


def needed_shown(needed: int | None, *, n: int, effect: str) -> str:
    """About how many matters of the channel would settle it, in two digits; "" where that is not known.

    From fewer than are compared at all nothing can be estimated: then it is that number, at least.
    """
    fewest = FEWEST_PARTS if effect == "part_ratio" else FEWEST
    if needed is None:
        return ""
    if n < fewest:
        return _("at least %(number)s") % {"number": fewest}
    tens = 10 ** max(0, len(str(needed)) - 2)
    return _("about %(number)s") % {"number": f"{-(-needed // tens) * tens:,}"}


def channel_name(name: str) -> str:
    return str(Channel(name).label) if name in Channel.values else str(ASIDE.get(name, name))


def size_shown(metric: str, effect: str, value: float | None) -> str:
    if value is None:
        return "–"
    if effect.endswith("_ratio"):
        return f"× {value:.2f}"
    if metric in GRADED:
        return _("worse in %(share)s of pairs") % {"share": f"{value:.0%}"}
    if effect == "probability":
        return _("longer in %(share)s of pairs") % {"share": f"{value:.0%}"}
    points = round(value * 100, 1) or 0.0  # no “-0.0”
    return _("%(points)s points") % {"points": f"{points:+.1f}" if points else "0.0"}


def interval_shown(line: Mapping[str, Any]) -> str:
    low, high = line["low"], line["high"]
    if low is None and high is None:
        return ""
    scale = 100 if line["effect"] in ("risk_difference", "probability") else 1
    ends = ["…" if end is None else f"{end * scale:.{1 if scale == 100 else 2}f}" for end in (low, high)]
    return _("%(low)s to %(high)s") % {"low": ends[0], "high": ends[1]}


def margin_shown(margin: Mapping[str, Any]) -> str:
    """A margin in the unit of its sizes."""
    unit = {"risk_difference": _("%(range)s points"), "probability": _("%(range)s % of pairs")}
    return unit.get(margin["effect"], "× %(range)s").replace("%(range)s", interval_shown(margin))
