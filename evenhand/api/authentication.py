"""Who is asking."""

from __future__ import annotations

from allauth.headless.contrib.rest_framework.authentication import JWTTokenAuthentication
from rest_framework.request import Request


class AppTokenAuthentication(JWTTokenAuthentication):
    """Access tokens of the app (django-allauth headless); an unknown one is 401, not 403."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
