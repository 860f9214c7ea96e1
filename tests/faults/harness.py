"""The product's own processes on throw-away servers, each of which can be killed, stopped and started by itself.

Nothing here goes into the product's process: it is told what to do through its doors (HTTP, mail, the API), or by a few
lines run as `manage.py shell`. Everything waits with a deadline. See tests/faults/oracle.py for how the outcome is
judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psycopg
import redis
from aiosmtpd.controller import Controller

from evenhand.embedded import postgres, processes, valkey
from evenhand.embedded.places import Places, prepare
from tests.faults.oracle import Verdict, judge, read_ledger, read_stored

ROOT = Path(__file__).resolve().parents[2]
LEASE = 5  # seconds, instead of the product's 60, so that a campaign fits into minutes
SWEPT = 5  # seconds between two looks at a lane
RECOVERS_WITHIN = LEASE + 60
PASSWORD = "right horse battery"

# Processes are killed here, not machines: what the kernel holds is safe without fsync; what PostgreSQL itself holds is
# not, so commits stay synchronous.
QUICK = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}

for chatty in ("mail.log", "httpx"):
    logging.getLogger(chatty).setLevel(logging.WARNING)

COMPLAINT = "The lamp arrived broken and nobody answers the phone. ({number})"
QUESTION = "Which size of the blue lamp fits a small table? ({number})"


def wait_for(condition: Callable[[], object], what: str, *, within: float, every: float = 0.1) -> float:
    """Wait for a condition and say how many seconds it took; fail with `what` when the time is up."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within:
            raise AssertionError(f"Not within {within:.0f} s: {what}")
        time.sleep(every)
    return time.monotonic() - began


def free_port() -> int:
    """A port that nobody uses now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def now() -> str:
    return datetime.now(UTC).isoformat()


class Ledger:
    """An append-only file: a line is on disk before `write` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def write(self, **line: Any) -> None:
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> list[dict[str, Any]]:
        return read_ledger(self.path)


class Sink:
    """A mail server that writes down what it accepts, before it says so, and behaves as badly as it is told.

    Moods, per recipient, used up one by one (then it accepts) by what people wrote; what our machine answers by itself is always
    accepted. "451" and "550" refuse; "421" refuses and hangs up;
    "hang" takes the words and says nothing; "accept and close" and "accept and wait" have accepted, and the sender does
    not hear of it.
    """

    def __init__(self, ledger: Path) -> None:
        self.ledger = Ledger(ledger)
        self.port = free_port()
        self.release = threading.Event()
        self._moods: dict[str, deque[str]] = defaultdict(deque)
        self._holding: dict[str, threading.Event] = defaultdict(threading.Event)
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def behave(self, recipient: str, *moods: str) -> None:
        self.release.clear()
        self._holding[recipient].clear()
        self._moods[recipient].extend(moods)

    def wait_until_holding(self, recipient: str, *, within: float = 60) -> None:
        """Wait until this recipient's mail has been taken and its sender waits for the answer."""
        assert self._holding[recipient].wait(within), f"no mail for {recipient} within {within} s"

    def deliveries(self, recipient: str) -> list[dict[str, Any]]:
        """What was accepted for somebody, as often as it was, but for what our machine answers by itself."""
        return [line for line in self.ledger.lines() if line["to"] == recipient and line["automatic"] != "auto-replied"]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # aiosmtpd's name
        recipient = envelope.rcpt_tos[0]
        by_a_machine = b"\nauto-submitted: auto-replied" in envelope.content[:20_000].lower()
        moods = () if by_a_machine else self._moods[recipient]
        mood = moods.popleft() if isinstance(moods, deque) and moods else "accept"
        if mood in ("451", "550"):
            return f"{mood} not now" if mood == "451" else "550 nobody here"
        if mood == "421":
            asyncio.get_running_loop().call_later(0.05, server.transport.close)
            return "421 too busy"
        if mood.startswith("accept"):
            self._accept(envelope, recipient)
        if mood == "accept and close":
            server.transport.abort()
        elif mood in ("accept and wait", "hang"):
            self._holding[recipient].set()
            for _ in range(6000):
                if self.release.is_set():
                    break
                await asyncio.sleep(0.02)
        return "250 accepted"

    def _accept(self, envelope: Any, recipient: str) -> None:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.ledger.write(
            message_id=mail["Message-ID"].strip(),
            in_reply_to=mail["In-Reply-To"],
            reply_to=mail["Reply-To"],
            automatic=mail["Auto-Submitted"],
            to=recipient,
            x=mail["X-Evenhand"],
            subject=mail["Subject"],
            at=now(),
        )


@dataclass
class Rig:
    """One running product. `start` and `kill` take the name of one of its PARTS."""

    folder: Path
    places: Places
    sink: Sink
    edge: Ledger
    port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    PARTS: ClassVar[tuple[str, ...]] = ("postgres", "valkey", "web", "worker", "worker2", "beat", "beat2")

    @classmethod
    @contextlib.contextmanager
    def up(cls, *, parts: tuple[str, ...] = ("web", "worker", "beat", "beat2")) -> Iterator[Rig]:
        """Start everything, and whatever happens end every process of ours."""
        folder = Path(tempfile.mkdtemp(prefix="evenhand-faults-", dir="/tmp"))
        folder.chmod(0o711)
        rig = cls(
            folder=folder,
            places=Places.from_environment(ROOT, {"EVENHAND_DATA": str(folder / "data")}),
            sink=Sink(folder / "sink.ledger"),
            edge=Ledger(folder / "edge.ledger"),
            port=free_port(),
        )
        prepare(rig.places)
        try:
            rig.sink.start()
            rig.start("valkey")
            rig.start("postgres")
            postgres.create_database(rig.places)
            rig.manage("migrate", "--verbosity", "0")
            for part in parts:
                rig.start(part)
            if "web" in parts:
                wait_for(lambda: rig.status("/readyz") == 200, f"the first page; {rig.last_words('web')}", within=60)
            yield rig
        finally:
            rig.end()

    # --- processes ---------------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        configured = ("DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_VERSION")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EVENHAND_") and k not in configured}
        return {
            **kept,
            "EVENHAND_DATA": str(self.places.data),
            "EVENHAND_LEASE_SECONDS": str(LEASE),
            "EVENHAND_UNDO_SECONDS": "0",  # these tests wait for what leaves, and are not about taking it back
            "EVENHAND_PUBLIC_URL": self.url,
            "EMAIL_URL": f"smtp://127.0.0.1:{self.sink.port}",
            "EVENHAND_INBOUND_DOMAIN": "in.evenhand.example",
            "DJANGO_SETTINGS_MODULE": "evenhand.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, part: str) -> None:
        """Start a part that is not running; returns when a server answers, at once for the others."""
        if part == "postgres":
            self.running[part] = postgres.start(self.places, settings=QUICK)
            postgres.wait_ready(self.places, self.running[part])
        elif part == "valkey":
            self.running[part] = valkey.start(self.places)
            valkey.wait_ready(self.places, self.running[part])
        else:
            self.running[part] = processes.spawn(
                [sys.executable, "-m", *self._command(part)],
                log=self.places.logs / f"{part}.log",
                cwd=ROOT,
                environment=self.environment,
                death_signal=signal.SIGKILL,
            )

    def _command(self, part: str) -> list[str]:
        if part == "web":
            threads = ("--worker-class", "gthread", "--workers", "1", "--threads", "6")
            return [
                "gunicorn",
                "--bind",
                f"127.0.0.1:{self.port}",
                *threads,
                "--no-control-socket",
                "evenhand.wsgi:application",
            ]
        if part.startswith("worker"):
            pool = ("--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle")
            return ["celery", "-A", "evenhand", "worker", "--hostname", f"{part}@%h", *pool, "--loglevel", "INFO"]
        schedule = self.places.run / f"{part}.schedule"
        return ["celery", "-A", "evenhand", "beat", "--schedule", str(schedule), "--pidfile=", "--loglevel", "INFO"]

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a signal to a part and everything it started."""
        processes.signal_group(self.running[part].pid, number)

    def kill(self, part: str) -> None:
        """kill -9: a part with all its children; of PostgreSQL the postmaster, whose children leave by themselves."""
        process = self.running.pop(part)
        if part == "postgres":
            process.kill()
        else:
            processes.signal_group(process.pid, signal.SIGKILL)
        process.wait(10)
        self.killed[part] += 1

    def kill_child(self, part: str) -> None:
        """kill -9 one process that a part started, as the kernel does when memory runs out (F08)."""
        children: list[str] = []

        def found() -> bool:
            parent = str(self.running[part].pid)
            asked = subprocess.run(["pgrep", "-P", parent], capture_output=True, text=True, check=False)
            children[:] = asked.stdout.split()
            return bool(children)

        wait_for(found, f"{part} has children", within=30)
        os.kill(int(children[0]), signal.SIGKILL)
        self.killed[f"child of {part}"] += 1

    def keep_up(self) -> None:
        """Start again what ended by itself, as a supervisor does."""
        for part, process in list(self.running.items()):
            if process.poll() is not None:
                processes.signal_group(process.pid, signal.SIGKILL)
                self.start(part)

    def wait(self, condition: Callable[[], object], what: str, *, within: float = RECOVERS_WITHIN) -> float:
        """Wait for a condition, starting again whatever ends by itself meanwhile; returns the seconds it took."""

        def met() -> object:
            self.keep_up()
            return condition()

        return wait_for(met, what, within=within)

    def bells_waiting(self) -> int:
        """How many bells lie in the broker."""
        with redis.Redis(unix_socket_path=str(self.places.valkey_socket)) as broker:
            return int(broker.llen("evenhand"))  # type: ignore[arg-type]

    def forget_bells(self) -> None:
        """Remove what a stopped broker kept on disk, so that it starts empty."""
        assert "valkey" not in self.running
        for left in self.places.valkey_dir.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def end(self) -> None:
        self.sink.release.set()
        for part in reversed(self.PARTS):
            process = self.running.pop(part, None)
            if process is None:
                continue
            if part == "postgres":
                process.send_signal(signal.SIGQUIT)
            else:
                processes.signal_group(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        with contextlib.suppress(Exception):
            postgres.repair(self.places)
        self.sink.stop()
        if not os.environ.get("EVENHAND_KEEP_FAULTS"):  # to read the logs of a failed run
            shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self, part: str) -> str:
        return processes.last_words(self.places.logs / f"{part}.log")

    # --- the product, from outside -----------------------------------------------------------------------------------

    def manage(self, *arguments: str, given: bytes = b"", within: float = 120) -> subprocess.CompletedProcess[bytes]:
        """Run a management command. Raises CalledProcessError with what it said."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=given,
            capture_output=True,
            timeout=within,
            check=False,
        )
        if done.returncode:
            raise AssertionError(
                f"manage.py {arguments[0]} ended with {done.returncode}: {done.stderr.decode()[-2000:]}"
            )
        return done

    def shell(self, code: str) -> str:
        """Run a few lines inside the product, and give what they print."""
        return (
            self.manage("shell", "--verbosity", "0", "--command", f"from django.utils import timezone\n{code}")
            .stdout.decode()
            .strip()
        )

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database directly; changes are committed."""
        with psycopg.connect(self.places.database_url, autocommit=True, connect_timeout=5) as connection:
            answer = connection.execute(query, values)
            return answer.fetchall() if answer.description else []

    def one(self, query: str, *values: object) -> Any:
        rows = self.sql(query, *values)
        return rows[0][0] if rows else None

    def status(self, path: str) -> int:
        """The status a page answers with; 0 for no answer."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def backlog(self) -> dict[str, int]:
        """What is due now and not done. What waits for its own later moment is not behind."""
        rows = self.sql(
            """
            SELECT 'mail to read', count(*) FROM crm_rawitem WHERE state IN ('ready', 'claimed')
            UNION ALL SELECT 'follow-ups', count(*) FROM crm_workitem WHERE state IN ('ready', 'claimed')
            UNION ALL SELECT 'parked mail', count(*) FROM crm_rawitem WHERE state = 'parked'
            UNION ALL SELECT 'parked follow-ups', count(*) FROM crm_workitem WHERE state = 'parked'
            UNION ALL SELECT 'parked messages', count(*) FROM crm_outgoingmessage WHERE state = 'parked'
            UNION ALL SELECT 'to send', count(*) FROM crm_outgoingmessage
                WHERE state IN ('claimed', 'handing') OR (state = 'ready' AND send_after <= now())
            """
        )
        return {name: count for name, count in rows if count}

    def wait_until_done(self, *, within: float = RECOVERS_WITHIN) -> float:
        """Wait until nothing is behind (Q2), starting again whatever ends by itself."""
        try:
            return self.wait(lambda: not self.backlog(), "nothing is behind", within=within)
        except AssertionError:
            trouble = self.sql("SELECT key, state, attempt, due_at - now(), reason FROM crm_workitem LIMIT 5")
            sends = self.sql("SELECT state, attempt, reason FROM crm_outgoingmessage WHERE state <> 'accepted' LIMIT 5")
            raise AssertionError(
                f"Still behind: {self.backlog()} {trouble} {sends} {self.last_words('worker')}"
            ) from None

    def move_clock_for_waiting_mail(self) -> None:
        """Let the next attempt of everything that waits for one come now."""
        self.sql("UPDATE crm_outgoingmessage SET send_after = now() WHERE state = 'ready'")

    def send_all_that_waits(self) -> None:
        """Wait until everything is accepted, moving the clock for repeats, at most six times."""
        for _ in range(6):
            self.wait_until_done()
            if not self.one("SELECT count(*) FROM crm_outgoingmessage WHERE state = 'ready'"):
                return
            self.move_clock_for_waiting_mail()
        raise AssertionError("mail still waits after six attempts")

    def verdict(self) -> Verdict:
        return judge(self.edge.lines(), self.sink.ledger.lines(), read_stored(self.places.database_url))

    # --- people ------------------------------------------------------------------------------------------------------

    def enrol(self) -> None:
        """One colleague who takes conversations, Carla with the app, and Bea, whose birthday is today."""
        self.shell(
            "from crm.actions import consent, customers, staff\nfrom crm.models import ContactPoint\n"
            "from crm.policy import Role\nfrom crm.policy.ledger import ProofDoor\nat = timezone.now()\n"
            f"staff.enrol('ada@shop.example', role=Role.AGENT, name='Ada Agent', password={PASSWORD!r}, at=at,"
            " takes_conversations=True)\n"
            "carla, bea = customers.welcome('Carla', at=at), customers.welcome('Bea', at=at)\n"
            f"staff.give_app_account(carla, email='carla@app.example', password={PASSWORD!r}, at=at)\n"
            "bea.zone = 'UTC'\nbea.save()\n"
            "point = ContactPoint.objects.create(customer=bea, kind='email', address='bea@home.example', created_at=at)\n"
            "shown = consent.Shown(words='Yes, a card.', version='test', language='en', door=ProofDoor.PAGE, point=point)\n"
            "consent.grant(bea, 'birthday', 'email', shown=shown, at=at)\n"
            "customers.tell_birthday(bea, month=at.month, day=at.day, evidence='She asked for it.', at=at)"
        )

    def log_in(self, email: str) -> httpx.Client:
        """A client with an access token, got as the app gets it; the token lives for some minutes."""
        answer = httpx.post(
            f"{self.url}/_allauth/app/v1/auth/login", json={"email": email, "password": PASSWORD}, timeout=30
        )
        assert answer.status_code == 200, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['meta']['access_token']}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=15)

    @contextlib.contextmanager
    def visitor(self) -> Iterator[httpx.Client]:
        """A browser that looks at the contact form."""
        with httpx.Client(base_url=self.url, timeout=15) as client:
            yield client

    def opened(self, client: httpx.Client) -> dict[str, str]:
        """What an opened contact form sends by itself; its question is answered when it asks one."""
        page = client.get("/contact/").text
        key = re.search(r'name="key" value="([^"]+)"', page)
        assert key
        asked = re.search(r"How much is (\d) plus (\d)", page)
        answer = {"answer": str(int(asked[1]) + int(asked[2]))} if asked else {}
        return {"key": key[1], **answer}

    def post_form(self, client: httpx.Client, *, number: int, complaint: bool, within: float = 60) -> float:
        """Send the contact form until it is acknowledged, with one key. Returns the seconds of the last try."""
        opened, sent_at = self.opened(client), now()
        words = (COMPLAINT if complaint else QUESTION).format(number=number)
        form = {"name": "Carla", "email": f"form{number}@home.example", "subject": "My lamp", "text": words, **opened}
        took = _until_acknowledged(lambda: client.post("/contact/", data=form), statuses=(302,), within=within)
        key = opened["key"].partition("|")[2].partition(":")[0]
        self.edge.write(kind="form", id=key, complaint=complaint, sent_at=sent_at, at=now())
        return took

    def post_app(self, client: httpx.Client, *, number: int, complaint: bool, within: float = 60) -> float:
        """Write through the app's API until it is acknowledged, with one key. Returns the seconds of the last try."""
        key, sent_at = str(uuid.uuid4()), now()
        words = {"text": (COMPLAINT if complaint else QUESTION).format(number=number), "key": key}
        answers: list[httpx.Response] = []

        def once() -> httpx.Response:
            answers.append(client.post("/api/v1/messages/", json=words))
            return answers[-1]

        took = _until_acknowledged(once, statuses=(200, 201), within=within)
        self.edge.write(
            kind="app", id=answers[-1].json()["interaction"], complaint=complaint, sent_at=sent_at, at=now()
        )
        return took

    def receive_mail(self, *, number: int, complaint: bool, tries: int = 20, killed_after: float | None = None) -> None:
        """Hand a mail over as a mail server's pipe does, again until it is taken: exit code 0 is the acknowledgement.

        killed_after: seconds after which the first try is killed, wherever it is by then.
        """
        words = (COMPLAINT if complaint else QUESTION).format(number=number)
        mail = (
            f"From: Carla <mail{number}@home.example>\r\nTo: support@evenhand.example\r\nSubject: My lamp\r\n"
            f"Message-ID: <{number}.{uuid.uuid4()}@home.example>\r\n\r\n{words}\r\n"
        ).encode()
        sent_at = now()
        for _ in range(tries):
            with subprocess.Popen(
                [sys.executable, "manage.py", "receive_mail", "-"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as pipe:
                try:
                    _said, complained = pipe.communicate(mail, timeout=killed_after or 60)
                except subprocess.TimeoutExpired:
                    pipe.kill()
                    _said, complained = pipe.communicate()
                    self.killed["receive_mail"] += 1
            killed_after = None
            if pipe.returncode == 0:
                self.edge.write(
                    kind="mail", id=sha256(mail).hexdigest(), complaint=complaint, sent_at=sent_at, at=now()
                )
                return
            time.sleep(0.5)
        raise AssertionError(f"the mail was not taken: {complained.decode()[-500:]}")

    def answer(self, staff: httpx.Client, conversation: str, *, within: float = 60) -> str:
        """Answer a conversation through the API, with one key until it is acknowledged. Returns the message's id."""
        words = {
            "text": "We are sorry. A new lamp leaves today.",
            "key": "the answer",
            "out_of_order": "knows_it",
        }
        answers: list[httpx.Response] = []

        def once() -> httpx.Response:
            answers.append(staff.post(f"/api/v1/conversations/{conversation}/answers/", json=words))
            return answers[-1]

        _until_acknowledged(once, statuses=(201,), within=within)
        message = str(answers[-1].json()["id"])
        self.edge.write(kind="answer", id=message, at=now())
        return message

    def told_and_answered(self, number: int, *, staff: httpx.Client) -> tuple[str, str]:
        """A question by form and our answer to it. Returns the recipient and the message's id."""
        with self.visitor() as visitor:
            self.post_form(visitor, number=number, complaint=False)
        recipient = f"form{number}@home.example"
        conversation = self.one(
            "SELECT c.public_id::text FROM crm_conversation c JOIN crm_contactpoint p USING (customer_id)"
            " WHERE p.address = %s",
            recipient,
        )
        return recipient, self.answer(staff, conversation)

    def message(self, public_id: str) -> dict[str, Any]:
        """What the database says about an outgoing message now."""
        names = (
            "state",
            "reason",
            "attempt",
            "failures",
            "unknown_outcomes",
            "send_after",
            "accepted_at",
            "conversation_id",
        )
        row = self.sql(f"SELECT {', '.join(names)} FROM crm_outgoingmessage WHERE public_id = %s", public_id)[0]
        return dict(zip(names, row, strict=True))


def _until_acknowledged(once: Callable[[], httpx.Response], *, statuses: tuple[int, ...], within: float) -> float:
    deadline = time.monotonic() + within
    said: object = None
    while time.monotonic() < deadline:
        began = time.monotonic()
        try:
            answer = once()
            said = answer.status_code
            if answer.status_code in statuses:
                return time.monotonic() - began
            if answer.status_code in (400, 401, 403, 404, 422):
                raise AssertionError(f"refused with {answer.status_code}: {answer.text[:500]}")
        except httpx.HTTPError as trouble:
            said = repr(trouble)
        time.sleep(0.3)
    raise AssertionError(f"Not acknowledged within {within:.0f} s: {said}")
