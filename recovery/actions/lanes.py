"""What recovery does with the rows of its lanes."""

from __future__ import annotations

from datetime import datetime

from crm.actions import work
from recovery.actions.cases import confirm, triage


def work_batch(lane: str, *, at: datetime) -> int:
    """Work off one batch of a lane of recovery. Raises KeyError for a lane that is not ours."""
    return work.work_batch(lane, {"triage": triage, "recovery": confirm}[lane], at=at)
