"""What customers read of what they told us of their lives, and of who acts for them; only what they told us themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import representatives
from crm.api import shapes
from crm.api.paging import PAGE_SIZE, read_cursor, write_cursor
from crm.api.views import CURSOR, IsCustomer, asking
from crm.models import LifeEvent, Representative
from crm.policy.lives import LifeSource


def _page(request: Request, rows: Any) -> tuple[list[Any], str | None]:
    """One page of rows, newest first, and the cursor of the next."""
    after = read_cursor(request, [int])
    if after:
        rows = rows.filter(pk__lt=after[0])
    page = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more = len(page) > PAGE_SIZE
    return page[:PAGE_SIZE], write_cursor([page[PAGE_SIZE - 1].pk]) if more else None


class MyLifeEvents(APIView):
    """What the customer told us of their life, as it stands."""

    permission_classes = [IsCustomer]

    @extend_schema(parameters=[CURSOR], responses=shapes.LifeEventPageOut, operation_id="my_life_events")
    def get(self, request: Request) -> Response:
        page, following = _page(request, LifeEvent.objects.visible_to(asking(request)))
        return Response({"results": [_event_out(one) for one in page], "next_cursor": following})


def _event_out(event: LifeEvent) -> dict[str, Any]:
    return {
        "id": event.public_id,
        "kind": event.kind,
        "year": event.year,
        "month": event.month,
        "day": event.day,
        "words": event.words,
        "purpose": event.purpose,
        "told_at": event.told_at,
    }


class MyRepresentatives(APIView):
    """Who acts for the customer by what they told us themselves."""

    permission_classes = [IsCustomer]

    @extend_schema(parameters=[CURSOR], responses=shapes.RepresentativePageOut, operation_id="my_representatives")
    def get(self, request: Request) -> Response:
        at = timezone.now()
        told = representatives.of(asking(request).customer_id or 0).filter(source=LifeSource.CUSTOMER)
        page, following = _page(request, told)
        return Response({"results": [_representative_out(one, at=at) for one in page], "next_cursor": following})


def _representative_out(noted: Representative, *, at: datetime) -> dict[str, Any]:
    return {
        "id": noted.public_id,
        "name": str(noted),
        "authority": noted.authority,
        "scope": noted.scope,
        "conversation": noted.conversation.public_id if noted.conversation else None,
        "valid_from": noted.valid_from,
        "valid_until": noted.valid_until,
        "counts_now": noted.stands(status=noted.principal.status, at=at),
    }
