"""A mail handed over in two round trips is taken or refused as one handed over step by step (RFC 2920, RFC 5321)."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any

import pytest
from django.core import mail

from crm.channels.app import AppSender
from crm.channels.email import handing
from crm.channels.sending import Outbound, Outcome
from crm.channels.smtp import MailSender

MAIL = b"Subject: x\r\n\r\n.\r\n..two\r\nFrom here\r\n.end\r\n"


class Server:
    """Speaks SMTP on one line at a time and answers as it is told; notes what it was told and which mails it took."""

    def __init__(self, *, pipelining: bool, answers: dict[str, str]) -> None:
        self.pipelining, self.answers = pipelining, answers
        self.told: list[str] = []
        self.taken: list[bytes] = []
        self.listens = socket.create_server(("127.0.0.1", 0))
        self.port = self.listens.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _address = self.listens.accept()
            except OSError:
                return
            with line, line.makefile("rb") as heard, contextlib.suppress(ConnectionError):
                self._talk(line, heard)

    def _talk(self, line: socket.socket, heard: Any) -> None:
        line.sendall(b"220 here\r\n")
        for words in heard:
            verb = words[:4].decode().upper()
            self.told.append(words.decode().strip())
            said = self.answers.get(verb, {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 fine"))
            if verb == "EHLO":
                said = "250-here\r\n250-PIPELINING\r\n250 SIZE 9999" if self.pipelining else "250-here\r\n250 SIZE 9999"
            if said == "hang up":
                return
            line.sendall(said.encode() + b"\r\n")
            if said.startswith("421") or verb == "QUIT":
                return
            if verb == "DATA" and said.startswith("354"):
                content = b""
                for part in heard:
                    if part == b".\r\n":
                        break
                    content += part
                else:
                    return
                end = self.answers.get("END", "250 taken")
                if end == "hang up":
                    return
                if end.startswith("250"):
                    self.taken.append(content)
                line.sendall(end.encode() + b"\r\n")


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for one in started:
        one.listens.close()


REFUSALS: list[dict[str, str]] = [
    {},
    {"MAIL": "550 no", "RCPT": "503 first", "DATA": "503 first"},
    {"MAIL": "451 later", "RCPT": "503 first", "DATA": "503 first"},
    {"MAIL": "421 bye"},
    {"RCPT": "550 nobody", "DATA": "554 nobody"},
    {"RCPT": "450 later", "DATA": "503 nobody"},
    {"RCPT": "550 nobody"},  # and yet it would take a mail
    {"RCPT": "421 bye"},
    {"RCPT": "251 moved on"},
    {"DATA": "451 later"},
    {"DATA": "421 bye"},
    {"END": "554 spam"},
    {"END": "421 bye"},
    {"MAIL": "hang up"},
    {"RCPT": "hang up"},
    {"DATA": "hang up"},
    {"END": "hang up"},
]


@pytest.mark.parametrize("answers", REFUSALS, ids=str)
def test_both_ways_end_alike_and_nothing_is_taken_that_was_refused(answers: dict[str, str], servers: list[Server]):
    outcomes = []
    for pipelining in (True, False):
        server = Server(pipelining=pipelining, answers=answers)
        servers.append(server)
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as line:
            try:
                handing.hand_over(line, sender="a@shop.example", to="b@home.example", mail=MAIL, still=lambda: True)
                outcomes.append(("taken", server.taken))
            except smtplib.SMTPException as trouble:
                code = getattr(trouble, "smtp_code", getattr(trouble, "recipients", None))
                outcomes.append((type(trouble).__name__, code))
                assert not server.taken
        assert server.told[1].lower() == f"mail from:<a@shop.example> size={len(MAIL)}"
    assert outcomes[0] == outcomes[1]


def test_points_arrive_as_they_were_written(servers: list[Server]):
    servers.append(Server(pipelining=True, answers={}))
    with smtplib.SMTP("127.0.0.1", servers[0].port, timeout=5) as line:
        for one in (MAIL, b".x", b"\r\n.\r\n"):
            handing.hand_over(line, sender="a@shop.example", to='"b b"@home.example', mail=one, still=lambda: True)
    undoubled = [(b"\r\n" + one).replace(b"\r\n..", b"\r\n.") for one in servers[0].taken]
    assert undoubled == [b"\r\n" + MAIL, b"\r\n.x\r\n", b"\r\n\r\n.\r\n"]
    assert 'rcpt TO:<"b b"@home.example>' in servers[0].told


def test_after_a_refusal_the_next_mail_goes_over_the_same_sender(servers: list[Server], settings: Any):
    servers.append(Server(pipelining=True, answers={"RCPT": "550 nobody"}))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", servers[0].port, 5
    outbound = Outbound(key="k", address="b@home.example", subject="Hi", text=".", message_id="<k@shop.example>")
    with MailSender() as sender:
        assert sender.send(outbound).outcome == Outcome.REFUSED
    servers[0].answers = {}
    with MailSender() as sender:
        assert [sender.send(outbound).outcome for _again in range(2)] == [Outcome.ACCEPTED] * 2
    assert len(servers[0].taken) == 2


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_line_ends_in_names_and_subjects_become_no_header_over_smtp_M27(end: str, servers: list[Server], settings: Any):
    servers.append(Server(pipelining=True, answers={}))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", servers[0].port, 5
    forged = f"X{end}Bcc: victim@else.example{end}{end}Hi"
    outbound = Outbound(
        key="k", address="carla@home.example", subject=forged, text="Hello", html="<p>Hello</p>", sender_name=forged,
        message_id="<k@shop.example>", headers={"X-Note": forged}, reply_to="reply+x@in.example",
    )  # fmt: skip
    with MailSender() as sender:
        assert sender.send(outbound).outcome == Outcome.ACCEPTED
    read = message_from_bytes(servers[0].taken[0])
    assert read.get_all("To") == ["carla@home.example"]
    assert read.get_all("Reply-To") == ["reply+x@in.example"]
    assert "Bcc" not in read
    assert len(read.get_all("Subject")) == len(read.get_all("From")) == len(read.get_all("X-Note")) == 1


@pytest.mark.parametrize("address", ["a@b\r\nrcpt TO:<victim@else.example>", "a@b.example, c@d.example"])
def test_what_is_no_address_is_not_said_to_a_server(address: str, servers: list[Server], settings: Any):
    servers.append(Server(pipelining=True, answers={}))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", servers[0].port, 5
    with MailSender() as sender, pytest.raises(ValueError, match="nvalid address"):
        sender.send(Outbound(key="k", address=address, subject="Hi", text=".", message_id="<k@shop.example>"))
    assert not any("victim" in words for words in servers[0].told)
    assert not servers[0].taken


@pytest.mark.parametrize("pipelining", [True, False])
def test_what_may_not_leave_any_more_does_not_and_the_next_one_does_P01(
    pipelining: bool, servers: list[Server], settings: Any
):
    servers.append(Server(pipelining=pipelining, answers={}))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", servers[0].port, 5
    outbound = Outbound(key="k", address="b@home.example", subject="Hi", text=".", message_id="<k@shop.example>")

    def busy() -> bool:
        raise LookupError("the database is away")

    with MailSender() as sender:
        assert sender.send(outbound, still=lambda: False).outcome == Outcome.KEPT
        assert sender.send(outbound, still=lambda: True).outcome == Outcome.ACCEPTED
        with pytest.raises(LookupError):
            sender.send(outbound, still=busy)
        assert sender.send(outbound).outcome == Outcome.ACCEPTED
    assert len(servers[0].taken) == 2


def test_it_is_asked_after_the_envelope_and_before_the_mail_P01(servers: list[Server]):
    servers.append(Server(pipelining=True, answers={}))
    asked: list[list[bytes]] = []

    def still() -> bool:
        asked.append(servers[0].taken.copy())
        return True

    with smtplib.SMTP("127.0.0.1", servers[0].port, timeout=5) as line:
        assert handing.hand_over(line, sender="a@shop.example", to="b@home.example", mail=MAIL, still=still)
    assert asked == [[]]
    assert len(servers[0].taken) == 1


def test_through_any_other_way_out_it_is_asked_too_P01(settings: Any):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    outbound = Outbound(key="k", address="b@home.example", subject="Hi", text=".", message_id="<k@shop.example>")
    with MailSender() as sender:
        assert sender.send(outbound, still=lambda: False).outcome == Outcome.KEPT
        assert sender.send(outbound, still=lambda: True).outcome == Outcome.ACCEPTED
    assert len(mail.outbox) == 1
    assert AppSender().send(outbound, still=lambda: False).outcome == Outcome.KEPT
