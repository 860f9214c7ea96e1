"""The app's door to what a customer allows: their own, read and changed by themselves."""

from __future__ import annotations

from typing import Any

from django.utils import timezone, translation
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import consent, letters, preferences
from crm.api.hot import read
from crm.api.shapes import StrictIn
from crm.api.views import IsCustomer, asking
from crm.models import Customer
from crm.networks import PROOF, network_of_request
from crm.policy.consent import WORDS_VERSION, Medium, Purpose
from crm.policy.ledger import ProofDoor

LANGUAGE = OpenApiParameter("language", str, description="Of the words, such as “de”; the house's first when absent.")


class ConsentIn(StrictIn):
    purpose = serializers.ChoiceField(Purpose.choices)
    medium = serializers.ChoiceField(Medium.choices)
    allowed = serializers.BooleanField()
    words = serializers.CharField(
        max_length=1000,
        default="",
        allow_blank=True,
        help_text="For a yes: the words you showed, exactly as you got them.",
    )
    version = serializers.CharField(
        max_length=40, default="", allow_blank=True, help_text="For a yes: the version of these words."
    )
    language = serializers.CharField(
        max_length=16, default="", allow_blank=True, help_text="The language of the words."
    )


class ConsentOut(serializers.Serializer[Any]):
    purpose = serializers.ChoiceField(Purpose.choices)
    medium = serializers.ChoiceField(Medium.choices)
    words = serializers.CharField(help_text="What somebody says yes to; to be shown as it is.")
    version = serializers.CharField()
    language = serializers.CharField()
    allowed_since = serializers.DateTimeField(allow_null=True)


class ConsentsOut(serializers.Serializer[Any]):
    results = ConsentOut(many=True)


class Consents(APIView):
    """What the customer who asks allows; nobody else's can be read or changed here."""

    permission_classes = [IsCustomer]

    @extend_schema(parameters=[LANGUAGE], responses=ConsentsOut, operation_id="consent_list")
    def get(self, request: Request) -> Response:
        return Response(_out(request, letters.language_for(request.query_params.get("language", "")[:16])))

    @extend_schema(request=ConsentIn, responses=ConsentsOut, operation_id="consent_update")
    def put(self, request: Request) -> Response:
        given = read(ConsentIn, request.data)
        language, at = letters.language_for(given["language"]), timezone.now()
        customer, purpose, medium = _own(request), given["purpose"], given["medium"]
        with translation.override(language):
            if given["allowed"]:
                shown = consent.Shown(
                    words=given["words"],
                    version=given["version"],
                    language=language,
                    door=ProofDoor.APP,
                    network=network_of_request(request._request, bits=PROOF),
                    account=asking(request),
                )
                preferences.say_yes_in_app(customer, purpose, medium, shown=shown, at=at)
            else:
                preferences.say_no_in_app(customer, purpose, medium, at=at)
        return Response(_out(request, language))


def _own(request: Request) -> Customer:
    return Customer.objects.get(pk=asking(request).customer_id or 0)


def _out(request: Request, language: str) -> dict[str, Any]:
    with translation.override(language):
        lines = preferences.lines_of(_own(request))
    return {
        "results": [
            {
                "purpose": line.purpose,
                "medium": line.medium,
                "words": line.words,
                "version": WORDS_VERSION,
                "language": language,
                "allowed_since": line.since,
            }
            for line in lines
        ]
    }
