"""What one failure of ours earns: a pure function of facts.

`Facts` has no channel, audience, handle or reach, and this module may import nothing that knows them, so the policy cannot say
"because it came by social media". The rules are rows; docs/policy.md is printed from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from crm import money


class Severity(TextChoices):
    LOW = "low", _("low")
    MEDIUM = "medium", _("medium")
    HIGH = "high", _("high")
    CRITICAL = "critical", _("critical")


class ComplaintType(TextChoices):
    UNSORTED = "unsorted", _("not sorted yet")
    DAMAGED_ITEM = "damaged_item", _("something arrived or came back damaged")
    LATE_OR_MISSING = "late_or_missing", _("late, missing or not done")
    UNREQUESTED_CHANGE = "unrequested_change", _("changed or charged without being asked for")
    WRONG_CHARGE = "wrong_charge", _("charged wrongly")
    CONDUCT = "conduct", _("how somebody was treated")


class RemedyKind(TextChoices):
    """What can be owed besides money on top; rules use these names and no others."""

    ACKNOWLEDGEMENT = "acknowledgement", _("We say that we have heard it")
    NAMED_OWNER = "named_owner", _("A named person looks after it")
    EXPLANATION = "explanation", _("An explanation of what happened")
    WRITTEN_CONFIRMATION = "written_confirmation", _("A confirmation in writing")
    RECOURSE = "recourse", _("The way to a second look")
    REFUND_LOSS = "refund_loss", _("The loss is paid back")
    APOLOGY_BY_NAME = "apology_by_name", _("An apology, signed by a person")
    REVERSE_CHANGE = "reverse_change", _("What was changed is undone")
    REPAIR_OR_REPLACE = "repair_or_replace", _("Repair, replacement or payment")
    INDEPENDENT_REVIEW = "independent_review", _("Somebody else looks at what happened")
    EASIER_WAY = "easier_way", _("Help in the way that is easiest for them")
    SAME_DAY_RELIEF = "same_day_relief", _("Relief on the same day")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the policy may know about one failure. The list of fields is pinned by a test.

    loss: money the customer lost, >= 0, in `currency` (ISO 4217), kept in whole smallest units, so that what is stored is
    what was decided on. days_without: days without what they paid for.
    our_failures: failures of ours in this matter, the first one included. safety: somebody is or was in danger.
    essential: money or service they need to live. vulnerable: told, or clearly evident and noted; only ever helps.
    Every fact can be told on every channel in one sentence and noted by staff in one field.
    """

    complaint_type: ComplaintType = ComplaintType.UNSORTED
    loss: Decimal = Decimal(0)
    currency: str = "EUR"
    days_without: int = 0
    our_failures: int = 1
    safety: bool = False
    essential: bool = False
    vulnerable: bool = False

    def __post_init__(self) -> None:
        if not self.loss.is_finite() or self.loss < 0:
            raise ValueError("The loss cannot be less than nothing.")
        try:
            object.__setattr__(self, "loss", money.rounded(self.loss, self.currency))
        except InvalidOperation as mistake:
            raise ValueError("The loss cannot be that large.") from mistake
        if self.days_without < 0 or self.our_failures < 0:
            raise ValueError("Days and failures cannot be less than nothing.")

    def as_data(self) -> dict[str, Any]:
        """The facts as JSON values, the same bytes for the same facts."""
        return {
            **asdict(self),
            "complaint_type": self.complaint_type.value,
            "loss": str(self.loss),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Facts:
        """Read facts back from `as_data`. Raises ValueError or KeyError for anything else."""
        unknown = set(data) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"These are no facts: {', '.join(sorted(unknown))}.")
        return cls(**{**data, "complaint_type": ComplaintType(data["complaint_type"]), "loss": Decimal(data["loss"])})


def _holds(condition: Mapping[str, Any], value: Any) -> bool:
    """Whether a fact's value passes every test of its condition. Raises ValueError for a test that is not understood."""
    for test, wanted in condition.items():
        if test == "is":
            passes = value == wanted
        elif test == "one_of":
            passes = value in wanted
        elif test == "at_least":
            passes = value >= (Decimal(str(wanted)) if isinstance(value, Decimal) else wanted)
        else:
            raise ValueError(f"“{test}” is no test; only “is”, “one_of” and “at_least” are understood.")
        if not passes:
            return False
    return True


FACT_NAMES: tuple[str, ...] = tuple(field.name for field in fields(Facts))
"""All that a rule may ask for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when these conditions hold, this is owed.

    when: fact name to condition; {"is": value}, {"one_of": [values]} or {"at_least": number}. Empty: always.
    remedies: what is owed, e.g. "refund_loss", "apology_by_name". goodwill: money on top, in the facts' currency.
    within: promise kind to minutes from when the customer spoke. critical: goes before everybody else.
    because: the reason in words one could say in public.
    """

    code: str
    when: Mapping[str, Mapping[str, Any]]
    remedies: tuple[str, ...] = ()
    goodwill: Decimal = Decimal(0)
    within: Mapping[str, int] = field(default_factory=dict)
    severity: Severity = Severity.LOW
    because: str = ""

    def allows(self, name: str, value: Any) -> bool:
        """Whether this rule may apply when one fact has this value. Raises ValueError for a test that is not understood."""
        try:
            return _holds(self.when.get(name, {}), value)
        except ValueError as mistake:
            raise ValueError(f"Rule {self.code}: {mistake}") from mistake

    def applies(self, facts: Facts) -> bool:
        """Whether every condition holds. Raises ValueError for a condition about something that is no fact."""
        for name in self.when:
            if name not in FACT_NAMES:
                raise ValueError(f"Rule {self.code} asks for “{name}”, which is no fact.")
            if not self.allows(name, getattr(facts, name)):
                return False
        return True

    def as_data(self) -> dict[str, Any]:
        """The rule as JSON values, the same bytes for the same rule."""
        return {
            "code": self.code,
            "when": {name: dict(condition) for name, condition in self.when.items()},
            "remedies": list(self.remedies),
            "goodwill": f"{self.goodwill:.2f}",
            "within_minutes": dict(self.within),
            "severity": str(self.severity),
            "because": self.because,
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the rules, in order."""

    version: int
    rules: tuple[Rule, ...]


EQUAL_CHOICES: dict[str, tuple[str, ...]] = {
    RemedyKind.REPAIR_OR_REPLACE.value: ("repair", "replacement", "refund"),
}
"""Remedies that the customer may take in several forms; each costs us the same or less than the loss itself."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What is owed, to whom the facts apply, whoever they are.

    owed: money, in `currency`; remedies: kinds, in the order of the rules; within: promise kind to duration from spoke_at;
    explanation: (rule code, reason) of every rule that applied.
    """

    severity: Severity
    remedies: tuple[str, ...]
    owed: Decimal
    currency: str
    within: Mapping[str, timedelta]
    explanation: tuple[tuple[str, str], ...]

    def as_data(self) -> dict[str, Any]:
        """The entitlement as JSON values, the same bytes for the same entitlement."""
        return {
            "severity": self.severity.value,
            "remedies": list(self.remedies),
            "owed": str(self.owed),
            "currency": self.currency,
            "within_minutes": {kind: int(self.within[kind].total_seconds() // 60) for kind in sorted(self.within)},
            "explanation": [list(reason) for reason in self.explanation],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Entitlement:
        """Read an entitlement back from `as_data`. Raises ValueError or KeyError for anything else."""
        return cls(
            severity=Severity(data["severity"]),
            remedies=tuple(data["remedies"]),
            owed=Decimal(data["owed"]),
            currency=data["currency"],
            within={kind: timedelta(minutes=minutes) for kind, minutes in data["within_minutes"].items()},
            explanation=tuple((code, because) for code, because in data["explanation"]),
        )

    @property
    def critical(self) -> bool:
        return self.severity == Severity.CRITICAL

    @property
    def confirms_in_writing(self) -> bool:
        """Whether the customer gets what was settled in writing."""
        return RemedyKind.WRITTEN_CONFIRMATION in self.remedies

    @property
    def approval_path(self) -> tuple[str, ...]:
        """Whose yes it takes to give what is owed: nobody's, on every channel and for every amount (R142)."""
        return ()

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The forms of equal value among which the customer chooses, by remedy."""
        return {remedy: EQUAL_CHOICES[remedy] for remedy in self.remedies if remedy in EQUAL_CHOICES}


REFUNDS: frozenset[str] = frozenset({RemedyKind.REFUND_LOSS.value})
"""Remedies that owe the loss itself."""


def entitlement_for(facts: Facts, policy: Policy) -> Entitlement:
    """Decide what one failure earns; equal facts always earn equal treatment.

    facts: see Facts. Returns owed remedies (money: loss where a refund is owed, plus the highest goodwill of the rules that
    apply), the shortest time per promise kind, the gravest severity, and the reasons. Where rules differ the one that favours
    the customer counts.
    Raises ValueError when a rule asks for something that is no fact.
    Source: the rule rows of `policy`, printed in docs/policy.md.
    """
    return combined([rule for rule in policy.rules if rule.applies(facts)], loss=facts.loss, currency=facts.currency)


def combined(applying: Sequence[Rule], *, loss: Decimal, currency: str) -> Entitlement:
    """Add up what these rules give to somebody who lost this much; see `entitlement_for`."""
    remedies = tuple(dict.fromkeys(remedy for rule in applying for remedy in rule.remedies))
    owed = loss if REFUNDS.intersection(remedies) else Decimal(0)
    owed += max((rule.goodwill for rule in applying), default=Decimal(0))
    within: dict[str, timedelta] = {}
    for rule in applying:
        for kind, minutes in rule.within.items():
            duration = timedelta(minutes=minutes)
            within[kind] = min(within.get(kind, duration), duration)
    order = list(Severity)
    severity = max((rule.severity for rule in applying), key=order.index, default=Severity.LOW)
    return Entitlement(
        severity=severity,
        remedies=remedies,
        owed=money.rounded(owed, currency),
        currency=currency,
        within=within,
        explanation=tuple((rule.code, rule.because) for rule in applying),
    )


def canonical(data: Mapping[str, Any]) -> str:
    """Write JSON data as the one text that is hashed and compared."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(data: Mapping[str, Any]) -> str:
    """The SHA-256 of the canonical text, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def content_hash(rules: Sequence[Rule]) -> str:
    """The fingerprint of a set of rules in their order; the same rules have the same one wherever they are stored."""
    return fingerprint({"rules": [rule.as_data() for rule in rules]})
