"""The register of places where customers talk: who listens, and where nobody does (R027)."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from crm.actions import feeds, listening_places
from crm.channels import Channel
from crm.models import (
    Alert,
    ChannelAccount,
    Feed,
    HistoryEntry,
    ListeningGap,
    ListeningPlace,
    Mailbox,
    OutgoingMessage,
    PlaceCheck,
)
from crm.policy import AlertKind, Cover, Role
from tests.conftest import NOON
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
DAY, WEEK, MINUTE = timedelta(days=1), timedelta(days=7), timedelta(minutes=1)


def listed(**changes: Any) -> ListeningPlace:
    draft = {
        "name": "Guitar forum",
        "channel": Channel.SOCIAL_PUBLIC.value,
        "url": "https://forum.example/us",
        **changes,
    }
    return listening_places.add(listening_places.Draft(**draft), by=colleague(Role.LEAD), at=NOON)


def looked(place: ListeningPlace, *, at: Any, found: int = 0) -> PlaceCheck:
    return listening_places.checked(place.pk, found=found, by=colleague(), at=at)


def feed() -> Feed:
    draft = feeds.Draft("https://blog.example/feed", "A blog", Channel.BLOG)
    return feeds.add(draft, by=colleague(Role.LEAD), at=NOON)


def test_a_place_without_anything_that_listens_and_without_a_weekly_look_is_a_gap_R027():
    place = listed()
    assert listening_places.unheard(NOON) == [place]  # nobody has ever looked
    assert listening_places.watch(NOON + MINUTE) == 1
    gap = ListeningGap.objects.get()
    assert (gap.place, gap.began_at, gap.ended_at) == (place, NOON, None)

    looked(place, at=NOON + DAY)

    assert listening_places.watch(NOON + DAY + WEEK) == 0
    gap.refresh_from_db()
    assert gap.ended_at == NOON + DAY
    assert listening_places.watch(NOON + DAY + WEEK + MINUTE) == 1
    again = ListeningGap.objects.get(ended_at=None)
    assert again.began_at == NOON + DAY  # what was said since then we cannot have heard
    assert list(listening_places.gaps(since=NOON + 3 * DAY, until=NOON + 4 * DAY)) == [again]


def test_leads_are_told_once_a_gap_and_nobody_gets_a_mail_R027():
    place = listed()
    for hour in range(3):
        listening_places.watch(NOON + timedelta(hours=hour))
    alert = Alert.objects.get(kind=AlertKind.PLACE_UNHEARD)
    assert (alert.to, alert.detail) == (None, {"name": "Guitar forum"})
    looked(place, at=NOON + DAY)
    listening_places.watch(NOON + DAY + 2 * WEEK)
    assert Alert.objects.count() == 2
    assert not OutgoingMessage.objects.exists()


def test_a_feed_covers_a_place_as_long_as_it_is_well_R027():
    own = feed()
    place = listed(cover=Cover.FEED.value, covered_by=own.public_id, channel=Channel.BLOG.value)
    assert listening_places.watch(NOON) == 1  # it has not answered yet
    Feed.objects.update(last_good_at=NOON + MINUTE)
    assert listening_places.watch(NOON + 2 * MINUTE) == 0
    assert ListeningGap.objects.get().ended_at == NOON + MINUTE
    assert listening_places.watch(NOON + MINUTE + WEEK + MINUTE) == 1  # it fails since
    feeds.switch(own.pk, on=False, by=colleague(Role.LEAD), at=NOON + 8 * DAY)
    Feed.objects.update(last_good_at=NOON + 8 * DAY)
    assert listening_places.unheard(NOON + 8 * DAY) == [place]
    looked(place, at=NOON + 8 * DAY)  # somebody looks until it is mended
    assert listening_places.unheard(NOON + 9 * DAY) == []


@pytest.mark.parametrize(
    ("fares", "is_gap"),
    [
        ({}, False),
        ({"is_active": False}, True),
        ({"failing_since": NOON}, True),
        ({"failing_since": NOON, "last_good_at": NOON}, False),
        ({"ask_at": NOON}, True),  # it is asked, and has never answered
        ({"ask_at": NOON, "last_good_at": NOON}, False),
    ],
)
def test_an_account_covers_a_place_while_it_is_well_R027(fares, is_gap):
    account = ChannelAccount.objects.create(
        provider="telegram", channel=Channel.SOCIAL_DIRECT, name="Shop", created_at=NOON, is_active=True
    )
    listed(cover=Cover.ACCOUNT.value, covered_by=account.public_id)
    ChannelAccount.objects.update(**fares)
    assert bool(listening_places.unheard(NOON + DAY)) is is_gap


def test_a_mailbox_covers_a_place_R027():
    box = Mailbox.objects.create(address="alerts@shop.example", host="mail.example", created_at=NOON, last_good_at=NOON)
    listed(cover=Cover.MAILBOX.value, covered_by=box.public_id)
    assert listening_places.unheard(NOON + DAY) == []
    assert listening_places.unheard(NOON + 8 * DAY)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": " "},
        {"channel": "pigeon"},
        {"url": "forum"},
        {"url": "javascript:alert(1)"},
        {"cover": "magic"},
        {"cover": "feed"},
        {"cover": "feed", "covered_by": uuid.uuid4()},
    ],
)
def test_what_cannot_be_a_place_is_refused_and_nothing_is_kept_R027(changes):
    with pytest.raises(listening_places.UnusablePlace):
        listed(**changes)
    assert not ListeningPlace.objects.exists()


def test_a_place_is_listed_once_and_each_act_is_on_record_R027():
    place, lead = listed(), colleague(Role.LEAD)
    with pytest.raises(listening_places.PlaceKnown):
        listed(name="The same")
    own = feed()
    draft = listening_places.Draft(name="Blog", channel="blog", cover="feed", covered_by=own.public_id)
    listening_places.change(place.pk, draft, by=lead, at=NOON)
    looked(place, at=NOON, found=3)
    listening_places.watch(NOON + 9 * DAY)
    listening_places.list_or_unlist(place.pk, is_listed=False, by=lead, at=NOON + 10 * DAY)
    assert not listening_places.watch(NOON + 30 * DAY)
    assert ListeningGap.objects.get().ended_at == NOON + 10 * DAY
    with pytest.raises(listening_places.UnusablePlace):
        looked(place, at=NOON + 11 * DAY)
    listening_places.list_or_unlist(place.pk, is_listed=True, by=lead, at=NOON + 12 * DAY)
    verbs = HistoryEntry.objects.filter(ref=f"place:{place.public_id}").order_by("id").values_list("verb", flat=True)
    assert list(verbs) == [
        "place.listed",
        "place.changed",
        "place.looked_at",
        "place.unheard",
        "place.unlisted",
        "place.relisted",
    ]
    assert PlaceCheck.objects.get().found == 3


@pytest.mark.parametrize("found", [-1, 1001])
def test_a_look_finds_a_number_that_can_be_R027(found):
    place = listed()
    with pytest.raises(listening_places.UnusablePlace):
        looked(place, at=NOON, found=found)
    assert not PlaceCheck.objects.exists()


def test_the_database_keeps_one_cover_of_a_place():
    place = listed()
    with pytest.raises(IntegrityError), transaction.atomic():
        ListeningPlace.objects.filter(pk=place.pk).update(cover=Cover.FEED)
