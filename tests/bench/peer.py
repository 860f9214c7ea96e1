"""The peer, django-helpdesk 2.6, in a process and an environment of its own (`make bench-peer` installs it, never in ours)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from evenhand.embedded.places import Places
from tests.bench import servers

PYTHON = servers.ROOT / ".peer" / "bin" / "python"


class Peer:
    """A running one; `take_in` answers with seconds of time and of computing."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.folder = process, folder

    def take_in(self, mails: list[bytes]) -> tuple[float, float]:
        """Let it take in some mails, one after the other."""
        names = []
        for number, mail in enumerate(mails):
            place = self.folder / f"{number}.eml"
            place.write_bytes(mail)
            names.append(str(place))
        said = self.asked(json.dumps(names))
        answer = json.loads(said)
        if answer["stored"] != len(mails):
            raise RuntimeError(f"the peer stored {answer['stored']} of {len(mails)} mails")
        return answer["wall"], answer["cpu"]

    def asked(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if line:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            words = (self.folder / "peer.log").read_text().strip().splitlines()
            raise RuntimeError(f"the peer ended: {words[-1] if words else 'without a word'}")
        return said


@contextlib.contextmanager
def beside(places: Places) -> Iterator[Peer | str]:
    """Start it with its own database on our server; the reason where it is not installed or does not start."""
    if not PYTHON.exists():
        yield "django-helpdesk is not installed; `make bench-peer` does it"
        return
    with psycopg.connect(places.database_url.replace("/evenhand?", "/postgres?"), autocommit=True) as direct:
        direct.execute("DROP DATABASE IF EXISTS peer")
        direct.execute("CREATE DATABASE peer")
    with tempfile.TemporaryDirectory(prefix="evenhand-peer-") as name:
        folder = Path(name)
        program = servers.ROOT / "tests" / "bench" / "peer_program.py"
        with (folder / "peer.log").open("w") as log:
            process = subprocess.Popen(
                [PYTHON, program, str(places.postgres_socket_dir), str(places.postgres_port), name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, env={},
            )  # fmt: skip
        one = Peer(process, folder)
        try:
            if one.asked("").strip() != "ready":
                raise RuntimeError("the peer did not start")
            yield one
        finally:
            process.kill()
            process.wait()
            with psycopg.connect(places.database_url.replace("/evenhand?", "/postgres?"), autocommit=True) as direct:
                direct.execute("DROP DATABASE IF EXISTS peer WITH (FORCE)")
