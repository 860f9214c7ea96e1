"""Calls and people at the counter: reported in any order, missed, cut off, called back."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from crm.actions import call_backs, calls, desk, identity, intake, outgoing, talks
from crm.channels import Channel
from crm.models import (
    Alert,
    Call,
    CallEvent,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    Promise,
    User,
)
from crm.policy import CallEventKind, CallState, ConversationState, EndedBy, PromiseKind, queue_key
from tests.conftest import NOON
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db

PHONE = "+4930123456"
K = CallEventKind


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def told(kind: CallEventKind, seconds: float, *, call: str = "c1", **more: Any) -> calls.Told:
    plain = {"source": "phone:main", "external_id": call, "event_id": f"{kind}{seconds}", "caller": PHONE}
    return calls.Told(**{**plain, "kind": kind, "stated_at": after(seconds), **more})


def report(*events: calls.Told, at: datetime | None = None) -> Call:
    """Report events, each when it happened or all at one time."""
    for event in events:
        call = calls.report(event, by=None, at=at or event.stated_at or NOON, origin="test")
    return call


def known_source() -> None:
    """A phone system that has reported well before."""
    report(told(K.RANG, -3600, call="before", caller=""))
    Call.objects.update(followed_up_at=NOON)


def rings(*, call: str = "c1", seconds: float = 0, caller: str = PHONE) -> Call:
    return report(told(K.RANG, seconds, call=call, caller=caller))


def talks_now(*, call: str = "c1", by: User | None = None, seconds: float = 0) -> Call:
    rings(call=call, seconds=seconds)
    return report(told(K.ANSWERED, seconds + 20, call=call, colleague=by))


def is_over(call: Call) -> Call:
    call.refresh_from_db()
    return call


def promised(conversation: Conversation) -> dict[str, tuple[datetime, datetime, str]]:
    return {p.kind: (p.starts_at, p.due_at, p.state) for p in Promise.objects.filter(conversation=conversation)}


def place(conversation: Conversation) -> Any:
    conversation.refresh_from_db()
    return queue_key(
        queue_class=conversation.queue_class, due_at=conversation.due_at, spoke_at=conversation.spoke_at, number=0
    )


# --- what is reported ---------------------------------------------------------------------------------------------------

WHOLE = [
    told(K.RANG, 0),
    told(K.ANSWERED, 20),
    told(K.HELD, 60),
    told(K.RESUMED, 90),
    told(K.ENDED, 200, ended_by=EndedBy.CUSTOMER),
]


def columns(call: Call) -> tuple[Any, ...]:
    call.refresh_from_db()
    return (
        call.state, call.rang_at, call.answered_at, call.ended_at, call.ended_by, call.hold_seconds, call.hold_began_at,
        call.caller,
    )  # fmt: skip


def test_every_order_of_events_gives_the_same_call():
    known_source()
    found = set()
    for number, order in enumerate(permutations(WHOLE)):
        events = [
            told(e.kind, (e.stated_at - NOON).total_seconds(), call=f"o{number}", ended_by=e.ended_by) for e in order
        ]
        found.add(columns(report(*events, at=after(300))))
    assert found == {("ended", NOON, after(20), after(200), "customer", 30, None, PHONE)}


class AnyOrder(TestCase):
    """Whatever a phone system reports, the database takes it, and the order makes no difference."""

    def setUp(self) -> None:
        known_source()

    @settings(max_examples=20, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([k for k in K if k != K.SILENT]), st.integers(-50, 900), st.sampled_from(EndedBy)
            ),
            min_size=1,
            max_size=6,
            unique_by=lambda event: event[:2],
        ),
        st.randoms(),
    )
    def test_events(self, events: list[tuple[CallEventKind, int, EndedBy]], chance: Any) -> None:
        shuffled = [*events, events[0]]  # a repeat changes nothing
        chance.shuffle(shuffled)
        found = set()
        for name, heap in (("one", events), ("two", shuffled)):
            heap_told = [told(kind, seconds, call=name, ended_by=by) for kind, seconds, by in heap]
            call = report(*heap_told, at=after(1000))
            found.add(columns(call))
            assert call.events.count() == len(events)
        assert len(found) == 1


def test_times_are_bounded_and_the_claim_is_kept_E19_E14_H05():
    known_source()  # last heard an hour before noon
    call = report(told(K.RANG, -7200), told(K.ANSWERED, 7200, event_id="a"), at=NOON)
    assert (call.rang_at, call.answered_at) == (after(-3600), NOON)
    claims = dict(CallEvent.objects.filter(call=call).values_list("kind", "stated_at"))
    assert claims == {"rang": after(-7200), "answered": after(7200)}


def test_after_an_outage_every_call_that_was_kept_back_counts_from_its_ring_E15():
    known_source()
    found = [report(told(K.RANG, number * 60, call=f"q{number}"), at=after(6 * 3600)).rang_at for number in range(5)]
    assert found == [after(number * 60) for number in range(5)]
    call_backs.recover_dropped_calls(after(6 * 3600 + 60))
    assert Promise.objects.get(kind="first_response").due_at == NOON + timedelta(hours=8)


def test_what_is_pressed_here_says_nothing_about_how_well_a_phone_system_delivers_E19():
    known_source()
    calls.pick_up(rings().pk, by=colleague(), at=after(300))
    assert report(told(K.RANG, 250, call="c2"), at=after(400)).rang_at == after(250)


def test_the_first_words_of_a_source_count_from_when_we_got_them_E19():
    assert report(told(K.RANG, -600), at=NOON).rang_at == NOON


def test_a_number_nobody_could_call_is_no_caller():
    assert rings(caller="anonymous").caller == ""
    assert rings(call="c2", caller="030 123456").caller == PHONE


def test_the_same_event_twice_is_one_and_with_other_content_refused_C11():
    rings()
    rings()
    with pytest.raises(intake.DifferentContent):
        report(told(K.RANG, 5, event_id="rang0"))
    assert CallEvent.objects.count() == 1
    assert HistoryEntry.objects.filter(verb="call.rang").count() == 1


def test_events_are_never_changed():
    rings()
    CallEvent.objects.update(caller="")  # a number may be forgotten, never put in
    changes = (
        "UPDATE crm_callevent SET at = now()",
        "UPDATE crm_callevent SET caller = '+49'",
        "DELETE FROM crm_callevent",
    )
    for statement in changes:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize(
    "impossible",
    [
        {"state": "talking"},
        {"state": "ended"},
        {"ended_by": "us"},
        {"answered_at": after(-1), "state": "talking"},
        {"ended_at": after(-1), "state": "ended", "ended_by": "us"},
        {"ended_at": after(5), "state": "ended"},
        {"hold_seconds": 5},
        {"hold_began_at": after(5)},
        {"channel": "email"},
        {"said_all": True},
        {"call_back_agreed_at": after(5)},
    ],
)
def test_the_database_refuses_impossible_calls(impossible):
    call = rings()
    with pytest.raises(IntegrityError), transaction.atomic():
        Call.objects.filter(pk=call.pk).update(**impossible)


def test_buttons_pressed_twice_change_nothing_and_whoever_was_first_has_the_call():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    call = rings()
    calls.pick_up(call.pk, by=ada, at=after(10))
    calls.pick_up(call.pk, by=ben, at=after(11))
    for seconds in (20, 25):
        calls.hold(call.pk, by=ada, at=after(seconds))
    for seconds in (50, 55):
        calls.resume(call.pk, by=ada, at=after(seconds))
    for seconds in (80, 90):
        found = calls.end(call.pk, ended_by=EndedBy.CUSTOMER, by=ada, at=after(seconds))
    assert (found.answered_by, found.hold_seconds, found.ended_at) == (ada, 30, after(80))
    assert CallEvent.objects.count() == 5


# --- whose call it is ---------------------------------------------------------------------------------------------------


def log(**changes: Any) -> talks.Call:
    plain = {
        "key": "k1",
        "phone": PHONE,
        "said": "It is broken.",
        "agreed": "We mend it.",
        "email": "carla@home.example",
    }
    return talks.Call(**{**plain, **changes})


def test_a_returning_caller_reaches_the_owner_or_who_stands_in_R135():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = desk.log_call(log(), by=ben, at=NOON).conversation
    Conversation.objects.update(owner=ada)
    _call, person = calls.ring(told(K.RANG, 0, call="r1", caller="030 123456"), by=None, at=NOON, origin="test")
    assert person == ada
    User.objects.filter(pk=ada.pk).update(takes_conversations=False)
    assert calls.route_to(rings()) == ben
    Conversation.objects.filter(pk=conversation.pk).update(state="closed", due_at=None)
    assert calls.route_to(rings()) is None
    assert calls.route_to(rings(call="c3", caller="")) is None


# --- nobody answered ----------------------------------------------------------------------------------------------------


def test_a_missed_call_is_promised_what_a_mail_of_the_same_second_is_R012_R048():
    colleague()
    mailed = intake.receive(message(), at=NOON, origin="test").conversation
    rings()
    assert call_backs.recover_dropped_calls(after(59)) == 0
    assert call_backs.recover_dropped_calls(after(61)) == 1

    missed = Interaction.objects.get(source="phone:main")
    theirs, ours = promised(missed.conversation), promised(mailed)
    assert theirs.pop("call_back")[:2] == ours["first_response"][:2]
    assert theirs == ours
    assert place(missed.conversation) == place(mailed)
    assert list(Conversation.objects.in_due_order()) == [
        mailed,
        missed.conversation,
    ]  # the earlier number of two equals
    assert missed.conversation.owner_id is not None
    assert (missed.text, missed.call_seconds, missed.wait_seconds, missed.ended_by) == ("", None, 61, "unknown")
    assert (missed.spoke_at, missed.ingested_at) == (NOON, NOON)


def test_who_gave_up_is_called_back_whoever_was_slow_to_notice_F23_F22():
    rings()
    report(told(K.ENDED, 10, ended_by=EndedBy.CUSTOMER))
    for hours in (6, 6, 7):
        call_backs.recover_dropped_calls(NOON + timedelta(hours=hours))
    missed = Interaction.objects.get()
    assert missed.ended_by == "customer"
    assert missed.wait_seconds == 10
    assert Promise.objects.get(kind="call_back").due_at == Promise.objects.get(kind="first_response").due_at
    assert Promise.objects.get(kind="call_back").starts_at == NOON


def test_a_second_missed_call_of_the_hour_is_the_same_matter_with_one_promise_E12_M25():
    for number in range(20):
        rings(call=f"c{number}", seconds=number * 120)
    call_backs.recover_dropped_calls(NOON + timedelta(hours=1))
    assert Interaction.objects.count() == 20
    conversation = Conversation.objects.get()
    assert set(promised(conversation)) == {"first_response", "call_back"}
    assert place(conversation)[1:3] == (NOON + timedelta(hours=8), NOON)


def test_a_missed_call_goes_on_with_the_only_open_matter_and_keeps_its_clock():
    ada = colleague()
    conversation = desk.log_call(log(agreed=""), by=ada, at=NOON - timedelta(hours=2)).conversation
    due = place(conversation)
    rings()
    call_backs.recover_dropped_calls(after(100))
    assert Interaction.objects.get(source="phone:main").conversation == conversation
    assert promised(conversation)["call_back"][:2] == (NOON, due[1])
    assert place(conversation) == due


def test_a_missed_call_in_a_matter_that_is_late_already_is_late_too():
    conversation = desk.log_call(log(agreed=""), by=colleague(), at=NOON - timedelta(days=1)).conversation
    due = place(conversation)
    rings()
    call_backs.recover_dropped_calls(after(100))
    assert promised(conversation)["call_back"][1] == due[1]
    assert place(conversation) == due


def test_with_two_open_matters_a_missed_call_is_a_new_one():
    ada = colleague()
    for key in ("k1", "k2"):
        desk.log_call(log(key=key), by=ada, at=NOON - timedelta(hours=2))
    rings()
    call_backs.recover_dropped_calls(after(100))
    assert Conversation.objects.count() == 3


def test_somebody_unknown_who_reached_nobody_is_counted_and_nothing_is_pretended():
    rings(caller="anonymous")
    call_backs.recover_dropped_calls(after(100))
    missed = Interaction.objects.get()
    assert missed.conversation.state == ConversationState.CLOSED
    assert not Promise.objects.exists()
    assert HistoryEntry.objects.get(verb="conversation.closed").detail["reason"] == "nobody_to_reach"


def test_picked_up_after_patience_the_talk_goes_on_with_the_same_matter():
    ada = colleague()
    call = rings()
    call_backs.recover_dropped_calls(after(61))
    report(told(K.ANSWERED, 75, colleague=ada), told(K.ENDED, 300, ended_by=EndedBy.CUSTOMER))
    received = desk.log_call(log(live=call.public_id), by=ada, at=after(310))
    outgoing.send_batch(at=after(320))
    call_backs.recover_dropped_calls(after(700))
    assert Conversation.objects.get() == received.conversation
    assert {p.kind: p.state for p in Promise.objects.all()} == {
        "first_response": "met", "call_back": "met", "confirmation": "met",
    }  # fmt: skip
    assert is_over(call).followed_up_at == after(700)


# --- cut off ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [EndedBy.US, EndedBy.NETWORK])
def test_a_talk_we_dropped_goes_on_within_ten_minutes_of_its_end_R137(by):
    ada = colleague(name="Ada")
    talks_now(by=ada)
    report(told(K.ENDED, 200, ended_by=by))
    assert call_backs.recover_dropped_calls(after(210)) == 0  # more may be on its way
    call_backs.recover_dropped_calls(after(240))
    owed = Promise.objects.get(kind="call_back")
    assert (owed.starts_at, owed.due_at) == (NOON, after(200 + 600))  # the clock since the first ring
    alert = Alert.objects.get(kind="call_dropped")
    assert (alert.to, alert.conversation) == (ada, owed.conversation)
    heard = Interaction.objects.get()
    assert (heard.wait_seconds, heard.call_seconds, heard.ended_by) == (20, 180, by)


def test_a_talk_nobody_wrote_down_is_called_back_and_one_written_down_is_not_R137():
    ada = colleague()
    noted, forgotten = talks_now(call="c1"), talks_now(call="c2", seconds=1)
    for name in ("c1", "c2"):
        report(told(K.ENDED, 200, call=name, ended_by=EndedBy.CUSTOMER))
    desk.log_call(log(live=noted.public_id), by=ada, at=after(230))
    call_backs.recover_dropped_calls(after(499))
    assert is_over(noted).followed_up_at == after(499)
    assert is_over(forgotten).followed_up_at is None
    call_backs.recover_dropped_calls(after(501))
    assert Promise.objects.get(kind="call_back").given_by == f"cut:{forgotten.public_id}"


def test_a_scheduler_away_for_six_hours_makes_one_promise_with_the_old_due_time_F23():
    talks_now()
    report(told(K.ENDED, 200, ended_by=EndedBy.NETWORK))
    for _run in range(3):
        call_backs.recover_dropped_calls(NOON + timedelta(hours=6))
    assert Promise.objects.get(kind="call_back").due_at == after(800)
    assert Alert.objects.count() == 1


def test_writing_down_the_very_talk_that_was_cut_off_keeps_no_call_back_but_the_next_one_does():
    ada = colleague()
    call = talks_now(by=ada)
    report(told(K.ENDED, 200, ended_by=EndedBy.NETWORK))
    call_backs.recover_dropped_calls(after(240))
    desk.log_call(log(live=call.public_id), by=ada, at=after(250))
    outgoing.send_batch(at=after(260))
    conversation = Conversation.objects.get()
    assert promised(conversation)["call_back"][2] == "running"
    assert promised(conversation)["first_response"][2] == "met"

    desk.log_call(log(key="k2", conversation=conversation.public_id, said="All done."), by=ada, at=after(500))
    assert promised(conversation)["call_back"][2] == "running"  # written is not accepted
    outgoing.send_batch(at=after(510))
    assert promised(conversation)["call_back"][2] == "met"
    assert Conversation.objects.count() == 1


def test_a_colleague_may_say_that_everything_was_said():
    ada = colleague()
    call = talks_now(by=ada)
    report(told(K.ENDED, 200, ended_by=EndedBy.US))
    desk.log_call(log(live=call.public_id, said_all=True), by=ada, at=after(210))
    call_backs.recover_dropped_calls(after(1000))
    assert not Promise.objects.filter(kind="call_back").exists()


def test_a_call_whose_end_was_lost_ends_when_it_was_last_heard_of():
    talks_now()
    for hours in (4, 5, 6):
        call_backs.recover_dropped_calls(NOON + timedelta(hours=hours))
    call = Call.objects.get()
    assert (call.state, call.ended_at, call.ended_by) == (CallState.ENDED, after(20), "unknown")
    assert Promise.objects.filter(kind="call_back").count() == 1


def test_one_call_that_cannot_be_followed_up_stops_no_other_F24(monkeypatch):
    bad, good = rings(call="c1", caller="+4930111111"), rings(call="c2", caller="+4930222222")
    taken_in = call_backs._taken_in

    def stumble(call: Call, *, at: datetime) -> Conversation:
        if call.pk == bad.pk:
            raise RuntimeError("poison")
        return taken_in(call, at=at)

    monkeypatch.setattr(call_backs, "_taken_in", stumble)
    call_backs.recover_dropped_calls(after(100))
    assert is_over(bad).followed_up_at is None
    assert is_over(good).followed_up_at == after(100)


# --- on hold ------------------------------------------------------------------------------------------------------------


def test_an_accepted_call_back_keeps_the_place_R136():
    ada = colleague()
    mailed = intake.receive(message(), at=NOON, origin="test").conversation
    call = talks_now(by=ada)
    report(told(K.HELD, 60))
    for _press in range(2):
        call_backs.agree(call.pk, by=ada, at=after(400))
    report(told(K.ENDED, 410, ended_by=EndedBy.US))
    call_backs.recover_dropped_calls(after(1000))
    heard = Interaction.objects.get(source="phone:main")
    assert heard.hold_seconds == 340
    assert place(heard.conversation) == place(mailed)
    assert promised(heard.conversation)["call_back"][1] == promised(mailed)["first_response"][1]
    assert Promise.objects.filter(kind="call_back").count() == 1
    assert not Alert.objects.exists()


def test_a_call_back_needs_a_number_and_a_line():
    ada = colleague()
    rings(caller="")
    call = report(told(K.ANSWERED, 20, caller=""))
    with pytest.raises(call_backs.NoNumber):
        call_backs.agree(call.pk, by=ada, at=after(30))
    with pytest.raises(identity.UnusableAddress):
        call_backs.agree(call.pk, by=ada, at=after(30), phone="12")
    assert call_backs.agree(call.pk, by=ada, at=after(30), phone="030 123456").caller == PHONE
    other = talks_now(call="c2")
    report(told(K.ENDED, 200, call="c2"))
    with pytest.raises(call_backs.CallOver):
        call_backs.agree(other.pk, by=ada, at=after(300))


# --- tried --------------------------------------------------------------------------------------------------------------


def test_after_two_attempts_a_written_answer_keeps_the_call_back():
    ada = colleague()
    conversation = intake.receive(message(sender_address="carla@home.example"), at=NOON, origin="test").conversation
    identity_point = {"kind": "phone", "address": PHONE, "created_at": NOON}
    conversation.customer.contact_points.create(**identity_point)
    rings()
    call_backs.recover_dropped_calls(after(100))
    assert Conversation.objects.count() == 1

    def answer(number: int) -> str:
        desk.answer(conversation.pk, text="We tried to call you.", by=ada, at=after(200), key=f"a{number}")
        outgoing.send_batch(at=after(200))
        conversation.refresh_from_db()
        return promised(conversation)["call_back"][2]

    assert call_backs.tried(conversation.pk, by=ada, at=after(150), key="t1") == 1
    assert call_backs.tried(conversation.pk, by=ada, at=after(151), key="t1") == 1
    assert answer(1) == "running"
    assert conversation.state == ConversationState.OPEN  # it stays in the queue, due when the call is
    assert conversation.due_at == promised(conversation)["call_back"][1]
    assert call_backs.tried(conversation.pk, by=ada, at=after(190), key="t2") == 2
    assert answer(2) == "met"
    assert conversation.state == ConversationState.WAITING
    with pytest.raises(call_backs.NothingToTry):
        call_backs.tried(conversation.pk, by=ada, at=after(300), key="t3")


# --- at the counter -----------------------------------------------------------------------------------------------------


def test_waiting_at_the_counter_counts_from_the_tap_R084():
    ada = colleague()
    call = calls.wait_at_counter(key="w1", name="Carla", by=ada, at=NOON)
    assert calls.wait_at_counter(key="w1", name="Carla", by=ada, at=after(5)) == call
    calls.pick_up(call.pk, by=ada, at=after(600))
    received = desk.log_call(log(live=call.public_id, channel=Channel.PHONE), by=ada, at=after(900))
    said = received.interaction
    assert (said.channel, said.spoke_at, said.wait_seconds, said.call_seconds) == ("store", NOON, 600, 300)
    assert said.ingested_at == NOON
    assert is_over(call).state == CallState.ENDED
    call_backs.recover_dropped_calls(NOON + timedelta(hours=1))
    assert not Promise.objects.filter(kind="call_back").exists()


def test_a_walk_away_is_counted_and_called_back_where_we_know_how_R084():
    ada = colleague()
    known = calls.wait_at_counter(key="w1", name="Carla", phone="030 123456", by=ada, at=NOON)
    unknown = calls.wait_at_counter(key="w2", by=ada, at=NOON)
    for call in (known, unknown):
        calls.walked_away(call.pk, by=ada, at=after(900))
    call_backs.recover_dropped_calls(after(1000))
    found = {i.external_id: i for i in Interaction.objects.all()}
    assert {i.wait_seconds for i in found.values()} == {900}
    assert set(promised(found["w1"].conversation)) == {"first_response", "call_back"}
    assert found["w2"].conversation.state == ConversationState.CLOSED
    with pytest.raises(identity.UnusableAddress):
        calls.wait_at_counter(key="w3", phone="12", by=ada, at=NOON)


# --- writing it down ----------------------------------------------------------------------------------------------------


def test_a_live_call_is_written_down_with_the_times_of_the_phone_system_R084():
    ada = colleague()
    for event in WHOLE:
        call = report(event)
    received = desk.log_call(log(phone="", live=call.public_id, hold_seconds=5, call_seconds=5), by=ada, at=after(240))
    said = received.interaction
    assert (said.wait_seconds, said.hold_seconds, said.call_seconds, said.ended_by) == (20, 30, 180, "customer")
    assert (said.spoke_at, said.ingested_at) == (NOON, NOON)
    assert is_over(call).interaction == is_over(call).written_down == said
    assert desk.log_call(log(phone="", live=call.public_id), by=ada, at=after(250)).interaction == said
    with pytest.raises(calls.WrittenDown):
        desk.log_call(log(key="k2", live=call.public_id), by=ada, at=after(260))
    assert Interaction.objects.filter(direction="in").count() == 1


def test_a_call_nobody_answered_is_no_talk():
    rings()
    call = report(told(K.ENDED, 10, ended_by=EndedBy.CUSTOMER))
    with pytest.raises(calls.NotAnswered):
        desk.log_call(log(live=call.public_id), by=colleague(), at=after(20))
    assert not Customer.objects.exists()


def test_a_talk_goes_on_with_the_chosen_matter_of_its_own_customer_and_keeps_owner_and_clocks():
    ada = colleague()
    ours = intake.receive(message(sender_address="carla@home.example"), at=NOON, origin="test").conversation
    theirs = intake.receive(message(sender_address="bob@home.example"), at=NOON, origin="test").conversation
    before = (ours.owner_id, place(ours))
    received = desk.log_call(log(conversation=ours.public_id), by=ada, at=after(600))
    assert received.conversation == ours
    ours.refresh_from_db()
    assert (ours.owner_id, place(ours)) == before
    assert promised(ours)["confirmation"][:2] == (after(600), after(600) + timedelta(hours=1))
    with pytest.raises(talks.NotTheirMatter):
        desk.log_call(log(key="k2", conversation=theirs.public_id), by=ada, at=after(700))
    assert Interaction.objects.filter(conversation=theirs).count() == 1
    assert PromiseKind.CONFIRMATION not in promised(theirs)


def test_a_talk_in_a_matter_that_was_answered_before_keeps_what_it_answers():
    ada = colleague()
    matter = intake.receive(message(sender_address="carla@home.example"), at=NOON, origin="test").conversation
    desk.answer(matter.pk, text="Tomorrow.", by=ada, at=after(60))
    outgoing.send_batch(at=after(60))
    desk.log_call(log(phone="", conversation=matter.public_id), by=ada, at=after(600))
    assert promised(matter)["next_update"][2] == "running"
    outgoing.send_batch(at=after(601))
    assert {state for _starts, _due, state in promised(matter).values()} == {"met"}
    matter.refresh_from_db()
    assert (matter.state, matter.due_at) == (ConversationState.WAITING, None)


def test_a_matter_whose_talk_was_cut_off_stays_with_us_when_it_is_written_down():
    ada = colleague()
    call = talks_now(by=ada)
    report(told(K.ENDED, 200, ended_by=EndedBy.NETWORK))
    desk.log_call(log(live=call.public_id), by=ada, at=after(210))
    outgoing.send_batch(at=after(220))
    call_backs.recover_dropped_calls(after(240))
    conversation = Conversation.objects.get()
    assert (conversation.state, conversation.due_at) == (ConversationState.OPEN, after(800))
