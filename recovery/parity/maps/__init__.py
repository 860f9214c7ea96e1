"""Which column of an export means what: MAP.toml, read and checked.

A ready map stands beside this file as NAME.toml and may be named by NAME alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from recovery.parity import Unusable

READY = Path(__file__).parent
ROLES = ("id", "channel", "opened", "closed", "promised", "type", "status", "customer", "language")
TIMES = ("opened", "closed", "promised")
KINDS = ("bool", "category", "duration", "ordinal", "ratio", "amount", "count")
NUMBERS = ("ratio", "amount", "count")
NULLS = ("NA", "N/A", "NULL", "null", "None", "nan")
RESPONSE_PROMISED = "response_promised"
RESERVED = ("promise_kept", "time_to_resolution", RESPONSE_PROMISED)
RESPONSE_COVERAGE = "response_coverage"
OPTIONS: dict[str, Any] = {
    "timezone": str,
    "date_formats": list,
    "delimiter": str,
    "encoding": str,
    "null_values": list,
    "exclude_channels": list,
    "snapshot": str,
    "closed_statuses": list,
    "public_channels": list,
    "response": str,
    "response_within_hours": (int, float),
    RESPONSE_PROMISED: str,
}
SHAPES = {list: "list", str: "text"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One more thing to compare: a yes/no answer, a grade, a category, a duration between two columns, or a number.

    A ratio is a column in parts of another one, at most 1; an amount may have a currency beside it; a count is whole.
    """

    name: str
    kind: Literal["bool", "category", "duration", "ordinal", "ratio", "amount", "count"]
    column: str = ""
    names: tuple[str, ...] = ()  # of the column, where there are several; the first is `column`
    true: frozenset[str] = frozenset()
    false: frozenset[str] = frozenset()  # empty: every other known value
    order: tuple[str, ...] = ()  # grades, from the worst to the best
    start: str = ""  # `from`
    end: str = ""  # `to`
    unit: Literal["hours", "days"] = "hours"
    of: str = ""  # column that a ratio is a part of
    currency: str = ""  # column beside an amount


@dataclass(frozen=True, kw_only=True)
class Map:
    """What a map says; columns: role -> column name of the file, the first where the map has several."""

    columns: dict[str, str]
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)  # role -> all names, where there are several
    outcomes: tuple[Outcome, ...] = ()
    timezone: str = "UTC"
    timezone_given: bool = False
    date_formats: tuple[str, ...] = ()  # empty: found from the file
    delimiter: str = ""  # empty: found from the file
    encoding: str = "utf-8-sig"
    null_values: frozenset[str] = field(default=frozenset(NULLS))  # blank is always null
    exclude_channels: frozenset[str] = frozenset()
    snapshot: str = ""
    closed_statuses: frozenset[str] = frozenset()
    public_channels: frozenset[str] = frozenset()
    response: str = ""  # the duration outcome that ends with the first answer
    response_within_hours: float = 0.0  # older cases should have an answer; 0: found from the answered ones
    response_promised: str = ""  # column of the time by which the first answer was promised; goes before the hours

    def settled(self, header: Sequence[str]) -> Map:
        """The map for one file: of several names for a column the first that the file has."""
        there = {each.casefold() for each in header}

        def first(names: tuple[str, ...], column: str) -> str:
            return next((each for each in names if each.casefold() in there), column)

        return replace(
            self,
            columns={role: first(self.names.get(role, ()), column) for role, column in self.columns.items()},
            outcomes=tuple(replace(each, column=first(each.names, each.column)) for each in self.outcomes),
        )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def load(named: str | Path) -> Map:
    """Read a map from a path, or a ready map by its name.

    Raises Unusable when it is not there, is no TOML, or says something that has no meaning here.
    """
    path = Path(named)
    if not path.exists() and path.name == str(named) and not path.suffix:
        path = READY / f"{named}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as trouble:
        ready = ", ".join(sorted(each.stem for each in READY.glob("*.toml")))
        raise Unusable(f"The map {named} cannot be read; ready maps are: {ready}.") from trouble
    try:
        return parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as trouble:
        raise Unusable(f"The map {path.name} is not TOML: {trouble}.") from trouble


def parse(raw: dict[str, Any]) -> Map:
    """Check a map that has been read from TOML. Raises Unusable with the first mistake."""
    unknown = set(raw) - {"columns", "outcome", "options"}
    if unknown:
        raise Unusable(f"The map has a part [{sorted(unknown)[0]}]; it may have [columns], [[outcome]] and [options].")
    columns = raw.get("columns")
    if not isinstance(columns, dict) or not columns.get("channel"):
        raise Unusable("The map names no channel: [columns] needs a line channel = “name of the column”.")
    for role, column in columns.items():
        if role not in ROLES:
            raise Unusable(f"The map's [columns] has {role}; it may have {', '.join(ROLES)}.")
        _names(column, f"column for {role}")
    options = raw.get("options", {})
    for name, value in options.items():
        if name not in OPTIONS:
            raise Unusable(f"The map's [options] has {name}; it may have {', '.join(OPTIONS)}.")
        if name == "snapshot" and not isinstance(value, (str, list)):
            value = options[name] = str(value)
        if not isinstance(value, OPTIONS[name]) or isinstance(value, bool):
            raise Unusable(f"The map's option {name} should be a {SHAPES.get(OPTIONS[name], 'number')}.")
    outcomes = raw.get("outcome", [])
    if not isinstance(outcomes, list):
        raise Unusable("The map's outcomes are written [[outcome]], with two brackets.")
    named = tuple(_outcome(each) for each in outcomes)
    names = [each.name for each in named]
    for name in names:
        if names.count(name) > 1 or name in RESERVED:
            raise Unusable(f"The map's outcome name {name} is taken.")
    _check_response(options, named)
    if options.get("public_channels") and not {"customer", "opened", "closed"} <= set(columns):
        raise Unusable("The map's public_channels need the columns customer, opened and closed.")
    zone = options.get("timezone", "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as trouble:
        raise Unusable(f"The map's time zone {zone} is not known; write one such as Europe/Berlin.") from trouble
    return Map(
        columns={role: _names(column, role)[0] for role, column in columns.items() if column},
        names={role: _names(column, role) for role, column in columns.items() if isinstance(column, list)},
        outcomes=named,
        timezone=zone,
        timezone_given="timezone" in options,
        date_formats=_texts(options, "date_formats"),
        delimiter=options.get("delimiter", ""),
        encoding=options.get("encoding", "utf-8-sig"),
        null_values=frozenset(_texts(options, "null_values")) if "null_values" in options else frozenset(NULLS),
        exclude_channels=frozenset(_texts(options, "exclude_channels")),
        snapshot=options.get("snapshot", ""),
        closed_statuses=frozenset(each.casefold() for each in _texts(options, "closed_statuses")),
        public_channels=frozenset(_texts(options, "public_channels")),
        response=options.get("response", ""),
        response_within_hours=float(options.get("response_within_hours", 0.0)),
        response_promised=options.get(RESPONSE_PROMISED, ""),
    )


def _check_response(options: dict[str, Any], outcomes: tuple[Outcome, ...]) -> None:
    response = options.get("response", "")
    if "response_within_hours" in options and (not response or not options["response_within_hours"] > 0):
        raise Unusable("The map's response_within_hours needs response beside it, and to be more than 0.")
    if options.get("response_promised") and (not response or "response_within_hours" in options):
        raise Unusable("The map's response_promised needs response beside it, and no response_within_hours.")
    if not response:
        return
    if response not in {each.name for each in outcomes if each.kind == "duration"}:
        raise Unusable(f"The map's option response names {response}, which is no outcome of kind duration in the map.")
    if any(each.name == RESPONSE_COVERAGE for each in outcomes):
        raise Unusable(f"The map's outcome name {RESPONSE_COVERAGE} is taken by the option response.")


def _texts(options: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(str(each) for each in options.get(name, []))


def _names(column: Any, what: str) -> tuple[str, ...]:
    """One name, or a list of names of which a file has one."""
    names = column if isinstance(column, list) else [column]
    if not names or not all(isinstance(each, str) for each in names):
        raise Unusable(f"The map's {what} is neither a text nor a list of texts.")
    return tuple(names)


def _outcome(raw: dict[str, Any]) -> Outcome:
    name, kind = raw.get("name"), raw.get("kind")
    if not isinstance(name, str) or not name:
        raise Unusable("An [[outcome]] of the map has no name.")
    known = {"name", "kind", "column", "true", "false", "order", "from", "to", "unit", "of", "currency"}
    if set(raw) - known:
        raise Unusable(f"The map's outcome {name} has {sorted(set(raw) - known)[0]}, which has no meaning here.")
    if kind not in KINDS:
        raise Unusable(f"The map's outcome {name} has kind {kind}; it may be {', '.join(KINDS)}.")
    if kind == "duration":
        if not raw.get("from") or not raw.get("to"):
            raise Unusable(f"The map's duration {name} needs from and to, the names of two date columns.")
        if raw.get("unit", "hours") not in ("hours", "days"):
            raise Unusable(f"The map's duration {name} has unit {raw['unit']}; it may be hours or days.")
        return Outcome(name=name, kind=kind, start=raw["from"], end=raw["to"], unit=raw.get("unit", "hours"))
    if not raw.get("column"):
        raise Unusable(f"The map's outcome {name} needs a column.")
    if kind == "ratio" and not raw.get("of"):
        raise Unusable(f"The map's ratio {name} needs of, the column of which its own is a part.")
    for key, allowed in (("of", "ratio"), ("currency", "amount")):
        if key in raw and kind != allowed:
            raise Unusable(f"The map's outcome {name} has {key}, which only kind {allowed} has.")
    if kind == "bool" and not raw.get("true"):
        raise Unusable(f"The map's yes/no outcome {name} needs true = [“…”], the values that mean yes.")
    order = tuple(str(each).casefold() for each in raw.get("order", []))
    if kind == "ordinal" and len(set(order)) < max(len(order), 2):
        raise Unusable(f"The map's grade {name} needs order = [“…”, “…”], its values from the worst to the best.")
    return Outcome(
        name=name,
        kind=kind,
        order=order,
        column=_names(raw["column"], f"column for {name}")[0],
        names=_names(raw["column"], f"column for {name}"),
        true=frozenset(str(each).casefold() for each in raw.get("true", [])),
        false=frozenset(str(each).casefold() for each in raw.get("false", [])),
        of=str(raw.get("of", "")),
        currency=str(raw.get("currency", "")),
    )
