"""What went wrong with a mailbox, in plain words of our own: the server's may repeat what was sent to it."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from django.utils.translation import gettext as _
from imap_tools.errors import ImapToolsError

_FOR_NOW: Final = re.compile(rb"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]", re.IGNORECASE)  # RFC 5530


class MailboxTrouble(Exception):
    """A mailbox that could not be asked. code: a stable word; the sentence is for people and holds no secret."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@contextmanager
def in_words(host: str, port: int, *, has_passed: Callable[[], bool]) -> Iterator[None]:
    """Turn whatever goes wrong on the line into a MailboxTrouble. has_passed: whether the connection's time was over."""
    try:
        yield
    except MailboxTrouble:
        raise
    except (OSError, UnicodeError, imaplib.IMAP4.error, ImapToolsError) as trouble:
        raise _told(trouble, host, port, has_passed=has_passed()) from None


def _told(trouble: Exception, host: str, port: int, *, has_passed: bool) -> MailboxTrouble:
    where = {"host": host, "port": port}
    if has_passed:
        return MailboxTrouble("too_slow", _("%(host)s answers so slowly that we went on with other work.") % where)
    if isinstance(trouble, socket.gaierror | UnicodeError):  # a name that cannot be one is not found either
        return MailboxTrouble(
            "name_not_found", _("There is no server by the name of %(host)s, or it cannot be looked up now.") % where
        )
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return MailboxTrouble("certificate", _certificate(trouble, host))
    if isinstance(trouble, TimeoutError):
        return MailboxTrouble("no_answer", _("%(host)s does not answer at port %(port)d.") % where)
    if isinstance(trouble, ConnectionRefusedError):
        return MailboxTrouble("no_connection", _("%(host)s takes no connections at port %(port)d.") % where)
    if isinstance(trouble, ssl.SSLError) and trouble.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return MailboxTrouble(
            "not_encrypted",
            _("%(host)s does not speak TLS at port %(port)d. If it is port 143, choose STARTTLS.") % where,
        )
    if isinstance(trouble, OSError | imaplib.IMAP4.abort):
        return MailboxTrouble("cut_off", _("The connection to %(host)s broke.") % where)
    return not_understood()


def _certificate(trouble: ssl.SSLCertVerificationError, host: str) -> str:
    named = {"host": host}
    if trouble.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return _("The certificate of %(host)s has expired.") % named
    if trouble.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return _("The certificate was made for another server than %(host)s. Is the server's name right?") % named
    return (
        _("Nobody we trust vouches for the certificate of %(host)s. If it is your own authority, name its file.")
        % named
    )


def refused_log_in(refusal: Exception, *, uses_token: bool) -> MailboxTrouble:
    told = repr(getattr(refusal, "command_result", refusal)).encode()
    if _FOR_NOW.search(told):
        return MailboxTrouble("not_now", _("The server takes no log-ins at the moment; we try again."))
    if uses_token:
        return MailboxTrouble("log_in_refused", _("The server did not accept the log-in name and the access token."))
    return MailboxTrouble("log_in_refused", _("The server did not accept the log-in name and the password."))


def no_folder(folder: str) -> MailboxTrouble:
    return MailboxTrouble("folder_missing", _("There is no folder “%(folder)s” that we may open.") % {"folder": folder})


def not_cleared() -> MailboxTrouble:
    return MailboxTrouble("not_cleared", _("Mails that we have kept could not be deleted or moved there."))


def not_understood() -> MailboxTrouble:
    return MailboxTrouble("not_understood", _("The server said something that we do not understand."))


def may_only_read() -> MailboxTrouble:
    return MailboxTrouble(
        "only_reads",
        _("We may only read there, so nothing can be deleted or moved. Leave the mails there, or give us the right."),
    )


def not_served() -> MailboxTrouble:
    return MailboxTrouble("not_served", _("The server does not give a mail that it lists."))
