"""A second look by somebody who had no part in the matter: judged on the facts alone first, ended in writing (R153, R005)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, desk, endings, promises
from crm.models import Conversation, Interaction, User
from crm.policy import AlertKind, OutOfOrder, PromiseKind
from recovery import policy
from recovery.actions import cases
from recovery.models import Case, CaseReview, Decision
from recovery.policy import REVIEWED_WITHIN, Facts, Outcome, ReviewResult, Status


class WrongReview(Exception):
    """The second look cannot take this step now."""

    code = "wrong_review"


class HadAPart(Exception):
    """Whoever owned, decided or wrote in the matter cannot be the one to look again."""

    code = "had_a_part"


@transaction.atomic
def ask_for_review(case_id: int, *, by: User, at: datetime) -> CaseReview:
    """Ask for a second look at a decision: the customer for themselves, or a colleague because the customer said so.

    It has a promise of its own, and every lead is told. Asking twice is one second look.
    Raises Case.DoesNotExist, WrongReview while nobody has decided; then nothing has changed.
    """
    case = cases.locked(case_id)
    standing = CaseReview.objects.filter(case=case, ended_at=None).first()
    if standing is not None:
        return standing
    if case.status not in (Status.DECIDED, Status.RESOLVED, Status.WENT_QUIET):
        raise WrongReview(_("Nobody has decided on this case yet, so there is nothing to look at again."))
    newest = case.decisions.order_by("-pk")[0]
    review = CaseReview.objects.create(case=case, looks_at=newest, asked_by=by, asked_at=at)
    conversation = endings.wait_for_us(case.conversation_id, by=by, at=at)
    promises.give(
        conversation,
        PromiseKind.REVIEW,
        within=REVIEWED_WITHIN,
        starts_at=at,
        given_by=f"review:{review.public_id}",
        at=at,
    )
    alerts.write([alerts.told(AlertKind.REVIEW_ASKED, key=f"review:{review.pk}", at=at, conversation=conversation)])
    _record(review, "review.asked", by=by, at=at)
    return review


@transaction.atomic
def take_review(review_id: int, *, by: User, at: datetime) -> CaseReview:
    """Become the one who looks again. Raises CaseReview.DoesNotExist, WrongReview, HadAPart; then nothing has changed."""
    review = _locked(review_id)
    if review.reviewer_id == by.pk:
        return review
    if review.reviewer_id is not None:
        raise WrongReview(_("A colleague is looking at it already."))
    case = review.case
    conversation = Conversation.objects.get(pk=case.conversation_id)
    said = Interaction.objects.filter(conversation=conversation, author__isnull=False).order_by()
    involved = policy.is_involved(
        by.pk,
        owners=[case.owner_id, conversation.owner_id],
        deciders=[review.asked_by_id, *case.decisions.values_list("decided_by", flat=True)],
        authors=said.values_list("author", flat=True).distinct(),
    )
    if involved:
        raise HadAPart(_("You had a part in this matter. Somebody else has to look at it again."))
    review.reviewer = by
    review.save(update_fields=["reviewer"])
    _record(review, "review.taken", by=by, at=at)
    return review


@transaction.atomic
def judge(review_id: int, *, merit: Outcome, by: User, at: datetime) -> CaseReview:
    """Say, from the facts alone, who was right; how and before whom it was said is shown afterwards only (R005).

    Raises CaseReview.DoesNotExist, WrongReview; then nothing has changed.
    """
    review = _mine(review_id, by=by)
    if review.judged_at is not None:
        raise WrongReview(_("You have judged the facts already; that stands."))
    review.merit, review.judged_at = merit, at
    review.save(update_fields=["merit", "judged_at"])
    _record(review, "review.judged", by=by, at=at, merit=str(merit))
    return review


@transaction.atomic
def finish_review(
    review_id: int,
    *,
    facts: Facts,
    words: str,
    by: User,
    at: datetime,
    correction: str = "",
    public: bool | None = None,
) -> CaseReview:
    """End a second look: the decision stands on the same facts, or is made anew on others; the customer reads it either way.

    words: what the customer is told; its promise is kept once that is accepted for delivery. A settled case whose decision
    changes is open again. correction, public: as with `desk.answer`.
    Raises CaseReview.DoesNotExist, WrongReview, and what an answer may raise; then nothing has changed.
    """
    review = _mine(review_id, by=by)
    if review.judged_at is None:
        raise WrongReview(_("Please judge the facts first, before you see how it was said."))
    newest: Decision = review.case.decisions.order_by("-pk")[0]
    if facts.as_data() == newest.facts:
        review.result = ReviewResult.UPHELD
    else:
        review.result = ReviewResult.CHANGED
        review.decision = cases.decide_anew(review.case_id, facts=facts, by=by, at=at)
    review.ended_at = at
    review.save(update_fields=["result", "decision", "ended_at"])
    desk.answer(
        review.case.conversation_id,
        text=words,
        by=by,
        at=at,
        key=f"review:{review.pk}",
        stays_open=review.result == ReviewResult.CHANGED,
        meets=[PromiseKind.FIRST_RESPONSE, PromiseKind.NEXT_UPDATE, PromiseKind.REVIEW],
        correction=correction,
        public=public,
        out_of_order=OutOfOrder.SAME_MATTER,  # the second look is what they have taken on
    )
    _record(review, "review.ended", by=by, at=at, result=str(review.result))
    return review


def _locked(review_id: int) -> CaseReview:
    case_id = CaseReview.objects.values_list("case", flat=True).get(pk=review_id)
    case = cases.locked(case_id)
    review = CaseReview.objects.select_for_update(of=("self",)).get(pk=review_id)
    review.case = case
    if review.ended_at is not None:
        raise WrongReview(_("This second look has ended."))
    return review


def _mine(review_id: int, *, by: User) -> CaseReview:
    review = _locked(review_id)
    if review.reviewer_id != by.pk:
        raise WrongReview(_("Please take this second look on first."))
    return review


def _record(review: CaseReview, verb: str, *, by: User, at: datetime, **detail: str) -> None:
    case: Case = review.case
    history.record(
        case.customer, verb, ref=cases.ref_of(case), by=by, at=at, detail={"review": str(review.public_id), **detail}
    )
