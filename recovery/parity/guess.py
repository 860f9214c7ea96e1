"""A first map for an unknown file: from the names of its columns and a look at their values."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path

from recovery.parity import Unusable
from recovery.parity.dates import Dates, formats_of
from recovery.parity.maps import NULLS, TIMES
from recovery.parity.tables import Row, Undecodable, rows_of

LOOKED_AT = 5_000  # rows
MOST_CHANNELS = 40
OLDER = "cp1252"  # tried where a file is not UTF-8
MADE = r"(open|creat|receiv|request)(ed)?"
DONE = r"(close|resolv|solv|complet)(e?d)?"
STAMP = r"[ _]?(dt|date|at|on|time)"
NAMES = {
    "id": r"^(ticket|case|complaint|(service[ _]?)?request|unique|case[ _]?enquiry|display)?[ _]?(id|number|key|no|#)$",
    "channel": r"channel|submitted[ _]?via|^source$|^via$|origin|contact[ _]?(method|type)|medium|article[ _]?type",
    "opened": rf"^({MADE}|submitted|reported)([ _-]|$)|{MADE}{STAMP}$|date[ _]?received",
    "closed": rf"^{DONE}([ _-]|$)|{DONE}{STAMP}$|^resolution[ _]?(date|time)$",
    "promised": r"^(target|due|promised|expected|sla)([ _-]|$)|due[ _]?(by|date)|escalation[ _]?at$|deadline",
    "type": r"^(type|category|product)$",
    "status": r"status$|^state$",
}
TYPE_NEXT = (
    r"(complaint|request|ticket|case|service)[ _.]?(type|category|name)",
    r"^(topic|queue|group|label|issue|reason)$",
)
CUSTOMER = r"^(customer|requester|contact|submitter|client)([ _]?(id|number|key|no|#))?$"
CLOSED_WORDS = ("closed", "resolved", "solved", "done", "completed", "complete", "merged")


def propose(path: Path) -> str:
    """Write a MAP.toml for a file, with what could not be told left as a comment.

    Raises Unusable when the file cannot be read or nothing in it looks like a channel.
    """
    encoding = ""
    try:
        header, sample = _looked_at(path)
    except Undecodable:
        encoding = OLDER
        header, sample = _looked_at(path, encoding)
    if not any(header):
        raise Unusable("The file is empty.")
    columns = {name: _values(sample, place) for place, name in enumerate(header) if name}
    times = [name for name, values in columns.items() if _is_time(name, values)]
    found: dict[str, str] = {}
    for role, pattern in [*NAMES.items(), *(("type", each) for each in TYPE_NEXT)]:
        for name in header:
            if role in found or name in found.values() or name not in columns or (role in TIMES) != (name in times):
                continue
            if re.search(pattern, name, re.IGNORECASE) and _could_be(role, columns[name]):
                found[role] = name
    if "channel" not in found:
        likely = [
            name for name, values in columns.items() if 1 < len(set(values)) <= MOST_CHANNELS and name not in times
        ]
        raise Unusable(
            f"No column looks like a channel; write a map and choose one of: {', '.join(likely) or ', '.join(header)}."
        )
    return _written(found, columns, times, path.name, encoding)


def _looked_at(path: Path, encoding: str = "utf-8-sig") -> tuple[list[str], list[Row]]:
    rows = rows_of(path, encoding=encoding)
    return [str(each).strip().strip("\ufeff") for each in next(rows, [])], list(islice(rows, LOOKED_AT))


def _values(sample: list[Row], place: int) -> list[str]:
    values = (str(row[place]).strip() for row in sample if len(row) > place)
    return [each for each in values if each and each not in NULLS]


def _is_time(name: str, values: list[str]) -> bool:
    if not values or not re.search(r"\d", values[0]):
        return False
    try:
        formats = formats_of({name: values[:500]})[name]
    except Unusable:
        return True  # a date whose order of day and month is not clear is a date
    if not formats:
        return False
    reader = Dates(formats)
    looked = values[:200]
    return sum(reader.read(each) is not None for each in looked) > 0.9 * len(looked)


def _could_be(role: str, values: list[str]) -> bool:
    if role == "id":
        return bool(values) and len(set(values)) > 0.7 * len(values)
    return role != "status" or any(each.casefold() in CLOSED_WORDS for each in values)


def _written(found: dict[str, str], columns: dict[str, list[str]], times: list[str], file: str, encoding: str) -> str:
    lines = [f"# A proposal for {_plain(file)}: read it through before you trust a report made with it.", "[columns]"]
    for role in NAMES:
        lines += [f"{role} = {_quoted(found[role])}" if role in found else f"# {role}: no column found"]
    for name in columns:
        if name not in found.values() and re.search(CUSTOMER, name, re.IGNORECASE):
            lines.append(f"# customer = {_quoted(name)}  # to compare customers with themselves; names nobody")
            break
    seen = Counter(columns[found["channel"]])
    lines += ["", f"# Channels seen: {', '.join(f'{_plain(name)} ({rows})' for name, rows in seen.most_common(12))}"]
    for name, values in columns.items():
        distinct = {each.casefold() for each in values}
        if (
            name not in found.values()
            and distinct
            and distinct <= {"yes", "no", "true", "false", "y", "n"}
            and len(distinct) == 2
        ):
            lines += ["", "[[outcome]]", f"name = {_quoted(_slug(name))}", 'kind = "bool"', f"column = {_quoted(name)}"]
            yes = sorted({each for each in values if each.casefold() in ("yes", "true", "y")})
            lines.append(f"true = [{', '.join(_quoted(each) for each in yes)}]")
    spare = [name for name in times if name not in found.values()]
    if "opened" in found:
        lines += [f"# A duration could be measured from {_plain(found['opened'])} to {_plain(name)}." for name in spare]
    lines += [
        "",
        "[options]",
        '# timezone = "Europe/Berlin"  # the zone in which times without an offset were written; else UTC',
    ]
    if encoding:
        lines.append(f"encoding = {_quoted(encoding)}")
    try:
        formats_of({found[role]: columns[found[role]] for role in TIMES if role in found})
    except Unusable as unclear:
        lines.append(f"# {_plain(str(unclear))}")
    if "status" in found:
        closed = sorted({each for each in columns[found["status"]] if each.casefold() in CLOSED_WORDS})
        lines.append(f"closed_statuses = [{', '.join(_quoted(each) for each in closed)}]")
    lines.append("# exclude_channels = [] # your own staff, machines: counted, never compared")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML wants it escaped, JSON does not


def _plain(text: str) -> str:
    """One line for a comment: no control characters, which TOML refuses there."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _slug(name: str) -> str:
    return re.sub(r"\W+", "_", name.casefold()).strip("_") or "outcome"
