"""Files of customers from other programs: CSV, TSV, XLSX and vCard, read by a table of columns.

The table is a TOML file; without one, columns are recognised by their names:

    [columns]                      # our field = their column, or a list of their columns
    given_name = "First name"
    family_name = "Last name"
    email = ["E-mail", "E-mail 2"]
    phone = "Mobile"
    birth_date = "Born"

    [keys]
    verified = ["Customer number"] # columns whose exact match means one person; a mail or phone column may be among them

    [options]
    id = "Record"                  # the column with their own id; else rows are counted from 1
    source = "shop"                # the program it is from; else the name of the file
    delimiter = ";"
    encoding = "cp1252"
    date_formats = ["%d.%m.%Y"]    # beside 2001-12-31 and 20011231
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from django.utils.translation import gettext as _

from crm.channels import vcards
from crm.channels.rows import NotThisShape, Rejected, Row, read, table_of_columns

FIELDS: Final = (
    "name", "given_name", "family_name", "company", "email", "phone", "device", "street", "more_street", "house_number", "city",
    "postcode", "region", "country", "birth_date", "language",
)  # fmt: skip
LARGEST: Final = 500_000_000
LARGEST_WORKBOOK: Final = 300_000_000

_ALSO: Final = {
    "name": "full name, display name, contact, contact name, customer, customer name, fn",
    "given_name": "first name, firstname, given, forename, vorname, prenom",
    "family_name": "last name, lastname, surname, family, nachname, nom, sur name",
    "company": "organisation, organization, org, firm, firma",
    "email": "e mail, mail, email address, e mail address, mail address, emails",
    "phone": "telephone, tel, mobile, cell, phone number, mobile number, mobile phone, telephone number, telefon, phones",
    "device": "device id, device token",
    "street": "address, address 1, address line 1, street address, street name, address1, strasse",
    "more_street": "address 2, address line 2, address2",
    "house_number": "street number, number, house no, hausnummer",
    "city": "town, suburb, place, locality, ort, address line 3",
    "postcode": "postal code, zip, zip code, post code, plz",
    "region": "state, province, county, land",
    "country": "country name, nation",
    "birth_date": "date of birth, dob, birthday, bday, born, birthdate, geburtsdatum",
    "language": "locale, lang",
}
_IDS: Final = ("id", "rec id", "record id", "customer id", "contact id")
_NAMES: Final = {
    other: ours for ours, others in _ALSO.items() for other in (ours.replace("_", " "), *others.split(", "))
}
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
}
"""Why a row is not taken in: a stable code and the sentence for people."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """How a file is read. columns: our field to their columns; verified: their columns whose exact match means one person."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verified: tuple[str, ...] = ()
    id: str = ""
    source: str = ""
    delimiter: str = ""
    encoding: str = ""
    date_formats: tuple[str, ...] = ()


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


def plain(header: str) -> str:
    """A column's name as it is compared: lower case, only letters and figures."""
    return " ".join(re.sub(r"[\W_]+", " ", header.casefold()).split())


def mapped(text: str) -> Mapped:
    """Read a table of columns. Raises NotThisShape, which says what is wrong."""
    found = table_of_columns(text)
    columns, keys, options = found.get("columns", {}), found.get("keys", {}), found.get("options", {})
    if not all(isinstance(part, dict) for part in (columns, keys, options)):
        raise NotThisShape(_("The table needs the parts [columns], [keys] and [options]."))
    known = {"id", "source", "delimiter", "encoding", "date_formats"}
    unknown = sorted({*found} - {"columns", "keys", "options"}) + sorted({*keys} - {"verified"})
    unknown += sorted({*options} - known)
    ours: dict[str, tuple[str, ...]] = {}
    for name, theirs in columns.items():
        one = _NAMES.get(plain(name))
        wanted = [theirs] if isinstance(theirs, str) else theirs
        if one is None:
            unknown.append(name)
        elif not isinstance(wanted, list) or not all(isinstance(each, str) and each.strip() for each in wanted):
            raise NotThisShape(_("“%(name)s” needs the name of a column, or a list of names.") % {"name": name})
        else:
            ours[one] = (*ours.get(one, ()), *wanted)
    if unknown:
        raise NotThisShape(
            _("The table of columns names something that we do not know: %(what)s. Fields are: %(fields)s.")
            % {"what": ", ".join(unknown), "fields": ", ".join(FIELDS)}
        )
    return Mapped(ours, _strings(keys, "verified"), date_formats=_strings(options, "date_formats"), **_told(options))


def _strings(part: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = part.get(name, [])
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise NotThisShape(_("“%(name)s” needs a list of words.") % {"name": name})
    return tuple(found)


def _told(options: Mapping[str, Any]) -> dict[str, str]:
    told = {name: options.get(name, "") for name in ("id", "source", "delimiter", "encoding")}
    if not all(isinstance(value, str) for value in told.values()) or len(told["delimiter"]) > 1:
        raise NotThisShape(_("Its id, source, delimiter or encoding cannot be read."))
    try:
        codecs.lookup(told["encoding"] or "utf-8")
    except LookupError as trouble:
        raise NotThisShape(_("The encoding %(name)s is not known.") % {"name": told["encoding"]}) from trouble
    return told


def parse(
    path: Path, mapping: Mapped, *, told: Callable[[int], None] = lambda done: None
) -> Iterator[Person | Rejected]:
    """Read a file row by row, in its order. told: hears how many rows have been read. Raises NotThisShape, OSError."""
    with path.open("rb") as file:
        start = file.read(4096)
    if path.stat().st_size > LARGEST:
        raise NotThisShape(_("The file is larger than 500 MB; please cut it into several."))
    if start[:4] == b"PK\x03\x04":
        rows, is_cards = _sheet(path), False
    elif path.suffix.lower() in (".vcf", ".vcard") or start.lstrip(b"\xef\xbb\xbf\r\n ")[:11].upper() == b"BEGIN:VCARD":
        rows, is_cards = iter(()), True
    else:
        rows, is_cards = _table(path, start, mapping), False
    seen: set[str | int] = set()
    for done, found in enumerate(_cards(path, mapping) if is_cards else _rows(rows, mapping), start=1):
        told(done)
        if isinstance(found, Person) and found.id in seen:
            yield found.row.rejected("duplicate_id", REASONS["duplicate_id"])
            continue
        if isinstance(found, Person):
            seen.add(found.id)
        yield found


def _table(path: Path, start: bytes, mapping: Mapped) -> Iterator[Row | Rejected]:
    encoding = mapping.encoding
    for mark, name in (
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
        (codecs.BOM_UTF8, "utf-8-sig"),
    ):
        if not encoding and start.startswith(mark):
            encoding = name
    try:
        text = path.read_bytes().decode(encoding or "utf-8")
    except UnicodeDecodeError as trouble:
        raise NotThisShape(
            _("The file is not %(encoding)s; name its encoding in the table's [options], often cp1252.")
            % {"encoding": encoding or "UTF-8"}
        ) from trouble
    delimiter = mapping.delimiter
    if not delimiter:
        head = text.partition("\n")[0]
        delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else max(",;\t|", key=head.count)
    return read((line.encode("utf-8", "replace") for line in io.StringIO(text, newline="")), delimiter=delimiter)


def _sheet(path: Path) -> Iterator[Row | Rejected]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with zipfile.ZipFile(path) as pack:
            if sum(part.file_size for part in pack.infolist()) > LARGEST_WORKBOOK:
                raise NotThisShape(_("The workbook is too large once unpacked; save it as CSV."))
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
    with path.open("rb") as file:
        for number, card in enumerate(vcards.read(file), start=1):
            row = Row([], card.content, card.line)
            if not card.is_whole:
                yield row.rejected("unreadable_card", REASONS["unreadable_card"])
                continue
            values: dict[str, list[str]] = {name: card.values[name] for name in FIELDS if name in card.values}
            proved = frozenset(_NAMES[plain(name)] for name in mapping.verified if plain(name) in _NAMES)
            own = card.values.get("uid", [""])[0] if plain(mapping.id) == "uid" else ""
            keys = tuple(("uid", one) for one in card.values.get("uid", []) if "uid" in map(plain, mapping.verified))
            yield _person(row, own or number, values, keys, proved, mapping)


def _rows(rows: Iterator[Row | Rejected], mapping: Mapped) -> Iterator[Person | Rejected]:
    head = next(rows, None)
    if not isinstance(head, Row):
        raise NotThisShape(_("The file has no line with the names of its columns."))
    names = [plain(name) for name in head.cells]
    columns = mapping.columns or _recognised(names)
    own = mapping.id or ("" if mapping.columns else next((name for name in _IDS if name in names), ""))
    wanted = [own] * bool(own) + [name for theirs in columns.values() for name in theirs] + list(mapping.verified)
    missing = [name for name in wanted if plain(name) not in names]
    if missing:
        raise NotThisShape(_("The file lacks columns that the table names: %(what)s.") % {"what": ", ".join(missing)})
    if not columns:
        raise NotThisShape(
            _("No column was recognised; write a table of columns. The file has: %(what)s.")
            % {"what": ", ".join(head.cells)[:500]}
        )
    places = {ours: [names.index(plain(name)) for name in theirs] for ours, theirs in columns.items()}
    verified = [plain(name) for name in mapping.verified]
    theirs_of = {ours: {plain(name) for name in theirs} for ours, theirs in columns.items()}
    proved = frozenset(ours for ours, theirs in theirs_of.items() if theirs <= set(verified))
    reached = {name for ours in ("email", "phone", "device") for name in theirs_of.get(ours, ())}
    number = 0
    for row in rows:
        number += 1
        if isinstance(row, Rejected):
            yield row
            continue
        if any(row.cells[len(names) :]):
            yield row.rejected("wrong_columns", REASONS["wrong_columns"])
            continue
        cells = [*row.cells, *[""] * (len(names) - len(row.cells))]
        if own and not cells[names.index(plain(own))]:
            yield row.rejected("no_id", REASONS["no_id"])
            continue
        values = {ours: [cells[place] for place in at if cells[place]] for ours, at in places.items()}
        keys = tuple(
            (name, cells[names.index(name)])
            for name in verified
            if name not in reached and is_telling(cells[names.index(name)])
        )
        yield _person(row, cells[names.index(plain(own))] if own else number, values, keys, proved, mapping)


def _recognised(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        ours = _NAMES.get(name)
        if ours is not None:
            found[ours] = (*found.get(ours, ()), name)
    return found


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
    found = {name: tuple(dict.fromkeys(told)) for name, told in values.items() if any(told)}
    if "birth_date" in found:
        dates = tuple(filter(None, (_date(each, mapping.date_formats) for each in found["birth_date"])))
        found["birth_date"] = dates
    if any(len(each) > 500 for told in found.values() for each in told) or len(str(own)) > 200:
        return row.rejected("too_long", REASONS["too_long"])
    telling = ("name", "given_name", "family_name", "company", "email", "phone", "street")
    if not keys and not any(found.get(name) for name in telling):
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
