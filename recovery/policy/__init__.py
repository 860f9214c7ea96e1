"""What recovery decides, as pure functions: what one failure of ours earns, which status of a case may follow which, and what is
asked of the rules themselves before they count."""

from recovery.policy.cases import (
    NEXT,
    REVIEWED_WITHIN,
    Outcome,
    ReviewResult,
    Status,
    is_involved,
)
from recovery.policy.comparing import (
    Difference,
    difference,
)
from recovery.policy.effort import COUNTS, Effort, EffortLedger, failures_suggested
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
    content_hash,
    entitlement_for,
    fingerprint,
)
from recovery.policy.grants import (
    EXCEPTIONS_BUDGET,
    ExceptionState,
    Grantable,
    GrantKind,
    ProposalState,
    acts_owed,
    grantable,
    is_inside,
    why_not_in_public,
)
from recovery.policy.held import LOOK_WEIGHS_FOR, HeldKind, HeldState, has_fresh_eyes
from recovery.policy.versions import (
    NEXT_STATE,
    STARTS_AFTER,
    VersionState,
    may_start,
)

__all__ = [
    "COUNTS",
    "EXCEPTIONS_BUDGET",
    "FACT_NAMES",
    "LOOK_WEIGHS_FOR",
    "NEXT",
    "NEXT_STATE",
    "REFUNDS",
    "REVIEWED_WITHIN",
    "STARTS_AFTER",
    "ComplaintType",
    "Difference",
    "Effort",
    "EffortLedger",
    "Entitlement",
    "ExceptionState",
    "Facts",
    "GrantKind",
    "Grantable",
    "HeldKind",
    "HeldState",
    "Outcome",
    "Policy",
    "ProposalState",
    "RemedyKind",
    "ReviewResult",
    "Rule",
    "Severity",
    "Status",
    "VersionState",
    "acts_owed",
    "canonical",
    "content_hash",
    "difference",
    "entitlement_for",
    "failures_suggested",
    "fingerprint",
    "grantable",
    "has_fresh_eyes",
    "is_inside",
    "is_involved",
    "may_start",
    "why_not_in_public",
]
