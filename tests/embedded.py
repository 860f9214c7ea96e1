"""pytest plugin, loaded with `-p tests.embedded` before Django's settings: throw-away servers for one test run.

EVENHAND_TEST_DATABASE_URL and EVENHAND_TEST_BROKER_URL name servers of your own instead; each replaces one of ours.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts

from evenhand.embedded import postgres, valkey
from evenhand.embedded.places import Places, prepare

MACHINE_ITSELF = ["127.0.0.1", "::1", "localhost"]


@dataclass
class ThrowAway:
    """The servers of one run and the folder they live in."""

    folder: Path
    places: Places
    database: subprocess.Popen[bytes] | None = None
    broker: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, *, with_database: bool, with_broker: bool) -> ThrowAway:
        # Named and placed by ourselves: pytest's own folders are closed to the account PostgreSQL runs under for root,
        # and macOS's are too long for a socket.
        folder = Path(tempfile.mkdtemp(prefix="evenhand-test-", dir="/tmp"))
        folder.chmod(0o711)
        servers = cls(folder=folder, places=Places.from_environment(folder, {}))
        prepare(servers.places)
        try:
            if with_broker:
                servers.broker = valkey.start(servers.places)
            if with_database:
                servers.database = postgres.start(servers.places, settings=postgres.THROW_AWAY)
                postgres.wait_ready(servers.places, servers.database)
                postgres.create_database(servers.places)
            if servers.broker:
                valkey.wait_ready(servers.places, servers.broker)
        except BaseException:
            servers.stop()
            raise
        return servers

    def stop(self) -> None:
        if self.broker:
            valkey.stop(self.broker)
        if self.database:
            self.database.send_signal(signal.SIGQUIT)  # nothing in it is worth a checkpoint
            self.database.wait()
            postgres.repair(self.places)  # waits until its last process has left the folder
        shutil.rmtree(self.folder)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Choose the servers and name them in the environment; as a wrapper it comes before the settings are read."""
    if not os.environ.get("PYTEST_XDIST_WORKER"):  # one of those inherits the controller's environment and servers
        name_servers(early_config)
    yield


def name_servers(config: pytest.Config) -> None:
    """Put the URLs of the servers this run uses into the environment, starting those that nobody named."""
    database_url = os.environ.get("EVENHAND_TEST_DATABASE_URL", "").strip()
    broker_url = os.environ.get("EVENHAND_TEST_BROKER_URL", "").strip()
    if not (database_url and broker_url):
        servers = ThrowAway.start(with_database=not database_url, with_broker=not broker_url)
        config.add_cleanup(servers.stop)  # unlike the unconfigure hook also called when the settings fail
        database_url = database_url or servers.places.database_url
        broker_url = broker_url or servers.places.broker_url
    os.environ["DATABASE_URL"], os.environ["CELERY_BROKER_URL"] = database_url, broker_url
    os.environ.setdefault("EVENHAND_QUEUE", "evenhand-test")  # on a broker of yours, a worker of yours must not answer


def pytest_runtest_setup() -> None:
    """No test reaches beyond this machine."""
    socket_allow_hosts(MACHINE_ITSELF, allow_unix_socket=True)
