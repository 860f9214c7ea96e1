"""The house's own fields on a case's page."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from crm.admin import custom_fields, pages
from crm.models import CustomField
from crm.policy.fields import FieldOf
from recovery.actions import fields as actions
from recovery.admin.refusals import REFUSALS
from recovery.models import Case

CAN_FILL_IN = "recovery.resolve_case"


def side(request: HttpRequest, found: Case) -> dict[str, Any]:
    """What stands in a case's fields, for its page. One statement."""
    return {
        "own_fields": custom_fields.shown(CustomField.objects.in_use(FieldOf.CASE), found.custom),
        "may_fill_in": request.user.has_perm(CAN_FILL_IN),
        "fill_in_url": reverse("admin:case_fields", args=[found.public_id]),
    }


@pages.page(CAN_FILL_IN)
def case_fields(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Fill in the fields of a case."""
    found = Case.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    number = found.pk
    return custom_fields.fill_in(
        request,
        of=FieldOf.CASE,
        custom=found.custom,
        title=str(found),
        back=reverse("admin:case", args=[public_id]),
        keep=lambda values: actions.set_values(number, values, by=pages.colleague(request), at=timezone.now()),
        refusals=REFUSALS,
    )


urlpatterns: list[URLPattern] = [path("case/<uuid:public_id>/fields/", case_fields, name="case_fields")]
