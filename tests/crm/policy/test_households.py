"""What the same home is not given twice (N10)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crm.policy.households import one_a_home

PEOPLE = st.lists(st.tuples(st.integers(1, 50), st.lists(st.integers(1, 8), max_size=2)), unique_by=lambda one: one[0])


@given(PEOPLE)
def test_no_two_of_one_home_are_chosen_and_nobody_is_left_out_without_one_N10(people):
    chosen = one_a_home(people)
    homes = dict(people)
    taken = [home for one in chosen for home in set(homes[one])]
    assert len(taken) == len(set(taken))
    for person, theirs in people:
        assert person in chosen or set(theirs) & set(taken)
    assert [person for person, _homes in people if person in chosen] == chosen


def test_the_first_of_a_home_is_chosen():
    assert one_a_home([(1, [7]), (2, [7, 8]), (3, []), (4, [8])]) == [1, 3, 4]
