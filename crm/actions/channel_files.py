"""Files that providers keep for us: fetched after the message, a few at a time, judged as files of mails are."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from django.core.files.base import ContentFile
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm import dispatch
from crm.actions import channel_accounts, files, lease
from crm.channels import http
from crm.channels.email.files import part
from crm.channels.provided import by_name
from crm.channels.providers import Fetched, HttpRequest, Media, NotGiven
from crm.models import Attachment, AwaitedFile
from crm.models.talk import AttachmentState
from crm.policy import next_attempt_at

STEPS_AT_MOST = 3
"""Requests on the way to one file."""
GIVEN_UP_AFTER = timedelta(hours=24)
"""How long a file is asked for again; providers keep them for days, but whoever answers should know."""


def fetch_batch(*, at: datetime, size: int = 5) -> int:
    """Fetch the next files that are due. Returns how many were tried; 0 when none is due."""
    waiting = Attachment.objects.filter(state=AttachmentState.FETCHING, awaited__fetch_after__lte=at)
    due = waiting.filter(Q(lease_until=None) | Q(lease_until__lt=Now())).order_by("id")
    found = lease.claim(due, size=size, claimed_state=AttachmentState.FETCHING)
    for attachment in found:
        lease.guarded(partial(_fetch, attachment, at=at), failed=partial(_failed, attachment, at=at))
    return len(found)


def _fetch(attachment: Attachment, *, at: datetime) -> None:
    awaited = AwaitedFile.objects.select_related("account").get(attachment=attachment)
    if awaited.account.is_sandbox:
        raise NotGiven(_("The account is a sandbox: nothing is fetched."), is_final=True)
    provider, told = by_name(awaited.account.provider), channel_accounts.described(awaited.account)
    media = Media(awaited.reference, attachment.name, attachment.content_type)
    step: Fetched | HttpRequest = provider.media_request(media, told)
    for _number in range(STEPS_AT_MOST):
        if isinstance(step, Fetched):
            break
        answer = http.send(step)
        if answer.is_cut:
            raise NotGiven(_("The file is larger than we keep."), is_final=True)
        step = provider.read_media(media, answer, told)
    if not isinstance(step, Fetched):
        raise NotGiven(_("The way to the file had too many steps."), is_final=True)
    _keep(attachment, step)


def _keep(attachment: Attachment, fetched: Fetched) -> None:
    judged = part(
        given_name=fetched.name or attachment.name,
        declared=fetched.declared_type or attachment.content_type,
        content=fetched.content,
        number=1,
        kept=0,
        kept_bytes=0,
    )
    attachment.size, attachment.content_type = judged.size, judged.content_type[:120]
    attachment.name, attachment.reason = judged.name, judged.reason[:300]
    state = files.state_of(judged)
    if judged.content:
        attachment.file.save(f"{attachment.public_id}", ContentFile(judged.content), save=False)
    mine = Attachment.objects.filter(pk=attachment.pk, attempt=attachment.attempt, state=AttachmentState.FETCHING)
    written = mine.update(
        state=state,
        size=judged.size,
        content_type=attachment.content_type,
        name=judged.name,
        reason=attachment.reason,
        file=attachment.file.name or "",
        attempt=0,
        lease_until=None,
    )
    if written and state == AttachmentState.CHECKING:
        dispatch.after_commit("file.awaited")
    if not written and judged.content:
        attachment.file.delete(save=False)


def _failed(attachment: Attachment, trouble: Exception, *, at: datetime) -> None:
    """Ask again later; a file that cannot be had is named with the reason, nothing is dropped in silence (M22)."""
    if lease.is_trouble_of_the_database(trouble):
        return
    awaited = AwaitedFile.objects.select_related("attachment__interaction").get(attachment=attachment)
    is_final = isinstance(trouble, NotGiven) and trouble.is_final
    is_final |= isinstance(trouble, http.NotReached) and trouble.code == "forbidden"
    given_up = at > attachment.interaction.ingested_at + GIVEN_UP_AFTER
    if is_final or given_up or not isinstance(trouble, NotGiven | http.NotReached | http.Broken):
        reason = str(trouble) if isinstance(trouble, NotGiven | http.NotReached) else type(trouble).__name__
        Attachment.objects.filter(pk=attachment.pk, attempt=attachment.attempt, state=AttachmentState.FETCHING).update(
            state=AttachmentState.REFUSED,
            reason=(_("It could not be fetched from the provider: %(reason)s") % {"reason": reason})[:300],
            lease_until=None,
        )
        return
    AwaitedFile.objects.filter(pk=awaited.pk).update(fetch_after=next_attempt_at(attachment.attempt, at=at, spread=0.5))
    Attachment.objects.filter(pk=attachment.pk, attempt=attachment.attempt).update(lease_until=None)
