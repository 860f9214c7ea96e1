"""The door for phone systems: what rings, who answers, how it ends."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import calls
from crm.api import shapes
from crm.api.hot import read
from crm.api.views import asking, may
from crm.models import User
from crm.policy import CallEventKind, EndedBy


class CallEvents(APIView):
    """A phone system, or a colleague's phone, reports one event of a call; repeats and any order are fine.

    The answer to a ring names whom the caller's open matter belongs to, so that the call can be put through to them.
    """

    permission_classes = [may("crm.report_calls")]

    @extend_schema(request=shapes.CallEventIn, responses={200: shapes.CallOut}, operation_id="call_event_create")
    def post(self, request: Request) -> Response:
        given = read(shapes.CallEventIn, request.data)
        kind = CallEventKind(given["what"])
        told = calls.Told(
            source=f"phone:{given['system']}",
            external_id=given["call"],
            event_id=given["event"],
            kind=kind,
            stated_at=given["at"],
            caller=given["caller"],
            colleague=_colleague(request, given),
            ended_by=EndedBy(given["ended_by"]),
        )
        by, at, person = asking(request), timezone.now(), None
        if kind == CallEventKind.RANG:
            call, person = calls.ring(told, by=by, at=at, origin="api")
        else:
            call = calls.report(told, by=by, at=at, origin="api")
        return Response(
            {
                "id": call.public_id,
                "state": call.state,
                "rang_at": call.rang_at,
                "answered_at": call.answered_at,
                "ended_at": call.ended_at,
                "ended_by": call.ended_by or None,
                "hold_seconds": call.hold_seconds,
                "put_through_to": person and {"email": person.email, "name": str(person)},
            }
        )


def _colleague(request: Request, given: dict[str, Any]) -> User | None:
    """Who answered: the named colleague, else whoever reports if they talk to customers themselves."""
    if given["colleague"]:
        named: User | None = User.objects.filter(
            email=given["colleague"].lower(), is_staff=True, is_active=True
        ).first()
        return named
    reporter = asking(request)
    return reporter if reporter.has_perm("crm.log_call") else None
