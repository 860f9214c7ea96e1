"""What nobody asked for is a case of ours by itself, with what it cost, and it is counted as a cause (R049, R019)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from crm.actions import service_changes
from crm.models import Owed, Promise
from crm.policy.service_changes import ReversalState
from recovery import actions
from recovery.models import Case
from recovery.policy import ComplaintType, Facts, RemedyKind
from recovery.policy.causes import Cause
from tests.conftest import NOON
from tests.crm.actions.test_service_changes import customer_of, record, token_of
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db


def work_off(at=NOON) -> None:
    while actions.work_batch("recovery", at=at):
        pass


def facts_of(case: Case) -> Facts:
    return Facts.from_data(case.decisions.order_by("-pk")[0].facts)


def test_its_case_opens_by_itself_and_the_rules_say_what_is_owed_R049():
    change = record(customer_of())
    work_off()
    case = Case.objects.get(conversation=change.conversation)
    assert (case.complaint_type, case.cause) == (ComplaintType.UNREQUESTED_CHANGE, Cause.UNREQUESTED_CHANGE)
    assert facts_of(case) == Facts(ComplaintType.UNREQUESTED_CHANGE, loss=Decimal("9.98"))
    owed = case.decisions.get().entitlement
    assert owed["owed"] == "9.98"
    assert {RemedyKind.REVERSE_CHANGE, RemedyKind.REFUND_LOSS, RemedyKind.WRITTEN_CONFIRMATION} <= set(owed["remedies"])
    assert Owed.objects.filter(conversation=change.conversation, amount=Decimal("9.98")).exists()
    work_off()
    assert Case.objects.count() == 1


def test_what_it_cost_by_the_end_is_owed_and_no_less_than_a_colleague_noted_R049():
    change, agent = record(customer_of()), colleague()
    work_off()
    later = NOON + timedelta(days=40)
    service_changes.put_back(change.pk, by=agent, at=later)
    work_off(later)
    case = Case.objects.get()
    assert facts_of(case).loss == Decimal("14.97")
    assert case.decisions.count() == 2
    second = record(customer_of("b@home.example"), by=agent, key="k2")
    work_off(later)
    noted = Case.objects.get(conversation=second.conversation)
    actions.decide(noted.pk, facts=Facts(ComplaintType.UNREQUESTED_CHANGE, loss=Decimal(50)), by=agent, at=later)
    service_changes.put_back(second.pk, by=agent, at=later)
    work_off(later)
    assert facts_of(noted).loss == Decimal(50)


def test_kept_by_the_customer_s_word_still_owes_the_time_before_and_either_nudge_may_come_first_R049():
    change = record(customer_of())
    service_changes.answer(token_of(change), ReversalState.KEPT, at=NOON)
    work_off()  # both nudges wait in the same lane
    case = Case.objects.get()
    assert facts_of(case).loss == Decimal("9.98")
    assert case.decisions.count() == 1


def test_a_change_that_costs_nothing_owes_its_undoing_and_no_money_R049():
    change = record(customer_of(), cost=None, currency="", every="")
    work_off()
    case = Case.objects.get(conversation=change.conversation)
    assert case.decisions.get().entitlement["owed"] == "0.00"
    assert Promise.objects.filter(conversation=change.conversation, kind="resolution").exists()


def test_a_settled_case_is_left_as_it_was_settled_R049():
    change, agent = record(customer_of()), colleague()
    work_off()
    case = Case.objects.get()
    Case.objects.filter(pk=case.pk).update(status="dismissed")
    service_changes.put_back(change.pk, by=agent, at=NOON + timedelta(days=40))
    work_off(NOON + timedelta(days=40))
    assert case.decisions.count() == 1
