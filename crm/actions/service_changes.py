"""What was changed for customers: recorded by whoever changed it, and put back at once where they did not ask (R049, R056).

A change rests on the customer's own request, or it opens its undoing in the same transaction: a matter with a promise, a letter
with one button, and a case through recovery. Colleagues and customers may both put it back; only the customer may keep it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import connection, transaction
from django.db.models import F
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from crm import dispatch, history, money
from crm.actions import alerts, belongings, endings, letters, outgoing, promises, work
from crm.channels import Channel
from crm.models import (
    ContactPoint,
    Conversation,
    Customer,
    Interaction,
    OutgoingMessage,
    Promise,
    Reversal,
    ServiceChange,
    User,
)
from crm.models.people import ContactKind
from crm.policy import AlertKind, ConversationState, Direction, PromiseKind
from crm.policy.service_changes import PUT_BACK_WITHIN, Every, ReversalState, charged, may_end_as

AT_MOST = 100
_tokens = signing.Signer(salt="crm.service_change")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class UnknownCustomer(ValueError):
    """Nobody we know by this id."""

    code = "unknown_customer"


class UnusableChange(ValueError):
    """A change with something missing, or that cannot be."""

    code = "unusable_change"


class OtherChange(Exception):
    """The same key came again for another change."""

    code = "idempotency_key_reused"


class TheirsToKeep(Exception):
    """Only the customer says that a change stays."""

    code = "theirs_to_keep"


class NotEnded(Exception):
    """A change whose undoing still waits, so that there is nothing to confirm; or nobody said how it was confirmed."""

    code = "not_ended"


class UnknownLink(Exception):
    """A link that we did not write, or whose change asks for nothing."""

    code = "unknown_link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A change as the system that made it tells it.

    customer: public id. system and key: the same twice is one change. code: its kind there. cost: money above what they paid
    before, > 0, for each period of `every`; None when it costs nothing more. asked_in: the customer's own words that asked for it;
    asked_account: their account in the app. Without either, or when neither is theirs, nobody asked for it.
    """

    customer: uuid.UUID
    system: str
    key: str
    code: str
    changed_to: str
    effective_at: datetime
    changed_from: str = ""
    cost: Decimal | None = None
    currency: str = ""
    every: str = ""
    asked_in: uuid.UUID | None = None
    asked_account: uuid.UUID | None = None


@transaction.atomic
def record(told: Sequence[Told], *, by: User, at: datetime, origin: str = "") -> list[ServiceChange]:
    """Record up to 100 changes, all or none; those that nobody asked for are being put back from this moment.

    Raises UnknownCustomer, UnusableChange, OtherChange; then nothing has changed.
    """
    if not 0 < len(told) <= AT_MOST:
        raise UnusableChange(_("Please tell between one and %(most)d changes at a time.") % {"most": AT_MOST})
    _one_at_a_time({f"change:{one.system.strip()}:{one.key.strip()}" for one in told})
    return [_record(one, by=by, at=at, origin=origin) for one in told]


def _one_at_a_time(keys: Iterable[str]) -> None:
    """Let what carries the same key be recorded one after the other; in their order, so that nobody waits in a circle."""
    with connection.cursor() as cursor:
        for key in sorted(keys):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _record(told: Told, *, by: User, at: datetime, origin: str) -> ServiceChange:
    known = Customer.objects.filter(public_id=told.customer).first()
    if known is None:
        raise UnknownCustomer(_("We know no customer %(id)s.") % {"id": told.customer})
    customer = belongings.standing(known)
    change = _change(told, customer, by=by, at=at)
    standing = ServiceChange.objects.filter(system=change.system, key=change.key).first()
    if standing is not None:
        if _said(standing) != _said(change):
            raise OtherChange(_("The key “%(key)s” was used for another change.") % {"key": told.key})
        return standing
    if not change.is_requested:
        change.conversation = _matter(customer, by=by, at=at)
    change.save(force_insert=True)
    detail = {"system": change.system, "code": change.code, "requested": change.is_requested}
    history.record(customer, "service.changed", ref=ref_of(change), by=by, at=at, origin=origin, detail=detail)
    if change.conversation is not None:
        _begin(change, change.conversation, at=at)
    return change


def with_reversals(changes: Sequence[ServiceChange]) -> list[ServiceChange]:
    """The same changes in their order, each with its undoing where there is one; one statement."""
    found = ServiceChange.objects.select_related("reversal").in_bulk([change.pk for change in changes])
    return [found[change.pk] for change in changes]


def _change(told: Told, customer: Customer, *, by: User, at: datetime) -> ServiceChange:
    """The row of a change, not yet written. Raises UnusableChange."""
    words = {name: " ".join(getattr(told, name).split()) for name in ("system", "key", "code", "changed_to")}
    if missing := [name for name, text in words.items() if not text]:
        raise UnusableChange(_("Please say %(what)s.") % {"what": ", ".join(missing)})
    cost, currency, every = _cost(told)
    asked_in, asked_account = _request(told, customer)
    return ServiceChange(
        customer=customer,
        system=words["system"][:60],
        key=words["key"][:120],
        code=words["code"][:40],
        changed_from=" ".join(told.changed_from.split())[:300],
        changed_to=words["changed_to"][:300],
        effective_at=told.effective_at,
        cost=cost,
        currency=currency,
        every=every,
        asked_in=asked_in,
        asked_account=asked_account,
        by=by,
        at=at,
    )


def _cost(told: Told) -> tuple[Decimal | None, str, str]:
    if told.cost is None:
        return None, "", ""
    try:
        cost = money.rounded(told.cost, told.currency)
    except (ValueError, InvalidOperation) as mistake:
        raise UnusableChange(str(mistake)) from mistake
    if cost != told.cost or not 0 < cost < 10**8:
        raise UnusableChange(_("What it costs is more than nothing, in whole smallest units of its currency."))
    if told.every not in Every:
        raise UnusableChange(_("Please say how often it costs that: once, a day, a week, a month or a year."))
    return cost, told.currency, told.every


def _request(told: Told, customer: Customer) -> tuple[Interaction | None, User | None]:
    """The customer's own request; nobody else's words count as theirs, and neither does a claim that leads nowhere."""
    if told.asked_in is not None:
        records = belongings.records_of(customer)
        said = Interaction.objects.filter(
            public_id=told.asked_in, direction=Direction.INBOUND, other_address="", conversation__customer__in=records
        ).first()
        if said is not None:
            return said, None
    if told.asked_account is not None:
        return None, User.objects.filter(public_id=told.asked_account, customer=customer).first()
    return None, None


def words_named(text: str, *, customer: Customer) -> uuid.UUID | None:
    """Which words of the customer a colleague names: by their own id, or the newest ones of the matter whose page is named."""
    named = _ID.search(text)
    if named is None:
        return None
    public_id = uuid.UUID(named[0])
    theirs = Interaction.objects.filter(
        conversation__public_id=public_id,
        conversation__customer=customer,
        direction=Direction.INBOUND,
        other_address="",
    ).order_by("-spoke_at", "-pk")
    newest: uuid.UUID | None = theirs.values_list("public_id", flat=True).first()
    return newest or public_id


def _said(change: ServiceChange) -> tuple[object, ...]:
    return (
        change.customer_id, change.code, change.changed_from, change.changed_to, change.effective_at, change.cost, change.currency,
        change.every, change.asked_in_id, change.asked_account_id,
    )  # fmt: skip


def _matter(customer: Customer, *, by: User, at: datetime) -> Conversation:
    """A matter of our own making; it counts for the medium of the customer's newest one, so that it belongs to no other door."""
    newest = Conversation.objects.filter(customer=customer).order_by("-pk").values_list("channel", flat=True).first()
    with translation.override(letters.language_for(customer.language)):
        subject = _("A change that you did not ask for")
    matter = Conversation.objects.create(
        customer=customer,
        subject=subject,
        channel=newest or Channel.EMAIL,
        state=ConversationState.WAITING,
        spoke_at=at,
    )
    ref = f"conversation:{matter.public_id}"
    history.record(customer, "conversation.opened", ref=ref, by=by, at=at, detail={"because": "service_change"})
    return matter


def _begin(change: ServiceChange, matter: Conversation, *, at: datetime) -> None:
    """Open the undoing: its promise, the letter with its button, and the nudge by which a case is opened."""
    given_by = ref_of(change)
    promises.append(
        matter.pk, [(PromiseKind.REVERSAL, PUT_BACK_WITHIN)], starts_at=at, given_by=given_by, critical=False, at=at
    )
    endings.wait_for_us(matter.pk, by=None, at=at)
    due_at = Promise.objects.get(conversation=matter, kind=PromiseKind.REVERSAL, given_by=given_by).due_at
    reversal = Reversal(change=change, due_at=due_at)
    words = {**_words(change), "effective": change.effective_at, "put_back_by": due_at, "link": link_to(change)}
    reversal.told = _letter("change_unrequested", change, words, key=f"change:{change.public_id}", meets=[], at=at)
    reversal.save(force_insert=True)
    if reversal.told is None:
        alerts.write([alerts.told(AlertKind.CHANGE_UNTOLD, key=str(change.public_id), at=at, conversation=matter)])
    work.follow("service_change.unrequested", ref=given_by, at=at)


def _words(change: ServiceChange) -> dict[str, Any]:
    cost = cost_in_words(change, language=letters.language_for(change.customer.language))
    return {"changed_from": change.changed_from, "changed_to": change.changed_to, "cost": cost}


def cost_in_words(change: ServiceChange, *, language: str) -> str:
    """What a change costs more and how often, in a language that we write in; "" when it costs nothing more."""
    if change.cost is None:
        return ""
    amount = f"{money.rounded(change.cost, change.currency)} {change.currency}"
    with translation.override(language):
        return {
            Every.ONCE.value: _("%(amount)s, once"),
            Every.DAY.value: _("%(amount)s a day"),
            Every.WEEK.value: _("%(amount)s a week"),
            Every.MONTH.value: _("%(amount)s a month"),
            Every.YEAR.value: _("%(amount)s a year"),
        }[change.every] % {"amount": amount}


def _letter(
    template: str, change: ServiceChange, words: dict[str, Any], *, key: str, meets: list[str], at: datetime
) -> OutgoingMessage | None:
    """Write to the customer about a change; None where we have no address to write to."""
    customer = change.customer
    address = _address(customer)
    if address is None or change.conversation is None:
        return None
    written = letters.render(f"crm/{template}", language=customer.language, zone=customer.zone, **words)
    message = outgoing.written(
        outgoing.notice(written, key=key, address=address, meets=meets),
        customer=customer,
        conversation=change.conversation,
        at=at,
    )
    message.save(force_insert=True)
    dispatch.after_commit("outgoing.ready")
    return message


def _address(customer: Customer) -> str | None:
    """Where a letter reaches the customer: what works before what does not, what is proved before what is not."""
    points = ContactPoint.objects.filter(customer=customer, kind=ContactKind.EMAIL, unlinked_at=None)
    point = points.order_by(
        F("unconfirmed_since").asc(nulls_first=True), F("verified_at").asc(nulls_last=True), "pk"
    ).first()  # fmt: skip
    if point is not None:
        return point.address
    account = User.objects.filter(customer=customer, is_active=True).order_by("pk").first()
    return account.email if account is not None else None


# --- how it ends ----------------------------------------------------------------------------------------------------


def put_back(change_id: int, *, by: User, at: datetime) -> tuple[Reversal, bool]:
    """Put a change back with one click, as a colleague. Whoever comes second changes nothing.

    Returns the undoing and whether this call ended it. Raises Reversal.DoesNotExist.
    """
    return _end(change_id, ReversalState.REVERSED, by=by, proof="", at=at)


def answer(token: str, state: ReversalState, *, at: datetime) -> tuple[Reversal, bool]:
    """Let the customer say by their link what becomes of a change: put back, kept, or back already. The first word counts.

    Raises UnknownLink; then nothing has changed.
    """
    reversal = opened(token)
    proof = f"link of {reversal.told.public_id if reversal.told is not None else token}"
    return _end(reversal.change_id, state, by=None, proof=proof, at=at)


@transaction.atomic
def _end(change_id: int, state: ReversalState, *, by: User | None, proof: str, at: datetime) -> tuple[Reversal, bool]:
    if not may_end_as(state, by_customer=by is None):
        raise TheirsToKeep(_("Only the customer can say that it stays."))
    number = ServiceChange.objects.values_list("conversation_id", flat=True).get(pk=change_id, reversal__isnull=False)
    Conversation.objects.select_for_update(of=("self",)).get(pk=number)  # first, as everybody does
    reversal = (
        Reversal.objects.select_for_update(of=("self",))
        .select_related("change__customer", "change__conversation")
        .get(change=change_id)
    )
    if reversal.state != ReversalState.OPEN:
        return reversal, False
    change = reversal.change
    if change.cost is not None:
        so_far = charged(change.cost, change.every, since=change.effective_at, until=at)
        reversal.owed = money.rounded(so_far, change.currency)
    reversal.state, reversal.ended_at, reversal.ended_by = state, at, by
    reversal.by_customer, reversal.proof = by is None, proof[:300]
    words = {
        **_words(change),
        "is_kept": state == ReversalState.KEPT,
        "owed": f"{reversal.owed} {change.currency}" if reversal.owed else "",
        "ended": at,
    }
    key, meets = f"change_ended:{change.public_id}", [PromiseKind.REVERSAL.value]
    reversal.confirmed = _letter("change_ended", change, words, key=key, meets=meets, at=at)
    reversal.save()
    history.record(
        change.customer, f"service.{state.value}", ref=ref_of(change), by=by, at=at,
        origin="" if by is not None else "customer", detail={"owed": str(reversal.owed), "currency": change.currency},
    )  # fmt: skip
    work.follow("service_change.ended", ref=ref_of(change), at=at)
    return reversal, True


@transaction.atomic
def confirmed_by_hand(change_id: int, *, words: str, by: User, at: datetime) -> Reversal:
    """Note how the customer was told what became of it where no mail reaches them: a letter on paper, by hand at the counter.

    Raises Reversal.DoesNotExist, NotEnded; then nothing has changed.
    """
    number = ServiceChange.objects.values_list("conversation_id", flat=True).get(pk=change_id, reversal__isnull=False)
    matter = Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=number)
    reversal = Reversal.objects.select_for_update(of=("self",)).select_related("change__customer").get(change=change_id)
    if reversal.state == ReversalState.OPEN or not words.strip():
        raise NotEnded(_("Please put it back first, and then write how the customer got that in writing."))
    reversal.by_hand = words.strip()[:300]
    reversal.save(update_fields=["by_hand"])
    promises.meet(matter, [PromiseKind.REVERSAL], at=at, interaction=None)
    history.record(
        reversal.change.customer, "service.confirmed_by_hand", ref=ref_of(reversal.change), by=by, at=at
    )  # fmt: skip
    return reversal


# --- the customer's link --------------------------------------------------------------------------------------------


def ref_of(change: ServiceChange) -> str:
    """What history entries, promises and nudges call this change."""
    return f"change:{change.public_id}"


def link_to(change: ServiceChange) -> str:
    """The page on which the customer says what becomes of this one change; it opens nothing else."""
    return f"{settings.PUBLIC_URL}{reverse('service-change', args=[_tokens.sign(change.public_id.hex)])}"


def opened(token: str) -> Reversal:
    """The undoing that a link belongs to, with its change. Raises UnknownLink."""
    try:
        public_id = uuid.UUID(_tokens.unsign(token))
    except (signing.BadSignature, ValueError) as unknown:
        raise UnknownLink(_("We did not write this link.")) from unknown
    found = Reversal.objects.filter(change__public_id=public_id)
    reversal = found.select_related("change__customer", "told", "confirmed").first()
    if reversal is None:
        raise UnknownLink(_("We did not write this link."))
    return reversal
