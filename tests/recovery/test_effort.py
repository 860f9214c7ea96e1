"""What a matter cost the customer, and the part of it that counts the same on every channel."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import history
from crm.actions import deadlines, desk, intake
from crm.channels import Channel
from crm.models import ContactPoint, Conversation
from recovery import actions
from recovery.policy import COUNTS, Effort, EffortLedger, failures_suggested
from tests.conftest import NOON
from tests.crm.stories import colleague, message


def says(channel: Channel, *, at: datetime, into: Conversation | None = None, hold: int = 0) -> Conversation:
    heard = message(channel=channel, sender_address="kim@home.example", hold_seconds=hold)
    return intake.receive(heard, at=at, origin="test", conversation=into).conversation


def story(channel: Channel) -> Conversation:
    """Late answer; sent to another medium; followed; passed on to a new owner; told again."""
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)
    other = Channel.LETTER if channel != Channel.LETTER else Channel.EMAIL
    conversation = says(channel, at=NOON, hold=600 if channel == Channel.PHONE else 0)
    deadlines.miss_batch(at=NOON + timedelta(hours=9))
    desk.answer(conversation.pk, text="Please call us or write to us.", by=ada, at=NOON + timedelta(hours=10))
    says(other, at=NOON + timedelta(hours=11), into=conversation)
    history.record(
        conversation.customer, "conversation.owned", ref=f"conversation:{conversation.public_id}", by=bob,
        at=NOON + timedelta(hours=12), detail={"owner": bob.pk},
    )  # fmt: skip
    says(other, at=NOON + timedelta(hours=13), into=conversation)
    return conversation


@pytest.mark.django_db
@pytest.mark.parametrize("channel", Channel)
def test_the_same_story_counts_the_same_on_every_channel_R050(channel: Channel):
    ledger = actions.effort_of(story(channel))
    assert dataclasses.replace(ledger, hold_minutes=0) == EffortLedger(
        contacts=3, unanswered=1, retellings=1, switches=1
    )
    assert ledger.hold_minutes == (10 if channel == Channel.PHONE else 0)
    assert failures_suggested(ledger) == 4


@pytest.mark.django_db
def test_counting_changes_nothing_and_takes_three_statements(django_assert_num_queries):
    conversation = story(Channel.EMAIL)
    with django_assert_num_queries(3):
        actions.effort_of(conversation)


@pytest.mark.django_db
def test_a_first_owner_and_a_new_owner_before_any_answer_make_nobody_tell_it_again():
    ada = colleague(takes=False)
    conversation = says(Channel.EMAIL, at=NOON)
    for minutes in (1, 2):
        history.record(
            conversation.customer, "conversation.owned", ref=f"conversation:{conversation.public_id}", by=ada,
            at=NOON + timedelta(minutes=minutes), detail={"owner": ada.pk},
        )  # fmt: skip
    says(Channel.EMAIL, at=NOON + timedelta(hours=1), into=conversation)
    assert actions.effort_of(conversation).retellings == 0
    assert ContactPoint.objects.count() == 1


def test_every_kind_of_effort_is_in_the_matrix_with_its_reason_R050():
    assert set(COUNTS) == set(Effort)
    assert all(counts.because for counts in COUNTS.values())
    assert {field.name for field in dataclasses.fields(EffortLedger)} == {kind.value for kind in Effort}


COUNT = st.integers(0, 500)
LEDGERS = st.builds(
    EffortLedger, contacts=COUNT, hold_minutes=COUNT, unanswered=COUNT, retellings=COUNT, switches=COUNT
)


@given(LEDGERS, COUNT, COUNT)
def test_writing_often_and_holding_long_suggest_nothing_more(ledger: EffortLedger, contacts: int, minutes: int) -> None:
    more = dataclasses.replace(ledger, contacts=contacts, hold_minutes=minutes)
    assert failures_suggested(more) == failures_suggested(ledger)
    assert 1 <= failures_suggested(ledger) <= 99
