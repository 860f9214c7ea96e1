"""Mastodon: posts that name us, asked for over its open API and answered there; other servers that speak it work alike.

Written from Mastodon's documentation: "notifications API methods", "Notification", "Status", "MediaAttachment", "statuses API
methods" (posting), "Rate limits", "Pagination", "Instance" (configuration). It tells nobody of a deleted post: one would have to
ask for each of them again, which is not done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, Message, profiles
from crm.channels.email.html import to_text
from crm.channels.providers import (
    Account,
    Asked,
    Echo,
    Edited,
    Event,
    Genuine,
    HttpAnswer,
    HttpRequest,
    Limits,
    Media,
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
    wait_until,
    words_of,
)
from crm.channels.sending import Handed, Outcome

SENDER: Final = "mastodon:"
LONGEST: Final = 500
"""Characters of a post, where a server says nothing else."""
NAME_TAKES: Final = 32
"""Characters that are kept for the name of whoever is answered: "@", at most 30 and a space; its server is not counted."""
ADDRESS_TAKES: Final = 23
PAGE: Final = 40
"""Notifications asked for at once; every server since 4.1 gives so many, older ones fewer."""
LOOKS_BACK: Final = timedelta(days=7)
"""How old a post may be that is taken in when an account is asked for the first time; older ones were answered elsewhere."""
FILES_AT_MOST: Final = 20
_VISIBLE: Final = ("public", "unlisted", "private", "direct")
_QUIET: Final = frozenset(
    (
        "status", "reblog", "follow", "follow_request", "favourite", "poll", "admin.sign_up", "admin.report",
        "severed_relationships", "moderation_warning", "quoted_update",
    )
)  # fmt: skip
"""Kinds in which nobody tells us anything; servers before 3.5 give them although they are not asked for."""
_REACH: Final = profiles.Names(
    followers="followers_count",
    picture="avatar",
    dropped=frozenset(
        (
            "following_count", "statuses_count", "avatar_static", "header", "header_static", "reblogs_count",
            "favourites_count", "replies_count", "quotes_count",
        )
    ),
)  # fmt: skip
_NAME: Final = re.compile(r"[\w.-]{1,100}@[\w.-]{1,253}(?::[0-9]{1,5})?")
_NUMBER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]]")


class Mastodon(Provider):
    """One account of ours on one server."""

    name = "mastodon"
    title = _("Mastodon")
    channels: ClassVar[tuple[Channel, ...]] = (Channel.SOCIAL_PUBLIC, Channel.SOCIAL_DIRECT)
    settings = (
        Setting("server", _("Address of the server"), _("As https://social.example.")),
        Setting(
            "longest",
            _("Longest post, characters"),
            _("Empty for 500; other servers say theirs on their page about themselves."),
            is_required=False,
        ),
    )
    own_id_label = _("Our account there, as shop@social.example")
    credential_help = _(
        "An access token of our account with read:notifications, read:statuses and write:statuses, made there under Development."
    )
    polled_every = timedelta(minutes=1)

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """Nobody posts here: the server is asked."""
        raise NotGenuine("missing")

    def part_reach(self, post: Post, account: Account) -> tuple[Post, Sequence[profiles.Told]]:
        """The counts and pictures of its "Account" and "Status"; Mastodon marks nobody as genuine."""
        body, told = profiles.part(post.body, _REACH, who=partial(_address, account=account))
        return replace(post, body=body), told

    def trouble_with(self, account: Account) -> str:
        """What the fields must look like."""
        parts, longest = urlsplit(account.settings.get("server", "")), account.settings.get("longest", "")
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.path.strip("/") or parts.query:
            return str(_("The server is an address such as https://social.example."))
        if not _NAME.fullmatch(account.own_id):
            return str(_("Our account is written as shop@social.example."))
        if longest and not (longest.isascii() and longest.isdigit() and 100 <= int(longest) <= 100_000):
            return str(_("The longest post is a number of characters from 100 to 100,000."))
        return ""

    def addresses(self, account: Account) -> Sequence[str]:
        """The server's."""
        return (_server(account),)

    # --- asked --------------------------------------------------------------------------------------------------------

    def ask(self, account: Account, cursor: str) -> HttpRequest:
        """The next notifications after the last one we had; the first time, the newest there are."""
        wanted = [("types[]", "mention"), ("types[]", "update"), ("types[]", "quote"), ("limit", str(PAGE))]
        query = urlencode([*wanted, ("min_id", cursor)] if cursor else wanted)
        return HttpRequest("GET", f"{_server(account)}/api/v1/notifications?{query}", _bearer(account), most=8_000_000)

    def read_asked(self, answer: HttpAnswer, account: Account, cursor: str) -> Asked:
        """The newest of a page is where to go on; a page that holds something may have another after it."""
        if answer.status != 200:
            raise NotGiven(_refusal(answer), wait=wait_until(_resets_at(answer), answer))
        try:
            page = json.loads(answer.body.decode("utf-8"))
        except ValueError:
            page = None
        if not isinstance(page, list):
            raise NotGiven("The server answered with something else than notifications.")
        is_spent = answer.headers.get("x-ratelimit-remaining", "").strip() == "0"
        wait = wait_until(_resets_at(answer), answer) if is_spent else timedelta(0)
        if not page:
            return Asked(cursor, wait=wait)
        newest = _linked(answer.headers.get("link", "")) or _id_of(page)
        if not newest:
            raise NotGiven("The server gave notifications without a number.")
        # The first time only the newest are read, and nothing lies between them and what comes next.
        return Asked(newest, has_more=bool(cursor) and newest != cursor, wait=wait)

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """One page of notifications, the oldest first."""
        is_first = not post.asked().get("after")
        page = json.loads(post.body.decode("utf-8"))
        since = post.received_at - LOOKS_BACK if is_first else None
        return each_by_itself(reversed(page), partial(_told, account=account, since=since), kind="notification")

    # --- answered -----------------------------------------------------------------------------------------------------

    def can_send(self, account: Account) -> bool:
        """Every account with a credential."""
        return bool(account.sending)

    def limits(self, account: Account) -> Limits:
        """What the server allows, without the name that stands before an answer."""
        return Counted(_longest(account) - NAME_TAKES)

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """A reply as visible as the question. It names the person, who would not hear of it otherwise."""
        name = outgoing.address.removeprefix(SENDER)
        if not outgoing.address.startswith(SENDER) or not _NAME.fullmatch(name):
            raise NotGiven("It is no account on Mastodon.", is_final=True)
        number, _colon, visible = outgoing.in_reply_to.partition(":")
        told = {
            "status": f"@{name} {outgoing.text}",
            "visibility": visible if visible in _VISIBLE else "direct",
            **({"in_reply_to_id": number} if number else {}),
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": outgoing.key, **_bearer(account)}
        body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
        return HttpRequest("POST", f"{_server(account)}/api/v1/statuses", headers, body)

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """200 with the post; 422 when it cannot be, 404 when what it answers was deleted."""
        try:
            told = json.loads(answer.body.decode("utf-8"))
            identity = one_line(told.get("id"), 100)
        except (ValueError, AttributeError):
            identity = ""
        handed = by_status(answer, identity)
        if answer.status == 404:
            return Handed(Outcome.REFUSED, "the post that this answers is not there any more")
        if handed.outcome == Outcome.TRY_LATER:
            return Handed(Outcome.TRY_LATER, handed.reason, wait=wait_until(_resets_at(answer), answer))
        return handed

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """Files lie open at addresses of the server or of another one; they are asked for without our credential."""
        if not media.reference.startswith(("https://", "http://")):
            raise NotGiven("It is no web address.", is_final=True)
        return HttpRequest("GET", media.reference, most=25_000_000)


# --- what is told -------------------------------------------------------------------------------------------------------


def _told(about: Mapping[str, Any], *, account: Account, since: datetime | None) -> list[Event]:
    kind = one_line(about["type"], 60)
    if kind in _QUIET:
        return []
    if kind not in ("mention", "update", "quote"):
        return [Unknown(kind)]
    status = about["status"]
    moment = _moment(status["created_at"])
    if since is not None and moment is not None and moment < since:
        return []
    if _full_name(status["account"], account) == account.own_id.lower():
        return [Echo(one_line(status["id"], 100), text=_words(status), sent_at=moment)]
    said = _said(status, moment, account)
    changed_at = _moment(status.get("edited_at"))
    if changed_at is None:
        return [said]
    # A post that we handed on, or one that had been changed before we saw it; it is taken in when it speaks to us.
    return [
        Edited(
            said.message.external_id,
            changed_at.isoformat(),
            said.message.text,
            changed_at,
            whole=said if kind != "update" or _names_us(status, account) else None,
        )
    ]


def _said(status: Mapping[str, Any], moment: datetime | None, account: Account) -> Said:
    visible, number = str(status["visibility"]), one_line(status["id"], 100)
    if visible not in _VISIBLE or not _NUMBER.fullmatch(number):
        raise ValueError("not a post")
    is_direct = visible == "direct"
    text, link = _words(status), one_line(status.get("url") or status.get("uri"), 1000)
    answers = one_line(status.get("in_reply_to_id"), 100)
    media = tuple(
        Media(one_line(one.get("url") or one["remote_url"], 2000)) for one in status.get("media_attachments") or ()
    )[:FILES_AT_MOST]
    person = status["account"]
    return Said(
        Message(
            channel=Channel.SOCIAL_DIRECT if is_direct else Channel.SOCIAL_PUBLIC,
            source=account.source,
            external_id=f"{number}:{visible}",  # an answer is as visible as what it answers
            sender_kind="handle",
            sender_address=SENDER + _full_name(person, account),
            sender_name=one_line(person.get("display_name") or f"@{person['acct']}", 200),
            subject=one_line(status.get("spoiler_text"), 300),
            text=text,
            full_text=f"{text}\n\n{link}".strip() if link and not is_direct else text,
            spoke_at=moment,
            in_reply_to=(answers,) if answers else (),
            language=one_line(status.get("language"), 16),
            wordless=bool(media) and not text,
        ),
        media,
    )


def _words(status: Mapping[str, Any]) -> str:
    return words_of(to_text(words_of(status.get("content")))).strip()


def _names_us(status: Mapping[str, Any], account: Account) -> bool:
    ours = account.own_id.lower()
    return any(_full_name(one, account) == ours for one in status.get("mentions") or ())


def _full_name(person: Mapping[str, Any], account: Account) -> str:
    """Somebody's name with their server, in small letters; people of our own server are given without it."""
    found = str(person["acct"]).lower()
    found = found if "@" in found else f"{found}@{account.own_id.rpartition('@')[2].lower()}"
    if not _NAME.fullmatch(found):
        raise ValueError("not a name")
    return found


def _address(person: Mapping[str, Any], account: Account) -> str:
    """Whose an object about a person is; "" when it names nobody."""
    try:
        return SENDER + _full_name(person, account)
    except (KeyError, ValueError):
        return ""


def _moment(stated: Any) -> datetime | None:
    if not stated:
        return None
    moment = datetime.fromisoformat(str(stated))
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


# --- asking -------------------------------------------------------------------------------------------------------------


def _server(account: Account) -> str:
    return account.settings["server"].rstrip("/")


def _bearer(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.sending}"}


def _linked(header: str) -> str:
    """The number to go on after, in the link to the page before this one, which is the newer one (RFC 8288)."""
    for address, relation in re.findall(r"<([^<>]{1,2000})>((?:\s*;[^,<>]{0,200})?)", header[:8000]):
        found: str = parse_qs(urlsplit(str(address)).query).get("min_id", [""])[0]
        if found and "next" not in relation and _NUMBER.fullmatch(found):
            return found
    return ""


def _id_of(page: Sequence[Any]) -> str:
    """The number of the first of a page, which is the newest."""
    found = str(page[0].get("id", "")) if isinstance(page[0], dict) else ""
    return found if _NUMBER.fullmatch(found) else ""


def _resets_at(answer: HttpAnswer) -> datetime | None:
    try:
        return _moment(answer.headers.get("x-ratelimit-reset"))
    except ValueError:
        return None


def _refusal(answer: HttpAnswer) -> str:
    if answer.status in (401, 403):
        return f"The server did not accept our access token ({answer.status})."
    if answer.status == 429:
        return "The server asks us to come back later (429)."
    return f"The server answered {answer.status}."


# --- how long a post is -------------------------------------------------------------------------------------------------


def _longest(account: Account) -> int:
    return int(account.settings.get("longest") or LONGEST)


@dataclass(frozen=True, slots=True)
class Counted(Limits):
    """A limit counted as Mastodon counts: an address is 23 characters however long it is."""

    def length(self, text: str) -> int:
        """How long the server finds a text."""
        shortened, addresses = _ADDRESS.subn("", text)
        return len(shortened) + ADDRESS_TAKES * addresses


PROVIDER = Mastodon()
