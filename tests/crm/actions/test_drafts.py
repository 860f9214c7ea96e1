"""What somebody has begun to answer is kept on the server, and colleagues can read what is shared (X12)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from crm.actions import answers, drafts, intake, outgoing
from crm.models import AnswerDraft, Conversation, HistoryEntry, OutgoingMessage
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db


def told() -> Conversation:
    return intake.receive(message(), at=NOON, origin="test").conversation


def test_there_is_one_draft_for_person_and_conversation_and_the_newest_words_count_X12():
    conversation, ada, ben = told(), colleague(), colleague(name="Ben")
    drafts.keep(conversation.pk, text="Dear", by=ada, at=NOON)
    drafts.keep(conversation.pk, text="Dear Carla", by=ada, at=NOON + timedelta(seconds=3))
    drafts.keep(conversation.pk, text="Hello", by=ben, at=NOON)
    mine, shared = drafts.of(conversation, by=ada)
    assert mine is not None
    assert (mine.text, mine.updated_at, shared) == ("Dear Carla", NOON + timedelta(seconds=3), [])
    assert AnswerDraft.objects.count() == 2


def test_a_draft_without_words_is_none():
    conversation, ada = told(), colleague()
    drafts.keep(conversation.pk, text="Dear", by=ada, at=NOON)
    assert drafts.keep(conversation.pk, text=" \n", by=ada, at=NOON) is None
    assert not AnswerDraft.objects.exists()


def test_a_draft_ends_with_its_answer_and_a_colleagues_stays():
    conversation, ada, ben = told(), colleague(), colleague(name="Ben")
    for who in (ada, ben):
        drafts.keep(conversation.pk, text="Dear Carla", by=who, at=NOON)
    answers.answer(conversation.pk, text="Dear Carla, sorry.", by=ada, at=NOON)
    assert AnswerDraft.objects.get().author == ben


def test_a_refused_answer_leaves_the_draft():
    conversation, ada = told(), colleague()
    drafts.keep(conversation.pk, text="Dear Carla", by=ada, at=NOON)
    with pytest.raises(answers.NewerSaid):
        answers.answer(conversation.pk, text="Dear Carla", by=ada, at=NOON, seen=0)
    assert AnswerDraft.objects.get().text == "Dear Carla"


def test_what_a_slow_line_brings_behind_the_answer_is_no_draft_any_more():
    conversation, ada = told(), colleague()
    answers.answer(conversation.pk, text="Dear Carla", by=ada, at=NOON, key="k")
    assert drafts.keep(conversation.pk, text="Dear Carl", by=ada, at=NOON, key="k") is None
    assert drafts.keep(conversation.pk, text="And then", by=ada, at=NOON, key="k2") is not None


def test_keeping_and_sending_at_once_leave_no_draft_behind(transactional_db: None):
    ada = colleague()
    for number in range(6):
        conversation = intake.receive(message(), at=NOON, origin="test").conversation
        write = partial(
            answers.answer, conversation.pk, text="Dear Carla", by=ada, at=NOON, key="k", out_of_order="knows_it"
        )
        keep = partial(drafts.keep, conversation.pk, text="Dear Carl", by=ada, at=NOON, key="k")
        results = at_once(keep, write, keep)
        assert isinstance(results[1], OutgoingMessage), (number, results)
        assert not AnswerDraft.objects.filter(conversation=conversation).exists()


def test_a_shared_draft_is_read_and_taken_over_and_nothing_of_ones_own_is_lost_X12():
    conversation, ada, ben = told(), colleague(), colleague(name="Ben")
    drafts.keep(conversation.pk, text="We refund it.", by=ada, at=NOON, is_shared=True)
    drafts.keep(conversation.pk, text="Dear Carla,", by=ben, at=NOON)
    assert [draft.text for draft in drafts.of(conversation, by=ben)[1]] == ["We refund it."]

    drafts.take_over(conversation.pk, author_id=ada.public_id, by=ben, at=NOON)

    only = AnswerDraft.objects.get()
    assert (only.author, only.text, only.is_shared) == (ben, "Dear Carla,\n\nWe refund it.", True)
    assert HistoryEntry.objects.get(verb="draft.taken_over").detail == {"author": ada.pk}


def test_what_is_not_shared_is_neither_shown_nor_taken_over():
    conversation, ada, ben = told(), colleague(), colleague(name="Ben")
    drafts.keep(conversation.pk, text="Hm.", by=ada, at=NOON)
    before = list(AnswerDraft.objects.values())
    assert drafts.of(conversation, by=ben) == (None, [])
    for author, by in ((ada, ben), (ada, ada)):
        with pytest.raises(drafts.NotShared):
            drafts.take_over(conversation.pk, author_id=author.public_id, by=by, at=NOON)
    assert list(AnswerDraft.objects.values()) == before


def test_keeping_goes_on_sharing_until_it_is_ended():
    conversation, ada = told(), colleague()
    drafts.keep(conversation.pk, text="a", by=ada, at=NOON, is_shared=True)
    drafts.keep(conversation.pk, text="ab", by=ada, at=NOON)
    assert AnswerDraft.objects.get().is_shared
    drafts.keep(conversation.pk, text="ab", by=ada, at=NOON, is_shared=False)
    assert not AnswerDraft.objects.get().is_shared


def test_whoever_has_not_seen_the_newest_is_warned_once_and_sends_knowingly():
    conversation, ada = told(), colleague()
    intake.receive(message("I found the invoice."), at=NOON, origin="test", conversation=conversation)
    with pytest.raises(answers.NewerSaid) as refused:
        answers.answer(conversation.pk, text="Please send the invoice.", by=ada, at=NOON, seen=1)
    assert (refused.value.code, refused.value.said) == ("newer_said", 2)
    assert not OutgoingMessage.objects.exists()
    sent = answers.answer(conversation.pk, text="Thank you.", by=ada, at=NOON, seen=2, key="k")
    assert answers.answer(conversation.pk, text="Thank you.", by=ada, at=NOON, seen=2, key="k") == sent
    outgoing.send_batch(at=NOON)


def test_words_from_a_stale_window_do_not_replace_newer_ones():
    conversation, ada = told(), colleague()
    first = drafts.keep(conversation.pk, text="Dear", by=ada, at=NOON, expects="")
    second = drafts.keep(
        conversation.pk, text="Dear Carla", by=ada, at=NOON + timedelta(seconds=1), expects=drafts.version(first)
    )
    for stale in ("", drafts.version(first)):
        with pytest.raises(drafts.Changed):
            drafts.keep(conversation.pk, text="D", by=ada, at=NOON + timedelta(seconds=2), expects=stale)
    assert drafts.of(conversation, by=ada)[0] == second
    assert AnswerDraft.objects.get().text == "Dear Carla"
