"""The rows of one event in one statement, and queries compiled once."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from crm.models import ContactPoint, Customer
from crm.together import Repeated, insert_together
from tests.conftest import NOON

pytestmark = pytest.mark.django_db


def rows(address: str = "carla@home.example") -> tuple[Customer, ContactPoint]:
    customer = Customer(display_name="Carla '%s' \x3b DROP", created_at=NOON)
    return customer, ContactPoint(customer=customer, kind="email", address=address, created_at=NOON)


def test_rows_that_point_at_each_other_are_written_by_one_statement(django_assert_num_queries):
    customer, point = rows()
    with django_assert_num_queries(1):
        insert_together(customer, point)
    assert ContactPoint.objects.get().customer == customer
    assert (point.pk, point.customer_id) == (ContactPoint.objects.get().pk, customer.pk)
    assert Customer.objects.get().display_name == "Carla '%s' \x3b DROP"


def test_the_prepared_way_writes_the_same():
    """Statements that are watched are not prepared; this one is not watched."""
    assert not connection.queries_logged
    for number in range(3):
        insert_together(*rows(f"c{number}@home.example"))
    assert ContactPoint.objects.count() == Customer.objects.count() == 3


def test_a_refused_row_writes_none():
    insert_together(*rows())
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_together(*rows())
    assert Customer.objects.count() == 1


def test_a_row_that_names_a_later_one_is_a_mistake():
    customer, point = rows()
    with pytest.raises(KeyError):
        insert_together(point, customer)
    assert not Customer.objects.exists()


def test_a_repeated_query_takes_new_values_each_time():
    asked: Repeated[Customer] = Repeated(
        lambda name: Customer.objects.filter(display_name=name, status="active").values_list("pk"), name="a name"
    )
    one, two = (Customer.objects.create(display_name=name, created_at=NOON) for name in ("one", "x' OR '1'='1"))
    assert asked.rows(name="one") == [(one.pk,)]
    assert asked.rows(name="x' OR '1'='1") == [(two.pk,)]
    assert asked.rows(name="nobody") == []
    with pytest.raises(KeyError):
        asked.rows()


def test_a_repeated_query_must_use_every_value():
    unused: Repeated[Customer] = Repeated(lambda name: Customer.objects.values_list("pk"), name="a name")
    with pytest.raises(ValueError, match="named value"):
        unused.rows(name="x")
