"""Handing one mail over on an open SMTP line, in two round trips where the server lets us (RFC 2920), else one step at a time."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Callable
from typing import Final

_GO_ON: Final = 354
_TAKEN: Final = 250
_FORWARDED: Final = 251
_HANGS_UP: Final = 421


def hand_over(line: smtplib.SMTP, *, sender: str, to: str, mail: bytes, still: Callable[[], bool]) -> bool:
    """Hand a mail over to one recipient. Says whether it was taken; no when `still` said so, then nothing of it has left.

    sender and to: plain addresses of the envelope, ASCII. mail: lines that end with CRLF. still: asked once, where the server lets
    us while it looks at the envelope, right before the mail goes. The line is closed when it says no there, or raises.
    Raises what `smtplib.SMTP.sendmail` raises: SMTPSenderRefused, SMTPRecipientsRefused or SMTPDataError when the server says no;
    another SMTPException or OSError when the line broke.
    """
    line.ehlo_or_helo_if_needed()
    if not (line.does_esmtp and line.has_extn("pipelining")):
        if not still():
            return False
        line.sendmail(sender, [to], mail)
        return True
    size = f" size={len(mail)}" if line.has_extn("size") else ""
    line.send(f"mail FROM:{_bracketed(sender)}{size}\r\nrcpt TO:{_bracketed(to)}\r\ndata\r\n".encode("ascii"))
    leaves = False
    try:
        leaves = still()
    finally:
        if not leaves:
            line.close()  # the server waits for a mail; on this line whatever we say would be one
    if not leaves:
        return False
    code, words = line.getreply()
    refusal: smtplib.SMTPException | None = None
    if code != _TAKEN:
        refusal = smtplib.SMTPSenderRefused(code, words, sender)
    if code != _HANGS_UP:
        code, words = line.getreply()
        if refusal is None and code not in (_TAKEN, _FORWARDED):
            refusal = smtplib.SMTPRecipientsRefused({to: (code, words)})
    if code != _HANGS_UP:
        code, words = line.getreply()
        if refusal is None and code != _GO_ON:
            refusal = smtplib.SMTPDataError(code, words)
    if refusal is None:
        line.send(_quoted(mail))
        code, words = line.getreply()
        if code == _TAKEN:
            return True
        refusal = smtplib.SMTPDataError(code, words)
    elif code == _GO_ON:
        code = _HANGS_UP  # it waits for a mail all the same
    if code == _HANGS_UP:
        line.close()
    else:
        with contextlib.suppress(smtplib.SMTPServerDisconnected):
            line.rset()
    raise refusal


def _bracketed(address: str) -> str:
    return smtplib.quoteaddr(address) if "<" in address or '"' in address else f"<{address}>"


def _quoted(mail: bytes) -> bytes:
    """A mail as it travels: a point that begins a line is doubled, and one alone ends it (RFC 5321 4.5.2)."""
    if mail.startswith(b"."):
        mail = b"." + mail
    end = b".\r\n" if mail.endswith(b"\r\n") else b"\r\n.\r\n"
    return mail.replace(b"\r\n.", b"\r\n..") + end
