"""Cases of other customers that are about the same thing, side by side: what is alike, what differs, whether equals got equal."""

from __future__ import annotations

import re
import uuid
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages
from recovery.actions import links
from recovery.admin.cases import REMEDIES, FactsForm, value_in_words
from recovery.admin.refusals import REFUSALS
from recovery.models import Case, CaseLink, Decision
from recovery.policy import FACT_NAMES
from recovery.policy.linking import Verdict

CAN_SEE = "recovery.view_case"
CAN_LINK = "recovery.link_cases"
SHOWN = 20
_NUMBER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
TONES: dict[str, str] = {Verdict.EQUAL: "good", Verdict.UNEQUAL: "late", Verdict.OTHER_FACTS: "calm"}


@pages.page(CAN_SEE)
def case_links(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The cases that are linked with one, each beside it; a POST links another or parts one again."""
    visible = Case.objects.visible_to(pages.colleague(request))
    case = visible.select_related("customer").filter(public_id=public_id).first()
    if case is None:
        raise Http404
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_LINK)
        done, refused = _act(request, case)
        if not refused:
            pages.say(request, "", done)
            return redirect("admin:case_links", public_id=public_id)
    found = list(links.of_case(case)[: SHOWN + 1])
    return pages.render(
        request,
        "admin/recovery/links.html",
        _("%(case)s: cases like it") % {"case": case},
        case=case,
        tab="links",
        pairs=[_shown(pair, case) for pair in links.compared(found[:SHOWN])],
        more=len(found) > SHOWN,
        may_link=request.user.has_perm(CAN_LINK),
        to=request.POST.get("to", "") if refused else "",
        because=request.POST.get("because", "") if refused else "",
        refused=refused,
        status=409 if refused else 200,
    )


def _act(request: HttpRequest, case: Case) -> tuple[str, str]:
    form, by, at = request.POST, pages.colleague(request), timezone.now()
    visible = Case.objects.visible_to(by)
    if form.get("do") == "link":
        named = _NUMBER.search(form.get("to", ""))
        other = visible.filter(public_id=uuid.UUID(named[0])).first() if named else None
        if other is None:
            return "", _("Please copy the address of the other case's page.")
        number = other.pk
        _link, refused = pages.tried(
            lambda: links.link(case.pk, to_id=number, because=form.get("because", ""), by=by, at=at), refusals=REFUSALS
        )
        return _("Linked. Neither customer learns of the other."), refused
    if form.get("do") == "part":
        named = _NUMBER.fullmatch(form.get("link", ""))
        standing = CaseLink.objects.filter(one__in=visible, other__in=visible)
        found = standing.filter(public_id=uuid.UUID(named[0])).first() if named else None
        if found is None or case.pk not in (found.one_id, found.other_id):
            raise Http404
        number = found.pk
        _link, refused = pages.tried(lambda: links.part(number, by=by, at=at), refusals=REFUSALS)
        return _("Parted. That they were linked stays on record."), refused
    return "", _("Please use one of the buttons.")


def _shown(pair: links.Pair, case: Case) -> dict[str, Any]:
    """One pair as the page shows it, this case on the left."""
    is_first = pair.link.one_id == case.pk
    mine, theirs = (pair.one, pair.other) if is_first else (pair.other, pair.one)
    compared = pair.compared
    return {
        "link": pair.link,
        "other": pair.link.other if is_first else pair.link.one,
        "is_one_person": pair.link.one.customer_id == pair.link.other.customer_id,
        "verdict": compared.verdict.label if compared else _("not decided in both yet"),
        "tone": TONES.get(compared.verdict, "calm") if compared else "calm",
        "is_unequal": compared is not None and compared.verdict == Verdict.UNEQUAL,
        "lines": _lines(mine, theirs, differing=compared.differing, given=pair.given[:: 1 if is_first else -1])
        if mine and theirs and compared
        else [],
    }


def _lines(
    mine: Decision, theirs: Decision, *, differing: tuple[str, ...], given: tuple[Decimal, ...]
) -> list[tuple[Any, str, str, bool]]:
    """Facts, what they earn and by which rules, as (what, here, there, whether it differs)."""
    lines: list[tuple[Any, str, str, bool]] = [
        (
            FactsForm.base_fields[name].label,
            value_in_words(name, mine.facts[name]),
            value_in_words(name, theirs.facts[name]),
            name in differing,
        )
        for name in FACT_NAMES
    ]
    here, there = _earned(mine, given[0]), _earned(theirs, given[1])
    lines += [(what, here[what], there[what], here[what] != there[what]) for what in here]
    return lines


def _earned(decision: Decision, given: Decimal) -> dict[str, str]:
    owed = decision.entitlement

    def amount(money: Decimal) -> str:
        return f"{money} {owed['currency']}" if money else _("no money")

    return {
        _("Owed"): amount(Decimal(owed["owed"])),
        _("Given so far"): amount(given),
        _("Also owed"): "; ".join(str(REMEDIES.get(code, code)) for code in owed["remedies"]),
        _("Severity"): str(owed["severity"]),
        _("Settled within"): _("%(hours)g h") % {"hours": owed["within_minutes"].get("resolution", 0) / 60},
        _("Rules"): _("version %(number)d") % {"number": decision.policy_version.number},
    }


urlpatterns: list[URLPattern] = [path("case/<uuid:public_id>/links/", case_links, name="case_links")]
