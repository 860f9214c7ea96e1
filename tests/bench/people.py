"""Who asks in a measurement: a superuser for the admin, colleagues, and customers with the app."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from django.contrib.auth import login
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.utils import timezone

from crm.actions import staff
from crm.models import Customer, User
from crm.policy import Role
from tests.bench.measure import Ask, Door

PASSWORD = "right horse battery"
FRESH_FOR = 120.0
"""Seconds for which a token is used before the next measurement fetches another."""
COLLEAGUES = 10
"""Colleagues who take conversations; a new one is given to one of them."""


@dataclass
class People:
    """The accounts of one run, and their tokens, which are fetched anew before they run out."""

    door: Door
    agent: User
    colleagues: list[User]
    customers: list[User]
    superuser: User
    tokens: dict[int, str] = field(default_factory=dict)
    logged_in_at: float = 0.0

    def bearer(self, user: User) -> dict[str, str]:
        """The header with which the app asks for this account."""
        return {"HTTP_AUTHORIZATION": f"Bearer {self.tokens[user.pk]}"}

    def log_in(self) -> None:
        """Log everybody in as the app does, unless it was done a moment ago; an access token lasts five minutes."""
        if self.tokens and time.monotonic() - self.logged_in_at < FRESH_FOR:
            return
        for number, user in enumerate((self.agent, *self.customers), start=1):
            self.tokens[user.pk] = self.token(user, device=number)
        self.logged_in_at = time.monotonic()

    def token(self, user: User, *, device: int) -> str:
        """Log one account in; everybody has a device of their own, as the limits of log-in expect."""
        body = {"email": user.email, "password": PASSWORD}
        answer = self.door.ask(Ask("/_allauth/app/v1/auth/login", {"REMOTE_ADDR": f"127.0.0.{device}"}, body))
        token: str = json.loads(answer)["meta"]["access_token"]
        return token

    def cookie(self) -> dict[str, str]:
        """The cookie of the superuser's browser."""
        request = HttpRequest()
        request.session = SessionStore()
        login(request, self.superuser)
        request.session.save()
        return {"HTTP_COOKIE": f"sessionid={request.session.session_key}"}


def enrol(door: Door, *, customers: int) -> People:
    """Make the accounts through the product's own actions."""
    at = timezone.now()
    colleagues = [
        staff.enrol(
            f"colleague{n}@shop.example",
            role=Role.AGENT,
            name=f"Colleague {n}",
            password=None if n else PASSWORD,
            at=at,
            takes_conversations=True,
        )
        for n in range(COLLEAGUES)
    ]
    accounts = []
    for n in range(customers):
        customer = Customer.objects.create(display_name=f"App customer {n}", created_at=at)
        accounts.append(staff.give_app_account(customer, email=f"app{n}@home.example", password=PASSWORD, at=at))
    superuser = User.objects.create_superuser("root@shop.example", None)
    return People(door, colleagues[0], colleagues, accounts, superuser)
