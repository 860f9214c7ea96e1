"""What became of every matter, read in one statement; and the audit inside against the report on the same rows as a file."""

from __future__ import annotations

import io
import json
import random
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import numpy as np
import pytest
from django.core.management import call_command

from crm.actions import asking, endings, intake
from crm.channels import Channel
from crm.models import Ask, Closing, Conversation, HandOff, OutgoingMessage, Promise, SurveyAnswer
from crm.policy import DismissalReason, HandOffReason, HandOffState
from recovery import actions
from recovery.actions import outcomes
from recovery.models import Case
from recovery.parity import audit as auditing
from recovery.parity import own, report
from recovery.policy import ComplaintType, Facts, GrantKind, Outcome
from tests.conftest import NOON
from tests.crm.stories import colleague, message

DAY = timedelta(days=1)
LATER = NOON + 20 * DAY


def heard(channel: str = "email", *, at: datetime = NOON) -> Conversation:
    return intake.receive(message(channel=channel, spoke_at=at), at=at, origin="test").conversation


def read(**changes: datetime) -> own.Matters:
    return outcomes.read(**{"since": NOON - DAY, "until": NOON + 10 * DAY, "at": LATER, **changes})


def only(matters: own.Matters, name: str) -> int:
    assert len(matters) == 1
    return int(matters.columns[name][0])


def seconds(at: datetime) -> int:
    return int(at.timestamp())


@pytest.mark.django_db
def test_a_matter_that_nobody_answered_waits_and_its_promise_was_broken():
    matter = heard("phone")
    found = read()
    assert found.channels[only(found, "channel")] == "phone"
    assert only(found, "answered_at") == own.UNKNOWN
    assert only(found, "settled_at") == own.UNKNOWN
    assert only(found, "answered_as_promised") == 0
    assert only(found, "spoke_at") == seconds(matter.spoke_at)
    assert only(found, "reached_us_at") == seconds(NOON)
    assert found.types[only(found, "type")] == outcomes.NO_FAILURE


@pytest.mark.django_db
def test_before_it_is_due_a_promise_is_neither_kept_nor_broken():
    heard()
    assert only(read(at=NOON + timedelta(minutes=5)), "answered_as_promised") == own.UNKNOWN


@pytest.mark.django_db
def test_what_happened_after_the_moment_of_the_audit_has_not_happened_yet():
    matter = heard()
    Conversation.objects.filter(pk=matter.pk).update(first_answer_at=NOON + timedelta(hours=1))
    assert only(read(at=NOON + timedelta(minutes=30)), "answered_at") == own.UNKNOWN
    assert only(read(at=NOON + timedelta(hours=2)), "answered_at") == seconds(NOON + timedelta(hours=1))
    assert only(read(), "answered_as_promised") == 1


@pytest.mark.django_db
def test_what_was_dismissed_counts_among_dismissals_alone_and_not_as_unanswered():
    matter, ada = heard(), colleague()
    endings.dismiss(matter.pk, reason=DismissalReason.SPAM, by=ada, at=NOON)
    other = heard("phone")
    found = read()
    assert found.columns["number"].tolist() == [other.pk]
    assert found.dismissed["is"].tolist() == [1, 0]


@pytest.mark.django_db
@pytest.mark.parametrize(("given", "in_full"), [("100.00", 1), ("90.00", 0), ("", 0)])
def test_whether_somebody_got_all_that_was_owed(given, in_full):
    matter, ada = heard(), colleague()
    case = actions.open_case(matter.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    facts = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3)
    actions.decide(case.pk, facts=facts, by=ada, at=NOON)  # owes 80 and 20 on top
    assert only(read(), "remedy_in_full") == own.UNKNOWN  # not settled yet
    if given:
        actions.grant(
            case.pk,
            kind=GrantKind.REFUND,
            amount=min(Decimal(given), Decimal(80)),
            currency="EUR",
            key="a",
            by=ada,
            at=NOON,
        )
        if Decimal(given) > 80:
            actions.grant(
                case.pk, kind=GrantKind.GOODWILL, amount=Decimal(given) - 80, currency="EUR", key="b", by=ada, at=NOON
            )
    Case.objects.filter(pk=case.pk).update(
        status="resolved", resolved_at=NOON + DAY, outcome=Outcome.UPHELD, explanation="We are sorry."
    )
    found = read()
    assert only(found, "remedy_in_full") == in_full
    assert only(found, "settled_at") == seconds(NOON + DAY)
    assert found.types[only(found, "type")] == ComplaintType.DAMAGED_ITEM
    assert found.severities[only(found, "severity")] == "high"


@pytest.mark.django_db
def test_passed_on_and_come_back_are_seen():
    matter, ada, ben = heard(), colleague(), colleague()
    HandOff.objects.create(
        conversation=matter, giver=ada, to=ben, reason=HandOffReason.values[0], context_note="x",
        state=HandOffState.ACCEPTED, offered_at=NOON, settled_at=NOON,
    )  # fmt: skip
    Closing.objects.create(conversation=matter, how="closed", closed_by=ada, at=NOON + DAY, reopened_at=NOON + 2 * DAY)
    found = read()
    assert only(found, "handed_over") == 1
    assert only(found, "came_back") == 1
    assert only(found, "settled_at") == own.UNKNOWN
    earlier = read(at=NOON + timedelta(hours=30))
    assert only(earlier, "came_back") == 0
    assert only(earlier, "settled_at") == seconds(NOON + DAY)


@pytest.mark.django_db
def test_imports_of_the_past_and_other_windows_are_left_out():
    heard()
    Conversation.objects.update(imported=True)
    assert len(read()) == 0
    Conversation.objects.update(imported=False)
    assert len(read(since=NOON + DAY)) == 0


@pytest.mark.django_db
def test_one_statement_whatever_the_number(django_assert_num_queries):
    for _ in range(3):
        heard()
    with django_assert_num_queries(1):  # the skills; the matters are copied beside what Django counts
        read()


def many(count: int = 600) -> None:
    """Matters on three channels with answers, promises and closings, written by hand; the phone is answered later."""
    dice, ada = random.Random(7), colleague()
    first = heard()
    customer = first.customer
    made = [
        Conversation(
            customer=customer,
            channel=dice.choice(["phone", "email", "social_public"]),
            state="closed",
            spoke_at=NOON + timedelta(minutes=10 * place),
            skill=dice.choice(["", "late_or_missing"]),
        )
        for place in range(count)
    ]
    for matter in made:
        wait = dice.lognormvariate(0.5, 0.9) * (2 if matter.channel == "phone" else 1)
        matter.first_answer_at = matter.spoke_at + timedelta(hours=wait) if dice.random() < 0.95 else None
    Conversation.objects.bulk_create(made)
    Promise.objects.bulk_create(
        Promise(
            conversation=matter, kind="first_response", given_by="everybody", starts_at=matter.spoke_at,
            due_at=matter.spoke_at + timedelta(hours=8), warn_at=matter.spoke_at + timedelta(hours=6),
        )
        for matter in made
    )  # fmt: skip
    Closing.objects.bulk_create(
        Closing(
            conversation=matter, how="closed", closed_by=ada, at=matter.first_answer_at + timedelta(hours=dice.random() * 50)
        )
        for matter in made
        if matter.first_answer_at is not None and dice.random() < 0.8
    )  # fmt: skip


def asked_of_many(count: int = 300) -> None:
    """Questions to the customers of such matters; who called is less content."""
    dice = random.Random(8)
    asked = asking.begin(asking.Plan(kind="survey", share=100), by=colleague(), at=NOON)
    for place, matter in enumerate(Conversation.objects.order_by("-pk")[:count]):
        sent = OutgoingMessage.objects.create(
            key=f"q{place}", kind="ask", purpose="survey", channel="email", address="x@y.example", customer=matter.customer,
            subject="x", text="x", created_at=NOON, send_after=NOON, state="accepted", accepted_at=NOON,
        )  # fmt: skip
        ask = Ask.objects.create(
            asking=asked, kind="survey", conversation=matter, outcome="asked", message=sent, at=NOON
        )
        if dice.random() < 0.7:
            csat = dice.choice([1, 2, 3] if matter.channel == "phone" else [3, 4, 5])
            SurveyAnswer.objects.create(ask=ask, csat=csat, effort=dice.randint(1, 7), language="en", at=NOON)


@pytest.mark.django_db
def test_what_customers_answered_stands_with_their_matter_and_who_was_not_asked_is_unknown_R068():
    many(40)
    asked_of_many(40)
    found = read()
    answered = found.columns["survey_answered"]
    assert (answered == own.UNKNOWN).sum() == 1  # the first matter, whose customer was not asked
    assert (answered == 1).sum() + (answered == 0).sum() == 40
    assert ((found.columns["csat"] != own.UNKNOWN) == (answered == 1)).all()
    assert (found.columns["fair_manner"] == own.UNKNOWN).all()
    low = own.behind(found, "csat", "phone")
    assert set(found.columns["csat"][np.isin(found.columns["number"], low)]) <= {1, 2}


@pytest.mark.django_db
def test_the_audit_inside_says_what_the_parity_report_says_of_the_same_rows(tmp_path):
    many()
    asked_of_many()
    found = read()
    public = frozenset({"social_public"})
    inside = auditing.audit(own.cases_of(found, public=public), by_stratum=True)
    made = report.of(inside, file="own.csv", by_stratum=True, modified=0)
    file, plan = tmp_path / "own.csv", tmp_path / "own.toml"
    file.write_text("".join(own.csv_lines(found)), newline="")
    plan.write_text(own.as_map(found, public=public))
    call_command(
        "parity_report", str(file), map=str(plan), by_stratum=True, json=tmp_path / "o.json", stdout=io.StringIO()
    )
    outside = json.loads((tmp_path / "o.json").read_text())
    assert {each["verdict"] for each in made["contrasts"]} >= {"red"}
    assert {each["metric"] for each in made["contrasts"]} >= {"csat", "effort", "survey_answered"}
    differ(json.loads(json.dumps(made)), outside, "")


def differ(one: object, other: object, where: str) -> None:
    """Compare two reports; sums of numbers may differ in the order of their parts."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert set(one) == set(other), where
        for key in one:
            differ(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), where
        sort = partial(sorted, key=lambda each: json.dumps(key_of(each), sort_keys=True))
        for left, right in zip(sort(one), sort(other), strict=True):
            differ(left, right, where)
    elif isinstance(one, float) or isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9), where
    else:
        assert one == other, where


def key_of(line: object) -> object:
    if isinstance(line, dict):
        return {name: value for name, value in line.items() if isinstance(value, str)}
    return line


@pytest.mark.django_db
def test_the_fingerprint_changes_with_any_value():
    many(20)
    one, other = read(), read()
    assert one.content_hash == other.content_hash
    other.columns["answered_at"][3] += 1
    assert one.content_hash != other.content_hash
    assert isinstance(one.columns["number"], np.ndarray)
    assert set(Channel.values) == set(one.channels)
