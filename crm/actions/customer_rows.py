"""A row of a file as we keep and compare people: its name, its contact points in their one form, its keys as fingerprints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac

from crm.actions import identity
from crm.channels.contact_files import Person
from crm.language import tags
from crm.models.people import ContactKind
from crm.policy.matching import Record, plain

Point = tuple[ContactKind, str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One row. points: in their one form, and whether the file vouches for them; verified: keys that join; left_out: codes."""

    id: str | int
    name: str
    language: str
    points: dict[Point, bool]
    verified: frozenset[str]
    record: Record
    left_out: tuple[str, ...]


def prepared(person: Person, *, source: str) -> Prepared:
    """Bring a row into the form in which it is kept and compared. What cannot be used is named in left_out."""
    points: dict[Point, bool] = {}
    left_out: list[str] = []
    phones: list[str] = []
    for field, kind in (("email", ContactKind.EMAIL), ("phone", ContactKind.PHONE), ("device", ContactKind.DEVICE)):
        for told in person.values.get(field, ()):
            try:
                points[kind, identity.normalised(kind, told)] = field in person.proved
            except identity.UnusableAddress:
                left_out.append(f"unusable_{field}")
                figures = re.sub(r"\D", "", told)
                if field == "phone" and len(figures) >= 7:
                    phones.append(figures)
    name = _name(person.values)
    address = _postal(name, person.values)
    if address:
        points[ContactKind.POSTAL, address] = False
    for column, value in person.keys:
        points[ContactKind.KEY, fingerprint(source, column, value)] = True
    verified = {
        f"{kind}:{value}" for (kind, value), is_proved in points.items() if is_proved and kind != ContactKind.DEVICE
    }
    if isinstance(person.id, str):
        verified.add(f"id:{source}:{person.id}")
    record = _record(person.values, points, phones=phones, keys=[value for _column, value in person.keys])
    language = tags.normalised(person.values.get("language", ("",))[0])
    return Prepared(person.id, name, language, points, frozenset(verified), record, tuple(left_out))


def fingerprint(source: str, column: str, value: str) -> str:
    """What is kept of a verified key: enough to know it again, not enough to read it (a number of the state, for example)."""
    told = "\n".join((source.casefold(), column, plain(value)))
    return salted_hmac("crm.customer_rows.key", told, algorithm="sha256").hexdigest()


def known(name: str, points: Sequence[Point]) -> Record:
    """What is known of a customer, as a record that rows are compared with."""
    return _record({"name": (name,)}, dict.fromkeys(points, False), phones=(), keys=())


def _name(values: Mapping[str, Sequence[str]]) -> str:
    def first(field: str) -> str:
        return " ".join(values.get(field, ("",))[0].split())

    whole = first("name") or " ".join(filter(None, (first("given_name"), first("family_name"))))
    return (whole or first("company"))[:200]


def _postal(name: str, values: Mapping[str, Sequence[str]]) -> str:
    """An address as it stands on a letter, with the name; households share the rest. "" without a street and a place."""

    def first(field: str) -> str:
        return " ".join(values.get(field, ("",))[0].split())

    street = " ".join(filter(None, (first("house_number"), first("street"))))
    place = " ".join(filter(None, (first("postcode"), first("city"))))
    if not (first("street") and place):
        return ""
    parts = (name, street, first("more_street"), place, first("region"), first("country"))
    return ", ".join(filter(None, parts))[:320]


def _record(
    values: Mapping[str, Sequence[str]], points: Mapping[Point, Any], *, phones: Sequence[str], keys: Sequence[str]
) -> Record:
    found: dict[str, list[str]] = {}

    def add(field: str, told: str) -> None:
        if told and told not in found.setdefault(field, []):
            found[field].append(told)

    for field in ("given_name", "family_name", "company", "more_street", "house_number", "city", "region"):
        for told in values.get(field, ()):
            add(field, plain(told))
    for told in values.get("street", ()):
        street = plain(told)
        number = re.search(r"^\d+\w?\b|\b\d+\w?$", street)
        if number and not values.get("house_number"):
            add("house_number", number[0])
            street = (street[: number.start()] + street[number.end() :]).strip()
        add("street", street)
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
    for told in phones:
        add("phone", told)
    for told in keys:
        add("key", plain(told).replace(" ", ""))
    return {field: tuple(told) for field, told in found.items() if told}
