"""The audit of our own work: what it opens, renews and ends, and that nobody but a later look can end it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import Error, transaction
from django.db.models import F
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from crm.actions import gates, promises
from crm.models import Alert, Closing, Conversation, HistoryEntry, Promise
from crm.policy import AlertKind, Role
from recovery import actions
from recovery.admin import audit_words
from recovery.models import ParityAudit, ParityFinding
from recovery.policy import BY_PEOPLE, FINDING_NEXT, FindingOrigin, FindingState, LaterLook, is_favoured, is_gone
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.faults.threads import at_once
from tests.recovery.audit.test_outcomes import many

DAY = timedelta(days=1)
NIGHT = NOON + 12 * DAY


@pytest.mark.django_db
def test_a_night_s_look_finds_that_the_phone_waits_longer_and_tells_the_leads_R081():
    many()
    assert actions.parity_nightly(NIGHT) == 1
    look = ParityAudit.objects.get()
    assert look.matters > 500
    assert look.red
    found = ParityFinding.objects.get(metric="first_response", channel="phone")
    assert not found.is_favoured
    assert found.value > 1.5
    assert found.state == FindingState.OPEN
    assert Alert.objects.filter(kind=AlertKind.PARITY_FOUND, to=None).count() == ParityFinding.objects.count()
    assert HistoryEntry.objects.filter(verb="parity.found").exists()


@pytest.mark.django_db
def test_one_look_a_night_however_often_it_is_asked_for():
    many(60)
    assert [actions.parity_nightly(NIGHT), actions.parity_nightly(NIGHT + timedelta(hours=1))] == [1, 0]
    assert actions.parity_nightly(NIGHT + DAY) == 1
    assert ParityAudit.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_look_once():
    many(60)
    assert sorted(at_once(*[lambda: actions.parity_nightly(NIGHT)] * 2)) == [0, 1]
    assert ParityAudit.objects.count() == 1


@pytest.mark.django_db
def test_found_again_is_the_same_finding_with_its_newest_size():
    many()
    actions.parity_nightly(NIGHT)
    first = ParityFinding.objects.get(metric="first_response", channel="phone")
    actions.parity_nightly(NIGHT + DAY)
    again = ParityFinding.objects.get(metric="first_response", channel="phone")
    assert again.pk == first.pk
    assert again.seen_by != again.found_by == first.found_by


@pytest.mark.django_db
def test_a_finding_ends_when_later_matters_no_longer_show_it_and_not_before():
    many()
    actions.parity_nightly(NIGHT)
    found = ParityFinding.objects.get(metric="first_response", channel="phone")
    Conversation.objects.filter(spoke_at__lt=NIGHT).update(first_answer_at=None)  # nobody at all was answered
    actions.parity_nightly(NIGHT + DAY)
    found.refresh_from_db()
    assert found.state == FindingState.OPEN  # not significant any more, but the old matters are still in the window
    shift = timedelta(days=40)
    for matter in Conversation.objects.exclude(subject="My parcel"):
        matter.spoke_at += shift
        matter.first_answer_at = matter.spoke_at + timedelta(hours=1, minutes=matter.pk % 60)
        matter.save(update_fields=["spoke_at", "first_answer_at"])
    actions.parity_nightly(NIGHT + shift)
    found.refresh_from_db()
    assert found.state == FindingState.VERIFIED
    assert found.ended_by is not None
    assert HistoryEntry.objects.filter(verb="parity.finding_gone").exists()


@pytest.mark.django_db
def test_people_explain_correct_or_dispute_in_words_and_cannot_end_a_finding():
    many()
    actions.parity_nightly(NIGHT)
    found, lena = ParityFinding.objects.order_by("pk").first(), colleague()
    assert found is not None
    with pytest.raises(promises.WordsMissing):
        actions.answer_finding(found.pk, state=FindingState.EXPLAINED, words=" ", by=lena, at=NIGHT)
    with pytest.raises(actions.WrongFindingState):
        actions.answer_finding(found.pk, state=FindingState.VERIFIED, words="It is gone.", by=lena, at=NIGHT)
    found.refresh_from_db()
    assert (found.state, found.words) == (FindingState.OPEN, "")
    actions.answer_finding(found.pk, state=FindingState.CORRECTING, words="Two more on the phone.", by=lena, at=NIGHT)
    found.refresh_from_db()
    assert (found.state, found.said_by) == (FindingState.CORRECTING, lena)


@pytest.mark.django_db
def test_a_look_is_never_changed_and_no_finding_ends_without_a_look():
    many(60)
    actions.parity_nightly(NIGHT)
    with pytest.raises(Error), transaction.atomic():
        ParityAudit.objects.update(red=0)
    look = ParityAudit.objects.get()
    with pytest.raises(Error), transaction.atomic():
        ParityFinding.objects.create(
            metric="x", channel="phone", versus="others", is_favoured=False, effect="time_ratio", value=2.0,
            found_by=look, seen_by=look, opened_at=NIGHT, state=FindingState.VERIFIED,
        )  # fmt: skip


@pytest.mark.django_db
def test_where_nobody_spoke_there_is_nothing_to_compare():
    look = actions.look_now(by=colleague(), at=NOON)
    assert (look.matters, look.report, look.red) == (0, None, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("number", [0, 120])
def test_whatever_can_be_found_has_its_very_matters_and_a_page_however_it_was_found_and_without_a_size(client, number):
    """Also of a house that was emptied since, and of an alarm: a ratio of hazards, and no interval."""
    many(number)
    look = actions.look_now(by=colleague(), at=NIGHT)
    ParityFinding.objects.all().delete()
    client.force_login(colleague(Role.LEAD))
    for metric in audit_words.METRICS:
        channel = "public" if metric == "went_public" else "phone"
        at = {"since": look.since, "until": look.until, "at": look.at}
        assert isinstance(actions.matters_behind(metric, channel, **at), list), metric
        alarm = metric in ("first_response", "time_to_resolution", "went_public")
        found = ParityFinding.objects.create(
            metric=metric, channel=channel, versus="others", is_favoured=False, opened_at=NIGHT, value=0.7,
            effect="hazard_ratio" if alarm else "risk_difference", found_by=look, seen_by=look,
            origin=FindingOrigin.ALARM, rang_on=NIGHT.date(),
        )  # fmt: skip
        assert client.get(reverse("admin:parity_finding", args=[found.public_id])).status_code == 200, metric
    for page in ("admin:parity", "admin:levelling", "admin:parity_now", "admin:index"):
        assert client.get(reverse(page)).status_code == 200, page
    ParityFinding.objects.update(state=FindingState.VERIFIED, ended_by=look)
    assert client.get(reverse("admin:parity")).status_code == 200


@pytest.mark.django_db
def test_the_very_matters_behind_a_finding_come_gravest_first():
    many()
    numbers = actions.matters_behind("first_response", "phone", since=NOON - DAY, until=NIGHT, at=NIGHT)
    matters = Conversation.objects.in_bulk(numbers)
    assert numbers
    assert {matters[number].channel for number in numbers} == {"phone"}
    waits = [(matters[n].first_answer_at or NIGHT) - matters[n].spoke_at for n in numbers]
    unanswered = [matters[n].first_answer_at is None for n in numbers]
    assert unanswered == sorted(unanswered, reverse=True)
    answered = waits[sum(unanswered) :]
    assert answered == sorted(answered, reverse=True)
    late = actions.matters_behind("answered_as_promised", "phone", since=NOON - DAY, until=NIGHT, at=NIGHT)
    for number in late:
        answer = matters.get(number, Conversation.objects.get(pk=number))
        assert answer.first_answer_at is None or answer.first_answer_at > answer.spoke_at + timedelta(hours=8)


# --- what follows, decided without a database -----------------------------------------------------------------------


def test_only_an_audit_verifies_and_nothing_follows_that():
    assert FindingState.VERIFIED not in BY_PEOPLE
    assert FINDING_NEXT[FindingState.VERIFIED] == frozenset()
    assert set(FINDING_NEXT) == set(FindingState)


@given(verdict=st.sampled_from(["red", "amber", "green", "grey", ""]), days=st.integers(-60, 60))
def test_red_and_missing_comparisons_end_nothing_and_green_always_does(verdict, days):
    ends = is_gone(LaterLook(verdict, NOON + days * DAY), opened_at=NOON)
    assert ends == (verdict == "green" or (verdict in ("amber", "grey") and days >= 0))


@pytest.mark.parametrize(
    ("metric", "effect", "value", "better"),
    [
        ("first_response", "time_ratio", 0.5, True),
        ("first_response", "time_ratio", 2.0, False),
        ("time_to_resolution", "probability", 0.3, True),
        ("response_coverage", "risk_difference", 0.1, True),
        ("remedy_in_full", "risk_difference", -0.1, False),
        ("came_back", "risk_difference", 0.1, False),
        ("dismissed", "risk_difference", -0.1, True),
        ("remedy_part", "part_ratio", 0.9, False),
        ("remedy_amount", "amount_ratio", 1.3, True),
        ("hand_offs", "count_ratio", 1.5, False),
        ("verification_steps", "count_ratio", 1.5, False),
        ("gesture_sent", "risk_difference", 0.1, True),
    ],
)
def test_which_side_was_treated_better(metric, effect, value, better):
    assert is_favoured(metric, effect=effect, value=value) is better


@pytest.mark.django_db
def test_while_a_finding_stands_no_new_kindness_begins_and_afterwards_it_may_R071():
    many()
    actions.parity_nightly(NIGHT)
    assert gates.reasons()
    shift = timedelta(days=40)
    Conversation.objects.update(
        spoke_at=F("spoke_at") + shift, first_answer_at=F("spoke_at") + shift + timedelta(hours=1)
    )
    Promise.objects.update(state="met", met_at=F("starts_at"))
    Closing.objects.all().delete()
    actions.parity_nightly(NIGHT + shift)
    assert not ParityFinding.objects.exclude(state=FindingState.VERIFIED).exists()
    assert not gates.reasons()
