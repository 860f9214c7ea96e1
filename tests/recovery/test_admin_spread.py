"""Which failures spread: sums by cause for learning; nothing that treats anybody can read them (R130)."""

from __future__ import annotations

import ast
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.actions import intake, reach
from crm.channels import Channel
from crm.channels.profiles import Profile
from crm.models import Conversation
from crm.policy import Role
from recovery import actions
from recovery.policy import ComplaintType, Facts
from tests.architecture.source import name_of, product_files
from tests.crm.stories import colleague, message
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, STATEMENTS, WITHOUT_ROLE, browser, statements, stored

PAGE = "admin:spread"


@pytest.fixture(autouse=True)
def _keeps_reach(settings) -> None:
    settings.EVENHAND_KEEP_REACH = True


def posted(followers: int | None, *, kind: ComplaintType | None = None) -> Conversation:
    at = timezone.now() - timedelta(days=1)
    heard = intake.receive(message(channel=Channel.SOCIAL_PUBLIC, sender_kind="handle"), at=at, origin="test")
    if followers is not None:
        reach.keep(heard.interaction.contact_point_id, Profile(followers=followers), at=at)
    if kind is not None:
        actions.open_case(heard.conversation.pk, facts=Facts(complaint_type=kind), seen_because=[], by=None, at=at)
    return heard.conversation


def shown(role: Role = Role.AUDITOR) -> dict[str, tuple[int, int, float | None]]:
    rows = browser(role).get(reverse(PAGE)).context["rows"]
    return {row["kind"]: (row["matters"], row["known"], row["mean"]) for row in rows}


@pytest.mark.django_db
def test_matters_are_summed_by_what_went_wrong_and_few_accounts_tell_no_average_R130() -> None:
    for followers in range(10):
        posted(100 * followers, kind=ComplaintType.DAMAGED_ITEM)
    posted(7_000_000)
    posted(None)
    damaged = str(ComplaintType.DAMAGED_ITEM.label)
    assert shown() == {damaged: (10, 10, 450.0), "without a case": (2, 1, None)}
    assert "7000000" not in browser(Role.LEAD).get(reverse(PAGE)).content.decode()


@pytest.mark.django_db
def test_one_account_that_posts_often_is_no_group_R130() -> None:
    first = posted(4321, kind=ComplaintType.CONDUCT)
    point = first.interactions.get().contact_point
    for _number in range(12):
        other = posted(None, kind=ComplaintType.CONDUCT)
        other.interactions.update(contact_point=point)
    assert shown()[str(ComplaintType.CONDUCT.label)] == (13, 13, None)


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
@pytest.mark.django_db
def test_those_who_answer_do_not_see_it(who: str) -> None:
    client = browser(who)
    expected = {NOBODY: 302, Role.LEAD: 200, Role.AUDITOR: 200, Role.ADMINISTRATOR: 200}.get(who, 403)  # type: ignore[call-overload]
    before = stored()
    assert client.get(reverse(PAGE)).status_code == expected
    assert stored() == before


@pytest.mark.django_db
def test_the_page_costs_the_same_with_one_and_with_many_R130() -> None:
    client = browser(Role.LEAD)
    colleague()
    one = statements(client, reverse(PAGE))
    for kind in ComplaintType:
        posted(10, kind=kind)
    assert statements(client, reverse(PAGE)) == one <= STATEMENTS


MAY_IMPORT_REACH = {
    "crm/admin/reach.py": "a look for a reason, written down",
    "crm/admin/pages.py": "says its refusal in words",
    "crm/actions/channel_reach.py": "brings in what platforms tell",
    "crm/tasks.py": "forgets it after 30 days",
    "recovery/actions/held.py": "asks who has looked, never what was seen",
    "recovery/actions/second_persons.py": "asks who has looked, never what was seen",
    "recovery/admin/spread.py": "sums for learning",
}


def test_no_policy_queue_or_composer_can_read_spread_and_one_page_alone_does_R130() -> None:
    """Whoever decides, promises, orders, routes, answers or shows a matter cannot even name the module."""
    importing, summing = set(), set()
    for file in product_files():
        name = name_of(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (
                node.module == "crm.actions.reach"
                or (node.module == "crm.actions" and any(alias.name == "reach" for alias in node.names))
            ):
                importing.add(name)
            if isinstance(node, ast.Attribute | ast.Name) and "spread_by" in (
                getattr(node, "attr", ""),
                getattr(node, "id", ""),
            ):
                summing.add(name)
    assert importing <= set(MAY_IMPORT_REACH), importing - set(MAY_IMPORT_REACH)
    assert summing == {"recovery/admin/spread.py"}
