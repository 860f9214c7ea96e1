"""Levelling up as a page: who lags and why, what is proposed and at work and what it did, hours that are missing, back-pay."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.actions import credits
from crm.admin import pages
from recovery import actions
from recovery.actions import back_pay, corrections
from recovery.admin.audit_words import METRICS, channel_name
from recovery.admin.refusals import REFUSALS
from recovery.models import Case, Correction, LevellingWeek, ParityFinding
from recovery.parity.levelling import CorrectionKind
from recovery.policy import CorrectionState, FindingState

CAN_SEE = "recovery.view_correction"
CAN_AGREE = "recovery.agree_correction"
CAN_SEE_MONEY = "recovery.view_grant"
CAN_GIVE = "recovery.give_remedy"
PAGE_SIZE = 25
KINDS = list(CorrectionKind)


@pages.page(CAN_SEE)
def levelling(request: HttpRequest) -> HttpResponse:
    """What lags and what is done about it; a POST agrees, declines, ends, notes, lets credits run, or gives what is owed."""
    refused, words = "", ""
    if request.method == "POST":
        words = request.POST.get("words", "")
        refused = _done(request)
        if not refused:
            return redirect("admin:levelling")
    at = timezone.now()
    week = LevellingWeek.objects.order_by("-week").first()
    live = [_row(row) for row in Correction.objects.live().select_related("finding", "agreed_by").order_by("pk")]
    live.sort(key=lambda line: KINDS.index(line["kind"]))
    over, next_key, is_first = _over(request)
    sees_money = request.user.has_perm(CAN_SEE_MONEY)
    owed, next_owed = _owed(request) if sees_money else ([], "")
    return pages.render(
        request,
        "admin/recovery/levelling.html",
        _("Levelling up"),
        week=week,
        lags=_lags(week),
        proposed=[line for line in live if line["row"].state == CorrectionState.PROPOSED],
        working=[line for line in live if line["row"].state == CorrectionState.WORKING],
        over=over,
        next_key=next_key,
        is_first=is_first,
        findings=_findings(),
        kinds=[(kind.value, kind.label) for kind in corrections.BY_HAND],
        runs=corrections.runs_by_itself(),
        guard=corrections.GUARD_MINUTES,
        owed=owed,
        next_owed=next_owed,
        is_first_owed="owed_after" not in request.GET,
        sees_money=sees_money,
        may_agree=request.user.has_perm(CAN_AGREE),
        may_give=request.user.has_perm(CAN_GIVE),
        at=at,
        refused=refused,
        words=words,
        status=409 if refused else 200,
    )


def _lags(week: LevellingWeek | None) -> list[dict[str, Any]]:
    """The channels of the newest week, the slowest first, each with the credit that counts now."""
    if week is None:
        return []
    now = credits.live()
    rows = [
        {
            **line,
            "on": channel_name(line["channel"]),
            "size": _ratio(line["ratio"]),
            "from": _ratio(line["low"]),
            "credit": now.get(line["channel"], 0),
            "late_in": f"{line['late_in']:.0%}",
            "uncertified": f"{line['uncertified']:.0%}",
        }
        for line in week.lags
    ]
    return sorted(rows, key=lambda row: -(row["ratio"] or 0))


def _row(row: Correction) -> dict[str, Any]:
    return {
        "row": row,
        "kind": CorrectionKind(row.kind),
        "says": corrections.says(row),
        "on": channel_name(row.channel),
        "skills": ", ".join(row.detail.get("skills", [])),
        "before": _ratio(row.ratio_before),
        "after": _ratio(row.ratio_after),
        "better": row.ratio_after is not None and row.ratio_before is not None and row.ratio_after < row.ratio_before,
    }


def _over(request: HttpRequest) -> tuple[list[dict[str, Any]], str, bool]:
    key = pages.read_key(request, int)
    rows = Correction.objects.filter(state__in=[CorrectionState.ENDED, CorrectionState.DECLINED])
    found = list(
        (rows.filter(pk__lt=key[0]) if key else rows)
        .select_related("finding", "agreed_by", "ended_by")
        .order_by("-id")[: PAGE_SIZE + 1]
    )
    more = pages.write_key(found[PAGE_SIZE - 1].pk) if len(found) > PAGE_SIZE else ""
    return [_row(row) for row in found[:PAGE_SIZE]], more, key is None


def _owed(request: HttpRequest) -> tuple[list[back_pay.Owed], str]:
    key = pages.read_key(request, int, name="owed_after")
    found = list(back_pay.owed(at=timezone.now(), after=key[0] if key else None, limit=PAGE_SIZE + 1))
    return found[:PAGE_SIZE], pages.write_key(found[PAGE_SIZE - 1].case.pk) if len(found) > PAGE_SIZE else ""


def _findings() -> list[tuple[uuid.UUID, str]]:
    standing = ParityFinding.objects.exclude(state=FindingState.VERIFIED).filter(is_favoured=False).order_by("pk")
    return [
        (found.public_id, f"{channel_name(found.channel)}: {METRICS.get(found.metric, found.metric)}")
        for found in standing
    ]


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"× {value:.2f}"


# --- what a POST does -------------------------------------------------------------------------------------------------


def _done(request: HttpRequest) -> str:
    """Do what a button says; gives what stands in the way, "" for nothing."""
    act = request.POST.get("do", "")
    if act in ("pay", "pay_all"):
        pages.require(request, CAN_GIVE)
        pages.require(request, CAN_SEE_MONEY)
        return _paid(request)
    pages.require(request, CAN_AGREE)
    by, at, words = pages.colleague(request), timezone.now(), request.POST.get("words", "")
    moves: dict[str, tuple[Callable[[], object], str]] = {
        "agree": (
            lambda: corrections.agree(_correction(request), by=by, at=at),
            _("Agreed, with your name. A later look says whether it helped."),
        ),
        "decline": (
            lambda: corrections.decline(_correction(request), words=words, by=by, at=at),
            _("Declined, with your reason."),
        ),
        "end": (lambda: corrections.end(_correction(request), words=words, by=by, at=at), _("Ended, with your words.")),
        "note": (lambda: _noted(request, words), _("Noted, with your name.")),
        "run": (
            lambda: corrections.let_credits_run(is_on=True, by=by, at=at),
            _("Credits begin by themselves from now on, in your name."),
        ),
        "stop": (
            lambda: corrections.let_credits_run(is_on=False, by=by, at=at),
            _("From now on a credit waits for a person."),
        ),
    }
    if act not in moves:
        return _("Please use one of the buttons.")
    _result, refused = pages.tried(moves[act][0], refusals=REFUSALS)
    if not refused:
        pages.say(request, "", moves[act][1])
    return refused


def _correction(request: HttpRequest) -> int:
    return _key(Correction.objects, request.POST.get("correction", ""))


def _noted(request: HttpRequest, words: str) -> object:
    kind = request.POST.get("kind", "")
    if kind not in {each.value for each in corrections.BY_HAND}:
        raise actions.WrongCorrectionState(_("Please choose what is done."))
    found = _key(ParityFinding.objects, request.POST.get("finding", ""))
    return corrections.note(
        found, kind=CorrectionKind(kind), words=words, by=pages.colleague(request), at=timezone.now()
    )


def _key(rows: Any, public_id: str) -> int:
    try:
        number = uuid.UUID(public_id)
    except ValueError as unknown:
        raise Http404 from unknown
    found: int | None = rows.filter(public_id=number).values_list("pk", flat=True).first()
    if found is None:
        raise Http404
    return found


def _paid(request: HttpRequest) -> str:
    """Give what is owed in one case or in all of a page; whoever is held or refused stops nobody else."""
    cases = [_key(Case.objects, public_id) for public_id in request.POST.getlist("case")[:PAGE_SIZE]]
    given, stood_in_the_way = 0, []
    for case in cases if request.POST["do"] == "pay_all" else cases[:1]:
        done, refused = pages.tried(
            lambda case=case: actions.top_up(case, by=pages.colleague(request), at=timezone.now()),  # type: ignore[misc]
            refusals=REFUSALS,
        )
        given += done is not None
        stood_in_the_way += [refused] if refused else []
    if given:
        words = ngettext("%(number)d customer got the rest.", "%(number)d customers got the rest.", given)
        pages.say(request, "", words % {"number": given})
    return _once(stood_in_the_way)


def _once(several: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(str(each) for each in several))


urlpatterns: list[URLPattern] = [path("levelling-up/", levelling, name="levelling")]
