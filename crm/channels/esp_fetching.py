"""Getting what a mail provider's post only names: the bytes of a mail, or a file of it. Bounded in time and size."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import requests
from anymail.exceptions import AnymailError
from django.core.exceptions import ImproperlyConfigured

LARGEST: Final = 60_000_000  # bytes of one mail or file
_SNS: Final = re.compile(r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?/\?")
WITHIN: Final = (5, 20)  # seconds to connect, and between two pieces


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
        except (requests.RequestException, AnymailError, ImproperlyConfigured, KeyError, ValueError) as trouble:
            raise NotFetched(type(trouble).__name__) from trouble

    return fetch


def confirm_subscription(address: str) -> None:
    """Follow the address by which Amazon SNS asks whether we want its posts; nowhere but at Amazon. Raises NotFetched."""
    if not _SNS.match(address):
        raise NotFetched("not an address of Amazon SNS")
    try:
        requests.get(address, timeout=WITHIN, allow_redirects=False).raise_for_status()
    except requests.RequestException as trouble:
        raise NotFetched(type(trouble).__name__) from trouble


def _amazon_ses(view: Any, named: Mapping[str, Any]) -> bytes:
    return _joined(view.fetch_s3_chunks(named["bucket"], named["object"]))


def _brevo(view: Any, named: Mapping[str, Any]) -> tuple[bytes, str]:
    address = urljoin(view.api_url, f"inbound/attachments/{quote(named['token'], safe='')}")
    with requests.get(address, headers={"api-key": view.api_key}, timeout=WITHIN, stream=True) as response:
        response.raise_for_status()
        return _joined(response.iter_content(65_536)), response.headers.get("Content-Type", "")


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
    response = requests.get(address, headers=headers, timeout=WITHIN)
    response.raise_for_status()
    return response.json()


def _raw(view: Any, address: str) -> bytes:
    """The bytes behind a signed address that the provider's own API gave; as safely carried as that API."""
    if urlsplit(address).scheme not in ("https", urlsplit(view.api_url).scheme):
        raise ValueError("not an address to fetch from")
    with requests.get(address, timeout=WITHIN, stream=True, allow_redirects=False) as response:
        response.raise_for_status()
        return _joined(response.iter_content(65_536))


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
