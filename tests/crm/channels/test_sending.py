"""Mail on its way out: who it comes back to, who an answer reaches, and what providers are told and asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from crm.channels.sending import Outbound, Outcome
from crm.channels.smtp import MailSender
from crm.policy import has_one_click
from tests.faults.harness import free_port

KEY = "0195d2a4-0000-7000-8000-000000000001"
OUTBOUND = Outbound(
    key=KEY,
    address="carla@home.example",
    subject="Your lamp",
    text="A new one leaves today.",
    html="<p>A new one leaves today.</p>",
    sender_name="Ada Agent",
    message_id=f"<{KEY}@evenhand.example>",
    return_path="return+abc@in.evenhand.example",
    reply_to="reply+xyz@in.evenhand.example",
)
ACCEPTS: dict[str, Any] = {
    "brevo": {"messageId": "<b-1@relay.example>"},
    "mailersend": {},
    "mailgun": {"id": "<m-1@mg.example>", "message": "Queued. Thank you."},
    "mailjet": {"Messages": [{"Status": "success", "To": [{"Email": "carla@home.example", "MessageID": 17, "MessageUUID": "u"}]}]},
    "mailtrap": {"success": True, "message_ids": ["t-1"]},
    "mandrill": [{"email": "carla@home.example", "status": "sent", "_id": "d-1"}],
    "postal": {"status": "success", "data": {"messages": {"carla@home.example": {"id": 5, "token": "x"}}}},
    "postmark": {"ErrorCode": 0, "Message": "OK", "MessageID": "p-1", "To": "carla@home.example", "SubmittedAt": "x"},
    "resend": {"id": "r-1"},
    "scaleway": {"emails": [{"id": "s-1", "message_id": "s-1", "mail_rcpt": "carla@home.example", "status": "new"}]},
    "sendgrid": {},
    "sparkpost": {"results": {"total_rejected_recipients": 0, "total_accepted_recipients": 1, "id": "k-1"}},
    "unisender_go": {"status": "success", "job_id": "j-1", "emails": ["carla@home.example"]},
}  # fmt: skip
"""What each provider answers when it takes a mail; Amazon's needs its own library and is not among them."""
IDS = {
    "brevo": "<b-1@relay.example>", "mailersend": "e-1", "mailgun": "<m-1@mg.example>", "mailjet": "17", "mailtrap": "t-1",
    "mandrill": "d-1", "postal": "5", "postmark": "p-1", "resend": "r-1", "scaleway": "s-1", "sparkpost": "k-1",
}  # fmt: skip


class StandIn(HTTPServer):
    """A provider's API on this machine: notes what it is asked and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.answer, self.headers = 200, b"{}", {}  # type: ignore[var-annotated]


class _Answer(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.status)
        for name, value in {"Content-Type": "application/json", **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_about: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def configure(settings: Any, api: StandIn, provider: str) -> None:
    settings.EMAIL_BACKEND = f"anymail.backends.{provider}.EmailBackend"
    address = f"http://127.0.0.1:{api.server_port}/"
    settings.ANYMAIL = {
        f"{provider.upper()}_API_URL": address, "WEBHOOK_SECRET": [],
        **{f"{provider.upper()}_{name}": "key" for name in ("API_KEY", "API_TOKEN", "SERVER_TOKEN", "SECRET_KEY", "PROJECT_ID")},
        "SCALEWAY_REGION": "fr-par", "MAILTRAP_API_URL": address,
    }  # fmt: skip
    api.answer = json.dumps(ACCEPTS[provider]).encode()
    if provider == "mailersend":
        api.status, api.headers = 202, {"X-Message-Id": "e-1"}
    if provider == "sendgrid":
        api.status, api.answer = 202, b""


def hand_over(outbound: Outbound = OUTBOUND) -> Any:
    with MailSender() as line:
        return line.send(outbound)


@pytest.mark.filterwarnings("ignore::anymail.exceptions.AnymailNotSupportedWarning")
@pytest.mark.parametrize("provider", list(ACCEPTS))
def test_every_provider_is_given_our_key_and_gives_us_its_own(settings: Any, api: StandIn, provider: str):
    """H09: what its reports name is what we noted when it accepted."""
    configure(settings, api, provider)

    handed = hand_over()

    assert handed.outcome == Outcome.ACCEPTED, handed.reason
    (_path, _headers, body), *more = api.asked
    assert not more
    assert KEY.encode() in body
    if provider in IDS:
        assert handed.provider_id == IDS[provider]
    assert handed.provider_id
    assert b"reply+xyz@in.evenhand.example" in body or b"reply%2Bxyz%40in.evenhand.example" in body
    assert (b"return+abc@in.evenhand.example" in body) is (provider in ("postal", "sparkpost"))


@pytest.mark.parametrize("times", [1, 2])
def test_resend_is_told_the_same_idempotency_key_at_every_repeat(settings: Any, api: StandIn, times: int):
    """Its documentation: the header Idempotency-Key, for 24 hours."""
    configure(settings, api, "resend")

    with MailSender() as line:
        for _again in range(times):
            line.send(OUTBOUND)
        line.send(Outbound(key="another", address="a@b.example", subject="", text="."))

    assert [headers["idempotency-key"] for _path, headers, _body in api.asked] == [KEY] * times + ["another"]


def test_brevo_is_told_it_in_the_mail(settings: Any, api: StandIn):
    configure(settings, api, "brevo")

    hand_over()

    assert json.loads(api.asked[0][2])["headers"]["idempotencyKey"] == KEY


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120), ("0", 0), ("soon", 0), ("", 0), ("-5", 0), ("9" * 30, 7 * 86_400)],
)
def test_a_provider_that_asks_to_wait_is_left_alone_so_long_F33(settings: Any, api: StandIn, said: str, seconds: int):
    configure(settings, api, "postmark")
    api.status, api.headers = 429, {"Retry-After": said}

    handed = hand_over()

    assert (handed.outcome, handed.wait) == (Outcome.TRY_LATER, timedelta(seconds=seconds))


def test_it_may_name_a_date_F33(settings: Any, api: StandIn):
    configure(settings, api, "postmark")
    api.status, api.headers = 429, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}

    assert timedelta(minutes=58) < hand_over().wait <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "outcome"), [(500, Outcome.UNKNOWN), (401, Outcome.REFUSED), (503, Outcome.UNKNOWN)]
)
def test_other_refusals_are_what_they_are_F33(settings: Any, api: StandIn, status: int, outcome: Outcome):
    configure(settings, api, "postmark")
    api.status = status

    assert hand_over().outcome == outcome


def test_over_smtp_the_envelope_says_where_it_comes_back_to_and_the_mail_who_wrote(settings: Any, tmp_path: Path):
    """M12: VERP."""
    seen: list[tuple[str, bytes]] = []

    class Takes:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
            seen.append((envelope.mail_from, envelope.content))
            return "250 OK"

    controller = Controller(Takes(), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    try:
        assert hand_over().outcome == Outcome.ACCEPTED
    finally:
        controller.stop()

    (envelope, content) = seen[0]
    mail = message_from_bytes(content)
    assert envelope == "return+abc@in.evenhand.example"
    assert mail.get_all("From") == ["Ada Agent <support@evenhand.example>"]
    assert mail["Reply-To"] == "reply+xyz@in.evenhand.example"
    assert mail["Message-ID"] == OUTBOUND.message_id


@pytest.mark.parametrize(
    ("headers", "is_one"),
    [
        ({}, False),
        ({"List-Unsubscribe": "<https://a/>"}, False),
        ({"List-Unsubscribe": "<mailto:a@b>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}, False),
        ({"list-unsubscribe": "<https://a/>", "LIST-UNSUBSCRIBE-POST": "List-Unsubscribe=One-Click"}, True),
    ],
)
def test_one_click_is_an_address_and_the_promise_that_posting_there_is_enough_W03(
    headers: dict[str, str], is_one: bool
):
    assert has_one_click(headers) is is_one
