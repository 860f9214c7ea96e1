"""Grading again without knowing how a matter came: what is drawn, who may grade, what is kept, what a refusal leaves."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import Error, IntegrityError, transaction

from crm.actions import desk, endings, rota
from crm.models import Conversation, Dismissal, Interaction, User
from crm.policy import Verdict
from recovery import actions
from recovery.actions import regrading
from recovery.models import Grading, MannerSheet, Regrade, RegradeSkip
from recovery.policy import ComplaintType, Manner, Outcome, RegradeKind, Severity, SkipReason
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.faults.threads import at_once
from tests.recovery.regrading.stories import EVENING, GRAVE, MILD, answered, dismissed, drawn, heard, settled

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def all_are_drawn(settings):
    settings.EVENHAND_REGRADED_SHARE = 1.0


def people(*names: str) -> list[User]:
    return [colleague(name=name, takes=False) for name in names]


# --- drawn ------------------------------------------------------------------------------------------------------------


def test_what_ended_is_drawn_once_and_by_what_is_asked_of_it_R005():
    (ada,) = people("Ada")
    case, spam, told = settled(ada), dismissed(ada), answered(ada)
    heard()  # has not ended
    assert actions.draw_regrades(EVENING) == 3
    assert actions.draw_regrades(EVENING) == 0
    kinds = dict(Regrade.objects.values_list("conversation", "kind"))
    assert kinds == {case.conversation_id: "case", spam.pk: "dismissal", told.pk: "answered"}
    assert Regrade.objects.get(kind=RegradeKind.CASE).looks_at == case.decisions.order_by("-pk")[0]


def test_a_night_that_was_missed_is_made_up_for_within_a_week():
    (ada,) = people("Ada")
    settled(ada)
    assert actions.draw_regrades(NOON + WEEK) == 1


def test_where_no_failure_was_found_a_case_is_drawn_in_a_share_of_its_own_R009(settings, monkeypatch):
    settings.EVENHAND_REGRADED_SHARE = 0.0
    monkeypatch.setattr("recovery.policy.regrading.REREAD_SHARE", 1.0)
    (ada,) = people("Ada")
    settled(ada, outcome=Outcome.PARTLY)
    not_upheld = settled(ada, outcome=Outcome.NOT_UPHELD)
    assert drawn().conversation_id == not_upheld.conversation_id


# --- who --------------------------------------------------------------------------------------------------------------


def test_nobody_who_had_a_part_grades_it_again_R005():
    ada, noted, owner, bob = people("Ada", "Nora", "Olga", "Bob")
    case = settled(ada)
    desk.note(case.conversation_id, text="hm", by=noted, at=NOON)
    Conversation.objects.filter(pk=case.conversation_id).update(owner=owner)
    regrade = drawn()
    for involved in (ada, noted, owner):
        with pytest.raises(actions.NothingToGrade):
            regrading.take_next(by=involved, at=EVENING)
    assert Regrade.objects.get().taken_by is None
    assert regrading.take_next(by=bob, at=EVENING) == regrade
    assert regrading.take_next(by=bob, at=EVENING).taken_by == bob


def test_who_dismissed_it_does_not_look_at_it_again_R010():
    ada, bob = people("Ada", "Bob")
    dismissed(ada)
    drawn()
    with pytest.raises(actions.NothingToGrade):
        regrading.take_next(by=ada, at=EVENING)
    assert regrading.take_next(by=bob, at=EVENING)


def test_what_takes_a_certificate_is_graded_by_those_who_have_it():
    ada, bob, lena = people("Ada", "Bob", "Lena")
    case = settled(ada)
    skill = ComplaintType.DAMAGED_ITEM.value
    Conversation.objects.filter(pk=case.conversation_id).update(skill=skill)
    rota.demand(skill, by=lena, at=NOON)
    drawn()
    with pytest.raises(actions.NothingToGrade):
        regrading.take_next(by=bob, at=EVENING)
    rota.certify(bob.pk, skill=skill, issued_on=NOON.date(), expires_on=(NOON + 4 * WEEK).date(), by=lena, at=NOON)
    assert regrading.take_next(by=bob, at=EVENING)


def test_one_has_one_at_a_time_and_cannot_choose():
    ada, bob = people("Ada", "Bob")
    first = settled(ada)
    settled(ada)
    actions.draw_regrades(EVENING)
    taken = regrading.take_next(by=bob, at=EVENING)
    assert taken.conversation_id == first.conversation_id
    assert regrading.take_next(by=bob, at=EVENING) == taken
    with pytest.raises(IntegrityError), transaction.atomic():
        Regrade.objects.update(taken_by=bob, taken_at=EVENING)


def test_leaving_one_to_another_needs_a_reason_and_is_kept():
    ada, bob, cleo = people("Ada", "Bob", "Cleo")
    settled(ada)
    regrade = drawn()
    with pytest.raises(actions.WrongRegrade):
        regrading.leave(regrade.pk, reason=SkipReason.KNOWN, by=bob, at=EVENING)
    regrading.take_next(by=bob, at=EVENING)
    regrading.leave(regrade.pk, reason=SkipReason.KNOWN, by=bob, at=EVENING)
    with pytest.raises(actions.NothingToGrade):
        regrading.take_next(by=bob, at=EVENING)
    assert regrading.take_next(by=cleo, at=EVENING) == regrade
    assert RegradeSkip.objects.get().reason == SkipReason.KNOWN


def test_what_somebody_took_and_left_lying_goes_to_another():
    ada, bob, cleo = people("Ada", "Bob", "Cleo")
    settled(ada)
    drawn()
    regrading.take_next(by=bob, at=EVENING)
    actions.draw_regrades(EVENING + timedelta(days=2))
    assert Regrade.objects.get().taken_by == bob
    actions.draw_regrades(EVENING + timedelta(days=4))
    assert regrading.take_next(by=cleo, at=EVENING + timedelta(days=4))


def test_two_colleagues_at_once_never_get_the_same_one(transactional_db: None):
    ada, bob, cleo = people("Ada", "Bob", "Cleo")
    settled(ada)
    drawn()
    results = at_once(*[partial(regrading.take_next, by=who, at=EVENING) for who in (bob, cleo)])
    assert sorted(type(each).__name__ for each in results) == ["NothingToGrade", "Regrade"], results


def test_one_colleague_asking_twice_at_once_gets_one(transactional_db: None):
    ada, bob = people("Ada", "Bob")
    settled(ada)
    settled(ada)
    actions.draw_regrades(EVENING)
    results = at_once(*[partial(regrading.take_next, by=bob, at=EVENING)] * 2)
    assert len({each.pk for each in results}) == 1, results
    assert Regrade.objects.exclude(taken_by=None).count() == 1


# --- graded -----------------------------------------------------------------------------------------------------------


def test_severity_follows_from_the_facts_and_the_difference_is_kept_with_its_sign_R005():
    ada, bob = people("Ada", "Bob")
    settled(ada, facts=MILD, outcome=Outcome.PARTLY)
    regrade = drawn()
    regrading.take_next(by=bob, at=EVENING)
    graded = regrading.grade(regrade.pk, facts=GRAVE, merit=Outcome.UPHELD, by=bob, at=EVENING, guess="phone")
    assert (graded.severity_first, graded.severity) == (Severity.LOW, Severity.HIGH)
    assert graded.severity_difference == -2  # graded two steps too low at first
    assert (graded.merit_first, graded.merit_difference) == (Outcome.PARTLY, -1)
    with pytest.raises(Error), transaction.atomic():
        Grading.objects.update(severity_difference=0)
    with pytest.raises(Error), transaction.atomic():
        Grading.objects.all().delete()
    regrade.refresh_from_db()
    assert regrade.done_at is None  # how we answered comes last
    regrading.score(regrade.pk, manner=Manner(4, 5, 3), by=bob, at=EVENING)
    regrade.refresh_from_db()
    assert (regrade.done_at, regrade.guess) == (EVENING, "phone")


def test_the_manner_is_scored_after_the_facts_and_once_R111():
    ada, bob = people("Ada", "Bob")
    settled(ada)
    regrade = drawn()
    regrading.take_next(by=bob, at=EVENING)
    score = partial(regrading.score, regrade.pk, manner=Manner(4, 5, 3), by=bob, at=EVENING)
    with pytest.raises(actions.WrongRegrade):
        score()
    assert not MannerSheet.objects.exists()
    regrading.grade(regrade.pk, facts=MILD, merit=Outcome.UPHELD, by=bob, at=EVENING)
    with pytest.raises(actions.WrongRegrade):
        regrading.grade(regrade.pk, facts=GRAVE, merit=Outcome.UPHELD, by=bob, at=EVENING)
    score()
    with pytest.raises(actions.WrongRegrade):
        score()
    with pytest.raises(ValueError, match="1 to 5"):
        Manner(0, 5, 5)
    with pytest.raises(Error), transaction.atomic():
        MannerSheet.objects.update(friendly=9)


def test_a_dismissal_that_should_have_been_answered_goes_before_the_second_person_R010():
    ada, bob, lena = people("Ada", "Bob", "Lena")
    matter = dismissed(ada)
    regrade = drawn()
    regrading.take_next(by=bob, at=EVENING)
    with pytest.raises(actions.WrongRegrade):
        regrading.grade(regrade.pk, facts=MILD, merit=Outcome.UPHELD, by=bob, at=EVENING)
    regrading.judge_dismissal(regrade.pk, would_answer=True, by=bob, at=EVENING)
    dismissal = Dismissal.objects.get(conversation=matter)
    assert dismissal.sampled_for
    endings.audit(dismissal.pk, verdict=Verdict.WRONG, by=lena, at=EVENING)
    matter.refresh_from_db()
    assert matter.state == "open"


def test_a_rightly_dismissed_one_stays_as_it_is():
    ada, bob = people("Ada", "Bob")
    matter = dismissed(ada)
    regrade = drawn()
    regrading.take_next(by=bob, at=EVENING)
    regrading.judge_dismissal(regrade.pk, would_answer=False, by=bob, at=EVENING)
    assert Dismissal.objects.get(conversation=matter).sampled_for == ""
    regrade.refresh_from_db()
    assert regrade.done_at == EVENING


def test_nobody_grades_what_is_with_a_colleague_and_nothing_has_changed():
    ada, bob, cleo = people("Ada", "Bob", "Cleo")
    settled(ada)
    regrade = drawn()
    regrading.take_next(by=bob, at=EVENING)
    for act in (
        partial(regrading.grade, facts=GRAVE, merit=Outcome.UPHELD),
        partial(regrading.judge_dismissal, would_answer=True),
        partial(regrading.score, manner=Manner(1, 1, 1)),
        partial(regrading.leave, reason=SkipReason.KNOWN),
    ):
        with pytest.raises(actions.WrongRegrade):
            act(regrade.pk, by=cleo, at=EVENING)
    assert not Grading.objects.exists()
    assert not MannerSheet.objects.exists()
    assert not RegradeSkip.objects.exists()


# --- shown ------------------------------------------------------------------------------------------------------------


def test_the_words_are_shown_without_what_tells_the_channel_and_ours_come_later_R005_R111():
    ada, bob = people("Ada Agent", "Bob")
    answered(
        ada, text="Dear Carla Customer,\nwe have mended it, please call us on Twitter @shop.\nKind regards\nAda Agent"
    )
    regrade = drawn()
    theirs = regrading.words_of(regrade, with_ours=False)
    assert [said.ours for said in theirs] == [False]
    assert theirs[0].sentences == ("My parcel", "Where is it?")
    both = regrading.words_of(regrade, with_ours=True)
    assert [said.ours for said in both] == [False, True]
    ours = " ".join(both[1].sentences)
    for cue in ("Carla", "Ada", "Twitter", "@shop", "call", "regards"):
        assert cue not in ours
    assert "mended" in ours
    assert bob.pk


def test_a_note_among_us_and_what_was_taken_back_are_not_shown():
    (ada,) = people("Ada")
    case = settled(ada)
    desk.note(case.conversation_id, text="secret note", by=ada, at=NOON)
    Interaction.objects.filter(conversation=case.conversation_id, direction="in").update(withdrawn_at=NOON)
    assert all("secret" not in " ".join(said.sentences) for said in regrading.words_of(drawn(), with_ours=True))
    assert regrading.words_of(Regrade.objects.get(), with_ours=False) == []


def test_a_week_s_gradings_are_counted_from_monday():
    ada, bob = people("Ada", "Bob")
    dismissed(ada)
    regrade = drawn()
    regrading.take_next(by=bob, at=EVENING)
    regrading.judge_dismissal(regrade.pk, would_answer=False, by=bob, at=EVENING)
    assert regrading.done_this_week(bob, at=EVENING) == 1
    assert regrading.done_this_week(bob, at=EVENING + WEEK) == 0
