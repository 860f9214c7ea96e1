"""Pulling from the one queue: the head, or a reason; one owner, one pull; nothing is left lying."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm.actions import desk, intake, outgoing, queue, rota, routing
from crm.channels import Channel
from crm.models import Conversation, HistoryEntry, OutgoingMessage, OwnerChange, Pull, User
from crm.policy import LineOfWork, OutOfOrder, PullEnd, PutBack, QueueClass, Role, WorkMode, queue_key
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once


def told(*, minutes: int = 0, **changes: Any) -> Conversation:
    """Somebody spoke to us so many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    return intake.receive(message(**changes), at=at, origin="test").conversation


def answered(conversation: Conversation, *, by: User) -> Conversation:
    """A matter whose customer has had an answer and has written again."""
    desk.answer(conversation.pk, text="Hello", by=by, at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    outgoing.send_batch(at=NOON)
    sender = conversation.customer.contact_points.get().address
    intake.receive(message(sender_address=sender), at=NOON, origin="test", conversation=conversation)
    conversation.refresh_from_db()
    return conversation


def workload(user: User, **changes: Any) -> User:
    """Set how much somebody takes; what is not named stays."""
    names = ("customer_service_share", "capacity_points", "chats_at_once", "written_at_once", "takes_conversations")
    given = {name: getattr(user, name) for name in names} | {"line_of_work": LineOfWork.SERVICE, "is_vendor": False}
    lead = User.objects.filter(groups__name=Role.LEAD.value).first() or colleague(Role.LEAD, takes=False)
    return rota.set_workload(user.pk, **{**given, **changes}, by=lead, at=NOON)


# --- taking the head ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_next_is_the_head_and_becomes_theirs_without_a_hand_off_E09_R006():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    first, second = told(), told(minutes=1)

    pulls = [queue.next_for(ben, at=NOON), queue.next_for(ben, at=NOON)]

    assert [pull and pull.conversation_id for pull in pulls] == [first.pk, second.pk]
    assert set(Conversation.objects.values_list("owner", flat=True)) == {ben.pk}
    assert {pull.ahead for pull in Pull.objects.all()} == {0}
    moved = OwnerChange.objects.filter(before=ada)
    assert {change.why for change in moved} <= {"taken"}
    assert queue.next_for(ada, at=NOON) is None


@pytest.mark.django_db
def test_what_its_owner_has_answered_stays_with_them_R135():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = answered(told(), by=ada)
    Conversation.objects.update(owner=ada)

    assert queue.next_for(ben, at=NOON) is None
    pull = queue.next_for(ada, at=NOON)
    assert pull is not None
    assert pull.conversation_id == conversation.pk


@pytest.mark.django_db
def test_an_answer_on_its_way_is_an_answer_R135():
    """The other side has not accepted it yet, but the matter is not up for anybody else."""
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    desk.answer(conversation.pk, text="I am asking the workshop.", by=ada, at=NOON, stays_open=True)

    assert queue.next_for(ben, at=NOON) is None


@pytest.mark.django_db
def test_what_somebody_works_on_is_never_taken_from_them_E09():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    queue.next_for(ada, at=NOON)

    assert queue.next_for(ben, at=NOON) is None
    for act in (
        partial(queue.take, conversation.pk, by=ben, at=NOON, out_of_order=OutOfOrder.ASKED_BY_LEAD),
        partial(desk.answer, conversation.pk, text="x", by=ben, at=NOON, out_of_order=OutOfOrder.ASKED_BY_LEAD),
    ):
        with pytest.raises(queue.InWork, match="Ada is working on this"):
            act()
    with pytest.raises(IntegrityError), transaction.atomic():
        Pull.objects.create(conversation=conversation, by=ben, at=NOON, idle_at=NOON)


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_matters_come_out_in_the_one_order_whatever_the_channel_R059_E04(seed: int):
    chance = random.Random(seed)
    ada = colleague(name="Ada")
    numbers = [told(minutes=chance.randrange(300)).pk for _ in range(12)]
    for pk in numbers:
        Conversation.objects.filter(pk=pk).update(
            queue_class=chance.choice(list(QueueClass)), due_at=NOON + timedelta(hours=chance.randrange(1, 9))
        )
    rows = sorted(
        Conversation.objects.all(),
        key=lambda c: queue_key(queue_class=c.queue_class, due_at=c.due_at, spoke_at=c.spoke_at, number=c.pk),
    )
    wanted = [conversation.pk for conversation in rows]

    def pulled() -> list[int]:
        with transaction.atomic():
            taken = []
            while (pull := queue.next_for(ada, at=NOON)) is not None:
                taken.append(pull.conversation_id)
                desk.answer(pull.conversation_id, text="Hello", by=ada, at=NOON)
            transaction.set_rollback(True)
        return taken

    orders = [pulled()]
    for _ in range(2):  # the same matters, said elsewhere
        for pk in numbers:
            Conversation.objects.filter(pk=pk).update(channel=chance.choice(Channel.values))
        orders.append(pulled())
    assert orders == [wanted] * 3


def test_two_colleagues_in_the_same_second_get_different_matters_E13(transactional_db: None):
    """Two channels, two workers: one owner and one pull each; nobody gets what the other one has."""
    people = [colleague(name=f"Colleague {number}") for number in range(4)]
    for number in range(4):
        told(minutes=number, channel=Channel.EMAIL if number % 2 else Channel.WEB_FORM)

    pulls = at_once(*[partial(queue.next_for, person, at=NOON) for person in people])

    assert not [pull for pull in pulls if not isinstance(pull, Pull)], pulls
    assert len({pull.conversation_id for pull in pulls}) == 4
    for pull in pulls:
        assert Conversation.objects.get(pk=pull.conversation_id).owner_id == pull.by_id
    assert Pull.objects.in_work().count() == 4


def test_one_matter_and_eight_who_want_it_is_one_pull_E13(transactional_db: None):
    people = [colleague(name=f"Colleague {number}") for number in range(8)]
    conversation = told()

    pulls = at_once(*[partial(queue.next_for, person, at=NOON) for person in people])

    won = [pull for pull in pulls if pull is not None]
    assert len(won) == 1, pulls
    conversation.refresh_from_db()
    assert conversation.owner_id == won[0].by_id


def test_take_and_next_in_the_same_second_is_one_pull_E13(transactional_db: None):
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    for _round in range(4):
        conversation = told()
        results = at_once(partial(queue.take, conversation.pk, by=ada, at=NOON), partial(queue.next_for, ben, at=NOON))
        held = Pull.objects.in_work().get(conversation=conversation)
        losers = [r for r in results if r is None or isinstance(r, queue.InWork)]
        assert len(losers) == 1, results
        assert Conversation.objects.get(pk=conversation.pk).owner_id == held.by_id
        queue.put_back(conversation.pk, by=held.by, because=PutBack.LEAVING, at=NOON)
        Conversation.objects.update(state="closed")


# --- out of order ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_answering_what_is_not_next_is_refused_and_changes_nothing_E09():
    ada = colleague(name="Ada")
    told()
    later = told(minutes=5)
    entries = HistoryEntry.objects.count()

    with pytest.raises(queue.NotNext, match="1 other customer stands before") as refused:
        desk.answer(later.pk, text="Hello", by=ada, at=NOON)

    assert refused.value.ahead == 1
    assert (HistoryEntry.objects.count(), OutgoingMessage.objects.count(), Pull.objects.count()) == (entries, 0, 0)


@pytest.mark.django_db
def test_with_a_reason_it_is_counted_how_many_were_passed_over_E09():
    ada = colleague(name="Ada")
    for number in range(3):
        told(minutes=number)
    later = told(minutes=5)

    desk.answer(later.pk, text="Hello", by=ada, at=NOON, out_of_order=OutOfOrder.LANGUAGE)

    pull = Pull.objects.get()
    assert (pull.ahead, pull.reason, pull.finished_how) == (3, "language", PullEnd.ANSWERED)
    assert HistoryEntry.objects.get(verb="conversation.pulled").detail == {"ahead": 3, "reason": "language"}
    assert list(Pull.objects.by_person(NOON)) == [
        {"by": ada.pk, "taken": 1, "out_of_order": 1, "passed_over": 3},
    ]


@pytest.mark.django_db
def test_the_head_is_claimed_by_answering_it_and_needs_no_reason_E09():
    ada = colleague(name="Ada")
    first = told()
    told(minutes=1)

    desk.answer(first.pk, text="Hello", by=ada, at=NOON, out_of_order=OutOfOrder.TRAINING)

    pull = Pull.objects.get()
    assert (pull.ahead, pull.reason, pull.by) == (0, "", ada)
    assert not HistoryEntry.objects.filter(verb="conversation.pulled").exists()


@pytest.mark.django_db
def test_what_a_colleague_looks_after_needs_a_reason_even_when_nobody_waits_E09():
    ada, lead = colleague(name="Ada"), colleague(Role.LEAD, name="Lena", takes=False)
    conversation = answered(told(), by=ada)

    with pytest.raises(queue.NotNext, match="A colleague looks after this"):
        desk.answer(conversation.pk, text="Hello", by=lead, at=NOON)
    desk.answer(conversation.pk, text="Hello", by=lead, at=NOON, out_of_order=OutOfOrder.ASKED_BY_LEAD)

    conversation.refresh_from_db()
    assert conversation.owner == ada


@pytest.mark.django_db
def test_what_waits_for_the_customer_is_in_no_queue():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    later = told(minutes=9)
    desk.answer(later.pk, text="Hello", by=ada, at=NOON)
    told()

    desk.answer(later.pk, text="One more thing.", by=ben, at=NOON)

    assert Pull.objects.count() == 1


@pytest.mark.django_db
def test_who_is_on_the_line_is_answered_there_and_then_E09():
    ada = colleague(name="Ada")
    told()
    call = desk.Call(key="c", phone="030 1234567", said="Broken.", agreed="A new one.", email="c@home.example")

    desk.log_call(call, by=ada, at=NOON + timedelta(minutes=5))

    pull = Pull.objects.get()
    assert (pull.reason, pull.ahead, pull.mode, pull.finished_how) == ("on_the_line", 1, WorkMode.TALK, "answered")


@pytest.mark.django_db
def test_the_second_press_of_a_button_finds_the_first_answer_although_others_wait_by_now_G14():
    ada = colleague(name="Ada")
    conversation = told(minutes=5)
    first = desk.answer(conversation.pk, text="I ask.", by=ada, at=NOON, key="k", stays_open=True)
    told()

    assert desk.answer(conversation.pk, text="I ask.", by=ada, at=NOON, key="k", stays_open=True) == first


@pytest.mark.django_db
@pytest.mark.parametrize("waiting", [1, 20])
def test_an_answer_costs_the_same_however_many_wait_GOAL15(waiting: int):
    ada = colleague(name="Ada")
    for number in range(waiting):
        told(minutes=number)
    last = told(minutes=50)
    with CaptureQueriesContext(connection) as captured:
        desk.answer(last.pk, text="Hello", by=ada, at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    assert len([q for q in captured if "SAVEPOINT" not in q["sql"]]) <= 10


@pytest.mark.django_db
def test_taking_the_next_costs_the_same_however_many_wait_GOAL15():
    ada = colleague(name="Ada")
    costs = []
    for number in (1, 20):
        for minute in range(number):
            told(minutes=minute)
        with CaptureQueriesContext(connection) as captured:
            queue.next_for(ada, at=NOON)
        costs.append(len([q for q in captured if "SAVEPOINT" not in q["sql"]]))
    assert costs[0] == costs[1] <= 16


# --- giving back ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_put_back_stands_where_it_stood_and_says_why_E09():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    before = conversation.due_at
    queue.next_for(ada, at=NOON)

    queue.put_back(conversation.pk, by=ada, because=PutBack.NOT_ABLE, at=NOON)

    conversation.refresh_from_db()
    assert conversation.due_at == before
    assert Pull.objects.get().put_back_because == "not_able"
    assert HistoryEntry.objects.get(verb="conversation.put_back").detail == {"because": "not_able"}
    with pytest.raises(queue.NotHeld):
        queue.put_back(conversation.pk, by=ada, because=PutBack.LEAVING, at=NOON)
    pull = queue.next_for(ben, at=NOON)
    assert pull is not None


@pytest.mark.django_db
def test_what_was_taken_and_left_comes_back_after_half_an_hour_X29():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    queue.next_for(ada, at=NOON)

    assert queue.sweep_idle(NOON + timedelta(minutes=29)) == 0
    desk.note(conversation.pk, text="Asked the courier.", by=ada, at=NOON + timedelta(minutes=29))
    assert queue.sweep_idle(NOON + timedelta(minutes=31)) == 0
    queue.wait_for_colleague(conversation.pk, by=ada, at=NOON + timedelta(minutes=31))
    assert queue.sweep_idle(NOON + timedelta(hours=8)) == 0
    assert queue.sweep_idle(NOON + timedelta(hours=9)) == 1
    assert queue.sweep_idle(NOON + timedelta(hours=9)) == 0

    assert HistoryEntry.objects.get(verb="conversation.idle").detail == {"was_with": ada.pk}
    assert queue.next_for(ben, at=NOON + timedelta(hours=9)) is not None


@pytest.mark.django_db
def test_what_lies_idle_can_be_taken_before_the_sweep_comes_F23():
    """The sweep has not run for six hours."""
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    queue.next_for(ada, at=NOON)

    queue.take(conversation.pk, by=ben, at=NOON + timedelta(hours=6))

    assert [pull.finished_how for pull in Pull.objects.order_by("pk")] == ["idle", ""]


@pytest.mark.django_db
def test_answering_and_closing_end_the_work():
    ada = colleague(name="Ada")
    first, second = told(), told(minutes=1)
    for _conversation in (first, second):
        queue.next_for(ada, at=NOON)
    desk.answer(second.pk, text="Hello", by=ada, at=NOON)  # held: no reason needed
    outgoing.send_batch(at=NOON)

    assert [pull.finished_how for pull in Pull.objects.order_by("pk")] == ["", "answered"]
    desk.answer(first.pk, text="Hello", by=ada, at=NOON, stays_open=True)
    outgoing.send_batch(at=NOON)
    queue.take(first.pk, by=ada, at=NOON)
    desk.answer(first.pk, text="That was all.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    desk.close(first.pk, by=ada, at=NOON)
    assert not Pull.objects.in_work().exists()


# --- who may take ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_full_desk_gets_only_what_is_its_own_and_says_how_full_it_is_R115():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    own = answered(told(minutes=9), by=ada)
    Conversation.objects.update(owner=ada)
    Conversation.objects.filter(pk=told().pk).update(owner=ben)
    workload(ada, capacity_points=3)

    pull = queue.next_for(ada, at=NOON)
    assert pull is not None
    assert pull.conversation_id == own.pk
    with pytest.raises(routing.Overloaded, match=r"Ada already carries \d+ of 3 effort points"):
        queue.next_for(ada, at=NOON)
    assert queue.next_for(ben, at=NOON) is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"customer_service_share": 0}, routing.NotThere), ({"written_at_once": 1}, routing.TooManyAtOnce)],
)
def test_the_queue_refuses_with_the_reason_R115_R118(changes: dict[str, int], kind: type[Exception]):
    ada = colleague(name="Ada")
    told()
    told(minutes=1)
    Conversation.objects.update(owner=None)
    if "written_at_once" in changes:
        queue.next_for(ada, at=NOON)
    workload(ada, **changes)

    with pytest.raises(kind, match="Ada"):
        queue.next_for(ada, at=NOON)


@pytest.mark.django_db
def test_three_chats_at_once_and_no_fourth_R118():
    ada = colleague(name="Ada")
    for number in range(4):
        told(minutes=-number, channel=Channel.CHAT)
    mail = told(minutes=30)

    modes = [queue.next_for(ada, at=NOON) for _ in range(4)]

    assert [pull and pull.mode for pull in modes] == ["live", "live", "live", "written"]
    assert modes[3] is not None
    assert modes[3].conversation_id == mail.pk


@pytest.mark.django_db
def test_a_certificate_is_asked_for_only_where_the_installation_says_so_R112():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    lead = colleague(Role.LEAD, takes=False)
    conversation = told()
    routing.require(conversation.pk, "conduct", at=NOON)
    routing.require(conversation.pk, "conduct", at=NOON)
    assert HistoryEntry.objects.filter(verb="conversation.skill").count() == 1
    today = NOON.date()
    rota.certify(ben.pk, skill="conduct", issued_on=today, expires_on=today, by=lead, at=NOON)
    old = today - timedelta(days=9)
    rota.certify(ada.pk, skill="conduct", issued_on=old, expires_on=today - timedelta(days=1), by=lead, at=NOON)
    rota.demand("conduct", by=lead, at=NOON)

    assert queue.next_for(ada, at=NOON) is None
    with pytest.raises(routing.NotCertified, match="has run out"):
        desk.answer(conversation.pk, text="x", by=ada, at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    with pytest.raises(routing.NotCertified, match="does not have"):
        queue.take(conversation.pk, by=lead, at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    assert queue.next_for(ben, at=NOON) is not None
    queue.put_back(conversation.pk, by=ben, because=PutBack.BY_MISTAKE, at=NOON)
    rota.demand_no_more("conduct", by=lead, at=NOON)
    assert queue.next_for(ada, at=NOON) is not None


@pytest.mark.django_db
def test_public_writing_is_certified_once_for_all_media_R113():
    ada, lead = colleague(name="Ada"), colleague(Role.LEAD, takes=False)
    routing.check_public(ada, at=NOON)
    workload(ada, line_of_work=LineOfWork.IT)
    ada.refresh_from_db()
    with pytest.raises(routing.NotCertified, match="Everybody can read"):
        routing.check_public(ada, at=NOON)
    today = NOON.date()
    certificate = rota.certify(
        ada.pk, skill="public_writing", issued_on=today, expires_on=today + timedelta(days=365), by=lead, at=NOON
    )
    routing.check_public(ada, at=NOON)
    rota.revoke(certificate.pk, by=lead, at=NOON)
    with pytest.raises(routing.NotCertified):
        routing.check_public(ada, at=NOON)
