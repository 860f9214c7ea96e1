"""A change rests on the customer's own request, or it is put back: at once, in writing, once (R049, R056)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.core import signing
from django.db import IntegrityError, connection, transaction

from crm.actions import desk, intake, outgoing, persons, service_changes
from crm.models import (
    Alert,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    OutgoingMessage,
    Promise,
    Reversal,
    ServiceChange,
    User,
    WorkItem,
)
from crm.policy import ConversationState, OutgoingState, PromiseKind, PromiseState
from crm.policy.service_changes import PUT_BACK_WITHIN, ReversalState
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db


def customer_of(address: str = "carla@home.example", *, language: str = "") -> Customer:
    """Somebody with a mail address and nothing said yet."""
    customer = Customer.objects.create(display_name="Carla", language=language, created_at=NOON)
    ContactPoint.objects.create(customer=customer, kind="email", address=address, created_at=NOON)
    return customer


def told(customer: Customer, **changes: Any) -> service_changes.Told:
    """The bank's upgrade of text 001."""
    plain: dict[str, Any] = {
        "customer": customer.public_id,
        "system": "billing",
        "key": "k1",
        "code": "account_package",
        "changed_from": "Basic account",
        "changed_to": "Premium account",
        "effective_at": NOON - timedelta(days=40),
        "cost": Decimal("4.99"),
        "currency": "EUR",
        "every": "month",
    }
    return service_changes.Told(**{**plain, **changes})


def record(customer: Customer, *, by: User | None = None, **changes: Any) -> ServiceChange:
    return service_changes.record([told(customer, **changes)], by=by or colleague(), at=NOON)[0]


def token_of(change: ServiceChange) -> str:
    return service_changes.link_to(change).rstrip("/").rpartition("/")[2]


def test_a_change_nobody_asked_for_opens_its_undoing_at_once_R049():
    customer = customer_of()
    change = record(customer)
    assert not change.is_requested
    reversal = Reversal.objects.get(change=change)
    matter = change.conversation
    matter.refresh_from_db()
    assert (reversal.state, matter.state) == (ReversalState.OPEN, ConversationState.OPEN)
    promise = Promise.objects.get(conversation=matter, kind=PromiseKind.REVERSAL)
    assert promise.due_at == reversal.due_at == matter.due_at == NOON + PUT_BACK_WITHIN
    letter = reversal.told
    assert letter.address == "carla@home.example"
    for words in ("Basic account", "Premium account", "4.99 EUR a month", "You owe nothing", "silence is not a yes"):
        assert words in letter.text
    assert service_changes.link_to(change) in letter.text
    assert service_changes.link_to(change) in letter.html
    assert WorkItem.objects.filter(event="service_change.unrequested", ref=f"change:{change.public_id}").exists()
    assert HistoryEntry.objects.filter(customer=customer, verb="service.changed").exists()


def test_a_change_the_customer_asked_for_in_their_own_words_opens_nothing_R049():
    heard = intake.receive(message(), at=NOON, origin="test")
    change = record(heard.conversation.customer, asked_in=heard.interaction.public_id)
    assert change.is_requested
    assert change.conversation is None
    assert not Reversal.objects.exists()
    user = app_user()
    assert record(user.customer, key="k2", asked_account=user.public_id).is_requested


def test_somebody_else_s_words_our_own_words_or_a_claim_count_as_no_request_R049_N7():
    agent = colleague()
    other = intake.receive(message(), at=NOON, origin="test")
    desk.note(other.conversation.pk, text="She wants Premium.", by=agent, at=NOON, key="n")
    note = other.conversation.interactions.exclude(pk=other.interaction.pk).get()
    stranger = app_user()
    for number, claim in enumerate(
        [
            {"asked_in": other.interaction.public_id},
            {"asked_in": uuid.uuid4()},
            {"asked_account": stranger.public_id},
            {"asked_account": agent.public_id},
        ]
    ):
        assert not record(customer_of(f"c{number}@home.example"), key=f"k{number}", **claim).is_requested
    assert not record(other.conversation.customer, key="own", asked_in=note.public_id).is_requested


def test_the_database_refuses_a_request_that_is_not_theirs_and_a_change_without_its_undoing_R049():
    heard = intake.receive(message(), at=NOON, origin="test")
    customer, agent, stranger = customer_of(), colleague(), app_user()
    row = {
        "customer": customer, "system": "s", "code": "c", "changed_to": "x", "effective_at": NOON, "by": agent, "at": NOON,
    }  # fmt: skip
    for number, claim in enumerate([{"asked_in": heard.interaction}, {"asked_account": stranger}, {}]):
        with pytest.raises(IntegrityError), transaction.atomic():
            ServiceChange.objects.create(**row, key=f"k{number}", **claim)
    with transaction.atomic():
        ServiceChange.objects.create(**row, key="alone", conversation=heard.conversation)
        assert refused("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except IntegrityError:
        return True
    return False


def test_the_database_keeps_what_was_changed_and_lets_nobody_else_keep_it_R049_R056():
    change = record(customer_of())
    agent = colleague()
    assert refused("UPDATE crm_servicechange SET changed_to = 'Gold'")
    assert refused("UPDATE crm_servicechange SET cost = 1")
    assert refused("DELETE FROM crm_reversal")
    kept = "UPDATE crm_reversal SET state = 'kept', ended_at = now()"
    assert refused(f"{kept}, ended_by_id = {agent.pk}")
    assert refused(f"{kept}, by_customer = true")  # without their word
    assert refused(kept)
    service_changes.put_back(change.pk, by=agent, at=NOON)
    assert refused("UPDATE crm_reversal SET state = 'open', ended_at = NULL, ended_by_id = NULL, owed = 0")
    assert refused("UPDATE crm_reversal SET owed = 0")


def test_the_same_key_twice_is_one_change_and_another_content_is_refused_R049():
    customer, agent = customer_of(), colleague()
    first = record(customer, by=agent)
    assert record(customer, by=agent) == first
    assert OutgoingMessage.objects.count() == 1
    with pytest.raises(service_changes.OtherChange):
        record(customer, by=agent, changed_to="Gold account")
    assert Conversation.objects.count() == 1


def test_a_batch_is_taken_whole_or_not_at_all_R049():
    customer, agent = customer_of(), colleague()
    with pytest.raises(service_changes.UnknownCustomer):
        service_changes.record(
            [told(customer), replace(told(customer, key="k2"), customer=uuid.uuid4())], by=agent, at=NOON
        )
    assert not ServiceChange.objects.exists()
    assert not OutgoingMessage.objects.exists()
    with pytest.raises(service_changes.UnusableChange):
        service_changes.record([told(customer, key=str(n)) for n in range(101)], by=agent, at=NOON)
    for broken in ({"changed_to": " "}, {"cost": Decimal("0.001")}, {"currency": "XXX"}, {"every": "often"}):
        with pytest.raises(service_changes.UnusableChange):
            record(customer, by=agent, **broken)


def test_one_click_puts_it_back_confirms_it_in_writing_and_notes_what_was_charged_R049():
    change, agent = record(customer_of()), colleague()
    reversal, ended = service_changes.put_back(change.pk, by=agent, at=NOON + timedelta(hours=1))
    assert ended
    assert (reversal.state, reversal.ended_by, reversal.owed) == (ReversalState.REVERSED, agent, Decimal("9.98"))
    letter = reversal.confirmed
    assert "You have again: Basic account" in letter.text
    assert "9.98 EUR" in letter.text
    assert WorkItem.objects.filter(event="service_change.ended").exists()
    promise = Promise.objects.get(kind=PromiseKind.REVERSAL)
    assert promise.state == PromiseState.RUNNING  # pressing a button tells nobody
    while outgoing.send_batch(at=NOON + timedelta(hours=2)):
        pass
    letter.refresh_from_db()
    promise.refresh_from_db()
    assert letter.state == OutgoingState.ACCEPTED
    assert promise.state == PromiseState.MET
    again, ended_again = service_changes.put_back(change.pk, by=agent, at=NOON + timedelta(hours=3))
    assert (again.pk, ended_again) == (reversal.pk, False)
    assert OutgoingMessage.objects.count() == 2


def test_only_the_customer_s_own_link_keeps_it_R056_N7():
    change = record(customer_of())
    reversal, _ended = service_changes.answer(token_of(change), ReversalState.KEPT, at=NOON)
    assert (reversal.state, reversal.by_customer, reversal.ended_by) == (ReversalState.KEPT, True, None)
    assert str(reversal.told.public_id) in reversal.proof
    assert "would like to keep this: Premium account" in reversal.confirmed.text
    again, ended = service_changes.put_back(change.pk, by=colleague(), at=NOON)
    assert (again.state, ended) == (ReversalState.KEPT, False)
    with pytest.raises(service_changes.TheirsToKeep):
        service_changes._end(change.pk, ReversalState.KEPT, by=colleague(), proof="", at=NOON)


def test_the_link_opens_one_change_and_a_forged_one_none_R049():
    change = record(customer_of())
    other = record(customer_of("b@home.example"), key="k2")
    assert service_changes.opened(token_of(change)).change == change
    foreign = signing.Signer(salt="another").sign(change.public_id.hex)
    swapped = f"{other.public_id.hex}:{token_of(change).rpartition(':')[2]}"
    for forged in (foreign, swapped, "x", change.public_id.hex):
        with pytest.raises(service_changes.UnknownLink):
            service_changes.opened(forged)


@pytest.mark.parametrize(("language", "words"), [("de", "geändert"), ("fr", "chang"), ("pl", "zmien")])
def test_they_are_told_in_their_own_language_R049(language, words):
    change = record(customer_of(language=language))
    assert words in Reversal.objects.get(change=change).told.text.lower()


def test_whoever_cannot_be_written_to_is_shown_to_the_leads_and_told_by_hand_R049():
    customer = Customer.objects.create(display_name="Paper", created_at=NOON)
    change, agent = record(customer), colleague()
    assert Reversal.objects.get(change=change).told is None
    assert Alert.objects.filter(kind="change_untold", conversation=change.conversation).exists()
    with pytest.raises(service_changes.NotEnded):
        service_changes.confirmed_by_hand(change.pk, words="letter sent", by=agent, at=NOON)
    reversal, _ended = service_changes.put_back(change.pk, by=agent, at=NOON)
    assert reversal.confirmed is None
    service_changes.confirmed_by_hand(change.pk, words="Letter handed over at the counter.", by=agent, at=NOON)
    assert Promise.objects.get(kind=PromiseKind.REVERSAL).state == PromiseState.MET


def test_an_app_account_s_address_is_used_where_no_other_is_known_R049():
    user = app_user()
    ContactPoint.objects.filter(customer=user.customer, kind="email").update(unlinked_at=NOON)
    assert Reversal.objects.get(change=record(user.customer)).told.address == user.email


def test_a_change_goes_with_its_customer_when_records_become_one_and_back_N12():
    kept, gone, agent = customer_of(), customer_of("b@home.example"), colleague()
    change = record(gone)
    made = persons.merge(gone.pk, kept_id=kept.pk, because="told us", by=agent, at=NOON)
    change.refresh_from_db()
    assert change.customer == change.conversation.customer == kept
    gone.refresh_from_db()
    assert record(gone, by=agent, key="k2").customer == kept  # a system that does not know of it yet
    persons.undo(made.pk, by=agent, at=NOON)
    change.refresh_from_db()
    assert change.customer == gone


def test_customer_and_colleague_at_once_are_one_undoing_and_one_confirmation_R049(transactional_db: None):
    agent = colleague()
    for number in range(4):
        change = record(customer_of(f"c{number}@home.example"), by=agent, key=f"k{number}")
        results = at_once(
            partial(service_changes.put_back, change.pk, by=agent, at=NOON),
            partial(service_changes.answer, token_of(change), ReversalState.KEPT, at=NOON),
            partial(service_changes.answer, token_of(change), ReversalState.REVERSED, at=NOON),
        )
        assert not [result for result in results if isinstance(result, Exception)], results
        assert sum(ended for _reversal, ended in results) == 1
        assert len({reversal.state for reversal, _ended in results}) == 1
        assert OutgoingMessage.objects.filter(conversation=change.conversation).count() == 2


def test_the_same_key_at_once_is_one_change_R049(transactional_db: None):
    agent = colleague()
    for number in range(4):
        customer = customer_of(f"c{number}@home.example")
        results = at_once(*[partial(record, customer, by=agent, key=f"k{number}")] * 4)
        assert not [result for result in results if isinstance(result, Exception)], results
        assert len({change.pk for change in results}) == 1
    assert ServiceChange.objects.count() == Reversal.objects.count() == Conversation.objects.count() == 4
