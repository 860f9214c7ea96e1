"""What recovery stores: the rules, the failures we owe something for, and every decision about them."""

from recovery.models.cases import (
    LIVE,
    Case,
    CaseQuerySet,
    Decision,
)
from recovery.models.policy import (
    PolicyRule,
    PolicyVersion,
    PolicyVersionQuerySet,
)
from recovery.models.shadow import (
    QueueDay,
)

__all__ = [
    "LIVE",
    "Case",
    "CaseQuerySet",
    "Decision",
    "PolicyRule",
    "PolicyVersion",
    "PolicyVersionQuerySet",
    "QueueDay",
]
