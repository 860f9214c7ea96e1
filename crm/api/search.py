"""Search for programs: staff look through what they may read, a customer through their own."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import searching as actions
from crm.actions.searching import Hit
from crm.api.paging import PAGE_SIZE, read_cursor, write_cursor
from crm.api.views import CURSOR, asking, instant

KINDS = ("messages", "customers", "cases")


class PieceOut(serializers.Serializer[Any]):
    text = serializers.CharField()
    found = serializers.BooleanField()


class HitOut(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="Of the conversation, the customer or the case.")
    title = serializers.CharField()
    at = serializers.DateTimeField()
    customer = serializers.CharField(allow_blank=True)
    customer_id = serializers.UUIDField(allow_null=True)
    channel = serializers.CharField(allow_blank=True)
    direction = serializers.CharField(allow_blank=True)
    snippet = PieceOut(many=True, help_text="Plain text in pieces, never markup.")


class SearchOut(serializers.Serializer[Any]):
    results = HitOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    looked_back_to = serializers.DateTimeField(
        allow_null=True,
        help_text="Set where the words are so common together that the rest is looked through from `next_cursor` on.",
    )


class Search(APIView):
    """Messages, customers or cases among those the account may see, newest first; never how many there are."""

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "q", str, required=True, description='Words, "a phrase", -without, begin*; an address or a number.'
            ),
            OpenApiParameter("of", str, enum=KINDS, description="Messages when absent."),
            CURSOR,
        ],
        responses=SearchOut,
        operation_id="search",
    )
    def get(self, request: Request) -> Response:
        user, after = asking(request), read_cursor(request, [str, int])
        of = request.query_params.get("of", KINDS[0])
        if of not in KINDS:
            raise exceptions.ValidationError({"of": f"Only {', '.join(KINDS)} are understood."})
        wanted = actions.read(request.query_params.get("q", ""))
        place = (instant(after[0]), after[1]) if after else None
        if of == "messages":
            found = actions.messages(user, wanted, place=place, most=PAGE_SIZE)
        elif of == "customers":
            found = actions.customers(user, wanted, place=place, most=PAGE_SIZE)
        else:
            found = dict(actions.elsewhere(user, wanted, place=place, most=PAGE_SIZE))["case"]
        return Response(
            {
                "results": [_out(hit) for hit in found.hits],
                "next_cursor": write_cursor([found.next[0].isoformat(), found.next[1]]) if found.next else None,
                "looked_back_to": found.looked_to,
            }
        )


def _out(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.public_id,
        "title": hit.title,
        "at": hit.at,
        "customer": hit.customer,
        "customer_id": hit.customer_id,
        "channel": hit.channel,
        "direction": hit.direction,
        "snippet": [{"text": piece, "found": is_find} for piece, is_find in hit.pieces],
    }
