"""What commands that read files share: a bar that moves as lines are read, and a file of the rows that were not taken in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crm.channels.rows import Rejected, errors_file


def progress(*, quiet: bool) -> Progress:
    """A bar on the error stream; nothing of it goes into a pipe."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True, quiet=quiet),
    )


def lines(file: BinaryIO, bar: Progress, task: Any) -> Iterator[bytes]:
    """The lines of a file, with the bar moving on as they are read."""
    waiting = 0
    for line in file:
        waiting += len(line)
        if waiting > 200_000:
            bar.advance(task, waiting)
            waiting = 0
        yield line
    bar.advance(task, waiting)


def write_errors(rejected: Sequence[Rejected], *, beside: Path, named: Path | None) -> Path | None:
    """Write the rows that were not taken in, beside the file unless another place is named; None when there are none."""
    if not rejected:
        return None
    place = named or beside.with_name(f"{beside.stem}.errors.csv")
    place.write_bytes(errors_file(rejected))
    return place
