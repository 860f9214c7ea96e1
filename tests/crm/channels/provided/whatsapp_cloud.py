"""Posts of WhatsApp's Cloud API, with the fields of its documentation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.crm.channels.meta import VERIFY, signed
from tests.crm.channels.provided import Example, Sent, phone_of

NUMBER = "106540352242922"


def value(at: datetime, **about: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "4930555000", "phone_number_id": NUMBER}
    told = {"messaging_product": "whatsapp", "metadata": metadata, **about}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"field": "messages", "value": told}]}],
    }


def message(sender: str, external_id: str, at: datetime, kind: str, **about: Any) -> dict[str, Any]:
    plain = sender.removeprefix("+")
    told = {"from": plain, "id": external_id, "timestamp": str(int(at.timestamp())), "type": kind, **about}
    return value(at, contacts=[{"profile": {"name": "Carla"}, "wa_id": plain}], messages=[told])


def said(words: str, *, sender: str, external_id: str, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(message(sender, external_id, at, "text", text={"body": words}), secret=secret))


def reported(provider_id: str, arrival: str, *, key: str, at: datetime, secret: str, **_more: Any) -> Sent:
    status: dict[str, Any] = {
        "id": provider_id, "status": arrival, "timestamp": str(int(at.timestamp())), "recipient_id": "4930111222",
        "biz_opaque_callback_data": key,
    }  # fmt: skip
    if arrival == "failed":
        status["errors"] = [{"code": 131026, "title": "Message undeliverable"}]
    return Sent(*signed(value(at, statuses=[status]), secret=secret))


def changed(external_id: str, words: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    edit = {"original_message_id": external_id, "message": {"type": "text", "text": {"body": words}}}
    return Sent(*signed(message("4930111222", f"{external_id}-edit", at, "edit", edit=edit), secret=secret))


def deleted(external_id: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    revoke = {"original_message_id": external_id}
    return Sent(*signed(message("4930111222", f"{external_id}-revoke", at, "revoke", revoke=revoke), secret=secret))


def unknown(*, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(message("4930111222", "wamid.unknown", at, "hologram", hologram={"id": "1"}), secret=secret))


EXAMPLE = Example(
    provider="whatsapp_cloud",
    channel=Channel.CHAT,
    own_id=NUMBER,
    secret="the newer app secret of whatsapp",
    other_secret="the older app secret of whatsapp",
    credential="EAAJ-an-access-token-of-whatsapp",
    settings={"verify_token": VERIFY},
    sender=phone_of,
    said=said,
    reported=reported,
    changed=changed,
    deleted=deleted,
    unknown=unknown,
    accepted=HttpAnswer(
        200,
        {},
        b'{"messaging_product": "whatsapp", "contacts": [{"input": "+4930111222", "wa_id": "4930111222"}],'
        b' "messages": [{"id": "wamid.HBg900", "message_status": "accepted"}]}',
    ),
    provider_id="wamid.HBg900",
    refused=HttpAnswer(
        400, {}, b'{"error": {"message": "Re-engagement message", "type": "OAuthException", "code": 131047}}'
    ),
)
