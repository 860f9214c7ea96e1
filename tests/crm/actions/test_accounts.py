"""Accounts that customers make and change by themselves: what two at once do, and what the tables refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Model

from crm.actions import accounts, customers
from crm.models import AddressChange, ContactPoint, Customer, OutgoingMessage, SecondProof, User
from crm.policy.accounts import TRIES
from tests.conftest import NOON
from tests.crm.stories import app_user
from tests.faults.threads import at_once

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def signed_up(email: str = "vera@home.example") -> User:
    user: User = User.objects.create_user(email, None, signed_up=True)
    return accounts.prove_address(user.pk, email=email, proved_here=True, at=NOON)


def with_another_address(email: str = "vera@home.example") -> User:
    known = customers.welcome("Vera", at=NOON - DAY)
    for address in (email, "vera@work.example"):
        ContactPoint.objects.create(
            customer=known, kind="email", address=address, verified_at=NOON - HOUR, created_at=NOON - DAY
        )
    return signed_up(email)


def test_tries_at_once_are_counted_one_by_one_C09(transactional_db: None) -> None:
    user = with_another_address()
    accounts.send_code(user.pk, at=NOON)
    tries = [lambda: accounts.open_history(user.pk, code="wrong", at=NOON)] * 8
    assert {type(trouble) for trouble in at_once(*tries)} == {accounts.WrongCode}
    assert SecondProof.objects.get().tries == TRIES


def test_codes_asked_for_at_once_are_three_C09(transactional_db: None) -> None:
    user = with_another_address()
    troubles = at_once(*[lambda: accounts.send_code(user.pk, at=NOON)] * 8)
    assert sum(isinstance(one, accounts.CodesUsedUp) for one in troubles) == 5
    assert SecondProof.objects.count() == OutgoingMessage.objects.count() == 3


def test_a_change_is_undone_or_stands_never_both_C07(transactional_db: None) -> None:
    user = signed_up()
    accounts.address_changed(user.pk, before="vera@home.example", after="new@home.example", at=NOON)
    change = AddressChange.objects.get()
    token, edge = accounts.token_of(change), change.undo_until
    at_once(
        lambda: accounts.undo_change(token, at=edge - HOUR),
        lambda: accounts.settle_changes(at=edge),
        lambda: accounts.undo_change(token, at=edge - HOUR),
        lambda: accounts.settle_changes(at=edge),
    )
    change.refresh_from_db()
    assert (change.undone_at is None) != (change.settled_at is None)


def test_an_address_proved_twice_at_once_makes_one_customer_C04(transactional_db: None) -> None:
    user: User = User.objects.create_user("vera@home.example", None, signed_up=True)
    prove = lambda: accounts.prove_address(user.pk, email=user.email, proved_here=True, at=NOON)  # noqa: E731
    assert not [one for one in at_once(prove, prove, prove) if isinstance(one, Exception)]
    assert Customer.objects.count() == 1
    assert ContactPoint.objects.filter(kind="email").count() == 1


@pytest.mark.django_db
def test_what_was_not_proved_in_its_session_makes_nobody_anybody_C04() -> None:
    user: User = User.objects.create_user("vera@home.example", None, signed_up=True)
    proved = accounts.prove_address(user.pk, email=user.email, proved_here=False, at=NOON)
    assert proved.customer is None
    assert not Customer.objects.exists()


@pytest.mark.django_db
def test_a_refused_code_changes_nothing_but_its_count() -> None:
    user = with_another_address()
    with pytest.raises(accounts.SecondProofMissing):
        accounts.open_history(user.pk, at=NOON)
    user.refresh_from_db()
    assert user.sees_since == NOON
    assert user.history_opened_at is None
    app = app_user()
    with pytest.raises(accounts.NoSecondWay):
        accounts.send_code(app.pk, at=NOON)
    assert not OutgoingMessage.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"after": "a@home.example"},
        {"undo_until": NOON},
        {"undone_at": NOON, "settled_at": NOON + DAY},
        {"settled_at": NOON + HOUR},
    ],
)
def test_a_change_that_cannot_be_is_refused_by_the_table_C07(changes: dict[str, Any]) -> None:
    plain = {
        "user": app_user(), "before": "a@home.example", "after": "b@home.example", "at": NOON, "undo_until": NOON + DAY,
    }  # fmt: skip
    _is_refused(AddressChange, {**plain, **changes})


@pytest.mark.django_db
@pytest.mark.parametrize("changes", [{"tries": 6}, {"used_at": NOON - HOUR}])
def test_a_proof_that_cannot_be_is_refused_by_the_table_C04(changes: dict[str, Any]) -> None:
    user = app_user()
    point = ContactPoint.objects.filter(customer=user.customer)[0]
    _is_refused(SecondProof, {"user": user, "contact_point": point, "digest": "x", "at": NOON, **changes})


def _is_refused(model: type[Model], columns: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        model._default_manager.create(**columns)
