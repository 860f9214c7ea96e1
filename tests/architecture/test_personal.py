"""Whatever can hold words, a file or something that identifies has a line that says what erasing does (P07, N12)."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.utils.module_loading import import_string

from evenhand import personal

WORDY = (
    models.CharField,
    models.TextField,
    models.JSONField,
    models.FileField,
    models.BinaryField,
    models.GenericIPAddressField,
    ArrayField,
)


def _wordy(model: type[models.Model]) -> set[str]:
    """Columns that can hold anything: no ids, no keys, no fixed choices, nothing that the database computes from others."""
    return {
        field.name
        for field in model._meta.local_concrete_fields
        if isinstance(field, WORDY) and not field.choices and not field.primary_key
    }


def test_every_column_that_can_hold_words_says_what_erasing_does_P07():
    missing, told_twice, unknown = [], [], []
    for model in apps.get_models(include_auto_created=True, include_swapped=True):
        label, wordy = model._meta.label, _wordy(model)
        if label in personal.IMPERSONAL:
            continue
        if label in personal.SEARCHED:
            named = set(personal.SEARCHED[label][0])
            unknown += [f"{label}.{name}" for name in named - wordy]
            continue
        table = personal.PERSONAL.get(label)
        if table is None:
            missing.append(f"{label} (the whole table)")
            continue
        if table.removed:
            continue
        said = Counter([*table.empties, *table.words, *table.own, *table.files, *table.shrinks, *table.keeps])
        told_twice += [f"{label}.{name}" for name, number in said.items() if number > 1]
        missing += [f"{label}.{name}" for name in sorted(wordy - set(said))]
        fields = {field.name for field in model._meta.concrete_fields}
        unknown += [f"{label}.{name}" for name in set(said) - fields]
    assert not missing, (
        "These columns could hold something about a person, and nobody has said what erasing does with them. Give each a line in "
        f"evenhand/personal.py (it says how at its top): {', '.join(missing)}"
    )
    assert not told_twice, f"evenhand/personal.py says two things of: {', '.join(told_twice)}"
    assert not unknown, f"evenhand/personal.py names columns that do not exist: {', '.join(unknown)}"


def test_no_table_is_both_personal_and_not_and_every_line_has_a_reason_P07():
    assert not set(personal.PERSONAL) & (set(personal.IMPERSONAL) | set(personal.SEARCHED))
    assert all(personal.IMPERSONAL.values())
    for label, table in personal.PERSONAL.items():
        assert table.whose, label
        assert all(table.keeps.values()), label


def test_every_relation_to_a_customer_is_followed_P07():
    """A table that has a relation to a customer, by whatever name, is cleared through it."""
    for name in settings.EVENHAND_BELONGINGS:
        app, model, field = name.split(".")
        label = f"{app}.{model}"
        if label == "crm.Customer":
            continue
        assert field in personal.PERSONAL[label].whose, name


def test_what_is_asked_and_called_exists_P09():
    for name in (*personal.BEFORE_ERASING, *personal.ON_ERASING):
        assert callable(import_string(name))


@pytest.mark.django_db
def test_the_ways_lead_to_the_customer_P07():
    for label, table in personal.PERSONAL.items():
        model = apps.get_model(label)
        for way in (*table.whose, *table.by_address):
            model._default_manager.filter(**{f"{way}__in": [0]}).exists()


@pytest.mark.django_db
def test_the_guards_let_pass_what_the_table_says_and_nothing_else_P07():
    """An append-only table's trigger names the same columns as the table of what is personal."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, tgname, tgargs FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid "
            "JOIN pg_proc p ON p.oid = tgfoid WHERE proname = 'evenhand_append_only' AND tgtype & 16 = 16"
        )
        guarded = {
            table: [part.decode() for part in bytes(arguments).split(b"\0")[:-1]]
            for table, _n, arguments in cursor.fetchall()
        }
    for label, table in personal.PERSONAL.items():
        arguments = guarded.get(apps.get_model(label)._meta.db_table)
        if arguments is None:
            continue
        changes = dict(table.empties)
        beyond = [table.removed, *table.words, *table.own, *table.files]
        assert not any(beyond), f"{label} is append-only"
        if not arguments:
            assert not [*changes, *table.shrinks], f"the guard of {label} lets nothing pass"
            continue
        assert json.loads(arguments[1]) == changes, label
        assert arguments[2] == (table.shrinks[0] if table.shrinks else ""), label
        assert re.search(r"customer_id", arguments[0])
