"""WhatsApp through Meta's own Cloud API.

Written from Meta's documentation: "WhatsApp Business Platform: webhooks, messages reference" (text to unsupported, edit, revoke,
system, group), "status messages", "smb_message_echoes", "business-scoped user ids", "send messages", "media", "error codes".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import phonenumbers
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel, SenderKind
from crm.channels.graph import (
    LARGEST_FILE,
    GraphProvider,
    Heard,
    authorization,
    base,
    moment,
    number_of,
    obj,
    objects,
    own_address,
    own_name,
    place,
    posted,
    said,
)
from crm.channels.providers import (
    Account,
    Arrival,
    Deleted,
    DeliveryReport,
    Echo,
    Edited,
    Event,
    Fetched,
    HttpAnswer,
    HttpRequest,
    Limits,
    Media,
    NotForUs,
    NotGiven,
    Outgoing,
    Unknown,
    one_line,
    words_of,
)

_ARRIVALS: Final[Mapping[str, Arrival]] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed",
}  # fmt: skip
_GONE: Final = frozenset((130497, 131026))
"""Errors that say that this number takes nothing from us: it has no WhatsApp, or we may not write into its country."""
_FILES: Final = ("image", "video", "audio", "voice", "document", "sticker")
_USER_ID: Final = re.compile(r"^[A-Z]{2}\.[A-Za-z0-9.]{1,150}$")
_DARK: Final = ("unsupported", "unknown")


class WhatsAppCloud(GraphProvider):
    """One number of ours on WhatsApp."""

    name = "whatsapp_cloud"
    title = _("WhatsApp (Meta's Cloud API)")
    subject = "whatsapp_business_account"
    channels: ClassVar[tuple[Channel, ...]] = (Channel.CHAT,)
    own_id_label = _("Phone number ID (not the number)")
    credential_help = _("A permanent access token of a system user with whatsapp_business_messaging.")

    def events_of(self, entry: Mapping[str, Any], account: Account) -> list[Event]:
        """Messages, what became of ours, and what colleagues wrote in the app."""
        found: list[Event] = []
        for change in objects(entry.get("changes")):
            name, value = one_line(change.get("field"), 40), obj(change.get("value"))
            if name not in ("messages", "smb_message_echoes"):
                found.append(Unknown(name))
            elif one_line(obj(value.get("metadata")).get("phone_number_id"), 60) != account.own_id:
                found.append(NotForUs("It belongs to another number."))
            else:
                found += [_message(one, value, account) for one in objects(value.get("messages"))]
                found += [_status(one) for one in objects(value.get("statuses"))]
                found += [_echo(one) for one in objects(value.get("message_echoes"))]
                found += [Unknown(f"error {one_line(one.get('code'), 10)}") for one in objects(value.get("errors"))]
        return found

    def limits(self, account: Account) -> Limits:
        """4,096 characters, and free words for 24 hours after the customer's last ones."""
        return Limits(4_096, "utf16", reply_within=timedelta(hours=24), may_write_first=False)

    def compose(self, outgoing: Outgoing, account: Account) -> HttpRequest:
        """A text; our key comes back with its reports."""
        network, colon, person = outgoing.address.partition(":")
        if colon and network != "whatsapp":
            raise NotGiven("It is nobody's number or id on WhatsApp.", is_final=True)
        to = person if colon else outgoing.address
        told = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "recipient" if _USER_ID.match(to) else "to": to,
            "type": "text",
            "text": {"body": outgoing.text, "preview_url": False},
            "biz_opaque_callback_data": outgoing.key,
        }
        return posted(f"{base(account)}/{account.own_id}/messages", told, account)

    def media_request(self, media: Media, account: Account) -> HttpRequest:
        """A file is named by an id; where it is has to be asked first."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,120}", media.reference):
            raise NotGiven("It is no id of a file.", is_final=True)
        url = f"{base(account)}/{media.reference}?phone_number_id={account.own_id}"
        return HttpRequest("GET", url, authorization(account))

    def read_media(self, media: Media, answer: HttpAnswer, account: Account) -> Fetched | HttpRequest:
        """First the place, for five minutes, then the file; both only with our credential."""
        where = _where(media, answer)
        if where:
            return HttpRequest("GET", own_address(where), authorization(account), most=LARGEST_FILE)
        return super().read_media(media, answer, account)


def _where(media: Media, answer: HttpAnswer) -> str:
    """The address in Meta's answer about a file; "" when it is the file itself."""
    if answer.status != 200 or not answer.headers.get("content-type", "").startswith("application/json"):
        return ""
    try:
        told = obj(json.loads(answer.body.decode("utf-8")))
    except ValueError:
        return ""
    return str(told.get("url") or "") if one_line(told.get("id"), 120) == media.reference else ""


def _message(told: Mapping[str, Any], value: Mapping[str, Any], account: Account) -> Event:
    kind, at = one_line(told.get("type"), 40), moment(told.get("timestamp"))
    identity = one_line(told.get("id"), 200) or own_name(told)
    about = obj(told.get(kind))
    if told.get("group_id"):
        return NotForUs("It was said in a group.")
    original = one_line(about.get("original_message_id"), 200)
    if kind == "revoke" and original:
        return Deleted(original, identity, at)
    if kind == "edit" and original:
        return Edited(original, identity, "\n".join(_heard(obj(about.get("message"))).lines), at)
    heard = _heard(told)
    if not heard.lines and not heard.media and kind not in _DARK:
        return Unknown(kind)
    return said(
        heard,
        account,
        external_id=identity,
        sender=_sender(told),
        channel=account.channel,
        name=_name(told, value),
        spoke_at=at,
        in_reply_to=one_line(
            about.get("message_id") if kind == "reaction" else obj(told.get("context")).get("id"), 200
        ),
    )


def _heard(told: Mapping[str, Any]) -> Heard:
    """The words and files of a message, whatever kind it is of."""
    kind = one_line(told.get("type"), 40)
    about = obj(told.get(kind))
    heard = Heard()
    if kind == "text":
        heard.lines.append(words_of(about.get("body")))
    elif kind in _FILES and about.get("id"):
        name, declared = one_line(about.get("filename"), 150), one_line(about.get("mime_type"), 100)
        heard.media.append(Media(one_line(about["id"], 200), name, declared.partition(";")[0].strip()))
        heard.lines += [words_of(about["caption"])] if about.get("caption") else []
    elif kind == "location":
        named = [words_of(about[name]) for name in ("name", "address") if about.get(name)]
        heard.lines += [*named, place(about.get("latitude"), about.get("longitude"))]
    elif kind == "contacts":
        heard.lines += [_card(one) for one in objects(told.get("contacts"))]
    elif kind == "reaction":
        heard.lines += [one_line(about["emoji"], 40)] if about.get("emoji") else []
    elif kind == "button":
        heard.lines.append(words_of(about.get("text") or about.get("payload")))
    elif kind == "interactive":
        _pressed(about, heard)
    elif kind == "order":
        items = [
            f"{one_line(one.get('quantity'), 10)} × {one_line(one.get('product_retailer_id'), 100)}"
            for one in objects(about.get("product_items"))
        ]
        heard.lines += [words_of(about.get("text")), *items]
    heard.lines = [line for line in heard.lines if line.strip()]
    return heard


def _pressed(about: Mapping[str, Any], heard: Heard) -> None:
    """A button, a line of a list, or a form; what was filled in there stands behind the words."""
    reply = obj(about.get(one_line(about.get("type"), 40)))
    heard.lines.append(words_of(reply.get("title") or reply.get("body") or reply.get("name")))
    try:
        filled = obj(json.loads(reply.get("response_json") or "{}"))
    except (TypeError, ValueError):
        filled = {}
    heard.details = "\n".join(f"{name}: {value}" for name, value in filled.items() if name != "flow_token")


def _card(told: Mapping[str, Any]) -> str:
    """Somebody's card that a customer sent, in one line."""
    ways = [one.get("phone") or one.get("wa_id") for one in objects(told.get("phones"))]
    ways += [one.get("email") for one in objects(told.get("emails"))]
    named = obj(told.get("name")).get("formatted_name")
    return ", ".join(one_line(each, 200) for each in (named, *ways) if each)


def _sender(told: Mapping[str, Any]) -> tuple[SenderKind, str]:
    """A number, or what WhatsApp calls somebody who shows none; an address that cannot be used for anything else."""
    plain = one_line(told.get("from") or told.get("from_user_id"), 200)
    if plain.isascii() and plain.isdigit():
        if plain.startswith("521") and len(plain) == 13:  # Mexico's mobile numbers lost this 1; WhatsApp kept it
            plain = f"52{plain[3:]}"
        return ("phone", f"+{plain}") if _is_possible(plain) else ("handle", f"whatsapp:{plain}")
    return "handle", f"whatsapp:{plain}" if _USER_ID.match(plain) else ""


def _is_possible(digits: str) -> bool:
    try:
        number = phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE


def _name(told: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """What the sender calls themselves, from the post's list of people."""
    ids = {one_line(told.get(name), 200) for name in ("from", "from_user_id")} - {""}
    for one in objects(value.get("contacts")):
        if {one_line(one.get(name), 200) for name in ("wa_id", "user_id")} & ids:
            return one_line(obj(one.get("profile")).get("name"), 200)
    return ""


def _status(told: Mapping[str, Any]) -> Event:
    identity, status = one_line(told.get("id"), 170), one_line(told.get("status"), 20)
    if status not in _ARRIVALS or not identity:
        return Unknown(status)
    error = next(iter(objects(told.get("errors"))), {})
    code = number_of(error.get("code"))
    return DeliveryReport(
        identity,
        _ARRIVALS[status],
        f"{identity}:{status}",
        key=one_line(told.get("biz_opaque_callback_data"), 40),
        reason=one_line(f"Meta's error {code}: {error.get('title') or ''}", 300) if code is not None else "",
        is_permanent=code in _GONE,
        event_at=moment(told.get("timestamp")),
    )


def _echo(told: Mapping[str, Any]) -> Event:
    """What a colleague wrote in the app; no customer spoke."""
    identity = one_line(told.get("id"), 200)
    if not identity:
        return Unknown("message_echoes")
    address = _sender({"from": told.get("to") or told.get("to_user_id")})[1]
    return Echo(identity, address, "\n".join(_heard(told).lines), sent_at=moment(told.get("timestamp")))


PROVIDER = WhatsAppCloud()
