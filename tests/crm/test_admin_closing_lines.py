"""Where colleagues find public closing lines, tell the customer, write them or leave them out (R128)."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.actions import closing_lines, outgoing
from crm.models import ClosingLine, Customer, OutgoingMessage
from crm.policy import Role
from crm.policy.closing_lines import LineState
from tests.conftest import NOON
from tests.crm.actions.test_closing_lines import RIPE, line_of, proposed, settled, token, told
from tests.crm.actions.test_in_public import asked_in
from tests.crm.stories import client_of, colleague

pytestmark = pytest.mark.django_db
LIST = "/admin/closing-lines/"


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def url(line: ClosingLine) -> str:
    return reverse("admin:closing_line", args=[line.public_id])


def test_the_owner_finds_it_in_the_list_and_beside_the_conversation_R128() -> None:
    line, ada = proposed(), client_of()
    listed = ada.get(LIST).content.decode()
    assert line.text in listed
    assert url(line) in listed
    beside = ada.get(reverse("admin:conversation", args=[line.conversation.public_id])).content.decode()
    assert "Public closing line" in beside
    assert url(line) in beside
    closing_lines.drop(line.pk, because="No.", by=colleague(), at=NOON)
    assert url(line) not in ada.get(LIST).content.decode()


def test_a_matter_of_another_kind_shows_nothing_of_it_R128() -> None:
    matter = asked_in("chat")
    assert (
        "Public closing line<"
        not in client_of().get(reverse("admin:conversation", args=[matter.public_id])).content.decode()
    )


def test_told_waited_written_by_three_presses_R128() -> None:
    line, ada = proposed(), client_of()
    shown = ada.get(url(line)).content.decode()
    assert 'value="post"' not in shown
    assert 'for="line-text"' in shown
    assert ada.post(url(line), {"do": "tell", "text": line.text}).status_code == 302
    outgoing.send_batch(at=NOON)
    assert 'value="post"' not in ada.get(url(line)).content.decode()
    early = ada.post(url(line), {"do": "post"})
    assert early.status_code == 409
    assert "can say no until" in early.content.decode()
    with time_machine.travel(RIPE, tick=False):
        ada = client_of()
        assert 'value="post"' in ada.get(url(line)).content.decode()
        assert ada.post(url(line), {"do": "post"}).status_code == 302
        assert "on its way" in ada.get(url(line)).content.decode()
    assert OutgoingMessage.objects.filter(is_public=True).count() == 1


def test_telling_the_same_words_again_sends_nothing_and_says_so_R128() -> None:
    line, ada = told(), client_of()
    assert ada.post(url(line), {"do": "tell", "text": f" {line.text} "}).status_code == 302
    assert "nothing was sent again" in ada.get(url(line)).content.decode()
    assert line_of(line.conversation).word == line.word


def test_a_refusal_is_said_and_what_was_typed_stays_R128_P03() -> None:
    line, ada = proposed(), client_of()
    refused = ada.post(url(line), {"do": "tell", "text": "Order 4711 is settled."})
    assert refused.status_code == 409
    assert "Order 4711 is settled." in refused.content.decode()
    assert 'role="alert"' in refused.content.decode()
    assert ada.post(url(line), {"do": "drop", "because": " "}).status_code == 409
    assert ada.post(url(line), {"do": "nothing"}).status_code == 409
    assert line_of(line.conversation).state == LineState.PROPOSED


def test_a_reason_that_stands_in_the_way_is_shown_before_anybody_types_R128() -> None:
    line = told()
    Customer.objects.update(status="closed")
    assert "are no customer any more" in client_of().get(url(line)).content.decode()


def test_after_a_no_the_page_says_so_and_offers_nothing_R128() -> None:
    line = told()
    closing_lines.say_no(token(line), at=NOON)
    shown = client_of().get(url(line)).content.decode()
    assert "the customer said no" in shown
    assert 'name="do"' not in shown


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.LOYALTY_MANAGER])
def test_who_may_not_answer_may_look_and_change_nothing_R128(role: Role) -> None:
    line, other = proposed(), client_of(role)
    assert 'name="do"' not in other.get(url(line)).content.decode()
    assert other.post(url(line), {"do": "drop", "because": "x"}).status_code == 403
    assert line_of(line.conversation).state == LineState.PROPOSED


def test_the_list_costs_the_same_for_many_R128() -> None:
    ada = client_of()
    settled()

    def cost() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert ada.get(LIST).status_code == 200
        return len(counted)

    cost()
    first = cost()
    for who in ("dora", "emil", "fritz"):
        settled(who=who)
    assert cost() == first
