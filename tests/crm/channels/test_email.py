"""Mail is read whatever it is, and only a person's own words open a conversation."""

from __future__ import annotations

import base64
import csv
import email
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message as StandardMessage
from email.policy import compat32
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.channels import Channel
from crm.channels.email import Mail, as_message, headers, html, parts, read

OWN = frozenset({"support@shop.example", "hello@shop.example"})
BORDER = frozenset({"mx.shop.example"})
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KINDS = {
    "human",
    "bounce",
    "auto_reply",
    "own_notification",
    "unsubscribe",
    "complaint_report",
    "list",
    "spam",
    "unparsable",
}
CLASS_TO_KINDS = {
    "bounce": {"bounce"},
    # A mail that asks to stop our mail is more exact than a report of a complaint; both mean: no more marketing.
    "feedback_report": {"complaint_report", "unsubscribe"},
    "auto_reply": {"auto_reply"},
    "human": {"human"},
}


def mail(*header: str, body: str = "The lamp broke.", sender: str | None = "Ann Lee <ann@x.example>") -> bytes:
    lines = [f"From: {sender}"] if sender is not None else []
    lines += ["To: support@shop.example", "Message-ID: <1@x.example>", "Date: Mon, 2 Mar 2026 11:59:00 +0000"]
    if not any(each.lower().startswith("subject:") for each in header):
        lines.append("Subject: Lamp")
    return "\r\n".join([*lines, *header, "", body, ""]).encode("utf-8", "surrogateescape")


def heard(*header: str, body: str = "The lamp broke.", sender: str | None = "Ann Lee <ann@x.example>") -> Mail:
    return read(mail(*header, body=body, sender=sender), own_addresses=OWN, border_hosts=BORDER, received_at=NOON)


def with_file(name: str, content: bytes, declared: str = "application/octet-stream") -> bytes:
    disposition = f'attachment; filename="{name}"'
    return (
        mail("MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"', body="--b\r\n\r\nSee the file.\r\n--b")
        + f"Content-Type: {declared}\r\nContent-Disposition: {disposition}\r\n".encode()
        + b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(content)
        + b"\r\n--b--\r\n"
    )


# --- a person's mail


def test_a_persons_mail_opens_a_conversation() -> None:
    told = heard(
        "In-Reply-To: <a@shop.example>", "References: <b@shop.example> <a@shop.example>", "Cc: Bob <bob@y.example>"
    )

    assert (told.kind, told.opens_or_joins_conversation) == ("human", True)
    assert (told.customer, told.customer_name) == ("ann@x.example", "Ann Lee")
    assert (told.subject, told.text) == ("Lamp", "The lamp broke.")
    assert told.message_id == "1@x.example"
    assert told.in_reply_to == ("a@shop.example", "b@shop.example")
    assert told.recipients == ("support@shop.example", "bob@y.example")
    assert told.claimed_at == datetime(2026, 3, 2, 11, 59, tzinfo=UTC)
    assert told.faults == ()


def test_a_mail_becomes_the_message_every_door_speaks() -> None:
    message = as_message(heard(), source="mail:support@shop.example", external_id="7:12")

    assert (message.channel, message.sender_kind, message.sender_address) == (Channel.EMAIL, "email", "ann@x.example")
    assert (message.source, message.external_id) == ("mail:support@shop.example", "7:12")
    assert (message.text, message.spoke_at, message.imported) == ("The lamp broke.", NOON, False)


def test_m10_auto_submitted_no_is_a_person() -> None:
    """M10."""
    assert heard("Auto-Submitted: no", "X-Auto-Response-Suppress: All").kind == "human"
    assert heard("Auto-Submitted: No (typed by hand)").kind == "human"


def test_words_about_failed_parcels_do_not_make_a_bounce() -> None:
    for subject in (
        "Delivery failed",
        "Undeliverable parcel",
        "Returned mail",
        "Zustellung fehlgeschlagen",
        "Échec de livraison",
    ):
        told = heard(
            f"Subject: {subject}", body="Your courier could not deliver it: user unknown. Then 550 people laughed."
        )
        assert told.kind == "human", subject


def test_words_about_holidays_do_not_make_an_automatic_reply() -> None:
    for subject, body in (
        ("Urlaub storniert", "Mein Urlaub wurde storniert, ich will mein Geld zurück."),
        ("Absence de réponse", "Personne ne me répond. Le livreur était absent."),
        ("Vacation booking", "I was on the phone for an hour about my vacation."),
        ("Re: Automatic reply: Lamp", "I got your automatic reply. Now I want an answer."),
        ("Out of office", "Your office was closed and nobody helps me."),
    ):
        assert heard(f"Subject: {subject}", body=body).kind == "human", subject


# --- machines


AWAY = {
    "English": ("Automatic reply: Lamp", "I am out of the office until Monday."),
    "German": ("Abwesenheitsnotiz: Lampe", "Ich bin bis 5. Mai nicht im Büro."),
    "French": ("Réponse automatique : Lampe", "Je suis absent du bureau jusqu'au 5 mai."),
    "Spanish": ("Respuesta automática: Lámpara", "Estoy fuera de la oficina hasta el 5 de mayo."),
    "Italian": ("Risposta automatica: Lampada", "Sono fuori ufficio fino al 5 maggio."),
    "Portuguese": ("Resposta automática: Candeeiro", "Estou ausente até 5 de maio."),
    "Dutch": ("Automatisch antwoord: Afwezig", "Ik ben afwezig tot 5 mei."),
    "Danish": ("Autosvar: Lampe", "Jeg er ikke på kontoret før 5. maj."),
    "Swedish": ("Frånvaro: Lampa", "Jag är inte på kontoret."),
    "Finnish": ("Automaattinen vastaus: Lamppu", "Olen lomalla 5.5. asti."),
    "Polish": ("Automatyczna odpowiedź: Lampa", "Jestem poza biurem do 5 maja."),
    "Czech": ("Automatická odpověď: Lampa", "Jsem na dovolené, jsem mimo kancelář."),
    "Russian": ("Автоответ: Лампа", "Я в отпуске до 5 мая."),
    "Turkish": ("Otomatik yanıt: Lamba", "5 Mayıs'a kadar ofis dışındayım."),
    "Japanese": ("自動返信: ランプ", "5月5日まで不在にしております。"),
    "Chinese": ("自动回复：灯", "我正在休假，5月5日回来。"),
    "Korean": ("자동 회신: 램프", "5월 5일까지 부재중입니다."),
}


@pytest.mark.parametrize("language", AWAY)
def test_m11_out_of_office_is_not_answered_in_any_language(language: str) -> None:
    """M11: without a single header that says so."""
    subject, body = AWAY[language]

    told = heard(f"Subject: {subject}", body=body)

    assert (told.kind, told.opens_or_joins_conversation) == ("auto_reply", False)


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated (vacation)",
        "X-Autoreply: yes",
        "X-Auto-Response-Suppress: All",
        "Precedence: auto_reply",
        "Return-Path: <>",
        'Content-Type: multipart/report; report-type="disposition-notification"; boundary=b',
    ],
)
def test_m11_a_machine_that_says_so_is_believed(header: str) -> None:
    """M11."""
    told = heard(header)

    assert (told.kind, told.opens_or_joins_conversation) == ("auto_reply", False)


def test_m11_an_automatic_reply_to_our_mail_is_told_by_its_prefix() -> None:
    """M11."""
    assert heard("Subject: Out of Office: Lamp", "In-Reply-To: <1@shop.example>", body="Ask Bob.").kind == "auto_reply"


DSN = """--b
Content-Type: text/plain

I could not deliver your mail.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.y.example

Original-Recipient: rfc822;Bob@y.example
Final-Recipient: RFC822; bob@z.example
Action: failed
Status: 5.1.1 (no such user)

Final-Recipient: rfc822; <carol@y.example>
Action: Delayed
Status: 4.4.7
--b--"""


def test_m11_a_bounce_names_whom_it_did_not_reach() -> None:
    """M11: a delayed mail is no failure."""
    told = heard(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b", body=DSN, sender="MAILER-DAEMON <>"
    )

    assert (told.kind, told.opens_or_joins_conversation) == ("bounce", False)
    assert told.bounced == (("bob@z.example", "5.1.1", "failed"), ("carol@y.example", "4.4.7", "delayed"))


def test_a_bounce_without_a_machine_readable_part_names_whom_it_did_not_reach() -> None:
    told = heard(
        "Subject: failure notice",
        "Return-Path: <>",
        body="I wasn't able to deliver your message.\n\n<bob@y.example>:\n550 5.1.1 no such user\n\n"
        "--- Below this line is a copy of the message.\n\nTo: eve@y.example",
        sender="postmaster@y.example",
    )

    assert told.kind == "bounce"
    assert told.bounced == (("bob@y.example", "5.1.1", "failed"),)


def test_a_provider_that_tells_of_a_bounce_by_mail_is_understood() -> None:
    notice = '{"notificationType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":"bob@y.example"}]}}'

    told = heard(body=notice)

    assert (told.kind, [one.address for one in told.bounced]) == ("bounce", ["bob@y.example"])


def test_a_complaint_report_is_no_conversation() -> None:
    report = "--b\n\nAn abuse report.\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n--b--"

    assert (
        heard("Content-Type: multipart/report; report-type=feedback-report; boundary=b", body=report).kind
        == "complaint_report"
    )


def test_our_own_mail_coming_back_is_no_conversation() -> None:
    assert heard(sender="Shop <Support@Shop.example>").kind == "own_notification"
    assert heard("X-Evenhand: 1").kind == "own_notification"


@pytest.mark.parametrize("header", ["List-Id: <x.y.example>", "Precedence: bulk", "Precedence: list"])
def test_a_list_is_kept_and_not_answered(header: str) -> None:
    told = heard(header)

    assert (told.kind, told.opens_or_joins_conversation, told.text) == ("list", False, "The lamp broke.")


def test_marked_spam_is_no_conversation() -> None:
    assert heard("X-Spam-Flag: YES").kind == "spam"
    assert heard("X-Spam-Flag: NO").kind == "human"


def test_a_wish_to_stop_our_mail_is_heard() -> None:
    assert heard("Subject: Unsubscribe", body="").kind == "unsubscribe"
    assert heard("Delivered-To: unsubscribe+k3f@shop.example", body="").kind == "unsubscribe"
    assert heard("Subject: Unsubscribe", body="And send back my money for the lamp.").kind == "human"
    assert heard("Delivered-To: unsubscribe+k3f@shop.example", body="You never listen. " * 30).kind == "human"


def test_what_is_no_mail_is_refused_with_a_reason() -> None:
    for raw in (b"", b"This is not a mail.", b"\xff\xfe\x00", b"\n\n\nhello"):
        told = read(raw)
        assert (told.kind, told.opens_or_joins_conversation) == ("unparsable", False)
        assert told.reason


# --- who wrote


def test_m14_two_from_headers_give_one_sender_and_are_flagged() -> None:
    """M14: and are never authenticated."""
    told = heard("From: ceo@shop.example", "Authentication-Results: mx.shop.example; dmarc=pass")

    assert (told.customer, told.is_authenticated) == ("ann@x.example", False)
    assert "several_senders" in told.faults


def test_m14_of_several_authors_the_one_named_as_sender_writes() -> None:
    """M14."""
    assert heard("Sender: bob@y.example", sender="ann@x.example, bob@y.example").customer == "bob@y.example"
    assert heard("Sender: eve@z.example", sender="ann@x.example, bob@y.example").customer == "ann@x.example"


@pytest.mark.parametrize(
    ("written", "address", "name"),
    [
        ("ann@x.example", "ann@x.example", ""),
        ("ANN@X.Example (Ann Lee)", "ann@x.example", "Ann Lee"),
        ('"Lee, Ann" <ann@x.example>', "ann@x.example", "Lee, Ann"),
        ("=?utf-8?q?Ann_L=C3=A9?= <ann@x.example>", "ann@x.example", "Ann Lé"),
        ("=?utf-8?q?ceo=40shop=2Eexample=3C?= <ann@x.example>", "ann@x.example", "ceo@shop.example<"),
        ("Friends: ann@x.example, bob@y.example;", "ann@x.example", ""),
        ("Ann <ann@bücher.example>", "ann@xn--bcher-kva.example", "Ann"),
        ("<mailto:ann@x.example>", "ann@x.example", ""),
        ('"ceo@shop.example" <ann@x.example>', "ann@x.example", "ceo@shop.example"),
    ],
)
def test_m14_a_sender_is_read_however_it_is_written(written: str, address: str, name: str) -> None:
    """M14: group syntax, comments, encoded names, names that look like addresses."""
    told = heard(sender=written)

    assert (told.customer, told.customer_name) == (address, name)


def test_m14_a_name_that_shows_another_address_or_mixed_letters_is_flagged() -> None:
    """M14."""
    assert "name_shows_other_address" in heard(sender='"ceo@shop.example" <ann@x.example>').faults
    assert "look_alike" in heard(sender="Раypal <ann@x.example>").faults
    assert "look_alike" in heard(sender="Shop <support@shор.example>").faults


@pytest.mark.parametrize("written", ["", "undisclosed:;", "Ann Lee", "<>", None])
def test_m14_a_mail_from_nobody_is_refused(written: str | None) -> None:
    """M14: empty From."""
    told = heard(sender=written)

    assert (told.kind, told.customer, told.opens_or_joins_conversation) == ("unparsable", None, False)


def test_reply_to_is_heard_only_from_our_own_forwarders() -> None:
    assert heard("Reply-To: eve@z.example").customer == "ann@x.example"
    assert heard("X-Original-Sender: eve@z.example").customer == "ann@x.example"
    form = heard("Reply-To: Ann <ann@x.example>", sender="Contact form <hello@shop.example>")
    assert (form.kind, form.customer, form.customer_name) == ("human", "ann@x.example", "Ann")
    group = heard(
        "X-Original-Sender: ann@x.example",
        "List-Id: <support.shop.example>",
        sender="'Ann' via Support <support@shop.example>",
    )
    assert (group.kind, group.customer) == ("human", "ann@x.example")


@pytest.mark.parametrize(
    ("results", "believed"),
    [
        (["mx.shop.example; dkim=pass; dmarc=pass (p=reject) header.from=x.example"], True),
        (["mx.evil.example; dmarc=pass"], False),
        (["mx.shop.example; dmarc=fail"], False),
        (["mx.shop.example; dmarc=fail", "mx.shop.example; dmarc=pass"], False),
        (["mx.shop.example; dmarc=pass", "mx.shop.example; dmarc=pass"], False),
        (['mx.shop.example; spf=pass smtp.mailfrom="a; dmarc=pass b"@z.example'], False),
        (["mx.shop.example; spf=pass (; dmarc=pass )"], False),
        ([], False),
    ],
)
def test_m13_only_our_borders_word_on_the_sender_counts(results: list[str], believed: bool) -> None:
    """M13."""
    assert heard(*(f"Authentication-Results: {result}" for result in results)).is_authenticated is believed


# --- when it was said


def test_the_time_is_the_one_our_border_wrote() -> None:
    stamp = (
        "Received: from mail.x.example (mail.x.example [192.0.2.1])\r\n\tby mx.shop.example (Postfix) with ESMTPS id 1;"
        "\r\n\tMon, 2 Mar 2026 12:58:30 +0100 (CET)"
    )
    forged = "Received: from a by mx.shop.example; Mon, 2 Mar 2020 10:00:00 +0000"
    inner = "Received: from mx.shop.example by store.shop.example; Mon, 2 Mar 2026 11:59:30 +0000"

    assert heard(inner, stamp, forged).spoke_at == datetime(2026, 3, 2, 11, 58, 30, tzinfo=UTC)
    assert read(mail(stamp)).spoke_at is None
    assert heard("Received: from by mx.shop.example by evil.example; Mon, 2 Mar 2020 10:00:00 +0000").spoke_at == NOON


def test_a_stamp_from_the_future_is_not_believed() -> None:
    assert heard("Received: from a by mx.shop.example; Mon, 2 Mar 2026 13:00:00 +0000").spoke_at == NOON


# --- M15, M27: broken and hostile headers


@pytest.mark.parametrize(
    "header",
    [
        "Message-ID: [<x@y>]",
        'To: "" <>, ,;:<<>>@',
        "Subject: =?utf-8?b?////?= =?x-nope?q?a=ZZ?= =?utf-8?q?=ff?=",
        "Content-Type: text/plain; charset*0*=nope''%ff; charset*x=y; =; ;;\"",
        'Content-Type: text/plain; charset="unknown-8bit"',
        "Content-Type: multipart/mixed",
        "Content-Type: multipart/mixed; boundary=",
        "Content-Type: /",
        "Content-Transfer-Encoding: base65",
        "Date: Tue, 99 Foo 99999 99:99:99 +9999999",
        "References: <<<>>> <a b> <",
        "Received: ;;;;",
        "From",
        "X: \udcff\udc80",
        "\udcff: x",
    ],
)
def test_m15_a_broken_header_spoils_nothing_else(header: str) -> None:
    """M15."""
    told = heard(header)

    assert (told.kind, told.customer) == ("human", "ann@x.example")
    assert "lamp" in told.text.lower()


def test_m15_whatever_a_mail_holds_can_be_stored() -> None:
    """M15: PostgreSQL refuses NUL and half characters."""
    told = read(mail("Subject: a\x00b", body="c\x00d", sender="A\x00 <ann@x.example>"))
    wide = read(
        mail(
            "Content-Type: text/plain; charset=utf-16",
            "Content-Transfer-Encoding: base64",
            body=base64.b64encode(b"\xff\xfe\x00\xd8").decode(),
        )
    )

    for text in (told.subject, told.text, told.customer_name, wide.text):
        assert "\x00" not in text
        text.encode("utf-8")


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("utf-8", "Größe".encode("cp1252"), "Größe"),
        ("us-ascii", "Größe".encode(), "Größe"),
        ("iso-8859-1", "5 €".encode("cp1252"), "5 €"),
        ("gb2312", "灯坏了".encode("gb18030"), "灯坏了"),
        ("x-no-such", "Größe".encode(), "Größe"),
        ("iso-2022-jp", "ランプ".encode("iso2022_jp"), "ランプ"),
        ("ks_c_5601-1987", "램프".encode("cp949"), "램프"),
        ("punycode", b"lamp", "lamp"),
        ("rot13", b"lamp", "lamp"),
    ],
)
def test_m15_a_wrong_charset_still_gives_the_text(charset: str, content: bytes, text: str) -> None:
    """M15."""
    raw = mail(
        f"Content-Type: text/plain; charset={charset}",
        "Content-Transfer-Encoding: base64",
        body=base64.b64encode(content).decode(),
    )

    assert read(raw).text == text


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_m27_no_line_end_survives_in_subject_or_name(end: str) -> None:
    """M27: also hidden in encoded words."""
    hidden = base64.b64encode(f"a{end}Bcc: eve@z.example".encode()).decode()
    told = heard(f"Subject: =?utf-8?b?{hidden}?=", sender=f"=?utf-8?b?{hidden}?= <ann@x.example>")

    assert (told.subject, told.customer_name) == ("a Bcc: eve@z.example", "a Bcc: eve@z.example")
    for text in (told.subject, told.customer_name, told.message_id, told.customer or ""):
        assert text.isprintable()


def test_pieces_of_an_encoded_subject_are_joined_before_they_are_read() -> None:
    assert heard("Subject: =?utf-8?q?Gr=C3?=\r\n =?utf-8?q?=B6=C3=9Fe?= 42").subject == "Größe 42"


# --- the text


def test_of_two_alternatives_the_plain_one_is_read() -> None:
    page = "<p>The <b>lamp</b> broke today.</p>"
    body = f"--b\nContent-Type: text/plain\n\nThe lamp broke today.\n--b\nContent-Type: text/html\n\n{page}\n--b--"

    told = heard("Content-Type: multipart/alternative; boundary=b", body=body)

    assert (told.text, told.faults) == ("The lamp broke today.", ())
    assert "<b>lamp</b>" in told.html


def test_alternatives_that_say_different_things_are_both_read() -> None:
    page = "<p>My new lamp broke on the first evening.</p>"
    body = f"--b\n\nYour program shows no HTML.\n--b\nContent-Type: text/html\n\n{page}\n--b--"

    told = heard("Content-Type: multipart/alternative; boundary=b", body=body)

    assert "broke on the first evening" in told.text
    assert told.faults == ("alternatives_differ",)


def test_html_alone_is_read_as_text() -> None:
    page = (
        "<html><head><title>x</title><style>p{}</style></head><body><!-- no --><p>The&nbsp;lamp &lt;broke&gt;.</p>"
        "<ul><li>once<li>twice</ul><script>alert(1)</script><div>Ann</div>"
        "<div>On 3 May 2022 at 10:15, Bob &lt;bob@y.example&gt; wrote:<br></div>"
        "<blockquote>Old <b>words</b></blockquote>"
    )

    told = heard("Content-Type: text/html; charset=utf-8", body=page)

    assert told.text == "The lamp <broke>.\n\n- once\n- twice\n\nAnn"
    assert "> Old words" in told.quoted


# --- M21, M22: files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PDF = b"%PDF-1.7\n"


@pytest.mark.parametrize(
    ("name", "content", "declared"),
    [
        ("proof.png", PNG, "image/png"),
        ("paper.pdf", PDF, "application/pdf"),
        ("paper.pdf", PDF, "application/octet-stream"),
        ("notes.txt", b"hello", "text/plain"),
        ("table.csv", b"a,b\n1,2\n", "text/csv"),
        ("table.csv", b"a,b\n1,2\n", "application/vnd.ms-excel"),
        (
            "letter.docx",
            b"PK\x03\x04" + bytes(30),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        ("letter.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(30), "application/msword"),
        ("IMG_1.HEIC", b"\x00\x00\x00\x18ftypheic" + bytes(10), "image/heic"),
        ("clip.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(10), "video/mp4"),
        ("v1.2 final.pdf", PDF, "application/pdf"),
    ],
)
def test_an_honest_file_is_stored(name: str, content: bytes, declared: str) -> None:
    (part,) = read(with_file(name, content, declared)).attachments

    assert (part.name, part.state, part.reason, part.content) == (name, "stored", "", content)


@pytest.mark.parametrize(
    ("name", "content", "declared"),
    [
        ("page.html", b"<p>hi</p>", "text/html"),
        ("page.htm", b"hello", "text/plain"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        ("photo.png", b"<svg onload=alert(1)>", "image/png"),
        ("photo.png", b"GIF89a<script>alert(1)</script>", "image/png"),
        ("photo.jpg", b"MZ\x90\x00", "image/jpeg"),
        ("paper.pdf", b"<html>", "application/pdf"),
        ("invoice.pdf.exe", b"MZ\x90\x00", "application/pdf"),
        ("invoice.php.png", PNG, "image/png"),
        ("invoice.pdf                    .scr", b"hello", "application/pdf"),
        ("gnp.\u202egpj.exe", PNG, "image/png"),
        ("shell.pht", b"<?php", "application/octet-stream"),
        ("run.sh", b"#!/bin/sh", "text/plain"),
        ("macro.docm", b"PK\x03\x04", "application/octet-stream"),
        ("letter.docx", b"PK\x03\x04" + b"word/vbaProject.bin", "application/octet-stream"),
        ("photo.jpg", b"PK\x03\x04" + bytes(9), "image/jpeg"),
        ("link.lnk", b"L\x00\x00\x00\x01\x14\x02\x00", "application/octet-stream"),
        ("archive.jar", b"PK\x03\x04", "application/zip"),
    ],
)
def test_m21_a_file_that_acts_or_lies_is_kept_apart(name: str, content: bytes, declared: str) -> None:
    """M21: kept, with a reason, never dropped."""
    (part,) = read(with_file(name, content, declared)).attachments

    assert (part.state, part.content) == ("quarantined", content)
    assert part.reason.endswith(".")


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\\\Users\\\\ann\\\\proof.txt", "proof.txt"),
        ("..", "attachment-1.txt"),
        ("", "attachment-1.txt"),
        ("a" * 300 + ".txt", "a" * 146 + ".txt"),
        ("=?utf-8?b?cHLDqHMudHh0?=", "près.txt"),
        (".htaccess", "htaccess"),
    ],
)
def test_m21_a_name_never_leaves_its_folder(given_name: str, kept: str) -> None:
    """M21."""
    (part,) = read(with_file(given_name, b"hello", "text/plain")).attachments

    assert part.name == kept
    assert len(part.name) <= 150


def test_m21_a_name_with_nul_or_in_many_pieces_is_read() -> None:
    """M21, RFC 2231."""
    raw = mail(
        "Content-Type: application/pdf",
        "Content-Disposition: attachment; filename*1*=%9Fe.pdf; filename*0*=utf-8''Gr%C3%B6%C3",
        body="%PDF-1.7",
    )
    hidden = mail("Content-Type: text/plain", 'Content-Disposition: attachment; filename="a\x00.php.txt"', body="hi")

    assert read(raw).attachments[0].name == "Größe.pdf"
    assert (read(hidden).attachments[0].state, "\x00" in read(hidden).attachments[0].name) == ("quarantined", False)


def test_m22_one_bad_file_costs_the_good_ones_nothing() -> None:
    """M22: the refused one is named, so that the customer can be told."""
    one = (
        b"--b\r\nContent-Type: image/png; name=p.png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(PNG)
        + b"\r\n"
    )
    huge = b"--b\r\nContent-Type: video/mp4; name=v.mp4\r\n\r\n" + b"\x00" * (16 * 1024 * 1024) + b"\r\n"
    raw = mail("Content-Type: multipart/mixed; boundary=b", body="--b\r\n\r\nhi") + huge + one * 60 + b"--b--"

    files = read(raw).attachments

    assert [part.state for part in files] == ["refused"] + ["stored"] * 50 + ["refused"] * 10
    assert all(part.reason and not part.content for part in files if part.state == "refused")


# --- M16: bombs

HEAD = b"From: Ann <ann@x.example>\r\nTo: support@shop.example\r\nSubject: hi\r\n"
HTML = HEAD + b"Content-Type: text/html\r\n\r\n"
DAEMON = HEAD.replace(b"ann@", b"mailer-daemon@")


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "a parameter of 64 letters", HEAD + b"Content-Type: text/plain; " + b"a" * 64 + b"*=x\n\nhi"
    yield "a parameter with no end", HEAD + b"Content-Type: text/plain; " + b"a" * 500_000 + b"\n\nhi"
    yield (
        "50,000 parameters",
        HEAD + b"Content-Type: text/plain; " + b"".join(b"a%d*0*=x;" % n for n in range(50_000)) + b"\n\nhi",
    )
    yield "a quoted parameter with no end", HEAD + b'Content-Type: text/plain; x="' + b";\\" * 250_000 + b"\n\nhi"
    yield (
        "a file name of 64 letters",
        HEAD + b"Content-Disposition: attachment; " + b"f" * 64 + b"*0*=a; filename*=utf-8''%\n\nhi",
    )
    yield (
        "10,000 nested parts",
        HEAD
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(10_000))
        + b"\nhi",
    )
    yield "10,000 nested mails", HEAD + b"Content-Type: message/rfc822\n\n" * 10_000
    yield (
        "one boundary for all",
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 10_000,
    )
    yield "100,000 flat parts", HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000
    yield "50,000 Cc", HEAD + b"Cc: " + b", ".join(b"a%d@x.example" % n for n in range(50_000)) + b"\n\nhi"
    yield "50,000 Cc headers", HEAD + b"".join(b"Cc: a%d@x.example\n" % n for n in range(50_000)) + b"\nhi"
    yield "a huge header", HEAD + b"X: " + b"a" * 20_000_000 + b"\n\nhi"
    yield "a million headers", HEAD + b"X: y\n" * 1_000_000 + b"\nhi"
    yield "a million folds", HEAD + b"X: y\n" + b" z\n" * 1_000_000 + b"\nhi"
    yield "a subject of words", HEAD.replace(b"hi", b"=?utf-8?q?a?= " * 20_000) + b"\nhi"
    yield "a sender of quotes", HEAD.replace(b"Ann", b'"\\' * 15_000) + b"\nhi"
    yield "a sender of brackets", HEAD.replace(b"Ann", b"(<" * 15_000) + b"\nhi"
    yield "25 MB of lines", HEAD + b"\n" + b"a\n" * 12_500_000
    yield "25 MB in one line", HEAD + b"\n" + b"a" * 25_000_000
    yield (
        "25 MB of base64",
        HEAD + b"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n" + b"QUJD" * 6_000_000,
    )
    yield "40 MB", HEAD + b"\n" + b"a" * 40_000_000
    yield (
        "a boundary of dashes",
        HEAD + b'Content-Type: multipart/mixed; boundary="' + b"-" * 200 + b'"\n\n' + b"-" * 5_000_000,
    )
    for tag in (
        b"<!--",
        b"<a",
        b"<",
        b"<style>",
        b"<div>",
        b"</p>",
        b"<style></",
        b"&",
        b"&amp",
        b"<blockquote>",
        b"<b><i>",
        b"<br>\n",
    ):
        yield f"HTML of {tag!r}", HTML + tag * (2_000_000 // len(tag))
    for text in (
        b"a@b.c ",
        b"a@",
        b"a@b.c\n",
        b"Final-Recipient: x\n",
        b"-",
        b"mail to ",
        b'{"ecipient":',
        b"delivery to ",
    ):
        yield f"a bounce of {text!r}", DAEMON + b"\n" + text * (1_000_000 // len(text))


@pytest.mark.parametrize(("what", "raw"), list(bombs()), ids=lambda value: value if isinstance(value, str) else "")
def test_m16_a_bomb_costs_no_time(what: str, raw: bytes) -> None:
    """M16: five seconds of processor time is what the child that reads mail is given."""
    began = time.process_time()

    told = read(raw, own_addresses=OWN, border_hosts=BORDER)

    assert time.process_time() - began < 5
    assert told.kind in KINDS
    assert len(told.recipients) <= 100
    assert len(told.attachments) <= 302


def test_m16_what_was_left_out_is_said() -> None:
    """M16."""
    found = {
        what: read(raw).faults
        for what, raw in bombs()
        if what in {"40 MB", "10,000 nested parts", "100,000 flat parts", "a million headers"}
    }

    assert found["40 MB"] == ("too_large",)
    assert "too_deep" in found["10,000 nested parts"]
    assert "too_many_parts" in found["100,000 flat parts"]
    assert "headers_cut" in found["a million headers"]


def test_m16_a_large_html_mail_is_read_within_a_second() -> None:
    """M16: 843 kB of HTML is a real mail."""
    page = "<table><tr><td>A lamp &amp; a <b>chair</b></td><td><img src='x' alt='photo'></td></tr></table>\n" * 9_500
    began = time.process_time()

    text = html.to_text(page)

    assert time.process_time() - began < 1
    assert text.startswith("A lamp & a chair [photo]")


def test_a_simple_mail_is_read_within_a_millisecond() -> None:
    raw = mail(body="The lamp broke.\r\n\r\nAnn\r\n")
    read(raw)
    times = []
    for _ in range(50):
        began = time.process_time()
        read(raw, own_addresses=OWN, border_hosts=BORDER, received_at=NOON)
        times.append(time.process_time() - began)

    assert min(times) < 0.001


# --- M15: anything at all

SEEDS = (
    mail(),
    mail(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b", body=DSN, sender="MAILER-DAEMON <>"
    ),
    with_file("a.png", PNG, "image/png"),
    mail(
        "Content-Type: multipart/alternative; boundary=b",
        "Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=",
        body="--b\n\nhi\n--b\nContent-Type: text/html\n\n<p>hi\n--b--",
    ),
    mail(
        "Received: from a by mx.shop.example; Mon, 2 Mar 2026 11:00:00 +0000",
        "Authentication-Results: mx.shop.example; dmarc=pass",
        "Auto-Submitted: auto-replied",
    ),
    mail(
        "Content-Disposition: attachment; filename*0*=utf-8''a%20b; filename*1=c",
        "References: <a@b> <c@d>",
        body="Hi\n\nOn 3 May 2022 at 10:15, Ann <a@b.example> wrote:\n> old",
    ),
)


def assert_is_whole(told: Mail) -> None:
    assert told.kind in KINDS
    assert ": " in told.reason
    assert told.opens_or_joins_conversation == (told.kind == "human")
    assert not told.opens_or_joins_conversation or told.customer
    for text in (
        told.subject,
        told.customer_name,
        told.text,
        told.quoted,
        told.full_text,
        told.html,
        told.message_id,
        *told.in_reply_to,
        *told.recipients,
    ):
        assert "\x00" not in text
        text.encode("utf-8")
    assert told.subject.isprintable() or not any(letter in told.subject for letter in "\r\n\x00")
    for part in told.attachments:
        assert part.name
        assert "/" not in part.name
        assert len(part.name) <= 150
        assert part.state == "stored" or part.reason


@given(st.binary(max_size=3_000))
def test_m15_any_bytes_are_judged(raw: bytes) -> None:
    """M15."""
    assert_is_whole(read(raw, own_addresses=OWN, border_hosts=BORDER))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=12)), max_size=12)
)
def test_m15_a_mutated_mail_is_judged(seed: bytes, edits: list[tuple[float, int, bytes]]) -> None:
    """M15."""
    raw = bytearray(seed)
    for place, removed, added in edits:
        at = int(place * len(raw))
        raw[at : at + removed] = added

    assert_is_whole(read(bytes(raw), own_addresses=OWN, border_hosts=BORDER))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "From",
                    "To",
                    "Subject",
                    "Content-Type",
                    "Content-Disposition",
                    "Received",
                    "References",
                    "Date",
                    "Return-Path",
                    "Authentication-Results",
                ]
            ),
            st.text(max_size=60),
        ),
        max_size=12,
    ),
    st.text(max_size=200),
)
def test_m15_any_headers_are_judged(header: list[tuple[str, str]], body: str) -> None:
    """M15."""
    raw = "".join(f"{name}: {value}\n" for name, value in header) + "\n" + body

    assert_is_whole(read(raw.encode("utf-8", "replace"), own_addresses=OWN, border_hosts=BORDER))


@given(st.text(max_size=300))
def test_m27_a_line_is_one_line(text: str) -> None:
    """M27."""
    assert len(headers.line(text).splitlines()) <= 1


# --- real mails from outside


def every_mail(outside_data: Path) -> list[Path]:
    found = sorted((outside_data / "mail").rglob("*.eml"))
    assert len(found) >= 225
    return found


def test_real_bounces_reports_and_replies_are_told_from_people(outside_data: Path) -> None:
    """M11: every row of sisimai/expected.csv, and the recipient where one is given that is an address."""
    folder = outside_data / "mail" / "sisimai"
    wrong: list[str] = []
    with (folder / "expected.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            told = read((folder / row["file"]).read_bytes())
            if told.kind not in CLASS_TO_KINDS[row["expected_class"]] or told.opens_or_joins_conversation != (
                row["expected_class"] == "human"
            ):
                wrong.append(f"{row['file']}: {told.kind}")
            wanted = row["final_recipient"].split("|") if row["final_recipient"] else []
            for recipient, action in zip(wanted, row["action"].split("|"), strict=True) if wanted else []:
                address = headers.normal_address(recipient.rpartition(":")[2])
                found = {one.address: one.action for one in told.bounced}
                if address and found.get(address) != action.lower():
                    wrong.append(f"{row['file']}: {recipient} {action} not in {told.bounced}")

    assert wrong == []


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_line_ends_of_any_system_change_no_judgement(outside_data: Path, end: bytes) -> None:
    different: list[str] = []
    for path in every_mail(outside_data):
        raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        there, here = read(raw.replace(b"\n", end)), read(raw)
        if (there.kind, there.bounced, there.text) != (here.kind, here.bounced, here.text):
            different.append(path.name)

    assert different == []


def test_real_mails_of_peers_come_out_as_their_tests_say(outside_data: Path) -> None:
    """Every judged cell of expected_outcomes.csv."""
    folder = outside_data / "mail"
    wrong: list[str] = []
    with (folder / "expected_outcomes.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            told = read((folder / row["file"]).read_bytes())
            kinds = KINDS - {"human"} if row["class"] == "malformed" else CLASS_TO_KINDS[row["class"]]
            checks = {
                "class": told.kind in kinds and bool(told.reason),
                "opens": told.opens_or_joins_conversation == (row["opens_or_joins_conversation"] == "yes"),
                "customer": row["customer_identity"] in ("", told.customer),
                "subject": told.subject.startswith(row["subject"].partition("…")[0].rstrip("o")),
                "text": row["body_or_reply_contains"] in told.text,
                "files": len(told.attachments) >= int(row["attachments"].rstrip("+") or 0),
            }
            wrong += [
                f"{row['file']}: {name} {told.kind} {told.text[:80]!r}" for name, right in checks.items() if not right
            ]

    assert wrong == []


def test_a_forwarded_mail_is_quoted_below_the_new_words(outside_data: Path) -> None:
    told = read((outside_data / "mail" / "django-helpdesk" / "forwarded-message.eml").read_bytes())

    assert told.text == "This is email body"
    assert "Hello there!" in told.quoted


def test_our_cutting_finds_the_parts_the_standard_library_finds(outside_data: Path) -> None:
    """parts.py reads mail without the standard library's tree; over real mails both agree on every text and file."""
    different: list[str] = []
    for path in every_mail(outside_data):
        raw = path.read_bytes()
        theirs = list(standard_leaves(email.message_from_bytes(raw, policy=compat32)))
        ours = parts.cut(raw)
        found = [
            (leaf.content_type, ours.content(leaf).split())
            for leaf in ours.leaves
            if not leaf.content_type.startswith("message/")
        ]
        if found != theirs:
            different.append(path.name)

    # Base64 with foreign characters, two times "boundary=…" without indent, and a type without a semicolon: the
    # standard library reads noise where we read the text.
    assert different == ["lhost-office365-08.eml", "lhost-office365-11.eml", "lhost-verizon-02.eml", "lhost-x1-02.eml"]


def standard_leaves(message: StandardMessage) -> Iterator[tuple[str, list[bytes]]]:
    if message.get_content_maintype() == "message":
        return  # neither reading looks into an attached mail or a report
    if message.is_multipart():
        for inner in message.get_payload():
            assert isinstance(inner, StandardMessage)
            yield from standard_leaves(inner)
        return
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    yield (
        ("text/plain" if message.get_content_maintype() == "multipart" else message.get_content_type()),
        content.split(),
    )


def test_m15_no_mutation_of_a_real_mail_is_lost(outside_data: Path) -> None:
    """M15: each of the real mails, cut and spoilt in ten ways."""
    chance = random.Random(15)
    for path in every_mail(outside_data):
        raw = path.read_bytes()[:100_000]
        for _ in range(10):
            spoilt = bytearray(raw)
            for _ in range(chance.randrange(1, 30)):
                at = chance.randrange(len(spoilt) + 1)
                spoilt[at : at + chance.randrange(4)] = chance.choice(
                    [b"\x00", b"\r", b"\n", b"\n\n", b'"', b"<", b"=?", b"--", b";", b":", b"\xff", b"@", b""]
                )
            assert_is_whole(read(bytes(spoilt[: chance.randrange(1, len(spoilt) + 1)])))
