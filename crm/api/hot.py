"""The short way for a request that comes often and asks for nothing unusual."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any, ClassVar

from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.api import shapes

PLAIN = frozenset({"", "*/*", JSONRenderer.media_type})
"""What a program accepts that takes our JSON and asks for no other form."""


def read(shape: type[shapes.StrictIn], data: Any) -> dict[str, Any]:
    """Read a request's data into a shape. Raises ValidationError."""
    found: dict[str, Any] = _kept(shape).run_validation(data)
    return found


@cache
def _kept(shape: type[shapes.StrictIn]) -> shapes.StrictIn:
    """One instance of each shape for all requests; reading keeps nothing in it, and making one copies every field."""
    return shape()


class HotView(APIView):
    """Takes one shape by POST. A plain request (JSON in and out, by token) is not weighed for forms it does not ask for.

    Parser, token, permissions, shape and problem documents are those of every other view. Whatever is unusual, and
    whatever is refused before the action, goes through REST framework as usual: up to there nothing has been changed.
    """

    shape: ClassVar[type[shapes.StrictIn]]
    refusals: ClassVar[tuple[type[Exception], ...]] = ()  # what the action may refuse with

    def answer(self, request: Any, given: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Call the action; the body of the answer and its status. request: knows `user` and `auth`."""
        raise NotImplementedError

    def post(self, request: Request) -> Response:
        body, status = self.answer(request, read(self.shape, request.data))
        return Response(body, status=status)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        given = self._given(request)
        if given is None:
            return super().dispatch(request, *args, **kwargs)
        known: tuple[type[Exception], ...] = (*self.refusals, OperationalError)
        try:
            body, status = self.answer(request, given)
        except known as trouble:
            refused = self.get_exception_handler()(trouble, {"request": request, "view": self})
            return _json(refused.data, refused.status_code, refused.content_type, dict(refused.headers))
        return _json(body, status, JSONRenderer.media_type, {})

    def _given(self, request: HttpRequest) -> dict[str, Any] | None:
        """What a plain request brings, its asker found and allowed to ask; None for any other."""
        about = request.META
        usual = request.method == "POST" and about.get("CONTENT_TYPE") == JSONRenderer.media_type
        if not usual or about.get("HTTP_ACCEPT", "") not in PLAIN or about.get("QUERY_STRING"):
            return None
        asking: Any = request
        asking.parser_context = {"view": self}
        try:
            found = self.authentication_classes[0]().authenticate(asking)
            if found is None:
                return None
            asking.user, asking.auth = found
            if not all(permission.has_permission(asking, self) for permission in self.get_permissions()):
                return None
            return read(self.shape, self.parser_classes[0]().parse(BytesIO(request.body)))
        except (APIException, SuspiciousOperation, OperationalError):
            return None  # it is met again, and answered, on the usual way


def _json(body: Any, status: int, content_type: str | None, headers: dict[str, str]) -> HttpResponse:
    headers.pop("Content-Type", None)
    return HttpResponse(JSONRenderer().render(body), status=status, content_type=content_type, headers=headers)
