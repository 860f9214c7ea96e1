"""Where a mail belongs and who may speak there: our own reply address first, then what our border vouches for; never a subject.

What proves nothing (a number, a Message-ID, a name) links nothing: it is written down as a doubt that a person settles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet, Subquery
from psycopg.types.json import Json

from crm import dispatch
from crm.actions import acknowledgements, alerts, deliveries, identity, intake, representatives
from crm.actions.acknowledgements import DAY
from crm.actions.intake import Received
from crm.channels import Channel, Message
from crm.channels.email import Mail, addresses
from crm.channels.email.addresses import Addressed
from crm.channels.smtp import own_ids
from crm.models import ContactPoint, Conversation, Doubt, Interaction, OutgoingMessage, RawItem, ReplyToken, User
from crm.models.people import ContactKind
from crm.policy import (
    ALARMED_FROM,
    OPENED_PER_HOUR,
    AlertKind,
    ConversationState,
    DoubtCode,
    WorkState,
    token_doubt,
)
from crm.together import Insertion, Statement, run, written

HOUR = timedelta(hours=1)
_NUMBER = re.compile(r"\b(?:EV|Evenhand|case|ticket)\s?[-#:]?\s?#?(\d{1,18})\b", re.IGNORECASE)
_FAULTS = {"look_alike": DoubtCode.LOOK_ALIKE, "several_senders": DoubtCode.SEVERAL_SENDERS}

Doubts = list[tuple[DoubtCode, Conversation | None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail belongs.

    conversation: the matter it joins for certain; None when it opens one. is_vouched: our token and its correspondent, or
    our border, prove who wrote. is_other: not the matter's customer but somebody else writes. doubts: what a person should
    look at, each with the matter it may belong to.
    """

    conversation: Conversation | None
    is_vouched: bool
    is_other: bool
    doubts: Doubts


@dataclass(frozen=True, slots=True)
class Sender:
    """What stands in our books about the address a mail comes from, and about the reply address it came to.

    raw_state: a WorkState of its raw item, which is locked; is_staff: one of us has this address. speaker: who uses it, None when
    nobody does. newest: state of the newest matter it opened by mail, None when there is none; enough_at: when the customer spoke
    in the last one that counts for the loop guard, None when there are fewer. acknowledged, told_of_files: notices it got within
    a day. token: the reply address we gave, with its matter. colleagues: who can take a new matter now, in order, each with name
    and address.
    """

    raw_state: str
    is_staff: bool
    speaker: identity.Speaker | None
    newest: str | None
    enough_at: datetime | None
    acknowledged: int
    told_of_files: int
    token: ReplyToken | None
    colleagues: dict[int, tuple[str, str]]

    def is_customer_of(self, conversation: Conversation) -> bool:
        """Whether this address is one of the matter's own customer."""
        return self.speaker is not None and self.speaker.customer.pk == conversation.customer_id


_KNOWN = """
SELECT EXISTS (SELECT FROM crm_user WHERE email = one.address AND is_staff AND is_active),
       p.customer_id, p.id,
       (SELECT owner_id FROM crm_conversation
        WHERE customer_id = p.customer_id AND state IN ('open', 'waiting_customer') AND owner_id IS NOT NULL
        ORDER BY id DESC LIMIT 1),
       c.region, c.language, c.zone, opened.newest, opened.enough_at, told.acknowledged, told.files,
       t.address, t.expires_at, t.revoked_at, t.conversation_id, m.customer_id, r.state,
       (SELECT json_agg(json_build_array(id, display_name, email) ORDER BY id) FROM crm_user
        WHERE is_active AND takes_conversations AND is_available AND NOT is_full)
FROM {each}
LEFT JOIN crm_contactpoint p ON p.kind = 'email' AND p.address = one.address AND p.unlinked_at IS NULL
LEFT JOIN crm_customer c ON c.id = p.customer_id
LEFT JOIN LATERAL (
    SELECT max(state) FILTER (WHERE place = 1) AS newest, max(spoke_at) FILTER (WHERE place = %(enough)s) AS enough_at
    FROM (SELECT state, spoke_at, row_number() OVER (ORDER BY id DESC) AS place FROM crm_conversation
          WHERE customer_id = p.customer_id AND channel = 'email' ORDER BY id DESC LIMIT %(enough)s) newest
) opened ON true
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE key LIKE 'acknowledged:%%') AS acknowledged, count(*) FILTER (WHERE key LIKE 'files:%%') AS files
    FROM crm_outgoingmessage WHERE kind = 'notice' AND address = one.address AND created_at > %(since)s
) told ON true
LEFT JOIN crm_replytoken t ON t.digest = one.digest
LEFT JOIN crm_conversation m ON m.id = t.conversation_id
"""
_ASK_ONE = _KNOWN.replace(
    "{each}",
    "(SELECT %(raw)s::bigint AS raw, %(address)s::text AS address, %(digest)s::text AS digest) one "
    "JOIN crm_rawitem r ON r.id = one.raw",
)
# As JSON, whose length the planner does not look at: it plans once. Over arrays it would plan anew for every short one.
_ASK = (
    _KNOWN.replace(
        "{each}",
        "json_to_recordset(%(each)s) AS one(place int, raw bigint, address text, digest text) JOIN crm_rawitem r ON r.id = one.raw",
    )
    + "ORDER BY one.place FOR UPDATE OF r"
)
NOT_WAITING = Statement("SELECT set_config('synchronous_commit', 'off', true)", {})
"""Lets this transaction not wait for the disk."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is being taken in. addressed: the address of ours that it names, None when it names none."""

    raw: RawItem
    mail: Mail
    addressed: Addressed | None

    @property
    def token_digest(self) -> str:
        """Tells the reply address of ours that it was sent to; "" when it was sent to none."""
        if self.addressed is None or self.addressed.is_return:
            return ""
        return addresses.digest_of(self.addressed.token)


def senders_of(letters: Sequence[Letter], *, at: datetime, also: Sequence[Statement] = ()) -> list[Sender]:
    """Lock raw items and read what is known of whoever their mails come from; at once. Call it in a transaction.

    also: statements to be run before.
    """
    each = [{"place": place, "raw": letter.raw.pk, **_address(letter)} for place, letter in enumerate(letters)]
    values = {"each": Json(each), "since": at - DAY, "enough": OPENED_PER_HOUR}
    return [_sender(row) for row in run(*also, Statement(_ASK, values))[-1]]


def _address(letter: Letter) -> dict[str, str]:
    return {"address": (letter.mail.customer or "").strip().lower(), "digest": letter.token_digest}


def _sender(row: tuple[Any, ...]) -> Sender:
    is_staff, customer, point, owner, region, language, zone, newest, enough_at, acknowledged, files, *rest = row
    given_to, expires_at, revoked_at, matter, matters_customer, raw_state, free = rest
    colleagues = {number: (name, email) for number, name, email in free or ()}
    speaker = token = None
    if point is not None:
        speaker = identity.met(customer, point, owner, region=region, language=language, zone=zone)
    if matter is not None:
        about = written(Conversation, id=matter, customer_id=matters_customer)
        token = written(
            ReplyToken, address=given_to, expires_at=expires_at, revoked_at=revoked_at, conversation_id=matter
        )
        token.conversation = about
    return Sender(raw_state, is_staff, speaker, newest, enough_at, acknowledged, files, token, colleagues)


def open_alone(letter: Letter, message: Message, *, at: datetime, also: Sequence[Statement]) -> Received | None:
    """Take in a person's mail that begins a matter, by one statement that is a transaction of its own and waits for no disk.

    None when it may belong to a matter, or a person should look at it, or it was taken in before; then nothing has changed.
    also: other changes of that statement. Raises what `take_in` raises.
    """
    asked = {"raw": letter.raw.pk, "since": at - DAY, "enough": OPENED_PER_HOUR, **_address(letter)}
    sender = _sender(run(Statement(_ASK_ONE, asked))[0][0])
    one = _arriving(letter, sender, message, at=at)
    if one.joins is not None or one.place.doubts or sender.raw_state in (WorkState.DONE, WorkState.PARKED):
        return None
    taking = _taking(one, at=at)
    taking.rows += _answered_by_machine(one, taking.received, at=at)
    point = taking.received.interaction.contact_point
    proved = {point.pk: point} if one.place.is_vouched and point is not None and point.pk else {}
    insertion = Insertion(*taking.rows, also=[*also, NOT_WAITING, *_proving(proved, at=at)])
    found = run(insertion.statement)[0]
    insertion.written(found)
    if proved:
        _work_again(proved, found[0][-1], at=at)
    dispatch.after_commit("interaction.received")
    return taking.received


class SameMatter(Exception):
    """Two of the mails that were to be taken in at once belong to one matter; one after the other they can be."""

    code = "same_matter"


@dataclass(slots=True)
class _Arriving:
    """A person's mail on its way into the books."""

    letter: Letter
    sender: Sender
    message: Message
    place: Place
    folded: Conversation | None
    goes_on: intake.Joined | None = None
    came_lately: int = 0

    @property
    def joins(self) -> Conversation | None:
        return self.place.conversation or self.folded

    @property
    def other_address(self) -> str:
        return self.message.sender_address if self.place.is_other else ""


def take_in(
    letters: Sequence[tuple[Letter, Sender, Message]],
    *,
    at: datetime,
    is_answered: bool = True,
    also: Sequence[Statement] = (),
) -> list[Received]:
    """Take in what persons wrote by mail: joined to its matter where that is certain, acknowledged where it opens one.

    letters: each by somebody else and to another reply address, with what is known of its sender and what it says; they are read
    and written together. is_answered: whether our machine may acknowledge them. also: statements to be run with the last ones.
    Call it in a transaction, which is undone when it raises: SameMatter, intake.NothingSaid, identity.UnusableAddress, or
    IntegrityError when somebody else wrote the same in this instant.
    """
    arriving = [_arriving(*one, at=at) for one in letters]
    _join(arriving, at=at)
    takings = [_taking(one, at=at) for one in arriving]
    if is_answered:
        for one, taking in zip(arriving, takings, strict=True):
            if one.folded is None:
                taking.rows += _answered_by_machine(one, taking.received, at=at)
    proved = {
        point.pk: point
        for one, taking in zip(arriving, takings, strict=True)
        if one.place.is_vouched and not one.place.is_other
        and (point := taking.received.interaction.contact_point) is not None and point.pk is not None
    }  # fmt: skip
    found = intake.write(takings, *_proving(proved, at=at), *also)
    if proved:
        _work_again(proved, [key for (key,) in found[0]], at=at)
    for one, taking in zip(arriving, takings, strict=True):
        _raise(taking.received, one.place.doubts, at=at)
        if one.came_lately >= ALARMED_FROM:
            _tell_of_a_flood(taking.received.conversation, at=at)
    if letters:
        dispatch.after_commit("interaction.received")
    return [taking.received for taking in takings]


def _arriving(letter: Letter, sender: Sender, message: Message, *, at: datetime) -> _Arriving:
    intake.said_something(message)
    place = place_of(letter.mail, letter.addressed, sender=sender, at=at)
    folded = None
    if place.conversation is None:
        folded = _too_many_opened(message.sender_address, sender, at=at)
    return _Arriving(letter, sender, replace(message, is_vouched=place.is_vouched), place, folded)


def _join(arriving: Sequence[_Arriving], *, at: datetime) -> None:
    """Lock the matters that mails join, in one order for everybody, and read what joining needs."""
    joining = {one.joins.pk: one for one in arriving if one.joins is not None}
    if len(joining) < sum(one.joins is not None for one in arriving):
        raise SameMatter
    statements: list[Statement] = []
    for number in sorted(joining):
        statements += [
            *intake.joining(number),
            Statement(_LATELY, {"id": number, "since": at - HOUR, "most": ALARMED_FROM}),
        ]
    found = run(*statements)
    for place, number in enumerate(sorted(joining)):
        locked, unmet, lately = found[3 * place : 3 * place + 3]
        joining[number].goes_on = intake.joined([locked, unmet])
        joining[number].came_lately = lately[0][0] + 1


def _taking(one: _Arriving, *, at: datetime) -> intake.Taking:
    message, sender = one.message, one.sender
    if one.other_address and one.goes_on is not None:
        speaker = identity.somebody_else_in(one.goes_on.conversation)
    else:
        speaker = sender.speaker or identity.newcomer(
            "email", message.sender_address, name=message.sender_name, language=message.language, at=at
        )
        if speaker.is_new and one.place.is_vouched and speaker.contact_point is not None:
            speaker.contact_point.verified_at = at
    return intake.take(
        message,
        speaker=speaker,
        goes_on=one.goes_on,
        colleagues=tuple(sender.colleagues),
        at=at,
        origin="mail",
        raw=one.letter.raw,
        other_address=one.other_address,
    )


def _answered_by_machine(one: _Arriving, received: Received, *, at: datetime) -> list[OutgoingMessage]:
    owner = received.conversation.owner_id or 0
    name, email = one.sender.colleagues.get(owner, ("", ""))
    return acknowledgements.after(
        received,
        one.letter.mail.attachments,
        address=one.message.sender_address,
        owner=str(written(User, id=owner, display_name=name, email=email)) if email else "",
        acknowledged=one.sender.acknowledged,
        told_of_files=one.sender.told_of_files,
        is_proved=one.place.is_vouched,
        is_other=one.place.is_other,
        at=at,
    )


def place_of(mail: Mail, addressed: Addressed | None, *, sender: Sender, at: datetime) -> Place:
    """Say where a person's mail belongs. Reads only."""
    address = mail.customer or ""
    doubts: Doubts = [(code, None) for fault, code in _FAULTS.items() if fault in mail.faults]
    if sender.is_staff:
        doubts.append((DoubtCode.CLAIMS_STAFF, None))
    if addressed is not None and not addressed.is_return:
        token = sender.token
        if token is None:
            return Place(None, mail.is_authenticated, False, [*doubts, (DoubtCode.TOKEN_UNKNOWN, None)])
        doubt = token_doubt(expires_at=token.expires_at, revoked_at=token.revoked_at, at=at)
        if doubt is not None:
            return Place(None, mail.is_authenticated, False, [*doubts, (doubt, token.conversation)])
        if sender.is_customer_of(token.conversation):
            return Place(token.conversation, True, False, doubts)
        acts = representatives.acting(token.conversation, address, at=at)
        if acts == "stands" and (address == token.address or mail.is_authenticated):
            return Place(token.conversation, True, True, doubts)
        if address == token.address and not acts:
            return Place(token.conversation, True, False, doubts)
        doubts.append((DoubtCode.OTHER_PERSON, token.conversation))
        return Place(token.conversation, mail.is_authenticated, True, doubts)
    named = _answered(mail)
    if named is not None:
        if mail.is_authenticated and sender.is_customer_of(named):
            return Place(named, True, False, doubts)
        if mail.is_authenticated and representatives.acting(named, address, at=at) == "stands":
            return Place(named, True, True, doubts)
        doubts.append((DoubtCode.STRANGERS_HEADERS, named))
        return Place(None, mail.is_authenticated, False, doubts)
    numbered = _numbered(mail.subject, sender)
    if numbered is not None:
        doubts.append((DoubtCode.MENTIONS_CASE, numbered))
    return Place(None, mail.is_authenticated, False, doubts)


def _answered(mail: Mail) -> Conversation | None:
    """The matter whose mail this one says it answers: ours, or one of the customer's own. It proves nothing."""
    if not mail.in_reply_to:
        return None
    ours = OutgoingMessage.objects.filter(public_id__in=own_ids(mail.in_reply_to), conversation__isnull=False)
    answered = ours.select_related("conversation__customer").order_by("-id").first()
    if answered is not None:
        return answered.conversation
    theirs = Interaction.objects.filter(message_id__in=mail.in_reply_to)
    earlier = theirs.select_related("conversation__customer").order_by("-id").first()
    return earlier.conversation if earlier is not None else None


def _numbered(subject: str, sender: Sender) -> Conversation | None:
    """Somebody else's matter whose number stands in the subject (M01). We print none; whoever writes one guessed or read it."""
    match = _NUMBER.search(subject)
    if match is None or int(match[1]) >= 2**63:
        return None
    found = Conversation.objects.select_related("customer").filter(pk=int(match[1])).first()
    return found if found is not None and not sender.is_customer_of(found) else None


def _opened_by(address: str) -> QuerySet[Conversation]:
    """Matters of whoever uses this address that began by mail, the newest first."""
    customer = ContactPoint.objects.filter(kind=ContactKind.EMAIL, address=address, unlinked_at=None).order_by("pk")
    return Conversation.objects.filter(
        customer_id=Subquery(customer.values("customer_id")[:1]), channel=Channel.EMAIL
    ).order_by("-id")


def _too_many_opened(address: str, sender: Sender, *, at: datetime) -> Conversation | None:
    """The newest matter of an address that opened as many within the hour as one may: what comes now joins it (M09, M25)."""
    if sender.enough_at is None or sender.enough_at <= at - HOUR or sender.newest == ConversationState.CLOSED:
        return None
    return _opened_by(address).select_related("customer").first()


_PROVED = """
UPDATE crm_contactpoint p SET verified_at = coalesce(verified_at, %(proved_at)s)
FROM json_to_recordset(%(points)s) AS one(id bigint)
WHERE p.id = one.id AND (verified_at IS NULL OR unconfirmed_since IS NOT NULL)
RETURNING CASE WHEN unconfirmed_since IS NOT NULL THEN p.id END
"""


def _proving(points: Mapping[int, ContactPoint], *, at: datetime) -> list[Statement]:
    """What writes down that mail truly came from these addresses; nothing for none."""
    if not points:
        return []
    return [Statement(_PROVED, {"points": Json([{"id": key} for key in points]), "proved_at": at})]


def _work_again(points: Mapping[int, ContactPoint], doubted: Sequence[int | None], *, at: datetime) -> None:
    """Whoever writes from an address that had been doubted can be reached there. doubted: what `_PROVED` gave."""
    for key in doubted:
        if key is not None:
            deliveries.address_works(points[key], at=at)


def _raise(received: Received, doubts: Doubts, *, at: datetime) -> None:
    if not doubts:
        return
    Doubt.objects.bulk_create(
        [
            Doubt(
                interaction=received.interaction,
                code=code,
                conversation=about if about is not None and about.pk != received.conversation.pk else None,
                raised_at=at,
            )
            for code, about in doubts
        ],
        ignore_conflicts=True,
    )


_LATELY = """
SELECT count(*) FROM (SELECT FROM crm_interaction WHERE conversation_id = %(id)s AND spoke_at > %(since)s AND direction = 'in'
                      AND channel = 'email' LIMIT %(most)s) lately
"""


def _tell_of_a_flood(matter: Conversation, *, at: datetime) -> None:
    """Tell the leads, once a day, of a matter into which more mail comes than a person writes (M09)."""
    alert = alerts.told(
        AlertKind.MAIL_FLOOD, key=f"{matter.public_id}:{at.date().isoformat()}", at=at, conversation=matter
    )
    alerts.write([alert])


# --- what machines write --------------------------------------------------------------------------------------------


def written_by_a_machine(sender: Sender, *, at: datetime) -> Conversation | None:
    """Say what an automatic mail is about: the matter that our reply address names, None for everything else.

    An out-of-office lands on its matter without opening it again or counting as an answer (X5).
    """
    token = sender.token
    if token is None or token_doubt(expires_at=token.expires_at, revoked_at=token.revoked_at, at=at) is not None:
        return None
    return token.conversation
