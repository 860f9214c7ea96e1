"""What recovery decides, as pure functions: what one failure of ours earns, which status of a case may follow which, and what is
asked of the rules themselves before they count."""

from recovery.policy.cases import (
    NEXT,
    Outcome,
    Status,
)
from recovery.policy.comparing import (
    Difference,
    difference,
)
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
from recovery.policy.versions import (
    NEXT_STATE,
    STARTS_AFTER,
    VersionState,
    may_start,
)

__all__ = [
    "FACT_NAMES",
    "NEXT",
    "NEXT_STATE",
    "REFUNDS",
    "STARTS_AFTER",
    "ComplaintType",
    "Difference",
    "Entitlement",
    "Facts",
    "Outcome",
    "Policy",
    "RemedyKind",
    "Rule",
    "Severity",
    "Status",
    "VersionState",
    "canonical",
    "content_hash",
    "difference",
    "entitlement_for",
    "fingerprint",
    "may_start",
]
