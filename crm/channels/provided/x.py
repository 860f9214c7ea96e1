"""X: posts that name us and direct messages, posted by its Account Activity API, answered through its API v2.

Written from X's documentation: "Account Activity API" (securing webhooks, data objects), "Webhooks: quickstart", "Edit Posts",
"User object", "Counting characters", "Create Post", "Manage Direct Messages", "Download DM media", "Rate limits", "Response codes",
"Activity retries". X posts again what was not answered with 200 three times within five minutes, and that for its Enterprise
customers alone; then it is gone. So a flood is kept and not answered with 429 (`tries_again` stays off).
"""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, Message, profiles
from crm.channels.providers import (
    Account,
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
    NotGiven,
    Outgoing,
    Post,
    Provider,
    Reply,
    Said,
    Unknown,
    by_status,
    each_by_itself,
    one_line,
    wait_until,
    words_of,
)
from crm.channels.sending import Handed, Outcome
from crm.channels.signing import check_hmac, digest

API: Final = "https://api.x.com/2"
DIRECT: Final = "dm:"
"""Stands before the number of a direct message, so that an answer to it goes back as one; the number of a post stands alone."""
SENDER: Final = "x:"
FILES_AT_MOST: Final = 20
QUIET: Final = frozenset(
    (
        "favorite_events", "follow_events", "unfollow_events", "block_events", "unblock_events", "mute_events", "unmute_events",
        "direct_message_indicate_typing_events",
    )
)  # fmt: skip
"""Kinds in which nobody says anything."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/=_.-]{1,200}")
"""What a challenge may look like. Its answer is a signature of ours: none is given on anything that could be a post."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_OPEN_FILES: Final = frozenset(("pbs.twimg.com", "video.twimg.com"))
_DIRECT_FILE: Final = re.compile(
    r"/(?:1\.1|i)/ton/data/dm/(?P<message>[0-9]{1,19})/(?P<media>[0-9]{1,19})/(?P<name>[A-Za-z0-9_.-]{1,50})"
)
_BITRATE: Final = 2_500_000
"""The best version of a film up to this many bits a second is fetched."""
_REACH: Final = profiles.Names(
    followers="followers_count",
    badge="verified",
    picture="profile_image_url_https",
    dropped=frozenset(
        (
            "friends_count", "listed_count", "favourites_count", "statuses_count", "verified_type", "profile_image_url",
            "profile_banner_url", "retweet_count", "favorite_count", "reply_count", "quote_count", "view_count",
        )
    ),
)  # fmt: skip
_OUR_CREDENTIAL: Final = ("client-forbidden", "unsupported-authentication", "usage-capped", "oauth1-permissions")
"""What the type of a problem with status 403 ends with when it is one of the account's and not of the message's."""


class X(Provider):
    """One account of ours on X."""

    name = "x"
    title = _("X")
    channels: ClassVar[tuple[Channel, ...]] = (Channel.SOCIAL_PUBLIC, Channel.SOCIAL_DIRECT)
    own_id_label = _("Our number on X, as in “for_user_id”; not the name")
    secret_help = _("The consumer secret (API key secret) of the app whose webhook posts here.")
    credential_help = _(
        "An access token of our account (OAuth 2.0, user context) that may write posts and direct messages."
    )

    def handshake(self, post: Post, account: Account) -> Reply | None:
        """The challenge, signed with the newer secret (Challenge-Response Check)."""
        token = post.asked().get("crc_token", "")
        if not account.receiving or not _TOKEN.fullmatch(token):
            return None
        mark = base64.b64encode(digest(account.receiving[0].encode(), token.encode())).decode()
        return Reply(json.dumps({"response_token": f"sha256={mark}"}), "application/json")

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """HMAC-SHA256 over the body. There is no time in it: what comes again is known by its number."""
        given = post.headers.get("x-twitter-webhooks-signature", "").strip()
        check_hmac(
            [given.removeprefix("sha256=")] if given.startswith("sha256=") else [],
            post.body,
            secrets=(one.encode() for one in account.receiving),
            written="base64",
        )
        return Genuine()

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """One post holds events of one kind, for one of the accounts that are subscribed at our webhook."""
        told = json.loads(post.body.decode("utf-8"))
        kinds = [kind for kind in told if kind.endswith(("_events", "_event"))]
        if "user_event" in kinds:
            return [_user_event(told["user_event"], account)]
        if not kinds:
            return [Unknown(one_line(", ".join(told), 60))]
        if _number(told["for_user_id"]) != account.own_id:
            return [NotForUs("It is for another account on X.")]
        events: list[Event] = []
        for kind in kinds:
            if kind in _READ:
                events += each_by_itself(told[kind], partial(_READ[kind], told=told, account=account), kind=kind)
            elif kind not in QUIET:
                events.append(Unknown(one_line(kind, 60)))
        return events

    def part_reach(self, post: Post, account: Account) -> tuple[Post, Sequence[profiles.Told]]:
        """The fields of its "User object" and the counts of its "Post object"."""
        body, told = profiles.part(post.body, _REACH, who=_address)
        return replace(post, body=body), told

    def trouble_with(self, account: Account) -> str:
        """Our number is what tells our events from those of others."""
        return "" if _NUMBER.fullmatch(account.own_id) else str(_("Our number on X has only digits."))

    def can_send(self, account: Account) -> bool:
        """Every account with a credential."""
        return bool(account.sending)

    def limits(self, account: Account) -> Limits:
        """A post has 280 characters as X weighs them, a direct message 10,000."""
        return Limits(10_000) if account.channel == Channel.SOCIAL_DIRECT else Weighed(280)

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """A reply to a post, or a direct message; nothing is ever posted that answers nobody."""
        person = outgoing.address.removeprefix(SENDER)
        if not outgoing.address.startswith(SENDER) or not _NUMBER.fullmatch(person):
            raise NotGiven("It is no account on X.", is_final=True)
        told: dict[str, Any] = {"text": outgoing.text}
        if outgoing.in_reply_to and not outgoing.in_reply_to.startswith(DIRECT):
            told["reply"] = {"in_reply_to_tweet_id": outgoing.in_reply_to}
            where = f"{API}/tweets"
        else:
            where = f"{API}/dm_conversations/with/{person}/messages"
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {account.sending}"}
        return HttpRequest("POST", where, headers, json.dumps(told, ensure_ascii=False).encode("utf-8", "replace"))

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """201 with the number; 403 is mostly the message's own (a repeat, a person who wants no direct messages)."""
        try:
            told = json.loads(answer.body.decode("utf-8"))
            made = told.get("data") or {}
            identity = one_line(made.get("id"), 40)
            if made.get("dm_event_id"):
                identity = DIRECT + one_line(made["dm_event_id"], 40)
            kind, words = one_line(told.get("type"), 200), one_line(told.get("detail"), 300)
        except (ValueError, AttributeError, TypeError):
            identity = kind = words = ""
        if answer.status == 403 and kind and not kind.endswith(_OUR_CREDENTIAL):
            if "duplicate" in words:
                return Handed(Outcome.REFUSED, "X refused it: the same words were posted before")
            return Handed(Outcome.REFUSED, "X refused it: this may not be said to this person or in this place (403)")
        handed = by_status(answer, identity)
        if handed.outcome == Outcome.TRY_LATER:
            resets_at = _since_1970(answer.headers.get("x-rate-limit-reset", ""))
            return Handed(Outcome.TRY_LATER, handed.reason, wait=wait_until(resets_at, answer))
        return handed

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """Files of posts are open; those of direct messages are asked for with our credential, and of X's API alone."""
        parts = urlsplit(media.reference)
        if parts.scheme != "https":
            raise NotGiven("It is no address of X's.", is_final=True)
        if parts.hostname in _OPEN_FILES:
            return HttpRequest("GET", media.reference, most=25_000_000)
        found = _DIRECT_FILE.fullmatch(parts.path) if parts.hostname == "ton.twitter.com" else None
        if found is None:
            raise NotGiven("It is no address of X's.", is_final=True)
        where = f"{API}/dm_conversations/media/{found['message']}/{found['media']}/{found['name']}"
        return HttpRequest("GET", where, {"Authorization": f"Bearer {account.sending}"}, most=25_000_000)


# --- what is told -------------------------------------------------------------------------------------------------------


def _posted(about: Mapping[str, Any], told: Mapping[str, Any], account: Account) -> list[Event]:
    """A post by us or to us. What is only handed on (a repost) says nothing of its own."""
    if about.get("retweeted_status"):
        return []
    number, person = _number(about["id_str"]), about["user"]
    whole = about.get("extended_tweet") or about
    entities = whole.get("extended_entities") or about.get("extended_entities") or {}
    text = _words(whole.get("full_text") or about.get("full_text") or about.get("text"), whole.get("entities"))
    if _number(person["id_str"]) == account.own_id:
        to = about.get("in_reply_to_user_id_str")
        return [Echo(number, f"{SENDER}{_number(to)}" if to else "", _unaddressed(text), sent_at=_spoken(about))]
    first = _number((about.get("edit_history") or {}).get("initial_tweet_id") or number)
    media = tuple(_files(entities.get("media") or ()))[:FILES_AT_MOST]
    answers = about.get("in_reply_to_status_id_str")
    said = Said(
        Message(
            channel=Channel.SOCIAL_PUBLIC,
            source=account.source,
            external_id=first,
            sender_kind="handle",
            sender_address=SENDER + _number(person["id_str"]),
            sender_name=_name(person),
            text=text,
            full_text=f"{text}\n\nhttps://x.com/i/web/status/{number}".strip(),
            spoke_at=_spoken(about),
            in_reply_to=(_number(answers),) if answers else (),
            language=_language(about.get("lang")),
            wordless=bool(media) and not text,
        ),
        media,
    )
    return [said] if first == number else [Edited(first, number, text, _spoken(about), whole=said)]


def _unposted(about: Mapping[str, Any], told: Mapping[str, Any], account: Account) -> list[Event]:
    status = about["status"]
    if _number(status["user_id"]) == account.own_id:
        return [NotForUs("A post of our own was deleted.")]
    return [Deleted(_number(status["id"]), "deleted", _since_1970(about.get("timestamp_ms"), thousandths=True))]


def _wrote(about: Mapping[str, Any], told: Mapping[str, Any], account: Account) -> list[Event]:
    """A direct message; ours come back here too."""
    if about["type"] != "message_create":
        return [Unknown(one_line(f"direct_message_events {about['type']}", 60))]
    number, made = DIRECT + _number(about["id"]), about["message_create"]
    sender, to = _number(made["sender_id"]), _number(made["target"]["recipient_id"])
    moment = _since_1970(about.get("created_timestamp"), thousandths=True)
    content = made["message_data"]
    attached = [(content.get("attachment") or {}).get("media")]
    text = _words(content.get("text"), {**(content.get("entities") or {}), "media": [one for one in attached if one]})
    if sender == account.own_id:
        return [Echo(number, SENDER + to, text, sent_at=moment)]
    if to != account.own_id:
        return [NotForUs("It was written to another account on X.")]
    media = tuple(_files(one for one in attached if one))
    person = (told.get("users") or {}).get(sender) or {}
    return [
        Said(
            Message(
                channel=Channel.SOCIAL_DIRECT,
                source=account.source,
                external_id=number,
                sender_kind="handle",
                sender_address=SENDER + sender,
                sender_name=_name(person),
                text=text,
                full_text=text,
                spoke_at=moment,
                wordless=bool(media) and not text,
            ),
            media,
        )
    ]


def _seen(about: Mapping[str, Any], told: Mapping[str, Any], account: Account) -> list[Event]:
    """Somebody has read our direct messages up to this one."""
    if _number(about["sender_id"]) == account.own_id:
        return []
    number = DIRECT + _number(about["last_read_event_id"])
    moment = _since_1970(about.get("created_timestamp"), thousandths=True)
    return [DeliveryReport(number, "read", f"{number}:read", event_at=moment)]


_READ: Final = {
    "tweet_create_events": _posted,
    "tweet_delete_events": _unposted,
    "direct_message_events": _wrote,
    "direct_message_mark_read_events": _seen,
}


def _user_event(about: Mapping[str, Any], account: Account) -> Event:
    """Somebody took the app's permission away: no more of their events come."""
    whose = ((about.get("revoke") or {}).get("source") or {}).get("user_id")
    if whose is not None and str(whose) != account.own_id:
        return NotForUs("Another account on X took its permission away.")
    return Unknown(one_line(f"user_event {', '.join(about)}", 60))


# --- words, files and times ---------------------------------------------------------------------------------------------


def _words(text: Any, entities: Mapping[str, Any] | None) -> str:
    """Text as it was typed: without X's markup for "<", and with the addresses that its short ones stand for."""
    found = html.unescape(words_of(text))
    for link in (entities or {}).get("urls") or ():
        if link.get("url") and link.get("expanded_url"):
            found = found.replace(str(link["url"]), str(link["expanded_url"]))
    for file in (entities or {}).get("media") or ():
        if file.get("url"):
            found = found.replace(str(file["url"]), "")
    return words_of(found).strip()


def _unaddressed(text: str) -> str:
    """Without the names that X puts before a reply."""
    return re.sub(r"^(?:@[A-Za-z0-9_]{1,20}\s+)+", "", text)


def _files(media: Iterable[Mapping[str, Any]]) -> Iterable[Media]:
    for one in media:
        films = [
            film for film in (one.get("video_info") or {}).get("variants") or () if film.get("bitrate") is not None
        ]
        if films:
            fitting = [film for film in films if film["bitrate"] <= _BITRATE]
            film = max(fitting, key=_bitrate) if fitting else min(films, key=_bitrate)
            yield Media(one_line(film["url"], 2000), declared_type=one_line(film.get("content_type"), 100))
        else:
            yield Media(one_line(one["media_url_https"], 2000))


def _bitrate(film: Mapping[str, Any]) -> int:
    return int(film["bitrate"])


def _name(person: Mapping[str, Any]) -> str:
    """What somebody calls themselves, else the name they are found by."""
    found = one_line(person.get("name"), 200)
    return found or (f"@{one_line(person['screen_name'], 50)}" if person.get("screen_name") else "")


def _address(person: Mapping[str, Any]) -> str:
    """Whose an object about a person is; "" when it has no number."""
    number = str(person.get("id_str") or person.get("id") or "")
    return SENDER + number if _NUMBER.fullmatch(number) else ""


def _number(stated: Any) -> str:
    found = str(stated)
    if not _NUMBER.fullmatch(found):
        raise ValueError("not a number of X's")
    return found


def _spoken(about: Mapping[str, Any]) -> datetime | None:
    moment = _since_1970(about.get("timestamp_ms"), thousandths=True)
    if moment is None and about.get("created_at"):
        return datetime.strptime(str(about["created_at"]), "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    return moment


def _since_1970(stated: Any, *, thousandths: bool = False) -> datetime | None:
    found = str(stated if stated is not None else "")
    if not (found.isascii() and found.isdigit() and len(found) < 15):
        return None
    return datetime.fromtimestamp(int(found) / (1000 if thousandths else 1), UTC)


def _language(stated: Any) -> str:
    """The language X takes it for; none for what has no words ("zxx", "qme" and others) or is not known ("und")."""
    found = one_line(stated, 16)
    return "" if found in ("und", "zxx", "art") or found.startswith("q") else found


# --- how long a post is -------------------------------------------------------------------------------------------------

_ADDRESS: Final = re.compile(
    r"(?P<whole>https?://(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}(?:[/?#:](?:[!-~]*[a-z0-9/=&#_-])?)?)"
    r"|(?<![\w@.-])(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}(?![\w.])(?:/(?:[!-~]*[a-z0-9/=&#_-])?)?",
    re.IGNORECASE,
)
_ADDRESS_WEIGHS: Final = 23
_PICTURE: Final = (
    "[\u231a-\u27bf\u2934-\u2b55\u3030\u303d\u3297\u3299\U0001f004-\U0001faff]\ufe0f?[\U0001f3fb-\U0001f3ff]?"
)
_EMOJI: Final = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}|[0-9#*]\ufe0f\u20e3|"
    + _PICTURE
    + f"[\U000e0020-\U000e007f]*(?:\u200d{_PICTURE}){{0,6}}"
)
_LIGHT: Final = ((0x0, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))


@dataclass(frozen=True, slots=True)
class Weighed(Limits):
    """A limit counted as X counts: most letters weigh one, others and each emoji two, an address 23 (twitter-text, version 3)."""

    def length(self, text: str) -> int:
        """What a text weighs; rather too much than too little where it is not certain that something is an address."""
        composed = unicodedata.normalize("NFC", text)
        weight = sum(
            _ADDRESS_WEIGHS if found["whole"] else max(_ADDRESS_WEIGHS, len(found[0]))
            for found in _ADDRESS.finditer(composed)
        )
        rest, emoji = _EMOJI.subn("", _ADDRESS.sub("", composed))
        return weight + 2 * emoji + sum(1 if _is_light(one) else 2 for one in rest)


def _is_light(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in _LIGHT)


PROVIDER = X()
