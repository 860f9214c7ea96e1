"""What leaves: queued once, claimed under a lease, handed over once, with its true state (docs/adr/0009)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet, prefetch_related_objects
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import channel_sending, closing_stops, kindness, lease, outcomes, reply_addresses, representatives
from crm.actions.letters import Rendered
from crm.channels import PUBLIC, Channel
from crm.channels.app import AppSender
from crm.channels.email import addresses
from crm.channels.sending import Outbound, Outcome, Sender
from crm.channels.smtp import MailSender, message_id
from crm.models import (
    ChannelAccount,
    Conversation,
    Customer,
    Interaction,
    OutgoingMessage,
    User,
)
from crm.policy import (
    ATTEMPTS_BEFORE_PARKING,
    NEEDS_A_YES,
    OUTGOING_NEXT,
    SENDING_GIVEN_UP_AFTER,
    MessageKind,
    OutgoingState,
    StopFacts,
    after_being_stopped,
    has_one_click,
    reason_to_stop,
)
from crm.together import Repeated, as_rows, columns_of, insertion, new, prepared, read

logger = logging.getLogger(__name__)

ref_of = outcomes.ref_of

SENDERS: dict[str, Callable[[], Sender]] = {Channel.EMAIL: MailSender, Channel.APP: AppSender}
"""The providers that can carry a message out, by medium."""

BATCH = 50
AUTOMATIC = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
"""Headers of what no person wrote, so that no absence note answers it (RFC 3834)."""


class NoWayOut(ValueError):
    """A message that is no answer and that its recipient could not stop with one click (RFC 8058)."""

    code = "no_way_out"


class WrongState(Exception):
    """The message cannot go from its state to the wanted one."""

    code = "wrong_state"


class DifferentContent(Exception):
    """The same key came again with other content."""

    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What one message says and to whom; see OutgoingMessage for the meaning of each field."""

    key: str
    kind: MessageKind
    channel: str
    address: str
    subject: str
    text: str
    html: str = ""
    purpose: str = ""
    has_value: bool = False
    meets: list[str] = field(default_factory=list)
    concerns: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    account: ChannelAccount | None = None


def notice(
    letter: Rendered, *, key: str, address: str, meets: Sequence[str] = (), headers: Mapping[str, str] = AUTOMATIC
) -> Draft:
    """A letter of the house by mail that tells of something done or asked, and advertises nothing."""
    return Draft(
        key=key,
        kind=MessageKind.NOTICE,
        channel=Channel.EMAIL,
        address=address,
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        meets=list(meets),
        headers=dict(headers),
    )


def written(
    draft: Draft,
    *,
    customer: Customer,
    at: datetime,
    signed_by: User | None = None,
    conversation: Conversation | None = None,
    interaction: Interaction | None = None,
    send_after: datetime | None = None,
) -> OutgoingMessage:
    """Make an outgoing message to be written with other rows; ring "outgoing.ready" after commit yourself.

    Raises NoWayOut for a kindness that cannot be stopped with one click.
    """
    if draft.kind in NEEDS_A_YES and not has_one_click(draft.headers):
        raise NoWayOut(_("Whoever gets this must be able to stop it with one click."))
    return new(
        OutgoingMessage,
        key=draft.key,
        kind=draft.kind,
        purpose=draft.purpose,
        has_value=draft.has_value,
        channel=draft.channel,
        address=draft.address,
        account=draft.account,
        customer=customer,
        conversation=conversation,
        interaction=interaction,
        signed_by=signed_by,
        meets=draft.meets,
        concerns=draft.concerns,
        subject=draft.subject[:300],
        text=draft.text,
        html=draft.html,
        headers=draft.headers,
        created_at=at,
        send_after=send_after or at,
    )


@transaction.atomic
def queue(
    draft: Draft, *, customer: Customer, at: datetime, signed_by: User | None = None, send_after: datetime | None = None
) -> OutgoingMessage:
    """Queue one message that belongs to no conversation. The same key twice is one message.

    Raises DifferentContent when the key was used for other words, NoWayOut as `written`; then nothing has changed.
    """
    message = written(draft, customer=customer, at=at, signed_by=signed_by, send_after=send_after)
    try:
        with transaction.atomic():
            message.save(force_insert=True)
    except IntegrityError:
        standing = OutgoingMessage.objects.get(key=draft.key)
        if (standing.text, standing.address) != (draft.text, draft.address):
            raise DifferentContent(_("This message was already written with other words.")) from None
        return standing
    history.record(
        customer, "message.queued", ref=outcomes.ref_of(message), by=signed_by, at=at, detail={"kind": draft.kind}
    )
    dispatch.after_commit("outgoing.ready")
    return message


@transaction.atomic
def queue_each(drafts: Sequence[tuple[Draft, Customer]], *, at: datetime) -> dict[str, int]:
    """Queue several messages that belong to no conversation, in one statement; what `queue` does for each.

    Returns the primary key of each message by its key. Raises IntegrityError when one of the keys is known; then none is queued.
    """
    messages = [written(draft, customer=customer, at=at) for draft, customer in drafts]
    queued = dict(prepared(_queue_each(), {"rows": as_rows(messages)}))
    dispatch.after_commit("outgoing.ready")
    return queued


@cache
def _queue_each() -> str:
    return f"""
WITH fresh AS ({insertion(OutgoingMessage)}
               RETURNING id, key, customer_id, 'outgoing:' || public_id AS ref, created_at AS at,
                         jsonb_build_object('kind', kind) AS detail),
told AS ({history.insert_from("fresh", verb="message.queued")})
SELECT key, id FROM fresh
"""  # noqa: S608


@transaction.atomic
def release(message_id: int, *, by: User, at: datetime) -> OutgoingMessage:
    """Send a held, parked or refused message again because a person decided so.

    Raises OutgoingMessage.DoesNotExist, WrongState; then nothing has changed.
    """
    message = OutgoingMessage.objects.select_for_update().get(pk=message_id)
    before = message.state
    if OutgoingState.READY not in OUTGOING_NEXT[OutgoingState(before)] or before in (
        OutgoingState.CLAIMED,
        OutgoingState.HANDING,
    ):
        raise WrongState(
            _("A message that is “%(state)s” cannot be sent again.") % {"state": message.get_state_display()}
        )
    message.state, message.reason, message.failures, message.send_after = OutgoingState.READY, "", 0, at
    message.save(update_fields=["state", "reason", "failures", "send_after"])
    history.record(
        message.customer, "message.released", ref=outcomes.ref_of(message), by=by, at=at, detail={"before": before}
    )
    dispatch.after_commit("outgoing.ready")
    return message


@transaction.atomic
def cancel(message_id: int, *, by: User, at: datetime) -> OutgoingMessage:
    """Stop a message that has not left. Raises OutgoingMessage.DoesNotExist, WrongState; then nothing has changed."""
    message = OutgoingMessage.objects.select_for_update().get(pk=message_id)
    if message.kind == MessageKind.ASK:
        raise WrongState(
            _("Nobody chooses who is asked, so no single question is stopped. The whole asking can be switched off.")
        )
    if OutgoingState.CANCELLED not in OUTGOING_NEXT[OutgoingState(message.state)]:
        raise WrongState(
            _("A message that is “%(state)s” cannot be stopped any more.") % {"state": message.get_state_display()}
        )
    before, message.state = message.state, OutgoingState.CANCELLED
    message.save(update_fields=["state"])
    history.record(
        message.customer, "message.cancelled", ref=outcomes.ref_of(message), by=by, at=at, detail={"before": before}
    )
    outcomes.give_back(message, at=at)
    return message


def send_batch(*, at: datetime, size: int = BATCH) -> int:
    """Hand over one batch of what is ready. Returns how many rows were taken up; 0 when nothing is due.

    Safe to run in several workers at once and to be killed at any point: a row whose worker died before handing over is
    taken up again; one that died while handing over has an unknown outcome, which is recorded and decided by policy.
    """
    began = time.monotonic()
    settled = _settle_lost(at=at)
    messages = _claim(at=at, size=size)
    prefetch_related_objects([message for message in messages if message.account_id], "account")
    reply_to = reply_addresses.of_messages(messages, at=at)
    cards = kindness.Together()
    cards.begin([message for message in messages if message.channel in SENDERS], at=at)
    lines: dict[str, Sender] = {}
    unreachable: dict[str, str] = {}
    try:
        for message in messages:
            # A slow batch takes minutes; what is accepted at its end was not accepted when it began.
            moment = at + timedelta(seconds=int(time.monotonic() - began))
            lease.guarded(
                partial(
                    _hand_over, message, lines, unreachable, cards, reply_to=reply_to.get(message.pk, ""), at=moment
                ),
                failed=partial(_stumbled, message, at=moment),
            )
    finally:
        cards.note()
        for line in lines.values():
            line.__exit__(None, None, None)
    # While nobody answers there is nothing to gain from going round again at once.
    return settled + (0 if unreachable else len(messages))


def _claim(*, at: datetime, size: int) -> list[OutgoingMessage]:
    """Lease what is due as `lease.claim` does, in one statement: a row whose worker was lost alone, else up to `size` in order."""
    told = {"at": at, "size": size, "lease": settings.EVENHAND_LEASE}
    rows = [read(OutgoingMessage, values) for values in prepared(_claiming(), told)]
    return sorted(rows, key=lambda row: (row.send_after, row.pk))


@cache
def _claiming() -> str:
    # Two parts, since only then each is read in the order of its index, however much waits.
    return f"""
WITH alone AS (SELECT id FROM crm_outgoingmessage WHERE state = 'claimed' AND lease_until < statement_timestamp()
               ORDER BY lease_until, id LIMIT 1 FOR UPDATE SKIP LOCKED),
several AS (SELECT id FROM crm_outgoingmessage
            WHERE state = 'ready' AND send_after <= %(at)s AND NOT EXISTS (SELECT FROM alone)
            ORDER BY send_after, id LIMIT %(size)s FOR UPDATE SKIP LOCKED)
UPDATE crm_outgoingmessage m
SET state = 'claimed', attempt = m.attempt + 1, lease_until = statement_timestamp() + %(lease)s
FROM (SELECT id FROM alone UNION ALL SELECT id FROM several) due
WHERE m.id = due.id RETURNING {columns_of(OutgoingMessage, "m")}
"""  # noqa: S608


def _hand_over(
    message: OutgoingMessage,
    lines: dict[str, Sender],
    unreachable: dict[str, str],
    cards: kindness.Together,
    *,
    reply_to: str,
    at: datetime,
) -> None:
    line = _line_of(message)
    if line in unreachable:
        outcomes.back(message, unreachable[line], at=at)
        return
    together = message.pk in cards.begun
    if not (cards.in_time(message, at=at) if together else _begin_handing(message, at=at)):
        return
    began = time.monotonic()
    if line not in lines:
        opened: Sender = (
            SENDERS[message.channel]() if message.account is None else channel_sending.AccountSender(message.account)
        )
        lines[line] = opened.__enter__()
    outbound = _outbound(message, reply_to=reply_to)
    asked_again = together or message.kind in NEEDS_A_YES
    still = {"still": partial(cards.may_leave, message, at=at)} if asked_again else {}
    handed = lines[line].send(outbound, **still)
    if handed.outcome == Outcome.KEPT:
        return
    if handed.outcome == Outcome.UNREACHABLE:
        unreachable[line] = handed.reason
    if handed.outcome in (Outcome.REFUSED, Outcome.TRY_LATER):
        # The other side may have hung up with its refusal (421); on a dead line the next outcome would be unknown.
        lines.pop(line).__exit__(None, None, None)
    ended = at + timedelta(seconds=int(time.monotonic() - began))
    if message.account is not None:
        channel_sending.note(message.account, handed, at=ended)
    if together and handed.outcome == Outcome.ACCEPTED:
        cards.arrived(message, at=ended, provider_id=handed.provider_id)
    else:
        outcomes.settle(message, handed, at=ended)


def _line_of(message: OutgoingMessage) -> str:
    """Messages of one line share a connection, and wait together while nobody answers there."""
    return str(message.channel) if message.account_id is None else f"account:{message.account_id}"


def _stumbled(message: OutgoingMessage, trouble: Exception, *, at: datetime) -> None:
    """One message that raises stops no other. An error's words may name the recipient, so only its kind is kept."""
    if lease.is_trouble_of_the_database(trouble):
        logger.warning("Message %s waits for the database (%s).", message.pk, type(trouble).__name__)
        return  # its lease ends by itself, and what came of it is decided then
    logger.exception("Message %s could not be handed over.", message.pk, exc_info=trouble)
    outcomes.unknown(message, _("something unforeseen happened (%(what)s)") % {"what": type(trouble).__name__}, at=at)


def _outbound(message: OutgoingMessage, *, reply_to: str) -> Outbound:
    return Outbound(
        key=str(message.public_id),
        address=message.address,
        subject=message.subject,
        text=message.text,
        html=message.html,
        sender_name=str(message.signed_by) if message.signed_by_id else "",
        message_id=message_id(message.public_id),
        headers=message.headers,
        return_path=addresses.return_address(message.public_id) if message.channel == Channel.EMAIL else "",
        reply_to=reply_to,
    )


def _begin_handing(message: OutgoingMessage, *, at: datetime) -> bool:
    """Check once more whether it may leave, and commit that it is being handed over. Says whether to go on."""
    if message.failures >= ATTEMPTS_BEFORE_PARKING and at > message.created_at + SENDING_GIVEN_UP_AFTER:
        outcomes.park(message, _("Tried for four days without success."), at=at)
        return False
    with transaction.atomic():
        told = {
            "id": message.pk,
            "attempt": message.attempt,
            "customer": message.customer_id,
            "lease": settings.EVENHAND_LEASE,
        }
        status, owned = prepared(_BEGIN, told)[0]
        if owned is None:
            return False
        reason = reason_to_stop(_stop_facts(message, status, at=at))
        if (message.channel in PUBLIC) != message.is_public:
            reason = reason or "other_visibility"
        if message.account_id is not None:
            reason = reason or channel_sending.reason_to_hold(message)
        elif message.channel not in SENDERS:
            reason = "no_provider"
        stopped = closing_stops.last_look(message, at=at) if closing_stops.belongs_to_line(message) else ""
        if reason := stopped or reason:
            # A last word in public that may not stand is not held: nobody lets it out after all.
            state = OutgoingState.CANCELLED if stopped else after_being_stopped(MessageKind(message.kind))
            outcomes.mine(message, OutgoingState.HANDING).update(state=state, reason=reason, lease_until=None)
            history.record(
                message.customer,
                f"message.{state.value}",
                ref=outcomes.ref_of(message),
                by=None,
                at=at,
                detail={"reason": reason},
            )
            return False
    return True


_BEGIN = """
WITH whom AS (SELECT status FROM crm_customer WHERE id = %(customer)s FOR NO KEY UPDATE),
mine AS (UPDATE crm_outgoingmessage SET state = 'handing', lease_until = statement_timestamp() + %(lease)s
         WHERE id = %(id)s AND attempt = %(attempt)s AND state = 'claimed' AND EXISTS (SELECT FROM whom) RETURNING id)
SELECT whom.status, mine.id FROM whom LEFT JOIN mine ON true
"""
"""Lock the customer, against a withdrawal or a hold in this moment, and then begin to hand over if the attempt still owns the row.

Rows that only point at the customer need not wait: whoever stops this message (its row first, then history) and we would wait
for each other. The lease starts anew, since those before it in the batch may have used it up.
"""


def _stop_facts(message: OutgoingMessage, status: str, *, at: datetime) -> StopFacts:
    """What may stop this message, read after its customer was locked; status: theirs."""
    if message.kind not in NEEDS_A_YES:
        facts = StopFacts(MessageKind(message.kind), status, has_outreach_hold=False, has_consent=True)
        number, matter = message.representative_id, message.conversation_id
        if number is None:
            return facts
        told = representatives.may_still_be_told(number, matter=matter, status=status, at=at)
        return replace(facts, goes_to_representative=True, may_be_told=told)
    return replace(kindness.facts(message, at=at), kind=MessageKind(message.kind), customer_status=status)


def _begun_and_left() -> QuerySet[OutgoingMessage]:
    return OutgoingMessage.objects.filter(state=OutgoingState.HANDING, lease_until__lt=Now()).order_by("lease_until")


_left: Repeated[OutgoingMessage] = Repeated(lambda: _begun_and_left().values_list("pk")[:BATCH])


def _settle_lost(*, at: datetime) -> int:
    """Rows whose worker died between handing over and writing down what came of it."""
    numbers = [number for (number,) in _left.rows()]
    lost = list(_begun_and_left().filter(pk__in=numbers)) if numbers else []
    for message in lost:
        outcomes.unknown(message, _("the worker stopped while handing it over"), at=at)
    return len(lost)
