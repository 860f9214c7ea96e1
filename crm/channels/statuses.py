"""What a mail server's status code says about an address (RFC 3463): gone for good, or only this mail refused."""

from __future__ import annotations

import re
from typing import Final

_ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_PLAIN: Final = re.compile(r"(?<![\d.])([245])(\d)(\d)(?![\d.])")

# Class 5 and about the address or its mailbox. Not among them: a full mailbox (5.2.2), a mail too large (5.2.3, 5.3.4), its
# content (5.6), its sender or a policy (5.1.7, 5.1.8, 5.7), a route that looped or ran out of time (5.4.6, 5.4.7).
_GONE: Final = {
    "0": {"0"},
    "1": {"0", "1", "2", "3", "4", "6", "10"},
    "2": {"0", "1"},
    "4": {"1", "4"},
    "5": {"0"},
}
_GONE_PLAIN: Final = {"550", "551", "553"}  # RFC 5321 4.2.3: no such mailbox, not here, name not allowed


def is_gone(said: str) -> bool | None:
    """Say whether a status or a server's answer means that an address works no more; None when it holds no code.

    said: "5.1.1", or an answer such as "smtp; 550 5.1.1 user unknown"; the enhanced code counts where there is one.
    """
    enhanced = _ENHANCED.search(said)
    if enhanced is not None:
        kind, subject, detail = enhanced.groups()
        return kind == "5" and str(int(detail)) in _GONE.get(str(int(subject)), set())
    plain = _PLAIN.search(said)
    return None if plain is None else "".join(plain.groups()) in _GONE_PLAIN
