"""Any other SMS gateway: what it posts is read at the places that its account names; no code is written for it.

The rows that read the gateways in our tests are examples of such accounts; docs/channels.md explains the fields.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, cast
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, Message, gateway_texts, places
from crm.channels.gateway_settings import ARRIVALS, QUERY_NAMES, SETTINGS
from crm.channels.places import Found, Unreadable
from crm.channels.providers import (
    Account,
    Arrival,
    DeliveryReport,
    Event,
    Genuine,
    HttpAnswer,
    HttpRequest,
    Limits,
    Media,
    NotForUs,
    NotGenuine,
    NotGiven,
    NotReadable,
    Outgoing,
    Post,
    Provider,
    Reply,
    Said,
    Unknown,
    by_status,
    one_line,
    words_of,
)
from crm.channels.sending import Handed, Outcome
from crm.channels.signing import check_hmac, check_secret

FILES_AT_MOST: Final = 20


class SmsGateway(Provider):
    """One account at a gateway that has no file of its own."""

    name = "sms_gateway"
    title = _("Any other SMS gateway (places named here)")
    channels: ClassVar[tuple[Channel, ...]] = (Channel.SMS, Channel.CHAT, Channel.SOCIAL_DIRECT)
    settings = SETTINGS
    own_id_label = _("Our number there, as the gateway writes it")
    secret_help = _("A word that only the gateway and we know, “user:password”, or the key that it signs with.")
    credential_help = _("The gateway's key or password for sending; in the fields above it is {credential}.")
    secret_query = QUERY_NAMES

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """As the account says: a signature over the body, or a secret that is given along and proves no time."""
        how, name = _of(account, "secret_by"), _of(account, "secret_name").lower()
        if how == "query":
            check_secret(post.asked().get(name, ""), secrets=account.receiving)
            return Genuine(is_signed=False)
        given = post.headers.get("authorization" if how == "basic" else name, "")
        before = "Basic " if how == "basic" else _of(account, "secret_before")
        if given and not given.lower().startswith(before.lower().rstrip()):
            raise NotGenuine("wrong")
        given = given[len(before.rstrip()) :].strip()
        if how == "hmac":
            if not post.body:
                raise NotGenuine("missing")
            check_hmac(
                [given],
                post.body,
                secrets=[secret.encode() for secret in account.receiving],
                algorithm=cast("Literal['sha1', 'sha256']", _of(account, "hmac_algorithm") or "sha256"),
                written=cast("Literal['hex', 'base64']", _of(account, "hmac_written") or "hex"),
            )
            return Genuine()
        check_secret(_basic(given) if how == "basic" else given, secrets=account.receiving)
        return Genuine(is_signed=False)

    def handshake(self, post: Post, account: Account) -> Reply | None:
        """Where messages come by POST only, a GET asks whether we are there."""
        return None if _of(account, "takes_get") == "yes" else Reply()

    def reply(self, post: Post, account: Account) -> Reply:
        """What the account says that the gateway wants to hear."""
        return Reply(_of(account, "answer_text"), f"{_of(account, 'answer_type') or 'text/plain'}; charset=utf-8")

    def delivery_id(self, post: Post) -> str:
        """The same bytes within an hour are one delivery: without ids, the same words months later are said anew."""
        query = "&".join(part for part in post.query.split("&") if part.partition("=")[0] not in QUERY_NAMES)
        digest = hashlib.sha256(query.encode("utf-8", "replace") + b"\n" + post.body).hexdigest()
        return f"{digest}:{post.received_at:%Y%m%d%H}"

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """Every item of the batch, or the one; what is not written as told is kept for a person and takes no other with it."""
        items = _read(post, account).items(_of(account, "batch_at"))
        letters = _read(post, account, charset="latin-1").items("") if "gsm" in _ways(account) else items
        if not items:
            return [Unknown("nothing")]
        events: list[Event] = []
        for number, item in enumerate(items):
            try:
                events.append(_event(item, letters[number] if number < len(letters) else item, post, account))
            except Unreadable as trouble:
                events.append(NotReadable(str(trouble)))
        return events

    def trouble_with(self, account: Account) -> str:
        """What cannot be read, sent or believed so."""
        return str(_trouble_receiving(account) or _trouble_sending(account))

    def addresses(self, account: Account) -> Sequence[str]:
        """Where answers go and files lie, with something in each of their places; none of these is in the host's name."""
        named = filter(None, (_of(account, "send_url"), _of(account, "file_url")))
        return tuple(re.sub(r"\{[^{}]*\}", "0", one) for one in named)

    def can_send(self, account: Account) -> bool:
        """Where an address for sending is named."""
        return bool(_of(account, "send_url"))

    def limits(self, account: Account) -> Limits:
        """What the account says; a gateway splits what is longer than one text message."""
        return Limits(longest=int(_of(account, "longest") or 0), may_write_first=True)

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """The account's own request, with our words in its places."""
        network = _of(account, "network")
        to = outgoing.address.removeprefix(f"{network}:") if network else outgoing.address
        values = {
            "to": to,
            "to_digits": to.removeprefix("+"),
            "text": outgoing.text,
            "text_hex": outgoing.text.encode("utf-16-be", "replace").hex().upper(),
            "from": account.own_id,
            "key": outgoing.key,
            "credential": account.sending,
            "basic": base64.b64encode(account.sending.encode()).decode(),
        }
        template, name = _of(account, "send_body"), _of(account, "send_header")
        everything = " ".join((_of(account, "send_url"), template, _of(account, "send_header_value")))
        if not account.sending and ("{credential}" in everything or "{basic}" in everything):
            raise NotGiven("The credential for sending is missing.")
        url = gateway_texts.filled_url(_of(account, "send_url"), values)
        headers = {name: gateway_texts.filled(_of(account, "send_header_value"), values)} if name else {}
        if _of(account, "send_written") == "json":
            body = gateway_texts.filled_json(template, values)
            return HttpRequest(
                "POST", url, {"Content-Type": "application/json", **headers}, body.encode("utf-8", "replace")
            )
        body = gateway_texts.filled_form(template, values)
        if _of(account, "send_written") == "query":
            return HttpRequest("GET", url + ("&" if "?" in url else "?") + body if body else url, headers)
        return HttpRequest("POST", url, {"Content-Type": "application/x-www-form-urlencoded", **headers}, body.encode())

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """First the HTTP status; then, where the account names its place, what the gateway says itself."""
        handed = by_status(answer)
        if handed.outcome != Outcome.ACCEPTED:
            return handed
        try:
            told = places.read(answer.body, query="", written=_written(account, "sent_reads"))
        except Unreadable:
            told = Found({}, {}, {})
        identity = one_line(told.first(_of(account, "sent_id_at")), 200)
        if not _of(account, "sent_status_at"):
            return Handed(Outcome.ACCEPTED, provider_id=identity)
        status = one_line(told.first(_of(account, "sent_status_at")), 60)
        good, bad, later = (gateway_texts.several(_of(account, f"sent_{one}")) for one in ("good", "bad", "later"))
        why = f"the gateway answered “{status}”"
        if status.lower() in later:
            return Handed(Outcome.TRY_LATER, why)
        if status.lower() in bad or (status and good and not bad and status.lower() not in good):
            return Handed(Outcome.REFUSED, why)
        if status.lower() in good or (status and not good):
            return Handed(Outcome.ACCEPTED, provider_id=identity)
        return Handed(Outcome.UNKNOWN, why if status else "the gateway's answer does not say what came of it")

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """A file at an address that the account names is asked for with our credential, any other without it (O01)."""
        if not media.reference.startswith(("https://", "http://")):
            raise NotGiven("It is no web address.", is_final=True)
        before, name = _of(account, "file_url").partition("{file}")[0], _of(account, "send_header")
        if not (before and name and account.sending and media.reference.startswith(before)):
            return HttpRequest("GET", media.reference)
        values = {"credential": account.sending, "basic": base64.b64encode(account.sending.encode()).decode()}
        return HttpRequest(
            "GET", media.reference, {name: gateway_texts.filled(_of(account, "send_header_value"), values)}
        )


# --- what came ---------------------------------------------------------------------------------------------------------


def _read(post: Post, account: Account, *, charset: str = "") -> Found:
    """A signature covers the body alone, so nothing in the query is believed then."""
    query = "" if _of(account, "secret_by") == "hmac" else post.query
    charset = charset or _of(account, "charset") or "utf-8"
    return places.read(post.body, query=query, written=_written(account, "reads"), charset=charset)


def _event(item: Found, letters: Found, post: Post, account: Account) -> Event:
    kind = item.first(_of(account, "kind_at"))
    is_message = _of(account, "kind_at") and (kind or "").lower() in gateway_texts.several(_of(account, "kind_words"))
    status = item.first(_of(account, "status_at"))
    if not is_message and status:
        return _report(item, status, account)
    if _of(account, "kind_at") and not is_message:
        return Unknown(one_line(kind, 40) or "nothing")
    sender, text = item.first(_of(account, "sender_at")), item.first(_of(account, "text_at"))
    files = [_file_url(one, account) for one in item.every(_of(account, "files_at"))[:FILES_AT_MOST]]
    if not sender and text is None and not files:
        return Unknown("nothing")
    if _of(account, "needs_at") and not item.has_all(_of(account, "needs_at")):
        raise Unreadable("Something is missing without which it is no message.")
    if not sender:
        raise Unreadable("No sender stands where one is looked for.")
    if text is None and not files:
        raise Unreadable("No words stand where they are looked for.")
    to = item.first(_of(account, "to_at"))
    if _of(account, "to_at") and account.own_id and _number(to or "") != _number(account.own_id):
        return NotForUs("It was sent to another number.")
    return _said(item, letters, _address(sender, account), text or "", files, post, account)


def _said(
    item: Found, letters: Found, address: str, text: str, files: Sequence[str], post: Post, account: Account
) -> Said:
    written = _way(item, account)
    raw = letters.first(_of(account, "text_at")) or "" if written == "gsm" else text
    text = words_of(gateway_texts.words(raw, written=written))
    stated = item.first(_of(account, "time_at"))
    spoke_at = (
        gateway_texts.moment(
            stated.strip(), written=_of(account, "time_written") or "iso", zone=_of(account, "time_zone")
        )
        if stated and stated.strip()
        else None
    )
    has_clock = spoke_at is not None and bool(spoke_at.hour or spoke_at.minute or spoke_at.second)
    since = f"{spoke_at}" if has_clock else f"{spoke_at} {post.received_at:%Y%m%d%H}"
    mark = hashlib.sha256("\n".join((address, text, since, *files)).encode("utf-8", "replace")).hexdigest()[:40]
    return Said(
        Message(
            channel=account.channel,
            source=account.source,
            external_id=one_line(item.first(_of(account, "id_at")), 200) or f"without-id:{mark}",
            sender_kind="handle" if _of(account, "network") else "phone",
            sender_address=address,
            sender_name=one_line(item.first(_of(account, "name_at")), 200),
            text=text,
            full_text=text,
            spoke_at=spoke_at,
            wordless=not text.strip(),  # an empty text message, too, is somebody who turned to us
        ),
        tuple(Media(one_line(one, 2000)) for one in files),
    )


def _file_url(stated: str, account: Account) -> str:
    """The address of a file; where only its id comes, it is put into the address that the account names."""
    template = _of(account, "file_url")
    if not template or stated.startswith(("https://", "http://")):
        return stated
    return template.replace("{file}", quote(stated, safe=""))


def _report(item: Found, status: str, account: Account) -> Event:
    arrival = gateway_texts.meanings(_of(account, "status_words")).get(status.strip().lower(), "")
    place = _of(account, "status_id_at") or _of(account, "id_at")
    identity = one_line(item.first(place), 150)
    key = one_line(item.first(_of(account, "status_key_at")), 40)
    if arrival not in ARRIVALS or not (identity or key):
        return Unknown(f"status {one_line(status, 30)}")
    reason = one_line(item.first(_of(account, "status_reason_at")), 60)
    return DeliveryReport(
        identity,
        cast(Arrival, arrival),
        f"{identity or key}:{one_line(status, 40)}",
        key=key,
        reason=f"the gateway's reason: {reason}" if reason else "",
    )


def _address(stated: str, account: Account) -> str:
    stated = stated.strip()
    if _of(account, "network"):
        return one_line(f"{_of(account, 'network')}:{stated}", 320)
    for scheme in ("tel:", "sms:"):
        stated = stated.removeprefix(scheme)
    before = _of(account, "number_prefix")
    if before and stated.isdecimal() and not stated.startswith("00"):
        return one_line(before + stated, 320)
    return one_line(f"+{stated[2:]}" if before and stated.startswith("00") else stated, 320)


def _number(stated: str) -> str:
    return stated.strip().lower().removeprefix("tel:").lstrip("+")


def _way(item: Found, account: Account) -> str:
    """How the words of this message are written: by a field beside them where one is named, else always alike."""
    stated = (item.first(_of(account, "text_written_at")) or "").strip().lower()
    named = gateway_texts.meanings(_of(account, "text_written_words")).get(stated, "")
    return named or _of(account, "text_written") or "plain"


def _ways(account: Account) -> set[str]:
    named = gateway_texts.meanings(_of(account, "text_written_words")).values()
    return {*named, _of(account, "text_written") or "plain"}


# --- how an account is set up --------------------------------------------------------------------------------------------


def _of(account: Account, name: str) -> str:
    return account.settings.get(name, "")


def _written(account: Account, name: str) -> places.Written:
    return cast(places.Written, _of(account, name) or "form")


def _basic(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        raise NotGenuine("wrong") from None


def _trouble_receiving(account: Account) -> Any:
    how, name = _of(account, "secret_by"), _of(account, "secret_name")
    for setting in SETTINGS:
        told = _of(account, setting.name)
        if not setting.is_long and any(ord(character) < 32 for character in told):
            return _("Please write “%(field)s” on one line.") % {"field": setting.label}
        if setting.name.endswith("_at") and told and places.trouble_with(told):
            return _("“%(field)s” names no place that we can read.") % {"field": setting.label}
    if how == "query" and name not in QUERY_NAMES:
        return _("In the query, the secret may be called %(names)s.") % {"names": ", ".join(QUERY_NAMES)}
    if how in ("header", "hmac") and not name:
        return _("Please name the header that holds the secret or the signature.")
    if how == "hmac" and (_of(account, "takes_get") == "yes" or _of(account, "reads") == "query"):
        return _("A signature over the body says nothing of a query; please choose another way for the secret.")
    file_url = _of(account, "file_url")
    if file_url and not re.fullmatch(r"https?://[^/{}@]+/[^{}]*\{file\}[^{}]*", file_url):
        return _("The address of a file begins with https:// and has one place, {file}, behind the host.")
    if _of(account, "kind_at") and not _of(account, "kind_words"):
        return _("Please say which words mean a message.")
    try:
        ZoneInfo(_of(account, "time_zone") or "UTC")
    except (LookupError, ValueError, OSError):
        return _("We do not know this time zone; Europe/Berlin would be one.")
    time_written = _of(account, "time_written") or "iso"
    if "%" not in time_written and time_written not in ("iso", "seconds", "milliseconds", "rfc2822"):
        return _("A time is written as iso, seconds, milliseconds, rfc2822, or by a pattern with %.")
    try:
        if set(gateway_texts.meanings(_of(account, "status_words")).values()) - set(ARRIVALS):
            return _("What became of a message is one of: %(names)s.") % {"names": ", ".join(ARRIVALS)}
        gateway_texts.meanings(_of(account, "text_written_words"))
    except Unreadable as trouble:
        return str(trouble)
    return ""


def _trouble_sending(account: Account) -> Any:
    url, template = _of(account, "send_url"), _of(account, "send_body")
    longest = _of(account, "longest")
    if longest and not (longest.isascii() and longest.isdigit() and 0 < int(longest) < 1_000_000):
        return _("The longest answer is a number of characters.")
    if not url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _("The address for sending must begin with https://.")
    if parts.scheme not in ("https", "http") or not parts.hostname or "{" in parts.netloc:
        return _("The address for sending must begin with https://.")
    strange = gateway_texts.unknown_places(" ".join((url, template, _of(account, "send_header_value"))))
    if strange and _of(account, "send_written") != "json":
        return _("We do not know the place {%(name)s}.") % {"name": strange[0]}
    if _of(account, "send_written") == "json":
        try:
            json.loads(template)
        except ValueError:
            return _("What is sent is no JSON.")
    if "{text}" not in url + template and "{text_hex}" not in url + template:
        return _("What is sent needs a place for the words: {text}.")
    return ""


PROVIDER = SmsGateway()
