"""Who is asking: the app's access token, its session, its account and what it may do, in one statement."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from allauth.headless.contrib.rest_framework.authentication import JWTTokenAuthentication
from allauth.headless.tokens.strategies.jwt import internal as tokens
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.sessions.models import Session
from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.functions import Concat
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crm.models import User

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


class AppTokenAuthentication(JWTTokenAuthentication):
    """Access tokens of the app (django-allauth headless); an unknown one is 401, not 403.

    The same checks as django-allauth's stateful validation (signature, expiry, the session still there, the account still
    active, the password not changed since), read in one statement together with the account's rights.
    """

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def authenticate_credentials(self, key: str) -> tuple[User, dict[str, Any]]:
        payload = tokens.decode_token(key, "access")
        session_key = tokens.session_key_from_sid(payload["sid"]) if payload else None
        if payload is None or not session_key or not payload["sub"].isdecimal():
            raise AuthenticationFailed(_("Please log in again."))
        user = _account(int(payload["sub"]), session_key)
        if user is None:
            raise AuthenticationFailed(_("Please log in again."))
        return user, payload


def _account(user_id: int, session_key: str) -> User | None:
    session = Session.objects.filter(session_key=session_key, expire_date__gt=timezone.now()).values("session_data")
    rights = (
        Permission.objects.filter(Q(user=OuterRef("pk")) | Q(group__user=OuterRef("pk")))
        .order_by()
        .values(right=Concat("content_type__app_label", Value("."), "codename"))
        .distinct()
    )
    user = (
        User.objects.filter(pk=user_id, is_active=True)
        .annotate(session_data=Subquery(session), rights=ArraySubquery(rights))
        .first()
    )
    if user is None or user.session_data is None:
        return None
    kept = SessionStore(session_key).decode(user.session_data)
    same_account = (
        kept.get(SESSION_KEY) == str(user_id) and kept.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    )
    if not same_account or not constant_time_compare(kept.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return None
    user._perm_cache = set(user.rights)  # where Django's own backend keeps what it has read
    return user
