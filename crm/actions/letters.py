"""What customers read from us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Rendered:
    """A letter ready to be sent."""

    subject: str
    text: str
    html: str


def render(template: str, *, language: str, zone: str = "", **words: Any) -> Rendered:
    """Write one letter."""
    with translation.override(language or "en"):
        files = "".join(f"\n{name}: {reason}" for name, reason in words.get("files", ()))
        return Rendered(_("We have your message"), _("We have your message and will answer you.") + files, "")
