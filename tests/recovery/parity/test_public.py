"""Going public: the hazard after against before."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from recovery.parity import page, public
from recovery.parity.audit import audit
from tests.recovery.parity import people


def spans_of(cases) -> public.Spans:
    private = np.flatnonzero(cases.channel != 2)
    earlier, posted = public._posts(cases, np.flatnonzero(cases.channel == 2), private)
    return public._spans(cases, private[~earlier], posted[~earlier])[0]


def in_days(spans: public.Spans) -> public.Spans:
    made = dataclasses.replace(
        spans, start=np.where(spans.start < 0, -1, np.ceil(spans.start / 24)), stop=np.ceil(spans.stop / 24)
    )
    return made.part(made.start < made.stop)


@pytest.mark.parametrize("days", [False, True], ids=["no ties", "many ties"])
def test_the_hazard_ratio_is_that_of_statsmodels(days):
    hazard = pytest.importorskip("statsmodels.duration.hazard_regression", reason="statsmodels is not installed")
    spans = spans_of(people.posters(np.random.default_rng(1), 500, hazard_ratio=1.6))
    spans = in_days(spans) if days else spans
    entry = np.where(spans.start < 0, 0, spans.start + (0.5 if days else 0))  # who begins at a time is at risk after it
    theirs = hazard.PHReg(
        spans.stop, spans.public.astype(float)[:, None], status=spans.resolved.astype(int), entry=entry,
        strata=spans.stratum, ties="efron",
    ).fit()  # fmt: skip
    ours = public.fitted(spans)

    assert ours.log_ratio == pytest.approx(theirs.params[0], abs=1e-5)
    assert ours.information**-0.5 == pytest.approx(theirs.bse[0], rel=1e-4)


@pytest.mark.parametrize("days", [False, True], ids=["no ties", "many ties"])
def test_the_spread_is_about_what_leaving_out_customers_one_by_one_gives(days):
    spans = spans_of(people.posters(np.random.default_rng(2), 250))
    spans = in_days(spans) if days else spans
    each = np.array([public.fitted(spans.part(spans.customer != one)).log_ratio for one in np.unique(spans.customer)])
    jackknife = np.sqrt(((each - each.mean()) ** 2).sum() * (len(each) - 1) / len(each))

    assert public.fitted(spans).spread == pytest.approx(jackknife, rel=0.1)


def test_one_customer_with_every_case_twice_is_not_twice_as_sure():
    spans = spans_of(people.posters(np.random.default_rng(3), 300))
    twice = public.Spans(
        **{name: np.concatenate([getattr(spans, name)] * 2) for name in public.Spans.__dataclass_fields__}
    )

    assert public.fitted(twice).information == pytest.approx(2 * public.fitted(spans).information, rel=0.05)
    assert public.fitted(twice).spread == pytest.approx(public.fitted(spans).spread, rel=0.1)


def test_a_gain_from_going_public_is_found_R061():
    made = public.went_public(people.posters(np.random.default_rng(1), 800, hazard_ratio=1.7))

    assert made.whole.verdict == "red"
    assert made.whole.ratio.low > 1
    assert (
        made.whole.ratio.low < 1.7 < made.whole.ratio.high * 1.1
    )  # customers differ, which shrinks the ratio a little
    assert made.whole.resolved_after > made.whole.expected_after
    assert [each.month for each in made.months] == ["2026-01", "2026-02", "2026-03"]


def test_without_an_effect_one_in_twenty_is_called_one_and_the_naive_comparison_nearly_always_R061():
    found, naive = [], []
    for seed in range(200):
        cases = people.posters(np.random.default_rng(seed), 400)
        found.append(public.went_public(cases).whole)
        if seed < 40:
            spans = spans_of(cases)
            ever = spans.part(np.concatenate([spans.stop[~spans.public] > -2, spans.stop[spans.public] < -2]))
            posted = np.isin(np.arange((~spans.public).sum()), _posted(spans))
            stop, resolved = ever.stop.copy(), ever.resolved.copy()
            stop[_posted(spans)], resolved[_posted(spans)] = spans.stop[spans.public], spans.resolved[spans.public]
            wrong = public.fitted(dataclasses.replace(ever, stop=stop, resolved=resolved, public=posted))
            naive.append((wrong.log_ratio, abs(wrong.log_ratio) / wrong.spread > 1.96))

    assert np.mean([each.tested.p < 0.05 for each in found]) == pytest.approx(0.05, abs=0.035)
    assert np.mean([each.verdict == "red" for each in found]) < 0.06
    assert abs(np.mean([np.log(each.ratio.value) for each in found])) < 0.03
    assert np.exp(np.mean([each for each, _ in naive])) < 0.7  # waiting until the post counted as public
    assert np.mean([each for _, each in naive]) > 0.9


def _posted(spans: public.Spans) -> np.ndarray:
    """Places of the private cases that were split: the first span ends where the second starts."""
    first = ~spans.public
    keys = {(c, s) for c, s in zip(spans.customer[spans.public], spans.start[spans.public], strict=True)}
    pairs = zip(spans.customer[first], spans.stop[first], spans.resolved[first], strict=True)
    return np.flatnonzero([(c, s) in keys and not r for c, s, r in pairs])


def test_the_answer_says_no_when_only_going_public_differs_R061():
    cases = people.posters(np.random.default_rng(1), 800, hazard_ratio=1.7)
    made = audit(dataclasses.replace(cases, excluded=frozenset({"social"})))

    assert "red" not in {each.verdict for each in made.overall}
    assert page.answer(made).startswith("No, not alike: going public pays: once its customer has written publicly")
    assert page.besides(made)[-1].startswith("Otherwise: ")


def test_too_few_resolutions_are_grey_and_say_how_many_are_needed():
    made = public.went_public(people.posters(np.random.default_rng(1), 60, share=0.4, hazard_ratio=3.0))

    assert made.whole.resolved_after < 25
    assert (made.whole.verdict, made.whole.resolutions_needed) == ("grey", 25)


def test_likeness_is_said_when_the_interval_lies_inside_the_margin():
    made = public.went_public(people.posters(np.random.default_rng(11), 4000))

    assert made.whole.verdict == "green"
    assert 0.8 < made.whole.ratio.low < made.whole.ratio.high < 1.25


def case(*rows: tuple[int, int, float, float]) -> public.WentPublic:
    customer, channel, opened, waits = (np.array(each) for each in zip(*rows, strict=True))
    made = people.cases(
        customer=customer, channel=channel, opened=opened, waits=waits, public=frozenset({"social"}), asof=9e3
    )
    return public.went_public(made)


@pytest.mark.parametrize(
    ("post", "left_out", "went_public"),
    [
        (10.0, 0, 1),  # while the case was open
        (60.0, 0, 0),  # at its end
        (-10.0, 1, 0),  # shortly before: did not write privately first
        (0.0, 1, 0),
        (-24 * 91.0, 0, 0),  # long before
    ],
)
def test_when_a_post_counts(post, left_out, went_public):
    found = case((1, 0, 3000.0, 60.0), (1, 2, 3000.0 + post, 1.0), (2, 0, 3000.0, 50.0), (3, 2, 3001.0, 5.0))

    assert (found.left_out, found.whole.went_public) == (left_out, went_public)
    assert found.whole.cases == 2 - left_out


def test_days_count_as_days_and_a_post_on_the_day_of_the_resolution_comes_too_late():
    made = people.cases(
        customer=np.array([1, 1, 2, 2]), channel=np.array([0, 2, 0, 2]), opened=np.array([0.0, 71.0, 0.0, 47.0]),
        waits=np.array([72.0, 1.0, 72.0, 1.0]), public=frozenset({"social"}), asof=9e3,
    )  # fmt: skip
    found = public.went_public(dataclasses.replace(made, by_day=True))  # an hour short: the clock went forward

    assert found.whole.went_public == 1


def test_nothing_is_said_without_public_channels_or_customers():
    made = people.posters(np.random.default_rng(1), 60)

    assert public.went_public(dataclasses.replace(made, public=frozenset())) is None
    assert public.went_public(dataclasses.replace(made, customer=np.empty(0, dtype=np.int32))) is None
    assert public.went_public(dataclasses.replace(made, timed=False)) is None
