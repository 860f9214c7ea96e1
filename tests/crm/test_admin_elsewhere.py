"""The conversation page where there is no way back: an answer given elsewhere is logged there (R028)."""

from __future__ import annotations

import pytest

from crm.actions import intake
from crm.models import AnswerElsewhere
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_elsewhere import LINK, mentioned
from tests.crm.stories import colleague, message
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db


def test_where_nothing_can_be_sent_the_answer_given_there_is_logged_R028():
    post, ada, bob = mentioned(), colleague(name="Ada Agent"), colleague(name="Bob Backup")
    here = f"/admin/conversation/{post.conversation.public_id}/"
    page = client_of(ada).get(here).content.decode()
    assert '<details class="eh-note-box" id="elsewhere" open>' in page
    assert "Bob Backup</option>" in page
    form = {
        "do": "elsewhere",
        "elsewhere_key": "k",
        "elsewhere_url": "nonsense",
        "elsewhere_text": "We mend <b>it</b>.",
    }
    refused = client_of(ada).post(here, form)
    assert refused.status_code == 409
    assert "This link cannot be kept" in refused.content.decode()
    assert "We mend &lt;b&gt;it&lt;/b&gt;.</textarea>" in refused.content.decode()

    done = client_of(ada).post(
        here, {**form, "elsewhere_url": LINK, "elsewhere_signer": str(bob.public_id)}, follow=True
    )

    shown = done.content.decode()
    assert "it counts from when you gave it" in shown
    assert f'href="{LINK}"' in shown
    assert "signed off by Bob Backup" in shown
    assert AnswerElsewhere.objects.get().signed_off_by == bob
    assert "names you as having signed it off" in client_of(bob).get("/admin/alerts/").content.decode()


def test_it_is_not_offered_where_an_answer_can_be_sent_nor_to_those_who_answer_nobody_R028():
    mail = intake.receive(message(), at=NOON, origin="test").conversation
    assert 'id="elsewhere"' not in client_of(colleague()).get(f"/admin/conversation/{mail.public_id}/").content.decode()
    here = f"/admin/conversation/{mentioned().conversation.public_id}/"
    assert 'id="elsewhere"' not in client_of(colleague(Role.AUDITOR)).get(here).content.decode()
    form = {"do": "elsewhere", "elsewhere_url": LINK, "elsewhere_text": "Hello."}
    assert client_of(colleague(Role.AUDITOR)).post(here, form).status_code == 403


def test_a_page_further_back_offers_nothing_and_a_strange_signer_is_refused_R028():
    post = mentioned()
    here = f"/admin/conversation/{post.conversation.public_id}/"
    form = {"do": "elsewhere", "elsewhere_url": LINK, "elsewhere_text": "Hello.", "elsewhere_signer": "x"}
    answer = client_of(colleague()).post(here, form)
    assert "Please choose who signs it off." in answer.content.decode()
    assert (
        client_of(colleague()).post(here, {**form, "elsewhere_signer": "", "elsewhere_at": "soon"}).status_code == 409
    )
