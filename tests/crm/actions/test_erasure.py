"""Whoever is erased is erased everywhere; what is owed, held or counted stays (Q10, P07, P09, P10, P13)."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Count

from crm.actions import clearing, customers, desk, erasure, intake, mails, persons, suppression
from crm.models import (
    Attachment,
    Call,
    CallEvent,
    Consent,
    ContactPoint,
    Conversation,
    Customer,
    Erasure,
    ErasureEntry,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    RawItem,
    Redeemed,
    User,
)
from crm.models.people import CustomerStatus
from crm.policy import Role
from crm.policy.privacy import AskedBy, ErasureState, Obstacle
from crm.policy.suppression import SuppressionReason, SuppressionScope
from recovery import actions as recovery_actions
from recovery.actions import ledger, replay
from recovery.models import Case, Decision, Grant, LedgerWeek
from recovery.policy import Facts, GrantKind, Outcome
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.canaries import ADDRESS, CANARY, NAME, Planter, hits, hits_in_files, storage
from tests.crm.stories import app_user, colleague, message, raw_mail
from tests.faults.threads import at_once
from tests.recovery.test_grants import DAMAGED, decided, give

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=1)


@pytest.fixture(autouse=True)
def journal_file(settings: Any, tmp_path: Path) -> Path:
    settings.EVENHAND_ERASURE_JOURNAL = tmp_path / "erasures.journal"
    return tmp_path / "erasures.journal"


def asked(customer: Customer, *, by: User) -> Erasure:
    return erasure.ask(
        customer.pk,
        asked_by=AskedBy.CUSTOMER,
        words=f"a letter of {CANARY}",
        reason=f"{CANARY} wants it",
        by=by,
        at=LATER,
    )


def erased(customer: Customer, *, by: User) -> Erasure:
    """Ask for it, have it carried out, and let the lane work."""
    wanted = erasure.carry_out(asked(customer, by=by).pk, by=by, at=LATER)
    while erasure.work_batch(at=LATER):
        pass
    wanted.refresh_from_db()
    assert wanted.state == ErasureState.DONE, wanted.trouble
    return wanted


def settled(by: User) -> Case:
    """A case of Carla's with a mail, an answer, money, a confirmation and everything that hangs on it."""
    raw = mails.keep_raw(
        raw_mail(f"My {CANARY} arrived broken.", sender=ADDRESS), source="mail:test", label="", at=NOON
    )
    received = mails.read_raw(raw, at=NOON)
    assert received is not None
    said = received.interaction
    customer = said.conversation.customer
    customer.display_name = NAME
    customer.save()
    case = Case.objects.filter(conversation=said.conversation).first() or recovery_actions.open_case(
        said.conversation_id, facts=Facts(), seen_because=[CANARY], by=None, at=NOON
    )
    recovery_actions.decide(case.pk, facts=DAMAGED, by=by, at=NOON)
    case.refresh_from_db()
    give(case, "80.00", by=by, public_words="")
    give(case, "20.00", GrantKind.GOODWILL, by=by)
    recovery_actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation=f"We are sorry, {CANARY}.", by=by, at=NOON)
    Attachment.objects.create(
        interaction=said, name=f"{CANARY}.txt", content_type="text/plain", size=3, state="stored",
        file=ContentFile(CANARY.encode(), name=f"{CANARY}.txt"),
    )  # fmt: skip
    desk.note(said.conversation_id, text=f"{CANARY} rang as well", by=by, at=NOON)
    customers.tell_birthday(customer, month=3, day=2, evidence=f"{CANARY} said yes", at=NOON)
    allows(customer, "news", words=f"Yes, {CANARY}.")
    for message_ in OutgoingMessage.objects.filter(customer=customer):
        OutgoingMessage.objects.filter(pk=message_.pk).update(state="accepted", accepted_at=NOON, provider_id=CANARY)
    Conversation.objects.filter(pk=said.conversation_id).update(state="closed", due_at=None)
    return case


def test_nothing_of_a_person_is_left_in_database_or_files_and_money_rows_keep_the_amount_P07(caplog):
    caplog.set_level(logging.DEBUG)
    ada = colleague()
    case = settled(ada)
    customer = case.customer
    sums = list(Grant.objects.order_by("pk").values_list("case", "kind", "amount", "currency"))
    assert {"crm_interaction", "crm_rawitem", "crm_customer", "crm_contactpoint", "crm_consent"} <= set(hits(CANARY))
    assert hits_in_files(storage(), CANARY)
    wanted = erased(customer, by=ada)
    assert hits(CANARY) == {}
    assert hits_in_files(storage(), CANARY) == []
    assert CANARY not in caplog.text.lower()
    assert list(Grant.objects.order_by("pk").values_list("case", "kind", "amount", "currency")) == sums
    customer.refresh_from_db()
    assert (customer.status, customer.display_name) == (CustomerStatus.ERASED, "")
    assert HistoryEntry.objects.filter(customer=customer, verb="customer.erased", by=ada).exists()
    assert wanted.counts["crm.Interaction"] >= 2
    again = intake.receive(message("Hello.", sender_address=ADDRESS), at=LATER, origin="test")
    assert again.conversation.customer_id != customer.pk


def test_a_canary_in_every_column_of_every_personal_table_is_gone_P07():
    ada, account = colleague(), app_user(name=NAME, email=ADDRESS)
    person = account.customer
    assert person is not None
    planted = Planter(person, colleague=ada, account=account).plant()
    Conversation.objects.filter(customer=person).update(state="closed")
    Case.objects.filter(customer=person).update(status="dismissed")
    found = set(hits(CANARY))
    assert len(found) >= 40, sorted(found)
    erased(person, by=ada)
    assert hits(CANARY) == {}, planted


def story_numbers() -> dict[str, Any]:
    """What statistics are made of: channels, times, durations, severities, outcomes, amounts, kept promises, decisions."""
    ledger.refresh_ledger(LATER)
    return {
        "said": list(
            Interaction.objects.order_by("pk").values_list(
                "conversation", "direction", "channel", "source", "spoke_at", "ingested_at", "wait_seconds", "author"
            )
        ),
        "matters": list(
            Conversation.objects.order_by("pk").values_list("channel", "state", "spoke_at", "first_answer_at", "owner")
        ),
        "cases": list(
            Case.objects.order_by("pk").values_list("severity", "complaint_type", "outcome", "spoke_at", "resolved_at", "status")
        ),
        "decisions": list(Decision.objects.order_by("pk").values_list("facts", "facts_hash", "entitlement", "entitlement_hash")),
        "given": list(Grant.objects.order_by("pk").values_list("case", "kind", "amount", "currency", "at")),
        "weeks": [{**week, "id": 0} for week in LedgerWeek.objects.order_by("pk").values()],
        "sent": list(OutgoingMessage.objects.order_by("pk").values_list("kind", "channel", "state", "accepted_at", "delivery")),
        "happened": list(HistoryEntry.objects.exclude(verb__startswith="erasure").exclude(verb="customer.erased")
                         .values_list("verb").annotate(number=Count("pk")).order_by("verb")),
    }  # fmt: skip


def test_statistics_say_the_same_before_and_after_P07():
    ada = colleague()
    case = settled(ada)
    other = decided(by=ada)
    before = story_numbers()
    erased(case.customer, by=ada)
    assert story_numbers() == before
    assert other.decisions.count() == 2
    assert replay.replay_decisions(LATER) == 0


def test_the_guards_open_for_the_erasing_transaction_and_its_person_alone_P07():
    ada = colleague()
    mine, other = settled(ada), decided(by=ada)
    allows(other.customer, "news")
    work = erasure.carry_out(asked(mine.customer, by=ada).pk, by=ada, at=LATER)
    Erasure.objects.filter(pk=work.pk).update(state="claimed", lease_until=LATER, records=[mine.customer_id])

    def refused(sql: str, *, named: bool = True) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('evenhand.erasing', %s, true)", [str(work.pk) if named else ""])
            with pytest.raises(IntegrityError), transaction.atomic():
                cursor.execute(sql)

    own = f"WHERE customer_id = {mine.customer_id}"
    refused(f"UPDATE crm_consent SET evidence = 'erased' {own}", named=False)
    refused(f"UPDATE crm_consent SET evidence = 'another' {own}")
    refused(f"UPDATE crm_consent SET evidence = 'erased', state = 'withdrawn' {own}")
    refused(f"UPDATE crm_consent SET evidence = 'erased' WHERE customer_id = {other.customer_id}")
    refused(f"DELETE FROM crm_consent {own}")
    refused(f"UPDATE crm_historyentry SET verb = 'nothing' {own}")
    refused(f"UPDATE crm_historyentry SET detail = '{{\"more\": 1}}' {own}")
    refused(f"UPDATE recovery_grant SET amount = 0 WHERE case_id = {mine.pk}")
    refused(f"UPDATE recovery_grant SET public_words = '' WHERE case_id = {mine.pk}", named=False)
    refused(f"UPDATE recovery_decision SET facts = '{{}}' WHERE case_id = {mine.pk}")
    Erasure.objects.filter(pk=work.pk).update(state="ready")
    refused(f"UPDATE crm_consent SET evidence = 'erased' {own}")
    assert Consent.objects.filter(customer=mine.customer, evidence__icontains=CANARY).exists()


# --- what stands in the way -----------------------------------------------------------------------------------------------


def test_an_open_case_money_owed_and_a_legal_hold_restrict_it_and_it_goes_on_by_itself_P09():
    ada = colleague()
    case = decided(by=ada)
    waiting = asked(case.customer, by=ada)
    assert waiting.state == ErasureState.RESTRICTED
    assert {Obstacle.OPEN_CASE, Obstacle.OPEN_MATTER} <= set(waiting.stands_in_the_way)
    with pytest.raises(erasure.Restricted, match="A case of theirs is open"):
        erasure.carry_out(waiting.pk, by=ada, at=LATER)
    assert erasure.work_batch(at=LATER) == 0
    give(case, "50.00", by=ada)
    recovery_actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="Sorry.", by=ada, at=LATER)
    OutgoingMessage.objects.filter(customer=case.customer).update(state="accepted", accepted_at=LATER)
    Conversation.objects.filter(customer=case.customer).update(state="closed", due_at=None)
    erasure.hold(case.customer, standing_now=True, by=ada, at=LATER)
    erasure.look_again(LATER)
    waiting.refresh_from_db()
    assert set(waiting.stands_in_the_way) == {Obstacle.MONEY_OWED, Obstacle.LEGAL_HOLD}
    give(case, "50.00", GrantKind.GOODWILL, by=ada)
    erasure.look_again(LATER)
    waiting.refresh_from_db()
    assert waiting.stands_in_the_way == [Obstacle.LEGAL_HOLD]
    erasure.hold(case.customer, standing_now=False, by=ada, at=LATER)
    assert erasure.look_again(LATER) == 1
    assert erasure.work_batch(at=LATER) == 1
    waiting.refresh_from_db()
    assert waiting.state == ErasureState.DONE


def test_asking_needs_words_is_one_request_and_can_be_taken_back_until_it_is_agreed_P07():
    ada = colleague()
    customer = Customer.objects.create(display_name=NAME, created_at=NOON)
    with pytest.raises(erasure.WordsMissing):
        erasure.ask(customer.pk, asked_by=AskedBy.CUSTOMER, words=" ", reason="x", by=ada, at=NOON)
    first = asked(customer, by=ada)
    assert asked(customer, by=ada) == first
    assert erasure.work_batch(at=LATER) == 0
    erasure.drop(first.pk, by=ada, at=LATER)
    with pytest.raises(erasure.NotErasable):
        erasure.carry_out(first.pk, by=ada, at=LATER)
    erased(customer, by=ada)
    with pytest.raises(erasure.NotErasable):
        asked(customer, by=ada)


def test_who_was_given_a_card_this_year_gets_none_by_being_erased_and_coming_back_P09():
    from loyalty import actions as loyalty_actions
    from loyalty.models import Gesture, Programme

    ada = colleague()
    Programme.objects.update(is_active=True)

    def carla(address: str) -> Customer:
        customer = Customer.objects.create(display_name="Carla", created_at=NOON)
        ContactPoint.objects.create(customer=customer, kind="email", address=address, created_at=NOON)
        customers.tell_birthday(customer, month=3, day=2, evidence="yes", at=NOON)
        return customer

    first = carla(ADDRESS)
    assert loyalty_actions.plan_birthdays(NOON) == 1
    Gesture.objects.update(state="sent", sent_at=NOON)
    erased(first, by=ada)
    assert hits(CANARY) == {}
    assert Redeemed.objects.filter(what="birthday:2026").count() == 1
    carla(ADDRESS)
    carla("somebody@home.example")
    assert loyalty_actions.plan_birthdays(NOON) == 1  # the other one alone


def test_records_that_were_made_one_go_together_and_are_not_parted_again_P07():
    ada = colleague(Role.LEAD)
    kept = Customer.objects.create(display_name=NAME, created_at=NOON)
    gone = Customer.objects.create(display_name=f"{NAME} junior", created_at=NOON)
    ContactPoint.objects.create(customer=gone, kind="email", address=ADDRESS, created_at=NOON)
    made = persons.merge(
        gone.pk, kept_id=kept.pk, because=f"{CANARY} said so", take=[], opens_to_account=False, by=ada, at=NOON
    )
    erased(kept, by=ada)
    assert hits(CANARY) == {}
    with pytest.raises(persons.TooLateToPart):
        persons.undo(made.pk, by=ada, at=LATER)


def test_an_account_of_the_app_is_shut_and_its_log_ins_end_P07(client):
    ada, account = colleague(), app_user(name=NAME, email=ADDRESS)
    client.force_login(account)
    assert account.customer is not None
    erased(account.customer, by=ada)
    account.refresh_from_db()
    assert not account.is_active
    assert not account.has_usable_password()
    assert client.get("/api/v1/me/").status_code in (401, 403)
    assert hits(CANARY) == {}


def test_a_caller_who_never_became_a_matter_goes_by_their_number_P07():
    ada = colleague()
    customer = Customer.objects.create(display_name=NAME, created_at=NOON)
    number = "+4930123456789"
    ContactPoint.objects.create(customer=customer, kind="phone", address=number, created_at=NOON)
    call = Call.objects.create(
        source="phone:test", external_id="1", caller=number, caller_name=NAME, rang_at=NOON, held_at=NOON, heard_at=NOON
    )
    CallEvent.objects.create(
        call=call,
        source="phone:test",
        event_id="1",
        kind="ringing",
        at=NOON,
        received_at=NOON,
        in_time=True,
        caller=number,
    )
    erased(customer, by=ada)
    assert hits(number, CANARY) == {}


def test_of_a_post_that_brought_several_people_only_this_persons_part_goes_P07():
    ada = colleague()
    raw = RawItem.objects.create(
        source="hook:x", external_id="d", content=b'{"a": "%s and tom@home.example"}' % ADDRESS.encode(), received_at=NOON,
        state="done",
    )  # fmt: skip
    mine = intake.receive(message(CANARY, sender_address=ADDRESS), at=NOON, origin="test")
    tom = intake.receive(message("Me too.", sender_address="tom@home.example"), at=NOON, origin="test")
    Interaction.objects.filter(pk__in=[mine.interaction.pk, tom.interaction.pk]).update(raw=raw)
    Conversation.objects.filter(pk=mine.conversation.pk).update(state="closed", due_at=None)
    Case.objects.filter(conversation=mine.conversation).update(status="dismissed")
    OutgoingMessage.objects.update(state="accepted", accepted_at=NOON)
    erased(mine.conversation.customer, by=ada)
    raw.refresh_from_db()
    assert b"tom@home.example" in bytes(raw.content)
    assert hits(CANARY) == {}
    tom.interaction.refresh_from_db()
    assert tom.interaction.text == "Me too."


def test_mails_nobody_took_up_go_too_when_they_name_the_person_P07():
    ada = colleague()
    customer = Customer.objects.create(display_name=NAME, created_at=NOON)
    ContactPoint.objects.create(customer=customer, kind="email", address=ADDRESS, created_at=NOON)
    for number in range(3):
        RawItem.objects.create(
            source="mail:test", external_id=str(number), content=b"From: %s\r\n\r\nbuy" % ADDRESS.upper().encode(), label=ADDRESS,
            facts={"mail_from": ADDRESS}, received_at=NOON, state="parked" if number else "done", kind="spam", reason=f"{ADDRESS}?",
        )  # fmt: skip
    erased(customer, by=ada)
    assert hits(CANARY) == {}
    assert not RawItem.objects.filter(state="parked").exists()


def test_a_worker_that_is_lost_half_way_is_made_up_for_P07(monkeypatch):
    ada = colleague()
    case = settled(ada)
    wanted = erasure.carry_out(asked(case.customer, by=ada).pk, by=ada, at=LATER)
    broken = clearing.clear

    def fails(label: str, keys: Any) -> int:
        if label == "crm.Conversation":
            raise RuntimeError(CANARY)
        return broken(label, keys)

    monkeypatch.setattr(clearing, "clear", fails)
    monkeypatch.setattr("crm.actions.erasure.clearing.clear", fails)
    assert erasure.work_batch(at=LATER) == 1
    wanted.refresh_from_db()
    assert (wanted.state, wanted.trouble) == (ErasureState.READY, "RuntimeError")
    assert ErasureEntry.objects.count() == 1
    monkeypatch.undo()
    assert erasure.work_batch(at=LATER) == 0  # not yet
    assert erasure.work_batch(at=LATER + erasure.TRIED_AGAIN_AFTER) == 1
    assert hits(CANARY) == {}
    assert ErasureEntry.objects.count() == 1
    assert Decimal(100) == sum(Grant.objects.values_list("amount", flat=True))


def test_two_workers_take_one_erasure_once_and_two_colleagues_agree_once_P07(transactional_db: None):
    ada, ben = colleague(Role.LEAD), colleague(Role.LEAD)
    customer = Customer.objects.create(display_name=NAME, created_at=NOON)
    wanted = asked(customer, by=ada)
    refused: list[bool] = []

    def agree(by: User) -> None:
        try:
            erasure.carry_out(wanted.pk, by=by, at=LATER)
        except erasure.NotErasable:
            refused.append(True)

    at_once(partial(agree, ada), partial(agree, ben))
    assert refused == [True]
    at_once(partial(erasure.work_batch, at=LATER), partial(erasure.work_batch, at=LATER))
    wanted.refresh_from_db()
    assert wanted.state == ErasureState.DONE
    assert ErasureEntry.objects.count() == 1
    assert HistoryEntry.objects.filter(verb="customer.erased").count() == 1


def test_an_address_that_wanted_nothing_still_wants_nothing_after_erasure_and_a_new_file_P10(tmp_path):
    ada = colleague()
    customer = Customer.objects.create(display_name=NAME, created_at=NOON)
    ContactPoint.objects.create(customer=customer, kind="email", address=ADDRESS, created_at=NOON)
    allows(customer)
    suppression.suppress(
        "email", ADDRESS, scope=SuppressionScope.CHEERFUL, reason=SuppressionReason.UNSUBSCRIBE, at=NOON
    )
    erased(customer, by=ada)
    assert hits(CANARY) == {}
    file = tmp_path / "shop.csv"
    file.write_text(f"name,email,consent.birthday\nCarla,{ADDRESS},yes\n")
    call_command("import_customers", str(file))
    again = ContactPoint.objects.get(address=ADDRESS).customer
    assert again.pk != customer.pk
    assert not Consent.objects.filter(customer=again).exclude(state="unknown").exists()
    assert suppression.standing([("email", ADDRESS)], at=LATER)
