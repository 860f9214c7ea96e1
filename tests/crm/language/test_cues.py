"""The words of a matter without what tells its channel, also over real mails and public posts."""

from __future__ import annotations

import csv
import email
import email.policy
import html
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.language.cues import MARK, without_cues

STORY = "The guitar was broken when it came back. It cost 1,200 euros."


def said(text: str, **more: str) -> str:
    return " ".join(without_cues(text, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        f"Dear Sir or Madam,\n\n{STORY}\n\nYours faithfully,\nJohn Smith\nACME Ltd",
        f"{STORY}\n\nSent from my iPhone",
        f"@united {STORY} #brokenguitar https://t.co/AbC12",
        f"{STORY}\n-- \nJohn\n+44 20 7946 0000",
        f"{STORY}\n\nOn Tue, 3 May 2022 at 10:15, Ann Lee <ann@shop.example> wrote:\n> Hello\n> there",
        f"Hallo,\n{STORY}\nMit freundlichen Grüßen\nJan",
        f"{STORY} 😡😡😡",
        f"Hi @shop! {STORY} 1/2",
    ],
)
def test_the_same_story_reads_the_same_however_it_came_R005(text):
    found = said(text).replace(MARK, "").replace("Hi !", "").replace("Hi!", "")
    assert re.sub(r"\s+", " ", found).strip() == STORY


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("I was on hold for an hour.", "hold"),
        ("Nobody answers my DMs.", "dm"),
        ("I called you twice and got your voicemail.", "call"),
        ("I have e-mailed you three times.", "mail"),
        ("Ich habe dreimal angerufen und hing in der Warteschleife.", "warteschleife"),
        ("J'ai déjà téléphoné deux fois.", "téléphon"),
        ("He llamado tres veces por teléfono.", "llamado"),
        ("Ho già telefonato al servizio, è la terza telefonata.", "telefonat"),
        ("Ik heb al drie keer gebeld.", "gebeld"),
        ("Dzwoniłem trzy razy na infolinię.", "infolini"),
        ("I will tweet about it, see my last post on Facebook.", "facebook"),
        ("Your live chat closed on me.", "chat"),
        ("One star review coming.", "review"),
        ("Write to anna.b@home.example please.", "anna"),
        ("As I said in my letter, it is late.", "letter"),
    ],
)
def test_words_for_ways_of_talking_go_in_every_language_of_our_letters_R005(text, cue):
    assert cue in text.casefold()
    assert cue not in said(text).casefold()
    assert MARK in said(text)


def test_facts_stay():
    text = "Order #4711 of 3 May for 80.00 € arrived broken, my phone is dead and I have been without it for 12 days."
    for fact in ("#4711", "3 May", "80.00", "broken", "phone is dead", "12 days"):
        assert fact in said(text)


def test_a_subject_is_a_first_sentence_without_its_prefix():
    assert without_cues("It is broken.", subject="Re: AW: [Ticket 12] My guitar") == ("My guitar", "It is broken.")
    assert without_cues("My guitar is broken.", subject="My guitar") == ("My guitar is broken.",)


def test_their_own_names_and_ours_go_where_they_are_told():
    assert "jane_doe" not in said("This is jane_doe again, Evenhand.", names=["jane_doe", "Evenhand"])  # type: ignore[arg-type]


def test_how_loudly_it_was_said_is_not_told():
    assert said("My guitar came back BROKEN, and I am in the UK.") == "My guitar came back broken, and I am in the UK."
    assert said("WHERE IS MY PARCEL???!!! THIS IS A JOKE") == "Where is my parcel? This is a joke"


@given(st.text(max_size=400))
def test_any_text_gives_sentences_and_doing_it_again_finds_nothing_more(text):
    once = without_cues(text)
    assert all(isinstance(one, str) and "\n" not in one for one in once)
    left = " ".join(once)
    assert not CUES["mention"].search(left)
    assert not CUES["link"].search(left)


def test_a_long_text_takes_no_time():
    for unit in ("call ", "@a ", "re: ", "> x\n", "a.b.c.d", "…", "1/2 ", "!?", "the "):
        began = time.perf_counter()
        without_cues(unit * 20_000)
        assert time.perf_counter() - began < 3, unit


# --- real words -------------------------------------------------------------------------------------------------------------

CUES = {
    "mention": re.compile(r"@\w{2,}"),
    "tag": re.compile(r"#[A-Za-z]\w+"),
    "link": re.compile(r"https?://|\bwww\.\w", re.IGNORECASE),
    "address": re.compile(r"[\w.+-]+@[\w-]+\.\w{2,}"),
    "device": re.compile(r"sent (?:from|via) (?:my|yahoo|outlook)|gesendet von mein", re.IGNORECASE),
    "prefix": re.compile(r"^\s*(?:re|fwd?|aw|wg|tr|rv)\s?:", re.IGNORECASE),
    "quote": re.compile(r"^\s*>|\bwrote:\s*$|original message-", re.IGNORECASE | re.MULTILINE),
    "direct": re.compile(r"\bdm(?:s|ed|'d)?\b|\bdirect message", re.IGNORECASE),
    "hold": re.compile(r"\bon hold\b", re.IGNORECASE),
    "call": re.compile(r"\b(?:called|phoned|voicemail|phone calls?|hung up)\b", re.IGNORECASE),
    "platform": re.compile(r"\b(?:twitter|facebook|instagram|whatsapp|tweet\w*)\b", re.IGNORECASE),
    "mail": re.compile(r"\be-?mail(?:s|ed)?\b", re.IGNORECASE),
    "chat": re.compile(r"\b(?:live )?chat(?:ted|ting)?\b", re.IGNORECASE),
    "picture": re.compile("[\U0001f300-\U0001faff]"),
    "greeting": re.compile(r"^\s*(?:dear (?:sir|madam|mr|ms|mrs)|sehr geehrte)", re.IGNORECASE),
}
"""What a reader would tell the channel by, written apart from the code that takes it out."""


def _mails(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.rglob("*.eml")):
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.compat32)
        for part in mail.walk():
            if part.get_content_type() == "text/plain" and not part.is_multipart():
                raw = part.get_payload(decode=True) or b""
                yield str(mail.get("Subject", "")), raw.decode("utf-8", "replace")  # type: ignore[union-attr]
                break
    for file in sorted((folder / "email_reply_trimmer").rglob("*.txt")):
        yield "", file.read_text(encoding="utf-8", errors="replace")


def _posts(folder: Path) -> Iterator[tuple[str, str]]:
    with (folder / "twcs_shared.csv").open(encoding="utf-8", newline="") as file:
        for at, row in enumerate(csv.DictReader(file)):
            if at >= 6_000:
                break
            yield "", row["text"]


def _complaints(folder: Path) -> Iterator[tuple[str, str]]:
    csv.field_size_limit(10_000_000)
    with (folder / "cfpb_narratives_product_shared.csv").open(encoding="utf-8", newline="") as file:
        for at, row in enumerate(csv.DictReader(file)):
            if at >= 1_500:
                break
            yield "", row["Consumer complaint narrative"]


@pytest.mark.parametrize(("name", "read"), [("mail", _mails), ("social", _posts), ("complaints", _complaints)])
def test_none_of_a_list_of_cues_is_left_in_real_words_R005(outside_data, name, read):
    there: Counter[str] = Counter()
    left: Counter[str] = Counter()
    examples: dict[str, str] = {}
    kept = whole = texts = 0
    for subject, text in read(outside_data / name):
        texts += 1
        before = html.unescape(f"{subject}\n{text}")
        after = without_cues(text, subject=subject)
        whole, kept = whole + len(text.split()), kept + sum(len(one.split()) for one in after)
        for cue, looks_like in CUES.items():
            there[cue] += bool(looks_like.search(before) or (cue == "prefix" and looks_like.search(subject)))
            if any(looks_like.search(one) for one in after):
                left[cue] += 1
                examples.setdefault(cue, next(one for one in after if looks_like.search(one))[:200])
    print(f"\n{name}: {texts} texts, {kept / max(whole, 1):.0%} of the words kept")
    for cue, number in there.items():
        if number:
            print(
                f"  {cue}: {number - left[cue]} of {number} taken out ({1 - left[cue] / number:.1%})",
                examples.get(cue, ""),
            )
    assert texts > 50
    assert not left, dict(left)
