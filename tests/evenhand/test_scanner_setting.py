"""Where the virus scanner is, as the setting says it."""

from __future__ import annotations

import pytest

from evenhand.settings.base import _scanner


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("  ", None),
        ("unix:/run/clamav/clamd.ctl", "/run/clamav/clamd.ctl"),
        ("tcp://127.0.0.1:3310", ("127.0.0.1", 3310)),
        ("tcp:scanner.internal:3310", ("scanner.internal", 3310)),
        ("tcp://[::1]:3310", ("::1", 3310)),
    ],
)
def test_the_place_of_the_scanner_is_read_as_a_socket_takes_it(text: str, place: object) -> None:
    assert _scanner(text) == place


@pytest.mark.parametrize(
    "text", ["/run/clamd", "unix:clamd.ctl", "tcp://scanner", "tcp://:3310", "tcp://h:0", "http://h:1"]
)
def test_a_place_that_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is neither unix:"):
        _scanner(text)
