"""Where the relationship with a customer stands, why, and how that says to talk: beside customer and conversation, and a page."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import belongings, stages
from crm.admin import pages, panels
from crm.models import Conversation, Customer, RelationshipRole, RelationshipStage
from crm.models.people import CustomerStatus
from crm.policy.stages import HINTS, RULES, RelationshipKind, Stage

CAN_SEE = "crm.view_relationshipstage"
CAN_NOTE = "crm.note_stage"
PAGE_SIZE = 50
REFS: dict[str, Any] = {"conversation": gettext_lazy("a conversation"), "case": gettext_lazy("a case")}
TONES: dict[str, str] = {
    Stage.STRAINED: "soon", Stage.ADVERSARY: "late", Stage.LOYAL: "good", Stage.ADVOCATE: "good", Stage.WON_BACK: "good",
}  # fmt: skip


@pages.page("crm.view_customer", CAN_SEE)
def customer_stage(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Why a relationship stands where it does: the rules, what we hold, every change; a POST is one act, named by its button."""
    found = Customer.objects.visible_to(pages.colleague(request)).with_records().filter(public_id=public_id).first()
    if found is None:
        raise Http404
    if found.merged_into_id is not None:
        return redirect("admin:customer_stage", public_id=belongings.standing(found).public_id)
    at, refused = timezone.now(), ""
    if request.method == "POST":
        pages.require(request, CAN_NOTE)
        done, refused = _act(request, found, at=at)
        if not refused:
            pages.say(request, "", done)
            return redirect("admin:customer_stage", public_id=public_id)
    records = belongings.records_of(found)
    changes = stages.history_of(records)
    key = pages.read_key(request, datetime, int)
    if key is not None:
        changes = changes.filter(pages.beyond(("since", "pk"), key, descending=True))
    rows = list(changes[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    looked = stages.look([found.pk], at=at)
    now = looked[0].standing.stage if looked and looked[0].standing else ""
    roles = RelationshipRole.objects.filter(customer__in=records).select_related("said_by", "ended_by")
    return pages.render(
        request,
        "admin/desk/stage.html",
        _("Where it stands with %(name)s") % {"name": found},
        customer=found,
        known=looked[0].known if looked else None,
        now=now,
        now_label=Stage(now).label if now else "",
        tone=TONES.get(now, "calm"),
        hint=HINTS.get(now, ""),
        changes=[{"row": row, "tone": TONES.get(row.stage, "calm"), "shown_by": _links(row.evidence)} for row in rows],
        roles=list(roles.order_by("ended_at", "-pk")[:PAGE_SIZE]),
        rules=[(Stage(rule.stage).label, _plain(rule.words), rule.code) for rule in RULES],
        standing_rule=rows[0].rule if rows and key is None else "",
        stages=Stage.choices,
        role_kinds=RelationshipKind.choices,
        may_note=request.user.has_perm(CAN_NOTE) and found.status == CustomerStatus.ACTIVE,
        typed=request.POST if refused else {},
        refused=refused,
        next_key=pages.write_key(rows[-1].since, rows[-1].pk) if more else "",
        is_first=key is None,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def _act(request: HttpRequest, found: Customer, *, at: datetime) -> tuple[str, str]:
    form, by = request.POST, pages.colleague(request)
    does = form.get("do")
    if does == "stage" and form.get("stage") in Stage:
        wanted = Stage(form["stage"])
        because, evidence = form.get("because", ""), form.get("evidence", "")
        _row, refused = pages.tried(
            lambda: stages.note(found.pk, wanted, because=because, evidence=evidence, by=by, at=at)
        )
        return _("Noted. It counts until a case or a promise changes."), refused
    if does == "role" and form.get("role") in RelationshipKind:
        role = RelationshipKind(form["role"])
        _role, refused = pages.tried(
            lambda: stages.add_role(found.pk, role, evidence=form.get("role_evidence", ""), by=by, at=at)
        )
        return _("Noted."), refused
    if does == "end_role" and form.get("number", "").isdecimal():
        held = RelationshipRole.objects.filter(pk=int(form["number"]), customer=found).first()
        if held is None:
            raise Http404
        number = held.pk
        _role, refused = pages.tried(lambda: stages.end_role(number, customer_id=found.pk, by=by, at=at))
        return _("Ended. It stays in what was noted before."), refused
    return "", _("Please choose from the list.")


def _plain(words: Any) -> str:
    """A rule's words where no customer's numbers are meant."""
    return str(words) % {"missed": 2, "came_back": 2, "matters": 3}


def _links(evidence: list[str]) -> list[tuple[str, str]]:
    """What shows it, as (words, address); an address only where there is a page of that kind."""
    return [(REFS.get(ref.partition(":")[0], ref), _address(*ref.split(":", 1))) for ref in evidence]


def _address(kind: str, public_id: str) -> str:
    try:
        return reverse(f"admin:{kind}", args=[uuid.UUID(public_id)])
    except (NoReverseMatch, ValueError):
        return ""


# --- beside the customer and the conversation -----------------------------------------------------------------------


def stage_of(customer: OuterRef) -> ArraySubquery:
    """The newest change of each customer of a query, for `side`."""
    told = JSONObject(stage="stage", since="since", because="because", by="by__display_name")
    return ArraySubquery(RelationshipStage.objects.filter(customer=customer).order_by("-pk").values(json=told)[:1])


def roles_of(customer: OuterRef) -> ArraySubquery:
    """The roles that each customer of a query has, for `side`."""
    return ArraySubquery(
        RelationshipRole.objects.filter(customer=customer, ended_at=None).order_by("pk").values("role")
    )


def side(request: HttpRequest, customer: Any) -> dict[str, Any]:
    """What the customer's page shows of it. customer: with `stage_of` as newest_stage and `roles_of` as roles_held."""
    if not request.user.has_perm(CAN_SEE):
        return {}
    newest = customer.newest_stage[0] if customer.newest_stage else None
    kinds = dict(RelationshipKind.choices)
    return {
        "relationship": {
            "label": Stage(newest["stage"]).label if newest else "",
            "tone": TONES.get(newest["stage"], "calm") if newest else "",
            "since": datetime.fromisoformat(newest["since"]) if newest else None,
            "because": newest["because"] if newest else "",
            "by": newest["by"] if newest else "",
            "hint": HINTS[newest["stage"]] if newest else "",
            "roles": [kinds[role] for role in customer.roles_held],
        }
    }


def beside(request: HttpRequest, conversation: Conversation) -> str:
    """How to talk, in a sentence, beside a conversation that was read with `stage_of` as newest_stage; no statement."""
    newest = getattr(conversation, "newest_stage", None)
    if not newest or newest[0]["stage"] == Stage.ACTIVE or not request.user.has_perm(CAN_SEE):
        return ""
    stage = Stage(newest[0]["stage"])
    context = {
        "label": stage.label,
        "because": newest[0]["because"],
        "hint": HINTS[stage],
        "tone": TONES.get(stage, "calm"),
        "customer": conversation.customer,
    }
    return render_to_string("admin/desk/stage_side.html", context, request=request)


panels.sides.append(beside)

urlpatterns: list[URLPattern] = [path("customer/<uuid:public_id>/stage/", customer_stage, name="customer_stage")]
