"""What a customer allowed, on their page in the admin: the ledger with its proofs. A colleague may ask and take away, not give."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import consent, questions, suppression
from crm.admin import pages
from crm.models import Consent, Customer
from crm.models.consents import ConsentActor
from crm.policy.consent import WORDS, Medium, Purpose
from crm.policy.ledger import DECISIVE, ConsentState, ProofDoor

CAN_NOTE = "crm.answer_conversation"
EVENTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the ledger. about: purpose and medium as a form names them; words: what the customer read, "" for none."""

    number: int
    about: str
    what: str
    state: str
    state_words: str
    allows: bool
    at: datetime
    actor: str
    noted_by: str
    evidence: str
    words: str
    door: str
    from_where: str


def events_of(customer: OuterRef) -> ArraySubquery:
    """The newest events of each customer of a query, with those of records that are one with it, for `side`."""
    events = Consent.objects.filter(Q(customer=customer) | Q(customer__merged_into=customer)).order_by("-at", "-id")
    told = JSONObject(
        number="pk",
        customer="customer_id",
        purpose="purpose",
        medium="medium",
        state="state",
        actor="actor",
        at="at",
        evidence="evidence",
        noted_by="noted_by__display_name",
        words="proof__words",
        door="proof__door",
        language="proof__language",
        version="proof__version",
        network="proof__network",
    )
    return ArraySubquery(events.values(json=told)[:EVENTS_SHOWN])


def side(request: HttpRequest, found: Any) -> dict[str, Any]:
    """What the panel shows; nothing for whoever may not see permissions. found: with `events_of` and contact points."""
    if not request.user.has_perm("crm.view_consent"):
        return {"sees_consents": False}
    events: list[Event] = []
    standing: dict[str, Event] = {}
    for told in found.consent_events:
        event = _event(told)
        events.append(event)
        if told["customer"] == found.pk and told["state"] in DECISIVE:
            standing.setdefault(event.about, event)
    choices = {f"{purpose}.{medium}": _what(purpose, medium) for purpose, medium in WORDS}
    return {
        "sees_consents": True,
        "allowed": [event for event in standing.values() if event.allows],
        "consent_events": events,
        "suppressed": suppression.standing([(p["kind"], p["address"]) for p in found.points], at=timezone.now()),
        "askable": [pair for pair in choices.items() if pair[0] not in standing or not standing[pair[0]].allows],
    }


def _what(purpose: str, medium: str) -> str:
    return f"{Purpose(purpose).label}, {Medium(medium).label}"


def _event(told: dict[str, Any]) -> Event:
    from_where = (told["language"], told["version"], told["network"]) if told["words"] else ()
    return Event(
        number=told["number"],
        about=f"{told['purpose']}.{told['medium']}",
        what=_what(told["purpose"], told["medium"]),
        state=told["state"],
        state_words=str(ConsentState(told["state"]).label),
        allows=told["state"] == ConsentState.GRANTED and bool(told["words"]),
        at=datetime.fromisoformat(told["at"]),
        actor=str(ConsentActor(told["actor"]).label),
        noted_by=told["noted_by"] or "",
        evidence=told["evidence"],
        words=told["words"] or "",
        door=str(ProofDoor(told["door"]).label) if told["door"] else "",
        from_where=", ".join(filter(None, from_where)),
    )


def _customer(request: HttpRequest, public_id: uuid.UUID) -> Customer:
    found = Customer.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def _line(request: HttpRequest) -> consent.Line:
    """Which purpose and medium the form is about."""
    purpose, _dot, medium = request.POST.get("about", "").partition(".")
    if (purpose, medium) not in WORDS:
        raise Http404
    return purpose, medium


@pages.page("crm.view_customer", "crm.view_consent", CAN_NOTE, methods=["POST"])
def withdraw(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Note that a customer does not allow something any more."""
    found, (purpose, medium) = _customer(request, public_id), _line(request)
    why = request.POST.get("evidence", "")
    _events, refused = pages.tried(
        lambda: consent.withdraw(
            found, purpose, medium=medium, evidence=why, by=pages.colleague(request), at=timezone.now()
        )
    )
    pages.say(request, refused, _("Noted. It counts from this moment."))
    return redirect("admin:customer", public_id=public_id)


@pages.page("crm.view_customer", "crm.view_consent", CAN_NOTE, methods=["POST"])
def ask(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Mail a customer the question whether they allow something."""
    found, (purpose, medium) = _customer(request, public_id), _line(request)
    why = request.POST.get("evidence", "")
    _question, refused = pages.tried(
        lambda: questions.ask(found, purpose, medium, evidence=why, by=pages.colleague(request), at=timezone.now())
    )
    pages.say(request, refused, _("The question is on its way. Only their own yes counts."))
    return redirect("admin:customer", public_id=public_id)


urlpatterns: list[URLPattern] = [
    path("customer/<uuid:public_id>/consent/withdraw/", withdraw, name="consent_withdraw"),
    path("customer/<uuid:public_id>/consent/ask/", ask, name="consent_ask"),
]
