"""Which records may be one person: never by a name alone, the same in any order, and estimated without labels (R080)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import matching
from crm.policy.matching import DIFFERS, NEAR, SAME, SOMEWHAT, UNKNOWN

NAMES = list(matching.FIELDS)


def record(**values: Any) -> matching.Record:
    return {name: (value,) if isinstance(value, str) else tuple(value) for name, value in values.items()}


def levels(one: matching.Record, other: matching.Record) -> dict[str, int]:
    compared = zip(NAMES, matching.compare(one, other), strict=True)
    return {name: level for name, level in compared if level != UNKNOWN}


ANN = record(given_name="ann", family_name="bell", email="ann@home.example", birth_date="19800322", street="torstr")


def test_fields_are_compared_each_in_its_way_R080():
    slipped = record(
        given_name="anne", family_name="bel", email="ann@home.exampl", birth_date="19800332", street="torstrasse"
    )
    assert levels(ANN, slipped) == {
        "given_name": NEAR, "family_name": NEAR, "email": NEAR, "birth_date": NEAR, "street": NEAR,
    }  # fmt: skip
    assert levels(record(email="ann@a.example"), record(email="bob@b.example")) == {"email": DIFFERS}
    assert levels(record(phone="1234567"), record(phone=["7654321", "1234567"])) == {"phone": SAME}
    assert levels(record(key="12345678"), record(key="12345698")) == {"key": NEAR}
    assert levels(record(birth_date="19800322"), record(birth_date="19802203")) in (
        {"birth_date": DIFFERS}, {"birth_date": SOMEWHAT},
    )  # fmt: skip
    assert levels(record(company="acme"), record()) == {}


def test_names_the_other_way_round_are_alike_R080():
    turned = record(given_name="bell", family_name="ann")
    assert levels(ANN, turned) == {"given_name": NEAR, "family_name": NEAR}


words = st.text("abcdefghij ", min_size=1, max_size=8)
people = st.fixed_dictionaries(
    {}, optional={name: st.lists(words, min_size=1, max_size=2).map(tuple) for name in NAMES}
)


@given(people, people)
def test_comparing_does_not_depend_on_who_comes_first_R080(one, other):
    assert matching.compare(one, other) == matching.compare(other, one)


@given(
    st.lists(
        st.fixed_dictionaries({"given_name": st.just(("ann",)), "family_name": words.map(lambda w: (w,))}), max_size=12
    )
)
def test_nobody_is_suggested_by_a_name_alone_R080(records):
    assert matching.match([*records, *records]).suggested == ()


@given(
    st.lists(people, max_size=12), st.lists(st.frozensets(st.sampled_from("abc"), max_size=2), min_size=12, max_size=12)
)
def test_groups_are_closed_apart_and_overlap_no_suggestion_R080(records, keys):
    found = matching.match(records, verified=keys[: len(records)])
    members = [number for group in found.groups for number in group]
    assert len(members) == len(set(members))
    group_of = {number: place for place, group in enumerate(found.groups) for number in group}
    for like in found.suggested:
        assert like.one < like.other
        assert 0 <= like.score <= 1
        assert like.one not in group_of or group_of.get(like.one) != group_of.get(like.other)


def test_a_key_that_a_crowd_carries_joins_nobody_R080():
    crowd = [record(given_name=f"n{number}", key="777777") for number in range(matching.KEY_HELD_BY_AT_MOST + 1)]
    keys = [frozenset({"k"})] * len(crowd)
    assert matching.match(crowd, verified=keys).groups == ()
    few = matching.match(crowd[:3], verified=keys[:3])
    assert [sorted(group) for group in few.groups] in ([[0, 1, 2]], [])


def test_rows_in_another_order_are_the_same_people_R080():
    chance = random.Random(7)
    records, owner = [], []
    for number in range(60):
        person = {
            "given_name": f"{chance.choice('abcdefgh')}{chance.choice(['anna', 'otto', 'mira', 'lukas'])}",
            "family_name": f"{chance.choice('klmnop')}{chance.choice(['berg', 'mann', 'feld'])}",
            "birth_date": f"19{chance.randrange(40, 99)}0{chance.randrange(1, 9)}1{chance.randrange(0, 9)}",
            "postcode": f"{chance.randrange(10000, 99999)}",
        }
        for _ in range(1 + number % 2):
            records.append(record(**person))
            owner.append(number)
    order = list(range(len(records)))
    chance.shuffle(order)
    straight = {frozenset((a.one, a.other)) for a in matching.match(records).suggested}
    mixed = {
        frozenset((order[a.one], order[a.other]))
        for a in matching.match([records[number] for number in order]).suggested
    }
    assert straight == mixed
    assert straight == {frozenset((a, b)) for a in range(len(owner)) for b in range(a) if owner[a] == owner[b]}


@pytest.mark.parametrize(
    ("text", "expected"), [("  O'Brien-Smith, Jr. ", "obrien smith jr"), ("ÄÖ  ß", "äö ss"), ("!?", "")]
)
def test_words_are_compared_in_one_form_R080(text, expected):
    assert matching.plain(text) == expected
