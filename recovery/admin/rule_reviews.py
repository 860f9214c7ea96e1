"""What the rules do to customers: denied, overturned, what each gives; and who looked at a rule again (R041)."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages
from recovery import actions
from recovery.admin.refusals import REFUSALS
from recovery.models import PolicyVersion, RuleReview
from recovery.policy import sentences
from recovery.policy.rule_reviews import DENIED_AT_MOST, LOOKED_AT, OVERTURNED_AT_MOST, Measured, RuleVerdict
from recovery.policy.shares import interval

CAN_SEE = "recovery.view_policyversion"
CAN_DECIDE = "recovery.approve_policy"
LISTED = 100


@pages.page(CAN_SEE)
def rule_reviews(request: HttpRequest) -> HttpResponse:
    """Every rule in force with its numbers of the last quarter; a POST ends one look at a rule."""
    refused, at = "", timezone.now()
    if request.method == "POST":
        pages.require(request, CAN_DECIDE)
        refused = _decide(request)
        if not refused:
            return redirect("admin:rule_reviews")
    numbers, version = actions.measured(at), PolicyVersion.objects.in_force(at)
    recent = list(RuleReview.objects.select_related("decided_by").order_by("-id")[:LISTED])
    waiting, past = ([one for one in recent if bool(one.verdict) is ended] for ended in (False, True))
    newest = {review.code: review for review in reversed(past)}
    asked = {review.code for review in waiting}
    return pages.render(
        request,
        "admin/recovery/rule_reviews.html",
        _("What the rules do"),
        version=version,
        rows=[
            {
                "rule": rule,
                "when": sentences.condition(rule.when),
                "gives": [sentences.remedy(kind) for kind in rule.remedies],
                "review": newest.get(rule.code),
                "waits": rule.code in asked,
                **_shown(numbers.get(rule.code, Measured())),
            }
            for rule in version.as_policy().rules
        ],
        waiting=[{"review": review, **_shown(review.measured)} for review in waiting],
        past=past,
        verdicts=RuleVerdict.choices,
        days=LOOKED_AT.days,
        denied_at_most=round(100 * DENIED_AT_MOST),
        overturned_at_most=round(100 * OVERTURNED_AT_MOST),
        may_decide=request.user.has_perm(CAN_DECIDE),
        refused=refused,
        typed=request.POST if refused else {},
        status=409 if refused else 200,
    )


def _shown(found: Measured) -> dict[str, Any]:
    return {
        "numbers": found,
        "denial": None if found.denial is None else 100 * found.denial,
        "overturn": None if found.overturn is None else 100 * found.overturn,
        "denial_between": _per_cent(found.denied, found.settled),
        "overturn_between": _per_cent(found.overturned, found.reviewed),
    }


def _per_cent(hits: int, of: int) -> tuple[float, float] | None:
    found = interval(hits, of)
    return (100 * found[0], 100 * found[1]) if found else None


def _decide(request: HttpRequest) -> str:
    form = request.POST
    try:
        number = uuid.UUID(form.get("review", ""))
    except ValueError as unknown:
        raise Http404 from unknown
    found = RuleReview.objects.filter(public_id=number).values_list("pk", flat=True).first()
    if found is None:
        raise Http404
    verdict = form.get("verdict", "")
    if verdict not in RuleVerdict.values:
        return _("Please choose what is to become of the rule.")
    _review, refused = pages.tried(
        lambda: actions.decide_rule_review(
            found,
            verdict=RuleVerdict(verdict),
            benefit=form.get("benefit", ""),
            by=pages.colleague(request),
            at=timezone.now(),
        ),
        refusals=REFUSALS,
    )
    if not refused:
        pages.say(request, "", _("Written down, with your name on it. The rule itself changes by a draft."))
    return refused


urlpatterns: list[URLPattern] = [path("rule-reviews/", rule_reviews, name="rule_reviews")]
