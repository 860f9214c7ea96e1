"""Rules let things go at night, never before a person switched them on, never what is held (P19, R073)."""

from __future__ import annotations

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.db import IntegrityError, connection, transaction

from crm.actions import asking, holds, retention
from crm.models import (
    AnswerDraft,
    Ask,
    Attachment,
    Call,
    Conversation,
    Customer,
    CustomerImport,
    HistoryEntry,
    ImportedCustomer,
    Interaction,
    OutgoingMessage,
    RawItem,
    RetentionProof,
    RetentionRule,
    SurveyAnswer,
)
from crm.policy import Role
from crm.policy.privacy import RetentionKind
from tests.conftest import NOON
from tests.crm.actions.test_erasure import settled
from tests.crm.canaries import CANARY, hits, hits_in_files, storage
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
MUCH_LATER = NOON + timedelta(days=5000)


@pytest.fixture(autouse=True)
def shipped_rules(db: None) -> None:
    importlib.import_module("crm.migrations.0022_privacy").write_rules(apps, None)


def old_things() -> Customer:
    """One of every kind of thing that a rule lets go, all of one customer with a settled case and the same day."""
    ada = colleague()
    case = settled(ada)
    said = case.conversation.interactions.order_by("pk")[0]
    holds.lift(f"case:{case.public_id}", at=NOON)
    for hold in case.customer_id and apps.get_model("crm.Hold").objects.filter(customer=case.customer, until=None):
        holds.lift(hold.key, at=NOON)
    RawItem.objects.create(
        source="mail:test", external_id="spam", content=b"buy", kind="spam", state="done", received_at=NOON
    )
    Attachment.objects.create(
        interaction=said, name="bad.exe", content_type="x", size=3, state="quarantined", reason="a program",
        file=ContentFile(b"bad", name="bad.exe"),
    )  # fmt: skip
    AnswerDraft.objects.create(conversation=case.conversation, author=ada, text="Dear", updated_at=NOON)
    brought = CustomerImport.objects.create(source="shop", file_name="x.csv", at=NOON)
    ImportedCustomer.objects.create(
        brought_by=brought,
        source="shop",
        external_id="1",
        customer=case.customer,
        is_new=False,
        claims=[["email", "a@b.example"]],
    )
    Call.objects.create(
        source="phone:test", external_id="1", caller="+4930123456789", rang_at=NOON, held_at=NOON, heard_at=NOON, state="ended",
        ended_at=NOON, ended_by="customer", followed_up_at=NOON,
    )  # fmt: skip
    return case.customer


def test_nothing_goes_as_shipped_and_a_look_changes_nothing_P19():
    old_things()
    before = {model.__name__: model._default_manager.count() for model in (RawItem, AnswerDraft, Call)}
    assert RetentionRule.objects.count() == len(RetentionKind) == 7
    for kind in RetentionKind:
        look = retention.look(kind, keep_days=1, at=MUCH_LATER)
        assert look.number == 1, kind
        assert look.oldest is not None
        assert retention.look(kind, keep_days=1, at=NOON).number == 0, kind
    assert retention.remove_due(MUCH_LATER) == 0
    assert not RetentionProof.objects.exists()
    assert before == {model.__name__: model._default_manager.count() for model in (RawItem, AnswerDraft, Call)}


def test_what_is_due_goes_in_portions_with_a_proof_and_no_word_is_left_P19(monkeypatch):
    monkeypatch.setattr("crm.actions.clearing.AT_ONCE", 1)
    customer = old_things()
    lead = colleague(Role.ADMINISTRATOR)
    for kind in RetentionKind:
        retention.set_rule(kind, keep_days=30, basis="enough", is_active=True, by=lead, at=NOON)
    assert retention.remove_due(MUCH_LATER) == 7
    proofs = list(RetentionProof.objects.order_by("pk"))
    assert [proof.removed for proof in proofs] == [1] * 7
    assert all(proof.before == MUCH_LATER - timedelta(days=30) for proof in proofs)
    assert not Interaction.objects.exclude(text="", html="", subject="").exists()
    assert not OutgoingMessage.objects.filter(conversation__isnull=False).exclude(text="").exists()
    assert not RawItem.objects.exclude(content=b"").exists()
    assert not hits_in_files(storage(), CANARY, "bad")
    assert "crm_interaction" not in set(hits("arrived broken"))
    customer.refresh_from_db()
    assert customer.display_name  # the person stays
    assert retention.remove_due(MUCH_LATER) == 0
    assert RetentionProof.objects.count() == 14
    assert HistoryEntry.objects.filter(verb="retention.changed", by=lead).count() == 7


def test_the_words_of_an_answer_to_our_questions_go_with_their_matter_and_its_grades_stay_P19_R068():
    matter = Conversation.objects.get(customer=old_things())
    lead = colleague(Role.ADMINISTRATOR)
    sent = OutgoingMessage.objects.create(
        key="q", kind="ask", purpose="survey", channel="email", address="x@y.example", customer=matter.customer, subject="x",
        text="x", created_at=NOON, send_after=NOON, state="accepted", accepted_at=NOON,
    )  # fmt: skip
    asked = Ask.objects.create(
        asking=asking.begin(asking.Plan(kind="survey", share=100), by=lead, at=NOON), kind="survey", conversation=matter,
        outcome="asked", message=sent, at=NOON,
    )  # fmt: skip
    SurveyAnswer.objects.create(ask=asked, csat=1, words=CANARY, language="en", at=NOON)
    retention.set_rule(RetentionKind.WORDS, keep_days=30, basis="enough", is_active=True, by=lead, at=NOON)
    retention.remove_due(MUCH_LATER)
    answer = SurveyAnswer.objects.get()
    assert (answer.words, answer.csat) == ("", 1)
    for change in ({"csat": 5}, {"csat": 5, "words": ""}, {"words": "fine"}):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            SurveyAnswer.objects.update(**change)
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        answer.delete()


@pytest.mark.parametrize("why", ["hold", "open"])
def test_what_is_held_or_waits_for_us_stays_P19(why: str):
    customer = old_things()
    if why == "hold":
        holds.place(customer, key="legal:x", reason="legal", at=NOON)
    else:
        Conversation.objects.filter(customer=customer).update(state="open", due_at=MUCH_LATER)
    for kind in (
        RetentionKind.RAW,
        RetentionKind.QUARANTINED,
        RetentionKind.DRAFTS,
        RetentionKind.WORDS,
        RetentionKind.IMPORTED,
    ):
        assert retention.look(kind, keep_days=1, at=MUCH_LATER).number == 0, kind


def test_a_rule_has_days_and_a_reason_and_a_proof_is_never_rewritten_P19():
    lead = colleague(Role.ADMINISTRATOR)
    for days, basis in ((0, "x"), (10**6, "x"), (3, " ")):
        with pytest.raises(retention.UnusableRule):
            retention.set_rule(RetentionKind.RAW, keep_days=days, basis=basis, is_active=True, by=lead, at=NOON)
    assert not RetentionRule.objects.filter(is_active=True).exists()
    RetentionProof.objects.create(kind="raw", keep_days=1, before=NOON, removed=3, at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE crm_retentionproof SET removed = 0")
