"""The second person's part: what was held because reach had been looked at is done, or is not (E01)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from crm.models import User
from recovery.actions import cases, grants, held
from recovery.models import Case, HeldStep
from recovery.policy import Facts, GrantKind, HeldKind, HeldState


@transaction.atomic
def approve_held(held_id: int, *, words: str, by: User, at: datetime) -> HeldStep:
    """Do what was held, as the second person, on what was asked for then. words: why it would be done for the quietest customer.

    Raises HeldStep.DoesNotExist, AlreadyDecided, SameApprover, SawReach, ReasonMissing, WrongStatus when it was decided on anew
    since, and what the step itself may raise; then nothing has changed.
    """
    step, case = _mine(held_id, words=words, by=by, at=at)
    if held.newest_of(case).pk != step.decision_id:
        raise cases.WrongStatus(
            _("It was decided on anew since this was asked for. Please do not do it; it can be asked for again.")
        )
    if step.kind == HeldKind.FACTS:
        step.made = cases.decide_by_two(
            case, facts=Facts.from_data(step.wanted), by=by, at=at, taken_on_by=step.asked_by
        )
    else:
        asked = step.wanted
        step.given = grants.grant_by_two(
            case.pk,
            kind=GrantKind(asked["kind"]),
            amount=Decimal(asked["amount"]),
            currency=asked["currency"],
            key=asked["key"],
            public_words=asked["public_words"],
            by=by,
            at=at,
        )
    return _ended(step, case, HeldState.APPROVED, words=words, by=by, at=at)


@transaction.atomic
def refuse_held(held_id: int, *, words: str, by: User, at: datetime) -> HeldStep:
    """Decide, as the second person, not to do what was held.

    Raises HeldStep.DoesNotExist, AlreadyDecided, SameApprover, SawReach, ReasonMissing; then nothing has changed.
    """
    step, case = _mine(held_id, words=words, by=by, at=at)
    return _ended(step, case, HeldState.REFUSED, words=words, by=by, at=at)


def _mine(held_id: int, *, words: str, by: User, at: datetime) -> tuple[HeldStep, Case]:
    """The step and its case, both locked, for somebody who may decide on it."""
    case = cases.locked(HeldStep.objects.values_list("case", flat=True).get(pk=held_id))
    step = HeldStep.objects.select_for_update(of=("self",)).select_related("decision", "asked_by").get(pk=held_id)
    if step.state != HeldState.HELD:
        raise grants.AlreadyDecided(_("Somebody has decided on this before."))
    if step.asked_by_id == by.pk:
        raise grants.SameApprover(_("You asked for this yourself. Please let a colleague decide."))
    held.may_be_second(case, asked_by=step.asked_by_id, earlier=step.looks, by=by, at=at)
    if not words.strip():
        raise cases.ReasonMissing(_("Please write why, as you would for a customer whom nobody follows."))
    return step, case


def _ended(step: HeldStep, case: Case, state: HeldState, *, words: str, by: User, at: datetime) -> HeldStep:
    step.state, step.words, step.decided_by, step.decided_at = state, words.strip(), by, at
    step.save(update_fields=["state", "words", "decided_by", "decided_at", "made", "given"])
    held.record(step, case, f"case.held_{state}", by=by, at=at)
    return step
