"""When more comes than people write: what is too much at once is not lost, it waits its turn."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

COUNTED_WITHIN: Final = timedelta(minutes=1)
"""How far back is counted what came."""
MESSAGES_OF_A_SENDER: Final = 30
"""What one sender can say into a matter within that time; nobody types that fast, a program does."""


SHARED_BY: Final = 8
"""Web processes that may use up together what one of them found to be left."""
STANDS_FOR: Final = timedelta(seconds=1)
"""How long a flood that was found is one without another look."""


def left_until_next_look(count: int, *, most: int) -> int:
    """How many more a process may let in, after the one it counted before, until it counts again. As for `is_flood`."""
    return max(0, (most - count - 1) // SHARED_BY)


def is_flood(count: int, *, most: int) -> bool:
    """Say whether one more would be too much. count: what came within the time that is counted. most: above 0."""
    return count >= most
