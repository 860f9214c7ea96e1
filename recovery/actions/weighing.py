"""Agreed test pairs as evidence: each is counted once, at an age that is fixed beforehand; what it adds up to rings (ADR 0048).

A pair is counted for a measure on the night after both sides have been watched for as long as the measure says. So neither when it
counts nor in which order is chosen by how it ended, and a side that still waits is said to have waited that long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from crm import history
from crm.channels import Channel
from recovery import policy
from recovery.actions import audits, probes, watching
from recovery.models import ParityAudit, ParityFinding, ProbeEvidence, ProbeSide
from recovery.policy import FindingOrigin, FindingState, ProbeState

if TYPE_CHECKING:
    from recovery.actions.probes import Outcome, Pair
    from recovery.parity.effects import Estimate
    from recovery.parity.probes import PairMeasure

TIMES = {"first_response": "first_response", "time_to_resolution": "resolution"}
"""Measures that are times, and where an outcome says them."""


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    """A pair that is old enough for a measure: since when, and the night after which it counts."""

    day: date
    ripe_at: datetime
    probe: int
    metric: str


@transaction.atomic
def weigh_probes(at: datetime) -> int:
    """Count every pair that has become old enough by last midnight, ring where evidence is enough; returns how many were counted.

    A pair counts once by each measure. Safe to repeat and to run late: a pair is read as of the end of the day on which it became
    old enough, not as of when this runs.
    """
    audits.one_after_another()
    due = sorted(_due(_midnight(timezone.localdate(at, _zone()))))
    counted, newest = 0, _newest_day()
    for day, group in groupby(due, key=lambda one: one.day):
        ripe = list(group)
        found = {
            pair.probe.pk: pair
            for pair in probes.pairs_as_of({one.probe for one in ripe}, at=_midnight(day + timedelta(days=1)))
        }
        newest = max(newest, day)  # what was named late is counted late, after what is counted already
        rung: list[ProbeEvidence] = []
        for one in ripe:
            if one.probe in found:
                rung += _count(found[one.probe], one.metric, day=newest)
                counted += 1
        for row in rung:
            _ring(row, at=at)
    if counted:
        _let_go(at=at)
        audits.keep_gate(at=at)
    return counted


def _due(until: datetime) -> Iterator[_Due]:
    """What may be counted: both sides told and long enough ago, not withdrawn, and not counted yet."""
    from recovery.parity.probes import MEASURES

    told = ProbeSide.objects.filter(conversation__isnull=False).exclude(probe__state=ProbeState.WITHDRAWN)
    open_ = told.annotate(counted=Count("evidence")).filter(counted__lt=len(MEASURES))
    spoken: dict[int, list[datetime]] = {}
    for probe, spoke_at in open_.order_by("pk").values_list("probe_id", "conversation__spoke_at"):
        spoken.setdefault(probe, []).append(spoke_at)
    done = set(ProbeEvidence.objects.filter(side__probe__in=spoken).values_list("side__probe_id", "metric"))
    for probe, moments in spoken.items():
        for measure in MEASURES.values():
            ripe_at = max(moments) + timedelta(days=measure.days)
            if len(moments) == 2 and ripe_at < until and (probe, measure.name) not in done:
                yield _Due(timezone.localdate(ripe_at, _zone()), ripe_at, probe, measure.name)


def _newest_day() -> date:
    row = ProbeEvidence.objects.order_by("-pk").values_list("day", flat=True).first()
    return row if row is not None else date.min


def _count(pair: Pair, metric: str, *, day: date) -> list[ProbeEvidence]:
    """Write what a pair adds to the evidence about both its channels; returns the rows that ring."""
    from recovery.parity import probes as weighed

    measure, limit = weighed.MEASURES[metric], weighed.limit(len(Channel))
    rung = []
    for own, other in ((pair.one, pair.other), (pair.other, pair.one)):
        says = _difference(measure, pair, own, other)
        before = ProbeEvidence.objects.filter(metric=metric, channel=own.channel).order_by("-pk").first()
        log_es = weighed.NOTHING if before is None or before.rang else tuple(before.log_es)
        if says is not None:
            log_es = weighed.further(log_es, measure, says)
        found = weighed.log_e(log_es)
        row = ProbeEvidence.objects.create(
            side_id=own.side, metric=metric, channel=own.channel, day=day, began_at=min(own.spoke_at, other.spoke_at),
            difference=says, gap_hours=_gap(measure, own, other) if says is not None else None, log_es=list(log_es),
            log_e=found, rang=says is not None and found >= limit,
        )  # fmt: skip
        if row.rang:
            rung.append(row)
    return rung


def _difference(measure: PairMeasure, pair: Pair, own: Outcome, other: Outcome) -> float | None:
    """What one side had otherwise than the other, as `PairMeasure` says it; None where the pair says nothing."""
    if pair.is_spoiled or own.channel == other.channel:
        return None
    if measure.is_time:
        return policy.log_ratio(*_waited(measure, own, other))
    if measure.name == "remedy_in_full":
        if own.in_full is None or other.in_full is None:
            return None
        return float(own.in_full) - float(other.in_full)
    milder = probes.graver(other, own)
    return float((milder > 0) - (milder < 0))


def _waited(measure: PairMeasure, own: Outcome, other: Outcome) -> tuple[float, float]:
    """Hours that each side waited, at most as long as each is watched."""
    most, name = measure.days * 24.0, TIMES[measure.name]
    return min(getattr(own, name), most), min(getattr(other, name), most)


def _gap(measure: PairMeasure, own: Outcome, other: Outcome) -> float | None:
    if not measure.is_time:
        return None
    mine, theirs = _waited(measure, own, other)
    return mine - theirs


# --- what rings, and what no longer does ------------------------------------------------------------------------------


def _since_it_began(metric: str, channel: str, *, until: int) -> QuerySet[ProbeEvidence]:
    """The rows that evidence was added up from, up to the one with this key."""
    rows = ProbeEvidence.objects.filter(metric=metric, channel=channel, difference__isnull=False, pk__lte=until)
    last = ProbeEvidence.objects.filter(metric=metric, channel=channel, rang=True, pk__lt=until).order_by("-pk").first()
    return rows.filter(pk__gt=last.pk).order_by("pk") if last is not None else rows.order_by("pk")


def _sized(measure: PairMeasure, rows: Sequence[ProbeEvidence]) -> tuple[Estimate, float | None]:
    """How large the difference over these rows is, and for a time the mean gap in hours."""
    from recovery.parity import probes as weighed

    gaps = [row.gap_hours for row in rows if row.gap_hours is not None]
    return weighed.size(measure, _differences(rows)), fmean(gaps) if gaps else None


def _differences(rows: Sequence[ProbeEvidence]) -> list[float]:
    return [row.difference for row in rows if row.difference is not None]


def _ring(row: ProbeEvidence, *, at: datetime) -> None:
    """Open a finding where what rang is large enough to matter, or note on the one that stands that it rang; tell the leads."""
    from recovery.parity import probes as weighed

    measure = weighed.MEASURES[row.metric]
    effect, gap = _sized(measure, list(_since_it_began(row.metric, row.channel, until=row.pk)))
    if not weighed.matters_enough(measure, effect, gap):
        return
    if not ParityAudit.objects.exists():
        audits.parity_nightly(at)
    audits.rung(row.metric, row.channel, effect, origin=FindingOrigin.PAIRS, how="pairs", day=row.day, at=at)


def _let_go(*, at: datetime) -> None:
    """See for every finding that pairs hold whether pairs told since it rang still show it; end what nothing shows any more.

    Asked once for every further 25 pairs of the channel, over all of them: fewer find a factor of two too seldom to say that it is
    gone, and to ask after each pair would end what stands by luck. What the newest look shows is left to looks from then on.
    """
    from recovery.parity import probes as weighed

    newest = ParityAudit.objects.order_by("-pk").first()
    for found in ParityFinding.objects.select_for_update().filter(held_by_pairs=True).order_by("pk"):
        measure = weighed.MEASURES[found.metric]
        rows = list(told_since(found))
        asked = rows[: len(rows) // weighed.FEWEST * weighed.FEWEST]
        if not asked or weighed.still_shown(measure, _differences(asked), _sized(measure, asked)[1]):
            continue
        found.held_by_pairs = False
        is_seen = newest is not None and found.seen_by_id == newest.pk and found.seen_by_id != found.found_by_id
        if found.origin == FindingOrigin.PAIRS and newest is not None and not is_seen:
            found.state, found.ended_by = FindingState.VERIFIED, newest
        found.save(update_fields=["held_by_pairs", "state", "ended_by"])
        verb = "parity.finding_gone" if found.state == FindingState.VERIFIED else "parity.pairs_let_go"
        history.record(None, verb, ref=f"finding:{found.public_id}", by=None, at=at, detail={"pairs": len(asked)})


def told_since(found: ParityFinding) -> QuerySet[ProbeEvidence]:
    """Rows of pairs of which both sides were told after it last rang for this finding: what may end it."""
    rows = ProbeEvidence.objects.filter(metric=found.metric, channel=found.channel)
    last = rows.filter(rang=True).order_by("-pk").first()
    if last is None:
        return rows.none()
    after = _midnight(last.day + timedelta(days=1))
    return rows.filter(pk__gt=last.pk, began_at__gte=after, difference__isnull=False).order_by("pk")


# --- shown ------------------------------------------------------------------------------------------------------------


def behind(found: ParityFinding) -> list[ProbeEvidence]:
    """The pairs that rang last for a finding, the largest difference first; for those alone who may see which are test pairs."""
    rang = ProbeEvidence.objects.filter(metric=found.metric, channel=found.channel, rang=True).order_by("-pk").first()
    if rang is None:
        return []
    rows = _since_it_began(found.metric, found.channel, until=rang.pk).select_related(
        "side__probe", "side__conversation"
    )
    return sorted(rows, key=lambda row: -abs(row.difference or 0.0))


def sizes(metric: str) -> Mapping[str, tuple[int, Estimate]]:
    """Of every channel: how many pairs say something by this measure since the first, and how large the difference is over them."""
    from recovery.parity import probes as weighed

    rows: dict[str, list[float]] = {}
    counted = ProbeEvidence.objects.filter(metric=metric, difference__isnull=False).order_by("channel", "pk")
    for channel, difference in counted.values_list("channel", "difference"):
        if difference is not None:
            rows.setdefault(channel, []).append(difference)
    measure = weighed.MEASURES[metric]
    return {channel: (len(each), weighed.size(measure, each)) for channel, each in rows.items()}


def probe_series(metric: str, *, days: int) -> list[watching.Line]:
    """The evidence of pairs about each channel, day by day over the last so many days before the newest that counted.

    metric: a key of recovery.parity.probes.MEASURES. Of a day, where it rang what rang, else what stood after it.
    """
    from recovery.parity import probes as weighed

    newest = _newest_day()
    since = newest - timedelta(days=days) if newest > date.min else newest
    by_channel: dict[str, dict[date, ProbeEvidence]] = {}
    for row in ProbeEvidence.objects.filter(metric=metric, day__gt=since).order_by("channel", "pk"):
        days_of = by_channel.setdefault(row.channel, {})
        if row.day not in days_of or not days_of[row.day].rang:
            days_of[row.day] = row
    limit = weighed.limit(len(Channel))
    return [
        watching.Line(
            channel=channel,
            days=tuple(own),
            log_e=tuple(row.log_e for row in own.values()),
            log_r=(None,) * len(own),
            log_e_limit=limit,
            log_r_limit=None,
            rang=tuple(policy.Rang.EVER.value if row.rang else "" for row in own.values()),
        )
        for channel, own in by_channel.items()
    ]


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.EVENHAND_ZONE)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min), _zone())
