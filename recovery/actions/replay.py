"""Deciding again what was decided, to see that nothing changed behind our back."""

from __future__ import annotations

import logging
from datetime import date, datetime
from math import ceil

from django.db import transaction
from django.db.models import CharField, Func, QuerySet, Value
from django.db.models.functions import Cast, Concat

from crm import history
from crm.actions import alerts
from crm.models import Alert, HistoryEntry
from crm.policy import AlertKind
from recovery import policy
from recovery.actions.cases import ref_of
from recovery.models import LIVE, Case, Decision, PolicyVersion
from recovery.policy import Facts, Policy

logger = logging.getLogger(__name__)

REPLAYED_AT_ONCE = 200
SAMPLED_SHARE = 0.05
SAMPLED_AT_LEAST = 200


class _Sha256(Func):
    template = "encode(sha256(convert_to(%(expressions)s, 'UTF8')), 'hex')"
    output_field = CharField()


def replay_decisions(at: datetime) -> int:
    """Decide again and compare byte for byte: every live case, and the night's sample of settled ones.

    Returns how many differ (must be 0). A difference is logged each night; it is told and written into the history once.
    So is an approved version whose rules no longer have its fingerprint, even where no decision shows it yet.
    """
    policies: dict[int, Policy] = {}
    differing = 0
    for cases in (Case.objects.live(), sample_of_settled(at.date())):
        newest = (
            Decision.objects.filter(case__in=cases.values("pk"))
            .select_related("case__customer", "case__conversation")
            .order_by("case_id", "-id")
            .distinct("case_id")
        )
        for decision in newest.iterator(chunk_size=REPLAYED_AT_ONCE):
            if not _comes_out_the_same(decision, policies):
                differing += 1
                logger.error("Decision %s of case %s comes out differently.", decision.pk, decision.case_id)
                _told_of_decision(decision, at=at)
    for version in PolicyVersion.objects.approved().order_by("number"):
        if policy.content_hash(version.as_policy().rules) != version.content_hash:
            logger.error("The rules of version %s are not those that were approved.", version.number)
            _told_of_rules(version, at=at)
    return differing


def sample_of_settled(night: date) -> QuerySet[Case]:
    """The settled cases that are decided again on one night: 5 %, at least 200.

    They are those with the lowest SHA-256 of “<date>:<public id of the case>”, so anyone can say which they have to be.
    """
    settled = Case.objects.exclude(status__in=LIVE)
    number = max(SAMPLED_AT_LEAST, ceil(settled.count() * SAMPLED_SHARE))
    lot = _Sha256(Concat(Value(f"{night.isoformat()}:"), Cast("public_id", CharField())))
    return settled.order_by(lot)[:number]


def _comes_out_the_same(decision: Decision, policies: dict[int, Policy]) -> bool:
    """Whether facts and entitlement still have their fingerprints and the version still makes one of the other."""
    if decision.policy_version_id not in policies:
        policies[decision.policy_version_id] = PolicyVersion.objects.get(pk=decision.policy_version_id).as_policy()
    try:
        again = policy.entitlement_for(Facts.from_data(decision.facts), policies[decision.policy_version_id]).as_data()
    except (ValueError, KeyError, TypeError):
        return False
    return (
        policy.fingerprint(decision.facts) == decision.facts_hash
        and policy.fingerprint(decision.entitlement) == decision.entitlement_hash
        and policy.fingerprint(again) == decision.entitlement_hash
    )


def _told_of_decision(decision: Decision, *, at: datetime) -> None:
    case = decision.case
    alert = alerts.told(
        AlertKind.DECISION_DIFFERS,
        key=f"decision:{decision.pk}",
        at=at,
        conversation=case.conversation,
        detail={"decision": decision.pk, "case": str(case.public_id)},
    )
    entry = history.entry(
        case.customer, "decision.differs", ref=ref_of(case), by=None, at=at, detail={"decision": decision.pk}
    )
    _once(alert, entry)


def _told_of_rules(version: PolicyVersion, *, at: datetime) -> None:
    alert = alerts.told(
        AlertKind.DECISION_DIFFERS, key=f"policy:{version.number}", at=at, detail={"policy": version.number}
    )
    _once(alert, history.entry(None, "policy.differs", ref=f"policy:{version.number}", by=None, at=at))


@transaction.atomic
def _once(alert: Alert, entry: HistoryEntry) -> None:
    """Write both, unless this was told before."""
    if not Alert.objects.filter(key=alert.key).exists():
        alerts.write([alert])
        entry.save(force_insert=True)
