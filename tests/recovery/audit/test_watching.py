"""Watching between looks: what is kept every night, when it rings, what follows, and that it begins anew."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from threading import Event
from time import sleep

import numpy as np
import pytest
from django.db import Error, IntegrityError, transaction

from crm.actions import gates
from crm.models import Alert, Closing, Conversation, Customer, HistoryEntry, Promise
from crm.policy import AlertKind
from recovery import actions
from recovery.actions import audits, outcomes, watching
from recovery.models import ParityAudit, ParityFinding, WatchDay
from recovery.parity import sequential, watched
from recovery.policy import FindingOrigin, FindingState, Rang
from tests.crm.stories import colleague
from tests.faults.threads import at_once
from tests.recovery.audit.test_outcomes import heard

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
CHANNELS = ("phone", "email", "chat")


def shop(days: int, *, a_day: int = 24, slow: str = "", times: float = 3.0, since: int = 0, seed: int = 1) -> None:
    """Matters of so many days from Monday on, answered within hours; on `slow`, from day `since` on, in so many times the time."""
    dice, ada, customer = random.Random(seed), colleague(), heard("email", at=MONDAY - 90 * DAY).customer
    made, ends = [], []
    for place in range(days * a_day):
        spoke = MONDAY + timedelta(minutes=1440 / a_day * place + dice.random())
        channel = dice.choice(CHANNELS)
        wait = dice.lognormvariate(0.5, 0.8) * (times if channel == slow and place >= since * a_day else 1.0)
        made.append(
            Conversation(
                customer=customer, channel=channel, state="closed", spoke_at=spoke, skill=dice.choice(["", "parcels"]),
                first_answer_at=spoke + timedelta(hours=wait) if dice.random() < 0.97 else None,
            )
        )  # fmt: skip
        ends.append(spoke + timedelta(hours=wait * 4))
    Conversation.objects.bulk_create(made)
    Promise.objects.bulk_create(
        Promise(
            conversation=matter, kind="first_response", given_by="everybody", starts_at=matter.spoke_at,
            due_at=matter.spoke_at + timedelta(hours=8), warn_at=matter.spoke_at + timedelta(hours=6),
        )
        for matter in made
    )  # fmt: skip
    Closing.objects.bulk_create(
        Closing(conversation=matter, how="closed", closed_by=ada, at=end)
        for matter, end in zip(made, ends, strict=True)
    )


def newest(metric: str = "first_response") -> dict[str, WatchDay]:
    day = WatchDay.objects.order_by("-day")[0].day
    return {row.channel: row for row in WatchDay.objects.filter(metric=metric, day=day)}


def nights(days: int, *, first: int = 1) -> None:
    for day in range(first, days + 1):
        actions.parity_sequential(MONDAY + day * DAY + timedelta(hours=5))


@pytest.mark.django_db
def test_a_night_writes_one_row_for_each_measure_and_channel_once():
    shop(3)
    assert actions.parity_sequential(MONDAY + 3 * DAY) == 3
    assert actions.parity_sequential(MONDAY + 3 * DAY + timedelta(hours=6)) == 0
    rows = WatchDay.objects.filter(day=(MONDAY + 2 * DAY).date())
    assert {(row.metric, row.channel) for row in rows} == {(m, c) for m in watched.MEASURES for c in CHANNELS}


@pytest.mark.django_db
def test_missed_nights_are_made_up_for_by_their_own_days_and_say_the_same_as_if_none_had_been_missed():
    shop(16, slow="phone")
    nights(16)
    every_night = list(WatchDay.objects.order_by("metric", "day", "channel").values())
    before = {(row["metric"], row["day"], row["channel"]): row for row in every_night}
    made = {}
    for day in sorted({row["day"] for row in every_night}):
        until = watching._midnight(day + DAY)
        matters = outcomes.read(since=watching._midnight(day - 41 * DAY), until=until, at=until)
        for measure in watched.MEASURES.values():
            rows, _rings = watching._measured(measure, matters, day)
            made |= {(row.metric, row.day, row.channel): row for row in rows}
    assert set(made) == set(before)
    for key, row in made.items():
        assert row.u == pytest.approx(before[key]["u"])
        assert row.log_e == pytest.approx(before[key]["log_e"])


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_add_a_day_once():
    shop(3, a_day=12)
    done = at_once(*[lambda: actions.add_day(MONDAY.date(), at=MONDAY + DAY)] * 2)
    assert sorted(done) == [False, True]
    assert WatchDay.objects.count() == len(watched.MEASURES) * len(CHANNELS)


@pytest.mark.django_db
def test_the_sums_of_all_nights_are_those_of_the_slices_by_the_book():
    shop(10, a_day=40)
    nights(10)
    rows = {row.day: row for row in WatchDay.objects.filter(metric="first_response", channel="phone").order_by("day")}
    u = v = 0.0
    since = MONDAY.date() - DAY
    for day, row in rows.items():
        if row.through > since and day >= MONDAY.date():
            until = watching._midnight(day + DAY)
            asked = watched.Watched(
                watched.MEASURES["first_response"], outcomes.read(since=MONDAY - 40 * DAY, until=until, at=until)
            )
            added = asked.added(watching._seconds(max(since, MONDAY.date() - DAY) + DAY), until.timestamp())
            code = list(outcomes.Channel.values).index("phone")
            u, v, since = u + added.u[code], v + added.v[code], row.through
    last = rows[max(rows)]
    assert (last.u, last.v) == (pytest.approx(u), pytest.approx(v))
    assert last.log_e == pytest.approx(float(sequential.log_e(np.array([u]), np.array([v]))[0]))


@pytest.mark.django_db
def test_where_everybody_is_treated_alike_nothing_rings():
    shop(28)
    actions.parity_sequential(MONDAY + 28 * DAY)
    assert not WatchDay.objects.exclude(rang="").exists()
    assert not ParityFinding.objects.filter(origin=FindingOrigin.ALARM).exists()


@pytest.mark.django_db
def test_a_channel_that_waits_three_times_as_long_rings_opens_a_finding_and_the_leads_are_told_R081():
    actions.parity_nightly(MONDAY)
    shop(21, slow="phone")
    nights(21)
    rung = WatchDay.objects.filter(metric="first_response", channel="phone").exclude(rang="").order_by("day")
    assert rung
    found = ParityFinding.objects.get(metric="first_response", channel="phone")
    assert found.origin == FindingOrigin.ALARM
    assert found.state == FindingState.OPEN
    assert not found.is_favoured
    assert found.effect == "hazard_ratio"
    assert found.high is not None
    assert found.value < found.high < 0.8
    assert found.rang_on == rung.reverse()[0].day
    assert Alert.objects.filter(kind=AlertKind.PARITY_FOUND, key__contains=str(found.public_id)).count() == len(rung)
    assert HistoryEntry.objects.filter(verb="parity.rang", ref=f"finding:{found.public_id}").count() == len(rung)
    assert gates.reasons()  # R071
    assert found.found_by == ParityAudit.objects.get()  # the newest look: its window shows the very matters


@pytest.mark.django_db(transaction=True)
def test_an_alarm_while_a_look_ends_the_last_finding_keeps_the_gate_closed_and_its_own_finding_open_R071(monkeypatch):
    """The look was begun before the alarm rang: it ends what it knows of, and neither opens the gate nor ends what rang since."""
    look = actions.look_now(by=colleague(), at=MONDAY)
    old = ParityFinding.objects.create(
        metric="came_back", channel="email", versus="others", is_favoured=False, effect="risk_difference", value=0.1,
        found_by=look, seen_by=look, opened_at=MONDAY,
    )  # fmt: skip
    audits.keep_gate(at=MONDAY)
    effect = sequential.hazard_ratio(-90.0, 90.0)
    rings = [watching._Ring("first_response", "phone", Rang.EVER, effect)]
    rung, keep = Event(), audits.keep_gate

    def slowly(**given):
        keep(**given)
        if not rung.is_set():
            rung.set()
            sleep(1)

    def looked():
        assert rung.wait(20)
        return actions.look_now(by=colleague(), at=MONDAY + 2 * DAY - timedelta(minutes=1))

    monkeypatch.setattr(
        watching, "_measured", lambda measure, *_: ([], rings if measure.name == "first_response" else [])
    )
    monkeypatch.setattr(audits, "keep_gate", slowly)
    monkeypatch.setattr(audits, "is_gone", lambda *_, **__: True)
    done = at_once(lambda: actions.add_day(MONDAY.date() + DAY, at=MONDAY + 2 * DAY), looked)
    assert not [each for each in done if isinstance(each, Exception)], done
    old.refresh_from_db()
    assert old.state == FindingState.VERIFIED
    assert ParityFinding.objects.get(metric="first_response").state == FindingState.OPEN
    assert gates.reasons()


@pytest.mark.django_db
def test_where_no_look_was_taken_yet_one_is_taken_first_and_the_alarm_renews_what_it_found():
    shop(21, slow="phone")
    nights(21)
    found = ParityFinding.objects.get(metric="first_response", channel="phone")
    assert found.origin == FindingOrigin.LOOK
    assert found.rang_on is not None
    assert found.effect == "time_ratio"  # a look tells its own size


@pytest.mark.django_db
def test_once_it_has_rung_the_evidence_begins_anew():
    shop(14, slow="phone", a_day=48)
    nights(14)
    rung = WatchDay.objects.filter(metric="first_response", rang=Rang.EVER).order_by("day")[0]
    after = WatchDay.objects.get(metric="first_response", channel=rung.channel, day=rung.day + DAY)
    assert after.n < rung.n
    assert after.v < rung.v


@pytest.mark.django_db
def test_who_is_fast_for_weeks_and_then_slips_rings_as_a_change():
    shop(35, slow="chat", times=2.5, since=14)
    actions.parity_sequential(MONDAY + 14 * DAY)
    nights(35, first=15)
    rung = WatchDay.objects.filter(metric="first_response", channel="chat", rang=Rang.CHANGE).order_by("day")
    ever = WatchDay.objects.filter(metric="first_response", channel="chat", rang=Rang.EVER).order_by("day")
    first = min(row.day for row in (*rung, *ever))
    assert MONDAY.date() + 14 * DAY < first <= MONDAY.date() + 35 * DAY
    before = WatchDay.objects.filter(metric="first_response", channel="chat", day=first - DAY).get()
    assert before.log_r is not None


@pytest.mark.django_db
def test_a_later_look_ends_an_alarm_by_the_same_rule_and_a_look_that_finds_it_too_renews_it():
    actions.parity_nightly(MONDAY)
    shop(21, slow="phone")
    nights(21)
    found = ParityFinding.objects.get(metric="first_response", channel="phone")
    actions.parity_nightly(MONDAY + 22 * DAY)
    found.refresh_from_db()
    assert (found.state, found.origin, found.effect) == (FindingState.OPEN, FindingOrigin.ALARM, "time_ratio")
    shift = 60 * DAY
    Closing.objects.all().delete()
    for matter in Conversation.objects.all():
        matter.spoke_at += shift
        matter.first_answer_at = matter.spoke_at + timedelta(minutes=30 + matter.pk % 60)
        matter.save(update_fields=["spoke_at", "first_answer_at"])
    actions.parity_nightly(MONDAY + 22 * DAY + shift)
    found.refresh_from_db()
    assert found.state == FindingState.VERIFIED


@pytest.mark.django_db
def test_what_is_too_small_to_matter_rings_without_a_finding():
    effect = sequential.hazard_ratio(u=30.0, v=900.0)
    assert effect.value < 1.1
    assert not watched.matters_enough(watched.MEASURES["first_response"], effect, 5.0)
    assert not watched.matters_enough(watched.MEASURES["first_response"], sequential.hazard_ratio(90.0, 90.0), 0.05)
    assert watched.matters_enough(watched.MEASURES["first_response"], sequential.hazard_ratio(90.0, 90.0), 0.5)
    few = sequential.difference(u=1.0, v=1.0, overlap=200.0)
    assert not watched.matters_enough(watched.MEASURES["response_coverage"], few, 0.0)


@pytest.mark.django_db
def test_rows_are_never_changed_and_a_day_is_there_once():
    shop(2)
    nights(2)
    with pytest.raises(Error), transaction.atomic():
        WatchDay.objects.update(rang="ever")
    row = WatchDay.objects.order_by("pk")[0]
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.django_db
def test_the_page_gets_lines_by_channel_with_where_they_ring():
    assert actions.series("first_response", days=30) == []
    shop(16, slow="phone")
    nights(16)
    together, *lines = actions.series("first_response", days=10)
    assert together.channel == ""
    assert [line.channel for line in lines] == sorted(CHANNELS)
    assert together.log_e_limit == pytest.approx(np.log(80))
    for line in (together, *lines):
        assert len(line.days) == len(line.log_e) == len(line.log_r) == len(line.rang) == 10
    assert lines[0].log_e_limit == pytest.approx(np.log(80 * 3))
    assert lines[0].log_r_limit == pytest.approx(np.log(52 * 3 * 4))
    with pytest.raises(KeyError):
        actions.series("something", days=3)


@pytest.mark.django_db
def test_where_nobody_ever_spoke_nothing_is_kept():
    assert actions.parity_sequential(MONDAY) == 0
    assert not Customer.objects.exists()
