"""What the rules do: how often each denies and errs, and that those that do so too often are looked at each quarter (R041)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from crm.actions import intake
from crm.models import Alert, HistoryEntry, User
from crm.policy import AlertKind, Role
from recovery import actions
from recovery.models import Case, CaseReview, RuleReview
from recovery.policy import ComplaintType, Facts, Outcome
from recovery.policy.rule_reviews import LOOKED_AT, Measured, RuleVerdict, quarter_of
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, STATEMENTS, WITHOUT_ROLE, browser, statements, stored
from tests.faults.threads import at_once

PAGE = "admin:rule_reviews"
DAMAGED = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"))
LATER = NOON + timedelta(days=1)
NIGHT = NOON + timedelta(days=2)


def settled(by: User, outcome: Outcome, *, facts: Facts = DAMAGED) -> Case:
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=facts, by=by, at=NOON)
    because = {"reason": "It was whole."} if outcome == Outcome.NOT_UPHELD else {}
    return actions.resolve(case.pk, outcome=outcome, explanation="We looked.", by=by, at=NOON, **because)


def looked_at(case: Case, *, asked_by: User, by: User, facts: Facts) -> CaseReview:
    review = actions.ask_for_review(case.pk, by=asked_by, at=LATER)
    actions.take_review(review.pk, by=by, at=LATER)
    actions.judge(review.pk, merit=Outcome.UPHELD, by=by, at=LATER)
    return actions.finish_review(review.pk, facts=facts, words="We looked again.", by=by, at=LATER)


@pytest.mark.django_db
def test_each_rule_counts_the_cases_it_applied_to_and_what_was_taken_back_counts_nowhere_R041() -> None:
    ada = colleague()
    settled(ada, Outcome.NOT_UPHELD)
    settled(ada, Outcome.UPHELD)
    settled(ada, Outcome.WITHDRAWN)
    settled(ada, Outcome.UPHELD, facts=Facts())
    found = actions.measured(NIGHT)
    assert found["damaged_item"] == found["loss"] == Measured(settled=2, denied=1)
    assert found["everybody"] == Measured(settled=3, denied=1)
    assert "conduct" not in found
    assert actions.measured(NOON + LOOKED_AT + timedelta(days=1)) == {}


@pytest.mark.django_db
def test_a_second_look_that_decides_anew_counts_as_overturned_R041() -> None:
    ada, bob = colleague(), colleague(name="Bob")
    case, other = settled(ada, Outcome.NOT_UPHELD), settled(ada, Outcome.UPHELD)
    looked_at(case, asked_by=ada, by=bob, facts=Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("90.00")))
    looked_at(other, asked_by=ada, by=bob, facts=DAMAGED)
    found = actions.measured(NIGHT)["damaged_item"]
    assert (found.reviewed, found.overturned) == (2, 1)
    assert (found.settled, found.denied) == (2, 1), "the denial stays counted, though it was overturned"


@pytest.mark.django_db
def test_a_rule_that_denies_or_errs_too_often_is_asked_for_once_a_quarter_and_reminded_of_monthly_R041() -> None:
    ada = colleague()
    settled(ada, Outcome.NOT_UPHELD)
    assert actions.ask_for_rule_reviews(NIGHT) == 3
    assert actions.ask_for_rule_reviews(NIGHT) == 0
    asked = RuleReview.objects.get(code="damaged_item")
    assert (asked.quarter, asked.measured) == (quarter_of(NIGHT.date()), Measured(settled=1, denied=1))
    assert Alert.objects.filter(kind=AlertKind.RULE_REVIEW, to=None).count() == 3

    actions.ask_for_rule_reviews(NIGHT + timedelta(days=32))

    assert Alert.objects.filter(kind=AlertKind.RULE_REVIEW, detail__name="damaged_item").count() >= 2


@pytest.mark.django_db
def test_a_rule_within_its_bounds_is_not_asked_for_R041() -> None:
    ada = colleague()
    settled(ada, Outcome.NOT_UPHELD)
    settled(ada, Outcome.UPHELD)
    assert actions.ask_for_rule_reviews(NIGHT) == 0, "half is not more than half"
    assert not Alert.objects.filter(kind=AlertKind.RULE_REVIEW).exists()


@pytest.mark.django_db
def test_a_look_ends_with_what_the_rule_gives_customers_and_a_name_R041() -> None:
    ada, lead = colleague(), colleague(Role.LEAD)
    settled(ada, Outcome.NOT_UPHELD)
    actions.ask_for_rule_reviews(NIGHT)
    asked = RuleReview.objects.get(code="damaged_item")
    decide = partial(actions.decide_rule_review, asked.pk, verdict=RuleVerdict.CHANGE, by=lead, at=NIGHT)
    with pytest.raises(actions.ReasonMissing):
        decide(benefit=" ")
    asked.refresh_from_db()
    assert asked.verdict == ""

    decide(benefit=" They get a whole one. ")

    asked.refresh_from_db()
    assert (asked.verdict, asked.benefit, asked.decided_by) == ("change", "They get a whole one.", lead)
    assert HistoryEntry.objects.get(verb="rule.looked_at").by == lead
    with pytest.raises(actions.AlreadyLookedAt):
        decide(benefit="Nothing.")


@pytest.mark.parametrize(
    "change", [{"verdict": "keep"}, {"benefit": "x"}, {"denied": 2}, {"verdict": "keep", "benefit": "x"}]
)
@pytest.mark.django_db
def test_the_database_refuses_a_look_without_words_or_a_name_R041(change: dict[str, object]) -> None:
    settled(colleague(), Outcome.NOT_UPHELD)
    actions.ask_for_rule_reviews(NIGHT)
    with pytest.raises(IntegrityError), transaction.atomic():
        RuleReview.objects.filter(code="damaged_item").update(**change)


def test_two_who_look_at_once_do_not_both_end_it_R041(transactional_db: None) -> None:
    ada, lead = colleague(), colleague(Role.LEAD)
    settled(ada, Outcome.NOT_UPHELD)
    asking: list[Callable[[], object]] = [partial(actions.ask_for_rule_reviews, NIGHT)] * 2
    at_once(*asking)
    assert RuleReview.objects.filter(code="damaged_item").count() == 1
    number = RuleReview.objects.get(code="damaged_item").pk
    decide = partial(actions.decide_rule_review, number, verdict=RuleVerdict.KEEP, by=lead, at=NIGHT)
    results = at_once(partial(decide, benefit="One."), partial(decide, benefit="Two."))
    assert sum(isinstance(result, actions.AlreadyLookedAt) for result in results) == 1


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_rule_is_asked_for_exactly_beyond_half_denied_or_a_tenth_overturned_R041(
    denied: int, kept: int, overturned: int, upheld: int
) -> None:
    found = Measured(denied + kept, denied, overturned + upheld, overturned)
    assert found.wants_review == (denied > kept or 10 * overturned > overturned + upheld)


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
@pytest.mark.django_db
def test_who_sees_the_page(who: str) -> None:
    client, expected = browser(who), {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 403}.get(who, 200)
    before = stored()
    assert client.get(reverse(PAGE)).status_code == expected
    assert stored() == before


@pytest.mark.django_db
def test_the_page_lists_each_rule_with_its_shares_and_benefit_and_takes_a_look_R041(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada = colleague()
    settled(ada, Outcome.NOT_UPHELD)
    actions.ask_for_rule_reviews(NIGHT)
    monkeypatch.setattr("django.utils.timezone.now", lambda: NIGHT)
    lead, agent = Client(), Client()
    lead.force_login(colleague(Role.LEAD))
    agent.force_login(ada)
    content = lead.get(reverse(PAGE)).content.decode()
    assert "denied 1 of 1" in content
    assert "Whatever was damaged while it was with us is repaired, replaced or paid for." in content
    sent = {
        "review": RuleReview.objects.get(code="damaged_item").public_id,
        "verdict": "change",
        "benefit": "A whole one.",
    }
    assert agent.post(reverse(PAGE), sent).status_code == 403
    for wrong in ({"verdict": "other"}, {"benefit": ""}):
        assert lead.post(reverse(PAGE), {**sent, **wrong}).status_code == 409
    for unknown in ("", "x", "01930000-0000-7000-8000-000000000000"):
        assert lead.post(reverse(PAGE), {**sent, "review": unknown}).status_code == 404
    assert lead.post(reverse(PAGE), sent).status_code == 302
    assert "A whole one." in lead.get(reverse(PAGE)).content.decode()


@pytest.mark.django_db
def test_the_page_costs_the_same_with_one_case_and_with_many_R041() -> None:
    client, ada = browser(Role.AUDITOR), colleague()
    one = statements(client, reverse(PAGE))
    for _number in range(10):
        settled(ada, Outcome.NOT_UPHELD)
    assert statements(client, reverse(PAGE)) == one <= STATEMENTS
