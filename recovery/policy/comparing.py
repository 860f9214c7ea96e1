"""What one entitlement gives more or less than another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from recovery.policy.entitlement import Entitlement, Severity


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes for somebody; seen from the customer, so later is less and sooner is more.

    money: after minus before, in their currency. sooner and later: promise kind to how much; a promise that ends has no length.
    severity: steps up (graver, so looked after before others) or down.
    """

    money: Decimal
    sooner: dict[str, timedelta | None]
    later: dict[str, timedelta | None]
    severity: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def gives_less(self) -> bool:
        """Whether anything at all is less; more of another thing does not outweigh it."""
        return self.money < 0 or bool(self.later) or self.severity < 0 or bool(self.lost)

    @property
    def gives_more(self) -> bool:
        return self.money > 0 or bool(self.sooner) or self.severity > 0 or bool(self.gained)


def difference(before: Entitlement, after: Entitlement) -> Difference:
    """Compare what two sets of rules, or two sets of facts, earn. Raises ValueError for amounts in two currencies."""
    if before.currency != after.currency:
        raise ValueError("Amounts in two currencies cannot be compared.")
    order = list(Severity)
    sooner: dict[str, timedelta | None] = {}
    later: dict[str, timedelta | None] = {}
    for kind in sorted({*before.within, *after.within}):
        was, becomes = before.within.get(kind), after.within.get(kind)
        if was is None:
            sooner[kind] = None
        elif becomes is None:
            later[kind] = None
        elif becomes < was:
            sooner[kind] = was - becomes
        elif becomes > was:
            later[kind] = becomes - was
    return Difference(
        money=after.owed - before.owed,
        sooner=sooner,
        later=later,
        severity=order.index(after.severity) - order.index(before.severity),
        gained=tuple(remedy for remedy in after.remedies if remedy not in before.remedies),
        lost=tuple(remedy for remedy in before.remedies if remedy not in after.remedies),
    )
