"""Answers that somebody has begun: kept on the server for person and conversation, shared when they wish (X12)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from crm import history
from crm.models import AnswerDraft, Conversation, OutgoingMessage, User


class NotShared(Exception):
    """A draft that its author does not show to colleagues, or that is there no more."""

    code = "not_shared"


@transaction.atomic
def keep(
    conversation_id: int, *, text: str, by: User, at: datetime, is_shared: bool | None = None, key: str = ""
) -> AnswerDraft | None:
    """Keep what somebody has written so far; without words there is no draft. Gives what is kept now.

    is_shared: whether colleagues may read it; as it was when None. key: of the answer it becomes; once that was sent, what
    a slow line brings behind it is no draft any more. Raises Conversation.DoesNotExist.
    """
    Conversation.objects.select_for_update(of=("self",), no_key=True).get(pk=conversation_id)
    if key and OutgoingMessage.objects.filter(key=f"answer:{conversation_id}:{key}").exists():
        return None
    if not text.strip():
        drop(conversation_id, by=by)
        return None
    values = {"text": text, "updated_at": at} | ({} if is_shared is None else {"is_shared": is_shared})
    return AnswerDraft.objects.update_or_create(conversation_id=conversation_id, author=by, defaults=values)[0]


def of(conversation: Conversation, *, by: User) -> tuple[AnswerDraft | None, list[AnswerDraft]]:
    """What this colleague has begun in a conversation, and what others have begun and share; one statement."""
    found = list(
        AnswerDraft.objects.filter(Q(author=by) | Q(is_shared=True), conversation=conversation)
        .select_related("author")
        .order_by("-updated_at", "id")
    )
    mine = next((draft for draft in found if draft.author_id == by.pk), None)
    return mine, [draft for draft in found if draft.author_id != by.pk]


def drop(conversation_id: int, *, by: User) -> None:
    """Forget what this colleague had begun."""
    AnswerDraft.objects.filter(conversation=conversation_id, author=by).delete()


def sent(conversation_id: int, *, by: User) -> None:
    """End a draft because its answer was written. The conversation is locked by the caller."""
    drop(conversation_id, by=by)


@transaction.atomic
def take_over(conversation_id: int, *, author: User, by: User, at: datetime) -> AnswerDraft:
    """Go on with what a colleague has begun and shared; what was begun oneself stays in front of it.

    It stays shared, so that its author reads what becomes of it. Raises Conversation.DoesNotExist, NotShared; then
    nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    theirs = AnswerDraft.objects.filter(conversation=conversation, author=author, is_shared=True).first()
    if theirs is None or author.pk == by.pk:
        raise NotShared(_("This draft is not shared any more."))
    mine = give_back(conversation, text=theirs.text, to=by, at=at, is_first=False)
    mine.is_shared = True
    mine.save(update_fields=["is_shared"])
    theirs.delete()
    history.record(
        conversation.customer,
        "draft.taken_over",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"author": author.pk},
    )
    return mine


def give_back(conversation: Conversation, *, text: str, to: User, at: datetime, is_first: bool = True) -> AnswerDraft:
    """Put words into somebody's draft without losing what stands there. The conversation is locked by the caller.

    is_first: they stand before what was begun since.
    """
    draft, is_new = AnswerDraft.objects.get_or_create(
        conversation=conversation, author=to, defaults={"text": text, "updated_at": at}
    )
    if not is_new and text.strip() not in draft.text:
        parts = [text, draft.text] if is_first else [draft.text, text]
        draft.text, draft.updated_at = "\n\n".join(part for part in parts if part.strip()), at
        draft.save(update_fields=["text", "updated_at"])
    return draft
