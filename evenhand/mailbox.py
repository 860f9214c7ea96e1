"""The demo's way out: every mail becomes a file in a folder, where the admin shows it. Nothing leaves the machine."""

from __future__ import annotations

import mailbox
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class FolderBackend(BaseEmailBackend):
    """A mail backend that delivers into a maildir (settings.MAIL_FOLDER)."""

    def open(self) -> bool:
        for part in ("tmp", "new", "cur"):  # Maildir itself makes them only when the whole folder is missing
            (Path(settings.MAIL_FOLDER) / part).mkdir(parents=True, exist_ok=True)
        self._folder = mailbox.Maildir(settings.MAIL_FOLDER, create=False)
        return True

    def close(self) -> None:
        """Nothing stays open."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.open()
        for message in email_messages:
            self._folder.add(message.message().as_bytes())
        return len(email_messages)


@dataclass(frozen=True, slots=True)
class Kept:
    """One mail of the folder, as the admin shows it."""

    key: str
    to: str
    subject: str
    kept_at: datetime
    text: str


def newest(*, limit: int) -> list[Kept]:
    """Read the newest mails of the folder; none when there is no folder."""
    folder = Path(settings.MAIL_FOLDER) / "new"
    if not folder.is_dir():
        return []
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns, reverse=True)[:limit]
    return [_read(file) for file in files]


def _read(file: Path) -> Kept:
    message = message_from_bytes(file.read_bytes(), policy=policy.compat32)
    text = ""
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            content = part.get_payload(decode=True)
            text = (
                content.decode(part.get_content_charset() or "utf-8", "replace") if isinstance(content, bytes) else ""
            )
            break
    return Kept(
        key=file.name,
        to=str(make_header(decode_header(message.get("To", "")))),
        subject=str(make_header(decode_header(message.get("Subject", "")))),
        kept_at=datetime.fromtimestamp(file.stat().st_mtime).astimezone(),
        text=text,
    )
