"""Customers whom nobody answered in time: that each of them gets a written reason within a day (R032)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from crm.actions import alerts
from crm.actions.deadlines import TOLD_ONE_BY_ONE
from crm.models import Promise
from crm.policy import AlertKind

AT_ONCE = 1_000


@transaction.atomic
def ask_for_reasons(at: datetime) -> int:
    """Tell the leads, once, of first answers missed a day ago for which nobody has written why. Returns of how many.

    More than a few at once are one alert with their number, as misses are.
    """
    owing = list(
        Promise.objects.owing_a_reason(at)
        .filter(reason_asked_at=None)
        .select_for_update(of=("self",), skip_locked=True)
        .select_related("conversation")
        .order_by("due_at", "id")[:AT_ONCE]
    )
    if len(owing) > TOLD_ONE_BY_ONE:
        key, number = f"many:{owing[0].pk}", len(owing)
        told = [alerts.told(AlertKind.REASON_OVERDUE, key=key, at=at, detail={"number": number})]
    else:
        told = [
            alerts.told(AlertKind.REASON_OVERDUE, key=str(promise.pk), at=at, conversation=promise.conversation)
            for promise in owing
        ]
    if told:
        alerts.write(told)
        Promise.objects.filter(pk__in=[promise.pk for promise in owing]).update(reason_asked_at=at)
    return len(owing)
