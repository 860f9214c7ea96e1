"""The schema of the API: every operation may answer with the one error shape."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from evenhand.api.problems import PROBLEM


class ProblemOut(serializers.Serializer[Any]):
    """One error shape for everything (RFC 9457)."""

    type = serializers.CharField(help_text="A name for the kind of problem; stable.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable; what programs look at.")
    detail = serializers.CharField(help_text="One sentence for people.")
    instance = serializers.CharField()
    errors = serializers.ListField(  # type: ignore[assignment]  # the document's own word, not the serializer's
        child=serializers.DictField(child=serializers.CharField()), help_text="Which field has which problem."
    )


class ProblemSchema(AutoSchema):
    """Adds the one error shape to every operation of the schema."""

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        refused = self._get_response_for_code(ProblemOut, "4XX", media_types=[PROBLEM])  # type: ignore[no-untyped-call]
        bodies["4XX"] = refused
        bodies["4XX"]["description"] = "Refused; nothing has changed."
        return bodies


class AppTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "evenhand.api.authentication.AppTokenAuthentication"
    name = "appToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
