"""Service calendars: which one counts, and publishing a new version. A version is never changed; a new one follows it."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.models import CalendarDay, Customer, ServiceCalendar, User
from crm.models.calendars import DaySource
from crm.policy import ALWAYS, Calendar, UnusableCalendar
from crm.policy.calendars import Window, after, without

STARTS_AFTER = timedelta(minutes=10)
"""How long before it counts a version is published; processes may keep for a minute what they have read."""
KEPT_FOR = 60.0
YEARS_AHEAD = 4
EXTENDED_WITHIN = timedelta(days=400)
LARGEST_FILE = 1_000_000
MOST_EVENTS = 5_000
TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})


class StartsTooSoon(ValueError):
    """A version that would count from a moment that has passed or is too near."""

    code = "starts_too_soon"


class NoSuchRegion(ValueError):
    """A region that has no calendar."""

    code = "no_such_region"


# --- which one counts -------------------------------------------------------------------------------------------------


class _Known:
    """The versions this process has read, by region, newest first; read again after a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[str, list[tuple[datetime, Calendar]]] = {}
        self._read_at = -KEPT_FOR

    def versions(self) -> dict[str, list[tuple[datetime, Calendar]]]:
        if clock.monotonic() - self._read_at >= KEPT_FOR:
            with self._lock:
                if clock.monotonic() - self._read_at >= KEPT_FOR:
                    self._read()
        return self._versions

    def _read(self) -> None:
        standing = {calendar.number: calendar for versions in self._versions.values() for _since, calendar in versions}
        found: dict[str, list[tuple[datetime, Calendar]]] = {}
        new = ServiceCalendar.objects.exclude(pk__in=[number for number in standing if number]).prefetch_related("days")
        read = {version.pk: version.as_calendar() for version in new} | standing
        for number, region, since in ServiceCalendar.objects.newest_first().values_list(
            "pk", "region", "effective_from"
        ):
            if number in read:
                found.setdefault(region, []).append((since, read[number]))
        self._versions, self._read_at = found, clock.monotonic()

    def hold_none(self) -> None:
        """Begin as in a database without any calendar."""
        self._versions, self._read_at = {}, clock.monotonic()

    def forget(self) -> None:
        self._read_at = -KEPT_FOR


_known = _Known()
forget = _known.forget
hold_none = _known.hold_none


def in_force(region: str, at: datetime) -> Calendar:
    """The calendar by which a customer of this region is promised something from `at` (aware) on.

    A region without a calendar of its own has the one for everywhere; where there is none either, all day, every day.
    """
    versions = _known.versions()
    for name in (region, ""):
        for since, calendar in versions.get(name, ()):
            if since <= at:
                return calendar
    return ALWAYS


def last_after(at: datetime, within: timedelta) -> datetime:
    """The latest moment, over the calendars of all regions, at which so much service time has passed since `at` (aware)."""
    regions = {"", *_known.versions()}
    return max(
        after(calendar, at, within) for calendar in {id(c): c for c in (in_force(r, at) for r in regions)}.values()
    )


def differ_by_region(at: datetime) -> bool:
    """Whether some region has hours of its own now."""
    return any(name and since <= at for name, versions in _known.versions().items() for since, _calendar in versions)


# --- publishing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a new version says.

    region: "" for everywhere. week: windows from Monday to Sunday. holidays_of: "DE", "DE-BY" or "". file: an iCalendar file
    of times when nobody is there; whole days close the day, other times are taken out of it. days: other particular days.
    """

    region: str
    zone: str
    week: tuple[tuple[Window, ...], ...]
    holidays_of: str = ""
    file: bytes = b""
    days: Mapping[date, tuple[Window, ...]] = field(default_factory=dict)
    note: str = ""


@transaction.atomic
def publish(draft: Draft, *, effective_from: datetime, by: User | None, at: datetime) -> ServiceCalendar:
    """Write a new version of a region's calendar. Promises already given keep the version they were given with.

    Raises UnusableCalendar, StartsTooSoon; then nothing has changed.
    """
    if effective_from < at + STARTS_AFTER:
        raise StartsTooSoon(_("A calendar counts from at least ten minutes ahead; please name a later moment."))
    newest = ServiceCalendar.objects.select_for_update().filter(region=draft.region).order_by("-number").first()
    if newest is not None and effective_from <= newest.effective_from:
        raise StartsTooSoon(_("A version that counts later than that is there already."))
    first, last = date(effective_from.year, 1, 1), date(effective_from.year + YEARS_AHEAD, 12, 31)
    rows = particular_days(draft, first=first, last=last)
    Calendar(
        draft.zone, draft.week, {row.day: tuple((o, c) for o, c in row.windows) for row in rows}
    )  # refuses nonsense
    version = ServiceCalendar.objects.create(
        region=draft.region,
        number=newest.number + 1 if newest else 1,
        zone=draft.zone,
        week=[[list(window) for window in day] for day in draft.week],
        holidays_of=draft.holidays_of,
        effective_from=effective_from,
        covers_until=last,
        note=draft.note[:300],
        published_at=at,
        published_by=by,
    )
    for row in rows:
        row.calendar = version
    CalendarDay.objects.bulk_create(rows)
    history.record(
        None,
        "calendar.published",
        ref=f"calendar:{version.public_id}",
        by=by,
        at=at,
        detail={"region": draft.region, "number": version.number, "from": effective_from.isoformat()},
    )
    transaction.on_commit(forget)
    return version


def particular_days(draft: Draft, *, first: date, last: date) -> list[CalendarDay]:
    """The days on which other times count than in an ordinary week, not yet written.

    What was entered by hand counts before public holidays, these before the file. Raises UnusableCalendar.
    """
    found: dict[date, CalendarDay] = {}
    for day, name in _holidays(draft.holidays_of, first=first, last=last).items():
        found[day] = CalendarDay(day=day, windows=[], name=name[:120], source=DaySource.HOLIDAY)
    for day, (closed, name) in _closed_by_file(draft, first=first, last=last).items():
        if day in found:
            continue
        windows = draft.week[day.weekday()]
        for span in closed:
            windows = without(windows, span)
        found[day] = CalendarDay(
            day=day, windows=[list(window) for window in windows], name=name[:120], source=DaySource.FILE
        )
    for day, windows in draft.days.items():
        found[day] = CalendarDay(day=day, windows=[list(window) for window in windows], source=DaySource.HAND)
    return [found[day] for day in sorted(found)]


def _holidays(place: str, *, first: date, last: date) -> dict[date, str]:
    if not place:
        return {}
    import holidays  # half a second to import, and only who publishes a calendar needs it

    country, _dash, part = place.partition("-")
    try:
        days = holidays.country_holidays(country, subdiv=part or None, years=range(first.year, last.year + 1))
    except NotImplementedError as unknown:
        raise UnusableCalendar(_("The public holidays of “%(place)s” are not known.") % {"place": place}) from unknown
    return {day: name for day, name in days.items() if first <= day <= last}


def _closed_by_file(draft: Draft, *, first: date, last: date) -> dict[date, tuple[list[Window], str]]:
    """Read an iCalendar file (RFC 5545): day -> the times of it in which nobody is there, and what for."""
    if not draft.file:
        return {}
    if len(draft.file) > LARGEST_FILE:
        raise UnusableCalendar(_("This calendar file is larger than a megabyte."))
    unreadable = UnusableCalendar(_("This file cannot be read as a calendar (.ics)."))
    try:
        calendar = icalendar.Calendar.from_ical(draft.file)
        for event in calendar.walk("VEVENT"):
            if TOO_OFTEN.intersection((event.get("RRULE") or {}).get("FREQ", [])):
                raise UnusableCalendar(_("An event of this file comes back more often than every day."))
        events = recurring_ical_events.of(calendar).between(first, last + timedelta(days=1))
    except UnusableCalendar:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as broken:
        raise unreadable from broken
    if len(events) > MOST_EVENTS:
        raise UnusableCalendar(_("This file has more than %(most)s events.") % {"most": MOST_EVENTS})
    found: dict[date, tuple[list[Window], str]] = {}
    for event in events:
        begins, ends = event.get("DTSTART").dt, event.get("DTEND").dt if event.get("DTEND") else None
        name = str(event.get("SUMMARY", ""))
        for day, closed in _closed(begins, ends, ZoneInfo(draft.zone)):
            if first <= day <= last:
                found.setdefault(day, ([], name))[0].append(closed)
    return found


def _closed(begins: date, ends: date | None, zone: ZoneInfo) -> list[tuple[date, Window]]:
    if not isinstance(begins, datetime):
        last = ends - timedelta(days=1) if ends is not None and ends > begins else begins
        return [(begins + timedelta(days=n), (0, 1440)) for n in range((last - begins).days + 1)]
    until = ends if isinstance(ends, datetime) else begins
    local = begins.astimezone(zone).replace(tzinfo=None) if begins.tzinfo else begins
    local_end = until.astimezone(zone).replace(tzinfo=None) if until.tzinfo else until
    found = []
    day = local.date()
    while datetime.combine(day, time()) < local_end:
        midnight = datetime.combine(day, time())
        opens = max(0, int((local - midnight).total_seconds() // 60))
        closes = min(1440, -int((midnight - local_end).total_seconds() // 60))
        if opens < closes:
            found.append((day, (opens, closes)))
        day += timedelta(days=1)
    return found


def extend(at: datetime) -> int:
    """Publish a new version of every calendar whose particular days end within 400 days. Returns how many were."""
    extended = 0
    for version in list(ServiceCalendar.objects.in_force(at + STARTS_AFTER).prefetch_related("days")):
        later = ServiceCalendar.objects.filter(region=version.region, number__gt=version.number).exists()
        if later or version.covers_until > (at + EXTENDED_WITHIN).date():
            continue
        kept = {
            day.day: tuple((opens, closes) for opens, closes in day.windows)
            for day in version.days.all()
            if day.source != DaySource.HOLIDAY and day.day >= at.date()
        }
        draft = Draft(
            region=version.region,
            zone=version.zone,
            week=version.as_calendar().week,
            holidays_of=version.holidays_of,
            days=kept,
            note=version.note,
        )
        publish(draft, effective_from=at + 2 * STARTS_AFTER, by=None, at=at)
        extended += 1
    return extended


@transaction.atomic
def set_region(customer_id: int, *, region: str, by: User, at: datetime) -> Customer:
    """Note which region's calendar counts for a customer from now on; promises already given stand.

    Only what the customer told us decides, never how they reached us. Raises NoSuchRegion, Customer.DoesNotExist.
    """
    if region and not ServiceCalendar.objects.filter(region=region).exists():
        raise NoSuchRegion(_("There is no calendar for the region “%(region)s” yet.") % {"region": region})
    customer = Customer.objects.select_for_update().get(pk=customer_id)
    before, customer.region = customer.region, region
    customer.save(update_fields=["region"])
    history.record(
        customer,
        "customer.region",
        ref=f"customer:{customer.public_id}",
        by=by,
        at=at,
        detail={"before": before, "after": region},
    )
    return customer
