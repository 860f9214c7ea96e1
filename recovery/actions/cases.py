"""What happens to a failure of ours: it is seen, taken on by a named person, decided by policy, settled, confirmed in writing."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import desk, holds, owners, promises, routing
from crm.language import complaints
from crm.models import Conversation, Interaction, User
from crm.policy import OwnerChangeReason, PromiseDue, PromiseKind
from recovery import policy
from recovery.models import Case, Decision, PolicyVersion
from recovery.policy import NEXT, ComplaintType, Facts, Outcome, Severity, Status


class WrongStatus(Exception):
    """The case cannot go from its status to the wanted one."""

    code = "wrong_status"


class ExplanationMissing(ValueError):
    """A case is settled with an outcome and with words for the customer."""

    code = "explanation_missing"


class UnusableFacts(ValueError):
    """Facts that cannot be."""

    code = "unusable_facts"


def triage(event: str, ref: str, at: datetime) -> None:
    """See whether what a customer told us is a failure of ours; if so, open its case.

    The words alone decide, the same on every channel: no form field, tag or audience is asked.
    """
    heard = Interaction.objects.select_related("conversation").get(public_id=uuid.UUID(ref.partition(":")[2]))
    spotted = complaints.spot(heard.text or heard.subject)
    if spotted.is_complaint:
        open_case(heard.conversation_id, facts=Facts(), seen_because=list(spotted.because), by=None, at=at)


@transaction.atomic
def open_case(conversation_id: int, *, facts: Facts, seen_because: list[str], by: User | None, at: datetime) -> Case:
    """Open the case of a conversation and decide on what is known; the one that exists is returned as it is.

    seen_because: the customer's own words that told us. by: the colleague who saw it; None when the product did.
    Raises Conversation.DoesNotExist, PolicyVersion.DoesNotExist; then nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    standing = Case.objects.filter(conversation=conversation).first()
    if standing is not None:
        return standing
    case = Case.objects.create(
        customer=conversation.customer,
        conversation=conversation,
        severity=Severity.LOW,
        complaint_type=facts.complaint_type,
        seen_because=seen_because[:10],
        spoke_at=conversation.spoke_at,
        opened_at=max(at, conversation.spoke_at),
    )
    history.record(case.customer, "case.opened", ref=ref_of(case), by=by, at=at, detail={"because": len(seen_because)})
    holds.place(case.customer, key=ref_of(case), reason="open_case", at=at, by=by)
    _decide(case, facts, by=by, at=at)
    return case


@transaction.atomic
def own(case_id: int, *, by: User, at: datetime) -> Case:
    """Say by name “this is mine”; its conversation too, as long as the customer has met nobody else.

    Raises Case.DoesNotExist, WrongStatus; then nothing has changed.
    """
    case = _locked(case_id)
    _move(case, Status.OWNED)
    case.owner, case.owned_at = by, at
    case.save(update_fields=["status", "owner", "owned_at"])
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=case.conversation_id)
    )
    promises.meet(conversation, [PromiseKind.OWNERSHIP], at=at, interaction=None)
    if conversation.owner_id is None or conversation.first_answer_at is None:
        owners.give(conversation, by.pk, why=OwnerChangeReason.TAKEN, by=by, at=at)
    history.record(case.customer, "case.owned", ref=ref_of(case), by=by, at=at)
    return case


@transaction.atomic
def decide(case_id: int, *, facts: Facts, by: User, at: datetime) -> Decision:
    """Note the facts of a case and let the policy decide on them; earlier decisions stay on record.

    Taking a case on comes first; whoever decides on a case that nobody has taken on takes it on.
    Raises Case.DoesNotExist, WrongStatus; then nothing has changed.
    """
    case = _locked(case_id)
    if case.status == Status.DETECTED:
        own(case_id, by=by, at=at)
        case = _locked(case_id)
    _move(case, Status.DECIDED)
    case.save(update_fields=["status"])
    return _decide(case, facts, by=by, at=at)


def _decide(case: Case, facts: Facts, *, by: User | None, at: datetime) -> Decision:
    version = PolicyVersion.objects.in_force(at)
    entitlement = policy.entitlement_for(facts, version.as_policy())
    known, owed = facts.as_data(), entitlement.as_data()
    decision = Decision.objects.create(
        case=case,
        policy_version=version,
        facts=known,
        facts_hash=policy.fingerprint(known),
        entitlement=owed,
        entitlement_hash=policy.fingerprint(owed),
        decided_at=at,
        decided_by=by,
    )
    case.severity, case.complaint_type = entitlement.severity, facts.complaint_type
    case.save(update_fields=["severity", "complaint_type"])
    is_sorted = facts.complaint_type != ComplaintType.UNSORTED
    routing.require(case.conversation_id, facts.complaint_type.value if is_sorted else "", at=at)
    due = [
        PromiseDue(PromiseKind(kind), start, due_at)
        for kind, start, due_at in policy.due_times(entitlement, spoke_at=case.spoke_at)
    ]
    promises.append(case.conversation_id, due, given_by=f"decision:{decision.pk}", critical=entitlement.critical, at=at)
    history.record(
        case.customer,
        "case.decided",
        ref=ref_of(case),
        by=by,
        at=at,
        detail={
            "decision": decision.pk,
            "policy": version.number,
            "severity": entitlement.severity,
            "facts": decision.facts_hash,
        },
    )
    return decision


@transaction.atomic
def resolve(
    case_id: int, *, outcome: Outcome, explanation: str, by: User, at: datetime, out_of_order: str = ""
) -> Case:
    """Settle a decided case and confirm it to the customer in writing.

    The case counts as confirmed once that message is accepted for delivery. out_of_order: a policy.OutOfOrder, needed
    when its conversation waits for us and others stand before it.
    Raises Case.DoesNotExist, WrongStatus, ExplanationMissing, and what desk.answer raises; then nothing has changed.
    """
    case = _locked(case_id)
    if not explanation.strip():
        raise ExplanationMissing(_("Please write what you tell the customer about how it was settled."))
    _move(case, Status.RESOLVED)
    case.outcome, case.explanation, case.resolved_at = outcome, explanation, at
    case.save(update_fields=["status", "outcome", "explanation", "resolved_at"])
    desk.answer(
        case.conversation_id,
        text=explanation,
        by=by,
        at=at,
        key=f"resolved:{case.pk}",
        concerns=ref_of(case),
        out_of_order=out_of_order,
    )
    history.record(case.customer, "case.resolved", ref=ref_of(case), by=by, at=at, detail={"outcome": outcome})
    return case


def follow_owner(event: str, ref: str, at: datetime) -> None:
    """Let whoever looks after a conversation own its case too, once somebody has taken the case on: one owner (R006)."""
    with transaction.atomic():
        case = (
            Case.objects.select_for_update(of=("self",))
            .select_related("customer", "conversation")
            .filter(conversation__public_id=uuid.UUID(ref.partition(":")[2]))
            .first()
        )
        if case is None or case.owner_id is None or case.status == Status.RESOLVED:
            return
        before, after = case.owner_id, case.conversation.owner_id
        if after is None or after == before:
            return
        case.owner_id = after
        case.save(update_fields=["owner"])
        detail = {"before": before, "after": after}
        history.record(case.customer, "case.owner_changed", ref=ref_of(case), by=None, at=at, detail=detail)


def confirm(event: str, ref: str, at: datetime) -> None:
    """Note that a settled case's written confirmation was accepted for delivery: the resolution promise is kept now."""
    kind, _colon, public_id = ref.partition(":")
    if kind != "case":
        return
    with transaction.atomic():
        case = (
            Case.objects.select_for_update(of=("self",)).select_related("customer").get(public_id=uuid.UUID(public_id))
        )
        if case.status != Status.RESOLVED or case.confirmed_at is not None:
            return
        case.confirmed_at = at
        case.save(update_fields=["confirmed_at"])
        conversation = Conversation.objects.select_for_update(of=("self",)).get(pk=case.conversation_id)
        promises.meet(
            conversation,
            [PromiseKind.RESOLUTION, PromiseKind.OWNERSHIP, PromiseKind.CONFIRMATION],
            at=at,
            interaction=None,
        )
        holds.lift(ref_of(case), at=at)
        history.record(case.customer, "case.confirmed", ref=ref_of(case), by=None, at=at)


def facts_from(values: dict[str, object]) -> Facts:
    """Make facts from what somebody noted. Raises UnusableFacts in words for the person who noted them."""
    try:
        return Facts(**values)  # type: ignore[arg-type]
    except (ValueError, TypeError) as mistake:
        raise UnusableFacts(str(mistake)) from mistake


def ref_of(case: Case) -> str:
    """What history entries, holds and messages call this case."""
    return f"case:{case.public_id}"


def _locked(case_id: int) -> Case:
    return Case.objects.select_for_update(of=("self",)).select_related("customer").get(pk=case_id)


def _move(case: Case, status: Status) -> None:
    if status not in NEXT[Status(case.status)]:
        raise WrongStatus(
            _("A case that is “%(now)s” cannot become “%(wanted)s”.")
            % {"now": case.get_status_display(), "wanted": status.label}
        )
    case.status = status
