"""Old correspondence comes in closed, once, and starts no clock."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from crm.actions import identity, importing
from crm.actions.importing import Brought
from crm.channels import threads
from crm.channels.threads import Post, Rejected
from crm.models import ContactPoint, Conversation, Customer, HistoryEntry, Interaction, Promise, RawItem, WorkItem
from crm.policy import ConversationState, Direction, WorkState

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
THEN = datetime(2017, 10, 31, 10, 0, tzinfo=UTC)


def post(number: int, author: str, minute: int, answers: int | str = "") -> Post:
    at = THEN + timedelta(minutes=minute)
    return Post(str(number), author, author.isdigit(), at, f"words {number}", str(answers))


TALK = [post(1, "77", 0), post(2, "Shop", 5, 1), post(3, "78", 7, 2), post(4, "77", 9, 2)]


@pytest.mark.django_db
def test_a_thread_becomes_a_closed_conversation_of_who_spoke_first() -> None:
    assert importing.bring_in(threads.build(TALK), at=NOON) == Brought(2, 1, 4)

    conversation = Conversation.objects.select_related("customer", "owner").get()
    assert conversation.state == ConversationState.CLOSED
    assert (conversation.imported, conversation.owner, conversation.due_at) == (True, None, None)
    assert conversation.spoke_at == THEN
    assert conversation.first_answer_at == conversation.last_outbound_at == THEN + timedelta(minutes=5)
    assert conversation.last_inbound_at == THEN + timedelta(minutes=9)
    assert ContactPoint.objects.get(address="public:77").customer_id == conversation.customer_id
    rows = Interaction.objects.order_by("spoke_at").values_list("direction", "source", "contact_point__address")
    assert list(rows) == [
        (Direction.INBOUND, "threads", "public:77"),
        (Direction.OUTBOUND, "threads:Shop", None),
        (Direction.INBOUND, "threads", "public:78"),
        (Direction.INBOUND, "threads", "public:77"),
    ]
    assert not Promise.objects.exists()
    assert not WorkItem.objects.exists()
    assert HistoryEntry.objects.get().verb == "conversation.imported"


@pytest.mark.django_db
def test_a_repeat_adds_nothing_and_later_messages_join_their_conversation() -> None:
    importing.bring_in(threads.build(TALK[:1]), at=NOON)

    assert importing.bring_in(threads.build(TALK[:1]), at=NOON) == Brought()
    assert importing.bring_in(threads.build(TALK[1:]), at=NOON) == Brought(1, 0, 3)  # its beginning is not in this file
    conversation = Conversation.objects.get()
    assert conversation.spoke_at == THEN
    assert conversation.last_inbound_at == THEN + timedelta(minutes=9)


@pytest.mark.django_db
def test_a_known_customer_is_recognised_by_the_account() -> None:
    importing.bring_in(threads.build(TALK), at=NOON)
    importing.bring_in(threads.build([post(9, "77", 60)]), at=NOON)

    speaker = identity.speaker("handle", "public:77", name="", language="", at=NOON)
    assert not speaker.is_new
    assert Conversation.objects.filter(customer=speaker.customer).count() == 2


@pytest.mark.django_db
def test_a_thread_without_a_customer_is_refused_and_nothing_is_written() -> None:
    with pytest.raises(ValueError, match="customer"):
        importing.bring_in(threads.build([*TALK, post(20, "Shop", 1)]), at=NOON)
    assert not Customer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_write_everything_once() -> None:
    built = threads.build(
        [each for n in range(0, 400, 4) for each in (post(n, str(n), n), post(n + 1, "Shop", n + 1, n))]
    )
    brought: list[Brought] = []
    start = threading.Barrier(2)

    def run() -> None:
        start.wait()
        brought.append(importing.bring_in(built, at=NOON))
        connection.close()

    workers = [threading.Thread(target=run) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(brought, Brought()) == Brought(100, 100, 200)
    assert (Customer.objects.count(), Conversation.objects.count(), Interaction.objects.count()) == (100, 100, 200)


@pytest.mark.django_db
def test_rejected_rows_are_parked_once() -> None:
    rejected = [Rejected("missing_id", b",77\n"), Rejected("missing_id", b",77\n"), Rejected("no_text", b"5,77\n")]

    assert importing.keep_rejected(rejected, file_name="a.csv", at=NOON) == 2
    assert importing.keep_rejected(rejected, file_name="a.csv", at=NOON) == 0
    assert set(RawItem.objects.values_list("source", "state", "reason")) == {
        ("threads:a.csv", WorkState.PARKED, "missing_id: The message has no id."),
        ("threads:a.csv", WorkState.PARKED, "no_text: The message has no words."),
    }


def test_batches_never_cut_a_thread() -> None:
    built = threads.build([post(n, "77", n, n - 1 if n % 300 else "") for n in range(1500)])
    cut = list(importing.batches(built))

    assert [each for batch in cut for each in batch] == built
    assert all(sum(len(thread.posts) for thread in batch) < importing.POSTS_A_BATCH + 300 for batch in cut)
