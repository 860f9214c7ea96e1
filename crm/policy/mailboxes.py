"""When a mailbox is asked again, and when somebody is told that it cannot be read."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

ASKED_EVERY: Final = timedelta(seconds=20)
ASKED_AT_LEAST_EVERY: Final = timedelta(minutes=5)
SLOWS_BY: Final = 4
"""A mailbox that fails is asked again after a quarter of the time it has been failing: often at first, then seldom."""
TOLD_AFTER: Final = timedelta(minutes=5)


def asked_again_after(failing_for: timedelta | None, *, more_is_waiting: bool = False) -> timedelta:
    """How long after it was last asked a mailbox is due again.

    failing_for: from its first failure to its last, None when the last answer was good. more_is_waiting: a good answer left mails
    behind because the round was over; they are fetched at once.
    """
    if failing_for is None:
        return timedelta(0) if more_is_waiting else ASKED_EVERY
    return min(max(failing_for / SLOWS_BY, ASKED_EVERY), ASKED_AT_LEAST_EVERY)


def is_told(failing_for: timedelta) -> bool:
    """Whether a mailbox has failed for so long that leads and administrators are told."""
    return failing_for >= TOLD_AFTER
