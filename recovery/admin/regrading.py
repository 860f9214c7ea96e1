"""Grading again as pages: the next matter without what tells its channel, and what the gradings say of each channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import pages
from crm.channels import Channel
from recovery.actions import regrading
from recovery.admin.audit_words import MEANS, METRICS, SAYS, TONES, needed_shown
from recovery.admin.cases import FactsForm
from recovery.admin.refusals import REFUSALS
from recovery.models import Regrade
from recovery.policy import FEWEST_POINTS, MERIT, MOST_POINTS, WEEKLY_TARGET, Manner, Outcome, RegradeKind, SkipReason

CAN_GRADE = "recovery.grade_again"
CAN_SEE = "recovery.view_parityaudit"
PAGE_SIZE = 50

MANNER = "manner_below_good"


class GuessForm(forms.Form):
    guess = forms.ChoiceField(
        label=gettext_lazy("Which channel do you think it came by?"),
        help_text=gettext_lazy("A guess tells us whether the words still give it away. It is no test of you."),
        choices=[("", gettext_lazy("no idea")), *Channel.choices],
        required=False,
    )


class MeritForm(forms.Form):
    """Nothing is chosen beforehand, so that nobody passes on what stands there."""

    merit = forms.ChoiceField(
        label=gettext_lazy("On what you read, who is right?"),
        choices=[(one.value, one.label) for one in MERIT],
        widget=forms.RadioSelect,
    )


class DismissalForm(forms.Form):
    would_answer = forms.ChoiceField(
        label=gettext_lazy("Would you have answered this?"),
        choices=[("yes", gettext_lazy("yes, it should have been answered")), ("no", gettext_lazy("no"))],
        widget=forms.RadioSelect,
    )


def _points(label: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=[(str(point), str(point)) for point in range(FEWEST_POINTS, MOST_POINTS + 1)],
        widget=forms.RadioSelect,
    )


class MannerForm(forms.Form):
    friendly = _points(gettext_lazy("Customer-friendly: 1 not at all, 5 entirely"))
    helpful = _points(gettext_lazy("Naturally helpful"))
    sympathetic = _points(gettext_lazy("Sympathetic"))


class LeaveForm(forms.Form):
    reason = forms.ChoiceField(label=gettext_lazy("Why somebody else?"), choices=SkipReason.choices)


@pages.page(CAN_GRADE)
def home(request: HttpRequest) -> HttpResponse:
    """How much this colleague has graded again this week; a POST takes on the next matter."""
    at, by = timezone.now(), pages.colleague(request)
    refused = ""
    if request.method == "POST":
        taken, refused = pages.tried(lambda: regrading.take_next(by=by, at=at), refusals=REFUSALS)
        if taken is not None:
            return redirect("admin:regrade")
    return pages.render(
        request,
        "admin/recovery/regrading.html",
        _("Grade again"),
        refused=refused,
        mine=Regrade.objects.filter(taken_by=by, done_at=None).first(),
        waits=regrading.for_colleague(by, at=at)[:PAGE_SIZE].count(),
        most=PAGE_SIZE,
        done=regrading.done_this_week(by, at=at),
        target=WEEKLY_TARGET,
        share=settings.EVENHAND_REGRADED_SHARE * 100,
        may_see=request.user.has_perm(CAN_SEE),
        status=409 if refused else 200,
    )


@pages.page(CAN_GRADE)
def regrade(request: HttpRequest) -> HttpResponse:
    """The matter this colleague has taken on; first what the customer said, and when that is graded, what we answered.

    The address is the same for every matter, so that none can be opened by its id; a form names the matter it was made for.
    """
    by = pages.colleague(request)
    found = Regrade.objects.filter(taken_by=by, done_at=None).first()
    if found is None or (request.method == "POST" and request.POST.get("regrade") != str(found.public_id)):
        return redirect("admin:regrading")
    is_graded = regrading.is_graded(found)
    shown: dict[str, forms.Form] = {"leaving": LeaveForm()}
    if is_graded:
        shown["manner"] = MannerForm()
    elif found.kind == RegradeKind.CASE:
        shown |= {"facts": FactsForm(), "judging": MeritForm()}
    else:
        shown["judging"] = DismissalForm()
    if not is_graded or found.kind == RegradeKind.ANSWERED:
        shown["guessing"] = GuessForm()
    refused = ""
    if request.method == "POST":
        done, refused = _act(request, found, shown, at=timezone.now())
        if done and not refused:
            pages.say(request, "", done)
            found.refresh_from_db()
            is_over = found.done_at is not None or found.taken_by_id is None
            return redirect("admin:regrading" if is_over else "admin:regrade")
    return pages.render(
        request,
        "admin/recovery/regrade.html",
        _("Grade again"),
        regrade=found,
        said=regrading.words_of(found, with_ours=is_graded),
        is_graded=is_graded,
        refused=refused,
        **shown,
        status=409 if refused else 200,
    )


def _act(request: HttpRequest, found: Regrade, shown: dict[str, forms.Form], *, at: datetime) -> tuple[str, str]:
    """Make the one call that the pressed button stands for; gives what was done and what stands in the way."""
    does = request.POST.get("do", "")
    wanted = {"grade": ["facts", "judging", "guessing"], "judge": ["judging", "guessing"], "leave": ["leaving"]}
    wanted["score"] = ["manner", *(["guessing"] if "guessing" in shown else [])]
    names = wanted.get(does, [])
    if not names or not all(name in shown for name in names):
        return "", _("Please use one of the buttons.")
    for name in names:
        shown[name] = type(shown[name])(request.POST)
    if not all(shown[name].is_valid() for name in names):
        return "", ""
    given = {name: value for each in names for name, value in shown[each].cleaned_data.items()}
    by, guess, facts = pages.colleague(request), str(given.get("guess", "")), shown.get("facts")
    calls: dict[str, Callable[[], Any]] = {
        "judge": lambda: regrading.judge_dismissal(
            found.pk, would_answer=given["would_answer"] == "yes", guess=guess, by=by, at=at
        ),
        "score": lambda: regrading.score(found.pk, manner=_manner(given), guess=guess, by=by, at=at),
        "leave": lambda: regrading.leave(found.pk, reason=SkipReason(given["reason"]), by=by, at=at),
    }
    if isinstance(facts, FactsForm):
        calls["grade"] = lambda: regrading.grade(
            found.pk, facts=facts.facts(), merit=Outcome(given["merit"]), guess=guess, by=by, at=at
        )
    _result, refused = pages.tried(calls[does], refusals=REFUSALS)
    return _("Noted. A colleague grades it.") if does == "leave" else _("Noted. Thank you for grading again."), refused


def _manner(given: dict[str, Any]) -> Manner:
    return Manner(int(given["friendly"]), int(given["helpful"]), int(given["sympathetic"]))


@pages.page(CAN_SEE, methods=["GET"])
def figures(request: HttpRequest) -> HttpResponse:
    """What the gradings of the last 91 days say of each channel, and every matter that was graded again, the newest first."""
    from recovery.parity import regrades

    at = timezone.now()
    rows = regrading.rows(at - regrading.WINDOW, at)
    lines = regrades.by_channel(rows)
    done = Regrade.objects.filter(done_at__isnull=False)
    key = pages.read_key(request, datetime, int)
    if key is not None:
        done = done.filter(pages.beyond(("done_at", "id"), key, descending=True))
    listed = list(
        done.select_related("conversation__customer", "grading", "manner", "taken_by").order_by("-done_at", "-id")[
            : PAGE_SIZE + 1
        ]
    )
    more, listed = len(listed) > PAGE_SIZE, listed[:PAGE_SIZE]
    right, guessed = regrades.guessed_rightly(rows)
    return pages.render(
        request,
        "admin/recovery/regrading_figures.html",
        _("What grading again shows"),
        metrics=[
            (METRICS[name], MEANS[name], _table([line for line in lines if line.metric == name]))
            for name in regrades.METRICS
        ],
        days=regrading.WINDOW // timedelta(days=1),
        number=len(rows),
        share=settings.EVENHAND_REGRADED_SHARE * 100,
        right=right,
        guessed=guessed,
        waiting=Regrade.objects.filter(done_at=None).count(),
        listed=listed,
        next_key=pages.write_key(listed[-1].done_at or at, listed[-1].pk) if more else "",
        is_first=key is None,
    )


def _table(lines: Sequence[Any]) -> list[dict[str, Any]]:
    shown = []
    for line in lines:
        verdict = line.contrast.verdict
        effect = line.contrast.tested.effects[0]
        shown.append(
            {
                "on": Channel(line.channel).label,
                "n": line.n,
                "share": f"{line.share:.0%}",
                "versus": "–" if line.versus_share is None else f"{line.versus_share:.0%}",
                "gap": "–"
                if effect.value is None
                else _("%(points)s points") % {"points": f"{effect.value * 100:+.0f}"},
                "interval": _between(effect.low, effect.high, 100, 0),
                "mean": "–"
                if line.mean is None
                else f"{line.mean:+.2f}"
                if line.metric != MANNER
                else f"{line.mean:.2f}",
                "around": _between(line.low, line.high, 1, 2),
                "says": SAYS[verdict],
                "tone": TONES[verdict],
                "needed": needed_shown(line.contrast.n_needed, n=line.n, effect=effect.kind),
            }
        )
    return shown


def _between(low: float | None, high: float | None, scale: int, digits: int) -> str:
    if low is None or high is None:
        return ""
    return _("%(low)s to %(high)s") % {"low": f"{low * scale:.{digits}f}", "high": f"{high * scale:.{digits}f}"}


urlpatterns: list[URLPattern] = [
    path("regrading/", home, name="regrading"),
    path("regrading/figures/", figures, name="regrading_figures"),
    path("regrading/matter/", regrade, name="regrade"),
]
