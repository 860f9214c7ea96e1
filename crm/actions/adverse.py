"""Acts to a customer's disadvantage. Whoever spoke about us in public is protected by an uninvolved second person (R074)."""

from __future__ import annotations

from datetime import datetime

from django.db import models, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, endings, holds
from crm.channels import PUBLIC
from crm.models import AdverseAct, Customer, Interaction, User
from crm.models.people import CustomerStatus
from crm.policy import ADVERSE_NEXT, SPEECH_PROTECTED_FOR, AdverseKind, AdverseState, AlertKind, Direction


class WrongStep(Exception):
    """The act cannot go from its state to the wanted one."""

    code = "wrong_step"


class NeedsSecondPerson(Exception):
    """The customer spoke about us in public; somebody uninvolved has to confirm first."""

    code = "needs_second_person"


class Involved(Exception):
    """Whoever had a part in the matter cannot be the second person."""

    code = "involved"


@transaction.atomic
def prepare(customer_id: int, *, kind: AdverseKind, reason: str, by: User, at: datetime) -> AdverseAct:
    """Prepare an act to a customer's disadvantage. Nothing takes effect yet.

    Raises Customer.DoesNotExist, endings.ReasonMissing; then nothing has changed.
    """
    if not reason.strip():
        raise endings.ReasonMissing(_("Please write the reason."))
    customer = Customer.objects.get(pk=customer_id)
    act = AdverseAct.objects.create(
        customer=customer,
        kind=kind,
        reason=reason.strip(),
        spoke_publicly_at=_spoke_publicly_at(customer, at=at),
        prepared_by=by,
        prepared_at=at,
    )
    _record(act, "adverse.prepared", by=by, at=at)
    if act.spoke_publicly_at is not None:
        alerts.write(
            [alerts.told(AlertKind.SECOND_PERSON, key=ref_of(act), at=at, detail={"adverse": str(act.public_id)})]
        )
    return act


@transaction.atomic
def confirm(act_id: int, *, unrelated_because: str, by: User, at: datetime) -> AdverseAct:
    """Confirm, as somebody who had no part in it, that the reason has nothing to do with what the customer said in public.

    Raises AdverseAct.DoesNotExist, WrongStep, Involved, endings.ReasonMissing; then nothing has changed.
    """
    act = _locked(act_id, AdverseState.CONFIRMED)
    if not unrelated_because.strip():
        raise endings.ReasonMissing(_("Please write why this has nothing to do with what they said in public."))
    public = _public_words(act.customer, at=at).values_list("conversation", flat=True).distinct()
    if by.pk == act.prepared_by_id or endings.wrote_or_owns(list(public), person=by):
        raise Involved(_("You had a part in this. Please let somebody uninvolved decide."))
    act.state, act.confirmed_by, act.confirmed_at = AdverseState.CONFIRMED, by, at
    act.unrelated_because = unrelated_because.strip()
    act.save(update_fields=["state", "confirmed_by", "confirmed_at", "unrelated_because"])
    _record(act, "adverse.confirmed", by=by, at=at)
    return act


@transaction.atomic
def carry_out(act_id: int, *, by: User, at: datetime) -> AdverseAct:
    """Let a prepared act take effect. Raises AdverseAct.DoesNotExist, WrongStep, NeedsSecondPerson; then nothing has changed.

    Words in public since it was prepared, or since it was confirmed, protect the customer as well.
    """
    act = _locked(act_id, AdverseState.IN_EFFECT)
    # Whoever was protected when it was prepared stays protected, however long it lay.
    act.spoke_publicly_at = _spoke_publicly_at(act.customer, at=at) or act.spoke_publicly_at
    spoke_at = act.spoke_publicly_at
    if spoke_at is not None and (act.confirmed_at is None or act.confirmed_at < spoke_at):
        raise NeedsSecondPerson(
            _(
                "They spoke about us in public on %(day)s. Somebody uninvolved has to confirm that this is not the reason."
            )
            % {"day": f"{spoke_at:%Y-%m-%d}"}
        )
    _end(act, AdverseState.IN_EFFECT, by=by, at=at)
    if act.kind == AdverseKind.CLOSURE:
        Customer.objects.filter(pk=act.customer_id, status=CustomerStatus.ACTIVE).update(status=CustomerStatus.CLOSED)
    elif act.kind == AdverseKind.NO_GESTURES:
        holds.place(act.customer, key=ref_of(act), reason="no_gestures", at=at, by=by)
    return act


@transaction.atomic
def drop(act_id: int, *, by: User, at: datetime) -> AdverseAct:
    """Drop a prepared act. Raises AdverseAct.DoesNotExist, WrongStep; then nothing has changed."""
    act = _locked(act_id, AdverseState.DROPPED)
    _end(act, AdverseState.DROPPED, by=by, at=at)
    return act


def ref_of(act: AdverseAct) -> str:
    """What history entries, holds and alerts call this act."""
    return f"adverse:{act.public_id}"


def _end(act: AdverseAct, state: AdverseState, *, by: User, at: datetime) -> None:
    act.state, act.ended_by, act.ended_at = state, by, at
    act.save(update_fields=["state", "spoke_publicly_at", "ended_by", "ended_at"])
    _record(act, f"adverse.{state}", by=by, at=at)


def _public_words(customer: Customer, *, at: datetime) -> models.QuerySet[Interaction]:
    return Interaction.objects.filter(
        conversation__customer=customer,
        direction=Direction.INBOUND,
        channel__in=PUBLIC,
        spoke_at__gte=at - SPEECH_PROTECTED_FOR,
    ).order_by()


def _spoke_publicly_at(customer: Customer, *, at: datetime) -> datetime | None:
    """When the customer last spoke about us in public within the time of protection; nobody judges whether it was criticism."""
    newest: datetime | None = _public_words(customer, at=at).aggregate(newest=Max("spoke_at"))["newest"]
    return newest


def _locked(act_id: int, wanted: AdverseState) -> AdverseAct:
    act = AdverseAct.objects.select_for_update(of=("self",)).select_related("customer").get(pk=act_id)
    if wanted not in ADVERSE_NEXT[AdverseState(act.state)]:
        raise WrongStep(
            _("What is “%(now)s” cannot become “%(wanted)s”.")
            % {"now": act.get_state_display(), "wanted": wanted.label}
        )
    return act


def _record(act: AdverseAct, verb: str, *, by: User, at: datetime) -> None:
    detail = {"kind": act.kind, "spoke_in_public": act.spoke_publicly_at is not None}
    history.record(act.customer, verb, ref=ref_of(act), by=by, at=at, detail=detail)
