"""Deciding again what was decided, to see that nothing changed behind our back."""

from __future__ import annotations

import logging
from datetime import datetime

from crm import history
from recovery import policy
from recovery.actions.cases import ref_of
from recovery.models import LIVE, Decision
from recovery.policy import Facts

logger = logging.getLogger(__name__)

REPLAYED_AT_ONCE = 200


def replay_decisions(at: datetime) -> int:
    """Decide every live case's newest decision again and compare it byte for byte. Returns how many differ (must be 0).

    A difference is written into the history and logged as an error: the rules or the evaluator changed behind our back.
    """
    differing = 0
    newest: dict[int, Decision] = {}
    live = (
        Decision.objects.filter(case__status__in=LIVE).select_related("policy_version", "case__customer").order_by("id")
    )
    policies: dict[int, policy.Policy] = {}
    for decision in live.iterator(chunk_size=REPLAYED_AT_ONCE):
        newest[decision.case_id] = decision
    for decision in newest.values():
        number = decision.policy_version_id
        if number not in policies:
            policies[number] = decision.policy_version.as_policy()
        again = policy.entitlement_for(Facts.from_data(decision.facts), policies[number]).as_data()
        if policy.fingerprint(again) != decision.entitlement_hash:
            differing += 1
            logger.error(
                "Decision %s of case %s comes out differently when decided again.", decision.pk, decision.case_id
            )
            history.record(
                decision.case.customer,
                "decision.differs",
                ref=ref_of(decision.case),
                by=None,
                at=at,
                detail={"decision": decision.pk},
            )
    return differing
