"""Words that nobody else uses, planted in one person's data, and looked for everywhere afterwards (P07, P13)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from crm.models import Customer, User
from evenhand import personal
from tests.conftest import NOON

CANARY = "zqcanaryvogel"
ADDRESS = f"{CANARY}@home.example"
NAME = f"Carla {CANARY.title()}"


def hits(*words: str) -> dict[str, int]:
    """In which tables of the database something is found, in whatever column, and in how many rows."""
    found = {}
    needles = [
        form for word in words for form in (word.lower(), word.lower().encode().hex(), word.title().encode().hex())
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        for (table,) in cursor.fetchall():
            cursor.execute(
                f'SELECT count(*) FROM "{table}" t WHERE EXISTS '
                "(SELECT 1 FROM unnest(%s::text[]) one WHERE strpos(lower(t::text), one) > 0)",
                [needles],
            )
            number = cursor.fetchone()[0]
            if number:
                found[table] = number
    return found


def hits_in_files(folder: Path, *words: str) -> list[str]:
    """Which files of a folder hold something, in name or content."""
    return [
        str(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and any(word in file.name.lower() or word.encode() in file.read_bytes().lower() for word in words)
    ]


WORDY = (models.CharField, models.TextField, models.JSONField, models.FileField, models.BinaryField, ArrayField)


class Planter:
    """Writes one row of every personal table about one person, with the canary in every column that erasing is to clear.

    Guards and checks are set aside meanwhile, in the test's own transaction: the rows need not make sense, they must go.
    """

    def __init__(self, person: Customer, *, colleague: User, account: User) -> None:
        self.person, self.colleague, self.account = person, colleague, account
        self.made: dict[str, models.Model] = {"crm.Customer": person, "crm.User": account}

    def plant(self) -> list[str]:
        """Write the rows; returns the labels of their tables."""
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(
                "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' AND connamespace = "
                "current_schema()::regnamespace"
            )
            for table, name in cursor.fetchall():
                cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            cursor.execute("SET session_replication_role = replica")
            for label in personal.PERSONAL:
                if label != "crm.Erasure":
                    self._one(label)
            cursor.execute("SET session_replication_role = DEFAULT")
        return list(self.made)

    def _one(self, label: str) -> models.Model:
        if label in self.made:
            return self.made[label]
        model = apps.get_model(label)
        standing = model._default_manager.first() if label in personal.IMPERSONAL else None
        if standing is not None:
            return standing
        told = personal.PERSONAL[label] if label in personal.PERSONAL else personal.Table()
        ways = {way.split("__")[0] for way in told.whose[:1]}
        cleared = {*told.empties, *told.words, *told.own, *told.files, *told.shrinks}
        values: dict[str, Any] = {}
        for field in model._meta.concrete_fields:
            if field.primary_key and not field.is_relation:
                continue
            if field.is_relation:
                if not field.null or field.name in ways:
                    values[field.attname] = self._related(label, field).pk
            elif (field.name in cleared or told.removed) and isinstance(field, WORDY) and not field.choices:
                values[field.name] = _planted(field)
            elif not field.has_default() and not field.null:
                values[field.name] = _plain(field, label)
        if label == "crm.PersonSuggestion":
            values["other_id"] = self._other().pk
        row = model(**values)
        self.made[label] = model._default_manager.bulk_create([row])[0]
        return self.made[label]

    def _related(self, label: str, field: Any) -> models.Model:
        if field.related_model is User:
            is_theirs = f"{field.name}__customer" in personal.PERSONAL.get(label, personal.Table()).whose
            return self.account if is_theirs else self.colleague
        return self._one(field.related_model._meta.label)

    def _other(self) -> Customer:
        return Customer.objects.create(display_name="Ben", created_at=NOON)


def _planted(field: Any) -> Any:
    if isinstance(field, models.JSONField):
        return {"said": CANARY, "list": [CANARY], "deeper": {"text": f"so {CANARY}"}}
    if isinstance(field, models.BinaryField):
        return CANARY.encode()
    if isinstance(field, ArrayField):
        return []
    if isinstance(field, models.CharField | models.TextField | models.FileField):
        return CANARY[: field.max_length or 100]
    return _plain(field, "")


def _plain(field: Any, label: str) -> Any:
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, models.CharField | models.TextField | models.FileField):
        return f"x{label}"[: field.max_length or 100]
    if isinstance(field, models.JSONField):
        return {}
    if isinstance(field, models.BooleanField):
        return False
    if isinstance(field, models.DateTimeField):
        return NOON
    if isinstance(field, models.DateField):
        return date(2026, 3, 2)
    if isinstance(field, models.DurationField):
        return timedelta(1)
    if isinstance(field, models.DecimalField):
        return Decimal(0)
    if isinstance(field, models.BinaryField):
        return b""
    return 1 if isinstance(field, models.IntegerField | models.FloatField) else None


def storage() -> Path:
    """The folder of files."""
    return Path(settings.MEDIA_ROOT)
