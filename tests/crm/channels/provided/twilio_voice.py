"""Twilio's posts about calls, with the fields of its documentation."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from typing import Any

from crm.channels import Channel
from tests.crm.channels.provided import Example, Sent, phone_of
from tests.crm.channels.provided.twilio_sms import ACCOUNT, signed

NUMBER = "+4930555001"
FLOW, AFTER = "https://shop.example/flow?a=1&b=2", "https://shop.example/after"


def form(
    call: str, status: str, *, caller: str = "+4930111222", at: datetime | None = None, **more: str
) -> dict[str, str]:
    """What every request about a call has; with `at`, it is a status callback."""
    plain = {
        "CallSid": call, "AccountSid": ACCOUNT, "From": caller, "To": NUMBER, "CallStatus": status, "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }  # fmt: skip
    if at is not None:
        plain |= {"Timestamp": format_datetime(at), "CallbackSource": "call-progress-events", "SequenceNumber": "0"}
    return {**plain, **more}


def said(words: str, *, sender: str, external_id: str, secret: str, url: str, **more: Any) -> Sent:
    """What somebody said after the tone, once Twilio has written it down."""
    told = {
        **form(f"CA{external_id}", "completed", caller=sender),
        "TranscriptionSid": f"TR{external_id}", "TranscriptionText": words, "TranscriptionStatus": "completed",
        "TranscriptionType": "fast", "RecordingSid": f"RE{external_id}",
        "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{external_id}",
        **more.get("fields", {}),
    }  # fmt: skip
    return signed(told, secret=secret, url=url)


def unknown(*, secret: str, url: str, **_more: Any) -> Sent:
    return signed(form("CA1", "huh"), secret=secret, url=url)


EXAMPLE = Example(
    provider="twilio_voice",
    channel=Channel.PHONE,
    own_id=NUMBER,
    secret="the newer auth token of twilio",
    other_secret="the older auth token of twilio",
    credential="the newer auth token of twilio",
    settings={"account_sid": ACCOUNT, "picked_up": "colleague", "flow_url": FLOW, "after_url": AFTER},
    sender=phone_of,
    said=said,
    unknown=unknown,
)
