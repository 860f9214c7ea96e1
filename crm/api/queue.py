"""Taking work from the one queue, giving it back, and handing a matter over: for programs of staff."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import handoffs, queue
from crm.api.hot import read
from crm.api.shapes import WORDS_AT_MOST, StrictIn, out_of_order
from crm.api.views import asking, get_or_404, may
from crm.models import Conversation, HandOff, User
from crm.policy import HandOffReason, HandOffState, PutBack

ANSWERS = "crm.answer_conversation"


class TakenOut(serializers.Serializer[Any]):
    conversation = serializers.UUIDField(allow_null=True, help_text="Null when nothing waits for this colleague.")
    back_in_queue_at = serializers.DateTimeField(
        allow_null=True, help_text="When it goes back to the queue if nothing happens with it."
    )


class TakeIn(StrictIn):
    out_of_order = out_of_order()


class PutBackIn(StrictIn):
    because = serializers.ChoiceField(PutBack.choices)


class HandOffIn(StrictIn):
    to = serializers.UUIDField(help_text="The account of the colleague.")
    reason = serializers.ChoiceField(HandOffReason.choices)
    context_note = serializers.CharField(max_length=WORDS_AT_MOST, help_text="What they have to know.")


class HandOffOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    state = serializers.ChoiceField(HandOffState.choices)
    customer_told_at = serializers.DateTimeField(allow_null=True)


def hand_off_out(offered: HandOff) -> dict[str, Any]:
    return {
        "id": offered.public_id,
        "conversation": offered.conversation.public_id,
        "state": offered.state,
        "customer_told_at": offered.customer_told_at,
    }


class Next(APIView):
    """Take the head of the one queue, whichever channel it came by."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=None, responses=TakenOut, operation_id="queue_next")
    def post(self, request: Request) -> Response:
        pull = queue.next_for(asking(request), at=timezone.now())
        return Response(
            {
                "conversation": pull and pull.conversation.public_id,
                "back_in_queue_at": pull and pull.idle_at,
            }
        )


class Take(APIView):
    """Take one matter in particular; out of order with a reason."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=TakeIn, responses={204: None}, operation_id="conversation_take")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(TakeIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        queue.take(conversation.pk, by=asking(request), at=timezone.now(), out_of_order=given["out_of_order"])
        return Response(status=204)


class GiveBack(APIView):
    """Put a matter back into the queue unanswered; it stands where it stood."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=PutBackIn, responses={204: None}, operation_id="conversation_put_back")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(PutBackIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        queue.put_back(conversation.pk, by=asking(request), because=PutBack(given["because"]), at=timezone.now())
        return Response(status=204)


class HandOffs(APIView):
    """Offer a matter to a colleague; the owner stays owner until they accept."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=HandOffIn, responses={201: HandOffOut}, operation_id="hand_off_offer")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(HandOffIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        to = User.objects.colleagues().filter(public_id=given["to"]).first()
        if to is None:
            raise exceptions.ValidationError({"to": _("There is no such colleague.")})
        offered = handoffs.offer(
            conversation.pk,
            to=to,
            reason=HandOffReason(given["reason"]),
            context_note=given["context_note"],
            by=asking(request),
            at=timezone.now(),
        )
        return Response(hand_off_out(offered), status=201)


class Accept(APIView):
    """Take over what was offered; the customer is told the new name."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=None, responses=HandOffOut, operation_id="hand_off_accept")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        offered = get_or_404(HandOff.objects.all(), public_id)
        return Response(hand_off_out(handoffs.accept(offered.pk, by=asking(request), at=timezone.now())))


class Decline(APIView):
    """Say no to an offer."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=None, responses=HandOffOut, operation_id="hand_off_decline")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        offered = get_or_404(HandOff.objects.all(), public_id)
        return Response(hand_off_out(handoffs.decline(offered.pk, by=asking(request), at=timezone.now())))


class Withdraw(APIView):
    """Take an offer back."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=None, responses=HandOffOut, operation_id="hand_off_withdraw")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        offered = get_or_404(HandOff.objects.all(), public_id)
        return Response(hand_off_out(handoffs.withdraw(offered.pk, by=asking(request), at=timezone.now())))
