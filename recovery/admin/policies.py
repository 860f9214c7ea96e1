"""The rules: all versions, and one version in sentences with what the machine found and whom a draft would help or hurt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import pages
from crm.channels import Channel
from recovery import actions
from recovery.models import PolicyRule, PolicyVersion
from recovery.policy import STARTS_AFTER, Rule, VersionState, sentences
from recovery.policy.checks import Check

CAN_SEE = "recovery.view_policyversion"
CAN_DRAFT = "recovery.draft_policy"
CAN_APPROVE = "recovery.approve_policy"
REFUSALS = (
    *pages.REFUSALS,
    actions.WrongVersionState,
    actions.UnusableRule,
    actions.NoSuchRule,
    actions.DraftNotChecked,
    actions.DraftFailedChecks,
    actions.DraftChangedSinceCheck,
    actions.NeedsSecondPerson,
    actions.MustStartInFuture,
)
LISTED = 50
BAR_WIDTH, ROW_HEIGHT, LABEL_WIDTH = 180, 22, 120


# --- all versions ---------------------------------------------------------------------------------------------------


@pages.page(CAN_SEE)
def policies(request: HttpRequest) -> HttpResponse:
    """List the versions: in force, coming, drafts, past. A POST begins a draft."""
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_DRAFT)
        named, note = request.POST.get("copy_of", ""), request.POST.get("note", "")
        copy_of = int(named) if named.isdecimal() else None
        if copy_of is not None and not PolicyVersion.objects.filter(number=copy_of).exists():
            raise Http404
        draft, refused = pages.tried(
            lambda: actions.begin_draft(
                copy_of=copy_of,
                note=note,
                by=pages.colleague(request),
                at=timezone.now(),
            ),
            refusals=REFUSALS,
        )
        if draft is not None:
            pages.say(
                request, "", _("The draft is yours. Nothing changes for anybody until a second person approves it.")
            )
            return redirect("admin:policy", number=draft.number)
    at = timezone.now()
    before = pages.read_key(request, int)
    found = (
        PolicyVersion.objects.select_related("drafted_by", "approved_by").defer("checks", "what_if").order_by("-number")
    )
    versions = list((found.filter(number__lt=before[0]) if before else found)[: LISTED + 1])
    in_force = _in_force(at)
    rows = [(version, *_standing(version, in_force, at=at)) for version in versions[:LISTED]]
    return pages.render(
        request,
        "admin/recovery/policies.html",
        _("Rules"),
        rows=rows,
        refused=refused,
        may_draft=request.user.has_perm(CAN_DRAFT),
        is_first=before is None,
        next_key=pages.write_key(versions[LISTED - 1].number) if len(versions) > LISTED else "",
        status=409 if refused else 200,
    )


def _in_force(at: datetime) -> int:
    return (
        PolicyVersion.objects.approved()
        .filter(effective_from__lte=at)
        .order_by("-effective_from", "-number")
        .values_list("number", flat=True)[0]
    )


def _standing(version: PolicyVersion, in_force: int, *, at: datetime) -> tuple[str, str]:
    """How a version stands now, in words and as a tone."""
    if version.state == VersionState.DRAFT:
        return _("draft"), "busy"
    if version.state == VersionState.DISCARDED:
        return _("discarded"), "calm"
    if version.number == in_force:
        return _("in force"), "good"
    if version.effective_from and version.effective_from > at:
        return _("coming"), "soon"
    return _("past"), "calm"


# --- one version ----------------------------------------------------------------------------------------------------


class ApproveForm(forms.Form):
    """When the rules start."""

    starts_at = forms.DateTimeField(
        label=gettext_lazy("Start"),
        help_text=gettext_lazy("At least ten minutes from now, in your time zone. Rules never reach back."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
    )


@pages.page(CAN_SEE)
def policy(request: HttpRequest, number: int) -> HttpResponse:
    """Show a version; a POST is one act on a draft, named by its button."""
    approval, refused = ApproveForm(initial={"starts_at": _next_morning(timezone.now())}), ""
    if request.method == "POST":
        if not PolicyVersion.objects.filter(number=number).exists():
            raise Http404
        if request.POST.get("do") == "approve":
            pages.require(request, CAN_APPROVE)
            approval = ApproveForm(request.POST)
            if approval.is_valid():
                refused = _approved(request, number, approval.cleaned_data["starts_at"])
        else:
            pages.require(request, CAN_DRAFT)
            refused = _acted(request, number)
        if not refused and not approval.errors:
            return redirect("admin:policy", number=number)
    found = (
        PolicyVersion.objects.select_related("drafted_by", "approved_by", "copied_from")
        .prefetch_related("rules", "copied_from__rules")
        .filter(number=number)
        .first()
    )
    if found is None:
        raise Http404
    return _show(request, found, approval=approval, refused=refused)


def _approved(request: HttpRequest, number: int, starts_at: datetime) -> str:
    _version, refused = pages.tried(
        lambda: actions.approve(number, starts_at=starts_at, by=pages.colleague(request), at=timezone.now()),
        refusals=REFUSALS,
    )
    if not refused:
        pages.say(request, "", _("Approved. It comes into force at its time, for everybody at once."))
    return refused


def _acted(request: HttpRequest, number: int) -> str:
    """Make the call of the button that was pressed; say what stands in its way."""
    by, at, does, code = (
        pages.colleague(request),
        timezone.now(),
        request.POST.get("do", ""),
        request.POST.get("rule", ""),
    )
    to = request.POST.get("to", "")
    acts: dict[str, tuple[Callable[[], object], str]] = {
        "check": (lambda: actions.check(number, by=by, at=at), _("Checked. What the machine found stands below.")),
        "what_if": (lambda: actions.what_if(number, by=by, at=at), _("Tried on the cases of the last twelve months.")),
        "discard": (lambda: actions.discard(number, by=by, at=at), _("Discarded. It can still be read.")),
        "remove": (lambda: actions.remove_rule(number, code, by=by, at=at), _("The rule is out of the draft.")),
        "move": (
            lambda: actions.move_rule(number, code, to=int(to) if to.isdecimal() else 1, by=by, at=at),
            _("The rule is in its new place."),
        ),
    }
    if does not in acts:
        return _("Please use one of the buttons.")
    act, done = acts[does]
    _result, refused = pages.tried(act, refusals=REFUSALS)
    if not refused:
        pages.say(request, "", done)
    return refused


def _show(request: HttpRequest, found: PolicyVersion, *, approval: ApproveForm, refused: str) -> HttpResponse:
    at, is_draft = timezone.now(), found.state == VersionState.DRAFT
    standing, tone = _standing(found, _in_force(at), at=at)
    may_draft = is_draft and request.user.has_perm(CAN_DRAFT)
    return pages.render(
        request,
        "admin/recovery/policy.html",
        str(found),
        version=found,
        standing=standing,
        tone=tone,
        rules=_rules(found),
        gone=_gone(found),
        may_draft=may_draft,
        may_copy=request.user.has_perm(CAN_DRAFT),
        may_approve=is_draft and request.user.has_perm(CAN_APPROVE),
        has_edited=request.user.pk in found.edited_by,
        approval=approval,
        checks=_checks(found),
        what_if=_what_if(found),
        refused=refused,
        status=409 if refused else 200,
    )


@dataclass(frozen=True, slots=True)
class _RuleInWords:
    """One rule as the page shows it; change: “new”, “changed” or empty, against the version it was copied from."""

    row: PolicyRule
    when: str
    owed: list[str]
    change: str
    up: int
    down: int


def _rules(version: PolicyVersion) -> list[_RuleInWords]:
    rows = sorted(version.rules.all(), key=lambda row: row.position)
    was = {row.code: _gives(row.as_rule()) for row in version.copied_from.rules.all()} if version.copied_from else None
    found = []
    for row in rows:
        rule = row.as_rule()
        change = ""
        if was is not None:
            change = _("new") if row.code not in was else "" if was[row.code] == _gives(rule) else _("changed")
        found.append(
            _RuleInWords(row, sentences.condition(rule.when), _owed(rule), change, row.position - 1, row.position + 1)
        )
    return found


def _gives(rule: Rule) -> dict[str, Any]:
    """A rule as far as it means something; the order in which a form names remedies does not."""
    return {**rule.as_data(), "remedies": sorted(rule.remedies)}


def _gone(version: PolicyVersion) -> list[str]:
    if version.copied_from is None:
        return []
    standing = {row.code for row in version.rules.all()}
    return [row.code for row in version.copied_from.rules.all() if row.code not in standing]


def _owed(rule: Rule) -> list[str]:
    """What a rule gives, one line each."""
    given = [sentences.remedy(kind) for kind in rule.remedies]
    if rule.goodwill:
        given.append(_("Goodwill of %(amount)s on top") % {"amount": f"{rule.goodwill:.2f}"})
    given += [
        _("%(promise)s within %(time)s")
        % {"promise": sentences.promise(kind).capitalize(), "time": sentences.length(timedelta(minutes=minutes))}
        for kind, minutes in rule.within.items()
    ]
    return given


def _checks(version: PolicyVersion) -> dict[str, Any] | None:
    """What the machine found, check by check."""
    if version.checks is None:
        return None
    rows = []
    for check in Check:
        findings = [(rule, words) for name, rule, words in version.checks["findings"] if name == check]
        state = (
            _("not made") if check in version.checks["not_made"] else _("found something") if findings else _("passed")
        )
        rows.append(
            (check.label, state, "late" if findings else "calm" if state == _("not made") else "good", findings)
        )
    return {
        "at": parse_datetime(version.checks["at"]),
        "stands": version.checks["content_hash"] == version.content_hash,
        "passed": version.checks["passed"],
        "rows": rows,
    }


# --- the what-if, drawn ---------------------------------------------------------------------------------------------

CHANGES = {
    "less_money": gettext_lazy("less money"),
    "fewer_remedies": gettext_lazy("something no longer owed"),
    "later": gettext_lazy("a longer time"),
    "milder": gettext_lazy("counts as less grave"),
    "more_money": gettext_lazy("more money"),
    "more_remedies": gettext_lazy("something newly owed"),
    "sooner": gettext_lazy("a shorter time"),
    "graver": gettext_lazy("counts as graver"),
}


@dataclass(frozen=True, slots=True)
class _Bar:
    """One channel of the chart: shares in percent, and the bars in the chart's own units."""

    label: str
    cases: int
    winners: float
    losers: float
    mean: str
    y: int
    losers_x: float
    losers_width: float
    winners_width: float

    @property
    def text_y(self) -> int:
        return self.y + 11


def _what_if(version: PolicyVersion) -> dict[str, Any] | None:
    """The stored result as the page shows it."""
    found = version.what_if
    if found is None:
        return None
    middle = LABEL_WIDTH + BAR_WIDTH
    labels = dict(Channel.choices)
    bars = []
    for place, row in enumerate(found["channels"]):
        winners, losers = 100 * row["winners"] / row["cases"], 100 * row["losers"] / row["cases"]
        bars.append(
            _Bar(
                label=str(labels.get(row["channel"], row["channel"])),
                cases=row["cases"],
                winners=round(winners, 1),
                losers=round(losers, 1),
                mean=", ".join(f"{_signed(amount)} {currency}" for currency, amount in row["mean"].items()),
                y=place * ROW_HEIGHT + 4,
                losers_x=round(middle - BAR_WIDTH * losers / 100, 1),
                losers_width=round(BAR_WIDTH * losers / 100, 1),
                winners_width=round(BAR_WIDTH * winners / 100, 1),
            )
        )
    return {
        **found,
        "at": parse_datetime(found["at"]),
        "since": parse_datetime(found["since"]),
        "stands": version.what_if_stands,
        "changes": [(words, found["changes"][name]) for name, words in CHANGES.items() if name in found["changes"]],
        "cost": [f"{_signed(amount)} {currency}" for currency, amount in found["cost"].items()],
        "bars": bars,
        "middle": middle,
        "width": middle + BAR_WIDTH + 10,
        "height": len(bars) * ROW_HEIGHT + 4,
        "reads": [sentences.FACT_LABELS[name] for name in found["neutral"]["read"] if name in sentences.FACT_LABELS],
    }


def _signed(amount: str) -> str:
    return f"{Decimal(amount):+,}"


def _next_morning(at: datetime) -> datetime:
    """A start to begin with: nine in the morning of the next day, which is always late enough."""
    morning = timezone.localtime(at).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(morning, timezone.localtime(at + 2 * STARTS_AFTER))


urlpatterns: list[URLPattern] = [
    path("policies/", policies, name="policies"),
    path("policies/<int:number>/", policy, name="policy"),
]
