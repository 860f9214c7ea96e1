"""Files that came with messages, handed out: never shown by the browser itself, and those kept apart only after a warning."""

from __future__ import annotations

import uuid
from io import BytesIO
from typing import IO

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_deny

from crm.actions import files
from crm.admin import pages, words
from crm.channels import pictures
from crm.models import Attachment, Conversation, User
from crm.models.talk import AttachmentState

CAN_OPEN_APART = "crm.open_quarantined"
CSP_OF_FILES = "sandbox; default-src 'none'; frame-ancestors 'none'"


def visible(user: User, public_id: uuid.UUID, *, state: AttachmentState) -> Attachment:
    """A file in this state that has bytes, in a conversation this account may see. Raises Http404."""
    found = (
        Attachment.objects.filter(
            public_id=public_id, state=state, interaction__conversation__in=Conversation.objects.visible_to(user)
        )
        .exclude(file="")
        .select_related("interaction__conversation")
        .first()
    )
    if found is None:
        raise Http404
    return found


@pages.page("crm.view_attachment", methods=["GET"])
@xframe_options_deny
def attachment(request: HttpRequest, public_id: uuid.UUID) -> FileResponse:
    """Hand out a file that came with a message; a picture without where it was taken and what else its camera noted (P14)."""
    return _handed_out(visible(pages.colleague(request), public_id, state=AttachmentState.STORED), plain=True)


@pages.page("crm.view_attachment", CAN_OPEN_APART)
@xframe_options_deny
def apart(request: HttpRequest, public_id: uuid.UUID) -> FileResponse | HttpResponse:
    """Warn of a file that is kept apart; a POST hands it out all the same, and is written down (M23)."""
    found = visible(pages.colleague(request), public_id, state=AttachmentState.QUARANTINED)
    refused = _("A virus was found in this file. Nobody can fetch it.") if found.is_infected else ""
    if request.method == "POST":
        opened, refused = pages.tried(
            lambda: files.open_kept_apart(found.pk, by=pages.colleague(request), at=timezone.now())
        )
        if opened is not None:
            return _handed_out(opened)
    return pages.render(
        request,
        "admin/desk/file_apart.html",
        _("A file that is kept apart"),
        file=found,
        size=words.size(found.size),
        conversation=found.interaction.conversation,
        refused=refused,
        status=409 if request.method == "POST" else 200,
    )


def _handed_out(found: Attachment, *, plain: bool = False) -> FileResponse:
    try:
        stored = found.file.open("rb")
    except FileNotFoundError as missing:
        raise Http404 from missing
    is_told = plain and pictures.may_tell_more(stored.read(12))
    stored.seek(0)
    content: IO[bytes] = stored
    if is_told:
        with stored:
            content = BytesIO(pictures.plain(stored.read()))
    response = FileResponse(content, as_attachment=True, filename=found.name, content_type="application/octet-stream")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = CSP_OF_FILES
    response["Cache-Control"] = "private, no-store"
    return response
