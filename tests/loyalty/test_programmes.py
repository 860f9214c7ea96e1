"""Switching kindness on: refused while customers are not treated alike, unless somebody says why (R071)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from crm.actions import gates
from crm.models import Gate, HistoryEntry
from crm.policy import Role
from loyalty import actions
from loyalty.models import Programme
from tests.conftest import NOON
from tests.crm.stories import colleague


@pytest.fixture
def programme(db) -> Programme:
    Programme.objects.update(is_active=False)
    return Programme.objects.get()


def test_with_no_gate_it_begins_and_ends_by_name(programme):
    mara = colleague(Role.LOYALTY_MANAGER)
    assert actions.switch_on(programme.pk, by=mara, at=NOON).is_active
    assert not actions.switch_off(programme.pk, by=mara, at=NOON).is_active
    assert [entry.by for entry in HistoryEntry.objects.filter(ref="programme:birthday").order_by("pk")] == [mara, mara]


def test_while_a_gate_stands_it_is_refused_and_nothing_has_changed_R071(programme):
    gates.close("parity", reason="two findings stand.", at=NOON)
    with pytest.raises(actions.GateClosed, match="two findings stand"):
        actions.switch_on(programme.pk, by=colleague(), at=NOON)
    programme.refresh_from_db()
    assert not programme.is_active
    gates.reopen("parity", at=NOON + timedelta(days=1))
    assert actions.switch_on(programme.pk, by=colleague(), at=NOON).is_active


def test_a_reason_and_a_name_let_it_begin_all_the_same_and_are_kept(programme):
    gates.close("parity", reason="two findings stand.", at=NOON)
    mara = colleague(Role.LOYALTY_MANAGER)
    actions.switch_on(programme.pk, despite="Promised to the staff council.", by=mara, at=NOON)
    entry = HistoryEntry.objects.get(verb="programme.switched_on")
    assert (entry.by, entry.detail) == (mara, {"despite": "Promised to the staff council.", "gates": 1})


@pytest.mark.django_db
def test_a_gate_stands_once_and_can_come_again():
    gates.close("parity", reason="one.", at=NOON)
    gates.close("parity", reason="two.", at=NOON)
    assert gates.reasons() == ["two."]
    gates.reopen("parity", at=NOON)
    gates.reopen("parity", at=NOON)
    assert gates.reasons() == []
    gates.close("parity", reason="three.", at=NOON)
    assert Gate.objects.count() == 2


@pytest.mark.parametrize(("role", "status"), [(Role.AGENT, 403), (Role.LEAD, 403), (Role.LOYALTY_MANAGER, 409)])
def test_only_whoever_may_change_programmes_switches_them_and_is_told_what_stands_in_the_way(
    client, programme, role, status
):
    gates.close("parity", reason="two findings stand.", at=NOON)
    client.force_login(colleague(role))
    answer = client.post(reverse("admin:programmes"), {"programme": "birthday", "do": "on"})
    assert answer.status_code == status
    if status == 409:
        assert "two findings stand" in answer.content.decode()
        done = client.post(reverse("admin:programmes"), {"programme": "birthday", "do": "on", "despite": "Because."})
        assert done.status_code == 302
        assert Programme.objects.get().is_active
