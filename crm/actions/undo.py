"""Taking back an answer that has not begun to leave: its writer thinks again, or the customer wrote first (X13, X14)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, drafts, outgoing, promises
from crm.models import Conversation, OutgoingMessage, Pull, User
from crm.models.queue import PullQuerySet
from crm.policy import IDLE_AFTER, AlertKind, ConversationState, OutgoingState, PullEnd

CAN_RELEASE = "crm.release_outgoing"


class TooLate(Exception):
    """The answer has left, or is leaving at this moment; nobody can take it back any more."""

    code = "too_late"


class NotTheirs(Exception):
    """An answer that somebody else wrote."""

    code = "not_theirs"


class PartOfMore(Exception):
    """A message that more hangs on than the words: it tells what was decided in a case, confirms a talk, hands over."""

    code = "part_of_more"


def may_take_back(message: OutgoingMessage, *, by: User) -> bool:
    """Whether a colleague may take this answer back now: their own, or any with the right to release; it never left.

    One whose outcome was unknown once may have arrived, so it cannot be unsaid. At most one query.
    """
    return (
        message.state == OutgoingState.READY
        and not message.unknown_outcomes
        and _is_plain_answer(message)
        and (message.signed_by_id == by.pk or by.has_perm(CAN_RELEASE))
    )


def _is_plain_answer(message: OutgoingMessage) -> bool:
    return message.key.startswith("answer:") and not message.concerns


@transaction.atomic
def take_back(message_id: int, *, by: User, at: datetime, origin: str = "admin") -> OutgoingMessage:
    """Stop an answer that has not begun to leave, and give its words back to whoever wrote it.

    It stays in the thread as taken back; the customer never sees it, it keeps no promise and binds nobody to what it said.
    The matter waits for us again where it did before, unless another answer is on its way.
    Raises OutgoingMessage.DoesNotExist, NotTheirs, PartOfMore, TooLate; then nothing has changed.
    """
    found = OutgoingMessage.objects.get(pk=message_id)
    if not _is_plain_answer(found) or found.conversation_id is None:
        raise PartOfMore(_("More hangs on this message than its words, so it cannot be taken back here."))
    if found.signed_by_id != by.pk and not by.has_perm(CAN_RELEASE):
        raise NotTheirs(_("Only whoever wrote this answer can take it back, or somebody who looks after what leaves."))
    # The conversation first, as everybody does; then only a row that still waits, so that we never wait for a sender
    # who waits for the conversation.
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=found.conversation_id)
    )
    message = (
        OutgoingMessage.objects.select_for_update(of=("self",))
        .select_related("signed_by")
        .filter(pk=message_id, state=OutgoingState.READY, unknown_outcomes=0)
        .first()
    )
    if message is None:
        raise TooLate(_("This answer has left or is leaving right now. It cannot be taken back any more."))
    _stop(message, conversation, by=by, at=at, origin=origin, verb="message.taken_back")
    _wait_again(message, conversation, at=at)
    return message


@transaction.atomic
def stop(message_id: int, *, by: User, at: datetime) -> OutgoingMessage:
    """Stop any message that has not left: an answer is taken back, anything else is cancelled. As `take_back` or `cancel`."""
    message = OutgoingMessage.objects.get(pk=message_id)
    if may_take_back(message, by=by):
        return take_back(message_id, by=by, at=at)
    return outgoing.cancel(message_id, by=by, at=at)


def stop_planned(conversation: Conversation, *, at: datetime) -> int:
    """Stop the planned answers of a conversation that were not to leave when the customer writes first (X14).

    To be called where the customer's words are taken in, in the same transaction; the conversation is locked by the caller,
    who opens it. Each author gets the words back as a draft and is told. Returns how many were stopped. One statement when
    nothing is planned.
    """
    planned = list(
        OutgoingMessage.objects.select_for_update(of=("self",))
        .select_related("signed_by")
        .filter(conversation=conversation, state=OutgoingState.READY, stops_if_they_write=True, unknown_outcomes=0)
        .order_by("id")
    )
    told = []
    for message in planned:
        _stop(message, conversation, by=None, at=at, origin="", verb="message.overtaken")
        # Nobody works on it by that; it is no answer either.
        _work_behind(message).update(finished_how=PullEnd.IDLE)
        told.append(
            alerts.told(
                AlertKind.THEY_WROTE_FIRST,
                key=str(message.public_id),
                at=at,
                to=message.signed_by,
                conversation=conversation,
            )
        )
    if told:
        alerts.write(told)
    return len(planned)


def _stop(
    message: OutgoingMessage, conversation: Conversation, *, by: User | None, at: datetime, origin: str, verb: str
) -> None:
    message.state = OutgoingState.CANCELLED
    message.save(update_fields=["state"])
    if message.signed_by is not None and message.interaction is not None:
        drafts.give_back(conversation, text=message.interaction.text, to=message.signed_by, at=at)
    history.record(conversation.customer, verb, ref=outgoing.ref_of(message), by=by, at=at, origin=origin)


def _work_behind(message: OutgoingMessage) -> PullQuerySet:
    """The work that writing this answer ended, if the matter waited for us then."""
    return Pull.objects.filter(
        conversation=message.conversation_id,
        by=message.signed_by_id,
        finished_how=PullEnd.ANSWERED,
        finished_at=message.created_at,
    )


def _wait_again(message: OutgoingMessage, conversation: Conversation, *, at: datetime) -> None:
    """Let the matter wait for us again, in the hands of whoever had taken it, when no answer stands since it last did."""
    work = (
        Pull.objects.filter(
            conversation=conversation, finished_how=PullEnd.ANSWERED, finished_at__lte=message.created_at
        )
        .order_by("-finished_at", "-id")
        .first()
    )
    if work is None or conversation.state == ConversationState.CLOSED:
        return
    standing = OutgoingMessage.objects.filter(conversation=conversation, created_at__gte=work.finished_at).exclude(
        state__in=[OutgoingState.CANCELLED, OutgoingState.REFUSED]
    )
    if standing.exclude(meets=[]).exists():
        return
    if conversation.state == ConversationState.WAITING:
        conversation.state = ConversationState.OPEN
        promises.keep_running(conversation, at=at)
        conversation.save(update_fields=["state", "due_at"])
    if Pull.objects.in_work().filter(conversation=conversation).exists():
        work.finished_how = PullEnd.IDLE
        work.save(update_fields=["finished_how"])
        return
    work.finished_at, work.finished_how, work.idle_at = None, "", at + IDLE_AFTER
    work.save(update_fields=["finished_at", "finished_how", "idle_at"])
