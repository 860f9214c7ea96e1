"""Our own matters as the audit reads them: columns out of the database become cases by the very code that reads an export.

The columns can be written as a CSV file; `manage.py parity_report` on that file says the same as the audit inside.
"""

from __future__ import annotations

import csv
import hashlib
import io
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recovery.parity import maps, reading
from recovery.parity.answers import Answers
from recovery.parity.columns import Times
from recovery.parity.dates import NOTHING
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.metrics import TIME_TO_RESOLUTION
from recovery.parity.reading import Cases, Loaded

Whole = npt.NDArray[np.integer]

UNKNOWN: Final = -1
"""Of a flag or a time that is not there."""
TIMES: Final = ("spoke_at", "reached_us_at", "answer_due_at", "answered_at", "settled_at")
FLAGS: Final = {
    "answered_as_promised": "first answer within the promised time",
    "confirmed_as_promised": "written confirmation within the promised time",
    "remedy_in_full": "got all that was owed",
    "came_back": "came back after it was settled",
    "handed_over": "passed on to another person",
    "went_quiet": "ended because the customer went quiet",
    "exception_approved": "exception approved, where one was asked for",
}
"""Yes/no outcomes, in the order of their columns, and what yes means."""
UNWANTED: Final = frozenset({"came_back", "handed_over", "went_quiet"})
"""Yes/no outcomes of which yes is the worse."""
DISMISSED: Final = "dismissed"
CODES: Final = ("number", "customer", "channel", "type", "severity")
COLUMNS: Final = (*CODES, *TIMES, *FLAGS)
"""The columns that the database gives, all whole numbers; times in seconds since 1970 UTC."""
NO_ANSWER_NEEDED: Final = "no_answer_needed"
"""The column, beside these, that says which matters were dismissed or judged to need no answer; nothing else is asked of them."""

PLAN: Final = maps.parse(
    {
        "columns": {
            "id": "number",
            "channel": "channel",
            "opened": "spoke_at",
            "closed": "settled_at",
            "type": "type",
            "customer": "customer",
        },
        "outcome": [
            {"name": "first_response", "kind": "duration", "from": "spoke_at", "to": "answered_at", "unit": "hours"},
            {"name": "ingest_lag", "kind": "duration", "from": "spoke_at", "to": "reached_us_at", "unit": "hours"},
            *({"name": name, "kind": "bool", "column": name, "true": ["yes"], "false": ["no"]} for name in FLAGS),
        ],
        "options": {"timezone": "UTC", "response": "first_response", "response_promised": "answer_due_at"},
    }
)
"""How the columns are to be understood; the same words as a MAP.toml."""


@dataclass(frozen=True, slots=True)
class Matters:
    """Matters of one window as columns of equal length, in the order of their numbers.

    channels, types, severities: what their codes mean. at: as of when they were read. dismissed: channel code, kind code and 1 or 0
    of every matter, also those that needed no answer, which are not among the columns.
    """

    columns: Mapping[str, Whole]
    dismissed: Mapping[str, Whole]
    channels: tuple[str, ...]
    types: tuple[str, ...]
    severities: tuple[str, ...]
    at: datetime

    def __len__(self) -> int:
        return len(self.columns["number"])

    @property
    def content_hash(self) -> str:
        """A fingerprint of every value, so that a report can be tied to what it was made of (SHA-256)."""
        made = hashlib.sha256(repr((self.channels, self.types, self.severities, int(self.at.timestamp()))).encode())
        for name in COLUMNS:
            made.update(name.encode())
            made.update(np.ascontiguousarray(self.columns[name], dtype="<i8").tobytes())
        return made.hexdigest()

    def kinds(self) -> tuple[Whole, tuple[str, ...]]:
        """What makes matters alike: the kind of failure and its severity together; code per matter, and their names."""
        key = self.columns["type"].astype(np.int64) * len(self.severities) + self.columns["severity"]
        found, place = np.unique(key, return_inverse=True)
        names = []
        for code in found:
            kind, severity = divmod(int(code), len(self.severities))
            names.append(" · ".join(part for part in (self.types[kind], self.severities[severity]) if part))
        return place.astype(np.int64), tuple(names)


def cases_of(matters: Matters, *, public: frozenset[str] = frozenset()) -> Cases:
    """Make cases of matters, as of their own moment. public: channels on which everybody can read along.

    Raises Unusable when there are no matters.
    """
    plan = replace(PLAN, snapshot=_written(int(matters.at.timestamp())), public_channels=_there(public, matters))
    header = _header()
    places = {role: header.index(column) for role, column in plan.columns.items()}
    spans = {each.name: (header.index(each.start), header.index(each.end)) for each in plan.outcomes if each.start}
    promised = header.index(plan.response_promised)
    spans[maps.RESPONSE_PROMISED] = (promised, promised)
    kind, types = matters.kinds()
    used, channel = np.unique(matters.columns["channel"], return_inverse=True)
    count = len(matters)
    loaded = Loaded(
        channels={matters.channels[code]: place for place, code in enumerate(used)},
        types={name: place for place, name in enumerate(types)},
        channel=_array("i", channel),
        type=_array("i", kind),
        status=_array("b", np.full(count, UNKNOWN)),
        times={header.index(name): _times(name, header.index(name), matters.columns[name]) for name in TIMES},
        customers={},
        customer=_array("i", np.unique(matters.columns["customer"], return_inverse=True)[1]),
        answers={name: _array("i", matters.columns[name]) for name in FLAGS},
        labels={name: {} for name in FLAGS},
        rejected=Counter(),
        by_channel=Counter(),
        read=count,
    )
    return reading.settled(loaded, plan, places, spans, "", [])


def dismissals_of(matters: Matters) -> Cases:
    """Make cases of every matter, of which one thing is asked: whether it ended without an answer. Like is of one kind."""
    told = matters.dismissed
    used, channel = np.unique(told["channel"], return_inverse=True)
    kinds, kind = np.unique(told["type"], return_inverse=True)
    count = len(channel)
    nothing = np.full(count, np.nan)
    no = np.zeros(count, dtype=bool)
    return Cases(
        channels=tuple(matters.channels[code] for code in used), types=tuple(matters.types[code] for code in kinds),
        channel=channel.astype(np.int32), type=kind.astype(np.int32), month=np.full(count, -1, dtype=np.int32),
        hours=nothing, closed=no, promised_hours=nothing, due=no, kept=no,
        outcomes=(Answers(name=DISMISSED, kind="bool", values=told["is"].astype(float)),),
        snapshot=matters.at, timed=False, promises=False, by_day=False, typed=True, excluded=frozenset(), read=count,
        rejected={}, rejected_by_channel={},
    )  # fmt: skip


def behind(matters: Matters, metric: str, channel: str) -> list[int]:
    """Numbers of the matters of a channel to look at for one metric, the gravest first.

    A yes/no outcome: those that went the worse way, the newest first. A time: the longest, those without an end before them.
    Raises KeyError for a metric that the audit does not have.
    """
    columns = matters.columns
    ours = columns["channel"] == matters.channels.index(channel)
    if metric in FLAGS or metric == RESPONSE_COVERAGE:
        worse = _worse(columns, metric)
        return [int(each) for each in columns["number"][ours & worse][::-1]]
    end = columns[
        {"first_response": "answered_at", "ingest_lag": "reached_us_at", TIME_TO_RESOLUTION: "settled_at"}[metric]
    ]
    waited = np.where(end == UNKNOWN, int(matters.at.timestamp()), end) - columns["spoke_at"]
    expects = ours & ((end != UNKNOWN) | (columns["answer_due_at"] != UNKNOWN))
    order = np.lexsort((-waited[expects], end[expects] != UNKNOWN))
    return [int(each) for each in columns["number"][expects][order]]


def _worse(columns: Mapping[str, Whole], metric: str) -> npt.NDArray[np.bool_]:
    if metric == RESPONSE_COVERAGE:
        return np.asarray((columns["answered_at"] == UNKNOWN) & (columns["answered_as_promised"] == 0))
    return np.asarray(columns[metric] == (1 if metric in UNWANTED else 0))


def _there(public: frozenset[str], matters: Matters) -> frozenset[str]:
    return public & {matters.channels[code] for code in np.unique(matters.columns["channel"])}


def _header() -> list[str]:
    return [name for name in COLUMNS if name != "severity"]


def _array(kind: str, values: npt.NDArray[Any]) -> array[int]:
    made = array(kind)
    made.frombytes(np.ascontiguousarray(values, dtype=np.dtype(kind)).tobytes())
    return made


def _times(name: str, place: int, seconds: Whole) -> Times:
    known = seconds != UNKNOWN
    return Times(
        name,
        place,
        seconds=_array("q", np.where(known, seconds, NOTHING)),
        offset=_array("i", np.zeros(len(seconds))),
        timed=_array("b", known),
    )


def csv_lines(matters: Matters) -> Iterator[str]:
    """Yield a CSV file, line by line, that `parity_report` reads with `as_map`. Customers are numbers that mean nothing outside."""
    yield _joined(_header())
    kind, types = matters.kinds()
    customers = np.unique(matters.columns["customer"], return_inverse=True)[1]
    for place in range(len(matters)):
        yield _joined(_line(matters, place, types[kind[place]], int(customers[place])))


def _joined(cells: Iterable[str]) -> str:
    made = io.StringIO()
    csv.writer(made).writerow(cells)
    return made.getvalue()


def _line(matters: Matters, place: int, kind: str, customer: int) -> Iterator[str]:
    yield str(place + 1)
    yield str(customer + 1)
    yield matters.channels[matters.columns["channel"][place]]
    yield kind
    for name in TIMES:
        seconds = int(matters.columns[name][place])
        yield "" if seconds == UNKNOWN else _written(seconds)
    for name in FLAGS:
        yield {1: "yes", 0: "no", UNKNOWN: ""}[int(matters.columns[name][place])]


def _written(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_map(matters: Matters, *, public: frozenset[str] = frozenset()) -> str:
    """The MAP.toml by which the CSV file of these matters is read."""
    lines = ["[columns]", *(f'{role} = "{column}"' for role, column in PLAN.columns.items())]
    for each in PLAN.outcomes:
        lines += ["", "[[outcome]]", f'name = "{each.name}"', f'kind = "{each.kind}"']
        if each.kind == "duration":
            lines += [f'from = "{each.start}"', f'to = "{each.end}"', f'unit = "{each.unit}"']
        else:
            lines += [f'column = "{each.column}"', 'true = ["yes"]', 'false = ["no"]']
    listed = ", ".join(f'"{name}"' for name in sorted(_there(public, matters)))
    lines += [
        "",
        "[options]",
        'timezone = "UTC"',
        f'snapshot = "{_written(int(matters.at.timestamp()))}"',
        f'response = "{PLAN.response}"',
        f'response_promised = "{PLAN.response_promised}"',
        *([f"public_channels = [{listed}]"] if listed else []),
    ]
    return "\n".join(lines) + "\n"
