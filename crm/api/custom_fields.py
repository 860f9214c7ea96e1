"""Customers and the house's own fields, for programs: lists narrowed by them, read and written by code."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db.models import Q
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import custom_fields as actions
from crm.api.hot import read
from crm.api.paging import PAGE_SIZE, read_cursor, write_cursor
from crm.api.shapes import StrictIn
from crm.api.views import CURSOR, asking, get_or_404, instant
from crm.models import Customer, CustomField, User
from crm.models.fields import SeenBy, holds
from crm.models.people import CustomerStatus
from crm.policy import fields as policy
from crm.policy.fields import FieldKind, FieldOf

CAN_FILL_IN = "crm.answer_conversation"
BEFORE = "custom."
"""How a parameter begins that narrows a list by a field: `custom.<code>`."""
NARROWED = OpenApiParameter(
    "custom.code",
    str,
    description="By a field of the house's own: `custom.` and its code. Exactly this value; several narrow further.",
)


class CustomFieldOut(serializers.Serializer[Any]):
    code = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    kind = serializers.ChoiceField(FieldKind.choices)
    choices = serializers.ListField(child=serializers.CharField())
    help = serializers.CharField(allow_blank=True)
    seen_by = serializers.ChoiceField(SeenBy.choices)


class CustomFieldsOut(serializers.Serializer[Any]):
    results = CustomFieldOut(many=True)


class ValuesOut(serializers.Serializer[Any]):
    custom = serializers.DictField(
        child=serializers.JSONField(), help_text="By code: text, a number, a day as YYYY-MM-DD, or true and false."
    )


class ValuesIn(StrictIn):
    custom = serializers.DictField(
        child=serializers.JSONField(allow_null=True),
        help_text="By code; null takes a value away, fields that are not named stay as they are.",
    )


class CustomerRowOut(ValuesOut):
    id = serializers.UUIDField()
    name = serializers.CharField(allow_blank=True)
    language = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(CustomerStatus.choices)
    known_since = serializers.DateTimeField()


class CustomerPageOut(serializers.Serializer[Any]):
    results = CustomerRowOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


def told_fields(user: User, of: str) -> list[CustomField]:
    """The fields in use that this account may see; one statement."""
    return list(CustomField.objects.in_use(of).told_to(staff=user.is_staff))


def told(fields: Sequence[CustomField], custom: dict[str, Any]) -> dict[str, Any]:
    """What stands in those fields, by code."""
    return {field.code: custom[field.code] for field in fields if field.code in custom}


def narrowed(request: Request, fields: Sequence[CustomField]) -> Q:
    """What the parameters `custom.<code>` ask for, by fields that this account may see. Raises UnusableValue."""
    asked = {
        name.removeprefix(BEFORE): value for name, value in request.query_params.items() if name.startswith(BEFORE)
    }
    wanted = policy.checked([field.rule for field in fields], asked)
    if not asked:
        return Q()
    if None in wanted.values():
        raise exceptions.ValidationError({f"{BEFORE}code": "An empty value finds nothing; leave the parameter out."})
    return holds(wanted)


class CustomFields(APIView):
    """The fields of the house's own that the account may see."""

    @extend_schema(
        parameters=[OpenApiParameter("of", str, enum=FieldOf.values, description="Of customers when absent.")],
        responses=CustomFieldsOut,
        operation_id="custom_field_list",
    )
    def get(self, request: Request) -> Response:
        of = request.query_params.get("of", FieldOf.CUSTOMER)
        if of not in FieldOf.values:
            raise exceptions.ValidationError({"of": "Only “customer” and “case” are understood."})
        names = ("code", "label", "kind", "choices", "help", "seen_by")
        fields = told_fields(asking(request), of)
        return Response({"results": [{name: getattr(field, name) for name in names} for field in fields]})


class Customers(APIView):
    """The customers the account may see, newest first."""

    @extend_schema(parameters=[CURSOR, NARROWED], responses=CustomerPageOut, operation_id="customer_list")
    def get(self, request: Request) -> Response:
        user, after = asking(request), read_cursor(request, [str, int])
        fields = told_fields(user, FieldOf.CUSTOMER)
        rows = Customer.objects.visible_to(user).filter(narrowed(request, fields))
        if after:
            rows = rows.filter(TupleLessThan(Tuple("created_at", "pk"), (instant(after[0]), after[1])))
        names = ("pk", "public_id", "display_name", "language", "status", "created_at", "custom")
        page = list(rows.order_by("-created_at", "-pk").values(*names)[: PAGE_SIZE + 1])
        last = page[PAGE_SIZE - 1] if len(page) > PAGE_SIZE else None
        return Response(
            {
                "results": [
                    {
                        "id": row["public_id"],
                        "name": row["display_name"],
                        "language": row["language"],
                        "status": row["status"],
                        "known_since": row["created_at"],
                        "custom": told(fields, row["custom"]),
                    }
                    for row in page[:PAGE_SIZE]
                ],
                "next_cursor": last and write_cursor([last["created_at"].isoformat(), last["pk"]]),
            }
        )


class CustomerFields(APIView):
    """What stands in the house's own fields of one customer; the customer reads those that are meant for them."""

    @extend_schema(responses=ValuesOut, operation_id="customer_fields")
    def get(self, request: Request, public_id: uuid.UUID) -> Response:
        user = asking(request)
        customer = get_or_404(Customer.objects.visible_to(user), public_id)
        return Response({"custom": told(told_fields(user, FieldOf.CUSTOMER), customer.custom)})

    @extend_schema(request=ValuesIn, responses=ValuesOut, operation_id="customer_fields_change")
    def patch(self, request: Request, public_id: uuid.UUID) -> Response:
        user = asking(request)
        if not user.is_staff or not user.has_perm(CAN_FILL_IN):
            raise exceptions.PermissionDenied
        given = read(ValuesIn, request.data)
        customer = get_or_404(Customer.objects.visible_to(user), public_id)
        kept = actions.set_values(customer.pk, given["custom"], by=user, at=timezone.now())
        return Response({"custom": told(told_fields(user, FieldOf.CUSTOMER), kept.custom)})
