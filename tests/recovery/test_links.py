"""Two customers who refer to each other's case: linked, compared, parted, and neither learns of the other (R088)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm.actions import persons
from crm.models import Alert, HistoryEntry
from crm.policy import Role
from recovery import actions
from recovery.actions import links
from recovery.models import Case, CaseLink
from recovery.policy.linking import Verdict
from tests.conftest import NOON
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague
from tests.crm.test_admin_mail import client_of
from tests.faults.threads import at_once
from tests.recovery.test_grants import DAMAGED, decided, give

pytestmark = pytest.mark.django_db


def two(**changes) -> tuple[Case, Case]:
    ada = colleague()
    return decided(by=ada), decided(replace(DAMAGED, **changes), by=ada)


def test_equals_that_got_equal_alarm_nobody_and_unequal_ones_the_lead_once_R088():
    one, other = two()
    ada = colleague()
    made = links.link(other.pk, to_id=one.pk, because="Both name the other's order.", by=ada, at=NOON)
    assert (made.one, made.other) == (one, other)
    assert links.compared([made])[0].compared.verdict == Verdict.EQUAL
    assert not Alert.objects.filter(kind="cases_unequal").exists()
    lead = colleague(Role.LEAD)
    asked = actions.propose_exception(
        one.pk, kind="goodwill", amount=DAMAGED.loss * 5, currency="EUR", reason="Third time.", by=ada, at=NOON
    )
    actions.approve_exception(asked.pk, by=lead, at=NOON)
    assert links.compare_all(NOON + timedelta(hours=1)) == 1
    links.compare_all(NOON + timedelta(days=1))
    told = Alert.objects.get(kind="cases_unequal")
    assert (told.to, told.conversation) == (None, one.conversation)
    assert told.detail == {"one": str(one.public_id), "other": str(other.public_id)}


def test_other_facts_are_no_alarm_R088():
    one, other = two(days_without=9)
    made = links.link(one.pk, to_id=other.pk, because="Same van.", by=colleague(), at=NOON)
    compared = links.compared([made])[0].compared
    assert (compared.verdict, compared.differing) == (Verdict.OTHER_FACTS, ("days_without",))
    assert not Alert.objects.filter(kind="cases_unequal").exists()


def test_linked_at_once_from_both_sides_is_one_link_R088(transactional_db: None):
    ada = colleague()
    for _round in range(3):
        one, other = decided(by=ada), decided(by=ada)
        results = at_once(
            partial(links.link, one.pk, to_id=other.pk, because="a", by=ada, at=NOON),
            partial(links.link, other.pk, to_id=one.pk, because="b", by=ada, at=NOON),
        )
        assert sum(isinstance(result, links.NotLinkable) for result in results) == 1, results
        assert CaseLink.objects.filter(one=one, other=other).count() == 1


def test_what_cannot_be_linked_is_refused_and_changes_nothing_R088():
    one, other = two()
    ada = colleague()
    for case, to, because in [(one, one, "x"), (one, other, " ")]:
        with pytest.raises((links.NotLinkable, actions.ReasonMissing)):
            links.link(case.pk, to_id=to.pk, because=because, by=ada, at=NOON)
    with pytest.raises(Case.DoesNotExist):
        links.link(one.pk, to_id=10**6, because="x", by=ada, at=NOON)
    assert not CaseLink.objects.exists()


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except IntegrityError:
        return True
    return False


def test_the_database_refuses_a_link_twice_with_itself_or_turned_around_R088():
    one, other = two()
    links.link(one.pk, to_id=other.pk, because="Same van.", by=colleague(), at=NOON)
    copy = (
        "INSERT INTO recovery_caselink (public_id, one_id, other_id, because, by_id, at)"
        " SELECT gen_random_uuid(), {one}, {other}, {because}, by_id, at FROM recovery_caselink"
    )
    assert refused(copy.format(one="one_id", other="other_id", because="because"))
    assert refused(copy.format(one="other_id", other="one_id", because="because"))
    assert refused(copy.format(one="one_id", other="one_id", because="because"))
    assert refused("UPDATE recovery_caselink SET because = ''")
    assert refused("UPDATE recovery_caselink SET ended_at = now()")


def test_a_link_is_parted_and_may_be_made_again_R088():
    one, other = two()
    ada = colleague()
    made = links.link(one.pk, to_id=other.pk, because="Same van.", by=ada, at=NOON)
    links.part(made.pk, by=ada, at=NOON)
    with pytest.raises(links.NotLinkable):
        links.part(made.pk, by=ada, at=NOON)
    assert not links.of_case(one).exists()
    links.link(one.pk, to_id=other.pk, because="It was right.", by=ada, at=NOON)
    assert links.of_case(other).count() == 1
    verbs = HistoryEntry.objects.filter(verb="case.linked")
    assert {entry.ref for entry in verbs} == {actions.ref_of(one), actions.ref_of(other)}


def test_links_stand_through_making_one_taking_back_and_parting_R088_N12():
    one, other = two()
    ada = colleague()
    made = links.link(one.pk, to_id=other.pk, because="Same van.", by=ada, at=NOON)
    merged = persons.merge(other.customer_id, kept_id=one.customer_id, because="one person", by=ada, at=NOON)
    made.refresh_from_db()
    assert (made.one.customer_id, made.other.customer_id) == (one.customer_id, one.customer_id)
    assert links.of_case(one).get() == links.of_case(other).get() == made
    assert links.compare_all(NOON) == 1
    persons.undo(merged.pk, by=ada, at=NOON)
    made = links.of_case(other).get()
    assert (made.one.customer_id, made.other.customer_id) == (one.customer_id, other.customer_id)


def test_neither_customer_learns_of_the_other_R088():
    one, other = two()
    customer = app_user()
    Case.objects.filter(pk=one.pk).update(customer=customer.customer)
    one.conversation.customer = customer.customer
    one.conversation.save()
    client = client_for(customer)
    addresses = [
        f"/api/v1/cases/{one.public_id}/",
        "/api/v1/cases/",
        f"/api/v1/conversations/{one.conversation.public_id}/",
    ]
    before = [client.get(address).content for address in addresses]
    links.link(one.pk, to_id=other.pk, because="Same van.", by=colleague(), at=NOON)
    assert [client.get(address).content for address in addresses] == before
    assert client.get(f"/api/v1/cases/{other.public_id}/").status_code == 404
    assert (
        str(other.public_id).encode()
        not in client.get(f"/api/v1/customers/{customer.customer.public_id}/timeline/").content
    )


# --- its page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "sees", "links_them"),
    [
        ("nobody", 302, 302),
        ("customer", 403, 403),
        *((role, 200, {Role.AGENT: 302, Role.LEAD: 302}.get(role, 403)) for role in Role),
    ],
)
def test_who_may_see_and_link_R088(who, sees, links_them, client):
    one, other = two()
    if who != "nobody":
        client = client_of(app_user() if who == "customer" else colleague(Role(who)))
    address = f"/admin/case/{one.public_id}/links/"
    assert client.get(address).status_code == sees
    sent = client.post(address, {"do": "link", "to": f"/admin/case/{other.public_id}/", "because": "Same van."})
    assert sent.status_code == links_them
    assert CaseLink.objects.exists() == (who in (Role.AGENT, Role.LEAD))


def test_both_stand_side_by_side_with_what_differs_R088():
    one, other = two(days_without=9)
    client = client_of(colleague())
    address = f"/admin/case/{one.public_id}/links/"
    refused_page = client.post(address, {"do": "link", "to": "nonsense", "because": "x"})
    assert refused_page.status_code == 409
    assert 'value="nonsense"' in refused_page.content.decode()
    client.post(address, {"do": "link", "to": str(other.public_id), "because": "Same van."})
    give(other, "80.00", by=colleague())
    page = client.get(address).content.decode()
    assert page.index("no money") < page.index(
        "80.00 EUR"
    )  # given so far: this case on the left, the other on the right
    assert "the same failure, other facts" in page
    assert "Days without what they paid for" in page
    assert "Same van." in page
    made = CaseLink.objects.get()
    assert client.post(address, {"do": "part", "link": str(made.public_id)}).status_code == 302
    assert "Same van." not in client.get(address).content.decode()


def test_a_page_of_many_links_takes_as_many_statements_as_of_one_R088():
    one, other = two()
    ada = colleague()
    links.link(one.pk, to_id=other.pk, because="Same van.", by=ada, at=NOON)
    client = client_of(ada)
    address = f"/admin/case/{one.public_id}/links/"
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for number in range(19):
        again = decided(by=ada)
        give(again, "80.00", by=ada)
        links.link(again.pk, to_id=one.pk, because=f"Van {number}.", by=ada, at=NOON)
    with CaptureQueriesContext(connection) as many:
        client.get(address)
    assert len(few) == len(many) <= 15
