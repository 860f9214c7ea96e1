"""The pages of the rules: who may do what, drafting by form, what the machine found, and whom a draft would help or hurt."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from crm.models import User
from crm.policy import Role
from recovery import actions
from recovery.admin.rules import RuleForm
from recovery.models import PolicyRule, PolicyVersion
from recovery.policy import Facts, RemedyKind, Rule, VersionState
from tests.crm.test_admin import (
    CUSTOMER,
    NOBODY,
    STAFF,
    STATEMENTS,
    WITHOUT_ROLE,
    browser,
    colleague,
    statements,
    stored,
    told,
)
from tests.recovery.policy.drafts import drafts, starter_rules

pytestmark = pytest.mark.django_db

LIST = "/admin/policies/"
KIND = Rule("kind", {"days_without": {"at_least": 5}}, goodwill=Decimal("50.00"), because="Five days are long.")
FORM = {"code": "kind", "because": "Five days are long.", "days_without": "5", "goodwill": "50", "severity": "low"}
MAY = (Role.LEAD, Role.ADMINISTRATOR)


def page(number: int) -> str:
    return reverse("admin:policy", args=[number])


def rule_page(number: int, code: str = "") -> str:
    return (
        reverse("admin:policy_rule", args=[number, code]) if code else reverse("admin:policy_rule_new", args=[number])
    )


def drafted(by: User, *, rule: Rule = KIND) -> int:
    at = timezone.now()
    number = actions.begin_draft(copy_of=1, note="Kinder", by=by, at=at).number
    actions.put_rule(number, rule, by=by, at=at)
    return number


def ready(by: User) -> int:
    number, at = drafted(by), timezone.now()
    actions.check(number, by=by, at=at)
    actions.what_if(number, by=by, at=at)
    return number


def another_lead() -> User:
    return colleague(Role.LEAD, email="dana@shop.example")


def tomorrow() -> str:
    return (timezone.localtime() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")


# --- who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_colleagues_read_the_rules_and_leads_and_administrators_draft_them(who: str):
    number, client = drafted(another_lead()), browser(who)
    sees = {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 403}.get(who, 200)
    for url in (LIST, page(1), page(number)):
        assert client.get(url).status_code == sees
    edits = sees if sees != 200 else 200 if who in MAY else 403
    assert client.get(rule_page(number, "kind")).status_code == edits
    assert client.get(rule_page(number)).status_code == edits


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_only_leads_and_administrators_change_a_draft_or_approve_it(who: str):
    number, client = ready(another_lead()), browser(who)
    before = stored()
    calls = [
        (page(number), {"do": "approve", "starts_at": tomorrow()}),
        (LIST, {"note": "Mine"}),
        (page(number + 1), {"do": "check"}),
        (rule_page(number + 1), {**FORM, "code": "another"}),
        (page(number + 1), {"do": "move", "rule": "loss", "to": "1"}),
        (page(number + 1), {"do": "remove", "rule": "loss"}),
        (page(number + 1), {"do": "discard"}),
    ]
    for url, form in calls:
        answer = client.post(url, form)
        if who in MAY:
            assert answer.status_code == 302, answer.content
        else:
            assert answer.status_code in ({302} if who == NOBODY else {403, 404})
            assert stored() == before


def test_looking_at_the_rules_changes_nothing():
    client, number = browser(Role.LEAD), ready(another_lead())
    before = stored()
    for url in (LIST, page(1), page(number), rule_page(number, "kind")):
        assert client.get(url).status_code == 200
    assert client.get(page(99)).status_code == 404
    assert client.post(page(99), {"do": "check"}).status_code == 404
    assert client.post(LIST, {"copy_of": "99999999999999999999"}).status_code == 404
    assert client.get(rule_page(number, "nothing")).status_code == 404
    assert stored() == before


# --- from a draft to rules in force ---------------------------------------------------------------------------------


def test_the_whole_way_by_hand_R069_E11():
    drafter, approver = Client(), Client()
    drafter.force_login(another_lead())
    approver.force_login(colleague(Role.ADMINISTRATOR))
    told("a")
    case_number = _case_with_days(6)

    assert drafter.post(LIST, {"note": "Five days are long"}).status_code == 302
    number = PolicyVersion.objects.drafts().get().number
    assert drafter.post(rule_page(number), FORM).status_code == 302
    assert PolicyRule.objects.get(version__number=number, code="kind").as_rule() == KIND

    refused = drafter.post(page(number), {"do": "what_if"})
    assert refused.status_code == 409
    assert "check the draft first" in refused.content.decode()
    drafter.post(page(number), {"do": "check"})
    drafter.post(page(number), {"do": "what_if"})
    shown = drafter.get(page(number)).content.decode()
    for words in ("+30.00 EUR", "Email: 0.0 % get less, 100.0 % get more", f"Case {case_number}", "30.00 EUR more"):
        assert words in shown
    assert "Somebody else has to approve them" in shown
    own = drafter.post(page(number), {"do": "approve", "starts_at": tomorrow()})
    assert own.status_code == 409

    early = approver.post(page(number), {"do": "approve", "starts_at": "2020-01-01T00:00"})
    assert early.status_code == 409
    assert "Rules start in the future" in early.content.decode()
    unreadable = approver.post(page(number), {"do": "approve", "starts_at": "soon"})
    assert "eh-error" in unreadable.content.decode()
    assert approver.post(page(number), {"do": "approve", "starts_at": tomorrow()}).status_code == 302
    version = PolicyVersion.objects.get(number=number)
    assert version.state == VersionState.APPROVED
    listed = approver.get(LIST).content.decode()
    assert "coming" in listed
    assert "in force" in listed
    assert approver.post(rule_page(number, "kind"), FORM).status_code == 409


def _case_with_days(days: int) -> int:
    case = actions.open_case(
        told("late").pk, facts=Facts(days_without=days), seen_because=[], by=None, at=timezone.now()
    )
    return case.pk


def test_losers_are_named_before_anybody_approves():
    drafter = another_lead()
    number = actions.begin_draft(by=drafter, at=timezone.now()).number
    actions.remove_rule(number, "days_without", by=drafter, at=timezone.now())
    case = _case_with_days(6)
    actions.check(number, by=drafter, at=timezone.now())
    actions.what_if(number, by=drafter, at=timezone.now())
    shown = browser(Role.LEAD).get(page(number)).content.decode()
    assert "1 customer’s case of the last twelve months would have earned less" in shown
    assert "Who would have got less" in shown
    assert f"Case {case}" in shown
    assert "20.00 EUR less" in shown
    assert "No longer there:" in shown


def test_what_the_machine_finds_stands_on_the_page_beside_its_rule():
    client, drafter = browser(Role.LEAD), another_lead()
    number = drafted(drafter, rule=replace(KIND, when={"vulnerable": {"is": False}}))
    client.post(page(number), {"do": "check"})
    shown = client.get(page(number)).content.decode()
    assert "Whoever is worse off gets less" in shown
    assert 'href="#rule-kind"' in shown
    client.post(page(number), {"do": "remove", "rule": "kind"})
    assert "The rules were changed since. Please check them again." in client.get(page(number)).content.decode()


# --- the form -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": "Two Words"}, "beginning with a letter"),
        ({"because": ""}, "This field is required"),
        ({"loss": "-1"}, "greater than or equal to 0"),
        ({"currency": "EUR, DBL"}, "“DBL” is no currency in use"),
        ({"within_first_response": "0 h"}, "like 30 min or 24 h"),
        ({"within_first_response": "soon"}, "like 30 min or 24 h"),
        ({"within_resolution": "9600 h"}, "at most a year"),
        ({"within_resolution": "3 d"}, "like 30 min or 24 h"),
        ({"code": "loss"}, "There is a rule of this name already"),
        ({"goodwill": "", "days_without": ""}, "It gives nothing"),
    ],
)
def test_what_is_wrong_is_said_on_the_form_and_what_was_typed_stays(changes: dict[str, str], said: str):
    client, number = browser(Role.LEAD), drafted(another_lead())
    before = stored()
    shown = client.post(rule_page(number), {**FORM, "code": "new", **changes}).content.decode()
    assert said in shown
    assert 'role="alert"' in shown
    assert stored() == before


def test_every_field_has_a_label_and_every_button_a_name():
    client, number = browser(Role.LEAD), ready(another_lead())
    shown = client.get(rule_page(number, "kind")).content.decode()
    form = shown[shown.index('class="eh-form"') :]
    for name in re.findall(r'<(?:input|select|textarea)[^>]* id="(id_[a-z_]+)"', form):
        assert f'for="{name}"' in form or re.search(rf"<label>[^<]*<[^>]*{name}", form), name
    assert "<legend" in form
    shown = client.get(page(number)).content.decode()
    assert not re.findall(r"<button[^>]*>\s*</button>", shown)
    assert 'aria-label="Move the rule loss up"' in shown
    assert 'role="img"' not in shown or "<desc" in shown


def test_a_stored_rule_and_its_form_are_the_same_rule():
    for rule in starter_rules():
        _back_again(rule)


def test_keeping_a_rule_as_it_is_changes_nothing_of_it():
    client, drafter = browser(Role.LEAD), another_lead()
    draft = actions.begin_draft(by=drafter, at=timezone.now())
    for row in draft.rules.all():
        empty = RuleForm(initial=RuleForm.filled_with(row.as_rule()))
        filled = {name: empty[name].value() for name in empty.fields if empty[name].value() is not None}
        filled["remedies"] = [
            kind.value for kind in RemedyKind if kind in filled["remedies"]
        ]  # as a browser sends them
        assert client.post(rule_page(draft.number, row.code), filled).status_code == 302
    shown = client.get(page(draft.number)).content.decode()
    assert "changed</span>" not in shown
    assert "new</span>" not in shown


@given(drafts, st.data())
def test_any_rule_survives_its_form(draft: tuple[Rule, ...], data: Any):
    _back_again(data.draw(st.sampled_from(draft)))


def _back_again(rule: Rule) -> None:
    empty = RuleForm(initial=RuleForm.filled_with(rule))
    filled = {name: empty[name].value() for name in empty.fields if empty[name].value() is not None}
    form = RuleForm(filled)
    assert form.is_valid(), form.errors
    again = form.rule()
    for known in (rule, again):  # amounts may be written in several ways
        assert all(set(condition) <= {"is", "one_of", "at_least"} for condition in known.when.values())
    plain, back = _plain(rule), _plain(again)
    assert plain == back


def _plain(rule: Rule) -> dict[str, Any]:
    plain = rule.as_data()
    if "loss" in plain["when"]:
        plain["when"]["loss"] = {"at_least": Decimal(str(rule.when["loss"]["at_least"]))}
    for name in ("complaint_type", "currency"):
        values = plain["when"].get(name, {}).get("one_of")
        if values and len(values) == 1:
            plain["when"][name] = {"is": values[0]}
    plain["remedies"] = sorted(plain["remedies"])
    return plain


# --- what it costs --------------------------------------------------------------------------------------------------


def test_the_pages_cost_the_same_for_one_and_for_twenty():
    client, drafter = browser(Role.LEAD), another_lead()
    number = drafted(drafter)
    urls = [LIST, page(number)]
    with_one = {url: statements(client, url) for url in urls}
    for more in range(19):
        actions.begin_draft(copy_of=1, by=drafter, at=timezone.now())
        actions.put_rule(number, replace(KIND, code=f"kind_{more}"), by=drafter, at=timezone.now())
    assert {url: statements(client, url) for url in urls} == with_one
    assert max(with_one.values()) <= STATEMENTS


def test_versions_are_paged_by_their_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("recovery.admin.policies.LISTED", 2)
    client, drafter = browser(Role.LEAD), another_lead()
    for _each in range(4):
        actions.begin_draft(copy_of=1, by=drafter, at=timezone.now())
    found, url = [], LIST
    while url:
        shown = client.get(url).content.decode()
        found += re.findall(r'class="eh-row-link"[^>]*>Version (\d+)<', shown)
        following = re.search(r'rel="next" href="([^"]+)"', shown)
        url = f"{LIST}{following[1]}" if following else ""
    assert found == ["5", "4", "3", "2", "1"]
