"""What is really given in a case: inside the entitlement by anybody with the right, beyond it by two people and as a proposal."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from crm import history, money
from crm.actions import alerts, doubts
from crm.models import User
from crm.policy import AlertKind
from recovery import policy
from recovery.actions import held
from recovery.actions.cases import ReasonMissing, locked, ref_of
from recovery.models import Case, Decision, EmpowermentGap, Grant, PolicyProposal, TreatmentException
from recovery.policy import ExceptionState, Grantable, GrantKind, HeldKind, ProposalState


class BeyondEntitlement(Exception):
    """This is more than what was decided; it needs an exception with a second person."""

    code = "beyond_entitlement"


class InsideEntitlement(Exception):
    """This was decided already; it needs nobody's approval."""

    code = "inside_entitlement"


class NotForPublic(Exception):
    """These words may not stand in public."""

    code = "not_for_public"


class OtherPersonWrote(Exception):
    """Somebody else than the customer wrote into this matter, and no second person has looked at that yet."""

    code = "other_person_wrote"


class SameApprover(Exception):
    """Whoever proposed an exception cannot be the second person."""

    code = "same_approver"


class AlreadyDecided(Exception):
    """Somebody has decided on this before."""

    code = "already_decided"


class DifferentGrant(Exception):
    """The same key came again for something else."""

    code = "idempotency_key_reused"


class UnusableAmount(ValueError):
    """An amount of money that cannot be."""

    code = "unusable_amount"


def grant(
    case_id: int,
    *,
    kind: GrantKind,
    by: User,
    at: datetime,
    key: str,
    amount: Decimal = Decimal(0),
    currency: str = "",
    public_words: str = "",
) -> Grant:
    """Give what was decided; inside the entitlement nobody is asked (R142).

    amount: 0 for what has no price, else money in `currency`. key: the same key twice is one grant. public_words: what is said
    about it in public, if anything; it names the rule and promises no more than everybody gets (R060).
    Raises Case.DoesNotExist, UnusableAmount, BeyondEntitlement, NotForPublic, DifferentGrant, OtherPersonWrote; then nothing
    has changed. Raises held.HeldForSecondPerson when reach was looked at within a day; then it is kept for a second person, and
    nothing was given (E01).
    """
    amount, currency = _money(amount, currency)
    asked = {
        "kind": kind.value,
        "amount": str(amount),
        "currency": currency,
        "key": key,
        "public_words": public_words.strip(),
    }
    with transaction.atomic():
        case = locked(case_id)
        given, decision = _may_be_given(case, kind, amount, currency, key=key, public_words=public_words, by=by)
        if given is not None:
            return given
        step = held.place(case, kind=HeldKind.REMEDY, key=f"remedy:{key}"[:90], wanted=asked, would_be={}, by=by, at=at)
        if step is None:
            return _give(case, decision, kind, amount, currency, key=key, public_words=public_words, by=by, at=at)
    raise held.HeldForSecondPerson


@transaction.atomic
def grant_by_two(
    case_id: int,
    *,
    kind: GrantKind,
    amount: Decimal,
    currency: str,
    key: str,
    public_words: str,
    by: User,
    at: datetime,
) -> Grant:
    """Give what a second person agreed to; all else as with `grant`. by: that second person."""
    case = locked(case_id)
    given, decision = _may_be_given(case, kind, amount, currency, key=key, public_words=public_words, by=by)
    return given or _give(case, decision, kind, amount, currency, key=key, public_words=public_words, by=by, at=at)


def _may_be_given(
    case: Case, kind: GrantKind, amount: Decimal, currency: str, *, key: str, public_words: str, by: User
) -> tuple[Grant | None, Decision]:
    """What was given by this key already, and the decision on which it may be given now."""
    standing = Grant.objects.filter(case=case, key=key).first()
    if standing is not None:
        if (standing.kind, standing.amount, standing.currency) != (kind, amount, currency):
            raise DifferentGrant(_("This was already given with other content."))
        return standing, standing.decision
    if amount and doubts.hold_money(case.conversation, by=by):
        raise OtherPersonWrote(
            _(
                "Another person wrote into this matter. Before money moves, a colleague other than you has to look at that."
            )
        )
    decision = _newest(case)
    left = left_to_give(case, decision)
    inside = policy.is_inside(left, kind=kind, amount=amount, currency=currency)
    if not inside or (amount == 0 and Grant.objects.filter(case=case, kind=kind, amount=0, beyond=None).exists()):
        raise BeyondEntitlement(
            _(
                "That is more than was decided. Still to give: %(amount)s %(currency)s. More needs a reason and a second person."
            )
            % {"amount": left.money, "currency": left.currency}
        )
    stands_in_the_way = policy.why_not_in_public(public_words, decision.entitlement) if public_words.strip() else ""
    if stands_in_the_way:
        raise NotForPublic(stands_in_the_way)
    return None, decision


def _give(
    case: Case,
    decision: Decision,
    kind: GrantKind,
    amount: Decimal,
    currency: str,
    *,
    key: str,
    public_words: str,
    by: User,
    at: datetime,
) -> Grant:
    given = Grant.objects.create(
        case=case,
        decision=decision,
        key=key,
        kind=kind,
        amount=amount,
        currency=currency,
        public_words=public_words.strip(),
        given_by=by,
        at=at,
    )
    _record_grant(given, by=by, at=at)
    return given


@transaction.atomic
def note_gap(case_id: int, *, kind: GrantKind, by: User, at: datetime) -> EmpowermentGap:
    """Note that somebody wanted to give what the rules give and lacked the right (R142). Raises Case.DoesNotExist."""
    case = Case.objects.select_related("customer").get(pk=case_id)
    gap = EmpowermentGap.objects.create(case=case, kind=kind, person=by, at=at)
    history.record(case.customer, "case.empowerment_gap", ref=ref_of(case), by=by, at=at, detail={"kind": kind})
    return gap


@transaction.atomic
def propose_exception(
    case_id: int,
    *,
    kind: GrantKind,
    reason: str,
    by: User,
    at: datetime,
    amount: Decimal = Decimal(0),
    currency: str = "",
) -> TreatmentException:
    """Ask for something beyond what was decided; a second person decides on it.

    Raises Case.DoesNotExist, UnusableAmount, ReasonMissing, InsideEntitlement; then nothing has changed.
    """
    amount, currency = _money(amount, currency)
    if not reason.strip():
        raise ReasonMissing(_("Please write why the rules do not reach far enough here."))
    case = locked(case_id)
    decision = _newest(case)
    left = left_to_give(case, decision)
    if policy.is_inside(left, kind=kind, amount=amount, currency=currency) and not (
        amount == 0 and Grant.objects.filter(case=case, kind=kind, amount=0, beyond=None).exists()
    ):
        raise InsideEntitlement(_("This was decided already. Please just give it; nobody has to be asked."))
    asked = TreatmentException.objects.create(
        case=case,
        decision=decision,
        kind=kind,
        amount=amount,
        currency=currency,
        reason=reason.strip(),
        proposed_by=by,
        proposed_at=at,
    )
    alerts.write(
        [alerts.told(AlertKind.SECOND_PERSON, key=f"exception:{asked.pk}", at=at, conversation=case.conversation)]
    )
    _record_exception(asked, case, "case.exception_proposed", by=by, at=at)
    return asked


@transaction.atomic
def approve_exception(exception_id: int, *, by: User, at: datetime) -> Grant:
    """Give something beyond the rules as the second person; a change of the rules is proposed in the same breath (R065).

    Raises TreatmentException.DoesNotExist, SameApprover, AlreadyDecided, held.SawReach; then nothing has changed.
    """
    asked = _asked(exception_id, by=by)
    case = locked(asked.case_id)
    held.may_be_second(case, asked_by=asked.proposed_by_id, earlier=[], by=by, at=at)
    _decided(asked, ExceptionState.APPROVED, by=by, at=at)
    given = Grant.objects.create(
        case=case,
        decision=asked.decision,
        key=f"exception:{asked.pk}",
        kind=asked.kind,
        amount=asked.amount,
        currency=asked.currency,
        beyond=asked,
        given_by=by,
        at=at,
    )
    PolicyProposal.objects.create(exception=asked, proposed_at=at)
    alerts.write(
        [alerts.told(AlertKind.BEYOND_POLICY, key=f"exception:{asked.pk}", at=at, conversation=case.conversation)]
    )
    _record_exception(asked, case, "case.exception_approved", by=by, at=at)
    _record_grant(given, by=by, at=at)
    return given


@transaction.atomic
def refuse_exception(exception_id: int, *, by: User, at: datetime) -> TreatmentException:
    """Decide as the second person not to give it. Raises TreatmentException.DoesNotExist, SameApprover, AlreadyDecided."""
    asked = _asked(exception_id, by=by)
    _decided(asked, ExceptionState.REFUSED, by=by, at=at)
    case = Case.objects.select_related("customer").get(pk=asked.case_id)
    _record_exception(asked, case, "case.exception_refused", by=by, at=at)
    return asked


@transaction.atomic
def decide_proposal(proposal_id: int, *, accept: bool, reason: str, by: User, at: datetime) -> PolicyProposal:
    """Keep a proposed rule for the next draft of the rules, or decline it with a reason.

    Raises PolicyProposal.DoesNotExist, AlreadyDecided, ReasonMissing; then nothing has changed.
    """
    proposal = PolicyProposal.objects.select_for_update(of=("self",)).get(pk=proposal_id)
    if proposal.state != ProposalState.OPEN:
        raise AlreadyDecided(_("Somebody has decided on this before."))
    if not accept and not reason.strip():
        raise ReasonMissing(_("Please write why the next person shall not get it too."))
    proposal.state = ProposalState.ACCEPTED if accept else ProposalState.DECLINED
    proposal.reason, proposal.decided_by, proposal.decided_at = reason.strip(), by, at
    proposal.save(update_fields=["state", "reason", "decided_by", "decided_at"])
    ref, detail = f"proposal:{proposal.public_id}", {"state": str(proposal.state)}
    history.record(None, "proposal.decided", ref=ref, by=by, at=at, detail=detail)
    return proposal


def left_to_give(case: Case, decision: Decision) -> Grantable:
    """What may still be given in a case without asking anybody; nothing where an earlier case of the incident earns it."""
    if case.same_as_id is not None:
        return Grantable(kinds=(), money=Decimal(0), currency=decision.entitlement["currency"])
    return policy.grantable(decision.entitlement, given=given_inside(case))


def given_inside(case: Case) -> Decimal:
    """The money that was given inside the entitlements of a case."""
    total: Decimal | None = Grant.objects.filter(case=case, beyond=None).aggregate(total=Sum("amount"))["total"]
    return total or Decimal(0)


def _money(amount: Decimal, currency: str) -> tuple[Decimal, str]:
    if not amount.is_finite() or amount < 0:
        raise UnusableAmount(_("Please give an amount of nothing or more."))
    if amount == 0:
        return amount, ""
    try:
        rounded = money.rounded(amount, currency)
    except ValueError as unknown:
        raise UnusableAmount(str(unknown)) from unknown
    if rounded != amount:
        raise UnusableAmount(_("This amount is finer than the currency's smallest coin."))
    return rounded, currency


def _newest(case: Case) -> Decision:
    return Decision.objects.filter(case=case).order_by("-pk")[0]


def _asked(exception_id: int, *, by: User) -> TreatmentException:
    asked = TreatmentException.objects.select_for_update(of=("self",)).select_related("decision").get(pk=exception_id)
    if asked.state != ExceptionState.PROPOSED:
        raise AlreadyDecided(_("Somebody has decided on this before."))
    if asked.proposed_by_id == by.pk:
        raise SameApprover(_("You proposed this yourself. Please let a colleague decide."))
    return asked


def _decided(asked: TreatmentException, state: ExceptionState, *, by: User, at: datetime) -> None:
    asked.state, asked.decided_by, asked.decided_at = state, by, at
    asked.save(update_fields=["state", "decided_by", "decided_at"])


def _record_grant(given: Grant, *, by: User, at: datetime) -> None:
    detail = {
        "grant": given.pk, "kind": given.kind, "amount": str(given.amount), "currency": given.currency,
        "beyond": given.beyond_id is not None, "public": bool(given.public_words),
    }  # fmt: skip
    history.record(given.case.customer, "case.granted", ref=ref_of(given.case), by=by, at=at, detail=detail)


def _record_exception(asked: TreatmentException, case: Case, verb: str, *, by: User, at: datetime) -> None:
    detail = {"exception": str(asked.public_id), "kind": asked.kind, "amount": str(asked.amount)}
    history.record(case.customer, verb, ref=ref_of(case), by=by, at=at, detail=detail)
