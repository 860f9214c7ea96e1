"""Posts of Instagram, with the fields of its documentation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.crm.channels.meta import VERIFY, private, signed
from tests.crm.channels.provided import Example, Sent
from tests.crm.channels.provided.messenger import person as facebook_person

ACCOUNT = "17841405822304914"


def person(name: str) -> tuple[str, str]:
    """The Instagram-scoped id of somebody."""
    kind, address = facebook_person(name)
    return kind, address.replace("facebook:", "instagram:")


def told(sender: str, at: datetime, **about: Any) -> dict[str, Any]:
    return private("instagram", ACCOUNT, sender.removeprefix("instagram:"), at, **about)


def said(words: str, *, sender: str, external_id: str, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(told(sender, at, message={"mid": f"aWd{external_id}", "text": words}), secret=secret))


def changed(external_id: str, words: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    edit = {"mid": f"aWd{external_id}", "text": words, "num_edit": 1}
    return Sent(*signed(told("4711", at, message_edit=edit), secret=secret))


def deleted(external_id: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(told("4711", at, message={"mid": f"aWd{external_id}", "is_deleted": True}), secret=secret))


def unknown(*, at: datetime, secret: str, **_more: Any) -> Sent:
    return Sent(*signed(told("4711", at, hologram={"id": "1"}), secret=secret))


EXAMPLE = Example(
    provider="instagram",
    channel=Channel.SOCIAL_DIRECT,
    own_id=ACCOUNT,
    secret="the newer app secret of instagram",
    other_secret="the older app secret of instagram",
    credential="IGAA-an-access-token-of-instagram",
    settings={"verify_token": VERIFY, "login": "instagram"},
    sender=person,
    said=said,
    changed=changed,
    deleted=deleted,
    unknown=unknown,
    accepted=HttpAnswer(200, {}, b'{"recipient_id": "4711", "message_id": "aWd900"}'),
    provider_id="aWd900",
    refused=HttpAnswer(
        400, {}, b'{"error": {"message": "sent outside of allowed window", "code": 10, "error_subcode": 2534022}}'
    ),
)
