"""Follow-ups and raw mail: done once, tried three times, parked where people see them; no bad one stops the others."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from crm.actions import mails, work
from crm.models import HistoryEntry, Interaction, RawItem, WorkItem
from crm.policy import WorkState
from tests.conftest import NOON
from tests.crm import stories
from tests.faults.threads import at_once

LATER = NOON + timedelta(hours=5)


class Diary:
    """A handler that notes what it was called with, and raises for what it is told to."""

    def __init__(self, **raises: Exception) -> None:
        self.done: list[str] = []
        self.raises = raises

    def __call__(self, event: str, ref: str, at: datetime) -> None:
        if ref in self.raises:
            raise self.raises[ref]
        self.done.append(ref)


def due(*refs: str) -> None:
    for ref in refs:
        work.follow("interaction.received", ref=ref, at=NOON)


def drain(handle: Any, *, at: datetime = NOON) -> None:
    for _ in range(200):
        if not work.work_batch("triage", handle, at=at):
            return
    raise AssertionError("the lane is never empty")


def lose_workers(model: Any = WorkItem) -> None:
    model.objects.filter(state=WorkState.CLAIMED).update(lease_until=Now() - timedelta(seconds=1))


def test_a_follow_up_is_done_once_and_then_gone(db: None):
    diary = Diary()
    due("a", "a", "b")

    drain(diary)
    drain(diary)

    assert diary.done == ["a", "b"]
    assert not WorkItem.objects.exists()


def test_workers_that_race_for_a_lane_do_each_item_once(transactional_db: None):
    """I2."""
    diary = Diary()
    due(*[f"r{number}" for number in range(80)])

    assert not [trouble for trouble in at_once(*[lambda: drain(diary)] * 4) if trouble]

    assert sorted(diary.done) == sorted(f"r{number}" for number in range(80))
    assert not WorkItem.objects.exists()


def test_an_item_that_fails_is_tried_three_times_and_parked_while_the_others_go_on(db: None):
    """F24."""
    diary = Diary(bad=ValueError("cannot be"))
    due("bad", "good")

    drain(diary)
    assert diary.done == ["good"]
    item = WorkItem.objects.get()
    assert (item.state, item.due_at) == (WorkState.READY, NOON + timedelta(minutes=5))
    drain(diary, at=LATER)
    drain(diary, at=LATER + timedelta(hours=1))

    item.refresh_from_db()
    assert (item.state, item.attempt, item.reason) == (WorkState.PARKED, 3, "ValueError: cannot be")


def test_what_a_failing_handler_wrote_is_undone_with_it(db: None):
    def half(event: str, ref: str, at: datetime) -> None:
        HistoryEntry.objects.create(verb="test.half", at=at, origin="test")
        raise ValueError

    due("a")
    drain(half)

    assert not HistoryEntry.objects.filter(verb="test.half").exists()


def test_a_parked_item_is_tried_again_from_the_start_when_a_person_says_so(db: None):
    due("a")
    WorkItem.objects.update(state=WorkState.PARKED, reason="because", attempt=3)
    diary = Diary()

    work.retry(WorkItem.objects.get().pk, by=stories.colleague(), at=LATER)
    drain(diary, at=LATER)

    assert diary.done == ["a"]


def test_only_a_parked_item_can_be_retried(db: None):
    due("a")

    with pytest.raises(work.NotParked):
        work.retry(WorkItem.objects.get().pk, by=stories.colleague(), at=LATER)

    assert not HistoryEntry.objects.filter(verb="work.retried").exists()


def test_trouble_of_the_database_is_no_attempt_and_comes_back_within_seconds(db: None):
    """A lock that was not free for two seconds must not make a complaint wait five minutes for its case, or park it."""
    diary = Diary(a=OperationalError("canceling statement due to lock timeout"))
    due("a")
    at = NOON
    for _ in range(6):
        drain(diary, at=at)
        at += work.DATABASE_AGAIN_AFTER
    diary.raises.clear()

    drain(diary, at=at)

    assert diary.done == ["a"]


def test_an_item_that_kills_its_worker_is_parked_and_takes_no_other_with_it(db: None):
    """F08, F24: the worker is gone each time the item "killer" is reached; it leaves no word."""

    class Killed(BaseException):
        pass

    class Deadly(Diary):
        def __call__(self, event: str, ref: str, at: datetime) -> None:
            if ref == "killer":
                raise Killed
            super().__call__(event, ref, at)

    diary = Deadly()
    due(*[f"before{n}" for n in range(5)], "killer", *[f"after{n}" for n in range(20)])
    deaths = 0
    for _ in range(100):
        try:
            if not work.work_batch("triage", diary, at=NOON):
                if not WorkItem.objects.filter(state=WorkState.CLAIMED).exists():
                    break
                lose_workers()
        except Killed:
            deaths += 1
            lose_workers()

    assert deaths == 3
    assert len(diary.done) == len(set(diary.done)) == 25
    parked = WorkItem.objects.get()
    assert (parked.ref, parked.state) == ("killer", WorkState.PARKED)
    assert parked.reason


def test_a_worker_whose_item_another_took_over_changes_nothing(db: None):
    """F09: the fence is the attempt's number."""
    due("a")
    diary = Diary()

    def overtaken(event: str, ref: str, at: datetime) -> None:
        raise AssertionError("it must not be called")

    item = WorkItem.objects.get()
    item.attempt = 1
    WorkItem.objects.update(state=WorkState.CLAIMED, attempt=2, lease_until=Now() - timedelta(seconds=1))
    work._do(item, overtaken, NOON)
    drain(diary)

    assert diary.done == ["a"]


# --- raw mail ------------------------------------------------------------------------------------------------------


def kept(number: int, text: str = "My lamp is broken.") -> RawItem:
    return mails.keep_raw(
        stories.raw_mail(text, sender=f"carla{number}@home.example"), source="mail:test", label="", at=NOON
    )


def read_all() -> None:
    for _ in range(100):
        if not mails.ingest_batch(at=NOON):
            return
    raise AssertionError("the lane is never empty")


def test_a_mail_that_cannot_be_read_is_parked_after_three_attempts_and_the_others_go_on(db: None, monkeypatch: Any):
    """F24, M17: it is the first of them."""
    poison, *others = [kept(number, "poison" if number == 0 else "My lamp is broken.") for number in range(6)]
    read_mail, tries = mails.read_mail, []

    def reading(content: bytes, **more: Any) -> Any:
        if b"poison" in content:
            tries.append(1)
            raise RecursionError("too deep")
        return read_mail(content, **more)

    monkeypatch.setattr(mails, "read_mail", reading)
    read_all()

    poison.refresh_from_db()
    assert (poison.state, poison.reason, len(tries)) == (WorkState.PARKED, "RecursionError: too deep", 3)
    assert set(RawItem.objects.exclude(pk=poison.pk).values_list("state", flat=True)) == {WorkState.DONE}
    assert Interaction.objects.count() == len(others)


def test_a_mail_that_kills_its_worker_is_parked_and_takes_no_other_with_it(db: None, monkeypatch: Any):
    """F24, M16: mails that were only in the same batch are read."""

    class Killed(BaseException):
        pass

    poison, *others = [kept(number, "poison" if number == 0 else "My lamp is broken.") for number in range(6)]
    read_mail = mails.read_mail

    def reading(content: bytes, **more: Any) -> Any:
        if b"poison" in content:
            raise Killed
        return read_mail(content, **more)

    monkeypatch.setattr(mails, "read_mail", reading)
    for _ in range(20):
        with contextlib.suppress(Killed):
            read_all()
        lose_workers(RawItem)

    poison.refresh_from_db()
    assert poison.state == WorkState.PARKED
    assert set(RawItem.objects.exclude(pk=poison.pk).values_list("state", flat=True)) == {WorkState.DONE}
    assert Interaction.objects.count() == len(others)


def test_a_mail_does_not_pay_for_trouble_of_the_database(db: None, monkeypatch: Any):
    item = kept(1)
    read_mail = mails.read_mail

    def away(*_given: Any, **_more: Any) -> Any:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(mails, "read_mail", away)
    for _ in range(6):
        read_all()
        lose_workers(RawItem)
    monkeypatch.setattr(mails, "read_mail", read_mail)
    read_all()

    item.refresh_from_db()
    assert item.state == WorkState.DONE
