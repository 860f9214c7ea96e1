"""The only way to ring a bell: after commit, from a thread of its own, never inside a request.

What a bell stands for is a row that is swept anyway, so a bell may be lost, doubled or late. The relay thread publishes; the
thread that serves a customer never talks to the broker, so a broker that is down or frozen delays nothing.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from functools import partial

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

LAST_BELLS_WITHIN = 0.5
"""Seconds that a process which ends (a command) waits for its last bells."""
RESTS_FOR = 0.25
"""Seconds between two rounds of bells of one process; what happens meanwhile melts into the next round."""


class _Relay:
    """A set of lanes to ring, and one daemon thread that rings them. Bells for the same lane melt into one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: set[str] = set()
        self._ringing = False
        self._thread: threading.Thread | None = None

    def ring(self, lanes: tuple[str, ...]) -> None:
        with self._changed:
            self._waiting.update(lanes)
            if self._thread is None or not self._thread.is_alive():  # a forked child has no thread yet
                self._thread = threading.Thread(target=self._run, name="evenhand-bells", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait_until_quiet(self, seconds: float) -> bool:
        """Wait until every bell has been rung, at most `seconds`; say whether it is quiet."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._ringing, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                lanes, self._waiting, self._ringing = self._waiting, set(), True
            for lane in sorted(lanes):
                try:
                    current_app.send_task(
                        settings.EVENHAND_LANES[lane].task,
                        kwargs={"lane": lane},
                        retry=False,
                        expires=60,
                        ignore_result=True,
                    )
                except (OperationalError, OSError) as trouble:
                    logger.warning(
                        "The bell of lane %s did not ring (%s); its sweep will find the work.",
                        lane,
                        type(trouble).__name__,
                    )
            with self._changed:
                self._ringing = False
                self._changed.notify_all()
            time.sleep(RESTS_FOR)


_relay = _Relay()
wait_until_quiet = _relay.wait_until_quiet
atexit.register(wait_until_quiet, LAST_BELLS_WITHIN)


def lanes_after(event: str) -> tuple[str, ...]:
    """Give the lanes that an event rings. Raises KeyError for an event the table of duties does not know."""
    return tuple(nudge.lane for nudge in settings.EVENHAND_NUDGES[event])


def after_commit(event: str) -> None:
    """Ring the lanes of an event once the surrounding transaction has committed; outside a transaction, now."""
    transaction.on_commit(partial(_relay.ring, lanes_after(event)))
