"""After news of a death nothing cheerful leaves, a person writes, and a mistake is taken back (R168, P01, P02, N17)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, transaction

from crm.actions import (
    bereavement,
    desk,
    endings,
    households,
    intake,
    kindness,
    life_events,
    mourning,
    outgoing,
    partings,
    persons,
)
from crm.channels.smtp import MailSender
from crm.models import (
    Alert,
    Bereavement,
    Conversation,
    Customer,
    HistoryEntry,
    Hold,
    HouseholdMember,
    LifeEvent,
    OutgoingMessage,
    Representative,
    User,
    WorkItem,
)
from crm.policy import AlertKind, OutgoingState, Role
from crm.policy.bereavement import CAUTIOUS_FOR, WhoDied
from crm.policy.lives import LifeSource
from loyalty import actions as loyalty_actions
from loyalty.models import Gesture
from tests.conftest import NOON
from tests.crm.actions.test_kindness import card
from tests.crm.stories import app_user, colleague, message
from tests.faults.harness import Sink
from tests.faults.threads import at_once
from tests.loyalty.test_actions import EVENING, told_birthday

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(tmp_path: Path, settings: Any) -> Iterator[Sink]:
    sink = Sink(tmp_path / "ledger")
    sink.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", sink.port, 20
    yield sink
    sink.release.set()
    sink.stop()


def wrote(text: str = "Thank you!", at: datetime = NOON, **changes: Any) -> Customer:
    return intake.receive(message(text, **changes), at=at, origin="test").conversation.customer


def reported(
    customer: Customer, who: WhoDied = WhoDied.CUSTOMER, *, by: User | None = None, **more: Any
) -> Bereavement:
    given = {"source": LifeSource.REPRESENTATIVE, "evidence": "His sister told us on the phone.", "at": NOON} | more
    return bereavement.report(customer.pk, who_died=who, by=by or colleague(), **given)


def at_home(one: Customer, other: Customer) -> None:
    households.share(one.pk, other_id=other.pk, because="they told us", by=colleague(), at=NOON)


def held(customer: Customer, at: datetime = NOON) -> bool:
    return Hold.objects.active(at).filter(customer=customer, reason="bereavement").exists()


# --- what stops --------------------------------------------------------------------------------------------------------


def test_a_death_stops_what_waits_holds_the_home_and_names_who_writes_R168_P01():
    customer, partner = wrote(), wrote()
    at_home(customer, partner)
    waiting = [card(number) for number in range(3)]
    OutgoingMessage.objects.filter(pk__in=[one.pk for one in waiting[:2]]).update(customer=partner)
    OutgoingMessage.objects.filter(pk=waiting[1].pk).update(state="held", reason="outreach_on_hold")
    owner = colleague()
    Conversation.objects.filter(customer=customer).update(owner=owner)

    found = reported(customer)

    customer.refresh_from_db()
    assert customer.status == "deceased"
    assert held(customer)
    assert held(partner)
    states = OutgoingMessage.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["cancelled", "cancelled", "ready"]  # a stranger's card goes on
    assert found.stopped == {"messages": 2, "customers": 2}
    event = found.life_event
    assert event is not None
    assert (event.handled_by, event.valence, event.urgency, event.moment) == (owner, "sad", 0, "open")
    assert Alert.objects.get(kind=AlertKind.BEREAVEMENT).to == owner
    estate = Alert.objects.get(kind=AlertKind.ESTATE)
    assert (estate.to, estate.conversation.customer_id) == (owner, customer.pk)
    assert HistoryEntry.objects.filter(verb="message.cancelled").count() == 2


def test_the_death_of_somebody_close_leaves_the_customer_who_they_are_P01():
    customer = wrote()
    reported(customer, WhoDied.CLOSE)
    customer.refresh_from_db()
    assert customer.status == "active"
    assert held(customer)
    assert not Alert.objects.filter(kind=AlertKind.ESTATE).exists()


def test_what_was_said_is_needed_and_a_refused_report_changes_nothing():
    customer, ada = wrote(), colleague()
    with pytest.raises(endings.ReasonMissing):
        reported(customer, by=ada, evidence="  ")
    reported(customer, by=ada)
    before = (Hold.objects.count(), Alert.objects.count(), HistoryEntry.objects.count(), LifeEvent.objects.count())
    with pytest.raises(bereavement.AlreadyReported):
        reported(customer, by=ada)
    assert (
        Hold.objects.count(),
        Alert.objects.count(),
        HistoryEntry.objects.count(),
        LifeEvent.objects.count(),
    ) == before


def test_a_birthday_card_planned_for_somebody_at_home_is_not_written_P01_N17():
    customer, partner = wrote(), told_birthday()
    at_home(customer, partner)
    loyalty_actions.plan_birthdays(NOON)
    reported(customer)
    gesture = Gesture.objects.get()
    assert (gesture.state, gesture.reason) == ("dropped", "bereavement")
    loyalty_actions.plan_birthdays(NOON + HOUR)
    while loyalty_actions.work_batch("gestures", at=EVENING) + outgoing.send_batch(at=EVENING):
        pass
    assert not mail.outbox
    assert Gesture.objects.count() == 1


def test_a_card_that_was_written_is_stopped_with_its_gesture_P01():
    customer = told_birthday()
    loyalty_actions.plan_birthdays(NOON)
    loyalty_actions.write_batch(at=EVENING)
    reported(customer, WhoDied.CLOSE, at=EVENING)
    assert OutgoingMessage.objects.get().state == "cancelled"
    assert Gesture.objects.get().state == "dropped"
    outgoing.send_batch(at=EVENING)
    assert not mail.outbox


def test_nobody_in_a_house_of_mourning_is_planned_for_P01():
    customer = told_birthday()
    reported(customer, WhoDied.HOUSEHOLD)
    assert loyalty_actions.plan_birthdays(NOON) == 0


def test_a_sender_whose_clock_stands_a_moment_before_the_report_sends_nothing_P01(sink: Sink):
    """A batch asks with the time at which it began, whole seconds; the hold may begin some hundredths later."""
    for number in range(3):
        card(number)
    OutgoingMessage.objects.filter(key="card2").update(has_value=True)  # it goes by itself
    for one in OutgoingMessage.objects.select_related("customer"):
        Hold.objects.create(
            customer=one.customer, key=f"k{one.pk}", reason="bereavement", starts_at=NOON + timedelta(milliseconds=400)
        )
    outgoing.send_batch(at=NOON)
    assert not sink.ledger.lines()
    assert set(OutgoingMessage.objects.values_list("state", flat=True)) == {OutgoingState.HELD}


def test_service_answers_to_the_dead_stop_and_to_the_bereaved_go_on_P01():
    customer, partner = wrote(), wrote()
    at_home(customer, partner)
    ada = colleague()
    desk.answer(
        partner.conversations.get().pk,
        text="We are sorry for your loss.",
        by=ada,
        at=NOON,
        out_of_order="asked_by_lead",
    )
    desk.answer(
        customer.conversations.get().pk, text="Your parcel is here.", by=ada, at=NOON, out_of_order="asked_by_lead"
    )
    reported(customer)
    outgoing.send_batch(at=NOON + HOUR)
    assert dict(OutgoingMessage.objects.values_list("customer", "state")) == {
        partner.pk: "accepted",
        customer.pk: "held",
    }


# --- the duty ----------------------------------------------------------------------------------------------------------


def test_what_slips_in_after_a_report_is_dropped_by_the_duty_R168():
    one = card(1)
    reported(one.customer, WhoDied.CLOSE)
    OutgoingMessage.objects.update(state="ready")  # a worker that had read its customer before wrote it after
    assert bereavement.stop(at=NOON + timedelta(minutes=1))["dropped"] == 1
    assert OutgoingMessage.objects.get().state == "cancelled"
    assert bereavement.stop(at=NOON + timedelta(minutes=2)) == {
        "held": 0,
        "let_go": 0,
        "dropped": 0,
        "contradicted": 0,
    }


def test_whoever_joins_the_home_later_is_held_at_once_P01():
    customer, partner, child = wrote(), wrote(), wrote()
    at_home(customer, partner)
    reported(customer, WhoDied.HOUSEHOLD)
    at_home(child, partner)
    assert held(child)
    assert bereavement.stop(at=NOON)["held"] == 0


def test_a_member_whom_nobody_held_is_held_by_the_duty_P01():
    customer, partner = wrote(), wrote()
    at_home(customer, partner)
    reported(customer, WhoDied.HOUSEHOLD)
    Hold.objects.filter(customer=partner).update(until=NOON)
    assert bereavement.stop(at=NOON + HOUR)["held"] == 1
    assert held(partner, NOON + HOUR)


def test_moving_out_does_not_end_mourning_and_a_mistake_does_P01():
    customer, partner, stranger = wrote(), wrote(), wrote()
    at_home(customer, partner)
    at_home(customer, stranger)
    reported(customer, WhoDied.HOUSEHOLD)
    home = HouseholdMember.objects.filter(customer=partner).get().household_id
    ada = colleague()
    households.leave(partner.pk, household_id=home, because="moved", by=ada, at=NOON + HOUR)
    households.leave(stranger.pk, household_id=home, because="mixed up", was_mistake=True, by=ada, at=NOON + HOUR)
    assert bereavement.stop(at=NOON + 2 * HOUR)["let_go"] == 1
    assert held(partner, NOON + 2 * HOUR)
    assert not held(stranger, NOON + 2 * HOUR)


def test_a_record_parted_from_the_bereaved_is_held_too_P01_G19():
    customer = wrote()
    reported(customer, WhoDied.CLOSE)
    parting = partings.part(
        customer.pk,
        points=[customer.contact_points.get().pk],
        conversations=[],
        name="Somebody else",
        because="two people",
        by=colleague(),
        at=NOON + HOUR,
    )
    assert bereavement.stop(at=NOON + HOUR)["held"] == 1
    assert held(parting.made, NOON + HOUR)


# --- one person ---------------------------------------------------------------------------------------------------------


def test_two_records_that_become_one_mourn_together_and_apart_again_when_taken_back_N12_P01():
    home, work, partner = wrote(), wrote(), wrote()
    at_home(work, partner)
    reported(home, WhoDied.CLOSE)
    ada = colleague()
    made = persons.merge(home.pk, kept_id=work.pk, because="told us", by=ada, at=NOON + HOUR)
    assert bereavement.stop(at=NOON + HOUR)["held"] == 1  # the hold itself came along
    assert held(work, NOON + HOUR)
    assert held(partner, NOON + HOUR)
    persons.undo(made.pk, by=ada, at=NOON + 2 * HOUR)
    assert bereavement.stop(at=NOON + 2 * HOUR)["let_go"] == 1
    assert held(home, NOON + 3 * HOUR)
    assert not held(work, NOON + 3 * HOUR)
    assert not held(partner, NOON + 3 * HOUR)


# --- words that may tell of it ------------------------------------------------------------------------------------------


def spotted(text: str = "My husband passed away, please cancel his order.", **changes: Any) -> Bereavement:
    customer = wrote(text, **changes)
    assert bereavement.work_batch(at=NOON) == 1
    return Bereavement.objects.get(customer=customer)


def test_words_of_a_death_ask_a_person_and_hold_for_three_days_R168_P02():
    found = spotted()
    assert (found.state, found.who_died, found.reported_by) == ("proposed", "", None)
    hold = Hold.objects.get()
    assert (hold.reason, hold.until) == ("bereavement_possible", NOON + CAUTIOUS_FOR)
    found.customer.refresh_from_db()
    assert found.customer.status == "active"
    alert = Alert.objects.get(kind=AlertKind.MAY_BE_BEREAVEMENT)
    assert alert.conversation.customer == found.customer
    assert not Hold.objects.active(NOON + CAUTIOUS_FOR).exists()  # nobody looked: it ends by itself


def test_ordinary_words_leave_no_work_behind():
    wrote("My parcel arrived broken.")
    assert not WorkItem.objects.filter(lane="bereavement").exists()
    assert bereavement.work_batch(at=NOON) == 0


def test_words_alone_drop_nothing_and_what_is_still_in_time_goes_on_P02():
    customer = told_birthday()
    loyalty_actions.plan_birthdays(NOON)
    intake.receive(
        message("My friend passed away.", sender_address=customer.contact_points.get().address), at=NOON, origin="t"
    )
    bereavement.work_batch(at=NOON)
    assert loyalty_actions.write_batch(at=EVENING) == 0
    bereavement.dismiss(Bereavement.objects.get().pk, because="a friend of a friend", by=colleague(), at=EVENING)
    assert loyalty_actions.write_batch(at=EVENING) == 1
    assert Gesture.objects.get().state == "queued"


def test_the_same_words_twice_are_one_question_and_a_dismissed_one_is_not_asked_again():
    found = spotted(sender_address="carla@home.example")
    wrote("She passed away on Monday.", sender_address="carla@home.example")
    bereavement.work_batch(at=NOON + HOUR)
    assert Bereavement.objects.count() == 1
    bereavement.dismiss(found.pk, because="her cat", by=colleague(), at=NOON + HOUR)
    assert not Hold.objects.active(NOON + HOUR).exists()
    bereavement.look_at(f"interaction:{found.interaction.public_id}", at=NOON + 2 * HOUR)
    assert Bereavement.objects.count() == 1
    with pytest.raises(bereavement.NothingToDecide):
        bereavement.dismiss(found.pk, because="again", by=colleague(), at=NOON + HOUR)


def test_a_question_that_is_confirmed_stands_with_its_holds_for_good_R168():
    found = spotted()
    same = reported(found.customer, WhoDied.HOUSEHOLD, proposed=found.pk, at=NOON + HOUR)
    assert same.pk == found.pk
    hold = Hold.objects.get()
    assert (hold.reason, hold.until) == ("bereavement", None)
    assert Bereavement.objects.get().state == "standing"


# --- a false report -----------------------------------------------------------------------------------------------------


def test_a_false_report_is_taken_back_and_nothing_is_sent_late_P02():
    customer = told_birthday()
    loyalty_actions.plan_birthdays(NOON)
    found = reported(customer)
    lead = colleague(Role.LEAD)
    with pytest.raises(endings.WrongState):
        bereavement.lift(found.pk, because="time", was_mistaken=False, by=lead, at=NOON + HOUR)
    bereavement.lift(found.pk, because="He called himself.", was_mistaken=True, by=lead, at=NOON + HOUR)
    customer.refresh_from_db()
    assert customer.status == "active"
    assert not Hold.objects.active(NOON + HOUR).exists()
    assert LifeEvent.objects.get(kind="bereavement").taken_back_because == "He called himself."
    loyalty_actions.plan_birthdays(NOON + HOUR)
    while loyalty_actions.work_batch("gestures", at=EVENING) + outgoing.send_batch(at=EVENING):
        pass
    assert not mail.outbox
    assert Gesture.objects.get().state == "dropped"
    with pytest.raises(bereavement.NothingToDecide):
        bereavement.lift(found.pk, because="again", was_mistaken=True, by=lead, at=NOON + HOUR)


def test_a_report_gives_nobody_access_or_authority_P02():
    customer = wrote()
    accounts = list(User.objects.values_list("pk", "customer"))
    reported(customer, by=colleague(takes=False))
    assert not Representative.objects.exists()
    assert [row for row in User.objects.values_list("pk", "customer") if row[1]] == [row for row in accounts if row[1]]
    assert customer.contact_points.get().unlinked_at is None
    assert Conversation.objects.get().customer_id == customer.pk


@pytest.mark.parametrize("how", ["writes", "signs in"])
def test_whoever_was_taken_for_dead_and_is_heard_of_is_for_a_person_to_decide_P02(how: str):
    user = app_user()
    found = reported(user.customer, at=NOON)
    if how == "writes":
        point = {"sender_kind": "app", "sender_address": str(user.public_id)}
        intake.receive(message("Why do I get no answers?", **point), at=NOON + HOUR, origin="test")
    else:
        User.objects.filter(pk=user.pk).update(last_login=NOON + HOUR)
    assert bereavement.stop(at=NOON + HOUR)["contradicted"] == 1
    assert bereavement.stop(at=NOON + 2 * HOUR)["contradicted"] == 0
    found.refresh_from_db()
    assert (found.state, found.contradicted_at) == ("standing", NOON + HOUR)  # nothing is decided by a machine
    told = Alert.objects.filter(kind=AlertKind.BEREAVEMENT_DOUBTED)
    assert set(told.values_list("to", flat=True)) == {None, found.reported_by_id}

    bereavement.uphold(found.pk, because="His wife used his account.", by=colleague(Role.LEAD), at=NOON + 2 * HOUR)
    assert bereavement.stop(at=NOON + 3 * HOUR)["contradicted"] == 0
    found.refresh_from_db()
    assert (found.state, found.contradicted_at) == ("standing", None)


def test_what_was_said_before_contradicts_nothing_P02():
    customer = wrote()
    reported(customer, at=NOON + HOUR)
    assert bereavement.stop(at=NOON + 2 * HOUR)["contradicted"] == 0


def test_the_database_lets_none_stand_without_a_person_and_their_words_P02():
    customer = wrote()
    with pytest.raises(IntegrityError), transaction.atomic():
        Bereavement.objects.create(customer=customer, state="standing", noticed_at=NOON, who_died="customer")
    found = reported(customer)
    with pytest.raises(IntegrityError), transaction.atomic():
        Bereavement.objects.filter(pk=found.pk).update(state="lifted")


def test_the_event_of_a_death_is_not_taken_back_past_it():
    found = reported(wrote())
    with pytest.raises(life_events.ToldElsewhere):
        life_events.take_back(found.life_event_id, because="x", by=colleague(Role.LEAD), at=NOON)


# --- the same instant ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("together", [True, False])
def test_nothing_leaves_after_the_commit_of_a_report_that_races_the_sender_P01(
    sink: Sink, together: bool, monkeypatch: pytest.MonkeyPatch
):
    """Cards of many are being sent by two workers while deaths are reported one by one: each is asked when it leaves."""
    handed: list[tuple[str, float]] = []
    send = MailSender.send

    def noted(self: MailSender, outbound: Any, **more: Any) -> Any:
        result = send(self, outbound, **more)
        if result.outcome.value == "accepted":
            handed.append((outbound.address, time.monotonic()))
        return result

    monkeypatch.setattr(MailSender, "send", noted)
    if not together:
        monkeypatch.setattr(kindness, "_leaves_together", lambda message: False)
    cards = [card(number) for number in range(24)]
    ada = colleague()
    committed: dict[str, float] = {}

    def sends() -> None:
        while outgoing.send_batch(at=NOON):
            pass

    def reports() -> None:
        for one in cards[::2]:
            reported(one.customer, WhoDied.CLOSE, by=ada)
            committed[one.address] = time.monotonic()

    results = at_once(sends, partial(time.sleep, 0), reports, sends)
    assert not [one for one in results if isinstance(one, Exception)], results
    outgoing.send_batch(at=NOON + HOUR)

    late = [address for address, moment in handed if moment > committed.get(address, moment)]
    assert not late
    sent = {address for address, _moment in handed}
    assert {one.address for one in cards[1::2]} <= sent  # everybody else got theirs
    assert len(committed) == 12
    waiting = OutgoingMessage.objects.filter(customer__in=[one.customer_id for one in cards[::2]])
    assert set(waiting.values_list("state", flat=True)) <= {"accepted", "cancelled"}


@pytest.mark.django_db(transaction=True)
def test_a_report_waits_for_the_card_that_is_being_taken_in_this_moment_P01(sink: Sink):
    one = card(1)
    sink.behave(one.address, "accept and wait")
    done: dict[str, float] = {}

    def sends() -> None:
        outgoing.send_batch(at=NOON)
        done["sent"] = time.monotonic()

    def reports() -> None:
        sink.wait_until_holding(one.address)
        done["began"] = time.monotonic()
        threading.Timer(0.5, sink.release.set).start()
        reported(one.customer, WhoDied.CLOSE)
        done["reported"] = time.monotonic()

    results = at_once(sends, reports)
    assert not [each for each in results if isinstance(each, Exception)], results
    assert done["reported"] >= done["began"] + 0.4
    assert done["reported"] - done["began"] < mourning.WAITED_AT_MOST + 2


@pytest.mark.django_db(transaction=True)
def test_two_reports_in_one_instant_are_one_P01():
    customer, ada = wrote(), colleague()
    results = at_once(*[partial(reported, customer, by=ada)] * 4)
    assert sorted(type(one).__name__ for one in results) == ["AlreadyReported"] * 3 + ["Bereavement"]
    assert Hold.objects.count() == 1
