"""Public posts are rows that stay; only a judgement or an answer stops their clock; somebody else looks again."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, transaction

from crm.actions import deadlines, deliveries, desk, endings, intake, judgements, outgoing, promises
from crm.channels import Channel
from crm.models import (
    Closing,
    ContactPoint,
    Conversation,
    Dismissal,
    HistoryEntry,
    Owed,
    PostJudgement,
    Promise,
    PublicPost,
)
from crm.policy import (
    JUDGEMENTS_SAMPLED_A_NIGHT,
    ConversationState,
    DismissalReason,
    HowClosed,
    NoAnswerReason,
    PostVerdict,
    PromiseKind,
    PromiseState,
    SecondLook,
    Verdict,
    counted,
)
from tests.conftest import NOON
from tests.crm.actions.test_deliveries import accepted, news
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPAM = NoAnswerReason.SPAM


def posted(text: str = "My lamp is broken.", *, at: datetime = NOON, **changes: Any) -> PublicPost:
    """Something said in public, taken in."""
    into = changes.pop("conversation", None)
    said = message(
        text, **{"channel": Channel.SOCIAL_PUBLIC, "source": "mastodon:shop", "language": "en-GB", **changes}
    )
    received = intake.receive(said, at=at, origin="test", conversation=into)
    return PublicPost.objects.select_related("conversation", "interaction").get(interaction=received.interaction)


def again(post: PublicPost, text: str = "Hello?", *, at: datetime, **changes: Any) -> PublicPost:
    """The same customer, in the same matter."""
    point = ContactPoint.objects.get(customer=post.conversation.customer)
    matter = Conversation.objects.get(pk=post.conversation_id)
    return posted(text, at=at, conversation=matter, sender_address=point.address, **changes)


def none(
    post: PublicPost, *, by: Any, at: datetime = NOON, reason: NoAnswerReason = SPAM, words: str = "An ad."
) -> Any:
    return judgements.judge(
        post.interaction_id, verdict=PostVerdict.NO_ANSWER, reason=reason, words=words, by=by, at=at
    )


def needed(post: PublicPost, *, by: Any, at: datetime = NOON) -> Any:
    return judgements.judge(post.interaction_id, verdict=PostVerdict.ANSWER, reason=None, words="", by=by, at=at)


def now(row: Any) -> Any:
    row.refresh_from_db()
    return row


# --- rows -------------------------------------------------------------------------------------------------------------


def test_what_is_said_in_public_is_a_row_and_what_is_not_is_none_N8():
    post = posted()
    posted(channel=Channel.REVIEW)
    posted_by_mail = intake.receive(message(), at=NOON, origin="test")
    assert (post.channel, post.language, post.account) == ("social_public", "en", "mastodon:shop")
    assert (post.spoke_at, post.due_at, post.is_first, post.verdict) == (
        NOON,
        Promise.objects.get(conversation=post.conversation).due_at,
        True,
        "",
    )
    assert not PublicPost.objects.filter(interaction=posted_by_mail.interaction).exists()
    assert PublicPost.objects.count() == 2


def test_a_post_is_never_moved_or_forgotten_N8():
    posted()
    for change in (
        lambda: PublicPost.objects.update(spoke_at=NOON + HOUR),
        lambda: PublicPost.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def test_the_same_event_twice_at_once_is_one_post_H03(transactional_db: None):
    said = message(channel=Channel.SOCIAL_PUBLIC)
    at_once(*[partial(intake.receive, said, at=NOON, origin="test")] * 8)
    assert PublicPost.objects.count() == 1


def test_a_post_that_reaches_us_late_counts_from_when_it_was_said_H05():
    post = posted(at=NOON, spoke_at=NOON - 6 * HOUR)
    assert post.spoke_at == NOON - 6 * HOUR
    assert post.due_at == Promise.objects.get().due_at < NOON + 8 * HOUR


# --- answered ---------------------------------------------------------------------------------------------------------


def test_an_answer_answers_what_was_said_before_it_was_written_and_nothing_after():
    first = posted()
    second = again(first, at=NOON + HOUR)
    ada = colleague()
    desk.answer(first.conversation_id, text="A new one is on its way.", by=ada, at=NOON + 2 * HOUR)
    third = again(first, at=NOON + 3 * HOUR)
    assert now(first).answered_at is None  # written is not accepted
    outgoing.send_batch(at=NOON + 4 * HOUR)
    assert (now(first).answered_at, now(second).answered_at, now(third).answered_at) == (
        NOON + 4 * HOUR,
        NOON + 4 * HOUR,
        None,
    )


def test_an_answer_that_came_back_answered_no_post_H09():
    post = posted()
    given = accepted(desk.answer(post.conversation_id, text="A new one is on its way.", by=colleague(), at=NOON))
    assert now(post).answered_at is not None
    deliveries.report(news(recipient=given.address), at=NOON + HOUR)
    assert now(post).answered_at is None


# --- judged -----------------------------------------------------------------------------------------------------------


def test_no_answer_needed_is_said_by_somebody_for_a_reason_and_stops_the_clock_N8():
    post, ada = posted("Cheap watches"), colleague()
    none(post, by=ada, at=NOON + HOUR)
    row, talk = PostJudgement.objects.get(), now(post.conversation)
    assert (row.judged_by, row.at, row.reason, row.words) == (ada, NOON + HOUR, "spam", "An ad.")
    assert (now(post).verdict, talk.state) == ("none", ConversationState.CLOSED)
    assert Promise.objects.get().state == PromiseState.RELEASED
    assert Closing.objects.get().how == HowClosed.NO_ANSWER
    assert deadlines.miss_batch(at=NOON + 30 * DAY) == 0
    told = HistoryEntry.objects.get(verb="post.judged")
    assert (told.by, told.detail["reason"]) == (ada, "spam")


def test_a_judgement_is_taken_back_and_the_promise_is_the_one_that_was_given_Q6():
    post, ada, bob = posted(), colleague(), colleague(name="Bob")
    due = Promise.objects.get().due_at
    none(post, by=ada)
    needed(post, by=bob, at=NOON + 2 * DAY)
    promise, talk = Promise.objects.get(), now(post.conversation)
    assert (promise.state, promise.due_at, promise.starts_at) == (PromiseState.RUNNING, due, NOON)
    assert (talk.state, talk.due_at, now(post).verdict) == (ConversationState.OPEN, due, "answer")
    assert deadlines.miss_batch(at=NOON + 2 * DAY) == 1  # two days had passed
    assert [row.verdict for row in PostJudgement.objects.order_by("pk")] == ["none", "answer"]
    assert PostJudgement.objects.get(taken_back_at=None).judged_by == bob


def test_judged_to_need_an_answer_changes_no_promise():
    post = posted()
    before = list(Promise.objects.values())
    needed(post, by=colleague())
    assert list(Promise.objects.values()) == before
    assert now(post.conversation).state == ConversationState.OPEN


@pytest.mark.parametrize(("reason", "words"), [(None, "An ad."), (SPAM, " ")])
def test_without_a_reason_in_code_and_words_nothing_is_judged(reason, words):
    post = posted()
    with pytest.raises(endings.ReasonMissing):
        none(post, by=colleague(), reason=reason, words=words)
    assert now(post).verdict == ""
    assert Promise.objects.get().state == PromiseState.RUNNING


def test_what_was_answered_or_is_owed_something_cannot_be_judged_away():
    ada = colleague()
    done, owed = posted(), posted()
    accepted(desk.answer(done.conversation_id, text="Done.", by=ada, at=NOON))
    Owed.objects.create(conversation=owed.conversation, currency="EUR", given_by="decision:1", at=NOON)
    with pytest.raises(judgements.AlreadyJudged):
        none(done, by=ada)
    with pytest.raises(endings.WrongState):
        none(owed, by=ada)
    assert not PostJudgement.objects.exists()


def test_a_post_missed_before_it_was_judged_stays_missed_E07():
    post = posted()
    deadlines.miss_batch(at=NOON + 3 * DAY)
    none(post, by=colleague(), at=NOON + 3 * DAY)
    assert Promise.objects.get().state == PromiseState.BREACHED


def test_the_clock_runs_while_something_else_there_waits():
    first, ada = posted(), colleague()
    second = again(first, at=NOON + HOUR)
    none(first, by=ada)
    assert Promise.objects.get().state == PromiseState.RUNNING
    assert now(first.conversation).state == ConversationState.OPEN
    none(second, by=ada)
    assert Promise.objects.get().state == PromiseState.RELEASED


def test_a_mail_in_the_same_matter_keeps_its_promise():
    post, ada = posted(), colleague()
    point = ContactPoint.objects.get(customer=post.conversation.customer)
    mail = message("It is still broken.", sender_address=point.address)
    intake.receive(mail, at=NOON + HOUR, origin="test", conversation=Conversation.objects.get(pk=post.conversation_id))
    none(post, by=ada)
    assert Promise.objects.get().state == PromiseState.RUNNING
    assert now(post.conversation).state == ConversationState.OPEN


def test_a_closing_word_follows_an_answer_and_leaves_what_we_promised():
    post, ada = posted(), colleague()
    with pytest.raises(judgements.WrongReason):
        none(post, by=ada, reason=NoAnswerReason.CLOSING_WORD)
    accepted(desk.answer(post.conversation_id, text="We call you.", by=ada, at=NOON, stays_open=True))
    promises.promise_personally(
        post.conversation_id, due_at=NOON + 2 * DAY, words="I call you.", by=ada, at=NOON, key="1"
    )
    thanks = again(post, "Thank you!", at=NOON + HOUR)
    none(thanks, by=ada, at=NOON + 2 * HOUR, reason=NoAnswerReason.CLOSING_WORD, words="Only thanks.")
    talk = now(post.conversation)
    assert talk.state == ConversationState.OPEN
    assert Promise.objects.get(kind=PromiseKind.PERSONAL).state == PromiseState.RUNNING


def test_two_people_judge_at_the_same_moment_and_one_judgement_stands(transactional_db: None):
    post, people = posted(), [colleague() for _ in range(4)]
    outcomes = at_once(*[partial(_judged_or_refused, post, by) for by in people])
    assert sorted(outcomes) == ["judged", "refused", "refused", "refused"]
    assert PostJudgement.objects.count() == 1


def _judged_or_refused(post: PublicPost, by: Any) -> str:
    try:
        none(post, by=by)
    except judgements.AlreadyJudged:
        return "refused"
    return "judged"


def test_history_from_a_file_is_judged_without_starting_or_stopping_anything():
    post, ada = posted(), colleague()
    Conversation.objects.filter(pk=post.conversation_id).update(imported=True)
    before = list(Promise.objects.values())
    none(post, by=ada)
    needed(post, by=ada, at=NOON + HOUR)
    assert list(Promise.objects.values()) == before
    assert now(post.conversation).state == ConversationState.OPEN


def test_a_dismissed_conversation_judges_its_posts_and_a_wrong_dismissal_takes_that_back_R010():
    post, ada, bob = posted("Cheap watches"), colleague(), colleague(name="Bob")
    endings.dismiss(post.conversation_id, reason=DismissalReason.SPAM, by=ada, at=NOON)
    assert (now(post).verdict, PostJudgement.objects.get().reason) == ("none", "spam")
    assert judgements.sample(NOON + HOUR) == 0  # it has a second look of its own
    Dismissal.objects.update(sampled_for="2026-03")
    endings.audit(Dismissal.objects.get().pk, verdict=Verdict.WRONG, by=bob, at=NOON + DAY)
    assert now(post).verdict == "answer"
    assert Promise.objects.get().state == PromiseState.RUNNING


# --- looked at again --------------------------------------------------------------------------------------------------


def test_a_night_draws_a_few_once_from_every_channel_and_always_the_same_N8():
    ada = colleague()
    for number in range(JUDGEMENTS_SAMPLED_A_NIGHT + 5):
        none(posted(f"Ad {number}", channel=Channel.REVIEW if number == 3 else Channel.SOCIAL_PUBLIC), by=ada)
    assert judgements.sample(NOON + HOUR) == JUDGEMENTS_SAMPLED_A_NIGHT
    assert judgements.sample(NOON + 2 * HOUR) == 0
    first = set(PostJudgement.objects.exclude(drawn_at=None).values_list("pk", flat=True))
    assert PostJudgement.objects.filter(pk__in=first, post__channel="review").count() == 1
    PostJudgement.objects.update(drawn_at=None)
    judgements.sample(NOON + HOUR)
    assert set(PostJudgement.objects.exclude(drawn_at=None).values_list("pk", flat=True)) == first


def test_a_missed_night_is_made_up_for_and_what_was_taken_back_is_not_drawn():
    ada, bob = colleague(), colleague(name="Bob")
    kept, back = posted(), posted()
    none(kept, by=ada)
    none(back, by=ada)
    needed(back, by=bob)
    assert judgements.sample(NOON + 40 * HOUR) == 1
    assert PostJudgement.objects.get(drawn_at__isnull=False).post == kept


def test_a_wrong_judgement_is_open_again_counted_from_when_the_customer_spoke_N8():
    ada, eve = colleague(), colleague(name="Eve")
    post = posted("Nobody ever answers me.", spoke_at=NOON - HOUR)
    due = Promise.objects.get().due_at
    judgement = none(post, by=ada)
    judgements.sample(NOON + HOUR)
    judgements.audit(judgement.pk, found=SecondLook.WRONG, by=eve, at=NOON + 20 * DAY)
    promise, talk = Promise.objects.get(), now(post.conversation)
    assert (promise.state, promise.starts_at, promise.due_at) == (PromiseState.RUNNING, NOON - HOUR, due)
    assert (talk.state, talk.due_at, now(post).verdict) == (ConversationState.OPEN, due, "answer")
    assert (now(judgement).audited_by, judgement.second_look) == (eve, "wrong")
    assert deadlines.miss_batch(at=NOON + 20 * DAY) == 1
    assert HistoryEntry.objects.get(verb="post.judgement_audited").by == eve
    with pytest.raises(judgements.AlreadyJudged):
        judgements.audit(judgement.pk, found=SecondLook.RIGHT, by=eve, at=NOON + 20 * DAY)


def test_a_right_judgement_stays_and_is_looked_at_by_somebody_else_alone_N8():
    ada, eve = colleague(), colleague(name="Eve")
    judgement = none(posted(), by=ada)
    with pytest.raises(judgements.AlreadyJudged):
        judgements.audit(judgement.pk, found=SecondLook.RIGHT, by=eve, at=NOON)  # not drawn
    judgements.sample(NOON + HOUR)
    with pytest.raises(endings.SamePerson):
        judgements.audit(judgement.pk, found=SecondLook.RIGHT, by=ada, at=NOON)
    judgements.audit(judgement.pk, found=SecondLook.RIGHT, by=eve, at=NOON)
    assert now(judgement.post).verdict == "none"
    with pytest.raises(IntegrityError), transaction.atomic():
        PostJudgement.objects.update(audited_by=ada)


# --- counted ----------------------------------------------------------------------------------------------------------


def test_the_database_counts_as_the_policy_does_N8():
    ada = colleague()
    accepted(desk.answer(posted().conversation_id, text="Done.", by=ada, at=NOON))
    none(posted(), by=ada)
    needed(posted(), by=ada)
    posted(channel=Channel.BLOG, at=NOON + 2 * DAY)
    judged_then_answered = posted()
    none(judged_then_answered, by=ada)
    PublicPost.objects.filter(pk=judged_then_answered.pk).update(answered_at=NOON + HOUR)
    for at in (NOON + HOUR, NOON + DAY, NOON + 9 * DAY):
        (row,) = PublicPost.objects.counted(at=at, zone=ZoneInfo("Europe/Berlin"))
        said = [
            counted(verdict=p.verdict, is_answered=p.answered_at is not None, due_at=p.due_at, at=at).value
            for p in PublicPost.objects.all()
        ]
        assert {name: row[name] for name in ("answered", "unanswered", "not_answerable", "in_time")} == {
            name: said.count(name) for name in ("answered", "unanswered", "not_answerable", "in_time")
        }
        assert row["posts"] == 5
