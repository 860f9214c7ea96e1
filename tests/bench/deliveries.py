"""GOAL5: every mail delivered three times by eight senders at once, a worker killed in the middle.

The senders and workers are processes of their own (`python -m tests.bench.deliveries …`). What was delivered stands in a ledger
that each sender writes; what became of it is counted by plain SQL, not by the product.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import psycopg

SENDERS, WORKERS, TIMES = 8, 2, 3
PIPED_EVERY = 40
"""Of so many deliveries one goes through the pipe of a mail server, which starts a program for each mail."""
LEASE = 3
"""Seconds instead of the product's 60, so that what the killed worker held is taken over soon."""
ENDS_WITHIN = 600.0
SOURCE = "mail:file"  # the pipe's, so that the same mail by another way is the same delivery

COUNTED = """
WITH delivered AS (SELECT unnest(%(digests)s::text[]) AS digest),
raws AS (SELECT digest, count(r.id) AS number, count(r.id) FILTER (WHERE r.state = 'done') AS done
         FROM delivered LEFT JOIN crm_rawitem r ON r.source = %(source)s AND r.external_id = digest GROUP BY digest),
said AS (SELECT digest, count(i.id) AS number FROM delivered
         LEFT JOIN crm_rawitem r ON r.source = %(source)s AND r.external_id = digest
         LEFT JOIN crm_interaction i ON i.raw_id = r.id GROUP BY digest),
matters AS (SELECT p.address, count(DISTINCT c.id) AS number, count(DISTINCT p.customer_id) AS people
            FROM crm_contactpoint p JOIN crm_conversation c ON c.customer_id = p.customer_id
            WHERE p.address = ANY(%(senders)s) GROUP BY p.address),
told AS (SELECT address, count(*) AS number FROM crm_outgoingmessage WHERE address = ANY(%(senders)s) GROUP BY address)
SELECT (SELECT count(*) FROM raws WHERE number = 0) + (SELECT count(*) FROM said WHERE number = 0) AS lost,
       (SELECT coalesce(sum(number - 1), 0) FROM raws WHERE number > 1)
       + (SELECT coalesce(sum(number - 1), 0) FROM said WHERE number > 1)
       + (SELECT coalesce(sum(number - 1), 0) FROM told WHERE number > 1) AS doubled,
       (SELECT coalesce(sum(number - 1 + people - 1), 0) FROM matters)
       + (SELECT count(*) FROM unnest(%(senders)s) one WHERE one NOT IN (SELECT address FROM matters)) AS second,
       (SELECT count(*) FROM raws WHERE done = 0) AS waiting
"""


def goal_5(run: Any) -> list[Any]:
    """Deliver, kill, wait until nothing waits, and count."""
    from tests.bench import mailing, post
    from tests.bench.report import limit

    number = 4 * run.requests
    stamp = time.time_ns()
    total = mailing._filled()
    chosen = random.Random(13)
    people = (
        f"five{stamp}.first{number}@home.example" for number in count()
    )  # every new mail from an address of its own
    matters = mailing.matters(chosen.sample(range(1, total), number))
    stream = post.mails(seed=f"five{stamp}", known=people, matters=cycle(matters))
    batch = [_as_piped(mail) for mail in islice(stream, number)]
    senders = sorted({_sender_of(mail) for mail in batch if b"In-Reply-To" not in mail})
    with tempfile.TemporaryDirectory(prefix="evenhand-deliveries-") as name:
        folder = Path(name)
        names = []
        for place, mail in enumerate(batch):
            (folder / f"{place}.eml").write_bytes(mail)
            names.append(f"{place}.eml")
        shares: list[list[str]] = [[] for _ in range(SENDERS)]
        for one in names:
            for sender in chosen.sample(range(SENDERS), TIMES):
                shares[sender].append(one)
        for sender, share in enumerate(shares):
            chosen.shuffle(share)
            (folder / f"share{sender}.json").write_text(json.dumps(share))
        with _processes(folder) as (workers, deliverers):
            killed_at = _kill_in_the_middle(workers, folder, expected=number * TIMES)
            workers.append(_started(folder, "work", "again"))
            for process in deliverers:
                if process.wait(ENDS_WITHIN):
                    raise RuntimeError("a sender ended with an error: " + (folder / "errors.log").read_text()[-300:])
            digests = [sha256(mail).hexdigest() for mail in batch]
            told = {"digests": digests, "senders": senders, "source": SOURCE}
            lost, doubled, second, waited = _counted_when_quiet(run, told)
        ledger = [line for sender in range(SENDERS) for line in _ledger(folder, sender)]
        delivered = {line["digest"] for line in ledger}
    matters_now = _count_matters(run, [matter.address for matter in matters])
    if len(ledger) != number * TIMES or delivered != set(digests):
        raise RuntimeError(f"{len(ledger)} of {number * TIMES} deliveries were acknowledged")
    note = (
        f"{number:,} mails, {len(ledger):,} deliveries acknowledged to {SENDERS} senders, {sum(x['piped'] for x in ledger)} of "
        f"them through the pipe; a worker killed after {killed_at:,}; quiet {waited:.0f} s after the last"
    )
    return [
        limit(5, "delivered three times: written twice", doubled, most=0, aim=0, note=note),
        limit(5, "second conversations, or none", second, most=0, aim=0, note=f"{len(senders):,} new senders"),
        limit(
            5, "acknowledged and lost", lost, most=0, aim=0, note=f"{matters_now:,} answered matters stayed one each"
        ),
    ]


def _as_piped(mail: bytes) -> bytes:
    """With the line ends and edges that the pipe's digest counts with, so that the digest of the bytes is the delivery's id."""
    return mail.replace(b"\r\n", b"\n").strip(b"\n")


def _sender_of(mail: bytes) -> str:
    return mail.split(b"\n", 1)[0].decode().partition("<")[2].rstrip(">")


def _count_matters(run: Any, addresses: list[str]) -> int:
    """How many filled customers there are; a second conversation of one of them would have a key of the product's."""
    from tests.bench import fill

    with psycopg.connect(run.places.database_url) as direct:
        opened = direct.execute(
            "SELECT count(*) FROM crm_conversation c JOIN crm_contactpoint p USING (customer_id)"
            " JOIN crm_rawitem r ON r.source = %s JOIN crm_interaction i ON i.raw_id = r.id AND i.conversation_id = c.id"
            " WHERE p.address = ANY(%s) AND c.id > %s",
            [SOURCE, addresses, fill.PRODUCT],
        ).fetchone()
    if opened and opened[0]:
        raise RuntimeError(f"{opened[0]} answers opened a matter of their own")
    return len(set(addresses))


@contextlib.contextmanager
def _processes(folder: Path) -> Iterator[tuple[list[subprocess.Popen[bytes]], list[subprocess.Popen[bytes]]]]:
    workers = [_started(folder, "work", str(number)) for number in range(WORKERS)]
    deliverers = [_started(folder, "deliver", str(number)) for number in range(SENDERS)]
    try:
        yield workers, deliverers
    finally:
        for process in (*workers, *deliverers):
            if process.poll() is None:
                process.kill()
            process.wait()


def _started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    with (folder / "errors.log").open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.bench.deliveries", str(folder), *words],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "EVENHAND_LEASE_SECONDS": str(LEASE), **_as_measured()},
        )


def _as_measured() -> dict[str, str]:
    from tests.bench import post

    return {"EVENHAND_BORDER_HOSTS": post.BORDER, "EVENHAND_INBOUND_DOMAIN": "in.evenhand.example"}


def _kill_in_the_middle(workers: list[subprocess.Popen[bytes]], folder: Path, *, expected: int) -> int:
    """Kill a worker, with whatever it holds, when a third of the deliveries have been acknowledged."""
    deadline = time.monotonic() + ENDS_WITHIN
    while True:
        done = sum(len(_ledger(folder, sender)) for sender in range(SENDERS))
        if done >= expected // 3:
            workers[0].send_signal(signal.SIGKILL)
            return done
        if time.monotonic() > deadline:
            raise RuntimeError("the senders are stuck: " + (folder / "errors.log").read_text()[-300:])
        time.sleep(0.05)


def _counted_when_quiet(run: Any, told: dict[str, Any]) -> tuple[int, int, int, float]:
    began = time.monotonic()
    with psycopg.connect(run.places.database_url, autocommit=True) as direct:
        while True:
            row = direct.execute(COUNTED, told).fetchone()
            assert row is not None
            lost, doubled, second, waiting = map(int, row)
            if not waiting or time.monotonic() - began > ENDS_WITHIN:
                return lost, doubled, second, time.monotonic() - began
            time.sleep(0.5)


def _ledger(folder: Path, sender: int) -> list[dict[str, Any]]:
    place = folder / f"ledger{sender}"
    return [json.loads(line) for line in place.read_text().splitlines() if line.endswith("}")] if place.exists() else []


# --- inside the processes --------------------------------------------------------------------------------------------


def deliver(folder: Path, sender: int) -> None:
    """Deliver one sender's share, by turns kept for the lane, read at once, and through the pipe; note each acknowledgement."""
    from django.utils import timezone

    from crm.actions import mails

    with (folder / f"ledger{sender}").open("a") as ledger:
        for number, name in enumerate(json.loads((folder / f"share{sender}.json").read_text())):
            content = (folder / name).read_bytes()
            at = timezone.now()
            piped = number % PIPED_EVERY == sender
            if piped:
                command = [sys.executable, "manage.py", "receive_mail", "-"]
                subprocess.run(command, input=content, check=True, capture_output=True)
            else:
                at_once = number % 2 == 0
                item = mails.keep_raw(content, source=SOURCE, label="", at=at, leased=at_once)
                if at_once:
                    mails.read_now(item, at=at)
            line = {"digest": sha256(content).hexdigest(), "piped": piped}
            ledger.write(json.dumps(line) + "\n")
            ledger.flush()


def work() -> None:
    """Read what is kept, without end."""
    from django.utils import timezone

    from crm.actions import mails

    while True:
        if not mails.ingest_batch(at=timezone.now()):
            time.sleep(0.2)


def main() -> None:
    """Begin what the arguments say: a folder, and "deliver" with a number, or "work"."""
    import django

    django.setup()
    folder, what, which = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if what == "deliver":
        deliver(folder, int(which))
    else:
        work()


if __name__ == "__main__":
    main()
