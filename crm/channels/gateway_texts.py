"""How gateways write words and times, and how a message of ours is written for them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes, urlencode
from zoneinfo import ZoneInfo

from crm.channels.places import Unreadable

PLACES: Final = ("to", "to_digits", "text", "text_hex", "from", "key", "credential", "basic")
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_GSM: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_MORE: Final = {10: "\f", 20: "^", 40: "{", 41: "}", 47: "\\", 60: "[", 61: "~", 62: "]", 64: "|", 101: "€"}


# --- what came ---------------------------------------------------------------------------------------------------------


def words(stated: str, *, written: str) -> str:
    """The words of a message. written: plain, percent, hex_ucs2, hex_utf8, base64, base64_ucs2 or gsm (one letter per byte,
    3GPP 23.038, read as ISO-8859-1). Raises Unreadable.
    """
    try:
        if written == "percent":
            return unquote_to_bytes(stated).decode("utf-8", "replace")
        if written in ("hex_ucs2", "hex_utf8"):
            return _decoded(bytes.fromhex(stated), written)
        if written in ("base64", "base64_ucs2"):
            return _decoded(base64.b64decode("".join(stated.split()), validate=True), written)
        if written == "gsm":
            return gsm(stated.encode("latin-1"))
    except (ValueError, binascii.Error):
        raise Unreadable("Its words are not written as told.") from None
    return stated


def gsm(septets: bytes) -> str:
    """Text in the default alphabet of GSM, one septet per byte (3GPP 23.038, 6.2.1)."""
    found, is_more = [], False
    for one in septets:
        if one > 127:
            raise ValueError("no septet")
        if one == 27 and not is_more:
            is_more = True
            continue
        found.append(_GSM_MORE.get(one, _GSM[one]) if is_more else _GSM[one])
        is_more = False
    return "".join(found)


def moment(stated: str, *, written: str, zone: str) -> datetime:
    """An aware time. written: iso, seconds, milliseconds, rfc2822 or a pattern with % (strptime); zone: where the time has none.

    Raises Unreadable.
    """
    try:
        if written in ("seconds", "milliseconds"):
            number = float(stated) / (1000 if written == "milliseconds" else 1)
            return datetime.fromtimestamp(number, UTC)
        if written == "rfc2822":
            found = parsedate_to_datetime(stated)
        elif "%" in written:
            found = datetime.strptime(stated, written)  # noqa: DTZ007 - its zone is put in below
        else:
            if len(stated) < 12:
                raise ValueError("a day alone")
            found = datetime.fromisoformat(stated)
        return (found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(zone or "UTC"))).astimezone(UTC)
    except (ValueError, OverflowError, OSError, LookupError, TypeError):
        raise Unreadable("Its time is not written as told.") from None


def meanings(told: str) -> dict[str, str]:
    """Read lines such as "delivered: DELIVRD, 1": what each word means, by the word in lower case. Raises Unreadable."""
    found: dict[str, str] = {}
    for line in told.splitlines():
        meaning, colon, given = line.partition(":")
        if line.strip() and not colon:
            raise Unreadable(f"“{line.strip()[:60]}” has no colon.")
        found.update({word: meaning.strip().lower() for word in several(given)})
    return found


def several(told: str) -> list[str]:
    """Words with commas between, in lower case."""
    return [word.strip().lower() for word in told.split(",") if word.strip()]


def _decoded(content: bytes, written: str) -> str:
    if not written.endswith("ucs2"):
        return content.decode("utf-8")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    return content.decode("utf-16-be")


# --- what leaves -------------------------------------------------------------------------------------------------------


def unknown_places(template: str) -> list[str]:
    """What stands in curly brackets and is none of PLACES."""
    return [name for name in _PLACE.findall(template) if name not in PLACES]


def filled(template: str, values: Mapping[str, str]) -> str:
    """A line with its places filled."""
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)


def filled_url(template: str, values: Mapping[str, str]) -> str:
    """An address with its places filled; what is put in stays a part of the path or the query."""
    return filled(template, {name: quote(value, safe="") for name, value in values.items()})


def filled_form(template: str, values: Mapping[str, str]) -> str:
    """A form from lines "name=value"; each is filled by itself, so that no word of a message becomes a field."""
    pairs = [line.strip().partition("=") for line in template.splitlines() if line.strip()]
    return urlencode([(name.strip(), filled(value.strip(), values)) for name, _equals, value in pairs])


def filled_json(template: str, values: Mapping[str, str]) -> str:
    """JSON whose texts are filled, so that no word of a message becomes a part of it. Raises ValueError."""
    return json.dumps(_filled(json.loads(template), values), ensure_ascii=False)


def _filled(told: Any, values: Mapping[str, str]) -> Any:
    if isinstance(told, str):
        return filled(told, values)
    if isinstance(told, list):
        return [_filled(one, values) for one in told]
    if isinstance(told, dict):
        return {name: _filled(one, values) for name, one in told.items()}
    return told
