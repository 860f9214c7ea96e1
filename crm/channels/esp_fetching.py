"""Getting what a mail provider's post only names: the bytes of a mail, or a file of it. Bounded in time and size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from anymail.exceptions import AnymailError
from django.core.exceptions import ImproperlyConfigured

from crm.channels import http
from crm.channels.providers import HttpAnswer, HttpRequest

LARGEST: Final = 60_000_000  # bytes of one mail or file
_SNS: Final = re.compile(r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?/\?")
WITHIN: Final = 60.0  # seconds for all of it


class NotFetched(Exception):
    """The provider did not give what its post named; it posts again later."""


def fetcher(view: Any, *, provider: str) -> Callable[[Mapping[str, Any]], Any]:
    """Make the function that gets what posts of this provider name.

    view: anymail's webhook view, which holds the provider's address and key. The function raises NotFetched.
    """

    def fetch(named: Mapping[str, Any]) -> Any:
        if provider not in _WAYS:
            raise NotFetched("This provider's posts hold everything.")
        try:
            return _WAYS[provider](view, named)
        except (http.NotReached, http.Broken, AnymailError, ImproperlyConfigured, KeyError, ValueError) as trouble:
            raise NotFetched(type(trouble).__name__) from trouble

    return fetch


def confirm_subscription(address: str) -> None:
    """Follow the address by which Amazon SNS asks whether we want its posts; nowhere but at Amazon. Raises NotFetched."""
    if not _SNS.match(address):
        raise NotFetched("not an address of Amazon SNS")
    try:
        _got(address)
    except (http.NotReached, http.Broken, ValueError) as trouble:
        raise NotFetched(type(trouble).__name__) from trouble


def _amazon_ses(view: Any, named: Mapping[str, Any]) -> bytes:
    return _joined(view.fetch_s3_chunks(named["bucket"], named["object"]))


def _brevo(view: Any, named: Mapping[str, Any]) -> tuple[bytes, str]:
    address = urljoin(view.api_url, f"inbound/attachments/{quote(named['token'], safe='')}")
    answer = _got(address, {"api-key": view.api_key})
    return answer.body, answer.headers.get("content-type", "")


def _mailtrap(view: Any, named: Mapping[str, Any]) -> bytes:
    address = urljoin(
        view.api_url,
        f"inbound/inboxes/{quote(str(named['inbox']), safe='')}/messages/{quote(named['message'], safe='')}",
    )
    told = _document(address, {"Authorization": f"Bearer {view.api_token}"})
    return _raw(view, told["raw_message_url"])


def _resend(view: Any, named: Mapping[str, Any]) -> bytes:
    address = urljoin(view.api_url, f"emails/receiving/{quote(named['email'], safe='')}")
    told = _document(address, {"Authorization": f"Bearer {view.api_key}"})
    return _raw(view, told["raw"]["download_url"])


def _document(address: str, headers: dict[str, str]) -> Any:
    return json.loads(_got(address, headers).body.decode("utf-8"))


def _raw(view: Any, address: str) -> bytes:
    """The bytes behind a signed address that the provider's own API gave; as safely carried as that API."""
    if urlsplit(address).scheme not in ("https", urlsplit(view.api_url).scheme):
        raise ValueError("not an address to fetch from")
    return _got(address).body


def _got(address: str, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    """One answer of a provider; no redirect is followed. Raises what the client raises, ValueError for any other status."""
    answer = http.send(HttpRequest("GET", address, headers or {}, most=LARGEST, within=WITHIN))
    if not 200 <= answer.status < 300 or answer.is_cut:
        raise ValueError(f"the provider answered {answer.status}")
    return answer


def _joined(chunks: Any) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > LARGEST:
            raise ValueError("too large")
    return bytes(content)


_WAYS: Final[dict[str, Callable[[Any, Mapping[str, Any]], Any]]] = {
    "amazon_ses": _amazon_ses,
    "brevo": _brevo,
    "mailtrap": _mailtrap,
    "resend": _resend,
}
