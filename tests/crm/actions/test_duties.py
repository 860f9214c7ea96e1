"""Periodic work: once per slot, however many schedulers ring and however often."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from crm.actions import duties
from crm.models import DutyRun
from tests.conftest import NOON
from tests.faults.threads import at_once

HOURLY = "plan_birthdays"


def run(diary: list[datetime], *, at: datetime = NOON) -> bool:
    return duties.once_per_slot(HOURLY, diary.append, at=at)


def test_a_slot_is_done_once_and_the_next_one_again(db: None):
    diary: list[datetime] = []

    assert [run(diary, at=NOON + timedelta(minutes=minutes)) for minutes in (0, 1, 59, 60, 61)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert diary == [NOON, NOON + timedelta(minutes=60)]


def test_eight_bells_in_the_same_instant_do_it_once(transactional_db: None):
    """F22."""
    diary: list[datetime] = []

    results = at_once(*[lambda: run(diary)] * 8)

    assert sorted(results) == [False] * 7 + [True]
    assert len(diary) == 1


def test_a_second_bell_while_the_duty_is_being_done_is_turned_away(transactional_db: None):
    """F22."""
    begun, go_on = threading.Event(), threading.Event()
    calls: list[str] = []

    def slowly(at: datetime) -> None:
        calls.append("slow")
        begun.set()
        assert go_on.wait(20)

    def second() -> bool:
        assert begun.wait(20)
        try:
            return duties.once_per_slot(HOURLY, lambda at: calls.append("second"), at=NOON)
        finally:
            go_on.set()

    assert at_once(lambda: duties.once_per_slot(HOURLY, slowly, at=NOON), second) == [True, False]
    assert calls == ["slow"]


def test_after_six_hours_without_a_scheduler_it_is_done_once(db: None):
    """F23."""
    diary: list[datetime] = []
    run(diary)
    back = NOON + timedelta(hours=6, minutes=10)

    assert [run(diary, at=back) for _ in range(6)] == [True] + [False] * 5
    assert diary == [NOON, back]


def test_a_duty_that_fails_gives_its_slot_back_and_says_why(db: None):
    def fails(at: datetime) -> None:
        raise ValueError("no cards left")

    with pytest.raises(ValueError, match="no cards left"):
        duties.once_per_slot(HOURLY, fails, at=NOON)
    assert DutyRun.objects.get().reason == "ValueError: no cards left"
    diary: list[datetime] = []

    assert run(diary) is True
    assert DutyRun.objects.get().reason == ""


def test_the_slot_of_a_worker_that_died_is_taken_over_when_its_lease_has_run_out(db: None):
    """F06."""
    diary: list[datetime] = []
    slot = NOON.replace(minute=0)
    DutyRun.objects.create(name=HOURLY, claimed_slot=slot, lease_until=NOON + timedelta(days=36500))
    assert run(diary) is False

    DutyRun.objects.update(lease_until=Now() - timedelta(seconds=1))

    assert run(diary) is True


def test_a_sleeper_that_ends_after_a_later_slot_was_done_does_not_set_it_back(db: None):
    """F09."""
    later = NOON + timedelta(hours=3)

    def overtaken(at: datetime) -> None:
        DutyRun.objects.update(lease_until=Now() - timedelta(seconds=1))
        assert duties.once_per_slot(HOURLY, lambda at: None, at=later)

    duties.once_per_slot(HOURLY, overtaken, at=NOON)

    finished = DutyRun.objects.get()
    assert finished.finished_slot == later
    assert finished.finished_at == later


def test_a_clock_that_steps_back_repeats_no_slot(db: None):
    """F20."""
    diary: list[datetime] = []
    run(diary)

    assert run(diary, at=NOON - timedelta(hours=2)) is False


def test_an_unknown_duty_is_refused(db: None):
    with pytest.raises(KeyError):
        duties.once_per_slot("no such duty", lambda at: None, at=NOON)


def test_every_duty_has_a_slot_that_begins_before_now_and_is_not_over(settings: Any):
    for duty in settings.EVENHAND_DUTIES.values():
        assert duty.slot(NOON) <= NOON < duty.slot(NOON) + duty.every
