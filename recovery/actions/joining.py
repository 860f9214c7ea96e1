"""Two matters that are one, with their cases: the visit's matter has the one case, and what the post made us see goes on there."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import holds, statements
from crm.actions import joining as matters
from crm.models import Joining, User
from recovery.actions import cases
from recovery.models import Case
from recovery.policy import Facts, Status


class CaseTakenOn(Exception):
    """Somebody has taken on the case of the public post already, so that it goes on where it is."""

    code = "case_taken_on"


@transaction.atomic
def join(moved_id: int, *, into_id: int, because: str, by: User, at: datetime) -> Joining:
    """Let the matter of a public post go on in that of the visit, as `crm.actions.joining.join`; one case for both.

    A case of the post that nobody has taken on ends as the same thing twice; where the visit's matter has none, one is opened there
    because of the same words, counted from when the customer was there.
    Raises CaseTakenOn and what that raises; then nothing has changed.
    """
    case = Case.objects.select_for_update(of=("self",)).select_related("customer").filter(conversation=moved_id).first()
    if case is not None and case.status in (Status.OWNED, Status.DECIDED):
        raise CaseTakenOn(
            _(
                "A colleague has taken on the case of this post. Please settle it there, or link its case to the other one."
            )
        )
    beside: dict[str, str] = {}
    is_new = case is not None and case.status == Status.DETECTED
    opens = is_new and not Case.objects.filter(conversation=into_id).exists()
    if case is not None and is_new:
        beside["dismissed"] = str(case.public_id)
        case.status = Status.DISMISSED
        case.save(update_fields=["status"])
        holds.lift(cases.ref_of(case), at=at, by=by)
        detail = {"reason": "joined"}
        history.record(case.customer, "case.dismissed", ref=cases.ref_of(case), by=by, at=at, detail=detail)
    joining = matters.join(
        moved_id, into_id=into_id, because=because, by=by, at=at, with_case=case is not None, beside=beside
    )
    if case is not None and opens:
        newest = case.decisions.order_by("-pk")[0]
        facts = Facts.from_data(newest.facts)
        opened = cases.open_case(into_id, facts=facts, seen_because=list(case.seen_because), by=by, at=at)
        matters.remember(joining, opened=str(opened.public_id))
    return joining


@transaction.atomic
def undo(joining_id: int, *, by: User, at: datetime) -> Joining:
    """Part them again, as `crm.actions.joining.undo`: the post's case is seen again, and one that was opened for it alone ends.

    Raises what that raises; then nothing has changed.
    """
    beside = Joining.objects.get(pk=joining_id).before["beside"]
    ends: list[str] = []
    if "opened" in beside:
        ends = _end(_case(beside["opened"]), by=by, at=at)
    joining = matters.undo(joining_id, by=by, at=at, ends=ends)
    if "dismissed" in beside:
        cases.seen_again("", f"conversation:{joining.moved.public_id}", at)
    return joining


def _end(opened: Case, *, by: User, at: datetime) -> list[str]:
    """End a case that was opened for a post alone, unless somebody has taken it on; what gave its promises is returned."""
    if opened.status != Status.DETECTED:
        return []
    opened.status = Status.DISMISSED
    opened.save(update_fields=["status"])
    holds.lift(cases.ref_of(opened), at=at, by=by)
    history.record(
        opened.customer, "case.dismissed", ref=cases.ref_of(opened), by=by, at=at, detail={"reason": "parted"}
    )
    decisions = list(opened.decisions.order_by("pk"))
    statements.owe(
        opened.conversation_id,
        amount=Decimal(0),
        currency=decisions[-1].entitlement["currency"],
        acts=(),
        given_by=cases.ref_of(opened),
        at=at,
    )
    return [f"decision:{decision.pk}" for decision in decisions]


def _case(number: str) -> Case:
    return Case.objects.select_for_update(of=("self",)).select_related("customer").get(public_id=uuid.UUID(number))
