"""What became of every matter, read in one statement; and the audit inside against the report on the same rows as a file."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import numpy as np
import pytest
from django.core.management import call_command

from crm.actions import asking, endings, intake
from crm.channels import Channel
from crm.models import (
    Ask,
    Closing,
    ContactPoint,
    Conversation,
    Customer,
    HandOff,
    IdentityCheck,
    OutgoingMessage,
    Promise,
    SecondProof,
    ServiceCalendar,
    SurveyAnswer,
)
from crm.models.people import CustomerStatus
from crm.policy import DismissalReason, HandOffReason, HandOffState
from loyalty.models import Gesture, Programme
from loyalty.policy import Occasion
from recovery import actions
from recovery.actions import audits, outcomes
from recovery.models import Case
from recovery.parity import audit as auditing
from recovery.parity import own, report
from recovery.policy import ComplaintType, Facts, GrantKind, Outcome
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message

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
    assert only(found, "remedy_owed") == 100_00
    assert only(found, "remedy_given") == round(float(given or 0) * 100)
    assert own.currency_of(only(found, "remedy_currency")) == "EUR"
    part = next(each for each in own.cases_of(found).outcomes if each.name == "remedy_part")
    assert part.values.tolist() == [float(given or 0) / 100]
    behind = [own.behind(found, name, "email") for name in ("remedy_part", "remedy_amount")]
    assert behind == [[] if in_full else [matter.pk]] * 2
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
    assert only(found, "hand_offs") == 1
    assert own.behind(found, "hand_offs", "email") == [matter.pk]
    assert only(found, "came_back") == 1
    assert only(found, "settled_at") == own.UNKNOWN
    earlier = read(at=NOON + timedelta(hours=30))
    assert only(earlier, "came_back") == 0
    assert only(earlier, "settled_at") == seconds(NOON + DAY)


@pytest.mark.django_db
def test_every_step_of_showing_who_they_are_counts_whatever_came_of_it_and_those_asked_later_not_yet():
    matter, ada = heard("phone"), colleague()
    other = heard("email")
    for hours, kind, state in ((1, "document", "passed"), (2, "reference", "withdrawn"), (30, "document", "asked")):
        moment = NOON + timedelta(hours=hours)
        ended = {} if state == "asked" else {"settled_at": moment, "settled_by": ada}
        IdentityCheck.objects.create(
            conversation=matter, kind=kind, need="release", state=state, asked_by=ada, asked_at=moment, **ended
        )
    found = read()
    assert steps_by_matter(found) == {matter.pk: 3, other.pk: 0}
    assert own.behind(found, "verification_steps", "phone") == [matter.pk]
    assert own.behind(found, "verification_steps", "email") == []
    assert steps_by_matter(read(at=NOON + 3 * timedelta(hours=1))) == {matter.pk: 2, other.pk: 0}


@pytest.mark.django_db
def test_codes_to_their_account_count_for_the_matters_that_were_open_then():
    owner = app_user()
    early, late = heard("email"), heard("phone", at=NOON + 3 * DAY)
    twin = Customer.objects.create(
        display_name="x", created_at=NOON, merged_into=owner.customer, status=CustomerStatus.MERGED
    )
    Conversation.objects.filter(pk=early.pk).update(customer=owner.customer)
    Conversation.objects.filter(pk=late.pk).update(customer=twin)
    point = ContactPoint.objects.create(
        customer=owner.customer, kind="email", address="other@home.example", verified_at=NOON, created_at=NOON
    )
    Closing.objects.create(conversation=early, how="closed", closed_by=colleague(), at=NOON + 2 * DAY)
    for day in (-1, 1, 4, 25):  # before, while the first was open, while the second was, and after the look
        SecondProof.objects.create(user=owner, contact_point=point, digest="x", at=NOON + day * DAY)
    assert steps_by_matter(read()) == {early.pk: 1, late.pk: 1}
    Closing.objects.update(reopened_at=NOON + 3 * DAY + timedelta(hours=1))
    assert steps_by_matter(read()) == {early.pk: 2, late.pk: 1}


def steps_by_matter(found: own.Matters) -> dict[int, int]:
    numbers, counted = (found.columns[name].tolist() for name in ("number", "verification_steps"))
    return dict(zip(numbers, counted, strict=True))


@pytest.mark.django_db
def test_every_promise_that_came_due_counts_but_the_confirmation_that_only_talk_brings():
    matter = heard("phone")
    first = Promise.objects.get(conversation=matter, kind="first_response")
    other = Promise.objects.create(
        conversation=matter, kind="personal", given_by="call:1", starts_at=NOON, due_at=NOON + 3 * DAY,
        warn_at=NOON + 2 * DAY,
    )  # fmt: skip
    Promise.objects.filter(pk=first.pk).update(state="met", met_at=NOON + timedelta(minutes=30))
    assert only(read(at=NOON + timedelta(minutes=5)), "promises_kept") == own.UNKNOWN
    assert only(read(at=NOON + DAY), "promises_kept") == 1  # its confirmation is missing, which is told by itself
    assert only(read(at=NOON + DAY), "confirmed_as_promised") == 0
    assert only(read(), "promises_kept") == 0
    Promise.objects.filter(pk=other.pk).update(state="met", met_at=NOON + DAY)
    assert only(read(), "promises_kept") == 1


@pytest.mark.django_db
def test_the_customer_s_language_is_known_where_it_is_one_of_ours():
    matter = heard()
    for language, read_as in (("de-AT", "de"), ("", ""), ("tlh", "")):
        Customer.objects.filter(pk=matter.customer_id).update(language=language)
        found = read()
        code = only(found, "language")
        assert ("" if code == own.UNKNOWN else found.languages[code]) == read_as


@pytest.mark.django_db
def test_like_is_of_one_region_where_regions_have_calendars_of_their_own():
    here, there, elsewhere = heard(), heard(), heard()
    for matter, region in ((there, "NY"), (elsewhere, "XX")):
        Customer.objects.filter(pk=matter.customer_id).update(region=region)
    assert set(read().kinds()[1]) == {outcomes.NO_FAILURE}
    week = [[[540, 1020]]] * 7
    ServiceCalendar.objects.create(
        region="NY", number=1, zone="America/New_York", week=week, published_at=NOON, effective_from=NOON + DAY,
        covers_until=(NOON + 300 * DAY).date(),
    )  # fmt: skip
    found = read()
    assert found.regions == ("", "NY")
    place, names = found.kinds()
    kinds = {int(number): names[code] for number, code in zip(found.columns["number"], place, strict=True)}
    assert kinds == {here.pk: "no failure", there.pk: "no failure · NY", elsewhere.pk: "no failure"}


@pytest.mark.django_db
def test_a_kindness_counts_for_the_channel_by_which_its_customer_first_came_R065():
    people = {channel: Customer.objects.create(display_name=channel, created_at=NOON) for channel in ("phone", "email")}
    matters = {channel: spoken(people[channel], channel, NOON) for channel in people}
    spoken(people["phone"], "email", NOON + DAY)
    programme, _ = Programme.objects.get_or_create(occasion=Occasion.BIRTHDAY)
    for key, channel, state in (("a", "phone", "dropped"), ("b", "email", "sent"), ("c", "email", "planned")):
        Gesture.objects.create(
            key=key, programme=programme, customer=people[channel], occasion_on=NOON.date(),
            send_at=NOON + (30 if key == "c" else 2) * DAY, state=state, reason="no_address" if state == "dropped" else "",
            sent_at=NOON + 2 * DAY if state == "sent" else None,
        )  # fmt: skip
    found = read()
    assert [found.channels[code] for code in found.gestures["channel"]] == ["phone", "email"]
    assert found.gestures["sent"].tolist() == [0, 1]
    assert own.behind(found, "gesture_sent", "phone") == [matters["phone"].pk]
    assert own.behind(found, "gesture_sent", "email") == []
    cases = own.besides_of(found)
    kindly = next(each for each in cases.outcomes if each.name == own.GESTURE_SENT)
    assert int((~np.isnan(kindly.values)).sum()) == 2
    assert "gesture · birthday" in cases.types
    compared = audits.compare(found)[1]
    assert compared is not None
    assert {each.metric for each in compared.overall} == {own.DISMISSED, own.GESTURE_SENT}


def spoken(customer: Customer, channel: str, at: datetime) -> Conversation:
    return Conversation.objects.create(customer=customer, channel=channel, state="closed", spoke_at=at)


@pytest.mark.django_db
def test_the_dismissed_behind_a_finding_can_be_looked_at():
    matter, ada = heard(), colleague()
    endings.dismiss(matter.pk, reason=DismissalReason.SPAM, by=ada, at=NOON)
    assert own.behind(read(), own.DISMISSED, "email") == [matter.pk]


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
    with django_assert_num_queries(2):  # the skills and the regions; the matters are copied beside what Django counts
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
    found = with_numbers(read())
    public = frozenset({"social_public"})
    inside = auditing.audit(own.cases_of(found, public=public), strata_by=("type", "load"), by_stratum=True)
    made = report.of(inside, file="own.csv", by_stratum=True, modified=0)
    file, plan = tmp_path / "own.csv", tmp_path / "own.toml"
    file.write_text("".join(own.csv_lines(found)), newline="")
    plan.write_text(own.as_map(found, public=public))
    call_command(
        "parity_report",
        str(file),
        map=str(plan),
        strata="load",
        by_stratum=True,
        json=tmp_path / "o.json",
        stdout=io.StringIO(),
    )
    outside = json.loads((tmp_path / "o.json").read_text())
    assert {each["verdict"] for each in made["contrasts"]} >= {"red"}
    assert {each["metric"] for each in made["contrasts"]} >= {"csat", "effort", "survey_answered"}
    assert {each["metric"] for each in made["by_type"]} == {"first_response", "time_to_resolution"}
    assert {each["effect"] for each in made["contrasts"]} >= {"part_ratio", "amount_ratio", "count_ratio"}
    differ(json.loads(json.dumps(made)), outside, "")


def with_numbers(matters: own.Matters) -> own.Matters:
    """The same matters with remedies in two currencies, hand-offs and languages, dealt by a fixed seed."""
    dice, count = np.random.default_rng(3), len(matters)
    owed = np.where(dice.random(count) < 0.7, dice.integers(1, 9, count) * 1000, own.UNKNOWN)
    yen, euro = ((9 * 26 + 15) * 26 + 24, (4 * 26 + 20) * 26 + 17)
    assert (own.currency_of(yen), own.currency_of(euro)) == ("JPY", "EUR")
    columns = {
        "remedy_owed": owed,
        "remedy_given": np.where(owed > 0, owed * dice.choice([10, 10, 10, 7, 0], count) // 10, own.UNKNOWN),
        "remedy_currency": np.where(owed > 0, dice.choice([yen, euro], count), own.UNKNOWN),
        "hand_offs": dice.poisson(0.6, count),
        "verification_steps": dice.poisson(0.4, count),
        "language": dice.integers(-1, len(matters.languages), count),
        "region": dice.integers(0, 2, count),
    }
    return replace(matters, columns={**matters.columns, **columns}, regions=("", "NY"))


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
