"""Calls from a phone system's own records: those of the last day are followed up as if it had reported them, older ones count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction

from crm.actions import calls, identity, past
from crm.channels import Channel, Message
from crm.channels.call_records import CallRecord
from crm.models import Call, Interaction, User
from crm.models.people import ContactKind
from crm.policy import CallEventKind, Direction, EndedBy, TimeFrom

FOLLOWED_UP_FOR = timedelta(hours=24)
"""Calls that ended within this time before their import are followed up; what is older is history."""
NOTED_AROUND = (timedelta(minutes=15), timedelta(hours=1))
"""How long before it began, and after it ended, a colleague may have noted that a talk took place."""
CALLS_A_BATCH = 500


@dataclass(frozen=True, slots=True)
class Brought:
    """What a batch was: followed_up: new calls of the last day; remembered: older ones; known: were there before."""

    followed_up: int = 0
    remembered: int = 0
    known: int = 0
    missed: int = 0
    talked: int = 0

    def __add__(self, other: Brought) -> Brought:
        return Brought(
            self.followed_up + other.followed_up,
            self.remembered + other.remembered,
            self.known + other.known,
            self.missed + other.missed,
            self.talked + other.talked,
        )


def batches(records: Iterable[CallRecord]) -> Iterator[list[CallRecord]]:
    """Cut calls of customers into batches; calls from our own phones are no contacts and left out."""
    theirs = (record for record in records if not record.is_ours)
    while batch := list(islice(theirs, CALLS_A_BATCH)):
        yield batch


def source_of(system: str) -> str:
    """The source of a phone system's calls, whether it reports them or we read them from its file."""
    return f"phone:{system}"[:120]


def bring_in(
    records: Sequence[CallRecord],
    *,
    system: str,
    by: User | None,
    at: datetime,
    only_count: bool = False,
    dry: bool = False,
) -> Brought:
    """Take in calls. The same call twice, also one that the system reported itself, is one.

    by: who brought the file. only_count: all of it is history. dry: say what would be new, and write nothing. A call that
    nobody answered becomes a contact without words and a call-back, as everywhere; one that somebody answered is owed a call-back
    unless a colleague wrote it down (docs/adr/0016).
    """
    source = source_of(system)
    known = _known(records, source=source)
    fresh = {one.id: one for one in records if one.id not in known}.values()
    recent = [one for one in fresh if not only_count and one.ended_at >= at - FOLLOWED_UP_FOR]
    chosen = {one.id for one in recent}
    old = [one for one in fresh if one.id not in chosen]
    if not dry:
        for record in recent:
            _follow_up(record, source=source, by=by, at=at)
        past.bring_in([past.Past(_message(one, source=source), answered_at=one.answered_at) for one in old], at=at)
    talked = sum(one.answered_at is not None for one in fresh)
    return Brought(len(recent), len(old), len(records) - len(fresh), len(fresh) - talked, talked)


def _known(records: Sequence[CallRecord], *, source: str) -> set[str]:
    ids = [one.id for one in records]
    reported = Call.objects.filter(source=source, external_id__in=ids).values_list("external_id", flat=True)
    counted = Interaction.objects.filter(source=source, external_id__in=ids).values_list("external_id", flat=True)
    return {*reported, *counted}


@transaction.atomic
def _follow_up(record: CallRecord, *, source: str, by: User | None, at: datetime) -> None:
    """Report a call as its phone system would have, with the times of its record."""
    steps = [
        (CallEventKind.RANG, record.began_at),
        (CallEventKind.ANSWERED, record.answered_at),
        (CallEventKind.ENDED, record.ended_at),
    ]
    call: Call | None = None
    for kind, moment in steps:
        if moment is None:
            continue
        told = calls.Told(
            source=source,
            external_id=record.id,
            event_id=f"record:{kind}",
            kind=kind,
            stated_at=moment,
            caller=record.caller,
            name=record.name,
            ended_by=EndedBy.NETWORK if record.is_cut_by_network else EndedBy.UNKNOWN,
            time_from=TimeFrom.CALL_RECORD,
        )
        call = calls.report(told, by=by, at=at, origin="import")
    if call is not None and record.answered_at is not None and call.caller:
        _link(call, record)


def _link(call: Call, record: CallRecord) -> None:
    """Note that a colleague has written this talk down already, by the number and the time."""
    noted = (
        Interaction.objects.filter(
            source="desk:calls",
            channel=Channel.PHONE,
            direction=Direction.INBOUND,
            contact_point__kind=ContactKind.PHONE,
            contact_point__address=call.caller,
            spoke_at__range=(record.began_at - NOTED_AROUND[0], record.ended_at + NOTED_AROUND[1]),
        )
        .exclude(pk__in=Call.objects.exclude(written_down=None).values("written_down"))
        .order_by("spoke_at", "pk")
        .first()
    )
    if noted is not None:
        call.written_down = call.interaction = noted
        call.save(update_fields=["written_down", "interaction"])


def _message(record: CallRecord, *, source: str) -> Message:
    try:
        caller = identity.normalised(ContactKind.PHONE, record.caller)
    except identity.UnusableAddress:
        caller = ""
    return Message(
        channel=Channel.PHONE,
        source=source,
        external_id=record.id,
        sender_kind="phone",
        sender_address=caller,
        sender_name=record.name,
        spoke_at=record.began_at,
        wait_seconds=record.wait_seconds,
        call_seconds=record.call_seconds,
        wordless=True,
        ended_by=EndedBy.NETWORK if record.is_cut_by_network else EndedBy.UNKNOWN,
    )
