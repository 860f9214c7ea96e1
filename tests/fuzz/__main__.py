"""Spoil real mails in many ways, read each in a reading process, and say whether one crashed, got stuck or was lost.

Every mail can be made again: by its number, the seed, and the same outside data (named by EVENHAND_TEST_DATA). Mails that
were not treated well are written to a folder. Ends with 1 when there is one.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.fuzz import mutations
from tests.fuzz.compared import compare
from tests.fuzz.run import BAD, CHUNK, Finding, Tally, run, whole_mails

LINE_EVERY = 5_000  # mails, where the output is no terminal and shows no bar
ROOT = Path(__file__).resolve().parents[2]


def outside_data() -> Path | None:
    named = os.environ.get("EVENHAND_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def report(tally: Tally) -> str:
    """The findings in words, with what can be said of mails that were not read: the rule of three, 3/n at 95 %."""
    bad = len(tally.findings)
    lines = [
        f"{tally.mails:,} mails, {tally.bytes_read / 1e6:,.0f} MB, {tally.seconds:,.0f} s, "
        f"{tally.mails / max(tally.seconds, 0.001):,.0f} mails/s",
        ", ".join(f"{what} {tally.count(what)}" for what in BAD),
        f"slowest {tally.slowest * 1000:,.0f} ms (mail {tally.slowest_number})",
        "kinds: " + ", ".join(f"{kind} {count:,}" for kind, count in tally.kinds.most_common()),
        f"without text, and for a reason: {tally.textless:,}",
        f"with text or an explicit reason: {100 * (1 - bad / max(1, tally.mails)):.3f} %",
    ]
    if not bad:
        lines.append(
            f"of mails like these, at most {3 / max(1, tally.mails):.4%} are treated badly (95 % upper bound, 3/n)"
        )
    return "\n".join(lines)


def _write(finding: Finding, folder: Path, *, seed: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{finding.what}-{seed}-{finding.number}.eml"
    file.write_bytes(finding.raw)
    return file


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--mails", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--workers", type=int, default=os.cpu_count())
    options.add_argument(
        "--findings", type=Path, default=ROOT / ".data" / "fuzz", help="folder for mails treated badly"
    )
    options.add_argument("--show", type=int, help="write the mail of this number to standard output and end")
    options.add_argument(
        "--compare", action="store_true", help="hold our reading against the standard library's and end"
    )
    given = options.parse_args()
    console = Console(stderr=True)
    outside = outside_data()
    if given.show is not None:
        sys.stdout.buffer.write(mutations.mail(given.show, seed=given.seed, whole=whole_mails(outside)))
        return 0
    if given.compare:
        whole = whole_mails(outside)
        spoilt = (mutations.mail(number, seed=given.seed, whole=whole) for number in range(given.mails))
        sys.stdout.write(f"whole: {compare(whole)}\nspoilt: {compare(spoilt)}\n")
        return 0
    console.print(
        f"seed {given.seed}, {len(whole_mails(outside))} whole mails" + ("" if outside else " (no outside data)")
    )
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        bar = progress.add_task("mails", total=given.mails)

        written: list[Path] = []

        def tell(now: Tally) -> None:
            so_far = f"{len(now.findings)} badly treated, slowest {now.slowest:.1f} s"
            for finding in now.findings[len(written) :]:
                written.append(_write(finding, given.findings, seed=given.seed))
                console.print(f"{written[-1]}: {finding.why}", markup=False)
            progress.update(bar, completed=now.mails, description=so_far)
            if not console.is_terminal and now.mails % LINE_EVERY < CHUNK:
                console.print(f"{now.mails:,} mails in {now.seconds:,.0f} s, {so_far}")

        tally = run(given.mails, seed=given.seed, outside=outside, workers=given.workers, told=tell)
    sys.stdout.write(report(tally) + "\n")
    return 0 if tally.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
