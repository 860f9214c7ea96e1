"""The staff's pages about time: service hours, promises of a conversation, what there is to look at."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.actions import alerts, calendars, deadlines, intake
from crm.models import Alert, Conversation, Promise, ServiceCalendar, User
from crm.policy import AlertKind, PromiseState, Role
from tests.crm.stories import colleague, message
from tests.crm.test_admin import statements

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
VIEWER = ZoneInfo("Europe/Berlin")


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def heard(*, hours_ago: float = 0, key: str = "a") -> Conversation:
    at = timezone.now() - hours_ago * HOUR
    return intake.receive(message(external_id=key, spoke_at=at), at=at, origin="test").conversation


def form(**changes: object) -> dict[str, object]:
    soon = (timezone.now() + HOUR).astimezone(VIEWER)
    return {
        "region": "", "zone": "Europe/Berlin", **{f"day_{n}": "09:00–12:30, 13:30-18:00" for n in range(5)}, "day_5": "",
        "day_6": "closed", "holidays_of": "DE", "particular": "2027-12-24 09:00–12:00\n2027-12-31 closed", "note": "",
        "effective_from": soon.strftime("%Y-%m-%dT%H:%M"), **changes,
    }  # fmt: skip


def test_a_lead_publishes_hours_and_everybody_sees_what_they_mean_X25():
    lead = browser(colleague(Role.LEAD))
    assert "all day, every day" in lead.get(reverse("admin:hours")).content.decode()
    answer = lead.post(reverse("admin:hours_new"), form())
    assert answer.status_code == 302
    version = ServiceCalendar.objects.get()
    assert version.week[0] == [[540, 750], [810, 1080]]
    assert version.week[5] == version.week[6] == []
    page = browser(colleague(email="x@shop.example")).get(reverse("admin:hours")).content.decode()
    assert "09:00–12:30, 13:30–18:00" in page
    assert "whichever way it came" in page
    again = lead.get(reverse("admin:hours_new") + f"?from={version.public_id}").content.decode()
    assert "2027-12-24 09:00–12:00" in again


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"day_0": "9–8"}, "begins before it ends"), ({"zone": "Mars/Base"}, "no time zone"), ({"holidays_of": "XX"}, "not known"),
        ({"particular": "Christmas closed"}, "begins with no day"), ({"effective_from": "2020-01-01T00:00"}, "ten minutes ahead"),
        ({f"day_{n}": "" for n in range(5)}, "at least one day"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_hours_is_told_in_words_and_nothing_is_lost_Q11(change, told):
    lead = browser(colleague(Role.LEAD))
    answer = lead.post(reverse("admin:hours_new"), form(**change))
    assert answer.status_code in (400, 409)
    page = answer.content.decode()
    assert told in page
    assert "2027-12-31" in page or "particular" in change
    assert not ServiceCalendar.objects.exists()


def test_a_file_that_is_no_calendar_is_told_in_words_X25():
    lead = browser(colleague(Role.LEAD))
    answer = lead.post(reverse("admin:hours_new"), form(file=SimpleUploadedFile("x.ics", b"nothing")))
    assert answer.status_code == 409
    assert "cannot be read as a calendar" in answer.content.decode()


def test_an_agent_may_not_publish_hours():
    assert browser(colleague()).post(reverse("admin:hours_new"), form()).status_code == 403


def test_a_miss_is_explained_on_the_page_of_its_conversation_R007():
    agent = colleague()
    conversation, page = heard(hours_ago=9), reverse("admin:conversation", args=[heard(key="b").public_id])
    deadlines.tick(at=timezone.now())
    client = browser(agent)
    page = reverse("admin:conversation", args=[conversation.public_id])
    assert "Why was it missed?" in client.get(page).content.decode()
    promise = Promise.objects.get(conversation=conversation)
    url = reverse("admin:promise", args=[conversation.public_id])
    client.post(url, {"do": "explain", "promise": promise.pk, "reason": "nonsense", "words": "x"})
    assert Promise.objects.get(pk=promise.pk).reason == ""
    client.post(
        url, {"do": "explain", "promise": promise.pk, "reason": "not_seen", "words": "It lay in the wrong tray."}
    )
    shown = client.get(page).content.decode()
    assert "It lay in the wrong tray." in shown
    assert "Why was it missed?" not in shown


def test_a_colleague_promises_something_and_keeps_it_on_the_page():
    agent, conversation = colleague(), heard()
    client, url = browser(agent), reverse("admin:promise", args=[conversation.public_id])
    by_when = (timezone.now() + 2 * HOUR).astimezone(VIEWER).strftime("%Y-%m-%dT%H:%M")
    client.post(url, {"do": "promise", "words": "I call you.", "due_at": "", "key": "k"})
    assert Promise.objects.count() == 1
    for _again in range(2):
        client.post(url, {"do": "promise", "words": "I call you.", "due_at": by_when, "key": "k"})
    own = Promise.objects.get(kind="personal")
    assert client.post(url, {"do": "keep", "promise": own.pk}).status_code == 302
    assert Promise.objects.get(pk=own.pk).state == PromiseState.MET


def test_a_promise_of_another_conversation_is_not_there_Q8():
    agent, one, other = colleague(), heard(key="1"), heard(key="2")
    promise = Promise.objects.get(conversation=other)
    url = reverse("admin:promise", args=[one.public_id])
    assert browser(agent).post(url, {"do": "keep", "promise": promise.pk}).status_code == 404
    assert browser(agent).get(url).status_code == 405


def test_alerts_are_for_whom_they_are_for_and_open_their_matter_R007():
    owner, lead, conversation = colleague(), colleague(Role.LEAD, takes=False), heard(hours_ago=7)
    deadlines.tick(at=timezone.now())
    alert = Alert.objects.get()
    assert "a promise runs out soon" in browser(owner).get(reverse("admin:alerts")).content.decode().casefold()
    assert "a promise runs out soon" not in browser(lead).get(reverse("admin:alerts")).content.decode().casefold()
    assert browser(lead).post(reverse("admin:see_alert", args=[alert.pk])).status_code == 404
    opened = browser(owner).post(reverse("admin:see_alert", args=[alert.pk]))
    assert opened["Location"] == reverse("admin:conversation", args=[conversation.public_id])
    alert.refresh_from_db()
    assert alert.seen_by == owner
    assert browser(owner).get(reverse("admin:alerts")).content.decode().count("eh-dot") == 0


def test_alerts_page_by_key_and_cost_the_same_for_one_and_for_sixty():
    lead = browser(colleague(Role.LEAD, takes=False))
    one = heard()

    def tell(number: int) -> None:
        alerts.write([alerts.told(AlertKind.SOURCE_LATE, key=str(number), at=timezone.now(), conversation=one)])

    tell(0)
    cost = statements(lead, reverse("admin:alerts"))
    for number in range(1, 60):
        tell(number)
    assert statements(lead, reverse("admin:alerts")) == cost
    page = lead.get(reverse("admin:alerts")).content.decode()
    key = page.partition("?after=")[2].partition('"')[0]
    assert key
    assert lead.get(reverse("admin:alerts") + f"?after={key}").content.decode().count("eh-nowrap") == 20


def test_the_page_of_hours_costs_the_same_for_one_and_for_twenty_regions():
    lead = browser(colleague(Role.LEAD))
    at = timezone.now()

    def publish(region: str) -> None:
        draft = calendars.Draft(region=region, zone="UTC", week=(((540, 1020),),) * 7)
        calendars.publish(draft, effective_from=at + HOUR, by=None, at=at)

    publish("")
    cost = statements(lead, reverse("admin:hours"))
    for number in range(20):
        publish(f"R{number}")
    assert statements(lead, reverse("admin:hours")) == cost


def test_a_customers_region_is_noted_on_their_page_X25():
    agent, customer = browser(colleague()), heard().customer
    url, page = (reverse(f"admin:{name}", args=[customer.public_id]) for name in ("customer_region", "customer"))
    assert "Service hours" not in agent.get(page).content.decode().partition("eh-desk-side")[2]
    at = timezone.now()
    draft = calendars.Draft(region="NY", zone="America/New_York", week=(((540, 1020),),) * 7)
    calendars.publish(draft, effective_from=at + HOUR, by=None, at=at)
    assert agent.post(url, {"region": "NY"}).status_code == 302
    assert agent.post(url, {"region": "Mars"}).status_code == 302
    customer.refresh_from_db()
    assert customer.region == "NY"
    assert "<option selected>NY</option>" in agent.get(page).content.decode()
    assert browser(colleague(Role.AUDITOR, takes=False)).post(url, {"region": ""}).status_code == 403
