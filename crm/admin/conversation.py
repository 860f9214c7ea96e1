"""One conversation: what was said, what was promised, and the desk at which it is answered."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import desk
from crm.admin import files, pages, panels, promises, queue, words
from crm.models import Attachment, ContactPoint, Conversation, Interaction, OutgoingMessage
from crm.models.talk import AttachmentState
from crm.policy import ConversationState, Direction, MissReason, OutOfOrder

SHOWN_AT_ONCE = 60
FOLDED_FROM = 3000
"""Signs of one text that are shown before the rest is folded away."""
CAN_ANSWER = "crm.answer_conversation"
SHORT_TEXT = 600
"""Signs up to which a message without pictures is shown in a low frame; the frame's own height cannot follow what is in it."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing said, as the thread shows it."""

    interaction: Interaction
    side: str
    who: str
    text: str
    rest: str
    quoted: str
    sent: OutgoingMessage | None
    tone: str
    files: list[File]
    talk: str
    frame: str  # how high what was sent is shown in its own layout: "low" or "high"; "" when there is no such thing


@dataclass(frozen=True, slots=True)
class File:
    attachment: Attachment
    size: str
    can_be_fetched: bool
    can_be_opened_apart: bool


@dataclass(slots=True)
class Draft:
    """What a colleague has typed and must not lose."""

    answer: str = ""
    stays: str = "customer"
    correction: str = ""
    out_of_order: str = ""
    note: str = ""
    key: str = ""
    refused: str = ""
    open_box: str = "answer"


@pages.page()
def conversation(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show a conversation; a POST is one act of the desk, named by its button."""
    found = (
        queue.with_work(Conversation.objects.visible_to(pages.colleague(request)), at=timezone.now())
        .select_related("customer", "owner")
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    draft = Draft(key=pages.fresh_key())
    if request.method == "POST":
        pages.require(request, CAN_ANSWER)
        refused, goes_to = _act(request, found)
        if not refused:
            return redirect("admin:conversation", public_id=goes_to)
        draft = Draft(
            answer=request.POST.get("answer", ""),
            stays=request.POST.get("stays", "customer"),
            correction=request.POST.get("correction", ""),
            out_of_order=queue.chosen_reason(request.POST),
            note=request.POST.get("note", ""),
            key=request.POST.get("key", "") or pages.fresh_key(),
            refused=refused,
            open_box="note" if request.POST.get("do") == "note" else "answer",
        )
        found.refresh_from_db(fields=["state", "owner", "due_at"])
    return _show(request, found, draft)


def _act(request: HttpRequest, conversation: Conversation) -> tuple[str, uuid.UUID]:
    """Make the one call that the pressed button stands for; gives what stands in the way, or "", and where to go on."""
    at, form = timezone.now(), request.POST
    act = partial(desk.answer, conversation.pk, by=pages.colleague(request), at=at)
    does = {
        "answer": (
            lambda: act(
                text=form.get("answer", ""),
                key=form.get("key", ""),
                stays_open=form.get("stays") == "us",
                correction=form.get("correction", ""),
                out_of_order=queue.chosen_reason(form),
            ),
            _("Your answer is on its way. The promise is kept once it is accepted for delivery."),
        ),
        "note": (
            lambda: desk.note(
                conversation.pk,
                text=form.get("note", ""),
                by=pages.colleague(request),
                at=at,
                key=f"{conversation.pk}:{form.get('key') or pages.fresh_key()}",
            ),
            _("Your note is kept. Only colleagues see it."),
        ),
        "close": (
            lambda: desk.close(conversation.pk, by=pages.colleague(request), at=at),
            _("The conversation is closed."),
        ),
        "reopen": (
            lambda: desk.reopen(conversation.pk, by=pages.colleague(request), at=at),
            _("The conversation is open again."),
        ),
    }
    chosen = does.get(form.get("do", ""))
    if chosen is None:
        return _("Please use one of the buttons."), conversation.public_id
    result, refused = pages.tried(chosen[0])
    if not refused:
        pages.say(request, "", chosen[1])
    return refused, result.public_id if isinstance(result, Conversation) else conversation.public_id


def _show(request: HttpRequest, found: Conversation, draft: Draft) -> HttpResponse:
    at = timezone.now()
    key = pages.read_key(request, datetime, int, name="before")
    thread, earlier = _thread(found, key, opens_apart=request.user.has_perm(files.CAN_OPEN_APART))
    points = list(ContactPoint.objects.filter(customer=found.customer, unlinked_at=None).order_by("id"))
    return pages.render(
        request,
        "admin/desk/conversation.html",
        str(found.customer),
        conversation=found,
        thread=thread,
        earlier=earlier,
        is_newest=key is None,
        promises=promises.shown(found, at=at),
        personal=promises.PersonalForm(initial={"key": pages.fresh_key()}),
        miss_reasons=MissReason.choices,
        due=words.due(found.due_at, at=at) if found.due_at and found.state == ConversationState.OPEN else None,
        points=points,
        sides=[side(request, found) for side in panels.sides],
        draft=draft,
        may_answer=request.user.has_perm(CAN_ANSWER),
        may_see_customer=request.user.has_perm("crm.view_customer"),
        is_closed=found.state == ConversationState.CLOSED,
        waits_for_us=found.state == ConversationState.OPEN,
        out_of_order=OutOfOrder.choices,
        is_mine=found.owner_id == request.user.pk,
        status=409 if draft.refused else 200,
    )


def _thread(conversation: Conversation, key: Sequence[object] | None, *, opens_apart: bool) -> tuple[list[Said], str]:
    """The newest part of the thread, or the part before a key; oldest first. And the key of what lies before it."""
    said = Interaction.objects.filter(conversation=conversation)
    if key is not None:
        said = said.filter(pages.beyond(("spoke_at", "id"), key, descending=True))
    rows = list(
        said.select_related("author", "contact_point", "outgoing")
        .prefetch_related("attachments")
        .annotate(has_page=ExpressionWrapper(~Q(html=""), output_field=BooleanField()))
        .defer("html", "outgoing__html", "outgoing__text")
        .order_by("-spoke_at", "-id")[: SHOWN_AT_ONCE + 1]
    )
    more = len(rows) > SHOWN_AT_ONCE
    rows = rows[:SHOWN_AT_ONCE]
    earlier = pages.write_key(rows[-1].spoke_at, rows[-1].pk) if more else ""
    return [_said(row, conversation, opens_apart=opens_apart) for row in reversed(rows)], earlier


SIDES = {Direction.INBOUND: "theirs", Direction.OUTBOUND: "ours", Direction.INTERNAL: "note"}


def _said(interaction: Interaction, conversation: Conversation, *, opens_apart: bool) -> Said:
    sent = getattr(interaction, "outgoing", None)
    text, rest = interaction.text, ""
    if not text and interaction.ended_by:
        text = words.without_words(channel=interaction.channel, talked=interaction.call_seconds is not None)
    if len(text) > FOLDED_FROM:
        text, rest = text[:FOLDED_FROM], text[FOLDED_FROM:]
    is_theirs = interaction.direction == Direction.INBOUND
    return Said(
        interaction=interaction,
        side=SIDES[Direction(interaction.direction)],
        who=str(conversation.customer) if is_theirs else str(interaction.author or _("A colleague")),
        text=text,
        rest=rest,
        quoted=interaction.full_text,
        sent=sent,
        tone=words.OUTGOING_TONES.get(sent.state, "calm") if sent else "calm",
        files=[_file(found, opens_apart=opens_apart) for found in interaction.attachments.all()],
        frame=_frame(interaction),
        talk=_talk(interaction),
    )


def _file(found: Attachment, *, opens_apart: bool) -> File:
    has_bytes = bool(found.file)
    return File(
        attachment=found,
        size=words.size(found.size),
        can_be_fetched=has_bytes and found.state == AttachmentState.STORED,
        can_be_opened_apart=has_bytes
        and opens_apart
        and found.state == AttachmentState.QUARANTINED
        and not found.is_infected,
    )


def _frame(interaction: Interaction) -> str:
    if not getattr(interaction, "has_page", False):
        return ""
    has_pictures = any(found.content_id for found in interaction.attachments.all())
    return "low" if not has_pictures and len(interaction.full_text or interaction.text) <= SHORT_TEXT else "high"


def _talk(interaction: Interaction) -> str:
    if not interaction.call_seconds and not interaction.wait_seconds:
        return ""
    if not interaction.call_seconds:
        return _("Waited %(time)s") % {"time": words.clock(timedelta(seconds=interaction.wait_seconds))}
    lengths = {
        "talk": words.duration(timedelta(seconds=interaction.call_seconds)),
        "hold": words.duration(timedelta(seconds=interaction.hold_seconds)),
    }
    return (_("Talk %(talk)s, on hold %(hold)s") if interaction.hold_seconds else _("Talk %(talk)s")) % lengths
