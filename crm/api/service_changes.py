"""The door for programs that change what customers have: each change is told with the customer's own request, or it is put back."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm import money
from crm.actions import service_changes
from crm.api.hot import read
from crm.api.shapes import StrictIn
from crm.api.views import asking, may
from crm.models import ServiceChange
from crm.policy.service_changes import Every, ReversalState


class ServiceChangeIn(StrictIn):
    customer = serializers.UUIDField()
    key = serializers.CharField(max_length=120, help_text="Your own key; the same key twice is one change.")
    code = serializers.SlugField(max_length=40, help_text="What kind of change it is, in your own code.")
    changed_from = serializers.CharField(max_length=300, default="", allow_blank=True, help_text="In words.")
    changed_to = serializers.CharField(max_length=300, help_text="In words, as the customer reads it.")
    effective_at = serializers.DateTimeField()
    cost = serializers.IntegerField(
        min_value=1, max_value=10**9, allow_null=True, default=None,
        help_text="What it costs above what they paid before, in the currency's smallest unit, for each period.",
    )  # fmt: skip
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="", allow_blank=True)
    every = serializers.ChoiceField(Every.choices, default="", allow_blank=True)
    asked_in = serializers.UUIDField(
        allow_null=True, default=None, help_text="The interaction in which the customer themselves asked for it."
    )
    asked_account = serializers.UUIDField(
        allow_null=True, default=None, help_text="The customer's own account, if they did it in the app."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["cost"] is not None:
            try:
                money.places(attrs["currency"])
            except ValueError as unknown:
                raise serializers.ValidationError({"currency": str(unknown)}, code="unknown_currency") from unknown
        return attrs


class ServiceChangesIn(StrictIn):
    system = serializers.SlugField(max_length=60, help_text="The name of your program; keys belong to it.")
    changes = serializers.ListField(
        child=ServiceChangeIn(), min_length=1, max_length=service_changes.AT_MOST, help_text="All are taken, or none."
    )


class ServiceChangeOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    key = serializers.CharField()
    is_requested = serializers.BooleanField(
        help_text="Whether it rests on the customer's own request; else it is put back."
    )
    reversal = serializers.ChoiceField(ReversalState.choices, allow_null=True)
    put_back_by = serializers.DateTimeField(allow_null=True)


class ServiceChangesOut(serializers.Serializer[Any]):
    changes = ServiceChangeOut(many=True)


class ServiceChanges(APIView):
    """Record what was changed for customers. Without the customer's own request a change is put back, and they are told at once."""

    permission_classes = [may("crm.record_service_change")]

    @extend_schema(request=ServiceChangesIn, responses={201: ServiceChangesOut}, operation_id="service_change_create")
    def post(self, request: Request) -> Response:
        given = read(ServiceChangesIn, request.data)
        told = [_told(given["system"], one) for one in given["changes"]]
        recorded = service_changes.record(told, by=asking(request), at=timezone.now(), origin="api")
        return Response({"changes": [_out(change) for change in service_changes.with_reversals(recorded)]}, status=201)


def _told(system: str, given: dict[str, Any]) -> service_changes.Told:
    cost = given["cost"]
    amount = None if cost is None else money.from_minor(cost, given["currency"])
    return service_changes.Told(**{**given, "cost": amount}, system=system)


def _out(change: ServiceChange) -> dict[str, Any]:
    reversal = None if change.is_requested else change.reversal
    return {
        "id": change.public_id,
        "key": change.key,
        "is_requested": change.is_requested,
        "reversal": reversal and reversal.state,
        "put_back_by": reversal and reversal.due_at,
    }
