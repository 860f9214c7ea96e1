"""What a provider tells of a call: its steps, as every phone system reports them, and what was said after the tone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crm.actions import call_backs, calls
from crm.channels import Channel
from crm.channels.providers import CallTold, LeftMessage, one_line
from crm.models import Call, CallEvent, ChannelAccount, Interaction, RawItem
from crm.policy import CallEventKind, EndedBy, TimeFrom

LONGEST = 160
"""Characters of a call's and an event's id that are kept."""


@dataclass(frozen=True, slots=True)
class Left:
    """A message after the tone. is_new: its words had not been taken in before."""

    interaction: Interaction
    is_new: bool


def told(event: CallTold, account: ChannelAccount, item: RawItem, *, is_signed: bool, is_last: bool) -> bool:
    """Take in one step of a call; the same step again changes nothing. In a transaction.

    item: the bytes it was read from; it counts as heard when they reached us. is_last: nobody will try again. False when the
    step is told by its distance from a ring that we have not heard of; then nothing has changed.
    """
    stated = event.happened_at if is_signed else None
    call = Call.objects.filter(source=account.source, external_id=event.call_id[:LONGEST]).first()
    if call is not None and CallEvent.objects.filter(call=call, event_id=event.event_id[:LONGEST]).exists():
        return True
    if event.after_ring is not None:
        if call is None and not is_last:
            return False
        if call is not None and call.answered_at is not None:  # whoever saw it happen knows better
            return True
        stated = None if call is None else call.rang_at + event.after_ring
    calls.report(
        calls.Told(
            source=account.source,
            external_id=event.call_id[:LONGEST],
            event_id=event.event_id[:LONGEST],
            kind=CallEventKind(event.step),
            stated_at=stated,
            channel=Channel.PHONE,
            caller=one_line(event.caller, 320),
            name=one_line(event.caller_name, 200),
            ended_by=EndedBy(event.ended_by),
            time_from=TimeFrom.SIGNED if is_signed else TimeFrom.OUR_SERVER,
        ),
        by=None,
        at=item.received_at,
        origin=account.provider,
    )
    return True


def left_message(
    event: LeftMessage, account: ChannelAccount, item: RawItem, *, is_signed: bool, at: datetime
) -> Left | None:
    """Take in what a caller said after the tone; None when somebody answered the call. In a transaction.

    A call of which nothing else has reached us rang when the recording began. Raises what `intake.receive` raises.
    """
    if not Call.objects.filter(source=account.source, external_id=event.call_id[:LONGEST]).exists():
        rang = CallTold(
            event.call_id, "recorded", "rang", event.began_at, caller=event.caller, caller_name=event.caller_name
        )
        told(rang, account, item, is_signed=is_signed, is_last=True)
    call = Call.objects.select_for_update(of=("self",)).get(source=account.source, external_id=event.call_id[:LONGEST])
    if call.answered_at is not None:
        return None
    interaction, is_new = call_backs.left_words(call, event.text, raw=item, at=at, origin=account.provider)
    return Left(interaction, is_new)
