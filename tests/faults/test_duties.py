"""Every periodic duty of the table under faults: lost, doubled and late bells, jumping clocks, dead workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from unittest import mock

import pytest
from celery import current_app
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from crm.actions import customers, deadlines, desk, intake, outgoing
from crm.channels import Channel
from crm.models import Conversation, DutyRun, Promise
from crm.policy import Role
from recovery import actions as recovery_actions
from recovery.policy import ComplaintType, Facts
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

DUTIES = sorted(settings.EVENHAND_DUTIES)
NIGHT = NOON + timedelta(days=1, hours=-6)


@pytest.fixture
def shop() -> datetime:
    """A shop's day: matters open, answered and missed, a case, a birthday. Gives a moment of the night after it."""
    lead, agent = colleague(Role.LEAD), colleague()
    heard = [
        intake.receive(
            message(external_id=f"shop{number}", channel=channel, spoke_at=NOON), at=NOON, origin="test"
        ).conversation
        for number, channel in enumerate([Channel.EMAIL, Channel.PHONE, Channel.APP, Channel.LETTER, Channel.CHAT] * 2)
    ]
    case = recovery_actions.open_case(heard[0].pk, facts=Facts(), seen_because=[], by=agent, at=NOON)
    recovery_actions.decide(case.pk, facts=Facts(complaint_type=ComplaintType.DAMAGED_ITEM), by=lead, at=NOON)
    customers.tell_birthday(heard[1].customer, month=3, day=3, evidence="on a form", at=NOON)
    deadlines.tick(at=NOON + timedelta(hours=9))
    return NIGHT


@pytest.fixture(autouse=True)
def _no_broker() -> Iterator[None]:
    """Bells ring nowhere: no broker at all (F03)."""
    with mock.patch.object(current_app, "send_task", side_effect=OSError("no broker")):
        yield


def run(name: str, *, at: datetime) -> None:
    with mock.patch("django.utils.timezone.now", return_value=at):
        import_string(settings.EVENHAND_DUTIES[name].task)()


def stored(*, without: tuple[str, ...] = ("crm_dutyrun",)) -> str:
    """A fingerprint of everything the product stores."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            table = model._meta.db_table
            if model._meta.app_label in ("crm", "recovery", "loyalty") and table not in without:
                cursor.execute(f"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t")
                found.append(cursor.fetchone()[0])
    return hashlib.sha256("".join(found).encode()).hexdigest()


def due_times() -> list[tuple[int, datetime, datetime]]:
    return list(Promise.objects.order_by("pk").values_list("pk", "starts_at", "due_at"))


@pytest.mark.django_db
@pytest.mark.parametrize("name", DUTIES)
def test_a_duty_does_its_work_without_a_broker_and_once_a_slot_however_often_it_is_rung_F03_F04(name, shop):
    run(name, at=shop)
    after = stored()
    assert DutyRun.objects.get(name=name).reason == ""
    for _bell in range(3):
        run(name, at=shop)
    assert stored() == after


@pytest.mark.django_db
@pytest.mark.parametrize("name", DUTIES)
def test_a_duty_whose_worker_was_killed_at_the_end_is_done_again_without_a_second_effect_F06(name, shop):
    run(name, at=shop)
    after = stored()
    # Its work was committed and then the worker died: the slot is still claimed and the lease has run out.
    DutyRun.objects.filter(name=name).update(finished_slot=None, lease_until=Now() - timedelta(seconds=1))
    run(name, at=shop)
    assert stored() == after


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", DUTIES)
def test_two_schedulers_in_the_same_instant_have_one_effect_F22(name, shop):
    results = at_once(*[lambda: import_string(settings.EVENHAND_DUTIES[name].task)()] * 2)
    assert results == [None, None]
    after = stored()
    import_string(settings.EVENHAND_DUTIES[name].task)()
    assert stored() == after


@pytest.mark.django_db
@pytest.mark.parametrize("name", DUTIES)
@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=1), timedelta(days=-1)])
def test_a_jumping_clock_moves_no_promise_F20(name, jump, shop):
    run(name, at=shop)
    before = due_times()
    run(name, at=shop + jump)
    run(name, at=shop)
    assert due_times()[: len(before)] == before


@pytest.mark.django_db
@pytest.mark.parametrize("name", DUTIES)
def test_after_six_hours_without_a_scheduler_a_duty_runs_once_and_not_six_times_F23(name, shop):
    run(name, at=shop)
    back = shop + timedelta(hours=6, minutes=1)
    run(name, at=back)
    after = stored()
    for seconds in range(5):  # all of them in the slot that it came back in
        slot = settings.EVENHAND_DUTIES[name].slot(back)
        run(name, at=max(back, slot) + timedelta(seconds=seconds))
    assert stored() == after


@pytest.mark.django_db
def test_six_hours_of_promises_are_worked_off_by_due_time_when_the_scheduler_is_back_F01_F23(shop):
    owner = colleague()
    late = NOON + timedelta(days=3)
    while deadlines.tick(at=late):
        pass
    missed = Promise.objects.filter(state="breached").count()
    assert missed == Promise.objects.filter(due_at__lt=late, met_at=None).count()
    assert deadlines.tick(at=late) == 0
    head = Conversation.objects.waiting_for_us().in_due_order()[0]
    answered = desk.answer(head.pk, text="We are sorry. It is on its way.", by=owner, at=late)
    outgoing.send_batch(at=late)
    assert Promise.objects.filter(conversation=answered.conversation_id, state="met_late").exists()
