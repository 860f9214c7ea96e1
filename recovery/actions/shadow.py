"""Every night: was yesterday's queue the same for every channel, and who was served out of order, and why?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from crm import history
from crm.actions import alerts, calendars
from crm.actions.intake import SPOKEN
from crm.channels import Channel
from crm.models import Certificate, Conversation, Interaction, Promise, Pull, RequiredSkill
from crm.policy import (
    AlertKind,
    ConversationState,
    Direction,
    QueueClass,
    default_promises,
    next_answer_promise,
    queue_due,
    queue_key,
)
from recovery.models import Decision, QueueDay
from recovery.parity import shadow
from recovery.parity.shadow import Arrival, Begun, Cause, Key, Stand
from recovery.policy import Severity

DAYS_MADE_UP = 14
"""How many missed days are looked at after a long silence."""


def channel_swap_shadow(at: datetime) -> int:
    """Look at every whole day since the last one looked at, yesterday the last. Returns how many were new.

    Safe to repeat and to run late: what belongs to a day is told from its own times, not from when this runs.
    """
    yesterday = timezone.localdate(at, _zone()) - timedelta(days=1)
    newest = QueueDay.objects.order_by("-day").values_list("day", flat=True).first()
    first = (
        yesterday if newest is None else max(newest + timedelta(days=1), yesterday - timedelta(days=DAYS_MADE_UP - 1))
    )
    days = [first + timedelta(days=number) for number in range((yesterday - first).days + 1)]
    return sum(look_at(day, at=at) for day in days)


def look_at(day: date, *, at: datetime) -> bool:
    """Look at one day that is over and write what was found; says whether it had not been looked at before.

    Where the order depended on the channel every lead is told.
    """
    since, until = (_midnight(each) for each in (day, day + timedelta(days=1)))
    waits = _waits(since, until=until)
    found = shadow.inversions(
        waits,
        place=_place,
        at_work=_at_work(waits, until=until),
        lacking=_lacking(waits, on=day),
        since=since,
        until=until,
    )
    reached = [wait for wait in waits if since <= wait.ingested_at < until]
    moments = [wait.begun.at for wait in waits if wait.begun is not None and wait.begun.at < until]
    tried, differing = shadow.differences(
        waits, moments=moments, every=list(Channel.values), seed=day.isoformat(), place=_place
    )
    differing += _stored_order_differs([wait.number for wait in waits])
    row = QueueDay(
        day=day,
        looked_at=at,
        arrivals=len(reached),
        begun=found.begun,
        swaps=tried,
        same_order=not differing,
        differences=[asdict(each) for each in differing[: shadow.LISTED]],
        out_of_order=found.total,
        unexplained=sum(number for (cause, _one, _other), number in found.counts.items() if cause == Cause.UNEXPLAINED),
        counts=[
            {"cause": cause, "begun": begun, "passed": passed, "number": number}
            for (cause, begun, passed), number in found.counts.most_common()
        ],
        gravest=[_line(waits[each.begun], waits[each.passed], each) for each in found.gravest],
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            if differing:
                detail = {"day": day.isoformat(), "places": len(differing)}
                alerts.write([alerts.told(AlertKind.ORDER_DIFFERS, key=day.isoformat(), at=at, detail=detail)])
            history.record(
                None, "queue.looked_at", ref=f"day:{day}", by=None, at=at, detail={"same_order": not differing}
            )
    except IntegrityError:
        if not QueueDay.objects.filter(day=day).exists():
            raise
        return False  # another worker was first
    return True


def _place(arrival: Arrival, stand: Stand, channel: str) -> Key:
    """Where a matter would stand had it come on this channel: what intake promises there, and the queue's own key."""
    usual: list[tuple[str, datetime]] = []
    if arrival.opens:
        calendar = calendars.in_force(arrival.region, arrival.spoke_at)
        promised = default_promises(arrival.spoke_at, spoken=channel in SPOKEN, calendar=calendar)
        usual = [(promise.kind, promise.due_at) for promise in promised]
    due_at = cast(datetime, queue_due([*usual, *stand.promised]))  # whatever waits has something promised
    return queue_key(queue_class=stand.queue_class, due_at=due_at, spoke_at=arrival.spoke_at, number=arrival.number)


def _taken(wait: Arrival, pulls: list[Taken]) -> Arrival:
    """Let a matter have begun when its colleague took it from the queue, with the reason they gave, not when they answered.

    A matter that is in work and not answered yet has begun too.
    """
    if wait.begun is not None and wait.begun.live:
        return wait
    ends = wait.begun.at if wait.begun is not None else None
    last = None
    for at, by, reason, credit_from in pulls:
        mine = wait.begun is None or by == wait.begun.by
        if mine and at >= wait.ingested_at and (ends is None or at <= ends):
            last = Begun(at=at, by=by, reason=reason, credit_from=credit_from)
    return wait if last is None else replace(wait, begun=last)


def _begun(said: Said) -> Begun | None:
    """When and by whom a matter was begun: the first word of a colleague to the customer, written or spoken; None before."""
    if said.author is None:
        return None
    if said.direction == Direction.OUTBOUND:
        return Begun(at=said.ingested_at, by=said.author)
    if said.channel in SPOKEN:  # a talk that a colleague wrote down: it began when they took it
        return Begun(at=said.spoke_at + timedelta(seconds=said.wait_seconds), by=said.author, live=True)
    return None


def _lacking(waits: Sequence[Arrival], *, on: date) -> Mapping[int, Collection[str]]:
    """What each colleague who began something is not certified for on a day, of the skills that are asked for."""
    demanded = set(RequiredSkill.objects.values_list("skill", flat=True))
    people = {wait.begun.by for wait in waits if wait.begun is not None and wait.begun.by is not None}
    shown: dict[int, set[str]] = defaultdict(set)
    for person, skill in Certificate.objects.valid(on).filter(user__in=people).values_list("user_id", "skill"):
        shown[person].add(skill)
    return {person: demanded - shown[person] for person in people}


Matter = tuple[str, int | None, int, str]
"""Public id, owner, queue class and region of a conversation."""


Taken = tuple[datetime, int, str, datetime | None]
"""When and by whom a matter was taken from the queue, the reason out of order, and since which due time a credit moved it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is read of an interaction."""

    conversation: int
    direction: str
    channel: str
    spoke_at: datetime
    ingested_at: datetime
    author: int | None
    wait_seconds: int


def _waits(since: datetime, *, until: datetime) -> list[Arrival]:
    """Everything that waited for us at some time from `since` to `until`, with what placed it."""
    touched = Interaction.objects.filter(ingested_at__gte=since, imported=False).values("conversation_id")
    matters = Conversation.objects.filter(spoke_at__lt=until, imported=False).filter(
        Q(pk__in=touched) | Q(state=ConversationState.OPEN)
    )
    known = {
        number: (str(public_id), owner, queue_class, region)
        for number, public_id, owner, queue_class, region in matters.order_by("pk").values_list(
            "pk", "public_id", "owner_id", "queue_class", "customer__region"
        )
    }
    said = (
        Interaction.objects.that_stand()
        .filter(conversation__in=matters)
        .exclude(direction=Direction.INTERNAL)
        .order_by("conversation_id", "ingested_at", "id")
        .values_list("conversation_id", "direction", "channel", "spoke_at", "ingested_at", "author_id", "wait_seconds")
    )
    standing = _Standing(matters, known)
    taken: dict[int, list[Taken]] = defaultdict(list)
    pulls = Pull.objects.filter(conversation__in=matters).order_by("at", "pk")
    asked = pulls.values_list("conversation_id", "at", "by_id", "reason", "credited__only_after")
    for number, at, by, reason, credit_from in asked:
        taken[number].append((at, by, reason, credit_from))
    return [
        standing.of(_taken(wait, taken[wait.number]))
        for wait in _stretches((Said(*row) for row in said.iterator(chunk_size=2000)), known)
        if min(wait.spoke_at, wait.ingested_at) < until and (wait.begun is None or wait.begun.at >= since)
    ]


def _stretches(said: Iterable[Said], known: Mapping[int, Matter]) -> Iterator[Arrival]:
    """Cut each conversation into the stretches in which its customer waited for us."""
    current: Arrival | None = None
    matter = 0
    for each in said:
        if each.conversation not in known:
            continue
        opens = each.conversation != matter
        if opens and current is not None:
            yield current
            current = None
        matter = each.conversation
        if each.direction == Direction.INBOUND and current is None:
            ref, owner, _class, region = known[matter]
            current = Arrival(
                number=matter,
                ref=ref,
                channel=each.channel,
                spoke_at=each.spoke_at,
                ingested_at=each.ingested_at,
                stands=(),
                opens=opens,
                region=region,
                owner=owner,
            )
        begun = _begun(each)
        if begun is not None and current is not None:
            yield replace(current, begun=begun)
            current = None
    if current is not None:
        yield current


class _Standing:
    """What placed each matter when: promises and decisions, read once for all."""

    def __init__(self, matters: Any, known: Mapping[int, Matter]) -> None:
        self.known = known
        self.promises: dict[int, list[Promise]] = defaultdict(list)
        for promise in Promise.objects.filter(conversation__in=matters).order_by("pk"):
            self.promises[promise.conversation_id].append(promise)
        self.decisions: dict[int, list[tuple[datetime, int, str, str]]] = defaultdict(list)
        decided = Decision.objects.filter(case__conversation__in=matters).order_by("decided_at", "pk")
        for number, at, decision, severity, kind in decided.values_list(
            "case__conversation_id", "decided_at", "pk", "entitlement__severity", "facts__complaint_type"
        ):
            self.decisions[number].append((at, decision, severity, kind))

    def of(self, wait: Arrival) -> Arrival:
        """Complete a stretch with what placed it, and with what somebody has to know for it."""
        ends = wait.begun.at if wait.begun else None
        decided = [each for each in self.decisions[wait.number] if ends is None or each[0] <= ends]
        known_at = {f"decision:{number}": at for at, number, _severity, _type in decided}
        running = []  # (known since, kind, due at) of what is promised beside what everybody is promised
        for promise in self.promises[wait.number]:
            if promise.met_at is not None and promise.met_at <= wait.ingested_at:
                continue
            if wait.opens and promise.given_by == "everybody":
                continue
            decided_on = promise.given_by.startswith("decision:")
            known_since = known_at.get(promise.given_by) if decided_on else promise.starts_at
            if known_since is not None and (ends is None or known_since <= ends):
                running.append((known_since, promise.kind, promise.due_at))
        critical = [at for at, _number, severity, _type in decided if severity == Severity.CRITICAL]
        always = not decided and self.known[wait.number][2] == QueueClass.CRITICAL
        moments = sorted({wait.ingested_at, *(at for at, *_rest in running), *critical})
        stands: list[Stand] = []
        for moment in moments:
            if moment < wait.ingested_at:
                continue
            is_critical = always or any(at <= moment for at in critical)
            promised = tuple((kind, due_at) for at, kind, due_at in running if at <= moment)
            stand = Stand(moment, QueueClass.CRITICAL if is_critical else QueueClass.ORDINARY, promised)
            if not promised and not wait.opens:  # nothing stored says why it waits: it is due like any next answer
                stand = replace(stand, promised=_next_answer(wait))
            stands.append(stand)
        skill = decided[-1][3] if decided else ""
        return replace(wait, stands=tuple(stands), skill=skill)


def _next_answer(wait: Arrival) -> tuple[tuple[str, datetime], ...]:
    promise = next_answer_promise(wait.spoke_at, calendar=calendars.in_force(wait.region, wait.spoke_at))
    return ((promise.kind, promise.due_at),)


def _at_work(waits: Iterable[Arrival], *, until: datetime) -> set[int]:
    """Colleagues who began something on that day."""
    begun = (wait.begun for wait in waits if wait.begun is not None and wait.begun.at < until)
    return {each.by for each in begun if each.by is not None}


def _stored_order_differs(numbers: Sequence[int]) -> list[shadow.Difference]:
    """Compare the order in which the database hands out these matters with the key's: it must not look at the channel either."""
    rows = list(
        Conversation.objects.filter(pk__in=numbers)
        .exclude(due_at=None)
        .in_due_order()
        .values_list("queue_class", "due_at", "spoke_at", "pk", "public_id")
    )
    expected = sorted(
        rows,
        key=lambda row: queue_key(queue_class=row[0], due_at=cast(datetime, row[1]), spoke_at=row[2], number=row[3]),
    )
    return [
        shadow.Difference(0, place, str(one[4]), str(other[4]))
        for place, (one, other) in enumerate(zip(expected, rows, strict=True))
        if one != other
    ]


def _line(begun: Arrival, passed: Arrival, said: shadow.Passed) -> dict[str, Any]:
    return {
        "cause": said.cause,
        "number": said.number,
        "at": said.how.at.isoformat(),
        "by": said.how.by,
        "reason": said.how.reason,
        "begun": {"ref": begun.ref, "channel": begun.channel, "spoke_at": begun.spoke_at.isoformat()},
        "passed": {"ref": passed.ref, "channel": passed.channel, "spoke_at": passed.spoke_at.isoformat()},
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=_zone())


def _zone() -> Any:
    return timezone.get_default_timezone()
