"""Rows of files that other programs wrote: read line by line, and what cannot be taken in kept with the reason."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

LONGEST_ROW: Final = 500_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


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


def errors_file(rejected: Iterable[Rejected]) -> bytes:
    """Write rows that were not taken in as a CSV file: line, code, reason, row; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["line", "code", "reason", "row"])
    for one in rejected:
        writer.writerow([one.line, one.code, one.reason, f"'{one.text}" if one.text.startswith(_FORMULA) else one.text])
    return b"\xef\xbb\xbf" + text.getvalue().encode()
