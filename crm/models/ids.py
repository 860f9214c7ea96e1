"""Public ids: time-ordered, unguessable, made in Python so that a row knows its id before it is written."""

from __future__ import annotations

import os
import time
import uuid


def uuid7() -> uuid.UUID:
    """Make a version 7 UUID (RFC 9562 5.7): 48 bits of milliseconds since 1970, 74 random bits.

    The standard library has it from Python 3.14 on.
    """
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    number = (number & ~(0xF000 << 64)) | (0x7000 << 64)
    number = (number & ~(0xC000 << 48)) | (0x8000 << 48)
    return uuid.UUID(int=number)
