"""The pages of test pairs: for those alone who may know which they are, and nothing of it anywhere else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from crm.policy import Role
from recovery import actions
from recovery.actions import probes
from recovery.models import ParityProbe, ProbeSide
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague
from tests.recovery.probes.test_probes import MONDAY, both_told, planned, told

pytestmark = pytest.mark.django_db


def addresses(probe: ParityProbe) -> list[str]:
    return [reverse("admin:probes"), reverse("admin:probe_plan"), reverse("admin:probe", args=[probe.public_id])]


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.AGENT, 403), (Role.LOYALTY_MANAGER, 403), (Role.ADMINISTRATOR, 403), (Role.LEAD, 200), (Role.AUDITOR, 200)],
)
def test_leads_and_auditors_see_which_they_are_and_nobody_else_R051(client, role, status):
    probe = planned(colleague(Role.LEAD))
    both_told()
    client.force_login(colleague(role))
    assert {client.get(page).status_code for page in addresses(probe)} == {status}
    if status == 403:
        assert client.post(addresses(probe)[2], {"do": "end", "words": "x"}).status_code == 403
        assert ParityProbe.objects.get().state == "planned"


def test_nobody_and_a_customer_are_sent_away(client):
    probe = planned(colleague(Role.LEAD))
    assert {client.get(page).status_code for page in addresses(probe)} == {302}
    client.force_login(app_user())
    assert {client.get(page).status_code for page in addresses(probe)} <= {302, 403}


def test_who_answers_sees_nothing_of_it_on_any_page_of_the_matter_R051(client):
    planned(colleague(Role.LEAD), title="zqsecretpairzq")
    mail, _call = both_told()
    client.force_login(colleague(Role.AGENT))
    customer = reverse("admin:crm_customer_change", args=[mail.customer_id])
    pages = [
        reverse("admin:conversation", args=[mail.public_id]),
        customer,
        reverse("admin:ending", args=[mail.public_id]),
    ]
    for page in pages:
        shown = client.get(page, follow=True).content.decode().lower()
        for word in ("zqsecretpairzq", "test pair", "probe", "mystery"):
            assert word not in shown, (page, word)


def test_a_pair_is_planned_followed_and_ended_by_the_pages(client):
    lena = colleague(Role.LEAD)
    client.force_login(lena)
    day = (NOON.today() + timedelta(days=2)).date()
    form = {
        "title": "Guitar", "consent": "Both said yes.", "begins_on": str(day), "ends_on": str(day + timedelta(days=7)),
        "complaint_type": "damaged_item", "loss": "80", "currency": "EUR", "days_without": "3", "our_failures": "1",
        "one-channel": "email", "one-kind": "email", "one-address": "tom@home.example", "one-text": "Broken.",
        "other-channel": "phone", "other-kind": "phone", "other-address": "+49 30 123456", "other-text": "Broken.",
    }  # fmt: skip
    refused = client.post(reverse("admin:probe_plan"), {**form, "other-channel": "email"})
    assert refused.status_code == 409
    assert client.post(reverse("admin:probe_plan"), {**form, "consent": ""}).status_code == 400
    assert not ParityProbe.objects.exists()
    assert client.post(reverse("admin:probe_plan"), form).status_code == 302
    probe = ParityProbe.objects.get()
    page = reverse("admin:probe", args=[probe.public_id])
    assert "Not heard of yet" in client.get(page).content.decode()
    assert client.post(page, {"do": "end", "words": "x"}).status_code == 409
    assert client.post(page, {"do": "withdraw", "words": "Tina is ill."}).status_code == 302
    assert ParityProbe.objects.get().state == "withdrawn"


def test_another_person_names_the_matter_by_its_page_s_address(client):
    probe = planned(colleague(Role.LEAD))
    call = told("phone", "+49 30 777777", "phone")
    client.force_login(colleague(Role.LEAD, name="Mara"))
    page, side = reverse("admin:probe", args=[probe.public_id]), ProbeSide.objects.get(channel="phone")
    address = f"https://x.example{reverse('admin:conversation', args=[call.public_id])}"
    assert client.post(page, {"do": "name", "side": side.public_id, "conversation": "x"}).status_code == 404
    done = client.post(page, {"do": "name", "side": side.public_id, "conversation": address})
    assert done.status_code == 302
    side.refresh_from_db()
    assert side.conversation == call


def test_the_list_costs_the_same_for_one_pair_and_for_many(client, django_assert_max_num_queries):
    lena = colleague(Role.LEAD)
    client.force_login(lena)
    planned(lena)
    both_told()
    with django_assert_max_num_queries(20) as first:
        client.get(reverse("admin:probes"))
    for number in range(8):
        sides = [
            probes.Side("chat", "handle", f"tom{number}", "Broken."),  # type: ignore[arg-type]
            probes.Side("email", "email", f"tina{number}@home.example", "Broken."),  # type: ignore[arg-type]
        ]
        planned(lena, sides=sides)
        told("chat", f"tom{number}", "handle")
        told("email", f"tina{number}@home.example")
    assert actions.match_probes(MONDAY) == 16
    with django_assert_max_num_queries(len(first.captured_queries)):
        shown = client.get(reverse("admin:probes")).content.decode()
    assert "9 pairs" in shown
    actions.weigh_probes(MONDAY + timedelta(days=40))
    with django_assert_max_num_queries(len(first.captured_queries)):
        shown = client.get(reverse("admin:probes")).content.decode()
    assert "8 pairs" in shown
    assert "What the pairs add up to" in shown
