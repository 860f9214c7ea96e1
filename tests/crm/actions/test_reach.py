"""Reach: dropped unless the house keeps it, never fetched, hidden until the owner has taken the matter, every look logged."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from crm.actions import endings, queue, reach
from crm.channels.profiles import LARGEST_PICTURE, Profile
from crm.models import ContactPoint, Conversation, HistoryEntry, OwnerChange, Promise, Reach, ReachLook
from crm.policy import OwnerChangeReason, RevealReason, Role
from tests.conftest import NOON
from tests.crm.actions.test_judgements import posted
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc"
    b"\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"
)
LOUD = Profile(followers=2_000_000, has_badge=True, avatar_url="https://pictures.example/loud.png", avatar=PNG)


@pytest.fixture(autouse=True)
def _kept(settings: Any) -> None:
    settings.EVENHAND_KEEP_REACH = True


def loud(**changes: Any) -> tuple[Conversation, ContactPoint]:
    handle = {"sender_kind": "handle", "sender_address": "mastodon:loud@social.example"}
    talk = posted(**{**handle, **changes}).conversation
    return talk, ContactPoint.objects.get(customer=talk.customer)


def look(talk: Conversation, *, by: Any, at: Any = NOON, words: str = "The police ask.") -> list[reach.Seen]:
    return reach.reveal(talk.pk, reason=RevealReason.LEGAL, words=words, by=by, at=at)


def taken(talk: Conversation) -> None:
    owner = Conversation.objects.get(pk=talk.pk).owner
    assert owner is not None
    queue.take(talk.pk, by=owner, at=NOON)


def test_it_is_dropped_unless_the_house_turned_keeping_on_R152(settings: Any):
    settings.EVENHAND_KEEP_REACH = False
    _talk, point = loud()
    assert not reach.keep(point.pk, LOUD, at=NOON)
    assert not Reach.objects.exists()


def test_it_is_hidden_until_the_owner_has_taken_the_matter_and_every_look_is_logged_N3():
    colleague()
    lead = colleague(Role.LEAD, takes=False)
    talk, point = loud()
    reach.keep(point.pk, LOUD, at=NOON)
    with pytest.raises(reach.Hidden):  # given to an owner by itself is not taken
        look(talk, by=lead)
    assert not ReachLook.objects.exists()
    taken(talk)
    (seen,) = look(talk, by=lead)
    assert (seen.followers, seen.has_badge, seen.avatar_url, seen.avatar) == (
        2_000_000,
        True,
        LOUD.avatar_url,
        PNG,
    )
    look(talk, by=lead, at=NOON + DAY)
    assert ReachLook.objects.count() == 2
    told = HistoryEntry.objects.filter(verb="reach.seen")
    assert {(entry.by, entry.customer) for entry in told} == {(lead, talk.customer)}
    assert "2000000" not in str(list(HistoryEntry.objects.values("detail")))


def test_handed_over_is_taken_and_nobodys_is_not_N3():
    talk, _point = loud()
    lead = colleague(Role.LEAD, takes=False)
    with pytest.raises(reach.Hidden):
        look(talk, by=lead)
    ada = colleague()
    Conversation.objects.filter(pk=talk.pk).update(owner=ada)
    OwnerChange.objects.create(conversation=talk, after=ada, why=OwnerChangeReason.HANDED_OVER, at=NOON)
    assert look(talk, by=lead) == []


def test_without_words_nothing_is_seen():
    colleague()
    talk, _point = loud()
    taken(talk)
    with pytest.raises(endings.ReasonMissing):
        look(talk, by=colleague(Role.LEAD), words="  ")
    assert not HistoryEntry.objects.filter(verb="reach.seen").exists()


def test_a_look_is_never_changed_or_removed():
    colleague()
    talk, _point = loud()
    taken(talk)
    look(talk, by=colleague(Role.LEAD))
    for change in (lambda: ReachLook.objects.update(words="-"), lambda: ReachLook.objects.all().delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def test_it_is_kept_for_30_days_after_it_was_last_told_and_gone_when_turned_off_P05(settings: Any):
    colleague()
    talk, point = loud()
    taken(talk)
    reach.keep(point.pk, LOUD, at=NOON)
    assert look(talk, by=colleague(Role.LEAD), at=NOON + 31 * DAY) == []  # also before the night has come
    assert reach.forget(NOON + 29 * DAY) == 0
    assert reach.forget(NOON + 30 * DAY) == 1
    reach.keep(point.pk, LOUD, at=NOON)
    settings.EVENHAND_KEEP_REACH = False
    assert reach.forget(NOON) == 1


INSIDE = [
    "http://127.0.0.1:{port}/a.png", "http://localhost:{port}/a.png", "http://[::1]:{port}/a.png", "http://0.0.0.0:{port}/",
    "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://017700000001:{port}/", "http://127.1:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/", "http://127.0.0.1.nip.io:{port}/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1/", "http://192.168.0.1/",
    "http://metadata.google.internal/", "http://user@127.0.0.1:{port}/", "http://127.0.0.1:{port}@elsewhere.example/",
    "https://127.0.0.1:{port}/", "http://127。0。0。1:{port}/",
]  # fmt: skip
NO_ADDRESSES = [
    "file:///etc/passwd", "javascript:alert(1)", "data:image/png;base64,AAAA", "gopher://127.0.0.1:{port}/", "//127.0.0.1:{port}/",
    "ftp://127.0.0.1/", "http://", "http:///a.png", "", " http://a.example", "http://a.example/\r\nHost: b", "http://[::1",
    "dict://127.0.0.1:{port}/", "ldap://127.0.0.1/", "a.png", "HTTP//x", "x" * 600, "http://a.example/" + "x" * 600,
    "http://a.example/\x00", "about:blank",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["inside", "none"])
def test_no_picture_is_ever_fetched_wherever_its_address_points_O01_H12(kind: str):
    """Forty addresses, a listener on loopback: nothing connects, keeping or showing; what is no address is not kept."""
    colleague()
    lead = colleague(Role.LEAD, takes=False)
    listener = socket.create_server(("127.0.0.1", 0))
    port, came = listener.getsockname()[1], []

    def listen() -> None:
        try:
            while True:
                came.append(listener.accept())
        except OSError:
            return

    threading.Thread(target=listen, daemon=True).start()
    talk, point = loud()
    taken(talk)
    for address in INSIDE if kind == "inside" else NO_ADDRESSES:
        url = address.format(port=port)
        reach.keep(point.pk, Profile(avatar_url=url), at=NOON)
        assert look(talk, by=lead)[0].avatar_url == (url if kind == "inside" else "")
    listener.close()
    assert not came


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (Profile(followers=-1), None),
        (Profile(followers=10**15), None),
        (Profile(avatar=b"<svg onload=alert(1)>"), None),
        (Profile(avatar=b"MZ" + b"\x00" * 90), None),
        (Profile(avatar=PNG + b"\x00" * LARGEST_PICTURE), None),
        (Profile(avatar=PNG), PNG),
    ],
)
def test_what_cannot_be_kept_is_left_out(told: Profile, kept: bytes | None):
    _talk, point = loud()
    reach.keep(point.pk, told, at=NOON)
    row = Reach.objects.get()
    assert (row.followers, None if row.avatar is None else bytes(row.avatar)) == (None, kept)


def test_the_loud_and_the_quiet_are_promised_the_same_and_stand_in_the_same_place_E01_R152_Q7():
    colleague()
    quiet_talk, _point = loud(sender_address="mastodon:quiet@social.example")
    loud_talk, point = loud()
    reach.keep(point.pk, LOUD, at=NOON)

    def treatment(talk: Conversation) -> Any:
        talk.refresh_from_db()
        promised = Promise.objects.filter(conversation=talk).order_by("kind")
        return (
            talk.queue_class,
            talk.due_at,
            list(promised.values("kind", "starts_at", "due_at", "warn_at", "within_seconds", "given_by")),
        )

    assert treatment(quiet_talk) == treatment(loud_talk)
    assert list(Conversation.objects.waiting_for_us().in_due_order()) == [quiet_talk, loud_talk]  # by who came first
