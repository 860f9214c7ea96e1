"""Cases of customers for the tests: made up, with a known answer."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from recovery.parity.answers import Answers
from recovery.parity.reading import Cases

DAY = 86_400
HOURS = 2_000.0  # of the window


def cases(
    *,
    customer: np.ndarray,
    channel: np.ndarray,
    opened: np.ndarray,
    waits: np.ndarray,
    kind: np.ndarray | None = None,
    names: tuple[str, ...] = ("phone", "app", "social"),
    asof: float = HOURS,
    public: frozenset[str] = frozenset(),
    outcomes: tuple[Answers, ...] = (),
) -> Cases:
    """opened, waits, asof: hours since the window began."""
    count = len(customer)
    kind = np.zeros(count, dtype=np.int32) if kind is None else kind
    age = asof - opened
    nothing = np.zeros(count, dtype=bool)
    return Cases(
        channels=names, types=tuple(f"type {each}" for each in range(int(kind.max()) + 1)),
        channel=channel.astype(np.int32), type=kind.astype(np.int32),
        month=(2026 * 12 + opened // 730).astype(np.int32), hours=np.minimum(waits, age), closed=waits <= age,
        promised_hours=np.full(count, np.nan), due=nothing, kept=nothing, outcomes=outcomes,
        snapshot=datetime(2026, 5, 1, tzinfo=UTC), timed=True, promises=False, by_day=False, typed=True,
        excluded=frozenset(), read=count, rejected={}, rejected_by_channel={},
        customer=customer.astype(np.int32), opened=(opened * 3600).astype(np.int64), public=public,
    )  # fmt: skip


def pairs(
    random: np.random.Generator, customers: int, *, ratio: float = 1.0, yes: float = 0.0, follow_up: bool = False
) -> Cases:
    """Two to four cases each, on phone and app; customers differ a lot. ratio: planted in the phone.

    follow_up: hardly a customer has a second case unless the first was slow; callers turn to the app,
    seldom the other way about.
    """
    each = random.integers(2, 5, customers)
    customer = np.repeat(np.arange(customers), each)
    count = len(customer)
    opened = np.sort(random.random(count) * HOURS * 0.9)[np.argsort(random.random(count))]
    leaning = random.beta(2, 2, customers)[customer]
    channel = (random.random(count) < leaning).astype(int)
    kind = random.integers(0, 3, count)
    frailty = random.normal(0, 1.0, customers)[customer]
    waits = np.exp(2.0 + kind + frailty + random.normal(0, 0.7, count)) * np.where(channel == 0, ratio, 1.0)
    satisfied = random.random(count) < 1 / (1 + np.exp(-frailty - 0.5)) + np.where(channel == 0, yes, 0.0)
    keep = np.ones(count, dtype=bool)
    if follow_up:
        customer, kind = np.repeat(np.arange(customers), 2), np.repeat(random.integers(0, 3, customers), 2)
        first = np.repeat((random.random(customers) < 0.2).astype(int), 2)  # mostly the phone
        channel = np.where(np.arange(len(customer)) % 2 == 0, first, 1 - first)
        opened = np.repeat(random.random(customers) * HOURS / 2, 2) + np.tile([0.0, 24.0], customers)
        waits = np.exp(3.0 + random.normal(0, 0.7, len(customer)))
        slow = np.repeat(waits[::2] > 20, 2)  # about half
        keep = slow | (np.repeat(random.random(customers), 2) < 0.05)
        satisfied = random.random(len(customer)) < 0.5
    outcome = Answers(name="satisfied", kind="bool", values=satisfied[keep].astype(float))
    return cases(
        customer=customer[keep], channel=channel[keep], opened=opened[keep], waits=waits[keep], kind=kind[keep],
        names=("phone", "app"), outcomes=(outcome,),
    )  # fmt: skip


def posters(random: np.random.Generator, customers: int, *, hazard_ratio: float = 1.0, share: float = 0.5) -> Cases:
    """Private cases of two types, some customers with two; many would post after a while and do if it is still open.

    hazard_ratio: what going public does to the hazard of the private case from then on.
    """
    each = np.where(random.random(customers) < 0.3, 2, 1)
    customer = np.repeat(np.arange(customers), each)
    count = len(customer)
    kind = random.integers(0, 2, count)
    channel = random.integers(0, 2, count)
    opened = random.random(count) * HOURS * 0.8
    rate = np.exp(-4.0 - 0.7 * kind + 0.5 * random.normal(0, 1, customers)[customer])
    work = random.exponential(1.0, count)
    meant = np.where(random.random(count) < share, random.exponential(40.0, count), np.inf)
    left = np.maximum(work / rate - meant, 0.0)  # of the wait when they post
    waits = work / rate - left + left / hazard_ratio
    posts = np.flatnonzero((meant < waits) & (opened + meant < HOURS))
    return cases(
        customer=np.concatenate([customer, customer[posts]]),
        channel=np.concatenate([channel, np.full(len(posts), 2)]),
        opened=np.concatenate([opened, (opened + meant)[posts]]),
        waits=np.concatenate([waits, np.full(len(posts), 10.0)]),
        kind=np.concatenate([kind, kind[posts]]),
        public=frozenset({"social"}),
    )
