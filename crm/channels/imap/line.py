"""The line to a mail server: where it leads, the password for it, verified TLS, and an end to everything."""

from __future__ import annotations

import imaplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from imap_tools.mailbox import BaseMailBox

from crm.channels import kept_secrets
from crm.channels.imap.words import MailboxTrouble

ANSWERS_WITHIN: Final = 10.0  # seconds, for the connection and the greeting
GOES_ON_WITHIN: Final = 20.0  # seconds without a byte, later
VARIABLE_PREFIX: Final = "EVENHAND_MAILBOX_"


@dataclass(frozen=True, slots=True)
class Place:
    """One folder of one account, and how to get there.

    starts_tls: STARTTLS on a plain connection instead of TLS from the start. ca_file: PEM, "" for the system's authorities.
    secret_from: see `secret`. move_to: where fetched mails go, "" for nowhere. only_reads: nothing there is ever changed.
    """

    host: str
    port: int
    starts_tls: bool
    ca_file: str
    username: str
    secret_from: str
    uses_token: bool
    folder: str
    move_to: str = ""
    only_reads: bool = False


# --- secrets ----------------------------------------------------------------------------------------------------------


def secret(secret_from: str) -> str:
    """Read a password or token from where it stands.

    secret_from: an environment variable that begins with EVENHAND_MAILBOX_, or a file inside one of EVENHAND_SECRET_FOLDERS.
    Anything else is refused: whoever sets up a mailbox could otherwise have any secret of ours sent to a server of theirs.
    Raises MailboxTrouble.
    """
    try:
        return kept_secrets.read(secret_from, prefix=VARIABLE_PREFIX)
    except kept_secrets.NoSecret as trouble:
        raise MailboxTrouble(trouble.code, str(trouble)) from None


# --- the line ---------------------------------------------------------------------------------------------------------


class Deadline:
    """Ends a connection at a moment, whatever it is doing; time-outs alone do not end one that gives a byte now and then."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._handle: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self.has_passed = False

    def watch(self, line: socket.socket) -> None:
        self._handle = line.dup()  # TLS takes the first one over; both are the same connection
        self._timer = threading.Timer(max(0.0, self._ends - time.monotonic()), self._end)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        self.has_passed = True
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._handle is not None:
            self._handle.close()


class _Line(imaplib.IMAP4):
    """A connection that takes no more bytes than were asked for."""

    def __init__(self, host: str, port: int, *, deadline: Deadline, context: ssl.SSLContext) -> None:
        self.deadline, self.context = deadline, context
        self.bytes_allowed = 1 << 20
        super().__init__(host, port, ANSWERS_WITHIN)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        line: socket.socket = super()._create_socket(timeout)  # type: ignore[misc]
        self.deadline.watch(line)
        return line

    def read(self, size: int) -> bytes:
        self.bytes_allowed -= size
        if self.bytes_allowed < 0:
            raise self.abort("more bytes than were asked for")
        return super().read(size)


class _TlsLine(_Line):
    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self.context.wrap_socket(super()._create_socket(timeout), server_hostname=self.host)


class Account(BaseMailBox):
    """A connection to where the mailbox is, encrypted, not yet logged in. Raises MailboxTrouble, OSError, imaplib's errors."""

    def __init__(self, place: Place, deadline: Deadline) -> None:
        self.place, self.deadline = place, deadline
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        place = self.place
        kind = _Line if place.starts_tls else _TlsLine
        line = kind(place.host, place.port, deadline=self.deadline, context=_context(place.ca_file))
        if place.starts_tls:
            if "STARTTLS" not in line.capabilities or line.state != "NONAUTH":
                line.shutdown()
                raise MailboxTrouble(
                    "not_encrypted",
                    _("The server offers no encryption here; nothing was sent to it. Try port 993 with TLS."),
                )
            try:
                line.starttls(line.context)
            except (OSError, imaplib.IMAP4.error):
                with suppress(OSError):
                    line.shutdown()
                raise
        line.sock.settimeout(GOES_ON_WITHIN)
        return line


def _context(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError):
        raise MailboxTrouble(
            "authority_file",
            _("The file with your authority's certificates cannot be read: %(file)s.") % {"file": ca_file},
        ) from None
