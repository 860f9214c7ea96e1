"""What customers change or take back of what they said: the words of now stand, the earlier ones stay, no clock moves."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _

from crm import history
from crm.actions import channel_accounts, channel_raw
from crm.models import Attachment, ChannelAccount, Interaction, MessageChange
from crm.models.channels import ChangeKind
from crm.models.talk import AttachmentState


def catch_up(said: Interaction, account: ChannelAccount, *, at: datetime) -> None:
    """Apply what was told about a message before the message itself."""
    waiting = MessageChange.objects.filter(source=said.source, external_id=said.external_id, interaction=None)
    for change in waiting.order_by("event_at", "id"):
        apply(change, said, account=account, at=at, origin="provider")


def apply(
    change: MessageChange, said: Interaction, *, at: datetime, origin: str, account: ChannelAccount | None = None
) -> None:
    """Let a change that is written down count for what was said. The interaction is locked by the caller, or new.

    account: through which it was told; None for a place that we only listen to.
    """
    change.interaction = said
    if change.kind == ChangeKind.DELETION:
        change.save(update_fields=["interaction"])
        _withdraw(said, account, withdrawn_at=change.event_at)
    elif said.withdrawn_at is not None:
        change.text = ""
        change.save(update_fields=["interaction", "text"])
        _let_go(said, account)
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


def _withdraw(said: Interaction, account: ChannelAccount | None, *, withdrawn_at: datetime) -> None:
    """Let the words go, here, in what was changed, and in the raw bytes; the row, its promises and its clocks stay."""
    said.text = said.full_text = said.html = said.subject = ""
    said.withdrawn_at = said.withdrawn_at or withdrawn_at
    said.save(update_fields=["text", "full_text", "html", "subject", "withdrawn_at"])
    MessageChange.objects.filter(interaction=said).update(text="", text_before="")
    _let_go(said, account)
    for attachment in Attachment.objects.filter(interaction=said).exclude(state=AttachmentState.REFUSED):
        if attachment.file:
            attachment.file.delete(save=False)
        attachment.state, attachment.reason = AttachmentState.REFUSED, _("The customer took it back.")
        attachment.save(update_fields=["state", "reason", "file"])


def _let_go(said: Interaction, account: ChannelAccount | None) -> None:
    """Let the words go from the bytes of every post that brought them, alone or with what others said."""
    if account is None:
        return
    changes = MessageChange.objects.filter(interaction=said).exclude(raw=None).values_list("raw_id", flat=True)
    raw_ids = {number for number in (said.raw_id, *changes) if number is not None}
    channel_raw.let_go_everywhere(account, channel_accounts.described(account), said.external_id, raw_ids)
