"""Listening to feeds: what is news, from when it counts, what is never taken in twice, and how a feed fares (R014, R045)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import connections

from crm.actions import feeds, listening, sources
from crm.channels import Channel, feed_child
from crm.channels.email import showing
from crm.models import (
    ContactPoint,
    Conversation,
    Feed,
    HistoryEntry,
    Interaction,
    MessageChange,
    OutgoingMessage,
    Promise,
    Publication,
    RawItem,
    Source,
)
from crm.policy import Role, WorkState
from tests.conftest import NOON
from tests.crm.channels.web_server import Page, Site, entry, rss, serving
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
XML = {"Content-Type": "application/rss+xml"}


@pytest.fixture
def site(settings) -> Iterator[Site]:
    with serving() as found:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({found.host})
        yield found


def when(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC))


def added(site: Site, path: str = "/feed", **changes: Any) -> Feed:
    draft = {"url": site.url(path), "name": "A blog", "channel": Channel.BLOG, **changes}
    return feeds.add(feeds.Draft(**draft), by=colleague(Role.ADMINISTRATOR), at=NOON)


def listen(feed: Feed, at: datetime = NOON) -> listening.Heard:
    """Claim and visit one feed, as a worker would."""
    Feed.objects.filter(pk=feed.pk).update(next_at=at)
    claimed = [one for one in listening.claim(at=at) if one.pk == feed.pk]
    assert claimed, "the feed was not to be had"
    heard = listening.poll(claimed[0], at=at)
    feed.refresh_from_db()
    return heard


def lay(site: Site, *entries: str, path: str = "/feed", **headers: str) -> None:
    site.pages[path] = Page(rss(*entries), headers=XML | headers)


# --- what is news -----------------------------------------------------------------------------------------------------


def test_a_post_becomes_a_matter_with_its_link_its_author_and_its_promise_R014(site):
    colleague(name="Ada")
    feed = added(site, language="en")
    lay(site)
    listen(feed, NOON)
    said_at = NOON + timedelta(minutes=4)
    lay(site, entry(1, said="<p>My lamp <b>broke</b>.</p>", at=when(said_at)))

    assert listen(feed, NOON + timedelta(minutes=10)) == listening.Heard(news=1)

    said = Interaction.objects.select_related("conversation__owner", "contact_point").get()
    assert (said.channel, said.text, said.language) == ("blog", "My lamp broke.", "en")
    assert (said.spoke_at, said.ingested_at) == (said_at, NOON + timedelta(minutes=10))
    assert said.contact_point.address == "blog.example/jane"
    assert said.conversation.owner is not None
    assert Promise.objects.get(conversation=said.conversation, kind="first_response").starts_at == said_at
    post = said.publication
    assert (post.url, post.site, post.published_at) == ("https://blog.example/1", "blog.example", said_at)
    assert said.raw.state == WorkState.DONE
    assert not OutgoingMessage.objects.exists()


@pytest.mark.parametrize(
    ("published", "spoke", "is_news"),
    [
        (timedelta(minutes=4), timedelta(minutes=4), True),
        (timedelta(minutes=-3), timedelta(0), True),  # not there at our last look: it counts from that look
        (timedelta(days=-6), timedelta(0), True),
        (timedelta(days=-8), timedelta(days=-8), False),  # a search found something old
        (timedelta(hours=5), timedelta(minutes=10), True),  # a clock that runs ahead: now
        (None, timedelta(minutes=10), True),
    ],
)
def test_a_stated_time_counts_as_far_as_it_can_be_true_E19_H05(site, published, spoke, is_news):
    feed = added(site)
    lay(site)
    listen(feed, NOON)
    lay(site, entry(1, at=when(NOON + published) if published is not None else ""))

    listen(feed, NOON + timedelta(minutes=10))

    said = Interaction.objects.get()
    assert (said.spoke_at - NOON, said.imported) == (spoke, not is_news)
    assert Promise.objects.exists() is is_news


def test_what_stands_there_at_our_first_look_is_history_unless_it_is_of_the_day(site):
    old, young = NOON - timedelta(days=400), NOON - timedelta(hours=3)
    lay(site, entry(1, at=when(old)), entry(2, at=when(young)))

    assert listen(added(site)) == listening.Heard(news=1, old=1)

    first, second = Interaction.objects.order_by("spoke_at")
    assert (first.spoke_at, first.imported, first.conversation.state) == (old, True, "closed")
    # Nobody looked there before, so nothing says that it did not stand there yesterday under another time.
    assert (second.spoke_at, second.imported, second.conversation.state) == (NOON, False, "open")
    assert set(Promise.objects.values_list("conversation", flat=True)) == {second.conversation_id}
    assert Publication.objects.count() == 2


# --- once -------------------------------------------------------------------------------------------------------------


def test_the_same_post_is_one_also_when_its_words_or_order_changed_H03_X7(site):
    feed = added(site)
    lay(site, entry(1), entry(2))
    assert listen(feed).news == 2
    lay(site, entry(2, said="The lamp broke, edited."), entry(1), entry(3))
    assert listen(feed, NOON + timedelta(minutes=20)).news == 1
    assert Interaction.objects.count() == 3


def test_a_link_that_another_feed_brought_before_is_the_same_post(site):
    lay(site, entry(1), path="/blog")
    search = entry(1).replace("post-1", "search-99").replace("example/1<", "example/1/?utm_source=search<")
    lay(site, search, entry(2), path="/search")
    listen(added(site, "/blog"))
    assert listen(added(site, "/search")).news == 1
    assert Interaction.objects.count() == 2


def test_comments_that_all_link_to_the_same_page_are_told_apart(site):
    same = [entry(number).replace(f"example/{number}", "example/video") for number in (1, 2)]
    lay(site, *same, path="/one")
    lay(site, *[one.replace("post-", "other-") for one in same], path="/two")
    assert listen(added(site, "/one", channel=Channel.VIDEO)).news == 2
    assert listen(added(site, "/two", channel=Channel.VIDEO)).news == 2


def test_a_feed_that_did_not_change_is_not_read_again(site):
    feed = added(site)
    lay(site, entry(1), ETag='"v1"')
    listen(feed)
    assert feed.etag == '"v1"'
    lay(site, entry(1), entry(2), ETag='"v1"')  # it says itself that nothing changed

    assert listen(feed, NOON + timedelta(hours=1)) == listening.Heard()

    assert site.asked[-1][1]["if-none-match"] == '"v1"'
    assert feed.last_good_at == NOON + timedelta(hours=1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_take_a_post_in_once(site):
    lay(site, *[entry(number) for number in range(6)])
    added(site)

    def work() -> None:
        try:
            listening.poll_due(at=NOON)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Interaction.objects.count() == 6
    assert len(site.asked) == 1


def test_a_poller_that_slept_past_its_lease_writes_nothing_of_how_it_fared(site):
    feed = added(site)
    lay(site, entry(1))
    claimed = listening.claim(at=NOON)[0]
    feeds.switch(feed.pk, on=False, by=colleague(Role.LEAD), at=NOON)
    listening.poll(claimed, at=NOON)
    feed.refresh_from_db()
    assert (feed.last_good_at, feed.is_active) == (None, False)


# --- who spoke --------------------------------------------------------------------------------------------------------


def test_the_same_name_is_one_person_there_and_two_people_in_two_places(site):
    lay(site, entry(1, author="Jane"), entry(2, author="JANE"), path="/one")
    elsewhere = entry(3, author="Jane").replace("blog.example", "forum.example")
    lay(site, elsewhere, entry(4, author=""), entry(5, author=""), path="/two")
    listen(added(site, "/one"))
    listen(added(site, "/two"))
    addresses = set(ContactPoint.objects.values_list("address", flat=True))
    assert {"blog.example/jane", "forum.example/jane"} <= addresses
    assert len(addresses) == 4  # and two whose name nobody knows


# --- what it may hold -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("bob@forum.example (Bob Lutz)", "Bob Lutz"),
        ("Bob Lutz &lt;bob@forum.example&gt;", "Bob Lutz"),
        ("bob@forum.example", "bob"),
        ("Bob Lutz", "Bob Lutz"),
    ],
)
def test_an_author_is_called_by_name_however_a_feed_writes_it(stated, name):
    document = rss(entry(1).replace("<dc:creator>Jane</dc:creator>", f"<author>{stated}</author>"))
    assert feed_child.read(document, content_type="application/rss+xml")["entries"][0]["author"] == name


def test_an_author_of_atom_with_an_address_is_called_by_name():
    atom = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry><id>1</id><title>x</title>
        <author><name>Bob</name><email>bob@forum.example</email></author></entry></feed>"""
    assert feed_child.read(atom, content_type="application/atom+xml")["entries"][0]["author"] == "Bob"


def test_what_a_post_brings_is_words_and_what_is_shown_of_it_is_clean_M20(site):
    said = (
        "<p onclick='x()'>Hello <script>alert(1)</script><a href='javascript:alert(2)'>press</a>"
        "<img src='https://spy.example/p.gif'><iframe src='https://spy.example'></iframe></p>"
    )
    link = entry(1, said=said).replace("https://blog.example/1", "javascript:alert(3)")
    lay(site, link.replace("<title>Post 1", "<title>&lt;img src=x onerror=alert(4)&gt;Post 1"))
    listen(added(site))
    found = Interaction.objects.get()
    assert "alert" not in found.text
    assert (found.subject, found.publication.url) == ("Post 1", "")
    shown = showing.clean(found.html, pictures={}).fragment
    assert not [word for word in ("alert", "script", "spy.example", "onclick") if word in shown]


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<rss version='2.0'><channel><item><title>&b;</title></item></channel></rss>"
)
STRANGE = {
    "entities": BOMB,
    "a file": BOMB.replace(b'"aaaaaaaaaaaaaaaaaaaa"', b'SYSTEM "file:///etc/passwd"'),
    "a page": b"<!doctype html><title>Not a feed</title>",
    "nothing": b"",
    "noise": bytes(range(256)) * 400,
    "deep": b"<rss version='2.0'><channel><item>" + b"<a>" * 300_000,
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_document_that_is_no_feed_harms_nothing_and_says_so(site, kind):
    site.pages["/feed"] = Page(STRANGE[kind], headers=XML)
    feed = added(site)
    listen(feed)
    assert not Interaction.objects.filter(text__contains="root:").exists()
    assert not Interaction.objects.exists()
    assert kind == "deep" or feed.error


def test_a_post_that_cannot_be_taken_in_is_kept_and_stops_no_other_M17(site, monkeypatch):
    lay(site, entry(1), entry(2, said="poison"), entry(3))
    receive = listening.publications.receive

    def breaks(message: Any, *arguments: Any, **more: Any) -> Any:
        if message.text == "poison":
            raise ValueError("it breaks")
        return receive(message, *arguments, **more)

    monkeypatch.setattr(listening.publications, "receive", breaks)
    feed = added(site)
    assert listen(feed) == listening.Heard(news=2, parked=1)
    kept = RawItem.objects.get(state=WorkState.PARKED)
    assert (kept.reason, b"poison" in bytes(kept.content)) == ("ValueError: it breaks", True)
    assert listen(feed, NOON + timedelta(hours=1)) == listening.Heard()


# --- what is changed there --------------------------------------------------------------------------------------------


def test_a_post_that_says_something_else_is_a_change_and_its_first_words_stay_H04(site):
    feed = added(site)
    lay(site, entry(1, said="My lamp broke."), entry(2))
    listen(feed)
    promised = list(Promise.objects.order_by("pk").values_list("due_at", "state"))
    lay(site, entry(1, said="My lamp broke, and the shop says it is my fault."), entry(2))
    later = NOON + timedelta(hours=1)

    assert listen(feed, later) == listening.Heard(changed=1)

    said = Interaction.objects.get(text__startswith="My lamp")
    change = said.changes.get()
    assert (said.text, change.text_before) == ("My lamp broke, and the shop says it is my fault.", "My lamp broke.")
    assert (said.edited_at, change.received_at, said.spoke_at) == (later, later, NOON)
    assert b"my fault" in bytes(change.raw.content)
    assert b"my fault" not in bytes(said.raw.content)
    told = HistoryEntry.objects.get(verb="interaction.edited")
    assert (told.ref, told.origin) == (f"conversation:{said.conversation.public_id}", "feed")
    assert list(Promise.objects.order_by("pk").values_list("due_at", "state")) == promised
    assert listen(feed, later + timedelta(hours=1)) == listening.Heard()  # looked at again, it is the same


def test_words_that_go_back_and_forth_are_each_a_change_and_spaces_are_none(site):
    feed = added(site)
    for hour, words in enumerate(["One.", "Two.", "One.", "One. "]):
        lay(site, entry(1, said=words))
        listen(feed, NOON + timedelta(hours=hour))
    said = Interaction.objects.get()
    assert said.text == "One."
    assert list(said.changes.order_by("event_at").values_list("text_before", "text")) == [
        ("One.", "Two."),
        ("Two.", "One."),
    ]


def test_a_place_that_says_something_else_at_every_look_fills_no_shelf(site, monkeypatch):
    monkeypatch.setattr(listening, "CHANGES_AT_MOST", 2)
    feed = added(site)
    for hour in range(5):
        lay(site, entry(1, said=f"Seen {hour} times."))
        listen(feed, NOON + timedelta(hours=hour))
    assert MessageChange.objects.count() == 2


def test_a_change_counts_from_when_it_is_said_to_have_been_made_as_far_as_that_can_be_H05(site):
    def atom(words: str, updated: datetime) -> Page:
        stood = f"<published>{NOON.isoformat()}</published><updated>{updated.isoformat()}</updated>"
        body = (
            '<feed xmlns="http://www.w3.org/2005/Atom"><title>B</title><entry><id>urn:1</id><title>T</title>'
            f"<author><name>Jane</name></author>{stood}<content>{words}</content></entry></feed>"
        )
        return Page(body.encode(), headers={"Content-Type": "application/atom+xml"})

    feed = added(site)
    site.pages["/feed"] = atom("It broke.", NOON)
    listen(feed, NOON + timedelta(minutes=5))
    site.pages["/feed"] = atom("It broke again.", NOON + timedelta(minutes=7))
    listen(feed, NOON + timedelta(minutes=20))
    said = Interaction.objects.get()
    assert said.edited_at == NOON + timedelta(minutes=7)
    site.pages["/feed"] = atom("It is mended.", NOON + timedelta(minutes=9))  # not there at our last look
    listen(feed, NOON + timedelta(minutes=40))
    said.refresh_from_db()
    assert (said.text, said.edited_at) == ("It is mended.", NOON + timedelta(minutes=20))


# --- how a feed fares -------------------------------------------------------------------------------------------------


def test_a_feed_that_fails_says_why_is_asked_less_often_and_recovers(site):
    feed = added(site)
    site.pages["/feed"] = Page(b"inner words", status=500)
    listen(feed)
    assert (feed.error, feed.failing_since) == ("The server has trouble of its own.", NOON)
    assert feed.next_at == NOON + feed.asked_every

    later = NOON + timedelta(hours=3)
    listen(feed, later)
    assert (feed.failing_since, feed.next_at) == (NOON, later + timedelta(minutes=45))

    lay(site, entry(1))
    listen(feed, later + timedelta(hours=1))
    assert (feed.error, feed.failing_since) == ("", None)
    assert feed.heard_count == 1


def test_a_server_that_asks_us_to_wait_is_left_alone(site):
    feed = added(site, channel=Channel.SOCIAL_PUBLIC)
    assert feed.asked_every == timedelta(minutes=1)
    site.pages["/feed"] = Page(status=429, headers={"Retry-After": "1800"})
    listen(feed)
    assert feed.next_at == NOON + timedelta(minutes=30)


def test_a_feed_that_falls_silent_is_told_once_as_every_source_is_R045(site):
    feed = added(site)
    lay(site)
    listen(feed)
    source = Source.objects.get(name=feeds.source_of(feed))
    assert (source.channel, source.last_good_at) == ("blog", NOON)
    assert source.expected_every == 6 * feed.asked_every
    sources.expect(source.pk, every=timedelta(hours=1), by=colleague(Role.ADMINISTRATOR), at=NOON)
    listen(feed)
    source.refresh_from_db()
    assert source.expected_every == timedelta(hours=1)  # what somebody said stays

    assert sources.watch_ingest_lag(NOON + timedelta(hours=2)) == 1
    feeds.switch(feed.pk, on=False, by=colleague(Role.LEAD), at=NOON)
    assert sources.watch_ingest_lag(NOON + timedelta(hours=3)) == 0


def test_an_outage_moves_no_clock_but_its_own_bound(site):
    """A post published while nobody could be asked counts from its own time: the last good look lies before it."""
    feed = added(site)
    lay(site)
    listen(feed, NOON)
    site.pages["/feed"] = Page(status=503)
    listen(feed, NOON + timedelta(hours=1))
    lay(site, entry(1, at=when(NOON + timedelta(minutes=30))))
    listen(feed, NOON + timedelta(hours=6))
    assert Conversation.objects.get().spoke_at == NOON + timedelta(minutes=30)


# --- set up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "feed.example"},
        {"url": "ftp://feed.example/x"},
        {"url": "https://me:word@feed.example/"},
        {"channel": Channel.EMAIL},
        {"channel": "nothing"},
        {"language": "not a tag"},
    ],
)
def test_what_cannot_be_a_feed_is_refused_and_nothing_is_kept(site, changes):
    with pytest.raises(feeds.UnusableFeed):
        added(site, **changes)
    assert not Feed.objects.exists()


def test_an_address_is_listened_to_once_and_each_act_is_on_record(site):
    feed = added(site)
    with pytest.raises(feeds.FeedKnown):
        added(site)
    feeds.rename(feed.pk, name="Forum", language="de-AT", by=colleague(Role.LEAD), at=NOON)
    feeds.switch(feed.pk, on=False, by=colleague(Role.LEAD), at=NOON)
    verbs = HistoryEntry.objects.filter(ref=f"feed:{feed.public_id}").order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["feed.added", "feed.changed", "feed.switched"]
    assert listening.claim(at=NOON + timedelta(days=1)) == []


def test_a_first_look_says_what_is_there_and_writes_nothing(site):
    lay(site, entry(1), entry(2))
    tried = feeds.try_now(feeds.Draft(site.url(), "", Channel.BLOG))
    assert (tried.code, tried.title, tried.posts) == ("", "A blog", 2)
    assert feeds.try_now(feeds.Draft(site.url("/nothing"), "", Channel.BLOG)).code == "http_404"
    assert not Interaction.objects.exists()
