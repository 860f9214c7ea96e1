"""What customers say where everybody can read it: taken in with its link, as news or as history."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from crm.actions import intake, past
from crm.actions.intake import Received
from crm.channels import Message, feeds
from crm.models import Publication, RawItem, User


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a post stands and what else it says. rating: of at most `rated_out_of`, None where nothing was rated.

    published_at: as the place states it; a claim, which moves no clock by itself. A link that is no plain address of the web is
    not kept.
    """

    url: str = ""
    site: str = ""
    rating: Decimal | None = None
    rated_out_of: Decimal | None = None
    published_at: datetime | None = None


@transaction.atomic
def receive(
    message: Message,
    stands: Stands,
    *,
    at: datetime,
    origin: str,
    by: User | None = None,
    raw: RawItem | None = None,
) -> Received:
    """Take in one public post; what follows is the same as for everything else a customer says.

    Raises what `intake.receive` raises; then nothing has changed.
    """
    if raw is not None and raw.pk is None:
        raw.save()
    received = intake.receive(message, at=at, origin=origin, by=by, raw=raw)
    if received.created:
        _row(received.interaction.pk, stands).save()
    return received


@transaction.atomic
def remember(told: Sequence[tuple[Message, Stands]], *, at: datetime) -> int:
    """Bring in old posts: they are counted, and nothing is promised for them. Returns how many are new."""
    stands = {(message.source, message.external_id[:200]): one for message, one in told}
    new = past.bring_in([past.Past(message) for message, _stands in told], at=at)
    Publication.objects.bulk_create([_row(one.pk, stands[one.source, one.external_id]) for one in new])
    return len(new)


def standing_elsewhere(urls: Collection[str], *, source: str) -> set[str]:
    """Which of these links we know from another source than this one, as `feeds.link_key` writes them. One statement."""
    keys = {feeds.link_key(url) for url in urls} - {""}
    known = Publication.objects.filter(url_key__in=keys).exclude(interaction__source=source)
    return set(known.values_list("url_key", flat=True))


def _row(interaction_id: int, stands: Stands) -> Publication:
    url = feeds.web_link(stands.url)
    return Publication(
        interaction_id=interaction_id,
        url=url,
        url_key=feeds.link_key(url),
        site=(stands.site or feeds.site_of(url))[:120],
        rating=stands.rating,
        rated_out_of=stands.rated_out_of,
        published_at=stands.published_at,
    )
