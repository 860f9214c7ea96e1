"""From a draft to rules in force: two people, checks and a what-if of just these rules, a start in the future, and no way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from crm.actions import intake
from crm.models import Alert, HistoryEntry, User
from crm.policy import AlertKind, Role
from recovery import actions
from recovery.models import Decision, PolicyRule, PolicyVersion
from recovery.policy import Facts, Rule, Severity, VersionState, content_hash
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

SOON = NOON + timedelta(minutes=10)
KIND = Rule("kind", {"days_without": {"at_least": 5}}, goodwill=Decimal("50.00"), because="Five days are long.")


@pytest.fixture
def two(db: None) -> tuple[User, User]:
    return colleague(Role.LEAD, name="Dana"), colleague(Role.LEAD, name="Amir")


def draft_of(by: User, *, rule: Rule | None = KIND) -> PolicyVersion:
    draft = actions.begin_draft(copy_of=1, note="Kinder", by=by, at=NOON)
    if rule:
        actions.put_rule(draft.number, rule, by=by, at=NOON)
    return draft


def ready(by: User) -> int:
    number = draft_of(by).number
    actions.check(number, by=by, at=NOON)
    actions.what_if(number, by=by, at=NOON)
    return number


def codes(number: int) -> list[str]:
    return list(PolicyRule.objects.filter(version__number=number).order_by("position").values_list("code", flat=True))


# --- drafting -------------------------------------------------------------------------------------------------------


def test_a_draft_is_a_copy_of_what_is_approved_and_binds_nobody_yet(two: tuple[User, User]):
    drafter, _approver = two
    draft = actions.begin_draft(by=drafter, at=NOON)
    starter = PolicyVersion.objects.get(number=1)
    assert (draft.number, draft.state, draft.copied_from) == (2, VersionState.DRAFT, starter)
    assert draft.content_hash == starter.content_hash == content_hash(starter.as_policy().rules)
    assert codes(2) == codes(1)
    assert PolicyVersion.objects.in_force(NOON + timedelta(days=900)) == starter


def test_two_drafts_may_exist_and_any_version_can_be_copied(two: tuple[User, User]):
    drafter, _approver = two
    first = draft_of(drafter)
    second = actions.begin_draft(copy_of=first.number, by=drafter, at=NOON)
    assert (first.number, second.number) == (2, 3)
    assert codes(3) == [*codes(1), "kind"]
    with pytest.raises(PolicyVersion.DoesNotExist):
        actions.begin_draft(copy_of=99, by=drafter, at=NOON)


def test_rules_are_put_changed_moved_and_taken_out(two: tuple[User, User]):
    drafter, _approver = two
    number = draft_of(drafter).number
    assert codes(number)[-1] == "kind"
    actions.put_rule(number, replace(KIND, code="kinder", goodwill=Decimal(60)), replaces="kind", by=drafter, at=NOON)
    row = PolicyRule.objects.get(version__number=number, code="kinder")
    assert row.goodwill == 60
    actions.move_rule(number, "kinder", to=2, by=drafter, at=NOON)
    assert codes(number)[:3] == ["everybody", "kinder", "loss"]
    actions.move_rule(number, "everybody", to=99, by=drafter, at=NOON)
    assert codes(number)[-1] == "everybody"
    actions.remove_rule(number, "kinder", by=drafter, at=NOON)
    assert sorted(codes(number)) == sorted(codes(1))
    places = PolicyRule.objects.filter(version__number=number).order_by("position").values_list("position", flat=True)
    assert list(places) == list(range(1, 12))
    verbs = HistoryEntry.objects.filter(ref=f"policy:{number}").order_by("id").values_list("verb", flat=True)
    assert list(verbs) == [
        "policy.drafted", "policy.rule_put", "policy.rule_put", "policy.rule_moved", "policy.rule_moved", "policy.rule_removed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "replaces", "refusal", "code"),
    [
        (replace(KIND, when={"followers": {"at_least": 1000}}), "", actions.UnusableRule, "unusable_rule"),
        (replace(KIND, goodwill=Decimal(-5)), "", actions.UnusableRule, "unusable_rule"),
        (replace(KIND, because=""), "", actions.UnusableRule, "unusable_rule"),
        (replace(KIND, code="loss"), "", actions.UnusableRule, "unusable_rule"),
        (replace(KIND, code="loss"), "kind", actions.UnusableRule, "unusable_rule"),
        (KIND, "nothing_here", actions.UnusableRule, "unusable_rule"),
        (replace(KIND, code="new"), "nothing_here", actions.NoSuchRule, "no_such_rule"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_and_changes_nothing(
    two: tuple[User, User], rule: Rule, replaces: str, refusal: type[Exception], code: str
):
    number = draft_of(two[0]).number
    before, entries = PolicyVersion.objects.get(number=number).content_hash, HistoryEntry.objects.count()
    with pytest.raises(refusal) as refused:
        actions.put_rule(number, rule, replaces=replaces, by=two[0], at=NOON)
    assert refused.value.code == code
    assert PolicyVersion.objects.get(number=number).content_hash == before
    assert HistoryEntry.objects.count() == entries


def test_a_discarded_draft_stays_readable_and_keeps_its_number(two: tuple[User, User]):
    number = draft_of(two[0]).number
    actions.discard(number, by=two[0], at=NOON)
    assert codes(number)
    assert actions.begin_draft(by=two[0], at=NOON).number == number + 1
    with pytest.raises(actions.WrongVersionState):
        actions.put_rule(number, KIND, replaces="kind", by=two[0], at=NOON)


# --- checking -------------------------------------------------------------------------------------------------------


def test_what_the_machine_finds_is_kept_with_the_fingerprint_it_is_about(two: tuple[User, User]):
    drafter, _approver = two
    number = draft_of(drafter, rule=replace(KIND, when={"vulnerable": {"is": False}})).number
    draft = actions.check(number, by=drafter, at=NOON)
    assert draft.checks["content_hash"] == draft.content_hash
    assert not draft.checks["passed"]
    assert draft.checks["findings"][0][:2] == ["monotone", "kind"]
    with pytest.raises(actions.DraftFailedChecks) as refused:
        actions.what_if(number, by=drafter, at=NOON)
    assert refused.value.code == "draft_failed_checks"


def test_a_what_if_needs_checks_of_these_rules(two: tuple[User, User]):
    drafter, _approver = two
    number = draft_of(drafter).number
    with pytest.raises(actions.DraftNotChecked):
        actions.what_if(number, by=drafter, at=NOON)
    actions.check(number, by=drafter, at=NOON)
    actions.remove_rule(number, "kind", by=drafter, at=NOON)
    with pytest.raises(actions.DraftChangedSinceCheck):
        actions.what_if(number, by=drafter, at=NOON)


def test_a_what_if_is_not_kept_when_the_rules_changed_while_it_was_made(
    two: tuple[User, User], monkeypatch: pytest.MonkeyPatch
):
    drafter, _approver = two
    number = draft_of(drafter).number
    actions.check(number, by=drafter, at=NOON)

    def meanwhile(_draft: Any, *, at: Any) -> dict[str, Any]:
        actions.remove_rule(number, "kind", by=drafter, at=at)
        return {}

    monkeypatch.setattr("recovery.actions.trial.tried_on_cases", meanwhile)
    with pytest.raises(actions.DraftChangedSinceCheck):
        actions.what_if(number, by=drafter, at=NOON)
    assert PolicyVersion.objects.get(number=number).what_if is None


def test_once_tried_the_draft_asks_for_a_second_person_once(two: tuple[User, User]):
    number = ready(two[0])
    actions.what_if(number, by=two[0], at=NOON)
    assert [alert.detail for alert in Alert.objects.filter(kind=AlertKind.SECOND_PERSON)] == [{"policy": number}]


# --- approving ------------------------------------------------------------------------------------------------------


def test_rules_approved_by_a_second_person_come_into_force_at_their_time_and_not_before_R069(two: tuple[User, User]):
    drafter, approver = two
    number = ready(drafter)
    version = actions.approve(number, starts_at=SOON, by=approver, at=NOON)
    assert (version.state, version.drafted_by, version.approved_by) == (VersionState.APPROVED, drafter, approver)
    assert PolicyVersion.objects.in_force(SOON - timedelta(microseconds=1)).number == 1
    assert PolicyVersion.objects.in_force(SOON).number == number

    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(days_without=5), seen_because=[], by=None, at=NOON)
    assert case.decisions.get().entitlement["owed"] == "20.00"
    actions.decide(case.pk, facts=Facts(days_without=5), by=approver, at=SOON)
    assert case.decisions.order_by("-id")[0].entitlement["owed"] == "50.00"


def _not_checked(number: int, drafter: User) -> None:
    actions.put_rule(number, replace(KIND, code="another"), by=drafter, at=NOON)


def _only_checked(number: int, drafter: User) -> None:
    _not_checked(number, drafter)
    actions.check(number, by=drafter, at=NOON)


def _failed(number: int, drafter: User) -> None:
    actions.remove_rule(number, "everybody", by=drafter, at=NOON)
    actions.check(number, by=drafter, at=NOON)


def _changed_past_the_actions(number: int, _drafter: User) -> None:
    PolicyRule.objects.filter(version__number=number, code="kind").update(goodwill=5000)


def _nothing(_number: int, _drafter: User) -> None: ...


@pytest.mark.parametrize(
    ("spoil", "starts_at", "refusal", "code"),
    [
        (_not_checked, SOON, actions.DraftChangedSinceCheck, "draft_changed_since_check"),
        (_only_checked, SOON, actions.DraftChangedSinceCheck, "draft_changed_since_check"),
        (_failed, SOON, actions.DraftFailedChecks, "draft_failed_checks"),
        (_changed_past_the_actions, SOON, actions.DraftChangedSinceCheck, "draft_changed_since_check"),
        (_nothing, NOON, actions.MustStartInFuture, "must_start_in_future"),
        (_nothing, NOON - timedelta(days=1), actions.MustStartInFuture, "must_start_in_future"),
        (_nothing, SOON - timedelta(seconds=1), actions.MustStartInFuture, "must_start_in_future"),
    ],
)
def test_approval_is_refused_and_changes_nothing_E11(
    two: tuple[User, User], spoil: Callable[[int, User], None], starts_at: Any, refusal: type[Exception], code: str
):
    drafter, approver = two
    number = ready(drafter)
    spoil(number, drafter)
    entries = HistoryEntry.objects.count()
    with pytest.raises(refusal) as refused:
        actions.approve(number, starts_at=starts_at, by=approver, at=NOON)
    assert refused.value.code == code
    assert str(refused.value)
    assert PolicyVersion.objects.get(number=number).state == VersionState.DRAFT
    assert HistoryEntry.objects.count() == entries


def test_a_draft_that_was_never_checked_or_never_tried_is_not_approved(two: tuple[User, User]):
    drafter, approver = two
    number = draft_of(drafter).number
    for prepare in (_nothing, lambda number, by: actions.check(number, by=by, at=NOON)):
        prepare(number, drafter)
        with pytest.raises(actions.DraftNotChecked):
            actions.approve(number, starts_at=SOON, by=approver, at=NOON)


def test_nobody_approves_what_they_drafted_or_touched_E11(two: tuple[User, User]):
    drafter, editor = two
    number = draft_of(drafter).number
    actions.move_rule(number, "kind", to=1, by=editor, at=NOON)
    actions.put_rule(number, replace(KIND, goodwill=Decimal(40)), replaces="kind", by=drafter, at=NOON)
    actions.check(number, by=drafter, at=NOON)
    actions.what_if(number, by=drafter, at=NOON)
    for who in (drafter, editor):
        with pytest.raises(actions.NeedsSecondPerson) as refused:
            actions.approve(number, starts_at=SOON, by=who, at=NOON)
        assert refused.value.code == "needs_second_person"
    third = colleague(Role.ADMINISTRATOR, name="Third")
    assert actions.approve(number, starts_at=SOON, by=third, at=NOON).approved_by == third


def test_what_is_approved_or_discarded_never_changes_again_E11(two: tuple[User, User]):
    drafter, approver = two
    approved, discarded = ready(drafter), draft_of(drafter).number
    actions.approve(approved, starts_at=SOON, by=approver, at=NOON)
    actions.discard(discarded, by=drafter, at=NOON)
    for number in (1, approved, discarded):
        calls: list[Callable[[], object]] = [
            partial(actions.put_rule, number, replace(KIND, code="x"), by=drafter, at=NOON),
            partial(actions.remove_rule, number, "loss", by=drafter, at=NOON),
            partial(actions.move_rule, number, "loss", to=1, by=drafter, at=NOON),
            partial(actions.discard, number, by=drafter, at=NOON),
            partial(actions.check, number, by=drafter, at=NOON),
            partial(actions.what_if, number, by=drafter, at=NOON),
            partial(actions.approve, number, starts_at=SOON, by=approver, at=NOON),
        ]
        for call in calls:
            with pytest.raises(actions.WrongVersionState) as refused:
                call()
            assert refused.value.code == "wrong_version_state"


# --- the database's own guards --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE recovery_policyrule SET goodwill = 1000 WHERE version_id = {approved}",
        "DELETE FROM recovery_policyrule WHERE version_id = {approved}",
        "INSERT INTO recovery_policyrule (version_id, position, code, \"when\", remedies, goodwill, within_minutes, severity,"
        " because) VALUES ({approved}, 99, 'planted', '{{}}', '[]', 5, '{{}}', 'low', 'x')",
        "UPDATE recovery_policyrule SET version_id = {approved} WHERE version_id = {draft}",
        "UPDATE recovery_policyrule SET \"when\" = '5' WHERE version_id = {draft}",
        "UPDATE recovery_policyrule SET remedies = '\"all\"' WHERE version_id = {draft}",
        "UPDATE recovery_policyrule SET severity = 'huge' WHERE version_id = {draft}",
        "UPDATE recovery_policyversion SET effective_from = now() WHERE id = {approved}",
        "UPDATE recovery_policyversion SET state = 'draft', effective_from = NULL WHERE id = {approved}",
        "UPDATE recovery_policyversion SET checks = NULL WHERE id = {approved}",
        "DELETE FROM recovery_policyversion WHERE id IN ({approved}, {draft})",
        "UPDATE recovery_policyversion SET number = 77 WHERE id = {draft}",
        "UPDATE recovery_policyversion SET is_starter = true WHERE id = {draft}",
        "UPDATE recovery_policyversion SET effective_from = '2030-01-01' WHERE id = {draft}",
        "UPDATE recovery_policyversion SET drafted_by_id = NULL WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, approved_by_id = {drafter} WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, approved_by_id = NULL WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, effective_from = '2026-03-02 12:00+00' WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, what_if = NULL WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, checks = NULL WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, content_hash = 'other' WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, checks = jsonb_set(checks, '{{passed}}', 'false') WHERE id = {draft}",
        "UPDATE recovery_policyversion SET {approval}, edited_by = ARRAY[{approver}] WHERE id = {draft}",
        "INSERT INTO recovery_policyversion SELECT (jsonb_populate_record(v, '{{\"id\": 9999, \"number\": 9999}}')).*"
        " FROM recovery_policyversion v WHERE id = {approved}",
    ],
)  # fmt: skip
def test_the_database_refuses_what_no_action_does_E11(two: tuple[User, User], statement: str):
    drafter, approver = two
    approved, draft = ready(drafter), ready(drafter)
    actions.approve(approved, starts_at=SOON, by=approver, at=NOON)
    keys = dict(PolicyVersion.objects.values_list("number", "pk"))
    names = {
        "approved": keys[approved],
        "draft": keys[draft],
        "drafter": drafter.pk,
        "approver": approver.pk,
        "approval": "state = 'approved', approved_at = '2026-03-02 12:00+00'"
        + (f", approved_by_id = {approver.pk}" if "approved_by_id" not in statement else "")
        + (", effective_from = '2030-01-01'" if "effective_from" not in statement else ""),
    }
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(**names))


def test_the_same_statement_with_nothing_wrong_in_it_is_let_through(two: tuple[User, User]):
    """So that the refusals above are about what is wrong in them."""
    drafter, approver = two
    draft = PolicyVersion.objects.get(number=ready(drafter))
    PolicyVersion.objects.filter(pk=draft.pk).update(
        state="approved", approved_at=NOON, approved_by=approver, effective_from=SOON
    )
    assert PolicyVersion.objects.in_force(SOON) == draft


# --- at the same moment ---------------------------------------------------------------------------------------------


def outcomes(results: list[Any]) -> list[str]:
    return sorted(type(result).__name__ for result in results)


def test_two_approvals_at_once_are_one(transactional_db: None):
    drafter, *approvers = (colleague(Role.LEAD, name=name) for name in ("Dana", "Amir", "Bea"))
    for _round in range(4):
        number = ready(drafter)
        results = at_once(*[partial(actions.approve, number, starts_at=SOON, by=who, at=NOON) for who in approvers])
        assert outcomes(results) == ["PolicyVersion", "WrongVersionState"]
        assert HistoryEntry.objects.filter(verb="policy.approved", ref=f"policy:{number}").count() == 1


def test_an_edit_at_the_moment_of_approval_is_in_neither_or_refuses_it(transactional_db: None):
    drafter, approver = colleague(Role.LEAD, name="Dana"), colleague(Role.LEAD, name="Amir")
    for _round in range(6):
        number = ready(drafter)
        checked = PolicyVersion.objects.get(number=number).checks["content_hash"]
        results = at_once(
            partial(actions.approve, number, starts_at=SOON, by=approver, at=NOON),
            partial(actions.put_rule, number, replace(KIND, code="late"), by=drafter, at=NOON),
        )
        version = PolicyVersion.objects.get(number=number)
        if version.state == VersionState.APPROVED:
            assert "late" not in codes(number)
            assert content_hash(version.as_policy().rules) == checked
            assert "WrongVersionState" in outcomes(results)
        else:
            assert outcomes(results) == ["DraftChangedSinceCheck", "PolicyRule"]


def test_a_statement_past_the_actions_cannot_slip_in_beside_an_approval_either(transactional_db: None):
    drafter, approver = colleague(Role.LEAD, name="Dana"), colleague(Role.LEAD, name="Amir")

    def slip_in(number: int) -> int:
        return PolicyRule.objects.filter(version__number=number, code="kind").update(goodwill=5000)

    for _round in range(6):
        number = ready(drafter)
        at_once(partial(actions.approve, number, starts_at=SOON, by=approver, at=NOON), partial(slip_in, number))
        version = PolicyVersion.objects.get(number=number)
        if version.state == VersionState.APPROVED:
            assert version.rules.get(code="kind").goodwill == 50
            assert content_hash(version.as_policy().rules) == version.checks["content_hash"]


def test_two_drafts_begun_at_once_have_two_numbers(transactional_db: None):
    drafter = colleague(Role.LEAD)
    results = at_once(*[partial(actions.begin_draft, by=drafter, at=NOON) for _each in range(4)])
    assert sorted(draft.number for draft in results) == [2, 3, 4, 5]


def test_an_old_decision_stays_what_it_was_under_its_own_version(two: tuple[User, User]):
    drafter, approver = two
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(days_without=5), seen_because=[], by=None, at=NOON)
    actions.approve(ready(drafter), starts_at=SOON, by=approver, at=NOON)
    assert actions.replay_decisions(SOON + timedelta(days=1)) == 0
    assert Decision.objects.get(case=case).entitlement["severity"] == Severity.HIGH
