"""Mail providers as they really post: each with its own form, secret and signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.http import HttpResponse
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

SECRET = "provider:a-secret-long-enough-to-guess"
OLDER = "provider:the-secret-from-before-this-one"
KEY = "signing-key-of-the-provider"


@cache
def _postals_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _public(key: rsa.RSAPrivateKey) -> str:
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "".join(key.public_key().public_bytes(*form).decode().splitlines()[1:-1])


def configure(settings: Any, provider: str, *, secrets: tuple[str, ...] = (SECRET,), **more: str) -> None:
    """Make this provider ours."""
    settings.EVENHAND_MAIL_PROVIDER = provider
    settings.ANYMAIL = {
        "WEBHOOK_SECRET": list(secrets),
        "BREVO_API_KEY": KEY,
        "MAILERSEND_SIGNING_SECRET": KEY,
        "MAILERSEND_INBOUND_SECRET": KEY,
        "MAILGUN_WEBHOOK_SIGNING_KEY": KEY,
        "MAILTRAP_API_TOKEN": KEY,
        "MAILTRAP_TRACKING_SECRET": KEY,
        "MANDRILL_WEBHOOK_KEY": KEY,
        "POSTAL_WEBHOOK_KEY": _public(_postals_key()),
        "RESEND_API_KEY": KEY,
        "UNISENDER_GO_API_KEY": KEY,
        **more,
    }


def _hmac(content: bytes) -> str:
    return hmac.new(KEY.encode(), content, hashlib.sha256).hexdigest()


@dataclass
class Posted:
    """One post, before it leaves."""

    path: str
    body: bytes
    content_type: str
    headers: dict[str, str]

    def send(self, *, secret: str | None = SECRET, **headers: str) -> HttpResponse:
        given = {**self.headers, **headers}
        if secret is not None:
            given["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        return Client(raise_request_exception=False).generic(
            "POST", self.path, self.body, content_type=self.content_type, headers=given
        )


def post(provider: str, kind: str, payload: Any, *, event_id: str = "") -> Posted:
    """Make the post in which this provider tells `payload` (what it calls an event, or several)."""
    path = f"/hooks/mail/{provider}/{kind}/"
    make = globals().get(f"_{provider}")
    if make is not None:
        made: Posted = make(path, kind, payload)
    else:
        made = _json(path, payload)
    if event_id and provider == "resend":
        made.headers["svix-id"] = event_id
    return made


def _json(path: str, payload: Any, **headers: str) -> Posted:
    return Posted(path, json.dumps(payload).encode(), "application/json", headers)


def _form(path: str, fields: dict[str, Any], files: dict[str, Any] | None = None) -> Posted:
    if files is not None:
        return Posted(path, encode_multipart(BOUNDARY, {**fields, **files}), MULTIPART_CONTENT, {})
    return Posted(path, urlencode(fields, doseq=True).encode(), "application/x-www-form-urlencoded", {})


def _amazon_ses(path: str, kind: str, payload: Any) -> Posted:
    about = {"x-amz-sns-message-type": payload["Type"], "x-amz-sns-message-id": payload["MessageId"]}
    return Posted(path, json.dumps(payload).encode(), "text/plain; charset=UTF-8", about)


def _brevo(path: str, kind: str, payload: Any) -> Posted:
    return _json(path, {"items": [payload]} if kind == "inbound" else payload)


def _mailersend(path: str, kind: str, payload: Any) -> Posted:
    made = _json(path, payload)
    made.headers["Signature"] = _hmac(made.body)
    return made


def _mailtrap(path: str, kind: str, payload: Any) -> Posted:
    made = _json(path, payload)
    made.headers["Mailtrap-Signature"] = _hmac(made.body)
    return made


def _mailgun(path: str, kind: str, payload: Any) -> Posted:
    if "event-data" in payload:
        signed = payload.setdefault("signature", {"timestamp": "1", "token": "t"})
        signed["signature"] = _hmac(f"{signed['timestamp']}{signed['token']}".encode())
        return _json(path, payload)
    fields = {"timestamp": "1461261330", "token": "a-token", **payload}
    last = {name: value[-1] if isinstance(value, list) else value for name, value in fields.items()}
    fields["signature"] = _hmac(f"{last['timestamp']}{last['token']}".encode())
    return _form(path, fields, {} if kind == "inbound" else None)


def _mandrill(path: str, kind: str, payload: Any) -> Posted:
    events = json.dumps(payload if isinstance(payload, list) else [payload])
    made = _form(path, {"mandrill_events": events})
    signed = f"http://{SECRET}@testserver{path}mandrill_events{events}"
    digest = hmac.new(KEY.encode(), signed.encode(), hashlib.sha1).digest()
    made.headers["X-Mandrill-Signature"] = base64.b64encode(digest).decode()
    return made


def _postal(path: str, kind: str, payload: Any) -> Posted:
    made = _json(path, payload)
    signature = _postals_key().sign(made.body, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303  Postal's own choice
    made.headers["X-Postal-Signature"] = base64.b64encode(signature).decode()
    return made


def _sendgrid(path: str, kind: str, payload: Any) -> Posted:
    return _form(path, payload, {}) if kind == "inbound" else _json(path, payload)


def _sparkpost(path: str, kind: str, payload: Any) -> Posted:
    return _json(path, payload if isinstance(payload, list) else [payload])


def _unisender_go(path: str, kind: str, payload: Any) -> Posted:
    body = json.dumps({**payload, "auth": KEY}).encode()
    auth = hashlib.md5(body).hexdigest().encode()  # noqa: S324  the provider's own choice
    return Posted(path, body.replace(KEY.encode(), auth), "application/json", {})
