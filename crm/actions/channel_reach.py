"""What providers tell about the accounts of those who speak to us: dropped, unless the house keeps it apart (R152)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial

from django.conf import settings

from crm.actions import identity, lease, reach
from crm.channels.profiles import Told
from crm.channels.providers import Edited, Event, Said
from crm.models import ContactPoint
from crm.models.people import ContactKind

logger = logging.getLogger(__name__)


def keep(told: Sequence[Told], speakers: Collection[str], *, at: datetime) -> None:
    """Keep what was told about the accounts of these people, where the house keeps it at all; of nobody else, and never instead of
    what they said: what cannot be kept is dropped.

    speakers: addresses of handles, as messages name their senders; they have been taken in.
    """
    if not settings.EVENHAND_KEEP_REACH:
        return
    for one in told:
        if one.address in speakers:
            lease.guarded(partial(_keep, one, at=at), failed=_dropped)


def speakers_of(events: Sequence[Event]) -> set[str]:
    """The addresses of those who say something in these events."""
    said = [event for event in events if isinstance(event, Said)]
    said += [event.whole for event in events if isinstance(event, Edited) and event.whole is not None]
    return {one.message.sender_address for one in said if one.message.sender_kind == "handle"}


def _keep(one: Told, *, at: datetime) -> None:
    address = identity.normalised("handle", one.address)
    points = ContactPoint.objects.filter(kind=ContactKind.HANDLE, address=address, unlinked_at=None)
    number = points.values_list("pk", flat=True).first()
    if number is not None:
        reach.keep(number, one.profile, at=at)


def _dropped(trouble: Exception) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble
    logger.warning("What a provider told about an account was dropped (%s).", type(trouble).__name__)
