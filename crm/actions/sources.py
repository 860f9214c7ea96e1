"""Watching how late messages reach us, source by source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import (
    Aggregate,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Max,
    Min,
    Q,
    QuerySet,
    TextField,
)  # fmt: skip
from django.db.models.functions import Cast, Right
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, channel_accounts, forms, mailboxes
from crm.channels import Channel
from crm.models import (
    Alert,
    CallEvent,
    ChannelAccount,
    Feed,
    Interaction,
    Mailbox,
    Source,
    SourceGap,
    User,
    WebForm,
)
from crm.models.sources import LateBecause
from crm.policy import AlertKind, CallEventKind, Direction, Lag, Role, gap_began, why_late

REVIEWS_OF = "reviews:"
"""What the source of a review site's export begins with; the site follows."""

MEASURED_OVER = timedelta(hours=1)


class _Percentile(Aggregate):
    """The value below which a share of the rows lies (SQL:2003 percentile_cont)."""

    template = "percentile_cont(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = DurationField()


@transaction.atomic
def watch_ingest_lag(at: datetime) -> int:
    """Measure the last hour of every source against its budget, and tell leads and administrators once when one is late.

    Sources that are new are written down. An incident ends by itself when its source is well again. Returns how many are late.
    """
    heard, waited_for = _heard(at), _waited_for(at)
    Source.objects.bulk_create(
        [Source(name=name, channel=channel) for name, channel in {**heard, **waited_for}], ignore_conflicts=True
    )
    sources = list(Source.objects.select_for_update().order_by("id"))
    late: list[Source] = []
    gaps: list[SourceGap] = []
    for source in sources:
        lag, last_at = heard.get((source.name, source.channel), (Lag(0, None, None), None))
        source.heard_count, source.lag_middle, source.lag_slowest = lag.count, lag.middle, lag.slowest_twentieth
        fares = waited_for.get((source.name, source.channel), _Fares())
        moments = (source.last_good_at, last_at, fares.last_good_at)
        source.last_good_at = max((moment for moment in moments if moment), default=None)
        source.watched_at = at
        because = why_late(
            lag,
            budget=source.budget,
            last_good_at=source.last_good_at,
            expected_every=source.expected_every if fares.is_active else None,
            failing_for=fares.failing_for,
            at=at,
        )
        began_at = gap_began(because, last_good_at=source.last_good_at, failing_since=fares.failing_since, at=at)
        if began_at is not None:
            gaps.append(SourceGap(source=source, began_at=began_at, because=because, seen_at=at))
        if because and source.late_since is None:
            source.late_since = at
            if because != LateBecause.FAILING or not fares.is_told:
                late.append(source)
            _record(source, "source.late", at=at, detail={"because": because})
        elif not because and source.late_since is not None:
            _record(source, "source.well_again", at=at, detail={"since": source.late_since.isoformat()})
            source.late_since = None
        source.late_because = because
    Source.objects.bulk_update(
        sources,
        ["heard_count", "lag_middle", "lag_slowest", "last_good_at", "watched_at", "late_since", "late_because"],
    )
    _keep_gaps(gaps, {source.pk: source for source in sources}, at=at)
    alerts.write(_told(late, at=at))
    return sum(source.late_since is not None for source in sources)


def polled(name: str, *, channel: str, at: datetime, expected_every: timedelta | None = None) -> None:
    """Note that a source was asked and answered well, whether or not it had anything new.

    expected_every: how often at least that must happen, where nobody has said so yet.
    """
    source, _new = Source.objects.update_or_create(name=name, channel=channel, defaults={"last_good_at": at})
    SourceGap.objects.filter(source=source, ended_at=None, began_at__lte=at).update(ended_at=at)
    if expected_every is not None and source.expected_every is None:
        Source.objects.filter(pk=source.pk, expected_every=None).update(expected_every=expected_every)


def quiet(name: str, *, channel: str) -> None:
    """Note that nothing is expected of a source any more."""
    Source.objects.filter(name=name, channel=channel).update(expected_every=None)


@transaction.atomic
def expect(source_id: int, *, every: timedelta | None, by: User, at: datetime) -> Source:
    """Say how often at least a source must be heard of; None lets it be quiet. Raises Source.DoesNotExist."""
    source = Source.objects.select_for_update().get(pk=source_id)
    before, source.expected_every = source.expected_every, every
    source.save(update_fields=["expected_every"])
    seconds = [None if one is None else int(one.total_seconds()) for one in (before, every)]
    _record(source, "source.expected", at=at, by=by, detail={"before": seconds[0], "seconds": seconds[1]})
    return source


def gaps(*, since: datetime, until: datetime) -> QuerySet[SourceGap]:
    """The outages that touch a time, newest first; what an audit of that time has to know. until: exclusive."""
    touches = Q(ended_at=None) | Q(ended_at__gt=since)
    return SourceGap.objects.filter(touches, began_at__lt=until).select_related("source").order_by("-began_at", "-id")


@dataclass(frozen=True, slots=True)
class _Fares:
    """How our account at a provider fares, beside what it brought. failing_for: to its newest failure. is_told: the leads hear
    of that already.
    """

    is_active: bool = True
    last_good_at: datetime | None = None
    failing_since: datetime | None = None
    failing_for: timedelta | None = None
    is_told: bool = False


def _waited_for(at: datetime) -> dict[tuple[str, str], _Fares]:
    """Every account by which something can come, by source and channel, heard of or not; two statements."""
    found = {}
    for account in ChannelAccount.objects.order_by("pk"):
        fares = _Fares(account.is_active, account.last_good_at, is_told=account.is_asked)
        if account.is_active and account.failing_since and account.error_at:
            newest = at if account.is_asked else account.error_at
            fares = replace(fares, failing_since=account.failing_since, failing_for=newest - account.failing_since)
        found[account.source, account.channel] = fares
    for mailbox in Mailbox.objects.filter(failing_since__isnull=False, is_active=True).order_by("pk"):
        failing_for = at - (mailbox.failing_since or at)
        name = mailboxes.source_of(mailbox.address)
        found[name, Channel.EMAIL] = _Fares(
            True, mailbox.last_good_at, mailbox.failing_since, failing_for, is_told=True
        )
    return found


def _keep_gaps(seen: list[SourceGap], sources: dict[int, Source], *, at: datetime) -> None:
    """Write down gaps that were not known, and end those that are over by the first that was heard after they began."""
    lasting = {gap.source_id for gap in seen}
    for gap in SourceGap.objects.filter(ended_at=None).exclude(source__in=lasting).order_by("id"):
        heard_at = _first_heard(sources[gap.source_id], after=gap.began_at)
        gap.ended_at = heard_at or max(sources[gap.source_id].last_good_at or at, gap.began_at)
        if gap.ended_at == gap.began_at:  # nothing is expected of it any more
            gap.ended_at = at
        gap.save(update_fields=["ended_at"])
    SourceGap.objects.bulk_create(seen, ignore_conflicts=True)


def _first_heard(source: Source, *, after: datetime) -> datetime | None:
    said = Interaction.objects.filter(source=source.name, direction=Direction.INBOUND, ingested_at__gt=after)
    rang = CallEvent.objects.filter(source=source.name, received_at__gt=after)
    moments = (
        said.aggregate(first=Min("ingested_at"))["first"],
        rang.aggregate(first=Min("received_at"))["first"],
    )
    return min((moment for moment in moments if moment), default=None)


def _heard(at: datetime) -> dict[tuple[str, str], tuple[Lag, datetime | None]]:
    """What the last hour brought: by source and channel, the lag and when it was last heard of. Two statements.

    A phone system is measured by its rings, which exist whether or not a call became an interaction.
    """
    since = at - MEASURED_OVER
    said = Interaction.objects.filter(
        direction=Direction.INBOUND, imported=False, ingested_at__gt=since, ingested_at__lte=at
    )
    rings = CallEvent.objects.filter(kind=CallEventKind.RANG, received_at__gt=since, received_at__lte=at)
    return {
        **_measured(said, "source", "channel", began="spoke_at", arrived="ingested_at"),
        **_measured(rings, "source", "call__channel", began="at", arrived="received_at"),
    }


def _measured(
    rows: Any, source: str, channel: str, *, began: str, arrived: str
) -> dict[tuple[str, str], tuple[Lag, datetime | None]]:
    lag = ExpressionWrapper(F(arrived) - F(began), DurationField())
    found = (
        rows.values_list(source, channel)
        .order_by(source, channel)
        .annotate(
            count=Count("pk"),
            middle=_Percentile(lag, share=0.5),
            slowest=_Percentile(lag, share=0.95),
            last_at=Max(arrived),
        )
    )
    return {(name, medium): (Lag(count, middle, slow), last) for name, medium, count, middle, slow, last in found}


def _told(late: Sequence[Source], *, at: datetime) -> list[Alert]:
    """One alert for every lead together and one for each administrator, once per incident of a source.

    A source is called what people named it when they set it up, else by its id: what stands in the source itself may be a sender's.
    """
    if not late:
        return []
    names = _set_up([source.name for source in late])
    people = User.objects.filter(is_active=True, groups__name=Role.ADMINISTRATOR.value).order_by("pk")
    return [
        alerts.told(
            AlertKind.SOURCE_LATE,
            key=f"{source.public_id}:{at.isoformat()}:{person.pk if person else 'leads'}",
            at=at,
            to=person,
            detail={
                "source": str(source.public_id),
                "name": names.get(source.name) or str(source.public_id),
                "channel": source.channel,
                "because": source.late_because,
            },
        )
        for source in late
        for person in (None, *people)
    ]


def _record(source: Source, verb: str, *, at: datetime, detail: dict[str, Any], by: User | None = None) -> None:
    history.record(None, verb, ref=f"source:{source.public_id}", by=by, at=at, detail=detail)


# --- what people call them --------------------------------------------------------------------------------------------


def in_words(names: Iterable[str]) -> dict[str, str]:
    """What people call these sources, by source: the name of an account, a feed, a form or a mailbox; at most four statements."""
    asked = list(dict.fromkeys(names))
    told = _set_up(asked)
    written = {"desk:captured": _("noted by colleagues"), forms.source_of(None): _("our own contact page")}
    return {name: told.get(name) or written.get(name) or _site_of(name) or name for name in asked}


def _site_of(name: str) -> str:
    """The site of what a review site's export brought; "" of every other source."""
    return name.removeprefix(REVIEWS_OF) if name.startswith(REVIEWS_OF) else ""


def _set_up(asked: list[str]) -> dict[str, str]:
    """The names of those of these sources that people have set up."""
    told = {name: account.name for name, account in channel_accounts.of_sources(asked).items()}
    marks = {name.rpartition("/")[2]: name for name in asked if name.startswith("feed:")}
    if marks:
        found = Feed.objects.annotate(mark=Right(Cast("public_id", TextField()), 10)).filter(mark__in=marks)
        told |= {marks[mark]: name for mark, name in found.order_by("pk").values_list("mark", "name")}
    own = forms.source_of(None)
    ids = [name.removeprefix(f"{own}:") for name in asked if name.startswith(f"{own}:")]
    if ids:
        told |= {forms.source_of(form): form.name for form in WebForm.objects.filter(public_id__in=ids).order_by("pk")}
    addresses = [name.removeprefix("mail:") for name in asked if name.startswith("mail:")]
    if addresses:
        found_mail = Mailbox.objects.filter(address__in=addresses).order_by("pk").values_list("address", flat=True)
        told |= {mailboxes.source_of(address): address for address in found_mail}
    return told
