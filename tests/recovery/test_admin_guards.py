"""The pages and addresses of grants, ledger, effort and second looks: who may what, what a press does, what a page costs."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.actions import outgoing
from crm.models import Conversation, OutgoingMessage, User
from crm.policy import LineOfWork, Role
from recovery import actions
from recovery.models import Case, CaseReview, EmpowermentGap, Grant, PolicyProposal, TreatmentException
from recovery.policy import EXCEPTIONS_BUDGET, ComplaintType, Facts, GrantKind, Outcome
from tests.conftest import NOON
from tests.crm.api.door import client_for
from tests.crm.stories import app_user
from tests.crm.stories import colleague as somebody
from tests.crm.test_admin import (
    CUSTOMER,
    NOBODY,
    STAFF,
    STATEMENTS,
    WITHOUT_ROLE,
    browser,
    statements,
    stored,
    told,
)

pytestmark = pytest.mark.django_db

DAMAGED = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"))
GIVE = {"do": "grant", "kind": "refund", "amount": "80.00", "currency": "EUR", "key": "k", "public_words": ""}
BEYOND = {"do": "propose", "kind": "goodwill", "amount": "500.00", "currency": "EUR", "reason": "Her wedding."}


def decided(key: str = "a", *, by: User | None = None) -> Case:
    conversation = told(key, address=f"{key}@example.org")
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=DAMAGED, by=by or somebody(takes=False), at=NOON)
    return case


def page(name: str, row: Case | CaseReview) -> str:
    return reverse(f"admin:{name}", args=[row.public_id])


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_sees_the_pages(who: str) -> None:
    case = decided()
    review = actions.ask_for_review(case.pk, by=somebody(takes=False), at=NOON)
    client = browser(who)
    sees = who in (Role.AGENT, Role.LEAD, Role.AUDITOR)
    for url in (page("case_given", case), page("review", review), reverse("admin:reviews"), reverse("admin:ledger")):
        assert client.get(url).status_code == (302 if who == NOBODY else 200 if sees else 403), url
    expected = {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 404}.get(who, 200)
    assert client.get(page("case_effort", case)).status_code == expected


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_gives_and_who_leaves_a_note_that_they_could_not_R142(who: str) -> None:
    case, client = decided(), browser(who)
    answer = client.post(page("case_given", case), GIVE)
    gives, sees = who in (Role.AGENT, Role.LEAD), who == Role.AUDITOR
    assert Grant.objects.exists() == gives
    assert EmpowermentGap.objects.exists() == sees
    assert answer.status_code == (302 if gives or who == NOBODY else 409 if sees else 403)
    proposed = client.post(page("case_given", case), BEYOND)
    assert TreatmentException.objects.exists() == gives, proposed.status_code


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_only_leads_are_second_persons_and_decide_on_proposed_rules_R065(who: str) -> None:
    case = decided()
    asked = actions.propose_exception(
        case.pk, kind=GrantKind.GOODWILL, reason="x", amount=Decimal(500), currency="EUR", by=somebody(), at=NOON
    )
    client = browser(who)
    client.post(page("case_given", case), {"do": "approve", "exception": asked.pk})
    assert Grant.objects.exists() == (who == Role.LEAD)
    if who != Role.LEAD:
        actions.approve_exception(asked.pk, by=somebody(Role.LEAD), at=NOON)
    proposal = PolicyProposal.objects.get()
    ledger = reverse("admin:ledger")
    if who == Role.LEAD:
        assert client.post(ledger, {"do": "decline", "proposal": proposal.public_id}).status_code == 409
    client.post(ledger, {"do": "accept", "proposal": proposal.public_id})
    proposal.refresh_from_db()
    assert (proposal.state == "accepted") == (who == Role.LEAD)


def test_the_page_offers_what_was_decided_and_no_more() -> None:
    case, client = decided(), browser(Role.AGENT)
    url = page("case_given", case)
    content = client.get(url).content.decode()
    assert "80.00 EUR" in content
    refused = client.post(url, {**GIVE, "amount": "80.01"})
    assert refused.status_code == 409
    assert 'value="80.01"' in refused.content.decode()
    assert client.post(url, {**GIVE, "public_words": "Just for you!"}).status_code == 409
    assert client.post(url, {**GIVE, "amount": "much"}).status_code == 409
    assert client.post(url, {"do": "sing"}).status_code == 409
    assert client.post(url, {"do": "approve", "exception": "99"}).status_code == 403
    assert not Grant.objects.exists()
    assert client.post(url, GIVE).status_code == 302
    assert "0.00 EUR" in client.get(url).content.decode()


def test_a_second_case_is_linked_to_the_first_on_its_page_E03() -> None:
    first, client = decided(), browser(Role.AGENT)
    conversation = told("again", address="a@example.org")
    second = actions.open_case(conversation.pk, facts=DAMAGED, seen_because=[], by=None, at=NOON)
    url = page("case_given", second)
    assert client.post(url, {"do": "same", "same_as": str(uuid.uuid4())}).status_code == 409
    assert client.post(url, {"do": "same", "same_as": str(first.public_id)}).status_code == 302
    assert page("case_given", first) in client.get(url).content.decode()
    assert client.post(url, GIVE).status_code == 409


def test_a_second_look_shows_the_facts_first_and_the_words_afterwards_R153_R005() -> None:
    case, client = decided(), browser(Role.AGENT)
    case_page = page("case", case)
    assert client.post(case_page, {"do": "review"})["Location"] == case_page
    review = CaseReview.objects.get()
    lead = browser(Role.LEAD)
    url = page("review", review)
    words_of = reverse("admin:conversation", args=[case.conversation.public_id])
    for step in ({}, {"do": "take"}):
        if step:
            assert lead.post(url, step).status_code == 302
        content = lead.get(url).content.decode()
        assert words_of not in content
        assert str(case.customer) not in content
        assert "Email" not in content
    assert lead.post(url, {"do": "finish", "words": "x", **_facts(case)}).status_code == 409
    assert lead.post(url, {"do": "judge", "merit": "upheld"}).status_code == 302
    assert words_of in lead.get(url).content.decode()
    assert lead.post(url, {"do": "finish", "words": "It stands.", **_facts(case)}).status_code == 302
    review.refresh_from_db()
    assert review.result == "upheld"
    assert "It stands." in OutgoingMessage.objects.get().text
    assert page("review", review) not in lead.get(reverse("admin:reviews")).content.decode()


def _facts(case: Case) -> dict[str, Any]:
    facts = case.decisions.order_by("-pk")[0].facts
    return {name: value for name, value in facts.items() if not isinstance(value, bool) or value}


def test_a_case_is_taken_on_with_words_and_comes_back_on_its_page_R132_R139() -> None:
    client = browser(Role.AGENT)
    case = actions.open_case(told("a").pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    url = page("case", case)
    assert "This is mine now. I am A agent" in client.get(url).content.decode()
    assert client.post(url, {"do": "own", "words": "This is mine. I am Ada."}).status_code == 302
    assert "This is mine." in OutgoingMessage.objects.get().text
    client.post(url, {"do": "decide", **_facts(case)})
    not_upheld = {"do": "resolve", "outcome": Outcome.NOT_UPHELD, "explanation": "It was whole."}
    refused = client.post(url, not_upheld)
    assert refused.status_code == 409
    assert client.post(url, {**not_upheld, "reason": "The photo shows it."}).status_code == 302
    assert client.post(url, {"do": "quiet"}).status_code == 409
    assert client.post(url, {"do": "reopen", "note": ""}).status_code == 409
    assert client.post(url, {"do": "reopen", "note": "she called"}).status_code == 302
    case.refresh_from_db()
    assert (case.status, case.reopened_count) == ("decided", 1)


def test_looking_changes_nothing() -> None:
    case, client = decided(), browser(Role.LEAD)
    review = actions.ask_for_review(case.pk, by=somebody(takes=False), at=NOON)
    before = stored()
    for url in (
        page("case", case), page("case_given", case), page("case_effort", case), page("review", review),
        reverse("admin:reviews"), reverse("admin:ledger"),
    ):  # fmt: skip
        assert client.get(url).status_code == 200
    assert stored() == before


def test_the_pages_cost_the_same_for_one_row_and_for_twenty() -> None:
    client, ada, bob = browser(Role.LEAD), somebody(takes=False), somebody(Role.LEAD, takes=False)
    case = decided(by=ada)

    def more(number: int) -> None:
        for where in {case.pk: case, (other := decided(f"n{number}", by=ada)).pk: other}.values():
            asked = actions.propose_exception(
                where.pk, kind=GrantKind.GOODWILL, reason="x", amount=Decimal(500), currency="EUR", by=ada, at=NOON
            )
            actions.approve_exception(asked.pk, by=bob, at=NOON)
            actions.note_gap(where.pk, kind=GrantKind.REFUND, by=ada, at=NOON)
        actions.ask_for_review(other.pk, by=ada, at=NOON)

    more(0)
    urls = [page("case_given", case), page("case_effort", case), reverse("admin:reviews"), reverse("admin:ledger")]
    one = {url: statements(client, url) for url in urls}
    for number in range(1, 20):
        more(number)
    assert {url: statements(client, url) for url in urls} == one
    assert max(one.values()) <= 2 * STATEMENTS


def test_the_chart_of_the_ledger_says_in_words_what_it_shows_R065() -> None:
    ada, client = somebody(takes=False), browser(Role.LEAD)
    case = decided(by=ada)
    actions.grant(case.pk, kind=GrantKind.REFUND, amount=Decimal(60), currency="EUR", key="k", by=ada, at=NOON)
    actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We are sorry.", by=ada, at=timezone.now())
    actions.refresh_ledger(timezone.now())
    content = client.get(reverse("admin:ledger")).content.decode()
    assert "Email: -20.00 EUR." in content
    assert content.count("-20.00") >= 3


def test_the_ledger_sums_by_team_and_its_budget_of_exceptions_is_nothing_R065() -> None:
    ada, ben, client = somebody(takes=False), somebody(takes=False, name="Ben"), browser(Role.LEAD)
    User.objects.filter(pk=ben.pk).update(line_of_work=LineOfWork.IT, is_vendor=True)
    for key, owner, amount in (("a", ada, 60), ("b", ada, 80), ("c", ben, 70)):
        case = decided(key, by=owner)
        actions.grant(
            case.pk, kind=GrantKind.REFUND, amount=Decimal(amount), currency="EUR", key="k", by=owner, at=NOON
        )
        actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We are sorry.", by=owner, at=timezone.now())
    actions.refresh_ledger(timezone.now())
    shown = client.get(reverse("admin:ledger"))
    assert [(row["team"], row["all"], row["difference"], row["short"]) for row in shown.context["teams"]] == [
        ("IT, at a vendor", 1, Decimal(-10), 1),
        ("customer service", 2, Decimal(-20), 1),
    ]
    assert EXCEPTIONS_BUDGET == shown.context["budget"] == 0


# --- for programs ---------------------------------------------------------------------------------------------------


def test_a_customer_asks_for_a_second_look_at_their_own_case_and_at_no_others_R153() -> None:
    carla = app_user()
    mine = actions.open_case(told("m").pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    Conversation.objects.filter(pk=mine.conversation_id).update(customer=carla.customer)
    Case.objects.filter(pk=mine.pk).update(customer=carla.customer)
    url, other = f"/api/v1/cases/{mine.public_id}/review/", f"/api/v1/cases/{decided('o').public_id}/review/"
    client = client_for(carla)
    assert client.post(url).json()["code"] == "wrong_review"  # nobody has decided yet
    actions.decide(mine.pk, facts=DAMAGED, by=somebody(takes=False), at=NOON)
    asked = client.post(url)
    assert (asked.status_code, asked.json()["result"]) == (201, "")
    assert client.post(url).json()["id"] == asked.json()["id"]
    assert client.post(other).status_code == 404
    assert client_for(somebody(Role.AUDITOR)).post(other).status_code == 403
    assert client_for(somebody()).post(other).status_code == 201
    assert Client().post(url).status_code in (401, 403)


def test_a_program_gives_what_was_decided_in_minor_units_and_a_missing_right_is_noted_R142() -> None:
    case = decided()
    url = f"/api/v1/cases/{case.public_id}/grants/"
    body = {"kind": "refund", "amount": 8000, "currency": "EUR", "key": "k"}
    agent = client_for(somebody())
    assert client_for(somebody(Role.AUDITOR)).post(url, body, format="json").status_code == 403
    assert EmpowermentGap.objects.count() == 1
    assert client_for(app_user()).post(url, body, format="json").status_code in (403, 404)
    assert EmpowermentGap.objects.count() == 1
    too_much = agent.post(url, {**body, "amount": 8001, "key": "x"}, format="json")
    assert (too_much.status_code, too_much.json()["code"]) == (409, "beyond_entitlement")
    answer = agent.post(url, body, format="json")
    assert (answer.status_code, answer.json()["amount"]) == (201, 8000)
    assert agent.post(url, body, format="json").status_code == 201
    assert Grant.objects.count() == 1
    assert outgoing.send_batch(at=NOON) == 0


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_a_case_seen_in_spam_is_dismissed_by_those_who_answer_R010(who: str) -> None:
    case = actions.open_case(told("spam").pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    client, url = browser(who), page("case", case)
    may = who in (Role.AGENT, Role.LEAD)
    if may:
        assert client.post(url, {"do": "dismiss", "reason": "duplicate"}).status_code == 409
    client.post(url, {"do": "dismiss", "reason": "spam"})
    case.refresh_from_db()
    assert (case.status == "dismissed") == may
    if may:
        assert client.get(url).status_code == 200
