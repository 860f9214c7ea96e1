"""Listening: due feeds are asked under a lease, each new post is taken in by itself, and how each feed fares is written down."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from crm.actions import changes, feeds, lease, publications, rounds, sources
from crm.channels import Channel, Message, feed_fetching
from crm.channels import feeds as channel
from crm.channels.feed_fetching import FeedTrouble
from crm.channels.feeds import Document, Post
from crm.models import Feed, Interaction, MessageChange, RawItem
from crm.models.channels import ChangeKind
from crm.policy import TimeFrom, WorkState, asked_again_after, heard_as, trusted_spoke_at

logger = logging.getLogger(__name__)

LEASED_FOR = timedelta(seconds=120)
EXPECTED_WITHIN = 6
"""A feed is expected to answer well within this many rounds; then leads and administrators are told, once an incident."""
CHANGES_AT_MOST = 50
"""Changes of one post that are kept; a place that says something else at every look says nothing more by it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one look brought: taken in as news, remembered as history, kept for a person to see, changed since we took it in."""

    news: int = 0
    old: int = 0
    parked: int = 0
    changed: int = 0


def poll_due(*, at: datetime, held_for: float = rounds.HELD_FOR) -> int:
    """Ask the feeds that are due, side by side, so that a server that hangs holds up no other. Returns how many."""
    return rounds.side_by_side(claim(at=at), partial(poll, at=at), held_for=held_for)


def claim(*, at: datetime) -> list[Feed]:
    """Lease feeds that are due, as `rounds.claim` does."""
    return rounds.claim(Feed.objects.due(at), leased_for=LEASED_FOR, last_tried_at=at)


def poll(feed: Feed, *, at: datetime) -> Heard:
    """Ask one claimed feed, take in what is new, write down how it fared. Raises nothing but what the database raises.

    The same post again is the same interaction, also when another feed brought its link before. A post that cannot be taken in
    stops no other: it is kept with the reason (M17).
    """
    heard = Heard()

    def work() -> None:
        nonlocal heard
        answer = feed_fetching.fetch(
            feed.url, etag=feed.etag, last_modified=feed.last_modified, private_hosts=settings.EVENHAND_OUTBOUND_HOSTS
        )
        if answer.content is not None:
            found = channel.read(answer.content, content_type=answer.content_type, url=feed.url)
            heard = _take_in(feed, found, at=at)
            feed.etag, feed.last_modified = answer.etag, answer.last_modified
        _fared_well(feed, heard, at=at)

    def failed(trouble: Exception) -> None:
        if lease.is_trouble_of_the_database(trouble):  # no fault of the feed; it is asked again after its lease
            logger.warning("Feed %s: the database did not answer (%s).", feed.public_id, type(trouble).__name__)
            return
        if not isinstance(trouble, FeedTrouble):
            logger.error("Feed %s: unexpected %s.", feed.public_id, type(trouble).__name__)
            trouble = FeedTrouble(
                "unexpected", _("Something unexpected went wrong (%(kind)s).") % {"kind": type(trouble).__name__}
            )
        _failed(feed, trouble, at=at)

    lease.guarded(work, failed=failed)
    return heard


# --- what is new ------------------------------------------------------------------------------------------------------


def _take_in(feed: Feed, found: Document, *, at: datetime) -> Heard:
    known = _known(feed, found)
    new = _unheard(feed, found, known)
    told = [(post, heard_as(post.published_at, first_seen_at=at, last_good_at=feed.last_good_at)) for post in new]
    old = [(_message(feed, post, at=as_.spoke_at), _stands(post)) for post, as_ in told if not as_.is_news]
    remembered = publications.remember(old, at=at) if old else 0
    news = parked = 0
    for post, as_ in told:
        if as_.is_news:
            is_taken = _take(feed, post, spoke_at=as_.spoke_at, at=at)
            news, parked = news + is_taken, parked + (not is_taken)
    return Heard(news, remembered, parked, _changed(feed, found, known, at=at))


def _known(feed: Feed, found: Document) -> dict[str, str]:
    """The words that stand with us now of the posts we heard before, by the post's own id; one statement."""
    numbers = [post.key for post in found.posts]
    said = Interaction.objects.filter(source=feeds.source_of(feed), external_id__in=numbers)
    return dict(said.values_list("external_id", "text")) if numbers else {}


def _changed(feed: Feed, found: Document, known: Mapping[str, str], *, at: datetime) -> int:
    """Write down which posts say something else than when we last looked (the same id, other words). Returns how many."""
    several = [post for post in found.posts if post.key in known and _words(_said(post)) != _words(known[post.key])]
    return sum(_change(feed, post, at=at) for post in several)


@transaction.atomic
def _change(feed: Feed, post: Post, *, at: datetime) -> bool:
    """Write down one change as one that a provider told us; the first words stay beside the new ones."""
    said = (
        Interaction.objects.select_for_update(of=("self",))
        .select_related("conversation__customer")
        .get(source=feeds.source_of(feed), external_id=post.key)
    )
    if said.withdrawn_at is not None or MessageChange.objects.filter(interaction=said).count() >= CHANGES_AT_MOST:
        return False
    event_at = trusted_spoke_at(
        TimeFrom.POLLED, claimed=post.changed_at, received_at=at, last_good_at=feed.last_good_at
    )
    number = f"{ChangeKind.EDIT}:{at.isoformat()}"
    raw = _raw(feed, post, at=at, number=f"{post.key}:{number}")
    raw.save()
    change = MessageChange.objects.create(
        source=said.source,
        external_id=said.external_id,
        event_id=number,
        raw=raw,
        kind=ChangeKind.EDIT,
        text=_said(post),
        event_at=max(event_at, said.edited_at or event_at),
        received_at=at,
    )
    changes.apply(change, said, at=at, origin="feed")
    return True


def _said(post: Post) -> str:
    return post.text or post.title


def _words(text: str) -> list[str]:
    """What two texts are compared by: a line that breaks elsewhere is no change."""
    return text.split()


def _unheard(feed: Feed, found: Document, known: Mapping[str, str]) -> list[Post]:
    """What we have not heard before: by the post's own id, and by its link where every post has one of its own."""
    source = feeds.source_of(feed)
    posts = found.posts
    kept = set(
        RawItem.objects.filter(
            source=source, external_id__in=[post.key for post in posts], state=WorkState.PARKED
        ).values_list("external_id", flat=True)
    )
    elsewhere: set[str] = set()
    if found.links_are_own:
        elsewhere = publications.standing_elsewhere([post.url for post in posts], source=source)
    return [
        post
        for post in posts
        if post.key not in known and post.key not in kept and not (post.url and channel.link_key(post.url) in elsewhere)
    ]


def _take(feed: Feed, post: Post, *, spoke_at: datetime, at: datetime) -> bool:
    """Take in one post; False when it was kept for a person instead."""
    raw = _raw(feed, post, at=at)

    def refused(trouble: Exception) -> None:
        if lease.is_trouble_of_the_database(trouble):
            raise trouble
        reason = f"{getattr(trouble, 'code', type(trouble).__name__)}: {trouble}"
        RawItem.objects.bulk_create(
            [_raw(feed, post, at=at, state=WorkState.PARKED, reason=reason[:300])], ignore_conflicts=True
        )

    return lease.guarded(
        partial(publications.receive, _message(feed, post, at=spoke_at), _stands(post), at=at, origin="feed", raw=raw),
        failed=refused,
    )


def _message(feed: Feed, post: Post, *, at: datetime) -> Message:
    return channel.as_message(
        post, channel=Channel(feed.channel), source=feeds.source_of(feed), language=feed.language, spoke_at=at
    )


def _stands(post: Post) -> publications.Stands:
    return publications.Stands(url=post.url, published_at=post.published_at)


def _raw(
    feed: Feed, post: Post, *, at: datetime, state: WorkState = WorkState.DONE, reason: str = "", number: str = ""
) -> RawItem:
    content = json.dumps(asdict(post), ensure_ascii=False, default=str).encode("utf-8", "replace")
    return RawItem(
        source=feeds.source_of(feed),
        external_id=number or post.key,
        content=content,
        label=(post.url or post.title)[:300],
        received_at=at,
        state=state,
        kind="feed_post",
        reason=reason,
    )


# --- how it fared -----------------------------------------------------------------------------------------------------


@transaction.atomic
def _fared_well(feed: Feed, heard: Heard, *, at: datetime) -> None:
    row = _mine(feed)
    if row is None:
        return
    row.etag, row.last_modified = feed.etag, feed.last_modified
    row.error, row.failing_since, row.lease_until, row.last_good_at = "", None, None, at
    row.heard_count += heard.news + heard.old
    row.newest_at = at if heard.news else row.newest_at
    row.next_at = at + asked_again_after(row.asked_every, failing_for=None, wished=None)
    row.save(update_fields=_FARED)
    sources.polled(
        feeds.source_of(row),
        channel=row.channel,
        at=at,
        expected_every=max(EXPECTED_WITHIN * row.asked_every, timedelta(hours=1)),
    )


@transaction.atomic
def _failed(feed: Feed, trouble: FeedTrouble, *, at: datetime) -> None:
    row = _mine(feed)
    if row is None:
        return
    row.error, row.lease_until = str(trouble)[:300], None
    row.failing_since = row.failing_since or at
    row.next_at = at + asked_again_after(
        row.asked_every, failing_for=at - row.failing_since, wished=trouble.again_after
    )
    row.save(update_fields=_FARED)


_FARED: Sequence[str] = (
    "etag", "last_modified", "error", "failing_since", "lease_until", "last_good_at", "heard_count", "newest_at", "next_at",
)  # fmt: skip


def _mine(feed: Feed) -> Feed | None:
    """The feed, locked, while this visit may still write; None when another poller has it, or somebody changed it."""
    return Feed.objects.select_for_update().filter(pk=feed.pk, attempt=feed.attempt).first()
