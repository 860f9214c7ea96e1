"""What happens to a failure of ours: it is seen, taken on by a named person, decided by policy, settled, confirmed in writing."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from crm import history
from crm.actions import desk, endings, holds, letters, owners, promises, routing, statements
from crm.language import complaints
from crm.models import Conversation, Interaction, User
from crm.policy import DismissalReason, OutOfOrder, OwnerChangeReason, PromiseKind, is_the_same_matter
from recovery import policy
from recovery.actions import held
from recovery.models import LIVE, Case, Decision, PolicyVersion, Settlement
from recovery.policy import NEXT, ComplaintType, Facts, HeldKind, Outcome, Severity, Status

CAME_BACK = "its confirmation came back"
"""Why a settlement ended whose confirmation did not reach the customer: nobody judged it wrong."""


class WrongStatus(Exception):
    """The case cannot go from its status to the wanted one."""

    code = "wrong_status"


class ExplanationMissing(ValueError):
    """A case is settled with an outcome and with words for the customer."""

    code = "explanation_missing"


class ReasonMissing(ValueError):
    """This needs a reason in words."""

    code = "reason_missing"


class SettledBySame(Exception):
    """A case that came back within two weeks is settled by another person the next time."""

    code = "settled_by_same"


class FellSilent(Exception):
    """A customer who stopped replying cannot be called settled."""

    code = "fell_silent"


class UnusableFacts(ValueError):
    """Facts that cannot be."""

    code = "unusable_facts"


def triage(event: str, ref: str, at: datetime) -> None:
    """See whether what a customer told us is a failure of ours; if so, open its case.

    The words alone decide, the same on every channel: no form field, tag or audience is asked.
    """
    heard = Interaction.objects.select_related("conversation").get(public_id=uuid.UUID(ref.partition(":")[2]))
    spotted = complaints.spot(heard.text or heard.subject)
    _came_back(heard, complains=spotted.is_complaint, at=at)
    if spotted.is_complaint:
        open_case(heard.conversation_id, facts=Facts(), seen_because=list(spotted.because), by=None, at=at)


@transaction.atomic
def open_case(
    conversation_id: int, *, facts: Facts, seen_because: list[str], by: User | None, at: datetime, cause: str = ""
) -> Case:
    """Open the case of a conversation and decide on what is known; the one that exists is returned as it is.

    seen_because: the customer's own words that told us. by: the colleague who saw it; None when the product did. cause: a Cause.
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
        cause=cause,
        seen_because=seen_because[:10],
        spoke_at=conversation.spoke_at,
        opened_at=max(at, conversation.spoke_at),
    )
    history.record(case.customer, "case.opened", ref=ref_of(case), by=by, at=at, detail={"because": len(seen_because)})
    holds.place(case.customer, key=ref_of(case), reason="open_case", at=at, by=by)
    decide_on(case, facts, by=by, at=at)
    return case


def _came_back(heard: Interaction, *, complains: bool, at: datetime) -> None:
    """Open an ended case again by itself: a silent customer spoke, or one whose case was settled complains within two weeks."""
    ended = Case.objects.filter(conversation=heard.conversation_id).exclude(status__in=LIVE).first()
    if ended is None:
        return
    if ended.status == Status.DISMISSED:
        _seen_again(heard.conversation.public_id, at=at)
    if ended.status == Status.WENT_QUIET:
        reopen(ended.pk, because=_("the customer spoke to us again"), by=None, at=at)
        return
    settled_at = ended.resolved_at
    if complains and settled_at and settled_at < heard.spoke_at and is_the_same_matter(settled_at, at=heard.spoke_at):
        reopen(ended.pk, because=_("the customer complained again"), by=None, at=at)


@transaction.atomic
def own(case_id: int, *, by: User, at: datetime, words: str = "", public: bool | None = None) -> Case:
    """Take a case on by name, and its conversation while the customer has met nobody else.

    words: “this is mine, I am …”, as the customer gets to read it (R132); "" says nothing yet. public: as of `desk.answer`.
    The promise that a named person takes it on is kept when those words are accepted for delivery, as with every answer.
    Raises Case.DoesNotExist, WrongStatus, owners.AlreadyOwned and what an answer may raise; then nothing has changed.
    """
    case = locked(case_id)
    if _taken_on(case, by=by, at=at) != by.pk:
        raise owners.AlreadyOwned(_("The customer knows a colleague who looks after this. Please ask for a hand-over."))
    if words.strip():
        desk.answer(
            case.conversation_id,
            text=words,
            by=by,
            at=at,
            key=f"owned:{case.pk}",
            concerns=f"owner:{case.public_id}",
            stays_open=True,
            meets=[PromiseKind.OWNERSHIP],
            public=public,
            out_of_order=OutOfOrder.SAME_MATTER,  # saying whose it is serves nobody else's matter later
        )
    return case


def _taken_on(case: Case, *, by: User, at: datetime) -> int:
    """Give a case its owner: whoever the customer knows already, else the colleague who takes it on, who then has both (R006)."""
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=case.conversation_id)
    )
    if conversation.owner_id is None or conversation.first_answer_at is None:
        owners.give(conversation, by.pk, why=OwnerChangeReason.TAKEN, by=by, at=at)
    _move(case, Status.OWNED)
    case.owner_id, case.owned_at = conversation.owner_id, at
    case.save(update_fields=["status", "owner", "owned_at"])
    history.record(case.customer, "case.owned", ref=ref_of(case), by=by, at=at)
    return conversation.owner_id or by.pk


def decide(case_id: int, *, facts: Facts, by: User, at: datetime) -> Decision:
    """Note the facts of a case and let the policy decide on them; earlier decisions stay on record.

    Taking a case on comes first: it gets the owner whom the customer knows, else whoever decides on it.
    Raises Case.DoesNotExist, WrongStatus; then nothing has changed. Raises held.HeldForSecondPerson when the facts are others and
    reach was looked at within a day; then they are kept for a second person, and nothing else has changed (E01).
    """
    with transaction.atomic():
        case = locked(case_id)
        if not _is_held(case, facts, by=by, at=at):
            return decide_by_two(case, facts=facts, by=by, at=at)
    raise held.HeldForSecondPerson


def _is_held(case: Case, facts: Facts, *, by: User, at: datetime) -> bool:
    """Whether other facts have to wait for a second person; what cannot be decided at all waits for nobody."""
    known = facts.as_data()
    if known == held.newest_of(case).facts:
        return False
    if case.status != Status.DETECTED and Status.DECIDED not in NEXT[Status(case.status)]:
        return False
    would_be = policy.entitlement_for(facts, PolicyVersion.objects.in_force(at).as_policy()).as_data()
    key = f"facts:{policy.fingerprint(known)}"
    return held.place(case, kind=HeldKind.FACTS, key=key, wanted=known, would_be=would_be, by=by, at=at) is not None


def decide_by_two(case: Case, *, facts: Facts, by: User, at: datetime, taken_on_by: User | None = None) -> Decision:
    """Decide in a case that the caller has locked, where nothing has to wait for a second person, or one has agreed."""
    if case.status == Status.DETECTED:
        _taken_on(case, by=taken_on_by or by, at=at)
    _move(case, Status.DECIDED)
    case.save(update_fields=["status"])
    return decide_on(case, facts, by=by, at=at)


def decide_anew(case_id: int, *, facts: Facts, by: User, at: datetime) -> Decision:
    """Decide on other facts after a second look; a case that had ended is open again.

    Whoever looks again is a second person already, unless they have looked at reach. Raises Case.DoesNotExist, WrongStatus,
    held.SawReach; then nothing has changed.
    """
    case = locked(case_id)
    held.may_be_second(case, asked_by=None, earlier=[], by=by, at=at)
    if case.status in (Status.RESOLVED, Status.WENT_QUIET):
        _open_again(case, because=_("decided anew after a second look"), by=by, at=at)
        case = locked(case_id)
    return decide_by_two(case, facts=facts, by=by, at=at)


@transaction.atomic
def same_incident(case_id: int, *, as_case: Case, by: User, at: datetime) -> Case:
    """Link a case to the first one about the same incident: that one earns what is owed, this one nothing more (E03).

    Raises Case.DoesNotExist, WrongStatus; then nothing has changed.
    """
    case = locked(case_id)
    if as_case.pk >= case.pk or as_case.customer_id != case.customer_id or as_case.same_as_id or case.grants.exists():
        raise WrongStatus(
            _("Please link it to an earlier case of the same customer, before anything is given in this one.")
        )
    if Case.objects.filter(same_as=case).exists():
        raise WrongStatus(_("Another case is linked to this one; please link both to the first."))
    case.same_as = as_case
    case.save(update_fields=["same_as"])
    newest = case.decisions.order_by("-pk")[0]
    statements.owe(
        case.conversation_id,
        amount=Decimal(0),
        currency=newest.entitlement["currency"],
        acts=(),
        given_by=ref_of(as_case),
        at=at,
    )
    history.record(case.customer, "case.same_incident", ref=ref_of(case), by=by, at=at, detail={"as": ref_of(as_case)})
    return case


def decide_on(case: Case, facts: Facts, *, by: User | None, at: datetime) -> Decision:
    """Let the rules in force decide in a case that the caller has locked, and promise and owe what they say."""
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
    given_by = f"decision:{decision.pk}"
    promises.append(
        case.conversation_id,
        [(PromiseKind(kind), within) for kind, within in sorted(entitlement.within.items())],
        starts_at=case.spoke_at,
        given_by=given_by,
        critical=entitlement.critical,
        at=at,
    )
    statements.owe(
        case.conversation_id,
        amount=Decimal(0) if case.same_as_id else entitlement.owed,  # the first case of an incident earns it, once
        currency=entitlement.currency,
        acts=() if case.same_as_id else policy.acts_owed(entitlement.remedies),
        given_by=given_by,
        at=at,
    )
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
    case_id: int,
    *,
    outcome: Outcome,
    explanation: str,
    by: User,
    at: datetime,
    reason: str = "",
    settled_because: str = "",
    correction: str = "",
    out_of_order: str = "",
    public: bool | None = None,
) -> Case:
    """Settle a decided case and confirm it to the customer in writing.

    reason: why no failure was found, needed where the outcome says so; the customer then reads how to object (R009).
    settled_because: why it is settled this time, needed when it came back within two weeks; then another person settles it
    (R139). correction, out_of_order, public: as with `desk.answer`. The case counts as confirmed once that is accepted.
    Raises Case.DoesNotExist, WrongStatus, ExplanationMissing, ReasonMissing, SettledBySame, FellSilent, and what
    desk.answer raises; then nothing has changed.
    """
    case = locked(case_id)
    if not explanation.strip():
        raise ExplanationMissing(_("Please write what you tell the customer about how it was settled."))
    _move(case, Status.RESOLVED)
    if outcome == Outcome.NOT_UPHELD:
        if not reason.strip():
            raise ReasonMissing(_("Please write why no failure of ours was found."))
        with translation.override(letters.language_for(case.customer.language)):
            case.recourse = _(
                "If you see it differently, just answer this message. Somebody who was not involved then looks at it again."
            )
        case.reason = reason.strip()
    if endings.is_silent(case.conversation):
        raise FellSilent(
            _("The customer fell silent, so nobody knows whether it is settled. It can end as gone quiet.")
        )
    _settled(case, outcome, because=settled_because, by=by, at=at)
    case.outcome, case.explanation, case.resolved_at = outcome, explanation, at
    case.save(update_fields=["status", "outcome", "explanation", "resolved_at", "reason", "recourse"])
    told = f"{explanation}\n\n{case.recourse}" if outcome == Outcome.NOT_UPHELD else explanation
    times = Settlement.objects.filter(case=case).count() - 1
    key = f"resolved:{case.pk}:{times}" if times else f"resolved:{case.pk}"
    desk.answer(
        case.conversation_id,
        text=told,
        by=by,
        at=at,
        key=key,
        concerns=ref_of(case),
        correction=correction,
        out_of_order=out_of_order,
        public=public,
    )
    history.record(case.customer, "case.resolved", ref=ref_of(case), by=by, at=at, detail={"outcome": outcome})
    return case


def _settled(case: Case, outcome: Outcome, *, because: str, by: User, at: datetime) -> None:
    before = Settlement.objects.filter(case=case).order_by("-pk").first()
    not_by = None
    is_back = before is not None and before.reopened_at and before.reopened_because != CAME_BACK
    if before is not None and is_back and is_the_same_matter(before.at, at=before.reopened_at or before.at):
        not_by = before.settled_by_id
        if not_by == by.pk:
            raise SettledBySame(
                _("It came back after you had settled it. Please let a colleague see whether it is settled now.")
            )
        if not because.strip():
            raise ReasonMissing(_("It came back within two weeks. Please write why it is settled this time."))
    Settlement.objects.create(
        case=case, outcome=outcome, settled_by=by, at=at, not_by_id=not_by, settled_because=because.strip()
    )


@transaction.atomic
def reopen(case_id: int, *, because: str, by: User | None, at: datetime) -> Case:
    """Open an ended case again: within two weeks the same case with its owner and its first time, later a new one (R139, X18).

    because: what tells that it is not settled. by: the colleague, or None when the customer's own words did it.
    Returns the case that goes on. Raises Case.DoesNotExist, WrongStatus, ReasonMissing; then nothing has changed.
    """
    if not because.strip():
        raise ReasonMissing(_("Please write what tells you that it is not settled."))
    case = locked(case_id)
    if case.status not in (Status.RESOLVED, Status.WENT_QUIET):
        raise WrongStatus(_("This case is open."))
    ended_at = case.resolved_at or at
    if case.status == Status.RESOLVED and not is_the_same_matter(ended_at, at=at):
        following = endings.go_on_in_a_new_one(case.conversation_id, by=by, at=at)
        # What the old case earned it has earned; what is wrong now is noted anew, so that nothing is owed twice (E03).
        return open_case(following.pk, facts=Facts(), seen_because=[because[:300]], by=by, at=at)
    _open_again(case, because=because, by=by, at=at)
    return case


def _open_again(case: Case, *, because: str, by: User | None, at: datetime) -> None:
    """Take an ended case up again; it keeps its owner and when they first spoke, and counts as not settled then."""
    _move(case, Status.DECIDED)
    case.reopened_count += 1
    case.resolved_at = case.confirmed_at = None
    case.save(update_fields=["status", "reopened_count", "resolved_at", "confirmed_at"])
    for standing in Settlement.objects.filter(case=case, reopened_at=None):
        standing.reopened_at, standing.reopened_because = at, because.strip()[:300]
        standing.save(update_fields=["reopened_at", "reopened_because"])
    holds.place(case.customer, key=ref_of(case), reason="open_case", at=at, by=by)
    endings.wait_for_us(case.conversation_id, by=by, at=at)
    history.record(
        case.customer, "case.reopened", ref=ref_of(case), by=by, at=at, detail={"times": case.reopened_count}
    )


@transaction.atomic
def go_quiet(case_id: int, *, note: str, by: User, at: datetime) -> Case:
    """End a case whose customer could not be reached any more, and its conversation; it never counts as settled (R013).

    Raises Case.DoesNotExist, WrongStatus, and what `endings.go_quiet` raises; then nothing has changed.
    """
    case = locked(case_id)
    _move(case, Status.WENT_QUIET)
    case.save(update_fields=["status"])
    endings.go_quiet(case.conversation_id, note=note, by=by, at=at, with_case=True)
    holds.lift(ref_of(case), at=at, by=by)
    history.record(case.customer, "case.went_quiet", ref=ref_of(case), by=by, at=at)
    return case


@transaction.atomic
def dismiss(case_id: int, *, reason: DismissalReason, by: User, at: datetime) -> Case:
    """End a case that was seen where nothing was to be answered, with its conversation; only while nobody has taken it on.

    Raises Case.DoesNotExist, WrongStatus, and what `endings.dismiss` raises; then nothing has changed.
    """
    case = locked(case_id)
    _move(case, Status.DISMISSED)
    case.save(update_fields=["status"])
    endings.dismiss(case.conversation_id, reason=reason, by=by, at=at, with_case=True)
    holds.lift(ref_of(case), at=at, by=by)
    history.record(case.customer, "case.dismissed", ref=ref_of(case), by=by, at=at, detail={"reason": reason.value})
    return case


def seen_again(event: str, ref: str, at: datetime) -> None:
    """Take up the case of a conversation whose dismissal was found wrong."""
    _seen_again(uuid.UUID(ref.partition(":")[2]), at=at)


@transaction.atomic
def _seen_again(conversation: uuid.UUID, *, at: datetime) -> None:
    """Take up the case of a conversation that was wrongly dismissed, or in which the customer spoke again."""
    case = (
        Case.objects.select_for_update(of=("self",))
        .select_related("customer")
        .filter(conversation__public_id=conversation, status=Status.DISMISSED)
        .first()
    )
    if case is None:
        return
    _move(case, Status.DETECTED)
    case.save(update_fields=["status"])
    holds.place(case.customer, key=ref_of(case), reason="open_case", at=at)
    history.record(case.customer, "case.reopened", ref=ref_of(case), by=None, at=at)


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


def facts_from(values: dict[str, object]) -> Facts:
    """Make facts from what somebody noted. Raises UnusableFacts in words for the person who noted them."""
    try:
        return Facts(**values)  # type: ignore[arg-type]
    except (ValueError, TypeError) as mistake:
        raise UnusableFacts(str(mistake)) from mistake


def ref_of(case: Case) -> str:
    """What history entries, holds and messages call this case."""
    return f"case:{case.public_id}"


def locked(case_id: int) -> Case:
    """One case, locked until the caller's transaction ends. Raises Case.DoesNotExist."""
    return Case.objects.select_for_update(of=("self",)).select_related("customer", "conversation").get(pk=case_id)


def _move(case: Case, status: Status) -> None:
    if status not in NEXT[Status(case.status)]:
        raise WrongStatus(
            _("A case that is “%(now)s” cannot become “%(wanted)s”.")
            % {"now": case.get_status_display(), "wanted": status.label}
        )
    case.status = status
