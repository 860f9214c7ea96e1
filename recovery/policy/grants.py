"""What may be given in a case: all that was decided, by anybody; more only as an exception that becomes a proposal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.language import statements

EXCEPTIONS_BUDGET = 0
"""How many exceptions a week may bring before the ledger calls it special treatment: none (R065)."""


class GrantKind(TextChoices):
    REFUND = "refund", gettext_lazy("money back")
    GOODWILL = "goodwill", gettext_lazy("goodwill")
    REPLACEMENT = "replacement", gettext_lazy("a replacement")
    REPAIR = "repair", gettext_lazy("a repair")
    REVERSAL = "reversal", gettext_lazy("a change undone")
    APOLOGY = "apology", gettext_lazy("an apology by a named person")
    RELIEF = "relief", gettext_lazy("help on the same day")
    EASIER_WAY = "easier_way", gettext_lazy("help in an easier way")
    REVIEW = "review", gettext_lazy("an independent look")


class ExceptionState(TextChoices):
    PROPOSED = "proposed", gettext_lazy("waits for a second person")
    APPROVED = "approved", gettext_lazy("given")
    REFUSED = "refused", gettext_lazy("not given")


class ProposalState(TextChoices):
    OPEN = "open", gettext_lazy("to be decided")
    ACCEPTED = "accepted", gettext_lazy("for the next draft of the rules")
    DECLINED = "declined", gettext_lazy("declined")


KINDS_OF: dict[str, tuple[GrantKind, ...]] = {
    "refund_loss": (GrantKind.REFUND,),
    "repair_or_replace": (GrantKind.REPAIR, GrantKind.REPLACEMENT, GrantKind.REFUND),
    "reverse_change": (GrantKind.REVERSAL,),
    "apology_by_name": (GrantKind.APOLOGY,),
    "same_day_relief": (GrantKind.RELIEF,),
    "easier_way": (GrantKind.EASIER_WAY,),
    "independent_review": (GrantKind.REVIEW,),
}
"""Which kinds of grant fulfil which remedy of a decision."""


ACTS_OF = {"refund_loss": "refund", "reverse_change": "reverse", "repair_or_replace": "repair_or_replace"}
"""What a remedy is called where answers are compared with what is owed."""


def acts_owed(remedies: Iterable[str]) -> list[str]:
    """Name the acts that no answer may refuse, from the remedies of a decision."""
    return [ACTS_OF[remedy] for remedy in remedies if remedy in ACTS_OF]


@dataclass(frozen=True, slots=True)
class Grantable:
    """What may still be given without asking anybody. money: in `currency`, what was decided less what was given."""

    kinds: tuple[GrantKind, ...]
    money: Decimal
    currency: str


def grantable(entitlement: Mapping[str, Any], *, given: Decimal) -> Grantable:
    """Say what may still be given inside a decision's entitlement: a function of the case's facts alone (E16, R142).

    entitlement: as stored with the decision. given: money given inside entitlements of this case so far, >= 0.
    """
    kinds = [kind for remedy in entitlement["remedies"] for kind in KINDS_OF.get(remedy, ())]
    owed = Decimal(entitlement["owed"])
    if owed:
        kinds += [GrantKind.REFUND, GrantKind.GOODWILL]
    return Grantable(
        kinds=tuple(dict.fromkeys(kinds)), money=max(owed - given, Decimal(0)), currency=entitlement["currency"]
    )


def is_inside(left: Grantable, *, kind: GrantKind, amount: Decimal, currency: str) -> bool:
    """Say whether a grant lies inside what was decided. amount: 0 for what has no price, such as an apology."""
    if kind not in left.kinds:
        return False
    return amount == 0 or (currency == left.currency and amount <= left.money)


def why_not_in_public(text: str, entitlement: Mapping[str, Any]) -> str:
    """Say why words about a grant may not stand in public, or "" when they may (R060).

    They name a general reason of the rules that applied, and promise nothing beyond what those rules give everybody.
    """
    said = " ".join(text.casefold().split())
    reasons: Sequence[str] = [reason for _code, reason in entitlement["explanation"]]
    if not any(" ".join(reason.casefold().rstrip(".").split()) in said for reason in reasons):
        return _("In public, please name the rule in its own words, so that everybody reads what they would get too.")
    if statements.is_for_one_person(text):
        return _("In public, please promise only what everybody gets; these words speak of an exception.")
    offered = statements.read(text).amounts
    owed = Decimal(entitlement["owed"])
    if any(currency != entitlement["currency"] or amount > owed for currency, amount, _sentence in offered):
        return _("In public, please name no more than the rules give: %(amount)s %(currency)s.") % {
            "amount": owed, "currency": entitlement["currency"],
        }  # fmt: skip
    return ""
