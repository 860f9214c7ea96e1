"""Looking changes nothing: every address of the product is opened, by somebody who may do everything, and the tables compared."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from crm.actions import capture, feeds, forms, intake, judgements, listening_places
from crm.channels import Channel
from crm.models import User
from crm.policy import NoAnswerReason, PostVerdict, Role
from recovery import actions
from recovery.policy import Facts
from tests.crm.channels.provided import EXAMPLES, account_of
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db
OWN_STATE = {"django_session", "evenhand_cache", "usersessions_usersession"}
"""What a browser's visit leaves whatever it looks at."""


def addresses(patterns: Any, before: str = "") -> Iterator[str]:
    for pattern in patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern):
            yield here


def filled(address: str, ids: list[str]) -> Iterator[str]:
    """An address with each of the ids in its place; those that are written as patterns are the theme's and Django's own."""
    plain = address.replace("^", "").replace("$", "").replace("\\", "")
    if "(?P" in plain:
        return
    for number, one in enumerate(ids):
        made = re.sub(r"<uuid:\w+>", one, plain)
        made = re.sub(r"<int:\w+>|<path:\w+>|<str:object_id>", str(number + 1), made)
        made = made.replace("<str:provider>", "telegram").replace("<str:day>", timezone.now().date().isoformat())
        made = re.sub(r"<\w+:\w+>|<\w+>", "x", made)
        yield f"/{made}"
        if made == plain:
            return


def tables() -> dict[str, str]:
    """A digest of every table's rows."""
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if table not in OWN_STATE:
                cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t")
                found[table] = cursor.fetchone()[0]
    return found


def a_little_of_everything(boss: User) -> list[str]:
    """Something for every page to show. The public ids of all that has one."""
    now = timezone.now()
    said = intake.receive(message("It came broken.", spoke_at=now), at=now, origin="test")
    actions.open_case(said.conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=now)
    note = capture.Capture(
        key="k", channel=Channel.REVIEW, said="Late.", url="https://r.example/1", account="jane", email="j@home.example"
    )
    post = capture.write_down(note, by=boss, at=now)
    judgements.judge(
        post.interaction.pk,
        verdict=PostVerdict.NO_ANSWER,
        reason=NoAnswerReason.SPAM,
        words="x",
        by=boss,
        at=now + timedelta(seconds=1),
    )
    account_of(EXAMPLES["telegram"])
    feeds.add(feeds.Draft("https://blog.example/feed", "A blog", Channel.BLOG), by=boss, at=now)
    forms.add(forms.Draft("Shop", ("https://www.shop.example",)), by=boss, at=now)
    listening_places.add(listening_places.Draft(name="Forum", channel=Channel.SOCIAL_PUBLIC.value), by=boss, at=now)
    ids: dict[str, None] = {}
    for model in apps.get_models():
        if any(field.name == "public_id" for field in model._meta.get_fields()):
            newest = model._default_manager.order_by("-pk").values_list("public_id", flat=True).first()
            if isinstance(newest, uuid.UUID):
                ids[str(newest)] = None
    return list(ids)


def test_no_address_changes_anything_when_it_is_only_opened_W02() -> None:
    boss = colleague(Role.ADMINISTRATOR)
    User.objects.filter(pk=boss.pk).update(is_superuser=True)
    ids = a_little_of_everything(boss)
    browser = Client(raise_request_exception=True)
    browser.force_login(User.objects.get(pk=boss.pk))
    before, opened = tables(), set()
    for address in dict.fromkeys(addresses(get_resolver().url_patterns)):
        if address.startswith(("accounts/", "_allauth/", "static/")):
            continue  # the account app's own: see test_accounts
        for made in filled(address, ids):
            status = browser.get(made).status_code
            assert status < 500 or made == "/readyz", made
            if status == 200:
                opened.add(address)
    changed = [table for table, digest in tables().items() if before[table] != digest]
    assert changed == []
    for page in ("admin/conversation/<uuid:public_id>/", "admin/channels/<uuid:public_id>/", "admin/coverage/"):
        assert page in opened, sorted(opened)
    assert len(opened) > 80, sorted(opened)
