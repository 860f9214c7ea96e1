"""The lines below a colleague's name in what customers read: plain text, few lines, nothing that could be something else."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_LINES: Final = 6
MAX_LINE_CHARS: Final = 80
MAX_CHARS: Final = 500
_DASHES: Final = re.compile(r"[-–—_=*~]{2,}")


def lines(text: str) -> tuple[str, ...]:
    """What a signature says, line by line: every run of blanks is one space, and what cannot be seen is left out.

    Left out are control and invisible characters, among them those that turn the order of letters round, empty lines, and
    lines of dashes alone: mail programs take “--” for the beginning of the signature. A line end of any kind ends a line,
    so that no line of it can become a header (M27). Says nothing about how many or how long; `is_fitting` does.
    """
    found = []
    for line in text.splitlines():
        seen = "".join(" " if letter.isspace() else letter for letter in line if not _is_unseen(letter))
        plain = " ".join(seen.split())
        if plain and not _DASHES.fullmatch(plain):
            found.append(plain)
    return tuple(found)


def is_fitting(signature: tuple[str, ...]) -> bool:
    """Say whether it is short enough: six lines of 80 characters, 500 characters together."""
    return (
        len(signature) <= MAX_LINES
        and all(len(line) <= MAX_LINE_CHARS for line in signature)
        and len("\n".join(signature)) <= MAX_CHARS
    )


def _is_unseen(letter: str) -> bool:
    # Joiners belong to the spelling of Persian and of Indian languages; tabs are blanks.
    return unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Cn"} and letter not in "\t\u200c\u200d"
