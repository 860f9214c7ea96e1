"""What customers read from us: whole in their language, the same in both parts, nothing from outside, no forged header."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.template import Template

from crm.actions import desk, intake, letters, staff
from crm.channels.email import files, reasons
from crm.channels.email.reasons import FileTrouble
from crm.channels.sending import Outbound
from crm.channels.smtp import MailSender
from crm.models import Conversation, HistoryEntry, OutgoingMessage, User
from tests.conftest import NOON, ROOT
from tests.crm.stories import colleague, message
from tests.words import catalogues

SIGNED = {"signed_by": "Ada Agent", "signature": ("Parcels and repairs", "+49 30 1234")}
ANSWER = datetime(2026, 3, 3, 13, 0, tzinfo=UTC)
LINK = "https://shop.example/changes/x/"
LETTERS: dict[str, list[dict[str, Any]]] = {
    "crm/answer": [{"text": "§", "subject": s, "is_owner": o, **SIGNED} for s in ("Lampe", "") for o in (True, False)],
    "crm/confirmation": [{"text": "§", "subject": "", "is_owner": o, **SIGNED} for o in (True, False)],
    "crm/hand_over": [{"text": "§", "subject": s, "is_owner": False, **SIGNED} for s in ("Lampe", "")],
    "crm/closing_line": [{"text": "§", "subject": s, **SIGNED} for s in ("Lampe", "")],
    "crm/acknowledgement": [{"owner": o, "answer_by": a} for o in ("Ada", "") for a in (ANSWER, "")],
    "crm/file_refused": [{"owner": o, "files": [("photo.exe", "§")]} for o in ("Ada", "")],
    "crm/address_changed": [{"link": "https://shop.example/account/address/x/", "undo_until": ANSWER}],
    "crm/second_code": [{"code": "12345678"}],
    "crm/identity_code": [{"code": "12345678"}],
    "crm/change_unrequested": [
        {"changed_from": f, "changed_to": "§", "effective": ANSWER, "cost": c, "put_back_by": ANSWER, "link": LINK}
        for f in ("Konto", "")
        for c in ("4.99 EUR", "")
    ],
    "crm/change_ended": [
        {"changed_from": f, "changed_to": "§", "cost": c, "is_kept": k, "owed": o, "ended": ANSWER}
        for f in ("Konto", "")
        for c in ("4.99 EUR", "")
        for k in (True, False)
        for o in ("9.98 EUR", "")
    ],
    "crm/data_asked_for": [{"asked_at": ANSWER}],
    "crm/consent_question": [
        {"name": n, "words": "§", "answer_url": "https://shop.example/preferences/answer/x/", "answer_until": ANSWER}
        for n in ("Carla", "")
    ],
    "crm/preferences_link": [{"name": n, "page_url": "https://shop.example/preferences/x/"} for n in ("Carla", "")],
    **{
        f"crm/{kind}": [
            {
                "name": n,
                "own": o,
                "link": "https://shop.example/asked/x/",
                "stop_url": "https://shop.example/stop/x/",
                "page_url": "https://shop.example/preferences/x/",
                **place,
            }
            for n in ("Carla", "")
            for o in ("§", "")
        ]
        for kind, place in (("survey", {}), ("review", {"place": "Bewertungen"}))
    },
    "loyalty/birthday": [
        {"name": n, "stop_url": "https://shop.example/stop/x/", "page_url": "https://shop.example/preferences/x/"}
        for n in ("Carla", "")
    ],
}
ALL = [(name, words) for name, several in LETTERS.items() for words in several]
OFFERED = ("en", *catalogues.LANGUAGES)


class _Shown(HTMLParser):
    """The text a mail program shows, and every address it could fetch or open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.addresses, self.unstyled = "", [], []
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._hidden += tag in ("title", "style")
        self.text += " "
        self.addresses += [value for name, value in attrs if name in ("href", "src", "background", "action", "srcset")]
        if "class" in given and given["class"] not in ("frame", "link") and "style" not in given:
            self.unstyled.append(given["class"])

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("title", "style")

    def handle_data(self, told: str) -> None:
        if not self._hidden:
            self.text += told


def words_of(text: str) -> list[str]:
    return re.sub(r"🎂|^-- $|^\* ", " ", text, flags=re.MULTILINE).split()


def test_every_letter_there_is_is_tried_here():
    folder = ROOT / "templates/email"
    assert set(LETTERS) == {
        p.relative_to(folder).as_posix().removesuffix(".subject.txt") for p in folder.rglob("*.subject.txt")
    }


@pytest.mark.parametrize("language", OFFERED)
@pytest.mark.parametrize(("name", "words"), ALL)
def test_a_letter_is_whole_in_every_language_and_says_the_same_in_both_parts_X9_X48(name, words, language, settings):
    settings.EVENHAND_MAIL_IMPRINT = ("Shop Ltd", "Street 1")
    letter = letters.render(name, language=language, **words)
    shown = _Shown(letter.html)
    assert words_of(shown.text) == words_of(letter.text)
    assert letter.subject
    assert "\n" not in letter.subject
    for part in (letter.subject, letter.text, letter.html):
        assert not re.search(r"\{\{|\{%|%\(|None|\ufffe", part)
    assert f'<html lang="{language}" dir="ltr">' in letter.html
    assert "Street 1" in letter.text
    if language != "en":
        english = [t.msgid for t in catalogues.wanted() if not t.context and len(t.msgid) > 12]
        left = [
            m
            for m in english
            for piece in re.split(r"%\(\w+\)s", m)
            if len(piece) > 12 and piece in letter.text + letter.subject
        ]
        assert not left


@pytest.mark.parametrize(("name", "words"), ALL)
def test_a_page_fetches_nothing_and_carries_its_styles_with_it(name, words):
    letter = letters.render(name, language="", **words)
    shown = _Shown(letter.html)
    assert set(shown.addresses) <= {words.get(name) for name in ("stop_url", "link", "page_url", "answer_url")}
    assert not re.search(r"@import|url\(|<(?:img|link|script|iframe|form|table)\b", letter.html, re.IGNORECASE)
    assert not shown.unstyled
    assert "prefers-color-scheme: dark" in letter.html
    assert letter.html.count("<style") == 1


@pytest.mark.parametrize("path", sorted((ROOT / "templates/email").rglob("*/*.html")), ids=lambda p: p.stem)
def test_inlining_leaves_every_tag_of_a_template_as_it_was(path: Path):
    name = path.relative_to(ROOT / "templates/email").as_posix()
    tags = re.compile(r"\{[{%].*?[%}]\}")
    assert tags.findall(letters._compiled(name).source) == tags.findall(letters._whole(f"email/{name}"))
    assert isinstance(letters._compiled(name), Template)
    assert letters._compiled(name) is letters._compiled(name)  # once a process, not once a mail


# --- blanks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LETTERS)
def test_a_letter_with_a_blank_is_not_written_X9_R134(name):
    whole = LETTERS[name][0]
    for missing in whole:
        without = {key: value for key, value in whole.items() if key != missing}
        if missing in ("subject", "is_owner") and name in ("crm/confirmation", "crm/hand_over"):
            continue  # known to every letter of the desk, asked for by some
        if (name, missing) == ("crm/change_ended", "changed_from"):
            continue  # asked for where it was put back
        with pytest.raises(letters.Unfilled, match=missing):
            letters.render(name, language="de", **without)
        with pytest.raises(letters.Unfilled, match=missing):
            letters.render(name, language="de", **{**whole, missing: None})


def test_nobody_signs_without_a_name_R134():
    with pytest.raises(letters.Unfilled, match="signed_by"):
        letters.render("crm/answer", language="", **{**LETTERS["crm/answer"][0], "signed_by": ""})


@pytest.mark.parametrize("blank", ["Hello {{ name }}", "{{name}}", "It costs {{ order.total }}.", "{% if x %}"])
def test_words_with_a_blank_left_in_them_are_not_sent_and_nothing_changed_X9(db, blank):
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    before = HistoryEntry.objects.count()
    with pytest.raises(letters.Unfilled):
        desk.answer(conversation.pk, text=blank, by=colleague(), at=NOON, out_of_order="")
    assert not OutgoingMessage.objects.exists()
    assert Conversation.objects.get().state == conversation.state
    assert HistoryEntry.objects.count() == before + 1  # the colleague who came


def test_a_customers_own_braces_stop_no_answer(db):
    conversation = intake.receive(message(subject="About {{ name }}"), at=NOON, origin="test").conversation
    assert "{{ name }}" in desk.answer(conversation.pk, text="Yes.", by=colleague(), at=NOON).subject


# --- whose language, and from which side ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "language"),
    [("de-AT", "de"), ("de", "de"), ("DE_ch", "de"), ("pt-BR", "en"), ("", "en"), ("nonsense!", "en"), ("ar", "en")],
)
def test_a_language_without_our_words_gets_ours_as_a_whole(told, language):
    assert letters.language_for(told) == language


@pytest.mark.parametrize("told", ["ar", "he", "fa", "ar-EG"])
def test_letters_of_right_to_left_languages_begin_at_the_right_X48(told, settings):
    settings.EVENHAND_CUSTOMER_LANGUAGES = ("en", "ar", "he", "fa")
    assert 'dir="rtl"' in letters.render("crm/answer", language=told, **LETTERS["crm/answer"][0]).html


def test_a_colleagues_words_find_their_own_side_in_an_english_frame():
    page = letters.render("crm/answer", language="ar", **{**LETTERS["crm/answer"][0], "text": "شكرا"}).html
    assert '<html lang="en" dir="ltr">' in page
    assert '<div dir="auto"><p>شكرا</p></div>' in page


@pytest.mark.parametrize(
    ("language", "zone", "moment"),
    [
        ("en", "", "Tuesday, 3 March 2026, 14:00 (CET)"),
        ("de", "Europe/London", "Dienstag, 3. März 2026, 13:00 Uhr (GMT)"),
        ("fr", "", "mardi 3 mars 2026 à 14:00 (CET)"),
        ("es", "", "martes 3 de marzo de 2026, 14:00 (CET)"),
        ("it", "", "martedì 3 marzo 2026, ore 14:00 (CET)"),
        ("nl", "Nowhere/Land", "dinsdag 3 maart 2026, 14:00 uur (CET)"),
        ("pl", "", "wtorek, 3 marca 2026, 14:00 (CET)"),
    ],
)
def test_a_moment_is_written_as_people_there_write_it(language, zone, moment):
    letter = letters.render("crm/acknowledgement", language=language, zone=zone, owner="", answer_by=ANSWER)
    assert moment in letter.text


def test_a_customer_is_answered_in_their_language_R134(db):
    ada = colleague()
    staff.sign_as(ada.pk, signature="Parcels", by=ada, at=NOON)
    conversation = intake.receive(message(language="fr-BE"), at=NOON, origin="test").conversation
    sent = desk.answer(conversation.pk, text="Demain.", by=User.objects.get(pk=ada.pk), at=NOON)
    assert "Si vous répondez à cet e-mail" in sent.text
    assert "Ada Agent\nParcels\n" in sent.text
    assert '<html lang="fr"' in sent.html


# --- nothing of a stranger's, no forged header ----------------------------------------------------------------------


def test_an_acknowledgement_has_no_room_for_a_strangers_words_M26():
    templates = (ROOT / "templates/email/crm").glob("acknowledgement.*")
    asked = {
        name
        for path in templates
        for name in re.findall(r"\{\{ (\w+)|\{% if (\w+)", path.read_text("utf-8"))
        for name in name
    }
    assert asked - {""} == {"owner", "answer_by", "shop"}


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_line_ends_in_names_subject_and_signature_become_no_header_M27(end, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    forged = f"X{end}Bcc: victim@else.example{end}{end}Hi"
    letter = letters.render(
        "crm/answer", language="", text="Hello", is_owner=True, subject=forged, signed_by=forged,
        signature=letters.signed(User(display_name="Ada", signature=forged))["signature"],
    )  # fmt: skip
    with MailSender() as sender:
        mail = sender._message(
            Outbound(
                "k",
                "carla@home.example",
                letter.subject,
                letter.text,
                letter.html,
                sender_name=forged,
                message_id="<1@x>",
            )
        )
    read = message_from_bytes(mail.message().as_bytes())
    assert read.get_all("To") == ["carla@home.example"]
    assert "Bcc" not in read
    assert len(read.get_all("Subject")) == len(read.get_all("From")) == 1
    assert "\nX Bcc: victim@else.example Hi\n" in letter.text  # the name, on one line


def test_what_a_colleague_types_is_shown_as_text():
    page = letters.render(
        "crm/answer", language="", **{**LETTERS["crm/answer"][0], "text": "<script>x</script>", "signed_by": "<b>"}
    ).html
    assert "<script" not in page
    assert "<b>" not in page


# --- refused files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "declared", "content", "more", "trouble"),
    [
        ("a.exe", "", b"MZ", {}, FileTrouble.ACTIVE),
        ("a\u202etxt.jpg", "", b"x", {}, FileTrouble.HIDDEN_NAME),
        ("a.php.txt", "", b"x", {}, FileTrouble.TWO_ENDINGS),
        ("a.docx", "", b"PK\x03\x04 vbaProject.bin", {}, FileTrouble.MACROS),
        ("a", "application/pdf", b"x", {}, FileTrouble.NOT_AS_SENT),
        ("a.png", "", b"%PDF-", {}, FileTrouble.NOT_AS_NAMED),
        ("a.txt", "", b"x", {"kept": 50}, FileTrouble.TOO_MANY),
        ("a.txt", "", b"x" * (15 * 2**20 + 1), {}, FileTrouble.TOO_LARGE),
        ("a.txt", "", b"x", {"kept_bytes": 25 * 2**20}, FileTrouble.TOO_LARGE_TOGETHER),
        ("a.txt", "", b"x", {"fault": reasons.written(FileTrouble.CUT_OFF)}, FileTrouble.CUT_OFF),
    ],
    ids=lambda value: value.value if isinstance(value, FileTrouble) else "",
)
def test_every_reason_against_a_file_has_words_for_the_customer_M22(given, declared, content, more, trouble):
    part = files.part(
        given_name=given, declared=declared, content=content, number=1, **{"kept": 0, "kept_bytes": 0, **more}
    )
    assert reasons.trouble_of(part.reason) == trouble
    assert reasons.told(part.reason) == trouble.label


def test_a_reason_repeats_nothing_the_sender_wrote_and_an_unknown_one_is_kind_M22():
    sly = reasons.written(FileTrouble.NOT_AS_SENT, declared="visit/evil.example", found="text/plain")
    assert "evil" not in reasons.told(sly)
    assert reasons.told("Eicar-Test FOUND") == FileTrouble.OTHER.label


def test_the_limits_that_customers_read_are_the_limits_there_are_M22():
    assert str(files.MAX_ATTACHMENTS) in FileTrouble.TOO_MANY.label
    assert f"{files.MAX_ATTACHMENT_BYTES // 2**20} MB" in FileTrouble.TOO_LARGE.label
    assert f"{files.MAX_ATTACHED_BYTES // 2**20} MB" in FileTrouble.TOO_LARGE_TOGETHER.label


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("languages", [("en", "xx"), ("en", "ar"), ("not a language",)])
def test_a_language_without_words_stops_start_up(languages, settings):
    settings.EVENHAND_CUSTOMER_LANGUAGES = languages
    with pytest.raises(SystemCheckError, match="EVENHAND_CUSTOMER_LANGUAGES"):
        call_command("check")
