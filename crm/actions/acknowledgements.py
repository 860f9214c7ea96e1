"""What our machine answers by itself: that a mail arrived, that a file was not kept. Seldom, and nothing of what was said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import translation
from django.utils.translation import gettext as _

from crm import dispatch
from crm.actions import letters, outgoing
from crm.actions.intake import Received
from crm.channels import Channel, Part
from crm.channels.email import reasons
from crm.models import OutgoingMessage
from crm.policy import MessageKind, SenderToday, may_acknowledge

DAY = timedelta(days=1)
ACKNOWLEDGED, FILES_REFUSED = "acknowledged:", "files:"
"""What the keys of these notices begin with."""
HEADERS = {"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All", "Precedence": "auto_reply"}


def after(received: Received, files: Sequence[Part], *, is_proved: bool, is_other: bool, at: datetime) -> None:
    """Acknowledge a mail that opened a matter, and tell of files that were not kept as they came.

    Nobody gets more than a few of these a day, whatever comes from their address (M09, M26). Nothing the sender wrote is
    repeated; names of files only to an address that is proved to be theirs. Somebody who wrote into another's matter gets
    none. Written in the caller's transaction.
    """
    kept_apart = [part for part in files if part.state != "stored"]
    if is_other or not (received.opened or kept_apart):
        return
    point = received.interaction.contact_point
    address = point.address if point is not None else ""
    sent = _today(address, at=at)
    owner = str(received.conversation.owner or "")
    if received.opened and may_acknowledge(SenderToday(is_proved, sent[ACKNOWLEDGED])):
        promise = min(received.promises, key=lambda it: it.due_at)
        _notice(
            received,
            "acknowledgement",
            key=f"{ACKNOWLEDGED}{received.conversation.public_id}",
            words={"owner": owner, "answer_by": promise.due_at},
            address=address,
            at=at,
        )
    if kept_apart and may_acknowledge(SenderToday(is_proved, sent[FILES_REFUSED])):
        with translation.override(letters.language_for(received.conversation.customer.language)):
            named = [
                (part.name if is_proved else _("file %(number)d") % {"number": number}, reasons.told(part.reason))
                for number, part in enumerate(files, start=1)
                if part.state != "stored"
            ]
        _notice(
            received,
            "file_refused",
            key=f"{FILES_REFUSED}{received.interaction.public_id}",
            words={"owner": owner, "files": named},
            address=address,
            at=at,
        )


def _today(address: str, *, at: datetime) -> dict[str, int]:
    """How many notices of each kind this address got within a day."""
    kinds = (ACKNOWLEDGED, FILES_REFUSED)
    counted = OutgoingMessage.objects.filter(
        kind=MessageKind.NOTICE, address=address, created_at__gt=at - DAY
    ).aggregate(**{f"kind{number}": Count("pk", filter=Q(key__startswith=kind)) for number, kind in enumerate(kinds)})
    return {kind: counted[f"kind{number}"] for number, kind in enumerate(kinds)}


def _notice(
    received: Received, template: str, *, key: str, words: dict[str, object], address: str, at: datetime
) -> None:
    conversation, said = received.conversation, received.interaction
    customer = conversation.customer
    written = letters.render(f"crm/{template}", language=customer.language, zone=customer.zone, **words)
    thread = {"In-Reply-To": f"<{said.message_id}>", "References": f"<{said.message_id}>"} if said.message_id else {}
    message = outgoing.written(
        outgoing.Draft(
            key=key,
            kind=MessageKind.NOTICE,
            channel=Channel.EMAIL,
            address=address,
            subject=written.subject,
            text=written.text,
            html=written.html,
            headers={**HEADERS, **thread},
        ),
        customer=customer,
        conversation=conversation,
        at=at,
    )
    OutgoingMessage.objects.bulk_create([message], ignore_conflicts=True)
    dispatch.after_commit("outgoing.ready")
