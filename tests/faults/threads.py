"""Several threads that begin in the same instant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections


def at_once(*jobs: Callable[[], Any], within: float = 60) -> list[Any]:
    """Run jobs in threads that start together; give what each returned, or the exception it raised."""
    results: list[Any] = [None] * len(jobs)
    barrier = threading.Barrier(len(jobs))

    def run(number: int) -> None:
        try:
            barrier.wait(within)
            results[number] = jobs[number]()
        except Exception as trouble:  # noqa: BLE001  it is the result
            results[number] = trouble
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within)
        assert not thread.is_alive(), f"a thread is still busy after {within} s"
    return results
