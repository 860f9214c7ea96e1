"""Web forms: set up by people, sent by visitors. What comes by a form is promised what everything else is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from crm import history
from crm.actions import acknowledgements, calendars, identity, intake
from crm.actions.acknowledgements import ACKNOWLEDGED, DAY, FILES_REFUSED
from crm.actions.intake import Received
from crm.channels import email as mail_channel
from crm.channels import web_form
from crm.channels.web_form import Sent
from crm.models import FormCount, Interaction, OutgoingMessage, RawItem, User, WebForm
from crm.policy import COUNTED_FOR, MessageKind, WorkState, asks_a_question, default_promises
from crm.together import insert_together, prepared

KEPT_FOR = timedelta(days=2)
MOST_ORIGINS = 50


class UnusableForm(ValueError):
    """Something that a form needs is missing or cannot be."""

    code = "unusable_form"


@dataclass(frozen=True, slots=True)
class Draft:
    """How a form shall be set up. origins: sites that may show it or post to it, such as “https://shop.example”."""

    name: str
    origins: tuple[str, ...] = ()
    takes_files: bool = True


# --- set up by people -------------------------------------------------------------------------------------------------


@transaction.atomic
def add(draft: Draft, *, by: User, at: datetime) -> WebForm:
    """Make a further form. Raises UnusableForm; then nothing has changed."""
    draft = checked(draft)
    form = WebForm.objects.create(
        name=draft.name, origins=list(draft.origins), takes_files=draft.takes_files, created_at=at
    )
    _record(form, "form.added", by=by, at=at, detail={"origins": form.origins})
    return form


@transaction.atomic
def change(form_id: int, draft: Draft, *, by: User, at: datetime) -> WebForm:
    """Set a form up differently; its address stays. Raises WebForm.DoesNotExist, UnusableForm; then nothing has changed."""
    draft = checked(draft)
    form = WebForm.objects.select_for_update().get(pk=form_id)
    new = {"name": draft.name, "origins": list(draft.origins), "takes_files": draft.takes_files}
    changed = {name: [getattr(form, name), value] for name, value in new.items() if getattr(form, name) != value}
    if changed:
        for name, value in new.items():
            setattr(form, name, value)
        form.save(update_fields=list(new))
        _record(form, "form.changed", by=by, at=at, detail=changed)
    return form


@transaction.atomic
def switch(form_id: int, *, on: bool, by: User, at: datetime) -> WebForm:
    """Open or close a form; a closed one has no page. Raises WebForm.DoesNotExist."""
    form = WebForm.objects.select_for_update().get(pk=form_id)
    if form.is_active != on:
        form.is_active = on
        form.save(update_fields=["is_active"])
        _record(form, "form.switched", by=by, at=at, detail={"on": on})
    return form


def checked(draft: Draft) -> Draft:
    """Bring a draft into the form in which it is kept. Raises UnusableForm."""
    name = " ".join(draft.name.split())
    if not name or len(name) > 120:
        raise UnusableForm(_("Please give the form a name of at most 120 letters."))
    origins = []
    for given in draft.origins:
        found = web_form.origin(given)
        if not found:
            raise UnusableForm(
                _("“%(given)s” is not a site. Please write it as https://www.shop.example, without a path.")
                % {"given": given[:100]}
            )
        origins.append(found)
    if len(origins) > MOST_ORIGINS:
        raise UnusableForm(_("A form can stand on at most %(most)d sites.") % {"most": MOST_ORIGINS})
    return Draft(name, tuple(dict.fromkeys(origins)), draft.takes_files)


def source_of(form: WebForm | None) -> str:
    """Where what comes by a form is from; None: the house's own contact page."""
    return web_form.SOURCE if form is None else f"{web_form.SOURCE}:{form.public_id}"


def _record(form: WebForm, verb: str, *, by: User, at: datetime, detail: Mapping[str, object]) -> None:
    history.record(None, verb, ref=f"form:{form.public_id}", by=by, at=at, detail=dict(detail))


# --- how often it is sent ---------------------------------------------------------------------------------------------

_COUNT = """
INSERT INTO crm_formcount AS c (source, network, hour, number)
VALUES (%(source)s, %(network)s, %(hour)s, 1), (%(source)s, '', %(hour)s, 1)
ON CONFLICT (source, network, hour) DO UPDATE SET number = c.number + 1 RETURNING network, number
"""


def count(source: str, *, network: str, at: datetime) -> bool:
    """Count one press of Send, and say whether it has to answer a question first. Commits by itself.

    network: as `networks.network_of` says it. Of a network nothing is kept but a count under a word of the day.
    """
    digest = _digest(network, at=at)
    rows = prepared(_COUNT, {"source": source, "network": digest, "hour": _hour(at)})
    told = dict(rows)
    if told[""] == 1:  # the first of an hour tidies up
        FormCount.objects.filter(hour__lt=at - KEPT_FOR).delete()
    return asks_a_question(from_network=told[digest], in_all=told[""])


def asks(source: str, *, network: str, at: datetime) -> bool:
    """Say whether the next press of Send will have to answer a question. Reads only."""
    digest = _digest(network, at=at)
    known = FormCount.objects.filter(source=source, network__in=["", digest], hour=_hour(at))
    told = dict(known.values_list("network", "number"))
    return asks_a_question(from_network=told.get(digest, 0) + 1, in_all=told.get("", 0) + 1)


def _digest(network: str, *, at: datetime) -> str:
    return web_form.network_digest(network, on=at.astimezone(UTC).date(), secret=settings.SECRET_KEY)


def _hour(at: datetime) -> datetime:
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return epoch + (at - epoch) // COUNTED_FOR * COUNTED_FOR


# --- what is sent -----------------------------------------------------------------------------------------------------


def receive(sent: Sent, *, at: datetime) -> Received:
    """Take in what a visitor sent, and acknowledge it by mail where they gave an address. The same key twice is one message.

    Their address is a claim: nothing here tells whether we know it, and it gets one acknowledgement a day (W01, W05).
    Raises intake.NothingSaid, identity.UnusableAddress, intake.DifferentContent; then nothing has changed.
    """
    message = web_form.as_message(sent, external_id=_external_id(sent, at=at))
    with transaction.atomic():
        received = intake.receive(message, at=at, origin="web form")
        if received.created and message.sender_kind == "email":
            address = identity.normalised("email", message.sender_address)
            acknowledged, told_of_files = _notices(address, at=at)
            notices = acknowledgements.after(
                received,
                sent.files,
                address=address,
                owner=str(received.conversation.owner or ""),
                acknowledged=acknowledged,
                told_of_files=told_of_files,
                is_proved=False,
                is_other=False,
                at=at,
            )
            if notices:
                insert_together(*notices)
    return received


def is_received(source: str, *, key: str) -> bool:
    """Whether the message of this page is with us already: its answer was lost on the way, and Send was pressed again."""
    return bool(key) and Interaction.objects.filter(source=source, external_id=key).exists()


def promised_by(at: datetime) -> datetime | None:
    """By when whoever writes now hears from us, as everybody may know it; None where that depends on who writes.

    A visitor is told the same whether we know them or not: where regions keep hours of their own, only their mail says when.
    """
    if calendars.differ_by_region(at):
        return None
    return min(one.due_at for one in default_promises(at, spoken=False, calendar=calendars.in_force("", at)))


@transaction.atomic
def set_aside(sent: Sent, *, at: datetime) -> RawItem:
    """Keep what a program seems to have sent where people look through such things; nothing else happens. Never dropped."""
    key = _external_id(sent, at=at)
    item, _new = RawItem.objects.get_or_create(
        source=sent.source,
        external_id=key[:200],
        defaults={
            "content": web_form.as_mail(sent, own_address=settings.EVENHAND_MAIL_FROM),
            "label": f"{sent.email or sent.phone}"[:300],
            "received_at": at,
            "facts": {"phone": sent.phone[:60], "name": sent.name[:200], "language": sent.language},
            "state": WorkState.DONE,
            "kind": "spam",
            "reason": "trap: A field that people do not see was filled in.",
        },
    )
    return item


def take_in_anyway(item: RawItem, mail: mail_channel.Mail, *, at: datetime) -> Received:
    """Take in what a person says a customer sent by a form. Its promises count from when it reached us.

    Raises intake.NothingSaid, identity.UnusableAddress.
    """
    sent = Sent(
        source=item.source,
        key=item.external_id,
        email=mail.customer or "",
        phone="" if mail.customer else str(item.facts.get("phone", "")),
        name=str(item.facts.get("name", "")),
        subject=mail.subject,
        text=mail.full_text,
        language=str(item.facts.get("language", "")),
    )
    message = web_form.as_message(sent, external_id=item.external_id)
    message = replace(message, spoke_at=item.received_at, held_at=item.received_at)
    return intake.receive(message, at=at, origin="web form", raw=item)


def _external_id(sent: Sent, *, at: datetime) -> str:
    if sent.key:
        return sent.key
    today, before = (
        web_form.words_key(sent, on=(at - ago).astimezone(UTC).date()) for ago in (timedelta(0), COUNTED_FOR)
    )
    if today != before and Interaction.objects.filter(source=sent.source, external_id=before).exists():
        return before  # pressed before midnight, and once more after it
    return today


def _notices(address: str, *, at: datetime) -> tuple[int, int]:
    """How many acknowledgements and notes about files this address got within a day. One statement."""
    notices = OutgoingMessage.objects.filter(kind=MessageKind.NOTICE, address=address, created_at__gt=at - DAY)
    told = notices.aggregate(
        acknowledged=Count("pk", filter=Q(key__startswith=ACKNOWLEDGED)),
        of_files=Count("pk", filter=Q(key__startswith=FILES_REFUSED)),
    )
    return told["acknowledged"], told["of_files"]
