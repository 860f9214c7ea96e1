"""Small exports for the tests."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from recovery.parity import maps

COLUMNS = {"id": "id", "channel": "channel", "opened": "opened", "closed": "closed", "type": "type"}


def write(
    path: Path, rows: Iterable[Sequence[str]], *, header: Sequence[str] = tuple(COLUMNS), delimiter: str = ","
) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def plan(**options: object) -> maps.Map:
    return maps.parse({"columns": dict(COLUMNS), "options": {"timezone": "America/New_York"} | options})
