"""What we teach: who was answered late in private, and whether they speak publicly next time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from recovery.parity import own
from recovery.parity.own import UNKNOWN, Matters
from recovery.parity.teaching import lesson

CHANNELS = ("email", "phone", "social_public")
PUBLIC = frozenset({"social_public"})
HOUR = 3600
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


def matters(rows: list[tuple[int, str, int, int]]) -> Matters:
    """rows: customer, channel, hour spoken, hours until the answer; 24 hours are promised."""
    spoke = np.array([START + hour * HOUR for _c, _n, hour, _w in rows], dtype=np.int64)
    answered = spoke + np.array([wait * HOUR for _c, _n, _h, wait in rows], dtype=np.int64)
    columns = {name: np.full(len(rows), UNKNOWN, dtype=np.int64) for name in own.COLUMNS}
    columns |= {
        "number": np.arange(1, len(rows) + 1), "customer": np.array([row[0] for row in rows], dtype=np.int64),
        "channel": np.array([CHANNELS.index(row[1]) for row in rows], dtype=np.int64),
        "type": np.zeros(len(rows), dtype=np.int64), "severity": np.zeros(len(rows), dtype=np.int64),
        "spoke_at": spoke, "answered_at": answered, "answer_due_at": spoke + 24 * HOUR,
        "answered_as_promised": (answered <= spoke + 24 * HOUR).astype(np.int64),
    }  # fmt: skip
    return Matters(
        columns=columns, dismissed={name: np.zeros(0, dtype=np.int64) for name in ("channel", "type", "is")},
        channels=CHANNELS, types=("no failure",), severities=("",), at=datetime(2027, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def customers(count: int, *, late: float, in_time: float, seed: int = 1) -> Matters:
    """Two matters each, the first private, half of them answered late; late, in_time: chance of speaking publicly next."""
    random = np.random.default_rng(seed)
    rows = []
    for customer in range(count):
        was_late = random.random() < 0.5
        private = CHANNELS[random.integers(0, 2)]
        aloud = random.random() < (late if was_late else in_time)
        rows += [
            (customer, private, 0, 48 if was_late else 3),
            (customer, "social_public" if aloud else private, 900, 3),
        ]
    return matters(rows)


def test_answering_late_teaches_to_speak_publicly_R076():
    found = lesson(customers(600, late=0.3, in_time=0.1), public=PUBLIC)

    assert found.late + found.in_time == 600
    assert found.tells
    assert found.difference.low > 0
    assert found.difference.value == pytest.approx(
        found.late_public / found.late - found.in_time_public / found.in_time, abs=0.02
    )


def test_where_it_teaches_nothing_that_is_shown_only_with_enough_customers_R076():
    few, many = (lesson(customers(count, late=0.1, in_time=0.1), public=PUBLIC) for count in (60, 4_000))

    assert not few.tells
    assert few.needed > few.late
    assert many.tells
    assert many.difference.low < 0 < many.difference.high


def test_it_seldom_says_so_where_it_is_not_so():
    said = [lesson(customers(400, late=0.1, in_time=0.1, seed=seed), public=PUBLIC) for seed in range(100)]

    assert sum(bool(each.difference.low and each.difference.low > 0) for each in said) <= 7


def test_only_a_first_private_matter_and_the_next_one_after_its_answer_count():
    found = lesson(
        matters(
            [
                (1, "email", 0, 48), (1, "social_public", 100, 3), (1, "email", 200, 3),  # late, then public
                (2, "email", 0, 48), (2, "social_public", 20, 3),  # spoke again before it was late
                (3, "social_public", 0, 3), (3, "email", 100, 3),  # began in public
                (4, "phone", 0, 3), (4, "phone", 2, 3),  # spoke again before the answer
                (5, "phone", 0, 3), (5, "phone", 50, 3),  # in time, then private
                (6, "phone", 0, 48),  # once only
            ]
        ),
        public=PUBLIC,
    )  # fmt: skip

    assert (found.late, found.late_public, found.in_time, found.in_time_public) == (1, 1, 1, 0)
    assert not found.tells
    assert found.needed >= 25


def test_nobody_is_no_lesson():
    found = lesson(matters([]), public=PUBLIC)

    assert (found.late, found.in_time, found.tells) == (0, 0, False)
