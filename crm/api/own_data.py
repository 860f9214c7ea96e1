"""A customer's own data, asked for and fetched by themselves in the app (P06, P17)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.headless.tokens.strategies.jwt import internal as tokens
from django.conf import settings
from django.http import FileResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import packages
from crm.api import shapes
from crm.api.hot import read
from crm.api.views import IsCustomer, asking
from crm.models import Customer, DataPackage, User
from crm.policy.privacy import PACKAGE_KEPT_FOR, PackageState

SHOWN = 10


class OwnData(APIView):
    """Copies of one's own data: which there are, and asking for one."""

    permission_classes = [IsCustomer]

    @extend_schema(responses=shapes.OwnDataOut, operation_id="own_data")
    def get(self, request: Request) -> Response:
        user = asking(request)
        return Response({"packages": [_out(one, user) for one in _theirs(user)[:SHOWN]]})

    @extend_schema(request=shapes.NothingIn, responses={202: shapes.DataPackageOut}, operation_id="ask_for_own_data")
    def post(self, request: Request) -> Response:
        read(shapes.NothingIn, request.data)
        user = asking(request)
        package = packages.ask_for_oneself(user, methods=_proofs(request), at=timezone.now())
        return Response(_out(package, user), status=202)


class OwnDataFile(APIView):
    """The file itself. The link is short-lived and opens nothing for anybody but the account that it was made for."""

    permission_classes = [IsCustomer]

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY}, operation_id="own_data_file")
    def get(self, request: Request, link: str) -> FileResponse:
        found = packages.fetched(link, by=asking(request), at=timezone.now())
        try:
            content = found.file.open("rb")
        except FileNotFoundError as missing:
            raise packages.NoPackage(str(found)) from missing
        answer = FileResponse(content, as_attachment=True, filename="your-data.zip", content_type="application/zip")
        answer.headers["Cache-Control"] = "no-store"
        return answer


def _theirs(user: User) -> Any:
    own = Customer.objects.filter(pk=user.customer_id or 0).values("merged_into")
    mine = DataPackage.objects.filter(customer=user.customer_id) | DataPackage.objects.filter(customer__in=own)
    return mine.order_by("-pk")


def _out(package: DataPackage, user: User) -> dict[str, Any]:
    is_made = package.state == PackageState.DONE
    goes_at: datetime | None = package.made_at + PACKAGE_KEPT_FOR if is_made and package.made_at else None
    return {
        "id": package.public_id,
        "state": package.state,
        "asked_at": package.asked_at,
        "made_at": package.made_at,
        "size": package.size,
        "removed_at": goes_at,
        "link": f"/api/v1/me/data/{packages.link_of(package, user)}/" if is_made else None,
    }


def _proofs(request: Request) -> Collection[Mapping[str, Any]]:
    """What the log-in of this request proved and when, as django-allauth wrote it into the session."""
    says = getattr(request.auth, "says", None)
    if says is None:
        session: Any = getattr(request, "session", {})
    else:
        key = tokens.session_key_from_sid(says["sid"])
        session = import_module(settings.SESSION_ENGINE).SessionStore(key) if key else {}
    proofs: list[dict[str, Any]] = session.get(AUTHENTICATION_METHODS_SESSION_KEY, [])
    return proofs
