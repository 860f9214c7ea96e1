"""A birthday card: planned once, written in its hour, stopped when it would hurt."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.test import Client

from crm.actions import consent, customers, deliveries, holds, intake, outgoing
from crm.channels.esp import DeliveryNews
from crm.models import Consent, Customer, HistoryEntry, OutgoingMessage
from loyalty import actions
from loyalty.models import Gesture, Programme
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import message

pytestmark = pytest.mark.django_db
EVENING = datetime(2026, 3, 2, 18, 30, tzinfo=ZoneInfo("Europe/Berlin"))


def told_birthday(month: int = 3, day: int = 2, **changes: object) -> Customer:
    customer = intake.receive(message("Thank you!", **changes), at=NOON, origin="test").conversation.customer
    allows(customer)
    customers.tell_birthday(customer, month=month, day=day, evidence="asked on the form", at=NOON)
    return customer


def sent_everything(at: datetime) -> None:
    while actions.work_batch("gestures", at=at) + outgoing.send_batch(at=at):
        pass


def test_a_card_is_planned_written_and_sent_once():
    customer = told_birthday()
    assert actions.plan_birthdays(NOON) == 1
    assert actions.plan_birthdays(NOON + timedelta(hours=1)) == 0
    sent_everything(EVENING)
    actions.plan_birthdays(EVENING)
    sent_everything(EVENING + timedelta(hours=1))

    assert len(mail.outbox) == 1
    card = mail.outbox[0]
    assert card.to == [customer.contact_points.get().address]
    assert "Carla" in card.subject
    assert card.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert card.extra_headers["Auto-Submitted"] == "auto-generated"
    gesture = Gesture.objects.get()
    assert (gesture.state, gesture.sent_at is not None) == ("sent", True)
    assert HistoryEntry.objects.filter(verb="gesture.sent").count() == 1


def test_nobody_gets_a_card_on_another_day():
    told_birthday(month=3, day=4)
    told_birthday(month=2, day=28)
    assert actions.plan_birthdays(NOON) == 0


def test_the_day_is_the_day_where_the_customer_lives():
    customer = told_birthday(month=3, day=3)
    Customer.objects.filter(pk=customer.pk).update(zone="Pacific/Kiritimati")  # 14 hours ahead: it is the 3rd there
    assert actions.plan_birthdays(NOON) == 1


def test_a_programme_that_is_switched_off_plans_nothing():
    told_birthday()
    Programme.objects.update(is_active=False)
    assert actions.plan_birthdays(NOON) == 0


@pytest.mark.parametrize("why", ["hold", "withdrawn", "deceased"])
def test_what_would_hurt_is_stopped_at_the_last_moment_N17_P01_R168(why):
    customer = told_birthday()
    actions.plan_birthdays(NOON)
    actions.write_batch(at=EVENING)  # already among the outgoing messages when it happens
    if why == "hold":
        holds.place(customer, key="case:1", reason="open_case", at=EVENING)
    elif why == "withdrawn":
        consent.withdraw(customer, customers.BIRTHDAY, evidence="said so on the phone", at=EVENING)
    else:
        Customer.objects.filter(pk=customer.pk).update(status="deceased")
    outgoing.send_batch(at=EVENING)
    assert not mail.outbox
    held = OutgoingMessage.objects.get()
    assert held.state == "held"
    assert held.reason == {"hold": "outreach_on_hold", "withdrawn": "no_consent", "deceased": "customer_deceased"}[why]


def test_a_card_that_would_come_a_day_late_is_dropped_with_its_reason():
    told_birthday()
    actions.plan_birthdays(NOON)
    actions.write_batch(at=NOON + timedelta(days=2))
    gesture = Gesture.objects.get()
    assert (gesture.state, gesture.reason) == ("dropped", "day_has_passed")
    assert not OutgoingMessage.objects.exists()


def test_whoever_has_no_address_is_not_written_to():
    customer = customers.welcome("Nobody", at=NOON)
    customers.tell_birthday(customer, month=3, day=2, evidence="on a form", at=NOON)
    actions.plan_birthdays(NOON)
    actions.write_batch(at=EVENING)
    assert Gesture.objects.get().reason == "no_address"


def test_a_card_that_is_refused_stops_no_other_one_written_with_it_F24():
    told_birthday(sender_address="ann@home.example")
    told_birthday(sender_address="ben@home.example")
    actions.plan_birthdays(NOON)
    first, second = Gesture.objects.order_by("send_at", "id")
    draft = outgoing.Draft(
        key=f"gesture:{first.key}", kind="service", channel="email", address="x@home.example", subject="", text="else"
    )
    outgoing.queue(draft, customer=first.customer, at=NOON)
    assert actions.write_batch(at=EVENING) == 2
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.reason) == ("dropped", "not_written: DifferentContent")
    assert (second.state, second.message.key) == ("queued", f"gesture:{second.key}")
    assert HistoryEntry.objects.filter(verb="message.queued", customer=second.customer).count() == 1


def test_a_batch_of_cards_takes_the_same_statements_for_two_and_for_six_GOAL12(django_assert_max_num_queries):
    counts = []
    for day, number in ((2, 2), (3, 6)):
        for one in range(number):
            told_birthday(day=day, sender_address=f"many{day}{one}@home.example")
        at = NOON + timedelta(days=day - 2)
        actions.plan_birthdays(at)
        with django_assert_max_num_queries(40) as asked:
            assert actions.write_batch(at=at + timedelta(hours=9)) == number
        counts.append(len(asked.captured_queries))
    assert counts[0] == counts[1]


def test_there_is_no_such_day():
    customer = customers.welcome("Carla", at=NOON)
    for month, day in [(13, 1), (2, 30), (4, 31), (0, 1)]:
        with pytest.raises(customers.NoSuchDay):
            customers.tell_birthday(customer, month=month, day=day, evidence="x", at=NOON)
    with pytest.raises(consent.EvidenceMissing):
        customers.tell_birthday(customer, month=2, day=29, evidence=" ", at=NOON)
    assert not Consent.objects.exists()


def stop_path() -> str:
    actions.plan_birthdays(NOON)
    sent_everything(EVENING)
    return mail.outbox[0].extra_headers["List-Unsubscribe"].strip("<>").removeprefix("http://127.0.0.1:8000")


def test_opening_the_stop_link_changes_nothing_and_posting_does_W03():
    told_birthday()
    path, client = stop_path(), Client(enforce_csrf_checks=True)
    assert client.get(path).status_code == 200
    assert Consent.objects.filter(state="withdrawn").count() == 0
    assert client.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert client.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert Consent.objects.filter(state="withdrawn").count() == 1


def test_no_link_in_a_mail_gives_a_permission_however_often_a_scanner_follows_it_W06():
    """Every permission was given by the customer's own words; a link can only end one."""
    told_birthday()
    path, scanner = stop_path(), Client()
    before = list(Consent.objects.values_list("pk", flat=True))
    links = {link for sent in mail.outbox for link in re.findall(r"https?://[^\s\"<>]+", sent.body)}
    for link in (path, *(link.removeprefix("http://127.0.0.1:8000") for link in links)):
        for ask in (scanner.head, scanner.get, scanner.options):
            ask(link)
        scanner.get(link + "?confirm=1&consent=granted")
    assert list(Consent.objects.values_list("pk", flat=True)) == before
    scanner.post(path, {"consent": "granted"})
    assert Consent.objects.filter(state="granted").count() == len(before)


@pytest.mark.parametrize("change", [lambda p: p[:-3] + "xx/", lambda p: "/stop/WzEsMV0:x:y/", lambda p: "/stop/1/"])
def test_a_stop_link_that_is_not_ours_is_not_there_W04(change):
    told_birthday()
    path = change(stop_path())
    for ask in (Client().get, Client().post):
        assert ask(path).status_code == 404
    assert not Consent.objects.filter(state="withdrawn").exists()


def test_a_card_that_came_back_is_not_sent_and_never_again_by_itself_G16():
    told_birthday()
    actions.plan_birthdays(NOON)
    sent_everything(EVENING)
    gesture = Gesture.objects.select_related("message").get()
    assert gesture.state == "sent"

    back = DeliveryNews(
        "postmark", "bounced", gesture.message.public_id, "", "", "", "5.1.1", EVENING, "1:bounced", is_permanent=True
    )  # fmt: skip
    deliveries.report(back, at=EVENING)
    sent_everything(EVENING)
    actions.note_sent("outgoing.accepted", actions.ref_of(gesture), EVENING)  # news that comes late changes nothing

    gesture.refresh_from_db()
    assert (gesture.state, gesture.reason, gesture.sent_at) == ("dropped", "came_back", None)
    assert (actions.plan_birthdays(EVENING), len(mail.outbox)) == (0, 1)


def test_nothing_is_delivered_to_a_door_while_nobody_confirms_addresses_P12():
    """No surprise is delivered yet. Who adds one adds the wish for surprises and the freshly confirmed address it needs."""
    told_birthday()
    actions.plan_birthdays(NOON)
    sent_everything(EVENING)
    assert {choice for choice, _label in Programme._meta.get_field("occasion").choices} == {"birthday"}
    assert set(OutgoingMessage.objects.filter(kind="gesture").values_list("channel", flat=True)) == {"email"}
