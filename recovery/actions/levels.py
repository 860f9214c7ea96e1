"""What the planner of corrections reads: who lags how much, by which causes, and whether there are hours enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import Count, Q, Sum

from crm.actions import routing
from crm.models import Conversation, Promise, RequiredSkill, User
from crm.models.sources import TYPED_IN
from crm.policy import LAG_BUDGETS, TYPED_IN_WITHIN, PromiseKind
from crm.policy.availability import Rota, shifts_between
from crm.policy.lag import CLOCKS_DIFFER_BY
from recovery.actions import audits, outcomes
from recovery.models import QueueDay
from recovery.parity.levelling import Gap, House, gap_of
from recovery.parity.shadow import Cause

if TYPE_CHECKING:
    from recovery.parity.audit import Audit

WEEK = timedelta(days=7)
JUDGED_FROM = 20
"""Fewer messages, or fewer passed over, say nothing about a cause."""
GAP_IN = "first_response"
"""The waiting that a credit can shorten."""
USUAL_PROMISE = timedelta(hours=8)
"""What is taken for the median promise while nothing was promised in the window."""


@dataclass(frozen=True, slots=True)
class Causes:
    """Shares by channel, where there is enough to say one; skills that were lacking."""

    late_in: Mapping[str, float] = field(default_factory=dict)
    uncertified: Mapping[str, float] = field(default_factory=dict)
    skills: Mapping[str, list[str]] = field(default_factory=dict)


def gaps(*, since: datetime, until: datetime, at: datetime) -> dict[str, Gap]:
    """How much longer the customers of each channel waited for a first answer than like ones of all others, as of a moment.

    The same comparison as the audit's own; a channel of which nothing can be said is not there.
    """
    compared: Audit | None = audits.compare(outcomes.read(since=since, until=until, at=at))[0]
    lines = [line for line in compared.overall if line.metric == GAP_IN] if compared is not None else []
    return {line.channel: gap for line in lines if (gap := gap_of(line)) is not None}


def causes(*, since: datetime, until: datetime) -> Causes:
    """Why a channel may lag: what reaches us too late, and what was passed over for want of a certificate."""
    return Causes(_late_in(since, until), _uncertified(since, until), _skills(since, until))


_LATE = """
SELECT channel, count(*), count(*) FILTER (WHERE ingested_at - spoke_at > greatest(
  CASE WHEN left(source, %(prefix_length)s) = %(prefix)s THEN %(typed)s::interval ELSE budget.within END, %(clocks)s::interval))
FROM crm_interaction JOIN unnest(%(channels)s::text[], %(budgets)s::interval[]) AS budget(name, within) ON budget.name = channel
WHERE direction = 'in' AND NOT imported AND spoke_at >= %(since)s AND spoke_at < %(until)s
GROUP BY channel
"""


def _late_in(since: datetime, until: datetime) -> dict[str, float]:
    values: dict[str, Any] = {
        "since": since, "until": until, "prefix": TYPED_IN, "prefix_length": len(TYPED_IN), "typed": TYPED_IN_WITHIN,
        "clocks": CLOCKS_DIFFER_BY, "channels": list(LAG_BUDGETS), "budgets": list(LAG_BUDGETS.values()),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_LATE, values)
        return {channel: late / number for channel, number, late in cursor.fetchall() if number >= JUDGED_FROM}


def _uncertified(since: datetime, until: datetime) -> dict[str, float]:
    """Of the pairs in which a matter of a channel was passed over: the share for want of a certificate, from the nights' looks."""
    passed: dict[str, int] = defaultdict(int)
    lacking: dict[str, int] = defaultdict(int)
    for rows in QueueDay.objects.filter(day__gte=since.date(), day__lt=until.date()).values_list("counts", flat=True):
        for row in rows:
            passed[row["passed"]] += row["number"]
            lacking[row["passed"]] += row["number"] if row["cause"] == Cause.CERTIFICATE else 0
    return {channel: lacking[channel] / number for channel, number in passed.items() if number >= JUDGED_FROM}


def _skills(since: datetime, until: datetime) -> dict[str, list[str]]:
    asked = Conversation.objects.filter(
        spoke_at__gte=since, spoke_at__lt=until, skill__in=RequiredSkill.objects.values("skill")
    )
    found: dict[str, list[str]] = defaultdict(list)
    for channel, skill in asked.order_by("channel", "skill").values_list("channel", "skill").distinct():
        found[channel].append(skill)
    return dict(found)


def house(*, since: datetime, until: datetime, at: datetime) -> House:
    """What is promised and kept in a window, and the hours of work that come in a week against those of the week to come."""
    promises = Promise.objects.filter(kind=PromiseKind.FIRST_RESPONSE, due_at__gte=since, due_at__lt=until)
    count = promises.aggregate(all=Count("pk"), late=Count("pk", filter=Q(breached_at__isnull=False)))
    return House(
        promised=_median_promise(since, until),
        late=count["late"] / count["all"] if count["all"] else 0.0,
        offered=_offered(since, until),
        capacity=_capacity(at),
    )


def _median_promise(since: datetime, until: datetime) -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY within_seconds) FROM crm_promise"
            " WHERE kind = 'first_response' AND within_seconds IS NOT NULL AND starts_at >= %s AND starts_at < %s",
            [since, until],
        )
        (median,) = cursor.fetchone() or (None,)
    return float(median or USUAL_PROMISE.total_seconds()) / 60


_BUSY = """
SELECT count(*), sum(answered), sum(extract(epoch FROM (
  SELECT sum(upper(span) - lower(span)) FROM unnest(spans) AS span)))
FROM (
  SELECT by_id, count(*) AS answered, range_agg(tstzrange(at, finished_at)) AS spans FROM crm_pull
  WHERE finished_how = 'answered' AND finished_at > at AND finished_at >= %s AND finished_at < %s GROUP BY by_id
) person
"""


def _offered(since: datetime, until: datetime) -> float | None:
    """Hours of work that come in a week: what reaches us, times what answering one takes of a colleague; None while unknown.

    Who works on several at once is busy once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BUSY, [since, until])
        people, answered, seconds = cursor.fetchone() or (0, 0, 0)
    days = QueueDay.objects.filter(day__gte=since.date(), day__lt=until.date())
    came = days.aggregate(days=Count("pk"), arrivals=Sum("arrivals"))
    if not people or answered < JUDGED_FROM or came["days"] < WEEK.days:
        return None
    each = float(seconds) / float(answered) / 3600
    return float(came["arrivals"]) / float(came["days"]) * WEEK.days * each


def _capacity(at: datetime) -> float | None:
    """Hours that colleagues have for customers in the week from `at` on; None where somebody's shifts are not entered."""
    people = list(User.objects.filter(is_active=True, takes_conversations=True).order_by("pk"))
    rotas = routing.rotas(people, at=at)
    if not people or any(not rotas[person.pk].shifts for person in people):
        return None
    return float(sum(_hours(rotas[each.pk], at, at + WEEK) * each.customer_service_share / 100 for each in people))


def _hours(rota: Rota, since: datetime, until: datetime) -> float:
    there = [(max(begins, since), min(ends, until)) for begins, ends in shifts_between(rota, since, until)]
    away = [(each.starts_at, each.ends_at) for each in rota.away]
    return sum((_length(span) - _lost(span, away)).total_seconds() / 3600 for span in there)


def _lost(span: tuple[datetime, datetime], away: Iterable[tuple[datetime, datetime]]) -> timedelta:
    lost = sum((_length((max(span[0], begins), min(span[1], ends))) for begins, ends in away), timedelta(0))
    return min(lost, _length(span))


def _length(span: tuple[datetime, datetime]) -> timedelta:
    return max(timedelta(0), span[1] - span[0])
