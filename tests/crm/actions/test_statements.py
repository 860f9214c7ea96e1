"""What we say stays said: an answer that takes something back is stopped, or says why."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction

from crm.actions import desk, intake, outgoing, statements
from crm.models import Conversation, Correction, HistoryEntry, Interaction, OutgoingMessage, User
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db


def told() -> Conversation:
    return intake.receive(message(), at=NOON, origin="test").conversation


def say(conversation: Conversation, text: str, by: User, *, correction: str = "") -> OutgoingMessage:
    return desk.answer(conversation.pk, text=text, by=by, at=NOON, correction=correction)


def test_less_than_we_said_before_is_stopped_with_the_earlier_sentence_and_nothing_leaves():
    conversation, ada = told(), colleague()
    say(conversation, "Hello. We refund you 80 euros. Bye.", ada)
    before = (Interaction.objects.count(), HistoryEntry.objects.count(), OutgoingMessage.objects.count())

    with pytest.raises(statements.Contradicts) as refused:
        say(conversation, "We refund you 60 euros.", ada)

    assert refused.value.code == "contradicts"
    assert "We refund you 80 euros." in str(refused.value)
    assert (Interaction.objects.count(), HistoryEntry.objects.count(), OutgoingMessage.objects.count()) == before


def test_a_correction_leaves_only_with_its_reason_in_the_message_and_is_on_record():
    conversation, ada = told(), colleague()
    say(conversation, "We refund you 80 euros.", ada)
    reason = "we had counted the postage twice"
    with pytest.raises(statements.Contradicts):
        say(conversation, "We refund you 60 euros.", ada, correction=reason)

    sent = say(conversation, f"We refund you 60 euros; {reason}, and are sorry.", ada, correction=f" {reason.upper()} ")

    row = Correction.objects.get()
    assert (row.interaction, row.earlier, row.by) == (sent.interaction, "We refund you 80 euros.", ada)
    say(conversation, "We refund you 60 euros, as we said.", ada)
    assert Correction.objects.count() == 1


def test_no_correction_goes_below_what_is_owed():
    conversation, ada = told(), colleague()
    owe = partial(statements.owe, conversation.pk, currency="EUR", acts=["refund"], at=NOON)
    owe(amount=Decimal(100), given_by="decision:1")
    reason = "the rules changed"
    for words in ("We refund you 80 euros", "We cannot refund you"):
        with pytest.raises(statements.Contradicts):
            say(conversation, f"{words}, {reason}.", ada, correction=reason)
    say(conversation, "We refund you 100 euros.", ada)


def test_what_was_cancelled_before_anybody_read_it_binds_nobody():
    conversation, ada = told(), colleague()
    first = say(conversation, "We refund you 80 euros.", ada)
    outgoing.cancel(first.pk, by=ada, at=NOON)
    say(conversation, "We refund you 60 euros.", ada)


def test_a_correction_is_never_rewritten():
    conversation, ada = told(), colleague()
    say(conversation, "We refund you 80 euros.", ada)
    say(conversation, "We refund you 60 euros, we miscounted.", ada, correction="we miscounted")
    for change in ("UPDATE crm_correction SET reason = 'x'", "DELETE FROM crm_correction"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


def test_two_colleagues_who_say_different_things_at_once_do_not_both_get_through(transactional_db: None):
    for _round in range(3):
        conversation, ada, bob = told(), colleague(), colleague(name="Bob")
        results = at_once(
            partial(say, conversation, "We will refund you 80 euros.", ada),
            partial(say, conversation, "A refund is not possible, we cannot refund you.", bob),
        )
        said = set(
            Interaction.objects.filter(conversation=conversation, author__isnull=False).values_list("text", flat=True)
        )
        assert sum(isinstance(result, statements.Contradicts) for result in results) == 1
        assert len(said) == 1


@pytest.mark.parametrize(
    ("earlier", "now"),
    [("We refund you 60 euros.", "We refund you 80 euros."), ("We cannot refund you.", "We refund you in full.")],
)
def test_better_news_waits_until_somebody_says_that_it_holds_and_why_R082(earlier: str, now: str):
    conversation, ada = told(), colleague()
    say(conversation, earlier, ada)
    with pytest.raises(statements.Contradicts) as refused:
        say(conversation, now, ada)
    assert earlier in str(refused.value)
    assert Interaction.objects.filter(author=ada).count() == 1

    say(conversation, now, ada, correction="A second look found more.")

    row = Correction.objects.get()
    assert (row.earlier, row.reason, row.by) == (earlier, "A second look found more.", ada)
    corrects = (
        HistoryEntry.objects.filter(verb="conversation.answered")
        .order_by("pk")
        .values_list("detail__corrects", flat=True)
    )
    assert list(corrects) == [None, True]
