"""Does an answer send the customer to another medium?"""

from __future__ import annotations

import pytest

from crm.language.moves import sends_elsewhere


@pytest.mark.parametrize(
    "text",
    [
        "Please DM us your order number.",
        "Send us an email with a photo.",
        "Please call us on 030 123.",
        "Please fill in our form.",
        "Bitte rufen Sie uns an.",
        "Schreiben Sie uns bitte eine E-Mail.",
    ],
)
def test_being_sent_elsewhere_is_seen(text: str) -> None:
    assert sends_elsewhere(text)


@pytest.mark.parametrize(
    "text", ["We call you tomorrow.", "Thank you for your message.", "We are sorry.", "Wir rufen Sie morgen an."]
)
def test_ordinary_answers_send_nobody_elsewhere(text: str) -> None:
    assert not sends_elsewhere(text)
