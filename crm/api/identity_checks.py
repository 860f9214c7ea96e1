"""Showing who somebody is, for programs of staff: what the rules ask for, what was asked, and what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import identity_checks
from crm.api.hot import read
from crm.api.shapes import StrictIn
from crm.api.views import asking, get_or_404, may
from crm.models import Conversation, IdentityCheck
from crm.policy.identity_checks import CheckKind, CheckNeed, CheckState

ANSWERS = "crm.answer_conversation"


class IdentityCheckIn(StrictIn):
    kind = serializers.ChoiceField(CheckKind.choices, help_text="What they are asked for.")
    need = serializers.ChoiceField(CheckNeed.choices, help_text="What it is needed for.")
    because = serializers.CharField(
        max_length=identity_checks.LONGEST,
        required=False,
        default="",
        allow_blank=True,
        help_text="Why it is needed where the rules ask for less; refused as `reason_needed` when it is missing then.",
    )


class CodeIn(StrictIn):
    code = serializers.CharField(max_length=20, help_text="The code as the customer tells it.")


class IdentityCheckOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    kind = serializers.ChoiceField(CheckKind.choices)
    need = serializers.ChoiceField(CheckNeed.choices)
    state = serializers.ChoiceField(CheckState.choices)
    is_beyond = serializers.BooleanField(help_text="Whether it is more than the rules ask for.")
    asked_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)


class RulesOut(serializers.Serializer[Any]):
    need = serializers.ChoiceField(CheckNeed.choices)
    steps = serializers.IntegerField(help_text="How many steps the rules ask for in all.")
    next = serializers.ListField(
        child=serializers.ChoiceField(CheckKind.choices),
        help_text="Of which one may be asked next; the customer chooses.",
    )
    is_enough = serializers.BooleanField(help_text="Whether what was shown is as much as the rules ask for.")


class IdentityChecksOut(serializers.Serializer[Any]):
    rules = RulesOut(many=True)
    checks = IdentityCheckOut(many=True, help_text="The newest first.")


def check_out(check: IdentityCheck, conversation: Conversation) -> dict[str, Any]:
    return {
        "id": check.public_id,
        "conversation": conversation.public_id,
        "kind": check.kind,
        "need": check.need,
        "state": check.state,
        "is_beyond": check.is_beyond,
        "asked_at": check.asked_at,
        "settled_at": check.settled_at,
    }


def _after(step: Callable[..., IdentityCheck], request: Request, public_id: uuid.UUID, **given: str) -> Response:
    """Take a step with a check that this colleague may see, and answer with what it is now."""
    user = asking(request)
    visible = Conversation.objects.visible_to(user)
    number = get_or_404(IdentityCheck.objects.filter(conversation__in=visible), public_id).pk
    check = step(number, **given, by=user, at=timezone.now())
    return Response(check_out(check, check.conversation))


class IdentityChecks(APIView):
    """What the rules ask for in a matter and what was asked; a POST asks for one thing, and a code leaves by mail."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(responses=IdentityChecksOut, operation_id="identity_checks")
    def get(self, request: Request, public_id: uuid.UUID) -> Response:
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        rules = [
            {"need": one.need, "steps": one.steps, "next": sorted(one.kinds), "is_enough": one.is_enough}
            for one in identity_checks.asks(conversation)
        ]
        checks = [check_out(check, conversation) for check in identity_checks.of_matter(conversation)]
        return Response({"rules": rules, "checks": checks})

    @extend_schema(request=IdentityCheckIn, responses={201: IdentityCheckOut}, operation_id="identity_check_ask")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(IdentityCheckIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        check = identity_checks.ask(
            conversation.pk,
            kind=CheckKind(given["kind"]),
            need=CheckNeed(given["need"]),
            because=given["because"],
            by=asking(request),
            at=timezone.now(),
        )
        return Response(check_out(check, check.conversation), status=201)


class Code(APIView):
    """Say the code that the customer told; every wrong one counts."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=CodeIn, responses=IdentityCheckOut, operation_id="identity_check_code")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        return _after(identity_checks.try_code, request, public_id, code=read(CodeIn, request.data)["code"])


class Pass(APIView):
    """Note that it was shown; a code is shown by the code alone."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=None, responses=IdentityCheckOut, operation_id="identity_check_pass")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        return _after(identity_checks.passed, request, public_id)


class Fail(APIView):
    """Note that it could not be shown."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=None, responses=IdentityCheckOut, operation_id="identity_check_fail")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        return _after(identity_checks.failed, request, public_id)


class Withdraw(APIView):
    """Ask for it no more; it was asked, and counts as a step."""

    permission_classes = [may(ANSWERS)]

    @extend_schema(request=None, responses=IdentityCheckOut, operation_id="identity_check_withdraw")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        return _after(identity_checks.withdraw, request, public_id)
