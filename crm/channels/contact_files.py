"""Files of customers from other programs: CSV, TSV, XLSX and vCard, read in one pass by a table of columns.

Text is read line by line, so a file may be far larger than the memory. A workbook is unpacked whole by its library and therefore
has a limit of its own; above a limit a file is refused before anything of it is read.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.utils.translation import gettext as _

from crm.channels import vcards
from crm.channels.contact_columns import (
    DATE_FORMATS,
    IDS,
    REACHED,
    Mapped,
    checked_encoding,
    field_of,
    plain,
    recognised,
)
from crm.channels.rows import NotThisShape, Rejected, Row, read, restored

LARGEST: Final = 500_000_000
"""Bytes of a file of text."""
LARGEST_WORKBOOK: Final = 100_000_000
"""Bytes of a workbook once unpacked; some 200,000 rows of ten columns."""
SEVERAL: Final = ":::"
"""Between several values in one cell, as address books write it."""
_SAMPLE: Final = 100

_PLACEHOLDER: Final = frozenset(
    {"", "na", "n a", "none", "null", "nil", "unknown", "unbekannt", "test", "xxx", "tbd", "not given", "undefined"}
)

REASONS: Final = {
    "wrong_columns": "The row has more cells than the file has columns.",
    "duplicate_id": "An earlier row of the file has the same id.",
    "no_id": "The row has no id.",
    "nobody": "The row names nobody: there is neither a name nor a key nor a way to reach them.",
    "unreadable_row": "The row cannot be read; a quotation mark may be missing.",
    "unreadable_card": "The card has no end.",
    "too_long": "Something in the row is longer than any name or address.",
    "wrong_custom_value": "A value does not fit the field of our own that it is for.",
}
"""Why a row is not taken in: a stable code and the sentence for people."""


class FileTooLarge(NotThisShape):
    """A file above what is read in one go."""

    code = "file_too_large"


@dataclass(frozen=True, slots=True)
class Person:
    """One row. id: its own, or its number; values: as they stand, by our fields; keys: (their column, value) that is verified.

    proved: our fields whose values are verified.
    """

    id: str | int
    values: Mapping[str, tuple[str, ...]]
    keys: tuple[tuple[str, str], ...]
    proved: frozenset[str]
    row: Row


@dataclass(frozen=True, slots=True)
class Looked:
    """What a first look at a file shows. kind: "table" or "cards"; columns: their names; samples: values by column;
    guessed: our fields to their columns; encoding, delimiter, date_format: as it seems to be written; rows: about how many."""

    kind: str
    columns: list[str]
    samples: list[list[str]]
    guessed: dict[str, tuple[str, ...]]
    encoding: str
    delimiter: str
    date_format: str
    rows: int


def parse(
    path: Path, mapping: Mapped, *, told: Callable[[int], None] = lambda done: None
) -> Iterator[Person | Rejected]:
    """Read a file row by row, in its order. told: hears how many rows have been read. Raises NotThisShape, OSError."""
    kind, start = kind_of(path)
    seen: set[str | int] = set()
    found = _cards(path, mapping) if kind == "cards" else _rows(_table_rows(path, start, kind, mapping), mapping)
    for done, one in enumerate(found, start=1):
        told(done)
        if isinstance(one, Person) and one.id in seen:
            yield one.row.rejected("duplicate_id", REASONS["duplicate_id"])
            continue
        if isinstance(one, Person):
            seen.add(one.id)
        yield one


def kind_of(path: Path) -> tuple[str, bytes]:
    """What a file is: "sheet", "cards" or "text", and its first bytes. Raises FileTooLarge, NotThisShape."""
    with path.open("rb") as file:
        start = file.read(4096)
    if path.stat().st_size > LARGEST:
        raise FileTooLarge(_("The file is larger than 500 MB; please cut it into several."))
    if start[:4] == b"PK\x03\x04":
        return "sheet", start
    if path.suffix.lower() in (".vcf", ".vcard") or start.lstrip(b"\xef\xbb\xbf\r\n ")[:11].upper() == b"BEGIN:VCARD":
        return "cards", start
    if start[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise NotThisShape(_("This is a workbook of an old form (XLS). Please save it as XLSX or CSV."))
    if start[:5] == b"%PDF-" or (b"\x00" in start and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))):
        raise NotThisShape(_("This is no file of rows. CSV, TSV, XLSX and vCard can be read."))
    return "text", start


def look(path: Path, *, encoding: str = "", delimiter: str = "") -> Looked:
    """Guess how a file is to be read, from its first rows; encoding, delimiter: as somebody says who knows it.

    Raises NotThisShape, OSError.
    """
    kind, start = kind_of(path)
    if kind == "cards":
        with path.open("rb") as file:
            rows = sum(1 for line in file if line.strip().upper() == b"END:VCARD")
        return Looked("cards", [], [], {}, "", "", "", rows)
    encoding = "" if kind == "sheet" else encoding or _guessed_encoding(path, start)
    delimiter = "" if kind == "sheet" else _delimiter(path, encoding, delimiter)
    found = _table_rows(path, start, kind, Mapped(encoding=encoding, delimiter=delimiter))
    first = [row for row in islice(found, _SAMPLE) if isinstance(row, Row)]
    if not first:
        raise NotThisShape(_("The file has no line with the names of its columns."))
    columns = first[0].cells
    samples = [
        list(dict.fromkeys(row.cells[place] for row in first[1:] if len(row.cells) > place and row.cells[place]))
        for place in range(len(columns))
    ]
    guessed = recognised(columns)
    born = [value for name in guessed.get("birth_date", ()) for value in samples[columns.index(name)]]
    return Looked(
        "table",
        columns,
        [each[:3] for each in samples],
        guessed,
        encoding,
        delimiter,
        next((shape for shape in DATE_FORMATS if born and all(_date(one, (shape,)) for one in born)), ""),
        _lines_in(path) if kind == "text" else len(first) - 1 + sum(1 for _row in found),
    )


def _lines_in(path: Path) -> int:
    with path.open("rb") as file:
        return max(sum(1 for _line in file) - 1, 0)


def _guessed_encoding(path: Path, start: bytes) -> str:
    marked = _marked(start)
    if marked:
        return marked
    try:
        _decodable(path, "utf-8")
    except NotThisShape:
        return "cp1252"
    return "utf-8"


def _marked(start: bytes) -> str:
    for mark, name in (
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
        (codecs.BOM_UTF8, "utf-8-sig"),
    ):
        if start.startswith(mark):
            return name
    return ""


def _decodable(path: Path, encoding: str) -> None:
    """See first that the whole file is what it is said to be: nobody wants half of it."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while piece := file.read(1_000_000):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeError as trouble:
        raise NotThisShape(
            _("The file is not %(encoding)s; name its encoding in the table's [options], often cp1252.")
            % {"encoding": encoding.upper() if encoding == "utf-8" else encoding}
        ) from trouble


def _table_rows(path: Path, start: bytes, kind: str, mapping: Mapped) -> Iterator[Row | Rejected]:
    return _sheet(path) if kind == "sheet" else _table(path, start, mapping)


def _table(path: Path, start: bytes, mapping: Mapped) -> Iterator[Row | Rejected]:
    encoding = checked_encoding(mapping.encoding) or _marked(start) or "utf-8"
    _decodable(path, encoding)
    delimiter = _delimiter(path, encoding, mapping.delimiter)
    with path.open(encoding=encoding, newline="") as text:
        yield from read((line.encode("utf-8", "replace") for line in text), delimiter=delimiter)


def _delimiter(path: Path, encoding: str, named: str) -> str:
    if named:
        return named
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    with path.open(encoding=encoding, newline="") as text:
        head = text.readline(100_000)
    return max(",;\t|", key=head.count)


def _sheet(path: Path) -> Iterator[Row | Rejected]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with zipfile.ZipFile(path) as pack:
            if sum(part.file_size for part in pack.infolist()) > LARGEST_WORKBOOK:
                raise FileTooLarge(_("The workbook is larger than 100 MB once unpacked; please save it as CSV."))
        sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            told = [_cell(cell) for cell in cells]
            if any(told):
                text = io.StringIO()
                csv.writer(text).writerow(told)
                yield Row(told, text.getvalue().encode(), number)
    except (CalamineError, zipfile.BadZipFile, IndexError) as trouble:
        raise NotThisShape(_("This is not a workbook that can be read: %(what)s.") % {"what": trouble}) from trouble


def _cell(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date):
        return cell.isoformat()[:10]
    return " ".join(str(cell).split())


def _cards(path: Path, mapping: Mapped) -> Iterator[Person | Rejected]:
    proved = frozenset(filter(None, map(field_of, mapping.verified)))
    with path.open("rb") as file:
        for number, card in enumerate(vcards.read(file), start=1):
            row = Row([], card.content, card.line)
            if not card.is_whole:
                yield row.rejected("unreadable_card", REASONS["unreadable_card"])
                continue
            values = {name: told for name, told in card.values.items() if field_of(name)}
            own = card.values.get("uid", [""])[0] if plain(mapping.id) == "uid" else ""
            keys = tuple(("uid", one) for one in card.values.get("uid", []) if "uid" in map(plain, mapping.verified))
            yield _person(row, own or number, values, keys, proved, mapping)


class _Places:
    """Where our fields stand in a file's rows. Raises NotThisShape for a file that lacks what the table names."""

    def __init__(self, head: Row, mapping: Mapped) -> None:
        self.names = names = [plain(name) for name in head.cells]
        columns = mapping.columns or recognised(head.cells)
        self.own = mapping.id or ("" if mapping.columns else next((name for name in IDS if name in names), ""))
        wanted = [self.own] * bool(self.own) + [name for theirs in columns.values() for name in theirs]
        missing = [name for name in [*wanted, *mapping.verified] if plain(name) not in names]
        if missing:
            raise NotThisShape(
                _("The file lacks columns that the table names: %(what)s.") % {"what": ", ".join(missing)}
            )
        if not columns:
            raise NotThisShape(
                _("No column was recognised; write a table of columns. The file has: %(what)s.")
                % {"what": ", ".join(head.cells)[:500]}
            )
        self.of_field = {ours: [names.index(plain(name)) for name in theirs] for ours, theirs in columns.items()}
        self.verified = [plain(name) for name in mapping.verified]
        theirs_of = {ours: {plain(name) for name in theirs} for ours, theirs in columns.items()}
        self.proved = frozenset(ours for ours, theirs in theirs_of.items() if theirs <= set(self.verified))
        self.reached = {
            name for ours, theirs in theirs_of.items() if ours.partition(".")[0] in REACHED for name in theirs
        }

    def values(self, cells: Sequence[str]) -> dict[str, list[str]]:
        """The values of a row by our fields; a second street with its place is an address of its own."""
        found: dict[str, list[str]] = {}
        for ours, places in self.of_field.items():
            told = [cells[place] for place in places if cells[place]]
            if ours.partition(".")[0] in REACHED:
                told = [part.strip() for each in told for part in each.split(SEVERAL)]
            found[ours] = told
        homes = self.of_field.get("street", [])
        for number in range(1, len(homes)):
            home = {ours: cells[places[number]] for ours, places in self.of_field.items() if len(places) > number}
            if home["street"]:
                found.setdefault("postal", []).append(vcards.letter(home))
                found["street"].remove(home["street"])
        return found


def _rows(rows: Iterator[Row | Rejected], mapping: Mapped) -> Iterator[Person | Rejected]:
    head = next(rows, None)
    if not isinstance(head, Row):
        raise NotThisShape(_("The file has no line with the names of its columns."))
    at = _Places(head, mapping)
    own = at.names.index(plain(at.own)) if at.own else None
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Rejected):
            yield row
            continue
        if any(row.cells[len(at.names) :]):
            yield row.rejected("wrong_columns", REASONS["wrong_columns"])
            continue
        cells = [restored(cell) for cell in row.cells] + [""] * (len(at.names) - len(row.cells))
        if own is not None and not cells[own]:
            yield row.rejected("no_id", REASONS["no_id"])
            continue
        keys = tuple(
            (name, cells[at.names.index(name)])
            for name in at.verified
            if name not in at.reached and is_telling(cells[at.names.index(name)])
        )
        yield _person(row, cells[own] if own is not None else number, at.values(cells), keys, at.proved, mapping)


def is_telling(value: str) -> bool:
    """Whether a value can tell people apart: no placeholder, and not one sign repeated."""
    bare = plain(value)
    return bare not in _PLACEHOLDER and len(set(bare.replace(" ", ""))) > 1


def _person(
    row: Row,
    own: str | int,
    values: Mapping[str, Sequence[str]],
    keys: tuple[tuple[str, str], ...],
    proved: frozenset[str],
    mapping: Mapped,
) -> Person | Rejected:
    found = {name: tuple(dict.fromkeys(filter(None, told))) for name, told in values.items() if any(told)}
    if "birth_date" in found:
        dates = tuple(filter(None, (_date(each, mapping.date_formats) for each in found["birth_date"])))
        found.pop("birth_date")
        found |= {"birth_date": dates} if dates else {}
    if any(len(each) > 500 for told in found.values() for each in told) or len(str(own)) > 200:
        return row.rejected("too_long", REASONS["too_long"])
    telling = ("name", "given_name", "family_name", "company", "street", *REACHED)
    if not keys and not any(found.get(name) for name in telling) and not any(n.startswith("handle.") for n in found):
        return row.rejected("nobody", REASONS["nobody"])
    return Person(own, found, keys, proved, row)


def _date(written: str, formats: Sequence[str]) -> str:
    """A day as eight figures; "" for what is none, such as a birthday without its year."""
    for shape in (*formats, "%Y-%m-%d", "%Y%m%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"):
        try:
            return f"{datetime.strptime(written, shape):%Y%m%d}"  # noqa: DTZ007 – a day, no moment
        except ValueError:
            continue
    # Days that no calendar has were mistyped, and still tell people apart.
    return written if re.fullmatch(r"\d{8}", written) else ""
