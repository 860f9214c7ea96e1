"""The row of each public post: written when it comes in, answered when an answer reaches the customer, judged by people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q

from crm.channels import PUBLIC
from crm.models import Conversation, Dismissal, Interaction, PostJudgement, PublicPost, User
from crm.policy import NoAnswerReason, PostVerdict
from crm.together import new


def language_of(tag: str) -> str:
    """The language by which posts are counted: "en" of "en-GB"; "" where it is not known."""
    return tag.replace("_", "-").partition("-")[0].lower()[:8]


def rows(
    interaction: Interaction, *, is_first: bool, due_at: datetime | None, imported: bool = False
) -> Sequence[PublicPost]:
    """The row to be written with what a customer said, one where everybody can read it and none elsewhere.

    due_at: by when an answer to it is promised; imported: it is history and starts no clock. Its account of ours is the door it
    came through.
    """
    if interaction.channel not in PUBLIC:
        return ()
    return (
        new(
            PublicPost,
            interaction=interaction,
            conversation=interaction.conversation,
            channel=interaction.channel,
            language=language_of(interaction.language),
            account=interaction.source,
            spoke_at=interaction.spoke_at,
            due_at=due_at,
            is_first=is_first,
            imported=imported,
        ),
    )


def answered(conversation: Conversation, *, written_at: datetime, at: datetime) -> None:
    """Note that an answer to everything said by written_at was accepted for delivery. Locked by the caller."""
    waiting = PublicPost.objects.filter(conversation=conversation, answered_at=None, spoke_at__lte=min(written_at, at))
    waiting.update(answered_at=at)


def unanswered(
    conversation: Conversation, *, answered_at: datetime, otherwise: Iterable[tuple[datetime, datetime]]
) -> None:
    """Note that the answer accepted at answered_at came back. Locked by the caller.

    otherwise: when each other answer that stands was written and accepted, in the order of acceptance.
    """
    if not PublicPost.objects.filter(conversation=conversation, answered_at=answered_at).update(answered_at=None):
        return
    for written_at, accepted_at in otherwise:
        answered(conversation, written_at=written_at, at=accepted_at)


def judged(
    post: PublicPost,
    verdict: PostVerdict,
    *,
    reason: NoAnswerReason | None,
    words: str,
    by: User,
    at: datetime,
    dismissal: Dismissal | None = None,
) -> PostJudgement:
    """Write a judgement in place of the one that stands. The post's conversation is locked by the caller."""
    PostJudgement.objects.filter(post=post, taken_back_at=None).update(taken_back_at=at)
    judgement = PostJudgement.objects.create(
        post=post,
        verdict=verdict,
        reason=reason or "",
        words=words.strip()[:300],
        judged_by=by,
        at=at,
        dismissal=dismissal,
    )
    post.verdict = verdict
    post.save(update_fields=["verdict"])
    return judgement


def dismissed(dismissal: Dismissal, *, by: User, at: datetime) -> None:
    """Judge what is unanswered in a conversation that was dismissed as a whole: the same reason, looked at again with it."""
    waiting = PublicPost.objects.filter(conversation=dismissal.conversation_id, answered_at=None)
    for post in waiting.exclude(verdict=PostVerdict.NO_ANSWER).order_by("pk"):
        reason = NoAnswerReason(dismissal.reason)
        judged(
            post,
            PostVerdict.NO_ANSWER,
            reason=reason,
            words=str(reason.label),
            by=by,
            at=at,
            dismissal=dismissal,
        )


def wrongly_dismissed(dismissal: Dismissal, *, by: User, at: datetime) -> None:
    """Let what was judged by a dismissal need an answer again."""
    theirs = Q(judgements__dismissal=dismissal, judgements__taken_back_at=None)
    for post in PublicPost.objects.filter(theirs).order_by("pk"):
        judged(post, PostVerdict.ANSWER, reason=None, words="", by=by, at=at)
