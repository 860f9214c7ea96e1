"""Mail on its way out, over whatever Django's mail settings name: SMTP, a provider through anymail, or a folder."""

from __future__ import annotations

import re
import smtplib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formataddr, parsedate_to_datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

from anymail.exceptions import AnymailAPIError, AnymailError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from crm.channels.email import handing, leaving
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
_PLAIN: Final = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@[a-z0-9]+(?:[.-][a-z0-9]+)*", re.I | re.A)
"""Addresses in which nothing can be meant in two ways; they are what Django makes of them."""


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

    def send(self, outbound: Outbound, *, still: Callable[[], bool] = lambda: True) -> Handed:
        """Hand one mail over. Nothing has left when the outcome is UNREACHABLE, TRY_LATER, REFUSED or KEPT."""
        try:
            if isinstance(self._connection, EmailBackend) and _is_dead(self._connection.connection):
                self._hang_up()
            self._connection.open()
        except (smtplib.SMTPException, OSError) as trouble:
            self._hang_up()
            return Handed(Outcome.UNREACHABLE, f"the mail server did not answer ({type(trouble).__name__})")
        message: Any = None
        try:
            if isinstance(self._connection, EmailBackend):
                if not self._over_smtp(outbound, self._connection.connection, still=still):
                    return Handed(Outcome.KEPT)
            elif not still():
                return Handed(Outcome.KEPT)
            else:
                message = self._message(outbound)
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

    def _over_smtp(self, outbound: Outbound, line: Any, *, still: Callable[[], bool]) -> bool:
        """Write the mail at once and hand it over without Django's own message; both are read as the same."""
        author = _author(outbound.sender_name, settings.EVENHAND_MAIL_FROM)
        to = _address(outbound.address)
        headers = {"Subject": _line(outbound.subject), "From": author, "To": to}
        if outbound.reply_to:
            headers["Reply-To"] = _address(outbound.reply_to)
        headers |= _own_headers(outbound)
        return handing.hand_over(
            line,
            sender=_address(outbound.return_path or settings.EVENHAND_MAIL_FROM),
            to=to,
            mail=leaving.written(headers, text=outbound.text, html=outbound.html, mark=uuid.uuid4().hex),
            still=still,
        )

    def _message(self, outbound: Outbound) -> EmailMultiAlternatives:
        sender = formataddr((_line(outbound.sender_name), settings.EVENHAND_MAIL_FROM))
        provider = _provider(self._connection)
        headers = _own_headers(outbound)
        if outbound.return_path and (provider == "" or provider in _TAKES_RETURN_PATH):
            headers["From"], sender = (
                sender,
                outbound.return_path,
            )  # as Django and anymail have it: the envelope's apart
        if provider in _KEYED_IN_MAIL:
            headers["idempotencyKey"] = outbound.key
        message = EmailMultiAlternatives(
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


def _is_dead(line: smtplib.SMTP | None) -> bool:
    return line is not None and getattr(line, "sock", None) is None


def _own_headers(outbound: Outbound) -> dict[str, str]:
    return {
        "Message-ID": outbound.message_id,
        "X-Evenhand": "1",
        **{name: _line(value) for name, value in outbound.headers.items()},
    }


def _address(address: str) -> str:
    """An address as it may stand in a header and an envelope; most may as they are. Raises ValueError for what is none."""
    return address if _PLAIN.fullmatch(address) else sanitize_address(address, "utf-8")


@lru_cache(maxsize=256)
def _author(name: str, address: str) -> str:
    return sanitize_address(formataddr((_line(name), address)), "utf-8")


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
