"""How accounts behave: nobody signs up by themselves; colleagues are enrolled, customers are invited."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # django-allauth has no types
    """Closes open sign-up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
