"""Doors for what customers say: each provider is a file of this package and translates raw input into one Message.

The modules here are pure: no models, no actions, no database; only a provider's `send()` and `poll()` touch the
network.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import models
from django.utils.translation import gettext_lazy as _

SenderKind = Literal["email", "phone", "handle", "app"]
PartState = Literal["stored", "quarantined", "refused"]


class Channel(models.TextChoices):
    """The medium a customer used: the unit of the parity audit; a provider (who carried it) is a file of this
    package."""

    PHONE = "phone", _("Phone")
    EMAIL = "email", _("Email")
    CHAT = "chat", _("Chat")
    WEB_FORM = "web_form", _("Web form")
    APP = "app", _("App")
    SMS = "sms", _("Text message")
    SOCIAL_PUBLIC = "social_public", _("Social media, public")
    SOCIAL_DIRECT = "social_direct", _("Social media, direct message")
    REVIEW = "review", _("Review")
    STORE = "store", _("Store")
    LETTER = "letter", _("Letter")
    BLOG = "blog", _("Blog")
    VIDEO = "video", _("Video")
    FIELD = "field", _("Field visit")


PUBLIC = frozenset({Channel.SOCIAL_PUBLIC, Channel.REVIEW, Channel.BLOG, Channel.VIDEO})
"""Media on which everybody can read what somebody says about us."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file that came with a message: kept, kept apart for a second look, or named but not kept.

    name: our own safe form of the sender's file name, never a path.
    content_type: what the bytes say they are; declared_type: what the sender said they are.
    size: bytes before any limit; content: empty when state is "refused".
    reason: why the state is not "stored", one sentence staff and customer may read; empty when stored.
    content_id: the name under which a page in the same mail shows it ("cid:…"), without brackets; else empty.
    """

    name: str
    content_type: str
    declared_type: str
    size: int
    content: bytes
    state: PartState
    reason: str
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """The one shape every door translates into before it calls an action.

    source: which door and account, e.g. "mail:support@shop.example"; external_id: dedupe key within that source.
    sender_address: normalised for its kind (lower-case email, E.164 phone, handle without "@", app user id); a claim,
    not a proof.
    sender_name: what the sender calls themselves; never used to recognise anyone.
    text: what is new in this message; full_text: the same with quoted history; html: as sent, sanitised only when
    shown.
    spoke_at: aware, when the customer spoke, only from a source we trust; None means the caller takes the time of
    receipt.
    in_reply_to: message ids this one claims to answer; message_id: its own id, a hint and not a key.
    language: BCP 47 tag where the door knows it, else empty.
    recipients: whom else the sender addressed, normalised; nobody is subscribed by standing here.
    imported: old correspondence read from a file; it starts no clock.
    wait_seconds, hold_seconds: time the customer waited in a queue and on hold before or within a call.
    call_seconds: length of the talk; None when this was not a call.
    wordless: a call or walk-away of which there are no words: nobody answered, or the talk was not written down.
    ended_by: who ended such a contact, see policy.EndedBy; "" for everything else.
    held_at: when our system first knew of it, where that was before it is taken in; aware.
    is_vouched: our border, a signature or a log-in vouches that sender_address wrote this.
    """

    channel: Channel
    source: str
    external_id: str
    sender_kind: SenderKind
    sender_address: str
    sender_name: str = ""
    subject: str = ""
    text: str = ""
    full_text: str = ""
    html: str = ""
    spoke_at: datetime | None = None
    attachments: tuple[Part, ...] = ()
    in_reply_to: tuple[str, ...] = ()
    message_id: str = ""
    language: str = ""
    recipients: tuple[str, ...] = ()
    imported: bool = False
    wait_seconds: int = 0
    hold_seconds: int = 0
    call_seconds: int | None = None
    wordless: bool = False
    ended_by: str = ""
    held_at: datetime | None = None
    is_vouched: bool = False
