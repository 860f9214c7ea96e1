"""What customers told of their lives: a panel, a page to note it and to act on it, and the list of what waits for a person."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dates import MONTHS
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import life_events
from crm.admin import pages
from crm.models import Bereavement, Customer, Hold, LifeEvent, User
from crm.models.people import CustomerStatus
from crm.policy.bereavement import BereavementState
from crm.policy.lives import LifeEventKind, LifeSource, MomentState, Precision, Purpose, SeenBy, Valence, When

CAN_SEE = "crm.view_lifeevent"
CAN_NOTE = "crm.answer_conversation"
PAGE_SIZE = 50
SHOWN_BESIDE = 5
TONES = {Valence.SAD: "late", Valence.MIXED: "soon", Valence.HAPPY: "good"}


class EventForm(forms.Form):
    """Something in a customer's life that we were told."""

    kind = forms.ChoiceField(
        label=gettext_lazy("What is it?"),
        choices=[one for one in LifeEventKind.choices if one[0] not in ("birthday", "bereavement")],
    )
    words = forms.CharField(label=gettext_lazy("What they said, in a few words"), max_length=500)
    source = forms.ChoiceField(
        label=gettext_lazy("Who told us?"),
        choices=LifeSource.choices,
        help_text=gettext_lazy("Only what we were told. Nothing is concluded from what they buy."),
    )
    evidence = forms.CharField(
        label=gettext_lazy("For a public post: where it stands, and where they said that we may use it"),
        max_length=500,
        required=False,
    )
    precision = forms.ChoiceField(
        label=gettext_lazy("What is known of the day?"), choices=Precision.choices, initial=Precision.UNKNOWN
    )
    day = forms.IntegerField(label=gettext_lazy("Day"), min_value=1, max_value=31, required=False)
    month = forms.TypedChoiceField(
        label=gettext_lazy("Month"), choices=[("", "–"), *MONTHS.items()], coerce=int, empty_value=None, required=False
    )
    year = forms.IntegerField(label=gettext_lazy("Year"), min_value=1900, max_value=2200, required=False)
    purpose = forms.ChoiceField(
        label=gettext_lazy("What did they tell us for?"),
        choices=Purpose.choices,
        initial=Purpose.CONSIDERATION,
        help_text=gettext_lazy("What is sad is never a reason for a card that cheers."),
    )
    is_mine = forms.BooleanField(
        label=gettext_lazy("I look after it myself (needed where it is sad)"), required=False, initial=True
    )


def customer_of(request: HttpRequest, public_id: uuid.UUID) -> Customer:
    """The customer of a page. Raises Http404 for none that this account may see."""
    found = Customer.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


@pages.page("crm.view_customer", CAN_SEE)
def life(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What a customer told of their life, newest first; a POST notes more."""
    found = customer_of(request, public_id)
    at, form, refused = timezone.now(), EventForm(), ""
    if request.method == "POST":
        pages.require(request, CAN_NOTE)
        form = EventForm(request.POST)
        if form.is_valid():
            given = form.cleaned_data
            _event, refused = pages.tried(
                lambda: life_events.tell(
                    found.pk,
                    kind=LifeEventKind(given["kind"]),
                    source=LifeSource(given["source"]),
                    words=given["words"],
                    when=When(Precision(given["precision"]), given["year"], given["month"], given["day"]),
                    purpose=Purpose(given["purpose"]),
                    evidence=given["evidence"],
                    handled_by=pages.colleague(request) if given["is_mine"] else None,
                    by=pages.colleague(request),
                    at=at,
                )
            )
            if not refused:
                pages.say(request, "", _("Noted."))
                return redirect("admin:customer_life", public_id=public_id)
    events = LifeEvent.objects.visible_to(pages.colleague(request)).filter(customer=found)
    rows = events.select_related("handled_by", "noted_by", "taken_back_by").order_by("-told_at", "-pk")[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/life.html",
        _("What happens in their life"),
        customer=found,
        rows=[shown(row) for row in rows],
        form=form,
        may_note=request.user.has_perm(CAN_NOTE),
        colleagues=_colleagues(),
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def _colleagues() -> list[User]:
    return list(User.objects.filter(is_staff=True, is_active=True).order_by("display_name", "pk")[:200])


def shown(event: LifeEvent) -> dict[str, Any]:
    """One event as a list shows it."""
    return {
        "event": event,
        "tone": TONES[Valence(event.valence)],
        "when": day_in_words(event),
        "is_private": event.seen_by == SeenBy.LEADS,
        "is_open": event.moment == MomentState.OPEN and event.taken_back_at is None,
        "ends_elsewhere": event.kind == LifeEventKind.BEREAVEMENT,
    }


def day_in_words(event: LifeEvent) -> str:
    """The day as it was told, "" for none."""
    if event.precision == Precision.DAY and event.year and event.month and event.day:
        return date_format(date(event.year, event.month, event.day), "j M Y")
    if event.month and event.precision == Precision.MONTH:
        return f"{MONTHS[event.month]} {event.year}"
    return f"{event.day} {MONTHS[event.month]}" if event.day and event.month else ""


@pages.page(CAN_SEE, CAN_NOTE, methods=["POST"])
def act(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Take an event back, give it to somebody, or say what became of it."""
    by, at, form = pages.colleague(request), timezone.now(), request.POST
    event = LifeEvent.objects.visible_to(by).select_related("customer").filter(public_id=public_id).first()
    if event is None:
        raise Http404
    because, number = form.get("because", ""), event.pk
    to = User.objects.filter(public_id=_uuid(form.get("to", "")), is_staff=True).first() if form.get("to") else by
    if to is None:
        raise Http404
    does = {
        "take_back": (lambda: life_events.take_back(number, because=because, by=by, at=at), _("Taken back.")),
        "give": (
            lambda: life_events.hand_to(number, to=to, by=by, at=at),
            _("%(name)s looks after it now.") % {"name": to},
        ),
        "done": (
            lambda: life_events.settle(number, is_done=True, because=because, by=by, at=at),
            _("Thank you. It is noted."),
        ),
        "left": (
            lambda: life_events.settle(number, is_done=False, because=because, by=by, at=at),
            _("It is left alone."),
        ),
    }
    chosen = does.get(form.get("do", ""))
    if chosen is None:
        raise Http404
    _event, refused = pages.tried(chosen[0])
    pages.say(request, refused, chosen[1])
    if form.get("from") == "moments":
        return redirect("admin:moments")
    return redirect("admin:customer_life", public_id=event.customer.public_id)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)


@pages.page(CAN_SEE, CAN_NOTE, methods=["GET"])
def moments(request: HttpRequest) -> HttpResponse:
    """What happens in customers' lives and waits for a person: deaths first, then what is sad, then what may be celebrated."""
    by, at = pages.colleague(request), timezone.now()
    key = pages.read_key(request, int, str, int)
    holds = Hold.objects.not_over(at).filter(customer=OuterRef("customer"))
    found: QuerySet[Any] = (
        LifeEvent.objects.visible_to(by)
        .waiting()
        .filter(customer__merged_into=None)
        .select_related("customer", "handled_by")
        .annotate(is_held=Exists(holds))
        .order_by("urgency", "moment_on", "pk")
    )
    if key is not None:
        try:
            place = (key[0], date.fromisoformat(key[1]), key[2])
        except ValueError:
            place = (0, date.min, 0)
        found = found.filter(pages.beyond(("urgency", "moment_on", "pk"), place))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    last = rows[-1] if rows else None
    asked = _asked() if key is None else []
    return pages.render(
        request,
        "admin/desk/moments.html",
        _("What happens in customers' lives"),
        asked=asked,
        rows=[
            {
                **shown(row),
                "is_mine": row.handled_by_id == by.pk,
                "held": row.is_held and row.valence != Valence.SAD,
                "has_died": row.customer.status == CustomerStatus.DECEASED,
            }
            for row in rows
        ],
        may_decide=by.has_perm("crm.decide_bereavement"),
        next_key=pages.write_key(last.urgency, str(last.moment_on), last.pk) if more and last else "",
        is_first=key is None,
    )


def _asked() -> list[Bereavement]:
    """What a person has to say about a death before anything else, the oldest first."""
    asked = Bereavement.objects.undecided().filter(
        Q(state=BereavementState.PROPOSED) | Q(state=BereavementState.STANDING)
    )
    return list(asked.select_related("customer", "interaction").order_by("noticed_at", "pk")[:PAGE_SIZE])


def side(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """What the customer's page shows of it; one statement."""
    if not request.user.has_perm(CAN_SEE):
        return {}
    events = LifeEvent.objects.visible_to(pages.colleague(request)).standing().filter(customer=customer)
    newest = events.exclude(kind=LifeEventKind.BIRTHDAY).select_related("handled_by").order_by("-told_at", "-pk")
    return {"may_see_life": True, "life": [shown(one) for one in newest[:SHOWN_BESIDE]]}


urlpatterns: list[URLPattern] = [
    path("moments/", moments, name="moments"),
    path("customer/<uuid:public_id>/life/", life, name="customer_life"),
    path("life-event/<uuid:public_id>/", act, name="life_event"),
]
