"""Who is asking: the app's access token, its session, its account and what it may do, in one statement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

from allauth.headless.contrib.rest_framework.authentication import JWTTokenAuthentication
from allauth.headless.tokens.strategies.jwt import internal as tokens
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.sessions.models import Session
from django.db.models import BigAutoField, Case, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Concat
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crm.actions import identity
from crm.models import User
from crm.together import Repeated, written

LARGEST_ID = BigAutoField.MAX_BIGINT
SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


class AppTokenAuthentication(JWTTokenAuthentication):  # type: ignore[misc]  # django-allauth has no types
    """Access tokens of the app (django-allauth headless); an unknown one is 401, not 403.

    The same checks as django-allauth's stateful validation (signature, expiry, the session still there, the account still
    active, the password not changed since), read in one statement together with the account's rights.
    """

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    speaks = False

    def authenticate(self, request: Request) -> Any:
        self.speaks = getattr(getattr(request, "parser_context", {}).get("view"), "speaks", False)
        scheme, _gap, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        return self.authenticate_credentials(token.strip()) if scheme.lower() == "bearer" else None

    def authenticate_credentials(self, key: str) -> tuple[User, Token]:
        payload, user_id, session_key = _signed(key)
        found = _account(user_id, session_key, speaks=self.speaks) if payload["exp"] > time.time() else None
        if found is None:
            raise AuthenticationFailed(_("Please log in again."))
        return found[0], Token(payload, found[1])


@dataclass(frozen=True, slots=True)
class Token:
    """What was asked with (`request.auth`). speaker: who speaks with the account, known where the view `speaks`."""

    says: dict[str, Any]
    speaker: identity.Speaker | None


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


_NOT_ASKED = {
    "last_login", "date_joined", "first_name", "last_name", "history_opened_at", "second_factor_at", "address_changed_at",
}  # fmt: skip
_ACCOUNT = [field.attname for field in User._meta.concrete_fields if field.attname not in _NOT_ASKED]


def _account_and(more: Sequence[Any], user_id: int, session_key: str, at: datetime) -> QuerySet[User, tuple[Any, ...]]:
    session = Session.objects.filter(session_key=session_key, expire_date__gt=at).values("session_data")
    accounts: QuerySet[User, tuple[Any, ...]] = User.objects.filter(pk=user_id, is_active=True).values_list(
        *_ACCOUNT, Subquery(session), *more
    )
    return accounts


def _rights() -> tuple[Case, Case]:
    right = Concat("content_type__app_label", Value("."), "codename")
    own = Permission.objects.filter(user=OuterRef("pk")).order_by().values(right=right)
    # Beginning at the account, each finds its few rows by index; one query with "or" would read every right there is.
    of_groups = Permission.objects.filter(group__user=OuterRef("pk")).order_by().values(right=right)
    # Rights are the colleagues': for a customer nothing is looked up.
    return Case(When(is_staff=True, then=ArraySubquery(own))), Case(When(is_staff=True, then=ArraySubquery(of_groups)))


_LIKE: dict[str, Any] = {"user_id": -1, "session_key": "a session", "at": datetime(1970, 1, 1, tzinfo=UTC)}
_accounts: Repeated[User] = Repeated(partial(_account_and, _rights()), **_LIKE)
_accounts_that_speak: Repeated[User] = Repeated(partial(_account_and, identity.columns_of_account()), **_LIKE)
"""Who speaks is a customer, who has no rights; the server need not even prepare to look for some."""


@lru_cache(maxsize=2048)
def _session(data: str) -> tuple[str, str, str]:
    """What a session's row says: the account, the back end it logged in by, and the proof of its password then.

    The same row says the same, so its signature and its words are read once per process.
    """
    kept = SessionStore().decode(data)
    return kept.get(SESSION_KEY, ""), kept.get(BACKEND_SESSION_KEY, ""), kept.get(HASH_SESSION_KEY, "")


@lru_cache(maxsize=2048)
def _proof_of(password: str, sessions_ended: int) -> str:
    """What a session of an account with this (hashed) password must hold, after its sessions were ended so many times."""
    return User(password=password, sessions_ended=sessions_ended).get_session_auth_hash()


def _account(user_id: int, session_key: str, *, speaks: bool) -> tuple[User, identity.Speaker | None] | None:
    """The account, and its rights or who `speaks` with it; None when account or session do not stand any more."""
    if user_id > LARGEST_ID:
        return None
    asked = _accounts_that_speak if speaks else _accounts
    found = asked.rows(user_id=user_id, session_key=session_key, at=timezone.now())
    if not found:
        return None
    columns, (session_data, *more) = found[0][: len(_ACCOUNT)], found[0][len(_ACCOUNT) :]
    if session_data is None:
        return None
    user = written(User, **dict(zip(_ACCOUNT, columns, strict=True)))
    account, backend, proof = _session(session_data)
    if account != str(user_id) or backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    if not constant_time_compare(proof, _proof_of(user.password, user.sessions_ended)):
        return None
    # Where Django's own backend keeps what it has read. A customer has no rights; a colleague's are read when asked for.
    if speaks:
        if not user.is_staff:
            user._perm_cache = set()  # type: ignore[attr-defined]
        return user, identity.of_account(user, *more)
    own, of_groups = more
    user._perm_cache = {*(own or ()), *(of_groups or ())}  # type: ignore[attr-defined]
    return user, None
