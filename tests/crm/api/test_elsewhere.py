"""An answer given elsewhere, told by an app of colleagues (R028)."""

from __future__ import annotations

import uuid

import pytest

from crm.models import AnswerElsewhere, Interaction
from crm.policy import Role
from tests.crm.actions.test_elsewhere import LINK, mentioned
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db


def test_an_app_writes_down_an_answer_given_elsewhere_R028():
    post, ada, bob = mentioned(), colleague(), colleague()
    here = f"/api/v1/conversations/{post.conversation.public_id}/answers-elsewhere/"
    told = {"url": LINK, "text": "We mend it.", "signed_off_by": str(bob.public_id), "key": "k"}

    answer = client_for(ada).post(here, told, format="json")

    assert (answer.status_code, answer.json()["state"], answer.json()["can_be_taken_back"]) == (201, "accepted", False)
    assert client_for(ada).post(here, told, format="json").json()["id"] == answer.json()["id"]
    assert AnswerElsewhere.objects.get().signed_off_by == bob


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"url": "nowhere"}, 400, "unusable_address"),
        ({"signed_off_by": str(uuid.uuid4())}, 409, "sign_off_missing"),
        ({"answered_at": "2026-01-01T00:00:00Z"}, 400, "time_not_credible"),
        ({"text": ""}, 400, "invalid"),
    ],
)
def test_what_cannot_be_is_refused_with_its_code_R028(changes, status, code):
    here = f"/api/v1/conversations/{mentioned().conversation.public_id}/answers-elsewhere/"
    answer = client_for(colleague()).post(here, {"url": LINK, "text": "We mend it.", **changes}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Interaction.objects.filter(direction="out").exists()


def test_only_those_who_answer_customers_may_Q8():
    here = f"/api/v1/conversations/{mentioned().conversation.public_id}/answers-elsewhere/"
    told = {"url": LINK, "text": "We mend it."}
    for account in (app_user(), colleague(Role.AUDITOR), colleague(Role.LOYALTY_MANAGER)):
        assert client_for(account).post(here, told, format="json").status_code == 403
