"""Claims: nobody else's row, back when its worker is lost, and never many innocent rows with one that kills."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from crm.actions import lease
from crm.models import WorkItem
from crm.policy import WorkState
from tests.conftest import NOON
from tests.faults.threads import at_once


def items(count: int) -> list[WorkItem]:
    return WorkItem.objects.bulk_create(
        WorkItem(key=f"k{number}", lane="triage", event="interaction.received", ref="interaction:x", due_at=NOON)
        for number in range(count)
    )


def claim(size: int = 50) -> list[WorkItem]:
    due = WorkItem.objects.filter(lease.claimable(ready=WorkState.READY, claimed=WorkState.CLAIMED)).order_by("id")
    return lease.claim(due, size=size, claimed_state=WorkState.CLAIMED)


def lose_workers() -> None:
    WorkItem.objects.filter(state=WorkState.CLAIMED).update(lease_until=Now() - timedelta(seconds=1))


def test_claimed_rows_carry_their_attempt_and_are_passed_over_by_others(db: None):
    items(3)

    first, second = claim(2), claim(2)

    assert [row.attempt for row in first] == [1, 1]
    assert len(second) == 1
    assert claim() == []


def test_eight_workers_that_claim_at_once_share_the_rows(transactional_db: None):
    items(100)

    taken = [row.pk for rows in at_once(*[lambda: claim(15)] * 8) for row in rows]

    assert len(taken) == len(set(taken))
    assert len(taken) == 100


def test_a_row_comes_back_when_its_lease_has_run_out_and_the_attempt_is_another(db: None):
    items(1)
    claim()
    assert claim() == []

    lose_workers()

    assert [row.attempt for row in claim()] == [2]


def test_rows_of_a_lost_worker_are_taken_up_one_by_one_so_that_a_row_that_kills_takes_no_other_with_it(db: None):
    """F24, F08: whichever of a batch killed the worker, the next time it is alone."""
    items(20)
    killed_with = claim()
    assert len(killed_with) == 20
    lose_workers()

    assert [[row.pk for row in claim()] for _ in range(3)] == [[row.pk] for row in killed_with[:3]]


def test_what_one_row_raises_is_written_down_and_goes_no_further():
    seen: list[Exception] = []

    def work() -> None:
        raise ZeroDivisionError

    assert lease.guarded(work, failed=seen.append) is False
    assert isinstance(seen[0], ZeroDivisionError)
    assert lease.guarded(lambda: None, failed=seen.append) is True


def test_a_lock_that_is_not_free_is_no_fault_of_the_row(transactional_db: None):
    items(1)

    def wait_for_lock() -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = 100")
            WorkItem.objects.select_for_update().get()

    with transaction.atomic():
        WorkItem.objects.select_for_update().get()
        (trouble,) = at_once(wait_for_lock)

    assert isinstance(trouble, OperationalError)
    assert lease.is_trouble_of_the_database(trouble)


def test_a_statement_that_takes_too_long_is_the_row_s_own_fault(db: None):
    def take_long() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 50")
            cursor.execute("SELECT pg_sleep(5)")

    with pytest.raises(OperationalError) as raised:
        take_long()

    assert not lease.is_trouble_of_the_database(raised.value)
    assert not lease.is_trouble_of_the_database(ValueError("no"))
