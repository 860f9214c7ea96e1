"""Mail on its way out, over whatever Django's mail settings name: SMTP, a provider through anymail, or a folder."""

from __future__ import annotations

import smtplib
import uuid
from email.utils import formataddr
from types import TracebackType
from typing import Self

from anymail.exceptions import AnymailAPIError, AnymailError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from crm.channels.sending import Handed, Outbound, Outcome


def _line(text: str) -> str:
    """A header value on one line, whatever a customer or colleague put into it (M27)."""
    return " ".join(text.split())


class MailSender:
    """One mail connection, kept for a whole batch and opened again when it breaks."""

    def __init__(self) -> None:
        self._connection = get_connection(fail_silently=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()

    def send(self, outbound: Outbound) -> Handed:
        """Hand one mail over. Nothing has left when the outcome is UNREACHABLE, TRY_LATER or REFUSED."""
        try:
            self._connection.open()
        except (smtplib.SMTPException, OSError) as trouble:
            self._hang_up()
            return Handed(Outcome.UNREACHABLE, f"the mail server did not answer ({type(trouble).__name__})")
        try:
            self._connection.send_messages([self._message(outbound)])
        except smtplib.SMTPRecipientsRefused as refusal:
            code, words = next(iter(refusal.recipients.values()))
            return _refused(code, words)
        except smtplib.SMTPResponseException as refusal:
            return _refused(refusal.smtp_code, refusal.smtp_error)
        except AnymailAPIError as refusal:
            if refusal.status_code is None or refusal.status_code >= 500:
                return Handed(Outcome.UNKNOWN, "the mail provider did not say whether it took the mail")
            later = refusal.status_code == 429
            return Handed(
                Outcome.TRY_LATER if later else Outcome.REFUSED, f"the mail provider answered {refusal.status_code}"
            )
        except AnymailError as refusal:
            return Handed(Outcome.REFUSED, f"the mail provider cannot take this mail ({type(refusal).__name__})")
        except (smtplib.SMTPException, OSError) as trouble:
            self._hang_up()
            return Handed(Outcome.UNKNOWN, f"the line broke before the answer ({type(trouble).__name__})")
        return Handed(Outcome.ACCEPTED)

    def _hang_up(self) -> None:
        try:
            self._connection.close()
        except (smtplib.SMTPException, OSError):
            # The line is already gone; what was sent on it has its outcome.
            self._connection = get_connection(fail_silently=False)

    def _message(self, outbound: Outbound) -> EmailMultiAlternatives:
        message = EmailMultiAlternatives(
            subject=_line(outbound.subject),
            body=outbound.text,
            from_email=formataddr((_line(outbound.sender_name), settings.EVENHAND_MAIL_FROM)),
            to=[outbound.address],
            headers={
                "Message-ID": outbound.message_id,
                "X-Evenhand": "1",
                **{name: _line(value) for name, value in outbound.headers.items()},
            },
            connection=self._connection,
        )
        if outbound.html:
            message.attach_alternative(outbound.html, "text/html")
        return message


def _refused(code: int, words: bytes | str) -> Handed:
    """RFC 5321 4.2.1: 4yz may work later, 5yz will not. The server's words may name the recipient, so only the code is kept."""
    outcome = Outcome.TRY_LATER if 400 <= code < 500 else Outcome.REFUSED
    return Handed(outcome, f"the mail server answered {code}")


def message_id(public_id: object) -> str:
    """The Message-ID of an outgoing message: from our own id alone, so a repeat carries the same one."""
    return f"<{public_id}@{settings.EVENHAND_MAIL_FROM.rpartition('@')[2]}>"


def own_ids(message_ids: tuple[str, ...]) -> list[uuid.UUID]:
    """Find which of some Message-IDs are ours, and give the public ids they were made from."""
    host = settings.EVENHAND_MAIL_FROM.rpartition("@")[2]
    found = []
    for candidate in message_ids:
        local, _at, domain = candidate.strip("<> ").rpartition("@")
        if domain.lower() == host.lower():
            try:
                found.append(uuid.UUID(local))
            except ValueError:
                continue
    return found
