"""What customers do after a settled failure, beside like customers who met none (R129)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.actions import endings, intake
from crm.channels import Channel
from crm.models import Conversation
from crm.policy import DismissalReason, Role
from recovery import actions
from recovery.admin.afterwards import counted
from recovery.models import Case
from recovery.policy import Facts, Outcome
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, STATEMENTS, WITHOUT_ROLE, browser, statements, stored

pytestmark = pytest.mark.django_db

PAGE = "admin:afterwards"
HALF_A_YEAR_ON = NOON + timedelta(days=181)


def told(address: str, *, days: int = 0, channel: Channel = Channel.EMAIL) -> Conversation:
    heard = message(sender_address=f"{address}@home.example", channel=channel)
    return intake.receive(heard, at=NOON + timedelta(days=days), origin="test").conversation


def settled(conversation: Conversation) -> Case:
    ada = colleague()
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=Facts(), by=ada, at=NOON)
    return actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We are sorry.", by=ada, at=NOON)


def sums() -> dict[bool, tuple[int, int, int]]:
    return {row["failed"]: (row["customers"], row["again"], row["left"]) for row in counted(HALF_A_YEAR_ON)}


def test_customers_count_once_with_their_first_matter_and_coming_again_is_another_one_later_R129() -> None:
    settled(told("kim"))
    told("kim", days=40)
    settled(told("lee"))
    told("lee", days=3)
    told("sam")
    assert sums() == {True: (2, 1, 0), False: (1, 0, 0)}


def test_open_cases_spam_and_who_was_not_followed_long_enough_are_left_out_R129() -> None:
    actions.open_case(told("kim").pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    endings.dismiss(told("spam").pk, reason=DismissalReason.SPAM, same_as=None, by=colleague(), at=NOON)
    told("new", days=2)
    assert sums() == {}


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_sees_the_page(who: str) -> None:
    client, expected = browser(who), {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 403}.get(who, 200)
    before = stored()
    assert client.get(reverse(PAGE)).status_code == expected
    assert stored() == before


def test_the_page_compares_like_with_like_claims_no_cause_and_says_that_spend_is_unknown_R129(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = browser(Role.AUDITOR)
    one = statements(client, reverse(PAGE))
    settled(told("kim"))
    told("kim", days=40)
    told("sam")
    Conversation.objects.update(spoke_at=timezone.now() - timedelta(days=200))
    Conversation.objects.filter(pk=Conversation.objects.order_by("-pk")[1].pk).update(
        spoke_at=timezone.now() - timedelta(days=100)
    )
    assert statements(client, reverse(PAGE)) == one <= STATEMENTS
    content = client.get(reverse(PAGE)).content.decode()
    assert "100.0 %" in content
    assert "1 + 1" in content
    assert "it claims no cause" in content
    assert "knows nothing of what customers buy" in content
