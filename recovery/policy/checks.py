"""What a machine asks of every draft before a person may approve it.

Rules only ever ask whether a number is *at least* something. So the numbers at which rules begin cut each axis of `Facts` into
finitely many cells, inside a cell the same rules apply, and going through the cells goes through everything that can happen:
“total” and “monotone” hold for all facts there are, not for a sample of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import money
from crm.policy import PromiseKind
from recovery.policy import sentences
from recovery.policy.barred import why_barred
from recovery.policy.comparing import difference
from recovery.policy.entitlement import (
    FACT_NAMES,
    REFUNDS,
    ComplaintType,
    Entitlement,
    Facts,
    Policy,
    RemedyKind,
    Rule,
    Severity,
    canonical,
    combined,
    entitlement_for,
)


class Check(TextChoices):
    WELL_FORMED = "well_formed", gettext_lazy("Every rule can be read")
    NO_BARRED_FACT = "no_barred_fact", gettext_lazy("No rule asks for what may not count")
    OBTAINABLE = "obtainable", gettext_lazy("Every fact can be told on every channel with equal effort")
    TOTAL = "total", gettext_lazy("Everybody is owed an answer, whatever happened")
    MONOTONE = "monotone", gettext_lazy("More harm never earns less")
    DETERMINISTIC = "deterministic", gettext_lazy("Equal facts always earn exactly the same")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in words. rule: the code of the rule that causes it; empty when several do."""

    check: Check
    rule: str
    words: str


@dataclass(frozen=True, slots=True)
class Result:
    """All findings, and the checks that could not be made because rules cannot be read."""

    findings: tuple[Finding, ...]
    not_made: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.findings and not self.not_made

    def as_data(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "passed": self.passed,
            "not_made": [check.value for check in self.not_made],
            "findings": [[found.check.value, found.rule, found.words] for found in self.findings],
        }


OWED_TO_ALL = (
    RemedyKind.ACKNOWLEDGEMENT,
    RemedyKind.NAMED_OWNER,
    RemedyKind.EXPLANATION,
    RemedyKind.WRITTEN_CONFIRMATION,
    RemedyKind.RECOURSE,
)
PROMISED_TO_ALL = (PromiseKind.FIRST_RESPONSE, PromiseKind.RESOLUTION)
MAY_PROMISE = (
    *PROMISED_TO_ALL, PromiseKind.OWNERSHIP, PromiseKind.NEXT_UPDATE, PromiseKind.CONFIRMATION, PromiseKind.STATUTORY,
)  # fmt: skip
"""What a rule may promise: whatever the work on a case keeps. The others are given by a person, for a reason of their own."""

LONGEST = 366 * 24 * 60
HIGHEST = Decimal("99999999.99")
CODE = re.compile(r"[a-z][a-z0-9_]{0,47}")
YES_OR_NO = ("safety", "essential", "vulnerable")
NUMBERS = ("loss", "days_without", "our_failures")
WORDS = ("complaint_type", "currency")
UPWARD = (*NUMBERS, *YES_OR_NO)
"""Facts that can be more or less; the others are only different."""


def checked(rules: Sequence[Rule], *, unequal: Mapping[str, str]) -> Result:
    """Make every check. unequal: facts that not every channel can tell with equal effort, and why (recovery/obtainable.py)."""
    findings = [*well_formed(rules), *no_barred_fact(rules), *obtainable(rules, unequal=unequal)]
    if any(found.check in (Check.WELL_FORMED, Check.NO_BARRED_FACT) for found in findings):
        return Result(tuple(findings), not_made=(Check.TOTAL, Check.MONOTONE, Check.DETERMINISTIC))
    return Result((*findings, *total(rules), *monotone(rules), *deterministic(rules)))


# --- one rule at a time ---------------------------------------------------------------------------------------------


def well_formed(rules: Sequence[Rule]) -> list[Finding]:
    """Find what cannot be read or cannot be meant in single rules, and codes that are used twice."""
    found = [Finding(Check.WELL_FORMED, rule.code, words) for rule in rules for words in mistakes_in(rule)]
    codes = [rule.code for rule in rules]
    found += [
        Finding(Check.WELL_FORMED, code, _("Two rules have this name."))
        for code in sorted({code for code in codes if codes.count(code) > 1})
    ]
    if not rules:
        found.append(Finding(Check.WELL_FORMED, "", _("There is no rule yet.")))
    return found


def mistakes_in(rule: Rule) -> list[str]:
    """Say what cannot be read or cannot be meant in one rule; conditions on what is no fact are for `no_barred_fact`."""
    found = []
    if not CODE.fullmatch(rule.code):
        found.append(_("Its name has to be small letters, digits and “_”, at most 48, and begin with a letter."))
    if not rule.because.strip():
        found.append(_("It has no reason that could be said in public."))
    if len(rule.because) > 300:
        found.append(_("Its reason is longer than 300 characters."))
    for name, condition in rule.when.items():
        if name in FACT_NAMES:
            found += _mistakes_in_condition(name, condition)
    known = [kind.value for kind in RemedyKind]
    found += [
        _("“%(kind)s” is nothing that can be owed.") % {"kind": kind} for kind in rule.remedies if kind not in known
    ]
    found += _mistakes_in_times(rule.within)
    if not isinstance(rule.goodwill, Decimal) or not rule.goodwill.is_finite() or not 0 <= rule.goodwill <= HIGHEST:
        found.append(_("Its goodwill has to be an amount from 0 to %(highest)s.") % {"highest": HIGHEST})
    elif rule.goodwill != rule.goodwill.quantize(Decimal("0.01")):
        found.append(_("Its goodwill has more than two decimal places."))
    if rule.severity not in list(Severity):
        found.append(_("“%(severity)s” is no severity.") % {"severity": rule.severity})
    elif not rule.remedies and not rule.goodwill and not rule.within and rule.severity == Severity.LOW:
        found.append(_("It gives nothing."))
    return found


def _mistakes_in_condition(name: str, condition: Any) -> list[str]:
    label = sentences.FACT_LABELS[name]
    if not isinstance(condition, Mapping) or len(condition) != 1:
        return [_("“%(fact)s” needs exactly one test.") % {"fact": label}]
    ((test, wanted),) = condition.items()
    if test not in ("is", "one_of", "at_least"):
        return [_("“%(test)s” is no test; there are “is”, “one_of” and “at_least”.") % {"test": test}]
    if name in NUMBERS:
        if test != "at_least":
            return [_("“%(fact)s” is a number; its test is “at_least”.") % {"fact": label}]
        return (
            [] if _is_number(name, wanted) else [_("“%(fact)s” is compared with what is no number.") % {"fact": label}]
        )
    if name in YES_OR_NO:
        good = test == "is" and isinstance(wanted, bool)
        return [] if good else [_("“%(fact)s” can only be yes or no.") % {"fact": label}]
    if test == "at_least" or (test == "one_of") != isinstance(wanted, list | tuple) or wanted in ([], ()):
        return [_("“%(fact)s” takes “is” with one value or “one_of” with a list.") % {"fact": label}]
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    known: Iterable[str] = [kind.value for kind in ComplaintType] if name == "complaint_type" else money.CURRENCIES
    return [_("“%(value)s” is unknown.") % {"value": value} for value in values if value not in known]


def _is_number(name: str, wanted: Any) -> bool:
    if isinstance(wanted, bool) or not isinstance(wanted, int | float | str | Decimal):
        return False
    if name != "loss":
        return isinstance(wanted, int) and 0 <= wanted <= 100_000
    try:
        amount = Decimal(str(wanted))
    except InvalidOperation:
        return False
    return amount.is_finite() and 0 <= amount <= HIGHEST


def _mistakes_in_times(within: Any) -> list[str]:
    if not isinstance(within, Mapping):
        return [_("Its times cannot be read.")]
    found = []
    for kind, minutes in within.items():
        if kind not in {promised.value for promised in MAY_PROMISE}:
            found.append(_("“%(kind)s” is nothing that a rule can promise.") % {"kind": kind})
        if isinstance(minutes, bool) or not isinstance(minutes, int) or not 0 < minutes <= LONGEST:
            found.append(_("“%(kind)s” needs whole minutes, at least one, at most a year.") % {"kind": kind})
    return found


def no_barred_fact(rules: Sequence[Rule]) -> list[Finding]:
    """Find rules that ask for anything but facts, and say why where the reason is known."""
    return [
        Finding(Check.NO_BARRED_FACT, rule.code, why_barred(name))
        for rule in rules
        for name in rule.when
        if name not in FACT_NAMES
    ]


def obtainable(rules: Sequence[Rule], *, unequal: Mapping[str, str]) -> list[Finding]:
    """Find rules that read a fact which some channel cannot tell with equal effort."""
    return [
        Finding(Check.OBTAINABLE, rule.code, unequal[name]) for rule in rules for name in rule.when if name in unequal
    ]


# --- all rules together, on the cells their own numbers cut ---------------------------------------------------------

Cell = tuple[tuple[str, Any], ...]
"""One value per axis, as far as it matters."""


def _axes(rules: Sequence[Rule]) -> dict[str, list[Any]]:
    """The values of each fact at which something can change, rising where a fact can be more; the first is the least."""
    asked: dict[str, list[Any]] = {name: [] for name in FACT_NAMES}
    for rule in rules:
        for name, condition in rule.when.items():
            for wanted in condition.values():
                asked[name] += wanted if isinstance(wanted, list | tuple) else [wanted]
    unnamed = next((code for code in money.CURRENCIES if code not in asked["currency"]), None)
    return {
        # The loss comes first, so that of cells with the same rules `met` keeps one with the least loss.
        "loss": sorted({Decimal(0), *(Decimal(str(wanted)) for wanted in asked["loss"])}),
        "complaint_type": list(ComplaintType),
        "currency": sorted({*asked["currency"], *([unnamed] if unnamed else [])}),
        "days_without": sorted({0, *asked["days_without"]}),
        "our_failures": sorted({0, *asked["our_failures"]}),
        **{name: [False, True] for name in YES_OR_NO},
    }


class _Lattice:
    """Which rules apply in which cell, as one bit per rule."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.every = (1 << len(rules)) - 1
        self.tables = {
            name: [(value, sum(1 << n for n, rule in enumerate(rules) if rule.allows(name, value))) for value in values]
            for name, values in _axes(rules).items()
        }
        self._given: dict[int, Entitlement] = {}

    def given(self, mask: int) -> Entitlement:
        """What these rules give, but for the loss itself, in a currency in which no amount is rounded."""
        if mask not in self._given:
            applying = [rule for n, rule in enumerate(self.rules) if mask >> n & 1]
            self._given[mask] = combined(applying, loss=Decimal(0), currency="EUR")
        return self._given[mask]

    def met(self, tables: Mapping[str, Sequence[tuple[Any, int]]], *, start: int, needs: int) -> dict[int, Cell]:
        """The sets of rules that can apply together, each with a cell in which they do; only those with a rule of `needs`."""
        found: dict[int, Cell] = {start: ()}
        for name, table in tables.items():
            grown: dict[int, Cell] = {}
            for mask, cell in found.items():
                for value, allowed in table:
                    both = mask & allowed
                    if both & needs and both not in grown:
                        grown[both] = (*cell, (name, value))
            found = grown
        return found


def total(rules: Sequence[Rule]) -> list[Finding]:
    """Find what somebody could go without, of all that everybody is owed.

    Where the rules only become more along an axis, its least value is the worst case.
    """
    lattice = _Lattice(rules)
    tables = {
        name: table[:1] if name in UPWARD and all(not (a & ~b) for (_v, a), (_w, b) in pairwise(table)) else table
        for name, table in lattice.tables.items()
    }
    nobody = 1 << len(rules)  # a bit that no axis takes away, so that a cell without any rule is met too
    tables = {name: [(value, mask | nobody) for value, mask in table] for name, table in tables.items()}
    missing: dict[str, Cell] = {}
    for mask, cell in lattice.met(tables, start=lattice.every | nobody, needs=nobody).items():
        given = lattice.given(mask & lattice.every)
        lacks = [sentences.remedy(kind) for kind in OWED_TO_ALL if kind not in given.remedies]
        lacks += [sentences.promise(kind) for kind in PROMISED_TO_ALL if kind not in given.within]
        for lack in lacks:
            missing.setdefault(lack, cell)
    return [
        Finding(
            Check.TOTAL,
            "",
            _("Nobody is owed “%(lack)s” in this case: %(case)s.")
            % {"lack": lack, "case": sentences.known(_facts(cell))},
        )
        for lack, cell in missing.items()
    ]


def monotone(rules: Sequence[Rule]) -> list[Finding]:
    """Find facts that are worse and earn less: fewer remedies, less money, a longer time or a lower severity.

    Every rise of facts is made of steps along one axis from one cell to the next. A step that loses no rule loses nothing, for
    what rules give is added up in the customer's favour; so only steps on which a rule stops applying have to be looked at.
    """
    lattice = _Lattice(rules)
    found: dict[tuple[str, int], Finding] = {}
    for axis in UPWARD:
        others = {name: table for name, table in lattice.tables.items() if name != axis}
        for (below, low), (above, high) in pairwise(lattice.tables[axis]):
            stops = low & ~high
            if not stops:
                continue
            for mask, cell in lattice.met(others, start=lattice.every, needs=stops).items():
                pass_on = (axis, mask & stops)
                if pass_on in found:
                    continue
                less = _less(lattice, mask & low, mask & high, cell)
                if less:
                    first = (mask & stops).bit_length() - 1
                    found[pass_on] = Finding(
                        Check.MONOTONE,
                        rules[first].code,
                        _("Whoever is worse off gets less. %(case)s: %(less)s, once “%(fact)s” is %(above)s.")
                        % {
                            "case": sentences.known(_facts((*cell, (axis, below)))),
                            "less": "; ".join(less),
                            "fact": sentences.FACT_LABELS[axis],
                            "above": _("yes") if above is True else above,
                        },
                    )
    return list(found.values())


def _less(lattice: _Lattice, below: int, above: int, cell: Cell) -> list[str]:
    """What the rules `above` give less than those `below`, to somebody who lost the money of this cell."""
    loss, currency = dict(cell).get("loss", Decimal(0)), "EUR"
    entitled = []
    for mask in (below, above):
        given = lattice.given(mask)
        owed = given.owed + (loss if REFUNDS.intersection(given.remedies) else Decimal(0))
        entitled.append(Entitlement(given.severity, given.remedies, owed, currency, given.within, given.explanation))
    found = difference(*entitled)
    return sentences.changes(found, currency=dict(cell).get("currency", currency)) if found.gives_less else []


def deterministic(rules: Sequence[Rule]) -> list[Finding]:
    """Find facts that earn other bytes a second time, or another entitlement when the rules stand in another order.

    The evaluator adds up, which no order can change; deciding the lowest and the highest cells shows that it still does.
    """
    orders = [tuple(rules), tuple(reversed(rules)), (*rules[len(rules) // 2 :], *rules[: len(rules) // 2])]
    axes = _axes(rules)
    ends: list[list[Cell]] = [[tuple((name, axes[name][end]) for name in NUMBERS)] for end in (0, -1)]
    for name in (*WORDS, *YES_OR_NO):
        ends = [[(*cell, (name, value)) for cell in cells for value in axes[name]] for cells in ends]
    for facts in [_facts(cell) for cells in ends for cell in cells][:CELLS_DECIDED]:
        plain = entitlement_for(facts, Policy(0, orders[0]))
        if canonical(plain.as_data()) != canonical(entitlement_for(facts, Policy(0, orders[0])).as_data()):
            return [Finding(Check.DETERMINISTIC, "", _("The same facts earn different bytes when decided twice."))]
        for order in orders[1:]:
            other = entitlement_for(facts, Policy(0, order))
            if _without_order(plain) != _without_order(other):
                return [Finding(Check.DETERMINISTIC, "", _("The order of the rules changes what somebody is owed."))]
    return []


CELLS_DECIDED = 1000


def _without_order(entitlement: Entitlement) -> str:
    plain = entitlement.as_data()
    return canonical({**plain, "remedies": sorted(plain["remedies"]), "explanation": sorted(plain["explanation"])})


def _facts(cell: Cell) -> Facts:
    return Facts(**{"our_failures": 0, **dict(cell)})
