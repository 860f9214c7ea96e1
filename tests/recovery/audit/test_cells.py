"""Days counted into cells: what stands in them is what the rows say, however often and by whom it is counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.db import Error, models, transaction

from crm.actions import desk, endings
from crm.models import Closing, Conversation
from crm.policy import DismissalReason, Role
from recovery import actions
from recovery.actions import cells as days
from recovery.actions import live, outcomes
from recovery.models import Case, DayCells, DaySince
from recovery.parity import cells, own, survival
from recovery.policy import ComplaintType, Facts, Outcome
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.faults.threads import at_once
from tests.recovery.audit.test_outcomes import heard, many
from tests.recovery.parity.test_cells import told

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LATER = NOON + 12 * DAY


def stored() -> dict[object, dict[object, object]]:
    """What the cells of every counted day come to."""
    found = days.stored(DayCells.objects.values_list("day", flat=True).distinct())
    return {day: told(cells.total(each.parts)) for day, each in found.items()}


def from_rows(day: datetime, at: datetime) -> dict[object, object]:
    return told(cells.counted(outcomes.read(since=day, until=min(day + DAY, at), at=at), began=day))


@pytest.mark.django_db
def test_the_cells_of_every_day_are_the_counts_made_from_its_rows():
    many(300)
    assert actions.parity_rollup(NOON + 2 * DAY) == 3
    assert actions.parity_rollup(LATER) > 10
    for day, found in stored().items():
        assert found == from_rows(days.beginning(day), LATER)
    held = sum(q for (metric, *_), (_, q) in stored()[NOON.date()].items() if metric == cells.TIME_TO_RESOLUTION)
    assert held > 0  # who still waits is in them, by when they spoke


@pytest.mark.django_db
def test_counting_twice_changes_nothing_and_a_missed_hour_or_day_is_made_up_for():
    many(200)
    at = NOON + DAY
    assert actions.parity_rollup(at) == 2
    assert actions.parity_rollup(at + timedelta(minutes=20)) == 0
    actions.parity_rollup(at + 7 * HOUR)  # six were missed
    actions.parity_rollup(LATER)  # and then days
    once = stored()
    assert actions.parity_rollup(LATER) == 0
    assert {day: from_rows(days.beginning(day), LATER) for day in once} == once


@pytest.mark.django_db
def test_days_are_counted_hourly_then_nightly_and_after_eight_weeks_no_more():
    heard()
    counts = [actions.parity_rollup(NOON + back) for back in (HOUR, 2 * HOUR, DAY, DAY + HOUR, 3 * DAY, 3 * DAY + HOUR)]
    assert counts == [1, 1, 2, 2, 4, 2]
    assert actions.parity_rollup(NOON + 55 * DAY) == 56
    newest = DayCells.objects.filter(day=NOON.date()).count()
    actions.parity_rollup(NOON + 57 * DAY)
    assert DayCells.objects.filter(day=NOON.date()).count() == newest


@pytest.mark.django_db
def test_who_comes_back_is_counted_once_before_and_after():
    many(150)
    actions.parity_rollup(LATER)
    before = stored()[NOON.date()]
    closing = Closing.objects.filter(conversation__spoke_at__date=NOON.date()).first()
    assert closing is not None
    Closing.objects.filter(pk=closing.pk).update(reopened_at=LATER + HOUR)
    actions.parity_rollup(LATER + DAY)
    after = stored()[NOON.date()]
    assert after == from_rows(days.beginning(NOON.date()), LATER + DAY)

    def of(found: dict, metric: str) -> tuple[int, int]:
        return tuple(sum(cell[side] for key, cell in found.items() if key[0] == metric) for side in (0, 1))

    seen, waiting = of(before, cells.TIME_TO_RESOLUTION)
    assert of(after, cells.TIME_TO_RESOLUTION) == (seen - 1, waiting + 1)
    assert sum(of(after, "came_back")) == sum(of(before, "came_back"))


@pytest.mark.django_db
def test_what_is_judged_anew_taken_back_or_taken_away_is_put_right_by_the_next_count():
    many(60)
    actions.parity_rollup(LATER)
    some = list(Conversation.objects.filter(spoke_at__date=NOON.date()).order_by("pk")[:4])
    Conversation.objects.filter(pk=some[1].pk).update(skill="other skill", first_answer_at=None)
    Conversation.objects.filter(pk=some[2].pk).update(channel="letter")
    Conversation.objects.filter(pk=some[3].pk).update(imported=True)
    actions.parity_rollup(LATER + DAY)
    assert stored()[NOON.date()] == from_rows(days.beginning(NOON.date()), LATER + DAY)
    Conversation.objects.filter(spoke_at__date=NOON.date()).update(imported=True)
    actions.parity_rollup(LATER + 2 * DAY)
    assert stored()[NOON.date()] == {}  # the oldest day has no matter left


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_count_once():
    many(60)
    made = at_once(*[lambda: actions.parity_rollup(LATER)] * 2)
    assert all(isinstance(each, int) for each in made)
    assert sum(made) == DayCells.objects.count() == DayCells.objects.values("day").distinct().count()
    for day, found in stored().items():
        assert found == from_rows(days.beginning(day), LATER)


@pytest.mark.django_db(transaction=True)
def test_two_workers_of_different_hours_never_add_the_same_change_twice():
    many(60)
    at_once(lambda: actions.parity_rollup(LATER), lambda: actions.parity_rollup(LATER + HOUR))
    actions.parity_rollup(LATER + 2 * DAY)
    for day, found in stored().items():
        assert found == from_rows(days.beginning(day), LATER + 2 * DAY)


@pytest.mark.django_db
def test_a_count_that_stands_is_never_changed_or_removed():
    heard()
    actions.parity_rollup(LATER)
    for change in (lambda: DayCells.objects.update(d=[]), lambda: DayCells.objects.all().delete()):
        with pytest.raises(Error), transaction.atomic():
            change()
    row = DayCells.objects.exclude(d=[]).first()
    assert row is not None
    with pytest.raises(Error), transaction.atomic():
        DayCells.objects.create(
            day=row.day, number=99, counted_at=LATER, names=row.names, metric=[0], stratum=[], channel=[0], bin=[0], d=[1],
            q=[0],
        )  # fmt: skip


@pytest.mark.django_db
def test_nobody_is_in_the_cells():
    many(50)
    actions.parity_rollup(LATER)
    fields = [*DayCells._meta.get_fields(), *DaySince._meta.get_fields()]
    assert not [field for field in fields if field.is_relation]
    assert not [field for field in fields if isinstance(field, models.CharField | models.TextField)]
    kinds = {name.partition(" · ")[0] for row in DayCells.objects.all() for name in row.names["strata"]}
    known = {outcomes.NO_FAILURE, outcomes.OTHER, *outcomes.ComplaintType.values}
    assert kinds <= known
    assert {metric for row in DayCells.objects.all() for metric in row.names["metrics"]} <= {
        *cells.TIMES, cells.RESPONSE_COVERAGE, *own.FLAGS, own.DISMISSED,
    }  # fmt: skip


# --- how it stands now ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("counts", [(), (4 * DAY,), (DAY, 4 * DAY, 4 * DAY + HOUR)])
def test_it_stands_as_the_audit_says_whether_all_some_or_no_days_are_counted(counts):
    many(600)
    for after in counts:
        actions.parity_rollup(NOON + after)
    at = NOON + 4 * DAY + HOUR + timedelta(minutes=40)
    found = live.look(since=NOON, until=at, at=at)
    exact = outcomes.read(since=days.beginning(NOON.date()), until=at, at=at)
    cases = own.cases_of(exact)
    answer = next(each for each in cases.outcomes if each.name == cells.FIRST_RESPONSE)
    assert answer.waited is not None
    for code, channel in enumerate(cases.channels):
        rows = (cases.channel == code) & ~np.isnan(answer.waited)
        curve = survival.curve(answer.waited[rows], ~np.isnan(answer.values)[rows])
        waited = found.wait(channel, cells.FIRST_RESPONSE)
        assert waited is not None
        assert waited.n == int(rows.sum())
        if not rows.sum() > 100:
            continue
        for share, seconds in ((0.5, waited.median_seconds), (0.9, waited.p90_seconds)):
            hours = survival.quantile(*curve, share)
            assert hours is not None
            assert seconds == pytest.approx(hours * 3600, rel=0.05)
    assert {line.verdict for line in found.lines if (line.metric, line.channel) == (cells.FIRST_RESPONSE, "phone")} == {
        "red"
    }


LIVE = (cells.FIRST_RESPONSE, cells.TIME_TO_RESOLUTION, cells.RESPONSE_COVERAGE, own.DISMISSED)


def known(table: cells.Table) -> dict[tuple[str, ...], tuple[float, float]]:
    """What a table says of what is told live, by metric, kind, channel and bin."""
    places = np.argwhere((table.d > 0) | (table.q > 0))
    return {
        (table.names.metrics[metric], table.names.strata[kind], table.names.channels[channel], str(place)): (
            table.d[metric, kind, channel, place], table.q[metric, kind, channel, place],
        )
        for metric, kind, channel, place in places
        if table.names.metrics[metric] in LIVE
    }  # fmt: skip


def told_now(at: datetime) -> dict[tuple[str, ...], tuple[float, float]]:
    return known(live._told(NOON, at, at)[0])


def read_now(at: datetime) -> dict[tuple[str, ...], tuple[float, float]]:
    return known(cells.table([live._read(days.beginning(NOON.date()), at, at)]))


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [0, 1, 40, 59, 600])
@pytest.mark.parametrize("counts", [(4 * DAY,), (DAY, 4 * DAY, 4 * DAY + HOUR), (DAY, 2 * DAY + HOUR, 3 * DAY)])
def test_open_matters_are_told_as_of_now_whatever_was_counted_when(counts, minutes):
    many(600)
    for after in counts:
        actions.parity_rollup(NOON + after)
    at = NOON + 4 * DAY + HOUR + timedelta(minutes=minutes)
    assert told_now(at) == read_now(at)


@pytest.mark.django_db
def test_what_became_of_older_days_is_noted_every_hour_until_they_are_counted_again():
    def as_of(day: int, at: datetime) -> datetime:
        date = (NOON + day * DAY).date()
        return days.known([date], at=at)[date].known_at

    many(600)
    night, hour = NOON + 3 * DAY, NOON + 3 * DAY + HOUR
    actions.parity_rollup(night)
    assert not DaySince.objects.exists()  # what was counted just now became nothing since
    actions.parity_rollup(hour)
    assert {as_of(day, hour) for day in (0, 1)} == {hour}
    assert as_of(0, night + HOUR / 2) == night  # an earlier moment does not know it
    noted = list(DaySince.objects.values_list("day", "at"))
    actions.parity_rollup(hour + timedelta(minutes=20))
    assert list(DaySince.objects.values_list("day", "at")) == noted
    assert told_now(hour + timedelta(minutes=30)) == read_now(hour + timedelta(minutes=30))
    again = NOON + 4 * DAY
    actions.parity_rollup(again)
    assert {as_of(day, again) for day in (0, 1)} == {again}  # counted anew: what was noted is in the count
    assert told_now(again) == read_now(again)
    actions.parity_rollup(NOON + 70 * DAY)
    assert not DaySince.objects.filter(day__lt=(NOON + 14 * DAY).date()).exists()


@pytest.mark.django_db
def test_what_was_answered_settled_came_back_was_dismissed_or_turned_out_a_failure_since_is_known_at_once():
    lena, ada = colleague(Role.LEAD, takes=False), colleague()
    answered, dismissed, wronged, back, quiet = (heard() for _ in range(5))
    facts = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3)

    def settle(matter: Conversation, at: datetime) -> Case:
        case = actions.open_case(matter.pk, facts=facts, seen_because=["broken"], by=None, at=at)
        actions.decide(case.pk, facts=facts, by=ada, at=at)
        how = {"outcome": Outcome.UPHELD, "explanation": "We pay.", "out_of_order": "knows_it"}
        actions.resolve(case.pk, **how, by=ada, at=at)
        return case

    settled = settle(back, NOON + timedelta(minutes=30))
    counted = NOON + HOUR
    actions.parity_rollup(counted)
    assert told_now(counted) == read_now(counted)
    desk.answer(
        answered.pk, text="It is on its way.", by=ada, at=counted + timedelta(minutes=5), out_of_order="knows_it"
    )
    endings.dismiss(dismissed.pk, reason=DismissalReason.SPAM, by=ada, at=counted + timedelta(minutes=6))
    settle(wronged, counted + timedelta(minutes=7))
    actions.reopen(settled.pk, because="It broke again.", by=lena, at=counted + timedelta(minutes=8))
    at = counted + timedelta(minutes=40)
    assert DayCells.objects.count() == 1
    assert told_now(at) == read_now(at)
    assert quiet.channel == "email"
    later = NOON + 12 * HOUR  # what was promised fell due for whom nobody answered
    assert told_now(later) == read_now(later)


@pytest.mark.django_db
def test_a_kind_that_changed_since_the_count_takes_nothing_below_nothing():
    many(60)
    actions.parity_rollup(NOON + 6 * HOUR)
    waiting = Conversation.objects.filter(first_answer_at__gt=NOON + 6 * HOUR, spoke_at__lt=NOON + 6 * HOUR)
    assert waiting.update(skill="changed_mind") > 0
    at = NOON + 12 * HOUR
    table = live._told(NOON, at, at)[0]
    assert (table.d >= 0).all()
    assert (table.q >= 0).all()


@pytest.mark.django_db
def test_how_it_stands_now_knows_the_last_minutes_and_leaves_out_channels_that_nobody_used():
    def waits(until):
        return live.look(since=NOON - 28 * DAY, until=until, at=until).waits

    assert waits(NOON) == ()
    heard("phone")
    actions.parity_rollup(NOON + timedelta(minutes=28))
    heard("phone", at=NOON + timedelta(minutes=30))
    Conversation.objects.filter(spoke_at=NOON + timedelta(minutes=30)).update(
        first_answer_at=NOON + timedelta(minutes=34)
    )
    found = {wait.metric: wait for wait in waits(NOON + HOUR)}[cells.FIRST_RESPONSE]
    assert (found.channel, found.n) == ("phone", 2)
    assert found.p90_seconds is None  # one waited 28 minutes at least


@pytest.mark.django_db
def test_a_look_is_a_few_small_statements_whatever_was_counted(django_assert_max_num_queries):
    many(100)
    actions.parity_rollup(LATER)
    with django_assert_max_num_queries(
        4
    ):  # skills and regions; what is counted and what is new are copied beside what Django counts
        live.look(since=NOON, until=LATER + HOUR, at=LATER + HOUR)
