"""Rows out of a file: CSV, TSV or XLSX, one at a time."""

from __future__ import annotations

import csv
import functools
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from recovery.parity import Unusable

Row = list[Any]  # texts; from XLSX also datetime and date
Told = Callable[[int, int], None]  # units read so far, units in all

SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # what spreadsheets write above the header
DELIMITERS = ",;\t|"
TOLD_EVERY = 5_000  # rows
FIELD_LIMIT = 16 * 1024 * 1024  # characters; a longer field is a lost quotation mark
WORKBOOK = "xl/workbook.xml"
MOST_UNPACKED = 4 * 1024**3  # bytes: a sheet of a million rows has about one
MOST_CELLS = 40_000_000  # in one sheet: every row there can be, with 38 columns
CHUNK = 4 * 1024 * 1024  # bytes
PLACE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{0,3}[0-9]{1,7})["']""")  # r="AB12" of a cell, r="12" of a row
LONGEST_PLACE = 32
LETTERS, DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789"
BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class Undecodable(Unusable):
    """The file is not in the encoding it was read in."""


def silent(done: int, total: int) -> None:
    """Tell nobody."""


def rows_of(path: Path, *, delimiter: str = "", encoding: str = "utf-8-sig", told: Told = silent) -> Iterator[Row]:
    """Yield the header and then every row that is not blank.

    path: a text file of separated values, or .xlsx (its first sheet with a filled first row).
    Raises Unusable when the file cannot be opened, decoded or taken apart.
    """
    try:
        if not path.is_file():
            raise Unusable(f"There is no file {path}.")
        with path.open("rb") as raw:
            start = raw.read(4)
            raw.seek(0)
            if not start:
                raise Unusable(f"{path.name} is empty.")
            if start == b"\xd0\xcf\x11\xe0":
                raise Unusable(
                    f"{path.name} is an old Excel file or one with a password; save it as .xlsx without one, or as .csv."
                )
            elif start[:4] == b"PK\x03\x04" or path.suffix.lower() in (".xlsx", ".xlsm"):
                yield from _sheet(path, told)
            else:
                for mark, name in BYTE_ORDER_MARKS:
                    if start.startswith(mark):
                        encoding = name
                yield from _text(raw, path, delimiter, encoding, told)
    except OSError as trouble:
        raise Unusable(f"{path} cannot be read: {trouble.strerror or trouble}.") from trouble


def _text(raw: BinaryIO, path: Path, delimiter: str, encoding: str, told: Told) -> Iterator[Row]:
    total = path.stat().st_size
    csv.field_size_limit(FIELD_LIMIT)
    try:
        text = io.TextIOWrapper(raw, encoding=encoding, newline="")
    except LookupError as trouble:
        raise Unusable(f"The encoding {encoding} is not known; write one such as utf-8 or cp1252.") from trouble
    try:
        said = SEPARATOR_LINE.fullmatch(text.readline().strip("\ufeff\r\n"))
        text.seek(0)
        if said:
            delimiter = delimiter or said[1]
        elif not delimiter:
            delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else _delimiter(text.readline())
            text.seek(0)
        if len(delimiter) != 1:
            raise Unusable("The delimiter must be one character.")
        for number, row in enumerate(csv.reader(text, delimiter=delimiter)):
            if number % TOLD_EVERY == 0:
                told(raw.tell(), total)
            if number == 0 and said:
                continue
            if row and (len(row) > 1 or row[0].strip()):
                yield row
        told(total, total)
    except UnicodeError as trouble:
        raise Undecodable(
            f"{path.name} is not {encoding}; name its encoding in the map's [options], often cp1252."
        ) from trouble
    except csv.Error as trouble:
        raise Unusable(f"{path.name} cannot be taken apart into fields: {trouble}.") from trouble


def _delimiter(header: str) -> str:
    bare = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=lambda each: (bare.count(each), -DELIMITERS.index(each)))


def _sheet(path: Path, told: Told) -> Iterator[Row]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as trouble:
        raise Unusable(
            "Reading XLSX needs the package python-calamine; install it or save the file as CSV."
        ) from trouble
    _look_inside(path)
    try:
        book = CalamineWorkbook.from_path(str(path))
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            total, width = sheet.height, sheet.width
            if total < 2 or width < 2:
                continue
            for number, row in enumerate(sheet.iter_rows()):
                if number % TOLD_EVERY == 0:
                    told(number, total)
                cells = [_cell(each) for each in row]
                if any(each != "" for each in cells):
                    yield cells
            told(total, total)
            return
    except CalamineError as trouble:
        raise Unusable(f"{path.name} is not a workbook that can be read: {trouble}.") from trouble
    raise Unusable(f"{path.name} has no sheet with a header and rows.")


def _look_inside(path: Path) -> None:
    """Refuse a workbook that would not fit into memory, before the reader, which cannot refuse, takes it apart.

    Every part is unpacked once, because sizes that a file states of itself may be wrong; and the reader keeps a
    rectangle as large as the outermost cell.
    """
    try:
        with zipfile.ZipFile(path) as pack:
            parts = pack.infolist()
            if WORKBOOK not in pack.namelist():
                raise Unusable(
                    f"{path.name} is a packed file but no XLSX workbook; unpack it or save it as .xlsx or .csv."
                )
            if sum(each.file_size for each in parts) > MOST_UNPACKED:
                raise Unusable(f"{path.name} is too large once unpacked; save it as .csv.")
            for part in parts:
                with pack.open(part) as file:
                    rows, columns = _extent(file, counted=not part.filename.endswith("sharedStrings.xml"))
                if rows * columns > MOST_CELLS:
                    raise Unusable(
                        f"{path.name} has a sheet of {rows:,} rows and {columns:,} columns; delete what lies far outside "
                        "the table, or save it as .csv."
                    )
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as trouble:
        raise Unusable(f"{path.name} is not a workbook that can be read: {trouble}.") from trouble


def _extent(file: IO[bytes], *, counted: bool) -> tuple[int, int]:
    """Read a part to its end; the largest row and column that a cell or row of it names."""
    rows, columns, rest = 0, 0, b""
    while chunk := file.read(CHUNK):
        if not counted:
            continue
        named = b" ".join(PLACE.findall(rest + chunk)).upper()
        rest = chunk[-LONGEST_PLACE:]
        numbers = named.translate(None, LETTERS).split()
        if numbers:
            rows = max(rows, int(max(numbers, key=lambda each: (len(each), each))))
        for letters in set(named.translate(None, DIGITS).split()):
            columns = max(columns, functools.reduce(lambda sum_, each: sum_ * 26 + each - 64, letters, 0))
    return rows, columns


def _cell(value: Any) -> Any:
    if isinstance(value, str | datetime | date):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        with suppress(OverflowError, ValueError):
            if value == int(value):
                return str(int(value))
    return "" if value is None else str(value)
