"""Public words are compared with all that we know of a customer: what is planted is found, ordinary words are left alone (P03)."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.language import confidences
from crm.language.confidences import Kind, Known, Public
from tests.crm.language import public_drafts


def kinds(draft: str, *known: Known, **public: list[str]) -> list[tuple[Kind, str]]:
    found = confidences.told(draft, known, public=Public(**public))
    return [(one.kind, draft[one.start : one.end]) for one in found]


def test_what_is_planted_in_public_drafts_is_found_P03(capsys: pytest.CaptureFixture[str]) -> None:
    drafts = list(public_drafts.planted())
    missed: Counter[tuple[str, str]] = Counter()
    began = time.monotonic()
    for draft in drafts:
        found = confidences.told(draft.text, public_drafts.KNOWN)
        if not any(one.start < draft.end and one.end > draft.start for one in found):
            missed[draft.kind, draft.text[draft.start : draft.end]] += 1
    recall = 1 - missed.total() / len(drafts)
    with capsys.disabled():
        each = (time.monotonic() - began) / len(drafts)
        print(
            f"\n  P03: {len(drafts)} drafts with something planted, recall {recall:.2%}, {each * 1000:.1f} ms each; {dict(missed)}"
        )
    assert len(drafts) >= 500
    assert {draft.kind for draft in drafts} == set(Kind)
    assert recall >= 0.99


def test_ordinary_public_drafts_are_left_alone_P03(capsys: pytest.CaptureFixture[str]) -> None:
    drafts = list(public_drafts.ordinary())
    stopped = {
        draft: kinds(draft, *public_drafts.KNOWN) for draft in drafts if confidences.told(draft, public_drafts.KNOWN)
    }
    with capsys.disabled():
        print(
            f"\n  P03: {len(drafts)} ordinary drafts, {len(stopped) / len(drafts):.2%} stopped; {list(stopped.items())[:6]}"
        )
    assert len(drafts) >= 200
    assert len(stopped) / len(drafts) <= 0.02


@given(
    st.from_regex(r"[1-9][0-9]{9}", fullmatch=True),
    st.lists(st.sampled_from([" ", "-", "/", ".", ""]), min_size=10, max_size=10),
)
def test_a_telephone_number_is_the_same_in_whatever_groups_it_is_written_P03(number: str, gaps: list[str]) -> None:
    grouped = "".join(digit + gap for digit, gap in zip(number, gaps, strict=True)).strip(" -/.")
    for prefix in ("0", "+49 ", "0049 "):
        assert kinds(f"It is {prefix}{grouped}, we think.", Known(Kind.PHONE, f"+49{number}"))


@given(st.from_regex(r"[A-Z]{2}[0-9]{6,10}", fullmatch=True), st.integers(0, 7), st.sampled_from(" -/."))
def test_a_reference_is_the_same_in_whatever_parts_and_with_one_slip_P03(number: str, place: int, gap: str) -> None:
    assert kinds(f"About {number[:place] + gap + number[place:]} we write.", Known(Kind.REFERENCE, number))
    if len(number) > 8:
        slipped = number[:-1] + str((int(number[-1]) + 1) % 10)
        assert kinds(f"About {slipped.lower()} we write.", Known(Kind.REFERENCE, number))


@given(st.text(max_size=300))
def test_whatever_is_written_is_read_without_trouble_and_places_lie_inside_P03(text: str) -> None:
    for one in confidences.told(text, public_drafts.KNOWN):
        assert 0 <= one.start < one.end <= len(text)
    confidences.confided(text)


@pytest.mark.parametrize(
    ("draft", "known"),
    [
        ("Dear Anna, thank you!", Known(Kind.NAME, "Anna Meierhofer")),
        ("We are open until 12.", Known(Kind.FIELD, "12")),
        ("It is a gold lamp.", Known(Kind.FIELD, "gold")),
        ("Since 2019 we do that.", Known(Kind.REFERENCE, "2019")),
        ("80 people asked.", Known(Kind.AMOUNT, "80")),
        ("Version 14.3 is out.", Known(Kind.DAY, "3-14")),
        ("Please ask Customer Service.", Known(Kind.NAME, "Carla Customer")),
        ("See you in Köln.", Known(Kind.ADDRESS, "Rosenweg 12, 50667 Köln")),
        ("Peter from our workshop looks at it.", Known(Kind.RELATIVE, "Peter Schönbaum")),
        ("Vouchers are valid for two years.", Known(Kind.EMAIL, "a@home.example")),
        ("The hospital in our street is open.", Known(Kind.EMAIL, "a@home.example")),
    ],
)
def test_what_is_short_or_common_does_not_cry_wolf_P03(draft: str, known: Known) -> None:
    assert kinds(draft, known) == []


def test_only_what_kind_and_which_words_of_the_draft_is_told_P03() -> None:
    draft = "We wrote to anna (at) home dot example about it."
    assert kinds(draft, Known(Kind.EMAIL, "anna@home.example")) == [(Kind.EMAIL, "anna (at) home dot example")]


def test_what_they_told_in_that_thread_may_be_repeated_but_contact_data_and_addresses_may_not_P03() -> None:
    order, phone = Known(Kind.REFERENCE, "EV-4711-0815"), Known(Kind.PHONE, "+491701234567")
    said = ["My order EV 4711 0815 is late, call me: 0170 1234567"]
    draft = "We look for EV-4711-0815 and call 0170/1234567."
    assert kinds(draft, order, phone, said=said) == [(Kind.PHONE, "0170/1234567")]
    assert [kind for kind, _words in kinds(draft, order, phone)] == [Kind.REFERENCE, Kind.PHONE]


def test_whoever_uses_their_name_in_public_is_called_by_it_P03() -> None:
    name = Known(Kind.NAME, "Anna Meierhofer")
    assert kinds("Hello Anna Meierhofer!", name)
    assert kinds("Hello Anna Meierhofer!", name, names=["annameierhofer@social.example"]) == []


def test_what_was_confided_is_what_would_tell_of_somebody_P03() -> None:
    known = confidences.confided("My order is AB-99812, my number 0170 1234567, mail anna@home.example, since 2019.")
    assert {(one.kind, one.value) for one in known} >= {
        (Kind.REFERENCE, "AB-99812"), (Kind.PHONE, "01701234567"), (Kind.EMAIL, "anna@home.example"),
    }  # fmt: skip
    assert not any(one.value == "2019" for one in known)
