"""The judge of the fault tests: joins what was acknowledged, what was delivered, and what the database says.

It shares no code with the product: plain psycopg, and a model of the promised times written a second time. What it
does not know (a promise given by nobody it has heard of) it reports, so that it cannot grow blind unnoticed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

FIRST_ANSWER, CONFIRMED, ANSWERED_AGAIN, NEWS = (
    timedelta(hours=8),
    timedelta(hours=1),
    timedelta(hours=8),
    timedelta(days=3),
)
CLOCK_READ_TWICE = timedelta(seconds=1)  # client and server read the same clock, one after the other

Row = dict[str, Any]

QUERIES = {
    "heard": """
        SELECT i.public_id::text AS id, i.source, i.external_id, i.conversation_id AS conversation, i.spoke_at,
               encode(sha256(r.content), 'hex') AS mail
        FROM crm_interaction i LEFT JOIN crm_rawitem r ON r.id = i.raw_id
        WHERE i.direction = 'in' ORDER BY i.id""",
    "kept": "SELECT encode(sha256(content), 'hex') AS mail, state, reason FROM crm_rawitem ORDER BY id",
    "promises": """
        SELECT conversation_id AS conversation, kind, given_by, starts_at, due_at, state, met_at, breached_at
        FROM crm_promise ORDER BY id""",
    "outgoing": """
        SELECT public_id::text AS id, state, unknown_outcomes, has_value, channel, conversation_id AS conversation,
               accepted_at
        FROM crm_outgoingmessage ORDER BY id""",
    "cases": "SELECT id, conversation_id AS conversation, spoke_at FROM recovery_case ORDER BY id",
    "decisions": """
        SELECT d.id, c.conversation_id AS conversation, c.spoke_at, d.entitlement
        FROM recovery_decision d JOIN recovery_case c ON c.id = d.case_id ORDER BY d.id""",
}


@dataclass
class Stored:
    """What the database says, as plain rows."""

    heard: list[Row] = field(default_factory=list)
    kept: list[Row] = field(default_factory=list)
    promises: list[Row] = field(default_factory=list)
    outgoing: list[Row] = field(default_factory=list)
    cases: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)


def read_stored(database_url: str) -> Stored:
    """Read everything the judge needs in one snapshot."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return Stored(**{name: connection.execute(query).fetchall() for name, query in QUERIES.items()})


def read_ledger(path: Path) -> list[Row]:
    """Read a ledger's lines; a last line cut short by a crash was never acknowledged and is left out."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


@dataclass
class Verdict:
    """What is wrong, each as sentences; `unknown` is only counted: outcomes the product itself recorded as unknown."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    unknown: int = 0

    @property
    def faults(self) -> dict[str, list[str]]:
        return {f.name: found for f in fields(self) if f.name != "unknown" and (found := getattr(self, f.name))}


def judge(edge: Iterable[Row], sink: Iterable[Row], stored: Stored) -> Verdict:
    """Compare three accounts of the same events.

    lost: acknowledged and not stored. doubled: delivered or stored more often than once plus recorded unknown outcomes.
    moved: a promise that is not what the rules give. phantom: delivered or opened without a cause. untrue: the database
    says what did not happen (accepted and never delivered, kept without an answer). unseen: a complaint without case.
    """
    verdict = Verdict()
    edge, sink = list(edge), list(sink)
    _acknowledged_is_stored(verdict, edge, stored)
    _delivered_once(verdict, sink, stored)
    _promises_stand(verdict, stored)
    verdict.unknown = sum(row["unknown_outcomes"] for row in stored.outgoing)
    return verdict


def _acknowledged_is_stored(verdict: Verdict, edge: list[Row], stored: Stored) -> None:
    by_delivery: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in stored.heard:
        by_delivery["form" if row["source"] == "form" else "other", row["external_id"]].append(row)
        by_delivery["app", row["id"]].append(row)
        if row["mail"]:
            by_delivery["mail", row["mail"]].append(row)
    kept = {row["mail"] for row in stored.kept}
    sent = {row["id"] for row in stored.outgoing}
    with_case = {row["conversation"] for row in stored.cases}
    meant = {
        row["conversation"] for line in edge if line.get("complaint") for row in by_delivery[line["kind"], line["id"]]
    }
    for line in edge:
        kind, key = line["kind"], line["id"]
        if kind == "answer":
            if key not in sent:
                verdict.lost.append(f"answer {key}")
            continue
        found = by_delivery[kind, key]
        if not found:
            verdict.lost.append(f"{kind} {key}" + (" is kept but nobody heard it" if key in kept else ""))
        elif len(found) > 1:
            verdict.doubled.append(f"{kind} {key} was heard {len(found)} times")
        for row in found:
            first, last = datetime.fromisoformat(line["sent_at"]), datetime.fromisoformat(line["at"])
            if not first - CLOCK_READ_TWICE <= row["spoke_at"] <= last + CLOCK_READ_TWICE:
                verdict.moved.append(f"{kind} {key} counts from {row['spoke_at']}, was sent {first} to {last}")
            if line["complaint"] and row["conversation"] not in with_case:
                verdict.unseen.append(f"{kind} {key}")
            if not line["complaint"] and row["conversation"] in with_case - meant:
                verdict.phantom.append(f"a case for {kind} {key}")


def _delivered_once(verdict: Verdict, sink: list[Row], stored: Stored) -> None:
    deliveries = Counter(line["message_id"].strip("<> ").partition("@")[0] for line in sink)
    known = {row["id"]: row for row in stored.outgoing}
    for message, times in deliveries.items():
        if message not in known:
            verdict.phantom.append(f"message {message} was delivered and is not in the database")
        elif times > 1 + known[message]["unknown_outcomes"]:
            verdict.doubled.append(f"message {message} was delivered {times} times")
        elif times > 1 and known[message]["has_value"]:
            verdict.doubled.append(f"message {message} has value and was delivered {times} times")
    for message, row in known.items():
        if row["state"] == "accepted" and row["channel"] == "email" and not deliveries[message]:
            verdict.untrue.append(f"message {message} counts as accepted and was never delivered")


def _promises_stand(verdict: Verdict, stored: Stored) -> None:
    spoken: dict[int, list[datetime]] = defaultdict(list)
    for row in stored.heard:
        spoken[row["conversation"]].append(row["spoke_at"])
    decisions = {row["id"]: row for row in stored.decisions}
    accepted: dict[int, set[datetime]] = defaultdict(set)
    for row in stored.outgoing:
        if row["state"] == "accepted":
            accepted[row["conversation"]].add(row["accepted_at"])
    for promise in stored.promises:
        what = f"{promise['kind']} of conversation {promise['conversation']} given by {promise['given_by']}"
        expected = _expected(promise, spoken[promise["conversation"]], decisions)
        if (promise["starts_at"], promise["due_at"]) not in expected:
            verdict.moved.append(f"{what}: {promise['starts_at']} to {promise['due_at']} is not what the rules give")
        if promise["met_at"] is not None:
            if promise["kind"] == "first_response" and promise["met_at"] not in accepted[promise["conversation"]]:
                verdict.untrue.append(f"{what} counts as kept, and no answer was accepted then")
            if promise["state"] != ("met_late" if promise["met_at"] > promise["due_at"] else "met"):
                verdict.untrue.append(f"{what} is {promise['state']}")


def _expected(promise: Row, spoken: list[datetime], decisions: Mapping[int, Row]) -> set[tuple[datetime, datetime]]:
    giver, _colon, detail = promise["given_by"].partition(":")
    if giver == "everybody":
        within = {"first_response": FIRST_ANSWER, "confirmation": CONFIRMED}.get(promise["kind"])
        return {(at, at + within) for at in spoken[:1]} if within else set()
    if giver == "message":
        return {(at, at + ANSWERED_AGAIN) for at in spoken}
    if giver == "decision" and int(detail) in decisions:
        decision = decisions[int(detail)]
        minutes = decision["entitlement"]["within_minutes"].get(promise["kind"])
        return (
            {(decision["spoke_at"], decision["spoke_at"] + timedelta(minutes=minutes))}
            if minutes is not None
            else set()
        )
    if giver == "news":
        at = datetime.fromisoformat(detail)
        return {(at, at + NEWS)}
    return set()
