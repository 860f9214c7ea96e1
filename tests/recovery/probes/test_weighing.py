"""Agreed test pairs as evidence: counted once, in an order that no outcome chooses; what rings opens a finding that pairs end."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from django.db import Error, IntegrityError, transaction
from django.urls import reverse

from crm.actions import gates, package_contents
from crm.models import Alert, Closing, Conversation, Customer, HistoryEntry, Interaction, User
from crm.policy import AlertKind, Direction, Role
from recovery import actions
from recovery.actions import audits, probes, weighing
from recovery.models import Case, ParityAudit, ParityFinding, ParityProbe, ProbeEvidence, ProbeSide
from recovery.parity.probes import FEWEST, MEASURES, limit
from recovery.policy import FindingOrigin, FindingState, LaterLook, is_gone
from tests.crm.stories import colleague
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)
NEVER = None


def pair(
    one: float | None,
    other: float | None,
    *,
    at: datetime = MONDAY,
    later: timedelta = DAY,
    by: User | None = None,
    channels: Sequence[str] = ("phone", "email"),
    settled: tuple[float | None, float | None] = (None, None),
) -> ParityProbe:
    """A pair told at `at` and so much later, answered (and settled) after so many hours; None: not yet."""
    planner = by or User.objects.filter(display_name="Planner").first() or colleague(Role.LEAD, name="Planner")
    probe = ParityProbe.objects.create(
        title="Guitar", facts={}, consent="Both said yes.", begins_at=at, ends_at=at + 3 * DAY, planned_by=planner,
        planned_at=at - DAY,
    )  # fmt: skip
    for channel, hours, ends, spoke_at in zip(channels, (one, other), settled, (at, at + later), strict=True):
        customer = Customer.objects.create(created_at=spoke_at)
        matter = Conversation.objects.create(
            customer=customer, channel=channel, spoke_at=spoke_at, state="closed",
            first_answer_at=None if hours is None else spoke_at + hours * HOUR,
        )  # fmt: skip
        if ends is not None:
            Closing.objects.create(conversation=matter, how="closed", closed_by=planner, at=spoke_at + ends * HOUR)
        ProbeSide.objects.create(
            probe=probe, channel=channel, kind="email", address=f"{customer.pk}@home.example", text="Broken.",
            tell_at=spoke_at, customer=customer, conversation=matter,
        )  # fmt: skip
    return probe


def slow_phone(count: int, *, at: datetime = MONDAY) -> list[ParityProbe]:
    return [pair(60.0, 2.0, at=at + place * HOUR) for place in range(count)]


def rows(metric: str = "first_response", channel: str = "phone") -> list[ProbeEvidence]:
    return list(ProbeEvidence.objects.filter(metric=metric, channel=channel).order_by("pk"))


# --- when and whether a pair counts -----------------------------------------------------------------------------------


def test_a_pair_counts_once_on_the_night_after_both_sides_are_old_enough_and_not_when_both_are_answered():
    """Or quick pairs would come first, and outcomes would choose the order."""
    pair(1.0, 2.0)
    ripe = MONDAY + DAY + 7 * DAY
    assert actions.weigh_probes(MONDAY + 3 * DAY) == 0
    assert actions.weigh_probes(ripe + HOUR) == 0  # that day is not over
    assert actions.weigh_probes(ripe + DAY) == 1
    assert actions.weigh_probes(ripe + DAY) == 0
    one, other = ProbeEvidence.objects.order_by("channel")
    assert (one.metric, one.day) == ("first_response", ripe.date())
    assert {one.channel, other.channel} == {"email", "phone"}
    assert one.difference == pytest.approx(np.log(2))
    assert other.difference == pytest.approx(-np.log(2))
    assert other.gap_hours == pytest.approx(-1)
    assert one.log_e == pytest.approx(other.log_e)
    assert actions.weigh_probes(MONDAY + 40 * DAY) == 3
    assert {row.metric for row in ProbeEvidence.objects.all()} == set(MEASURES)


def test_a_side_that_still_waits_has_waited_as_long_as_it_is_watched_whenever_the_other_was_told():
    pair(24.0, NEVER, later=5 * DAY)
    pair(NEVER, NEVER)
    pair(NEVER, 300.0)  # answered after the week in which it is watched
    actions.weigh_probes(MONDAY + 20 * DAY)
    assert sorted(row.difference or 0.0 for row in rows()) == pytest.approx([np.log(24 / 168), 0.0, 0.0])


def test_what_runs_late_says_the_same_as_what_ran_every_night():
    for place in range(6):
        pair(3.0 + place, 5.0, at=MONDAY + place * DAY, settled=(30.0 * place + 1, 40.0))
    names = ("side", "metric", "channel", "day", "difference", "gap_hours", "log_e", "rang")
    with transaction.atomic():
        actions.weigh_probes(MONDAY + 45 * DAY)
        at_once_late = list(ProbeEvidence.objects.order_by("pk").values(*names))
        transaction.set_rollback(True)
    for night in range(46):
        actions.weigh_probes(MONDAY + night * DAY)
    assert list(ProbeEvidence.objects.order_by("pk").values(*names)) == at_once_late
    assert len(at_once_late) == 6 * 4 * 2


def test_withdrawn_spoiled_and_half_told_pairs_never_count():
    planner = colleague(Role.LEAD, name="Lena")
    withdrawn = pair(60.0, 2.0)
    ParityProbe.objects.filter(pk=withdrawn.pk).update(
        state="withdrawn", words="x", ended_by=planner, ended_at=MONDAY + DAY
    )
    spoiled = pair(60.0, 2.0, by=planner)
    matter = spoiled.sides.get(channel="phone").conversation
    Interaction.objects.create(
        conversation=matter, direction=Direction.OUTBOUND, channel="phone", source="test", external_id="x", author=planner,
        text="Yes.", full_text="Yes.", spoke_at=MONDAY + HOUR, ingested_at=MONDAY + HOUR,
    )  # fmt: skip
    half = pair(60.0, 2.0)
    half.sides.filter(channel="email").update(conversation=None, customer=None)
    same = pair(60.0, 2.0)
    Conversation.objects.filter(pk=same.sides.get(channel="email").conversation_id).update(channel="phone")
    actions.weigh_probes(MONDAY + 60 * DAY)
    assert not ProbeEvidence.objects.filter(difference__isnull=False).exists()
    assert {row.side.probe_id for row in rows()} == {spoiled.pk, same.pk}  # judged once, and left out
    assert {row.log_e for row in rows()} == {0.0}


def test_the_planner_s_part_after_a_pair_was_counted_changes_nothing():
    planner = colleague(Role.LEAD, name="Lena")
    probe = pair(60.0, 2.0, by=planner)
    actions.weigh_probes(MONDAY + 10 * DAY)
    Interaction.objects.create(
        conversation=probe.sides.get(channel="phone").conversation, direction=Direction.OUTBOUND, channel="phone",
        source="test", external_id="x", author=planner, text="Yes.", full_text="Yes.", spoke_at=MONDAY + 11 * DAY,
        ingested_at=MONDAY + 11 * DAY,
    )  # fmt: skip
    actions.weigh_probes(MONDAY + 60 * DAY)
    assert rows()[0].difference is not None
    assert rows("time_to_resolution")[0].difference is None


def test_pairs_count_in_the_order_in_which_they_become_old_enough_and_what_is_named_late_comes_last():
    slow = pair(NEVER, 1.0, at=MONDAY)
    quick = pair(1.0, 1.0, at=MONDAY + 2 * DAY)
    late = pair(1.0, 1.0, at=MONDAY - 5 * DAY)
    named = late.sides.get(channel="phone")
    matter, customer = named.conversation, named.customer
    ProbeSide.objects.filter(pk=named.pk).update(conversation=None, customer=None)
    actions.weigh_probes(MONDAY + 15 * DAY)
    ProbeSide.objects.filter(pk=named.pk).update(conversation=matter, customer=customer)
    actions.weigh_probes(MONDAY + 16 * DAY)
    assert [row.side.probe_id for row in rows()] == [slow.pk, quick.pk, late.pk]
    assert [row.day for row in rows()] == sorted(row.day for row in rows())


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_count_a_pair_once():
    slow_phone(3)
    done = at_once(*[lambda: actions.weigh_probes(MONDAY + 12 * DAY)] * 2)
    assert sorted(done) == [0, 3]
    assert ProbeEvidence.objects.count() == 6


def test_rows_are_never_changed_and_are_there_once():
    pair(60.0, 2.0)
    actions.weigh_probes(MONDAY + 12 * DAY)
    with pytest.raises(Error), transaction.atomic():
        ProbeEvidence.objects.update(rang=True)
    row = rows()[0]
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


# --- severity and what was given --------------------------------------------------------------------------------------


def test_graded_milder_and_given_less_are_bets_on_a_sign():
    probe = pair(1.0, 1.0)
    for side, severity in zip(probe.sides.order_by("pk"), ("low", "high"), strict=True):
        Case.objects.create(
            conversation=side.conversation, customer=side.customer, complaint_type="damaged_item", severity=severity,
            opened_at=MONDAY,
            spoke_at=MONDAY,
        )  # fmt: skip
    actions.weigh_probes(MONDAY + 60 * DAY)
    assert [row.difference for row in rows("severity_graded_low", "phone")] == [1.0]
    assert [row.difference for row in rows("severity_graded_low", "email")] == [-1.0]
    assert [row.difference for row in rows("remedy_in_full", "email")] == [None]  # nothing was settled


# --- what rings -------------------------------------------------------------------------------------------------------


def rung_phone() -> ParityFinding:
    actions.parity_nightly(MONDAY)
    slow_phone(24)
    actions.weigh_probes(MONDAY + 12 * DAY)
    return ParityFinding.objects.get(metric="first_response", channel="phone")


def test_what_rings_opens_a_finding_told_to_the_leads_written_and_gated_R051_R071_R081():
    found = rung_phone()
    assert (found.origin, found.state, found.held_by_pairs) == (FindingOrigin.PAIRS, FindingState.OPEN, True)
    assert not found.is_favoured
    assert found.effect == "time_ratio"
    assert found.value == pytest.approx(30)
    assert found.found_by == ParityAudit.objects.get()
    rang = [row for row in rows() if row.rang]
    assert found.rang_on == rang[-1].day
    assert rang[0].log_e >= limit(14) == pytest.approx(np.log(20 * 14 * 4))
    assert Alert.objects.filter(kind=AlertKind.PARITY_FOUND, key__contains=str(found.public_id)).count() == 1
    entry = HistoryEntry.objects.get(verb="parity.rang", ref=f"finding:{found.public_id}")
    assert (entry.customer, entry.detail["rang"]) == (None, "pairs")
    assert gates.reasons()
    favoured = ParityFinding.objects.get(channel="email")
    assert favoured.is_favoured  # the same evidence, seen from the other side


def test_once_it_has_rung_the_evidence_begins_anew_and_what_goes_on_is_noted_on_the_finding():
    found = rung_phone()
    first = next(row for row in rows() if row.rang)
    after = rows()[rows().index(first) + 1]
    assert after.log_e < 1 < first.log_e
    slow_phone(24, at=MONDAY + 30 * DAY)
    actions.weigh_probes(MONDAY + 45 * DAY)
    assert ParityFinding.objects.filter(channel="phone").count() == 1
    found.refresh_from_db()
    assert found.rang_on is not None
    assert found.rang_on > first.day


def test_where_no_look_was_taken_yet_one_is_taken_first():
    slow_phone(24)
    actions.weigh_probes(MONDAY + 12 * DAY)
    assert ParityFinding.objects.get(channel="phone").found_by == ParityAudit.objects.get()


def test_what_is_too_small_to_matter_rings_in_the_rows_alone():
    for place in range(30):
        pair(0.04, 0.005, at=MONDAY + place * HOUR)  # two minutes against one
    actions.weigh_probes(MONDAY + 12 * DAY)
    assert any(row.rang for row in rows())
    assert not ParityFinding.objects.exists()


def test_pairs_that_ring_for_what_a_look_found_are_noted_on_its_finding_and_keep_looks_from_ending_it():
    actions.parity_nightly(MONDAY)
    look = ParityAudit.objects.get()
    found = ParityFinding.objects.create(
        metric="first_response", channel="phone", versus="others", is_favoured=False, effect="time_ratio", value=1.4,
        found_by=look, seen_by=look, opened_at=MONDAY,
    )  # fmt: skip
    slow_phone(24)
    actions.weigh_probes(MONDAY + 12 * DAY)
    found.refresh_from_db()
    assert (found.origin, found.held_by_pairs, found.value) == (FindingOrigin.LOOK, True, 1.4)
    actions.parity_nightly(MONDAY + 60 * DAY)
    found.refresh_from_db()
    assert found.state == FindingState.OPEN


# --- what ends it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["green", "amber", "grey"])
def test_no_look_ends_what_pairs_hold(verdict):
    later = LaterLook(verdict, MONDAY + DAY)
    assert is_gone(later, opened_at=MONDAY)
    assert not is_gone(later, opened_at=MONDAY, held_by_pairs=True)


def alike(count: int, *, at: datetime) -> None:
    dice = np.random.default_rng(5)
    for place, (one, other) in enumerate(np.exp(dice.normal(1.0, 0.9, (count, 2)))):
        pair(float(one), float(other), at=at + place * HOUR)


def test_a_later_run_of_pairs_ends_it_and_fewer_than_twenty_five_do_not_R081():
    found = rung_phone()
    alike(FEWEST - 1, at=MONDAY + 20 * DAY)
    actions.weigh_probes(MONDAY + 33 * DAY)
    found.refresh_from_db()
    assert found.held_by_pairs
    assert weighing.told_since(found).count() == FEWEST - 1
    alike(1, at=MONDAY + 40 * DAY)
    actions.parity_nightly(MONDAY + 50 * DAY)
    actions.weigh_probes(MONDAY + 50 * DAY)
    found.refresh_from_db()
    assert (found.state, found.held_by_pairs) == (FindingState.VERIFIED, False)
    assert found.ended_by == ParityAudit.objects.order_by("-pk")[0]
    gone = HistoryEntry.objects.get(verb="parity.finding_gone", ref=f"finding:{found.public_id}")
    assert gone.detail == {"pairs": FEWEST}
    assert ParityFinding.objects.get(channel="email").state == FindingState.VERIFIED
    assert not gates.reasons()


def test_pairs_told_before_it_rang_do_not_end_it():
    found = rung_phone()
    alike(30, at=MONDAY + 2 * DAY)
    actions.weigh_probes(MONDAY + 20 * DAY)
    found.refresh_from_db()
    assert found.held_by_pairs
    assert not weighing.told_since(found)


def test_later_pairs_that_still_show_it_keep_it():
    found = rung_phone()
    slow = np.random.default_rng(2)
    for place, (one, other) in enumerate(np.exp(slow.normal([[1.9, 1.0]] * FEWEST, 0.9))):
        pair(float(one), float(other), at=MONDAY + 20 * DAY + place * HOUR)
    actions.weigh_probes(MONDAY + 40 * DAY)
    found.refresh_from_db()
    assert found.held_by_pairs


def test_what_the_newest_look_shows_is_left_to_looks_when_pairs_let_go():
    found = rung_phone()
    alike(FEWEST, at=MONDAY + 20 * DAY)
    actions.parity_nightly(MONDAY + 50 * DAY)
    ParityFinding.objects.filter(pk=found.pk).update(seen_by=ParityAudit.objects.order_by("-pk")[0])
    actions.weigh_probes(MONDAY + 50 * DAY)
    found.refresh_from_db()
    assert (found.state, found.held_by_pairs) == (FindingState.OPEN, False)
    assert HistoryEntry.objects.filter(verb="parity.pairs_let_go", ref=f"finding:{found.public_id}").exists()
    actions.parity_nightly(MONDAY + 90 * DAY)
    found.refresh_from_db()
    assert found.state == FindingState.OPEN  # a comparison that is not there ends nothing


# --- who sees which they are ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sees"), [(Role.LEAD, True), (Role.AUDITOR, True), (Role.ADMINISTRATOR, False), (Role.AGENT, None)]
)
def test_the_very_pairs_are_listed_to_those_alone_who_may_know_R051(client, role, sees):
    found = rung_phone()
    page = reverse("admin:parity_finding", args=[found.public_id])
    client.force_login(colleague(role))
    shown = client.get(page)
    if sees is None:
        assert shown.status_code == 403
        return
    assert shown.status_code == 200
    text = shown.content.decode()
    numbers = [str(number) for number in ProbeSide.objects.values_list("conversation__public_id", flat=True)]
    assert any(number in text for number in numbers) is sees
    assert ("Guitar" in text) is sees
    assert "Only a later run of test pairs" in text
    assert "× 30.0" in text


def test_where_a_look_finds_nothing_its_page_says_that_pairs_do(client):
    rung_phone()
    client.force_login(colleague(Role.ADMINISTRATOR))
    shown = client.get(reverse("admin:parity")).content.decode()
    assert "2 findings of theirs stand below" in shown


def test_a_finding_of_pairs_is_answered_like_any_other():
    found = rung_phone()
    lena = colleague(Role.LEAD, name="Lena")
    audits.answer_finding(found.pk, state=FindingState.CORRECTING, words="Two more on the phone.", by=lena, at=MONDAY)
    found.refresh_from_db()
    assert found.state == FindingState.CORRECTING


def test_the_pages_draw_the_evidence_and_its_limit(client):
    assert actions.probe_series("first_response", days=30) == []
    slow_phone(40)
    actions.weigh_probes(MONDAY + 12 * DAY)
    email, phone = actions.probe_series("first_response", days=30)
    assert (email.channel, phone.channel) == ("email", "phone")
    assert phone.log_e_limit == pytest.approx(np.log(1120))
    assert "ever" in phone.rang
    assert len(phone.days) == len(phone.log_e) == len(phone.rang) == len(set(phone.days))
    client.force_login(colleague(Role.LEAD))
    shown = client.get(reverse("admin:probes") + "?metric=first_response").content.decode()
    assert "eh-limit" in shown
    assert "1120 to 1" in shown
    assert "rang on" in shown
    assert client.get(reverse("admin:probes") + "?metric=nonsense").status_code == 200
    with pytest.raises(KeyError):
        weighing.sizes("nonsense")


# --- copies of somebody's data ----------------------------------------------------------------------------------------


def copy_of(customer: Customer) -> str:
    target = io.BytesIO()
    package_contents.write(target, customer, at=MONDAY + DAY, progress=lambda done, parts: None)
    archive = zipfile.ZipFile(target)
    tables = json.loads(archive.read("data.json"))["tables"]
    assert "recovery.ProbeEvidence" not in tables  # it tells how the other tester fared
    return json.dumps(tables["recovery.ProbeSide"]) + archive.read("index.html").decode()


def test_a_copy_of_a_tester_s_data_tells_it_once_the_pair_has_ended_and_not_before_P05_P06_R051():
    """Before that it may be made and handed over by an administrator, who is not to know. Then the timeline says it too."""
    probe = pair(60.0, 2.0, settled=(70.0, 3.0))
    side = probe.sides.get(channel="phone")
    actions.weigh_probes(MONDAY + 60 * DAY)
    assert side.address not in copy_of(side.customer)
    assert "Broken." not in copy_of(side.customer)
    assert copy_of(side.customer).startswith("[]")  # as for everybody else
    probes.end(probe.pk, words="Both by phone.", by=colleague(Role.LEAD), at=MONDAY + 60 * DAY)
    assert side.address in copy_of(side.customer)
    assert "Broken." in copy_of(side.customer)


def test_a_withdrawn_pair_tells_it_in_no_copy():
    probe = pair(60.0, 2.0)
    lena = colleague(Role.LEAD)
    ParityProbe.objects.filter(pk=probe.pk).update(state="withdrawn", words="x", ended_by=lena, ended_at=MONDAY)
    assert copy_of(probe.sides.get(channel="phone").customer).startswith("[]")


def test_a_day_is_a_day_of_the_house():
    pair(1.0, 1.0)
    actions.weigh_probes(MONDAY + 60 * DAY)
    assert rows()[0].day == date(2026, 3, 10)
