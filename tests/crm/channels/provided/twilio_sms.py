"""Twilio's posts, with the fields of its documentation."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.crm.channels.provided import Example, Sent, phone_of

ACCOUNT, NUMBER = "AC00000000000000000000000000000001", "+4930555000"


def signed(form: dict[str, str], *, secret: str, url: str, query: str = "") -> Sent:
    """HMAC-SHA1 over the address and every field in order of names, in base64."""
    address = url + (f"?{query}" if query else "")
    text = address + "".join(f"{name}{form[name]}" for name in sorted(form))
    mark = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": mark}
    return Sent(urlencode(form).encode(), headers, query)


def said(words: str, *, sender: str, external_id: str, secret: str, url: str, account: Any = None, **more: Any) -> Sent:
    form = {
        "ToCountry": "DE", "MessageSid": f"SM{external_id}", "SmsSid": f"SM{external_id}", "SmsStatus": "received",
        "NumSegments": "1", "NumMedia": "0", "To": NUMBER, "From": sender, "Body": words, "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01", **more.get("fields", {}),
    }  # fmt: skip
    return signed(form, secret=secret, url=url)


def reported(provider_id: str, arrival: str, *, key: str, secret: str, url: str, **_more: Any) -> Sent:
    form = {
        "MessageSid": provider_id,
        "MessageStatus": arrival,
        "SmsStatus": arrival,
        "To": "+491",
        "AccountSid": ACCOUNT,
    }
    if arrival == "failed":
        form["ErrorCode"] = "30005"
    return signed(form, secret=secret, url=url, query=urlencode({"key": key}))


def unknown(*, secret: str, url: str, **_more: Any) -> Sent:
    return signed({"AccountSid": ACCOUNT, "MessageSid": "SM1", "MessageStatus": "huh"}, secret=secret, url=url)


EXAMPLE = Example(
    provider="twilio_sms",
    channel=Channel.SMS,
    own_id=NUMBER,
    secret="the newer auth token of twilio",
    other_secret="the older auth token of twilio",
    credential="the newer auth token of twilio",
    settings={"account_sid": ACCOUNT},
    sender=phone_of,
    said=said,
    reported=reported,
    unknown=unknown,
    accepted=HttpAnswer(201, {}, b'{"sid": "SM900", "status": "queued"}'),
    provider_id="SM900",
    refused=HttpAnswer(400, {}, b'{"code": 21610, "message": "Attempt to send to unsubscribed recipient"}'),
)
