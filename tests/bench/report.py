"""What a run found out: one table for people, bench.json for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

MARKS = {True: "[green]pass[/]", False: "[red]FAIL[/]", None: "[yellow]not measured[/]"}

NOT_YET = {
    8: "its benchmark is not written yet",
    14: "its benchmark is not written yet",
    16: "its benchmark is not written yet",
    17: "its benchmark is not written yet",
}
"""Goals of docs/performance.md without a measurement, and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit of one goal. passed is None when it could not be measured; the reason then stands in `note`.

    cpu_ms: of one request, Python only. statements: of one request, transaction control left out.
    """

    goal: int
    what: str
    must: str
    aim: str
    measured: str
    passed: bool | None
    reaches_aim: bool = False
    value: float | None = None
    cpu_ms: float | None = None
    statements: int | None = None
    note: str = ""
    rounds: list[dict[str, Any]] = field(default_factory=list)


def limit(
    goal: int,
    what: str,
    value: float,
    *,
    most: float | None = None,
    least: float | None = None,
    aim: float,
    unit: str = "",
    **more: Any,
) -> Finding:
    """A finding about a number that may be at most `most` or has to be at least `least`."""
    if most is not None:
        sign, bound, passed, reaches = "≤", most, value <= most, value <= aim
    else:
        bound = 0.0 if least is None else least
        sign, passed, reaches = "≥", value >= bound, value >= aim
    return Finding(
        goal=goal,
        what=what,
        must=f"{sign} {bound:g}{unit}",
        aim=f"{sign} {aim:g}{unit}",
        measured=f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}",
        passed=passed,
        reaches_aim=reaches,
        value=round(value, 4),
        **more,
    )


def show(found: list[Finding], console: Console) -> None:
    """Print the table."""
    table = Table(title="Evenhand: goals of docs/performance.md", title_justify="left")
    for heading in ("goal", "what", "must", "aim", "measured", "CPU ms", "SQL", "result", "note"):
        table.add_column(heading, justify="right" if heading in ("goal", "measured", "CPU ms", "SQL") else "left")
    for one in sorted(found, key=lambda finding: finding.goal):
        result = MARKS[one.passed] + (" [green](aim)[/]" if one.passed and one.reaches_aim else "")
        cpu = "" if one.cpu_ms is None else f"{one.cpu_ms:.2f}"
        sql = "" if one.statements is None else str(one.statements)
        table.add_row(str(one.goal), one.what, one.must, one.aim, one.measured, cpu, sql, result, one.note)
    console.print(table)


def write(found: list[Finding], target: Path, *, told: dict[str, Any]) -> None:
    """Write bench.json."""
    document = {
        "run": told,
        "machine": machine(),
        "versions": versions(),
        "findings": [
            asdict(one) | {"result": {True: "pass", False: "fail", None: "not measured"}[one.passed]}
            for one in sorted(found, key=lambda finding: finding.goal)
        ],
    }
    target.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def machine() -> dict[str, Any]:
    """Facts that numbers depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "cores": os.cpu_count(),
        "memory_mb": memory,
        "system": platform.system(),
        "architecture": platform.machine(),
        "load_average": list(os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """What was measured with."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        row = cursor.fetchone()
    names = ("Django", "djangorestframework", "django-allauth", "psycopg", "gunicorn", "celery")
    return {
        "Python": platform.python_version(),
        "PostgreSQL": row[0] if row else "",
        **{n: version(n) for n in names},
    } | _commit()


def _commit() -> dict[str, str]:
    said = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {"commit": said.stdout.strip()} if said.returncode == 0 else {}
