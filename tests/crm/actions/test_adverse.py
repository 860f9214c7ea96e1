"""Whoever spoke about us in public is protected by an uninvolved second person."""

from __future__ import annotations

import inspect
import re
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.contrib import admin
from django.db import IntegrityError, transaction
from django.urls import get_resolver

from crm.actions import adverse, desk, endings, intake, staff
from crm.channels import PUBLIC, Channel
from crm.models import AdverseAct, Alert, Conversation, Customer, HistoryEntry, Hold, User
from crm.policy import AdverseKind, Role
from recovery import actions as recovery_actions
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(days=1)


def spoke(channel: Channel = Channel.EMAIL, *, at: datetime = NOON, address: str = "kim@home.example") -> Conversation:
    heard = message("What a terrible shop.", channel=channel, sender_address=address, spoke_at=at)
    return intake.receive(heard, at=at, origin="test").conversation


def prepared(customer: Customer, by: User, *, kind: AdverseKind = AdverseKind.FEE, at: datetime = LATER) -> AdverseAct:
    return adverse.prepare(customer.pk, kind=kind, reason="The invoice is unpaid since May.", by=by, at=at)


def test_without_public_words_the_preparer_may_carry_it_out_and_it_is_on_record_R074():
    ada, customer = colleague(), spoke().customer
    act = adverse.carry_out(prepared(customer, ada).pk, by=ada, at=LATER)
    assert (act.state, act.spoke_publicly_at) == ("in_effect", None)
    assert set(HistoryEntry.objects.filter(customer=customer, by=ada).values_list("verb", flat=True)) == {
        "adverse.prepared",
        "adverse.in_effect",
    }


@pytest.mark.parametrize("channel", sorted(PUBLIC))
def test_after_public_words_it_needs_somebody_uninvolved_R074(channel: Channel):
    ada, bob, owner = colleague(), colleague(name="Bob"), colleague(name="Olga")
    conversation = spoke(channel)
    Conversation.objects.filter(pk=conversation.pk).update(owner=owner)
    desk.note(conversation.pk, text="Not again.", by=bob, at=NOON)
    act = prepared(conversation.customer, ada)
    assert Alert.objects.filter(kind="second_person").count() == 1

    with pytest.raises(adverse.NeedsSecondPerson):
        adverse.carry_out(act.pk, by=ada, at=LATER)
    for involved in (ada, bob, owner):
        with pytest.raises(adverse.Involved):
            adverse.confirm(act.pk, unrelated_because="The invoice is older.", by=involved, at=LATER)
    lead = colleague(Role.LEAD, name="Lea", takes=False)
    with pytest.raises(endings.ReasonMissing):
        adverse.confirm(act.pk, unrelated_because=" ", by=lead, at=LATER)
    act.refresh_from_db()
    assert act.state == "prepared"
    adverse.confirm(act.pk, unrelated_because="The invoice is older than the words.", by=lead, at=LATER)
    assert adverse.carry_out(act.pk, by=ada, at=LATER).state == "in_effect"


def test_words_since_the_confirmation_protect_as_well_R074():
    ada, lead = colleague(takes=False), colleague(Role.LEAD, takes=False)
    conversation = spoke(Channel.REVIEW)
    act = prepared(conversation.customer, ada)
    adverse.confirm(act.pk, unrelated_because="The invoice is older.", by=lead, at=LATER)
    spoke(Channel.REVIEW, at=LATER + timedelta(hours=1))
    with pytest.raises(adverse.NeedsSecondPerson):
        adverse.carry_out(act.pk, by=ada, at=LATER + timedelta(hours=2))
    adverse.confirm(act.pk, unrelated_because="Still the invoice.", by=lead, at=LATER + timedelta(hours=3))
    adverse.carry_out(act.pk, by=ada, at=LATER + timedelta(hours=4))


@pytest.mark.parametrize(("days", "is_protected"), [(179, True), (181, False)])
def test_the_protection_lasts_180_days_R074(days: int, is_protected: bool):
    ada = colleague()
    conversation = spoke(Channel.SOCIAL_PUBLIC)
    act = prepared(conversation.customer, ada, at=NOON + timedelta(days=days))
    assert (act.spoke_publicly_at is not None) == is_protected


def test_letting_a_prepared_act_lie_until_the_protection_ends_does_not_help_R074():
    ada = colleague()
    act = prepared(spoke(Channel.SOCIAL_PUBLIC).customer, ada)
    with pytest.raises(adverse.NeedsSecondPerson):
        adverse.carry_out(act.pk, by=ada, at=NOON + timedelta(days=400))


def test_the_database_refuses_what_the_actions_refuse_R074():
    ada = colleague()
    act = prepared(spoke(Channel.SOCIAL_PUBLIC).customer, ada)
    row = AdverseAct.objects.filter(pk=act.pk)
    ends = {"state": "in_effect", "ended_by": ada, "ended_at": LATER}
    for change in (
        ends,
        {"confirmed_by": ada, "confirmed_at": LATER, "unrelated_because": "x"},
        {"confirmed_by": colleague(), "confirmed_at": LATER},
        {"confirmed_by": colleague(), "confirmed_at": NOON - timedelta(1), "unrelated_because": "x", **ends},
        {"reason": ""},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            row.update(**change)


def test_what_takes_effect_takes_effect_once():
    ada, customer = colleague(), spoke().customer
    closure = prepared(customer, ada, kind=AdverseKind.CLOSURE)
    adverse.carry_out(closure.pk, by=ada, at=LATER)
    with pytest.raises(adverse.WrongStep):
        adverse.carry_out(closure.pk, by=ada, at=LATER)
    customer.refresh_from_db()
    assert customer.status == "closed"
    excluded = prepared(customer, ada, kind=AdverseKind.NO_GESTURES)
    adverse.carry_out(excluded.pk, by=ada, at=LATER)
    assert Hold.objects.active(LATER).filter(customer=customer).exists()
    dropped = prepared(customer, ada)
    assert adverse.drop(dropped.pk, by=ada, at=LATER).state == "dropped"
    with pytest.raises(adverse.WrongStep):
        adverse.carry_out(dropped.pk, by=ada, at=LATER)


def test_putting_it_into_effect_and_dropping_it_at_once_is_one_of_the_two(transactional_db: None):
    ada, customer = colleague(), spoke().customer
    for _round in range(3):
        act = prepared(customer, ada)
        results = at_once(
            partial(adverse.carry_out, act.pk, by=ada, at=LATER), partial(adverse.drop, act.pk, by=ada, at=LATER)
        )
        assert sum(isinstance(result, adverse.WrongStep) for result in results) == 1, results


HIDING = re.compile(r"hide|delete|block|mute|ban_|suppress|moderat|censor|take_?down", re.IGNORECASE)


def test_nothing_hides_deletes_or_blocks_what_customers_say_in_public_R029():
    """No right, no address and no action offers it; what is not there cannot be misused.

    What somebody does by hand at a platform, for one of three reasons and with a second person, is only noted: test_removals.
    """
    rights = {right for rights in staff.RIGHTS.values() for right in rights}
    addresses: list[str] = []

    def walk(patterns: list[object], before: str) -> None:
        for pattern in patterns:
            here = before + str(getattr(pattern, "pattern", ""))
            if hasattr(pattern, "url_patterns"):
                walk(pattern.url_patterns, here)
            else:
                addresses.append(f"{here} {getattr(pattern, 'name', '')}")

    walk(get_resolver().url_patterns, "")
    ours = [it for it in addresses if not it.startswith(("accounts/", "admin/auth/", "admin/crm/user"))]
    assert len(ours) > 50
    acts = [
        name
        for module in (adverse, desk, endings, intake, recovery_actions)
        for name, _act in inspect.getmembers(module, inspect.isfunction)
    ]
    django_s = re.compile(r"^admin/\w+/\w+/.*(_delete|_change|_add)$")  # each refuses: see below
    offered = [it for it in [*rights, *ours, *acts] if HIDING.search(it) and not django_s.match(it)]
    assert not offered
    for registered in admin.site._registry.values():
        assert not registered.has_delete_permission(None)  # type: ignore[arg-type]
