"""Answers that somebody has begun: kept on the server for person and conversation, shared when they wish (X12)."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from crm import history
from crm.models import AnswerDraft, Conversation, OutgoingMessage, User


class Changed(Exception):
    """A draft that was changed in another window, or that somebody was given words back into."""

    code = "draft_changed"


class NotShared(Exception):
    """A draft that its author does not show to colleagues, or that is there no more."""

    code = "not_shared"


@transaction.atomic
def keep(
    conversation_id: int,
    *,
    text: str,
    by: User,
    at: datetime,
    is_shared: bool | None = None,
    key: str = "",
    expects: str | None = None,
) -> AnswerDraft | None:
    """Keep what somebody has written so far; without words there is no draft. Gives what is kept now.

    is_shared: whether colleagues may read it; as it was when None. key: of the answer it becomes; once that was sent, what
    a slow line brings behind it is no draft any more. expects: the `version` that these words go on from, "" for none;
    not asked when None. Raises Conversation.DoesNotExist, Changed; then nothing has changed.
    """
    Conversation.objects.select_for_update(of=("self",), no_key=True).get(pk=conversation_id)
    if key and OutgoingMessage.objects.filter(key=f"answer:{conversation_id}:{key}").exists():
        return None
    standing = AnswerDraft.objects.filter(conversation=conversation_id, author=by).first()
    if expects is not None and version(standing) != expects:
        raise Changed(_("This draft was changed in another window. Please load the page again to go on with it."))
    if not text.strip():
        drop(conversation_id, by=by)
        return None
    draft = standing or AnswerDraft(conversation_id=conversation_id, author=by)
    draft.text, draft.updated_at = text, at
    draft.is_shared = draft.is_shared if is_shared is None else is_shared
    draft.save()
    return draft


def version(draft: AnswerDraft | None) -> str:
    """What tells one state of a draft from another; "" where there is none."""
    return draft.updated_at.isoformat() if draft else ""


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
def take_over(conversation_id: int, *, author_id: uuid.UUID, by: User, at: datetime, text: str = "") -> AnswerDraft:
    """Go on with what a colleague has begun and shared; what was begun oneself stays in front of it.

    author_id: public id of the colleague. text: what stands in one's own window by now. It stays shared,
    so that its author reads what becomes of it. Raises Conversation.DoesNotExist, NotShared; then nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    shared = AnswerDraft.objects.filter(conversation=conversation, is_shared=True).exclude(author=by)
    theirs = shared.filter(author__public_id=author_id).first()
    if theirs is None:
        raise NotShared(_("This draft is not shared any more."))
    if text.strip():
        keep(conversation_id, text=text, by=by, at=at)
    mine = give_back(conversation, text=theirs.text, to=by, at=at, is_first=False)
    mine.is_shared, mine.updated_at = True, at
    mine.save(update_fields=["is_shared", "updated_at"])
    theirs.delete()
    history.record(
        conversation.customer,
        "draft.taken_over",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"author": theirs.author_id},
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
