"""Whether a public post needs an answer: said by a person, for a reason, looked at again by another; never by reach (N8)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from crm import history
from crm.actions import endings, posts, promises, queue
from crm.models import Conversation, Interaction, Owed, PostJudgement, Promise, PublicPost, User
from crm.policy import (
    FIRST_RESPONSE_WITHIN,
    ConversationState,
    Direction,
    HowClosed,
    NoAnswerReason,
    PostVerdict,
    PromiseKind,
    PromiseState,
    PullEnd,
    SecondLook,
    drawn,
    may_be_closing_word,
    promises_an_answer_keeps,
)

DRAWN_FROM = timedelta(days=2)
"""How far back a night's sample reaches, so that a missed night is made up for."""

_FOR_WHAT_WAS_SAID = Q(given_by="everybody") | Q(given_by__startswith="message:") | Q(given_by__startswith="post:")
"""Promises of an answer to what was said; those of news about what we do are kept whatever else is said."""


class AlreadyJudged(Exception):
    """Nothing is left to say about this post: it is answered, or just that was said."""

    code = "already_judged"


class WrongReason(ValueError):
    """The reason does not fit this post."""

    code = "wrong_reason"


@transaction.atomic
def judge(
    interaction_id: int, *, verdict: PostVerdict, reason: NoAnswerReason | None, words: str, by: User, at: datetime
) -> PostJudgement:
    """Say whether a public post needs an answer. A judgement can be changed by another one; all of them stay.

    interaction_id: what was posted. reason, words: why it needs no answer; both are needed for that and for nothing else.
    With no answer needed, the promised answer is let go unless something else said there waits for it; what was missed
    stays missed. With an answer needed after all, the same promise runs again, counted from when the customer spoke.
    Raises PublicPost.DoesNotExist, AlreadyJudged, WrongReason, endings.ReasonMissing, endings.WrongState,
    endings.SamePerson; then nothing has changed.
    """
    post, conversation = _locked(interaction_id)
    if post.verdict == verdict:
        raise AlreadyJudged(_("That is what was said about this post already."))
    if verdict == PostVerdict.NO_ANSWER:
        _may_stay_unanswered(post, conversation, reason=reason, words=words)
    elif reason is not None:
        raise WrongReason(_("A reason is needed only where no answer is."))
    before = post.verdict
    judgement = posts.judged(post, verdict, reason=reason, words=words, by=by, at=at)
    _record(conversation, "post.judged", post, by=by, at=at, verdict=verdict.value, reason=judgement.reason)
    if verdict == PostVerdict.NO_ANSWER:
        _stop_clock(conversation, why=judgement.get_reason_display(), by=by, at=at)
    elif before == PostVerdict.NO_ANSWER:
        _run_on(post, conversation, by=by, at=at)
    return judgement


def _may_stay_unanswered(
    post: PublicPost, conversation: Conversation, *, reason: NoAnswerReason | None, words: str
) -> None:
    if post.answered_at is not None:
        raise AlreadyJudged(_("This post has been answered; there is nothing left to judge."))
    if reason is None or not words.strip():
        raise endings.ReasonMissing(_("Please choose why no answer is needed, and say it in a few words."))
    if Owed.objects.filter(conversation=conversation).exists():
        raise endings.WrongState(_("A case hangs on this conversation, so its customer is owed an answer."))
    if reason == NoAnswerReason.CLOSING_WORD and not may_be_closing_word(
        first_answer_at=conversation.first_answer_at, spoke_at=post.spoke_at
    ):
        raise WrongReason(_("Only what comes after an answer of ours is a closing word."))


def _stop_clock(conversation: Conversation, *, why: str, by: User, at: datetime) -> None:
    """Let go of the promised answer, and close a conversation in which nothing is left to do."""
    if conversation.imported or _something_else_waits(conversation):
        return
    kinds = promises_an_answer_keeps()
    Promise.objects.filter(_FOR_WHAT_WAS_SAID, conversation=conversation, kind__in=kinds).running().update(
        state=PromiseState.RELEASED
    )
    left = Promise.objects.filter(conversation=conversation).unmet()
    if conversation.state != ConversationState.CLOSED and not left.exclude(_FOR_WHAT_WAS_SAID, kind__in=kinds).exists():
        endings.closed(conversation, HowClosed.NO_ANSWER, reason=why, by=by, at=at)
        queue.ended(conversation, PullEnd.CLOSED, at=at)
    promises.settle_due(conversation, at=at)


def _something_else_waits(conversation: Conversation) -> bool:
    """Whether the customer said something since our last message that nobody judged to need no answer."""
    said = Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
    if conversation.last_outbound_at is not None:
        said = said.filter(spoke_at__gt=conversation.last_outbound_at)
    return said.exclude(public_post__verdict=PostVerdict.NO_ANSWER).exists()


def _run_on(post: PublicPost, conversation: Conversation, *, by: User, at: datetime) -> None:
    """Let the promise of an answer to this post run again; its due time never moved."""
    if conversation.imported or post.answered_at is not None:
        return
    theirs = Promise.objects.filter(
        _FOR_WHAT_WAS_SAID,
        conversation=conversation,
        kind__in=promises_an_answer_keeps(),
        starts_at__lte=post.spoke_at,
    )
    if not theirs.unmet().exists():
        let_go = (
            theirs.filter(state=PromiseState.RELEASED).order_by("-starts_at", "-pk").values_list("pk", flat=True)[:1]
        )
        if let_go:
            Promise.objects.filter(pk=let_go[0]).update(state=PromiseState.RUNNING)
        else:
            promises.give(
                conversation,
                PromiseKind.NEXT_UPDATE,
                within=FIRST_RESPONSE_WITHIN,
                starts_at=post.spoke_at,
                given_by=f"post:{post.pk}",
                at=at,
            )
    if conversation.state == ConversationState.CLOSED:
        endings.runs_on(conversation, by=by, at=at)
    else:
        conversation.state = ConversationState.OPEN
        promises.settle_due(conversation, at=at)
        conversation.save(update_fields=["state"])


@transaction.atomic
def sample(at: datetime) -> int:
    """Draw a few of the last days' judgements "needs no answer" for an auditor. Safe to repeat: a night draws once.

    Which are drawn follows from their public ids alone, so anybody can draw again. Returns how many.
    """
    waiting = PostJudgement.objects.filter(
        verdict=PostVerdict.NO_ANSWER,
        taken_back_at=None,
        at__gt=at - DRAWN_FROM,
        at__lte=at,
        drawn_at=None,
        dismissal=None,
    )
    if PostJudgement.objects.filter(drawn_at__gt=at - timedelta(hours=12)).exists():
        return 0
    numbers = drawn((str(number), channel) for number, channel in waiting.values_list("public_id", "post__channel"))
    return PostJudgement.objects.filter(public_id__in=numbers).update(drawn_at=at)


@transaction.atomic
def audit(judgement_id: int, *, found: SecondLook, by: User, at: datetime) -> PostJudgement:
    """Look at a drawn judgement again, as somebody else than who made it; a wrong one is taken back and its post reopened.

    Its promise runs again as it was, counted from when the customer spoke.
    Raises PostJudgement.DoesNotExist, AlreadyJudged, endings.SamePerson; then nothing has changed.
    """
    number = PostJudgement.objects.values_list("post__interaction_id", flat=True).get(pk=judgement_id)
    post, conversation = _locked(number)
    judgement = PostJudgement.objects.select_for_update(of=("self",)).get(pk=judgement_id)
    if judgement.drawn_at is None or judgement.second_look or judgement.taken_back_at is not None:
        raise AlreadyJudged(_("This one was not drawn, was taken back, or has been looked at."))
    if judgement.judged_by_id == by.pk:
        raise endings.SamePerson(_("You judged this one yourself. Please let a colleague look at it."))
    judgement.second_look, judgement.audited_by, judgement.audited_at = found, by, at
    judgement.save(update_fields=["second_look", "audited_by", "audited_at"])
    _record(conversation, "post.judgement_audited", post, by=by, at=at, found=found.value)
    if found == SecondLook.WRONG:
        posts.judged(post, PostVerdict.ANSWER, reason=None, words="", by=by, at=at)
        _run_on(post, conversation, by=by, at=at)
    return judgement


def _locked(interaction_id: int) -> tuple[PublicPost, Conversation]:
    """Lock a post and its conversation, the conversation first as everybody does."""
    number = PublicPost.objects.values_list("conversation_id", flat=True).get(interaction_id=interaction_id)
    conversation = Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=number)
    post = (
        PublicPost.objects.select_for_update(of=("self",))
        .select_related("interaction")
        .get(interaction_id=interaction_id)
    )
    return post, conversation


def _record(conversation: Conversation, verb: str, post: PublicPost, *, by: User, at: datetime, **detail: str) -> None:
    history.record(
        conversation.customer,
        verb,
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"interaction": str(post.interaction.public_id), **detail},
    )
