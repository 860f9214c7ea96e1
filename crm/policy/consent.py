"""What customers may allow, by purpose and medium, and the words they say yes to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Purpose(TextChoices):
    """What somebody may allow. An answer to what they wrote is owed and needs no permission, so it is none of these."""

    BIRTHDAY = "birthday", _("Birthday card")
    SURPRISE = "surprise", _("Small surprises")
    NEWS = "news", _("News and offers")
    SURVEY = "survey", _("Questions about our service")
    REVIEW = "review", _("Being asked for a public review")
    PUBLIC_MENTION = "public_mention", _("Being mentioned in public")
    COCREATE = "cocreate", _("Trying out new things")
    RESEARCH = "research", _("Research")


class Medium(TextChoices):
    EMAIL = "email", _("by e-mail")
    TEXT = "text", _("by text message")
    POST = "post", _("by post")
    CALL = "call", _("by telephone")
    PUBLIC = "public", _("in public")


WORDS_VERSION: Final = "2026-11-28"
"""Which wording of WORDS this is. Whoever changes a word there changes this, so that a proof says what was read."""

WORDS: Final[Mapping[tuple[str, str], object]] = {
    (Purpose.BIRTHDAY, Medium.EMAIL): _(
        "Yes, please send me a card by e-mail on my birthday. You may keep the day for that, without the year."
    ),
    (Purpose.BIRTHDAY, Medium.POST): _(
        "Yes, please send me a printed card on my birthday. You may keep the day and my address for that, without the year."
    ),
    (Purpose.SURPRISE, Medium.POST): _("Yes, you may surprise me with something small in my letter box now and then."),
    (Purpose.NEWS, Medium.EMAIL): _("Yes, you may send me news and offers by e-mail."),
    (Purpose.NEWS, Medium.TEXT): _("Yes, you may send me news and offers by text message."),
    (Purpose.NEWS, Medium.POST): _("Yes, you may send me news and offers by post."),
    (Purpose.SURVEY, Medium.EMAIL): _("Yes, you may ask me by e-mail now and then how satisfied I am."),
    (Purpose.SURVEY, Medium.TEXT): _("Yes, you may ask me by text message now and then how satisfied I am."),
    (Purpose.SURVEY, Medium.CALL): _("Yes, you may call me now and then to ask how satisfied I am."),
    (Purpose.REVIEW, Medium.EMAIL): _(
        "Yes, you may ask me by e-mail now and then to say in public what I think of you, whatever that is."
    ),
    (Purpose.PUBLIC_MENTION, Medium.PUBLIC): _(
        "Yes, you may mention in public what I told you, after asking me each time about the exact words."
    ),
    (Purpose.COCREATE, Medium.EMAIL): _("Yes, you may invite me by e-mail to try out new things and say what I think."),
    (Purpose.RESEARCH, Medium.EMAIL): _("Yes, you may ask me by e-mail to take part in research about your service."),
}
"""What can be allowed, in the very words a customer reads and says yes to. What does not stand here cannot be allowed."""

QUESTION_STANDS_FOR: Final = timedelta(days=14)
"""For how long the link in a question can be answered; none other is sent meanwhile (W05)."""
PREFERENCES_OPEN_FOR: Final = timedelta(days=180)
"""For how long a link to somebody's own page opens it."""
LINKS_A_DAY: Final = 3
"""How many links to their page an address is sent a day, whoever asks for them (W05)."""
PAUSES: Final = (7, 30, 90)
"""Days for which somebody may want nothing cheerful."""

CHEERFUL: Final = (Purpose.BIRTHDAY, Purpose.SURPRISE)


OTHER_NAMES: Final[Mapping[str, str]] = {
    "newsletter": "news.email",
    "birthday": "birthday.email",
    "surprises": "surprise.post",
}
"""What files call a purpose and its medium."""


def named(told: str) -> tuple[str, str] | None:
    """The purpose and medium that a file names, such as “news.email” or “newsletter”; None for what cannot be allowed here."""
    purpose, _dot, medium = OTHER_NAMES.get(told, told).partition(".")
    return (purpose, medium) if (purpose, medium) in WORDS else None
