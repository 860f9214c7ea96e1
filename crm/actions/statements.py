"""What we say stays said: what is owed stands beside the conversation, and every answer is compared with it and with the last."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from crm.language import statements
from crm.models import Conversation, Correction, Interaction, Owed, User
from crm.policy import Direction, OutgoingState
from crm.together import new

COMPARED_WITH = 50
"""How many earlier answers of the same conversation an answer is compared with."""


class Contradicts(Exception):
    """The answer does not go with what the customer was told before, or with what is owed."""

    code = "contradicts"


def owe(
    conversation_id: int, *, amount: Decimal, currency: str, acts: Iterable[str], given_by: str, at: datetime
) -> None:
    """Write down what is owed in a conversation now; the newest decision counts.

    amount: money >= 0 in `currency`. acts: "refund", "reverse", "repair_or_replace". given_by: what decided it, "decision:7".
    """
    Owed.objects.update_or_create(
        conversation_id=conversation_id,
        defaults={"amount": amount, "currency": currency, "acts": sorted(acts), "given_by": given_by, "at": at},
    )


def compare(conversation: Conversation, *, text: str, correction: str, at: datetime) -> str:
    """Compare an answer with what was said before and what is owed. The conversation must be locked by the caller.

    correction: why it is otherwise now; "" for an ordinary answer. Where the customer is worse off than we said, its words stand
    in the answer itself; where they are better off, they are for the record.
    Returns the earlier sentence that a correction takes back, "" when nothing is taken back.
    Raises Contradicts: without such a reason, or when the answer goes below what is owed, which no reason allows.
    """
    said = (
        Interaction.objects.filter(conversation=conversation, direction=Direction.OUTBOUND)
        .exclude(outgoing__state__in=[OutgoingState.CANCELLED, OutgoingState.REFUSED])  # the customer never read those
        .order_by("-spoke_at", "-id")
        .values_list("spoke_at", "text")[:COMPARED_WITH]
    )
    standing = Owed.objects.filter(conversation=conversation).first()
    owed = statements.Owing(standing.amount, standing.currency, frozenset(standing.acts)) if standing else None
    earlier = [(spoke_at.date(), words) for spoke_at, words in reversed(said)]
    found = statements.contradictions(text, on=at.date(), earlier=earlier, owed=owed)
    short = next((one for one in found if one.is_owed), None)
    if short is not None and standing is not None:
        raise Contradicts(
            _(
                "“%(words)s” is less than what is owed here%(amount)s. Please name all of it, or look at the decision again."
            )
            % {"words": short.draft, "amount": f" ({standing})" if standing.amount else ""}
        )
    if not found:
        return ""
    worse = next((one for one in found if not one.is_better), None)
    shown = worse or found[0]
    if not correction.strip():
        raise Contradicts(_which_holds(shown))
    if worse is not None and _plain(correction) not in _plain(text):
        raise Contradicts(
            _("Please put the reason for the change into the message too, in the same words, so that they read it.")
        )
    return shown.earlier


def _which_holds(found: statements.Found) -> str:
    """Ask which of two contradicting answers holds. What became better needs its reason on record alone."""
    said = {"earlier": found.earlier, "words": found.draft}
    if found.is_better:
        asked = _(
            "We told them before: “%(earlier)s” Now it says: “%(words)s” If this is what holds now, please send it as a "
            "correction and write why."
        )
    else:
        asked = _(
            "We told them before: “%(earlier)s” Now it says: “%(words)s” If that has changed, please send it as a "
            "correction and tell them why."
        )
    return asked % said


def taken_back(interaction: Interaction, *, earlier: str, reason: str, by: User, at: datetime) -> Correction:
    """Make the row of a correction, to be written with its answer."""
    return new(Correction, interaction=interaction, earlier=earlier, reason=reason.strip(), by=by, at=at)


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())
