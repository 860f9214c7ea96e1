"""The pages of grading again: one matter at a time without what tells its channel, and the figures for those who audit."""

from __future__ import annotations

from functools import partial

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.policy import Role
from recovery import actions
from recovery.actions import regrading
from recovery.models import Grading, MannerSheet, Regrade
from recovery.policy import Manner, Outcome
from tests.crm.stories import app_user, colleague
from tests.recovery.regrading.stories import EVENING, GRAVE, answered, dismissed, drawn, settled

pytestmark = pytest.mark.django_db
FACTS = {"complaint_type": "damaged_item", "loss": "80", "currency": "EUR", "days_without": "3", "our_failures": "1"}


@pytest.fixture(autouse=True)
def all_are_drawn(settings):
    settings.EVENHAND_REGRADED_SHARE = 1.0


@pytest.mark.parametrize(
    ("role", "grades", "sees"),
    [
        (Role.AGENT, 200, 403), (Role.LEAD, 200, 200), (Role.AUDITOR, 200, 200), (Role.LOYALTY_MANAGER, 403, 403),
        (Role.ADMINISTRATOR, 403, 200),
    ],
)  # fmt: skip
def test_who_may_grade_again_and_who_sees_the_figures(client, role, grades, sees):
    client.force_login(colleague(role))
    assert client.get(reverse("admin:regrading")).status_code == grades
    assert client.get(reverse("admin:regrading_figures")).status_code == sees


def test_nobody_and_a_customer_are_sent_away(client):
    pages = [reverse("admin:regrading"), reverse("admin:regrading_figures")]
    assert {client.get(page).status_code for page in pages} == {302}
    client.force_login(app_user())
    assert {client.get(page).status_code for page in pages} <= {302, 403}


def test_a_case_is_taken_graded_and_scored_by_the_keyboard_alone(client):
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)
    settled(ada, text="@guitarshop it is broken, see https://x.example #fail")
    drawn()
    client.force_login(bob)
    home = reverse("admin:regrading")
    client.get(home)
    assert Regrade.objects.get().taken_by is None  # a GET changes nothing
    assert "autofocus" in client.get(home).content.decode()
    page = client.post(home)["Location"]
    post = partial(posted, client, page)
    shown = client.get(page).content.decode()
    assert "It is broken" in shown
    assert "We are sorry" not in shown  # ours come when the facts are graded
    for cue in ("@guitarshop", "x.example", "#fail", "Carla", "home.example"):
        assert cue not in shown
    assert post({**FACTS, "merit": "upheld", "do": "score"}).status_code == 409
    assert post({**FACTS, "merit": "", "do": "grade"}).status_code == 400
    assert not Grading.objects.exists()
    assert post({**FACTS, "merit": "upheld", "guess": "email", "do": "grade"})["Location"] == page
    assert "We are sorry" in client.get(page).content.decode()
    assert post({"friendly": "6", "helpful": "4", "sympathetic": "4", "do": "score"}).status_code == 400
    assert post({"friendly": "5", "helpful": "4", "sympathetic": "4", "do": "score"})["Location"] == home
    assert (Grading.objects.get().severity_difference, MannerSheet.objects.get().friendly) == (-2, 5)
    assert client.get(page).status_code == 302  # it is done


def posted(client, page, given):
    """Send a form of the matter that is shown."""
    return client.post(
        page, {**given, "regrade": str(Regrade.objects.exclude(taken_by=None).order_by("-taken_at")[0].public_id)}
    )


def test_a_dismissal_is_judged_and_an_answer_scored(client):
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)
    dismissed(ada)
    answered(ada)
    actions.draw_regrades(EVENING)
    client.force_login(bob)
    page = client.post(reverse("admin:regrading"))["Location"]
    assert posted(client, page, {"would_answer": "yes", "do": "judge"}).status_code == 302
    client.post(reverse("admin:regrading"))
    points = {"friendly": "1", "helpful": "1", "sympathetic": "1", "do": "score"}
    assert posted(client, page, {**points, "guess": "x"}).status_code == 400
    assert posted(client, page, points).status_code == 302
    assert Regrade.objects.filter(done_at=None).count() == 0
    assert client.post(reverse("admin:regrading")).status_code == 409  # nothing waits


def test_a_form_of_one_matter_never_grades_another(client):
    """A page that lay open in another tab, or a matter that went to a colleague meanwhile."""
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)
    settled(ada)
    regrade = drawn()
    regrading.take_next(by=bob, at=EVENING)
    form = {**FACTS, "merit": "upheld", "do": "grade"}
    page = reverse("admin:regrade")
    client.force_login(bob)
    for named in ({}, {"regrade": "x"}, {"regrade": str(regrade.conversation.public_id)}):
        assert client.post(page, {**form, **named}).status_code == 302
    client.force_login(colleague(Role.LEAD))
    assert client.post(page, {**form, "regrade": str(regrade.public_id)}).status_code == 302
    assert client.get(page).status_code == 302
    assert not Grading.objects.exists()
    client.force_login(bob)
    assert posted(client, page, {"reason": "known", "do": "leave"}).status_code == 302
    assert Regrade.objects.get().taken_by is None


def test_the_figures_cost_the_same_for_one_matter_and_for_many(client, django_assert_max_num_queries):
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)

    def graded() -> None:
        settled(ada)
        actions.draw_regrades(EVENING)
        taken = regrading.take_next(by=bob, at=EVENING)
        regrading.grade(taken.pk, facts=GRAVE, merit=Outcome.UPHELD, by=bob, at=EVENING)
        regrading.score(taken.pk, manner=Manner(4, 4, 4), by=bob, at=EVENING)

    graded()
    Regrade.objects.update(done_at=timezone.now())
    client.force_login(colleague(Role.LEAD))
    with django_assert_max_num_queries(20) as first:
        shown = client.get(reverse("admin:regrading_figures")).content.decode()
    assert "Graded too mild" in shown
    assert "too little to say" in shown
    for _ in range(5):
        graded()
    with django_assert_max_num_queries(len(first.captured_queries)):
        assert client.get(reverse("admin:regrading_figures")).status_code == 200
