"""Where a relationship stands: total, in every direction, and by what is stated (R087)."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy.stages import HINTS, RULES, Known, RelationshipKind, Stage, StageRule, Standing, derive
from tests.conftest import NOON

LONG_AGO = NOON - timedelta(days=900)
MOMENTS = st.one_of(st.none(), st.integers(0, 1500).map(lambda days: NOON - timedelta(days=days)))
KNOWN = st.builds(
    Known,
    is_ended=st.booleans(),
    first_heard_at=MOMENTS,
    last_heard_at=MOMENTS,
    matters=st.integers(0, 9),
    open_cases=st.integers(0, 4),
    came_back=st.integers(0, 4),
    missed=st.integers(0, 9),
    changed_at=MOMENTS,
)
STANDING = st.one_of(
    st.none(),
    st.builds(
        Standing,
        stage=st.sampled_from(Stage),
        since=st.integers(0, 1500).map(lambda days: NOON - timedelta(days=days)),
        by_person=st.booleans(),
    ),
)


def stage(known: Known, standing: Standing | None = None) -> Stage | None:
    derived = derive(known, standing, at=NOON)
    return derived.stage if derived else None


HEARD = Known(first_heard_at=NOON - timedelta(days=400), last_heard_at=NOON - timedelta(days=3), matters=2)


@pytest.mark.parametrize(
    ("known", "standing", "expected"),
    [
        (Known(), None, Stage.PROSPECT),
        (Known(first_heard_at=NOON, last_heard_at=NOON, matters=1), None, Stage.NEW),
        (HEARD, None, Stage.ACTIVE),
        (dataclasses.replace(HEARD, first_heard_at=LONG_AGO, matters=3), None, Stage.LOYAL),
        (dataclasses.replace(HEARD, first_heard_at=LONG_AGO), None, Stage.ACTIVE),
        (dataclasses.replace(HEARD, missed=2), None, Stage.STRAINED),
        (dataclasses.replace(HEARD, missed=1), None, Stage.ACTIVE),
        (dataclasses.replace(HEARD, missed=1, open_cases=1), None, Stage.STRAINED),
        (dataclasses.replace(HEARD, open_cases=1), None, Stage.ACTIVE),
        (dataclasses.replace(HEARD, open_cases=1, came_back=1), None, Stage.STRAINED),
        (dataclasses.replace(HEARD, open_cases=1, came_back=2), None, Stage.ADVERSARY),
        (dataclasses.replace(HEARD, came_back=2), Standing(Stage.ADVERSARY, LONG_AGO), Stage.ACTIVE),
        (dataclasses.replace(HEARD, last_heard_at=LONG_AGO), None, Stage.LAPSED),
        (HEARD, Standing(Stage.LAPSED, NOON - timedelta(days=9)), Stage.WON_BACK),
        (HEARD, Standing(Stage.WON_BACK, NOON - timedelta(days=9)), Stage.WON_BACK),
        (HEARD, Standing(Stage.WON_BACK, NOON - timedelta(days=181)), Stage.ACTIVE),
        (dataclasses.replace(HEARD, is_ended=True, missed=5), None, Stage.ENDED),
    ],
)
def test_each_rule_gives_its_stage_from_what_is_held_R087(known, standing, expected):
    assert stage(known, standing) == expected


@given(KNOWN, STANDING)
def test_every_knowledge_gives_one_stage_with_a_reason_or_leaves_what_a_person_said_R087(known, standing):
    derived = derive(known, standing, at=NOON)
    if derived is None:
        assert standing is not None
        assert standing.by_person
        assert not known.is_ended
        return
    assert derived == derive(known, standing, at=NOON)  # equal knowledge, equal stage
    assert derived.because
    assert "%(" not in derived.because
    assert derived.rule in {rule.code for rule in RULES}


@given(KNOWN, STANDING)
def test_more_of_our_failures_never_makes_the_relationship_look_better_R087(known, standing):
    worse = dataclasses.replace(known, missed=known.missed + 2, open_cases=known.open_cases + 1)
    strained = {Stage.STRAINED, Stage.ADVERSARY, Stage.ENDED}
    if stage(known, standing) in strained:
        assert stage(worse, standing) in strained


def test_a_person_s_word_counts_until_a_case_or_a_promise_changes_R087():
    said = Standing(Stage.ADVOCATE, NOON - timedelta(days=10), by_person=True)
    assert stage(HEARD, said) is None  # that they talked to us is no news about it
    assert stage(dataclasses.replace(HEARD, changed_at=NOON - timedelta(days=11)), said) is None
    assert stage(dataclasses.replace(HEARD, changed_at=NOON - timedelta(days=9)), said) == Stage.ACTIVE
    gone = Standing(Stage.LAPSED, NOON - timedelta(days=10), by_person=True)
    assert stage(HEARD, gone) == Stage.WON_BACK  # whoever was away and talks to us is not away


def test_stages_go_in_any_direction_and_every_one_but_the_one_only_people_see_has_a_rule_R087():
    assert {rule.stage for rule in RULES} == set(Stage) - {Stage.ADVOCATE}
    assert set(HINTS) == set(Stage)
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_nothing_known_of_a_customer_is_reach_money_or_medium_R087_R172():
    assert [field.name for field in dataclasses.fields(Known)] == [
        "is_ended", "first_heard_at", "last_heard_at", "matters", "open_cases", "came_back", "missed", "changed_at",
    ]  # fmt: skip
    assert not {rule.code for rule in RULES} & {
        kind.value for kind in RelationshipKind
    }  # a role is said, never derived
    assert [field.name for field in dataclasses.fields(StageRule)] == ["code", "stage", "words", "holds", "evidence"]
