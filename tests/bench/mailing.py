"""GOAL3 and GOAL4: mail coming in, beside the floor and the peer; and what threading an answer costs as the tables grow."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from crm.actions import fetching, mails, reply_addresses
from crm.channels.email import addresses
from crm.channels.imap import Fetched, Listed
from crm.models import Conversation, Mailbox, RawItem, ReplyToken
from tests.bench import fill, peer, post, servers
from tests.bench.mail_floor import Floor, read_modern, read_old
from tests.bench.measure import alternating, database, median_of, median_ratio
from tests.bench.report import Finding, limit

ANSWERED = """
UPDATE crm_conversation SET state = 'waiting_customer', due_at = NULL, last_outbound_at = spoke_at + interval '1 hour',
       first_answer_at = spoke_at + interval '1 hour' WHERE id = ANY(%s) RETURNING id, customer_id
"""
SMALL = "evenhand_small"
"""A copy of the database from when it held 10,000 conversations."""
KEPT_AT_ONCE = 20
"""Mails a mailbox's poller keeps in one commit before they are read."""


@dataclass(frozen=True, slots=True)
class Took:
    """A batch of mails: how many, in how long (s), with how much computing of this process and its readers (s)."""

    mails: int
    wall: float
    cpu: float

    @property
    def per_second(self) -> float:
        return self.mails / self.wall


def watched() -> None:
    """Let this run's border and inbound domain be those that the mails name."""
    settings.EVENHAND_BORDER_HOSTS = frozenset({post.BORDER})
    settings.EVENHAND_INBOUND_DOMAIN = "in.evenhand.example"


def matters(numbers: list[int], *, by_headers: bool = False) -> list[post.Matter]:
    """Let these filled conversations be answered ones whose customers have a reply address; the matters to answer in.

    by_headers: what their answers name is the customer's own mail, which stands among all interactions.
    """
    watched()
    at = timezone.now()
    ids = [fill.FIRST + number for number in numbers]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM crm_replytoken WHERE conversation_id = ANY(%s)", [ids])
        cursor.execute(ANSWERED, [ids])
        customers = dict(cursor.fetchall())
    found, tokens = [], []
    for number, key in zip(numbers, ids, strict=True):
        address = f"customer{customers[key] - fill.FIRST}@fill.example"
        given = reply_addresses._new(key, address, at=at)
        tokens.append(given)
        token = addresses.token_of(given.nonce)
        answers = f"fill{number}@fill.example" if by_headers else f"{key}@evenhand.example"
        found.append(post.Matter(address, addresses.reply_address(token), answers, ticket=f"[support-{number}]"))
    ReplyToken.objects.bulk_create(tokens, batch_size=1000)
    return found


def _shares(total: int, wanted: int, sides: int) -> tuple[list[list[int]], list[Iterator[str]]]:
    """Part the filled conversations and customers among the sides, so that nobody gets another one's mails."""
    last = total - 1
    spread = random.Random(7).sample(range(1, last), min(wanted * sides, last // 2))
    answers = [spread[side::sides] for side in range(sides)]
    people = total // fill.A_CUSTOMER
    order = random.Random(8).sample(range(1, people), people - 1)
    known = [
        (f"customer{number}@fill.example" for number in itertools.cycle(order[side::sides])) for side in range(sides)
    ]
    return answers, known


def goal_3(run: Any) -> list[Finding]:
    """Raw bytes to an acknowledged matter: one by one, and as a mailbox's poller does it, beside floor and peer."""
    total = _filled()
    size = 3 * run.requests
    wanted = int((run.rounds + 1) * size * 0.4)
    answers, known = _shares(total, wanted, 5)
    streams = []
    for side, name in enumerate(("ours", "batched", "modern", "old", "peer")):
        own = itertools.cycle(matters(answers[side]))
        streams.append(post.mails(seed=f"{name}{time.time_ns()}", known=known[side], matters=own))
    ours, batched, modern, old, theirs = streams
    dsn = run.places.database_url
    floor, floor_old = Floor(dsn, read_modern), Floor(dsn, read_old)
    with peer.beside(run.places) as other:
        sides: list[Callable[[], Took]] = [
            lambda: took(ours, size, _one_by_one),
            lambda: took(batched, size, _as_a_poller),
            lambda: took(modern, size, lambda them: _by_floor(floor, them)),
            lambda: took(old, size, lambda them: _by_floor(floor_old, them)),
        ]
        if not isinstance(other, str):
            sides.append(lambda: Took(size // 10, *other.take_in(list(itertools.islice(theirs, size // 10)))))
        for side in sides:
            side()
        rounds = alternating(run.rounds, *sides)
    speeds = [median_of(rounds, lambda them, n=n: them[n].per_second) for n in range(len(sides))]
    cpu = [median_of(rounds, lambda them, n=n: them[n].cpu / them[n].mails * 1000) for n in range(len(sides))]

    def beside(one: int, two: int) -> float:
        return median_ratio([(them[one], them[two]) for them in rounds], lambda batch: batch.per_second)

    told = [{"mails": [one.mails for one in them], "wall_s": [round(one.wall, 3) for one in them]} for them in rounds]
    floors = f"floor {speeds[2]:.0f}/s, {cpu[2]:.2f} ms; with the older interface {speeds[3]:.0f}/s, {cpu[3]:.2f} ms"
    found = [
        limit(
            3, "mail, one by one ÷ mail floor", beside(0, 2), least=0.75, aim=1.2, unit=" ×", cpu_ms=cpu[0],
            note=f"{speeds[0]:.0f}/s; {floors}: {beside(0, 3):.2f} ×", rounds=told,
        ),
        limit(
            3, f"mail, {KEPT_AT_ONCE} kept at once ÷ mail floor", beside(1, 2), least=0.75, aim=1.2, unit=" ×", cpu_ms=cpu[1],
            note=f"{speeds[1]:.0f}/s; floor with the older interface: {beside(1, 3):.2f} ×",
        ),
    ]  # fmt: skip
    if isinstance(other, str):
        return [*found, Finding(3, "mail ÷ django-helpdesk at 100,000", "≥ 6 ×", "≥ 9 ×", "", None, note=other)]
    note = f"{speeds[4]:.1f}/s, {cpu[4]:.0f} ms a mail"
    return [
        *found,
        limit(
            3, "mail ÷ django-helpdesk at 100,000", beside(1, 4), least=6, aim=9, unit=" ×",
            note=f"{note}; both as they take in a mailbox. Ours one by one: {beside(0, 4):.2f} ×",
        ),
    ]  # fmt: skip


def _filled() -> int:
    newest = Conversation.objects.filter(pk__lt=fill.PRODUCT).order_by("-pk").values_list("pk", flat=True).first()
    return (newest or fill.FIRST) - fill.FIRST


def took(stream: Iterator[bytes], number: int, take_in: Callable[[list[bytes]], None]) -> Took:
    """Time a batch; the mails are written before."""
    batch = list(itertools.islice(stream, number))
    cpu, began = _cpu(), time.perf_counter()
    take_in(batch)
    return Took(number, time.perf_counter() - began, _cpu() - cpu)


def _cpu() -> float:
    """Seconds of computing of this process and of those it started to read mails, the ended ones among them included."""
    return time.process_time() + servers.cpu_seconds(_readers(), with_ended=True)


def _readers() -> list[int]:
    nurseries = [pid for pid in servers.children(os.getpid()) if b"crm.channels.email" in servers.command_of(pid)]
    return [*nurseries, *(reader for nursery in nurseries for reader in servers.children(nursery))]


def _one_by_one(batch: list[bytes]) -> None:
    for content in batch:
        at = timezone.now()
        with mails.reading(content, at=at) as read:  # as `manage.py receive_mail` does
            item = mails.keep_raw(content, source="mail:bench", label="", at=at, leased=True)
            outcome = mails.read_now(item, at=at, read=read)
        if outcome.received is None:
            raise RuntimeError("a mail was not taken in")


def _as_a_poller(batch: list[bytes]) -> None:
    """Keep and take in some as `fetching.poll` does when a mailbox's server has handed them over."""
    mailbox = _mailbox()
    for start in range(0, len(batch), KEPT_AT_ONCE):
        at = timezone.now()
        visit = fetching._Round(mailbox, at, until=time.monotonic() + 60, cut_at=0)
        uids = itertools.count(_uids.setdefault(mailbox.pk, 0) + 1)
        some = [
            Fetched(Listed(next(uids), 1, len(content), at), content, is_too_large=False)
            for content in batch[start : start + KEPT_AT_ONCE]
        ]
        with fetching.keeping(visit, some, uid_validity=1):
            pass
        _uids[mailbox.pk] += len(some)
    while mails.ingest_batch(at=timezone.now()):
        pass
    if RawItem.objects.filter(mailbox=mailbox).exclude(state="done").exists():
        raise RuntimeError("a mail was not taken in")


_uids: dict[int, int] = {}


@cache
def _mailbox() -> Mailbox:
    return Mailbox.objects.create(
        address="help@shop.example",
        host="imap.shop.example",
        username="help",
        secret_from="EVENHAND_BENCH_SECRET",
        border_host=post.BORDER,
        created_at=timezone.now(),
    )


def _by_floor(floor: Floor, batch: list[bytes]) -> None:
    for content in batch:
        floor.take_in(content, source="mail:floor")


# --- GOAL4 -----------------------------------------------------------------------------------------------------------


def goal_4(run: Any) -> list[Finding]:
    """What an answer costs at the largest size and at 10,000: by its reply address, and by headers our border vouches for."""
    found = []
    for what, by_headers in (("by reply address", False), ("by Message-ID, vouched for", True)):
        streams = {}
        for name in ("", SMALL):
            with _in(name):
                total = _filled()
                wanted = min((run.rounds + 1) * (run.requests + 10) * 2, total // 2)
                chosen = random.Random(9 + by_headers).sample(range(2, total), wanted)
                streams[name] = _answers(matters(chosen, by_headers=by_headers), name, by_headers=by_headers)

        def answered(name: str, streams: dict[str, Iterator[bytes]] = streams) -> Took:
            with _in(name):
                took(streams[name], 10, _one_by_one)
                before = _joined()
                batch = took(streams[name], run.requests, _one_by_one)
                if _joined() - before != run.requests:
                    raise RuntimeError(f"{_joined() - before} of {run.requests} answers joined their matter")
                return batch

        large, small = (lambda: answered("")), (lambda: answered(SMALL))
        rounds = alternating(run.rounds, large, small)
        ratio = median_ratio([(a.wall, b.wall) for a, b in rounds], lambda seconds: seconds)
        cost = [median_of(rounds, lambda pair, n=n: pair[n].wall / pair[n].mails * 1000) for n in (0, 1)]
        found.append(
            limit(
                4, f"threading an answer {what}, {_filled():,} ÷ 10,000", ratio, most=1.25, aim=1.1, unit=" ×",
                cpu_ms=median_of(rounds, lambda pair: pair[0].cpu / pair[0].mails * 1000),
                note=f"{cost[0]:.2f} ms, at 10,000 {cost[1]:.2f} ms, from its bytes to its last commit",
                rounds=[{"large_s": round(a.wall, 3), "small_s": round(b.wall, 3)} for a, b in rounds],
            )
        )  # fmt: skip
    return found


def _in(name: str) -> Any:
    return database(name or connection.settings_dict["NAME"])


def _joined() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM crm_historyentry WHERE id > %s AND verb = 'conversation.continued'", [fill.PRODUCT]
        )
        return int(cursor.fetchone()[0])


def _answers(them: list[post.Matter], name: str, *, by_headers: bool) -> Iterator[bytes]:
    chosen = random.Random(11)
    stamp = time.time_ns()
    for number, matter in enumerate(itertools.cycle(them)):
        yield post.answer(matter, chosen, mark=f"{name}{stamp}-{number}", by_headers=by_headers)
