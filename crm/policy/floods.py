"""When more comes than people write: what is too much at once is not lost, it waits its turn."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

COUNTED_WITHIN: Final = timedelta(minutes=1)
"""How far back is counted what came."""
MESSAGES_OF_A_SENDER: Final = 30
"""What one sender can say into a matter within that time; nobody types that fast, a program does."""


def is_flood(count: int, *, most: int) -> bool:
    """Say whether one more would be too much. count: what came within the time that is counted. most: above 0."""
    return count >= most
