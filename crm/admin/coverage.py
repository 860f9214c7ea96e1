"""Response coverage: what was answered of what needed an answer, by channel, hour, language and account; as page and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max, Min, Q
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import get_language_info
from django.utils.translation import gettext as _

from crm.actions import listening_places, sources
from crm.admin import pages, words
from crm.channels import PUBLIC, Channel
from crm.models import PostJudgement, PublicPost
from crm.models.posts import PublicPostQuerySet
from crm.policy import SecondLook

DAYS = 90
FEW = 10
"""Below so many answerable posts a share says little; it is shown pale."""
REMINDER = 42
"""Per cent of complaints in public that companies answered when this was first asked (R033); a line in the chart."""
ROWS_AT_MOST = 200
GAPS_AT_MOST = 50
COUNTS = ("posts", "answered", "unanswered", "not_answerable", "in_time", "unjudged", "imports")
CELL, CELL_HEIGHT, LABEL_WIDTH, HEAD = 30, 26, 130, 18
TONES = ((60, "late"), (85, "soon"), (97, "busy"))


@dataclass(slots=True)
class Coverage:
    """How many that needed an answer had one. counts: what is added up from rows, by name."""

    counts: ClassVar[tuple[str, ...]]
    answered: int = 0
    unanswered: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        for name in self.counts:
            setattr(self, name, getattr(self, name) + row[name])

    @property
    def answerable(self) -> int:
        return self.answered + self.unanswered

    @property
    def share(self) -> float | None:
        """Response coverage in per cent; None where nothing needed an answer."""
        return 100 * self.answered / self.answerable if self.answerable else None

    @property
    def is_few(self) -> bool:
        return self.answerable < FEW

    @property
    def tone(self) -> str:
        share = self.share
        if share is None:
            return "none"
        return next((tone for below, tone in TONES if share < below), "good")


@dataclass(slots=True)
class Line(Coverage):
    """What posts of one kind count for; within: seconds until half and nine of ten of the answered had their answer."""

    counts = COUNTS
    posts: int = 0
    not_answerable: int = 0
    in_time: int = 0
    unjudged: int = 0
    imports: int = 0
    label: str = ""
    within: Sequence[float] | None = None

    @property
    def half_minutes(self) -> float | None:
        return self.within[0] / 60 if self.within else None

    @property
    def nine_of_ten_minutes(self) -> float | None:
        return self.within[1] / 60 if self.within else None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page was asked for. first, last: days in the shop's zone, both counted."""

    first: date
    last: date
    count: str = "first"
    origin: str = "all"
    by: str = "channel"
    refused: str = ""

    def words(self, **changes: str) -> str:
        """The same question as the end of an address."""
        asked = {
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "count": self.count,
            "origin": self.origin,
            "by": self.by,
        }
        return urlencode({**asked, **changes})


@dataclass(slots=True)
class Report:
    """Everything that was counted for one question."""

    total: Line = field(default_factory=Line)
    by: dict[str, dict[Any, Line]] = field(default_factory=dict)
    heat: dict[tuple[str, int], Line] = field(default_factory=dict)


DIMENSIONS = ("channel", "hour", "language", "account")


def shop_zone() -> ZoneInfo:
    """The clock that hours and days are told by, the same for everybody who looks."""
    return ZoneInfo(settings.EVENHAND_ZONE)


def read(request: HttpRequest, *, at: datetime) -> Asked:
    """Read what is asked for; what cannot be read is refused in words, and the usual is shown."""
    today = at.astimezone(shop_zone()).date()
    first, last, refused = today - timedelta(days=DAYS - 1), today, ""
    try:
        stated = [date.fromisoformat(request.GET[name]) if request.GET.get(name) else None for name in ("from", "to")]
        if stated[0] is not None or stated[1] is not None:
            last = stated[1] or today
            first = stated[0] or last - timedelta(days=DAYS - 1)
        _moments(first, last)
    except (ValueError, OverflowError):
        refused = _("These days cannot be read; please give them as 2026-03-31. The last 90 days are shown.")
    if not refused and first > last:
        refused = _("The period ends before it begins. The last 90 days are shown.")
    if refused:
        first, last = today - timedelta(days=DAYS - 1), today
    by, origin = request.GET.get("by", ""), request.GET.get("origin", "")
    return Asked(
        first=first,
        last=last,
        count="every" if request.GET.get("count") == "every" else "first",
        origin=origin if origin in ("live", "imported") else "all",
        by=by if by in DIMENSIONS else "channel",
        refused=refused,
    )


def _moments(first: date, last: date) -> tuple[datetime, datetime]:
    zone = shop_zone()
    since, until = (datetime.combine(day, time.min, tzinfo=zone) for day in (first, last + timedelta(days=1)))
    return since.astimezone(UTC), until.astimezone(UTC)


def posts_of(asked: Asked) -> PublicPostQuerySet:
    """The posts that are asked about."""
    found = PublicPost.objects.said_between(*_moments(asked.first, asked.last))
    if asked.count == "first":
        found = found.filter(is_first=True)
    return found if asked.origin == "all" else found.filter(imported=asked.origin == "imported")


def report(asked: Asked, *, at: datetime, waits_by: Iterable[str]) -> Report:
    """Count everything asked for: one statement for all counts, one more for the waits of each of `waits_by` and of all."""
    with transaction.atomic(), connection.cursor() as cursor:
        # The database takes the hours of posts for as many groups as there are posts, and would sort them all, on disk.
        cursor.execute(
            "SELECT set_config('enable_sort', 'off', true), set_config('work_mem', '64MB', true), set_config('jit', 'off', true)"
        )
        return _report(asked, at=at, waits_by=waits_by)


def _report(asked: Asked, *, at: datetime, waits_by: Iterable[str]) -> Report:
    posts, zone = posts_of(asked), shop_zone()
    found = Report(by={name: {} for name in DIMENSIONS})
    for row in posts.counted(*DIMENSIONS, at=at, zone=zone):
        found.total.add(row)
        for name in DIMENSIONS:
            found.by[name].setdefault(row[name], Line(label=label(name, row[name]))).add(row)
        found.heat.setdefault((row["channel"], row["hour"]), Line()).add(row)
    for row in posts.waits(at=at, zone=zone):
        found.total.within = row["within"]
    for name in waits_by:
        for row in posts.waits(name, at=at, zone=zone):
            if row[name] in found.by[name]:  # a post may have come between the two statements
                found.by[name][row[name]].within = row["within"]
    return found


def label(name: str, value: Any) -> str:
    """What a value of a dimension is called."""
    if name == "channel":
        return str(Channel(value).label)
    if name == "hour":
        return f"{value:02}:00–{value:02}:59"
    if name == "language" and value:
        try:
            return str(get_language_info(value)["name_translated"])
        except KeyError:
            return str(value)
    return str(value) or _("not known")


def ordered(name: str, lines: Mapping[Any, Line]) -> list[Line]:
    """The lines of a dimension as they are read: hours in their order, everything else the largest first."""
    if name == "hour":
        return [lines[hour] for hour in sorted(lines)]
    return sorted(lines.values(), key=lambda line: (-line.answerable, -line.posts, line.label))


# --- the page ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the chart: a channel in an hour of the day."""

    line: Line
    x: int
    said: str

    @property
    def text_x(self) -> int:
        return self.x + (CELL - 2) // 2


@dataclass(frozen=True, slots=True)
class Row:
    line: Line
    y: int
    cells: list[Cell]

    @property
    def text_y(self) -> int:
        return self.y + CELL_HEIGHT // 2 + 3


def chart(found: Report) -> dict[str, Any]:
    """The squares of channel × hour, measured in the chart's own units."""
    channels = sorted(found.by["channel"], key=lambda name: (-found.by["channel"][name].posts, name))
    rows = []
    for place, channel in enumerate(channels):
        cells = []
        for hour in range(24):
            line = found.heat.get((channel, hour))
            if line is not None:
                cells.append(Cell(line, LABEL_WIDTH + hour * CELL, _said(found.by["channel"][channel], hour, line)))
        rows.append(Row(found.by["channel"][channel], HEAD + place * CELL_HEIGHT, cells))
    return {
        "rows": rows,
        "hours": [(f"{hour:02}", LABEL_WIDTH + hour * CELL + CELL // 2) for hour in range(24)],
        "width": LABEL_WIDTH + 24 * CELL,
        "height": HEAD + len(rows) * CELL_HEIGHT,
        "cell": CELL - 2,
        "cell_height": CELL_HEIGHT - 2,
    }


def _said(channel: Line, hour: int, line: Line) -> str:
    where = f"{channel.label}, {label('hour', hour)}"
    if line.share is None:
        return _("%(where)s: nothing needed an answer") % {"where": where}
    return _("%(where)s: %(answered)d of %(answerable)d answered") % {
        "where": where,
        "answered": line.answered,
        "answerable": line.answerable,
    }


def unheard(since: datetime, until: datetime, *, at: datetime) -> list[dict[str, Any]]:
    """The times in which a source of public posts gave us nothing, or nobody listened at a place; newest first.

    What was said meanwhile is counted once it reaches us, from when it was said; what never does is in no share.
    """
    outages = sources.gaps(since=since, until=until).filter(source__channel__in=PUBLIC)[:GAPS_AT_MOST]
    deaf = listening_places.gaps(since=since, until=until).filter(place__channel__in=PUBLIC)[:GAPS_AT_MOST]
    names = sources.in_words([gap.source.name for gap in outages])
    found = [
        (gap, names[gap.source.name], gap.source.get_channel_display(), gap.get_because_display()) for gap in outages
    ] + [(gap, gap.place.name, gap.place.get_channel_display(), _("nobody listened there")) for gap in deaf]
    return [
        {
            "gap": gap,
            "name": name,
            "channel": channel,
            "why": why,
            "length": words.duration((gap.ended_at or at) - gap.began_at),
        }
        for gap, name, channel, why in sorted(found, key=lambda one: one[0].began_at, reverse=True)
    ]


@pages.page("crm.view_publicpost", methods=["GET"])
def coverage(request: HttpRequest) -> HttpResponse:
    """Response coverage of a period; a fixed number of statements."""
    at = timezone.now()
    asked = read(request, at=at)
    found = report(asked, at=at, waits_by=[asked.by])
    since, until = _moments(asked.first, asked.last)
    looked = PostJudgement.objects.filter(audited_at__gte=since, audited_at__lt=until).aggregate(
        all=Count("pk"), wrong=Count("pk", filter=Q(second_look=SecondLook.WRONG))
    )
    ends = PublicPost.objects.aggregate(oldest=Min("spoke_at"), newest=Max("spoke_at"))
    everything = None
    if ends["oldest"] is not None:
        days = [ends[name].astimezone(shop_zone()).date().isoformat() for name in ("oldest", "newest")]
        everything = asked.words(**dict(zip(("from", "to"), days, strict=True)))
    for name, called in sources.in_words(found.by["account"]).items() if asked.by == "account" else ():
        found.by["account"][name].label = called or label("account", name)
    lines = ordered(asked.by, found.by[asked.by])
    tabs = {"channel": _("By channel"), "hour": _("By hour"), "language": _("By language"), "account": _("By account")}
    return pages.render(
        request,
        "admin/desk/coverage.html",
        _("Response coverage"),
        asked=asked,
        total=found.total,
        chart=chart(found),
        lines=lines[:ROWS_AT_MOST],
        left_out=max(len(lines) - ROWS_AT_MOST, 0),
        tabs=[(asked.words(by=name), words, name == asked.by) for name, words in tabs.items()],
        heading={
            "channel": _("Channel"),
            "hour": _("Hour"),
            "language": _("Language"),
            "account": _("Account of ours"),
        }[asked.by],
        counts=[("first", _("what began a matter")), ("every", _("every post"))],
        origins=[
            ("all", _("all of it")),
            ("live", _("without history from files")),
            ("imported", _("only history from files")),
        ],
        everything=everything,
        newest=ends["newest"],
        looked=looked,
        unheard=unheard(since, until, at=at),
        zone=settings.EVENHAND_ZONE,
        few=FEW,
        reminder=REMINDER,
        csv=asked.words(),
        status=400 if asked.refused else 200,
    )


# --- the file ---------------------------------------------------------------------------------------------------------

COLUMNS = (
    "by", "value", "hour", "posts", "judged_not_answerable", "still_in_time", "answerable", "answered", "unanswered", "unjudged",
    "coverage", "first_response_half_within_minutes", "first_response_nine_of_ten_within_minutes",
)  # fmt: skip


@pages.page("crm.view_publicpost", methods=["GET"])
def coverage_file(request: HttpRequest) -> HttpResponse:
    """The same as a CSV file: everything, then by channel, hour, language and account, then each channel by hour."""
    at = timezone.now()
    asked = read(request, at=at)
    if asked.refused:
        return HttpResponse(
            f"unreadable_period: {asked.refused}\n", content_type="text/plain; charset=utf-8", status=400
        )
    found = report(asked, at=at, waits_by=DIMENSIONS)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"response-coverage-{asked.first.isoformat()}-{asked.last.isoformat()}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    file = csv.writer(response)
    file.writerow(COLUMNS)
    file.writerow(_cells("all", "", "", found.total))
    for dimension in DIMENSIONS:
        for value, line in sorted(found.by[dimension].items()):
            file.writerow(_cells(dimension, value, "", line))
    for (channel, hour), line in sorted(found.heat.items()):
        file.writerow(_cells("channel_and_hour", channel, hour, line))
    return response


def _cells(by: str, value: Any, hour: Any, line: Line) -> list[Any]:
    return [
        by, _harmless(value), hour, line.posts, line.not_answerable, line.in_time, line.answerable, line.answered,
        line.unanswered, line.unjudged,
        "" if line.share is None else f"{line.share / 100:.4f}",
        "" if line.half_minutes is None else f"{line.half_minutes:.2f}",
        "" if line.nine_of_ten_minutes is None else f"{line.nine_of_ten_minutes:.2f}",
    ]  # fmt: skip


def _harmless(value: Any) -> Any:
    """A name that a spreadsheet takes for words and never for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


urlpatterns: list[URLPattern] = [
    path("coverage/", coverage, name="coverage"),
    path("coverage.csv", coverage_file, name="coverage_file"),
]
