"""The web form's pure half: networks, questions, sites, and what a message without a key is told apart by."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from crm import networks
from crm.channels import web_form
from crm.channels.email import read
from crm.channels.web_form import Sent
from tests.conftest import NOON

SENT = Sent(
    source="form:x", key="", email="carla@home.example", phone="", name="Carla", subject="", text="Broken.", language=""
)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.77", "198.51.100.0/24"),
        ("::ffff:198.51.100.77", "198.51.100.0/24"),
        ("2001:db8:0:1234::1", "2001:db8:0:1200::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_a_network_is_what_one_household_has(address, network):
    assert networks.network_of(address, bits=networks.HOUSEHOLD) == network


def test_the_word_of_a_network_changes_every_day_and_with_the_key():
    words = {
        web_form.network_digest("198.51.100.0/24", on=day, secret=secret)
        for day in (date(2026, 3, 2), date(2026, 3, 3))
        for secret in ("a", "b")
    }
    assert len(words) == 4
    assert not any("198" in word and "51" in word and "." in word for word in words)


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [("12", True), (" 12. ", True), ("١٢", True), ("11", False), ("", False), ("1e1", False), ("9" * 99, False)],
)
def test_an_answer_is_right_however_its_digits_are_written(answer, is_right):
    assert web_form.is_right(answer, (5, 7)) is is_right


def test_questions_follow_from_the_page_and_from_our_key_alone():
    asked = {web_form.question(f"page {number}", secret="s") for number in range(300)}
    assert len(asked) > 60
    assert all(1 <= number <= 9 for pair in asked for number in pair)
    assert web_form.question("page 1", secret="s") == web_form.question("page 1", secret="s")


def test_without_a_key_the_same_words_are_one_message_and_other_words_another():
    day = NOON.date()
    same = web_form.words_key(SENT, on=day)
    assert web_form.words_key(replace(SENT, email=" Carla@home.example"), on=day) == same
    others = [replace(SENT, text="Broken!"), replace(SENT, email="joe@home.example"), replace(SENT, name="C")]
    # What stands in one field is not mistaken for what stands in the next.
    others += [replace(SENT, name="Carla", subject="x"), replace(SENT, name="Carlax", subject="")]
    others.append(replace(SENT, files=web_form.judged([("a.txt", "text/plain", b"a")])))
    keys = {web_form.words_key(one, on=day) for one in others} | {web_form.words_key(SENT, on=date(2026, 3, 3)), same}
    assert len(keys) == len(others) + 2


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Shop.example/", "https://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("https://*.shop.example", "https://*.shop.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://shop.example", ""),
        ("https://*.*.example", ""),
        ("https://shop.example/a", ""),
        ("https://shop.example:x", ""),
        ("https://münchen.example", ""),
    ],
)
def test_a_site_is_kept_as_browsers_write_it(given, kept):
    assert web_form.origin(given) == kept


@pytest.mark.parametrize(
    ("sender", "is_theirs"),
    [
        ("https://a.shop.example", True),
        ("https://a.b.shop.example", True),
        ("https://shop.example", False),
        ("https://evilshop.example", False),
        ("http://a.shop.example", False),
        ("https://a.shop.example.evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_star_stands_for_every_host_below_and_no_other(sender, is_theirs):
    assert web_form.is_from(sender, ["https://*.shop.example"]) is is_theirs


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "a@b.example\r\nBcc: all@b.example"},
        {"email": "", "phone": "030 1"},
        {"subject": "x\r\n\r\nbody", "text": "\x1b[31m red \u202e"},
        {"email": "ü@b.example", "name": "<script>"},
        {"text": "x" * 100_000},
        {"text": "From me\n.\n--boundary"},
    ],
)
def test_what_was_set_aside_is_a_mail_that_our_own_reader_reads_M27(changes):
    mail = read(web_form.as_mail(replace(SENT, **changes), own_address="support@shop.example"))
    assert mail.recipients == ("support@shop.example",)
    text = changes.get("text", SENT.text)
    assert text[:20].strip("\x1b\u202e ")[:6] in mail.full_text
