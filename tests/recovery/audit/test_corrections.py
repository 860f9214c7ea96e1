"""Corrections through the product's own rows: a look finds, Monday plans, a person agrees, the queue follows, a look ends it."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from crm.actions import credits, intake, promises, queue
from crm.models import (
    Alert,
    Closing,
    Conversation,
    CreditedPull,
    HistoryEntry,
    Promise,
    QueueCredit,
    RequiredSkill,
    Shift,
    User,
)
from crm.policy import AlertKind, Role
from recovery import actions
from recovery.actions import corrections, levels
from recovery.models import Correction, LevellingWeek, ParityFinding, QueueDay
from recovery.parity.levelling import CorrectionKind
from recovery.policy import CorrectionState, FindingState, Outcome
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once
from tests.recovery.audit.test_outcomes import many
from tests.recovery.test_grants import decided

DAY = timedelta(days=1)
NIGHT = NOON + 12 * DAY
MONDAY = NOON + 14 * DAY
CREDIT = CorrectionKind.PRIORITY_CREDIT


@pytest.fixture
def lena(db: None) -> User:
    return colleague(Role.LEAD, name="Lena", takes=False)


@pytest.fixture
def found(lena: User) -> ParityFinding:
    """The phone waits twice as long, and the night's look has found it."""
    many()
    actions.parity_nightly(NIGHT)
    return ParityFinding.objects.get(metric="first_response", channel="phone")


def proposed(kind: CorrectionKind = CREDIT) -> Correction:
    return Correction.objects.get(kind=kind, state=CorrectionState.PROPOSED)


def heard(channel: str, *, at: datetime) -> Conversation:
    return intake.receive(message(channel=channel, spoke_at=at), at=at, origin="test").conversation


def all_alike(*, after: timedelta) -> None:
    """The same matters again so much later, everybody answered within two hours."""
    for place, matter in enumerate(Conversation.objects.exclude(subject="My parcel").order_by("pk")):
        matter.spoke_at += after
        matter.first_answer_at = matter.spoke_at + timedelta(hours=1, minutes=place % 60)
        matter.save(update_fields=["spoke_at", "first_answer_at"])
    Promise.objects.filter(conversation__subject="").update(state="met", met_at=F("starts_at"))
    Closing.objects.all().delete()


def test_found_proposed_agreed_followed_by_the_queue_and_verified_by_a_later_look_R067_R081(
    found: ParityFinding, lena: User
):
    assert actions.correct_levels(MONDAY) == 1
    row = proposed()
    assert (row.finding, row.channel, row.guard) == (found, "phone", 60)
    assert row.ratio_before is not None
    assert row.ratio_before > 1.5
    assert 20 < row.size < 60
    assert Alert.objects.get(kind=AlertKind.LEVELS_LAG).detail == {"channel": "phone", "kind": "priority_credit"}
    assert credits.live() == {}  # nothing happens before a person agrees

    corrections.agree(row.pk, by=lena, at=MONDAY)
    found.refresh_from_db()
    assert credits.live() == {"phone": int(row.size)}
    assert (found.state, found.said_by) == (FindingState.CORRECTING, lena)
    assert "minutes nearer" in found.words

    ada = colleague(name="Ada")
    Conversation.objects.filter(state="open").update(state="closed")
    mail, call = heard("email", at=MONDAY), heard("phone", at=MONDAY + timedelta(minutes=10))
    due = dict(Promise.objects.values_list("pk", "due_at"))
    pull = queue.next_for(ada, at=MONDAY + timedelta(minutes=20))
    assert pull is not None
    assert pull.conversation == call
    assert CreditedPull.objects.get().passed_first == [mail.pk]
    assert dict(Promise.objects.values_list("pk", "due_at")) == due  # nobody's promise moved (R067)

    later = timedelta(days=40)
    all_alike(after=later)
    actions.parity_nightly(NIGHT + later)
    found.refresh_from_db()
    assert found.state == FindingState.VERIFIED
    actions.correct_levels(MONDAY + timedelta(days=42))
    less = Correction.objects.working().get()
    assert row.size * 0.8 < less.size <= round(row.size * 0.9)  # the crutch is taken away slowly
    assert credits.live() == {"phone": int(less.size)}
    row.refresh_from_db()
    assert row.state == CorrectionState.ENDED
    assert row.ratio_after == pytest.approx(1.0, abs=0.1)
    assert QueueCredit.objects.count() == 2


def test_a_week_is_planned_once_however_often_it_is_asked_for(found: ParityFinding):
    assert [actions.correct_levels(MONDAY + n * DAY) for n in (0, 1, 6)] == [1, 0, 0]
    assert (
        Correction.objects.count(),
        LevellingWeek.objects.count(),
        Alert.objects.filter(kind="levels_lag").count(),
    ) == (1, 1, 1)


def test_two_workers_at_once_plan_a_week_once(transactional_db: None):
    many(300)
    actions.parity_nightly(NIGHT)
    assert sorted(at_once(*[lambda: actions.correct_levels(MONDAY)] * 2)) == [0, 1]
    assert LevellingWeek.objects.count() == 1
    assert Correction.objects.filter(kind=CREDIT).count() <= 1


def test_without_a_look_nothing_is_planned(lena: User):
    assert actions.correct_levels(MONDAY) == 0
    assert not LevellingWeek.objects.exists()


def test_credits_begin_by_themselves_only_where_a_lead_lets_them_and_in_that_name(found: ParityFinding, lena: User):
    corrections.let_credits_run(is_on=True, by=lena, at=MONDAY)
    corrections.let_credits_run(is_on=True, by=lena, at=MONDAY)
    actions.correct_levels(MONDAY)
    row = Correction.objects.get()
    assert (row.state, row.agreed_by) == (CorrectionState.WORKING, lena)
    assert credits.live() == {"phone": int(row.size)}
    found.refresh_from_db()
    assert found.state == FindingState.CORRECTING
    assert HistoryEntry.objects.filter(verb="levels.switched").count() == 1
    corrections.let_credits_run(is_on=False, by=lena, at=MONDAY)
    assert not corrections.runs_by_itself()


def test_the_next_step_waits_for_the_effect_of_the_one_before(found: ParityFinding, lena: User):
    corrections.let_credits_run(is_on=True, by=lena, at=MONDAY)
    actions.correct_levels(MONDAY)
    actions.correct_levels(MONDAY + 7 * DAY)  # the newest look saw nothing of the credit yet
    assert Correction.objects.count() == 1
    assert LevellingWeek.objects.count() == 2


def test_what_was_not_agreed_to_gets_its_newest_size_and_is_no_second_proposal(found: ParityFinding):
    for week in range(3):
        actions.correct_levels(MONDAY + 7 * week * DAY)
    assert Correction.objects.count() == 1


@pytest.mark.parametrize("state", [FindingState.EXPLAINED, FindingState.DISPUTED])
def test_what_people_explained_or_dispute_is_not_corrected(found: ParityFinding, lena: User, state: FindingState):
    actions.answer_finding(found.pk, state=state, words="Nobody was there that week.", by=lena, at=NIGHT)
    actions.correct_levels(MONDAY)
    assert not Correction.objects.exists()


def test_causes_are_tasks_first_and_the_credit_comes_the_week_after(found: ParityFinding, lena: User):
    QueueDay.objects.create(
        day=NOON.date() + DAY, looked_at=NIGHT, arrivals=9, begun=9, swaps=6, same_order=True, out_of_order=40, unexplained=0,
        counts=[{"cause": "certificate", "begun": "email", "passed": "phone", "number": 30},
                {"cause": "live", "begun": "email", "passed": "phone", "number": 10}],
    )  # fmt: skip
    RequiredSkill.objects.create(skill="late_or_missing", demanded_at=NOON, demanded_by=lena)
    actions.correct_levels(MONDAY)
    row = Correction.objects.get()
    assert (row.kind, row.size, row.detail) == (CorrectionKind.CERTIFY, 0.75, {"skills": ["late_or_missing"]})
    assert "75%" in corrections.says(row)
    corrections.agree(row.pk, by=lena, at=MONDAY)
    actions.correct_levels(MONDAY + 7 * DAY)
    assert proposed(CREDIT).channel == "phone"
    corrections.end(row.pk, words="Two more are certified.", by=lena, at=MONDAY + 8 * DAY)
    row.refresh_from_db()
    assert (row.state, row.words, row.ended_by) == (CorrectionState.ENDED, "Two more are certified.", lena)


def test_a_declined_cause_is_not_proposed_again_and_a_reason_is_needed(found: ParityFinding, lena: User):
    row = Correction.objects.create(
        finding=found, kind=CorrectionKind.CERTIFY, channel="phone", size=0.5, look=found.seen_by, proposed_at=NIGHT
    )
    with pytest.raises(promises.WordsMissing):
        corrections.decline(row.pk, words=" ", by=lena, at=MONDAY)
    corrections.decline(row.pk, words="They are all certified.", by=lena, at=MONDAY)
    for act in (corrections.agree, lambda pk, **k: corrections.end(pk, words="x", **k)):
        with pytest.raises(corrections.WrongCorrectionState):
            act(row.pk, by=lena, at=MONDAY)
    row.refresh_from_db()
    assert row.state == CorrectionState.DECLINED


def test_a_person_may_note_what_nobody_proposed_and_the_finding_says_it(found: ParityFinding, lena: User):
    row = corrections.note(
        found.pk, kind=CorrectionKind.GUIDE_FIX, words="Nobody knew what to say about the recall.", by=lena, at=MONDAY
    )
    found.refresh_from_db()
    assert (row.state, found.state, found.words) == (
        "working",
        "correcting",
        "Nobody knew what to say about the recall.",
    )
    with pytest.raises(corrections.CorrectionStands):
        corrections.note(found.pk, kind=CorrectionKind.GUIDE_FIX, words="Again.", by=lena, at=MONDAY)
    with pytest.raises(corrections.WrongCorrectionState):
        corrections.note(found.pk, kind=CREDIT, words="500 minutes.", by=lena, at=MONDAY)
    (stands,) = corrections.standing()
    assert (stands.finding, stands.state) == (found.pk, "working")


def test_a_credit_ends_at_once_when_a_person_ends_it(found: ParityFinding, lena: User):
    actions.correct_levels(MONDAY)
    row = corrections.agree(proposed().pk, by=lena, at=MONDAY)
    corrections.end(row.pk, words="The rota was wrong; it is mended.", by=lena, at=MONDAY + DAY)
    assert credits.live() == {}


def test_two_leads_at_once_agree_once(transactional_db: None):
    many(400)
    actions.parity_nightly(NIGHT)
    actions.correct_levels(MONDAY)
    lead, row = colleague(Role.LEAD), proposed()

    def agreed() -> str:
        try:
            return str(corrections.agree(row.pk, by=lead, at=MONDAY).state)
        except corrections.WrongCorrectionState as refused:
            return refused.code

    assert sorted(at_once(agreed, agreed)) == ["working", "wrong_correction_state"]
    assert QueueCredit.objects.count() == 1


def test_what_no_longer_needs_putting_right_cannot_be_agreed_to(found: ParityFinding, lena: User):
    actions.correct_levels(MONDAY)
    ParityFinding.objects.filter(pk=found.pk).update(state="verified", ended_by=found.seen_by)
    with pytest.raises(corrections.WrongCorrectionState):
        corrections.agree(proposed().pk, by=lena, at=MONDAY)
    assert credits.live() == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": -1},
        {"size": 721},
        {"guard": None},
        {"state": "working"},
        {"state": "ended"},
        {"state": "declined", "until": MONDAY},
    ],
)
def test_the_database_refuses_a_correction_that_cannot_be(found: ParityFinding, wrong: dict[str, Any]):
    row = {
        "finding": found,
        "kind": CREDIT,
        "channel": "phone",
        "size": 10,
        "guard": 60,
        "look": found.seen_by,
        "proposed_at": NIGHT,
    }
    with pytest.raises(IntegrityError), transaction.atomic():
        Correction.objects.create(**(row | wrong))


def test_ingest_and_short_remedies_have_cures_of_their_own(found: ParityFinding):
    for metric, channel in (("ingest_lag", "letter"), ("remedy_in_full", "store")):
        ParityFinding.objects.create(
            metric=metric, channel=channel, versus="others", is_favoured=False, effect="time_ratio", value=2.0,
            found_by=found.seen_by, seen_by=found.seen_by, opened_at=NIGHT,
        )  # fmt: skip
    actions.correct_levels(MONDAY)
    assert {(row.kind, row.channel) for row in Correction.objects.all()} == {
        ("priority_credit", "phone"), ("ingest_fix", "letter"),  # nothing is owed, so there is nothing to give
    }  # fmt: skip


def test_a_part_of_what_was_owed_is_cured_by_back_pay_as_the_whole_is_and_nothing_is_noted_against_the_favoured(
    found: ParityFinding, lena: User
):
    short = {
        metric: ParityFinding.objects.create(
            metric=metric, channel=channel, versus="others", is_favoured=favoured, effect="part_ratio", value=0.8,
            found_by=found.seen_by, seen_by=found.seen_by, opened_at=NIGHT,
        )
        for metric, channel, favoured in (("remedy_part", "store", False), ("remedy_amount", "email", True))
    }  # fmt: skip
    case, ada = decided(), colleague()
    actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We pay.", by=ada, at=MONDAY)
    actions.correct_levels(MONDAY)
    assert proposed(CorrectionKind.BACKPAY_REMEDY).finding == short["remedy_part"]
    with pytest.raises(actions.WrongCorrectionState):
        corrections.note(
            short["remedy_amount"].pk, kind=CorrectionKind.GUIDE_FIX, words="Less for them.", by=lena, at=MONDAY
        )


# --- what the planner reads -----------------------------------------------------------------------------------------------


def test_how_much_reaches_us_too_late_is_told_by_the_budget_of_each_way_in(lena: User):
    for number in range(20):
        at = NOON + timedelta(minutes=number)
        intake.receive(
            message(channel="email", spoke_at=at), at=at + timedelta(minutes=9 if number < 5 else 0), origin="t"
        )
    why = levels.causes(since=NOON - DAY, until=NOON + DAY)
    assert why.late_in == {"email": 0.25}
    typed = {"channel": "phone", "source": "desk:logged"}
    for number in range(20):
        at = NOON + timedelta(minutes=number)
        intake.receive(message(spoke_at=at, **typed), at=at + timedelta(minutes=9), origin="t")
    assert (
        levels.causes(since=NOON - DAY, until=NOON + DAY).late_in["phone"] == 0
    )  # written down within a quarter of an hour


def test_hours_are_offered_by_what_comes_and_there_by_shifts_less_absences(lena: User):
    people = [colleague(name=f"C{number}") for number in range(2)]
    assert levels.house(since=NOON - 8 * DAY, until=NOON, at=NOON).capacity is None  # nobody's shifts are entered
    for who in people:
        for weekday in range(5):
            Shift.objects.create(user=who, weekday=weekday, starts=time(9), ends=time(17))
    User.objects.filter(pk=people[1].pk).update(customer_service_share=50)
    for number in range(7):
        QueueDay.objects.create(
            day=(NOON - (7 - number) * DAY).date(), looked_at=NOON, arrivals=20, begun=20, swaps=6, same_order=True,
            out_of_order=0, unexplained=0,
        )  # fmt: skip
    start = NOON - 3 * DAY
    for number in range(20):  # two at once, half an hour for each pair
        talk = heard("email", at=start)
        begun = start + timedelta(minutes=30 * (number // 2))
        talk.pulls.create(
            by=people[0], at=begun, idle_at=begun, finished_at=begun + timedelta(minutes=30), finished_how="answered"
        )
    house = levels.house(since=NOON - 8 * DAY, until=NOON, at=NOON)
    assert house.offered == pytest.approx(20 * 7 * 0.25)  # who works on two at once is busy once
    assert house.capacity == pytest.approx(60, abs=8)


def test_planning_a_week_takes_as_many_statements_whether_few_or_many_matters_came(lena: User):
    counts = []
    for number in (60, 300):
        many(number)
        actions.parity_nightly(NIGHT + number * DAY)
        with CaptureQueriesContext(connection) as captured:
            actions.correct_levels(MONDAY + number * 7 * DAY)
        counts.append(len([each for each in captured if "SAVEPOINT" not in each["sql"]]))
    assert max(counts) <= 45
