"""What customers read in the app of what they told us of their lives, and of who acts for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import bereavement
from crm.models import OutgoingMessage, User
from crm.policy.bereavement import WhoDied
from crm.policy.lives import LifeEventKind, LifeSource
from tests.conftest import NOON
from tests.crm.actions.test_bereavement import reported
from tests.crm.actions.test_life_events import somebody, told
from tests.crm.actions.test_representatives import _inbound, acts, two  # noqa: F401 – a fixture for mail
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
EVENTS, ACTING = "/api/v1/me/life-events/", "/api/v1/me/representatives/"


def test_customers_read_what_they_told_us_themselves_and_nothing_else():
    user, ada = app_user(), colleague()
    told(user.customer, words="We marry!", by=ada)
    told(user.customer, words="said by a son", source=LifeSource.REPRESENTATIVE, by=ada)
    told(somebody(), words="somebody else", by=ada)
    back = told(user.customer, words="taken back", by=ada)
    type(back).objects.filter(pk=back.pk).update(taken_back_at=NOON, taken_back_by=ada, taken_back_because="wrong")
    told(user.customer, LifeEventKind.ILLNESS, words="my illness", handled_by=ada, by=ada)
    found = client_for(user).get(EVENTS).json()["results"]
    assert [one["words"] for one in found] == ["my illness", "We marry!"]
    assert set(found[0]) == {"id", "kind", "year", "month", "day", "words", "purpose", "told_at"}


def test_the_news_of_a_death_that_somebody_else_brought_is_not_shown_P02():
    user = app_user()
    reported(user.customer, WhoDied.CLOSE)
    assert client_for(user).get(EVENTS).json()["results"] == []


def test_customers_read_who_acts_for_them_by_their_own_word_R089():
    user, ada = app_user(), colleague()
    acts(user.customer, somebody(), source=LifeSource.CUSTOMER, by=ada)
    acts(user.customer, somebody(), source=LifeSource.REPRESENTATIVE, by=ada)
    (found,) = client_for(user).get(ACTING).json()["results"]
    assert (found["authority"], found["counts_now"], found["conversation"]) == ("power_of_attorney", True, None)
    assert "evidence" not in found


@pytest.mark.parametrize("url", [EVENTS, ACTING])
def test_who_may_read(url: str):
    assert client_for(None).get(url).status_code == 401
    assert client_for(colleague()).get(url).status_code == 403
    assert client_for(app_user()).get(url).json() == {"results": [], "next_cursor": None}
    assert client_for(app_user()).post(url, {}).status_code == 405


@pytest.mark.parametrize("url", [EVENTS, ACTING])
def test_pages_go_on_and_cost_the_same_for_one_and_for_many(url: str):
    user, ada = app_user(), colleague()
    client = client_for(user)

    def more(number: int) -> None:
        for _each in range(number):
            told(user.customer, by=ada)
            acts(user.customer, somebody(), source=LifeSource.CUSTOMER, by=ada)

    more(1)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    more(60)
    with CaptureQueriesContext(connection) as many:
        page = client.get(url).json()
    assert len(many) == len(few)
    ids = {one["id"] for one in page["results"]}
    rest = client.get(url, {"cursor": page["next_cursor"]}).json()
    assert len(ids | {one["id"] for one in rest["results"]}) == 61
    assert rest["next_cursor"] is None
    assert client.get(url, {"cursor": "nonsense"}).status_code == 400


def test_signing_in_after_the_news_of_ones_own_death_is_noticed_P02():
    user = app_user()
    found = reported(user.customer)
    client_for(user)
    assert User.objects.get(pk=user.pk).last_login > found.watched_from
    assert bereavement.stop(at=NOON + timedelta(minutes=1))["contradicted"] == 1


def test_an_answer_of_the_api_goes_to_whoever_acts_for_the_customer_R089():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer)
    client = client_for(colleague())
    url = f"/api/v1/conversations/{theirs.public_id}/answers/"
    given = {"text": "On its way.", "out_of_order": "knows_it", "representative": str(noted.public_id)}
    assert client.post(url, given, format="json").status_code == 201
    assert OutgoingMessage.objects.exclude(signed_by=None).get().address == "ruth@home.example"
    other = acts(carers.customer, somebody())
    assert client.post(url, {**given, "representative": str(other.public_id)}, format="json").status_code == 404
    type(noted).objects.filter(pk=noted.pk).update(valid_from=NOON, valid_until=NOON + timedelta(seconds=1))
    refused = client.post(url, {**given, "text": "More."}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "may_not_be_told")
