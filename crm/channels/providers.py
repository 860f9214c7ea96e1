"""What every provider of a channel is to the rest of the product: a file that translates, and says what may be said.

A provider is a subclass of `Provider` in a module of `crm.channels.provided`, found there by its name; nothing else has to be
changed for it (docs/adding-a-provider.md). It is pure: it gets bytes, an account and a time, and gives back descriptions. It never
opens a connection, reads a clock, an environment or a database; what it describes is done elsewhere, the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Final, Literal
from urllib.parse import parse_qsl

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from crm.channels import Channel
from crm.channels.events import Arrival as Arrival
from crm.channels.events import CallEnder as CallEnder
from crm.channels.events import CallStep as CallStep
from crm.channels.events import CallTold as CallTold
from crm.channels.events import Deleted as Deleted
from crm.channels.events import DeliveryReport as DeliveryReport
from crm.channels.events import Echo as Echo
from crm.channels.events import Edited as Edited
from crm.channels.events import Event as Event
from crm.channels.events import LeftMessage as LeftMessage
from crm.channels.events import Media as Media
from crm.channels.events import NotForUs as NotForUs
from crm.channels.events import NotReadable as NotReadable
from crm.channels.events import Said as Said
from crm.channels.events import Unknown as Unknown
from crm.channels.profiles import Told
from crm.channels.sending import Handed, Outcome

Words = str | Promise
"""Text for staff, perhaps translated when it is shown."""
Counting = Literal["characters", "utf16", "bytes"]

UNREADABLE: Final = (KeyError, IndexError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError)
"""What `parse` may raise for a post that is not what its provider documents; the post is kept then."""


# --- what a provider is given ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """Our account at a provider, as far as a provider needs to know it.

    public_id: stands in its hook's address. own_id: our number, page or account id there, as the provider writes it; "" where
    the signature alone says whose it is. settings: what `Provider.settings` asks for, text by name. receiving: up to two secrets
    by which a post is believed, the newer first. sending: the credential for what leaves. hook_url: where the provider posts to.
    source: the source of its messages.
    """

    provider: str
    channel: Channel
    public_id: str
    name: str
    own_id: str
    settings: Mapping[str, str]
    receiving: tuple[str, ...] = field(repr=False)
    sending: str = field(repr=False)
    hook_url: str
    source: str


@dataclass(frozen=True, slots=True)
class Post:
    """One request of a provider as it came; or one answer to what we asked, with method "POLL".

    url: the whole public address with its query, from our settings and never from the Host header. headers: by lower-case name;
    a name that came twice holds both values with a comma between. received_at: aware.
    """

    method: str
    url: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime

    def asked(self) -> dict[str, str]:
        """The query by name; the first value of each."""
        found: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True, max_num_fields=500):
            found.setdefault(name, value)
        return found

    def form(self) -> list[tuple[str, str]]:
        """The body as a form, in its order. Raises ValueError for more than 500 fields."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500)


# --- whether a post is believed --------------------------------------------------------------------------------------


class NotGenuine(Exception):
    """A post that does not prove who sent it. code: "missing", "wrong" or "old"; nothing of it is kept."""

    def __init__(self, code: Literal["missing", "wrong", "old"]) -> None:
        super().__init__(code)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status it is refused with."""
        return 403 if self.code == "old" else 401


@dataclass(frozen=True, slots=True)
class Genuine:
    """A post that is believed. is_signed: its content is proved too, not only that the sender knows a secret; times stated in it
    are then believed.
    """

    is_signed: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider hears at once."""

    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


# --- what leaves -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What a channel allows, as facts that are told before anybody types.

    longest: of one message, 0 for no limit; counted_in: how the provider counts. reply_within: after the customer's last word here,
    None for any time. may_write_first: before the customer has written to this account.
    """

    longest: int = 0
    counted_in: Counting = "characters"
    reply_within: timedelta | None = None
    may_write_first: bool = False

    def length(self, text: str) -> int:
        """How long the provider finds a text."""
        if self.counted_in == "bytes":
            return len(text.encode("utf-8"))
        return len(text.encode("utf-16-le")) // 2 if self.counted_in == "utf16" else len(text)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message of ours. key: unique, for providers that recognise a repeat. address: the contact point's, as stored.

    at: now, for signatures that carry a time. in_reply_to: the provider's id of the customer's last message here; "" when there is
    none.
    """

    key: str
    address: str
    text: str
    at: datetime
    in_reply_to: str = ""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to make. url: https. most: bytes of the answer that are read; within: seconds for all of it.

    unpacks: the answer may come packed (gzip, deflate) and is unpacked; `most` counts what is unpacked. body_of: the statuses whose
    body is read, None for all.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    most: int = 2_000_000
    within: float = 20.0
    unpacks: bool = False
    body_of: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server said. headers: by lower-case name. is_cut: there was more than we read."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of a file, what the server calls its type, and its name where it says one."""

    content: bytes = field(repr=False)
    declared_type: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer to a poll means. cursor: where to go on, kept with the account once the answer is kept; has_more: ask again
    at once; wait: leave the provider alone for so long.
    """

    cursor: str
    has_more: bool = False
    wait: timedelta = timedelta(0)


class NotGiven(Exception):
    """The provider did not give what was asked for. is_final: it never will; wait: how long it asks to be left alone at least. The
    words are for staff and hold no secret.
    """

    def __init__(self, words: str, *, is_final: bool = False, wait: timedelta = timedelta(0)) -> None:
        super().__init__(words)
        self.is_final = is_final
        self.wait = wait


# --- the provider itself ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing to be typed in where an account is set up; never a secret. heading: begins a group of them."""

    name: str
    label: Words
    help: Words = ""
    is_required: bool = True
    choices: tuple[tuple[str, Words], ...] = ()
    is_long: bool = False
    heading: Words = ""


class Provider(ABC):
    """One provider. Stateless; every method is a pure function of its arguments."""

    name: ClassVar[str]
    """The name of its module; stands in sources and addresses."""
    title: ClassVar[Words]
    """What people call it."""
    channels: ClassVar[tuple[Channel, ...]]
    """The media that an account may be of; the first is proposed."""
    settings: ClassVar[tuple[Setting, ...]] = ()
    own_id_label: ClassVar[Words] = ""
    """What the account's own id is called there; "" when it has none."""
    secret_help: ClassVar[Words] = ""
    """Where the provider shows the secret for receiving; "" when a post needs none."""
    credential_help: ClassVar[Words] = ""
    """Where the provider shows the credential for sending; "" when nothing can be sent or it needs none."""
    kept_headers: ClassVar[tuple[str, ...]] = ("content-type",)
    """Lower-case names of headers that `parse` reads; no others are kept, and none of them may hold a secret."""
    secret_query: ClassVar[tuple[str, ...]] = ()
    """Names in the query that hold a secret and are not kept."""
    tries_again: ClassVar[bool] = False
    """Whether it documents that it posts again, for hours, what was answered with 429; else a flood is kept and taken in later."""
    polled_every: ClassVar[timedelta | None] = None
    """How often it is asked for news; None when it posts them itself."""

    @abstractmethod
    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """Say whether a post is believed, over its raw bytes and in constant time (crm/channels/signing.py).

        Raises NotGenuine.
        """

    @abstractmethod
    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """Read every event of a believed post, in its order. The same post always gives the same events.

        Raises one of UNREADABLE when it is not what the provider documents.
        """

    def part_reach(self, post: Post, account: Account) -> tuple[Post, Sequence[Told]]:
        """Part what a post states about people's reach (followers, badges, pictures) from all else: the post without it, which
        alone is kept and read by `parse`, and it by itself. Never raises; the same for a post that was parted before.
        """
        return post, ()

    def handshake(self, post: Post, account: Account) -> Reply | None:
        """Answer a question whether we are there; None when this post is none. GET is asked before anything is verified."""
        return None

    def asks(self, post: Post) -> bool:
        """Whether a POST is such a question; it is answered by `handshake` once it is verified, and not kept."""
        return False

    def reply(self, post: Post, account: Account) -> Reply:
        """What the provider hears once a post is kept."""
        return Reply()

    def delivery_id(self, post: Post) -> str:
        """The provider's own id of this post, the same when it comes again; "" to take the hash of its bytes and query."""
        return ""

    def trouble_with(self, account: Account) -> str:
        """What is wrong with how an account is set up, in a sentence; "" when nothing is."""
        return ""

    def addresses(self, account: Account) -> Sequence[str]:
        """Addresses of the account's own choosing that we shall go to; each is looked at when the account is set up."""
        return ()

    def can_send(self, account: Account) -> bool:
        """Whether there is a way back."""
        return False

    def limits(self, account: Account) -> Limits:
        """What the channel allows; account.channel is that of what is answered, where an account carries several."""
        return Limits()

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """Write the one request by which a message leaves. Raises NotGiven for a message it cannot carry."""
        raise NotGiven("This provider has no way back.", is_final=True)

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """Say what came of it: ACCEPTED with the provider's id, REFUSED for good, TRY_LATER, UNREACHABLE (all of its messages
        wait, as when our credential is refused), or UNKNOWN.
        """
        return by_status(answer)

    def trial(self, account: Account) -> HttpRequest | None:
        """Write a request that only asks whether we are known and well there; None when there is no harmless one."""
        return None

    def read_trial(self, answer: HttpAnswer, account: Account) -> str:
        """Say in a sentence how we are known there. Raises NotGiven, whose words say what is wrong."""
        if 200 <= answer.status < 300:
            return str(_("The provider knows us by our credential."))
        if answer.status in (401, 403):
            raise NotGiven(str(_("The provider does not know our credential.")))
        raise NotGiven(str(_("The provider answered %(status)d.") % {"status": answer.status}))

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """Write the request that gets a file. Raises NotGiven."""
        raise NotGiven("This provider keeps no files.", is_final=True)

    def read_media(self, media: Media, answer: HttpAnswer, account: Account) -> Fetched | HttpRequest:
        """Read the file, or name the next request on the way to it (a redirect, an address in JSON); at most two of them.

        Raises NotGiven.
        """
        if 200 <= answer.status < 300:
            return Fetched(answer.body, answer.headers.get("content-type", "").partition(";")[0].strip().lower())
        raise NotGiven(f"The provider answered {answer.status}.", is_final=answer.status in (404, 410))

    def ask(self, account: Account, cursor: str) -> HttpRequest:
        """Write the request for what is new after a cursor ("" the first time). Only where `polled_every` is set."""
        raise NotGiven("This provider is not asked.", is_final=True)

    def read_asked(self, answer: HttpAnswer, account: Account, cursor: str) -> Asked:
        """Where to go on after an answer; its body is kept and read by `parse` as a Post of method "POLL". Raises NotGiven."""
        raise NotGiven("This provider is not asked.", is_final=True)


def by_status(answer: HttpAnswer, provider_id: str = "") -> Handed:
    """What an HTTP status says of a message, where the provider says no more (RFC 9110 15)."""
    said = f"the provider answered {answer.status}"
    if 200 <= answer.status < 300:
        return Handed(Outcome.ACCEPTED, provider_id=provider_id)
    if answer.status in (401, 403):
        return Handed(Outcome.UNREACHABLE, f"{said}: our credential does not work")
    if answer.status in (425, 429):
        return Handed(Outcome.TRY_LATER, said, wait=asked_to_wait(answer))
    if answer.status == 503:
        return Handed(Outcome.TRY_LATER, said, wait=asked_to_wait(answer))
    return Handed(Outcome.UNKNOWN if answer.status >= 500 or answer.status < 400 else Outcome.REFUSED, said)


def asked_to_wait(answer: HttpAnswer) -> timedelta:
    """The seconds of Retry-After (RFC 9110 10.2.3); zero when it names none."""
    stated = answer.headers.get("retry-after", "").strip()
    return timedelta(seconds=int(stated)) if stated.isascii() and stated.isdigit() and len(stated) < 7 else timedelta(0)


def wait_until(resets_at: datetime | None, answer: HttpAnswer) -> timedelta:
    """How long it is until a limit ends, by the clock of the server that says so (its Date header); at most an hour.

    Retry-After, where it stands, is asked for as well. A server that states no time of its own is left alone for a minute.
    """
    wait = asked_to_wait(answer)
    if resets_at is not None:
        try:
            wait = max(wait, resets_at - parsedate_to_datetime(answer.headers.get("date", "")))
        except (TypeError, ValueError):
            wait = wait or timedelta(minutes=1)
    return min(max(wait, timedelta(0)), timedelta(hours=1))


def each_by_itself(things: Iterable[Any], read: Callable[[Any], Sequence[Event]], *, kind: str) -> list[Event]:
    """Read several things of one post, of a kind; one that is not as documented takes no others with it."""
    events: list[Event] = []
    for thing in things:
        try:
            events += read(thing)
        except UNREADABLE:
            events.append(NotReadable(f"{kind}: it is not as documented"))
    return events


def one_line(value: Any, most: int) -> str:
    """One line of text that can be stored, whatever somebody put there."""
    text = " ".join(("" if value is None else str(value))[: most * 4].replace("\x00", "\ufffd").split())
    return text.encode("utf-8", "replace").decode()[:most]


def words_of(value: Any) -> str:
    """Text as a customer wrote it, in a form that can be stored."""
    text = ("" if value is None else str(value)).replace("\x00", "\ufffd").replace("\r\n", "\n")
    return text.encode("utf-8", "replace").decode()
