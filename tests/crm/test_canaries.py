"""Logs, error mails, task arguments and the broker hold ids, never what a customer said or is called (P13, P07)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app
from django.conf import settings as django_settings
from django.core import mail
from django.db import connection
from django.test import Client

from crm import dispatch
from crm.actions import channel_hooks, erasure, mails, outgoing, packages
from crm.models import Customer, OutgoingMessage
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_erasure import LATER, asked, settled
from tests.crm.canaries import ADDRESS, CANARY, NAME, hits
from tests.crm.stories import app_user, colleague, raw_mail
from tests.crm.test_admin_mail import client_of


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the bells say to the broker."""
    said: list[Any] = []
    send = current_app.send_task

    def noted(*given: Any, **more: Any) -> Any:
        said.append((given, more))
        return send(*given, **more)

    monkeypatch.setattr(current_app, "send_task", noted)
    return said


def broker_dump() -> bytes:
    """Every key and value of the broker; nothing where it is none that can be dumped."""
    url = django_settings.CELERY_BROKER_URL
    if not url.startswith(("redis", "redis+socket")):
        return b""
    if url.startswith("redis+socket://"):
        server = redis.Redis(unix_socket_path=url.removeprefix("redis+socket://").split("?")[0])
    else:
        server = redis.Redis.from_url(url)
    return b"\n".join(key + (server.dump(key) or b"") for key in server.scan_iter())


@pytest.mark.django_db(transaction=True)
def test_main_flows_leave_no_word_of_a_customer_in_logs_broker_task_arguments_or_error_mails_P13(
    caplog: pytest.LogCaptureFixture, capfd: Any, rung: list[Any], settings: Any, tmp_path: Path
):
    caplog.set_level(logging.DEBUG)
    settings.EVENHAND_ERASURE_JOURNAL = tmp_path / "erasures.journal"
    settings.ADMINS = [("Ada", "ada@shop.example")]
    lead = colleague(Role.LEAD)
    for number in range(3):
        content = raw_mail(f"{CANARY} says hello {number}", sender=ADDRESS, subject=f"{CANARY}?")
        mails.keep_raw(content, source="mail:test", label=ADDRESS, at=NOON)
    mails.keep_raw(
        f"From: {ADDRESS}\r\n\xff\0 not a mail {CANARY}".encode("latin-1"), source="mail:test", label=ADDRESS, at=NOON
    )
    mails.ingest_batch(at=NOON)
    case = settled(lead)
    outgoing.send_batch(at=LATER)
    channel_hooks.apply_batch(at=LATER)
    account = app_user(name=NAME, email=f"app.{ADDRESS}")
    visitor = Client()
    for password in ("wrong", "right horse"):
        visitor.post("/accounts/login/", {"login": account.email, "password": password})
    pages = client_of(lead)
    for where in (f"/admin/customer/{case.customer.public_id}/", f"/admin/?q={CANARY}", f"/admin/nothing-{case.pk}/"):
        pages.get(where)
    packages.ask(case.customer_id, note=f"passport of {CANARY}", by=lead, at=LATER)
    packages.work_batch(at=LATER)
    OutgoingMessage.objects.filter(state__in=["ready", "claimed", "handing"]).update(
        state="accepted", accepted_at=LATER
    )
    work = asked(case.customer, by=lead)
    if not work.stands_in_the_way:
        erasure.carry_out(work.pk, by=lead, at=LATER)
        erasure.work_batch(at=LATER)
    assert dispatch.wait_until_quiet(10)

    printed = capfd.readouterr()
    assert rung
    assert CANARY not in str(rung).lower()
    assert CANARY.encode() not in broker_dump().lower()
    assert (
        CANARY not in "".join(f"{one.subject}{one.body}" for one in mail.outbox if "ada@shop.example" in one.to).lower()
    )
    told = [
        record
        for record in caplog.records
        # A web server's own line of what was asked for is the caller's words, not ours; it is off by default.
        if CANARY in record.getMessage().lower() and record.name != "django.server"
    ]
    assert not told, [(record.name, record.getMessage()[:200]) for record in told]
    assert CANARY not in (printed.out + printed.err).lower()


@pytest.mark.django_db
def test_the_canary_would_be_found_P07():
    """The search sees text, JSON, arrays and bytes in every table."""
    Customer.objects.create(display_name=NAME, created_at=NOON)
    mails.keep_raw(CANARY.encode(), source="mail:test", label="", at=NOON)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO evenhand_cache VALUES ('x', %s, now())", [CANARY])
    assert set(hits(CANARY)) == {"crm_customer", "crm_rawitem", "evenhand_cache"}
