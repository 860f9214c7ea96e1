"""Pages on which colleagues say who is one person: what may be one, making one with a look before, taking it back, parting."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import identity, partings, persons
from crm.admin import pages
from crm.models import ContactPoint, Conversation, Customer, Merge, PersonSuggestion
from crm.models.people import ContactKind
from crm.models.persons import SuggestionState
from crm.policy.matching import NEAR, SAME

CAN_MERGE = "crm.merge_customers"
PAGE_SIZE = 50
CERTAIN_ENOUGH = Decimal("0.99")
"""A likelihood above this is shown as being above it."""
MATTERS_SHOWN = 100
MERGES_SHOWN = 10
FIELDS = {
    "display_name": gettext_lazy("Name"),
    "language": gettext_lazy("Language"),
    "zone": gettext_lazy("Time zone"),
    "region": gettext_lazy("Region"),
    "given_name": gettext_lazy("given name"),
    "family_name": gettext_lazy("family name"),
    "company": gettext_lazy("company"),
    "email": gettext_lazy("mail address"),
    "phone": gettext_lazy("phone number"),
    "street": gettext_lazy("street"),
    "more_street": gettext_lazy("rest of the address"),
    "house_number": gettext_lazy("house number"),
    "city": gettext_lazy("place"),
    "postcode": gettext_lazy("postcode"),
    "birth_date": gettext_lazy("date of birth"),
    "key": gettext_lazy("key of the file"),
}


@pages.page(CAN_MERGE, methods=["GET"])
def person_list(request: HttpRequest) -> HttpResponse:
    """Customers who may be one person, the likeliest first, each with what speaks for it."""
    key = pages.read_key(request, int, int)  # in ten-thousandths
    found = (
        PersonSuggestion.objects.filter(state=SuggestionState.OPEN, one__merged_into=None, other__merged_into=None)
        .select_related("one", "other")
        .order_by("-likelihood", "-pk")
    )
    if key is not None:
        place = (Decimal(key[0]) / 10_000, key[1])
        found = found.filter(pages.beyond(("likelihood", "pk"), place, descending=True))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/persons.html",
        _("Who may be one person"),
        rows=[{"found": row, "percent": _percent(row.likelihood), **_evidence(row)} for row in rows],
        next_key=pages.write_key(int(rows[-1].likelihood * 10_000), rows[-1].pk) if more else "",
        is_first=key is None,
    )


def _percent(likelihood: Decimal) -> str:
    """How likely, in whole percent; never as if it were certain, since a person has to say so."""
    return _("over 99 %") if likelihood > CERTAIN_ENOUGH else f"{likelihood:.0%}"


def _counted(meta: Any, number: int) -> tuple[str, int]:
    return str(meta.verbose_name if number == 1 else meta.verbose_name_plural), number


def _evidence(row: PersonSuggestion) -> dict[str, list[str]]:
    """What agrees and what differs, in words; never what stands there."""
    said: dict[str, list[str]] = {"same": [], "alike": [], "differs": []}
    for name, level, _weight in row.evidence:
        said["same" if level == SAME else "alike" if level == NEAR else "differs"].append(str(FIELDS.get(name, name)))
    return said


@pages.page(CAN_MERGE, methods=["POST"])
def two_people(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Note that two customers are two people."""
    found = PersonSuggestion.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    number = found.pk
    _noted, refused = pages.tried(
        lambda: persons.are_two(
            number, because=request.POST.get("because", ""), by=pages.colleague(request), at=timezone.now()
        )
    )
    pages.say(request, refused, _("Noted. Nobody is asked about these two again."))
    return redirect("admin:persons")


@pages.page("crm.view_customer", CAN_MERGE)
def merge(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show what making another record one with this one would do; a POST does it."""
    kept = _customer(request, public_id)
    wanted = request.POST.get("with", request.GET.get("with", "")).strip()
    gone, refused = other_of(request, wanted) if wanted else (None, "")
    if request.method == "POST" and gone is not None and not refused:
        number = gone.pk
        _made, refused = pages.tried(
            lambda: persons.merge(
                number,
                kept_id=kept.pk,
                because=request.POST.get("because", ""),
                take=[name for name in persons.CHOSEN if request.POST.get(f"take_{name}") == "gone"],
                opens_to_account=request.POST.get("opens_to_account") == "on",
                by=pages.colleague(request),
                at=timezone.now(),
            )
        )
        if not refused:
            pages.say(request, "", _("They are one person from now on. It can be taken back for 30 days."))
            return redirect("admin:customer", public_id=kept.public_id)
    shown = persons.preview(gone, kept) if gone is not None else None
    return pages.render(
        request,
        "admin/desk/person_merge.html",
        _("Make two records one"),
        kept=kept,
        gone=gone,
        shown=shown,
        choices=[(FIELDS[one.name], one) for one in shown.choices] if shown else [],
        moving=[_counted(relation.model._meta, number) for relation, number in shown.moving] if shown else [],
        points=_points(kept, gone) if gone else {},
        wanted=wanted,
        because=request.POST.get("because", ""),
        refused=refused or (shown.refused if shown else ""),
        is_fullwidth="",
        status=409 if refused else 200,
    )


def _customer(request: HttpRequest, public_id: uuid.UUID) -> Customer:
    found = Customer.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def other_of(request: HttpRequest, wanted: str) -> tuple[Customer | None, str]:
    """The other record: by the address of its page, its number, a mail address or a phone number of theirs."""
    visible = Customer.objects.visible_to(pages.colleague(request))
    for part in reversed(wanted.rstrip("/").split("/")):
        try:
            found = visible.filter(public_id=uuid.UUID(part)).first()
        except ValueError:
            continue
        if found is not None:
            return found, ""
    for kind in (ContactKind.EMAIL, ContactKind.PHONE):
        try:
            address = identity.normalised(kind, wanted)
        except identity.UnusableAddress:
            continue
        point = ContactPoint.objects.filter(kind=kind, address=address, unlinked_at=None, customer__in=visible)
        owner = point.select_related("customer").first()
        if owner is not None:
            return owner.customer, ""
    return None, _("We know no customer by this.")


def _points(*customers: Customer) -> dict[int, list[str]]:
    """How each of them can be reached, in one statement."""
    found: dict[int, list[str]] = {customer.pk: [] for customer in customers}
    shown = ContactPoint.objects.filter(customer__in=found, unlinked_at=None)
    for point in shown.exclude(kind__in=[ContactKind.APP, ContactKind.KEY]).order_by("pk")[:PAGE_SIZE]:
        found[point.customer_id].append(point.address)
    return found


@pages.page(CAN_MERGE, methods=["POST"])
def merge_undo(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Take apart again what was made one."""
    found = Merge.objects.filter(public_id=public_id).select_related("kept", "gone").first()
    if found is None:
        raise Http404
    number = found.pk
    _undone, refused = pages.tried(lambda: persons.undo(number, by=pages.colleague(request), at=timezone.now()))
    pages.say(request, refused, _("They are two records again, as they were."))
    return redirect("admin:customer", public_id=(found.kept if refused else found.gone).public_id)


@pages.page("crm.view_customer", CAN_MERGE)
def part(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Choose what belongs to another person; a POST gives it a record of its own."""
    found = _customer(request, public_id)
    chosen = {"points": request.POST.getlist("points"), "matters": request.POST.getlist("matters")}
    refused = ""
    if request.method == "POST":
        parted, refused = pages.tried(
            lambda: partings.part(
                found.pk,
                points=[int(one) for one in chosen["points"] if one.isdecimal()],
                conversations=[int(one) for one in chosen["matters"] if one.isdecimal()],
                name=request.POST.get("name", ""),
                because=request.POST.get("because", ""),
                by=pages.colleague(request),
                at=timezone.now(),
            )
        )
        if parted is not None:
            pages.say(request, "", _("The other person has a record of their own now."))
            return redirect("admin:customer", public_id=parted.made.public_id)
    points = ContactPoint.objects.filter(customer=found, unlinked_at=None).exclude(kind=ContactKind.KEY).order_by("pk")
    matters = Conversation.objects.filter(customer=found).order_by("-pk")[:MATTERS_SHOWN]
    return pages.render(
        request,
        "admin/desk/person_part.html",
        _("Two people in one record"),
        customer=found,
        points=[(one, str(one.pk) in chosen["points"]) for one in points[:PAGE_SIZE]],
        matters=[(one, str(one.pk) in chosen["matters"]) for one in matters],
        limit=MATTERS_SHOWN,
        name=request.POST.get("name", ""),
        because=request.POST.get("because", ""),
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def merges_of(customer: OuterRef) -> ArraySubquery:
    """What was made one with each customer of a query and stands, newest first, for `side`."""
    standing = Merge.objects.filter(kept=customer, undone_at=None).order_by("-id")
    told = JSONObject(
        public_id="public_id", name="gone__display_name", at="at", because="because", by="by__display_name"
    )
    return ArraySubquery(standing.values(json=told)[:MERGES_SHOWN])


def side(request: HttpRequest, customer: Any) -> dict[str, Any]:
    """What the customer's page shows of it: what was made one and can be taken back. customer: with `merges_of`."""
    if not request.user.has_perm(CAN_MERGE):
        return {}
    since = timezone.now() - persons.TAKEN_BACK_WITHIN
    merges = [{**one, "at": datetime.fromisoformat(one["at"])} for one in customer.merges]
    return {
        "may_merge": True,
        "merges": [
            {**one, "name": one["name"] or _("a customer without a name"), "can_go_back": one["at"] >= since}
            for one in merges
        ],
    }


urlpatterns: list[URLPattern] = [
    path("persons/", person_list, name="persons"),
    path("persons/<uuid:public_id>/two/", two_people, name="two_people"),
    path("customer/<uuid:public_id>/merge/", merge, name="customer_merge"),
    path("customer/<uuid:public_id>/part/", part, name="customer_part"),
    path("merge/<uuid:public_id>/take-back/", merge_undo, name="merge_undo"),
]
