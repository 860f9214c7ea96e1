"""Which rules people look at again each quarter: those that deny, or err, too often (R041)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

LOOKED_AT = timedelta(days=91)
"""How far back a rule's numbers reach: a quarter."""
DENIED_AT_MOST = 0.50
OVERTURNED_AT_MOST = 0.10


class RuleVerdict(TextChoices):
    """What somebody finds who looks at a rule again."""

    KEEP = "keep", _("good as it is")
    CHANGE = "change", _("to be changed in the next draft")
    REMOVE = "remove", _("to be left out of the next draft")


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of the cases a rule applied to.

    settled: those settled in a time, but for those the customer took back; denied: of these without any failure found.
    reviewed: second looks ended in that time; overturned: of these decided anew.
    """

    settled: int = 0
    denied: int = 0
    reviewed: int = 0
    overturned: int = 0

    @property
    def denial(self) -> float | None:
        return self.denied / self.settled if self.settled else None

    @property
    def overturn(self) -> float | None:
        return self.overturned / self.reviewed if self.reviewed else None

    @property
    def denies_too_often(self) -> bool:
        return self.denial is not None and self.denial > DENIED_AT_MOST

    @property
    def errs_too_often(self) -> bool:
        return self.overturn is not None and self.overturn > OVERTURNED_AT_MOST

    @property
    def wants_review(self) -> bool:
        """Whether a person has to look at the rule again this quarter; a few cases are enough, a person can see that."""
        return self.denies_too_often or self.errs_too_often


def quarter_of(day: date) -> str:
    """Name the quarter a day lies in, "2026-Q4"."""
    return f"{day.year}-Q{(day.month + 2) // 3}"
