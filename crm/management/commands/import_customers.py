"""`manage.py import_customers`: customers from a file of another program; who is whom by verified keys, the rest suggested."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.progress import TaskID

from crm.actions import customer_imports as actions
from crm.actions import import_portions, import_undo
from crm.channels import contact_columns, contact_files
from crm.channels.rows import NotThisShape, Rejected, errors_head, errors_line, line
from crm.management import files
from crm.models import CustomerImport

_LEVELS = {0: "differs", 1: "somewhat alike", 2: "alike", 3: "same"}


class Command(BaseCommand):
    """Reads a file of customers, brings it in, and says who is one person, who may be, and what was not taken in."""

    help = (
        "Import customers from CSV, TSV, XLSX or vCard. Rows that share a verified key become one customer; what else looks alike "
        "is suggested to colleagues. Nobody is opted in. --map names a TOML file that says which column is which."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="the file")
        parser.add_argument(
            "--map", type=Path, help="the table of columns (TOML); without it they are told by their names"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would come of it, and write nothing")
        parser.add_argument("--json", action="store_true", help="print the figures and pairs as one JSON object")
        parser.add_argument(
            "--errors", type=Path, help="where rows go that are not taken in (default: FILE.errors.csv)"
        )
        parser.add_argument(
            "--duplicates", type=Path, help="write who is and who may be one person, as CSV, with the evidence"
        )
        parser.add_argument("--undo", metavar="IMPORT", help="take an import back, by the id that it printed")
        parser.add_argument(
            "--resume", metavar="IMPORT", help="go on with an import that was interrupted, with the same file and table"
        )

    def handle(self, *args: object, **options: Any) -> None:
        if options["undo"]:
            self._undo(options["undo"])
            return
        path: Path | None = options["file"]
        if path is None:
            raise CommandError("Name a file, or an import to take back with --undo.", returncode=2)
        going_on = _interrupted(options["resume"]) if options["resume"] else None
        with files.progress(quiet=options["json"]) as bar, _Errors(path, options["errors"]) as errors:
            try:
                told = options["map"].read_text(encoding="utf-8") if options["map"] else ""
                mapping = contact_columns.mapped(told)
                reading = bar.add_task("Reading, rows", total=None)
                comparing: TaskID = bar.add_task("Comparing, pairs", total=None)
                outcome = actions.bring_in(
                    contact_files.parse(path, mapping, told=lambda done: bar.update(reading, completed=done)),
                    source=mapping.source or path.stem,
                    file_name=path.name,
                    at=timezone.now(),
                    dry=options["dry_run"],
                    going_on=going_on,
                    told=lambda done, all_: bar.update(comparing, completed=done, total=all_),
                    refused=errors.keep,
                )
            except (OSError, UnicodeError) as trouble:
                raise CommandError(f"{path} or its table cannot be read: {trouble}.", returncode=2) from trouble
            except (NotThisShape, actions.NotGoingOn) as refusal:
                raise CommandError(f"{path} is not imported. {refusal}", returncode=2) from refusal
        if options["duplicates"]:
            _write_duplicates(outcome, options["duplicates"])
        figures: dict[str, Any] = {
            **outcome.counts,
            "automatic": outcome.automatic,
            "suggested": [[one.id, one.other, one.score] for one in outcome.suggested if one.other is not None],
            "suggested_known": [[one.id, one.known, one.score] for one in outcome.suggested if one.known],
            "dry_run": options["dry_run"],
            "import": str(outcome.brought_by.public_id) if outcome.brought_by else None,
        }
        self.stdout.write(
            json.dumps(figures, ensure_ascii=False) if options["json"] else _told(figures, path.name, errors.written)
        )

    def _undo(self, public_id: str) -> None:
        try:
            done = import_undo.undo(public_id, at=timezone.now())
        except import_undo.NotTakenBack as refusal:
            raise CommandError(str(refusal), returncode=2) from refusal
        self.stdout.write(
            f"Taken back: {done.removed:,} customers are gone again; {done.kept:,} stay, because we had them before or something "
            "hangs on them."
        )


def _interrupted(public_id: str) -> CustomerImport:
    found = actions.interrupted(public_id)
    if found is None:
        raise CommandError("There is no interrupted import of this id.", returncode=2)
    return found


class _Errors:
    """The file of rows that are not taken in: begun with the first of them, written as they come."""

    def __init__(self, beside: Path, named: Path | None) -> None:
        self._place = named or beside.with_name(f"{beside.stem}.errors.csv")
        self._file: Any = None
        self.written: Path | None = None

    def __enter__(self) -> _Errors:
        return self

    def __exit__(self, *trouble: object) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, one: Rejected) -> None:
        """Write one row."""
        if self._file is None:
            self._file, self.written = self._place.open("wb"), self._place
            self._file.write(errors_head())
        self._file.write(errors_line(one))


def _write_duplicates(outcome: import_portions.Outcome, place: Path) -> None:
    with place.open("wb") as file:
        file.write(b"\xef\xbb\xbf" + line(["id", "other", "how", "score", "evidence"]))
        for one, other in outcome.automatic:
            file.write(line([str(one), str(other), "verified key", "", ""]))
        for each in outcome.suggested:
            said = "; ".join(f"{name.replace('_', ' ')} {_LEVELS[level]}" for name, level, _weight in each.evidence)
            other = f"customer {each.known}" if each.known else str(each.other)
            file.write(line([str(each.id), other, "suggested", str(each.score), said]))


def _told(figures: dict[str, Any], name: str, errors: Path | None) -> str:
    would = "would be " if figures["dry_run"] else ""
    rows, known = len(figures["suggested"]), len(figures["suggested_known"])
    said = [
        f"{name}: {figures['created']:,} customers {would}new, {figures['updated']:,} rows belong to customers who are there.",
        f"One person by a verified key: {len(figures['automatic']):,} pairs of rows.",
        f"To be looked at: {rows:,} pairs of rows, {known:,} of a row and a customer.",
    ]
    if figures["unknown"]:
        said.append(f"Said of permissions: {figures['unknown']:,}. A file gives none; they stay unknown.")
    said += [
        f"Not taken in: {number:,} × {contact_files.REASONS.get(code, code)}"
        for code, number in figures["rejected"].items()
    ]
    said += [f"Left out: {number:,} × {code.replace('_', ' ')}" for code, number in figures["left_out"].items()]
    if errors is not None:
        said.append(f"Rows that were not taken in stand in {errors} with the reason.")
    if figures["dry_run"]:
        said.append("This was a dry run: nothing was written.")
    else:
        said.append(f"To take it back: manage.py import_customers --undo {figures['import']}")
    return "\n".join(said)
