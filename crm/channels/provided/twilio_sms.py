"""Twilio: text messages and WhatsApp, posted as forms, answered through its Messages API.

Written from Twilio's documentation: "Twilio's request to your incoming message webhook URL", "Track the message status of outbound
messages", "Validating requests are coming from Twilio", "Message resource", "Error and warning dictionary".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlencode, urlsplit

from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, Message, SenderKind
from crm.channels.providers import (
    Account,
    Arrival,
    DeliveryReport,
    Event,
    Fetched,
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
    Setting,
    Unknown,
    by_status,
    one_line,
    words_of,
)
from crm.channels.sending import Handed, Outcome
from crm.channels.signing import check_hmac

WHATSAPP: Final = "whatsapp:"
API: Final = "https://api.twilio.com"
_OWN_HOSTS: Final = re.compile(
    r"^[a-z0-9.-]{1,100}\.twilio\.com$|^[a-z0-9.-]{1,100}\.twiliocdn\.com$|^[a-z0-9.-]{1,100}\.amazonaws\.com$"
)
_ARRIVALS: Final[Mapping[str, Arrival]] = {
    "accepted": "sent", "scheduled": "sent", "queued": "sent", "sending": "sent", "sent": "sent",
    "delivered": "delivered", "read": "read", "undelivered": "failed", "failed": "failed", "canceled": "failed",
}  # fmt: skip
_WISHES: Final[Mapping[str, Literal["", "stop", "start"]]] = {"STOP": "stop", "START": "start"}
"""What its service for opting out says of a message (“Advanced Opt-Out”)."""
_GONE: Final = frozenset(("21211", "21610", "21614", "30005", "30006", "63024"))
"""Errors that say that this number works no more, or wants nothing from us (Twilio's error dictionary)."""
_TAKEN: Final = re.compile(r"^[A-Za-z0-9+/\r\n]{60,}={0,2}$")


class TwilioSms(Provider):
    """One number of ours at Twilio, for text messages or for WhatsApp."""

    name = "twilio_sms"
    title = _("Twilio: text messages and WhatsApp")
    channels: ClassVar[tuple[Channel, ...]] = (Channel.SMS, Channel.CHAT)
    settings = (
        Setting("account_sid", _("Account SID"), _("Begins with AC; on the first page of Twilio's console.")),
        Setting(
            "messaging_service_sid",
            _("Messaging Service SID"),
            _("Begins with MG; only where messages leave through such a service."),
            is_required=False,
        ),
    )
    own_id_label = _("Our number, as +4930…; for WhatsApp, whatsapp:+4930…")
    secret_help = _("The Auth Token of the account, with which Twilio signs.")
    credential_help = _("The Auth Token, or “API key SID:secret”.")

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        """HMAC-SHA1 over the address and the fields in order of their names, each once with each of its values.

        There is no time in it: a repeat is known by its MessageSid.
        """
        fields = sorted(set(post.form()))
        signed = post.url + "".join(f"{name}{value}" for name, value in fields)
        check_hmac(
            [post.headers.get("x-twilio-signature", "")],
            signed.encode(),
            secrets=(one.encode() for one in account.receiving),
            algorithm="sha1",
            written="base64",
        )
        return Genuine()

    def reply(self, post: Post, account: Account) -> Reply:
        """An empty answer in TwiML: nothing is sent back at once."""
        return Reply("<Response/>", "text/xml; charset=utf-8")

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        """One post holds one event."""
        form = dict(post.form())
        named = {form.get("AccountSid", ""), form.get("SmsAccountSid", "")} - {""}
        if named and account.settings.get("account_sid") not in named:
            return [NotForUs("It belongs to another account at Twilio.")]
        status = form.get("MessageStatus", "")
        if status:
            return [_report(form, status, key=post.asked().get("key", ""))]
        identity = one_line(form.get("MessageSid") or form.get("SmsSid"), 200)
        if not identity or not form.get("From"):
            return [Unknown(one_line(form.get("EventType") or form.get("SmsStatus"), 40))]
        if account.own_id and not _is_ours(form, account):
            return [NotForUs("It was sent to another number.")]
        return [_said(form, identity, account)]

    def can_send(self, account: Account) -> bool:
        """Every account with a credential."""
        return bool(account.sending)

    def limits(self, account: Account) -> Limits:
        """1,600 characters in one message; WhatsApp takes free words for 24 hours after the customer's last ones."""
        if _is_whatsapp(account):
            return Limits(1_600, "utf16", reply_within=timedelta(hours=24), may_write_first=False)
        return Limits(1_600, "utf16", may_write_first=True)

    def trouble_with(self, account: Account) -> str:
        """What the fields must look like."""
        if not re.fullmatch(r"AC[0-9a-zA-Z]{1,62}", account.settings.get("account_sid", "")):
            return str(_("The Account SID begins with AC."))
        if account.channel == Channel.CHAT and not _is_whatsapp(account):
            return str(_("For WhatsApp, “whatsapp:” stands before our number."))
        return ""

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """A message; its reports come to our own hook, with our key."""
        service = account.settings.get("messaging_service_sid", "")
        address = outgoing.address
        if _is_whatsapp(account) and not address.startswith(WHATSAPP):
            address = WHATSAPP + address
        sender = {"MessagingServiceSid": service} if service else {"From": account.own_id}
        back = f"{account.hook_url}?{urlencode({'key': outgoing.key})}"
        body = urlencode({"To": address, **sender, "Body": outgoing.text, "StatusCallback": back})
        return HttpRequest(
            "POST",
            f"{API}/2010-04-01/Accounts/{account.settings['account_sid']}/Messages.json",
            {"Content-Type": "application/x-www-form-urlencoded", "Authorization": _authorization(account)},
            body.encode(),
        )

    def read_answer(self, answer: HttpAnswer, account: Account) -> Handed:
        """201 with the message's sid; refusals carry a code."""
        try:
            told = json.loads(answer.body.decode("utf-8"))
            sid, code = one_line(told.get("sid"), 200), one_line(told.get("code"), 10)
        except (ValueError, AttributeError):
            sid = code = ""
        handed = by_status(answer, sid)
        if handed.outcome == Outcome.REFUSED and code:
            return Handed(Outcome.REFUSED, f"Twilio refused it with error {code}")
        return handed

    def trial(self, account: Account) -> HttpRequest | None:
        """Our account as Twilio has it; an API key may only be good for less, so it is asked for one message."""
        headers = {"Authorization": _authorization(account)}
        own = f"{API}/2010-04-01/Accounts/{account.settings['account_sid']}"
        return HttpRequest(
            "GET", f"{own}.json" if ":" not in account.sending else f"{own}/Messages.json?PageSize=1", headers
        )

    def read_trial(self, answer: HttpAnswer, account: Account) -> str:
        """Whether the account is active there."""
        said = super().read_trial(answer, account)
        try:
            status = one_line(json.loads(answer.body.decode("utf-8")).get("status", "active"), 40)
        except (ValueError, AttributeError):
            raise NotGiven(str(_("What answered is not Twilio."))) from None
        if status != "active":
            raise NotGiven(str(_("Twilio knows us, and the account is %(status)s.") % {"status": status}))
        return said

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """Files are kept at Twilio, behind the account's credential."""
        parts = urlsplit(media.reference)
        if parts.scheme != "https" or not _OWN_HOSTS.match(parts.hostname or ""):
            raise NotGiven("It is no address of Twilio's.", is_final=True)
        headers = {"Authorization": _authorization(account)} if parts.hostname == "api.twilio.com" else {}
        return HttpRequest("GET", media.reference, headers, most=25_000_000)

    def read_media(self, media: Media, answer: HttpAnswer, account: Account) -> Fetched | HttpRequest:
        """Twilio names the place where the file really is; that is asked without our credential."""
        if answer.status in (301, 302, 303, 307, 308):
            elsewhere = answer.headers.get("location", "")
            parts = urlsplit(elsewhere)
            if parts.scheme != "https" or not _OWN_HOSTS.match(parts.hostname or ""):
                raise NotGiven("The file is at a place that is not Twilio's.", is_final=True)
            return HttpRequest("GET", elsewhere, most=25_000_000)
        return super().read_media(media, answer, account)


def _said(form: Mapping[str, str], identity: str, account: Account) -> Said:
    kind, address = _sender(form["From"])
    count = form.get("NumMedia", "0")
    media = tuple(
        Media(
            one_line(form[f"MediaUrl{number}"], 2000),
            declared_type=one_line(form.get(f"MediaContentType{number}"), 100),
        )
        for number in range(min(int(count), 20) if count.isascii() and count.isdigit() else 0)
        if form.get(f"MediaUrl{number}")
    )
    text = words_of(form.get("ButtonText") or _plain(form.get("Body", "")))
    answers = one_line(form.get("OriginalRepliedMessageSid"), 200)
    return Said(
        Message(
            channel=account.channel,
            source=account.source,
            external_id=identity,
            sender_kind=kind,
            sender_address=address,
            sender_name=one_line(form.get("ProfileName"), 200),
            text=text,
            full_text=text,
            in_reply_to=(answers,) if answers else (),
            wordless=bool(media) and not text.strip(),
        ),
        media,
        _WISHES.get(form.get("OptOutType", ""), ""),
    )


def _report(form: Mapping[str, str], status: str, *, key: str) -> Event:
    identity = one_line(form.get("MessageSid") or form.get("SmsSid"), 200)
    if status not in _ARRIVALS or not identity:
        return Unknown(one_line(status, 40))
    code = one_line(form.get("ErrorCode"), 10)
    return DeliveryReport(
        identity,
        _ARRIVALS[status],
        f"{identity}:{status}",
        key=one_line(key, 40),
        reason=f"Twilio's error {code}" if code else "",
        is_permanent=code in _GONE,
    )


def _sender(stated: str) -> tuple[SenderKind, str]:
    """A number, or what WhatsApp calls somebody who shows none."""
    plain = stated.removeprefix(WHATSAPP).strip()
    if plain.startswith("+") or plain.isdigit():
        return "phone", plain
    return "handle", one_line(f"{WHATSAPP}{plain}" if stated.startswith(WHATSAPP) else f"sms:{plain}", 320)


def _is_ours(form: Mapping[str, str], account: Account) -> bool:
    service = account.settings.get("messaging_service_sid", "")
    return form.get("To", "") == account.own_id or bool(service and form.get("MessagingServiceSid") == service)


def _is_whatsapp(account: Account) -> bool:
    return account.own_id.startswith(WHATSAPP)


def _plain(body: str) -> str:
    """Some networks hand on words in base64, cut at the length of a message; what reads as words is taken as such."""
    if not _TAKEN.match(body):
        return body
    packed = "".join(body.split())
    try:
        found = base64.b64decode(packed[: len(packed) // 4 * 4], validate=True).decode("utf-8", "ignore")
    except (ValueError, binascii.Error):
        return body
    strange = sum(not (character.isprintable() or character in "\n\r\t") for character in found)
    return found if found and not strange else body


def _authorization(account: Account) -> str:
    given: Any = account.sending
    pair = given if ":" in given else f"{account.settings['account_sid']}:{given}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


PROVIDER = TwilioSms()
