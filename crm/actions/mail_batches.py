"""Many mails at once: read ahead, and parted so that several of them can be written together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from crm.actions import lease
from crm.channels.email import Mail
from crm.models import RawItem

AT_ONCE = 5
"""Mails that have been read before some are written; those that were read meanwhile are written with them."""


class ReadAhead:
    """Mails that a reading process reads, one after the other in their order, while this thread does something else."""

    def __init__(
        self,
        items: Sequence[RawItem],
        read: Callable[[RawItem], Mail],
        *,
        failed: Callable[[RawItem, Exception], None],
        readers: int = 1,
    ) -> None:
        """read: reads one mail, in a thread that asks no database. failed: writes down that one could not be read. readers: how
        many are read at once.
        """
        self._failed = failed
        self._executor = ThreadPoolExecutor(max_workers=readers, thread_name_prefix="reads-mail")
        self._asked = deque((item, self._executor.submit(read, item)) for item in items)

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def next(self, is_wanted: Callable[[RawItem], bool] | None = None) -> list[tuple[RawItem, Mail]]:
        """A few mails with what stands in them, and as many more as have been read by then; none at the end.

        is_wanted: which of them; all when None. That one could not be read is written down.
        """
        found: list[tuple[RawItem, Mail]] = []
        while self._asked and (len(found) < AT_ONCE or self._asked[0][1].done()):
            item, read = self._asked.popleft()
            if is_wanted is not None and not is_wanted(item):
                continue
            lease.guarded(
                lambda item=item, read=read: found.append((item, read.result())),  # type: ignore[misc]
                failed=partial(self._failed, item),
            )
        return found

    def rest(self) -> list[RawItem]:
        """The mails that have not been given yet."""
        return [item for item, _read in self._asked]


def apart(
    read: Sequence[tuple[RawItem, Mail]], names_of: Callable[[RawItem, Mail], set[str]]
) -> list[list[tuple[RawItem, Mail]]]:
    """Part mails into those that can be taken in at once, in their order: no two that share a name (a sender, a reply address)."""
    several: list[list[tuple[RawItem, Mail]]] = []
    met: list[set[str]] = []
    for item, mail in read:
        names = names_of(item, mail)
        place = next((n + 1 for n in reversed(range(len(met))) if names & met[n]), 0)
        if place == len(several):
            several.append([])
            met.append(set())
        several[place].append((item, mail))
        met[place] |= names
    return several
