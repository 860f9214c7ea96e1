"""docs/stages.md says what the rules say (R087)."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command

from tests.conftest import ROOT


def test_the_page_of_stages_is_printed_from_the_rules_R087():
    printed = StringIO()
    call_command("stages_page", stdout=printed)
    assert printed.getvalue() == (ROOT / "docs/stages.md").read_text(encoding="utf-8")
