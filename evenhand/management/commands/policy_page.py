"""Print the decision tables in force as one page; docs/policy.md is its output on a new installation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from crm import policy as crm_policy
from crm.policy import PromiseKind
from recovery.models import PolicyVersion
from recovery.obtainable import GROUPS, MATRIX
from recovery.policy import ComplaintType, Rule, Severity


class Command(BaseCommand):
    help = "Prints docs/policy.md from the rules in force."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(page(PolicyVersion.objects.in_force(timezone.now())), ending="")


def page(version: PolicyVersion) -> str:
    """Write the policy page in Markdown."""
    rules = version.as_policy().rules
    lines = [
        "# What everybody is promised, and what a failure of ours earns",
        "",
        "This page is printed by `manage.py policy_page` from the rules in force; a test keeps it equal to the starter pack.",
        "The evaluator is `recovery/policy/`; it knows no channel, no audience and no name.",
        "",
        "## What everybody is promised",
        "",
        "Counted from when the customer spoke, in elapsed hours, the same on every channel.",
        "",
        "| promise | within | kept when |",
        "| --- | --- | --- |",
        f"| first answer | {_duration(crm_policy.FIRST_RESPONSE_WITHIN)} | a person's answer is accepted for delivery, or a talk's written confirmation is |",
        f"| written confirmation of a talk | {_duration(crm_policy.CONFIRMATION_WITHIN)} | it is accepted for delivery |",
        f"| answer to a further message | {_duration(crm_policy.FIRST_RESPONSE_WITHIN)} | a person's answer is accepted for delivery |",
        f"| next news while a matter stays with us | {_duration(crm_policy.NEXT_UPDATE_WITHIN)} | a person's answer is accepted for delivery |",
        "",
        "The queue: critical harm first, then the earliest promise, then who spoke first. Nothing else.",
        "",
        f"## What a failure earns (version {version.number})",
        "",
        "All rules that apply add up: every remedy is owed, the highest goodwill, the shortest time, the gravest severity.",
        "Money lost is owed where `refund_loss` is. Facts that are not named in a rule change nothing.",
        "",
        "| rule | when | owed | goodwill | within | severity | because |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_row(rule) for rule in rules),
        "",
        "Complaint types: " + ", ".join(f"`{kind.value}` ({kind.label})" for kind in ComplaintType) + ".",
        "",
        *_matrix(),
    ]
    return "\n".join(lines)


def _matrix() -> list[str]:
    """How each fact is told on each channel; channels on which it is told in the same way share a column."""
    lines = [
        "## How a fact is told, on every channel",
        "",
        "A rule may only read what every channel can tell with the same effort; `recovery/obtainable.py` declares it for each fact",
        "and each channel, and a draft that reads anything else fails its checks.",
        "",
        "| fact | "
        + " | ".join(" · ".join(str(channel.label) for channel in group) for group in GROUPS)
        + " | effort |",
        "| --- |" + " --- |" * (len(GROUPS) + 1),
    ]
    for name, ways in MATRIX.items():
        told = [" / ".join(sorted({str(ways[channel].how) for channel in group})) for group in GROUPS]
        effort = " / ".join(sorted({str(way.effort.label) for way in ways.values()}))
        lines.append(f"| `{name}` | " + " | ".join(told) + f" | {effort} |")
    return [*lines, ""]


def _row(rule: Rule) -> str:
    tests = {"is": "is", "one_of": "is one of", "at_least": "at least"}
    when = " and ".join(
        f"`{name}` {tests[test]} `{value}`"
        for name, condition in rule.when.items()
        for test, value in condition.items()
    )
    within = ", ".join(
        f"{PromiseKind(kind).label} {_duration(timedelta(minutes=m))}" for kind, m in rule.within.items()
    )
    owed = ", ".join(f"`{remedy}`" for remedy in rule.remedies)
    goodwill = f"{rule.goodwill:.2f}" if rule.goodwill else "–"
    return f"| `{rule.code}` | {when or 'always'} | {owed} | {goodwill} | {within} | {Severity(rule.severity).label} | {rule.because} |"


def _duration(duration: timedelta) -> str:
    minutes = int(duration.total_seconds() // 60)
    if minutes % 1440 == 0:
        return f"{minutes // 1440} d"
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
