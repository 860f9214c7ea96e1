"""The feeds we listen to: set up, switched and tried by people. `actions.listening` asks them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import sources
from crm.channels import PUBLIC, Channel, feed_fetching
from crm.channels import feeds as channel
from crm.channels.feed_fetching import FeedTrouble
from crm.language import tags
from crm.models import Feed, User
from crm.policy import listens_every
from crm.policy.lag import LAG_BUDGETS


class UnusableFeed(ValueError):
    """Something that a feed needs is missing or cannot be."""

    code = "unusable_feed"


class FeedKnown(Exception):
    """We listen to this address already."""

    code = "feed_known"


@dataclass(frozen=True, slots=True)
class Draft:
    """How a feed shall be set up; the fields are those of crm.models.Feed. language: BCP 47, "" when it is mixed."""

    url: str
    name: str
    channel: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a first look went. code: "" when all is well; said: for people; title: the feed's own; posts: how many it has."""

    code: str
    said: str
    title: str = ""
    posts: int = 0


@transaction.atomic
def add(draft: Draft, *, by: User, at: datetime) -> Feed:
    """Begin to listen to a feed, from now on. Raises UnusableFeed, FeedKnown; then nothing has changed.

    Another address is another feed: an address is never changed, it is switched off.
    """
    draft = checked(draft)
    feed = Feed(
        url=draft.url,
        name=draft.name,
        channel=draft.channel,
        language=draft.language,
        asked_every=listens_every(LAG_BUDGETS[draft.channel]),
        next_at=at,
        created_at=at,
    )
    try:
        with transaction.atomic():
            feed.save(force_insert=True)
    except IntegrityError as collision:
        constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
        if constraint != "feed_once":
            raise
        raise FeedKnown(_("We listen to this address already.")) from collision
    _record(feed, "feed.added", by=by, at=at, detail={"url": feed.url, "channel": feed.channel})
    return feed


@transaction.atomic
def rename(feed_id: int, *, name: str, language: str, by: User, at: datetime) -> Feed:
    """Give a feed another name or language. Raises Feed.DoesNotExist, UnusableFeed; then nothing has changed."""
    feed = Feed.objects.select_for_update().get(pk=feed_id)
    draft = checked(Draft(feed.url, name, feed.channel, language))
    before = [feed.name, feed.language]
    feed.name, feed.language = draft.name, draft.language
    if before != [feed.name, feed.language]:
        feed.save(update_fields=["name", "language"])
        _record(feed, "feed.changed", by=by, at=at, detail={"before": before, "after": [feed.name, feed.language]})
    return feed


@transaction.atomic
def switch(feed_id: int, *, on: bool, by: User, at: datetime) -> Feed:
    """Begin or stop to listen; what was heard stays. Raises Feed.DoesNotExist."""
    feed = Feed.objects.select_for_update().get(pk=feed_id)
    if feed.is_active != on:
        feed.is_active, feed.attempt = on, feed.attempt + 1  # turns away a poller that is at it now
        feed.error, feed.failing_since, feed.lease_until, feed.next_at = "", None, None, at
        feed.save(update_fields=["is_active", "attempt", "error", "failing_since", "lease_until", "next_at"])
        sources.quiet(source_of(feed), channel=feed.channel)
        _record(feed, "feed.switched", by=by, at=at, detail={"on": on})
    return feed


def try_now(draft: Draft) -> Tried:
    """Ask once and read what comes; nothing is written. Raises UnusableFeed."""
    draft = checked(draft)
    try:
        answer = feed_fetching.fetch(draft.url, private_hosts=settings.EVENHAND_OUTBOUND_HOSTS)
        found = channel.read(answer.content or b"", content_type=answer.content_type, url=draft.url)
    except FeedTrouble as trouble:
        return Tried(trouble.code, str(trouble))
    said = _("It works: “%(title)s” has %(count)d posts now.") % {"title": found.title, "count": len(found.posts)}
    return Tried("", said, found.title, len(found.posts))


def checked(draft: Draft) -> Draft:
    """Bring a draft into the form in which it is kept. Raises UnusableFeed."""
    try:
        url = feed_fetching.checked(draft.url)
    except FeedTrouble as trouble:
        raise UnusableFeed(str(trouble)) from trouble
    name = " ".join(draft.name.split())[:120] or channel.site_of(url)
    if draft.channel not in PUBLIC:
        raise UnusableFeed(_("Please say what kind of place it is."))
    language = tags.normalised(draft.language) if draft.language.strip() else ""
    if draft.language.strip() and not language:
        raise UnusableFeed(_("A language is written as a short tag, such as en or pt-BR."))
    return Draft(url, name, Channel(draft.channel).value, language)


def source_of(feed: Feed) -> str:
    """The source of what comes by this feed: its host, and what tells it from other feeds there."""
    return f"feed:{channel.site_of(feed.url)[:80]}/{feed.public_id.hex[-10:]}"


def _record(feed: Feed, verb: str, *, by: User | None, at: datetime, detail: dict[str, object]) -> None:
    history.record(None, verb, ref=f"feed:{feed.public_id}", by=by, at=at, detail=detail)
