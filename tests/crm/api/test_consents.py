"""The app's door to one's own permissions (N7, R056)."""

from __future__ import annotations

import pytest

from crm.actions import consent
from crm.models import Consent, ConsentProof
from crm.policy import Role
from crm.policy.consent import WORDS
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
URL = "/api/v1/me/consents/"


def test_a_customer_reads_the_words_and_says_yes_to_just_these_N7():
    user = app_user()
    client = client_for(user)
    shown = client.get(URL, {"language": "de-AT"}).json()["results"]
    assert len(shown) == len(WORDS)
    assert not any(one["allowed_since"] for one in shown)
    news = next(one for one in shown if (one["purpose"], one["medium"]) == ("news", "email"))
    assert (news["language"], news["words"]) == (
        "de",
        "Ja, Sie dürfen mir Neuigkeiten und Angebote per E-Mail schicken.",
    )
    said = {name: news[name] for name in ("purpose", "medium", "words", "version", "language")} | {"allowed": True}

    for changed in ({"words": "Yes."}, {"version": "1999"}, {"language": "en"}, {"words": ""}):
        answer = client.put(URL, said | changed, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "other_words")
    answer = client.put(URL, said, format="json")

    assert answer.status_code == 200
    proof = ConsentProof.objects.get()
    assert (proof.door, proof.account, proof.customer, proof.language) == ("app", user, user.customer, "de")
    assert [one["purpose"] for one in client.get(URL).json()["results"] if one["allowed_since"]] == ["news"]
    client.put(URL, {"purpose": "news", "medium": "email", "allowed": False}, format="json")
    assert [event.allows for event in consent.counting(user.customer_id).values()] == [False]


def test_what_cannot_be_allowed_and_unknown_fields_are_refused():
    client = client_for(app_user())
    plain = {"purpose": "birthday", "medium": "call", "allowed": True, "words": "x", "version": "x"}
    assert client.put(URL, plain, format="json").json()["code"] == "cannot_be_allowed"
    for junk in ({"customer": 1}, {"purpose": "all"}, {"allowed": "perhaps"}):
        assert client.put(URL, plain | junk, format="json").status_code == 400
    assert not Consent.objects.exists()


@pytest.mark.parametrize("who", [None, *Role])
def test_nobody_but_a_customer_and_only_for_themselves_N7(who: Role | None):
    client = client_for(colleague(who) if who else None)
    for ask in (
        client.get(URL),
        client.put(URL, {"purpose": "news", "medium": "email", "allowed": True}, format="json"),
    ):
        assert ask.status_code == (403 if who else 401)
    assert not Consent.objects.exists()
