"""Outcomes: what a map's [[outcome]] says of every kept case, and who was answered at all."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np

from recovery.parity import maps
from recovery.parity.columns import HOUR, Codes, Column, Flags, Floats, at_moment, between
from recovery.parity.dates import DAY

UNKNOWN = -1
USUAL = 95  # percentile of the answered waits: a case that is older should have an answer


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One outcome, case by case: yes/no as 1 and 0, a category as its code, a grade as its place from the worst on, a
    duration in its unit; NaN or -1 is unknown.

    waited: a duration that may be still running, in the same unit: until it ended or until the snapshot. promised: hours from
    the opening until it was to end. currency: code of an amount's currency; only amounts in one currency are compared.
    """

    name: str
    kind: str
    values: Floats
    labels: tuple[str, ...] = ()
    unit: str = "hours"
    by_day: bool = False
    waited: Floats | None = None
    promised: Floats | None = None
    currency: Codes | None = None


def answer_of(outcome: maps.Outcome, value: str, labels: dict[str, int]) -> int:
    """One written answer as a code; labels: category -> code, added to."""
    if not value:
        return UNKNOWN
    if outcome.kind == "category":
        return labels.setdefault(value, len(labels))
    folded = value.casefold()
    if outcome.kind == "ordinal":
        return outcome.order.index(folded) if folded in outcome.order else UNKNOWN
    if folded in outcome.true:
        return 1
    return 0 if not outcome.false or folded in outcome.false else UNKNOWN


def counted(outcome: maps.Outcome, codes: array[int], labels: dict[str, int], keep: Flags) -> Answers:
    """A yes/no answer, a grade or a category of the rows to keep."""
    values = np.array(codes, dtype=np.float64)[keep]
    values[values < 0] = np.nan
    return Answers(name=outcome.name, kind=outcome.kind, values=values, labels=outcome.order or tuple(labels))


def number_of(value: str) -> float:
    """One written number, such as 12.50; NaN where there is none, or a negative one. A comma is no decimal point here."""
    try:
        read = float(value)
    except ValueError:
        return np.nan
    return read if 0 <= read < np.inf else np.nan


def measured(
    outcome: maps.Outcome, value: array[float], of: array[float] | None, currency: array[int] | None, keep: Flags
) -> Answers:
    """A ratio, an amount or a count of the rows to keep. A ratio of nothing is unknown; what goes beyond the whole is the whole."""
    values = np.array(value, dtype=np.float64)[keep]
    if of is not None:
        whole = np.array(of, dtype=np.float64)[keep]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(whole > 0, np.minimum(values / whole, 1.0), np.nan)
    return Answers(
        name=outcome.name,
        kind=outcome.kind,
        values=values,
        currency=None if currency is None else np.array(currency, dtype=np.int32)[keep],
    )


def lasting(outcome: maps.Outcome, start: Column, end: Column, keep: Flags, notes: list[str]) -> Answers:
    """A duration of the rows to keep; notes: added to."""
    seconds, days = between(start, end)
    negative = int((seconds[keep] < 0).sum())
    if negative:
        known = int((~np.isnan(seconds[keep])).sum())
        notes.append(f"{outcome.name}: {negative:,} of {known:,} durations are negative; they are kept and counted.")
    both = keep & start.known & end.known
    by_day = bool(days[both].mean() > 0.5) if both.any() else False
    if by_day:
        notes.append(f"{outcome.name}: the dates have no time of day, so this duration is known in whole days.")
    size = DAY if outcome.unit == "days" else HOUR
    return Answers(name=outcome.name, kind="duration", values=seconds[keep] / size, unit=outcome.unit, by_day=by_day)


@dataclass(frozen=True, kw_only=True)
class Response:
    """How the first answer was read. mature_hours: cases at least so old count for coverage, or where the file knows what was
    promised the middle of that; answered, mature: how many.
    """

    name: str
    mature_hours: float
    given: bool  # by the map; else found from the answered waits
    promised: bool = False  # a case counts once the answer it was promised is due, however old that makes it
    answered: int
    mature: int


def responded(
    answers: Answers,
    start: Column,
    end: Column,
    *,
    asof: int,
    zone: Any,
    keep: Flags,
    within: float,
    compared: Flags,
    promised: Column | None = None,
) -> tuple[Answers, Answers, Response]:
    """The first answer's wait with unanswered cases waiting until the snapshot, and response coverage as yes and no.

    within: hours, 0 to take the 95th percentile of the answered waits over all channels together; compared: of the kept
    rows, those of channels that are compared; promised: by when each was to be answered, where the file knows. Coverage
    looks at cases at least so old at the snapshot (R033), so that a young case is not blamed on anybody; with promised
    times at those whose answer was due. An answer after the snapshot has not come yet.
    """
    size = DAY if answers.unit == "days" else HOUR
    age = between(start, at_moment(asof, start, zone))[0][keep] / size
    late = (end.known & (end.utc > asof) & ~end.days_only)[keep]
    values = np.where(late, np.nan, answers.values)
    known = ~np.isnan(values)
    waited = np.where(known, values, np.where(age >= 0, age, np.nan))
    usual = values[known & compared]
    allowed_hours = None
    limit = within * HOUR / size if within else float(np.percentile(usual, USUAL)) if len(usual) else 0.0
    mature = ~np.isnan(age) & (age >= limit)
    if promised is not None:
        mature = (promised.known & (promised.utc <= asof))[keep]
        waited = np.where(known | promised.known[keep], waited, np.nan)  # who was promised no answer waits for none
        allowed_hours = between(start, promised)[0][keep] / HOUR
        limit = float(np.median(allowed_hours[mature])) * HOUR / size if mature.any() else 0.0
    covered = np.where(mature, known, np.nan)
    return (
        Answers(
            name=answers.name,
            kind="duration",
            values=values,
            unit=answers.unit,
            by_day=answers.by_day,
            waited=waited,
            promised=allowed_hours,
        ),
        Answers(name=maps.RESPONSE_COVERAGE, kind="bool", values=covered),
        Response(
            name=answers.name,
            mature_hours=limit * size / HOUR,
            given=bool(within) or promised is not None,
            promised=promised is not None,
            answered=int((covered == 1).sum()),
            mature=int(mature.sum()),
        ),
    )
