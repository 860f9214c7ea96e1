"""What WhatsApp, Messenger and Instagram have in common: Meta's webhooks, its Graph API and its errors.

Written from Meta's documentation: "Webhooks: getting started" (verification requests, validating payloads), "Graph API: handling
errors", "Messenger Platform: common error codes", "WhatsApp Business Platform: error codes", "Messenger Platform: webhook events".

What is not answered with 200 is posted again, at once and then ever more rarely: for 36 hours ("Webhooks: getting started", event
notifications; Instagram, too), "until successfully completed" ("Messenger Platform: FAQ, webhooks"), for seven days ("WhatsApp
Business Platform: webhooks, webhook delivery failure"). An app whose address fails for an hour on end may be unsubscribed.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, Message, SenderKind
from crm.channels.providers import (
    Account,
    Deleted,
    DeliveryReport,
    Echo,
    Edited,
    Event,
    Fetched,
    Genuine,
    HttpAnswer,
    HttpRequest,
    Media,
    NotForUs,
    NotGenuine,
    NotGiven,
    Outgoing,
    Post,
    Provider,
    Reply,
    Said,
    Setting,
    Unknown,
    by_status,
    one_line,
    words_of,
)
from crm.channels.sending import Handed, Outcome
from crm.channels.signing import check_hmac, check_secret, digest

VERSION: Final = "v24.0"
FACEBOOK: Final = "https://graph.facebook.com"
PUBLIC: Final = "public:"
"""What stands before the provider's id of a comment or post, so that its answer goes where everybody reads it."""
FILES_AT_MOST: Final = 20
LARGEST_FILE: Final = 25_000_000
_PREFIX: Final = "sha256="
_OWN_HOSTS: Final = re.compile(r"^(?:[a-z0-9-]{1,63}\.){0,5}(?:fbcdn\.net|fbsbx\.com|cdninstagram\.com|whatsapp\.net)$")
_VERSION: Final = re.compile(r"^v[1-9][0-9]{0,2}\.[0-9]$")
_OUR_TROUBLE: Final = frozenset((0, 3, 33, 102, 190, 368, 131005, 131031, 131042, 131045, 133010))
"""Errors of our credential or account: every message of it waits, and a person has to look."""
_MISSING_RIGHT: Final = frozenset((10, *range(200, 300)))
"""Errors of our rights; with a subcode they are about one person or one message, as when its window has closed."""
_TOO_MUCH: Final = frozenset((4, 17, 32, 613, 1200, 80006, 80007, 130429, 131048, 131056, 131057))
"""Errors that pass by waiting; nothing was sent."""
_NOBODY_KNOWS: Final = frozenset((1, 2, 131000, 131016))


class GraphProvider(Provider):
    """One service of Meta's; what its posts hold is said by `events_of`."""

    subject: ClassVar[str]
    """What Meta calls the object of its posts."""
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "verify_token",
            _("Verify token"),
            _("A word of your own; the same as in Meta's dashboard. It only opens the subscription, no message."),
        ),
        Setting(
            "api_version",
            _("Version of the Graph API"),
            _("As v24.0, which is taken when it is empty."),
            is_required=False,
        ),
    )
    secret_help = _("The app secret, with which Meta signs; in the app's basic settings.")
    tries_again = True

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """HMAC-SHA256 over the bytes, in hex behind "sha256=". There is no time in it: a repeat is known by its ids."""
        given = post.headers.get("x-hub-signature-256", "")
        if given and not given.startswith(_PREFIX):
            raise NotGenuine("wrong")
        check_hmac(
            [given.removeprefix(_PREFIX)], post.body, secrets=(one.encode() for one in account.receiving), written="hex"
        )
        return Genuine()

    def handshake(self, post: Post, account: Account) -> Reply | None:
        """Meta asks once whether the address is ours, and hears its challenge when it knows our word. Raises NotGenuine."""
        asked = post.asked()
        if post.method != "GET" or asked.get("hub.mode") != "subscribe":
            return None
        check_secret(asked.get("hub.verify_token", ""), secrets=[account.settings.get("verify_token", "")])
        return Reply(one_line(asked.get("hub.challenge"), 200))

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """A post holds entries, and each of them events; a bad one takes no others with it."""
        told = json.loads(post.body.decode("utf-8"))
        if told["object"] != self.subject:
            return [Unknown(one_line(told["object"], 40))]
        found: list[Event] = []
        for entry in objects(told.get("entry")):
            found += self.events_of(entry, account)
        return found or [Unknown("nothing in it")]

    @abstractmethod
    def events_of(self, entry: Mapping[str, Any], account: Account) -> list[Event]:
        """Every event of one entry, in its order."""

    def trouble_with(self, account: Account) -> str:
        """What the fields must look like."""
        if not (account.own_id.isascii() and account.own_id.isdigit()):
            return str(_("The id there is a number, as Meta's dashboard shows it."))
        version = account.settings.get("api_version", "")
        return (
            "" if not version or _VERSION.match(version) else str(_("The version of the Graph API looks like v24.0."))
        )

    def can_send(self, account: Account) -> bool:
        """Every account with an access token."""
        return bool(account.sending)

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """The message's id, or an error whose code says whether it is about us, about this message, or passes."""
        try:
            told = obj(json.loads(answer.body.decode("utf-8")))
        except ValueError:
            told = {}
        first = next(iter(objects(told.get("messages"))), {})
        handed = by_status(answer, one_line(told.get("message_id") or first.get("id") or told.get("id"), 200))
        error = obj(told.get("error"))
        code, subcode = number_of(error.get("code")), number_of(error.get("error_subcode"))
        if handed.outcome == Outcome.ACCEPTED or code is None:
            return handed
        said = f"Meta refused it with error {code}" + (f"/{subcode}" if subcode else "")
        if code in _OUR_TROUBLE or (code in _MISSING_RIGHT and not subcode):
            return Handed(Outcome.UNREACHABLE, f"{said}: our account or its credential does not work")
        if code in _TOO_MUCH:
            return Handed(Outcome.TRY_LATER, said, wait=handed.wait)
        if code in _NOBODY_KNOWS or answer.status >= 500:
            return Handed(Outcome.UNKNOWN, said)
        return Handed(Outcome.REFUSED, said)

    def read_media(self, media: Media, answer: HttpAnswer, account: Account) -> Fetched | HttpRequest:
        """A file, or where it has moved to within Meta's network; nobody is shown our credential there."""
        if answer.status in (301, 302, 303, 307, 308):
            return HttpRequest("GET", own_address(answer.headers.get("location", "")), most=LARGEST_FILE)
        return super().read_media(media, answer, account)


def base(account: Account, host: str = FACEBOOK) -> str:
    """The Graph API in the version that the account names."""
    return f"{host}/{account.settings.get('api_version') or VERSION}"


def posted(url: str, told: Mapping[str, Any], account: Account) -> HttpRequest:
    """JSON with our credential in its header, never in the address."""
    body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    return HttpRequest("POST", url, {"Content-Type": "application/json", **authorization(account)}, body)


def authorization(account: Account) -> dict[str, str]:
    """The header that shows our access token."""
    return {"Authorization": f"Bearer {account.sending}"}


def own_address(url: str) -> str:
    """An address at which Meta keeps files. Raises NotGiven for every other (H12)."""
    try:
        parts = urlsplit(url)
        is_theirs = parts.scheme == "https" and bool(_OWN_HOSTS.match(parts.hostname or "")) and parts.port is None
    except ValueError:
        is_theirs = False
    if not is_theirs:
        raise NotGiven("The file is at a place that is not Meta's.", is_final=True)
    return url


# --- reading what anybody could have written -------------------------------------------------------------------------


def obj(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The JSON objects of a list; none for everything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def number_of(value: Any) -> int | None:
    """A whole number, also one that is written as text."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def moment(stated: Any) -> datetime | None:
    """A time in seconds or, where it is that large, in milliseconds since 1970."""
    number = number_of(stated)
    if number is None or not 0 < number < 10**14:
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=number if number >= 10**11 else number * 1000)


def place(latitude: Any, longitude: Any) -> str:
    """A place as a "geo" address (RFC 5870); "" when it is none."""
    try:
        return f"geo:{float(latitude):.6f},{float(longitude):.6f}"
    except (TypeError, ValueError):
        return ""


def own_name(told: Mapping[str, Any]) -> str:
    """An id for what came without one, the same when it comes again."""
    return f"none:{digest(b'', json.dumps(told, sort_keys=True).encode()).hex()[:40]}"


@dataclass(slots=True)
class Heard:
    """What was found in one message. lines: its words; kinds: what was in it that nobody hands on; details: what stands behind
    the words, for whoever wants to read on.
    """

    lines: list[str] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    details: str = ""


def said(
    heard: Heard,
    account: Account,
    *,
    external_id: str,
    sender: tuple[SenderKind, str],
    channel: Channel,
    name: str = "",
    spoke_at: datetime | None = None,
    in_reply_to: str = "",
) -> Said:
    """What a customer said, from what was found in it. One that nobody hands on is without words, so that somebody asks."""
    text = "\n".join(filter(None, (words_of(line).strip("\n") for line in heard.lines)))
    media = tuple(heard.media[:FILES_AT_MOST])
    is_empty = not text.strip()
    return Said(
        Message(
            channel=channel,
            source=account.source,
            external_id=external_id,
            sender_kind=sender[0],
            sender_address=sender[1],
            sender_name=one_line(name, 200),
            subject=str(_("A message of a kind that is not handed on to us")) if is_empty and not media else "",
            text=text,
            full_text=f"{text}\n\n{words_of(heard.details)}" if heard.details else text,
            spoke_at=spoke_at,
            in_reply_to=(in_reply_to,) if in_reply_to else (),
            wordless=is_empty,
        ),
        media,
    )


# --- Messenger and Instagram ------------------------------------------------------------------------------------------

_THUMBS: Final = frozenset((369239263222822, 369239343222814, 369239383222810))
"""The stickers of Messenger's own button, small to large."""
_PASSED_ON: Final = frozenset(("fallback", "story_mention", "template"))
"""Attachments that are nobody's words to us: a preview, a mention elsewhere, our own form."""
_DIGITS: Final = re.compile(r"^[0-9]{1,40}$")


class MessagingProvider(GraphProvider):
    """A page or a professional account: private messages, and what stands below its posts."""

    channels: ClassVar[tuple[Channel, ...]] = (Channel.SOCIAL_DIRECT, Channel.SOCIAL_PUBLIC)
    network: ClassVar[str]
    """What stands before the ids of people."""
    answers_under: ClassVar[str]
    """What Meta calls the answers to a comment."""

    @abstractmethod
    def changed(self, name: str, value: Mapping[str, Any], account: Account, *, told_at: Any) -> Event:
        """What one change below our posts says; `name` as Meta calls the field."""

    def events_of(self, entry: Mapping[str, Any], account: Account) -> list[Event]:
        """Private messages by whom they are to, changes by whose entry it is."""
        found: list[Event] = []
        for one in objects(entry.get("messaging")):
            found += self._private(one, account)
        found += [NotForUs("Another app leads this conversation.") for _one in objects(entry.get("standby"))]
        changes = objects(entry.get("changes"))
        if changes and one_line(entry.get("id"), 40) != account.own_id:
            return [*found, NotForUs("It belongs to another account.")]
        for one in changes:
            name = one_line(one.get("field"), 40)
            found.append(self.changed(name, obj(one.get("value")), account, told_at=entry.get("time")))
        return found

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """An answer to a message goes to its writer, an answer to a comment below it."""
        if outgoing.in_reply_to.startswith(PUBLIC):
            about = outgoing.in_reply_to.removeprefix(PUBLIC)
            if not re.fullmatch(r"[0-9]{1,40}(?:_[0-9]{1,40})?", about):
                raise NotGiven("It is no comment that can be answered.", is_final=True)
            return posted(f"{self.base(account)}/{about}/{self.answers_under}", {"message": outgoing.text}, account)
        network, colon, person = outgoing.address.partition(":")
        if (network, colon) != (self.network, ":") or not _DIGITS.match(person):
            raise NotGiven("It is nobody's id there.", is_final=True)
        return posted(f"{self.base(account)}/me/messages", self.written(person, outgoing), account)

    def base(self, account: Account) -> str:
        """Where its part of the Graph API is."""
        return base(account)

    def written(self, person: str, outgoing: Outgoing) -> dict[str, Any]:
        """A private message as its API takes it; only within the window, so never with a tag."""
        return {"recipient": {"id": person}, "message": {"text": outgoing.text}}

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """Addresses of files are signed; they need no credential and get none."""
        return HttpRequest("GET", own_address(media.reference), most=LARGEST_FILE)

    def person(self, identity: Any) -> tuple[SenderKind, str]:
        """Who somebody is to us; an address that cannot be used where Meta names nobody."""
        plain = one_line(identity, 60)
        return "handle", f"{self.network}:{plain}" if _DIGITS.match(plain) else ""

    def _private(self, told: Mapping[str, Any], account: Account) -> list[Event]:
        sender, recipient = (one_line(obj(told.get(name)).get("id"), 60) for name in ("sender", "recipient"))
        message, at = obj(told.get("message")), moment(told.get("timestamp"))
        is_ours = message.get("is_echo") is True or (bool(sender) and sender == account.own_id)
        if (sender if is_ours else recipient) != account.own_id:
            return [NotForUs("It belongs to another account.")]
        if is_ours:
            return [self._echo(message, recipient, at)]
        if message:
            return [self._message(message, sender, at, account)]
        if told.get("reaction"):
            return [self._reaction(obj(told["reaction"]), told, account)]
        if told.get("postback"):
            return [self._button(obj(told["postback"]), told, account)]
        edit, delivery, read = (obj(told.get(name)) for name in ("message_edit", "delivery", "read"))
        if edit.get("mid") and isinstance(edit.get("text"), str):
            return [Edited(one_line(edit["mid"], 200), one_line(edit.get("num_edit"), 20), words_of(edit["text"]), at)]
        mids = delivery.get("mids")
        if isinstance(mids, list) and mids:
            return [_report(mid, "delivered", at or moment(delivery.get("watermark"))) for mid in mids[:100]]
        if read.get("mid"):
            return [_report(read["mid"], "read", at)]
        return [Unknown(", ".join(sorted(set(told) - {"sender", "recipient", "timestamp"}))[:60])]

    def _echo(self, message: Mapping[str, Any], recipient: str, at: datetime | None) -> Event:
        identity = one_line(message.get("mid"), 200)
        if not identity:
            return Unknown("our own gesture")
        key = one_line(message.get("metadata"), 40)
        return Echo(identity, self.person(recipient)[1], words_of(message.get("text")), key=key, sent_at=at)

    def _message(self, message: Mapping[str, Any], sender: str, at: datetime | None, account: Account) -> Event:
        identity = one_line(message.get("mid"), 200) or own_name(message)
        if message.get("is_deleted") is True:
            return Deleted(identity, "deleted", at)
        heard = _heard(message)
        is_dark = message.get("is_unsupported") is True or "ephemeral" in heard.kinds
        if not heard.media and not any(line.strip() for line in heard.lines) and not is_dark:
            return Unknown(", ".join(heard.kinds)[:60] or "empty message")
        return said(
            heard,
            account,
            external_id=identity,
            sender=self.person(sender),
            channel=Channel.SOCIAL_DIRECT,
            spoke_at=at,
            in_reply_to=one_line(obj(message.get("reply_to")).get("mid"), 200),
        )

    def _reaction(self, reaction: Mapping[str, Any], told: Mapping[str, Any], account: Account) -> Event:
        about, sign = one_line(reaction.get("mid"), 150), reaction.get("emoji") or reaction.get("reaction")
        if reaction.get("action") != "react" or not about or not sign:
            return Unknown("reaction taken back")
        return said(
            Heard([one_line(sign, 40)]),
            account,
            external_id=f"reaction:{about}:{one_line(told.get('timestamp'), 20)}",
            sender=self.person(obj(told.get("sender")).get("id")),
            channel=Channel.SOCIAL_DIRECT,
            spoke_at=moment(told.get("timestamp")),
            in_reply_to=about,
        )

    def _button(self, pressed: Mapping[str, Any], told: Mapping[str, Any], account: Account) -> Event:
        title, payload = words_of(pressed.get("title") or pressed.get("payload")), one_line(pressed.get("payload"), 60)
        if payload.lower() == "get_started" or not title.strip():
            return Unknown("get_started")
        return said(
            Heard([title]),
            account,
            external_id=one_line(pressed.get("mid"), 200) or own_name(told),
            sender=self.person(obj(told.get("sender")).get("id")),
            channel=Channel.SOCIAL_DIRECT,
            spoke_at=moment(told.get("timestamp")),
        )


def _heard(message: Mapping[str, Any]) -> Heard:
    heard = Heard([words_of(message.get("text"))])
    for one in objects(message.get("attachments")):
        kind, payload = one_line(one.get("type"), 40), obj(one.get("payload"))
        spot = obj(payload.get("coordinates"))
        if number_of(payload.get("sticker_id")) in _THUMBS:
            heard.lines.append("👍")
        elif kind == "like_heart":
            heard.lines.append("❤️")
        elif kind == "location" and place(spot.get("lat"), spot.get("long")):
            heard.lines.append(place(spot.get("lat"), spot.get("long")))
        elif kind not in _PASSED_ON and isinstance(payload.get("url"), str) and payload["url"]:
            heard.media.append(Media(one_line(payload["url"], 2000)))
        else:
            heard.kinds.append(kind or "attachment")
    return heard


def _report(mid: Any, arrival: Any, at: datetime | None) -> DeliveryReport:
    identity = one_line(mid, 180)
    return DeliveryReport(identity, arrival, f"{identity}:{arrival}", event_at=at)
