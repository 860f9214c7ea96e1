"""What a customer's account sees, and how it comes to see more (C04)."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import accounts
from crm.api import shapes
from crm.api.hot import read
from crm.api.views import IsCustomer, asking
from crm.models import User


def sight_out(user: User) -> dict[str, Any]:
    return {"sees_since": user.sees_since, "can_be_sent_a_code": accounts.other_addresses(user).exists()}


class History(APIView):
    """Since when matters are shown to this account; and opening the whole history by a code or a second factor."""

    permission_classes = [IsCustomer]

    @extend_schema(responses=shapes.SightOut, operation_id="my_history")
    def get(self, request: Request) -> Response:
        return Response(sight_out(asking(request)))

    @extend_schema(request=shapes.OpenHistoryIn, responses=shapes.SightOut, operation_id="my_history_open")
    def post(self, request: Request) -> Response:
        given = read(shapes.OpenHistoryIn, request.data)
        return Response(sight_out(accounts.open_history(asking(request).pk, code=given["code"], at=timezone.now())))


class HistoryCode(APIView):
    """Have a code sent to another proved address."""

    permission_classes = [IsCustomer]

    @extend_schema(request=shapes.NothingIn, responses={204: None}, operation_id="my_history_code")
    def post(self, request: Request) -> Response:
        read(shapes.NothingIn, request.data)
        accounts.send_code(asking(request).pk, at=timezone.now())
        return Response(status=204)
