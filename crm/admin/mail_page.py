"""A message as its writer laid it out: a page without an origin, shown in a frame of the conversation (M20, M24)."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.clickjacking import xframe_options_deny, xframe_options_sameorigin
from django.views.decorators.http import require_safe

from crm.admin import files, pages
from crm.channels import pictures
from crm.channels.email import showing
from crm.channels.email.files import is_picture, sniffed
from crm.models import Attachment, Conversation, Interaction, User
from crm.models.talk import AttachmentState

CAN_READ, CAN_SEE_FILES = "crm.view_interaction", "crm.view_attachment"
PICTURE_KEY_LASTS = timedelta(minutes=5)
LOOKED_AT_BYTES = 64 * 1024
_keys = signing.TimestampSigner(salt="crm.inline_picture")


@pages.page(CAN_READ, methods=["GET"])
@xframe_options_sameorigin
def message_page(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show the HTML of one message, cleaned now; its pictures are its own, and nothing is fetched from elsewhere."""
    user = pages.colleague(request)
    found = (
        Interaction.objects.filter(public_id=public_id, conversation__in=Conversation.objects.visible_to(user))
        .exclude(html="")
        .only("id", "html", "subject", "language")
        .first()
    )
    if found is None:
        raise Http404
    cleaned = showing.clean(found.html, pictures=_pictures(found, user) if user.has_perm(CAN_SEE_FILES) else {})
    page = showing.document(
        cleaned, title=found.subject or _("Message"), notes=_notes(cleaned), language=found.language
    )
    response = HttpResponse(page)
    response["Content-Security-Policy"] = showing.CONTENT_POLICY
    response["Referrer-Policy"] = "no-referrer"
    response["X-DNS-Prefetch-Control"] = "off"  # a browser may look up the names in links before anybody presses one
    return _kept_nowhere(response)


@require_safe
@xframe_options_deny
def inline_picture(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show one picture of a mail, looked at again: only the plain kinds, and never as anything else.

    The page above has no origin, so a browser sends no session with what it loads: its address carries a key for this
    account, this file and five minutes instead. What the account may see is asked now, as everywhere.
    """
    user = _holder(request.GET.get("key", ""), public_id)
    if user is None or not user.is_active or not user.has_perm(CAN_SEE_FILES):
        raise Http404
    found = files.visible(user, public_id, state=AttachmentState.STORED)
    try:
        with found.file.open("rb") as kept:
            content = kept.read()
    except FileNotFoundError as missing:
        raise Http404 from missing
    if not is_picture(content[:LOOKED_AT_BYTES]):
        raise Http404
    response = HttpResponse(pictures.plain(content), content_type=sniffed(content))
    response["Content-Disposition"] = "inline"
    response["Content-Security-Policy"] = files.CSP_OF_FILES
    return _kept_nowhere(response)


def _pictures(message: Interaction, user: User) -> dict[str, str]:
    """An address for each picture that the message brought and that may be shown, by its Content-ID."""
    brought = (
        Attachment.objects.filter(interaction=message, state=AttachmentState.STORED)
        .exclude(content_id="")
        .exclude(file="")
        .values_list("content_id", "public_id")
        .order_by("id")[: showing.MAX_PICTURES]
    )
    return {
        content_id: f"{reverse('admin:inline_picture', args=[number])}?key={_keys.sign(f'{number}.{user.pk}')}"
        for content_id, number in brought
    }


def _holder(key: str, public_id: uuid.UUID) -> User | None:
    try:
        number, _dot, account = _keys.unsign(key, max_age=PICTURE_KEY_LASTS).partition(".")
    except signing.BadSignature:
        return None
    if number != str(public_id):
        return None
    holder: User | None = User.objects.filter(pk=int(account), is_staff=True).first()
    return holder


def _notes(cleaned: showing.Cleaned) -> list[str]:
    notes = []
    if cleaned.remote:
        notes.append(
            ngettext(
                "%(number)d picture from elsewhere is left out, so that nobody learns that you read this.",
                "%(number)d pictures from elsewhere are left out, so that nobody learns that you read this.",
                cleaned.remote,
            )
            % {"number": cleaned.remote}
        )
    if cleaned.missing:
        notes.append(
            ngettext(
                "%(number)d picture did not come with it, or cannot be shown safely.",
                "%(number)d pictures did not come with it, or cannot be shown safely.",
                cleaned.missing,
            )
            % {"number": cleaned.missing}
        )
    if cleaned.is_cut:
        notes.append(
            _("It is too long to be shown whole; the end is left out here. All of its words are in the thread.")
        )
    return notes


def _kept_nowhere(response: HttpResponse) -> HttpResponse:
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
