"""Remove the data folder and each folder that stands in for a part of it: `python -m evenhand.embedded.clean`."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from evenhand.embedded.places import Places, Unusable, recorded_substitutes
from evenhand.embedded.supervisor import AlreadyUp, end_orphans, is_up

# The record is a file that could be edited or damaged: only folders named the way we name them are removed.
OUR_SUBSTITUTES = re.compile(r"(/var)?/tmp/evenhand-\d+-[0-9a-f]{12}(-pg)?|/.+/evenhand/[0-9a-f]{12}")

# What a folder named by EVENHAND_DATA may hold of ours; anything else in it is somebody's and stays.
OURS = (
    *("pg", "pg.new", "run", "valkey", "logs", "mail", "static", "media"),
    *("jwt.pem", "secret_key", "up.lock", "substitutes.json", "migrated", "demo-logins.txt"),
)


def clean(base_dir: Path) -> list[Path]:
    """Remove all data of the project in `base_dir` and return what was removed. Raises AlreadyUp while it is in use."""
    places = Places.from_environment(base_dir)
    if is_up(places.data):
        raise AlreadyUp(f"Evenhand runs on {places.data}; stop it first (Ctrl-C).")
    if not places.data.is_dir():
        return []
    end_orphans(places)
    named = {*recorded_substitutes(places.data).values(), *places.substitutes.values(), places.postgres_programs}
    removed = [path for path in sorted(named) if OUR_SUBSTITUTES.fullmatch(str(path)) and _remove(path)]
    if places.data == base_dir / ".data":
        _remove(places.data)
        return [*removed, places.data]
    removed += [places.data / name for name in OURS if _remove(places.data / name)]
    if not any(places.data.iterdir()):
        places.data.rmdir()
    return removed


def _remove(path: Path) -> bool:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True


def main() -> None:
    """Clean the project this package is part of, and say what was removed."""
    try:
        removed = clean(Path(__file__).resolve().parents[2])
    except (Unusable, OSError) as problem:
        sys.exit(str(problem))
    for path in removed:
        sys.stdout.write(f"Removed {path}\n")
    if not removed:
        sys.stdout.write("Nothing to remove.\n")


if __name__ == "__main__":
    main()
