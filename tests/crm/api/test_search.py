"""Search at the API: who finds what, what it costs, how it refuses (X35, P15, Y01)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import desk, intake, search_index
from crm.models import User
from crm.policy import Role
from recovery.actions import open_case
from recovery.policy import ComplaintType, Facts
from tests.conftest import NOON
from tests.crm.api.door import client_for
from tests.crm.api.test_views import sql
from tests.crm.stories import app_user, colleague, message

pytestmark = pytest.mark.django_db
HERE = "/api/v1/search/"


def said_by(user: User, text: str):
    return intake.receive(
        message(text, sender_kind="app", sender_address=str(user.public_id), channel="app", source="app"),
        at=NOON,
        origin="test",
    )


def index() -> None:
    while search_index.read_batch(at=NOON + timedelta(hours=1)):
        pass


def texts(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return ["".join(piece["text"] for piece in hit["snippet"]) for hit in answer.json()["results"]]


def test_staff_find_messages_customers_and_cases_and_page_by_key_X35():
    agent = colleague()
    for number in range(55):
        intake.receive(message(f"lamp {number}", sender_name="Kim Müller"), at=NOON, origin="test")
    conversation = intake.receive(message("broken"), at=NOON, origin="test").conversation
    facts = Facts(complaint_type=ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"))
    case = open_case(conversation.pk, facts=facts, seen_because=[], by=agent, at=NOON)
    index()
    client = client_for(agent)
    first = client.get(HERE, {"q": "lamp"})
    rest = client.get(HERE, {"q": "lamp", "cursor": first.json()["next_cursor"]})
    assert (len(texts(first)), len(texts(rest)), rest.json()["next_cursor"]) == (50, 5, None)
    assert len({*texts(first), *texts(rest)}) == 55
    assert first.json()["results"][0]["snippet"][0] == {"text": "lamp", "found": True}
    assert len(texts(client.get(HERE, {"q": "mull ki", "of": "customers"}))) == 50
    for typed in (f"case {case.pk}", str(case.public_id), "damaged", "80,00", "80"):
        found = client.get(HERE, {"q": typed, "of": "cases"}).json()["results"]
        assert [hit["id"] for hit in found] == [str(case.public_id)], typed


def test_what_a_customer_cannot_see_leaves_no_trace_in_what_they_find_P15():
    """The same question to the same account before and after others wrote: the same bytes, the same statements."""
    one, other, agent = app_user(), app_user(), colleague()
    own = said_by(one, "my lamp").conversation
    index()
    client = client_for(one)
    asked = [{"q": "lamp"}, {"q": "secret"}, {"q": "carla", "of": "customers"}, {"q": "damaged", "of": "cases"}]

    def all_of_it() -> list[tuple[bytes, int]]:
        found = []
        for query in asked:
            with CaptureQueriesContext(connection) as captured:
                answer = client.get(HERE, query)
            found.append((answer.content, len(sql(captured))))
        return found

    before = all_of_it()
    for number in range(60):
        said_by(other, f"secret lamp {number}")
    desk.note(own.pk, text="secret note on the lamp", by=agent, at=NOON)
    theirs = said_by(other, "secret").conversation
    open_case(theirs.pk, facts=Facts(complaint_type=ComplaintType.DAMAGED_ITEM), seen_because=[], by=agent, at=NOON)
    index()
    assert all_of_it() == before
    assert texts(client.get(HERE, {"q": "lamp"})) == ["my lamp"]


@pytest.mark.parametrize(
    ("role", "status", "finds"),
    [(None, 401, 0), (Role.AGENT, 200, 1), (Role.LEAD, 200, 1), (Role.AUDITOR, 200, 1), (Role.LOYALTY_MANAGER, 200, 1)],
)
def test_who_may_search_X35(role, status, finds):
    intake.receive(message("lamp"), at=NOON, origin="test")
    index()
    answer = client_for(colleague(role) if role else None).get(HERE, {"q": "lamp"})
    assert answer.status_code == status
    assert len(answer.json().get("results", [])) == finds


@pytest.mark.parametrize(
    "query", [{}, {"q": ""}, {"q": "-lamp"}, {"q": "x" * 201}, {"q": "lamp before:soon"}, {"q": "\x00"}]
)
def test_what_cannot_be_looked_for_is_refused_with_its_code_Y01(query):
    answer = client_for(colleague()).get(HERE, query)
    assert (answer.status_code, answer.json()["code"]) == (400, "unusable_search")


def test_other_mistakes_are_refused_as_everywhere():
    client = client_for(colleague())
    assert client.get(HERE, {"q": "lamp", "of": "secrets"}).status_code == 400
    assert client.get(HERE, {"q": "lamp", "cursor": "nonsense"}).status_code == 400


@pytest.mark.parametrize("of", ["messages", "customers", "cases"])
def test_a_search_costs_the_same_for_one_find_and_for_twenty_GOAL15(of):
    agent, counts = colleague(), []
    client = client_for(agent)
    for number in range(20):
        heard = intake.receive(message("damaged lamp", sender_name="Damaged"), at=NOON, origin="test")
        facts = Facts(complaint_type=ComplaintType.DAMAGED_ITEM)
        open_case(heard.conversation.pk, facts=facts, seen_because=[], by=agent, at=NOON)
        if number in (0, 19):
            index()
            with CaptureQueriesContext(connection) as captured:
                assert len(texts(client.get(HERE, {"q": "damaged", "of": of}))) == number + 1
            counts.append(len(sql(captured)))
    assert counts[0] == counts[1] <= 5
