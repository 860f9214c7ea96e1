"""The door for phone systems: who may report, what is understood, how repeats are met."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command

from crm.actions import desk, talks
from crm.models import Call, CallEvent, Interaction, User
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.api.door import client_for
from tests.crm.api.test_views import sql
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db

URL = "/api/v1/call-events/"
PHONE = "+4930123456"
RANG = {"system": "main", "call": "c1", "event": "e1", "what": "rang", "caller": "030 123456"}


def post(client: Any, **changes: Any) -> Any:
    return client.post(URL, {**RANG, **changes}, format="json")


@pytest.mark.parametrize("who", ["nobody", "customer", *Role])
def test_only_those_with_the_right_report_calls(who):
    user = None if who == "nobody" else app_user() if who == "customer" else colleague(Role(who))
    status = post(client_for(user)).status_code
    assert status == {"nobody": 401, Role.AGENT: 200, Role.LEAD: 200}.get(who, 403)
    assert Call.objects.exists() == (status == 200)


def test_a_ring_names_whom_the_call_is_put_through_to_R135():
    ada = colleague(name="Ada Okafor")
    desk.log_call(talks.Call(key="k", phone=PHONE, said="It is broken.", agreed=""), by=ada, at=NOON)
    answer = post(client_for(ada))
    assert answer.json()["put_through_to"] == {"email": ada.email, "name": "Ada Okafor"}
    assert post(client_for(ada), call="c2", caller="anonymous").json()["put_through_to"] is None


def test_a_whole_call_told_backwards_and_twice_C11():
    ada = colleague()
    with time_machine.travel(NOON, tick=False):
        client = client_for(ada)
        assert post(client, call="before").status_code == 200
    told = [("ended", 200), ("resumed", 90), ("held", 60), ("answered", 20), ("rang", 0)]
    with time_machine.travel(NOON + timedelta(seconds=250), tick=False):
        for what, seconds in told * 2:
            at = (NOON + timedelta(seconds=seconds)).isoformat()
            more = {"ended_by": "customer"} if what == "ended" else {}
            answer = post(client, event=what, what=what, at=at, colleague=ada.email.upper(), **more)
            assert answer.status_code == 200, answer.content
        refused = post(client, event="rang", what="held")
    found = answer.json()
    assert (found["state"], found["ended_by"], found["hold_seconds"]) == ("ended", "customer", 30)
    call = Call.objects.get(external_id="c1")
    assert (call.rang_at, call.answered_by, call.source) == (NOON, ada, "phone:main")
    assert CallEvent.objects.filter(call=call).count() == 5
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    "changes",
    [
        {"what": "exploded"}, {"what": "silent"}, {"system": "two words"}, {"system": ""}, {"call": ""}, {"at": "noon"},
        {"ended_by": "them"}, {"severity": "critical"}, {"event": "e" * 161}, {"colleague": "nobody"}, {"caller": None},
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_changes_nothing_C03(changes):
    answer = post(client_for(colleague()), **changes)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert not Call.objects.exists()


def test_an_event_costs_the_same_whatever_is_stored_GOAL15(django_assert_max_num_queries):
    client = client_for(colleague())
    costs = []
    for number in range(21):
        with django_assert_max_num_queries(60) as captured:
            post(client, call=f"c{number}")
        costs.append(len(sql(captured)))
    assert len(set(costs[1:])) == 1
    assert costs[1] <= 14, costs


def test_a_live_call_is_written_down_over_the_api():
    client = client_for(colleague())
    live = post(client, what="answered").json()["id"]
    note = {"key": "k1", "live": live, "said": "It is broken.", "said_all": True}
    assert client.post("/api/v1/calls/", note, format="json").status_code == 201
    assert client.post("/api/v1/calls/", note, format="json").status_code == 200
    again = client.post("/api/v1/calls/", {**note, "key": "k2"}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "call_written_down")
    conversation = str(Interaction.objects.get().conversation.public_id)
    stranger = {"key": "k3", "said": "Hello", "phone": "+4930999999", "conversation": conversation}
    answer = client.post("/api/v1/calls/", stranger, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_their_matter")
    for field in ("live", "conversation"):
        nowhere = {**note, "key": "k4", field: "0199a7c4-0000-7000-8000-000000000000"}
        assert client.post("/api/v1/calls/", nowhere, format="json").status_code == 404


def test_a_phone_system_has_an_account_that_reports_calls_and_nothing_else():
    printed = io.StringIO()
    call_command("add_phone_system", "phones@shop.example", stdout=printed)
    system = User.objects.get(email="phones@shop.example")
    client = client_for(system, password=printed.getvalue().strip())
    assert post(client, what="answered").status_code == 200
    assert Call.objects.get().answered_by is None  # it does not talk to customers itself
    assert system.get_all_permissions() == {"crm.report_calls"}
    assert client.get("/api/v1/inbox/").status_code == 403
