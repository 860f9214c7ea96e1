"""Looking at the rules themselves: what became of the cases each applied to, and who looked at those that deny or err often."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts
from crm.models import User
from crm.policy import AlertKind
from recovery.actions.cases import ReasonMissing
from recovery.models import PolicyVersion, RuleReview
from recovery.policy.rule_reviews import LOOKED_AT, Measured, RuleVerdict, quarter_of

_SETTLED = """
WITH ended AS (
  SELECT DISTINCT ON (case_id) case_id, outcome, at FROM recovery_settlement
  WHERE at >= %(since)s AND at < %(until)s ORDER BY case_id, id DESC
), decided AS (
  SELECT ended.outcome, decision.entitlement -> 'explanation' AS why FROM ended CROSS JOIN LATERAL (
    SELECT entitlement FROM recovery_decision WHERE case_id = ended.case_id AND decided_at <= ended.at
    ORDER BY id DESC LIMIT 1
  ) AS decision WHERE ended.outcome <> 'withdrawn'
)
SELECT rule ->> 0, count(*), count(*) FILTER (WHERE outcome = 'not_upheld')
FROM decided CROSS JOIN LATERAL jsonb_array_elements(why) AS rule GROUP BY 1
"""
_REVIEWED = """
SELECT rule ->> 0, count(*), count(*) FILTER (WHERE review.result = 'changed')
FROM recovery_casereview AS review JOIN recovery_decision AS decision ON decision.id = review.looks_at_id
CROSS JOIN LATERAL jsonb_array_elements(decision.entitlement -> 'explanation') AS rule
WHERE review.ended_at >= %(since)s AND review.ended_at < %(until)s GROUP BY 1
"""


class AlreadyLookedAt(Exception):
    """Somebody has looked at this rule for that quarter."""

    code = "already_looked_at"


def measured(at: datetime) -> dict[str, Measured]:
    """Say what became of the cases of the last quarter, by the code of each rule that applied to them. Two statements."""
    window = {"since": at - LOOKED_AT, "until": at}
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, window)
        for code, settled, denied in cursor.fetchall():
            counts[code][:2] = settled, denied
        cursor.execute(_REVIEWED, window)
        for code, reviewed, overturned in cursor.fetchall():
            counts[code][2:] = reviewed, overturned
    return {code: Measured(*numbers) for code, numbers in counts.items()}


@transaction.atomic
def ask_for_rule_reviews(at: datetime) -> int:
    """Ask that people look again at the rules in force that deny or err too often; a rule once a quarter.

    The leads are told of each that waits, again every month while nobody has looked. Returns how many were asked for now.
    """
    found, quarter = measured(at), quarter_of(at.astimezone(UTC).date())
    codes = PolicyVersion.objects.in_force(at).rules.order_by("position").values_list("code", flat=True)
    wanted = [(code, found[code]) for code in codes if code in found and found[code].wants_review]
    before = RuleReview.objects.count()
    RuleReview.objects.bulk_create(
        (
            RuleReview(
                quarter=quarter,
                code=code,
                settled=numbers.settled,
                denied=numbers.denied,
                reviewed=numbers.reviewed,
                overturned=numbers.overturned,
                asked_at=at,
            )
            for code, numbers in wanted
        ),
        ignore_conflicts=True,
    )
    alerts.write(
        alerts.told(
            AlertKind.RULE_REVIEW, key=f"{waiting.pk}:{at.astimezone(UTC):%Y-%m}", at=at, detail={"name": waiting.code}
        )
        for waiting in RuleReview.objects.filter(verdict="").order_by("pk")
    )
    return RuleReview.objects.count() - before


@transaction.atomic
def decide_rule_review(review_id: int, *, verdict: RuleVerdict, benefit: str, by: User, at: datetime) -> RuleReview:
    """Write down what somebody found who looked at a rule again. The rule itself changes only by a draft and two people.

    benefit: what the rule gives customers, in words. Raises RuleReview.DoesNotExist, AlreadyLookedAt, ReasonMissing; then
    nothing has changed.
    """
    if not benefit.strip():
        raise ReasonMissing(_("Please write what this rule gives customers, or would have to."))
    review = RuleReview.objects.select_for_update(of=("self",)).get(pk=review_id)
    if review.verdict:
        raise AlreadyLookedAt(_("A colleague has looked at this rule already."))
    review.verdict, review.benefit = verdict, benefit.strip()[:600]
    review.decided_by, review.decided_at = by, at
    review.save(update_fields=["verdict", "benefit", "decided_by", "decided_at"])
    detail = {"code": review.code, "quarter": review.quarter, "verdict": review.verdict}
    history.record(None, "rule.looked_at", ref=f"rule-review:{review.public_id}", by=by, at=at, detail=detail)
    return review
