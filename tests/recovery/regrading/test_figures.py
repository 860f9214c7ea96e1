"""What gradings say of a channel: a planted bias is found, none is found where there is none, and the draw treats all alike."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.models import Conversation, Customer
from recovery import actions
from recovery.actions import regrading
from recovery.models import Grading, ParityFinding, Regrade
from recovery.parity import regrades
from recovery.parity.regrades import MANNER, MERIT, SEVERITY, Regraded
from recovery.policy import (
    MERIT as MERITS,
)
from recovery.policy import (
    Facts,
    FindingState,
    Manner,
    Outcome,
    Severity,
    is_drawn,
    merit_steps,
    severity_steps,
    share_of,
)
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.recovery.regrading.stories import EVENING

CHANNELS = ("phone", "email", "social_public", "letter")
DAY = timedelta(days=1)


@given(st.sampled_from(Severity), st.sampled_from(Severity))
def test_a_difference_in_severity_has_a_sign_and_its_mirror(one, other):
    assert severity_steps(one, other) == -severity_steps(other, one)
    assert (severity_steps(one, other) == 0) == (one == other)


@given(st.sampled_from([*Outcome, ""]), st.sampled_from(Outcome))
def test_merit_is_compared_only_where_both_judged(first, again):
    steps = merit_steps(first, again)
    assert (steps is None) == (first not in MERITS or again not in MERITS)
    if steps is not None:
        assert -2 <= steps <= 2


@given(*[st.integers(1, 5)] * 3)
def test_the_manner_index_lies_between_its_items(friendly, helpful, sympathetic):
    items = (friendly, helpful, sympathetic)
    assert min(items) <= Manner(*items).index <= max(items)


@given(st.binary(min_size=8, max_size=32), st.floats(0, 1), st.floats(0, 1))
def test_who_is_drawn_in_a_small_share_is_drawn_in_a_larger(digest, one, other):
    small, large = sorted([one, other])
    assert not is_drawn(digest, share=small) or is_drawn(digest, share=large)


def test_where_no_failure_was_found_one_in_ten_is_read_again_R009():
    assert share_of(Outcome.NOT_UPHELD, share=0.04) == 0.10
    assert {share_of(each, share=0.04) for each in (*Outcome, "") if each != Outcome.NOT_UPHELD} == {0.04}


def test_every_channel_is_drawn_in_the_same_share_R005():
    """Chi-square on three degrees of freedom stays below its 99.9 % point; ids and key are fixed."""
    chance = random.Random(20_231)
    drawn: Counter[str] = Counter()
    number = 20_000
    for channel in CHANNELS:
        for _ in range(number):
            drawn[channel] += regrading._is_drawn(uuid.UUID(int=chance.getrandbits(128)), 0.04)
    expected = 0.04 * number
    chi = sum((drawn[channel] - expected) ** 2 / (expected * 0.96) for channel in CHANNELS)
    print(dict(drawn), f"chi-square {chi:.2f} on 4")
    assert chi < 18.5


def graded(chance: random.Random, channel: str, *, low: float = 0.1, rude: float = 0.3) -> Regraded:
    """One matter of which the first grading missed a step with the chance `low`, and hit one too many with 0.1."""
    lot = chance.random()
    difference = -1 if lot < low else 1 if lot > 0.9 else 0
    kind = chance.random() >= rude
    return Regraded(
        number=chance.randrange(10**6),
        channel=channel,
        severity=chance.choice(["medium", "high"]),
        severity_difference=difference,
        merit="upheld",
        merit_difference=0 if chance.random() < 0.8 else -1,
        overturned=None,
        manner=4.5 if kind else 3.0,
        is_kind=kind,
    )


def lines_of(rows: list[Regraded]) -> dict[tuple[str, str], regrades.Line]:
    return {(line.metric, line.channel): line for line in regrades.by_channel(rows)}


def test_a_channel_whose_matters_are_graded_lower_is_found_with_size_and_interval_R005():
    chance = random.Random(7)
    rows = [graded(chance, channel, low=0.45 if channel == "phone" else 0.1) for channel in CHANNELS for _ in range(90)]
    found = lines_of(rows)
    line = found[SEVERITY, "phone"]
    print(
        f"phone: {line.share:.0%} against {line.versus_share:.0%}, mean {line.mean:+.2f} ({line.low:+.2f}, {line.high:+.2f})"
    )
    assert line.contrast.verdict == "red"
    assert line.contrast.tested.effects[0].value > 0.2
    assert line.low < line.mean < line.high < 0
    assert found[MANNER, "phone"].contrast.verdict != "red"
    assert {metric for metric, _channel in found} == {SEVERITY, MERIT, MANNER}  # nothing was dismissed


def test_ruder_answers_on_one_channel_are_found_R111():
    chance = random.Random(9)
    rows = [
        graded(chance, channel, rude=0.7 if channel == "letter" else 0.3) for channel in CHANNELS for _ in range(80)
    ]
    assert lines_of(rows)[MANNER, "letter"].contrast.verdict == "red"


def test_where_all_are_graded_alike_hardly_anything_is_red():
    chance = random.Random(11)
    false = 0
    for _ in range(60):
        rows = [graded(chance, channel) for channel in CHANNELS for _ in range(60)]
        false += any(line.contrast.verdict == "red" for line in regrades.by_channel(rows))
    print(f"any red without a bias: {false} of 60")
    assert false <= 7


def test_too_few_say_nothing_and_never_alike():
    chance = random.Random(3)
    rows = [graded(chance, channel) for channel in CHANNELS for _ in range(10)]
    assert {line.contrast.verdict for line in regrades.by_channel(rows)} == {"grey"}
    assert all(line.contrast.n_needed for line in regrades.by_channel(rows))
    assert regrades.by_channel([]) == ()


def test_whether_the_veil_held_is_counted():
    rows = [Regraded(number=1, channel="phone", guessed=True), Regraded(number=2, channel="email", guessed=False)]
    assert regrades.guessed_rightly([*rows, Regraded(number=3, channel="email")]) == (1, 2)


def graded_rows(number: int, *, low: dict[str, float], seed: int = 5) -> None:
    """Cases that were graded again, the first time too low with a chance that depends on the channel."""
    chance, bob = random.Random(seed), colleague(name="Bob", takes=False)
    for channel in CHANNELS:
        for _ in range(number):
            customer = Customer.objects.create(created_at=NOON)
            matter = Conversation.objects.create(customer=customer, channel=channel, state="closed", spoke_at=NOON)
            case = actions.open_case(matter.pk, facts=Facts(), seen_because=[], by=None, at=NOON)
            regrade = Regrade.objects.create(
                conversation=matter, kind="case", looks_at=case.decisions.order_by("-pk")[0], drawn_at=NOON, taken_by=bob,
                taken_at=NOON, done_at=EVENING,
            )  # fmt: skip
            is_low = chance.random() < low.get(channel, 0.1)
            Grading.objects.create(
                regrade=regrade, by=bob, at=EVENING, facts={}, severity_first="low" if is_low else "medium", severity="medium",
                severity_difference=-1 if is_low else 0, merit="upheld",
            )  # fmt: skip


@pytest.mark.django_db
def test_the_night_s_look_opens_a_finding_and_only_a_later_one_ends_it(django_assert_max_num_queries):
    graded_rows(30, low={"phone": 0.6})
    actions.parity_nightly(EVENING + DAY)
    found = ParityFinding.objects.get(metric=SEVERITY, channel="phone")
    assert not found.is_favoured
    assert found.value > 0.2
    with django_assert_max_num_queries(3):
        numbers = actions.matters_behind(SEVERITY, "phone", since=NOON, until=EVENING + DAY, at=EVENING + DAY)
    assert numbers
    assert set(Conversation.objects.filter(pk__in=numbers).values_list("channel", flat=True)) == {"phone"}
    actions.parity_nightly(EVENING + 2 * DAY)
    found.refresh_from_db()
    assert found.state == FindingState.OPEN
    with django_assert_max_num_queries(2):
        lines = regrading.by_channel(EVENING - DAY, EVENING + DAY)
    assert [line.metric for line in lines] == [SEVERITY] * len(CHANNELS)
