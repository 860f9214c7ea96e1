"""A real worker on whatever broker this run uses (Valkey, Redis or RabbitMQ): a bell makes it do what is due."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from crm import dispatch
from crm.actions import mails
from crm.models import Conversation, RawItem
from recovery.models import Case
from tests.conftest import NOON, ROOT
from tests.crm.stories import colleague, raw_mail

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def database_url() -> str:
    """The test database, as a worker process finds it."""
    known = connection.settings_dict
    if "host" in known["OPTIONS"]:  # the throw-away server, on its socket
        return f"postgres://{known['USER']}@/{known['NAME']}?host={known['OPTIONS']['host']}&port={known['OPTIONS']['port']}"
    password = f":{known['PASSWORD']}" if known["PASSWORD"] else ""
    return f"postgres://{known['USER']}{password}@{known['HOST']}:{known['PORT'] or 5432}/{known['NAME']}"


def within(seconds: float, done: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(0.1)
    return done()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Any]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "evenhand.settings",
        "DATABASE_URL": database_url(),
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "EVENHAND_DATA": str(tmp_path / "data"),
    }
    log = (tmp_path / "worker.log").open("wb")
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "evenhand",
        "worker",
        "-c",
        "1",
        "-l",
        "INFO",
        "--without-gossip",
        "--without-mingle",
    ]
    process: Any = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    if not within(60, lambda: b"ready." in (tmp_path / "worker.log").read_bytes()):
        process.kill()
        pytest.fail("the worker did not start:\n" + (tmp_path / "worker.log").read_text()[-3000:])
    process.log = tmp_path / "worker.log"
    yield process
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def test_a_bell_makes_the_worker_read_the_mail_and_open_the_case(worker):
    colleague()
    started = time.monotonic()
    mails.keep_raw(raw_mail("My guitar came back with a broken neck."), source="mail:file", label="a.eml", at=NOON)
    assert dispatch.wait_until_quiet(5)
    assert within(20, lambda: Case.objects.exists()), (
        RawItem.objects.values("state", "reason"),
        worker.log.read_text()[-3000:],
    )
    assert Conversation.objects.get().owner is not None
    assert time.monotonic() - started < 20
