"""What may stand in fields of the house's own (X33)."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy.fields import (
    FieldKind,
    FieldRule,
    UnusableField,
    UnusableValue,
    change_of,
    checked,
    merged,
    usable_choices,
    usable_code,
)

RULES = [
    FieldRule("nickname", "Nickname", FieldKind.TEXT),
    FieldRule("seats", "Seats", FieldKind.NUMBER),
    FieldRule("since", "Since", FieldKind.DATE),
    FieldRule("size", "Size", FieldKind.CHOICE, ("small", "very large")),
    FieldRule("vegan", "Vegan", FieldKind.YES_NO),
]


@pytest.mark.parametrize(
    ("code", "value", "kept"),
    [
        ("nickname", "  Kim ", "Kim"), ("nickname", "", None), ("nickname", "   ", None), ("nickname", None, None),
        ("seats", 12, 12), ("seats", "3.50", 3.5), ("seats", "-7", -7), ("seats", 2.0, 2),
        ("since", "2026-03-31", "2026-03-31"), ("since", date(2026, 3, 31), "2026-03-31"),
        ("size", "very  large", "very large"), ("vegan", True, True), ("vegan", "No", False), ("vegan", "1", True),
    ],
)  # fmt: skip
def test_a_value_is_kept_in_one_form_however_it_came_X33(code, value, kept):
    assert checked(RULES, {code: value}) == {code: kept}


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("nickname", 5), ("nickname", "a\x00b"), ("nickname", "x" * 501), ("nickname", ["x"]), ("nickname", "\ud800"),
        ("seats", "twelve"), ("seats", True), ("seats", "1e9"), ("seats", float("nan")), ("seats", 10**15), ("seats", {}),
        ("since", "31.03.2026"), ("since", "2026-02-30"), ("since", 5), ("size", "huge"), ("size", 1),
        ("vegan", "perhaps"), ("vegan", 2), ("height", "1"),
    ],
)  # fmt: skip
def test_what_cannot_stand_is_refused_and_the_field_is_named_X33(code, value):
    with pytest.raises(UnusableValue) as refused:
        checked(RULES, {code: value})
    assert refused.value.field == code
    assert refused.value.code == "unusable_value"


@given(
    st.dictionaries(
        st.sampled_from([rule.code for rule in RULES]),
        st.text("aé1 \x00\ud800-", max_size=20) | st.integers() | st.booleans(),
    )
)
def test_what_is_kept_is_kept_again_unchanged_and_is_json_X33(values):
    try:
        kept = checked(RULES, values)
    except UnusableValue:
        return
    assert json.loads(json.dumps(kept)) == kept
    assert checked(RULES, kept) == kept
    assert merged(merged({}, kept), kept) == {code: value for code, value in kept.items() if value is not None}


def test_history_keeps_no_words_that_somebody_wrote():
    told = change_of(RULES, {"nickname": "Kim", "seats": 1, "gone": "x"}, {"nickname": "Jo", "seats": 2, "vegan": True})
    assert told == {
        "changed": ["gone", "nickname", "seats", "vegan"],
        "before": {"seats": 1, "vegan": None},
        "after": {"seats": 2, "vegan": True},
    }


@pytest.mark.parametrize("code", ["", "Size", "1st", "a-b", "a b", "a" * 41, "größe", "a.b", "__class__"])
def test_a_code_is_plain_X33(code):
    with pytest.raises(UnusableField):
        usable_code(code)
    assert usable_code("size_2") == "size_2"


def test_only_a_list_has_choices_and_each_once_X33():
    assert usable_choices(FieldKind.CHOICE, ["small", "", " small ", "very  large"]) == ["small", "very large"]
    for kind, choices in [(FieldKind.CHOICE, [" "]), (FieldKind.TEXT, ["x"]), (FieldKind.CHOICE, ["x" * 81])]:
        with pytest.raises(UnusableField):
            usable_choices(kind, choices)
