"""The pages for public posts and for reach: who may, what a press does, and that lists cost the same at any length."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm.actions import judgements, queue, reach
from crm.models import Conversation, HistoryEntry, Interaction, PostJudgement, PublicPost
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_judgements import none, posted
from tests.crm.actions.test_reach import LOUD, loud
from tests.crm.stories import app_user, colleague
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
LISTS = ("/admin/posts/", "/admin/posts/?show=none", "/admin/posts/?show=again")


@pytest.mark.parametrize("page", [*LISTS, "/admin/coverage/", "/admin/coverage.csv"])
def test_who_may_see_the_pages_Q8(page: str):
    assert Client().get(page).status_code == 302
    assert client_of(app_user()).get(page).status_code == 403
    assert client_of(colleague(Role.LOYALTY_MANAGER)).get(page).status_code == 403
    for role in (Role.AGENT, Role.LEAD, Role.AUDITOR):
        assert client_of(colleague(role)).get(page).status_code == 200


def judged_at(post: PublicPost) -> str:
    return f"/admin/posts/{post.interaction.public_id}/judge/"


def test_a_post_is_judged_by_a_press_in_the_list_and_in_its_conversation():
    post, client = posted("<b>Cheap</b> watches"), client_of(colleague())
    here = f"/admin/conversation/{post.conversation.public_id}/"
    assert "&lt;b&gt;Cheap" in client.get("/admin/posts/").content.decode()
    assert "not judged" in client.get(here).content.decode()
    assert client.get(judged_at(post)).status_code == 405
    refused = client.post(judged_at(post), {"do": "none", "reason": "nonsense", "words": "x"}, follow=True)
    assert "Please choose why" in refused.content.decode()
    form = {"do": "none", "reason": "spam", "words": "An ad.", "from": "conversation"}
    assert client.post(judged_at(post), form).url == here
    post.refresh_from_db()
    assert post.verdict == "none"
    page = client.get(here).content.decode()
    assert "needs no answer" in page
    assert "An ad." in page
    assert "Nothing waits here" in client.get("/admin/posts/").content.decode()
    assert "An ad." in client.get("/admin/posts/?show=none").content.decode()
    client_of(colleague()).post(judged_at(post), {"do": "answer"})
    post.refresh_from_db()
    assert post.verdict == "answer"


def test_the_pages_of_criticism_offer_nothing_that_hides_deletes_or_blocks_it_R029():
    """Not to a lead either; reach is hidden, words never are. A question about the law leads to a second person: test_removals."""
    post, client = posted("Worst shop ever. They lie."), client_of(colleague(Role.LEAD))
    taking_away = re.compile(r"\b(hide|delete|remove|block|mute|ban|report|suppress|take down)\b", re.IGNORECASE)
    for page in (f"/admin/conversation/{post.conversation.public_id}/", "/admin/posts/", "/admin/posts/?show=none"):
        content = client.get(page).content.decode()
        main = content[content.index('class="eh') :]
        offered = re.findall(r"<(?:button|a|summary|option)\b[^>]*>(.*?)</(?:button|a|summary|option)>", main, re.S)
        assert len(offered) > 3
        assert not [words for words in offered if taking_away.search(re.sub(r"<[^>]+>", " ", words))]


def test_saying_that_no_answer_is_needed_hides_nothing_and_is_looked_at_again_by_somebody_else_R029_N8():
    """The one thing that can be done about a post beside answering it: it stays to be read, with who judged and why."""
    post, client = posted("You are thieves."), client_of(colleague(name="Ada"))
    client.post(judged_at(post), {"do": "none", "reason": "abuse", "words": "Only insults."})
    shown = client.get("/admin/posts/?show=none").content.decode()
    assert "You are thieves." in shown
    assert "Only insults." in shown
    assert "You are thieves." in client.get(f"/admin/conversation/{post.conversation.public_id}/").content.decode()
    assert Interaction.objects.get().text == "You are thieves."


def test_only_those_who_answer_judge_and_only_auditors_look_again_Q8():
    post, ada = posted(), colleague()
    assert client_of(colleague(Role.AUDITOR)).post(judged_at(post), {"do": "answer"}).status_code == 403
    judgement = none(post, by=ada)
    judgements.sample(NOON + timedelta(hours=1))
    again = f"/admin/posts/second-look/{judgement.public_id}/"
    assert client_of(ada).post(again, {"found": "right"}).status_code == 403
    assert "should be answered" in client_of(colleague(Role.AUDITOR)).get(LISTS[2]).content.decode().lower()
    client_of(colleague(Role.AUDITOR)).post(again, {"found": "wrong"})
    assert PostJudgement.objects.get(pk=judgement.pk).second_look == "wrong"
    post.refresh_from_db()
    assert post.verdict == "answer"


def test_a_lead_does_not_audit_their_own_judgement_N8():
    post, lead = posted(), colleague(Role.LEAD)
    judgement = none(post, by=lead)
    judgements.sample(NOON + timedelta(hours=1))
    client = client_of(lead)
    assert "a colleague looks at it" in client.get(LISTS[2]).content.decode()
    answer = client.post(f"/admin/posts/second-look/{judgement.public_id}/", {"found": "right"}, follow=True)
    assert "You judged this one yourself" in answer.content.decode()
    assert PostJudgement.objects.get().second_look == ""


def test_the_oldest_comes_first_and_pages_go_on_by_key():
    for number in range(53):
        posted(f"number {number:02}.", at=NOON + timedelta(minutes=53 - number))
    client = client_of(colleague())
    first = client.get("/admin/posts/")
    assert [row["post"].interaction.text for row in first.context["rows"]][:2] == ["number 52.", "number 51."]
    rest = client.get("/admin/posts/", {"after": first.context["next_key"]})
    assert [row["post"].interaction.text for row in rest.context["rows"]] == ["number 02.", "number 01.", "number 00."]
    assert client.get("/admin/posts/?after=nonsense").status_code == 200


@pytest.mark.parametrize("page", [*LISTS, "/admin/coverage/?from=2026-01-01&to=2026-12-31", "conversation"])
def test_a_page_costs_the_same_with_one_and_with_many(page: str):
    ada, client = colleague(), client_of(colleague(Role.LEAD))
    url = page if page.startswith("/") else f"/admin/conversation/{posted().conversation.public_id}/"

    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert client.get(url).status_code == 200
        return len(asked)

    def more(times: int) -> None:
        for number in range(times):
            none(posted(f"ad {number}"), by=ada)
            posted(language="de", source=f"x:{number}")
        PostJudgement.objects.update(drawn_at=NOON)

    more(1)
    cost()
    one = cost()
    more(20)
    assert cost() == one <= 15


def test_reach_is_shown_once_after_a_reason_and_stands_on_no_other_page_N3_R152(settings):
    settings.EVENHAND_KEEP_REACH = True
    ada, lead = colleague(), colleague(Role.LEAD, takes=False)
    talk, point = loud(at=timezone.now())
    reach.keep(point.pk, LOUD, at=timezone.now())
    url, client = f"/admin/conversation/{talk.public_id}/reach/", client_of(lead)
    assert client_of(ada).get(url).status_code == 403
    form = {"reason": "legal", "words": "The court asks."}
    assert "hidden until the owner" in client.post(url, form).content.decode()
    queue.take(talk.pk, by=Conversation.objects.get(pk=talk.pk).owner, at=timezone.now())
    assert client.post(url, {"reason": "curious", "words": "x"}).status_code == 409
    assert client.post(url, {"reason": "legal", "words": ""}).status_code == 409
    assert not HistoryEntry.objects.filter(verb="reach.seen").exists()
    seen = client.post(url, form).content.decode()
    assert "2000000" in seen
    assert 'src="data:image/png;base64,' in seen
    assert 'src="https://pictures' not in seen
    assert HistoryEntry.objects.filter(verb="reach.seen", by=lead).count() == 1
    for page in (
        url,
        f"/admin/conversation/{talk.public_id}/",
        f"/admin/customer/{talk.customer.public_id}/",
        "/admin/inbox/",
        "/admin/posts/",
        "/admin/coverage/",
        "/admin/crm/contactpoint/",
        f"/admin/crm/contactpoint/{point.pk}/change/",
        "/admin/crm/customer/?q=loud",
        "/api/v1/conversations/",
        f"/api/v1/conversations/{talk.public_id}/",
    ):
        answer = client.get(page)
        assert answer.status_code == 200, page
        text = answer.content.decode()
        assert "2000000" not in text, page
        assert "2,000,000" not in text, page
        assert "pictures.example" not in text, page
