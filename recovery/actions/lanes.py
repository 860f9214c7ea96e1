"""What recovery does with the rows of its lanes."""

from __future__ import annotations

from datetime import datetime

from crm.actions import work
from recovery.actions import changes
from recovery.actions.arrivals import came_back, confirm
from recovery.actions.cases import follow_owner, seen_again, triage

HANDLERS = {
    "interaction.received": triage,
    "interaction.worded": triage,
    "outgoing.accepted": confirm,
    "outgoing.came_back": came_back,
    "owner.changed": follow_owner,
    "dismissal.overturned": seen_again,
    "service_change.unrequested": changes.opened,
    "service_change.ended": changes.ended,
}
LANES = ("triage", "recovery")


def work_batch(lane: str, *, at: datetime) -> int:
    """Work off one batch of a lane of recovery. Raises KeyError for a lane that is not ours."""
    if lane not in LANES:
        raise KeyError(lane)
    return work.work_batch(lane, _handle, at=at)


def _handle(event: str, ref: str, at: datetime) -> None:
    HANDLERS[event](event, ref, at)
