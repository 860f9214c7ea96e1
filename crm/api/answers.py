"""Answers of staff: written, planned, taken back, and what is begun of them."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import answers, drafts, elsewhere, representatives, undo
from crm.api import shapes
from crm.api.hot import read
from crm.api.views import asking, get_or_404, may, outgoing_out
from crm.models import AnswerDraft, Conversation, OutgoingMessage, User

ANSWERS = "crm.answer_conversation"


class Answers(APIView):
    """A colleague answers the customer, the way the customer came."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=shapes.AnswerIn, responses={201: shapes.OutgoingOut}, operation_id="answer_create")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(shapes.AnswerIn, request.data)
        visible = Conversation.objects.visible_to(asking(request)).select_related("customer")
        conversation = get_or_404(visible, public_id)
        at, moment = timezone.now(), given["send_after"]
        acting = given["representative"] and get_or_404(
            representatives.of(conversation.customer_id), given["representative"]
        )
        message = answers.answer(
            conversation.pk,
            text=given["text"],
            by=asking(request),
            at=at,
            key=given.get("key", ""),
            origin="api",
            stays_open=given["stays_open"],
            out_of_order=given["out_of_order"],
            correction=given["correction"],
            send_after=answers.on_their_clock(conversation.customer, moment) if moment else answers.undo_until(at),
            stops_if_they_write=given["stops_if_they_write"],
            seen=given["seen"],
            to_representative=acting.pk if acting else None,
            public=given["public"],
        )
        return Response(outgoing_out(message, by=asking(request)), status=201)


class AnswersElsewhere(APIView):
    """A colleague writes down an answer that they gave by hand where no account of ours can."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(
        request=shapes.AnswerElsewhereIn, responses={201: shapes.OutgoingOut}, operation_id="answer_elsewhere_create"
    )
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = elsewhere.Given(**read(shapes.AnswerElsewhereIn, request.data))
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        message = elsewhere.log(conversation.pk, given, by=asking(request), at=timezone.now(), origin="api")
        return Response(outgoing_out(message, by=asking(request)), status=201)


class TakeBack(APIView):
    """A colleague takes an answer back that has not begun to leave; its words are their draft again."""

    permission_classes = [may("crm.view_conversation")]  # whose answer it is, the action asks

    @extend_schema(request=None, responses=shapes.OutgoingOut, operation_id="outgoing_take_back")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        visible = Conversation.objects.visible_to(asking(request))
        message = get_or_404(OutgoingMessage.objects.filter(conversation__in=visible), public_id)
        taken = undo.take_back(message.pk, by=asking(request), at=timezone.now(), origin="api")
        return Response(outgoing_out(taken, by=asking(request)))


class Draft(APIView):
    """What a colleague has begun to answer in one conversation."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(responses=shapes.DraftsOut, operation_id="draft_retrieve")
    def get(self, request: Request, public_id: uuid.UUID) -> Response:
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        mine, theirs = drafts.of(conversation, by=asking(request))
        return Response(
            {**_draft_out(mine, by=asking(request)), "shared": [_draft_out(d, by=d.author) for d in theirs]}
        )

    @extend_schema(request=shapes.DraftIn, responses=shapes.DraftOut, operation_id="draft_keep")
    def put(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(shapes.DraftIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        kept = drafts.keep(conversation.pk, by=asking(request), at=timezone.now(), **given)
        return Response(_draft_out(kept, by=asking(request)))

    @extend_schema(responses={204: None}, operation_id="draft_drop")
    def delete(self, request: Request, public_id: uuid.UUID) -> Response:
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        drafts.drop(conversation.pk, by=asking(request))
        return Response(status=204)


def _draft_out(draft: AnswerDraft | None, *, by: User) -> dict[str, Any]:
    return {
        "by": str(by),
        "version": drafts.version(draft),
        "text": draft.text if draft else "",
        "is_shared": bool(draft and draft.is_shared),
        "kept_at": draft.updated_at if draft else None,
    }
