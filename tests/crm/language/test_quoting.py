"""What is new in a mail and what was there before."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm.language.quoting import split

INTRODUCTIONS = (
    "On Tue, 3 May 2022 at 10:15, Ann Lee <ann@shop.example> wrote:",
    "On May 3, 2022, at 10:15 AM, Ann Lee <ann@shop.example> wrote:",
    "Le mar. 3 mai 2022 à 10:15, Ann Lee <ann@shop.example> a écrit :",
    "Le 03/05/2022 à 10:15, Ann Lee a écrit :",
    "Am 03.05.2022 um 10:15 schrieb Ann Lee:",
    "Am Di., 3. Mai 2022 um 10:15 Uhr schrieb Ann Lee <ann@shop.example>:",
    "Ann Lee <ann@shop.example> hat am 03.05.2022 10:15 geschrieben:",
    "Ann Lee <ann@shop.example> schrieb am Di., 3. Mai 2022 um 10:15 Uhr:",
    "El mar, 3 may 2022 a las 10:15, Ann Lee (<ann@shop.example>) escribió:",
    "Il giorno mar 3 mag 2022 alle ore 10:15 Ann Lee <ann@shop.example> ha scritto:",
    "Em ter., 3 de mai. de 2022 às 10:15, Ann Lee <ann@shop.example> escreveu:",
    "Op di 3 mei 2022 om 10:15 schreef Ann Lee <ann@shop.example>:",
    "Op di 3 mei 2022 10:15 schreef Ann Lee <ann@shop.example> het volgende geschreven:",
    "Den tis 3 maj 2022 kl 10:15 skrev Ann Lee <ann@shop.example>:",
    "tir. 3. maj 2022 kl. 10.15 skrev Ann Lee <ann@shop.example>:",
    "ti 3. toukok. 2022 klo 10.15 Ann Lee (ann@shop.example) kirjoitti:",
    "wt., 3 maj 2022 o 10:15 Ann Lee <ann@shop.example> napisał(a):",
    "W dniu 03.05.2022 o 10:15, Ann Lee pisze:",
    "út 3. 5. 2022 v 10:15 odesílatel Ann Lee <ann@shop.example> napsal:",
    "вт, 3 мая 2022 г. в 10:15, Ann Lee <ann@shop.example>:",
    "03.05.2022 10:15, Ann Lee пишет:",
    "вт, 3 трав. 2022 р. о 10:15 Ann Lee <ann@shop.example> пише:",
    "Ann Lee <ann@shop.example> ezt írta (időpont: 2022. máj. 3., K, 10:15):",
    "În mar., 3 mai 2022 la 10:15, Ann Lee <ann@shop.example> a scris:",
    "Στις Τρί 3 Μαΐ 2022 στις 10:15 π.μ., ο χρήστης Ann Lee <ann@shop.example> έγραψε:",
    "Ann Lee <ann@shop.example>, 3 May 2022 Sal, 10:15 tarihinde şunu yazdı:",
    "2022年5月3日(火) 10:15 Ann Lee <ann@shop.example>:",
    "2022/05/03 10:15、Ann Lee <ann@shop.example>のメール:",
    "Ann Lee <ann@shop.example> 于2022年5月3日周二 10:15写道：",
    "2022년 5월 3일 (화) 오전 10:15, Ann Lee <ann@shop.example>님이 작성:",
    "Vào Th 3, 3 thg 5, 2022 vào lúc 10:15 Ann Lee <ann@shop.example> đã viết:",
    "בתאריך יום ג׳, 3 במאי 2022 ב-10:15 מאת Ann Lee <ann@shop.example>:",
    "في الثلاثاء، 3 مايو 2022 في 10:15 ص تمت كتابة ما يلي بواسطة Ann Lee <ann@shop.example>:",
    "uto, 3. svi 2022. u 10:15 Ann Lee <ann@shop.example> napisao je:",
    "На вт, 3.05.2022 г. в 10:15 Ann Lee <ann@shop.example> написа:",
    "---- On Tue, 03 May 2022 10:15:22 +0200 Ann Lee <ann@shop.example> wrote ---",
    "Quoting Ann Lee <ann@shop.example>:",
)
SEPARATORS = (
    "-----Original Message-----",
    "-------- Original message --------",
    "-----Ursprüngliche Nachricht-----",
    "-------- Weitergeleitete Nachricht --------",
    "-------- Message original --------",
    "---------- Message transféré ---------",
    "-------- Mensaje original --------",
    "-----Messaggio originale-----",
    "-----Mensagem original-----",
    "-----Oorspronkelijk bericht-----",
    "-----Oprindelig meddelelse-----",
    "-----Ursprungligt meddelande-----",
    "-----Alkuperäinen viesti-----",
    "-----Wiadomość oryginalna-----",
    "-----Původní zpráva-----",
    "-----Исходное сообщение-----",
    "-----Eredeti üzenet-----",
    "------------------ 原始邮件 ------------------",
    "---------- Forwarded message ---------",
    "Begin forwarded message:",
    "Anfang der weitergeleiteten Nachricht:",
    "##- Please type your reply above this line -##",
)
EMBEDDED_HEADERS = (
    "From: Ann <a@x.example>|Sent: 3 May|To: Bob|Subject: x",
    "*From:* Ann <a@x.example>|*Sent:* 3 May|*To:* Bob|*Subject:* x",
    "Von: Ann <a@x.example>|Gesendet: 3. Mai|An: Bob|Betreff: x",
    "De : Ann <a@x.example>|Envoyé : 3 mai|À : Bob|Objet : x",
    "De: Ann <a@x.example>|Enviado el: 3|Para: Bob|Asunto: x",
    "Da: Ann <a@x.example>|Inviato: 3|A: Bob|Oggetto: x",
    "Van: Ann <a@x.example>|Verzonden: 3|Aan: Bob|Onderwerp: x",
    "Fra: Ann|Sendt: 3|Til: Bob|Emne: x",
    "Från: Ann|Skickat: 3|Till: Bob|Ämne: x",
    "Od: Ann|Wysłano: 3|Do: Bob|Temat: x",
    "От: Ann|Отправлено: 3|Кому: Bob|Тема: x",
    "发件人: Ann|发送时间: 3|收件人: Bob|主题: x",
    "差出人: Ann|日時: 3|宛先: Bob|件名: x",
    "보낸 사람: Ann|보낸 날짜: 3|받는 사람: Bob|제목: x",
)
DEVICE_LINES = (
    "Sent from my iPhone",
    "Sent from Yahoo Mail for iPhone",
    "Sent with Proton Mail secure email.",
    "Get Outlook for Android<https://aka.ms/x>",
    "Von meinem iPhone gesendet",
    "Gesendet mit der GMX Mail App",
    "Envoyé de mon iPhone",
    "Enviado desde mi iPhone",
    "Inviato da iPhone",
    "Verstuurd vanaf mijn iPhone",
    "Sendt fra min iPhone",
    "Lähetetty iPhonesta",
    "Wysłane z iPhone'a",
    "Отправлено с iPhone",
    "发自我的iPhone",
    "iPhoneから送信",
    "나의 iPhone에서 보냄",
)
OWN_WORDS = (
    "On 3 May 2022 I bought a lamp at 10:15 and your agent wrote to me that I would get:|- a refund|- a card",
    "I wrote on 3 May 2022. You never answered.|What now?",
    "From: Berlin|To: Paris|Date: 3 May|That is the trip you cancelled.",
    "Please see:|- one|- two||- three",
    "Hello||---||First matter||---||Second matter",
    "Sent from Leeds on 3 May, never arrived.",
    "From my point of view this is not good enough.",
    "Order: 12|Subject: lamp|My name: Bob",
    "Am 3. Mai um 10:15 habe ich Ihnen geschrieben und keine Antwort erhalten.|Bitte melden Sie sich.",
    'Your ad said: "lasts 10 years".|It lasted 10 days.',
    "```|On 3 May 2022 at 10:15, Ann <a@b.example> wrote:|> code|```",
)
BOMBS = (
    "> a\n" * 200_000,
    "On 3 May 2022 at 10:15 Ann <\n" * 20_000,
    "a wrote:\n" * 20_000,
    ("wrote " * 60 + "\n") * 20_000,
    "From: a@b\n" * 20_000,
    "x" * 2_000_000,
    ("- " * 400 + "\n") * 20_000,
    "--\nx\n" * 20_000,
    ("sent from my " * 8 + "\n\n") * 10_000,
    ("<" * 399 + "\n") * 20_000,
    ("1 " * 190 + "\n") * 20_000,
    ("a@" * 190 + "\n") * 20_000,
)


@pytest.mark.parametrize("introduction", INTRODUCTIONS)
@pytest.mark.parametrize("width", [200, 50])
def test_an_earlier_mail_under_an_introduction_is_not_new(introduction: str, width: int) -> None:
    wrapped = "\n".join(textwrap.wrap(introduction, width))

    new, quoted = split(f"My answer.\nLine 2 of it.\n\n{wrapped}\n\n> old words\n>\n> more\n")

    assert new == "My answer.\nLine 2 of it."
    assert quoted.endswith("> old words\n>\n> more")


@pytest.mark.parametrize("introduction", INTRODUCTIONS)
def test_an_introduction_needs_no_quote_marks_below(introduction: str) -> None:
    assert split(f"My answer.\n\n{introduction}\n\nold words\nmore")[0] == "My answer."


@pytest.mark.parametrize("separator", SEPARATORS)
def test_an_earlier_mail_under_a_separator_is_not_new(separator: str) -> None:
    assert split(f"My answer.\n\n{separator}\nSomething: else\n\nold words")[0] == "My answer."


@pytest.mark.parametrize("header", EMBEDDED_HEADERS)
def test_an_embedded_header_begins_the_quoted_part(header: str) -> None:
    new, quoted = split("My answer.\n________________________________\n" + header.replace("|", "\n") + "\n\nold words")

    assert new == "My answer."
    assert quoted.endswith("old words")


@pytest.mark.parametrize("device", DEVICE_LINES)
def test_what_a_device_adds_is_not_new(device: str) -> None:
    assert split(f"My answer.\n\n{device}\n") == ("My answer.", device)


@pytest.mark.parametrize("words", OWN_WORDS)
def test_the_customers_own_words_are_kept_whole(words: str) -> None:
    text = words.replace("|", "\n")

    assert split(text) == (text, "")


def test_a_signature_is_not_new() -> None:
    assert split("My answer.\n\n-- \nAnn Lee\nShop 1") == ("My answer.", "--\nAnn Lee\nShop 1")


def test_two_dashes_above_a_long_text_are_no_signature() -> None:
    text = "Dear Ann,\n--\n" + "\n".join(f"line {number}" for number in range(30))

    assert split(text) == (text, "")


def test_an_answer_below_the_quote_is_new() -> None:
    text = "On 3 May 2022 at 10:15, Ann <a@b.example> wrote:\n> Which colour?\n> Which size?\n\nBlue, large.\n"

    assert split(text)[0] == "Blue, large."


def test_answers_between_the_quoted_lines_stay_with_what_they_answer() -> None:
    introduction = "On 3 May 2022 at 10:15, Ann <a@b.example> wrote:"
    text = f"Hi,\n\n{introduction}\n> Which colour?\n\nBlue.\n\n> Which size?\n\nLarge.\n\n> Bye"

    assert split(text)[0] == "Hi,\n> Which colour?\n\nBlue.\n\n> Which size?\n\nLarge."


def test_answers_right_below_the_quoted_lines_are_kept_and_broken_lines_are_not() -> None:
    introduction = "On 3 May 2022 at 10:15, Ann <a@b.example> wrote:"
    long = "Which of the two colours that we talked about on the telephone shall it"

    assert split(f"{introduction}\n> Colour?\nBlue.\n> Size?\nLarge.")[0] == "> Colour?\nBlue.\n> Size?\nLarge."
    assert split(f"Blue.\n\n{introduction}\n> {long}\nbe now?\n> Ann")[0] == "Blue."


def test_a_mail_forwarded_without_a_word_is_what_its_sender_says() -> None:
    text = "---------- Forwarded message ---------\nFrom: Ann <a@b.example>\nSubject: lamp\n\nIt broke."

    assert split(text) == (text, "")


def test_a_mail_that_is_nothing_but_a_quote_is_what_its_sender_says() -> None:
    assert split("> It broke.") == ("> It broke.", "")


def test_nothing_is_split_into_nothing() -> None:
    assert split("") == ("", "")
    assert split(" \n\n") == ("", "")


def test_published_mails_are_split_as_published(outside_data: Path) -> None:
    """Score over mail/email_reply_trimmer: exact match of the new text after trailing blanks."""
    wrong = []
    folder = outside_data / "mail" / "email_reply_trimmer"
    for path in sorted((folder / "emails").glob("*.txt")):
        wanted = "\n".join(line.rstrip() for line in (folder / "trimmed" / path.name).read_text().split("\n")).rstrip()
        if split(path.read_text())[0].rstrip() != wanted:
            wrong.append(path.name)

    assert wrong == []


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: repr(bomb[:16]))
def test_a_bomb_of_text_costs_no_time(bomb: str) -> None:
    """M16."""
    began = time.process_time()

    split(bomb)

    assert time.process_time() - began < 5


PIECES = st.lists(
    st.sampled_from(
        [
            *INTRODUCTIONS[:8],
            *SEPARATORS[:4],
            "> quoted",
            ">> deeper",
            "own words",
            "",
            "-- ",
            "____________",
            *DEVICE_LINES[:3],
            "From: a@b",
            "To: c",
            "Subject: d",
        ]
    )
    | st.text(max_size=40),
    max_size=30,
)


@given(PIECES)
@example(["On Tue, 3 May 2022 at 10:15, Ann Lee <ann@shop.example> wrote:", "\x1f"])
def test_no_line_is_lost_and_something_is_always_new(pieces: list[str]) -> None:
    text = "\n".join(pieces)

    new, quoted = split(text)

    said = sorted(line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip())
    assert sorted(line.strip() for line in f"{new}\n{quoted}".split("\n") if line.strip()) == said
    assert bool(
        new.strip(" \t\f\v\xa0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\n")
    ) or not any(
        line.strip(" \t\f\v\xa0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
        for line in said
    )
