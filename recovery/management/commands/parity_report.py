"""`manage.py parity_report`: anybody's ticket export in, an honest answer out; no database is touched."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from recovery.parity.audit import Audit
    from recovery.parity.contrasts import Contrast
    from recovery.parity.public import WentPublic
    from recovery.parity.tables import Told

COLOURS = {"red": "bold red", "amber": "yellow", "green": "green", "grey": "bright_black"}
MARKS = {"red": "■ red", "amber": "▲ amber", "green": "● green", "grey": "○ grey"}
FINDINGS_SHOWN = 20


class Command(BaseCommand):
    """Reads an export as a map says, audits it, prints the answer, and writes JSON and a page where asked."""

    help = "Say from an export of tickets (CSV, TSV, XLSX) whether customers were treated alike on every channel."
    requires_system_checks = ()  # no database, no server

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the export: .csv, .tsv or .xlsx")
        parser.add_argument(
            "--map", metavar="MAP.toml", help="which column means what; or the name of a ready map, such as boston311"
        )
        parser.add_argument("--guess", action="store_true", help="propose a map for the file, print it and stop")
        parser.add_argument(
            "--reference", metavar="CHANNEL", help="compare with this channel; without it with all the others together"
        )
        parser.add_argument("--strata", default="type", help="what makes cases alike: type, or type,month, or load")
        parser.add_argument("--by-stratum", action="store_true", help="also compare inside every type")
        parser.add_argument(
            "--snapshot", default="", metavar="TIME", help="as-of time for open cases; default: the file's latest time"
        )
        parser.add_argument("--json", type=Path, metavar="OUT", help="write the report as JSON")
        parser.add_argument(
            "--html", type=Path, metavar="OUT", help="write the report as one page that needs no network"
        )

    def handle(self, *args: object, **options: Any) -> None:
        from recovery.parity import Unusable

        try:
            if options["guess"]:
                from recovery.parity import guess

                self.stdout.write(guess.propose(options["file"]), ending="")
                return
            self._report(**options)
        except Unusable as refusal:
            raise CommandError(" ".join(str(refusal).split()), returncode=2) from refusal

    def _report(self, **options: Any) -> None:
        from recovery.parity import Unusable, maps, report

        if not options["map"]:
            raise Unusable("No map: name one with --map, or let --guess propose one.")
        if options["strata"] not in report.STRATA:
            raise Unusable(f"--strata {options['strata']} is not known; it may be {' or '.join(report.STRATA)}.")
        plan = maps.load(options["map"])
        _keep_apart(options)
        with _progress() as told:
            made, audit = report.make(
                options["file"],
                plan,
                reference=options["reference"],
                strata=options["strata"],
                by_stratum=options["by_stratum"],
                snapshot=options["snapshot"],
                told=told,
            )
        if options["json"]:
            write_whole(options["json"], json.dumps(made, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
        if options["html"]:
            from django.template.loader import render_to_string

            from recovery.parity import page

            write_whole(options["html"], render_to_string("recovery/parity/report.html", page.context(audit, made)))
        console = Console(file=cast(TextIO, self.stdout), width=None if self.stdout.isatty() else 140)
        _show(console, made, audit)


def _keep_apart(options: dict[str, Any]) -> None:
    """No output may overwrite what is read, nor the other output."""
    from recovery.parity import Unusable

    taken: dict[Path, str] = {}
    for what in ("file", "map", "json", "html"):
        if not options[what]:
            continue
        place, name = Path(options[what]).resolve(), what if what in ("file", "map") else f"--{what}"
        twin = next((other for at, other in taken.items() if at == place or _same(at, place)), None)
        if twin and name.startswith("-"):
            raise Unusable(f"{name} would overwrite the {twin.strip('-')} {options[what]}; give it another name.")
        taken[place] = name


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)  # a link, or names that differ in case only


@contextmanager
def _progress() -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        reading = progress.add_task("Reading", total=None)
        yield lambda done, total: progress.update(reading, completed=done, total=total)


def write_whole(path: Path, text: str) -> None:
    """Write all or nothing: a reader never sees half a report."""
    from recovery.parity import Unusable

    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as trouble:
        part.unlink(missing_ok=True)
        raise Unusable(f"{path} cannot be written: {trouble.strerror}.") from trouble


def _show(console: Console, made: dict[str, Any], audit: Audit) -> None:
    from recovery.parity import page

    rows = made["rows"]
    console.print(Text(page.answer(audit), style="bold"))
    for sentence in page.besides(audit):
        console.print(sentence)
    console.print(Text(f"{made['file']}: {rows['read']:,} rows read, {rows['kept']:,} kept; as of {made['snapshot']}."))
    if rows["rejected"]:
        console.print(
            Text("Rejected: " + ", ".join(f"{reason} {count:,}" for reason, count in rows["rejected"].items()))
        )
    console.print(_channels(made))
    if audit.overall:
        console.print(_contrasts("Like for like", audit.overall))
    found = [each for each in audit.by_stratum if each.verdict in ("red", "amber")]
    if found:
        found.sort(key=lambda each: (each.verdict != "red", each.tested.p or 0.0))
        console.print(_contrasts("Findings inside a type", found[:FINDINGS_SHOWN]))
        if len(found) > FINDINGS_SHOWN:
            console.print(Text(f"… and {len(found) - FINDINGS_SHOWN} more; --json and --html have them all."))
    if audit.within is not None and audit.within.lines:
        console.print(_contrasts("The same customer on two channels (n: pairs of cases)", audit.within.contrasts))
    if audit.went_public is not None:
        console.print(_uplifts(audit.went_public))
    for note in made["notes"]:
        console.print(Text(f"• {note}"))


def _channels(made: dict[str, Any]) -> Table:
    table = Table(title="Channels")
    for name in ("channel", "cases", "open", "rejected", "median h (closed)", "median h (all)", "promise kept"):
        table.add_column(name, justify="left" if name == "channel" else "right")
    for name, each in made["channels"].items():
        promise = each["promise_kept"]
        table.add_row(
            Text(name + (" (left out)" if each["excluded"] else "")),
            f"{each['n']:,}",
            f"{each['open']:,}",
            f"{each['rejected']:,}",
            _number(each["closed_median_hours"]),
            _number(each["km_median_hours"]),
            f"{promise['kept'] / promise['due']:.1%}" if promise and promise["due"] else "–",
        )
    return table


def _contrasts(title: str, contrasts: Any) -> Table:
    inside = any(each.stratum for each in contrasts)
    table = Table(title=title)
    for name in (
        "metric",
        *(["type"] if inside else []),
        "channel",
        "against",
        "n",
        "effect",
        "95 % interval",
        "p (Holm)",
        "verdict",
    ):
        table.add_column(name, justify="right" if name in ("n", "effect") else "left")
    for each in contrasts:
        table.add_row(*([Text(each.metric)] + ([Text(each.stratum or "")] if inside else []) + _cells(each)))
    return table


def _uplifts(found: WentPublic) -> Table:
    from recovery.parity import sections

    table = Table(title="Private cases after against before their customer went public")
    for name in ("opened in", "cases", "went public", "resolved after", "hazard ratio", "95 % interval", "verdict"):
        table.add_column(name, justify="left" if name in ("opened in", "verdict") else "right")
    for each in (found.whole, *found.months):
        table.add_row(
            Text(each.month or "all months"),
            f"{each.cases:,}",
            f"{each.went_public:,}",
            f"{each.resolved_after:,}",
            Text(sections.ratio_text(each)),
            Text(sections.interval_of(each)),
            Text(MARKS[each.verdict], style=COLOURS[each.verdict]).append(
                f", about {each.resolutions_needed:,} resolved after needed" if each.resolutions_needed else ""
            ),
        )
    return table


def _cells(each: Contrast) -> list[Text]:
    from recovery.parity import wording

    effect = each.tested.effects[0]
    verdict = Text(MARKS[each.verdict], style=COLOURS[each.verdict])
    if each.n_needed:
        verdict.append(f", about {each.n_needed:,} needed")
    return [
        Text(each.channel),
        Text(each.versus),
        Text(f"{each.n:,} / {each.n_versus:,}"),
        Text(wording.effect_text(effect)),
        Text(wording.interval_text(effect)),
        Text("–" if each.p_holm is None else f"{each.p_holm:.2g}"),
        verdict,
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"
