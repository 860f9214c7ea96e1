"""Paging by key: a page starts after the last row of the page before, however deep (GOAL7)."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from rest_framework import exceptions, status
from rest_framework.request import Request

PAGE_SIZE = 50


class BadCursor(exceptions.APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_cursor"
    default_detail = "This page marker is not one of ours; start from the first page."


def read_cursor(request: Request, kinds: Sequence[type]) -> list[Any] | None:
    """Read the `cursor` parameter: the sort key of the last row of the page before, None on the first page.

    kinds: the JSON type of each part. Raises BadCursor.
    """
    text = request.query_params.get("cursor", "")
    if not text:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        if not isinstance(values, list) or len(values) != len(kinds):
            raise ValueError("wrong shape")
        for value, kind in zip(values, kinds, strict=True):
            if type(value) is not kind:
                raise ValueError("wrong type")
    except (ValueError, RecursionError) as mistake:
        raise BadCursor from mistake
    return values


def write_cursor(values: Sequence[Any]) -> str:
    """Write the sort key of a page's last row as the next page's `cursor`."""
    return base64.urlsafe_b64encode(json.dumps(list(values), separators=(",", ":")).encode()).decode().rstrip("=")
