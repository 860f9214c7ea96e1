"""Where an answer is written: what was begun, how it goes, when it leaves, and how it is taken back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.request import QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from crm.actions import answers, drafts, in_public, representatives, undo
from crm.admin import pages, queue
from crm.channels import PUBLIC, Channel
from crm.models import (
    AnswerDraft,
    ChannelAccount,
    ContactPoint,
    Conversation,
    Customer,
    Interaction,
    OutgoingMessage,
    PublicLook,
)
from crm.policy import PLANNED_AT_MOST, UNDO_AT_MOST, ConversationState

CAN_ANSWER = "crm.answer_conversation"
_AGREED = {"everybody": True, "customer": False}
"""What the page that was sent said about who can read the answer."""
NOBODY = -1
"""The key of nobody, who may be told nothing."""
WORDS_AT_MOST = 100_000
"""Characters of one answer; longer ones go as a file."""


@dataclass(slots=True)
class Draft:
    """What a colleague has typed and must not lose. version: of the draft that is kept; said: how much they have seen."""

    answer: str = ""
    stays: str = "customer"
    correction: str = ""
    out_of_order: str = ""
    goes_to: str = ""
    later: str = ""
    stops: bool = True
    note: str = ""
    key: str = field(default_factory=pages.fresh_key)
    refused: str = ""
    open_box: str = "answer"
    version: str = ""
    kept_at: datetime | None = None
    is_shared: bool = False
    is_kept: bool = True


def typed(form: QueryDict, *, refused: str) -> Draft:
    """What stood in the form that was refused."""
    return Draft(
        answer=form.get("answer", ""),
        stays=form.get("stays", "customer"),
        correction=form.get("correction", ""),
        out_of_order=queue.chosen_reason(form),
        goes_to=form.get("goes_to", ""),
        later=form.get("later", ""),
        stops="stops" in form or not form.get("later"),
        note=form.get("note", ""),
        key=form.get("key", "") or pages.fresh_key(),
        refused=refused,
        open_box=form.get("do", "") if form.get("do") in ("note", "elsewhere") else "answer",
    )


def shown(
    request: HttpRequest, conversation: Conversation, draft: Draft, *, may_be_public: bool, at: datetime
) -> dict[str, Any]:
    """What the composer shows besides the thread; one statement, two where colleagues share drafts of what may be public.

    Puts what is kept into `draft`.
    """
    zone = answers.clock_of(conversation.customer)
    context: dict[str, Any] = {
        "draft": draft,
        "zone": zone.key,
        "words_at_most": WORDS_AT_MOST,
        "later_from": f"{at.astimezone(zone):%Y-%m-%dT%H:%M}",
        "later_to": f"{min(conversation.due_at or at + PLANNED_AT_MOST, at + PLANNED_AT_MOST).astimezone(zone):%Y-%m-%dT%H:%M}",
    }
    if conversation.state == ConversationState.CLOSED or not request.user.has_perm(CAN_ANSWER):
        return context
    mine, shared = drafts.of(conversation, by=pages.colleague(request))
    draft.is_kept = not draft.answer
    if mine is not None:
        draft.answer = draft.answer or mine.text
        draft.is_kept = draft.answer.split() == mine.text.split()
        draft.kept_at, draft.is_shared = mine.updated_at, mine.is_shared
    draft.version = drafts.version(mine)
    # Only where something was public can there be a second look at public words.
    looks = in_public.waiting(conversation, shared, at=at) if shared and may_be_public else []
    return {
        **context,
        "shared": shared,
        "looks": [(look, in_public.named(look.kinds), look.asked_by_id == request.user.pk) for look in looks],
        "may_release": request.user.has_perm(in_public.MAY_RELEASE),
        "look_because": request.POST.get("look_because", ""),
    }


def ask_for_look(request: HttpRequest, conversation: Conversation, *, at: datetime) -> PublicLook:
    """Ask a colleague whether what stands in the form may go out in public. Raises what `in_public.ask` raises."""
    form = request.POST
    words = {"text": form.get("answer", "")[:WORDS_AT_MOST], "because": form.get("look_because", "")}
    return in_public.ask(conversation.pk, **words, by=pages.colleague(request), at=at)


def release_look(request: HttpRequest, conversation: Conversation, *, at: datetime) -> PublicLook:
    """Let a colleague's public answer go out as it is. Raises PermissionDenied, and what `in_public.release` raises."""
    pages.require(request, in_public.MAY_RELEASE)
    try:
        number = uuid.UUID(request.POST.get("do", "").partition(":")[2])
    except ValueError:
        number = uuid.UUID(int=0)
    because = request.POST.get("release_because", "")
    return in_public.release(number, of=conversation.pk, because=because, by=pages.colleague(request), at=at)


def way(
    heard: Iterable[Interaction], points: Iterable[ContactPoint], *, at: datetime
) -> tuple[answers.Way | None, str]:
    """How an answer would reach the customer, said before anybody types (X24); None for not at all, with the words why.

    Arguments as for `answers.way_among`.
    """
    try:
        found = answers.way_among(heard, points, at=at)
    except (answers.NoWayBack, answers.WindowClosed) as refusal:
        return None, str(refusal)
    return found, _in_words(found)


def _in_words(found: answers.Way) -> str:
    if found.account is not None:
        return " ".join(_through(found, found.account))
    if found.channel == Channel.APP:
        return _("It is shown in their app.")
    return _("It goes by e-mail to %(address)s.") % {"address": found.point.address}


def _through(found: answers.Way, account: ChannelAccount) -> Iterable[str]:
    yield _("It goes through %(account)s to %(address)s.") % {"account": account, "address": found.point.address}
    if account.is_sandbox:
        yield _("The account is a sandbox: nothing leaves the house.")
    if found.channel in PUBLIC:
        yield _("Everybody can read it.")
    if found.limits.longest:
        yield _("At most %(most)d characters.") % {"most": found.limits.longest}
    if found.closes_at is not None:
        when = date_format(timezone.localtime(found.closes_at), "D j M, H:i")
        yield _("It must leave before %(when)s.") % {"when": when}


def write(request: HttpRequest, conversation: Conversation, *, at: datetime) -> OutgoingMessage:
    """Answer with what stands in the form, now or at the moment chosen there."""
    form = request.POST
    later = form.get("later", "").strip()
    seen = form.get("seen", "")
    return answers.answer(
        conversation.pk,
        text=form.get("answer", ""),
        by=pages.colleague(request),
        at=at,
        key=form.get("key", ""),
        stays_open=form.get("stays") == "us",
        correction=form.get("correction", ""),
        out_of_order=queue.chosen_reason(form),
        send_after=_chosen(conversation.customer, later) if later else answers.undo_until(at),
        stops_if_they_write=bool(later) and "stops" in form,
        seen=int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else None,
        to_representative=_acting(conversation, form.get("goes_to", "")),
        public=None
        if form.get("goes_to")
        else _AGREED.get(form.get("public", "")),  # whoever acts for them is written to alone
    )


def _acting(conversation: Conversation, chosen: str) -> int | None:
    """Whoever acts for the customer and was chosen to be answered; None for the customer. Raises representatives.NotTold."""
    if not chosen:
        return None
    found = [one.pk for one in representatives.of(conversation.customer_id) if str(one.public_id) == chosen]
    return found[0] if found else NOBODY


def _chosen(customer: Customer, later: str) -> datetime:
    try:
        moment = datetime.fromisoformat(later)
    except ValueError:
        raise answers.NotThen(_("Please choose a day and a time.")) from None
    return answers.on_their_clock(customer, moment)


def how_it_goes(message: OutgoingMessage, customer: Customer, *, at: datetime) -> str:
    """Say what happens with an answer that was just written."""
    if message.send_after > at + UNDO_AT_MOST:
        zone = answers.clock_of(customer)
        return _("Your answer is planned for %(when)s (%(zone)s). Until then you can take it back.") % {
            "when": date_format(message.send_after.astimezone(zone), "D j M, H:i"),
            "zone": zone.key,
        }
    if message.send_after > at:
        return _("Your answer leaves in %(seconds)d seconds; until then you can take it back.") % {
            "seconds": (message.send_after - at) // timedelta(seconds=1)
        }
    return _("Your answer is on its way. The promise is kept once it is accepted for delivery.")


def share(request: HttpRequest, conversation: Conversation, *, is_shared: bool, at: datetime) -> AnswerDraft | None:
    """Keep what stands in the form and let colleagues read it, or not any more. Raises intake.NothingSaid."""
    text = request.POST.get("answer", "")
    return drafts.keep(conversation.pk, text=text, by=pages.colleague(request), at=at, is_shared=is_shared)


def take_over(request: HttpRequest, conversation: Conversation, *, at: datetime) -> AnswerDraft:
    """Go on with a colleague's draft. Raises drafts.NotShared."""
    try:
        author_id = uuid.UUID(request.POST.get("do", "").partition(":")[2])
    except ValueError:
        author_id = uuid.UUID(int=0)
    text = request.POST.get("answer", "")
    return drafts.take_over(conversation.pk, author_id=author_id, by=pages.colleague(request), at=at, text=text)


@pages.page(CAN_ANSWER, methods=["POST"])
def keep(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Keep what was typed so far, as the page does by itself."""
    found = Conversation.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    at, form = timezone.now(), request.POST
    act = partial(drafts.keep, found.pk, by=pages.colleague(request), at=at, key=form.get("key", ""))
    kept, refused = pages.tried(
        lambda: act(text=form.get("answer", "")[:WORDS_AT_MOST], expects=form.get("version", ""))
    )
    if refused:
        return JsonResponse({"refused": refused}, status=409)
    when = date_format(timezone.localtime(at), "H:i")
    return JsonResponse({"words": _("Kept %(time)s") % {"time": when} if kept else "", "version": drafts.version(kept)})


@pages.page("crm.view_conversation", methods=["POST"])
def take_back(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Take an answer back that has not left; whose it is, the action asks."""
    visible = Conversation.objects.visible_to(pages.colleague(request))
    found = (
        OutgoingMessage.objects.filter(conversation__in=visible, public_id=public_id)
        .select_related("conversation")
        .first()
    )
    if found is None or found.conversation is None:
        raise Http404
    _taken, refused = pages.tried(lambda: undo.take_back(found.pk, by=pages.colleague(request), at=timezone.now()))
    pages.say(request, refused, _("Your answer was taken back; its words are kept as a draft."))
    if request.POST.get("show") == "planned":
        return redirect(reverse("admin:outgoing") + "?show=planned")
    return redirect(reverse("admin:conversation", args=[found.conversation.public_id]) + "#composer")
