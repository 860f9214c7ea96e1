"""One conversation: what was said, what was promised, and the desk at which it is answered."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet, prefetch_related_objects
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import answers, desk, joining, undo
from crm.admin import (
    bereavements,
    composer,
    elsewhere,
    files,
    pages,
    panels,
    promises,
    queue,
    representatives,
    stages,
    words,
)
from crm.channels import PUBLIC
from crm.models import (
    AnswerElsewhere,
    Attachment,
    ClosingLine,
    ContactPoint,
    Conversation,
    IdentityCheck,
    Interaction,
    OutgoingMessage,
    Publication,
    PublicPost,
    User,
)
from crm.models.talk import AttachmentState
from crm.policy import ConversationState, Direction, MissReason, OutOfOrder

SHOWN_AT_ONCE = 60
FOLDED_FROM = 3000
"""Signs of one text that are shown before the rest is folded away."""
CAN_ANSWER = composer.CAN_ANSWER
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
    changed: str
    earlier: list[str]
    sent: words.Sent | None
    message: OutgoingMessage | None
    can_be_taken_back: bool
    files: list[File]
    talk: str
    elsewhere: AnswerElsewhere | None  # where an answer stands that was given by hand, and who signed it off
    post: Publication | None  # where it stands, when everybody can read it
    frame: str  # how high what was sent is shown in its own layout: "low" or "high"; "" when there is no such thing


@dataclass(frozen=True, slots=True)
class File:
    attachment: Attachment
    size: str
    can_be_fetched: bool
    can_be_opened_apart: bool


@pages.page()
def conversation(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show a conversation; a POST is one act of the desk, named by its button."""
    found = (
        queue.with_work(Conversation.objects.visible_to(pages.colleague(request)), at=timezone.now())
        .select_related("customer", "owner")
        .annotate(
            was_in_public=Exists(PublicPost.objects.filter(conversation=OuterRef("pk"))),
            has_closing_line=Exists(ClosingLine.objects.filter(conversation=OuterRef("pk"))),
            has_identity_check=Exists(IdentityCheck.objects.filter(conversation=OuterRef("pk"))),
            newest_stage=stages.stage_of(OuterRef("customer_id")),
            somebody_died=Exists(bereavements.open_of(OuterRef("customer_id"))),
            somebody_acts=Exists(representatives.known_around(OuterRef("customer_id"))),
        )
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    gone_on = joining.standing_of(found) if found.state == ConversationState.CLOSED else None
    if gone_on is not None:
        return redirect("admin:conversation", public_id=gone_on.into.public_id)
    draft = composer.Draft()
    if request.method == "POST":
        pages.require(request, CAN_ANSWER)
        refused, goes_to = _act(request, found)
        if not refused:
            return redirect("admin:conversation", public_id=goes_to)
        draft = composer.typed(request.POST, refused=refused)
        found.refresh_from_db(fields=["state", "owner", "due_at"])
    return _show(request, found, draft)


def _act(request: HttpRequest, conversation: Conversation) -> tuple[str, uuid.UUID]:
    """Make the one call that the pressed button stands for; gives what stands in the way, or "", and where to go on."""
    at, form = timezone.now(), request.POST
    does = {
        "answer": (lambda: composer.write(request, conversation, at=at), ""),
        "ask_look": (
            lambda: composer.ask_for_look(request, conversation, at=at),
            _("A colleague is asked to look at it. Colleagues can read your draft now; send it once it is released."),
        ),
        "release_look": (
            lambda: composer.release_look(request, conversation, at=at),
            _("Released. Its author can send it now, in these words."),
        ),
        "elsewhere": (
            lambda: elsewhere.write(request, conversation, at=at),
            "",
        ),
        "share": (
            lambda: composer.share(request, conversation, is_shared=True, at=at),
            _("Colleagues can read your draft now."),
        ),
        "unshare": (
            lambda: composer.share(request, conversation, is_shared=False, at=at),
            _("Your draft is only yours again."),
        ),
        "take_over": (
            lambda: composer.take_over(request, conversation, at=at),
            _("The draft is yours now; colleagues can still read it."),
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
    chosen_for = form.get("do", "").partition(":")[0]
    chosen = does.get(chosen_for)
    if chosen is None:
        return _("Please use one of the buttons."), conversation.public_id
    result, refused = pages.tried(chosen[0])
    if not refused:
        done = chosen[1]
        if isinstance(result, OutgoingMessage):
            done = (
                _("Your answer is written down; it counts from when you gave it.")
                if chosen_for == "elsewhere"
                else composer.how_it_goes(result, conversation.customer, at=at)
            )
        pages.say(request, "", done)
    return refused, result.public_id if isinstance(result, Conversation) else conversation.public_id


def _show(request: HttpRequest, found: Conversation, draft: composer.Draft) -> HttpResponse:
    at = timezone.now()
    key = pages.read_key(request, datetime, int, name="before")
    thread, earlier, seen = _thread(request, found, key, at=at)
    points = list(ContactPoint.objects.filter(customer=found.customer, unlinked_at=None).order_by("id"))
    heard = [said.interaction for said in reversed(thread) if said.side == "theirs"]
    # Further back in the thread the newest words are not read, which say how an answer goes.
    way, way_in_words = composer.way(heard, points, at=at) if key is None else (None, "")
    may_log = request.user.has_perm(CAN_ANSWER) and found.state != ConversationState.CLOSED and key is None
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
        way=way_in_words,
        goes_public=way is not None and way.is_public,
        elsewhere=elsewhere.offered(request, found, heard, way=way, refused=bool(draft.refused)) if may_log else None,
        sides=[side(request, found) for side in panels.sides],
        seen=seen,
        may_answer=request.user.has_perm(CAN_ANSWER),
        may_see_customer=request.user.has_perm("crm.view_customer"),
        is_closed=found.state == ConversationState.CLOSED,
        waits_for_us=found.state == ConversationState.OPEN,
        out_of_order=OutOfOrder.choices,
        is_mine=found.owner_id == request.user.pk,
        writes_to=representatives.may_be_answered(found, at=at) if key is None else [],
        status=409 if draft.refused else 200,
        **composer.shown(request, found, draft, may_be_public=any(said.channel in PUBLIC for said in heard), at=at),
    )


def _thread(
    request: HttpRequest, conversation: Conversation, key: Sequence[object] | None, *, at: datetime
) -> tuple[list[Said], str, int]:
    """The newest part of the thread, or the part before a key; oldest first. The key of what lies before it, and how much
    was said in all.
    """
    said: QuerySet[Any] = Interaction.objects.filter(conversation=conversation)
    if key is not None:
        said = said.filter(pages.beyond(("spoke_at", "id"), key, descending=True))
    rows = list(
        said.select_related(
            "author", "contact_point", "outgoing", "publication", "elsewhere", "elsewhere__signed_off_by"
        )
        .prefetch_related("attachments")
        .annotate(
            said=answers.said_in(conversation),
            has_page=ExpressionWrapper(~Q(html=""), output_field=BooleanField()),
        )
        .defer("html", "outgoing__html", "outgoing__text")
        .order_by("-spoke_at", "-id")[: SHOWN_AT_ONCE + 1]
    )
    more, seen = len(rows) > SHOWN_AT_ONCE, rows[0].said if rows else 0
    rows = rows[:SHOWN_AT_ONCE]
    if any(row.edited_at is not None for row in rows):
        prefetch_related_objects(rows, "changes")
    earlier = pages.write_key(rows[-1].spoke_at, rows[-1].pk) if more else ""
    by = pages.colleague(request)
    opens_apart = by.has_perm(files.CAN_OPEN_APART)
    shown = [_said(row, conversation, by=by, opens_apart=opens_apart, at=at) for row in reversed(rows)]
    return shown, earlier, seen


SIDES = {Direction.INBOUND: "theirs", Direction.OUTBOUND: "ours", Direction.INTERNAL: "note"}


def _said(interaction: Interaction, conversation: Conversation, *, by: User, opens_apart: bool, at: datetime) -> Said:
    message = getattr(interaction, "outgoing", None)
    by_hand = getattr(interaction, "elsewhere", None)
    text, rest = interaction.text, ""
    if not text and interaction.ended_by:
        text = words.without_words(channel=interaction.channel, talked=interaction.call_seconds is not None)
    if len(text) > FOLDED_FROM:
        text, rest = text[:FOLDED_FROM], text[FOLDED_FROM:]
    is_theirs = interaction.direction == Direction.INBOUND
    return Said(
        interaction=interaction,
        side=SIDES[Direction(interaction.direction)],
        who=representatives.writer(conversation, interaction) or str(conversation.customer)
        if is_theirs
        else str(interaction.author or _("A colleague")),
        text=text,
        rest=rest,
        quoted=interaction.full_text if interaction.edited_at is None else "",
        changed=_changed(interaction),
        earlier=_earlier(interaction),
        sent=words.sent(message, zone=answers.clock_of(conversation.customer), at=at)
        if message and not by_hand
        else None,
        message=message,
        can_be_taken_back=message is not None and undo.may_take_back(message, by=by),
        files=[_file(found, opens_apart=opens_apart) for found in interaction.attachments.all()],
        frame=_frame(interaction),
        talk=_talk(interaction),
        elsewhere=by_hand,
        post=getattr(interaction, "publication", None),
    )


def _changed(interaction: Interaction) -> str:
    if interaction.withdrawn_at is not None:
        return _("The customer took this back; its words are gone. What we promised stands.")
    return _("Changed by the customer") if interaction.edited_at is not None else ""


def _earlier(interaction: Interaction) -> list[str]:
    """The words that stood there before, the oldest first."""
    if interaction.edited_at is None or interaction.withdrawn_at is not None:
        return []
    found: list[str] = []
    for change in sorted(interaction.changes.all(), key=lambda one: (one.event_at, one.pk)):
        found += [text for text in (change.text_before, change.text) if text and text not in (interaction.text, *found)]
    return found


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
