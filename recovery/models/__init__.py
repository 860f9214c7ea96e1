"""What recovery stores: the rules, the failures we owe something for, and every decision about them."""

from recovery.models.audits import ParityAudit, ParityFinding
from recovery.models.cases import (
    LIVE,
    Case,
    CaseQuerySet,
    Decision,
    Settlement,
)
from recovery.models.cells import DayCells
from recovery.models.grants import EmpowermentGap, Grant, LedgerWeek, PolicyProposal, TreatmentException
from recovery.models.held import HeldStep
from recovery.models.links import CaseLink
from recovery.models.policy import (
    PolicyRule,
    PolicyVersion,
    PolicyVersionQuerySet,
)
from recovery.models.reviews import CaseReview
from recovery.models.shadow import (
    QueueDay,
)

__all__ = [
    "LIVE",
    "Case",
    "CaseLink",
    "CaseQuerySet",
    "CaseReview",
    "DayCells",
    "Decision",
    "EmpowermentGap",
    "Grant",
    "HeldStep",
    "LedgerWeek",
    "ParityAudit",
    "ParityFinding",
    "PolicyProposal",
    "PolicyRule",
    "PolicyVersion",
    "PolicyVersionQuerySet",
    "QueueDay",
    "Settlement",
    "TreatmentException",
]
