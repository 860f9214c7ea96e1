"""How accounts behave: nobody signs up by themselves; colleagues are enrolled, customers are invited."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailConfirmation
from django.conf import settings
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # django-allauth has no types
    """Closes open sign-up; what mails say about where we are is what was configured, never what a request's Host claims (W08)."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_reset_password_from_key_url(self, key: str) -> str:
        return _at_home(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: EmailConfirmation) -> str:
        return _at_home(super().get_email_confirmation_url(request, emailconfirmation))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        super().send_mail(template_prefix, email, {"current_site": _home(), **context})

    def format_email_subject(self, subject: str) -> str:
        return f"[{_home().name}] {subject}"


def _at_home(address: str) -> str:
    return f"{settings.PUBLIC_URL}{urlsplit(address).path}"


def _home() -> SimpleNamespace:
    """What mails call this installation: the host of its configured address, as the templates of the accounts read it."""
    host = urlsplit(settings.PUBLIC_URL).netloc
    return SimpleNamespace(domain=host, name=host)
