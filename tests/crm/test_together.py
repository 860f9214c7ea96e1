"""The rows of one event in one statement, and queries compiled once."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.signals import post_init, pre_init
from django.test.utils import CaptureQueriesContext

from crm.channels import Channel
from crm.models import (
    Attachment,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Promise,
    User,
    WorkItem,
)
from crm.together import Repeated, as_rows, columns_of, insert_together, insertion, new, prepared, read, written
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
KEPT = ("pk", "customer_id", "owner_id", "subject", "channel", "state", "queue_class", "due_at", "imported")


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


def made(model, **values):
    """The same row, made by the short way and by Django."""
    return new(model, **values), model(**values)


def contents(row):
    kept = {name: value for name, value in row.__dict__.items() if name not in ("_state", "public_id")}
    return kept, row._state.adding, row._state.fields_cache


@pytest.mark.parametrize("model", [Conversation, Interaction, Promise, WorkItem, HistoryEntry, Customer, ContactPoint])
def test_a_new_row_begins_as_django_would_begin_it(model):
    ours, djangos = made(model)
    assert contents(ours) == contents(djangos)
    assert getattr(ours, "public_id", None) != getattr(new(model), "public_id", 1)


def test_a_new_row_knows_what_it_points_at_as_django_would():
    unwritten, customer = Customer(), Customer.objects.create(display_name="Carla", created_at=NOON)
    for values in (
        {"customer": unwritten, "subject": "Lamp"},
        {"customer": customer, "owner": None},
        {"customer_id": customer.pk, "owner_id": 7, "public_id": uuid.UUID(int=7)},
    ):
        ours, djangos = made(Conversation, **values)
        assert contents(ours) == contents(djangos)
    assert new(Conversation, customer_id=customer.pk).customer == customer
    assert new(HistoryEntry).detail is not new(HistoryEntry).detail


@pytest.mark.parametrize("name", ["colour", "interactions", "_state"])
def test_a_new_row_has_only_its_fields(name):
    with pytest.raises(TypeError, match=name):
        new(Conversation, **{name: 1})


def test_a_row_whose_fields_do_more_than_keep_is_not_made_the_short_way():
    with pytest.raises(TypeError, match="file"):
        new(Attachment)


def test_nobody_waits_to_be_told_of_rows():
    models = {Conversation, Interaction, Promise, WorkItem, HistoryEntry, Customer, ContactPoint, User}
    assert not [(model, signal) for model in models for signal in (pre_init, post_init) if signal.has_listeners(model)]


def test_a_row_read_in_part_reads_the_rest_when_asked(django_assert_num_queries):
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    known = written(Customer, id=customer.pk)
    assert known._state.db == "default"
    assert contents(known) == contents(Customer.from_db("default", ["id"], [customer.pk]))
    with django_assert_num_queries(0):
        assert (known.pk, known) == (customer.pk, customer)
    with django_assert_num_queries(1):
        assert known.display_name == "Carla"


def test_words_of_ours_stand_in_the_text_and_what_others_say_never_does():
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    with CaptureQueriesContext(connection) as captured:
        for subject, imported in (("", True), ("50 % off'", False)):
            matter = new(Conversation, customer=customer, subject=subject, channel=Channel.APP, imported=imported)
            matter.spoke_at = matter.due_at = NOON
            said = new(
                Interaction, conversation=matter, direction="in", channel="app", source="app", text="x", spoke_at=NOON
            )
            said.external_id, said.ingested_at, said.call_seconds = subject, NOON, 0
            insert_together(matter, said)
            assert said.conversation is matter
            stored = Interaction.objects.select_related("conversation").get(pk=said.pk)
            assert (stored.external_id, stored.call_seconds, stored.wait_seconds) == (subject, 0, 0)
            assert [getattr(stored.conversation, name) for name in KEPT] == [getattr(matter, name) for name in KEPT]
    assert len(captured) == 4


def test_small_and_large_numbers_are_one_statement():
    assert not connection.queries_logged
    customer = Customer.objects.create(id=2**40, display_name="Carla", created_at=NOON)
    other = Customer.objects.create(display_name="Dora", created_at=NOON)
    for number, whose in enumerate((customer, other)):
        insert_together(new(ContactPoint, customer=whose, kind="app", address=f"a{number}", created_at=NOON))
    types = (
        "SELECT DISTINCT parameter_types::text FROM pg_prepared_statements WHERE statement LIKE '%%crm_contactpoint%%'"
    )
    with connection.cursor() as cursor:
        cursor.execute(types)
        assert len(cursor.fetchall()) == 1
    assert set(ContactPoint.objects.values_list("customer", flat=True)) == {customer.pk, other.pk}


def letter(customer: Customer, key: str, **more: object) -> OutgoingMessage:
    return OutgoingMessage(
        key=key, kind="gesture", purpose="birthday", channel="email", address="c@home.example", customer=customer,
        subject="%s %(rows)s {{ x }} '; --", text="a\r\n\\ \"b\"\u2028🎂", headers={"X": "ä\n", "n": 1, "none": None},
        meets=["first_response"], created_at=NOON, send_after=NOON, **more,
    )  # fmt: skip


def test_any_number_of_rows_are_written_by_one_statement_as_save_would_write_them():
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    statement = f"{insertion(OutgoingMessage)} RETURNING key, id"
    for number in (1, 7):
        given = [letter(customer, f"{number}:{one}") for one in range(number)]
        known = dict(prepared(statement, {"rows": as_rows(given)}))
        for one in given:
            saved = letter(customer, f"saved {one.key}", public_id=uuid.uuid4())
            saved.save()
            ours = OutgoingMessage.objects.filter(pk=known[one.key]).values().get()
            theirs = OutgoingMessage.objects.filter(pk=saved.pk).values().get()
            assert ours["public_id"] == one.public_id
            assert {n: v for n, v in ours.items() if n not in ("id", "key", "public_id")} == {
                n: v for n, v in theirs.items() if n not in ("id", "key", "public_id")
            }


def test_one_known_key_among_many_rows_refuses_all():
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    letter(customer, "known").save()
    with pytest.raises(IntegrityError), transaction.atomic():
        prepared(
            f"{insertion(OutgoingMessage)} RETURNING id",
            {"rows": as_rows([letter(customer, key) for key in ("a", "known", "b")])},
        )
    assert OutgoingMessage.objects.count() == 1


@pytest.mark.parametrize("watched", [True, False])
def test_a_row_read_from_its_columns_is_the_one_that_django_reads(watched: bool):
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    letter(customer, "one").save()
    statement = f"SELECT {columns_of(OutgoingMessage, 'm')} FROM crm_outgoingmessage m WHERE key = %(key)s"
    if watched:
        with CaptureQueriesContext(connection):
            ours = read(OutgoingMessage, prepared(statement, {"key": "one"})[0])
    else:
        ours = read(OutgoingMessage, prepared(statement, {"key": "one"})[0])
    theirs = OutgoingMessage.objects.get()
    assert ours == theirs
    assert {n: v for n, v in vars(ours).items() if n != "_state"} == {
        n: v for n, v in vars(theirs).items() if n != "_state"
    }
    ours.attempt = 7
    ours.save(update_fields=["attempt"])
    assert OutgoingMessage.objects.get().attempt == 7


def test_a_repeated_query_takes_lists_of_any_length():
    people = [Customer.objects.create(display_name=str(number), created_at=NOON) for number in range(4)]
    asked: Repeated[Customer] = Repeated(
        lambda those, name: (
            Customer.objects.filter(pk__in=those).exclude(display_name=name).order_by("pk").values_list("pk")
        ),
        those=[7],
        name="a name",
    )
    for those in ([], people[:1], people):
        assert asked.rows(those=[one.pk for one in those], name="2") == [(one.pk,) for one in those if one != people[2]]
