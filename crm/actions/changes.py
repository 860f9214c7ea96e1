"""What customers change or take back of what they said: the words of now stand, the earlier ones stay, no clock moves."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from crm import history
from crm.models import Attachment, Interaction, MessageChange, RawItem
from crm.models.channels import ChangeKind
from crm.models.talk import AttachmentState
from crm.policy import WorkState


def catch_up(said: Interaction, *, at: datetime) -> None:
    """Apply what was told about a message before the message itself."""
    waiting = MessageChange.objects.filter(source=said.source, external_id=said.external_id, interaction=None)
    for change in waiting.order_by("event_at", "id"):
        apply(change, said, at=at, origin="provider")


def apply(change: MessageChange, said: Interaction, *, at: datetime, origin: str) -> None:
    """Let a change that is written down count for what was said. The interaction is locked by the caller, or new."""
    change.interaction = said
    if change.kind == ChangeKind.DELETION:
        change.save(update_fields=["interaction"])
        _withdraw(said, withdrawn_at=change.event_at)
    elif said.withdrawn_at is not None:
        change.text = ""
        change.save(update_fields=["interaction", "text"])
    elif said.edited_at is None or said.edited_at <= change.event_at:
        change.text_before, said.text, said.edited_at = said.text, change.text, change.event_at
        change.save(update_fields=["interaction", "text_before"])
        said.save(update_fields=["text", "edited_at"])
    else:  # overtaken by a later one, whose words stand
        change.save(update_fields=["interaction"])
    history.record(
        said.conversation.customer,
        f"interaction.{'edited' if change.kind == ChangeKind.EDIT else 'withdrawn'}",
        ref=f"conversation:{said.conversation.public_id}",
        by=None,
        at=at,
        origin=origin,
        detail={"interaction": str(said.public_id), "event_at": change.event_at.isoformat()},
    )


def _withdraw(said: Interaction, *, withdrawn_at: datetime) -> None:
    """Let the words go, here, in what was changed, and in the raw bytes; the row, its promises and its clocks stay."""
    said.text = said.full_text = said.html = said.subject = ""
    said.withdrawn_at = said.withdrawn_at or withdrawn_at
    said.save(update_fields=["text", "full_text", "html", "subject", "withdrawn_at"])
    MessageChange.objects.filter(interaction=said).update(text="", text_before="")
    changes = MessageChange.objects.filter(interaction=said).exclude(raw=None).values("raw_id")
    alone = RawItem.objects.filter(Q(pk=said.raw_id) | Q(pk__in=changes), state=WorkState.DONE).exclude(kind="batch")
    alone.update(content=b"")
    for attachment in Attachment.objects.filter(interaction=said).exclude(state=AttachmentState.REFUSED):
        if attachment.file:
            attachment.file.delete(save=False)
        attachment.state, attachment.reason = AttachmentState.REFUSED, _("The customer took it back.")
        attachment.save(update_fields=["state", "reason", "file"])
