"""Who is asking: the app's access token, its session, its account and what it may do, in one statement."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from importlib import import_module
from typing import Any

from allauth.headless.contrib.rest_framework.authentication import JWTTokenAuthentication
from allauth.headless.tokens.strategies.jwt import internal as tokens
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import BigAutoField, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Concat
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crm.models import User
from crm.together import Repeated

LARGEST_ID = BigAutoField.MAX_BIGINT
SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


class AppTokenAuthentication(JWTTokenAuthentication):  # type: ignore[misc]  # django-allauth has no types
    """Access tokens of the app (django-allauth headless); an unknown one is 401, not 403.

    The same checks as django-allauth's stateful validation (signature, expiry, the session still there, the account still
    active, the password not changed since), read in one statement together with the account's rights.
    """

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def authenticate_credentials(self, key: str) -> tuple[User, dict[str, Any]]:
        payload, user_id, session_key = _signed(key)
        user = _account(user_id, session_key) if payload["exp"] > time.time() else None
        if user is None:
            raise AuthenticationFailed(_("Please log in again."))
        return user, payload


@lru_cache(maxsize=2048)
def _signed(token: str) -> tuple[dict[str, Any], int, str]:
    """Read an access token whose signature is ours: what it says, the account, the session. Raises AuthenticationFailed.

    A signature does not change, so it is checked once per process; whether the token has run out, and whether its session
    and account still stand, is looked at every time.
    """
    payload = tokens.decode_token(token, "access")
    session_key = tokens.session_key_from_sid(payload["sid"]) if payload else None
    if payload is None or not session_key or not payload["sub"].isdecimal():
        raise AuthenticationFailed(_("Please log in again."))
    return payload, int(payload["sub"]), session_key


_ACCOUNT = [field.attname for field in User._meta.concrete_fields]


def _account_and_rights(user_id: int, session_key: str, at: datetime) -> QuerySet[User, tuple[Any, ...]]:
    session = Session.objects.filter(session_key=session_key, expire_date__gt=at).values("session_data")
    right = Concat("content_type__app_label", Value("."), "codename")
    own = Permission.objects.filter(user=OuterRef("pk")).order_by().values(right=right)
    # Beginning at the account, each finds its few rows by index; one query with "or" would read every right there is.
    of_groups = Permission.objects.filter(group__user=OuterRef("pk")).order_by().values(right=right)
    asked: QuerySet[User, tuple[Any, ...]] = User.objects.filter(pk=user_id, is_active=True).values_list(
        *_ACCOUNT, Subquery(session), ArraySubquery(own), ArraySubquery(of_groups)
    )
    return asked


_accounts: Repeated[User] = Repeated(
    _account_and_rights, user_id=-1, session_key="a session", at=datetime(1970, 1, 1, tzinfo=UTC)
)


def _account(user_id: int, session_key: str) -> User | None:
    if user_id > LARGEST_ID:
        return None
    found = _accounts.rows(user_id=user_id, session_key=session_key, at=timezone.now())
    if not found or found[0][-3] is None:
        return None
    *columns, session_data, own, of_groups = found[0]
    user: User = User.from_db(connection.alias, _ACCOUNT, columns)
    kept = SessionStore(session_key).decode(session_data)
    same_account = (
        kept.get(SESSION_KEY) == str(user_id) and kept.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    )
    if not same_account or not constant_time_compare(kept.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return None
    # Where Django's own backend keeps what it has read.
    user._perm_cache = {*own, *of_groups}  # type: ignore[attr-defined]
    return user
