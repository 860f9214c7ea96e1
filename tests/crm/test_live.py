"""The pages of calls and sources: who sees them, what a press does, what they cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crm.actions import call_backs, calls, desk, sources, talks
from crm.models import Call, Conversation, HistoryEntry, Interaction, Promise, Source, User
from crm.policy import CallEventKind, CallState, EndedBy, Role
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db

PHONE = "+4930123456"
MINUTE = timedelta(minutes=1)
NOBODY, CUSTOMER, WITHOUT_ROLE = "nobody", "customer", "without a role"
EVERYBODY = [NOBODY, CUSTOMER, WITHOUT_ROLE, *[role.value for role in Role]]
TALKERS = [Role.AGENT, Role.LEAD]
WATCHERS = [Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR]


def browser(who: str) -> Client:
    client = Client()
    if who == CUSTOMER:
        client.force_login(app_user())
    elif who == WITHOUT_ROLE:
        client.force_login(User.objects.create_user("new@shop.example", None, is_staff=True))
    elif who != NOBODY:
        client.force_login(colleague(Role(who), takes=False))
    return client


def rang(number: int = 1, *, ago: timedelta = MINUTE, caller: str = PHONE) -> Call:
    at = timezone.now() - ago
    told = calls.Told(
        source="phone:main", external_id=f"c{number}", event_id="rang", kind=CallEventKind.RANG, caller=caller
    )
    return calls.report(told, by=None, at=at, origin="test")


def press(client: Client, call: Call, what: str, **form: str) -> Any:
    return client.post(reverse("admin:call_press", args=[call.public_id, what]), form, follow=True)


def show(client: Client) -> str:
    return str(client.get(reverse("admin:calls")).content.decode())


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_page_opens_for_those_who_may_and_for_nobody_else(who):
    client = browser(who)
    staff = [role.value for role in Role]
    for name, allowed in [
        ("calls", staff),
        ("calls_now", staff),
        ("crm_call_changelist", staff),
        ("sources", WATCHERS),
    ]:
        answer = client.get(reverse(f"admin:{name}"))
        if who == CUSTOMER and answer.status_code == 302:  # a list of the admin sends strangers away first
            answer = client.get(answer["Location"])
        status = answer.status_code
        assert status == (302 if who == NOBODY else 200 if who in allowed else 403), (name, status)


@pytest.mark.parametrize("who", EVERYBODY)
def test_only_those_who_talk_to_customers_press_buttons(who):
    call, client = rang(), browser(who)
    for address in (
        reverse("admin:call_press", args=[call.public_id, "pick-up"]),
        reverse("admin:wait_at_counter"),
    ):
        status = client.post(address, {}).status_code
        assert status == (302 if who == NOBODY or who in TALKERS else 403)
    call.refresh_from_db()
    assert (call.state == CallState.TALKING) == (who in TALKERS)
    assert Call.objects.filter(channel="store").exists() == (who in TALKERS)


@pytest.mark.parametrize("who", EVERYBODY)
def test_only_administrators_say_how_often_a_source_is_expected_R045(who):
    sources.polled("mail:inbox", channel="email", at=timezone.now())
    found = Source.objects.get()
    status = browser(who).post(reverse("admin:source_expect", args=[found.public_id]), {"minutes": "15"}).status_code
    assert status == (302 if who in (NOBODY, Role.ADMINISTRATOR) else 403)
    found.refresh_from_db()
    assert found.expected_every == (15 * MINUTE if who == Role.ADMINISTRATOR else None)


@pytest.mark.parametrize("typed", ["0", "-1", "soon", "99999999999", "1.5", "²"])
def test_a_nonsense_expectation_is_refused_in_words(typed):
    sources.polled("mail:inbox", channel="email", at=timezone.now())
    found = Source.objects.get()
    answer = browser(Role.ADMINISTRATOR).post(
        reverse("admin:source_expect", args=[found.public_id]), {"minutes": typed}, follow=True
    )
    assert "whole minutes" in answer.content.decode()
    found.refresh_from_db()
    assert found.expected_every is None


def test_a_call_from_ring_to_written_down_by_buttons_R084():
    client, call = browser(Role.AGENT), rang(ago=MINUTE)
    assert "rings" in show(client)
    press(client, call, "pick-up")
    press(client, call, "hold")
    assert "on hold" in show(client)
    press(client, call, "resume")
    press(client, call, "end-customer")
    page = show(client)
    assert "To be written down" in page
    form = client.get(reverse("admin:log_call"), {"live": call.public_id})
    key = form.context["form"]["key"].value()
    assert form.context["form"]["phone"].value() == PHONE
    answer = client.post(
        reverse("admin:log_call"),
        {"key": key, "live": call.public_id, "phone": PHONE, "said": "It is broken.", "said_all": "on"},
    )
    assert answer.status_code == 302, answer.content
    said = Interaction.objects.get()
    assert (said.spoke_at, said.wait_seconds >= 60) == (call.rang_at, True)
    call.refresh_from_db()
    assert (call.written_down, call.said_all) == (said, True)
    assert "To be written down" not in show(client)


def test_whoever_holds_long_is_offered_a_call_back_R136():
    client, call = browser(Role.AGENT), rang(ago=20 * MINUTE)
    at = timezone.now()
    calls.pick_up(call.pk, by=colleague(), at=at - 15 * MINUTE)
    calls.hold(call.pk, by=colleague(), at=at - 4 * MINUTE)
    assert "Offer to call back" not in show(client)
    calls.resume(call.pk, by=colleague(), at=at - 2 * MINUTE)
    calls.hold(call.pk, by=colleague(), at=at - 2 * MINUTE)
    assert "Offer to call back" not in show(client)
    Call.objects.filter(pk=call.pk).update(hold_seconds=300)
    assert "Offer to call back" in show(client)
    press(client, call, "agree")
    page = show(client)
    assert "call-back promised" in page
    assert "Offer to call back" not in page
    assert Promise.objects.filter(kind="call_back").count() == 1


def missed(number: int = 1, *, caller: str = PHONE) -> Conversation:
    call = rang(number, ago=2 * MINUTE, caller=caller)
    calls.end(call.pk, ended_by=EndedBy.CUSTOMER, by=None, at=timezone.now() - MINUTE)
    call_backs.recover_dropped_calls(timezone.now())
    call.refresh_from_db()
    return Interaction.objects.select_related("conversation__customer").get(pk=call.interaction_id).conversation


def test_a_call_back_is_tried_then_written_down_in_its_matter():
    client, conversation = browser(Role.AGENT), missed()
    assert PHONE in show(client)
    for key in ("t1", "t1", "t2"):
        client.post(reverse("admin:call_tried", args=[conversation.public_id]), {"key": key})
    assert HistoryEntry.objects.filter(verb="call.tried").count() == 2
    assert "2 times" in show(client)
    form = client.get(reverse("admin:log_call"), {"conversation": conversation.public_id}).context["form"]
    given = {
        "key": form["key"].value(),
        "conversation": str(form["conversation"].value()),
        "phone": form["phone"].value(),
    }
    client.post(reverse("admin:log_call"), {**given, "channel": "phone", "said": "It is broken."})
    assert Interaction.objects.filter(conversation=conversation, direction="in").count() == 2


def test_a_call_without_words_is_told_in_words_of_the_viewer():
    client, conversation = browser(Role.AGENT), missed()
    line = "Called and reached nobody"
    assert not Interaction.objects.get().text
    assert line in client.get(reverse("admin:conversation", args=[conversation.public_id])).content.decode()
    assert line in client.get(reverse("admin:inbox"), {"show": "all"}).content.decode()
    assert line in client.get(reverse("admin:customer", args=[conversation.customer.public_id])).content.decode()


def test_somebody_at_the_counter_is_served_or_leaves_R084():
    client = browser(Role.AGENT)
    assert "Somebody waits at the counter" in client.get(reverse("admin:log_call")).content.decode()
    for key in ("w1", "w1", "w2"):
        client.post(reverse("admin:wait_at_counter"), {"key": key, "name": f"Carla {key}"})
    first, second = Call.objects.order_by("id")
    assert "waits at the counter" in show(client)
    press(client, first, "pick-up")
    press(client, second, "left")
    assert set(Call.objects.values_list("state", flat=True)) == {"talking", "ended"}
    refused = client.post(reverse("admin:wait_at_counter"), {"key": "w3", "phone": "12"}, follow=True)
    assert "not a phone number" in refused.content.decode()


def test_buttons_of_no_call_and_no_meaning_are_not_there():
    client, call = browser(Role.AGENT), rang()
    assert client.post(reverse("admin:call_press", args=[call.public_id, "explode"])).status_code == 404
    assert client.get(reverse("admin:call_press", args=[call.public_id, "hold"])).status_code == 405
    for name in ("live", "conversation"):
        for value in ("nonsense", "0199a7c4-0000-7000-8000-000000000000"):
            assert client.get(reverse("admin:log_call"), {name: value}).status_code == 404


@pytest.mark.parametrize("who", Role)
def test_how_often_we_end_talks_is_for_leads_R137(who):
    ada, client = colleague(name="Ada Okafor"), browser(who)
    for number, by in enumerate([EndedBy.US, EndedBy.US, EndedBy.CUSTOMER]):
        call = rang(number, ago=MINUTE)
        calls.pick_up(call.pk, by=ada, at=timezone.now())
        calls.end(call.pk, ended_by=by, by=ada, at=timezone.now())
    assert ("2 (67 %)" in show(client)) == (who == Role.LEAD)


def statements(client: Client, url: str) -> int:
    assert client.get(url).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_pages_cost_the_same_for_one_row_and_for_twenty_GOAL15():
    client, ada = browser(Role.LEAD), colleague(name="Ada")

    def one_more(number: int) -> Call:
        caller = f"+49301234{number:03}"
        missed(1000 + number, caller=caller)
        rang(2000 + number, caller=caller)
        talk = rang(3000 + number, caller=caller)
        calls.pick_up(talk.pk, by=ada, at=timezone.now())
        ended = rang(4000 + number, caller=caller)
        calls.pick_up(ended.pk, by=ada, at=timezone.now())
        calls.end(ended.pk, ended_by=EndedBy.US, by=ada, at=timezone.now())
        sources.polled(f"mail:{number}", channel="email", at=timezone.now())
        return talk

    talk = one_more(0)
    urls = [reverse(f"admin:{name}") for name in ("calls", "calls_now", "sources", "crm_call_changelist")]
    urls.append(f"{reverse('admin:log_call')}?live={talk.public_id}")
    with_one = {url: statements(client, url) for url in urls}
    for number in range(1, 20):
        one_more(number)
    assert {url: statements(client, url) for url in urls} == with_one
    assert max(with_one.values()) <= 12, with_one


def test_looking_changes_nothing():
    client, call = browser(Role.LEAD), rang()
    sources.polled("mail:inbox", channel="email", at=timezone.now())
    before = (list(Call.objects.values()), list(Source.objects.values()), HistoryEntry.objects.count())
    for name in ("calls", "calls_now", "sources", "log_call"):
        client.get(reverse(f"admin:{name}"), {"live": call.public_id} if name == "log_call" else {})
    assert (list(Call.objects.values()), list(Source.objects.values()), HistoryEntry.objects.count()) == before


def test_call_backs_go_on_after_the_last_row_without_losing_one():
    client = browser(Role.AGENT)
    for number in range(55):
        missed(number, caller=f"+49301235{number:03}")
    first = client.get(reverse("admin:calls"))
    second = client.get(reverse("admin:calls"), {"after": first.context["next_key"]})
    seen = [row.promise.pk for page in (first, second) for row in page.context["owed"]]
    assert len(seen) == len(set(seen)) == 55


def test_a_late_source_says_so_R045():
    at = datetime(2026, 3, 2, tzinfo=timezone.get_current_timezone())
    told = {"source": "phone:main", "event_id": "rang", "kind": CallEventKind.RANG}
    calls.report(calls.Told(external_id="a", **told), by=None, at=at, origin="test")
    late = calls.Told(external_id="b", stated_at=at + MINUTE, **told)
    calls.report(late, by=None, at=at + 10 * MINUTE, origin="test")
    sources.watch_ingest_lag(at + 11 * MINUTE)
    page = browser(Role.AUDITOR).get(reverse("admin:sources")).content.decode()
    assert "messages take too long" in page
    assert "phone:main" in page


def test_a_talk_that_goes_on_with_somebody_elses_matter_is_refused_in_words():
    client, conversation = browser(Role.AGENT), missed()
    form = {
        "key": "k",
        "conversation": conversation.public_id,
        "phone": "+4930999999",
        "said": "Hello",
        "channel": "phone",
    }
    answer = client.post(reverse("admin:log_call"), form)
    assert answer.status_code == 409
    assert "belongs to somebody else" in answer.content.decode()
    assert desk.log_call(
        talks.Call(key="k", phone=PHONE, said="Hello", agreed=""), by=colleague(), at=timezone.now()
    ).created
