"""The app at the door of accounts, as a phone uses it: django-allauth's session token, over the test client."""

from __future__ import annotations

import re
from typing import Any

from django.core import mail
from django.core.cache import cache
from django.test import Client

AUTH = "/_allauth/app/v1"
PASSWORD = "an apple, two pears 7"


class App:
    """One installation of the app on one phone."""

    def __init__(self) -> None:
        self.http, self.token, self.access = Client(), "", ""
        self.refresh = ""

    def asks(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask for accounts' things with what the phone keeps. Limits by time are another test's matter."""
        cache.clear()
        headers = {"X-Session-Token": self.token} if self.token else {}
        answer = self.http.generic(
            method, f"{AUTH}{path}", b"" if body is None else _json(body), "application/json", headers=headers
        )
        meta = answer.json().get("meta", {}) if answer.content else {}
        self.token = meta.get("session_token") or self.token
        self.access = meta.get("access_token") or self.access
        self.refresh = meta.get("refresh_token") or self.refresh
        return answer

    def api(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the product's own API with the access token."""
        headers = {"Authorization": f"Bearer {self.access}"} if self.access else {}
        if body is None:
            return self.http.get(f"/api/v1{path}", headers=headers)
        return self.http.post(f"/api/v1{path}", _json(body), content_type="application/json", headers=headers)

    def signs_up(self, email: str, *, password: str = PASSWORD) -> Any:
        return self.asks("POST", "/auth/signup", {"email": email, "password": password})

    def logs_in(self, email: str, *, password: str = PASSWORD) -> Any:
        return self.asks("POST", "/auth/login", {"email": email, "password": password})

    def types_code(self, code: str) -> Any:
        return self.asks("POST", "/auth/email/verify", {"key": code})

    def is_in(self) -> bool:
        return bool(self.asks("GET", "/auth/session").json()["meta"].get("is_authenticated"))


def _json(body: dict[str, Any]) -> bytes:
    import json

    return json.dumps(body).encode()


def code_sent_to(email: str) -> str:
    """The code in the newest mail to somebody."""
    sent = [one for one in mail.outbox if email in one.to]
    assert sent, [one.to for one in mail.outbox]
    found = re.search(r"^([A-Z0-9]{4}-[A-Z0-9]{4})$", sent[-1].body, re.MULTILINE)
    assert found, sent[-1].body
    return found[1]


def signed_up(email: str, *, password: str = PASSWORD) -> App:
    """Somebody who made an account and proved the address."""
    app = App()
    app.signs_up(email, password=password)
    answer = app.types_code(code_sent_to(email))
    assert answer.status_code == 200, answer.content
    return app
