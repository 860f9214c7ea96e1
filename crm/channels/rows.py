"""Rows of files that other programs wrote: read line by line, and what cannot be taken in kept with the reason."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

LONGEST_ROW: Final = 500_000
_FORMULA: Final = "=+\\-@\t\r\n\x00\uff1d\uff0b\uff0d\uff20"
# A program that takes another sign for the end of a cell must find no formula behind it either.
_BEFORE: Final = r"(^|[,;|\t\r\n\"])"
_RISKY: Final = re.compile(_BEFORE + rf"('*)(?=[{_FORMULA}])")
_MADE_SAFE: Final = re.compile(_BEFORE + rf"'('*)(?=[{_FORMULA}])")


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that is not taken in. code: stable; reason: a sentence for people; content: its bytes; line: where it began."""

    code: str
    reason: str
    content: bytes
    line: int

    @property
    def text(self) -> str:
        """The row as people read it."""
        return self.content.decode("utf-8", "replace").rstrip("\r\n")


@dataclass(frozen=True, slots=True)
class Row:
    """One row. cells: as they stand, without blanks around; content: its bytes; line: where it began, from 1."""

    cells: list[str]
    content: bytes
    line: int

    def rejected(self, code: str, reason: str) -> Rejected:
        """Refuse this row."""
        return Rejected(code, reason, self.content, self.line)


class NotThisShape(ValueError):
    """A file, or the table that names its columns, is not what we can read."""

    code = "not_this_shape"


def table_of_columns(text: str) -> dict[str, Any]:
    """Read the TOML that names a file's columns. Raises NotThisShape, which says what is wrong."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        raise NotThisShape(_("The table of columns cannot be read: %(what)s.") % {"what": trouble}) from trouble


def read(lines: Iterable[bytes], *, delimiter: str = ",") -> Iterator[Row | Rejected]:
    """Read rows (RFC 4180), UTF-8 with or without a mark; empty lines are nothing. Memory: one row."""
    taken: list[bytes] = []
    number = 0

    def recorded() -> Iterator[str]:
        nonlocal number
        for line in lines:
            number += 1
            taken.append(line)
            yield (
                line.decode("utf-8", "replace").replace("\x00", "\ufffd").removeprefix("\ufeff" if number == 1 else "")
            )

    found = csv.reader(recorded(), delimiter=delimiter)
    while True:
        taken.clear()
        began = number + 1
        try:
            cells = next(found)
        except StopIteration:
            return
        except csv.Error:
            yield Rejected(
                "unreadable_row", "The row cannot be read; a quotation mark may be missing.", b"".join(taken), began
            )
            continue
        content = b"".join(taken)
        if not any(cell.strip() for cell in cells):
            continue
        if len(content) > LONGEST_ROW:
            yield Rejected("too_long", "The row is longer than 500,000 bytes.", content[:LONGEST_ROW], began)
            continue
        yield Row([cell.strip() for cell in cells], content, began)


def safe(cell: str) -> str:
    """The cell so that no spreadsheet takes it, or a part of it, for a formula; `restored` gives it back (S06).

    Source: OWASP, CSV Injection; full-width signs, which some programs read as the plain ones.
    """
    return _RISKY.sub(r"\1'\2", cell)


def restored(cell: str) -> str:
    """What stood in a cell before it was made safe."""
    return _MADE_SAFE.sub(r"\1\2", cell)


def line(cells: Iterable[str]) -> bytes:
    """One row of a CSV file (RFC 4180), every cell in quotation marks and safe."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow([safe(cell) for cell in cells])
    return text.getvalue().encode("utf-8", "replace")


def errors_head() -> bytes:
    """The first line of a file of rows that were not taken in."""
    return b"\xef\xbb\xbf" + line(["line", "code", "reason", "row"])


def errors_line(one: Rejected) -> bytes:
    """One row of it; no cell is a formula to a spreadsheet."""
    return line([str(one.line), one.code, one.reason, one.text])


def errors_file(rejected: Iterable[Rejected]) -> bytes:
    """Such a file in one piece."""
    return errors_head() + b"".join(map(errors_line, rejected))
