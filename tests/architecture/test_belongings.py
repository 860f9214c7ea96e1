"""Whatever refers to a customer says what becomes of it when two records turn out to be one person (N12)."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.db.models import ForeignKey, ManyToManyField
from django.utils.module_loading import import_string

from crm.actions.belongings import relations
from crm.models import Customer


def _relations_to_customers() -> set[str]:
    return {
        f"{model._meta.app_label}.{model.__name__}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey | ManyToManyField)
        and field.model is model
        and field.remote_field.model is Customer
    }


def test_every_relation_to_a_customer_has_its_rule_and_no_rule_is_without_one_N12():
    assert set(settings.EVENHAND_BELONGINGS) == _relations_to_customers()


def test_the_rules_can_be_carried_out_N12():
    for relation in relations():
        told = relation.told
        assert told.rule in ("moves", "moves where free", "stays"), relation.name
        assert told.because, relation.name
        assert bool(told.kind) == (told.rule == "moves where free"), relation.name
        fields = {field.name for field in relation.model._meta.get_fields()} | {"pk", ""}
        assert told.kind or not told.only, relation.name
        assert {relation.field, told.kind, told.conversation} <= fields, relation.name
        if told.conversation:
            assert "public_id" in fields, relation.name
    for name in (*settings.EVENHAND_AFTER_MERGING, *settings.EVENHAND_BEFORE_PARTING, *settings.EVENHAND_WHEN_BEREAVED):
        assert callable(import_string(name))


def test_a_row_that_must_not_change_never_moves_N12():
    """What the database keeps as it was written (append-only) is read together instead."""
    for name in ("crm.Consent.customer", "crm.HistoryEntry.customer"):
        assert settings.EVENHAND_BELONGINGS[name].rule == "stays"
