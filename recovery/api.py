"""Recovery's door for programs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm import money
from crm.api.custom_fields import NARROWED, ValuesIn, ValuesOut, narrowed, told, told_fields
from crm.api.hot import read
from crm.api.paging import PAGE_SIZE, read_cursor, write_cursor
from crm.api.shapes import StrictIn, agreed_public, out_of_order
from crm.api.views import CURSOR, asking, get_or_404, may
from crm.models import Conversation, CustomField, User
from crm.policy.fields import FieldOf
from recovery import actions
from recovery.actions.fields import set_values
from recovery.models import Case, Decision
from recovery.policy import ComplaintType, Entitlement, Facts, GrantKind, Outcome, Severity, Status


class FactsIn(StrictIn):
    complaint_type = serializers.ChoiceField(ComplaintType.choices)
    loss = serializers.IntegerField(
        min_value=0, max_value=10**10, default=0, help_text="In the currency's smallest unit, such as cents."
    )
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="EUR")
    days_without = serializers.IntegerField(min_value=0, max_value=3650, default=0)
    our_failures = serializers.IntegerField(min_value=0, max_value=100, default=1)
    safety = serializers.BooleanField(default=False)
    essential = serializers.BooleanField(default=False)
    vulnerable = serializers.BooleanField(default=False)

    def validate_currency(self, currency: str) -> str:
        try:
            money.places(currency)
        except ValueError as unknown:
            raise serializers.ValidationError(str(unknown), code="unknown_currency") from unknown
        return currency


def facts_of(given: dict[str, Any]) -> Facts:
    """Translate what was noted; amounts come in the smallest unit. Raises actions.UnusableFacts."""
    return actions.facts_from(
        {
            **given,
            "complaint_type": ComplaintType(given["complaint_type"]),
            "loss": money.from_minor(given["loss"], given["currency"]),
        }
    )


class ResolveIn(StrictIn):
    outcome = serializers.ChoiceField(Outcome.choices)
    explanation = serializers.CharField(max_length=20_000, help_text="What the customer is told, in writing.")
    out_of_order = out_of_order()
    reason = serializers.CharField(
        max_length=2000, default="", help_text="Why no failure of ours was found; needed where the outcome says so."
    )
    settled_because = serializers.CharField(
        max_length=2000, default="", help_text="Why it is settled this time; needed when it came back within two weeks."
    )
    correction = serializers.CharField(
        max_length=500,
        default="",
        help_text="Why it is otherwise than we said before, in words of the explanation itself.",
    )
    public = agreed_public()


class OwnIn(StrictIn):
    words = serializers.CharField(
        max_length=5000, default="", help_text="“This is mine, I am …”, as the customer gets to read it."
    )
    public = agreed_public()


class GrantIn(StrictIn):
    kind = serializers.ChoiceField(GrantKind.choices)
    amount = serializers.IntegerField(
        min_value=0, max_value=10**10, default=0, help_text="In the currency's smallest unit; 0 for what has no price."
    )
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="EUR")
    key = serializers.CharField(max_length=80, help_text="The same key twice is one grant.")
    public_words = serializers.CharField(
        max_length=2000, default="", help_text="What is said about it in public, if anything."
    )


class GrantOut(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(GrantKind.choices)
    amount = serializers.IntegerField()
    currency = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()


class ReviewOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    asked_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    result = serializers.CharField(allow_blank=True)


class EntitlementOut(serializers.Serializer[Any]):
    severity = serializers.ChoiceField(Severity.choices)
    remedies = serializers.ListField(child=serializers.CharField())
    owed = serializers.IntegerField(help_text="In the currency's smallest unit, such as cents.")
    currency = serializers.CharField()
    within_minutes = serializers.DictField(
        child=serializers.IntegerField(), help_text="Service time, from when the customer spoke."
    )
    explanation = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    choices = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Forms of equal value among which the customer chooses, by remedy.",
    )
    approval_path = serializers.ListField(
        child=serializers.CharField(), help_text="Whose yes it takes to give what is owed; nobody's."
    )
    confirms_in_writing = serializers.BooleanField()


class DecisionOut(serializers.Serializer[Any]):
    policy_version = serializers.IntegerField()
    facts_hash = serializers.CharField()
    decided_at = serializers.DateTimeField()
    entitlement = EntitlementOut()


class CaseRowOut(ValuesOut):
    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    status = serializers.ChoiceField(Status.choices)
    severity = serializers.ChoiceField(Severity.choices)
    complaint_type = serializers.ChoiceField(ComplaintType.choices)
    opened_at = serializers.DateTimeField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)


class CasePageOut(serializers.Serializer[Any]):
    results = CaseRowOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class CaseOut(CaseRowOut):
    decision = DecisionOut()


ROW = (
    "public_id", "conversation__public_id", "status", "severity", "complaint_type", "opened_at", "resolved_at",
    "confirmed_at", "custom",
)  # fmt: skip


def row_out(row: dict[str, Any], fields: Sequence[CustomField]) -> dict[str, Any]:
    return {
        "id": row["public_id"],
        "conversation": row["conversation__public_id"],
        **{name: row[name] for name in ROW[2:]},
        "custom": told(fields, row["custom"]),
    }


def decision_out(decision: Decision) -> dict[str, Any]:
    owed = decision.entitlement
    earned = Entitlement.from_data(owed)
    return {
        "policy_version": decision.policy_version.number,
        "facts_hash": decision.facts_hash,
        "decided_at": decision.decided_at,
        "entitlement": {
            **owed,
            "owed": money.to_minor(Decimal(owed["owed"]), owed["currency"]),
            "choices": {remedy: list(forms) for remedy, forms in earned.choices.items()},
            "approval_path": list(earned.approval_path),
            "confirms_in_writing": earned.confirms_in_writing,
        },
    }


def case_out(case_id: int, *, by: User) -> dict[str, Any]:
    row = Case.objects.filter(pk=case_id).values(*ROW).get()
    newest = Decision.objects.filter(case=case_id).select_related("policy_version").order_by("-pk")[0]
    return {**row_out(row, told_fields(by, FieldOf.CASE)), "decision": decision_out(newest)}


class Cases(APIView):
    """The cases the account may see, newest first."""

    @extend_schema(parameters=[CURSOR, NARROWED], responses=CasePageOut, operation_id="case_list")
    def get(self, request: Request) -> Response:
        after = read_cursor(request, [int])
        fields = told_fields(asking(request), FieldOf.CASE)
        rows = Case.objects.visible_to(asking(request)).filter(narrowed(request, fields))
        if after:
            rows = rows.filter(pk__lt=after[0])
        page = list(rows.order_by("-pk").values("pk", *ROW)[: PAGE_SIZE + 1])
        more = len(page) > PAGE_SIZE
        return Response(
            {
                "results": [row_out(row, fields) for row in page[:PAGE_SIZE]],
                "next_cursor": write_cursor([page[PAGE_SIZE - 1]["pk"]]) if more else None,
            }
        )


class CaseDetail(APIView):
    """One case with what is owed and why."""

    @extend_schema(responses=CaseOut, operation_id="case_retrieve")
    def get(self, request: Request, public_id: uuid.UUID) -> Response:
        case = Case.objects.visible_to(asking(request)).filter(public_id=public_id).values("pk").first()
        if case is None:
            raise exceptions.NotFound
        return Response(case_out(case["pk"], by=asking(request)))


class CaseFields(APIView):
    """A colleague fills in the house's own fields of a case. What is in them is no fact of any decision."""

    permission_classes = [may("recovery.resolve_case")]

    @extend_schema(request=ValuesIn, responses=ValuesOut, operation_id="case_fields_change")
    def patch(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(ValuesIn, request.data)
        case = get_or_404(Case.objects.visible_to(asking(request)), public_id)
        kept = set_values(case.pk, given["custom"], by=asking(request), at=timezone.now())
        return Response({"custom": told(told_fields(asking(request), FieldOf.CASE), kept.custom)})


class OpenCase(APIView):
    """A colleague sees that something went wrong."""

    permission_classes = [may("recovery.open_case")]

    @extend_schema(request=None, responses={201: CaseOut}, operation_id="case_open")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        case = actions.open_case(conversation.pk, facts=Facts(), seen_because=[], by=asking(request), at=timezone.now())
        return Response(case_out(case.pk, by=asking(request)), status=201)


class OwnCase(APIView):
    """A colleague takes a case on by name."""

    permission_classes = [may("recovery.resolve_case")]

    @extend_schema(request=OwnIn, responses=CaseOut, operation_id="case_own")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(OwnIn, request.data)
        case = get_or_404(Case.objects.visible_to(asking(request)), public_id)
        actions.own(case.pk, by=asking(request), at=timezone.now(), words=given["words"], public=given["public"])
        return Response(case_out(case.pk, by=asking(request)))


class CaseFacts(APIView):
    """A colleague notes the facts; the policy decides."""

    permission_classes = [may("recovery.resolve_case")]

    @extend_schema(request=FactsIn, responses=CaseOut, operation_id="case_decide")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        facts = facts_of(read(FactsIn, request.data))
        case = get_or_404(Case.objects.visible_to(asking(request)), public_id)
        actions.decide(case.pk, facts=facts, by=asking(request), at=timezone.now())
        return Response(case_out(case.pk, by=asking(request)))


class ResolveCase(APIView):
    """A colleague settles a case; the customer gets it in writing."""

    permission_classes = [may("recovery.resolve_case")]

    @extend_schema(request=ResolveIn, responses=CaseOut, operation_id="case_resolve")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(ResolveIn, request.data)
        case = get_or_404(Case.objects.visible_to(asking(request)), public_id)
        actions.resolve(
            case.pk,
            outcome=Outcome(given["outcome"]),
            explanation=given["explanation"],
            out_of_order=given["out_of_order"],
            reason=given["reason"],
            settled_because=given["settled_because"],
            correction=given["correction"],
            public=given["public"],
            by=asking(request),
            at=timezone.now(),
        )
        return Response(case_out(case.pk, by=asking(request)))


class GrantRemedy(APIView):
    """A colleague gives what was decided; nobody is asked for it. Who lacks the right leaves a note of that (R142)."""

    @extend_schema(request=GrantIn, responses={201: GrantOut}, operation_id="case_grant")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given, user = read(GrantIn, request.data), asking(request)
        case = get_or_404(Case.objects.visible_to(user), public_id)
        kind, amount = GrantKind(given["kind"]), Decimal(0)
        if not user.has_perm("recovery.give_remedy"):
            if user.is_staff:
                actions.note_gap(case.pk, kind=kind, by=user, at=timezone.now())
            raise exceptions.PermissionDenied
        if given["amount"]:
            try:
                amount = money.from_minor(given["amount"], given["currency"])
            except ValueError as unknown:
                raise actions.UnusableAmount(str(unknown)) from unknown
        grant = actions.grant(
            case.pk,
            kind=kind,
            amount=amount,
            currency=given["currency"],
            key=given["key"],
            public_words=given["public_words"],
            by=user,
            at=timezone.now(),
        )
        minor = money.to_minor(grant.amount, grant.currency) if grant.amount else 0
        return Response({"kind": grant.kind, "amount": minor, "currency": grant.currency, "at": grant.at}, status=201)


class AskForReview(APIView):
    """A customer who disagrees, or a colleague on their behalf, asks for a second look by somebody not involved."""

    @extend_schema(request=None, responses={201: ReviewOut}, operation_id="case_review")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        user = asking(request)
        if user.is_staff and not user.has_perm("recovery.resolve_case"):
            raise exceptions.PermissionDenied
        case = get_or_404(Case.objects.visible_to(user), public_id)
        review = actions.ask_for_review(case.pk, by=user, at=timezone.now())
        return Response(
            {
                "id": review.public_id,
                "asked_at": review.asked_at,
                "ended_at": review.ended_at,
                "result": review.result,
            },
            status=201,
        )


urlpatterns = [
    path("cases/", Cases.as_view()),
    path("cases/<uuid:public_id>/", CaseDetail.as_view()),
    path("cases/<uuid:public_id>/fields/", CaseFields.as_view()),
    path("cases/<uuid:public_id>/own/", OwnCase.as_view()),
    path("cases/<uuid:public_id>/facts/", CaseFacts.as_view()),
    path("cases/<uuid:public_id>/resolve/", ResolveCase.as_view()),
    path("cases/<uuid:public_id>/grants/", GrantRemedy.as_view()),
    path("cases/<uuid:public_id>/review/", AskForReview.as_view()),
    path("conversations/<uuid:public_id>/case/", OpenCase.as_view()),
]
