"""The pages around the queue and the people: who may do what, what a press does, what a page costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crm.actions import desk, handoffs, outgoing, rota
from crm.models import Absence, Certificate, Conversation, HandOff, Helper, Pull, RequiredSkill, Shift, User
from crm.policy import HandOffReason, OutOfOrder, Role
from tests.conftest import NOON
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, browser, colleague, page_of, stored, told

pytestmark = pytest.mark.django_db


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def work_on(conversation: Conversation) -> str:
    return reverse("admin:work_on", args=[conversation.public_id])


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, *STAFF])
def test_only_those_who_answer_take_hand_over_and_help(who: str) -> None:
    conversation, other = told("a"), colleague(Role.AGENT, email="other@shop.example")
    client = browser(who)
    may = who in (Role.AGENT, Role.LEAD)
    offer = reverse("admin:answer_offer", args=[conversation.public_id])
    for url, does in [
        (reverse("admin:take_next"), ""), (work_on(conversation), "take"), (work_on(conversation), "put_back"),
        (work_on(conversation), "join"), (work_on(conversation), "offer"), (offer, "accept"),
    ]:  # fmt: skip
        before = stored()
        answer = client.post(url, {"do": does, "to": other.pk, "reason": "knows_it", "context_note": "x"})
        if not may:
            assert answer.status_code == {NOBODY: 302}.get(who, 403), (url, does)
            assert stored() == before


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, *STAFF])
def test_only_those_who_plan_change_plans_certificates_and_skills(who: str) -> None:
    ada, client = colleague(Role.AGENT, email="ada@shop.example"), browser(who)
    may = who in (Role.LEAD, Role.ADMINISTRATOR)
    page = reverse("admin:one_of_us", args=[ada.public_id])
    for url, given in [
        (page, {"do": "shifts", "shifts": "1 09:00 17:00", "zone": "Europe/Berlin"}),
        (page, {"do": "certify", "skill": "conduct", "issued_on": "2026-01-01", "expires_on": "2027-01-01"}),
        (reverse("admin:skills"), {"do": "demand", "skill": "conduct"}),
    ]:
        before = stored()
        answer = client.post(url, given)
        if may:
            assert answer.status_code == 302, given
            assert stored() != before
        else:
            assert answer.status_code == {NOBODY: 302}.get(who, 403), given
            assert stored() == before
    assert Shift.objects.count() == Certificate.objects.count() == RequiredSkill.objects.count() == int(may)


def test_take_the_next_opens_the_head_and_says_when_nobody_waits_E09() -> None:
    ada = colleague()
    client = logged_in(ada)
    first = told("a", at=NOON)
    told("b", address="b@example.org", at=NOON + timedelta(minutes=1))

    assert "Take the next" in client.get(reverse("admin:inbox")).content.decode()
    assert client.post(reverse("admin:take_next"))["Location"] == page_of(first)
    page = client.get(page_of(first)).content.decode()
    assert "You are working on it" in page
    assert "A agent works on it" in client.get(reverse("admin:inbox") + "?show=all").content.decode()
    client.post(reverse("admin:take_next"))
    answer = client.post(reverse("admin:take_next"), follow=True)
    assert "Nobody is waiting for you at the moment." in answer.content.decode()
    assert "You took 2 matters in seven days, each of them when it was next." in answer.content.decode()


def test_the_composer_asks_why_before_others_and_keeps_the_words_E09() -> None:
    ada = colleague()
    client = logged_in(ada)
    told("a", at=NOON)
    later = told("b", address="b@example.org", at=NOON + timedelta(minutes=1))

    refused = client.post(page_of(later), {"do": "answer", "answer": "Tomorrow.", "key": "k"})
    assert refused.status_code == 409
    assert "1 other customer stands before this one" in refused.content.decode()
    assert "Tomorrow." in refused.content.decode()
    again = {"do": "answer", "answer": "Tomorrow.", "key": "k", "out_of_order": "language"}
    assert client.post(page_of(later), again).status_code == 302
    assert Pull.objects.get().reason == OutOfOrder.LANGUAGE


def test_put_back_wait_and_help_by_their_buttons() -> None:
    ada, ben = colleague(), colleague(Role.AGENT, email="ben@shop.example")
    conversation, client = told("a"), logged_in(ada)
    client.post(work_on(conversation), {"do": "take"})
    client.post(work_on(conversation), {"do": "wait"})
    assert Pull.objects.get().idle_at > timezone.now() + timedelta(hours=7)
    client.post(work_on(conversation), {"do": "put_back", "because": "nonsense"})
    assert Pull.objects.get().finished_at is None
    client.post(work_on(conversation), {"do": "put_back", "because": "missing"})
    assert Pull.objects.get().put_back_because == "missing"
    logged_in(ben).post(work_on(conversation), {"do": "join"})
    assert Helper.objects.get().user == ben
    logged_in(ben).post(work_on(conversation), {"do": "leave"})
    assert Helper.objects.get().left_at is not None


def test_a_matter_is_offered_seen_in_the_inbox_and_accepted_R008() -> None:
    ada, ben = colleague(), colleague(Role.AGENT, email="ben@shop.example")
    conversation = told("a")
    Conversation.objects.update(owner=ada)
    client, other = logged_in(ada), logged_in(ben)
    empty = {"do": "offer", "to": ben.pk, "reason": "knows_it", "context_note": " "}
    assert client.post(work_on(conversation), empty).status_code == 409
    client.post(work_on(conversation), {**empty, "context_note": "Ask the workshop."})
    assert "Ask the workshop." in other.get(reverse("admin:inbox")).content.decode()
    assert "offered to you" in other.get(page_of(conversation)).content.decode()

    offer = reverse("admin:answer_offer", args=[HandOff.objects.get().public_id])
    answer = other.post(offer, {"do": "accept"}, follow=True).content.decode()
    assert "The customer is told your name." in answer
    conversation.refresh_from_db()
    assert conversation.owner == ben
    around = client.get(work_on(conversation)).content.decode()
    assert "handed over" in around
    assert "Ask the workshop." in around


def test_a_lead_gives_what_nobody_owns() -> None:
    lead, ada = colleague(Role.LEAD), colleague(Role.AGENT, email="ada@shop.example")
    conversation = told("a")
    logged_in(ada).post(work_on(conversation), {"do": "assign", "to": ada.pk})
    conversation.refresh_from_db()
    assert conversation.owner is None
    logged_in(lead).post(work_on(conversation), {"do": "assign", "to": ada.pk})
    conversation.refresh_from_db()
    assert conversation.owner == ada


def test_the_plan_of_a_colleague_is_kept_and_a_mistake_is_said() -> None:
    lead, ada = colleague(Role.LEAD), colleague(Role.AGENT, email="ada@shop.example")
    page, client = reverse("admin:one_of_us", args=[ada.public_id]), logged_in(lead)
    workload = {
        "do": "workload", "customer_service_share": 50, "capacity_points": 80, "chats_at_once": 1, "written_at_once": 3,
        "line_of_work": "intern", "is_vendor": "on",
    }  # fmt: skip
    assert client.post(page, workload).status_code == 302
    ada.refresh_from_db()
    assert (ada.customer_service_share, ada.line_of_work, ada.is_vendor) == (50, "intern", True)
    assert "0 of 40 effort points" in client.get(page).content.decode()

    until = timezone.now() + timedelta(days=2)
    absence = {"do": "away", "starts_at": timezone.now(), "ends_at": until, "stand_in": lead.pk}
    assert client.post(page, absence).status_code == 302
    assert "A lead stands in" in client.get(page).content.decode()
    client.post(page, {"do": "back", "number": Absence.objects.get().pk})
    assert Absence.objects.get().ends_at < until

    wrong = client.post(page, {"do": "certify", "skill": "x", "issued_on": "2026-02-02", "expires_on": "2026-01-01"})
    assert wrong.status_code == 409
    assert "A certificate ends after it begins." in wrong.content.decode()
    assert client.post(page, {"do": "nonsense"}).status_code == 409
    assert client.get(reverse("admin:one_of_us", args=[told("a").public_id])).status_code == 404
    client.post(page, {"do": "certify", "skill": "conduct", "issued_on": "2026-02-02", "expires_on": "2036-01-01"})
    client.post(page, {"do": "revoke", "number": Certificate.objects.get().pk})
    assert Certificate.objects.get().revoked_by == lead


def test_only_an_administrator_closes_an_account() -> None:
    ada = colleague(Role.AGENT, email="ada@shop.example")
    page = reverse("admin:one_of_us", args=[ada.public_id])
    assert browser(Role.LEAD).post(page, {"do": "leaves"}).status_code == 403
    administrator = browser(Role.ADMINISTRATOR)
    for does, active in (("leaves", False), ("returns", True)):
        assert administrator.post(page, {"do": does}).status_code == 302
        ada.refresh_from_db()
        assert ada.is_active is active


def test_a_small_team_sees_no_rota_and_loses_no_clock_R147() -> None:
    lead = colleague(Role.LEAD)
    client, page = logged_in(lead), reverse("admin:one_of_us", args=[lead.public_id])
    assert "Weekly shifts" not in client.get(page).content.decode()
    assert "Skills that need a certificate" not in client.get(reverse("admin:people")).content.decode()
    conversation = told("a")
    assert conversation.due_at == NOON + timedelta(hours=8)  # the same promise for a shop of one
    for number in range(9):
        colleague(Role.AGENT, email=f"agent{number}@shop.example")
    assert "Weekly shifts" in client.get(page).content.decode()
    assert "Skills that need a certificate" in client.get(reverse("admin:people")).content.decode()


def test_the_pages_cost_the_same_for_one_and_for_twenty() -> None:
    lead = colleague(Role.LEAD)
    client = logged_in(lead)
    conversation = told("first")
    Conversation.objects.update(owner=lead)
    urls = [reverse("admin:people"), work_on(conversation), reverse("admin:one_of_us", args=[lead.public_id])]

    def costs() -> list[int]:
        found = []
        for url in urls:
            assert client.get(url).status_code == 200
            with CaptureQueriesContext(connection) as captured:
                client.get(url)
            found.append(len(captured))
        return found

    for number in range(10):  # past the size of a small team
        colleague(Role.AGENT, email=f"early{number}@shop.example")
    one = costs()
    for number in range(20):
        someone = colleague(Role.AGENT, email=f"n{number}@shop.example", takes=True)
        handoffs.join(conversation.pk, by=someone, at=NOON)
        until = timezone.now() + timedelta(days=number + 1)
        rota.be_away(lead.pk, starts_at=timezone.now(), ends_at=until, stand_in=someone, by=lead, at=timezone.now())
        rota.certify(lead.pk, skill=f"s{number}", issued_on=NOON.date(), expires_on=NOON.date(), by=someone, at=NOON)
        rota.demand(f"s{number}", by=lead, at=NOON)
        desk.answer(
            told(f"n{number}").pk, text="x", by=someone, at=NOON, out_of_order=OutOfOrder.TRAINING, stays_open=True
        )
    handoffs.offer(
        conversation.pk, to=someone, reason=HandOffReason.LEAVING, context_note="x", by=lead, at=timezone.now()
    )
    outgoing.send_batch(at=NOON)
    assert [now <= before for now, before in zip(costs(), one, strict=True)] == [True] * 3
    assert max(one) <= 11
