"""Telling colleagues what they have to look at now; the same thing is told once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from crm.models import Alert, Conversation, User
from crm.policy import AlertKind, Role


def told(
    kind: AlertKind,
    *,
    key: str,
    at: datetime,
    to: User | None = None,
    conversation: Conversation | None = None,
    detail: dict[str, Any] | None = None,
) -> Alert:
    """Make an alert to be written with others (`write`).

    key: what tells it from others of this kind; the same twice is one. to: whom to tell; None for every lead.
    detail: ids, times and numbers; never what somebody wrote.
    """
    return Alert(
        key=f"{kind}:{key}"[:160], kind=kind, to=to, conversation=conversation, detail=detail or {}, raised_at=at
    )


def write(alerts: Iterable[Alert]) -> None:
    """Write alerts that have not been written before."""
    Alert.objects.bulk_create(alerts, ignore_conflicts=True)


def tell_of_failure(kind: AlertKind, *, of: str, since: datetime, name: str, code: str, at: datetime) -> bool:
    """Tell every lead, and each administrator, that something has failed for too long; once an incident.

    of: what fails, by its public id; since: when this incident began. name, code: what is shown of it. Says whether it is news.
    """
    incident = f"{of}:{since.isoformat()}"
    if Alert.objects.filter(key=f"{kind}:{incident}:leads").exists():
        return False
    people = User.objects.filter(is_active=True, groups__name=Role.ADMINISTRATOR.value).order_by("pk")
    write(
        told(
            kind,
            key=f"{incident}:{person.pk if person else 'leads'}",
            at=at,
            to=person,
            detail={"name": name, "code": code},
        )
        for person in (None, *people)
    )
    return True


@transaction.atomic
def see(alert_id: int, *, by: User, at: datetime) -> None:
    """Note that somebody has looked at an alert; the first one counts. Raises Alert.DoesNotExist."""
    alert = Alert.objects.select_for_update(of=("self",)).get(pk=alert_id)
    if alert.seen_at is None:
        alert.seen_at, alert.seen_by = at, by
        alert.save(update_fields=["seen_at", "seen_by"])
