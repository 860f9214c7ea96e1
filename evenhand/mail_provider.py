"""What the environment says about a mail provider, read for the settings; every mistake is told in words."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from typing import Any

_NONE_OF_ITS = ("base", "base_requests", "console", "sendinblue", "test")
_NOT_HERE = {
    "DEBUG_API_REQUESTS": "it would write customers' mails into the log",
    "WEBHOOK_SECRET": "it has a variable of its own",
}


def known(name: str) -> str:
    """The name of a provider that django-anymail can send through. Raises ValueError for any other."""
    name = name.strip().lower()
    if not name:
        return ""
    is_one = re.fullmatch(r"[a-z_]{3,20}", name) and name not in _NONE_OF_ITS and find_spec(f"anymail.backends.{name}")
    if not is_one:
        raise ValueError(f"“{name}” is no mail provider that we know; write it as in “postmark” or “amazon_ses”")
    return name


def settings_of(text: str | dict[str, Any]) -> dict[str, Any]:
    """The provider's own settings: a JSON object of anymail's names, such as {"POSTMARK_SERVER_TOKEN": "…"}.

    Raises ValueError, without the values in its words.
    """
    if isinstance(text, dict):
        return text
    try:
        found = json.loads(text or "{}")
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(found, dict) or not all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in found):
        raise ValueError('it must be an object of names in capitals, such as {"POSTMARK_SERVER_TOKEN": "…"}')
    for name, why in _NOT_HERE.items():
        if name in found:
            raise ValueError(f"{name} cannot stand in it: {why}")
    return found


def secrets(text: str | list[str]) -> list[str]:
    """One secret, or two while one takes the other's place, each "name:secret", separated by a comma. Raises ValueError."""
    if isinstance(text, list):
        return text
    found = [one.strip() for one in text.split(",") if one.strip()]
    if len(found) > 2:
        raise ValueError("one or two secrets can be in use")
    for one in found:
        name, colon, secret = one.partition(":")
        if not (name and colon and len(secret) >= 20):
            raise ValueError("each is a name, a colon and at least 20 characters, as in “postmark:…”")
    return found
