"""Reading what was sent."""

from __future__ import annotations

import json
import math
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """JSON as RFC 8259 has it and as PostgreSQL can keep it: no NaN, no key twice, no NUL, no half characters (C12)."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        raw = stream.read()
        try:
            text = raw.decode("utf-8")
            value = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant, parse_float=_finite)
            _storable(text, value)
        except (ValueError, RecursionError) as mistake:
            raise exceptions.ParseError(_("This is not JSON we can read: %(why)s.") % {"why": mistake}) from mistake
        return value


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number in it is too large")
    return number


def _storable(text: str, value: Any) -> None:
    if "\x00" in text or "\\u0000" in text:
        raise ValueError("it contains a NUL character")
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode(
            "utf-8"
        )  # a lone surrogate raises UnicodeEncodeError, a ValueError
