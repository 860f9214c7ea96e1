"""Whom a draft would have helped or hurt in the last twelve months, and that it does not read the channel."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from crm.actions import intake
from crm.channels import Channel
from recovery import actions, obtainable
from recovery.actions import trial
from recovery.models import Case, PolicyVersion
from recovery.policy import ComplaintType, Facts, Policy, Rule, Severity
from tests.conftest import NOON
from tests.crm.stories import message

pytestmark = pytest.mark.django_db

CHANNELS = [Channel.EMAIL, Channel.PHONE, Channel.LETTER]
DAYS = Facts(ComplaintType.LATE_OR_MISSING, days_without=3)


def case(facts: Facts, *, channel: Channel = Channel.EMAIL, at: datetime = NOON) -> Case:
    heard = intake.receive(message(channel=channel), at=at, origin="test")
    return actions.open_case(heard.conversation.pk, facts=facts, seen_because=[], by=None, at=at)


def changed(code: str, **changes: Any) -> Policy:
    """The starter pack with one rule changed; without it when nothing is said."""
    rules = PolicyVersion.objects.get(number=1).as_policy().rules
    return Policy(
        2,
        tuple(
            replace(rule, **changes) if rule.code == code else rule for rule in rules if changes or rule.code != code
        ),
    )


def tried(draft: Policy) -> dict[str, Any]:
    return trial.tried_on_cases(draft, at=NOON + timedelta(hours=1))


def test_the_same_rules_change_nothing_for_anybody():
    for channel in CHANNELS:
        case(DAYS, channel=channel)
    found = tried(PolicyVersion.objects.get(number=1).as_policy())
    assert (found["cases"], found["unchanged"], found["winners"], found["losers"]) == (3, 3, 0, 0)
    assert found["cost"] == {}
    assert found["kinds"] == {"losers": [], "winners": []}


def test_winners_losers_and_cost_are_counted_per_currency_R069():
    case(DAYS)
    case(replace(DAYS, currency="USD"))
    case(Facts())
    found = tried(changed("days_without", goodwill=Decimal("30.00")))
    assert (found["winners"], found["losers"], found["unchanged"]) == (2, 0, 1)
    assert found["cost"] == {"EUR": "10.00", "USD": "10.00"}
    assert found["changes"] == {"more_money": 2}

    found = tried(changed("days_without"))
    assert (found["winners"], found["losers"], found["unchanged"]) == (0, 2, 1)
    assert found["cost"] == {"EUR": "-20.00", "USD": "-20.00"}
    assert found["changes"] == {"less_money": 2, "fewer_remedies": 2, "later": 2, "milder": 2}


def test_more_money_later_is_a_loss_and_said_so():
    hurt = case(DAYS)
    found = tried(changed("days_without", goodwill=Decimal(500), within={}))
    assert (found["winners"], found["losers"]) == (0, 1)
    (kind,) = found["kinds"]["losers"]
    (example,) = kind["examples"]
    assert (kind["cases"], example["case"], example["number"]) == (1, str(hurt.public_id), hurt.pk)
    assert "3 days without" in example["facts"]
    assert any("later" in change for change in example["changes"])
    assert "480.00 EUR more" in example["changes"]


def test_only_the_newest_decision_of_each_case_within_twelve_months_counts():
    from tests.crm.stories import colleague

    old = NOON - timedelta(days=366)
    case(DAYS, at=old)
    again = case(DAYS)
    actions.decide(again.pk, facts=Facts(), by=colleague(), at=NOON)
    found = tried(changed("days_without"))
    assert (found["cases"], found["losers"]) == (1, 0)


LOSSES = [Decimal("1.00"), Decimal("30.00"), Decimal("30.00"), Decimal("5000.00")]


def test_what_depends_on_the_loss_itself_is_decided_loss_by_loss():
    """Instead of the loss everybody gets 30: that is less for those who lost more, and something they are no longer owed."""
    for loss in LOSSES:
        case(Facts(ComplaintType.UNSORTED, loss=loss))
    found = tried(changed("loss", remedies=("apology_by_name",), goodwill=Decimal("30.00")))
    assert found["losers"] == 4  # the refund is lost to all of them
    assert found["changes"]["more_money"] == 1
    assert found["changes"]["less_money"] == 1
    assert Decimal(found["cost"]["EUR"]) == 4 * 30 - sum(LOSSES)


def test_grouping_counts_as_deciding_each_case_by_itself_would():
    known = [
        Facts(kind, loss=loss, days_without=days, our_failures=failures)
        for kind in (ComplaintType.UNSORTED, ComplaintType.CONDUCT)
        for loss in LOSSES
        for days in (0, 3)
        for failures in (1, 2)
    ]
    for number, facts in enumerate(known):
        case(facts, channel=CHANNELS[number % 3])
    for draft in (
        changed("loss"),
        changed("loss", remedies=("apology_by_name",), goodwill=Decimal("30.00")),
        changed("loss", remedies=("apology_by_name",), goodwill=Decimal("30.10")),
        changed("failed_again", goodwill=Decimal(7)),
        changed("conduct", remedies=("refund_loss",), severity=Severity.CRITICAL),
        changed("loss", when={"loss": {"at_least": 100}}, goodwill=Decimal("45.00")),
    ):
        grouped = tried(draft)
        alone = _one_by_one(draft)
        assert {name: grouped[name] for name in alone} == alone


def _one_by_one(draft: Policy) -> dict[str, Any]:
    from recovery.models import Decision
    from recovery.policy import Entitlement, difference, entitlement_for

    found = [
        difference(Entitlement.from_data(decision.entitlement), entitlement_for(Facts.from_data(decision.facts), draft))
        for decision in Decision.objects.all()
    ]
    cost = sum((one.money for one in found), Decimal(0))
    return {
        "cases": len(found),
        "losers": sum(one.gives_less for one in found),
        "winners": sum(one.gives_more and not one.gives_less for one in found),
        "cost": {"EUR": str(cost)} if cost else {},
    }


# --- the channel ----------------------------------------------------------------------------------------------------


def test_shares_and_money_are_shown_per_channel_and_are_equal_for_equal_matters_R069():
    for channel in CHANNELS:
        case(DAYS, channel=channel)
        case(Facts(), channel=channel)
    found = tried(changed("days_without"))
    assert sorted(row["channel"] for row in found["channels"]) == sorted(CHANNELS)
    for row in found["channels"]:
        assert (row["cases"], row["winners"], row["losers"], row["mean"]) == (2, 0, 1, {"EUR": "-10.00"})
    assert found["neutral"]["matters"] == 2
    assert found["neutral"]["decided_more_than_once"] == 2
    assert found["neutral"]["differing"] == 0


def test_rules_that_could_read_the_channel_would_be_found(monkeypatch: pytest.MonkeyPatch):
    """The measure is not blind: an evaluator that gave one of two equal cases more would show."""
    for channel in CHANNELS:
        case(DAYS, channel=channel)
    real, calls = trial.entitlement_for, []

    def favours_the_last(facts: Facts, draft: Policy) -> Any:
        calls.append(facts)
        earned = real(facts, draft)
        return replace(earned, owed=earned.owed + len(calls))

    monkeypatch.setattr(trial, "entitlement_for", favours_the_last)
    assert tried(PolicyVersion.objects.get(number=1).as_policy())["neutral"]["differing"] > 0


def test_the_last_decisions_come_out_the_same_on_every_channel_R048():
    for channel in CHANNELS:
        case(DAYS, channel=channel)
    flips = tried(changed("days_without"))["flips"]
    assert flips == {"decisions": 3, "flips": 3 * len(Channel), "differing": 0, "changed": 3}


def test_a_fact_that_one_channel_could_not_tell_would_show_in_the_flips(monkeypatch: pytest.MonkeyPatch):
    case(DAYS)
    lacking = {name: way for name, way in obtainable.MATRIX["days_without"].items() if name != Channel.LETTER}
    real = obtainable.as_known_on
    monkeypatch.setattr(
        obtainable,
        "as_known_on",
        lambda channel, facts: real(channel, facts, matrix={**obtainable.MATRIX, "days_without": lacking}),
    )
    assert tried(PolicyVersion.objects.get(number=1).as_policy())["flips"]["differing"] == 1


def test_a_year_without_cases_is_no_trouble():
    found = tried(PolicyVersion.objects.get(number=1).as_policy())
    assert (found["cases"], found["channels"], found["flips"]["decisions"]) == (0, [], 0)


def test_a_draft_with_its_own_thresholds_reads_a_fixed_number_of_statements(django_assert_max_num_queries: Any):
    for number in range(12):
        case(Facts(loss=Decimal(number)), channel=CHANNELS[number % 3])
    stricter = Rule("large", {"loss": {"at_least": 6}}, goodwill=Decimal(9), because="x")
    draft = PolicyVersion.objects.get(number=1).as_policy()
    with django_assert_max_num_queries(4):
        found = tried(Policy(2, (*draft.rules, stricter)))
    assert (found["cases"], found["winners"], found["losers"]) == (12, 6, 0)
