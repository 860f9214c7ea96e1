"""The generic door: JSON signed as Standard Webhooks says (https://www.standardwebhooks.com), one event or a batch.

The shape is ours and stands in docs/generic-door.md. The way back is the same in the other direction: our answers are posted,
signed, to an address that the account names.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, Message, SenderKind
from crm.channels.providers import (
    Account,
    Arrival,
    Deleted,
    DeliveryReport,
    Echo,
    Edited,
    Event,
    Genuine,
    HttpAnswer,
    HttpRequest,
    Limits,
    Media,
    NotForUs,
    NotGenuine,
    NotGiven,
    Outgoing,
    Post,
    Provider,
    Said,
    Setting,
    Unknown,
    by_status,
    each_by_itself,
    one_line,
    words_of,
)
from crm.channels.sending import Handed
from crm.channels.signing import check_hmac, check_time, digest

BATCH_AT_MOST: Final = 100
FILES_AT_MOST: Final = 20
_KINDS: Final[Mapping[str, SenderKind]] = {"email": "email", "phone": "phone", "handle": "handle", "app": "app"}
_ARRIVALS: Final[Mapping[str, Arrival]] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "deferred": "deferred", "failed": "failed", "unwanted": "unwanted",
}  # fmt: skip


class TooMany(ValueError):
    """A batch of more events than are taken at once."""


class StandardWebhooks(Provider):
    """Events of any program that can sign them."""

    name = "standard_webhooks"
    title = _("Generic door (Standard Webhooks)")
    channels: ClassVar[tuple[Channel, ...]] = tuple(channel for channel in Channel if channel != Channel.EMAIL)
    settings = (
        Setting(
            "answer_url",
            _("Address that our answers are posted to"),
            _("Empty when nothing goes back this way."),
            is_required=False,
        ),
        Setting("longest", _("Longest answer, characters"), _("Empty for no limit."), is_required=False),
    )
    own_id_label = _("Name of this account there, where events carry one (“to”)")
    secret_help = _("The signing secret, as “whsec_…”; the other side signs with it.")
    credential_help = _("The signing secret for our answers, as “whsec_…”; the other side checks them with it.")
    tries_again = True
    kept_headers = ("content-type", "webhook-id", "webhook-timestamp")

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """The signature covers id, time and body (Standard Webhooks, "Signature scheme"); several are parted by spaces."""
        identity, stated = post.headers.get("webhook-id", ""), post.headers.get("webhook-timestamp", "")
        given = [
            value
            for version, comma, value in (
                one.partition(",") for one in post.headers.get("webhook-signature", "").split(" ")
            )
            if version == "v1" and comma
        ]
        if not identity or not stated or not given:
            raise NotGenuine("missing")
        signed = f"{identity}.{stated}.".encode() + post.body
        check_hmac(given, signed, secrets=map(_key, account.receiving), written="base64")
        check_time(stated, at=at)
        return Genuine()

    def delivery_id(self, post: Post) -> str:
        """The same id names the same delivery, however often it is tried."""
        return one_line(post.headers.get("webhook-id", ""), 200)

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """One event, or an object with "events"."""
        told = json.loads(post.body.decode("utf-8"))
        events = told.get("events", [told])
        if not isinstance(events, list):
            raise ValueError("events is not a list")
        if len(events) > BATCH_AT_MOST:
            raise TooMany(f"{len(events)} events in one batch")
        if "events" not in told:
            return [_event(told, account)]
        return each_by_itself(events, lambda one: [_event(one, account)], kind="an event")

    def trouble_with(self, account: Account) -> str:
        """An answer address must be one that we can go to, and secrets must read as such."""
        if not all(map(_key, (*account.receiving, *filter(None, [account.sending])))):
            return str(_("A secret that begins with whsec_ goes on in base64; one of these does not."))
        address, longest = account.settings.get("answer_url", ""), account.settings.get("longest", "")
        if address and not address.startswith(("https://", "http://")):
            return str(_("The address for our answers must begin with https://."))
        if address and not account.sending:
            return str(_("Our answers are signed: please say where the credential for sending stands."))
        if longest and not (longest.isascii() and longest.isdigit() and 0 < int(longest) < 1_000_000):
            return str(_("The longest answer is a number of characters."))
        return ""

    def addresses(self, account: Account) -> Sequence[str]:
        """Where our answers are posted to."""
        return tuple(filter(None, [account.settings.get("answer_url")]))

    def can_send(self, account: Account) -> bool:
        """Where an address for answers is named, and what they are signed with."""
        return bool(account.settings.get("answer_url") and account.sending and _key(account.sending))

    def limits(self, account: Account) -> Limits:
        """What the account says; the other side knows."""
        return Limits(longest=int(account.settings.get("longest") or 0), may_write_first=True)

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """Our answer as an event, signed as theirs are; webhook-id is the same when it is tried again."""
        body = json.dumps(
            {
                "type": "message.answered",
                "data": {
                    "id": outgoing.key,
                    "from": account.own_id,
                    "to": outgoing.address,
                    "text": outgoing.text,
                    "in_reply_to": outgoing.in_reply_to or None,
                },
            },
            ensure_ascii=False,
        ).encode("utf-8", "replace")
        return HttpRequest(
            "POST",
            account.settings["answer_url"],
            {"Content-Type": "application/json", "webhook-id": outgoing.key, **_signed(outgoing, body, account)},
            body,
        )

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """Any 2xx accepts; an "id" in its JSON is what the other side calls the message, else it is called by our key."""
        try:
            told = json.loads(answer.body.decode("utf-8"))
            identity = one_line(told.get("id"), 200)
        except (ValueError, AttributeError):
            identity = ""
        return by_status(answer, identity)

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """Files are named by addresses that work by themselves."""
        if not media.reference.startswith(("https://", "http://")):
            raise NotGiven("It is no web address.", is_final=True)
        return HttpRequest("GET", media.reference)


def _event(told: Any, account: Account) -> Event:
    kind, about = one_line(told.get("type"), 60), told.get("data")
    if not isinstance(about, dict):
        return Unknown(kind)
    to = one_line(about.get("to"), 200)
    if account.own_id and to and to != account.own_id and kind != "message.echoed":
        return NotForUs("It names another account.")
    if kind == "message.created":
        return _said(about, account)
    if kind == "message.updated":
        moment = about.get("updated_at")
        return Edited(
            _id(about), one_line(told.get("id"), 200) or f"{moment or ''}:{_mark(about)}", words_of(about["text"]), _moment(moment)
        )  # fmt: skip
    if kind == "message.deleted":
        return Deleted(_id(about), "deleted", _moment(about.get("deleted_at")))
    if kind == "message.echoed":
        return Echo(
            _id(about), to, words_of(about.get("text")), one_line(about.get("key"), 40), _moment(about.get("sent_at"))
        )
    if kind == "delivery.updated" and about.get("state") in _ARRIVALS:
        state = _ARRIVALS[about["state"]]
        return DeliveryReport(
            one_line(about.get("id"), 200),
            state,
            one_line(told.get("id"), 150) or f"{_id(about)}:{state}",
            key=one_line(about.get("key"), 40),
            reason=one_line(about.get("reason"), 300),
            is_permanent=about.get("is_permanent") is True,
            event_at=_moment(about.get("at")),
        )
    return Unknown(kind)


def _said(about: Mapping[str, Any], account: Account) -> Said:
    sender = about["from"]
    answers = about.get("in_reply_to")
    files = about.get("files") or []
    media = tuple(
        Media(one_line(one["url"], 2000), one_line(one.get("name"), 150), one_line(one.get("type"), 100))
        for one in files
    )[:FILES_AT_MOST]
    text = words_of(about.get("text"))
    return Said(
        Message(
            channel=account.channel,
            source=account.source,
            external_id=_id(about),
            sender_kind=_KINDS[sender["kind"]],
            sender_address=one_line(sender["address"], 320),
            sender_name=one_line(sender.get("name"), 200),
            subject=one_line(about.get("subject"), 300),
            text=text,
            full_text=text,
            spoke_at=_moment(about.get("spoke_at")),
            in_reply_to=(one_line(answers, 200),) if answers else (),
            language=one_line(about.get("language"), 16),
            wordless=bool(media) and not text.strip(),
        ),
        media,
    )


def _id(about: Mapping[str, Any]) -> str:
    identity = one_line(about["id"], 200)
    if not identity:
        raise ValueError("an event without id")
    return identity


def _mark(about: Mapping[str, Any]) -> str:
    return digest(b"", words_of(about.get("text")).encode()).hex()[:24]


def _moment(stated: Any) -> datetime | None:
    """An aware time in ISO 8601; one without a zone says nothing, nor does what is no time."""
    try:
        moment = datetime.fromisoformat(str(stated))
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _key(secret: str) -> bytes:
    """The bytes of "whsec_…" (base64); one without that beginning is taken as it is."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        return b""


def _signed(outgoing: Outgoing, body: bytes, account: Account) -> dict[str, str]:
    stated = str(int(outgoing.at.timestamp()))
    signature = digest(_key(account.sending), f"{outgoing.key}.{stated}.".encode() + body)
    return {"webhook-timestamp": stated, "webhook-signature": f"v1,{base64.b64encode(signature).decode()}"}


PROVIDER = StandardWebhooks()
