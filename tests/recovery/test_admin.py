"""The case's page: what is owed in words, one act per button, and the way from a conversation to its case."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.models import Conversation, OutgoingMessage, User
from crm.policy import Role
from recovery import actions
from recovery.models import Case
from recovery.policy import Facts, Outcome, Severity, Status
from tests.conftest import NOON
from tests.crm.test_admin import (
    CUSTOMER,
    NOBODY,
    STAFF,
    STATEMENTS,
    WITHOUT_ROLE,
    browser,
    colleague,
    page_of,
    statements,
    stored,
    told,
)

pytestmark = pytest.mark.django_db

FACTS = {"complaint_type": "damaged_item", "loss": "80.00", "currency": "EUR", "days_without": "3", "our_failures": "1"}


def case_of(conversation: Conversation, *, by: User | None = None) -> Case:
    return actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=by, at=NOON)


def page_of_case(case: Case) -> str:
    return reverse("admin:case", args=[case.public_id])


@pytest.fixture
def agent_and_case() -> tuple[Client, User, Case]:
    agent = colleague()
    client = Client()
    client.force_login(agent)
    return client, agent, case_of(told("a"))


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_a_case_that_may_not_be_seen_is_not_there(who: str) -> None:
    case, client = case_of(told("a")), browser(who)
    expected = {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 404}.get(who, 200)
    assert client.get(page_of_case(case)).status_code == expected
    if expected == 200:
        assert client.get(reverse("admin:case", args=[uuid.uuid4()])).status_code == 404
    for name in ("case", "policyversion", "policyrule"):
        answer = client.get(reverse(f"admin:recovery_{name}_changelist"))
        assert answer.status_code == {NOBODY: 302, CUSTOMER: 302, WITHOUT_ROLE: 403}.get(who, 200)


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_only_those_who_answer_customers_change_a_case(who: str) -> None:
    conversation, other = told("a"), told("b", address="b@example.org")
    case, client = case_of(conversation), browser(who)
    may = who in (Role.AGENT, Role.LEAD)
    before = stored()
    calls = [
        (page_of_case(case), {"do": "own"}),
        (page_of_case(case), {"do": "decide", **FACTS}),
        (page_of_case(case), {"do": "resolve", "outcome": Outcome.UPHELD, "explanation": "Repaired."}),
        (reverse("admin:open_case", args=[other.public_id]), {}),
    ]
    for url, form in calls:
        answer = client.post(url, form)
        if may:
            assert answer.status_code == 302
        else:
            assert answer.status_code in ({302} if who == NOBODY else {403, 404})
            assert stored() == before


def test_looking_at_a_case_changes_nothing(agent_and_case: tuple[Client, User, Case]) -> None:
    client, _agent, case = agent_and_case
    before = stored()
    for url in (page_of_case(case), page_of(case.conversation), reverse("admin:recovery_case_changelist")):
        assert client.get(url).status_code == 200
    opening = reverse("admin:open_case", args=[case.conversation.public_id])
    assert client.get(opening).status_code == 405
    assert stored() == before


def test_a_case_is_opened_from_its_conversation_and_only_once(agent_and_case: tuple[Client, User, Case]) -> None:
    client, _agent, _case = agent_and_case
    conversation = told("b", address="b@example.org")
    for _press in range(2):
        answer = client.post(reverse("admin:open_case", args=[conversation.public_id]), {"words": "it is cracked"})
    case = Case.objects.get(conversation=conversation)
    assert answer["Location"] == page_of_case(case)
    assert case.seen_because == ["it is cracked"]
    content = client.get(page_of(conversation)).content.decode()
    assert page_of_case(case) in content
    assert "Open a case" not in content


def test_the_page_says_in_words_what_the_rules_owe(agent_and_case: tuple[Client, User, Case]) -> None:
    client, agent, case = agent_and_case
    assert client.post(page_of_case(case), {"do": "decide", **FACTS}).status_code == 302

    case.refresh_from_db()
    assert (case.status, case.owner, case.severity) == (Status.DECIDED, agent, Severity.HIGH)
    content = client.get(page_of_case(case)).content.decode()
    newest = case.decisions.order_by("-id")[0]
    for words in (
        "100.00 EUR",
        "Repair, replacement or payment",
        "An apology, signed by a person",
        "Whatever was damaged while it was with us",
        "Version 1",
        newest.entitlement_hash,
        "Earlier decisions",
    ):
        assert words in content


def test_facts_that_cannot_be_are_refused_and_stay_in_the_form(agent_and_case: tuple[Client, User, Case]) -> None:
    client, _agent, case = agent_and_case
    before = stored()
    content = client.post(page_of_case(case), {"do": "decide", **FACTS, "loss": "-5", "days_without": "7"})
    assert 'value="-5"' in content.content.decode()
    assert 'value="7"' in content.content.decode()
    assert stored() == before


def test_a_case_is_settled_once_it_is_decided_and_the_words_leave(agent_and_case: tuple[Client, User, Case]) -> None:
    client, _agent, case = agent_and_case
    form = {"do": "resolve", "outcome": Outcome.UPHELD, "explanation": "We repaired it and are sorry."}
    before = stored()
    refused = client.post(page_of_case(case), form)
    assert refused.status_code == 409
    assert stored() == before

    client.post(page_of_case(case), {"do": "decide", **FACTS})
    incomplete = client.post(page_of_case(case), {**form, "outcome": ""}).content.decode()
    assert "We repaired it and are sorry.</textarea>" in incomplete
    assert client.post(page_of_case(case), form).status_code == 302

    case.refresh_from_db()
    assert case.status == Status.RESOLVED
    message = OutgoingMessage.objects.get()
    assert "We repaired it and are sorry." in message.text
    again = client.post(page_of_case(case), form)
    assert again.status_code == 409
    assert OutgoingMessage.objects.count() == 1


def test_lists_and_the_marks_of_the_inbox_cost_the_same_for_one_case_and_for_twenty() -> None:
    client, inbox = browser(Role.LEAD), reverse("admin:inbox") + "?show=all"
    names = ("case", "policyversion", "policyrule")
    urls = [inbox, *(reverse(f"admin:recovery_{name}_changelist") for name in names)]
    case_of(told("a"))
    with_one = {url: statements(client, url) for url in urls}
    for number in range(19):
        case_of(told(f"n{number}", address=f"n{number}@example.org"))

    assert {url: statements(client, url) for url in urls} == with_one
    assert max(with_one.values()) <= STATEMENTS
    assert client.get(inbox).content.decode().count("Case: low") == 20


def test_a_case_costs_the_same_for_one_decision_and_for_twenty(agent_and_case: tuple[Client, User, Case]) -> None:
    client, agent, case = agent_and_case
    one = statements(client, page_of_case(case))
    for number in range(20):
        actions.decide(case.pk, facts=Facts(our_failures=number + 1), by=agent, at=NOON + timedelta(minutes=number))
    assert statements(client, page_of_case(case)) == one
    assert one <= STATEMENTS


def test_a_customers_story_tells_of_their_case(agent_and_case: tuple[Client, User, Case]) -> None:
    client, agent, case = agent_and_case
    actions.own(case.pk, by=agent, at=timezone.now())
    content = client.get(reverse("admin:customer", args=[case.customer.public_id])).content.decode()
    assert page_of_case(case) in content
    assert "Case taken on" in content
