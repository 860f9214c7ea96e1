"""Showing who somebody is before they are helped: asked, shown, not shown, or asked no more; each is a step that is counted.

A step is asked in a matter, by the same rules whichever channel it came by (`crm.policy.identity_checks`). That it was asked and
what came of it is kept; what was shown never is. A code leaves by mail to an address that was proved before the matter began:
what somebody brings along proves nothing for themselves (C04).
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import desk, letters, outgoing
from crm.actions.belongings import both, records_of
from crm.models import ContactPoint, Conversation, Doubt, IdentityCheck, Interaction, OutgoingMessage, User
from crm.models.people import ContactKind
from crm.policy import OUTGOING_NEXT, ConversationState, Direction, OutgoingState
from crm.policy.identity_checks import (
    CODES_A_DAY,
    LAPSES_AFTER,
    TRIES,
    CheckFacts,
    CheckKind,
    CheckNeed,
    CheckState,
    has_lapsed,
    is_beyond,
    is_enough,
    may_be_next,
    possible,
    steps,
)

CODE = "crm.identity_check"
LETTER = "identity-code:"
"""How the key of a letter begins that carries a code."""
LONGEST = 300
AT_ONCE = 200
_AT_REST = (OutgoingState.ACCEPTED, OutgoingState.CANCELLED)
"""States of a letter that leaves no more, so that its words can go."""


class AlreadyAsked(Exception):
    """They are being asked for this already."""

    code = "already_asked"


class NothingProved(Exception):
    """There is nowhere proved to which a code or a call could go."""

    code = "nothing_proved"


class ReasonNeeded(ValueError):
    """This is more than the rules ask for; that needs a reason in words."""

    code = "reason_needed"


class CheckSettled(Exception):
    """The step was shown, not shown or taken back before."""

    code = "check_settled"


class CodeAlone(Exception):
    """A step with a code is shown by the code and by nothing else."""

    code = "code_alone"


class TooManyCodes(Exception):
    """Enough codes were sent to this customer for today."""

    code = "too_many_codes"


class NotThatCode(Exception):
    """That is not the code that was sent, or it was too long ago."""

    code = "not_that_code"


@dataclass(frozen=True, slots=True)
class Asks:
    """What the rules say for one need in a matter now. steps: in all; kinds: of which one may be next; is_enough: shown already."""

    need: CheckNeed
    steps: int
    kinds: frozenset[CheckKind]
    is_enough: bool


def of_matter(conversation: Conversation) -> QuerySet[IdentityCheck]:
    """What was asked in a matter, the newest first."""
    found = IdentityCheck.objects.filter(conversation=conversation)
    return found.select_related("asked_by", "settled_by", "message").order_by("-pk")


def asks(conversation: Conversation) -> list[Asks]:
    """Say what the rules ask for now, for every need. Three statements; reads only."""
    rows = list(IdentityCheck.objects.filter(conversation=conversation).standing().order_by("pk"))
    standing = {CheckKind(row.kind) for row in rows}
    passed = {CheckKind(row.kind) for row in rows if row.state == CheckState.PASSED}
    known = _known(conversation)
    found = []
    for need in CheckNeed:
        facts = CheckFacts(need, **known)
        found.append(Asks(need, steps(facts), may_be_next(facts, standing=standing), is_enough(facts, passed=passed)))
    return found


def _known(conversation: Conversation) -> dict[str, bool]:
    """How strong the evidence is already, as `CheckFacts` names it. Two statements."""
    doubted = Doubt.objects.filter(interaction=OuterRef("pk"), settled_at=None)
    newest = (
        Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
        .select_related("contact_point")
        .annotate(is_doubted=Exists(doubted))
        .order_by("-spoke_at", "-pk")
        .first()
    )
    points = list(
        _proved(conversation).filter(kind__in=[ContactKind.EMAIL, ContactKind.PHONE]).values_list("kind", flat=True)
    )
    return {
        "is_proved": newest is not None and _is_proved(newest, conversation),
        "has_proved_mail": ContactKind.EMAIL in points,
        "has_proved_number": ContactKind.PHONE in points,
    }


def _is_proved(said: Any, conversation: Conversation) -> bool:
    """Whether words came from an address of the customer's that is proved. A caller's number can be borrowed: a claim (H10)."""
    point = said.contact_point
    return (
        point is not None
        and not said.is_doubted
        and not said.other_address
        and point.kind in (ContactKind.EMAIL, ContactKind.APP)
        and point.customer_id == conversation.customer_id
        and point.verified_at is not None
        and point.unlinked_at is None
        and point.unconfirmed_since is None
    )


def _proved(conversation: Conversation) -> QuerySet[ContactPoint]:
    """Addresses of the customer that were proved before the matter began, the latest proved first."""
    return ContactPoint.objects.filter(
        customer=conversation.customer_id,
        unlinked_at=None,
        unconfirmed_since=None,
        verified_at__lte=conversation.spoke_at,
    ).order_by("-verified_at", "-pk")


# --- asked --------------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask(
    conversation_id: int, *, kind: CheckKind, need: CheckNeed, by: User, at: datetime, because: str = ""
) -> IdentityCheck:
    """Note that a customer is asked to show who they are; a code leaves by mail to a proved address of theirs at once.

    because: why more is asked than the rules say, in at most 300 characters; not kept where it is not more.
    Raises Conversation.DoesNotExist, desk.WrongState, AlreadyAsked, NothingProved, ReasonNeeded, TooManyCodes; then nothing has
    changed.
    """
    customer_id = Conversation.objects.values_list("customer_id", flat=True).get(pk=conversation_id)
    if kind == CheckKind.CODE:
        both(customer_id)  # codes to one customer are counted one by one
    conversation = _locked(conversation_id)
    if conversation.state == ConversationState.CLOSED or conversation.imported:
        raise desk.WrongState(_("This conversation is closed; there is nothing to show anybody for."))
    standing = {CheckKind(row.kind): row for row in IdentityCheck.objects.filter(conversation=conversation).standing()}
    if kind in standing and standing[kind].state == CheckState.ASKED:
        raise AlreadyAsked(_("They are being asked for this already."))
    facts = CheckFacts(need, **_known(conversation))
    if kind not in possible(facts):
        raise NothingProved(
            _("We know no mail address of theirs that was proved before. Please ask for something else.")
            if kind == CheckKind.CODE
            else _("We know no phone number of theirs that was proved before. Please ask for something else.")
        )
    beyond = is_beyond(kind, facts, standing=set(standing))
    said = " ".join(because.split())[:LONGEST] if beyond else ""
    if beyond and not said:
        raise ReasonNeeded(_("This is more than the rules ask for. Please write why it is needed."))
    check = IdentityCheck(
        conversation=conversation, kind=kind, need=need, is_beyond=beyond, because=said, asked_by=by, asked_at=at
    )
    if kind == CheckKind.CODE:
        _send_code(check, at=at)
    check.save(force_insert=True)
    _record(check, "asked", by=by, at=at)
    return check


def _send_code(check: IdentityCheck, *, at: datetime) -> None:
    """Write the letter with a new code. An address other than the one they wrote from comes first: it shows more."""
    conversation = check.conversation
    customer = conversation.customer
    lately = IdentityCheck.objects.filter(
        kind=CheckKind.CODE, conversation__customer__in=records_of(customer), asked_at__gt=at - timedelta(days=1)
    )
    if lately.count() >= CODES_A_DAY:
        raise TooManyCodes(_("We have sent them enough codes for today. Please ask for something else."))
    spoke_from = Interaction.objects.filter(conversation=conversation, contact_point=OuterRef("pk"))
    proved = _proved(conversation).filter(kind=ContactKind.EMAIL).annotate(wrote=Exists(spoke_from))
    point = proved.order_by("wrote", "-verified_at", "-pk")[0]
    code = f"{secrets.randbelow(10**8):08d}"
    letter = letters.render("crm/identity_code", language=customer.language, zone=customer.zone, code=code)
    message = outgoing.written(
        outgoing.notice(letter, key=f"{LETTER}{check.public_id}", address=point.address),
        customer=customer,
        conversation=conversation,
        at=at,
    )
    message.save(force_insert=True)
    history.record(
        customer,
        "message.queued",
        ref=outgoing.ref_of(message),
        by=check.asked_by,
        at=at,
        detail={"kind": message.kind},
    )
    dispatch.after_commit("outgoing.ready")
    check.message, check.digest = message, _digest(check, code)


def _digest(check: IdentityCheck, code: str) -> str:
    return salted_hmac(CODE, f"{check.public_id} {code}", algorithm="sha256").hexdigest()


# --- what came of it ----------------------------------------------------------------------------------------------------


@transaction.atomic
def passed(check_id: int, *, by: User, at: datetime) -> IdentityCheck:
    """Note that a colleague saw or heard what was asked. Raises IdentityCheck.DoesNotExist, CheckSettled, CodeAlone."""
    check = _open(check_id)
    if check.kind == CheckKind.CODE:
        raise CodeAlone(_("Please type in the code that they tell you."))
    return _settled(check, CheckState.PASSED, by=by, at=at)


@transaction.atomic
def failed(check_id: int, *, by: User, at: datetime) -> IdentityCheck:
    """Note that what was asked could not be shown. Raises IdentityCheck.DoesNotExist, CheckSettled."""
    return _settled(_open(check_id), CheckState.FAILED, by=by, at=at)


@transaction.atomic
def withdraw(check_id: int, *, by: User, at: datetime) -> IdentityCheck:
    """Ask for it no more; a code that has not left stays here. It was asked, so it counts as a step all the same.

    Raises IdentityCheck.DoesNotExist, CheckSettled.
    """
    return _settled(_open(check_id), CheckState.WITHDRAWN, by=by, at=at)


def try_code(check_id: int, *, code: str, by: User, at: datetime) -> IdentityCheck:
    """Note that the customer told us the code. Every wrong one counts, and the fifth ends the step as not shown.

    code: as it was told; blanks do not matter. Raises IdentityCheck.DoesNotExist, CheckSettled, NotThatCode; a wrong code is
    counted all the same.
    """
    check = _tried(check_id, code="".join(code.split()), by=by, at=at)
    if check.state == CheckState.PASSED:
        return check
    if check.state == CheckState.FAILED:
        raise NotThatCode(_("That was not the code, for the fifth time. They can be asked for something else."))
    if has_lapsed(asked_at=check.asked_at, at=at):
        raise NotThatCode(_("This code is more than a day old. Please take it back and have another one sent."))
    raise NotThatCode(_("That is not the code; they can try %(left)d more times.") % {"left": TRIES - check.tries})


@transaction.atomic
def _tried(check_id: int, *, code: str, by: User, at: datetime) -> IdentityCheck:
    """Count one try. The matter is locked, so that tries at once are counted one by one (C09)."""
    check = _open(check_id)
    if check.kind != CheckKind.CODE:
        raise NotThatCode(_("No code was sent for this."))
    if has_lapsed(asked_at=check.asked_at, at=at):
        return check
    check.tries += 1
    check.save(update_fields=["tries"])
    if constant_time_compare(check.digest, _digest(check, code)):
        return _settled(check, CheckState.PASSED, by=by, at=at)
    return _settled(check, CheckState.FAILED, by=by, at=at) if check.tries >= TRIES else check


def _settled(check: IdentityCheck, state: CheckState, *, by: User | None, at: datetime) -> IdentityCheck:
    check.state, check.settled_at, check.settled_by, check.digest = state, at, by, ""
    check.save(update_fields=["state", "settled_at", "settled_by", "digest"])
    if check.message is not None:
        _forget_code(check.message, by=by, at=at)
    _record(check, state.value, by=by, at=at)
    return check


def _forget_code(message: OutgoingMessage, *, by: User | None, at: datetime) -> None:
    """A code that is worth nothing any more does not leave, and need not stand anywhere; that there was a letter stays written."""
    if by is not None and OutgoingState.CANCELLED in OUTGOING_NEXT[OutgoingState(message.state)]:
        with contextlib.suppress(outgoing.WrongState):  # it is leaving at this moment
            outgoing.cancel(message.pk, by=by, at=at)
    OutgoingMessage.objects.filter(pk=message.pk, state__in=_AT_REST).update(text="", html="")


# --- by itself ----------------------------------------------------------------------------------------------------------


def tend(at: datetime) -> int:
    """Ask no more for what nobody showed for two weeks. Returns how many. Safe to repeat."""
    due = IdentityCheck.objects.filter(state=CheckState.ASKED, asked_at__lte=at - LAPSES_AFTER)
    keys = list(due.order_by("asked_at", "pk").values_list("pk", flat=True)[:AT_ONCE])
    return sum(_lapse(key, at=at) for key in keys)


@transaction.atomic
def _lapse(check_id: int, *, at: datetime) -> int:
    try:
        check = _open(check_id)
    except CheckSettled:
        return 0
    _settled(check, CheckState.WITHDRAWN, by=None, at=at)
    return 1


def _locked(conversation_id: int) -> Conversation:
    return Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)


def _open(check_id: int) -> IdentityCheck:
    """The step, with its matter locked first as everywhere."""
    conversation = _locked(IdentityCheck.objects.values_list("conversation_id", flat=True).get(pk=check_id))
    check = IdentityCheck.objects.select_related("message").get(pk=check_id)
    if check.state != CheckState.ASKED:
        raise CheckSettled(_("This was settled before: %(state)s.") % {"state": check.get_state_display()})
    check.conversation = conversation
    return check


def _record(check: IdentityCheck, what: str, *, by: User | None, at: datetime) -> None:
    conversation = check.conversation
    history.record(
        conversation.customer,
        f"identity_check.{what}",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"check": str(check.public_id), "kind": check.kind, "need": check.need, "beyond": check.is_beyond},
    )
