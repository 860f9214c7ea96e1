"""Which column of a file is which of our fields: told by a table in TOML, by usual names, or by a person on a page.

[columns]                      # our field = their column, or a list of their columns
given_name = "First name"
family_name = "Last name"
email = ["E-mail", "E-mail 2"]
phone = "Mobile"
birth_date = "Born"
handle.mastodon = "Mastodon"   # accounts, by the network's own id
consent.newsletter = "News"    # only ever brings "unknown"
custom.size = "Shirt"          # a field of our own

[keys]
verified = ["Customer number"] # columns whose exact match means one person; an address column may be among them

[options]
id = "Record"                  # the column with their own id; else rows are counted from 1
source = "shop"                # the program it is from; else the name of the file
delimiter = ";"
encoding = "cp1252"
date_formats = ["%d.%m.%Y"]    # beside 2001-12-31 and 20011231
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext as _

from crm.channels import handles
from crm.channels.rows import NotThisShape, table_of_columns

FIELDS: Final = (
    "name", "given_name", "family_name", "company", "email", "phone", "handle", "device", "postal", "street", "more_street",
    "house_number", "city", "postcode", "region", "country", "birth_date", "language",
)  # fmt: skip
KINDS: Final = ("handle", "consent", "custom")
"""Fields that come in several: “handle.x”, “consent.newsletter”, “custom.size”."""
REACHED: Final = ("email", "phone", "handle", "device", "postal")
"""Fields whose values are addresses, and need no fingerprint when a file vouches for them."""

_ALSO: Final = {
    "name": "full name, display name, contact, contact name, customer, customer name, fn",
    "given_name": "first name, firstname, given, forename, vorname, prenom",
    "family_name": "last name, lastname, surname, family, nachname, nom, sur name",
    "company": "organisation, organization, org, firm, firma",
    "email": "e mail, mail, email address, e mail address, mail address, emails",
    "phone": "telephone, tel, mobile, cell, phone number, mobile number, mobile phone, telephone number, telefon, phones",
    "handle": "handles, account, social account",
    "device": "device id, device token",
    "postal": "postal address, full address, mailing address, anschrift",
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
IDS: Final = (
    "id", "rec id", "record id", "customer id", "contact id", "customer number", "customer no", "kundennummer", "kundennr",
)  # fmt: skip
_NAMES: Final = {
    other: ours for ours, others in _ALSO.items() for other in (ours.replace("_", " "), *others.split(", "))
}
_OF_A_KIND: Final = re.compile(r"(handle|consent|custom)\s*[.:]\s*([\w][\w.-]{0,59})")
DATE_FORMATS: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y")
"""How days are written in files, beside 2001-12-31 and 20011231; those that a page offers."""


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


def plain(header: str) -> str:
    """A column's name as it is compared: lower case, only letters and figures."""
    return " ".join(re.sub(r"[\W_]+", " ", header.casefold()).split())


def field_of(header: str) -> str:
    """Our field of this name, as a table or a file may write it; "" when it is none."""
    kind = _OF_A_KIND.fullmatch(header.strip().casefold())
    if kind is None:
        return _NAMES.get(plain(header), "")
    if kind[1] == "handle":
        return f"handle.{handles.known(kind[2])}" if handles.known(kind[2]) else ""
    return f"{kind[1]}.{kind[2]}"


def recognised(headers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The columns of a file that are told by their usual names."""
    found: dict[str, tuple[str, ...]] = {}
    for header in headers:
        ours = field_of(header)
        if ours:
            found[ours] = (*found.get(ours, ()), header)
    return found


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
    for name, theirs in _flat(columns):
        one = field_of(name)
        wanted = [theirs] if isinstance(theirs, str) else theirs
        if not one:
            unknown.append(name)
        elif not isinstance(wanted, list) or not all(isinstance(each, str) and each.strip() for each in wanted):
            raise NotThisShape(_("“%(name)s” needs the name of a column, or a list of names.") % {"name": name})
        else:
            ours[one] = (*ours.get(one, ()), *wanted)
    if unknown:
        fields = (*FIELDS, *(f"handle.{one}" for one in handles.PROVIDERS), "consent.…", "custom.…")
        raise NotThisShape(
            _("The table of columns names something that we do not know: %(what)s. Fields are: %(fields)s.")
            % {"what": ", ".join(unknown), "fields": ", ".join(fields)}
        )
    return Mapped(ours, _strings(keys, "verified"), date_formats=_strings(options, "date_formats"), **_told(options))


def _flat(columns: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """TOML reads `handle.x = …` as a table in a table."""
    found: list[tuple[str, Any]] = []
    for name, theirs in columns.items():
        if isinstance(theirs, dict):
            found += [(f"{name}.{below}", each) for below, each in _flat(theirs)]
        else:
            found.append((name, theirs))
    return found


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
    checked_encoding(told["encoding"])
    return told


def checked_encoding(name: str) -> str:
    """The name of an encoding of text; "" stays. Raises NotThisShape."""
    try:
        known = codecs.lookup(name or "utf-8")
    except (LookupError, ValueError) as trouble:
        raise NotThisShape(_("The encoding %(name)s is not known.") % {"name": name}) from trouble
    if not known._is_text_encoding:
        raise NotThisShape(_("The encoding %(name)s is not known.") % {"name": name})
    return name
