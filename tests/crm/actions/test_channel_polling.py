"""Providers that are asked for news: page by page, side by side, and told of when they do not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from crm import tasks
from crm.actions import channel_accounts, channel_polling
from crm.channels import Channel, Message, provided
from crm.channels.providers import (
    Account,
    Asked,
    Event,
    Genuine,
    HttpAnswer,
    HttpRequest,
    NotGenuine,
    NotGiven,
    Post,
    Provider,
    Said,
)
from crm.models import Alert, ChannelAccount, HistoryEntry, Interaction, RawItem, Source
from tests.conftest import NOON
from tests.crm.channels.serving import Server, serving
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with serving() as found:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({found.host})
        yield found


def ask(at: datetime = NOON) -> int:
    """Ask all that are due, here and now; says how many."""
    claimed = channel_polling.claim(at=at)
    for account in claimed:
        channel_polling.poll(account, at=at)
    return len(claimed)


class Board(Provider):
    """A notice board that is asked: lines "number|who|words", and a cursor that is the last number."""

    name = "board"
    title = "Board"
    channels = (Channel.SOCIAL_PUBLIC,)
    polled_every = timedelta(minutes=1)

    def verify(self, post: Post, account: Account, *, at: datetime) -> Genuine:
        raise NotGenuine("missing")

    def parse(self, post: Post, account: Account) -> Sequence[Event]:
        lines = [line.split("|") for line in post.body.decode().splitlines()]
        eleven = datetime(2026, 3, 2, 11, tzinfo=UTC)
        return [
            Said(
                Message(account.channel, account.source, number, "handle", f"board:{who}", text=words, spoke_at=eleven)
            )
            for number, who, words in lines
        ]

    def ask(self, account: Account, cursor: str) -> HttpRequest:
        return HttpRequest("GET", f"{account.own_id}?after={cursor or 0}")

    def read_asked(self, answer: HttpAnswer, account: Account, cursor: str) -> Asked:
        if answer.status != 200:
            wait = timedelta(minutes=30) if answer.status == 429 else timedelta(0)
            raise NotGiven(f"The board answered {answer.status}.", wait=wait)
        lines = answer.body.decode().splitlines()
        return Asked(lines[-1].partition("|")[0] if lines else cursor, has_more=len(lines) == 2)


@pytest.fixture
def board(server: Server, monkeypatch: pytest.MonkeyPatch) -> ChannelAccount:
    monkeypatch.setitem(provided.all_of_them(), "board", Board())
    lines = [f"{number}|dan|Words {number}" for number in range(1, 6)]

    def told(asked: Any) -> tuple[int, dict[str, str], bytes]:
        after = int(asked.path.partition("=")[2])
        return 200, {}, "\n".join(lines[after : after + 2]).encode()

    server.answers = told
    draft = channel_accounts.Draft(
        "board", Channel.SOCIAL_PUBLIC, "Our board", f"http://{server.host}/", is_sandbox=False
    )
    return channel_accounts.add(draft, by=None, at=NOON)


def test_a_board_is_asked_page_by_page_and_its_cursor_is_kept(board: ChannelAccount, server: Server) -> None:
    assert ask() == 1
    assert ask() == 0
    assert Interaction.objects.count() == 5
    assert RawItem.objects.count() == 3
    board.refresh_from_db()
    assert (board.cursor, board.ask_at, board.error, board.lease_until) == ("5", NOON + timedelta(minutes=1), "", None)
    assert Source.objects.get(name=board.source).last_good_at == NOON
    said = Interaction.objects.order_by("pk")[0]
    assert said.spoke_at == datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert ask(NOON + MINUTE) == 1
    assert Interaction.objects.count() == 5


def test_a_board_that_does_not_answer_shows_and_is_asked_seldom(board: ChannelAccount, server: Server) -> None:
    server.answers = lambda _asked: (500, {}, b"")
    ask()
    board.refresh_from_db()
    assert (board.error, board.failing_since, board.cursor) == ("The board answered 500.", NOON, "")
    assert board.ask_at == NOON + timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_ask_a_board_once(board: ChannelAccount, server: Server) -> None:
    assert sorted(at_once(*[lambda: channel_polling.poll_due(at=NOON) for _number in range(2)])) == [0, 1]
    assert Interaction.objects.count() == 5


def test_what_was_read_and_not_noted_is_read_again_and_is_one(board: ChannelAccount) -> None:
    ask()
    ChannelAccount.objects.update(cursor="2", ask_at=NOON)
    ask()
    assert Interaction.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_somebody_who_changed_the_account_is_not_overtaken(board: ChannelAccount, server: Server) -> None:
    def changed(_asked: Any) -> tuple[int, dict[str, str], bytes]:
        ChannelAccount.objects.update(attempt=99)
        return 200, {}, b"1|dan|Hello"

    server.answers = changed
    ask()
    board.refresh_from_db()
    assert board.cursor == ""


def test_a_board_that_asks_to_be_left_alone_is(board: ChannelAccount, server: Server) -> None:
    server.answers = lambda _asked: (429, {}, b"")
    ask()
    board.refresh_from_db()
    assert (board.ask_at, board.error) == (NOON + timedelta(minutes=30), "The board answered 429.")


def test_leads_are_told_once_after_five_minutes_and_that_it_is_well_again(
    board: ChannelAccount, server: Server
) -> None:
    def round_at(minutes: int) -> None:
        ChannelAccount.objects.update(ask_at=NOON)
        ask(NOON + minutes * MINUTE)
        board.refresh_from_db()

    answers = server.answers
    server.answers = lambda _asked: (503, {}, b"")
    for minutes in (0, 1, 4):
        round_at(minutes)
    assert not Alert.objects.exists()
    for minutes in (5, 6, 60):
        round_at(minutes)
    told = Alert.objects.filter(kind="channel_fails")
    assert told.filter(to=None).count() == 1
    assert told.count() == Alert.objects.count() == 1
    assert told.get().detail == {"name": "Our board", "code": "NotGiven"}
    assert board.ask_at == NOON + 65 * MINUTE  # never seldomer than mailboxes
    server.answers = answers
    round_at(61)
    assert (board.failing_since, board.error) == (None, "")
    server.answers = lambda _asked: None
    for minutes in (62, 66):
        round_at(minutes)
    server.answers = answers
    round_at(66)  # four minutes of trouble: nobody was told, and nobody hears that it is over
    server.answers = lambda _asked: (503, {}, b"")
    for minutes in (70, 75):
        round_at(minutes)
    assert Alert.objects.count() == 2  # another incident
    verbs = HistoryEntry.objects.filter(ref=f"channel_account:{board.public_id}").order_by("id")
    assert list(verbs.values_list("verb", flat=True)) == [
        "channel_account.added", "channel_account.fails", "channel_account.well_again", "channel_account.fails",
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_a_server_that_hangs_holds_up_no_other_F34(board: ChannelAccount, server: Server) -> None:
    let_go = threading.Event()
    answers = server.answers

    def some_hang(asked: Any) -> Any:
        if asked.path.startswith("/hangs"):
            let_go.wait(20)
            return None
        return answers(asked)

    server.answers = some_hang
    for number in range(3):
        draft = channel_accounts.Draft(
            "board", Channel.SOCIAL_PUBLIC, f"Hangs {number}", f"http://{server.host}/hangs{number}", is_sandbox=False
        )
        channel_accounts.add(draft, by=None, at=NOON - (number + 1) * MINUTE)
    began = time.perf_counter()
    assert channel_polling.poll_due(at=NOON, held_for=1.5) == 4
    took = time.perf_counter() - began
    assert took < 4
    assert Interaction.objects.count() == 5
    board.refresh_from_db()
    assert (board.cursor, board.lease_until) == ("5", None)
    hanging = ChannelAccount.objects.exclude(pk=board.pk)
    assert hanging.filter(lease_until__isnull=False).count() == 3
    assert channel_polling.poll_due(at=NOON) == 0  # their leases keep others away
    let_go.set()
    ends = time.monotonic() + 10
    while hanging.filter(lease_until__isnull=False).exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert set(hanging.values_list("error", flat=True)) == {"the line broke before the answer (RemoteDisconnected)"}


@pytest.mark.django_db(transaction=True)
def test_the_lane_asks_what_is_due(board: ChannelAccount) -> None:
    tasks.poll_accounts(lane="accounts")
    assert Interaction.objects.count() == 5


def test_all_workers_together_ask_sixteen_at_most(board: ChannelAccount) -> None:
    for number in range(30):
        draft = channel_accounts.Draft("board", Channel.SOCIAL_PUBLIC, f"B{number}", f"{number}", is_sandbox=False)
        channel_accounts.add(draft, by=None, at=NOON)
    assert [len(channel_polling.claim(at=NOON)) for _worker in range(3)] == [8, 8, 0]


def test_a_provider_that_this_version_does_not_know_stops_no_other(
    board: ChannelAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    ChannelAccount.objects.create(
        provider="gone", channel=Channel.CHAT, name="Gone", is_sandbox=False, ask_at=NOON - MINUTE, created_at=NOON
    )
    assert ask() == 2
    assert Interaction.objects.count() == 5
    assert ChannelAccount.objects.get(provider="gone").error == "NoSuchProvider"
