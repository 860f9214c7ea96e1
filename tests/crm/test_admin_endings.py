"""The pages of endings, waits and acts to customers' disadvantage: who may what, what a press does, what a page costs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.actions import adverse, desk, endings, waits
from crm.models import (
    AdverseAct,
    Closing,
    Conversation,
    Correction,
    Dismissal,
    Interaction,
    InternalWait,
    OutgoingMessage,
    Outreach,
)
from crm.policy import AdverseKind, Department, DismissalReason, Role
from tests.conftest import NOON
from tests.crm.test_admin import (
    CUSTOMER,
    NOBODY,
    STAFF,
    STATEMENTS,
    WITHOUT_ROLE,
    browser,
    colleague,
    page_of,
    statements,
    stored,
    told,
)

pytestmark = pytest.mark.django_db

ANSWERING = [Role.AGENT, Role.LEAD]
SEEING = [Role.AGENT, Role.LEAD, Role.AUDITOR]


def end_of(conversation: Conversation) -> str:
    return reverse("admin:ending", args=[conversation.public_id])


def acts_of(conversation: Conversation) -> str:
    return reverse("admin:customer_adverse", args=[conversation.customer.public_id])


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_sees_the_pages(who: str) -> None:
    conversation, client = told("a"), browser(who)
    expected = {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 404}.get(who, 200)
    assert client.get(end_of(conversation)).status_code == expected
    for name in ("endings", "waits", "adverse"):
        status = 302 if who == NOBODY else 200 if who in SEEING else 403
        assert client.get(reverse(f"admin:{name}")).status_code == status, name
    assert client.get(acts_of(conversation)).status_code == (302 if who == NOBODY else 200 if who in SEEING else 403)


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
@pytest.mark.parametrize(
    ("form", "may"),
    [
        ({"do": "dismiss", "reason": "spam"}, ANSWERING),
        ({"do": "try", "medium": "phone", "note": "nobody picked up"}, ANSWERING),
        ({"do": "wait", "department": "legal"}, ANSWERING),
        ({"do": "prepare", "kind": "fee", "reason": "unpaid"}, ANSWERING),
    ],
    ids=lambda it: it.get("do") if isinstance(it, dict) else "",
)
def test_who_may_change_what(who: str, form: dict[str, str], may: Iterable[str]) -> None:
    conversation, client = told("a"), browser(who)
    url = acts_of(conversation) if form["do"] == "prepare" else end_of(conversation)
    before = stored()
    answer = client.post(url, form)
    if who in may:
        assert answer.status_code == 302
        assert stored() != before
    else:
        assert answer.status_code in ({302} if who == NOBODY else {403, 404})
        assert stored() == before


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_only_second_persons_confirm_and_audit(who: str) -> None:
    conversation, ada = told("a"), colleague(email="preparer@shop.example")
    act = adverse.prepare(conversation.customer_id, kind=AdverseKind.FEE, reason="unpaid", by=ada, at=NOON)
    endings.dismiss(conversation.pk, reason=DismissalReason.SPAM, by=ada, at=NOON)
    Dismissal.objects.update(sampled_for="2026-03")
    client = browser(who)
    confirm = client.post(
        reverse("admin:adverse"), {"do": "confirm", "act": act.public_id, "because": "It is about the invoice."}
    )
    audit = client.post(reverse("admin:endings"), {"dismissal": Dismissal.objects.get().public_id, "verdict": "right"})
    act.refresh_from_db()
    assert (act.state == "confirmed") == (who == Role.LEAD), confirm.status_code
    assert (Dismissal.objects.get().verdict == "right") == (who in (Role.LEAD, Role.AUDITOR)), audit.status_code


def test_looking_changes_nothing() -> None:
    conversation, client = told("a"), browser(Role.LEAD)
    before = stored()
    for url in (
        end_of(conversation),
        acts_of(conversation),
        *(reverse(f"admin:{n}") for n in ("endings", "waits", "adverse")),
    ):
        assert client.get(url).status_code == 200
    assert stored() == before


def test_one_conversation_ends_step_by_step_on_its_page() -> None:
    conversation, client = told("a"), browser(Role.AGENT)
    url = end_of(conversation)
    assert client.post(url, {"do": "try", "medium": "phone", "note": ""}).status_code == 409
    assert client.post(url, {"do": "try", "medium": "drum", "note": "x"}).status_code == 409
    client.post(url, {"do": "try", "medium": "phone", "note": "nobody picked up"})
    assert Outreach.objects.get().note == "nobody picked up"
    refused = client.post(url, {"do": "quiet", "note": "kept words"})
    assert refused.status_code == 409
    assert 'value="kept words"' in refused.content.decode()
    client.post(url, {"do": "wait", "department": "legal"})
    wait = InternalWait.objects.get()
    assert "legal" in client.get(url).content.decode()
    client.post(url, {"do": "arrived", "wait": wait.public_id})
    wait.refresh_from_db()
    assert wait.until is not None
    assert client.post(url, {"do": "dismiss", "reason": ""}).status_code == 409
    assert client.post(url, {"do": "dismiss", "reason": "spam"}).status_code == 302
    assert Closing.objects.get().how == "dismissed"
    assert "let go" in client.get(page_of(conversation)).content.decode()
    assert client.post(url, {"do": "reopen"})["Location"] == url
    assert client.post(url, {"do": "sing"}).status_code == 409


def test_a_conversation_opened_late_goes_on_in_a_new_one_and_the_page_goes_there() -> None:
    conversation, client = told("a"), browser(Role.AGENT)
    endings.dismiss(conversation.pk, reason=DismissalReason.SPAM, by=colleague(email="x@shop.example"), at=NOON)
    answer = client.post(page_of(conversation), {"do": "reopen"})
    following = Conversation.objects.exclude(pk=conversation.pk).get()
    assert answer["Location"] == page_of(following)
    content = client.get(end_of(following)).content.decode()
    assert page_of(conversation) in content


def test_an_answer_that_takes_something_back_is_stopped_at_the_desk_and_leaves_as_a_correction() -> None:
    conversation, client = told("a"), browser(Role.AGENT)
    client.post(page_of(conversation), {"do": "answer", "answer": "We refund you 80 euros.", "key": "1"})
    less = {"do": "answer", "answer": "We refund you 60 euros, we miscounted.", "key": "2"}
    refused = client.post(page_of(conversation), less)
    content = refused.content.decode()
    assert refused.status_code == 409
    assert "We refund you 80 euros." in content
    assert "we miscounted.</textarea>" in content
    assert OutgoingMessage.objects.count() == 1
    assert client.post(page_of(conversation), {**less, "correction": "we miscounted"}).status_code == 302
    assert Correction.objects.get().reason == "we miscounted"


def test_the_protection_is_told_where_the_act_is_put_into_effect() -> None:
    conversation, client = told("a", at=timezone.now()), browser(Role.LEAD)
    Interaction.objects.update(channel="review")
    url = acts_of(conversation)
    client.post(url, {"do": "prepare", "kind": "fee", "reason": "unpaid"})
    act = AdverseAct.objects.get()
    refused = client.post(url, {"do": "carry_out", "act": act.public_id})
    assert refused.status_code == 409
    assert "Somebody uninvolved has to confirm" in refused.content.decode()
    refused = client.post(url, {"do": "confirm", "act": act.public_id, "because": "x"})
    assert refused.status_code == 409  # the preparer is not a second person
    assert client.post(url, {"do": "drop", "act": act.public_id}).status_code == 302


def test_the_pages_cost_the_same_for_one_row_and_for_twenty() -> None:
    client, ada = browser(Role.LEAD), colleague(email="ada@shop.example")
    urls = [reverse(f"admin:{name}") for name in ("endings", "waits", "adverse")]

    def more(number: int) -> Conversation:
        conversation = told(f"n{number}", address=f"n{number}@example.org", at=timezone.now())
        at = timezone.now()
        waits.begin(conversation.pk, department=Department.LEGAL, by=ada, at=at)
        adverse.prepare(conversation.customer_id, kind=AdverseKind.FEE, reason="unpaid", by=ada, at=at)
        endings.dismiss(conversation.pk, reason=DismissalReason.SPAM, by=ada, at=at)
        Dismissal.objects.update(sampled_for="2026-03")
        return conversation

    conversation = more(0)
    endings.open_again(conversation.pk, by=ada, at=timezone.now())
    endings.log_try(conversation.pk, medium="phone", note="x", by=ada, at=timezone.now())
    urls.append(end_of(conversation))
    one = {url: statements(client, url) for url in urls}
    for number in range(1, 20):
        more(number)
    for _more in range(19):
        endings.log_try(conversation.pk, medium="phone", note="x", by=ada, at=timezone.now())
    assert {url: statements(client, url) for url in urls} == one
    assert max(one.values()) <= 2 * STATEMENTS


def test_the_numbers_of_the_endings_page() -> None:
    ada, client = colleague(email="ada@shop.example"), browser(Role.LEAD)
    at = timezone.now()
    for number in range(4):
        conversation = told(f"n{number}", address=f"n{number}@example.org", at=at)
        endings.dismiss(conversation.pk, reason=DismissalReason.SPAM, by=ada, at=at)
    desk.reopen(conversation.pk, by=ada, at=at + timedelta(days=1))
    ended = client.get(reverse("admin:endings")).context["ended"]
    assert [(row.all, row.quiet, row.dismissed, row.returned, row.returned_share) for row in ended] == [
        (4, 0, 4, 1, 25)
    ]


def test_waiting_is_summed_by_department_as_our_time_R148() -> None:
    ada, client = colleague(email="ada@shop.example"), browser(Role.LEAD)
    now = timezone.now()
    for hours in (1, 3):
        conversation = told(f"n{hours}", address=f"n{hours}@example.org", at=now)
        wait = waits.begin(conversation.pk, department=Department.LEGAL, by=ada, at=now - timedelta(days=1))
        waits.end(wait.pk, by=ada, at=now - timedelta(days=1) + timedelta(hours=hours))
    waits.begin(conversation.pk, department=Department.SUPPLIER, by=ada, at=now - timedelta(hours=5))
    page = client.get(reverse("admin:waits"))
    assert page.context["departments"] == [("legal", 2, 0, "4 h", "2 h"), ("a supplier of ours", 1, 1, "5 h", "5 h")]
    assert [length for _wait, length in page.context["waiting"]] == ["5 h"]
