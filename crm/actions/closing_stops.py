"""What stops a public closing line, read anew in the moment that counts: before the customer is told, before it is written, and
once more in the transaction that hands it over (R128). Nothing here writes or sends a message.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, Subquery

from crm import history
from crm.actions import endings, suppression
from crm.models import ClosingLine, Consent, Conversation, Erasure, Hold, OutgoingMessage, Removal, Suppression, User
from crm.models.removals import OPEN
from crm.policy import ConversationState
from crm.policy.closing_lines import CONCERNS, PASSES, PROPOSED_WITHIN, LineFacts, LineState, reason_to_stop
from crm.policy.consent import Purpose
from crm.policy.ledger import ConsentState
from crm.policy.privacy import ErasureState
from crm.policy.suppression import SuppressionScope


def ref_of(line: ClosingLine) -> str:
    """What messages that belong to a line concern."""
    return f"{CONCERNS}{line.public_id}"


def reason_of(line: ClosingLine, *, at: datetime) -> str:
    """The code of what stops a line now, a key of policy REASONS, "" for nothing. One statement. line: with post.contact_point."""
    return reason_to_stop(_facts(line, at=at))


def _facts(line: ClosingLine, *, at: datetime) -> LineFacts:
    customer = OuterRef("conversation__customer")
    point = line.post.contact_point
    keys = suppression.keys_of(point.kind, point.address) if point is not None else []
    against = Suppression.objects.active(at).filter(key__in=keys, scope=SuppressionScope.ALL_BUT_OWED)
    mentioned = Consent.objects.decisive().filter(customer=customer, purpose=Purpose.PUBLIC_MENTION)
    settled = endings.settled_between(line.proposed_at - PROPOSED_WITHIN, line.proposed_at)
    found = ClosingLine.objects.filter(pk=line.pk).order_by("pk")
    row = found.values_list(
        "conversation__customer__status",
        "said_no_at",
        Subquery(mentioned.order_by("-at", "-id").values("state")[:1]),
        Exists(against),
        Exists(Erasure.objects.filter(customer=customer).exclude(state__in=[ErasureState.DONE, ErasureState.DROPPED])),
        ExpressionWrapper(Q(post__withdrawn_at__isnull=False), output_field=BooleanField()),
        Exists(Removal.objects.filter(post__interaction=OuterRef("post"), state__in=OPEN)),
        Exists(Conversation.objects.filter(settled, pk=OuterRef("conversation"))),
        Exists(Hold.objects.not_over(at).filter(customer=customer)),
        "conversation__state",
    )[0]
    status, said_no_at, mention, suppressed, forgotten, withdrawn, removed, is_settled, held, state = row
    return LineFacts(
        customer_status=status,
        has_said_no=said_no_at is not None,
        objects=suppressed or (mention is not None and mention != ConsentState.GRANTED),
        is_to_be_forgotten=forgotten,
        is_post_gone=withdrawn or removed,
        is_settled=is_settled,
        is_on_hold=held,
        waits_for_us=state == ConversationState.OPEN,
    )


def belongs_to_line(message: OutgoingMessage) -> bool:
    """Whether this is what would stand in public."""
    return message.is_public and message.concerns.startswith(CONCERNS)


def last_look(message: OutgoingMessage, *, at: datetime) -> str:
    """Ask once more in the transaction that begins to hand a line over; its customer is locked. Returns as `reason_of`.

    A line that is stopped by what passes can be written again later; one stopped for good is over.
    """
    lines = ClosingLine.objects.select_for_update(of=("self",)).filter(message=message)
    line = lines.select_related("conversation__customer", "post__contact_point").first()
    if line is None:
        return "came_back"
    reason = reason_of(line, at=at)
    if reason in PASSES:
        line.state, line.message, line.decided_by, line.decided_at = LineState.TOLD, None, None, None
        line.save(update_fields=["state", "message", "decided_by", "decided_at"])
    elif reason:
        stop(line, reason, at=at)
    return reason


def stop(line: ClosingLine, reason: str, *, at: datetime, by: User | None = None, origin: str = "") -> None:
    """Write down that a line is not to be. The line is locked by the caller."""
    line.state, line.reason = LineState.STOPPED, reason
    if reason == "said_no":
        line.said_no_at = at
    line.save(update_fields=["state", "reason", "said_no_at"])
    record(line, "closing_line.stopped", by=by, at=at, origin=origin, because=reason)


def record(line: ClosingLine, verb: str, *, by: User | None, at: datetime, origin: str = "", **detail: str) -> None:
    """Write into the history of the customer what became of a line."""
    history.record(
        line.conversation.customer,
        verb,
        ref=f"conversation:{line.conversation.public_id}",
        by=by,
        at=at,
        origin=origin,
        detail={"line": str(line.public_id), **detail},
    )
