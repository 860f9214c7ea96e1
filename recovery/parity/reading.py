"""An export becomes cases: every row is kept, or rejected with a reason that is counted."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from recovery.parity import Unusable, maps
from recovery.parity.answers import (
    UNKNOWN,
    Answers,
    Response,
    answer_of,
    counted,
    lasting,
    measured,
    number_of,
    responded,
)
from recovery.parity.columns import (
    HOUR,
    Codes,
    Column,
    Flags,
    Floats,
    Times,
    at_moment,
    between,
    forget,
    settle,
    snapshot_of,
)
from recovery.parity.dates import Dates, Moment, Seconds, formats_of
from recovery.parity.tables import Row, Told, rows_of, silent

SAMPLE = 20_000  # rows looked at to find the date formats
SAMPLE_KEPT = 4_000
MANY_WITHOUT_CLOCK = 0.05  # share of a column's dates, below which nothing is said
UNTYPED = "(no type)"

# In the order in which they are looked for; a row has one reason.
REASONS = {
    "wrong_number_of_fields": "a row with more or fewer fields than the header",
    "missing_channel": "no channel",
    "duplicate_id": "an id that an earlier row has",
    "unreadable_date": "an opened or closed date that no format fits",
    "missing_opened": "no opened date",
    "closed_without_date": "closed according to its status, without a closed date",
    "closed_before_opened": "closed before it was opened",
    "opened_after_snapshot": "opened after the snapshot",
}


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The kept rows as columns of equal length, and what was left out.

    hours: from opened to closed, or to the snapshot while open; NaN where the file has no opened or closed column.
    promised_hours: from opened to the promised time; due, kept: the promise has come to a test, and was kept.
    """

    channels: tuple[str, ...]
    types: tuple[str, ...]
    channel: Codes
    type: Codes
    month: Codes  # year * 12 + month - 1 of opened, local; -1 unknown
    hours: Floats
    closed: Flags
    promised_hours: Floats
    due: Flags
    kept: Flags
    outcomes: tuple[Answers, ...]
    snapshot: datetime | None
    timed: bool  # opened and closed are there
    promises: bool
    by_day: bool
    typed: bool
    excluded: frozenset[str]
    read: int
    rejected: dict[str, int]
    rejected_by_channel: dict[str, int]
    notes: list[str] = field(default_factory=list)
    customer: Codes = field(default_factory=lambda: np.empty(0, dtype=np.int32))  # -1 unknown; names are not kept
    opened: Seconds = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # UTC; NOTHING unknown
    language: Codes = field(default_factory=lambda: np.empty(0, dtype=np.int32))  # one code for unknown, too
    public: frozenset[str] = frozenset()  # channels where everybody can read along
    response: Response | None = None

    def __len__(self) -> int:
        return len(self.channel)

    @property
    def customers_known(self) -> bool:
        return len(self.customer) > 0 and len(self.opened) > 0


def read(path: Path, plan: maps.Map, *, snapshot: str = "", told: Told = silent) -> Cases:
    """Read an export as a map says.

    snapshot: an as-of time that goes before the map's; without both it is the latest opened or closed time of the kept
    rows. Raises Unusable when the file, a column or the snapshot cannot be used, or no row is kept.
    """
    rows = rows_of(path, delimiter=plan.delimiter, encoding=plan.encoding, told=told)
    header = [str(each).strip().strip("\ufeff") for each in next(rows, [])]
    plan = plan.settled(header)
    notes: list[str] = []
    there = {each.casefold() for each in header}
    without = {
        "id": "duplicates cannot be seen",
        "customer": "customers cannot be compared with themselves",
        "language": "it does not tell how long a case could be expected to wait",
    }
    if plan.public_channels:
        del without["customer"]
    for role, loss in without.items():
        if role in plan.columns and plan.columns[role].casefold() not in there:
            notes.append(f"The file has no column {plan.columns[role]}: {loss}.")
            plan = replace(plan, columns={other: column for other, column in plan.columns.items() if other != role})
    places = {role: _place(header, column) for role, column in plan.columns.items()}
    spans = {
        each.name: (_span(header, plan, each.start), _span(header, plan, each.end))
        for each in plan.outcomes
        if each.start
    }
    if plan.response_promised:
        promised = _span(header, plan, plan.response_promised)
        spans[maps.RESPONSE_PROMISED] = (promised, promised)
    date_places = {places[role] for role in maps.TIMES if role in places} | {
        place for span in spans.values() for place in span
    }
    sample = list(islice(rows, SAMPLE))
    readers = _readers(sample, header, date_places, plan)
    loaded = _load(chain(sample, rows), header, plan, places, spans, readers)
    return settled(loaded, plan, places, spans, snapshot, notes)


def _place(header: list[str], column: str) -> int:
    if header.count(column) > 1:
        raise Unusable(f"The file has {header.count(column)} columns named {column}; rename all but the right one.")
    if column in header:
        return header.index(column)
    folded = [name.casefold().strip("\ufeff ") for name in header]
    if folded.count(column.casefold().strip()) == 1:
        return folded.index(column.casefold().strip())
    if folded.count(column.casefold().strip()) > 1:
        alike = ", ".join(name for name, each in zip(header, folded, strict=True) if each == column.casefold().strip())
        raise Unusable(f"The file has no column {column}, and more than one that is nearly so: {alike}.")
    if not any(header):
        raise Unusable("The file is empty.")
    if len(header) == 1:
        raise Unusable(f"The file has one column only ({header[0][:60]}); set the delimiter in the map's [options].")
    raise Unusable(f"The file has no column {column}; it has {', '.join(header)[:600]}.")


def _span(header: list[str], plan: maps.Map, column: str) -> int:
    return _place(header, plan.columns.get(column, column) if column not in header else column)


def _readers(sample: list[Row], header: list[str], places: set[int], plan: maps.Map) -> dict[int, Dates]:
    if plan.date_formats:
        return dict.fromkeys(places, Dates(plan.date_formats))
    step = max(1, len(sample) // SAMPLE_KEPT)
    columns = {
        str(place): [row[place] for row in sample[::step] if len(row) > place and _known(row[place], plan.null_values)]
        for place in places
    }
    return {int(place): Dates(formats) for place, formats in formats_of(columns).items()}


def _known(value: Any, nulls: frozenset[str]) -> bool:
    return not isinstance(value, str) or bool(value.strip() and value.strip() not in nulls)


@dataclass
class Loaded:
    """The rows of a source as columns, before their times are worked out; names of customers are not kept."""

    channels: dict[str, int]
    types: dict[str, int]
    channel: array[int]
    type: array[int]
    status: array[int]  # 1 closed, 0 open, -1 not said
    times: dict[int, Times]
    customers: dict[str, int]
    customer: array[int]
    answers: dict[str, array[int]]
    labels: dict[str, dict[str, int]]
    rejected: Counter[str]
    by_channel: Counter[str]
    read: int = 0
    language: array[int] = field(default_factory=lambda: array("i"))
    numbers: dict[str, array[float]] = field(default_factory=dict)  # by column
    currencies: dict[str, array[int]] = field(default_factory=dict)  # by column


def _load(
    rows: Iterator[Row],
    header: list[str],
    plan: maps.Map,
    places: dict[str, int],
    spans: dict[str, tuple[int, int]],
    readers: dict[int, Dates],
) -> Loaded:
    """Go through the rows once. A row's first reason to reject it is counted; nothing of it is kept."""
    width, nulls = len(header), plan.null_values
    channel_at, id_at = places["channel"], places.get("id")
    type_at, status_at, customer_at = places.get("type"), places.get("status"), places.get("customer")
    language_at = places.get("language")
    required = [places[role] for role in ("opened", "closed") if role in places]
    flagged = [
        (each, _place(header, each.column)) for each in plan.outcomes if each.kind in ("bool", "category", "ordinal")
    ]
    counted = [each for each in plan.outcomes if each.kind in maps.NUMBERS]
    numbers = {name: _place(header, name) for each in counted for name in (each.column, each.of) if name}
    currencies = {each.currency: _place(header, each.currency) for each in counted if each.currency}
    ends = [at for span in spans.values() for at in span]
    needed = max([*places.values(), *(at for _, at in flagged), *ends, *numbers.values(), *currencies.values()])
    made = Loaded(
        channels={}, types={}, channel=array("i"), type=array("i"), status=array("b"),
        times={at: Times(header[at], at) for at in readers},
        customers={}, customer=array("i"),
        answers={each.name: array("i") for each, _ in flagged}, labels={each.name: {} for each, _ in flagged},
        rejected=Counter(), by_channel=Counter(),
        numbers={name: array("d") for name in numbers}, currencies={name: array("i") for name in currencies},
    )  # fmt: skip
    languages: dict[str, int] = {}
    money: dict[str, int] = {}
    columns = [(at, readers[at], made.times[at], at in required) for at in readers]
    opened_at = places.get("opened")
    seen: set[str] = set()

    def text(value: Any) -> str:
        value = value.strip() if isinstance(value, str) else str(value)
        return "" if value in nulls else value

    def refuse(reason: str, name: str) -> None:
        made.rejected[reason] += 1
        if name:
            made.by_channel[name] += 1

    for row in rows:
        made.read += 1
        if len(row) != width and (len(row) <= needed or any(_known(each, frozenset()) for each in row[width:])):
            refuse(
                "wrong_number_of_fields", text(row[channel_at]) if len(row) < width and len(row) > channel_at else ""
            )
            continue
        name = text(row[channel_at])
        if not name:
            refuse("missing_channel", "")
            continue
        if id_at is not None:
            key = text(row[id_at])
            if key:
                if key in seen:
                    refuse("duplicate_id", name)
                    continue
                seen.add(key)
        moments: list[Moment | None] = []
        reason = ""
        for at, reader, column, is_required in columns:
            value = row[at]
            moment = None
            if value and _known(value, nulls):
                moment = reader.read(value)
                if moment is None:
                    if is_required:
                        reason = "unreadable_date"
                        break
                    column.unreadable += 1
            elif at == opened_at:
                reason = "missing_opened"
            moments.append(moment)
        if reason:
            refuse(reason, name)
            continue
        for (_, _, column, _), moment in zip(columns, moments, strict=True):
            column.add(moment)
        made.channel.append(made.channels.setdefault(name, len(made.channels)))
        kind = text(row[type_at]) if type_at is not None else ""
        made.type.append(made.types.setdefault(kind or UNTYPED, len(made.types)))
        stands = text(row[status_at]).casefold() if status_at is not None and plan.closed_statuses else ""
        made.status.append(int(stands in plan.closed_statuses) if stands else UNKNOWN)
        if customer_at is not None:
            key = text(row[customer_at])
            made.customer.append(made.customers.setdefault(key, len(made.customers)) if key else UNKNOWN)
        if language_at is not None:
            made.language.append(languages.setdefault(text(row[language_at]).casefold(), len(languages)))
        for outcome, at in flagged:
            made.answers[outcome.name].append(answer_of(outcome, text(row[at]), made.labels[outcome.name]))
        for name, at in numbers.items():
            made.numbers[name].append(number_of(text(row[at])))
        for name, at in currencies.items():
            made.currencies[name].append(money.setdefault(text(row[at]).casefold(), len(money)))
    made.customers.clear()  # who they are is not needed again
    return made


def settled(
    loaded: Loaded,
    plan: maps.Map,
    places: dict[str, int],
    spans: dict[str, tuple[int, int]],
    snapshot: str,
    notes: list[str],
) -> Cases:
    """Turn times into UTC and durations, find the snapshot, and reject what the times show to be wrong.

    places, spans: where the columns of roles and of durations stand among `loaded.times`. Raises Unusable when no row is kept.
    """
    zone = plan.zone
    count = len(loaded.channel)
    times = {at: settle(column, plan) for at, column in loaded.times.items()}
    opened = times.get(places.get("opened", -1))
    closed = times.get(places.get("closed", -1))
    promised = times.get(places.get("promised", -1))
    channel = np.array(loaded.channel, dtype=np.int32)
    status = np.array(loaded.status, dtype=np.int8)
    rejected, by_channel = loaded.rejected, loaded.by_channel
    names = tuple(loaded.channels)
    keep = np.ones(count, dtype=bool)

    def refuse(wrong: Flags, reason: str) -> None:
        wrong = wrong & keep
        if wrong.any():
            rejected[reason] += int(wrong.sum())
            for code, rows in enumerate(np.bincount(channel[wrong], minlength=len(names))):
                if rows:
                    by_channel[names[code]] += int(rows)
            keep[wrong] = False

    timed = opened is not None and closed is not None
    spent, by_day = np.full(count, np.nan), False
    is_closed = np.zeros(count, dtype=bool)
    if opened is not None and closed is not None:
        spent, days = between(opened, closed)
        both = opened.known & closed.known
        by_day = bool(days[both].mean() > 0.5) if both.any() else bool(opened.days_only.all())
        is_closed = closed.known & (status != 0)
        reopened = int((closed.known & (status == 0)).sum())
        if reopened:
            notes.append(
                f"{reopened:,} rows have a closed date while their status is not a closed one: counted as open."
            )
        refuse((status == 1) & ~closed.known, "closed_without_date")
        refuse(is_closed & (spent < 0), "closed_before_opened")
        if not by_day:
            for role, dates in (("opened", opened), ("closed", closed)):
                notes += _without_clock(plan.columns[role], dates.days_only[dates.known & keep])
    elif opened is not None or closed is not None:
        notes.append("Only one of opened and closed is in the map, so no waiting times are shown.")
    elif "status" in places and plan.closed_statuses:
        is_closed = status == 1
    clocks = [each for each in (opened, closed) if each is not None] or list(times.values())
    if plan.response:
        clocks.append(times[spans[plan.response][1]])
    asof = snapshot_of(snapshot or plan.snapshot, zone, clocks, keep)
    hours, due, kept = spent / HOUR, np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    promised_hours = np.full(count, np.nan)
    if asof is not None and opened is not None:
        refuse(opened.known & (opened.utc > asof), "opened_after_snapshot")
        if closed is not None:
            late = is_closed & (closed.utc > asof)
            if late.any():
                notes.append(
                    f"{int((late & keep).sum()):,} cases were closed after the snapshot: counted as open then."
                )
            is_closed = is_closed & ~late
            until = at_moment(asof, opened, zone)
            waiting = between(opened, until)[0] / HOUR
            hours = np.where(is_closed, hours, waiting)
        if promised is not None:
            early = between(opened, promised)[0] < 0
            promised = forget(promised, early)
            promised_hours = between(opened, promised)[0] / HOUR
            notes += _before_opening(int((early & keep).sum()))
    if promised is not None and closed is not None and asof is not None:
        slack = between(closed, promised)[0]
        past = between(promised, at_moment(asof, promised, zone))[0] > 0
        due = promised.known & (is_closed | (past & ~is_closed))
        kept = due & is_closed & (slack >= 0)
    if not keep.any():
        if loaded.read == 0:
            raise Unusable("The file has a header and no rows.")
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in rejected.most_common())
        raise Unusable(f"None of the {loaded.read:,} rows can be used: {reasons}.")
    compared = np.array([name not in plan.exclude_channels for name in names])[channel[keep]]
    outcomes, response = _outcomes(loaded, plan, spans, times, asof, keep, compared, notes)
    _remark(loaded, plan, notes, by_day=by_day, timed=timed)
    month = np.full(count, -1, dtype=np.int32)
    if opened is not None:
        known = opened.known
        stamps = opened.local[known].astype("datetime64[s]").astype("datetime64[M]").astype(np.int32)
        month[known] = stamps + 1970 * 12
    return Cases(
        channels=names, types=tuple(loaded.types), channel=channel[keep],
        type=np.array(loaded.type, dtype=np.int32)[keep], month=month[keep],
        hours=hours[keep], closed=is_closed[keep], promised_hours=promised_hours[keep], due=due[keep], kept=kept[keep],
        outcomes=outcomes, snapshot=None if asof is None else datetime.fromtimestamp(asof, UTC),
        timed=timed, promises=promised is not None and timed, by_day=by_day and timed, typed="type" in places,
        excluded=plan.exclude_channels, read=loaded.read, rejected=dict(rejected), rejected_by_channel=dict(by_channel),
        notes=notes, customer=np.array(loaded.customer, dtype=np.int32)[keep if "customer" in places else slice(0)],
        opened=opened.utc[keep] if opened is not None else np.empty(0, dtype=np.int64),
        language=np.array(loaded.language, dtype=np.int32)[keep if "language" in places else slice(0)],
        public=plan.public_channels, response=response,
    )  # fmt: skip


def _without_clock(name: str, days_only: Flags) -> list[str]:
    count = int(days_only.sum())
    if not count or count < MANY_WITHOUT_CLOCK * len(days_only):
        return []
    return [
        f"{name}: {count:,} of {len(days_only):,} dates have no time of day: waits from or to them are in whole days."
    ]


def _before_opening(count: int) -> list[str]:
    if not count:
        return []
    lie = "promised time lies" if count == 1 else "promised times lie"
    return [f"{count:,} {lie} before the opening: counted as no promise."]


def _outcomes(
    loaded: Loaded,
    plan: maps.Map,
    spans: dict[str, tuple[int, int]],
    times: dict[int, Column],
    asof: int | None,
    keep: Flags,
    compared: Flags,
    notes: list[str],
) -> tuple[tuple[Answers, ...], Response | None]:
    made: list[Answers] = []
    coverage: list[Answers] = []
    response = None
    for each in plan.outcomes:
        if each.kind in maps.NUMBERS:
            of, currency = loaded.numbers.get(each.of), loaded.currencies.get(each.currency)
            made.append(measured(each, loaded.numbers[each.column], of, currency, keep))
            continue
        if each.kind != "duration":
            made.append(counted(each, loaded.answers[each.name], loaded.labels[each.name], keep))
            continue
        start, end = (times[at] for at in spans[each.name])
        answers = lasting(each, start, end, keep, notes)
        if each.name == plan.response and asof is not None:
            answers, covered, response = responded(
                answers, start, end, asof=asof, zone=plan.zone, keep=keep, within=plan.response_within_hours,
                compared=compared, promised=times[spans[maps.RESPONSE_PROMISED][0]] if plan.response_promised else None,
            )  # fmt: skip
            if response.promised:
                notes.append(f"{each.name}: a case counts for coverage once the answer it was promised was due.")
            coverage.append(covered)
        made.append(answers)
    return (*coverage, *made), response


def _remark(loaded: Loaded, plan: maps.Map, notes: list[str], *, by_day: bool, timed: bool) -> None:
    if timed and by_day:
        notes.append(
            "Opened or closed dates have no time of day: waits are known in whole days, and 0 means the same day."
        )
    if plan.closed_statuses and "status" not in plan.columns:
        notes.append("The map has closed_statuses and no column status: only the closed date tells what is closed.")
    if loaded.times and not plan.timezone_given:
        notes.append("The map names no time zone: times without an offset were read as UTC.")
    notes += [
        f"{each.name}: {each.unreadable:,} dates could not be read and count as unknown."
        for each in loaded.times.values()
        if each.unreadable
    ]
    alike: dict[str, list[str]] = {}
    for name in sorted(loaded.channels):
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    notes += [
        f"Channel names that differ only in case or spaces are counted apart: {', '.join(f'“{name}”' for name in each)}."
        for each in alike.values()
        if len(each) > 1
    ]
    unknown = sorted(each for each in plan.public_channels if each not in loaded.channels)
    if unknown:
        raise Unusable(
            f"The map's public channel {unknown[0]} is not in the file; it has {', '.join(sorted(loaded.channels))}."
        )
    missing = sorted(each for each in plan.exclude_channels if each not in loaded.channels)
    if missing:
        notes.append(f"Channels to leave out that the file does not have: {', '.join(missing)}.")
