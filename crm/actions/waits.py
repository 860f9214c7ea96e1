"""Waiting inside the house: noted beside the conversation, without touching any promise (R148)."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm import history
from crm.models import Conversation, InternalWait, User
from crm.policy import Department


class AlreadyWaiting(Exception):
    """The matter already waits for this department."""

    code = "already_waiting"


class NotWaiting(Exception):
    """This wait has ended."""

    code = "not_waiting"


@transaction.atomic
def begin(conversation_id: int, *, department: Department, by: User, at: datetime) -> InternalWait:
    """Note that a matter waits for a department of ours from now on. Raises Conversation.DoesNotExist, AlreadyWaiting."""
    conversation = Conversation.objects.select_related("customer").get(pk=conversation_id)
    try:
        with transaction.atomic():
            wait = InternalWait.objects.create(conversation=conversation, department=department, since=at, begun_by=by)
    except IntegrityError:
        raise AlreadyWaiting(_("It already waits for them; that wait goes on.")) from None
    _record(wait, conversation, "wait.begun", by=by, at=at)
    return wait


@transaction.atomic
def end(wait_id: int, *, by: User, at: datetime) -> InternalWait:
    """Note that a wait inside the house is over. Raises InternalWait.DoesNotExist, NotWaiting."""
    wait = InternalWait.objects.select_for_update(of=("self",)).select_related("conversation__customer").get(pk=wait_id)
    if wait.until is not None:
        raise NotWaiting(_("This wait is over."))
    wait.until, wait.ended_by = max(at, wait.since), by
    wait.save(update_fields=["until", "ended_by"])
    _record(wait, wait.conversation, "wait.ended", by=by, at=at)
    return wait


def _record(wait: InternalWait, conversation: Conversation, verb: str, *, by: User, at: datetime) -> None:
    ref, detail = f"conversation:{conversation.public_id}", {"department": wait.department}
    history.record(conversation.customer, verb, ref=ref, by=by, at=at, detail=detail)
