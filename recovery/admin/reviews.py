"""Second looks: the list of those that wait, and the page on which one is made, facts first."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import pages
from crm.models import Promise
from recovery import actions
from recovery.admin.cases import FactsForm, in_words
from recovery.admin.refusals import REFUSALS
from recovery.models import CaseReview
from recovery.policy import Facts, Outcome

CAN_REVIEW = "recovery.review_case"
PAGE_SIZE = 50


class JudgeForm(forms.Form):
    merit = forms.ChoiceField(
        label=gettext_lazy("On these facts, who is right?"),
        choices=[(one.value, one.label) for one in Outcome if one != Outcome.WITHDRAWN],
    )


class WordsForm(forms.Form):
    words = forms.CharField(
        label=gettext_lazy("What you write to the customer"),
        widget=forms.Textarea(attrs={"rows": 6}),
        max_length=50_000,
    )
    public = forms.BooleanField(
        label=gettext_lazy("They wrote in public: I know that everybody can read this"), required=False
    )
    correction = forms.CharField(
        label=gettext_lazy("If it takes back what we said before: why, in the same words as above"),
        max_length=500,
        required=False,
    )


@pages.page("recovery.view_casereview", methods=["GET"])
def reviews(request: HttpRequest) -> HttpResponse:
    """Second looks that have not ended, oldest first, without a word of who asked how."""
    found = CaseReview.objects.filter(ended_at=None)
    key = pages.read_key(request, int)
    if key is not None:
        found = found.filter(pk__gt=key[0])
    rows = list(found.select_related("case", "reviewer").order_by("pk")[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/recovery/reviews.html",
        _("Second looks"),
        rows=rows,
        next_key=pages.write_key(rows[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page("recovery.view_casereview")
def review(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One second look. The words and the way they came are shown once the facts are judged."""
    found = (
        CaseReview.objects.select_related(
            "case__customer", "case__conversation", "looks_at__policy_version", "reviewer"
        )
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    facts, judging, words = FactsForm(initial=found.looks_at.facts), JudgeForm(), WordsForm()
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_REVIEW)
        at, by, does = timezone.now(), pages.colleague(request), request.POST.get("do", "")
        done: Any = None
        if does == "take":
            done, refused = pages.tried(lambda: actions.take_review(found.pk, by=by, at=at), refusals=REFUSALS)
        elif does == "judge":
            judging = JudgeForm(request.POST)
            if judging.is_valid():
                merit = Outcome(judging.cleaned_data["merit"])
                done, refused = pages.tried(
                    lambda: actions.judge(found.pk, merit=merit, by=by, at=at), refusals=REFUSALS
                )
        elif does == "finish":
            facts, words = FactsForm(request.POST), WordsForm(request.POST)
            if facts.is_valid() and words.is_valid():
                done, refused = pages.tried(lambda: _finish(found.pk, facts, words, by=by, at=at), refusals=REFUSALS)
        else:
            refused = _("Please use one of the buttons.")
        if done is not None:
            pages.say(request, "", _("Noted. Thank you for looking again."))
            return redirect("admin:review", public_id=public_id)
    promises = list(Promise.objects.filter(conversation=found.case.conversation_id).order_by("due_at", "id"))
    is_mine = found.reviewer_id == request.user.pk
    return pages.render(
        request,
        "admin/recovery/review.html",
        str(found),
        review=found,
        said=in_words(found.looks_at, promises),
        facts=facts,
        judging=judging,
        words=words,
        refused=refused,
        may_review=request.user.has_perm(CAN_REVIEW),
        can_be_taken=found.reviewer_id is None and found.ended_at is None,
        can_be_judged=is_mine and found.judged_at is None,
        can_be_ended=is_mine and found.judged_at is not None and found.ended_at is None,
        is_unmasked=found.judged_at is not None,
        status=409 if refused else 200,
    )


def _finish(review_id: int, facts: FactsForm, words: WordsForm, **who: Any) -> CaseReview:
    noted: Facts = facts.facts()
    said = words.cleaned_data
    return actions.finish_review(review_id, facts=noted, **said, **who)


urlpatterns: list[URLPattern] = [
    path("reviews/", reviews, name="reviews"),
    path("review/<uuid:public_id>/", review, name="review"),
]
