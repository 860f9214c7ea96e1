"""Who shares a home, as they told us; what a home is not given twice (N10, R168)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from crm.actions import customers, endings, households, persons
from crm.models import Customer, HistoryEntry, Household, HouseholdMember
from crm.policy.households import one_a_home
from tests.conftest import NOON
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def somebody(name: str = "Carla") -> Customer:
    return customers.welcome(name, at=NOON)


def share(one: Customer, other: Customer, because: str = "she told us") -> Household:
    return households.share(one.pk, other_id=other.pk, because=because, by=colleague(), at=NOON)


def test_a_third_joins_the_home_of_the_one_who_is_named():
    ada, bob, cem = somebody(), somebody(), somebody()
    home = share(ada, bob)
    assert share(cem, bob) == home
    assert {one for (one,) in HouseholdMember.objects.values_list("customer")} == {ada.pk, bob.pk, cem.pk}
    with pytest.raises(households.NotAHousehold):
        share(ada, cem)
    assert HistoryEntry.objects.filter(verb="household.joined").count() == 3


def test_a_reason_is_needed_and_nobody_shares_a_home_with_themselves():
    ada, bob = somebody(), somebody()
    with pytest.raises(endings.ReasonMissing):
        share(ada, bob, because=" ")
    with pytest.raises(households.NotAHousehold):
        share(ada, ada)
    Customer.objects.filter(pk=bob.pk).update(status="erased")
    with pytest.raises(households.NotAHousehold):
        share(ada, bob)
    assert not Household.objects.exists()


def test_whoever_leaves_is_not_of_the_home_any_more_and_may_come_back():
    ada, bob, by = somebody(), somebody(), colleague()
    home = share(ada, bob)
    households.leave(bob.pk, household_id=home.pk, because="moved", by=by, at=NOON + HOUR)
    assert households.homes_of([ada.pk, bob.pk]) == {ada.pk: frozenset({home.pk}), bob.pk: frozenset()}
    with pytest.raises(households.NotAMember):
        households.leave(bob.pk, household_id=home.pk, because="moved", by=by, at=NOON + HOUR)
    assert share(bob, ada) == home


def test_no_two_of_a_home_are_chosen_for_what_a_home_is_given_once_N10(django_assert_num_queries):
    several = [somebody() for _number in range(20)]
    for one, other in zip(several[::2], several[1::2], strict=True):
        share(one, other)
    with django_assert_num_queries(1):
        homes = households.homes_of([one.pk for one in several])
    chosen = one_a_home([(one.pk, sorted(homes[one.pk])) for one in several])
    assert chosen == [one.pk for one in several[::2]]


def test_two_records_of_one_person_share_what_each_shared_and_part_again_N12():
    home, work, ada, bob = somebody(), somebody(), somebody(), somebody()
    first, second = share(home, ada), share(work, bob)
    by = colleague()
    made = persons.merge(work.pk, kept_id=home.pk, because="told us", by=by, at=NOON)
    assert households.homes_of([home.pk])[home.pk] == {first.pk, second.pk}
    persons.undo(made.pk, by=by, at=NOON + HOUR)
    assert households.homes_of([home.pk, work.pk]) == {home.pk: frozenset({first.pk}), work.pk: frozenset({second.pk})}


def test_two_records_of_the_same_home_can_become_one_N12():
    home, work = somebody(), somebody()
    first = share(home, work)
    persons.merge(work.pk, kept_id=home.pk, because="told us", by=colleague(), at=NOON)
    assert households.homes_of([home.pk]) == {home.pk: frozenset({first.pk})}
    households.leave(home.pk, household_id=first.pk, because="moved", by=colleague(), at=NOON)
    assert not HouseholdMember.objects.filter(left_at=None).exists()


def test_the_database_lets_nobody_leave_without_a_reason():
    share(somebody(), somebody())
    with pytest.raises(IntegrityError), transaction.atomic():
        HouseholdMember.objects.update(left_at=NOON)
