"""Every night all open cases and a sample of settled ones are decided again; a differing byte is told, logged, recorded once."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import pytest
from django.db import connection

from crm.actions import intake
from crm.models import Alert, HistoryEntry
from crm.policy import AlertKind
from recovery import actions
from recovery.actions import replay
from recovery.models import Case, Decision
from recovery.policy import Facts, Outcome
from tests.conftest import NOON
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db

NIGHT = NOON + timedelta(hours=14)


def opened(facts: Facts = Facts()) -> Case:  # noqa: B008  facts never change
    heard = intake.receive(message(), at=NOON, origin="test")
    return actions.open_case(heard.conversation.pk, facts=facts, seen_because=[], by=None, at=NOON)


def settled() -> Case:
    case, owner = opened(), colleague()
    actions.decide(case.pk, facts=Facts(), by=owner, at=NOON)
    return actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We are sorry.", by=owner, at=NOON)


def past_the_guard(statement: str, *values: object) -> None:
    """Somebody who may switch guards off changes what was decided."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE recovery_decision DISABLE TRIGGER decision_append_only")
        cursor.execute(statement, values)


@pytest.mark.parametrize(
    "change",
    [
        "entitlement = jsonb_set(entitlement, '{owed}', '\"999.00\"')",
        "entitlement_hash = repeat('0', 64)",
        "facts = jsonb_set(facts, '{days_without}', '9')",
        "facts = jsonb_set(facts, '{channel}', '\"email\"')",
        "facts = facts - 'loss'",
        "facts_hash = repeat('0', 64)",
    ],
)
@pytest.mark.parametrize("make", [opened, settled])
def test_a_differing_byte_is_told_logged_and_recorded_once(change: str, make, caplog):
    case = make()
    other = opened()
    assert actions.replay_decisions(NIGHT) == 0
    newest = Decision.objects.filter(case=case).order_by("-id")[0]
    past_the_guard(f"UPDATE recovery_decision SET {change} WHERE id = %s", newest.pk)
    for night in range(2):
        assert actions.replay_decisions(NIGHT + timedelta(days=night)) == 1
    alert = Alert.objects.get(kind=AlertKind.DECISION_DIFFERS)
    assert alert.conversation_id == case.conversation_id
    assert alert.detail["decision"] == newest.pk
    assert HistoryEntry.objects.filter(verb="decision.differs").count() == 1
    assert "differently" in caplog.text
    assert str(other.pk) not in [str(record.args[1]) for record in caplog.records if record.args]


def test_rules_that_are_not_those_that_were_approved_are_told_once_even_before_a_decision_shows_it(caplog):
    opened()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE recovery_policyrule DISABLE TRIGGER policy_rule_stands")
        cursor.execute("UPDATE recovery_policyrule SET goodwill = 5000 WHERE code = 'failed_again'")
    for night in range(2):
        assert actions.replay_decisions(NIGHT + timedelta(days=night)) == 0
    assert Alert.objects.get(kind=AlertKind.DECISION_DIFFERS).detail == {"policy": 1}
    assert HistoryEntry.objects.filter(verb="policy.differs").count() == 1
    assert "not those that were approved" in caplog.text


def test_an_older_decision_that_was_replaced_is_not_what_the_customer_gets():
    case = opened()
    actions.decide(case.pk, facts=Facts(days_without=3), by=colleague(), at=NOON)
    assert actions.replay_decisions(NIGHT) == 0


def test_every_open_case_is_looked_at_with_a_fixed_number_of_statements(django_assert_max_num_queries):
    for _each in range(12):
        opened()
    with django_assert_max_num_queries(12):
        assert actions.replay_decisions(NIGHT) == 0


def test_the_sample_can_be_worked_out_by_anybody(monkeypatch: pytest.MonkeyPatch):
    for _each in range(9):
        settled()
    opened()
    monkeypatch.setattr(replay, "SAMPLED_AT_LEAST", 3)
    monkeypatch.setattr(replay, "SAMPLED_SHARE", 0.5)

    def by_hand(night: date) -> list[str]:
        ids = [str(found) for found in Case.objects.filter(status="resolved").values_list("public_id", flat=True)]
        return sorted(ids, key=lambda found: hashlib.sha256(f"{night.isoformat()}:{found}".encode()).hexdigest())[:5]

    for night in (date(2026, 3, 2), date(2026, 3, 3)):
        chosen = [str(case.public_id) for case in actions.sample_of_settled(night)]
        assert chosen == by_hand(night)
    assert by_hand(date(2026, 3, 2)) != by_hand(date(2026, 3, 3))
    monkeypatch.setattr(replay, "SAMPLED_SHARE", 0.05)
    assert len(actions.sample_of_settled(date(2026, 3, 2))) == 3


def test_the_sample_is_a_twentieth_and_at_least_two_hundred():
    assert (replay.SAMPLED_SHARE, replay.SAMPLED_AT_LEAST) == (0.05, 200)
