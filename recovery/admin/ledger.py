"""The special-treatment ledger: given less owed by channel and week, the exceptions behind it, and the rules they propose."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages
from crm.channels import Channel
from crm.policy import LineOfWork
from recovery import actions
from recovery.admin.refusals import REFUSALS
from recovery.models import EmpowermentGap, HeldStep, LedgerWeek, PolicyProposal, TreatmentException
from recovery.policy import EXCEPTIONS_BUDGET, ExceptionState, GrantKind, HeldState, ProposalState, Severity

CAN_DECIDE = "recovery.decide_proposal"
WEEKS = 12
LISTED = 50
ROW_HEIGHT, LABEL_WIDTH, HALF = 26, 190, 150


@dataclass(frozen=True, slots=True)
class Bar:
    """Given less owed of one channel, drawn from a middle line in the chart's own units."""

    label: str
    cases: int
    shorted: int
    entitled: Decimal
    delivered: Decimal
    y: int
    x: int
    width: int

    @property
    def difference(self) -> Decimal:
        return self.delivered - self.entitled

    @property
    def text_y(self) -> int:
        return self.y + 14


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart per currency; sums of different currencies never meet."""

    currency: str
    bars: list[Bar]
    width: int = LABEL_WIDTH + 2 * HALF
    middle: int = LABEL_WIDTH + HALF

    @property
    def height(self) -> int:
        return len(self.bars) * ROW_HEIGHT


@pages.page("recovery.view_ledgerweek")
def ledger(request: HttpRequest) -> HttpResponse:
    """The last weeks of the ledger; a POST decides on one proposed rule."""
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_DECIDE)
        refused = _decide(request)
        if not refused:
            return redirect("admin:ledger")
    at = timezone.now()
    since = at - timedelta(weeks=WEEKS)
    sums = (
        LedgerWeek.objects.filter(week__gte=since.date())
        .values("currency", "channel")
        .order_by("currency", "channel")
        .annotate(all=Sum("cases"), short=Sum("shorted"), owed=Sum("entitled"), given=Sum("delivered"))
    )
    teams = (
        LedgerWeek.objects.filter(week__gte=since.date())
        .values("currency", "owner__line_of_work", "owner__is_vendor")
        .order_by("currency", "owner__line_of_work", "owner__is_vendor")
        .annotate(all=Sum("cases"), short=Sum("shorted"), owed=Sum("entitled"), given=Sum("delivered"))
    )
    weeks = (
        LedgerWeek.objects.filter(week__gte=since.date())
        .values("week", "currency", "channel", "owner__display_name", "owner__email", "entitled", "delivered", "cases")
        .order_by("-week", "currency", "channel", "owner")[: LISTED * 2]
    )
    key = pages.read_key(request, int)
    asked = TreatmentException.objects.filter(pk__lt=key[0]) if key else TreatmentException.objects.all()
    exceptions = list(asked.select_related("case", "proposed_by", "decided_by").order_by("-id")[: LISTED + 1])
    gaps = EmpowermentGap.objects.filter(at__gte=since).values("kind").order_by("kind").annotate(number=Count("pk"))
    this_week = at - timedelta(days=7)
    given = TreatmentException.objects.filter(state=ExceptionState.APPROVED, decided_at__gte=this_week).count()
    proposals = PolicyProposal.objects.filter(state=ProposalState.OPEN).select_related(
        "exception__case", "exception__proposed_by", "exception__decision__policy_version"
    )
    kept = PolicyProposal.objects.filter(state=ProposalState.ACCEPTED).select_related("exception", "decided_by")
    held = HeldStep.objects.filter(asked_at__gte=since).select_related(
        "case__conversation", "asked_by", "decided_by", "decision"
    )
    return pages.render(
        request,
        "admin/recovery/ledger.html",
        _("Given and owed"),
        charts=_charts(sums),
        teams=[{**row, "team": _team(row), "difference": row["given"] - row["owed"]} for row in teams],
        weeks=[
            {
                **row,
                "channel": Channel(row["channel"]).label,
                "owner": row["owner__display_name"] or row["owner__email"] or "",
                "difference": row["delivered"] - row["entitled"],
            }
            for row in weeks
        ],
        exceptions=exceptions[:LISTED],
        next_key=pages.write_key(exceptions[LISTED - 1].pk) if len(exceptions) > LISTED else "",
        is_first=key is None,
        exceptions_given=given,
        budget=EXCEPTIONS_BUDGET,
        gaps=[(GrantKind(row["kind"]).label, row["number"]) for row in gaps],
        proposals=proposals.order_by("-id")[:LISTED],
        kept=kept.order_by("-id")[:LISTED],
        held=[_held(step) for step in held.order_by("-asked_at", "-id")[:LISTED]],
        held_counted=[
            (Channel(row["case__conversation__channel"]).label, row["all"], row["done"])
            for row in HeldStep.objects.filter(asked_at__gte=since)
            .values("case__conversation__channel")
            .order_by("case__conversation__channel")
            .annotate(all=Count("pk"), done=Count("pk", filter=Q(state=HeldState.APPROVED)))
        ],
        number_of_weeks=WEEKS,
        refused=refused,
        may_decide=request.user.has_perm(CAN_DECIDE),
        status=409 if refused else 200,
    )


def _team(row: Mapping[str, object]) -> str:
    """The team of the owners in a row: their line of work, in the house or at a vendor, as it stands now."""
    line = row["owner__line_of_work"]
    if line is None:
        return _("nobody's")
    label = str(LineOfWork(str(line)).label)
    return _("%(team)s, at a vendor") % {"team": label} if row["owner__is_vendor"] else label


def _held(step: HeldStep) -> dict[str, object]:
    """One step that was held, with the severity as it counted and as it would have become."""
    would_be = step.would_be.get("severity")
    return {
        "step": step,
        "channel": Channel(step.case.conversation.channel).label,
        "severity": Severity(step.decision.entitlement["severity"]).label,
        "would_be": Severity(would_be).label if would_be else "",
        "looks": len(step.looks),
    }


def _charts(sums: Iterable[Mapping[str, object]]) -> list[Chart]:
    by_currency: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for row in sums:
        by_currency[str(row["currency"])].append(row)
    return [Chart(currency, _bars(rows)) for currency, rows in by_currency.items()]


def _bars(rows: list[Mapping[str, object]]) -> list[Bar]:
    differences = [Decimal(str(row["given"])) - Decimal(str(row["owed"])) for row in rows]
    most = max((abs(difference) for difference in differences), default=Decimal(0)) or Decimal(1)
    bars = []
    for place, (row, difference) in enumerate(zip(rows, differences, strict=True)):
        width = round(HALF * abs(difference) / most)
        middle = LABEL_WIDTH + HALF
        bars.append(
            Bar(
                label=str(Channel(str(row["channel"])).label),
                cases=int(str(row["all"])),
                shorted=int(str(row["short"])),
                entitled=Decimal(str(row["owed"])),
                delivered=Decimal(str(row["given"])),
                y=place * ROW_HEIGHT,
                x=middle if difference >= 0 else middle - width,
                width=width,
            )
        )
    return bars


def _decide(request: HttpRequest) -> str:
    form = request.POST
    try:
        number = uuid.UUID(form.get("proposal", ""))
    except ValueError as unknown:
        raise Http404 from unknown
    found = PolicyProposal.objects.filter(public_id=number).values_list("pk", flat=True).first()
    if found is None:
        raise Http404
    if form.get("do") not in ("accept", "decline"):
        return _("Please use one of the buttons.")
    _decided, refused = pages.tried(
        lambda: actions.decide_proposal(
            found,
            accept=form["do"] == "accept",
            reason=form.get("reason", ""),
            by=pages.colleague(request),
            at=timezone.now(),
        ),
        refusals=REFUSALS,
    )
    if not refused:
        pages.say(request, "", _("Decided, with your name on it."))
    return refused


urlpatterns: list[URLPattern] = [path("ledger/", ledger, name="ledger")]
