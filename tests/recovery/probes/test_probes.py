"""Agreed test pairs: told through real doors, matched, in no figure, seen by few, compared as pairs, ended with thanks (R051)."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.db.models import Subquery
from hypothesis import given
from hypothesis import strategies as st

from crm.actions import answers, asking, customers, desk, endings, erasure, identity, intake, outgoing, reach
from crm.channels import Channel
from crm.models import Ask, Conversation, HistoryEntry, User
from crm.policy import DismissalReason, Role
from loyalty import actions as kindness
from loyalty.models import Gesture, Programme
from recovery import actions
from recovery.actions import back_pay, outcomes, probes, regrading
from recovery.models import Case, LedgerWeek, ParityProbe, ProbeSide, Regrade
from recovery.policy import ComplaintType, Facts, Outcome, is_spoiled, moment_within
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

DAY = timedelta(days=1)
BEGINS, ENDS = NOON + DAY, NOON + 15 * DAY
MONDAY = NOON + 3 * DAY


def side(channel: Channel, address: str, kind: str = "email", text: str = "My guitar came back broken.") -> probes.Side:
    return probes.Side(channel, kind, address, text)


def planned(by: User, **changes: object) -> ParityProbe:
    given = {
        "title": "Guitar",
        "facts": Facts(),
        "consent": "Tom and Tina said yes in writing.",
        "sides": [side(Channel.EMAIL, "tom@home.example"), side(Channel.PHONE, "+49 30 123456", "phone")],
        "begins_at": BEGINS,
        "ends_at": ENDS,
    }
    return probes.plan(**{**given, **changes}, by=by, at=NOON)  # type: ignore[arg-type]


def told(channel: str, address: str, kind: str = "email", *, at: datetime = MONDAY) -> Conversation:
    plain = message("It is broken.", channel=channel, sender_address=address, sender_kind=kind, spoke_at=at)
    return intake.receive(plain, at=at, origin="test").conversation


def both_told(*, at: datetime = MONDAY) -> tuple[Conversation, Conversation]:
    mail = told("email", "Tom@home.example", at=at)
    call = told("phone", "030 123456", "phone", at=at)
    assert actions.match_probes(at + timedelta(minutes=5)) == 2
    return mail, call


# --- planned ----------------------------------------------------------------------------------------------------------


BERLIN = ZoneInfo("Europe/Berlin")


@given(st.integers(24 * 60, 10**5), st.integers(0, 2**32))
def test_a_moment_lies_in_its_window_and_by_day(minutes, seed):
    ends = NOON + timedelta(minutes=minutes)
    moment = moment_within(NOON, ends, zone=BERLIN, chance=random.Random(seed))
    assert NOON <= moment < ends
    assert 8 <= moment.astimezone(BERLIN).hour < 20


def test_every_hour_of_the_day_is_as_likely():
    chance = random.Random(1)
    moments = [moment_within(NOON, NOON + 7 * DAY, zone=BERLIN, chance=chance) for _ in range(12_000)]
    hours = np.bincount([moment.astimezone(BERLIN).hour - 8 for moment in moments], minlength=12)
    chi = float(((hours - 1000) ** 2 / 1000).sum())
    assert chi < 31.3  # the 99.9 % point on 11 degrees of freedom


def test_a_window_shorter_than_a_day_is_none():
    with pytest.raises(ValueError, match="shorter than a day"):
        moment_within(NOON, NOON + timedelta(hours=23), zone=BERLIN, chance=random.Random(1))


@pytest.mark.django_db
def test_a_pair_is_planned_with_consent_and_leaves_no_trace_among_customers_R051():
    lena = colleague(Role.LEAD)
    probe = planned(lena)
    sides = list(probe.sides.order_by("pk"))
    assert [each.address for each in sides] == ["tom@home.example", "+4930123456"]
    assert all(BEGINS <= each.tell_at < ENDS for each in sides)
    assert not Conversation.objects.exists()
    entry = HistoryEntry.objects.get(verb="probe.planned")
    assert (entry.customer, entry.detail) == (None, {})


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"consent": " "},
        {"title": ""},
        {"sides": [side(Channel.EMAIL, "tom@home.example")]},
        {"sides": [side(Channel.EMAIL, "tom@home.example"), side(Channel.EMAIL, "tina@home.example")]},
        {"sides": [side(Channel.EMAIL, "tom@home.example"), side(Channel.CHAT, "Tom@home.example")]},
        {"sides": [side(Channel.EMAIL, "tom@home.example"), side(Channel.CHAT, "tina@home.example", text=" ")]},
        {"ends_at": BEGINS + timedelta(hours=1)},
        {"begins_at": NOON - DAY},
        {"ends_at": BEGINS + 200 * DAY},
    ],
)
def test_what_cannot_be_planned_is_refused_and_nothing_is_written(changes):
    lena = colleague(Role.LEAD)
    with pytest.raises(actions.UnusableProbe):
        planned(lena, **changes)
    assert not ParityProbe.objects.exists()
    assert not HistoryEntry.objects.filter(verb="probe.planned").exists()


@pytest.mark.django_db
def test_a_real_customer_s_address_can_be_no_tester_s():
    told("email", "tom@home.example", at=NOON)
    with pytest.raises(actions.UnusableProbe):
        planned(colleague(Role.LEAD))
    with pytest.raises(identity.UnusableAddress):
        planned(
            colleague(Role.LEAD),
            sides=[side(Channel.EMAIL, "nobody"), side(Channel.PHONE, "+49 30 123456", "phone")],
        )
    assert not ParityProbe.objects.exists()


# --- matched ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_testers_bring_in_is_matched_by_address_and_once():
    planned(colleague(Role.LEAD))
    mail, call = both_told()
    assert dict(ProbeSide.objects.values_list("channel", "conversation")) == {"email": mail.pk, "phone": call.pk}
    assert actions.match_probes(MONDAY + DAY) == 0
    assert not HistoryEntry.objects.filter(verb__startswith="probe", at__gt=NOON).exists()  # its time would tell which


@pytest.mark.django_db
def test_where_no_address_tells_another_person_names_the_matter_and_only_somebody_new():
    lena, mara = colleague(Role.LEAD), colleague(Role.LEAD, name="Mara")
    real = told("phone", "+49 30 999999", "phone", at=NOON - DAY)
    later = told("letter", "Real Street 1", "postal", at=NOON - DAY)
    probe = planned(lena)
    number = probe.sides.get(channel="phone").pk
    call = told("phone", "+49 30 777777", "phone")
    with pytest.raises(actions.WrongProbe):
        probes.name_matter(number, conversation=str(call.public_id), by=lena, at=MONDAY)
    for wrong in (real, later):
        with pytest.raises(actions.WrongProbe):
            probes.name_matter(number, conversation=str(wrong.public_id), by=mara, at=MONDAY)
    assert not ProbeSide.objects.exclude(conversation=None).exists()
    assert probes.name_matter(number, conversation=str(call.public_id), by=mara, at=MONDAY).customer == call.customer


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_match_once():
    planned(colleague(Role.LEAD))
    told("email", "tom@home.example")
    assert sorted(at_once(*[partial(actions.match_probes, MONDAY)] * 2)) == [0, 1]
    assert ProbeSide.objects.exclude(conversation=None).count() == 1


# --- in no figure -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_tester_is_in_no_audit_no_draw_and_gets_no_gesture(settings):
    settings.EVENHAND_REGRADED_SHARE = 1.0
    ada, lena = colleague(), colleague(Role.LEAD)
    planned(lena)
    mail, _call = both_told()
    other = told("email", "real@home.example")
    read = outcomes.read(since=NOON, until=ENDS, at=ENDS)
    assert read.columns["number"].tolist() == [other.pk]
    assert len(outcomes.read(since=NOON, until=ENDS, at=ENDS, of=[mail.pk])) == 1
    for matter in (mail, other):
        endings.dismiss(matter.pk, reason=DismissalReason.SPAM, by=ada, at=MONDAY)
    assert actions.draw_regrades(MONDAY + DAY) == 1
    assert Regrade.objects.get().conversation == other
    Programme.objects.update(is_active=True)
    for matter in (mail, other):
        customers.tell_birthday(
            matter.customer, month=(MONDAY + DAY).month, day=(MONDAY + DAY).day, evidence="yes", at=MONDAY
        )
    kindness.plan_birthdays(MONDAY + DAY)
    assert [gesture.customer for gesture in Gesture.objects.all()] == [other.customer]


def wronged(matter: Conversation, by: User) -> Case:
    """A settled case in which 100 were owed and nothing was given."""
    case = actions.open_case(matter.pk, facts=Facts(), seen_because=["broken"], by=None, at=MONDAY)
    facts = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3)
    actions.decide(case.pk, facts=facts, by=by, at=MONDAY)
    how = {"outcome": Outcome.UPHELD, "explanation": "We pay.", "out_of_order": "knows_it"}
    actions.resolve(case.pk, **how, by=by, at=MONDAY)  # type: ignore[arg-type]
    return case


@pytest.mark.django_db
def test_testers_are_asked_nothing_paid_nothing_back_and_in_no_sum_of_kindnesses_R051():
    ada, lena = colleague(), colleague(Role.LEAD)
    planned(lena)
    mail, _call = both_told()
    other = told("email", "real@home.example")
    asking.begin(asking.Plan(kind="survey", share=100), by=lena, at=NOON)
    for matter in (mail, other):
        allows(matter.customer, "survey", at=MONDAY)
        desk.answer(matter.pk, text="A new one is on its way.", by=ada, at=MONDAY, out_of_order="knows_it")
        Gesture.objects.create(
            customer=matter.customer, programme=Programme.objects.get(), send_at=MONDAY, occasion_on=MONDAY.date(),
            key=f"test:{matter.pk}",
        )  # fmt: skip
    outgoing.send_batch(at=MONDAY)
    for matter in (mail, other):
        desk.close(matter.pk, by=ada, at=MONDAY)
    asking.ask_settled(MONDAY + 2 * DAY)
    assert Ask.objects.get().conversation == other
    for address in ("tom@home.example", "real@home.example"):
        wronged(told("email", address, at=MONDAY + 3 * DAY), ada)
    assert [each.case.customer for each in back_pay.owed(at=MONDAY)] == [other.customer]
    read = outcomes.read(since=NOON, until=ENDS, at=ENDS)
    assert read.gestures["number"].tolist() == [other.pk]


@pytest.mark.django_db
def test_what_was_drawn_before_somebody_said_that_it_is_a_test_counts_no_more(settings):
    settings.EVENHAND_REGRADED_SHARE = 1.0
    ada, lena, mara = colleague(), colleague(Role.LEAD), colleague(Role.LEAD, name="Mara", takes=False)
    probe = planned(lena)
    call = told("phone", "+49 30 777777", "phone")
    endings.dismiss(call.pk, reason=DismissalReason.SPAM, by=ada, at=MONDAY)
    assert actions.draw_regrades(MONDAY + DAY) == 1
    mine = regrading.take_next(by=mara, at=MONDAY + DAY)
    regrading.judge_dismissal(mine.pk, would_answer=False, by=mara, at=MONDAY + DAY)
    assert len(regrading.rows(MONDAY, MONDAY + 2 * DAY)) == 1
    probes.name_matter(probe.sides.get(channel="phone").pk, conversation=str(call.public_id), by=mara, at=ENDS)
    assert regrading.rows(MONDAY, MONDAY + 2 * DAY) == []


@pytest.mark.django_db
def test_whoever_answers_cannot_tell_a_tester_by_what_is_missing_or_listed_R051(settings):
    """The ledger's rows are by owner and week, so a case of theirs that is missing would tell; so would a line about test pairs."""
    settings.EVENHAND_REGRADED_SHARE = 1.0
    ada, lena = colleague(), colleague(Role.LEAD, takes=False)
    planned(lena)
    mail, _call = both_told()
    other = told("email", "real@home.example")
    for matter in (mail, other):
        wronged(matter, ada)
    actions.refresh_ledger(MONDAY + DAY)
    assert LedgerWeek.objects.get().cases == 2
    assert actions.draw_regrades(MONDAY + DAY) == 1
    seen = [erasure.preview(matter.customer, at=MONDAY + DAY) for matter in (mail, other)]
    labels = [{row[0] for row in (*each.goes, *each.changes, *each.stays)} for each in seen]
    assert labels[0] == labels[1]
    assert "recovery.Case" in labels[0]


@pytest.mark.django_db
def test_what_a_tester_posts_spreads_no_failure(settings):
    settings.EVENHAND_KEEP_REACH = True
    planned(
        colleague(Role.LEAD),
        sides=[side(Channel.EMAIL, "tom@home.example"), side(Channel.SOCIAL_PUBLIC, "@tina", "handle")],
    )
    told("social_public", "@tina", "handle")
    told("social_public", "@real", "handle")
    kind = Case.objects.none().values("complaint_type")[:1]
    assert [one.matters for one in reach.spread_by(Subquery(kind), at=MONDAY)] == [2]
    assert actions.match_probes(MONDAY) == 1
    assert [one.matters for one in reach.spread_by(Subquery(kind), at=MONDAY)] == [1]


# --- compared ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_both_sides_are_compared_also_when_one_was_dismissed(django_assert_max_num_queries):
    ada, lena = colleague(), colleague(Role.LEAD)
    planned(lena)
    mail, call = both_told()
    answers.answer(mail.pk, text="We mend it.", by=ada, at=MONDAY + timedelta(hours=2), key="a")
    outgoing.send_batch(at=MONDAY + timedelta(hours=2))
    endings.dismiss(call.pk, reason=DismissalReason.ABUSE, by=ada, at=MONDAY + DAY)
    with django_assert_max_num_queries(5):
        (pair,) = probes.pairs(MONDAY + 2 * DAY)
    assert (pair.one.channel, pair.other.channel, pair.is_spoiled) == ("email", "phone", False)
    assert pair.one.is_answered
    assert pair.one.first_response == pytest.approx(2, abs=0.01)
    assert not pair.other.is_answered
    assert pair.other.first_response == pytest.approx(48, abs=0.01)  # still waits, and has waited so long


@pytest.mark.django_db
def test_a_pair_in_which_its_planner_had_a_part_is_left_out():
    lena = colleague(Role.LEAD)
    planned(lena)
    mail, _call = both_told()
    answers.answer(mail.pk, text="We mend it.", by=lena, at=MONDAY, key="a")
    (pair,) = probes.pairs(MONDAY + DAY)
    assert pair.is_spoiled
    assert is_spoiled(1, worked_on_it={1, 2})


# --- ended ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_pair_ends_with_thanks_in_words_and_the_timeline_says_what_it_was():
    lena = colleague(Role.LEAD)
    probe = planned(lena)
    end = partial(probes.end, probe.pk, by=lena, at=MONDAY + DAY)
    with pytest.raises(actions.WrongProbe):
        end(words="Both by phone.")
    mail, call = both_told()
    with pytest.raises(actions.WrongProbe):
        end(words="  ")
    assert not HistoryEntry.objects.filter(verb="probe.ended").exists()
    end(words="Both by phone: it was an agreed test.")
    entries = HistoryEntry.objects.filter(verb="probe.ended").values_list("customer", flat=True)
    assert set(entries) == {mail.customer_id, call.customer_id}
    with pytest.raises(actions.WrongProbe):
        probes.withdraw(probe.pk, words="x", by=lena, at=MONDAY + DAY)


@pytest.mark.django_db
def test_a_withdrawn_pair_is_matched_and_compared_no_more():
    lena = colleague(Role.LEAD)
    probe = planned(lena)
    probes.withdraw(probe.pk, words="Tina is ill.", by=lena, at=NOON)
    told("email", "tom@home.example")
    assert actions.match_probes(MONDAY) == 0
    assert probes.pairs(MONDAY) == []


@pytest.mark.django_db
def test_a_pair_of_which_both_were_told_counts_and_can_no_longer_be_withdrawn_R051():
    """Or whoever dislikes what came of it could take it out of the evidence."""
    lena = colleague(Role.LEAD)
    probe = planned(lena)
    told("email", "tom@home.example")
    actions.match_probes(MONDAY)
    mail = partial(probes.withdraw, probe.pk, words="We do not like it.", by=lena)
    told("phone", "030 123456", "phone")
    actions.match_probes(MONDAY)
    with pytest.raises(actions.WrongProbe):
        mail(at=MONDAY + DAY)
    probe.refresh_from_db()
    assert (probe.state, probe.words) == ("planned", "")
    assert probes.withdrawn_when_one_was_told() == 0


@pytest.mark.django_db
def test_a_pair_given_up_when_one_side_had_been_told_is_counted_for_the_page():
    lena = colleague(Role.LEAD)
    probe = planned(lena)
    told("email", "tom@home.example")
    actions.match_probes(MONDAY)
    probes.withdraw(probe.pk, words="Tina is ill.", by=lena, at=MONDAY + DAY)
    assert probes.withdrawn_when_one_was_told() == 1
