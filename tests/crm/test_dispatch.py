"""Bells: after commit, from a thread of their own, never felt by whoever serves a customer (F02)."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from crm import dispatch


@pytest.fixture
def rung(monkeypatch):
    assert dispatch.wait_until_quiet(2)  # bells of an earlier test belong to that one
    bells: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(
        current_app, "send_task", lambda name, kwargs, **_options: bells.append((name, kwargs)), raising=False
    )
    yield bells
    dispatch.wait_until_quiet(2)


@pytest.mark.django_db(transaction=True)
def test_a_bell_rings_after_commit_and_not_after_rollback(rung):
    with transaction.atomic():
        dispatch.after_commit("outgoing.ready")
        time.sleep(0.05)
        assert rung == []
    assert dispatch.wait_until_quiet(2)
    assert rung == [("crm.tasks.run_due", {"lane": "send"})]
    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        dispatch.after_commit("outgoing.ready")
        raise ZeroDivisionError
    assert dispatch.wait_until_quiet(2)
    assert len(rung) == 1


@pytest.mark.django_db(transaction=True)
def test_many_bells_for_one_lane_melt_into_a_few(monkeypatch):
    bells: list[str] = []

    def slow(name: str, kwargs: dict[str, str], **_options: object) -> None:
        time.sleep(0.02)
        bells.append(kwargs["lane"])

    monkeypatch.setattr(current_app, "send_task", slow, raising=False)
    for _ in range(1000):
        dispatch.after_commit("outgoing.ready")
    assert dispatch.wait_until_quiet(5)
    assert 1 <= len(bells) <= 50


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_does_not_answer_delays_nobody_F02(monkeypatch):
    frozen = threading.Event()
    monkeypatch.setattr(current_app, "send_task", lambda *_a, **_k: frozen.wait(5), raising=False)
    before = time.perf_counter()
    for _ in range(200):
        dispatch.after_commit("interaction.received")
    assert time.perf_counter() - before < 0.5
    frozen.set()
    assert dispatch.wait_until_quiet(5)


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_gone_is_noted_once_and_the_next_bell_rings_F03(monkeypatch, caplog):
    def gone(*_arguments: object, **_options: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(current_app, "send_task", gone, raising=False)
    dispatch.after_commit("outgoing.ready")
    assert dispatch.wait_until_quiet(2)
    assert "sweep" in caplog.text
    bells: list[str] = []
    monkeypatch.setattr(
        current_app, "send_task", lambda name, kwargs, **_o: bells.append(kwargs["lane"]), raising=False
    )
    dispatch.after_commit("outgoing.ready")
    assert dispatch.wait_until_quiet(2)
    assert bells == ["send"]


def test_an_event_nobody_knows_is_a_mistake():
    with pytest.raises(KeyError):
        dispatch.lanes_after("nothing.happened")


def test_the_outside_world_cannot_be_reached_from_tests():
    with pytest.raises(Exception, match=r"(?i)socket|block|allow"), socket.socket() as line:
        line.connect(("192.0.2.1", 80))
