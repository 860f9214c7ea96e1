"""Holding back what is decided about a customer whose reach somebody has just looked at, until a second person agrees (E01)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, reach
from crm.models import ReachLook, User
from crm.policy import AlertKind
from recovery import policy
from recovery.models import Case, Decision, HeldStep
from recovery.policy import LOOK_WEIGHS_FOR, HeldKind, HeldState


class HeldForSecondPerson(Exception):
    """Reach was looked at lately, so this waits for a second person; it is kept as it was asked for."""

    code = "held_for_second_person"

    def __init__(self) -> None:
        super().__init__(
            _(
                "The reach of this customer was looked at within the last day, so this waits for a second person. It is "
                "kept as you asked for it; a colleague who has not looked decides."
            )
        )


class SawReach(Exception):
    """Whoever looked at reach lately cannot be the second person."""

    code = "saw_reach"


def place(
    case: Case, *, kind: HeldKind, key: str, wanted: dict[str, Any], would_be: dict[str, Any], by: User, at: datetime
) -> HeldStep | None:
    """Hold a step in a locked case when reach was looked at within a day; None when nobody looked, and it may go ahead.

    Any look at the customer counts, in whichever matter, since it shows all their accounts. The same step asked for twice waits
    once. would_be: the entitlement that other facts would give.
    """
    looked = _looks(case, at=at)
    if not looked:
        return None
    standing = HeldStep.objects.filter(case=case, key=key, state=HeldState.HELD).first()
    if standing is not None:
        return standing
    held = HeldStep.objects.create(
        case=case,
        kind=kind,
        key=key,
        wanted=wanted,
        decision=newest_of(case),
        would_be=would_be,
        looks=[{"by": look.by_id, "at": look.at.isoformat(), "reason": look.reason} for look in looked],
        asked_by=by,
        asked_at=at,
    )
    alerts.write([alerts.told(AlertKind.SECOND_PERSON, key=f"held:{held.pk}", at=at, conversation=case.conversation)])
    record(held, case, "case.held", by=by, at=at)
    return held


def may_be_second(case: Case, *, asked_by: int | None, earlier: list[dict[str, Any]], by: User, at: datetime) -> None:
    """See that somebody has not looked at reach within a day, nor before it was asked for. Raises SawReach."""
    looked = {look.by_id for look in _looks(case, at=at)} | {int(look["by"]) for look in earlier}
    if not policy.has_fresh_eyes(by.pk, asked_by=asked_by, looked=looked):
        raise SawReach(
            _("You looked at how far this customer reaches. Please let a colleague decide who has not looked.")
        )


def newest_of(case: Case) -> Decision:
    """The decision that counts in a case."""
    return Decision.objects.filter(case=case).order_by("-pk")[0]


def record(held: HeldStep, case: Case, verb: str, *, by: User, at: datetime) -> None:
    """Write a step's way into the customer's history: ids and severities, nothing of what was seen."""
    detail = {
        "held": str(held.public_id),
        "kind": held.kind,
        "severity": held.decision.entitlement["severity"],
        "would_be": held.would_be.get("severity", ""),
        "looks": len(held.looks),
    }
    history.record(case.customer, verb, ref=f"case:{case.public_id}", by=by, at=at, detail=detail)


def _looks(case: Case, *, at: datetime) -> list[ReachLook]:
    return reach.looks_at(case.customer_id, since=at - LOOK_WEIGHS_FOR, until=at)
