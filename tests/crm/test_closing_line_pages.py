"""The page on which a customer says no to a public last word: by its link, in their language; opening it changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import Client

from crm.actions import closing_lines, outgoing
from crm.models import ClosingLine, Customer
from crm.policy.closing_lines import LineState
from tests.conftest import NOON
from tests.crm.actions.test_closing_lines import RIPE, posted, token, told

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def page(line: ClosingLine) -> str:
    return f"/in-public/{token(line)}/"


def test_the_page_shows_the_words_and_one_button_and_opening_it_changes_nothing_R128() -> None:
    line = told()
    shown = Client().get(page(line))
    text = shown.content.decode()
    assert shown.status_code == 200
    assert line.text in text
    assert f" – {settings.EVENHAND_MAIL_NAME}</title>" in text  # whose page it is
    assert text.count("<button") == 1
    assert line.conversation.customer.display_name not in text
    assert (shown["Cache-Control"], shown["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert not shown.cookies
    line.refresh_from_db()
    assert line.state == LineState.TOLD


def test_one_press_says_no_R128() -> None:
    line = told()
    shown = Client(enforce_csrf_checks=True).post(page(line))
    assert "We will not write this line." in shown.content.decode()
    line.refresh_from_db()
    assert (line.state, line.reason, line.said_no_at) == (LineState.STOPPED, "said_no", NOON)
    again = Client().get(page(line)).content.decode()
    assert "We will not write this line." in again
    assert "<button" not in again


def test_whoever_comes_too_late_is_told_that_it_is_taken_away_R128() -> None:
    line = posted()
    outgoing.send_batch(at=RIPE)
    with time_machine.travel(RIPE, tick=False):
        assert "Please take it away" in Client().get(page(line)).content.decode()
        assert "takes it away, and writes to you." in Client().post(page(line)).content.decode()
        assert "<button" not in Client().get(page(line)).content.decode()


@pytest.mark.parametrize(
    ("language", "words"),
    [("de", "Sollen wir diese Zeile weglassen?"), ("fr", "renoncer à cette ligne"), ("pl", "pominąć to zdanie")],
)
def test_the_page_speaks_the_customer_s_language_and_the_one_they_choose_R128(language: str, words: str) -> None:
    line = told()
    assert words in Client().get(f"{page(line)}?language={language}").content.decode()
    Customer.objects.update(language=language)
    assert words in Client().get(page(line)).content.decode()


@pytest.mark.parametrize("link", ["x", "0198", "a:b"])
def test_another_link_opens_nothing_R128(link: str) -> None:
    assert Client().get(f"/in-public/{link}/").status_code == 404
    assert Client().post(f"/in-public/{link}/").status_code == 404


def test_other_ways_of_asking_are_refused() -> None:
    assert Client().put(page(told())).status_code == 405


def test_a_link_opens_no_line_that_the_customer_was_not_told_of_R128() -> None:
    line = told()
    ClosingLine.objects.update(state="proposed", word=None)
    with pytest.raises(closing_lines.UnknownLink):
        closing_lines.opened(token(line))
