"""What our machine answers by itself: that a mail arrived, that a file was not kept. Seldom, and nothing of what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import translation
from django.utils.translation import gettext as _

from crm import dispatch
from crm.actions import letters, outgoing
from crm.actions.intake import Received
from crm.channels import Part
from crm.channels.email import reasons
from crm.models import OutgoingMessage
from crm.policy import SenderToday, may_acknowledge

DAY = timedelta(days=1)
ACKNOWLEDGED, FILES_REFUSED = "acknowledged:", "files:"
"""What the keys of these notices begin with."""
HEADERS = {"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All", "Precedence": "auto_reply"}


def after(
    received: Received,
    files: Sequence[Part],
    *,
    address: str,
    owner: str,
    acknowledged: int,
    told_of_files: int,
    is_proved: bool,
    is_other: bool,
    at: datetime,
) -> list[OutgoingMessage]:
    """Acknowledge a mail that opened a matter, and tell of files that were not kept as they came.

    address: whose mail it was; owner: who looks after a matter that it opened, "" when nobody does; acknowledged,
    told_of_files: how many of each notice it got within a day. Nobody gets more than a few of these, whatever comes from
    their address (M09, M26). Nothing the sender wrote is repeated; names of files only to an address that is proved to be
    theirs. Somebody who wrote into another's matter gets none. Returns what is to be written with the mail.
    """
    kept_apart = [part for part in files if part.state != "stored"]
    acknowledges = received.opened and may_acknowledge(SenderToday(is_proved, acknowledged))
    tells_of_files = bool(kept_apart) and may_acknowledge(SenderToday(is_proved, told_of_files))
    if is_other or not (acknowledges or tells_of_files):
        return []
    matter = received.conversation
    if not received.opened:
        owner = str(matter.owner or "")
    whom = _Whom(address, matter.customer.language, matter.customer.zone, owner)
    written: list[OutgoingMessage] = []
    if acknowledges:
        promise = min(received.promises, key=lambda it: it.due_at)
        written.append(
            _notice(
                received,
                "acknowledgement",
                key=f"{ACKNOWLEDGED}{received.conversation.public_id}",
                words={"owner": whom.owner, "answer_by": promise.due_at},
                whom=whom,
                at=at,
            )
        )
    if tells_of_files:
        with translation.override(letters.language_for(whom.language)):
            named = [
                (part.name if is_proved else _("file %(number)d") % {"number": number}, reasons.told(part.reason))
                for number, part in enumerate(files, start=1)
                if part.state != "stored"
            ]
        written.append(
            _notice(
                received,
                "file_refused",
                key=f"{FILES_REFUSED}{received.interaction.public_id}",
                words={"owner": whom.owner, "files": named},
                whom=whom,
                at=at,
            )
        )
    dispatch.after_commit("outgoing.ready")
    return written


@dataclass(frozen=True, slots=True)
class _Whom:
    """Whom a notice goes to and how they are written to; owner: who looks after their matter, "" when nobody does."""

    address: str
    language: str
    zone: str
    owner: str


def _notice(
    received: Received, template: str, *, key: str, words: dict[str, object], whom: _Whom, at: datetime
) -> OutgoingMessage:
    conversation, said = received.conversation, received.interaction
    written = letters.render(f"crm/{template}", language=whom.language, zone=whom.zone, **words)
    thread = {"In-Reply-To": f"<{said.message_id}>", "References": f"<{said.message_id}>"} if said.message_id else {}
    return outgoing.written(
        outgoing.notice(written, key=key, address=whom.address, headers={**HEADERS, **thread}),
        customer=conversation.customer,
        conversation=conversation,
        at=at,
    )
