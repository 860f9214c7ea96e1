"""The embedded servers and their supervisor, with the real programs, on what laptops and containers do to them."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from evenhand.embedded import places as places_module
from evenhand.embedded import postgres, processes, valkey
from evenhand.embedded.clean import clean
from evenhand.embedded.places import Account, Places, Unusable, account_for, jwt_private_key, prepare, secret_key
from evenhand.embedded.supervisor import AlreadyUp, Child, Supervisor, postgres_child, valkey_child

ROOT = Path(__file__).resolve().parents[2]
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL under another account")

SUPERVISE = """
import signal
import sys
from pathlib import Path
from evenhand.embedded import postgres, valkey
from evenhand.embedded.places import Places
from evenhand.embedded.supervisor import Supervisor, postgres_child, valkey_child

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started the tests (nohup) may have it ignored
places = Places.from_environment(Path(sys.argv[1]), {})
try:
    with Supervisor(places, tell=print) as supervisor:
        database, broker = supervisor.start(postgres_child(places)), supervisor.start(valkey_child(places))
        postgres.wait_ready(places, database)
        valkey.wait_ready(places, broker)
        print("ready", flush=True)
        supervisor.watch()
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


def short_folder() -> Path:
    """A short folder that every account may pass through, as a checkout in /srv would be."""
    made = Path(tempfile.mkdtemp(prefix="evenhand-test-", dir="/tmp"))
    made.chmod(0o711)
    return made


def end_leftovers(places: Places) -> None:
    for pid in postgres.backends(places):
        os.kill(pid, signal.SIGQUIT)
    processes.wait_until(lambda: not postgres.backends(places), within=10)
    valkey.end_orphan(places)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = short_folder()
    yield made
    end_leftovers(Places.from_environment(made, {}))
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Places]:
    """Places with a PostgreSQL that has run before; shared, because making a cluster takes seconds on a slow disk."""
    made = short_folder()
    places = Places.from_environment(made, {})
    prepare(places)
    postgres.stop(started_postgres(places))
    yield places
    shutil.rmtree(made)


@pytest.fixture
def filled(cluster: Places) -> Iterator[Places]:
    yield cluster
    end_leftovers(cluster)


@pytest.fixture
def places(folder: Path) -> Places:
    """Places with nothing in them yet."""
    made = Places.from_environment(folder, {})
    prepare(made)
    return made


def started_postgres(places: Places) -> subprocess.Popen[bytes]:
    process = postgres.start(places, settings=postgres.THROW_AWAY)
    postgres.wait_ready(places, process, within=30)
    postgres.create_database(places)
    return process


def started_valkey(places: Places) -> subprocess.Popen[bytes]:
    process = valkey.start(places)
    valkey.wait_ready(places, process, within=10)
    return process


def query(places: Places, statement: str) -> object:
    with psycopg.connect(places.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def everything_of(places: Places) -> list[str]:
    lines = processes.command_lines().values()
    return [line for line in lines if str(places.data) in line or postgres.cluster_name(places) in line]


# --- places ---------------------------------------------------------------------------------------------------------


def test_working_out_the_places_touches_nothing(folder: Path) -> None:
    worked_out = Places.from_environment(folder, {})

    assert list(folder.iterdir()) == []
    assert worked_out.data == folder / ".data"
    assert worked_out.database["HOST"] == str(folder / ".data/run/pg")
    assert worked_out.broker_url == f"redis+socket://{folder}/.data/run/valkey.sock?virtual_host=0"


def test_the_data_folder_can_be_named_in_the_environment(folder: Path) -> None:
    assert Places.from_environment(folder, {"EVENHAND_DATA": "/srv/evenhand"}).data == Path("/srv/evenhand")
    assert Places.from_environment(folder, {"EVENHAND_DATA": "elsewhere"}).data == folder / "elsewhere"
    assert Places.from_environment(folder, {"EVENHAND_DATA": " "}).data == folder / ".data"


@pytest.mark.parametrize("name", ["n" * 120, "Łukasz, space # 100%"])
def test_sockets_move_to_a_short_private_folder_when_the_path_does_not_suit_them(
    folder: Path, name: str, cluster: Places
) -> None:
    awkward = folder / name
    awkward.mkdir(mode=0o755)
    moved = Places.from_environment(awkward, {})
    assert str(moved.run).startswith(f"/tmp/evenhand-{os.geteuid()}-")  # noqa: S108  the point of it
    prepare(moved)
    subprocess.run(["cp", "-a", f"{cluster.postgres_data}/.", moved.postgres_data], check=True)
    try:
        database, broker = started_postgres(moved), started_valkey(moved)

        assert query(moved, "SELECT 1") == 1
        assert not moved.run.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
        valkey.stop(broker)
        postgres.stop(database)
        removed = clean(awkward)

        assert moved.run in removed
        assert not moved.run.exists()
        assert list(awkward.iterdir()) == []
    finally:
        shutil.rmtree(moved.run, ignore_errors=True)


def test_a_shared_folder_of_another_system_holds_neither_cluster_nor_sockets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a mount needs the other system, so what the kernel says of it is written here by hand."""
    real = places_module._filesystem
    monkeypatch.setattr(
        places_module, "_filesystem", lambda path: "vboxsf" if path.is_relative_to(folder) else real(path)
    )

    moved = Places.from_environment(folder, {})

    assert moved.data == folder / ".data"
    assert moved.postgres_data.parts[-3::2] == ("evenhand", "pg")
    assert not moved.postgres_data.is_relative_to(folder)
    assert not moved.run.is_relative_to(folder)
    assert set(moved.substitutes) == {"run", "postgres_data"}


def test_the_kernel_says_what_kind_of_filesystem_a_path_is_on() -> None:
    assert places_module._filesystem(Path("/proc/self")) in ("proc", "")


def test_a_strangers_folder_in_tmp_is_refused(folder: Path) -> None:
    awkward = folder / "with space"
    awkward.mkdir()
    moved = Places.from_environment(awkward, {})
    moved.run.symlink_to(folder)
    try:
        with pytest.raises(Unusable, match="belongs to another user"):
            prepare(moved)
    finally:
        moved.run.unlink()


def test_secrets_are_made_once_and_are_private_even_when_several_ask_at_the_same_moment(places: Places) -> None:
    with ThreadPoolExecutor(8) as several:
        keys = set(several.map(secret_key, [places] * 16))

    assert len(keys) == 1
    assert len(keys.pop()) >= 50
    assert jwt_private_key(places) == jwt_private_key(places)
    assert jwt_private_key(places).startswith("-----BEGIN PRIVATE KEY-----")
    assert {(places.data / name).stat().st_mode & 0o777 for name in ("secret_key", "jwt.pem")} == {0o600}
    assert not list(places.data.glob(".*"))  # no drafts left


def test_a_moved_project_keeps_its_outside_data_and_a_copied_one_does_not_share_it(folder: Path) -> None:
    original, outside = folder / "original", folder / "evenhand" / "0123456789ab"
    (original / ".data").mkdir(parents=True)
    before = Places.from_environment(original, {})
    places_module.record_substitute(before, name="postgres_data", path=outside)
    assert Places.from_environment(original, {}).postgres_data == outside / "pg"

    shutil.copytree(original, folder / "copy")
    assert Places.from_environment(folder / "copy", {}).postgres_data != outside / "pg"

    (folder / "copy").rename(folder / "unused")
    original.rename(folder / "moved")
    assert Places.from_environment(folder / "moved", {}).postgres_data == outside / "pg"


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def test_postgres_starts_on_an_empty_folder_stops_and_starts_again_with_its_data(places: Places) -> None:
    first = started_postgres(places)
    query(places, "CREATE TABLE kept (word text)")
    postgres.stop(first)
    assert first.returncode == 0
    assert postgres.backends(places) == []

    second = started_postgres(places)

    assert query(places, "SELECT count(*) FROM kept") == 0
    assert query(places, "SHOW timezone") == "UTC"
    assert (
        query(places, "SELECT datcollate || ' ' || datlocale FROM pg_database WHERE datname = 'evenhand'")
        == "C C.UTF-8"
    )
    assert query(places, "SHOW listen_addresses") == ""
    postgres.stop(second)


def test_a_killed_postgres_starts_again_and_has_what_was_committed(filled: Places) -> None:
    killed = postgres.start(filled)
    postgres.wait_ready(filled, killed)
    postgres.create_database(filled)
    query(filled, "CREATE TABLE survivor (word text)")
    query(filled, "INSERT INTO survivor VALUES ('promise')")
    killed.kill()
    killed.wait()
    assert (filled.postgres_data / "postmaster.pid").exists()

    again = started_postgres(filled)

    assert query(filled, "SELECT word FROM survivor") == "promise"
    postgres.stop(again)


def test_a_used_again_process_id_is_not_taken_for_a_running_server(filled: Places) -> None:
    postgres.stop(started_postgres(filled))
    stranger = processes.spawn(
        ["sleep", "60"],
        log=filled.logs / "stranger.log",
        cwd=Path("/"),
        death_signal=signal.SIGKILL,
        account=account_for(filled.postgres_data),
    )
    try:
        left_by_a_crash = f"{stranger.pid}\n{filled.postgres_data}\n1\n5432\n{filled.postgres_socket_dir}\n\n"
        (filled.postgres_data / "postmaster.pid").write_text(left_by_a_crash)
        (filled.postgres_socket_dir / ".s.PGSQL.5432.lock").write_text(left_by_a_crash)

        postgres.stop(started_postgres(filled))

        assert stranger.poll() is None  # and nobody killed it
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_server_on_the_same_folder_is_refused(filled: Places) -> None:
    first = started_postgres(filled)

    with pytest.raises(postgres.StillRunning, match="runs on"):
        postgres.repair(filled, within=0.1)

    assert query(filled, "SELECT 1") == 1
    postgres.stop(first)


def test_an_interrupted_first_start_is_begun_anew(places: Places) -> None:
    half = places.postgres_data.with_name("pg.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    postgres.stop(started_postgres(places))

    assert not half.exists()


def test_a_server_that_cannot_start_says_why_in_one_sentence(filled: Places) -> None:
    process = postgres.start(filled, settings={"shared_buffers": "many"})

    with pytest.raises(postgres.NotStarted, match="shared_buffers") as refused:
        postgres.wait_ready(filled, process)

    assert "\n" not in str(refused.value)


def test_the_callers_locale_and_postgres_variables_do_not_reach_the_server(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LANG": "xx_XX", "LC_ALL": "xx_XX", "PGDATA": "/nowhere", "PGPORT": "1", "PGHOST": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HOME", raising=False)

    postgres.stop(started_postgres(places))


@only_root
def test_root_gives_postgres_to_another_account_and_can_still_connect(filled: Places) -> None:
    account = account_for(filled.postgres_data)
    assert account is not None
    server = started_postgres(filled)

    assert account.uid != 0
    assert Path(f"/proc/{server.pid}").stat().st_uid == account.uid
    assert filled.postgres_data.stat().st_uid == account.uid
    assert query(filled, "SELECT current_user") == "evenhand"
    postgres.stop(server)


@only_root
def test_a_cluster_made_by_an_ordinary_user_stays_his_when_root_starts_it(places: Places) -> None:
    (places.postgres_data / "PG_VERSION").write_text("18\n")
    os.chown(places.postgres_data / "PG_VERSION", 65534, 65534)

    account = account_for(places.postgres_data)

    assert account is not None
    assert account.uid == 65534


@only_root
def test_a_project_that_only_root_may_enter_keeps_its_modes_and_its_database_elsewhere(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    moved = Places.from_environment(closed, {})
    assert moved.postgres_data.is_relative_to("/var/lib/evenhand")
    prepare(moved)
    postgres.stop(started_postgres(moved))

    assert closed.stat().st_mode & 0o777 == 0o700
    assert Places.from_environment(closed, {}) == moved  # the record leads back to the same cluster
    assert moved.postgres_data.parent in clean(closed)
    assert not moved.postgres_data.parent.exists()
    assert not moved.run.exists()


@only_root
@pytest.mark.slow
def test_programs_the_account_cannot_reach_are_copied_and_the_copy_is_cleaned_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    package = postgres._package()
    for name in (package.name, package.name + ".libs"):
        if (package.with_name(name)).exists():
            shutil.copytree(package.with_name(name), closed / name, ignore=shutil.ignore_patterns("pginstall"))
    monkeypatch.setattr(postgres, "_package", lambda: closed / package.name)
    moved = Places.from_environment(closed, {})
    prepare(moved)

    postgres.stop(started_postgres(moved))
    made_at = (moved.postgres_programs / "complete").stat().st_mtime_ns
    postgres.stop(started_postgres(moved))
    assert (moved.postgres_programs / "complete").stat().st_mtime_ns == made_at  # copied once

    (moved.postgres_programs / package.name / "pginstall18/bin/initdb").unlink()  # as a cleaner of /var/tmp would
    postgres.stop(started_postgres(moved))
    assert (moved.postgres_programs / package.name / "pginstall18/bin/initdb").exists()

    assert moved.postgres_programs in clean(closed)
    assert closed.stat().st_mode & 0o777 == 0o700


# --- Valkey ---------------------------------------------------------------------------------------------------------


def test_a_killed_valkey_keeps_what_it_accepted(places: Places) -> None:
    killed = started_valkey(places)
    redis.Redis.from_url(f"unix://{places.valkey_socket}").set("nudge", "waiting")
    killed.kill()
    killed.wait()

    again = started_valkey(places)

    assert redis.Redis.from_url(f"unix://{places.valkey_socket}").get("nudge") == b"waiting"
    valkey.stop(again)
    assert again.returncode == 0


def test_a_broken_append_only_file_is_set_aside(places: Places) -> None:
    first = started_valkey(places)
    redis.Redis.from_url(f"unix://{places.valkey_socket}").set("nudge", "waiting")
    valkey.stop(first)
    written = next((places.valkey_dir / "appendonlydir").glob("*.incr.aof"))
    written.write_bytes(b"*3\r\n$garbage\r\n" + written.read_bytes())
    broken = valkey.start(places)
    with pytest.raises(valkey.NotStarted):
        valkey.wait_ready(places, broken)

    assert valkey.set_aside_broken_log(places)

    valkey.stop(started_valkey(places))
    assert list(places.valkey_dir.glob("appendonlydir.broken-*"))


# --- the supervisor -------------------------------------------------------------------------------------------------


def test_a_second_supervisor_on_the_same_folder_is_refused_with_a_sentence(places: Places) -> None:
    with Supervisor(places, tell=print) as first:
        first.start(valkey_child(places))
        assert processes.wait_until(lambda: valkey.is_ready(places), within=5)

        with (
            pytest.raises(AlreadyUp, match=f"already runs on .* \\(process {os.getpid()}\\)"),
            Supervisor(places, tell=print),
        ):
            pytest.fail("two supervisors")
        with pytest.raises(AlreadyUp, match="stop it first"):
            clean(places.data.parent)

        assert valkey.is_ready(places)  # the refused one left it alone
    assert not valkey.is_ready(places)


def test_a_killed_server_is_started_again_and_the_console_says_so(filled: Places) -> None:
    said: list[str] = []
    with Supervisor(filled, tell=said.append) as supervisor:
        database, broker = supervisor.start(postgres_child(filled)), supervisor.start(valkey_child(filled))
        postgres.wait_ready(filled, database)
        valkey.wait_ready(filled, broker)
        for process, is_ready in ((database, postgres.is_ready), (broker, valkey.is_ready)):
            process.kill()
            process.wait()
            assert not is_ready(filled)

            def looked_after(ready=is_ready) -> bool:
                supervisor.look()
                return ready(filled)

            assert processes.wait_until(looked_after, within=20)
    assert [line.split(";")[0] for line in said] == ["postgres was killed by signal 9", "valkey was killed by signal 9"]
    assert everything_of(filled) == []


def test_a_child_that_keeps_dying_is_started_less_and_less_often(places: Places) -> None:
    said: list[str] = []

    def start() -> subprocess.Popen[bytes]:
        log = places.logs / "web.log"
        return processes.spawn(["false"], log=log, cwd=Path("/"), death_signal=signal.SIGTERM)

    with Supervisor(places, tell=said.append) as supervisor:
        supervisor.start(Child(name="web", level=2, start=start))
        processes.wait_until(lambda: supervisor.look() is not None, within=0.5)

    assert len(said) == 2
    assert said[0].startswith("web ended with code 1; starting it again now")
    assert "in 1 s" in said[1]


def test_a_log_that_grew_large_is_set_aside_under_its_writer(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LARGEST_LOG", 10)
    log = places.logs / "web.log"
    writer = processes.spawn(
        ["sh", "-c", "echo before; while [ ! -e done ]; do sleep 0.05; done; echo after"],
        log=log,
        cwd=places.run,
        death_signal=signal.SIGTERM,
    )
    processes.wait_until(lambda: log.read_text() != "", within=5)
    processes.keep_small(log)  # still small
    monkeypatch.setattr(processes, "LARGEST_LOG", 5)

    processes.keep_small(log)
    (places.run / "done").touch()
    writer.wait(timeout=5)

    assert log.with_name("web.log.1").read_text() == "before\n"
    assert log.read_text() == "after\n"


def supervised(folder: Path) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert started.stdout
    for line in started.stdout:
        if line.strip() == "ready":
            return started
    raise AssertionError("the supervisor ended before it was ready")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_cleanly(filled: Places, number: signal.Signals) -> None:
    started = supervised(filled.data.parent)

    started.send_signal(number)

    assert started.wait(timeout=15) == 0
    assert started.stdout
    assert started.stdout.read().strip() == "stopped"
    assert "database system is shut down" in (filled.logs / "postgres.log").read_text()
    assert everything_of(filled) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_supervisor_takes_everything_with_it_and_the_next_start_is_clean(filled: Places) -> None:
    started = supervised(filled.data.parent)
    started.kill()
    started.wait()

    assert processes.wait_until(lambda: everything_of(filled) == [], within=5)

    again = supervised(filled.data.parent)
    again.send_signal(signal.SIGINT)
    assert again.wait(timeout=15) == 0


def test_servers_that_outlived_their_supervisor_are_ended_by_the_next(filled: Places) -> None:
    said: list[str] = []
    orphans = [started_postgres(filled), started_valkey(filled)]

    with Supervisor(filled, tell=said.append):
        assert [orphan.wait(timeout=5) for orphan in orphans] == [0, 0]

    assert said == ["An earlier start was cut off; what it left running has been ended."]


@only_root
def test_servers_of_another_account_are_recognised_where_root_may_not_look_at_them(filled: Places) -> None:
    """A container's root lacks the capability to read another account's working folder."""
    server = started_postgres(filled)
    without = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    ask = (
        "import sys; from pathlib import Path; from evenhand.embedded import postgres, processes;"
        "from evenhand.embedded.places import Places; places = Places.from_environment(Path(sys.argv[1]), {});"
        "found = postgres.backends(places); print(len(found), [processes.working_folder(pid) for pid in found][0])"
    )
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")

    answer = subprocess.run(
        [*without, sys.executable, "-c", ask, str(filled.data.parent)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.split() == [str(len(postgres.backends(filled))), "None"]
    postgres.stop(server)


# --- clean ----------------------------------------------------------------------------------------------------------


def test_cleaning_leaves_what_is_not_ours_in_a_folder_the_environment_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(folder / "shared"))
    ours = Places.from_environment(folder)
    prepare(ours)
    secret_key(ours)
    (folder / "shared" / "thesis.txt").write_text("years of work")
    places_module.record_substitute(ours, name="postgres_data", path=folder)  # a damaged record names a folder not ours

    clean(folder)

    assert [path.name for path in (folder / "shared").iterdir()] == ["thesis.txt"]
    assert folder.exists()
    assert clean(folder) == []


def test_an_account_is_only_needed_by_root() -> None:
    account = account_for(Path("/nowhere"))
    assert (account is None) == (os.geteuid() != 0)
    assert account is None or isinstance(account, Account)
