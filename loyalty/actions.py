"""What happens to a kindness: planned once, written when its moment comes, noted when it has left."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import (
    belongings,
    consent,
    customers,
    fingerprints,
    gates,
    holds,
    in_public,
    lease,
    letters,
    mourning,
    outgoing,
    preferences,
    suppression,
    work,
)
from crm.channels import Channel
from crm.language.confidences import Kind
from crm.models import ContactPoint, Customer, LifeEvent, User
from crm.models.people import ContactKind, CustomerStatus
from crm.policy import MessageKind, OutgoingState
from crm.policy.suppression import SuppressionReason, SuppressionScope
from crm.together import prepared
from loyalty import policy
from loyalty.models import Gesture, Programme
from loyalty.policy import GestureState, Occasion

logger = logging.getLogger(__name__)

WRITTEN_AT_ONCE = 100
CAME_BACK = "came_back"
SAME_PERSON = "same_person_has_one"
BEREAVED = "bereavement"
STOP_LINK = "loyalty.stop"
"""The one narrow act a stop link grants: no more cards for this purpose to this customer."""


class UnknownLink(Exception):
    """A stop link that is not ours, or was changed."""

    code = "unknown_link"


class GateClosed(Exception):
    """No new kindness begins while customers are not treated alike (R071)."""

    code = "gate_closed"


def plan_birthdays(at: datetime) -> int:
    """Plan a card for everybody whose birthday is today where they live. Safe to repeat. Returns how many were new."""
    programme = Programme.objects.filter(occasion=Occasion.BIRTHDAY, is_active=True).first()
    if programme is None:
        return 0
    # Between the first and the last zone on earth it is at most two days at once, and a day more to plan ahead.
    wanted = Q()
    for offset in (-1, 0, 1):
        for month, day in policy.days_celebrated(at.date() + timedelta(days=offset)):
            wanted |= Q(month=month, day=day)
    born = LifeEvent.objects.standing().filter(wanted, kind="birthday", customer__status=CustomerStatus.ACTIVE)
    born = born.exclude(Exists(mourning.mourning(at).filter(customer=OuterRef("customer"))))
    for testers in holds.not_greeted():
        born = born.exclude(customer__in=testers)
    today_there = []
    for event in born.select_related("customer").order_by("id").iterator(chunk_size=500):
        zone = _zone(event.customer)
        today = at.astimezone(zone).date()
        if (event.month, event.day) in policy.days_celebrated(today):
            today_there.append((event.customer, today, zone))
    families = belongings.families([customer.pk for customer, _today, _zone_there in today_there])
    planned: dict[str, Gesture] = {}
    for customer, today, zone in today_there:
        key = f"birthday:{families[customer.pk].public_id}:{today.year}"
        planned.setdefault(
            key,
            Gesture(
                key=key,
                programme=programme,
                customer=customer,
                occasion_on=today,
                send_at=policy.moment_of_day(key, day=today, zone=zone),
            ),
        )
    known = set(Gesture.objects.filter(key__in=planned).values_list("key", flat=True))
    had = _had(planned.values(), families) | fingerprints.had(
        {one.customer_id: _once(one) for one in planned.values()}, at=at
    )
    fresh = [gesture for key, gesture in planned.items() if key not in known and gesture.customer_id not in had]
    with transaction.atomic():
        Gesture.objects.bulk_create(fresh, ignore_conflicts=True)
        if fresh:
            dispatch.after_commit("gesture.planned")
    return len(fresh)


def _had(planned: Collection[Gesture], families: Mapping[int, belongings.Family]) -> set[int]:
    """Customers who have a card for such a day this year already, in whatever record of their family (G19)."""
    of_whom = {one: gesture.customer_id for gesture in planned for one in families[gesture.customer_id].records}
    had = Gesture.objects.filter(
        programme__in={gesture.programme_id for gesture in planned},
        customer__in=of_whom,
        occasion_on__year__in={gesture.occasion_on.year for gesture in planned},
    )
    return {of_whom[customer] for customer in had.values_list("customer_id", flat=True)}


def _once(gesture: Gesture) -> str:
    """What a person gets once, under whatever record: a card a year."""
    return f"{gesture.programme.occasion}:{gesture.occasion_on.year}"


def remember_given(records: list[int], *, at: datetime) -> None:
    """Before somebody is erased: note by a keyed digest what they were given this year, and drop what is only planned (P09).

    To be called in the transaction that begins the erasure. Who registers again with the same address gets nothing twice.
    """
    theirs = Gesture.objects.select_for_update(of=("self",)).select_related("customer", "programme")
    for gesture in theirs.filter(customer__in=records).exclude(state=GestureState.DROPPED).order_by("pk"):
        if gesture.state == GestureState.PLANNED:
            _drop(gesture, "customer_erased", at=at)
        elif gesture.occasion_on.year >= at.year:
            end_of_year = at.replace(
                year=gesture.occasion_on.year + 1, month=1, day=3
            )  # the last zone is two days late
            fingerprints.remember(_once(gesture), records, keep_until=end_of_year)


def merged(kept_id: int, *, at: datetime) -> None:
    """Let a person whose records were made one have one card for a day, not one for each record (G19).

    To be called in the transaction that made them one. What has left or is leaving stays; of what is only planned the first counts.
    """
    theirs = Gesture.objects.select_for_update(of=("self",)).select_related("customer").filter(customer=kept_id)
    seen: set[tuple[int, int]] = set()
    for gesture in sorted(
        theirs.exclude(state=GestureState.DROPPED), key=lambda one: (one.state == GestureState.PLANNED, one.pk)
    ):
        occasion = (gesture.programme_id, gesture.occasion_on.year)
        if occasion in seen and gesture.state == GestureState.PLANNED:
            _drop(gesture, SAME_PERSON, at=at)
        seen.add(occasion)


def bereaved(customers: Any, *, at: datetime) -> None:
    """Drop what is planned for customers whom a death concerns, and what was written and stopped before it left (P01).

    customers: their keys, or a query of them. Called where a death is reported, and every minute. Nothing is given late instead.
    """
    stopped = Q(state=GestureState.PLANNED) | Q(state=GestureState.QUEUED, message__state=OutgoingState.CANCELLED)
    theirs = Gesture.objects.filter(stopped, customer__in=customers)
    for gesture in theirs.select_for_update(of=("self",)).select_related("customer").order_by("pk"):
        _drop(gesture, BEREAVED, at=at)


def write_batch(*, at: datetime, size: int = WRITTEN_AT_ONCE) -> int:
    """Write the cards whose moment has come and put them among the outgoing messages. Returns how many were taken up.

    A card that cannot be written is dropped with the reason and stops no other (F24). Those that can be are put out together;
    when one of them is refused, each by itself.
    """
    with transaction.atomic():
        due = list(
            Gesture.objects.due(at)
            .exclude(Exists(mourning.mourning(at).filter(customer=OuterRef("customer"))))
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("customer")
            .order_by("send_at", "id")[:size]
        )
        reached = _reached([gesture.customer_id for gesture in due])
        cards: list[tuple[Gesture, outgoing.Draft]] = []
        for gesture in due:
            point = reached.get(gesture.customer_id)
            lease.guarded(partial(_write, gesture, point, cards, at=at), failed=partial(_not_written, gesture, at=at))
        if cards and not lease.guarded(partial(_put_out_together, cards, at=at), failed=_not_together):
            for gesture, draft in cards:
                lease.guarded(partial(_put_out, gesture, draft, at=at), failed=partial(_not_written, gesture, at=at))
    return len(due)


def _reached(customer_ids: list[int]) -> dict[int, tuple[int, str]]:
    """The address of each customer that a card goes to, with its key: the first they gave."""
    points = ContactPoint.objects.filter(customer__in=customer_ids, kind=ContactKind.EMAIL, unlinked_at=None)
    found = points.order_by("-id").values_list("customer_id", "pk", "address")
    return {customer: (key, address) for customer, key, address in found}


def _not_together(trouble: Exception) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble  # no fault of any card


def _not_written(gesture: Gesture, trouble: Exception, *, at: datetime) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble  # no fault of the card: the whole batch is as before and the next sweep comes back to it
    logger.exception("Gesture %s could not be written.", gesture.pk, exc_info=trouble)
    gesture.message = None
    _drop(gesture, f"not_written: {type(trouble).__name__}", at=at)


@transaction.atomic
def switch_on(programme_id: int, *, despite: str = "", by: User, at: datetime) -> Programme:
    """Begin a programme of kindness. despite: why it begins although customers are not treated alike, where that is so.

    What people are owed, and sympathy, wait for no gate. Raises Programme.DoesNotExist, GateClosed; then nothing has changed.
    """
    programme = Programme.objects.select_for_update().get(pk=programme_id)
    if programme.is_active:
        return programme
    closed = gates.reasons()
    if closed and not despite.strip():
        raise GateClosed(
            _("Not now: %(reason)s Please put that right first, or say why this should begin all the same.")
            % {"reason": " ".join(closed)}
        )
    programme.is_active = True
    programme.save(update_fields=["is_active"])
    detail = {"despite": despite.strip()[:300], "gates": len(closed)} if closed else {}
    history.record(None, "programme.switched_on", ref=f"programme:{programme.occasion}", by=by, at=at, detail=detail)
    return programme


@transaction.atomic
def switch_off(programme_id: int, *, by: User, at: datetime) -> Programme:
    """Plan no more gestures of a programme; those that are planned still go. Raises Programme.DoesNotExist."""
    programme = Programme.objects.select_for_update().get(pk=programme_id)
    if programme.is_active:
        programme.is_active = False
        programme.save(update_fields=["is_active"])
        history.record(None, "programme.switched_off", ref=f"programme:{programme.occasion}", by=by, at=at)
    return programme


@cache
def _signer(key: str) -> signing.TimestampSigner:
    """Signs stop links as `signing.dumps` does; made once a process and not once a card."""
    return signing.TimestampSigner(key=key, salt=STOP_LINK)


def _write(
    gesture: Gesture, point: tuple[int, str] | None, cards: list[tuple[Gesture, outgoing.Draft]], *, at: datetime
) -> None:
    customer = gesture.customer
    if point is None:
        return _drop(gesture, "no_address", at=at)
    if policy.too_late(day=gesture.occasion_on, at=at, zone=_zone(customer)):
        return _drop(gesture, "day_has_passed", at=at)
    point_id, address = point
    token = _signer(settings.SECRET_KEY).sign_object([customer.pk, customers.BIRTHDAY, point_id])
    stop_url = f"{settings.PUBLIC_URL}/stop/{token}/"
    letter = letters.render(
        "loyalty/birthday",
        language=customer.language,
        zone=customer.zone,
        name=customer.display_name,
        stop_url=stop_url,
        page_url=preferences.link(customer.pk, point_id, at=at),
    )
    draft = outgoing.Draft(
        key=f"gesture:{gesture.key}",
        kind=MessageKind.GESTURE,
        purpose=customers.BIRTHDAY,
        channel=Channel.EMAIL,
        address=address,
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        concerns=f"gesture:{gesture.public_id}",
        headers={
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": f"<{stop_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )
    cards.append((gesture, draft))
    return None


_QUEUED = """
UPDATE loyalty_gesture SET state = 'queued', message_id = message
FROM unnest(%(gestures)s::bigint[], %(messages)s::bigint[]) AS card (gesture, message)
WHERE id = gesture RETURNING id
"""


@transaction.atomic
def _put_out_together(cards: list[tuple[Gesture, outgoing.Draft]], *, at: datetime) -> None:
    queued = outgoing.queue_each([(draft, gesture.customer) for gesture, draft in cards], at=at)
    gestures = [gesture.pk for gesture, _draft in cards]
    prepared(_QUEUED, {"gestures": gestures, "messages": [queued[draft.key] for _gesture, draft in cards]})


@transaction.atomic
def _put_out(gesture: Gesture, draft: outgoing.Draft, *, at: datetime) -> None:
    gesture.message = outgoing.queue(draft, customer=gesture.customer, at=at)
    gesture.state = GestureState.QUEUED
    gesture.save(update_fields=["state", "message"])


def _drop(gesture: Gesture, reason: str, *, at: datetime) -> None:
    gesture.state, gesture.reason = GestureState.DROPPED, reason
    gesture.save(update_fields=["state", "reason", "sent_at"])
    history.record(gesture.customer, "gesture.dropped", ref=ref_of(gesture), by=None, at=at, detail={"reason": reason})


def _locked(ref: str) -> Gesture | None:
    """The gesture that a message concerns, locked with its customer read; None when it concerns something else."""
    kind, _colon, public_id = ref.partition(":")
    if kind != "gesture":
        return None
    gestures = Gesture.objects.select_for_update(of=("self",)).select_related("customer")
    return gestures.get(public_id=uuid.UUID(public_id))


def note_sent(event: str, ref: str, at: datetime) -> None:
    """Note that a gesture's card was accepted for delivery."""
    with transaction.atomic():
        gesture = _locked(ref)
        if gesture is None or gesture.state != GestureState.QUEUED:
            return
        gesture.state, gesture.sent_at = GestureState.SENT, at
        gesture.save(update_fields=["state", "sent_at"])
        history.record(gesture.customer, "gesture.sent", ref=ref, by=None, at=at)


def came_back(event: str, ref: str, at: datetime) -> None:
    """Note that a gesture's card did not reach its customer. It is not sent again by itself (G16)."""
    with transaction.atomic():
        gesture = _locked(ref)
        if gesture is None or gesture.state not in (GestureState.QUEUED, GestureState.SENT):
            return
        gesture.sent_at = None
        _drop(gesture, CAME_BACK, at=at)


@transaction.atomic
def stop(token: str, *, at: datetime) -> str:
    """Send this customer no more cards of the kind the link names, nor anything else cheerful to the address it was sent to.

    Twice is the same as once. Returns the kind. Raises UnknownLink for anything but a link we wrote.
    """
    link = opened(token)
    consent.withdraw(
        Customer.objects.get(pk=link.customer),
        link.purpose,
        evidence="Stop link in a card, confirmed by the recipient.",
        at=at,
    )
    point = ContactPoint.objects.filter(pk=link.point or 0).first()
    if point is not None:
        reason = SuppressionReason.UNSUBSCRIBE
        suppression.suppress(point.kind, point.address, scope=SuppressionScope.CHEERFUL, reason=reason, at=at)
    return link.purpose


@dataclass(frozen=True, slots=True)
class StopLink:
    """What a stop link says: whose it is, of what, and to which contact point it was sent; links from before do not say that."""

    customer: int
    purpose: str
    point: int | None


def opened(token: str) -> StopLink:
    """Read a stop link. Changes nothing. Raises UnknownLink."""
    try:
        customer_id, purpose, *rest = signing.loads(token, salt=STOP_LINK)
    except (signing.BadSignature, ValueError, TypeError) as refusal:
        raise UnknownLink("This link is not one of ours.") from refusal
    if not Customer.objects.filter(pk=customer_id).exists():
        raise UnknownLink("This link is not one of ours.")
    return StopLink(customer_id, purpose, rest[0] if rest else None)


def not_for_public(customers: Any) -> list[QuerySet[Any, tuple[str, str]]]:
    """That somebody was given something, for crm's look through public answers (evenhand/confidences.py)."""
    return [in_public.row(Gesture.objects.filter(customer__in=customers), Kind.GIFT, "pk")]


def ref_of(gesture: Gesture) -> str:
    """What history entries and messages call this gesture."""
    return f"gesture:{gesture.public_id}"


def work_batch(lane: str, *, at: datetime) -> int:
    """Work off one batch of loyalty's lane: cards to write, and news of cards that left. Raises KeyError for other lanes."""
    handlers = {"gestures": {"outgoing.accepted": note_sent, "outgoing.came_back": came_back}}[lane]
    return write_batch(at=at) + work.work_batch(lane, lambda event, ref, at: handlers[event](event, ref, at), at=at)


def _zone(customer: Customer) -> ZoneInfo:
    try:
        return ZoneInfo(customer.zone or settings.EVENHAND_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(settings.EVENHAND_ZONE)
