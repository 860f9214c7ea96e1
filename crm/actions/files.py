"""Files that came with messages: checked for viruses before anybody gets them, and kept apart where something is wrong."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, lease
from crm.channels import Part, clamd
from crm.models import Attachment, User
from crm.models.talk import AttachmentState
from crm.policy import ATTEMPTS_BEFORE_PARKING, AlertKind, WorkState, after_failure

logger = logging.getLogger(__name__)

SCANNER_AGAIN_AFTER = timedelta(seconds=30)
"""When a file is tried again whose scanner was away; that attempt does not count (F31)."""
FILE_AGAIN_AFTER = timedelta(minutes=5)
"""When a file is tried again on which the scanner gave no verdict."""
CHECK_GIVEN_UP_AFTER = timedelta(hours=24)
"""A scanner that is away longer holds no file up any more: it is kept apart, unchecked, where a lead can decide."""


class NotKeptApart(Exception):
    """The file is not one of those that are kept apart."""

    code = "not_kept_apart"


class FileInfected(Exception):
    """The scanner found something in it: nobody gets it."""

    code = "file_infected"


def state_of(part: Part) -> AttachmentState:
    """Say in which state a file that just came in is stored: with a scanner it is checked first, whatever it looks like.

    Its reason is stored with it; once nothing was found, a file with a reason is kept apart and one without is kept.
    """
    if part.content and part.state != "refused" and settings.EVENHAND_CLAMD is not None:
        return AttachmentState.CHECKING
    return AttachmentState(part.state)


def scan_batch(*, at: datetime) -> int:
    """Check the next file that waits for it. Returns 1 when it has its verdict or its reason to wait, 0 when none is due.

    One at a time: a file is up to 15 MB, and one that stops the worker takes no other with it (F24).
    """
    waiting = Attachment.objects.filter(state=AttachmentState.CHECKING)
    due = waiting.filter(Q(lease_until=None) | Q(lease_until__lt=Now())).order_by("id")
    for found in lease.claim(due, size=1, claimed_state=AttachmentState.CHECKING):
        if settings.EVENHAND_CLAMD is None:  # the scanner was taken out of use while this file waited
            _settle(found)
        elif found.attempt > ATTEMPTS_BEFORE_PARKING:
            _not_checked(found)
        else:
            return int(_scan(found, at=at))
        return 1
    return 0


def _scan(found: Attachment, *, at: datetime) -> bool:
    """Check one claimed file; False when the scanner is away and the others may wait as well."""
    is_there = True

    def work() -> None:
        with found.file.open("rb") as content:
            verdict = clamd.scan(content.read(), address=settings.EVENHAND_CLAMD)
        if verdict.is_infected:
            _infected(found, verdict.signature, at=at)
        else:
            _settle(found, scanned_at=at)

    def failed(trouble: Exception) -> None:
        nonlocal is_there
        mine = Attachment.objects.filter(pk=found.pk, attempt=found.attempt, state=AttachmentState.CHECKING)
        if isinstance(trouble, clamd.ScannerAway):
            is_there = False
            if Attachment.objects.filter(pk=found.pk, interaction__ingested_at__lt=at - CHECK_GIVEN_UP_AFTER).exists():
                _not_checked(found)
                return
            logger.warning("File %s waits for the virus scanner, which is away.", found.public_id)
            mine.update(attempt=found.attempt - 1, lease_until=Now() + SCANNER_AGAIN_AFTER)
        elif lease.is_trouble_of_the_database(trouble):
            mine.update(attempt=found.attempt - 1)  # again after its lease
        elif after_failure(found.attempt) == WorkState.PARKED:
            logger.warning("File %s could not be checked: %s", found.public_id, trouble)
            _not_checked(found)
        else:
            mine.update(lease_until=Now() + FILE_AGAIN_AFTER)

    lease.guarded(work, failed=failed)
    return is_there


def _write(found: Attachment, **columns: object) -> bool:
    """Write a verdict unless another worker has taken the file over meanwhile; say whether it was written."""
    mine = Attachment.objects.filter(pk=found.pk, attempt=found.attempt, state=AttachmentState.CHECKING)
    return bool(mine.update(lease_until=None, **columns))


def _settle(found: Attachment, *, scanned_at: datetime | None = None) -> None:
    state = AttachmentState.QUARANTINED if found.reason else AttachmentState.STORED
    _write(found, state=state, scanned_at=scanned_at)


def _not_checked(found: Attachment) -> None:
    reason = found.reason or "It could not be checked for viruses."
    _write(found, state=AttachmentState.QUARANTINED, reason=reason)


@transaction.atomic
def _infected(found: Attachment, signature: str, *, at: datetime) -> None:
    reason = f"The virus scanner found something in it: {signature}."[:300]
    if not _write(found, state=AttachmentState.QUARANTINED, reason=reason, is_infected=True, scanned_at=at):
        return
    conversation = found.interaction.conversation
    history.record(
        conversation.customer,
        "file.infected",
        ref=f"attachment:{found.public_id}",
        by=None,
        at=at,
        detail={"conversation": str(conversation.public_id), "found": signature},
    )
    alerts.write([alerts.told(AlertKind.FILE_INFECTED, key=str(found.public_id), at=at, conversation=conversation)])


@transaction.atomic
def open_kept_apart(attachment_id: int, *, by: User, at: datetime) -> Attachment:
    """Note that somebody fetches a file that is kept apart, knowing the risk; the caller hands it out afterwards.

    Raises Attachment.DoesNotExist, NotKeptApart, FileInfected; then nothing has changed.
    """
    found = (
        Attachment.objects.select_for_update(of=("self",))
        .select_related("interaction__conversation__customer")
        .get(pk=attachment_id)
    )
    if found.is_infected:
        raise FileInfected(_("A virus was found in this file. Nobody can fetch it."))
    if found.state != AttachmentState.QUARANTINED or not found.file:
        raise NotKeptApart(_("This file is not kept apart (any more)."))
    history.record(
        found.interaction.conversation.customer,
        "file.fetched_apart",
        ref=f"attachment:{found.public_id}",
        by=by,
        at=at,
        detail={"conversation": str(found.interaction.conversation.public_id), "size": found.size},
    )
    return found
