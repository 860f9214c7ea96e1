"""Fields of the house's own: set up, changed, retired, filled in (X33)."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, connections, transaction

from crm.actions import custom_fields, persons
from crm.models import Customer, CustomField, HistoryEntry, User
from crm.models.fields import holds
from crm.policy import Role
from crm.policy.fields import UnusableField, UnusableValue
from tests.conftest import NOON
from tests.crm.actions.test_persons import two
from tests.crm.stories import colleague


def field(code: str = "size", *, by: User, of: str = "customer", **changes: object) -> CustomField:
    plain: dict[str, object] = {"label": code.title(), "kind": "choice", "choices": ["small", "large"]}
    return custom_fields.define(of, code=code, by=by, at=NOON, **{**plain, **changes})  # type: ignore[arg-type]


@pytest.fixture
def lead(db) -> User:
    return colleague(Role.LEAD)


@pytest.fixture
def customer(db) -> Customer:
    return Customer.objects.create(display_name="Carla", created_at=NOON)


def test_a_value_is_written_changed_and_taken_away_with_its_history_X33(lead, customer):
    field(by=lead)
    field("nickname", by=lead, kind="text", choices=[])
    custom_fields.set_values(customer.pk, {"size": "small", "nickname": "Caz"}, by=lead, at=NOON)
    custom_fields.set_values(customer.pk, {"size": "large"}, by=lead, at=NOON)
    custom_fields.set_values(customer.pk, {"size": "large"}, by=lead, at=NOON)  # nothing new, nothing told
    customer.refresh_from_db()
    assert customer.custom == {"size": "large", "nickname": "Caz"}
    custom_fields.set_values(customer.pk, {"size": None, "nickname": ""}, by=lead, at=NOON)
    customer.refresh_from_db()
    assert customer.custom == {}
    told = list(HistoryEntry.objects.filter(verb="customer.fields").order_by("pk").values_list("detail", flat=True))
    assert [one["changed"] for one in told] == [["nickname", "size"], ["size"], ["nickname", "size"]]
    assert told[1] == {"changed": ["size"], "before": {"size": "small"}, "after": {"size": "large"}}
    assert "Caz" not in str(told)


def test_what_is_refused_changes_nothing_X33(lead, customer):
    field(by=lead)
    custom_fields.set_values(customer.pk, {"size": "small"}, by=lead, at=NOON)
    for values in ({"size": "huge"}, {"size": "large", "height": 1}):
        with pytest.raises(UnusableValue):
            custom_fields.set_values(customer.pk, values, by=lead, at=NOON)
    Customer.objects.filter(pk=customer.pk).update(status="taken_back")
    with pytest.raises(custom_fields.RecordClosed):
        custom_fields.set_values(customer.pk, {"size": "large"}, by=lead, at=NOON)
    customer.refresh_from_db()
    assert customer.custom == {"size": "small"}
    with pytest.raises(Customer.DoesNotExist):
        custom_fields.set_values(-1, {}, by=lead, at=NOON)


def test_a_retired_field_is_unknown_and_what_stood_in_it_is_kept_X33(lead, customer):
    made = field(by=lead)
    custom_fields.set_values(customer.pk, {"size": "small"}, by=lead, at=NOON)
    custom_fields.retire(made.pk, by=lead, at=NOON)
    with pytest.raises(UnusableValue):
        custom_fields.set_values(customer.pk, {"size": "large"}, by=lead, at=NOON)
    customer.refresh_from_db()
    assert customer.custom == {"size": "small"}
    with pytest.raises(custom_fields.FieldKnown):
        field(by=lead)
    custom_fields.change(made.pk, label="Size", choices=["large"], by=lead, at=NOON)
    assert custom_fields.checked("customer", {"size": "large"}) == {"size": "large"}
    verbs = HistoryEntry.objects.filter(verb__startswith="field.").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["field.defined", "field.retired", "field.changed"]


def test_the_same_code_may_stand_for_customers_and_for_cases_X33(lead):
    field(by=lead)
    field(by=lead, of="case", kind="number", choices=[])
    assert custom_fields.checked("case", {"size": "4"}) == {"size": 4}


@pytest.mark.parametrize(
    "changes",
    [
        {"of": "promise"}, {"kind": "formula"}, {"label": " "}, {"label": "x" * 81}, {"help": "x" * 301}, {"choices": []},
        {"seen_by": "everybody"}, {"place": -1}, {"code": "Größe"},
    ],
)  # fmt: skip
def test_a_field_that_makes_no_sense_is_not_set_up_X33(lead, changes):
    with pytest.raises(UnusableField):
        field(**{"by": lead, **changes})
    assert not CustomField.objects.exists()


def test_there_are_no_more_fields_than_a_page_can_show_X33(lead, monkeypatch):
    monkeypatch.setattr(custom_fields, "FIELDS_AT_MOST", 1)
    made = field(by=lead)
    with pytest.raises(UnusableField):
        field("other", by=lead)
    custom_fields.retire(made.pk, by=lead, at=NOON)
    field("other", by=lead)
    with pytest.raises(UnusableField):
        custom_fields.change(made.pk, label="Size", choices=["x"], by=lead, at=NOON)


@pytest.mark.parametrize("change", [{"code": "No"}, {"label": ""}, {"kind": "text"}])
def test_the_database_refuses_what_no_field_can_be(lead, change):
    made = field(by=lead)
    with pytest.raises(IntegrityError), transaction.atomic():
        CustomField.objects.filter(pk=made.pk).update(**change)


def test_rows_are_found_by_a_value_through_the_index_that_intake_never_writes_to(lead, customer):
    field(by=lead)
    custom_fields.set_values(customer.pk, {"size": "small"}, by=lead, at=NOON)
    Customer.objects.create(display_name="Dora", created_at=NOON)
    found = Customer.objects.filter(holds({"size": "small"}))
    assert list(found) == [customer]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SELECT pg_get_indexdef('customer_custom'::regclass)")
        assert "WHERE" in cursor.fetchone()[0]
    assert "customer_custom" in found.explain()


def test_the_kept_record_takes_what_it_lacks_and_gives_it_back(lead):
    for code in ("size", "shape"):
        field(code, by=lead)
    kept, gone = two()
    custom_fields.set_values(kept.pk, {"size": "small"}, by=lead, at=NOON)
    custom_fields.set_values(gone.pk, {"size": "large", "shape": "large"}, by=lead, at=NOON)
    made = persons.merge(gone.pk, kept_id=kept.pk, because="told us", by=lead, at=NOON)
    kept.refresh_from_db()
    assert kept.custom == {"size": "small", "shape": "large"}
    persons.undo(made.pk, by=lead, at=NOON)
    kept.refresh_from_db()
    assert kept.custom == {"size": "small"}


@pytest.mark.django_db(transaction=True)
def test_two_colleagues_who_fill_in_different_fields_at_once_lose_nothing():
    lead = colleague(Role.LEAD)
    for code in ("one", "two"):
        field(code, by=lead, kind="number", choices=[])
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    start = threading.Barrier(2)

    def fill(code: str) -> None:
        start.wait(5)
        for number in range(10):
            custom_fields.set_values(customer.pk, {code: number}, by=lead, at=NOON)
        connections.close_all()

    threads = [threading.Thread(target=fill, args=[code]) for code in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    customer.refresh_from_db()
    assert customer.custom == {"one": 9, "two": 9}
