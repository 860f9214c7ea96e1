"""A client that logs in as the app does: with django-allauth's tokens."""

from __future__ import annotations

from rest_framework.test import APIClient

from crm.models import User


def client_for(user: User | None, *, password: str = "right horse") -> APIClient:
    """A client with an access token of this account, got by logging in; one without any when there is no account."""
    client = APIClient()
    if user is None:
        return client
    answer = client.post("/_allauth/app/v1/auth/login", {"email": user.email, "password": password}, format="json")
    assert answer.status_code == 200, answer.content
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['meta']['access_token']}")
    return client
