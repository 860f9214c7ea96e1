"""Mail on its way out, over whatever Django's mail settings name: SMTP, a provider through anymail, or a folder."""

from __future__ import annotations

import smtplib
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import formataddr, parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self

from anymail.exceptions import AnymailAPIError, AnymailError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from crm.channels.email import leaving
from crm.channels.esp import OUR_KEY
from crm.channels.sending import Handed, Outbound, Outcome

_WITHOUT_METADATA: Final = frozenset(("mailersend", "postal"))
"""Providers that keep nothing of ours but a tag."""
_TAKES_RETURN_PATH: Final = frozenset(("amazon_ses", "postal", "sparkpost"))
"""Providers at which a whole return address may be set; at others they keep one of their own and report to us."""
_KEYED_BY_HEADER: Final = frozenset(("resend",))
"""Providers that do a request once when it comes again with the same Idempotency-Key, within 24 hours (their documentation)."""
_KEYED_IN_MAIL: Final = frozenset(("brevo",))
"""The same by a header of the mail that the provider takes out, within 15 to 30 minutes (their documentation)."""


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
        message = self._message(outbound)
        try:
            self._connection.send_messages([message])
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
                Outcome.TRY_LATER if later else Outcome.REFUSED,
                f"the mail provider answered {refusal.status_code}",
                wait=_wait(refusal) if later else timedelta(0),
            )
        except AnymailError as refusal:
            return Handed(Outcome.REFUSED, f"the mail provider cannot take this mail ({type(refusal).__name__})")
        except (smtplib.SMTPException, OSError) as trouble:
            self._hang_up()
            return Handed(Outcome.UNKNOWN, f"the line broke before the answer ({type(trouble).__name__})")
        return Handed(Outcome.ACCEPTED, provider_id=_provider_id(message))

    def _hang_up(self) -> None:
        try:
            self._connection.close()
        except (smtplib.SMTPException, OSError):
            # The line is already gone; what was sent on it has its outcome.
            self._connection = get_connection(fail_silently=False)

    def _message(self, outbound: Outbound) -> EmailMultiAlternatives:
        sender = formataddr((_line(outbound.sender_name), settings.EVENHAND_MAIL_FROM))
        provider = _provider(self._connection)
        headers = {
            "Message-ID": outbound.message_id,
            "X-Evenhand": "1",
            **{name: _line(value) for name, value in outbound.headers.items()},
        }
        if outbound.return_path and (provider == "" or provider in _TAKES_RETURN_PATH):
            headers["From"], sender = (
                sender,
                outbound.return_path,
            )  # as Django and anymail have it: the envelope's apart
        if provider in _KEYED_IN_MAIL:
            headers["idempotencyKey"] = outbound.key
        kind = _Written if isinstance(self._connection, EmailBackend) else EmailMultiAlternatives
        message = kind(
            subject=_line(outbound.subject),
            body=outbound.text,
            from_email=sender,
            to=[outbound.address],
            reply_to=[outbound.reply_to] if outbound.reply_to else [],
            headers=headers,
            connection=self._connection,
        )
        if outbound.html:
            message.attach_alternative(outbound.html, "text/html")
        if provider in _WITHOUT_METADATA:
            message.tags = [outbound.key]  # type: ignore[attr-defined]
        elif provider:
            message.metadata = {OUR_KEY: outbound.key}  # type: ignore[attr-defined]
        if provider in _KEYED_BY_HEADER:
            session: Any = self._connection.session  # type: ignore[attr-defined]
            session.headers["Idempotency-Key"] = outbound.key
        return message


class _Written(EmailMultiAlternatives):
    """A mail that leaves over SMTP: the same fields, written at once (crm/channels/email/leaving.py)."""

    def message(self, *, policy: Any = None) -> Any:
        """What Django's SMTP backend asks for the bytes."""
        return _Bytes(self)


class _Bytes:
    def __init__(self, mail: EmailMultiAlternatives) -> None:
        self._mail = mail

    def as_bytes(self, *, linesep: str = "\r\n") -> bytes:
        mail = self._mail
        given = dict(mail.extra_headers)
        headers = {
            "Subject": mail.subject,
            "From": sanitize_address(given.pop("From", mail.from_email), "utf-8"),
            "To": ", ".join(sanitize_address(address, "utf-8") for address in mail.to),
            **({"Reply-To": ", ".join(mail.reply_to)} if mail.reply_to else {}),
            **given,
        }
        html = next((str(content) for content, _kind in mail.alternatives), "")
        return leaving.written(headers, text=str(mail.body), html=html, mark=uuid.uuid4().hex)


def _provider(connection: Any) -> str:
    """Which provider of anymail a connection leads to, by the name of its backend; "" for any other way out."""
    package, _dot, name = type(connection).__module__.rpartition(".")
    return name if package == "anymail.backends" else ""


def _provider_id(message: Any) -> str:
    """What the provider calls the mail it accepted; "" on other ways out."""
    status = getattr(message, "anymail_status", None)
    return str(status.message_id) if status is not None and isinstance(status.message_id, str | int) else ""


def _wait(refusal: AnymailAPIError) -> timedelta:
    """How long an answer asks to wait (RFC 9110 10.2.3: seconds, or a date); nothing where it does not say."""
    said = str(getattr(getattr(refusal, "response", None), "headers", {}).get("Retry-After", "")).strip()
    if said.isdigit():
        return timedelta(seconds=min(int(said), 7 * 86_400))
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return timedelta(0)
    return max(until - datetime.now(UTC), timedelta(0)) if until.tzinfo else timedelta(0)


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
