"""The page of levelling up: who may see and decide, what it says, and that each button is one action."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from crm.actions import credits
from crm.models import QueueCredit, User
from crm.policy import Role
from recovery import actions
from recovery.actions import corrections
from recovery.models import Correction, Grant, LevellingWeek, ParityAudit, ParityFinding
from recovery.parity.levelling import CorrectionKind
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague
from tests.recovery.audit.test_corrections import MONDAY, NIGHT
from tests.recovery.audit.test_outcomes import many
from tests.recovery.test_back_pay import settled

PAGE = "/admin/levelling-up/"


@pytest.fixture
def row(db: None) -> Correction:
    many()
    actions.parity_nightly(NIGHT)
    actions.correct_levels(MONDAY)
    return Correction.objects.get(kind=CorrectionKind.PRIORITY_CREDIT)


@pytest.fixture
def lena(client: Client, db: None) -> User:
    who = colleague(Role.LEAD, name="Lena", takes=False)
    client.force_login(who)
    return who


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.AGENT, 403), (Role.LOYALTY_MANAGER, 403), (Role.LEAD, 200), (Role.AUDITOR, 200), (Role.ADMINISTRATOR, 200)],
)
def test_who_audits_sees_it_and_nobody_else(client: Client, role: Role, status: int):
    client.force_login(colleague(role))
    assert client.get(reverse("admin:levelling")).status_code == status
    client.force_login(app_user())
    assert client.get(PAGE).status_code in (302, 403)


@pytest.mark.django_db
def test_before_the_first_monday_it_says_so(client: Client, lena: User):
    assert "The first plan is made on Monday" in client.get(PAGE).content.decode()


def test_it_shows_who_lags_and_what_is_proposed_and_looking_changes_nothing(
    client: Client, row: Correction, lena: User
):
    page = client.get(PAGE).content.decode()
    assert "Phone: matters stand" in page
    assert "lags" in page
    assert "60 minutes of service" in page
    assert not QueueCredit.objects.exists()


def test_agreeing_is_one_click_and_ending_needs_words(client: Client, row: Correction, lena: User):
    assert client.post(PAGE, {"do": "agree", "correction": row.public_id}).status_code == 302
    assert credits.live() == {"phone": int(row.size)}
    again = client.post(PAGE, {"do": "agree", "correction": row.public_id})
    assert (again.status_code, "cannot become" in again.content.decode()) == (409, True)
    assert client.post(PAGE, {"do": "end", "correction": row.public_id, "words": " "}).status_code == 409
    client.post(PAGE, {"do": "end", "correction": row.public_id, "words": "The rota is mended."})
    assert credits.live() == {}
    assert "The rota is mended." in client.get(PAGE).content.decode()


def test_declining_noting_and_letting_credits_run(client: Client, row: Correction, lena: User):
    assert (
        client.post(PAGE, {"do": "decline", "correction": row.public_id, "words": "We move two people."}).status_code
        == 302
    )
    finding = ParityFinding.objects.get(pk=row.finding_id)
    wrong = client.post(PAGE, {"do": "note", "finding": finding.public_id, "kind": "priority_credit", "words": "x"})
    assert wrong.status_code == 409
    client.post(
        PAGE, {"do": "note", "finding": finding.public_id, "kind": "capacity_move", "words": "Two more at noon."}
    )
    assert Correction.objects.working().get().words == "Two more at noon."
    client.post(PAGE, {"do": "run"})
    assert corrections.runs_by_itself()
    client.post(PAGE, {"do": "stop"})
    assert not corrections.runs_by_itself()
    assert client.post(PAGE, {"do": "dance"}).status_code == 409


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["", "x", "00000000-0000-0000-0000-000000000000"])
def test_what_is_not_there_is_not_there(client: Client, lena: User, wrong: str):
    assert client.post(PAGE, {"do": "agree", "correction": wrong}).status_code == 404
    assert client.post(PAGE, {"do": "pay", "case": wrong}).status_code == 404


def test_an_auditor_sees_and_decides_nothing(client: Client, row: Correction):
    client.force_login(colleague(Role.AUDITOR))
    assert 'value="agree"' not in client.get(PAGE).content.decode()
    for act in ("agree", "run", "pay"):
        assert client.post(PAGE, {"do": act, "correction": row.public_id}).status_code == 403
    assert not QueueCredit.objects.exists()


@pytest.mark.django_db
def test_back_pay_is_one_click_for_one_and_one_for_a_page(client: Client, lena: User):
    cases = [settled() for _ in range(3)]
    for case in cases:
        type(case).objects.filter(pk=case.pk).update(resolved_at=NOON)
    actions.refresh_ledger(NOON + timedelta(days=1))
    page = client.get(PAGE).content.decode()
    assert page.count("40.00 EUR") >= 3
    client.post(PAGE, {"do": "pay", "case": cases[0].public_id})
    assert Grant.objects.filter(key__startswith="back-pay", given_by=lena).count() == 1
    client.post(PAGE, {"do": "pay_all", "case": [case.public_id for case in cases[1:]]})
    assert sum(grant.amount for grant in Grant.objects.all()) == Decimal(300)
    assert "got all that was owed" in client.get(PAGE).content.decode()
    refused = client.post(PAGE, {"do": "pay", "case": decided_full(cases[0])})
    assert refused.status_code in (302, 409)


def decided_full(case: object) -> str:
    """The key of a case in which nothing is left."""
    return str(case.public_id)  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_hours_are_said_where_no_order_can_help(client: Client, lena: User):
    look = ParityAudit.objects.create(
        asked_by=lena, since=NOON, until=MONDAY, at=MONDAY, matters=0, dismissed=0, content_hash="x"
    )
    for number, (short, says) in enumerate(
        [(20.4, "you need 20 hours a week more"), (0.0, "not when they are needed"), (None, "Enter everybody")]
    ):
        LevellingWeek.objects.create(
            week=(NOON + timedelta(weeks=number)).date(), at=NOON, look=look, promised=480, late=0.1, says_hours=True,
            hours_short=short,
        )  # fmt: skip
        assert says in client.get(PAGE).content.decode()


def test_the_page_costs_the_same_however_much_there_is(
    client: Client, row: Correction, lena: User, django_assert_max_num_queries
):
    kept = {"finding": row.finding, "look": row.look, "size": 1, "proposed_at": NOON, "state": "ended", "until": MONDAY}
    Correction.objects.bulk_create(Correction(kind="certify", channel="phone", **kept) for _ in range(30))
    with django_assert_max_num_queries(20):
        page = client.get(PAGE).content.decode()
    assert "Earlier corrections" in page
    following = page.split('rel="next" href="')[1].split('"')[0]
    assert "Back to the newest" in client.get(PAGE + following).content.decode()
