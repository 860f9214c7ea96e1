"""The web form: when a visitor is asked something that a program would not answer. Most people are never asked."""

from __future__ import annotations

from datetime import timedelta

COUNTED_FOR = timedelta(hours=1)
"""How long what was sent counts."""
UNASKED_FROM_A_NETWORK = 5
"""Messages that one form takes from one network within that time before it asks; a family or a small office is below."""
UNASKED_IN_ALL = 200
"""The same from everywhere together: more than people write, so somebody sends from many networks."""
QUESTION_LASTS = timedelta(hours=12)
"""How long a page may stand open before it is sent; then it is sent once more with a fresh key, and no word is lost."""


def asks_a_question(*, from_network: int, in_all: int) -> bool:
    """Say whether the next message has to answer a question, by what came within the hour, this one included."""
    return from_network > UNASKED_FROM_A_NETWORK or in_all > UNASKED_IN_ALL
