"""A row of a file as we keep and compare people: its name, its contact points in their one form, its keys as fingerprints."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac

from crm.actions import identity
from crm.channels import handles
from crm.channels.contact_files import Person
from crm.channels.vcards import letter
from crm.language import tags
from crm.models.people import ContactKind
from crm.policy.fields import FieldRule, checked
from crm.policy.matching import Record, plain

Point = tuple[ContactKind, str]
LONGEST = 320


@dataclass(frozen=True, slots=True)
class Prepared:
    """One row. points: in their one form, and whether the file vouches for them; verified: keys that join; left_out: codes.

    claims: what the row says and nobody acts upon: consents (“consent.newsletter”), names of accounts (“handle_name”).
    custom: values of our own fields, by their code, in the form in which they are kept.
    """

    id: str | int
    name: str
    language: str
    points: dict[Point, bool]
    verified: frozenset[str]
    record: Record
    left_out: tuple[str, ...]
    claims: tuple[tuple[str, str], ...]
    custom: Mapping[str, Any]

    @property
    def unknown(self) -> tuple[tuple[str, str], ...]:
        """What the row says of consents: purpose and, after a dot, medium; and the words that stand there.

        A file can only ever bring “unknown” (N7).
        """
        return tuple((name.partition(".")[2], words) for name, words in self.claims if name.startswith("consent."))


def prepared(person: Person, *, source: str, rules: Sequence[FieldRule] = ()) -> Prepared:
    """Bring a row into the form in which it is kept and compared. What cannot be used is named in left_out.

    rules: the fields of our own that are in use. Raises UnusableValue for what cannot stand in one of them.
    """
    points: dict[Point, bool] = {}
    left_out: list[str] = []
    claims: list[tuple[str, str]] = []
    phones: list[str] = []
    for name, told in _addresses(person):
        is_proved = name in person.proved
        try:
            point = _point(name, told)
        except handles.OnlyAName:
            left_out.append("name_of_account")
            claims.append(("handle_name", f"{name.partition('.')[2]}:{told}"[:LONGEST]))
        except identity.UnusableAddress:
            left_out.append(f"unusable_{name.partition('.')[0]}")
            figures = re.sub(r"\D", "", told)
            if name == "phone" and len(figures) >= 7:
                phones.append(figures)
        else:
            points[point] = points.get(point, False) or is_proved
    whose = _name(person.values)
    homes = [*_homes(person.values), *person.values.get("postal", ())]
    for number, home in enumerate(homes):
        address = postal(whose, home)
        is_proved = (
            "postal" if number >= len(homes) - len(person.values.get("postal", ())) else "street"
        ) in person.proved
        if address and not any(kind == ContactKind.POSTAL and plain(address) == plain(one) for kind, one in points):
            points[ContactKind.POSTAL, address] = is_proved
    for column, value in person.keys:
        points[ContactKind.KEY, fingerprint(source, column, value)] = True
    verified = {
        f"{kind}:{value}" for (kind, value), is_proved in points.items() if is_proved and kind != ContactKind.DEVICE
    }
    if isinstance(person.id, str):
        verified.add(f"id:{source}:{person.id}")
    claims += [(name, "; ".join(told)[:LONGEST]) for name, told in person.values.items() if name.startswith("consent.")]
    told_of_ours = _custom(person)
    known_codes = {rule.code for rule in rules}
    left_out += ["no_such_field" for code in told_of_ours if code not in known_codes]
    custom = checked(rules, {code: words for code, words in told_of_ours.items() if code in known_codes})
    return Prepared(
        person.id,
        whose,
        tags.normalised(person.values.get("language", ("",))[0]),
        points,
        frozenset(verified),
        _record(person.values, points, name=whose, phones=phones, keys=[value for _column, value in person.keys]),
        tuple(left_out),
        tuple(claims),
        {code: value for code, value in custom.items() if value is not None},
    )


def _custom(person: Person) -> dict[str, str]:
    """The values of our own fields that a row has, by their code, as they stand there."""
    return {
        field.partition(".")[2]: told[0]
        for field, told in person.values.items()
        if field.startswith("custom.") and told
    }


def _addresses(person: Person) -> Iterator[tuple[str, str]]:
    """The ways to reach somebody but those by letter."""
    for field, values in person.values.items():
        if field.partition(".")[0] in ("email", "phone", "device", "handle"):
            for told in values:
                yield field, told


def _point(field: str, told: str) -> Point:
    """A contact point in its one form. Raises UnusableAddress, OnlyAName."""
    kind, _dot, provider = field.partition(".")
    if kind != "handle":
        return ContactKind(kind), identity.normalised(kind, told)
    named = provider or told.partition(":")[0]
    if handles.is_phone(named, told):
        return ContactKind.PHONE, identity.normalised(ContactKind.PHONE, handles.phone_of(told))
    return ContactKind.HANDLE, identity.normalised(ContactKind.HANDLE, handles.address_of(provider, told))


def fingerprint(source: str, column: str, value: str) -> str:
    """What is kept of a verified key: enough to know it again, not enough to read it (a number of the state, for example)."""
    told = "\n".join((source.casefold(), column, plain(value)))
    return salted_hmac("crm.customer_rows.key", told, algorithm="sha256").hexdigest()


def known(name: str, points: Sequence[Point]) -> Record:
    """What is known of a customer, as a record that rows are compared with."""
    return _record({"name": (name,)}, dict.fromkeys(points, False), name=name, phones=(), keys=())


def _first(values: Mapping[str, Sequence[str]], field: str) -> str:
    return " ".join(values.get(field, ("",))[0].split())


def _name(values: Mapping[str, Sequence[str]]) -> str:
    whole = _first(values, "name") or " ".join(
        filter(None, (_first(values, "given_name"), _first(values, "family_name")))
    )
    return (whole or _first(values, "company"))[:200]


def _homes(values: Mapping[str, Sequence[str]]) -> list[str]:
    """The address that a row gives in parts; none without a street and a place."""
    home = {field: _first(values, field) for field in values}
    return [letter(home)] if home.get("street") and (home.get("postcode") or home.get("city")) else []


def postal(name: str, told: str) -> str:
    """An address as it stands on a letter, in one line with the name in front; households share the rest. "" for nothing.

    Its one form: composed letters, parts set off by “, ” without doubled blanks or empty parts, no full stop at the end.
    """
    words = unicodedata.normalize("NFC", told)
    parts = [" ".join(part.split()).strip(" .") for part in re.split(r"[,;\r\n]+", words)]
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return ""
    own = ", ".join(parts)
    whole = own if not name or plain(own).startswith(f"{plain(name)} ") else f"{name}, {own}"
    return whole[:LONGEST].rstrip(" ,")


_PLACE = re.compile(r"^(?:[A-Za-z]{1,3}-)?(\w*\d[\w-]*(?: \d\w{1,2})?)\s+(\D.*)$")


def _read(address: str, name: str) -> dict[str, str]:
    """The parts of an address that was kept in one line, as far as they can be told."""
    parts = address.split(", ")
    if plain(address).startswith(f"{plain(name)} ") and name:
        parts = address[len(name) :].lstrip(", ").split(", ")
    elif len(parts) > 2 and not re.search(r"\d", parts[0]):
        parts = parts[1:]
    places = [number for number, part in enumerate(parts) if number and _PLACE.match(part)]
    if not places:
        return {"street": parts[0]} if len(parts) > 1 else {}
    found = _PLACE.match(parts[places[-1]])
    told = {"street": parts[0], "postcode": found[1], "city": found[2]} if found else {}
    told["more_street"] = " ".join(parts[1 : places[-1]])
    told["region"] = parts[places[-1] + 1] if len(parts) > places[-1] + 1 else ""
    return told


def _record(
    values: Mapping[str, Sequence[str]],
    points: Mapping[Point, Any],
    *,
    name: str,
    phones: Sequence[str],
    keys: Sequence[str],
) -> Record:
    found: dict[str, list[str]] = {}

    def add(field: str, told: str) -> None:
        if told and told not in found.setdefault(field, []):
            found[field].append(told)

    def street(told: str, *, has_number: bool) -> None:
        bare = plain(told)
        number = re.search(r"^\d+\w?\b|\b\d+\w?$", bare)
        if number and not has_number:
            add("house_number", number[0])
            bare = (bare[: number.start()] + bare[number.end() :]).strip()
        add("street", bare)

    for field in ("given_name", "family_name", "company", "more_street", "house_number", "city", "region"):
        for told in values.get(field, ()):
            add(field, plain(told))
    for told in values.get("street", ()):
        street(told, has_number=bool(values.get("house_number")))
    for told in values.get("postcode", ()):
        add("postcode", plain(told).replace(" ", ""))
    for told in values.get("birth_date", ()):
        add("birth_date", told)
    if not (found.get("given_name") or found.get("family_name")):
        for told in values.get("name", ()):
            family, comma, given = told.partition(",") if told.count(",") == 1 else ("", "", "")
            words = plain(told).split()
            add("family_name", plain(family) if comma else words[-1] if words else "")
            add("given_name", plain(given) if comma else " ".join(words[:-1]))
    for kind, address in points:
        if kind in (ContactKind.EMAIL, ContactKind.PHONE):
            add(kind.value, address)
        elif kind == ContactKind.POSTAL and not values.get("street"):
            home = _read(address, name)
            street(home.pop("street", ""), has_number=False)
            for field, told in home.items():
                add(field, plain(told).replace(" ", "") if field == "postcode" else plain(told))
    for told in phones:
        add("phone", told)
    for told in keys:
        add("key", plain(told).replace(" ", ""))
    return {field: tuple(told) for field, told in found.items() if told}
