"""What recovery decides, as pure functions: what one failure of ours earns, and which status of a case may follow which."""

from recovery.policy.cases import (
    NEXT,
    Outcome,
    Status,
)
from recovery.policy.entitlement import (
    REFUNDS,
    ComplaintType,
    Entitlement,
    Facts,
    Policy,
    Rule,
    Severity,
    canonical,
    entitlement_for,
    fingerprint,
)

__all__ = [
    "NEXT",
    "REFUNDS",
    "ComplaintType",
    "Entitlement",
    "Facts",
    "Outcome",
    "Policy",
    "Rule",
    "Severity",
    "Status",
    "canonical",
    "entitlement_for",
    "fingerprint",
]
