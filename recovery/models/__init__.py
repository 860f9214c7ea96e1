"""What recovery stores: the rules, the failures we owe something for, and every decision about them."""

from recovery.models.audits import ParityAudit, ParityFinding
from recovery.models.cases import (
    LIVE,
    Case,
    CaseQuerySet,
    Decision,
    Settlement,
)
from recovery.models.cells import DayCells, DaySince
from recovery.models.certificates import Disclosure, ParityCertificate, ResponseTimes
from recovery.models.corrections import Correction, CorrectionQuerySet, CreditSwitch, LevellingWeek
from recovery.models.grants import EmpowermentGap, Grant, LedgerWeek, PolicyProposal, TreatmentException
from recovery.models.held import HeldStep
from recovery.models.links import CaseLink
from recovery.models.policy import (
    PolicyRule,
    PolicyVersion,
    PolicyVersionQuerySet,
)
from recovery.models.probes import ParityProbe, ProbeEvidence, ProbeSide
from recovery.models.regrading import Grading, MannerSheet, Regrade, RegradeSkip
from recovery.models.reviews import CaseReview
from recovery.models.rule_reviews import RuleReview
from recovery.models.shadow import (
    QueueDay,
)
from recovery.models.watch import Teaching, WatchDay

__all__ = [
    "LIVE",
    "Case",
    "CaseLink",
    "CaseQuerySet",
    "CaseReview",
    "Correction",
    "CorrectionQuerySet",
    "CreditSwitch",
    "DayCells",
    "DaySince",
    "Decision",
    "Disclosure",
    "EmpowermentGap",
    "Grading",
    "Grant",
    "HeldStep",
    "LedgerWeek",
    "LevellingWeek",
    "MannerSheet",
    "ParityAudit",
    "ParityCertificate",
    "ParityFinding",
    "ParityProbe",
    "PolicyProposal",
    "PolicyRule",
    "PolicyVersion",
    "PolicyVersionQuerySet",
    "ProbeEvidence",
    "ProbeSide",
    "QueueDay",
    "Regrade",
    "RegradeSkip",
    "ResponseTimes",
    "RuleReview",
    "Settlement",
    "Teaching",
    "TreatmentException",
    "WatchDay",
]
