"""Who it is: what colleagues see beside a conversation, what they ask and note there, and what the timeline tells."""

from __future__ import annotations

import re
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.actions import accounts, identity_checks, outgoing
from crm.models import Conversation, IdentityCheck, OutgoingMessage
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_accounts import with_another_address
from tests.crm.actions.test_identity_checks import ask, code_in, letter, told
from tests.crm.stories import client_of, colleague

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def talk(matter: Conversation) -> str:
    return reverse("admin:conversation", args=[matter.public_id])


def page(matter: Conversation) -> str:
    return reverse("admin:identity_checks", args=[matter.public_id])


def of(check: IdentityCheck) -> str:
    return reverse("admin:settle_identity_check", args=[check.public_id])


def test_a_colleague_asks_and_notes_what_came_of_it_beside_the_conversation() -> None:
    matter, ada = told(), client_of()
    before = ada.get(talk(matter)).content.decode()
    assert "They have not been asked to show who they are." in before
    for label in ("identity-need", "identity-kind", "identity-because"):
        assert f'for="{label}"' in before
        assert f'id="{label}"' in before
    assert ada.post(page(matter), {"need": "release", "kind": "document"}).status_code == 302
    check = IdentityCheck.objects.get()
    asked = ada.get(talk(matter)).content.decode()
    assert "an identity document, seen" in asked
    assert of(check) in asked
    assert ada.post(of(check), {"do": "passed"}).status_code == 302
    after = ada.get(talk(matter)).content.decode()
    assert "Noted as shown." in after
    assert of(check) not in after


def test_a_code_is_typed_in_where_it_was_asked_for() -> None:
    matter, ada = told(), client_of()
    told_how = ada.post(page(matter), {"need": "release", "kind": "code"}, follow=True).content.decode()
    check = IdentityCheck.objects.get()
    assert "A code is on its way to carla@home.example" in told_how
    assert f'for="code-{check.public_id}"' in told_how
    assert code_in(check) not in told_how
    wrong = ada.post(of(check), {"do": "code", "code": "1"}, follow=True).content.decode()
    assert "they can try 4 more times" in wrong
    right = ada.post(of(check), {"do": "code", "code": code_in(check)}, follow=True).content.decode()
    assert "it is noted as shown" in right
    assert IdentityCheck.objects.get().state == "passed"


def test_what_is_refused_says_why_and_keeps_what_was_typed() -> None:
    matter, ada = told(), client_of()
    refused = ada.post(page(matter), {"need": "release", "kind": "reference", "because": " "})
    assert refused.status_code == 409
    assert "Please write why it is needed." in refused.content.decode()
    assert '<option value="reference" selected>' in refused.content.decode()
    assert ada.post(page(matter), {"need": "release", "kind": "reference", "because": "Blurred."}).status_code == 302
    assert "More than the rules ask for:</b> Blurred." in ada.get(talk(matter)).content.decode()
    nothing = ada.post(page(matter), {"need": "", "kind": "document"})
    assert (nothing.status_code, IdentityCheck.objects.count()) == (409, 1)
    assert (
        "Please use one of the buttons."
        in ada.post(of(IdentityCheck.objects.get()), {"do": "x"}, follow=True).content.decode()
    )


def test_the_page_says_what_the_rules_ask_for() -> None:
    matter = told()
    shown = client_of().get(page(matter)).content.decode()
    assert "to change an address of theirs" in shown
    check = ask(matter, "document")
    identity_checks.passed(check.pk, by=colleague(), at=NOON)
    assert "nothing more is needed" in client_of().get(page(matter)).content.decode()


def test_who_answers_nobody_reads_and_changes_nothing() -> None:
    matter = told()
    check = ask(matter)
    for role in (Role.AUDITOR, Role.LOYALTY_MANAGER):
        client = client_of(role)
        seen = client.get(talk(matter)).content.decode()
        assert "an identity document, seen" in seen
        assert of(check) not in seen
        assert 'id="identity-kind"' not in seen
        assert client.get(page(matter)).status_code == 200
        assert client.post(page(matter), {"need": "money", "kind": "document"}).status_code == 403
        assert client.post(of(check), {"do": "passed"}).status_code == 403
    assert client_of().get(of(check)).status_code == 405
    assert IdentityCheck.objects.get().state == "asked"


def test_a_closed_matter_shows_what_was_asked_and_asks_nothing() -> None:
    matter = told()
    check = ask(matter)
    identity_checks.failed(check.pk, by=colleague(), at=NOON)
    Conversation.objects.update(state="closed", due_at=None)
    shown = client_of().get(talk(matter)).content.decode()
    assert "not shown" in shown
    assert 'id="identity-kind"' not in shown


def test_the_page_costs_as_much_with_twenty_steps_as_with_one() -> None:
    matter, ada = told(), client_of()

    def statements(address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert ada.get(address).status_code == 200
        return len(captured)

    statements(talk(matter))
    none = statements(talk(matter))
    once(matter)
    one = [statements(talk(matter)), statements(page(matter))]
    assert one[0] == none + 1
    for _ in range(19):
        once(matter)
    assert [statements(talk(matter)), statements(page(matter))] == one


def once(matter: Conversation) -> None:
    identity_checks.failed(ask(matter).pk, by=colleague(), at=NOON)


def test_the_timeline_tells_it_plainly() -> None:
    matter = told()
    check = ask(matter)
    identity_checks.passed(check.pk, by=colleague(name="Ben"), at=NOON)
    shown = client_of().get(reverse("admin:customer", args=[matter.customer.public_id])).content.decode()
    assert "Asked who they are: an identity document, seen" in shown
    assert "Showed who they are" in shown


def test_no_colleague_reads_a_code_where_messages_are_listed_C09() -> None:
    """It is for the customer alone; who could read it could show it in their place."""
    check = ask(told(), "code")
    code = code_in(check)
    outgoing.send_batch(at=NOON)
    lead = client_of(Role.LEAD)
    listed = lead.get(reverse("admin:outgoing")).content.decode()
    assert letter(check).subject in listed
    assert code not in listed
    alone = lead.get(reverse("admin:crm_outgoingmessage_change", args=[letter(check).pk]))
    assert alone.status_code == 200
    assert code not in alone.content.decode()


def test_nor_a_code_that_opens_the_history_of_an_account_C09() -> None:
    accounts.send_code(with_another_address().pk, at=NOON)
    sent = OutgoingMessage.objects.get(key__startswith="crm.second_proof:")
    code = re.search(r"^\d{8}$", sent.text, re.MULTILINE)
    assert code
    lead = client_of(Role.LEAD)
    for address in (reverse("admin:outgoing"), reverse("admin:crm_outgoingmessage_change", args=[sent.pk])):
        shown = lead.get(address).content.decode()
        assert sent.subject in shown
        assert code[0] not in shown
