"""Writing down an answer that was given by hand where no account of ours can answer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from crm.actions import elsewhere, talks
from crm.admin import pages, queue
from crm.channels import PUBLIC, Channel
from crm.models import Conversation, Interaction, OutgoingMessage, User
from crm.policy import ConversationState


@dataclass(slots=True)
class Typed:
    """What stands in the form; kept when it was refused."""

    url: str = ""
    text: str = ""
    at: str = ""
    signer: str = ""
    stays: str = "customer"
    correction: str = ""
    key: str = field(default_factory=pages.fresh_key)


@dataclass(frozen=True, slots=True)
class Shown:
    """The form, where it is offered. is_open: at once, because there is no other way to answer."""

    typed: Typed
    signers: list[User]
    is_open: bool


def offered(
    request: HttpRequest, conversation: Conversation, heard: list[Interaction], *, way: Any, refused: bool
) -> Shown | None:
    """The form where an answer can have been given elsewhere: in public, not by an account of ours, or without any way back.

    heard: what the customer said, newest first. way: how an answer would go from here, None for none. One statement.
    """
    if not heard or (way is not None and way.account is not None):
        return None
    places = PUBLIC if way is not None else set(Channel) - elsewhere.NOT_IN_A_PLACE
    if not any(said.channel in places for said in heard):
        return None
    form = request.POST if refused and request.POST.get("do") == "elsewhere" else None
    waits = conversation.state == ConversationState.OPEN
    signers = [one for one in elsewhere.may_sign_off() if one.pk != request.user.pk]
    return Shown(
        _typed(form) if form is not None else Typed(), signers, is_open=form is not None or (way is None and waits)
    )


def _typed(form: Any) -> Typed:
    return Typed(
        url=form.get("elsewhere_url", ""),
        text=form.get("elsewhere_text", ""),
        at=form.get("elsewhere_at", ""),
        signer=form.get("elsewhere_signer", ""),
        stays=form.get("stays", "customer"),
        correction=form.get("elsewhere_correction", ""),
        key=form.get("elsewhere_key", "") or pages.fresh_key(),
    )


def write(request: HttpRequest, conversation: Conversation, *, at: datetime) -> OutgoingMessage:
    """Write down what stands in the form. Raises what `elsewhere.log` raises."""
    typed = _typed(request.POST)
    try:
        signer = uuid.UUID(typed.signer) if typed.signer else None
    except ValueError:
        raise elsewhere.SignOffMissing(_("Please choose who signs it off.")) from None
    given = elsewhere.Given(
        url=typed.url,
        text=typed.text,
        answered_at=_moment(typed.at),
        signed_off_by=signer,
        key=typed.key,
        stays_open=typed.stays == "us",
        out_of_order=queue.chosen_reason(request.POST),
        correction=typed.correction,
    )
    return elsewhere.log(conversation.pk, given, by=pages.colleague(request), at=at)


def _moment(typed: str) -> datetime | None:
    """The moment somebody chose, on their own clock; None for now. Raises talks.NotYet."""
    if not typed.strip():
        return None
    try:
        moment = parse_datetime(typed.strip())
    except ValueError:
        moment = None
    if moment is None:
        raise talks.NotYet(_("Please choose a day and a time."))
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
