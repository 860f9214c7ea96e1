"""What we write is read by the standard library as what it would have written itself."""

from __future__ import annotations

import email
from email import policy
from typing import Any

from django.core.mail import EmailMultiAlternatives
from hypothesis import given
from hypothesis import strategies as st

from crm.channels.email import leaving

words = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\x85"), max_size=300
).map(lambda text: " ".join(text.split()))
bodies = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    min_size=1,
    max_size=3000,
)


def read(raw: bytes) -> tuple[str, dict[str, str], list[tuple[str, str]]]:
    mail: Any = email.message_from_bytes(raw, policy=policy.default)
    parts = [
        (part.get_content_type(), part.get_content().replace("\r\n", "\n").rstrip("\n"))
        for part in mail.walk()
        if not part.is_multipart()
    ]
    return mail.get_content_type(), {name: " ".join(str(mail[name]).split()) for name in ("Subject", "X-Note")}, parts


@given(words, words, bodies, bodies)
def test_what_is_written_is_read_as_what_the_library_writes(subject: str, note: str, text: str, html: str):
    headers = {"Subject": subject, "From": "a@shop.example", "To": "b@home.example", "X-Note": note}
    ours = leaving.written(headers, text=text, html=html, mark="0123456789abcdef")
    theirs = EmailMultiAlternatives(subject, text, "a@shop.example", ["b@home.example"], headers={"X-Note": note})
    if html:
        theirs.attach_alternative(html, "text/html")
    assert read(ours)[2] == read(theirs.message().as_bytes())[2]
    assert read(ours)[0] == read(theirs.message().as_bytes())[0]
    assert read(ours)[1]["Subject"] == " ".join(subject.split())


@given(words, words, bodies)
def test_lines_are_short_enough_and_end_as_mail_wants_it(subject: str, note: str, text: str):
    raw = leaving.written({"Subject": subject, "X-Note": note}, text=text, html=text + "x", mark="0123456789abcdef")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")


def test_a_long_chain_of_ids_is_folded_between_them_X2():
    ids = " ".join(f"<{number:040}@shop.example>" for number in range(10))
    raw = leaving.written({"References": ids}, text="x", html="", mark="m")
    head = raw.partition(b"MIME-Version")[0]
    assert all(len(line) <= 80 for line in head.split(b"\r\n"))
    mail: Any = email.message_from_bytes(raw, policy=policy.compat32)
    assert mail["References"].split() == ids.split()
