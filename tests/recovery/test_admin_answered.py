"""Response coverage on every channel: the page, and what is in its denominator (R033)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.actions import desk, endings, intake, outgoing
from crm.channels import Channel
from crm.models import Conversation, Promise, User
from crm.policy import Counted, DismissalReason, OutOfOrder, PostVerdict, Role
from crm.policy import counted as counts_for
from recovery import actions
from recovery.admin.answered import NEEDED_NONE, counted
from recovery.policy import ComplaintType, Facts
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, STATEMENTS, WITHOUT_ROLE, browser, statements, stored

pytestmark = pytest.mark.django_db

PAGE = "admin:answered"
LATER = NOON + timedelta(hours=1)
LONG_AFTER = NOON + timedelta(days=9)


def heard(channel: Channel = Channel.EMAIL, *, at: datetime = NOON) -> Conversation:
    kind = "email" if channel == Channel.EMAIL else "handle"
    return intake.receive(message(channel=channel, sender_kind=kind), at=at, origin="test").conversation


def answer(conversation: Conversation, by: User, *, at: datetime = NOON) -> None:
    desk.answer(conversation.pk, text="Tomorrow.", by=by, at=at, out_of_order=OutOfOrder.KNOWS_IT)
    while outgoing.send_batch(at=at):
        pass
    assert Conversation.objects.get(pk=conversation.pk).first_answer_at is not None


def sums(*, at: datetime = LONG_AFTER) -> dict[tuple[str, str | None], tuple[int, int, int, int]]:
    found = counted(NOON - timedelta(days=1), NOON + timedelta(days=1), at=at)
    return {
        (row["channel"], row["kind"]): (row["answered"], row["unanswered"], row["needed_none"], row["in_time"])
        for row in found
    }


def test_every_matter_counts_once_by_channel_and_kind_of_all_that_needed_an_answer_R033() -> None:
    ada = colleague()
    answer(heard(), ada)
    heard()
    endings.dismiss(heard().pk, reason=DismissalReason.SPAM, same_as=None, by=ada, at=NOON)
    case = actions.open_case(heard(Channel.CHAT).pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    facts = Facts(complaint_type=ComplaintType.DAMAGED_ITEM, loss=Decimal(80))
    actions.decide(case.pk, facts=facts, by=ada, at=NOON)

    assert sums() == {("email", None): (1, 1, 1, 0), ("chat", "damaged_item"): (0, 1, 0, 0)}


def test_nothing_counts_before_its_promised_answer_is_due_R033() -> None:
    answer(heard(), colleague())
    heard()
    assert sums(at=NOON + timedelta(minutes=1)) == {("email", None): (0, 0, 0, 2)}


def test_gone_quiet_before_anybody_answered_is_unanswered_and_a_reopened_dismissal_too_R033() -> None:
    ada, quiet, back = colleague(), heard(), heard()
    for medium in (Channel.PHONE, Channel.EMAIL, Channel.PHONE):
        endings.log_try(quiet.pk, medium=medium, note="It rang.", by=ada, at=LATER)
    endings.go_quiet(quiet.pk, note="", by=ada, at=LATER)
    endings.dismiss(back.pk, reason=DismissalReason.SPAM, same_as=None, by=ada, at=NOON)
    endings.open_again(back.pk, by=ada, at=NOON)
    assert sums() == {("email", None): (0, 2, 0, 0)}


def test_what_we_began_and_history_from_files_are_in_no_share_R033() -> None:
    heard()
    Conversation.objects.update(imported=True)
    ours = heard()
    Conversation.objects.filter(pk=ours.pk).update(last_inbound_at=None)
    assert sums() == {}


@pytest.mark.parametrize("is_answered", [False, True])
@pytest.mark.parametrize("is_dismissed", [False, True])
@pytest.mark.parametrize("at", [NOON + timedelta(minutes=1), LONG_AFTER])
def test_the_database_counts_as_the_policy_does_R033(is_answered: bool, is_dismissed: bool, at: datetime) -> None:
    ada, conversation = colleague(), heard()
    if is_dismissed:
        endings.dismiss(conversation.pk, reason=DismissalReason.SPAM, same_as=None, by=ada, at=NOON)
    if is_answered:
        Conversation.objects.update(first_answer_at=NOON)
    due_at = Promise.objects.order_by("due_at").values_list("due_at", flat=True)[0]
    verdict = PostVerdict.NO_ANSWER if is_dismissed else ""
    wanted = counts_for(verdict=verdict, is_answered=is_answered, due_at=due_at, at=at)
    order = [Counted.ANSWERED, Counted.UNANSWERED, Counted.NOT_ANSWERABLE, Counted.IN_TIME]
    assert sums(at=at) == {("email", None): tuple(int(wanted == one) for one in order)}
    assert len(NEEDED_NONE) == 2


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_sees_the_page(who: str) -> None:
    client, expected = browser(who), {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 403}.get(who, 200)
    before = stored()
    assert client.get(reverse(PAGE)).status_code == expected
    assert stored() == before


def test_the_page_carries_the_42_percent_line_and_the_target_of_all_R033() -> None:
    answer(heard(at=timezone.now() - timedelta(days=9)), colleague(), at=timezone.now())
    heard(at=timezone.now() - timedelta(days=9))
    content = browser(Role.AUDITOR).get(reverse(PAGE)).content.decode()
    assert "50.0 %" in content
    assert "1 of 2 that needed it; the target is all" in content
    assert '<line x1="42" x2="42"' in content
    assert "42 %" in content


def test_the_page_costs_the_same_with_one_and_with_many_R033() -> None:
    client = browser(Role.LEAD)
    heard(at=timezone.now())
    one = statements(client, reverse(PAGE))
    for channel in Channel:
        heard(channel, at=timezone.now())
    assert statements(client, reverse(PAGE)) == one <= STATEMENTS
