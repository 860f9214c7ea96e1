"""Showing who somebody is, at the API: what the rules ask for, each step, and how it is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from crm.models import Conversation, IdentityCheck
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_identity_checks import code_in, told
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def url(matter: Conversation) -> str:
    return f"/api/v1/conversations/{matter.public_id}/identity-checks/"


def step(number: str, what: str) -> str:
    return f"/api/v1/identity-checks/{number}/{what}/"


def test_what_the_rules_ask_for_is_told_then_asked_then_shown() -> None:
    client, matter = client_for(colleague()), told()
    rules = client.get(url(matter)).json()["rules"]
    assert rules[0] == {"need": "release", "steps": 1, "next": ["code", "document"], "is_enough": False}
    asked = client.post(url(matter), {"kind": "document", "need": "release"}, format="json")
    assert (asked.status_code, asked.json()["state"], asked.json()["is_beyond"]) == (201, "asked", False)
    shown = client.post(step(asked.json()["id"], "pass"))
    assert (shown.status_code, shown.json()["state"]) == (200, "passed")
    found = client.get(url(matter)).json()
    assert found["rules"][0] == {"need": "release", "steps": 1, "next": [], "is_enough": True}
    assert [one["state"] for one in found["checks"]] == ["passed"]


def test_a_code_is_told_and_checked_and_nothing_of_it_is_shown_here() -> None:
    client, matter = client_for(colleague()), told()
    asked = client.post(url(matter), {"kind": "code", "need": "release"}, format="json").json()
    code = code_in(IdentityCheck.objects.get())
    assert code not in client.get(url(matter)).content.decode()
    refused = client.post(step(asked["id"], "pass"))
    assert (refused.status_code, refused.json()["code"]) == (409, "code_alone")
    wrong = client.post(step(asked["id"], "code"), {"code": "1"}, format="json")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "not_that_code")
    assert client.post(step(asked["id"], "code"), {"code": code}, format="json").json()["state"] == "passed"


def test_each_refusal_has_its_code() -> None:
    client, matter = client_for(colleague()), told()

    def refusal(kind: str, **more: str) -> tuple[int, str]:
        answer = client.post(url(matter), {"kind": kind, "need": "release", **more}, format="json")
        return answer.status_code, answer.json()["code"]

    assert refusal("reference") == (400, "reason_needed")
    assert refusal("call_back") == (409, "nothing_proved")
    assert refusal("passport")[0] == 400
    number = client.post(url(matter), {"kind": "document", "need": "release"}, format="json").json()["id"]
    assert refusal("document") == (409, "already_asked")
    assert client.post(step(number, "withdraw")).json()["state"] == "withdrawn"
    again = client.post(step(number, "fail"))
    assert (again.status_code, again.json()["code"]) == (409, "check_settled")
    for _ in range(3):
        code = client.post(url(matter), {"kind": "code", "need": "release"}, format="json").json()["id"]
        client.post(step(code, "fail"))
    assert refusal("code") == (429, "too_many_codes")
    with time_machine.travel(NOON + timedelta(days=1), tick=False):
        client = client_for(colleague())
        assert client.post(url(matter), {"kind": "code", "need": "release"}, format="json").status_code == 201


def test_only_those_who_answer_customers_may_Q8() -> None:
    matter = told()
    number = (
        client_for(colleague()).post(url(matter), {"kind": "document", "need": "release"}, format="json").json()["id"]
    )
    for one in (colleague(Role.AUDITOR), colleague(Role.LOYALTY_MANAGER), app_user()):
        client = client_for(one)
        assert client.get(url(matter)).status_code == 403
        assert client.post(url(matter), {"kind": "document", "need": "money"}, format="json").status_code == 403
        for what in ("pass", "fail", "withdraw", "code"):
            assert client.post(step(number, what), {"code": "1"}, format="json").status_code == 403
    assert IdentityCheck.objects.get().state == "asked"
