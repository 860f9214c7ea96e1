"""Raw mail: kept byte for byte before anybody acknowledges it, then read, as often as it takes; whatever is wrong stays with it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils.translation import gettext as _
from psycopg.types.json import Json, Jsonb

from crm import dispatch
from crm.actions import correspondence, deliveries, identity, intake, lease, mail_batches, mailboxes
from crm.actions.correspondence import Letter, Sender
from crm.actions.intake import Received
from crm.channels import Message
from crm.channels import email as mail_channel
from crm.channels.email import addresses, kinds, reader
from crm.models import Conversation, RawItem
from crm.policy import ATTEMPTS_BEFORE_PARKING, WorkState, after_failure
from crm.together import Statement, new, prepared, run

logger = logging.getLogger(__name__)

MAIL = "mail:"
"""What the source of a raw mail begins with; other raw items are kept as evidence and not read as mail."""
NO_FAULT_OF_THE_MAIL = (OperationalError, InterfaceError, reader.NoReader)
"""The database is away, or no process that reads: the mail waits and no attempt is counted."""

_KEEP = """
INSERT INTO crm_rawitem (public_id, source, external_id, content, label, received_at, facts, state, kind, reason, attempt,
                         lease_until)
VALUES (%(public_id)s, %(source)s, %(external_id)s, %(content)s, %(label)s, %(at)s, %(facts)s, %(state)s, '', '', 0,
        statement_timestamp() + %(lease)s::interval)
ON CONFLICT DO NOTHING RETURNING id, lease_until
"""
_READ = """
UPDATE crm_rawitem r SET state = one.state, kind = one.kind, reason = one.reason, lease_until = NULL, about_id = one.about
FROM json_to_recordset(%(each)s) AS one(raw bigint, state text, kind text, reason text, about bigint)
WHERE r.id = one.raw RETURNING r.id
"""


def keep_raw(
    content: bytes,
    *,
    source: str,
    label: str,
    at: datetime,
    external_id: str = "",
    leased: bool = False,
    facts: dict[str, Any] | None = None,
) -> RawItem:
    """Keep bytes exactly as they came, before anybody acknowledges them. The same bytes from the same source are one item.

    external_id: the source's own unchanging id of this delivery; the hash of the bytes when it has none.
    leased: the caller reads it at once (`read_now`); should it die first, the lane takes the item over after the lease.
    facts: how it came (envelope addresses, the server's own time), see RawItem.
    An item that is new has this `at` as its received_at.
    """
    external_id = external_id or hashlib.sha256(content).hexdigest()
    item = new(
        RawItem,
        source=source,
        external_id=external_id,
        content=content,
        label=label[:300],
        received_at=at,
        facts=facts or {},
        state=WorkState.CLAIMED if leased else WorkState.READY,
    )
    kept = prepared(
        _KEEP,
        {
            "public_id": item.public_id,
            "source": source,
            "external_id": external_id,
            "content": content,
            "label": item.label,
            "at": at,
            "facts": Jsonb(item.facts),
            "state": str(item.state),
            "lease": settings.EVENHAND_LEASE if leased else None,
        },
    )
    dispatch.after_commit("raw.kept")
    if not kept:
        return RawItem.objects.get(source=source, external_id=external_id)
    (item.pk, item.lease_until), item._state.adding, item._state.db = kept[0], False, DEFAULT_DB_ALIAS
    return item


def read_raw(item: RawItem, *, at: datetime) -> Received | None:
    """Read one kept mail and take in what a customer said in it; None when it is not a customer speaking.

    The item then says what it was and why. Raises whatever reading raises; then the item is as before.
    """
    return _take_in(item, read_item(item), at=at)


def read_item(item: RawItem, own_addresses: frozenset[str] | None = None) -> mail_channel.Mail:
    """Read a kept mail's bytes with what is known of how it came. Writes nothing. own_addresses: see `read_mail`."""
    border = item.mailbox.border_host if item.mailbox_id and item.mailbox else ""
    return read_mail(
        bytes(item.content),
        received_at=_reached_us_at(item),
        border_hosts=frozenset({border} if border else ()),
        own_addresses=own_addresses,
        told=frozenset(name for fact, name in _TOLD.items() if item.facts.get(fact) is True),
    )


_TOLD: dict[str, kinds.Told] = {"has_null_sender": "null_sender", "is_spam": "spam"}
"""What a provider's facts say of a mail besides its bytes."""


def _reached_us_at(item: RawItem) -> datetime:
    """When it lay in our mailbox, or reached our provider, by their own clock (domain.md C.5); else when we kept it."""
    stated = item.facts.get("internaldate") or item.facts.get("server_at") or ""
    return min(datetime.fromisoformat(stated), item.received_at) if stated else item.received_at


def _take_in(item: RawItem, mail: mail_channel.Mail, *, at: datetime) -> Received | None:
    for race in range(intake.RACES_TRIED):
        try:
            return _opened(item, mail, at=at) or _taken_in([(item, mail)], at=at)[0]
        except IntegrityError as collision:
            if intake.hit_by(collision, "interaction_received_once"):
                return _received_before(item, mail)
            if not intake.hit_by(collision, "contact_point_one_customer") or race == intake.RACES_TRIED - 1:
                raise  # somebody else met the same new customer this instant: look again
    raise AssertionError("the loop above returns or raises")


def _opened(item: RawItem, mail: mail_channel.Mail, *, at: datetime) -> Received | None:
    """Take in a mail that begins something new, by one statement that is a transaction of its own; most do.

    None when it is another kind of mail or may belong to a matter; then nothing has changed. Two who do this at once are told
    apart by what they write (IntegrityError). Raises what `correspondence.take_in` raises.
    """
    ours = mail.opens_or_joins_conversation and addresses.is_ours(mail.customer or "")
    if (
        ours
        or not mail.opens_or_joins_conversation
        or mail.in_reply_to
        or mail.attachments
        or connection.in_atomic_block
    ):
        return None
    letter = Letter(item, mail, addresses.read(_addressed_to(item, mail)))
    if letter.addressed is not None:
        return None
    before = item.state, item.kind, item.reason, item.lease_until
    item.state, item.kind, item.reason, item.lease_until = WorkState.DONE, mail.kind, mail.reason[:300], None
    received = correspondence.open_alone(letter, _as_message(item, mail), at=at, also=[_as_read([item])])
    if received is None:
        item.state, item.kind, item.reason, item.lease_until = before
    return received


@transaction.atomic
def _taken_in(several: Sequence[tuple[RawItem, mail_channel.Mail]], *, at: datetime) -> list[Received | None]:
    """Take in mails of different senders to different reply addresses, all of them or none.

    They were kept for good before. So the disk need not be waited for again: what a database that fails this very moment forgets
    is all that became of them, and then the lane reads them once more. Whatever builds on it waits for the disk itself.
    Raises what `correspondence.take_in` raises.
    """
    letters = [Letter(item, mail, addresses.read(_addressed_to(item, mail))) for item, mail in several]
    senders = correspondence.senders_of(letters, at=at, also=[correspondence.NOT_WAITING])
    persons: list[tuple[Letter, Sender, Message]] = []
    read: list[RawItem] = []
    for letter, sender in zip(letters, senders, strict=True):
        item, mail = letter.raw, letter.mail
        if sender.raw_state in (WorkState.DONE, WorkState.PARKED):
            continue
        kind, reason = mail.kind, mail.reason
        if mail.opens_or_joins_conversation and addresses.is_ours(mail.customer or ""):
            kind, reason = "own_notification", "own_domain: It claims to come from one of our reply addresses."
        elif mail.opens_or_joins_conversation:
            persons.append((letter, sender, _as_message(item, mail)))
        else:
            item.about = _by_a_machine(letter, sender, at=at)
        item.state = WorkState.PARKED if kind == "unparsable" else WorkState.DONE
        item.kind, item.reason, item.lease_until = kind, reason[:300], None
        read.append(item)
    received = iter(correspondence.take_in(persons, at=at, also=[_as_read(read)]))
    heard = {letter.raw.pk for letter, _sender, _message in persons}
    return [next(received) if item.pk in heard else None for item, _mail in several]


def _as_read(items: Sequence[RawItem]) -> Statement:
    """What writes down what items were."""
    each = [
        {"raw": item.pk, "state": item.state, "kind": item.kind, "reason": item.reason, "about": item.about_id}
        for item in items
    ]
    return Statement(_READ, {"each": Json(each)})


def _received_before(item: RawItem, mail: mail_channel.Mail) -> Received:
    """What became of a mail whose words came in before from the same source. Raises intake.DifferentContent."""
    received = intake.received_before(_as_message(item, mail))
    item.state, item.kind, item.reason, item.about = WorkState.DONE, mail.kind, mail.reason[:300], None
    run(_as_read([item]))
    return received


def _by_a_machine(letter: Letter, sender: Sender, *, at: datetime) -> Conversation | None:
    """Let a mail that no person wrote have its effects; gives the matter it is about, None when it names none."""
    item, mail = letter.raw, letter.mail
    if mail.kind == "unsubscribe" and mail.customer:
        deliveries.unsubscribed(mail.customer, evidence=f"mail:{item.public_id}", told_at=item.received_at, at=at)
    message = deliveries.bounce_mail(item, mail, letter.addressed, at=at)
    if message is not None:
        return message.conversation
    return correspondence.written_by_a_machine(sender, at=at)


def _addressed_to(item: RawItem, mail: mail_channel.Mail) -> tuple[str, ...]:
    stated = item.facts.get("envelope_to") or ()
    return (*((stated,) if isinstance(stated, str) else stated), *mail.delivered_to, *mail.recipients)


def _as_message(item: RawItem, mail: mail_channel.Mail) -> Message:
    message = mail_channel.as_message(mail, source=item.source, external_id=item.external_id)
    return replace(message, held_at=item.received_at)


def take_in_anyway(item: RawItem, mail: mail_channel.Mail, *, at: datetime) -> Received:
    """Take in what a person says a customer wrote, whatever we had made of it. The item is locked by the caller.

    Its promises count from when it reached us. Raises intake.NothingSaid, identity.UnusableAddress.
    """
    letter, message = Letter(item, mail, addresses.read(_addressed_to(item, mail))), _as_message(item, mail)
    for race in range(intake.RACES_TRIED):
        try:
            with transaction.atomic():
                sender = correspondence.senders_of([letter], at=at)[0]
                return correspondence.take_in([(letter, sender, message)], at=at, is_answered=False)[0]
        except IntegrityError as collision:
            if intake.hit_by(collision, "interaction_received_once"):
                return intake.received_before(message)
            if not intake.hit_by(collision, "contact_point_one_customer") or race == intake.RACES_TRIED - 1:
                raise
    raise AssertionError("the loop above returns or raises")


@dataclass(frozen=True, slots=True)
class ReadNow:
    """What became of one kept mail that was read at once.

    mail: None when reading itself failed. received: what it became; None when no customer speaks or it was refused.
    refused: why a mail was parked that we could not take in; empty otherwise. waits: it stays with the lane, which
    reads it when the database lets it.
    """

    mail: mail_channel.Mail | None
    received: Received | None
    refused: str = ""
    waits: bool = False


@contextmanager
def reading(content: bytes, *, at: datetime) -> Iterator[Callable[[], mail_channel.Mail] | None]:
    """Let a mail be read while it is being kept at this moment; what is given goes to `read_now`. Raises nothing by itself."""
    try:
        options = _how_to_read(mailboxes.own_addresses(), received_at=at)
    except (OperationalError, InterfaceError):
        yield None  # it is read when it could be kept
        return
    with reader.reading(content, **options) as answer:
        yield answer


def read_now(item: RawItem, *, at: datetime, read: Callable[[], mail_channel.Mail] | None = None) -> ReadNow:
    """Read one kept mail at once instead of waiting for the lane; whatever is wrong with it stays with it.

    read: gives what `reading` has read, which is used when the mail was kept at the same moment.
    A refusal (nothing said, no usable address, other words under a known id) or an unexpected error parks the item with
    its reason: read again it would say the same. Trouble of the database is none of the mail's: the lane tries again.
    Raises nothing but what the database raises when it cannot be reached at all.
    """
    mail: mail_channel.Mail | None = None
    received: Received | None = None
    outcome: list[ReadNow] = []

    def work() -> None:
        nonlocal mail, received
        mail = read() if read is not None and not item.mailbox_id and _reached_us_at(item) == at else read_item(item)
        received = _take_in(item, mail, at=at)

    def failed(trouble: Exception) -> None:
        if isinstance(trouble, NO_FAULT_OF_THE_MAIL):
            outcome.append(ReadNow(mail, None, waits=True))
            return
        reason = _reason(trouble)
        RawItem.objects.filter(pk=item.pk, state__in=[WorkState.READY, WorkState.CLAIMED]).update(
            state=WorkState.PARKED, kind=mail.kind if mail else "", reason=reason[:300], lease_until=None
        )
        outcome.append(ReadNow(mail, None, refused=reason))

    if lease.guarded(work, failed=failed):
        return ReadNow(mail, received)
    return outcome[0]


def refusal(mail: mail_channel.Mail) -> str:
    """Say why what this mail says could not be taken in, "" when it could. Asks no database."""
    try:
        intake.said_something(mail_channel.as_message(mail, source="", external_id=""))
        identity.normalised("email", mail.customer or "")
    except (intake.NothingSaid, identity.UnusableAddress) as trouble:
        return _reason(trouble)
    return ""


def park_unread(
    content: bytes, *, source: str, label: str, external_id: str, reason: str, at: datetime
) -> tuple[RawItem, bool]:
    """Keep what shall not be read, with the reason why, where people see it. Returns the item and whether it is new.

    content: what there is of it, perhaps only its beginning; external_id: tells the whole of it from others.
    """
    return RawItem.objects.get_or_create(
        source=source,
        external_id=external_id,
        defaults={
            "content": content,
            "label": label[:300],
            "received_at": at,
            "state": WorkState.PARKED,
            "reason": reason[:300],
        },
    )


def _reason(trouble: Exception) -> str:
    """A refusal's own sentence with its code in front; for anything else what it was."""
    said = f"{getattr(trouble, 'code', type(trouble).__name__)}: {trouble}"
    return said.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def read_mail(
    content: bytes,
    *,
    received_at: datetime,
    border_hosts: frozenset[str] = frozenset(),
    own_addresses: frozenset[str] | None = None,
    told: frozenset[kinds.Told] = frozenset(),
) -> mail_channel.Mail:
    """Read a mail's bytes with this deployment's own addresses and border servers. Writes nothing.

    border_hosts: further names of our own border servers, such as that of the mailbox it lay in. own_addresses: which are
    ours, when no database is to be asked for the mailboxes. told: what the provider that took it in says of it. It is read in
    a process of its own, where what it may cost is limited (ADR 0021).
    Raises reader.NoReader when none can be started; nothing else, whatever the mail is.
    """
    ours = mailboxes.own_addresses() if own_addresses is None else own_addresses
    return reader.read(content, **_how_to_read(ours, received_at=received_at, border_hosts=border_hosts), told=told)


def _how_to_read(
    own_addresses: frozenset[str], *, received_at: datetime, border_hosts: frozenset[str] = frozenset()
) -> dict[str, Any]:
    return {
        "own_addresses": own_addresses,
        "border_hosts": settings.EVENHAND_BORDER_HOSTS | border_hosts,
        "received_at": received_at,
        "readers": settings.EVENHAND_MAIL_READERS,
    }


def ingest_batch(*, at: datetime, size: int = 20) -> int:
    """Read one batch of raw items that were kept but not read. A bad one is parked after three attempts; the next go on.

    While the database writes some of them, the following ones are read. What hinders several from being written at once
    holds for one of them only: then each is written by itself.
    """
    due = (
        RawItem.objects.filter(source__startswith=MAIL)
        .filter(lease.claimable(ready=WorkState.READY, claimed=WorkState.CLAIMED))
        .select_related("mailbox")
        .order_by("id")
    )
    items = lease.claim(due, size=size, claimed_state=WorkState.CLAIMED)
    sound = []
    for item in items:
        if item.attempt > ATTEMPTS_BEFORE_PARKING:
            _not_read(item, _("Reading it stopped the worker several times."), WorkState.PARKED)
        else:
            sound.append(item)
    with reading_ahead(sound) as reading:
        while some := reading.next():
            _take_in_some(some, at=at)
    return len(items)


def reading_ahead(items: Sequence[RawItem]) -> mail_batches.ReadAhead:
    """Let mails be read one after the other, whether they are kept already or not. To be used in a `with` statement."""
    ours = mailboxes.own_addresses() if items else frozenset()  # the thread that reads asks no database
    return mail_batches.ReadAhead(
        items, lambda item: read_item(item, ours), failed=_failed, readers=max(1, settings.EVENHAND_MAIL_READERS)
    )


def take_in_claimed(reading: mail_batches.ReadAhead, *, at: datetime, until: float) -> None:
    """Take in mails that were kept for this moment (claimed and leased), as the lane does; those not kept are passed over.

    until: by `time.monotonic`; what is not begun by then is left to the lane.
    """
    while some := reading.next(is_wanted=lambda item: item.pk is not None):
        if time.monotonic() > until:
            left = [item.pk for item, _mail in some] + [item.pk for item in reading.rest() if item.pk is not None]
            RawItem.objects.filter(pk__in=left, state=WorkState.CLAIMED).update(
                state=WorkState.READY, attempt=F("attempt") - 1, lease_until=None
            )
            dispatch.after_commit("raw.kept")
            return
        _take_in_some(some, at=at)


def _take_in_some(some: Sequence[tuple[RawItem, mail_channel.Mail]], *, at: datetime) -> None:
    for those in mail_batches.apart(some, _names):
        _take_in_those(those, at=at)


def _names(item: RawItem, mail: mail_channel.Mail) -> set[str]:
    """What tells the sender of a mail and the reply address that it was sent to."""
    letter = Letter(item, mail, addresses.read(_addressed_to(item, mail)))
    return {f"from {mail.customer}", letter.token_digest} - {"", "from None"}


def _take_in_those(those: Sequence[tuple[RawItem, mail_channel.Mail]], *, at: datetime) -> None:
    if len(those) > 1 and lease.guarded(partial(_taken_in, those, at=at), failed=_one_by_one):
        return
    for item, mail in those:
        lease.guarded(partial(_take_in, item, mail, at=at), failed=partial(_failed, item))


def _one_by_one(trouble: Exception) -> None:
    """Nothing is lost: each of them is tried by itself, and what is wrong with one is written down then."""
    logger.info("Mails are taken in one by one (%s).", type(trouble).__name__)


def _failed(item: RawItem, trouble: Exception) -> None:
    # No attempt of the mail's: it is read again after its lease.
    if lease.is_trouble_of_the_database(trouble) or isinstance(trouble, reader.NoReader):
        RawItem.objects.filter(pk=item.pk, attempt=item.attempt).update(attempt=item.attempt - 1)
        return
    _not_read(item, _reason(trouble), after_failure(item.attempt))


def _not_read(item: RawItem, reason: str, state: WorkState) -> None:
    RawItem.objects.filter(pk=item.pk, attempt=item.attempt).update(state=state, reason=reason[:300], lease_until=None)
