"""docs/policy.md says what the starter pack does."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from tests.conftest import ROOT


@pytest.mark.django_db
def test_the_page_in_the_docs_is_the_policy_in_force():
    printed = io.StringIO()
    call_command("policy_page", stdout=printed)
    assert printed.getvalue() == (ROOT / "docs/policy.md").read_text(encoding="utf-8")
