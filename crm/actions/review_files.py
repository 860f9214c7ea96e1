"""Reviews from a site's export: what is new since the last one opens a matter, what is older is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from crm.actions import lease, past, publications, sources
from crm.channels import Channel
from crm.channels import review_files as channel
from crm.channels.review_files import Review
from crm.channels.rows import Rejected
from crm.models import Source, User
from crm.policy import HeardAs, heard_as

REVIEWS_A_BATCH = 200


@dataclass(frozen=True, slots=True)
class Brought:
    """What a batch was: news: opened a matter; old: counted as history; known: were there before; refused: see rejected."""

    news: int = 0
    old: int = 0
    known: int = 0
    refused: tuple[Rejected, ...] = ()

    def __add__(self, other: Brought) -> Brought:
        return Brought(
            self.news + other.news, self.old + other.old, self.known + other.known, self.refused + other.refused
        )


def batches(reviews: Iterable[Review]) -> Iterator[list[Review]]:
    """Cut reviews into batches."""
    rows = iter(reviews)
    while batch := list(islice(rows, REVIEWS_A_BATCH)):
        yield batch


def source_of(site: str) -> str:
    """The source of a site's reviews."""
    return f"{sources.REVIEWS_OF}{site.lower()}"[:120]


def last_good_at(site: str) -> datetime | None:
    """When an export of this site was brought before; None for the first. Read it once for a whole file."""
    found = Source.objects.filter(name=source_of(site), channel=Channel.REVIEW)
    return found.values_list("last_good_at", flat=True).first()


def bring_in(
    reviews: Sequence[Review],
    *,
    site: str,
    last_good_at: datetime | None,
    by: User | None,
    at: datetime,
    only_count: bool = False,
    dry: bool = False,
) -> Brought:
    """Take in reviews as public posts. The same review twice is one; one that cannot be taken in stops no other.

    last_good_at: of the export before this one, which says what is news (policy.heard_as). only_count: all of it is history.
    dry: say what would be new, and write nothing.
    """
    source = source_of(site)
    messages = {one.key: channel.as_message(one, source=source, spoke_at=at) for one in reviews}
    known = {external_id for _source, external_id in past.known(list(messages.values()))}
    fresh = [one for one in reviews if one.key not in known]
    told = [(one, _heard(one, at=at, last_good_at=last_good_at, only_count=only_count)) for one in fresh]
    old = [(one, as_) for one, as_ in told if not as_.is_news]
    news = [(one, as_) for one, as_ in told if as_.is_news]
    refused: list[Rejected] = []
    if not dry:
        publications.remember(
            [
                (channel.as_message(one, source=source, spoke_at=as_.spoke_at), _stands(one, site=site))
                for one, as_ in old
            ],
            at=at,
        )
        for one, as_ in news:
            lease.guarded(
                partial(
                    publications.receive,
                    channel.as_message(one, source=source, spoke_at=as_.spoke_at),
                    _stands(one, site=site),
                    at=at,
                    origin="import",
                    by=by,
                ),
                failed=partial(_refused, one, refused),
            )
    return Brought(len(news) - len(refused), len(old), len(reviews) - len(fresh), tuple(refused))


def brought(site: str, *, at: datetime) -> None:
    """Note that an export was read whole: what is published from now on is news to the next one."""
    sources.polled(source_of(site), channel=Channel.REVIEW, at=at)


def _heard(review: Review, *, at: datetime, last_good_at: datetime | None, only_count: bool) -> HeardAs:
    if only_count:
        return HeardAs(False, review.published_at)
    return heard_as(review.published_at, first_seen_at=at, last_good_at=last_good_at)


def _refused(review: Review, refused: list[Rejected], trouble: Exception) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble
    code = str(getattr(trouble, "code", "refused"))
    refused.append(Rejected(code, str(trouble)[:200], f"{review.url or review.key} {review.text}".encode(), 0))


def _stands(review: Review, *, site: str) -> publications.Stands:
    return publications.Stands(
        url=review.url,
        site=site,
        rating=review.rating,
        rated_out_of=review.rated_out_of,
        published_at=review.published_at,
    )
