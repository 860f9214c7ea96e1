"""GOAL12: cards written and sent over one SMTP connection, beside Django's own way of sending the same words."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection
from django.template.loader import render_to_string
from django.utils import timezone, translation

from crm.actions import customers, outgoing
from loyalty import actions
from loyalty.models import Gesture, Programme
from loyalty.policy import GestureState, Occasion
from tests.bench import servers
from tests.bench.measure import alternating, median_of, median_ratio
from tests.bench.report import Finding, limit

PEOPLE = """
WITH people AS (
  INSERT INTO crm_customer (public_id, display_name, language, zone, region, status, created_at)
  SELECT uuidv7(), 'Carla Muster ' || n, 'en', '', '', 'active', %(at)s FROM generate_series(1, %(number)s) n RETURNING id),
reached AS (
  INSERT INTO crm_contactpoint (customer_id, kind, address, created_at)
  SELECT id, 'email', 'card' || id || '@fill.example', %(at)s FROM people),
planned AS (
  INSERT INTO loyalty_gesture (public_id, key, programme_id, customer_id, occasion_on, send_at, state, reason)
  SELECT uuidv7(), 'bench:' || id, %(programme)s, id, %(day)s, %(at)s, 'planned', '' FROM people)
SELECT id FROM people
"""
# Each by itself: the database looks whether the address is the customer's, and whether the proof is.
PROOFS = """
INSERT INTO crm_consentproof
  (public_id, customer_id, purpose, medium, words, version, language, door, network, contact_point_id, at)
SELECT uuidv7(), customer_id, %(purpose)s, 'email', 'asked for in the bench', 'bench', 'en', 'page', '', id, %(at)s
FROM crm_contactpoint WHERE customer_id = ANY(%(people)s)
"""
AGREED = """
INSERT INTO crm_consent (customer_id, purpose, medium, state, actor, evidence, proof_id, at)
SELECT customer_id, purpose, medium, 'granted', 'customer', words, id, at FROM crm_consentproof WHERE customer_id = ANY(%(people)s)
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch of cards: seconds of time and of computing of this process, and what of it was spent writing."""

    wall: float
    cpu: float
    writing: float = 0.0


class Sink:
    """A running tests/bench/sink.py."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    @property
    def taken(self) -> int:
        """How many mails it has accepted."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """Run one and let Django's mail settings name it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=servers.ROOT,
    )  # fmt: skip
    usual = (settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT)
    try:
        assert process.stdout is not None
        one = Sink(process, int(process.stdout.readline()))
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
            "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", one.port
        )  # fmt: skip
        yield one
    finally:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = usual
        process.kill()
        process.wait()


def goal_12(run: Any) -> list[Finding]:
    """Cards for people who agreed: written, checked, sent and noted, beside rendering and sending them the plain way."""
    number = 20 * run.requests
    Programme.objects.update_or_create(
        occasion=Occasion.BIRTHDAY, defaults={"is_active": True, "public_rule": "everybody who told us their birthday"}
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE crm_outgoingmessage SET state = 'cancelled' WHERE state = 'ready'")
    with sink() as server:
        _product(server, min(number, 200)), _django(server, min(number, 200))
        rounds = alternating(run.rounds, lambda: _product(server, number), lambda: _django(server, number))
    ratio = median_ratio([(b, a) for a, b in rounds], lambda batch: batch.wall)
    speed, plain = (median_of(rounds, lambda pair, n=n: number / pair[n].wall) for n in (0, 1))
    cpu, plain_cpu = (median_of(rounds, lambda pair, n=n: pair[n].cpu / number * 1000) for n in (0, 1))
    writing = median_of(rounds, lambda pair: pair[0].writing / pair[0].wall)
    told = [{"product_s": round(a.wall, 3), "django_s": round(b.wall, 3)} for a, b in rounds]
    return [
        limit(
            12, f"{number:,} cards ÷ Django's own sending", ratio, least=0.8, aim=1.8, unit=" ×", cpu_ms=cpu,
            note=f"{speed:.0f}/s ({writing:.0%} of the time writing), Django {plain:.0f}/s with {plain_cpu:.2f} ms", rounds=told,
        )
    ]  # fmt: skip


def _people(number: int) -> list[int]:
    at = timezone.now()
    programme = Programme.objects.get(occasion=Occasion.BIRTHDAY)
    told = {"at": at, "number": number, "purpose": customers.BIRTHDAY, "programme": programme.pk, "day": at.date()}
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, told)
        people = [row[0] for row in cursor.fetchall()]
        for statement in (PROOFS, AGREED):
            cursor.execute(statement, {**told, "people": people})
        return people


def _product(server: Sink, number: int) -> Sent:
    _people(number)
    before, cpu, began = server.taken, time.process_time(), time.perf_counter()
    while actions.write_batch(at=timezone.now()):
        pass
    written = time.perf_counter() - began
    while outgoing.send_batch(at=timezone.now()):
        pass
    sent = Sent(time.perf_counter() - began, time.process_time() - cpu, written)
    if server.taken - before != number or Gesture.objects.filter(state=GestureState.PLANNED).exists():
        raise RuntimeError(f"{server.taken - before} of {number} cards arrived")
    return sent


def _django(server: Sink, number: int) -> Sent:
    """As a Django program does it that has nothing to prove: three templates a person, one message, one connection."""
    people = _people(number)
    Gesture.objects.filter(customer__in=people).update(state=GestureState.DROPPED, reason="only for the other side")
    before, cpu, began = server.taken, time.process_time(), time.perf_counter()
    line = get_connection()
    line.open()
    with translation.override("en"):
        for person in people:
            stop_url = f"{settings.PUBLIC_URL}/stop/{signing.dumps([person, customers.BIRTHDAY], salt='bench')}/"
            words = {
                "name": f"Carla Muster {person}", "shop": settings.EVENHAND_MAIL_NAME, "stop_url": stop_url, "page_url": stop_url,
                "language": "en",
                "direction": "ltr", "imprint": "",
            }  # fmt: skip
            message = EmailMultiAlternatives(
                subject=" ".join(render_to_string("email/loyalty/birthday.subject.txt", words).split()),
                body=render_to_string("email/loyalty/birthday.txt", words),
                from_email=settings.EVENHAND_MAIL_FROM,
                to=[f"card{person}@fill.example"],
                headers={"List-Unsubscribe": f"<{stop_url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
                connection=line,
            )
            message.attach_alternative(render_to_string("email/loyalty/birthday.html", words), "text/html")
            message.send()
    line.close()
    sent = Sent(time.perf_counter() - began, time.process_time() - cpu)
    if server.taken - before != number:
        raise RuntimeError(f"{server.taken - before} of {number} plain mails arrived")
    return sent
