"""K7: spoilt mails crash nothing, hold nothing up, and none is lost (M15, M16, M17)."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Q

from crm.actions import mails
from crm.channels import email
from crm.channels.email import headers, parts
from crm.models import Interaction, RawItem
from crm.policy import WorkState
from tests.conftest import NOON
from tests.fuzz import mutations, run, seeds
from tests.fuzz.__main__ import report

MAILS = int(os.environ.get("EVENHAND_FUZZ_MAILS", "5000"))
IN_THE_DATABASE = 500
SEED = 1


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> Path | None:
    """The outside data, or nothing: then one mail and the grammar are spoilt."""
    try:
        folder: Path = request.getfixturevalue("outside_data")
    except pytest.skip.Exception:
        return None
    return folder


@pytest.mark.fuzz
def test_k7_m15_m16_of_thousands_of_spoilt_mails_none_crashes_is_stuck_or_lost(whole: Path | None):
    tally = run.run(MAILS, seed=SEED, outside=whole)

    assert tally.mails == MAILS
    assert not tally.findings, (
        report(tally)
        + "\n"
        + "\n".join(
            f"python -m tests.fuzz --seed {SEED} --show {one.number}: {one.what}, {one.why}"
            for one in tally.findings[:20]
        )
    )


@pytest.mark.fuzz
@pytest.mark.django_db
def test_k7_m17_spoilt_mails_go_through_the_lane_and_none_is_lost(whole: Path | None):
    """Each is kept and ends as done, or parked with a reason; an ordinary mail behind them all is answered for."""
    raws = [mutations.mail(n, seed=SEED, whole=run.whole_mails(whole)) for n in range(IN_THE_DATABASE)]
    kept = {
        mails.keep_raw(raw, source="mail:support@shop.example", label=f"{n}.eml", at=NOON).pk
        for n, raw in enumerate(raws)
    }
    last = mails.keep_raw(seeds.ORDINARY, source="mail:support@shop.example", label="last.eml", at=NOON)
    assert len(kept) == len(set(raws)), "the same bytes are one item"

    for _ in range(10 * IN_THE_DATABASE):
        if not mails.ingest_batch(at=NOON):
            break
        RawItem.objects.filter(state=WorkState.READY).update(lease_until=None)  # no waiting for another attempt
    else:
        raise AssertionError("the lane is never empty")

    items = RawItem.objects.filter(pk__in=kept)
    assert not list(items.filter(~Q(state__in=[WorkState.DONE, WorkState.PARKED])).values_list("label", "state"))
    assert not list(items.filter(reason="").values_list("label", "state", "kind"))
    unspoken = [
        (item.label, item.reason)
        for item in items.filter(state=WorkState.DONE, kind="human")
        if not Interaction.objects.filter(raw=item).exists()
    ]
    assert not unspoken, "a person's mail is done and nobody hears of it"
    assert {bytes(item.content) for item in items} == set(raws), "what was kept is what came"
    assert Interaction.objects.get(raw=last).text.startswith("The lamp broke.")


def test_the_same_number_makes_the_same_mail(whole: Path | None):
    mails = run.whole_mails(whole)

    once = [mutations.mail(n, seed=7, whole=mails) for n in range(50)]

    assert once == [mutations.mail(n, seed=7, whole=mails) for n in range(50)]
    assert once != [mutations.mail(n, seed=8, whole=mails) for n in range(50)]
    assert max(map(len, once)) <= mutations.MAX_BYTES


# --- the judge itself: what it must see -------------------------------------------------------------------------------


def told(raw: bytes = seeds.ORDINARY, **changed: Any) -> email.Mail:
    read = email.read(raw)
    return type(read)(**{name: changed.get(name, getattr(read, name)) for name in read.__slots__})


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        (run.CRASHED, {"reason": "reader_failed: Reading it failed (KeyError)."}),
        (run.CRASHED, {"reason": "reader_lost: Reading it ended the process that reads, twice."}),
        (run.STUCK, {"reason": "too_costly: Reading it was stopped."}),
        (run.LOST, {"text": "", "attachments": ()}),
        (run.SPOILT, {"text": "a\x00b"}),
        (run.SPOILT, {"subject": "a\ud800"}),
        (run.SPOILT, {"subject": "a\r\nBcc: b@y.example"}),
        (run.SPOILT, {"customer": None}),
        (run.SPOILT, {"reason": ""}),
    ],
)
def test_a_planted_fault_is_seen(what: str, changed: dict[str, Any]):
    raw = b"From: Ann <ann@x.example>\n\nThe lamp broke.\n"
    assert run.judged(raw, told(raw), 0.1) == (run.FINE, "")

    assert run.judged(raw, told(raw, **changed), 0.1)[0] == what


def test_a_slow_mail_is_seen():
    assert run.judged(seeds.ORDINARY, told(), 5.1)[0] == run.STUCK


# --- what it found ----------------------------------------------------------------------------------------------------


def test_m15_a_mail_without_a_blank_line_has_text_from_the_first_line_that_is_no_header():
    read = email.read(b"From: Ann <ann@x.example>\nSubject: Lamp\nThe lamp broke.\nNote: it was new.")
    assert (read.customer, read.subject, read.text) == ("ann@x.example", "Lamp", "The lamp broke.\nNote: it was new.")

    one = email.read(b"From: Ann <ann@x.example>\nContent-Type: text/plain;\ncharset=utf-8\nSubject: Lamp")
    assert (one.subject, one.text) == ("Lamp", ""), "a parameter that somebody forgot to indent ends no headers"


def test_m15_only_the_headers_of_a_mail_without_a_blank_line_are_looked_through():
    raw = b"From: ann@x.example\n" + b"X: y\n" * 200_000
    assert headers.end_of_headers(raw, 0, len(raw)) == (len(raw), len(raw))
    assert "headers_cut" in parts.cut(raw).faults


def test_m15_old_line_ends_are_read_also_where_a_server_added_a_line_of_its_own():
    read = email.read(
        b"From ann@x.example Mon Mar  2 12:00:00 2026\nFrom: ann@x.example\rSubject: Lamp\r\rThe lamp\rbroke.\r"
    )
    assert (read.customer, read.subject, read.text) == ("ann@x.example", "Lamp", "The lamp\nbroke.")

    for ends in (b"\r\n", b"\n", b"\r\r\n", b"\r"):
        read = email.read(ends.join([b"From: ann@x.example", b"Subject: Lamp", b"", b"The lamp", b"broke.", b""]))
        assert (read.subject, read.text.split()) == ("Lamp", ["The", "lamp", "broke."]), ends


@pytest.mark.parametrize("words", ["The lamp broke.", "İẞﬃ Лампа сломалась", "灯坏了"])
def test_m15_words_that_are_called_base64_and_are_not_are_read_as_they_came(words: str):
    head = b"From: ann@x.example\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
    assert email.read(head + words.encode()).text == words

    packed = base64.encodebytes((words * 20).encode())
    assert email.read(head + packed[:30] + b"!*" + packed[30:]).text.startswith(words), "a damaged one is still base64"
