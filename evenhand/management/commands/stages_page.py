"""Print the rules by which relationships are said to stand somewhere; docs/stages.md is its output."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import translation

from crm.policy.stages import HINTS, RULES, RelationshipKind, Stage


class Command(BaseCommand):
    help = "Prints docs/stages.md from the rules of relationship stages."

    def handle(self, *args: Any, **options: Any) -> None:
        with translation.override("en"):
            self.stdout.write(page(), ending="")


def page() -> str:
    """Write the page in Markdown."""
    numbers = {"missed": 2, "came_back": 2, "matters": 3}
    rules = [f"| `{rule.code}` | {rule.stage.label} (`{rule.stage}`) | {str(rule.words) % numbers} |" for rule in RULES]
    roles = ", ".join(f"{kind.label} (`{kind.value}`)" for kind in RelationshipKind)
    return "\n".join(
        [
            "# Where a relationship stands",
            "",
            "Printed by `manage.py stages_page` from `crm/policy/stages.py`; a test keeps it equal. Derived every night at",
            "04:10 UTC, and within five minutes after a matter begins, a promise is missed, or a case opens, ends or comes back.",
            "",
            "It says how to talk. What is owed, promised and given, and who is served next, is equal for every stage: nothing",
            "that decides or gives can read it (`tests/recovery/test_stages.py`), and customers never read it.",
            "",
            "## The rules",
            "",
            "In this order; the first that holds counts. They ask for matters, cases and promises, never for reach, money or",
            "medium.",
            "",
            "| rule | stage | because |",
            "| --- | --- | --- |",
            *rules,
            "",
            "A person may say otherwise, with a reason. That counts until a case of theirs opens, ends or comes back or a promise",
            "is missed; where the person said that somebody is away (not a customer yet, not heard of, ended), also until they",
            f"talk to us. Time alone changes nothing about it. “{Stage.ADVOCATE.label}” is said by people alone: nothing we hold",
            "proves it.",
            "",
            f"Roles beside it, several at once, each said by a person with evidence and never derived: {roles}.",
            "",
            "## How to talk",
            "",
            "| stage | hint |",
            "| --- | --- |",
            *(f"| {stage.label} | {HINTS[stage]} |" for stage in Stage),
            "",
        ]
    )
