"""The customer's page: how to reach them, what holds us back, and their whole story with us."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dates import MONTHS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import belongings, calendars, customers
from crm.admin import (
    bereavements,
    consents,
    custom_fields,
    households,
    lives,
    pages,
    panels,
    persons,
    privacy,
    representatives,
    service_changes,
    stages,
    timeline,
)
from crm.language import tags
from crm.models import ContactPoint, Customer, Hold, LifeEvent, ServiceCalendar
from crm.models.people import ContactKind, CustomerStatus
from crm.policy.fields import FieldOf
from crm.policy.lives import LifeEventKind

CAN_NOTE_A_BIRTHDAY = "crm.answer_conversation"
HOLD_WORDS = {
    "open_case": gettext_lazy("a case is open"),
    "bereavement": gettext_lazy("somebody has died"),
    "bereavement_possible": gettext_lazy("somebody may have died; a person has to look"),
}


class BirthdayForm(forms.Form):
    """A birthday that the customer told us for a card."""

    day = forms.IntegerField(label=gettext_lazy("Day"), min_value=1, max_value=31)
    month = forms.TypedChoiceField(label=gettext_lazy("Month"), choices=list(MONTHS.items()), coerce=int)
    evidence = forms.CharField(
        label=gettext_lazy("What did they say, and where?"),
        help_text=gettext_lazy(
            "In their words. We then mail them whether they want a card; only their own yes counts."
        ),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=2000,
    )


@pages.page()
def customer(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show a customer; a POST notes their birthday."""
    at = timezone.now()
    found = _found(request, public_id, at=at)
    if found.merged_into_id is not None:
        return redirect("admin:customer", public_id=belongings.standing(found).public_id)
    may_note = request.user.has_perm(CAN_NOTE_A_BIRTHDAY)
    form, refused = BirthdayForm(), ""
    if request.method == "POST":
        pages.require(request, CAN_NOTE_A_BIRTHDAY)
        form = BirthdayForm(request.POST)
        if form.is_valid():
            told, refused = pages.tried(
                lambda: customers.tell_birthday(found, **form.cleaned_data, by=pages.colleague(request), at=at)
            )
            if told is not None:
                pages.say(request, "", _birthday_told(told))
                return redirect("admin:customer", public_id=public_id)
    key = pages.read_key(request, datetime, str, int, name="before")
    events, more = timeline.read(pages.colleague(request), found, panels.Before(*key) if key else None)
    return pages.render(
        request,
        "admin/desk/customer.html",
        str(found),
        customer=found,
        card=_card(found),
        events=events,
        is_newest=key is None,
        earlier=pages.write_key(*events[-1].place) if more else "",
        form=form,
        may_note=may_note,
        is_active=found.status == CustomerStatus.ACTIVE,
        languages=_languages(found),
        regions=found.regions,  # type: ignore[attr-defined]
        refused=refused,
        status=409 if refused else 200,
        **persons.side(request, found),
        **custom_fields.side(request, found),
        **stages.side(request, found),
        **service_changes.side(request, found),
        **bereavements.side(request, found),
        **lives.side(request, found),
        **households.side(request, found),
        **representatives.side(request, found),
        **privacy.side(request, found),
        **consents.side(request, found),
    )


def _birthday_told(told: customers.BirthdayTold) -> str:
    if told.question is not None:
        return _("The birthday is noted, and the question whether they want a card is on its way to them.")
    return _("The birthday is noted; no question was mailed. %(why)s") % {"why": told.not_asked}


@pages.page(CAN_NOTE_A_BIRTHDAY, methods=["POST"])
def region(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Note which region's service hours count for a customer."""
    at = timezone.now()
    found = _found(request, public_id, at=at)
    told = request.POST.get("region", "")
    _customer, refused = pages.tried(
        lambda: calendars.set_region(found.pk, region=told, by=pages.colleague(request), at=at)
    )
    pages.say(request, refused, _("Noted. It counts for what is promised from now on."))
    return redirect("admin:customer", public_id=public_id)


@pages.page(CAN_NOTE_A_BIRTHDAY, methods=["POST"])
def language(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Note in which language a customer wants to be written to."""
    at = timezone.now()
    found = _found(request, public_id, at=at)
    told = request.POST.get("language", "")
    _customer, refused = pages.tried(
        lambda: customers.set_language(found.pk, language=told, by=pages.colleague(request), at=at)
    )
    pages.say(
        request, refused, _("Noted. What we write from now on is in that language, as far as we have words in it.")
    )
    return redirect("admin:customer", public_id=public_id)


def _languages(found: Customer) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Languages to choose from, by their own names: those that our letters have, and all others."""
    ours = list(settings.EVENHAND_CUSTOMER_LANGUAGES)
    others = [tag for tag in (*tags.known_tags(), found.language) if tag and tag not in ours]
    return [(tag, tags.own_name(tag)) for tag in ours], [(tag, tags.own_name(tag)) for tag in dict.fromkeys(others)]


def _found(request: HttpRequest, public_id: uuid.UUID, *, at: datetime) -> Customer:
    """The customer with contact points, holds and birthday, in one statement."""
    mine = OuterRef("pk")
    found = (
        Customer.objects.visible_to(pages.colleague(request))
        .with_records()
        .filter(public_id=public_id)
        .annotate(
            points=ArraySubquery(
                ContactPoint.objects.filter(customer=mine, unlinked_at=None)
                .order_by("id")
                .values(
                    json=JSONObject(
                        kind="kind",
                        address="address",
                        verified="verified_at",
                        unconfirmed="unconfirmed_since",
                        because="unconfirmed_because",
                    )
                )
            ),
            merges=persons.merges_of(mine),
            **custom_fields.in_use(FieldOf.CUSTOMER),
            newest_stage=stages.stage_of(mine),
            roles_held=stages.roles_of(mine),
            newest_changes=service_changes.changes_of(mine),
            consent_events=consents.events_of(mine),
            holds=ArraySubquery(
                Hold.objects.filter(Q(until=None) | Q(until__gt=at), customer=mine, starts_at__lte=at)
                .order_by("id")
                .values("reason")
            ),
            regions=ArraySubquery(
                ServiceCalendar.objects.exclude(region="").order_by("region").values("region").distinct()
            ),
            birthdays=ArraySubquery(
                LifeEvent.objects.standing()
                .filter(customer=mine, kind=LifeEventKind.BIRTHDAY)
                .order_by("id")
                .values(json=JSONObject(day="day", month="month"))
            ),
        )
        .first()
    )
    if found is None:
        raise Http404
    return found


def _card(found: Any) -> dict[str, Any]:
    """What stands beside the story, in words."""
    kinds = dict(ContactKind.choices)
    birthday = found.birthdays[0] if found.birthdays else None
    return {
        "points": [
            (
                kinds[p["kind"]],
                p["address"],
                bool(p["verified"]),
                datetime.fromisoformat(p["unconfirmed"]) if p["unconfirmed"] else None,
                p["because"],
            )
            for p in found.points
            if p["kind"] not in (ContactKind.APP, ContactKind.KEY)
        ],
        "has_app": any(p["kind"] == ContactKind.APP for p in found.points),
        "holds": [HOLD_WORDS.get(reason, reason) for reason in found.holds],
        "birthday": f"{birthday['day']} {MONTHS[birthday['month']]}" if birthday else "",
    }
