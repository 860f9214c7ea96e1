"""The night's look at the queue, on rows that the product's own doors and actions wrote."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm.actions import credits, desk, duties, intake, outgoing, promises, queue
from crm.channels import Channel
from crm.models import Alert, Conversation, HistoryEntry, Interaction, Promise, Pull, User
from crm.policy import ALWAYS, AlertKind, OutOfOrder, default_promises
from recovery import actions
from recovery.actions import shadow
from recovery.models import QueueDay
from recovery.policy import Facts
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

TODAY = NOON.date()
NIGHT = NOON + timedelta(hours=15, minutes=10)  # 03:10 the next morning


@pytest.fixture
def ada(db: None) -> User:
    return colleague(name="Ada")


def heard(minute: int, *, channel: str = Channel.EMAIL, lag: int = 0, **changes: Any) -> Conversation:
    """Somebody speaks so many minutes after noon and reaches us `lag` minutes later."""
    spoke_at = NOON + timedelta(minutes=minute)
    said = message(channel=Channel(channel), spoke_at=spoke_at, **changes)
    return intake.receive(said, at=spoke_at + timedelta(minutes=lag), origin="test").conversation


def answered(conversation: Conversation, minute: int, *, by: User, because: str = "") -> None:
    """Somebody answers. The queue asks for a reason out of order; unless named, the row is left as if none had been kept."""
    at = NOON + timedelta(minutes=minute)
    desk.answer(conversation.pk, text="We are on it.", by=by, at=at, out_of_order=because or OutOfOrder.KNOWS_IT)
    if not because:
        Pull.objects.filter(conversation=conversation).update(reason="", ahead=0)
    outgoing.send_batch(at=at)


def look(at: datetime = NIGHT) -> QueueDay:
    assert shadow.look_at(TODAY, at=at)
    return QueueDay.objects.get(day=TODAY)


def test_a_day_in_order_is_the_same_on_every_channel_Q7(ada):
    for number, channel in enumerate(Channel):
        answered(heard(number, channel=channel), 60 + number, by=ada)
    day = look()
    assert (day.arrivals, day.begun, day.swaps) == (14, 14, 6)
    assert day.same_order
    assert (day.out_of_order, day.unexplained, day.gravest) == (0, 0, [])
    assert not Alert.objects.exists()


def test_whoever_was_passed_over_is_counted_by_cause_and_by_both_channels_R059(ada):
    first = heard(0, channel=Channel.LETTER)
    second = heard(5, channel=Channel.SOCIAL_PUBLIC)
    answered(second, 10, by=ada)
    answered(first, 20, by=ada)
    day = look()
    assert day.counts == [
        {"cause": "unexplained", "begun": Channel.SOCIAL_PUBLIC, "passed": Channel.LETTER, "number": 1}
    ]
    (line,) = day.gravest
    assert (line["begun"]["ref"], line["passed"]["ref"]) == (str(second.public_id), str(first.public_id))
    assert (day.out_of_order, day.unexplained, line["by"], line["number"]) == (1, 1, ada.pk, 1)


def test_a_reason_that_a_colleague_gave_explains_it_E09(ada):
    heard(0, channel=Channel.LETTER)
    answered(heard(5), 10, by=ada, because=OutOfOrder.ASKED_BY_LEAD)
    day = look()
    assert [(row["cause"], row["number"]) for row in day.counts] == [("reason", 1)]
    assert (day.unexplained, day.gravest[0]["reason"]) == (0, OutOfOrder.ASKED_BY_LEAD)


def test_what_a_credit_moved_is_explained_and_the_order_without_credits_is_still_the_same_R067(ada):
    """The shadow serves with credits at zero; each inversion of a credit is listed, with its own cause."""
    first, letter = heard(0), heard(60, channel=Channel.LETTER)
    credits.put(Channel.LETTER, minutes=120, most=240, by=None, at=NOON)
    pull = queue.next_for(ada, at=NOON + timedelta(minutes=70))
    assert pull is not None
    assert pull.conversation == letter
    answered(letter, 80, by=ada)
    answered(first, 90, by=ada)
    day = look()
    assert day.same_order
    assert (day.out_of_order, day.unexplained) == (1, 0)
    assert day.counts == [{"cause": "credit", "begun": Channel.LETTER, "passed": Channel.EMAIL, "number": 1}]


def test_a_credit_explains_no_more_than_it_could_have_moved_R067(ada):
    """Somebody who was due before all whom the credit let pass was passed over by something else."""
    early, first, letter = heard(0), heard(55), heard(60, channel=Channel.LETTER)
    credits.put(Channel.LETTER, minutes=10, most=240, by=None, at=NOON)
    Conversation.objects.filter(pk=early.pk).update(owner=colleague(name="Bob", takes=False), first_answer_at=NOON)
    pull = queue.next_for(ada, at=NOON + timedelta(minutes=70))
    assert pull is not None
    assert pull.conversation == letter
    Conversation.objects.filter(pk=early.pk).update(owner=None, first_answer_at=None)  # as if it had been anybody's
    answered(letter, 80, by=ada)
    answered(first, 90, by=ada)
    found = {(row["cause"], row["number"]) for row in look().counts}
    assert ("credit", 1) in found
    assert ("unexplained", 1) in found


def test_a_matter_has_begun_when_it_is_taken_not_when_it_is_answered(ada):
    first, second = heard(0), heard(1)
    assert queue.next_for(ada, at=NOON + timedelta(minutes=2)).conversation == first
    answered(second, 5, by=colleague(name="Bob"))
    answered(first, 30, by=ada)
    assert look().out_of_order == 0


def test_the_causes_that_the_stored_rows_can_tell(ada):
    bob, away = colleague(name="Bob", takes=False), colleague(name="Cleo", takes=False)
    lagging = heard(0, channel=Channel.LETTER, lag=100)
    owned, left = heard(1), heard(2)
    Conversation.objects.filter(pk=owned.pk).update(owner=bob)
    Conversation.objects.filter(pk=left.pk).update(owner=away)
    answered(heard(3), 10, by=ada)
    answered(owned, 120, by=bob)
    answered(lagging, 130, by=ada)
    assert {(row["cause"], row["number"]) for row in look().counts} == {
        ("ingest_lag", 1), ("owners_matter", 1), ("owner_away", 1),
    }  # fmt: skip


def test_somebody_on_the_line_is_told_apart(ada):
    heard(0)
    call = desk.Call(
        key="one", phone="030 1234567", said="It is broken.", agreed="", spoke_at=NOON + timedelta(minutes=5),
        spoke_at_known_from="phone display",
    )  # fmt: skip
    desk.log_call(call, by=ada, at=NOON + timedelta(minutes=30))
    assert [(row["cause"], row["begun"], row["number"]) for row in look().counts] == [("live", Channel.PHONE, 1)]


def test_harm_that_cannot_wait_counts_from_when_it_was_noted(ada):
    ordinary, grave = heard(0), heard(1)
    case = actions.open_case(grave.pk, facts=Facts(), seen_because=["broken"], by=ada, at=NOON + timedelta(minutes=2))
    answered(heard(2), 10, by=ada)
    actions.decide(case.pk, facts=Facts(safety=True), by=ada, at=NOON + timedelta(minutes=20))
    answered(ordinary, 30, by=ada)
    answered(grave, 40, by=ada)
    lines = {(line["begun"]["ref"], line["passed"]["ref"]) for line in look().gravest}
    assert (str(ordinary.public_id), str(grave.public_id)) in lines


def test_writing_again_after_our_answer_is_a_new_wait(ada):
    talk = heard(0, sender_address="kim@home.example")
    answered(talk, 10, by=ada)
    at = NOON + timedelta(minutes=20)
    more = message("And now?", sender_address="kim@home.example", spoke_at=at)
    intake.receive(more, at=at, origin="test", conversation=talk)
    answered(talk, 50, by=ada)
    day = look()
    assert (day.arrivals, day.begun, day.out_of_order) == (2, 2, 0)


def test_a_matter_of_the_day_before_that_still_waits_is_passed_over(ada):
    heard(-60 * 14)
    answered(heard(0), 10, by=ada)
    day = look()
    assert (day.arrivals, day.begun, day.out_of_order) == (1, 1, 1)


# --- it can fail ----------------------------------------------------------------------------------------------------


def test_a_promise_that_moves_callers_forward_is_found(ada, monkeypatch):
    """Planted: the written confirmation of a talk, due in an hour, places the whole matter."""
    for number in range(6):
        heard(number, channel=Channel.PHONE if number % 2 else Channel.EMAIL)
    monkeypatch.setattr(shadow, "queue_due", lambda promised: min(due_at for _kind, due_at in promised))
    day = look()
    assert not day.same_order
    assert day.differences
    alert = Alert.objects.get()
    assert (alert.kind, alert.to, alert.detail["day"]) == (AlertKind.ORDER_DIFFERS, None, "2026-03-02")


def test_a_query_that_looks_at_the_channel_is_found(ada, monkeypatch):
    """Planted: the list from which people take their work puts social media first."""
    for number in range(6):
        heard(number, channel=Channel.SOCIAL_PUBLIC if number == 5 else Channel.EMAIL)
    querysets = type(Conversation.objects.all())
    monkeypatch.setattr(querysets, "in_due_order", lambda self: self.order_by("-channel", "due_at", "id"))
    assert not look().same_order


# --- once a day, however often and however late ---------------------------------------------------------------------


def test_looking_again_changes_nothing(ada):
    answered(heard(0), 10, by=ada)
    before = look()
    heard(30)
    assert not shadow.look_at(TODAY, at=NIGHT + timedelta(days=3))
    assert QueueDay.objects.get() == before
    assert HistoryEntry.objects.filter(verb="queue.looked_at").count() == 1


def test_two_workers_write_one_day_F22(transactional_db):
    heard(0)
    results = at_once(*[lambda: shadow.look_at(TODAY, at=NIGHT)] * 2)
    assert sorted(results) == [False, True]
    assert QueueDay.objects.count() == HistoryEntry.objects.filter(verb="queue.looked_at").count() == 1


def test_two_beats_and_six_hours_late_look_at_one_day_once_F22_F23(ada):
    heard(0)
    late = NIGHT + timedelta(hours=6)
    rung = [duties.once_per_slot("channel_swap_shadow", actions.channel_swap_shadow, at=late) for _beat in range(2)]
    assert rung == [True, False]
    assert [str(day) for day in QueueDay.objects.all()] == ["2026-03-02"]


def test_days_that_were_missed_are_made_up_and_begin_with_the_first_one_known_F23(ada):
    assert actions.channel_swap_shadow(NIGHT) == 1
    assert actions.channel_swap_shadow(NIGHT + timedelta(days=3)) == 3
    assert actions.channel_swap_shadow(NIGHT + timedelta(days=3)) == 0
    assert actions.channel_swap_shadow(NIGHT + timedelta(days=90)) == shadow.DAYS_MADE_UP
    assert QueueDay.objects.count() == 4 + shadow.DAYS_MADE_UP


def test_what_happened_after_the_day_changes_nothing_about_it(ada):
    first, second = heard(0), heard(5)
    answered(second, 10, by=ada)
    at_night = shadow._waits(NOON.replace(hour=0), until=NOON.replace(hour=0) + timedelta(days=1))
    answered(first, 60 * 20, by=ada)
    assert look(NIGHT + timedelta(days=2)).out_of_order == 1
    assert len(at_night) == 2


def test_a_day_is_never_changed_or_removed_E17(ada):
    look()
    for statement in ("UPDATE recovery_queueday SET unexplained = 0", "DELETE FROM recovery_queueday"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_day_takes_as_many_statements_whether_few_or_many_came(ada):
    def statements(day: int) -> int:
        at = NIGHT + timedelta(days=day)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert shadow.look_at(TODAY + timedelta(days=day), at=at)
        return len(captured)

    answered(heard(0), 10, by=ada)
    few = statements(0)
    for number in range(30):
        answered(heard(60 * 24 + number), 60 * 24 + 60 + number, by=ada)
    assert statements(1) == few


@pytest.mark.slow
def test_ten_thousand_matters_of_a_day_are_looked_at_within_seconds(ada):
    """Stored in bulk as intake stores them: one message, one promise, and an answer for most of them."""
    number, team = 10_000, [ada, *(colleague(name=f"C{n}") for n in range(20))]
    customer = heard(0).customer
    channels = list(Channel)
    spoke = [NOON - timedelta(hours=10) + timedelta(seconds=6 * n) for n in range(number)]
    talks = Conversation.objects.bulk_create(
        Conversation(
            customer=customer,
            owner=team[n % 21],
            channel=channels[n % 14],
            state="open",
            spoke_at=at,
            due_at=at + timedelta(hours=8),
        )
        for n, at in enumerate(spoke)
    )
    Promise.objects.bulk_create(
        promises.row(talk, due, given_by="everybody")
        for talk in talks
        for due in default_promises(talk.spoke_at, spoken=False, calendar=ALWAYS)
    )
    Interaction.objects.bulk_create(
        Interaction(
            conversation=talk,
            direction="in",
            channel=talk.channel,
            source="bulk",
            external_id=str(n),
            text="…",
            spoke_at=talk.spoke_at,
            ingested_at=talk.spoke_at + timedelta(minutes=n % 7),
        )
        for n, talk in enumerate(talks)
    )
    Interaction.objects.bulk_create(
        Interaction(
            conversation=talk, direction="out", channel=talk.channel, source="desk", external_id=f"a{n}", text="…",
                author=team[n * 7 % 21],
            spoke_at=(at := talk.spoke_at + timedelta(minutes=20 + n * 37 % 90)), ingested_at=at,
        )
        for n, talk in enumerate(talks[: number * 9 // 10])
    )  # fmt: skip
    began = time.perf_counter()
    day = look()
    spent = time.perf_counter() - began
    print(f"{day.arrivals:,} matters, {day.out_of_order:,} pairs out of order, looked at in {spent:.1f} s")
    assert day.arrivals > 9_000
    assert day.same_order
    assert spent < 60
