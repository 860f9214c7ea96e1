"""Where secrets stand: in an environment variable or a file of the server, named by whoever sets something up, never in a row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _

SECRET_BYTES: Final = 16 * 1024  # a token may be long
CHANNEL_PREFIX: Final = "EVENHAND_CHANNEL_"
"""What a variable's name begins with that holds a secret of a channel."""


class NoSecret(Exception):
    """A secret cannot be read. code: "secret_place" when nothing is read from there, "secret_missing" when nothing stands there."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


def read(place: str, *, prefix: str) -> str:
    """Read a secret from where it stands.

    place: an environment variable that begins with `prefix`, or a file inside one of EVENHAND_SECRET_FOLDERS. Anything else is
    refused: whoever sets something up could otherwise have any secret of ours sent to a server of theirs. Raises NoSecret.
    """
    if place.startswith("/"):
        path = Path(os.path.realpath(place))
        if not any(path.is_relative_to(os.path.realpath(folder)) for folder in settings.EVENHAND_SECRET_FOLDERS):
            raise NoSecret(
                "secret_place",
                _("Secrets are read only from files in %(folders)s.")
                % {"folders": ", ".join(settings.EVENHAND_SECRET_FOLDERS)},
            )
        try:
            with path.open("rb") as file:
                found = file.read(SECRET_BYTES).decode().strip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise NoSecret(
                "secret_missing", _("The file with the secret cannot be read: %(file)s.") % {"file": place}
            ) from None
    else:
        if not place.startswith(prefix):
            raise NoSecret(
                "secret_place",
                _("The variable with the secret must have a name that begins with %(prefix)s.") % {"prefix": prefix},
            )
        found = os.environ.get(place, "")
    if not found:
        raise NoSecret("secret_missing", _("No secret stands in %(place)s on this server.") % {"place": place})
    if any(ord(character) < 32 for character in found):
        raise NoSecret(
            "secret_missing",
            _("What stands in %(place)s is no secret: it has several lines.") % {"place": place},
        )
    return found
