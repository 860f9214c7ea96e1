"""Posts of Messenger and of a page, with the fields of their documentation."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.crm.channels.meta import VERIFY, private, signed
from tests.crm.channels.provided import Example, Sent

PAGE = "1067280970047460"


def person(name: str) -> tuple[str, str]:
    """The page-scoped id of somebody, always the same for the same name."""
    return "handle", f"facebook:{int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10**16:016}"


def told(sender: str, at: datetime, **about: Any) -> dict[str, Any]:
    return private("page", PAGE, sender.removeprefix("facebook:"), at, **about)


def said(words: str, *, sender: str, external_id: str, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(told(sender, at, message={"mid": f"m_{external_id}", "text": words}), secret=secret))


def changed(external_id: str, words: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    edit = {"mid": f"m_{external_id}", "text": words, "num_edit": 1}
    return Sent(*signed(told("4711", at, message_edit=edit), secret=secret))


def deleted(external_id: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(told("4711", at, message={"mid": f"m_{external_id}", "is_deleted": True}), secret=secret))


def unknown(*, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(told("4711", at, hologram={"id": "1"}), secret=secret))


EXAMPLE = Example(
    provider="messenger",
    channel=Channel.SOCIAL_DIRECT,
    own_id=PAGE,
    secret="the newer app secret of messenger",
    other_secret="the older app secret of messenger",
    credential="EAAJ-an-access-token-of-the-page",
    settings={"verify_token": VERIFY},
    sender=person,
    said=said,
    changed=changed,
    deleted=deleted,
    unknown=unknown,
    accepted=HttpAnswer(200, {}, b'{"recipient_id": "4711", "message_id": "m_900"}'),
    provider_id="m_900",
    refused=HttpAnswer(
        403, {}, b'{"error": {"message": "sent outside of allowed window", "code": 10, "error_subcode": 2018278}}'
    ),
)
