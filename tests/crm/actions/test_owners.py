"""Exactly one owner who is here: given, moved when somebody is away, told when nobody is there."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm.actions import desk, duties, outgoing, owners, queue, rota, routing
from crm.models import Alert, Certificate, Conversation, DutyRun, HandOff, HistoryEntry, OwnerChange, User
from crm.policy import ConversationState, OutOfOrder, OwnerChangeReason, Role, WeeklyShift
from tests.conftest import NOON
from tests.crm.actions.test_queue import answered, told, workload
from tests.crm.stories import colleague
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db


def lead() -> User:
    return User.objects.filter(groups__name="lead").first() or colleague(Role.LEAD, name="Lena", takes=False)


def away(user: User, *, until: datetime, stand_in: User | None = None, at: datetime = NOON) -> None:
    rota.be_away(user.pk, starts_at=at, ends_at=until, stand_in=stand_in, by=lead(), at=at)


# --- intake and orphans ---------------------------------------------------------------------------------------------


def test_intake_gives_nothing_to_who_is_away_full_or_takes_no_customer_service_R115_X29():
    ada, ben, cem, dan = (colleague(name=name) for name in ("Ada", "Ben", "Cem", "Dan"))
    away(ada, until=NOON + timedelta(days=1))
    workload(ben, customer_service_share=0)
    workload(cem, capacity_points=1)

    for _ in range(5):
        assert told().owner == dan


def test_when_nobody_can_take_it_waits_unowned_and_the_leads_are_told_once_a_day_R012():
    ada = colleague(name="Ada")
    workload(ada, capacity_points=1)
    conversation = told()
    assert conversation.owner is None
    assert owners.give_orphans_an_owner(NOON) == 0

    for hours in (0, 1, 2):
        assert owners.escalate_orphans(NOON + timedelta(hours=hours))["no_owner"] == 1
    assert Alert.objects.filter(kind="no_owner", conversation=conversation).count() == 1

    workload(ada, capacity_points=100)
    assert owners.give_orphans_an_owner(NOON) == 1
    assert owners.escalate_orphans(NOON)["no_owner"] == 0
    assert OwnerChange.objects.get().why == OwnerChangeReason.UNOWNED


def test_whoever_comes_in_alone_is_not_buried_under_what_waited_R115():
    for minute in range(9):
        told(minutes=minute)
    first = Conversation.objects.order_by("due_at").first()
    ada = workload(colleague(name="Ada"), capacity_points=7)

    assert owners.give_orphans_an_owner(NOON) == 3
    assert owners.give_orphans_an_owner(NOON) == 0
    assert routing.loads(NOON) == {ada.pk: 6}
    first.refresh_from_db()
    assert first.owner == ada  # the most urgent first


def test_a_matter_stands_still_when_its_time_is_over_and_nobody_works_on_it_R012():
    ada = colleague(name="Ada")
    conversation = told()
    late = conversation.due_at + timedelta(minutes=1)
    assert owners.escalate_orphans(NOON)["no_next_step"] == 0
    assert owners.escalate_orphans(late)["no_next_step"] == 1
    queue.next_for(ada, at=late)
    assert owners.escalate_orphans(late)["no_next_step"] == 0


def test_three_owners_within_seven_days_are_told_R012():
    ada, ben, cem = (colleague(name=name) for name in ("Ada", "Ben", "Cem"))
    conversation = told()
    Conversation.objects.update(owner=ada)
    owners.assign(conversation.pk, to=ben, by=lead(), at=NOON)
    owners.assign(conversation.pk, to=ada, by=lead(), at=NOON + timedelta(days=1))
    assert owners.escalate_orphans(NOON + timedelta(days=1))["owners_changed"] == 0  # two people, to and fro

    owners.assign(conversation.pk, to=cem, by=lead(), at=NOON + timedelta(days=2))
    assert owners.escalate_orphans(NOON + timedelta(days=2))["owners_changed"] == 1
    assert owners.escalate_orphans(NOON + timedelta(days=9, minutes=1))["owners_changed"] == 0


def test_changes_of_owner_are_never_rewritten():
    ada = colleague(name="Ada")
    conversation = told()
    Conversation.objects.update(owner=None)
    owners.assign(conversation.pk, to=ada, by=lead(), at=NOON)
    for change in (lambda: OwnerChange.objects.update(note="other"), lambda: OwnerChange.objects.all().delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


# --- giving on purpose ----------------------------------------------------------------------------------------------


def test_a_lead_gives_what_the_customer_knows_nobody_of_and_the_router_counts_R115():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    Conversation.objects.update(owner=ada)
    workload(ben, capacity_points=1)
    with pytest.raises(routing.Overloaded, match="Ben already carries 0 of 1 effort points"):
        owners.assign(conversation.pk, to=ben, by=lead(), at=NOON)
    workload(ben, capacity_points=2)
    assert owners.assign(conversation.pk, to=ben, by=lead(), at=NOON).owner == ben
    ben.refresh_from_db()
    assert ben.is_full  # intake knows at once

    met = answered(told(), by=ada)
    Conversation.objects.filter(pk=met.pk).update(owner=ada)
    with pytest.raises(owners.AlreadyOwned, match="hand it over"):
        owners.assign(met.pk, to=ben, by=lead(), at=NOON)


def test_two_matters_given_at_once_to_somebody_with_room_for_one_R115(transactional_db: None):
    """The count is exact: the account's row is locked while it is made."""
    ada, ben = colleague(name="Ada"), colleague(name="Ben", takes=False)
    matters = [told(), told()]
    boss = lead()
    Conversation.objects.update(owner=ada)
    workload(ben, capacity_points=2)

    results = at_once(*[partial(owners.assign, matter.pk, to=ben, by=boss, at=NOON) for matter in matters])

    assert sum(isinstance(result, routing.Overloaded) for result in results) == 1, results
    assert Conversation.objects.filter(owner=ben).count() == 1


def test_load_counts_every_channel_and_credits_what_is_long_R141():
    ada = colleague(name="Ada")
    short, long = told(), told()
    assert routing.loads(NOON) == {ada.pk: 4}
    for number in range(9):
        desk.note(long.pk, text=f"Again {number}", by=ada, at=NOON)
    assert routing.loads(NOON) == {ada.pk: 6}
    desk.answer(short.pk, text="Hello", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    assert routing.loads(NOON + timedelta(hours=1)) == {ada.pk: 5}
    assert routing.loads(NOON + timedelta(days=3)) == {ada.pk: 4}  # gone quiet


# --- when somebody is not there -------------------------------------------------------------------------------------


def test_what_is_due_before_the_owner_is_back_goes_to_the_stand_in_within_the_hour_R006_X29():
    ada, ben, cem = (colleague(name=name) for name in ("Ada", "Ben", "Cem"))
    soon, later = told(), told()
    Conversation.objects.update(owner=ada)
    Conversation.objects.filter(pk=later.pk).update(due_at=NOON + timedelta(days=9))
    away(ada, until=NOON + timedelta(days=2), stand_in=cem)

    assert owners.reassign_owner(NOON + timedelta(minutes=10)) == 1
    assert owners.reassign_owner(NOON + timedelta(minutes=20)) == 0

    soon.refresh_from_db()
    later.refresh_from_db()
    assert (soon.owner, later.owner) == (cem, ada)
    change = OwnerChange.objects.get()
    assert (change.before, change.after, change.why) == (ada, cem, OwnerChangeReason.NOT_THERE)
    assert change.note.startswith("Ada is back on 2026-03-04 12:00 UTC. Next promise: 2026-03-02 20:00")
    assert not HandOff.objects.exists()
    assert HistoryEntry.objects.filter(verb="conversation.owned", by=None).count() == 1
    assert queue.next_for(ben, at=NOON) is not None  # the customer has met nobody: it is anybody's to take


def test_a_stand_in_who_is_away_too_is_none_and_what_is_in_work_stays_X29():
    ada, ben, cem = (colleague(name=name) for name in ("Ada", "Ben", "Cem"))
    held, free = told(), told(minutes=1)
    Conversation.objects.update(owner=ada)
    queue.next_for(ada, at=NOON)
    away(cem, until=NOON + timedelta(days=3))
    away(ada, until=NOON + timedelta(days=2), stand_in=cem)

    assert owners.reassign_owner(NOON) == 1
    held.refresh_from_db()
    free.refresh_from_db()
    assert (held.owner, free.owner) == (ada, ben)


def test_the_stand_in_finds_the_matters_in_their_own_queue_X29():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = answered(told(), by=ada)
    Conversation.objects.update(owner=ada)
    assert queue.next_for(ben, at=NOON) is None
    away(ada, until=NOON + timedelta(hours=1), stand_in=ben)

    pull = queue.next_for(ben, at=NOON)
    assert pull is not None
    assert pull.conversation_id == conversation.pk
    conversation.refresh_from_db()
    assert conversation.owner == ada  # for an hour it stays hers


def test_off_shift_is_seen_by_the_tick_and_over_night_what_can_wait_stays_X29():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    weekdays = [WeeklyShift(day, time(9), time(17)) for day in range(5)]
    rota.set_shifts(ada.pk, shifts=weekdays, zone="Europe/Berlin", by=lead(), at=NOON)
    evening = datetime(2026, 3, 2, 17, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    soon, later = told(), told()
    Conversation.objects.update(owner=ada)
    Conversation.objects.filter(pk=later.pk).update(due_at=evening + timedelta(days=1))

    assert rota.tick_availability(NOON) == 0
    assert rota.tick_availability(evening) == 1
    assert set(User.objects.taking_conversations()) == {ben}
    assert owners.reassign_owner(evening) == 1
    assert set(Conversation.objects.values_list("pk", "owner")) == {(soon.pk, ben.pk), (later.pk, ada.pk)}
    assert rota.tick_availability(evening + timedelta(hours=16)) == 1


def test_of_somebody_who_has_left_everything_moves_R006():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    waiting = told()
    told(minutes=1)
    closed = told(minutes=2)
    desk.answer(waiting.pk, text="Hello", by=ada, at=NOON)
    Conversation.objects.filter(pk=closed.pk).update(state=ConversationState.CLOSED)
    Conversation.objects.update(owner=ada)
    rota.set_active(ada.pk, is_active=False, by=lead(), at=NOON)
    with pytest.raises(rota.NotPossible):
        rota.set_active(ben.pk, is_active=False, by=ben, at=NOON)

    assert owners.reassign_owner(NOON) == 2
    assert set(Conversation.objects.values_list("state", "owner")) == {
        ("waiting_customer", ben.pk), ("open", ben.pk), ("closed", ada.pk),
    }  # fmt: skip
    assert "does not work here any more" in OwnerChange.objects.filter(why="not_there").latest("pk").note


def test_only_the_certified_get_what_asks_for_it_R112():
    ada, ben, cem = (colleague(name=name) for name in ("Ada", "Ben", "Cem"))
    today = NOON.date()
    rota.certify(cem.pk, skill="conduct", issued_on=today, expires_on=today, by=lead(), at=NOON)
    rota.demand("conduct", by=lead(), at=NOON)
    for _ in range(4):
        routing.require(told().pk, "conduct", at=NOON)
    Conversation.objects.update(owner=None)
    assert owners.give_orphans_an_owner(NOON) == 4
    assert set(Conversation.objects.values_list("owner", flat=True)) == {cem.pk}
    assert ben.pk != ada.pk


@pytest.mark.parametrize("number", [1, 20])
def test_the_duties_take_the_same_statements_for_one_matter_and_for_twenty(number: int):
    ada = colleague(name="Ada")
    for minute in range(number):
        told(minutes=minute)
        colleague(name=f"Colleague {minute}")
    Conversation.objects.update(owner=ada)
    away(ada, until=NOON + timedelta(days=2))
    costs = {}
    for duty, at in (
        (rota.tick_availability, NOON),
        (owners.reassign_owner, NOON),
        (owners.escalate_orphans, NOON + timedelta(days=1)),
        (owners.give_orphans_an_owner, NOON),
        (rota.warn_of_ending_certificates, NOON),
    ):
        with CaptureQueriesContext(connection) as captured:
            duty(at)
        costs[duty.__name__] = len([q for q in captured if "SAVEPOINT" not in q["sql"]])
    assert max(costs.values()) <= 14, costs
    assert costs["tick_availability"] <= 6, costs


def test_two_runs_of_the_duty_at_once_move_each_matter_once_F04_F22(transactional_db: None):
    ada, _ben = colleague(name="Ada"), colleague(name="Ben")
    for minute in range(6):
        told(minutes=minute)
    Conversation.objects.update(owner=ada)
    away(ada, until=NOON + timedelta(days=2))

    moved = at_once(*[partial(owners.reassign_owner, NOON)] * 4)

    assert sum(moved) == 6, moved
    assert OwnerChange.objects.count() == 6
    assert not Conversation.objects.filter(owner=ada).exists()


def test_a_duty_that_was_missed_for_six_hours_does_everything_once_F06_F23():
    ada = colleague(name="Ada")
    ben = colleague(name="Ben")
    told()
    Conversation.objects.update(owner=ada)
    away(ada, until=NOON + timedelta(days=2))
    later = NOON + timedelta(hours=6)
    for _beat in range(3):
        duties.once_per_slot("reassign_owner", owners.reassign_owner, at=later)
    assert DutyRun.objects.get(name="reassign_owner").finished_at == later
    assert list(OwnerChange.objects.values_list("after", flat=True)) == [ben.pk]


# --- shifts, absences, certificates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        lambda user, by: rota.be_away(
            user.pk, starts_at=NOON, ends_at=NOON - timedelta(hours=1), stand_in=None, by=by, at=NOON
        ),
        lambda user, by: rota.be_away(
            user.pk, starts_at=NOON, ends_at=NOON + timedelta(hours=1), stand_in=user, by=by, at=NOON
        ),
        lambda user, by: rota.set_shifts(user.pk, shifts=[], zone="Moon/Base", by=by, at=NOON),
        lambda user, by: rota.set_shifts(user.pk, shifts=[WeeklyShift(7, time(9), time(17))], zone="", by=by, at=NOON),
        lambda user, by: rota.set_shifts(
            user.pk,
            shifts=[WeeklyShift(1, time(9), time(12)), WeeklyShift(1, time(9), time(17))],
            zone="",
            by=by,
            at=NOON,
        ),
        lambda user, by: workload(user, customer_service_share=101),
        lambda user, by: workload(user, chats_at_once=4),
        lambda user, by: rota.certify(
            user.pk, skill="x", issued_on=NOON.date(), expires_on=NOON.date(), by=user, at=NOON
        ),
        lambda user, by: rota.certify(
            user.pk, skill=" ", issued_on=NOON.date(), expires_on=NOON.date(), by=by, at=NOON
        ),
    ],
)
def test_a_plan_that_cannot_be_is_refused_and_changes_nothing(plan):
    ada, by = colleague(name="Ada"), lead()
    entries = HistoryEntry.objects.count()
    with pytest.raises(rota.NotPossible):
        plan(ada, by)
    assert HistoryEntry.objects.count() == entries


def test_back_early_is_back_now_X29():
    ada = colleague(name="Ada")
    absence = rota.be_away(ada.pk, starts_at=NOON, ends_at=NOON + timedelta(days=5), stand_in=None, by=lead(), at=NOON)
    assert not User.objects.taking_conversations().exists()
    rota.be_back(absence.pk, by=ada, at=NOON + timedelta(hours=1))
    assert set(User.objects.taking_conversations()) == {ada}
    assert rota.be_back(absence.pk, by=ada, at=NOON + timedelta(hours=2)).ends_at == NOON + timedelta(hours=1)


def test_a_certificate_that_ends_is_told_thirty_days_before_unless_it_has_a_successor_R112():
    ada, ben, by = colleague(name="Ada"), colleague(name="Ben"), lead()
    today = NOON.date()
    for user, days in ((ada, 30), (ben, 31)):
        ends = today + timedelta(days=days)
        rota.certify(user.pk, skill="conduct", issued_on=today, expires_on=ends, by=by, at=NOON)

    assert rota.warn_of_ending_certificates(NOON) == 1
    assert rota.warn_of_ending_certificates(NOON + timedelta(hours=1)) == 1
    assert {(alert.kind, alert.to_id) for alert in Alert.objects.all()} == {
        ("certificate_ends", ada.pk), ("certificate_ends", None),
    }  # fmt: skip
    rota.certify(ada.pk, skill="conduct", issued_on=today, expires_on=today + timedelta(days=400), by=by, at=NOON)
    rota.revoke(Certificate.objects.get(user=ben).pk, by=by, at=NOON)
    assert rota.warn_of_ending_certificates(NOON + timedelta(days=20)) == 0


def test_the_reason_a_matter_changes_hands_is_known_for_every_change():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    Conversation.objects.update(owner=ada)
    desk.answer(conversation.pk, text="Hello", by=ben, at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    assert OwnerChange.objects.get().why == OwnerChangeReason.TAKEN
