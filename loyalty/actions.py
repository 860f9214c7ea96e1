"""What happens to a kindness: planned once, written when its moment comes, noted when it has left."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta
from functools import cache, partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Q

from crm import dispatch, history
from crm.actions import consent, customers, lease, letters, outgoing, work
from crm.channels import Channel
from crm.models import ContactPoint, Customer, LifeEvent
from crm.models.people import ContactKind, CustomerStatus
from crm.policy import MessageKind
from crm.together import prepared
from loyalty import policy
from loyalty.models import Gesture, Programme
from loyalty.policy import GestureState, Occasion

logger = logging.getLogger(__name__)

WRITTEN_AT_ONCE = 100
CAME_BACK = "came_back"
SAME_PERSON = "same_person_has_one"
STOP_LINK = "loyalty.stop"
"""The one narrow act a stop link grants: no more cards for this purpose to this customer."""


class UnknownLink(Exception):
    """A stop link that is not ours, or was changed."""

    code = "unknown_link"


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
    planned, roots = [], {}
    born = LifeEvent.objects.filter(wanted, kind="birthday", customer__status=CustomerStatus.ACTIVE)
    for event in born.select_related("customer__parted_from__merged_into").order_by("id").iterator(chunk_size=500):
        zone = _zone(event.customer)
        today = at.astimezone(zone).date()
        if (event.month, event.day) not in policy.days_celebrated(today):
            continue
        # Records that were parted from one share its key: what is given once a year is given once (G19).
        root = event.customer.parted_from or event.customer
        root = root.merged_into or root
        key = _key(root.public_id, today.year)
        roots[key] = root.pk
        planned.append(
            Gesture(
                key=key,
                programme=programme,
                customer=event.customer,
                occasion_on=today,
                send_at=policy.moment_of_day(key, day=today, zone=zone),
            )
        )
    other_keys = _keys_of_records(planned, roots)
    asked = {key for gesture in planned for key in (gesture.key, *other_keys[gesture.key])}
    known = set(Gesture.objects.filter(key__in=asked).values_list("key", flat=True))
    had = _had(planned)
    fresh = [
        gesture
        for gesture in planned
        if known.isdisjoint((gesture.key, *other_keys[gesture.key])) and gesture.customer_id not in had
    ]
    with transaction.atomic():
        Gesture.objects.bulk_create(fresh, ignore_conflicts=True)
        if fresh:
            dispatch.after_commit("gesture.planned")
    return len(fresh)


def _key(public_id: uuid.UUID, year: int) -> str:
    return f"birthday:{public_id}:{year}"


def _keys_of_records(planned: list[Gesture], roots: dict[str, int]) -> dict[str, list[str]]:
    """By key of a card the keys of the records that are one with its own: a card under one of them is the person's card (G19)."""
    records: dict[int, list[uuid.UUID]] = {}
    for into, public_id in Customer.objects.filter(merged_into__in=set(roots.values())).values_list(
        "merged_into", "public_id"
    ):
        records.setdefault(into or 0, []).append(public_id)
    return {
        gesture.key: [_key(one, gesture.occasion_on.year) for one in records.get(roots[gesture.key], [])]
        for gesture in planned
    }


def _had(planned: list[Gesture]) -> set[int]:
    """Customers who have a card for such a day this year already, under the key of a record that is one with theirs."""
    days = {gesture.occasion_on.year for gesture in planned}
    had = Gesture.objects.filter(
        programme__in={gesture.programme_id for gesture in planned},
        customer__in=[gesture.customer_id for gesture in planned],
        occasion_on__year__in=days,
    )
    return set(had.values_list("customer_id", flat=True))


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


def write_batch(*, at: datetime, size: int = WRITTEN_AT_ONCE) -> int:
    """Write the cards whose moment has come and put them among the outgoing messages. Returns how many were taken up.

    A card that cannot be written is dropped with the reason and stops no other (F24). Those that can be are put out together;
    when one of them is refused, each by itself.
    """
    with transaction.atomic():
        due = list(
            Gesture.objects.due(at)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("customer")
            .order_by("send_at", "id")[:size]
        )
        reached = _reached([gesture.customer_id for gesture in due])
        cards: list[tuple[Gesture, outgoing.Draft]] = []
        for gesture in due:
            address = reached.get(gesture.customer_id, "")
            lease.guarded(partial(_write, gesture, address, cards, at=at), failed=partial(_not_written, gesture, at=at))
        if cards and not lease.guarded(partial(_put_out_together, cards, at=at), failed=_not_together):
            for gesture, draft in cards:
                lease.guarded(partial(_put_out, gesture, draft, at=at), failed=partial(_not_written, gesture, at=at))
    return len(due)


def _reached(customer_ids: list[int]) -> dict[int, str]:
    """The address of each customer that a card goes to: the first they gave."""
    points = ContactPoint.objects.filter(customer__in=customer_ids, kind=ContactKind.EMAIL, unlinked_at=None)
    return dict(points.order_by("-id").values_list("customer_id", "address"))


def _not_together(trouble: Exception) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble  # no fault of any card


def _not_written(gesture: Gesture, trouble: Exception, *, at: datetime) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble  # no fault of the card: the whole batch is as before and the next sweep comes back to it
    logger.exception("Gesture %s could not be written.", gesture.pk, exc_info=trouble)
    gesture.message = None
    _drop(gesture, f"not_written: {type(trouble).__name__}", at=at)


@cache
def _signer(key: str) -> signing.TimestampSigner:
    """Signs stop links as `signing.dumps` does; made once a process and not once a card."""
    return signing.TimestampSigner(key=key, salt=STOP_LINK)


def _write(gesture: Gesture, address: str, cards: list[tuple[Gesture, outgoing.Draft]], *, at: datetime) -> None:
    customer = gesture.customer
    if not address:
        return _drop(gesture, "no_address", at=at)
    if policy.too_late(day=gesture.occasion_on, at=at, zone=_zone(customer)):
        return _drop(gesture, "day_has_passed", at=at)
    stop_url = (
        f"{settings.PUBLIC_URL}/stop/{_signer(settings.SECRET_KEY).sign_object([customer.pk, customers.BIRTHDAY])}/"
    )
    letter = letters.render(
        "loyalty/birthday",
        language=customer.language,
        zone=customer.zone,
        name=customer.display_name,
        stop_url=stop_url,
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


def stop(token: str, *, at: datetime) -> str:
    """Send this customer no more cards of the kind the link names. Twice is the same as once. Returns the kind.

    Raises UnknownLink for anything but a link we wrote.
    """
    customer_id, purpose = opened(token)
    consent.withdraw(
        Customer.objects.get(pk=customer_id),
        purpose,
        evidence="Stop link in a card, confirmed by the recipient.",
        at=at,
    )
    return purpose


def opened(token: str) -> tuple[int, str]:
    """Read a stop link: customer and purpose. Changes nothing. Raises UnknownLink."""
    try:
        customer_id, purpose = signing.loads(token, salt=STOP_LINK)
    except (signing.BadSignature, ValueError, TypeError) as refusal:
        raise UnknownLink("This link is not one of ours.") from refusal
    if not Customer.objects.filter(pk=customer_id).exists():
        raise UnknownLink("This link is not one of ours.")
    return customer_id, purpose


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
