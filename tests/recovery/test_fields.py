"""The house's own fields of cases, which no decision reads (X33, R048)."""

from __future__ import annotations

import ast

import pytest
from django.urls import reverse

from crm.actions import intake
from crm.models import HistoryEntry
from crm.policy import Role
from crm.policy.fields import UnusableValue
from recovery.actions import decide, open_case
from recovery.actions.fields import set_values
from recovery.models import Case, Decision
from recovery.policy import ComplaintType, Facts
from tests.architecture.source import name_of, product_files
from tests.conftest import NOON
from tests.crm.actions.test_custom_fields import field
from tests.crm.api.door import client_for
from tests.crm.stories import colleague, message
from tests.crm.test_admin_mail import client_of


def case() -> Case:
    heard = intake.receive(message(), at=NOON, origin="test")
    return open_case(heard.conversation.pk, facts=Facts(), seen_because=[], by=colleague(), at=NOON)


@pytest.mark.django_db
def test_a_case_is_described_by_pages_and_programs_and_found_by_it_X33():
    lead = colleague(Role.LEAD)
    field("depot", by=lead, of="case")
    found, other = case(), case()
    here = reverse("admin:case_fields", args=[found.public_id])
    client, api = client_of(lead), client_for(lead)
    assert client.post(here, {"custom_depot": "huge"}).status_code == 400
    assert client.post(here, {"custom_depot": "small"}).status_code == 302
    assert "Noted by us" in client.get(reverse("admin:case", args=[found.public_id])).content.decode()
    told = HistoryEntry.objects.get(verb="case.fields")
    assert (told.customer, told.detail["after"]) == (found.customer, {"depot": "small"})
    answer = api.patch(f"/api/v1/cases/{other.public_id}/fields/", {"custom": {"depot": "large"}}, format="json")
    assert answer.json() == {"custom": {"depot": "large"}}
    rows = api.get("/api/v1/cases/", {"custom.depot": "small"}).json()["results"]
    assert [(row["id"], row["custom"]) for row in rows] == [(str(found.public_id), {"depot": "small"})]
    assert api.get("/api/v1/cases/", {"custom.size": "small"}).status_code == 400
    listed = reverse("admin:recovery_case_changelist")
    assert str(found.public_id) in client.get(listed, {"custom.depot": "small"}).content.decode()
    assert str(found.public_id) not in client.get(listed, {"custom.depot": "large"}).content.decode()
    auditor = colleague(Role.AUDITOR)
    assert client_of(auditor).get(here).status_code == 403
    assert client_for(auditor).patch(f"/api/v1/cases/{found.public_id}/fields/", {}, format="json").status_code == 403


@pytest.mark.django_db
def test_a_field_changes_no_decision_and_a_refused_value_changes_nothing_R048():
    lead = colleague(Role.LEAD)
    field("depot", by=lead, of="case")
    found = case()
    facts = Facts(complaint_type=ComplaintType.DAMAGED_ITEM)
    before = decide(found.pk, facts=facts, by=lead, at=NOON)
    set_values(found.pk, {"depot": "small"}, by=lead, at=NOON)
    with pytest.raises(UnusableValue):
        set_values(found.pk, {"depot": "nowhere"}, by=lead, at=NOON)
    after = decide(found.pk, facts=facts, by=lead, at=NOON)
    assert (before.facts_hash, before.entitlement_hash) == (after.facts_hash, after.entitlement_hash)
    assert Decision.objects.filter(facts__has_key="depot").count() == 0
    found.refresh_from_db()
    assert found.custom == {"depot": "small"}


MAY_KNOW = {
    "crm/actions/custom_fields.py", "crm/actions/customer_exports.py", "crm/actions/customer_rows.py",
    "crm/actions/import_portions.py", "crm/actions/import_undo.py", "crm/actions/in_public.py",
    "crm/actions/persons.py", "crm/admin/custom_fields.py",
    "crm/channels/contact_columns.py", "evenhand/personal.py",
    "crm/api/custom_fields.py", "crm/models/fields.py", "crm/models/people.py", "recovery/actions/fields.py",
    "recovery/actions/confidences.py",
    "recovery/admin/fields.py", "recovery/api.py", "recovery/models/cases.py",
}  # fmt: skip


def test_nothing_that_decides_orders_or_audits_reads_the_houses_own_fields_R048():
    found = set()
    for file in product_files():
        if "/migrations/" in name_of(file):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = {
                getattr(node, "attr", None),
                getattr(node, "value", None) if isinstance(node, ast.Constant) else None,
            }
            named |= (
                {node.target.id} if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else set()
            )
            named |= (
                {one.id for one in node.targets if isinstance(one, ast.Name)} if isinstance(node, ast.Assign) else set()
            )
            if "custom" in named:
                found.add(name_of(file))
    assert found <= MAY_KNOW, found - MAY_KNOW
