"""Our own matters as the audit reads them: columns out of the database become cases by the very code that reads an export.

The columns can be written as a CSV file; `manage.py parity_report` on that file says the same as the audit inside.
"""

from __future__ import annotations

import csv
import hashlib
import io
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from recovery.parity.public import WENT_PUBLIC
from recovery.parity.reading import Cases, Loaded

Whole = npt.NDArray[np.integer]

GESTURES: Final = ("number", "channel", "occasion", "sent")
"""The columns of kindnesses, whole numbers too."""
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
    "promises_kept": "every promise that came due was kept, but the confirmation, which only talk brings",
}
"""Yes/no outcomes, in the order of their columns, and what yes means."""
ANSWERED: Final = "survey_answered"
"""Yes/no as well, of matters whose customer was asked how it was: how many answered."""
GRADES: Final = {
    "csat": (5, "satisfied, 1 to 5"),
    "fair_outcome": (5, "what came of it was fair, 1 to 5"),
    "fair_process": (5, "the way there was fair, 1 to 5"),
    "fair_manner": (5, "we treated them well, 1 to 5"),
    "effort": (7, "we made it easy, 1 to 7"),
}
"""What customers answered when they were asked: the highest grade, and what it means; 1 is the worst (R068)."""
UNWANTED: Final = frozenset({"came_back", "handed_over", "went_quiet"})
"""Yes/no outcomes of which yes is the worse."""
NUMBERS: Final = ("remedy_owed", "remedy_given", "remedy_currency", "hand_offs", "verification_steps")
"""Money in hundredths of its currency, of settled cases that were decided on; a currency is a number made of its letters."""
COUNTS: Final = ("hand_offs", "verification_steps")
"""Those of them that are counted, of every matter."""
DISMISSED: Final = "dismissed"
GESTURE_SENT: Final = "gesture_sent"
CODES: Final = ("number", "customer", "channel", "type", "severity", "region", "language")
COLUMNS: Final = (*CODES, *TIMES, *FLAGS, ANSWERED, *NUMBERS, *GRADES)
"""The columns that the database gives, all whole numbers; times in seconds since 1970 UTC."""
NO_ANSWER_NEEDED: Final = "no_answer_needed"
"""The column, beside these, that says which matters were dismissed or judged to need no answer; nothing else is asked of them."""


def _grades(name: str) -> list[str]:
    return [str(grade) for grade in range(1, GRADES[name][0] + 1)]


PLAN: Final = maps.parse(
    {
        "columns": {
            "id": "number",
            "channel": "channel",
            "opened": "spoke_at",
            "closed": "settled_at",
            "type": "type",
            "customer": "customer",
            "language": "language",
        },
        "outcome": [
            {"name": "first_response", "kind": "duration", "from": "spoke_at", "to": "answered_at", "unit": "hours"},
            {"name": "ingest_lag", "kind": "duration", "from": "spoke_at", "to": "reached_us_at", "unit": "hours"},
            *(
                {"name": name, "kind": "bool", "column": name, "true": ["yes"], "false": ["no"]}
                for name in (*FLAGS, ANSWERED)
            ),
            {"name": "remedy_part", "kind": "ratio", "column": "remedy_given", "of": "remedy_owed"},
            {"name": "remedy_amount", "kind": "amount", "column": "remedy_given", "currency": "remedy_currency"},
            *({"name": name, "kind": "count", "column": name} for name in COUNTS),
            *({"name": name, "kind": "ordinal", "column": name, "order": _grades(name)} for name in GRADES),
        ],
        "options": {"timezone": "UTC", "response": "first_response", "response_promised": "answer_due_at"},
    }
)
"""How the columns are to be understood; the same words as a MAP.toml."""


@dataclass(frozen=True, slots=True)
class Matters:
    """Matters of one window as columns of equal length, in the order of their numbers.

    channels, types, severities, languages, regions, occasions: what their codes mean. at: as of when they were read. dismissed:
    number, channel code, kind code and 1 or 0 of every matter, also those that needed no answer, which are not among the columns.
    gestures: of every kindness that was to leave in the window, the number of its customer's first matter, the code of that
    matter's channel and of the occasion, and 1 or 0 for sent.
    """

    columns: Mapping[str, Whole]
    dismissed: Mapping[str, Whole]
    channels: tuple[str, ...]
    types: tuple[str, ...]
    severities: tuple[str, ...]
    at: datetime
    languages: tuple[str, ...] = ()
    gestures: Mapping[str, Whole] = field(default_factory=lambda: dict.fromkeys(GESTURES, np.empty(0, dtype=np.int64)))
    occasions: tuple[str, ...] = ()
    regions: tuple[str, ...] = ("",)

    def __len__(self) -> int:
        return len(self.columns["number"])

    @property
    def content_hash(self) -> str:
        """A fingerprint of every value, so that a report can be tied to what it was made of (SHA-256)."""
        made = hashlib.sha256(
            repr((self.channels, self.types, self.severities, self.regions, int(self.at.timestamp()))).encode()
        )
        for name in COLUMNS:
            made.update(name.encode())
            made.update(np.ascontiguousarray(self.columns[name], dtype="<i8").tobytes())
        for column in (*self.dismissed.values(), *self.gestures.values()):
            made.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        return made.hexdigest()

    def kinds(self) -> tuple[Whole, tuple[str, ...]]:
        """What makes matters alike: failure, severity and the region whose calendar counts; code per matter, and their names."""
        shape = (len(self.types), len(self.severities), len(self.regions))
        key = self.columns["type"].astype(np.int64) * shape[1] + self.columns["severity"]
        if len(self.regions) > 1:
            key = key * shape[2] + self.columns["region"]
        found, place = _as_they_come(key)
        parts = np.unravel_index(found, shape)
        named = zip(
            *(
                [names[code] for code in codes]
                for names, codes in zip((self.types, self.severities, self.regions), parts, strict=True)
            ),
            strict=True,
        )
        return place, tuple(" · ".join(part for part in each if part) for each in named)


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
    used, channel = _as_they_come(matters.columns["channel"])
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
        answers={
            **{name: _array("i", matters.columns[name]) for name in (*FLAGS, ANSWERED)},
            **{name: _array("i", _places(matters.columns[name])) for name in GRADES},
        },
        labels={name: {} for name in (*FLAGS, ANSWERED, *GRADES)},
        language=_array("i", matters.columns["language"] - UNKNOWN),
        numbers={name: _number(matters.columns[name]) for name in ("remedy_given", "remedy_owed", *COUNTS)},
        currencies={"remedy_currency": _array("i", _as_they_come(matters.columns["remedy_currency"])[1])},
        rejected=Counter(),
        by_channel=Counter(),
        read=count,
    )
    return reading.settled(loaded, plan, places, spans, "", [])


def besides_of(matters: Matters) -> Cases:
    """Make cases of every matter, asked whether it ended without an answer, and of every kindness, asked whether it left.

    Like is of one kind of failure, or of one occasion. A kindness has no channel; it counts for the one by which its
    customer first came to us.
    """
    told, kindly = matters.dismissed, matters.gestures
    used, channel = np.unique(np.concatenate([told["channel"], kindly["channel"]]), return_inverse=True)
    names = (*matters.types, *(f"gesture · {name}" for name in matters.occasions))
    kinds, kind = np.unique(
        np.concatenate([told["type"], kindly["occasion"] + len(matters.types)]), return_inverse=True
    )
    count, of_matters = len(channel), len(told["is"])
    asked = np.full((2, count), np.nan)
    asked[0, :of_matters], asked[1, of_matters:] = told["is"], kindly["sent"]
    nothing = np.full(count, np.nan)
    no = np.zeros(count, dtype=bool)
    return Cases(
        channels=tuple(matters.channels[code] for code in used), types=tuple(names[code] for code in kinds),
        channel=channel.astype(np.int32), type=kind.astype(np.int32), month=np.full(count, -1, dtype=np.int32),
        hours=nothing, closed=no, promised_hours=nothing, due=no, kept=no,
        outcomes=tuple(
            Answers(name=name, kind="bool", values=each)
            for name, each in zip((DISMISSED, GESTURE_SENT), asked, strict=True)
            if not np.isnan(each).all()
        ),
        snapshot=matters.at, timed=False, promises=False, by_day=False, typed=True, excluded=frozenset(), read=count,
        rejected={}, rejected_by_channel={},
    )  # fmt: skip


def behind(matters: Matters, metric: str, channel: str, *, public: frozenset[str] = frozenset()) -> list[int]:
    """Numbers of the matters of a channel to look at for one metric, the gravest first.

    A yes/no outcome: those that went the worse way, the newest first; a grade: those that got one of the two worst. A time: the
    longest, those without an end before them. A remedy: those that got less than was owed, the largest lack first. A count: the
    most. A kindness that did not leave: its customer's first matter. Going public (`went_public`): private matters whose customer
    wrote on one of the `public` channels while they were open; first those settled soonest after that. Raises KeyError for a metric
    that the audit does not have.
    """
    if metric in (DISMISSED, GESTURE_SENT):
        told, is_worse = (matters.dismissed, "is") if metric == DISMISSED else (matters.gestures, "sent")
        worse = (told["channel"] == matters.channels.index(channel)) & (told[is_worse] == (metric == DISMISSED))
        return [int(each) for each in told["number"][worse][::-1]]
    columns = matters.columns
    if metric == WENT_PUBLIC:
        return _went_public(matters, public)
    ours = columns["channel"] == matters.channels.index(channel)
    if metric in FLAGS or metric in GRADES or metric in (RESPONSE_COVERAGE, ANSWERED):
        worse = _worse(columns, metric)
        return [int(each) for each in columns["number"][ours & worse][::-1]]
    if metric in LACKS:
        lack = LACKS[metric](columns)
        order = np.argsort(-lack[ours], kind="stable")[: int((lack[ours] > 0).sum())]
        return [int(each) for each in columns["number"][ours][order]]
    end = columns[
        {"first_response": "answered_at", "ingest_lag": "reached_us_at", TIME_TO_RESOLUTION: "settled_at"}[metric]
    ]
    waited = np.where(end == UNKNOWN, int(matters.at.timestamp()), end) - columns["spoke_at"]
    expects = ours & ((end != UNKNOWN) | (columns["answer_due_at"] != UNKNOWN))
    order = np.lexsort((-waited[expects], end[expects] != UNKNOWN))
    return [int(each) for each in columns["number"][expects][order]]


def _went_public(matters: Matters, public: frozenset[str]) -> list[int]:
    columns = matters.columns
    is_public = np.isin(np.array(matters.channels), list(public))[columns["channel"]]
    posts: dict[int, list[int]] = {}
    for customer, spoke in zip(columns["customer"][is_public], columns["spoke_at"][is_public], strict=True):
        posts.setdefault(int(customer), []).append(int(spoke))
    found = []
    for place in np.flatnonzero(~is_public):
        spoke, settled = int(columns["spoke_at"][place]), int(columns["settled_at"][place])
        end = settled if settled != UNKNOWN else int(matters.at.timestamp())
        after = [at for at in posts.get(int(columns["customer"][place]), []) if spoke < at < end]
        if after:
            found.append((settled == UNKNOWN, end - min(after), int(columns["number"][place])))
    return [number for _open, _within, number in sorted(found)]


def _worse(columns: Mapping[str, Whole], metric: str) -> npt.NDArray[np.bool_]:
    if metric == RESPONSE_COVERAGE:
        return np.asarray((columns["answered_at"] == UNKNOWN) & (columns["answered_as_promised"] == 0))
    if metric in GRADES:
        return np.asarray((columns[metric] == 1) | (columns[metric] == 2))
    return np.asarray(columns[metric] == (1 if metric in UNWANTED else 0))


def _lack(columns: Mapping[str, Whole]) -> npt.NDArray[np.float64]:
    """The part of what was owed that was not given."""
    owed = columns["remedy_owed"]
    return np.asarray(np.where(owed > 0, 1.0 - columns["remedy_given"] / np.maximum(owed, 1), 0.0))


LACKS: Final[Mapping[str, Callable[[Mapping[str, Whole]], npt.NDArray[Any]]]] = {
    "remedy_part": _lack,
    "remedy_amount": _lack,
    "hand_offs": lambda columns: columns["hand_offs"],
    "verification_steps": lambda columns: columns["verification_steps"],
}
"""Of what is a number: how much there is to look at in each matter."""


def _places(grades: Whole) -> Whole:
    """Grades as their places from the worst on."""
    return np.where(grades == UNKNOWN, UNKNOWN, grades - 1)


def _there(public: frozenset[str], matters: Matters) -> frozenset[str]:
    return public & {matters.channels[code] for code in np.unique(matters.columns["channel"])}


def _header() -> list[str]:
    return [name for name in COLUMNS if name not in ("severity", "region")]


def _array(kind: str, values: npt.NDArray[Any]) -> array[int]:
    made = array(kind)
    made.frombytes(np.ascontiguousarray(values, dtype=np.dtype(kind)).tobytes())
    return made


def _number(values: Whole) -> array[float]:
    made = array("d")
    made.frombytes(np.where(values == UNKNOWN, np.nan, values).astype(np.float64).tobytes())
    return made


def _as_they_come(codes: Whole) -> tuple[Whole, Whole]:
    """The codes in the order in which they come, as who reads a file finds them, and the place of each row's code among these."""
    found, first, place = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return found[order], rank[place]


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
    language = int(matters.columns["language"][place])
    yield "" if language == UNKNOWN else matters.languages[language]
    for name in TIMES:
        seconds = int(matters.columns[name][place])
        yield "" if seconds == UNKNOWN else _written(seconds)
    for name in (*FLAGS, ANSWERED):
        yield {1: "yes", 0: "no", UNKNOWN: ""}[int(matters.columns[name][place])]
    for name in NUMBERS:
        value = int(matters.columns[name][place])
        yield "" if value == UNKNOWN else currency_of(value) if name == "remedy_currency" else str(value)
    for name in GRADES:
        grade = int(matters.columns[name][place])
        yield "" if grade == UNKNOWN else str(grade)


def currency_of(code: int) -> str:
    """The three letters of which the code of a currency is made, each a digit of base 26."""
    return "".join(chr(65 + code // 26**place % 26) for place in (2, 1, 0))


def _written(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_map(matters: Matters, *, public: frozenset[str] = frozenset()) -> str:
    """The MAP.toml by which the CSV file of these matters is read."""
    lines = ["[columns]", *(f'{role} = "{column}"' for role, column in PLAN.columns.items())]
    for each in PLAN.outcomes:
        lines += ["", "[[outcome]]", f'name = "{each.name}"', f'kind = "{each.kind}"']
        if each.kind == "duration":
            lines += [f'from = "{each.start}"', f'to = "{each.end}"', f'unit = "{each.unit}"']
        elif each.kind in maps.NUMBERS:
            parts = (("column", each.column), ("of", each.of), ("currency", each.currency))
            lines += [f'{name} = "{column}"' for name, column in parts if column]
        elif each.kind == "ordinal":
            grades = ", ".join(f'"{grade}"' for grade in each.order)
            lines += [f'column = "{each.column}"', f"order = [{grades}]"]
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
