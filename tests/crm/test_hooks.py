"""The door of mail providers: only theirs, each report once, every mail kept before we say so."""

from __future__ import annotations

import base64
import io
import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from anymail.webhooks.amazon_ses import AmazonSESInboundWebhookView
from django.test import Client
from django.utils.timezone import get_fixed_timezone

from crm.actions import deliveries
from crm.channels import email as mail_channel
from crm.channels.esp import DeliveryNews
from crm.models import DeliveryEvent, HistoryEntry, OutgoingMessage, RawItem
from crm.policy import Delivery, OutgoingState, WorkState
from tests.conftest import NOON
from tests.crm import providers
from tests.crm.actions.test_outgoing import queued
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

DATA = Path("webhooks/anymail")
FILES = (
    "amazon_ses_inbound", "amazon_ses_tracking", "brevo_inbound", "brevo_tracking", "mailersend_tracking", "mailgun_inbound",
    "mailgun_tracking", "mailjet_inbound", "mailjet_tracking", "mailtrap_tracking", "mandrill_inbound", "mandrill_tracking",
    "postal_tracking", "postmark_inbound", "postmark_tracking", "resend_tracking", "sendgrid_inbound", "sendgrid_tracking",
    "sparkpost_inbound", "sparkpost_tracking", "unisender_go_tracking",
)  # fmt: skip
# What a message becomes by an event of anymail (EXPECTED.md 8: bounced and rejected are failed delivery).
BECOMES = {
    "delivered": Delivery.DELIVERED, "deferred": Delivery.DEFERRED, "bounced": Delivery.BOUNCED, "rejected": Delivery.BOUNCED,
    "failed": Delivery.BOUNCED, "complained": Delivery.COMPLAINED,
}  # fmt: skip
# The mail that lies in the provider's store, which the post only names.
IN_S3 = (
    "From: A tester <test@example.org>\r\nTo: inbound@example.com\r\nSubject: Test inbound message\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n\r\nIt's a body…\r\n"
).encode()


def lines(outside_data: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (outside_data / DATA / f"{name}.jsonl").read_text().splitlines()]


def told(line: dict[str, Any]) -> Any:
    """What the provider posts: the data names it after what it is."""
    payload = line["payload"]
    return next(payload[name] for name in ("raw_sns_message", "raw_events", "raw_event", "payload") if name in payload)


def expected(line: dict[str, Any], field: str, number: int) -> Any:
    """What the data states of one field of one event; KeyError when it states nothing."""
    stated = line["expect"]
    value = stated[f"event.{field}"] if f"event.{field}" in stated else stated[f"events[{number}].{field}"]
    if isinstance(value, dict) and "__expr" in value:
        names = {"datetime": datetime, "timezone": timezone, "get_fixed_timezone": get_fixed_timezone}
        return eval(value["__expr"], names)  # noqa: S307  the data's own words for a time
    return value


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[DeliveryNews]:
    """What the door passes on; it still does."""
    found: list[DeliveryNews] = []
    passes_on = deliveries.report

    def listening(news: DeliveryNews, **rest: Any) -> Any:
        found.append(news)
        return passes_on(news, **rest)

    monkeypatch.setattr(deliveries, "report", listening)
    return found


def ours(*, address: str = "carla@home.example", provider_id: str = "", key: str = "k") -> OutgoingMessage:
    """A message of ours that a provider accepted."""
    message = queued(key, address=address)
    OutgoingMessage.objects.filter(pk=message.pk).update(
        state=OutgoingState.ACCEPTED, accepted_at=NOON, attempt=1, provider_id=provider_id
    )
    return OutgoingMessage.objects.get(pk=message.pk)


# --- what 13 providers tell ------------------------------------------------------------------------------------------


def test_the_data_holds_76_events(outside_data: Path):
    assert sum(len(lines(outside_data, name)) for name in FILES) == 76


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("tracking")])
def test_every_report_of_every_provider_is_normalised_as_stated(
    outside_data: Path, settings: Any, heard: list[DeliveryNews], name: str
):
    """X7: posted as the provider posts it, with its signature, through the real door."""
    for number, line in enumerate(lines(outside_data, name)):
        providers.configure(settings, line["provider"])
        heard.clear()
        stated = line["expect"].get("event.message_id")
        recipient = line["expect"].get("event.recipient")
        known = line["expect"].get("event.event_type") in BECOMES and stated and recipient
        message = ours(address=recipient, provider_id=str(stated), key=f"k{number}") if known else None

        answer = providers.post(
            line["provider"], "tracking", told(line), event_id=line["expect"].get("event.event_id") or "evt"
        ).send()

        assert answer.status_code == 200, line["case"]
        several = len({int(at) for field in line["expect"] for at in re.findall(r"^events\[(\d+)\]", field)})
        assert len(heard) == max(several, 1), line["case"]
        for place, news in enumerate(heard):
            assert_stated(line, news, place)
        if message is not None:
            message.refresh_from_db()
            assert message.delivery == BECOMES[line["expect"]["event.event_type"]], line["case"]
        OutgoingMessage.objects.filter(pk=getattr(message, "pk", 0)).update(provider_id="", delivery="")


def assert_stated(line: dict[str, Any], news: DeliveryNews, place: int) -> None:
    fields = {"event_type": "event", "message_id": "provider_id", "recipient": "recipient", "reject_reason": "reason"}
    for field, own in fields.items():
        try:
            wanted = expected(line, field, place)
        except KeyError:
            continue
        assert getattr(news, own) == str("" if wanted is None else wanted), (line["case"], field)
    for field, check in (
        ("event_id", lambda wanted: news.event_id == f"{wanted}:{news.event}" or wanted is None),
        ("timestamp", lambda wanted: news.event_at == wanted),
        ("mta_response", lambda wanted: wanted is None or news.said == " ".join(wanted.split())),
        ("description", lambda wanted: not wanted or news.said == wanted or "event.mta_response" in line["expect"]),
    ):
        try:
            wanted = expected(line, field, place)
        except KeyError:
            continue
        assert check(wanted), (line["case"], field, wanted, news)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("inbound")])
def test_every_mail_that_a_provider_took_in_is_kept_as_stated(
    outside_data: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, name: str
):
    """X7: bytes where the provider gives them, else written by us; read by the same reader as any mail."""
    monkeypatch.setattr(AmazonSESInboundWebhookView, "fetch_s3_chunks", lambda *_where: iter([IN_S3]), raising=True)
    (line,) = lines(outside_data, name)
    stated = line["expect"]
    providers.configure(settings, line["provider"])

    answer = providers.post(line["provider"], "inbound", told(line)).send()

    assert answer.status_code == 200
    item = RawItem.objects.get()
    assert (item.source, item.state) == (f"mail:{line['provider']}", WorkState.READY)
    if stated["event.event_id"] is not None:
        assert item.external_id == stated["event.event_id"]
    assert item.facts.get("envelope_from") == stated.get("message.envelope_sender")
    assert item.facts.get("envelope_to") == stated.get("message.envelope_recipient")
    if "message.spam_score" in stated:
        assert item.facts.get("spam_score") == stated["message.spam_score"]
    mail = mail_channel.read(bytes(item.content), received_at=NOON)
    assert (mail.kind, mail.subject) == ("human", stated["message.subject"])
    assert mail.full_text.split() == stated["message.text"].split()
    if name != "amazon_ses_inbound":  # its HTML lies in the store that is not here
        assert mail.html.split() == stated["message.html"].split()
    if "message.from_email.addr_spec" in stated:
        assert mail.customer == stated["message.from_email.addr_spec"]
        assert mail.customer_name == stated["message.from_email.display_name"]
    if "message.date.isoformat(' ')" in stated:
        assert mail.claimed_at == datetime.fromisoformat(stated["message.date.isoformat(' ')"])
    for received in stated.get("message.get_all('Received')", []):
        assert received.encode() in bytes(item.content)


def test_the_provider_s_own_trial_mail_is_kept_with_its_file(outside_data: Path, settings: Any):
    providers.configure(settings, "postmark")
    payload = json.loads((outside_data / DATA / "files/postmark-inbound-test-payload.json").read_text())

    assert providers.post("postmark", "inbound", payload).send().status_code == 200

    mail = mail_channel.read(bytes(RawItem.objects.get().content))
    assert (mail.customer, mail.subject, mail.text) == (
        "support@postmarkapp.com", "Test subject", "This is a test text body.",
    )  # fmt: skip
    assert [(part.name, part.content) for part in mail.attachments] == [
        ("test.txt", b"This is attachment contents, base-64 encoded.")
    ]


def test_the_bytes_of_a_mail_come_through_a_form_unchanged(outside_data: Path, settings: Any):
    providers.configure(settings, "mailgun")
    raw = (outside_data / DATA / "files/sample_email.txt").read_bytes().replace(b"\n", b"\r\n") + b"\xff\xfe\x00"
    fields = {"recipient": "a@in.example", "sender": "someone@example.com", "body-mime": "here"}
    made = providers.post("mailgun", "inbound", fields)
    made.body = made.body.replace(b"\r\n\r\nhere\r\n", b"\r\n\r\n" + raw + b"\r\n")

    assert made.send().status_code == 200

    assert bytes(RawItem.objects.get().content) == raw


@pytest.mark.parametrize("number", ["01", "03", "05"])
def test_amazon_s_reports_from_another_collection_are_what_they_are(
    outside_data: Path, settings: Any, heard: list[DeliveryNews], number: str
):
    report = (outside_data / f"webhooks/sisimai_ses_sendgrid/json-amazonses-{number}.json").read_text()
    providers.configure(settings, "amazon_ses")
    told = {"Type": "Notification", "MessageId": f"n{number}", "Message": report, "Timestamp": "2016-10-21T00:06:41Z"}

    assert providers.post("amazon_ses", "tracking", told).send().status_code == 200

    event, is_permanent = {"01": ("bounced", True), "03": ("complained", False), "05": ("delivered", False)}[number]
    assert [(one.event, one.is_permanent) for one in heard] == [(event, is_permanent)]
    assert all("@" in one.recipient for one in heard)


@pytest.mark.parametrize("number", ["01", "03", "05", "07", "09", "11", "13", "15", "17"])
def test_sendgrid_s_lists_from_another_collection_are_no_fault_of_ours(
    outside_data: Path, settings: Any, heard: list[DeliveryNews], number: str
):
    """H06: a suppression list (no "event" in it) is kept for a person; a report is a report."""
    listed = json.loads((outside_data / f"webhooks/sisimai_ses_sendgrid/json-sendgrid-{number}.json").read_text())
    providers.configure(settings, "sendgrid")

    assert providers.post("sendgrid", "tracking", listed).send().status_code == 200

    if all("event" in one for one in listed):
        assert [one.event for one in heard] == [
            {"bounce": "bounced", "delivered": "delivered", "spamreport": "complained", "dropped": "rejected"}.get(
                one["event"], one["event"]
            )
            for one in listed
        ]
    else:
        assert (RawItem.objects.get().state, heard) == (WorkState.PARKED, [])


# --- who may tell us anything ----------------------------------------------------------------------------------------


AUTHORIZED = "Basic " + base64.b64encode(providers.SECRET.encode()).decode()


def nothing_stored() -> bool:
    return not RawItem.objects.exists() and not DeliveryEvent.objects.exists()


BOUNCE = {
    "RecordType": "Bounce", "ID": 7, "Type": "HardBounce", "MessageID": "pm-1", "Email": "carla@home.example",
    "Details": "smtp;550 5.1.1 unknown", "BouncedAt": "2026-03-02T12:00:05Z",
}  # fmt: skip


@pytest.mark.parametrize(
    "secret", [None, "provider:wrong-secret-of-some-length", "nobody:a-secret-long-enough-to-guess", ":"]
)
def test_a_post_without_our_secret_changes_nothing_H01(settings: Any, secret: str | None, caplog: Any):
    providers.configure(settings, "postmark")
    message = ours(provider_id="pm-1")

    answer = providers.post("postmark", "tracking", BOUNCE).send(secret=secret)

    message.refresh_from_db()
    assert (answer.status_code, answer.content, message.delivery) == (401, b"", "")
    assert answer["WWW-Authenticate"]
    assert nothing_stored()
    assert "refused" in caplog.text
    assert not [word for word in ("carla", "wrong-secret", "Traceback") if word in caplog.text]


def test_a_secret_that_comes_twice_is_none_H01(settings: Any):
    providers.configure(settings, "postmark")
    made = providers.post("postmark", "tracking", BOUNCE)

    assert made.send(secret=None, Authorization=AUTHORIZED).status_code == 200
    assert made.send(secret=None, Authorization=f"{AUTHORIZED},{AUTHORIZED}").status_code == 401


@pytest.mark.parametrize("provider", ["mailersend", "mailgun", "mailtrap", "mandrill", "postal", "unisender_go"])
def test_a_signature_over_other_bytes_is_refused_H01(outside_data: Path, settings: Any, provider: str):
    """Re-serialised JSON included: the bytes count, not what they mean."""
    providers.configure(settings, provider)
    made = providers.post(provider, "tracking", told(lines(outside_data, f"{provider}_tracking")[0]))
    if provider == "mailgun":
        made.body = made.body.replace(b'"timestamp": "1534108637"', b'"timestamp": "1534108638"')
    elif provider == "mandrill":
        made.body += b"&more=1"
    else:
        made.body = made.body.replace(b": ", b":", 1)

    assert made.send().status_code == 403
    assert nothing_stored()


@pytest.mark.parametrize("secret", [providers.SECRET, providers.OLDER])
def test_two_secrets_work_while_one_takes_the_other_s_place(settings: Any, secret: str):
    providers.configure(settings, "postmark", secrets=(providers.SECRET, providers.OLDER))

    assert providers.post("postmark", "tracking", BOUNCE).send(secret=secret).status_code == 200


@pytest.mark.parametrize("path", ["sendgrid/tracking", "postmark/nothing", "base/tracking", "unisender_go/inbound"])
def test_an_address_of_another_provider_does_not_exist(settings: Any, path: str):
    providers.configure(settings, path.split("/")[0] if "nothing" in path or "unisender" in path else "postmark")

    answer = Client().post(f"/hooks/mail/{path}/", b"{}", content_type="application/json")

    assert (answer.status_code, nothing_stored()) == (404, True)


def test_without_a_secret_there_is_no_address_at_all(settings: Any):
    providers.configure(settings, "postmark", secrets=())

    assert providers.post("postmark", "tracking", BOUNCE).send().status_code == 404


def test_looking_at_the_address_changes_nothing(settings: Any):
    providers.configure(settings, "postmark")

    assert Client().head("/hooks/mail/postmark/tracking/").status_code == 200
    assert Client().get("/hooks/mail/postmark/tracking/").status_code == 405
    assert nothing_stored()


# --- what a provider may send by mistake -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"7", b'"x"', b"{}", b'{"RecordType": []}', b'{"RecordType": "Bounce", "BouncedAt": "never"}',
     b'{"RecordType": "Delivery", "DeliveredAt": 5, "Metadata": null}'],
)  # fmt: skip
def test_what_cannot_be_understood_is_kept_and_answered_well_H06(settings: Any, body: bytes):
    providers.configure(settings, "postmark")
    made = providers.post("postmark", "tracking", {})
    made.body = body

    assert made.send().status_code == 200
    assert made.send().status_code == 200

    assert RawItem.objects.count() <= 1  # the same twice is one
    assert not DeliveryEvent.objects.exists()


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"not json", b"[" * 30_000 + b"]" * 30_000])
def test_what_is_not_even_a_post_of_theirs_is_refused_without_a_page(settings: Any, body: bytes):
    providers.configure(settings, "postmark")
    made = providers.post("postmark", "tracking", {})
    made.body = body

    answer = made.send()

    assert (answer.status_code, answer.content) == (400, b"")


@pytest.mark.parametrize("provider", ["postmark", "sparkpost", "brevo", "mailgun"])
def test_a_mail_that_is_posted_to_the_address_of_reports_is_not_lost_H06(
    outside_data: Path, settings: Any, provider: str
):
    providers.configure(settings, provider)
    made = providers.post(provider, "inbound", told(lines(outside_data, f"{provider}_inbound")[0]))
    made.path = made.path.replace("inbound", "tracking")

    assert made.send().status_code == 200

    item = RawItem.objects.get()
    assert (item.source, item.state) == (f"report:{provider}", WorkState.PARKED)


def test_a_mail_that_nobody_can_read_is_not_lost_H06(settings: Any):
    providers.configure(settings, "postmark")

    assert providers.post("postmark", "inbound", {"TextBody": "My lamp is broken."}).send().status_code == 200

    item = RawItem.objects.get()
    assert (item.state, b"My lamp is broken." in bytes(item.content)) == (WorkState.PARKED, True)
    assert item.reason.startswith("unreadable_report")


def test_a_report_of_an_unknown_kind_is_kept_and_changes_nothing_H06(settings: Any):
    providers.configure(settings, "postmark")
    message = ours(provider_id="pm-1")

    answer = providers.post("postmark", "tracking", {**BOUNCE, "RecordType": "Moon", "New": {"field": 1}}).send()

    message.refresh_from_db()
    item = RawItem.objects.get()
    assert (answer.status_code, item.state, item.kind) == (200, WorkState.DONE, "unknown_report")
    assert b'"RecordType": "Moon"' in bytes(item.content)
    assert (message.delivery, DeliveryEvent.objects.count()) == ("", 0)


def test_a_post_that_was_cut_off_is_refused(settings: Any):
    """F27: fewer bytes than were announced."""
    providers.configure(settings, "postmark")
    made = providers.post("postmark", "tracking", BOUNCE)

    answer = Client().generic(
        "POST", made.path, b"", content_type="application/json", CONTENT_LENGTH=str(len(made.body) + 100),
        headers={"Authorization": AUTHORIZED}, **{"wsgi.input": io.BytesIO(made.body)},
    )  # fmt: skip

    assert (answer.status_code, nothing_stored()) == (400, True)


def test_a_mail_of_twenty_megabytes_is_kept_whole(settings: Any):
    providers.configure(settings, "postmark")
    raw = "From: carla@home.example\r\nSubject: Photos\r\n\r\n" + "x" * 20_000_000

    answer = providers.post("postmark", "inbound", {"FromFull": {}, "RawEmail": raw, "MessageID": "big"}).send()

    assert (answer.status_code, len(bytes(RawItem.objects.get().content))) == (200, len(raw))


def test_what_is_larger_than_any_mail_is_refused_before_it_is_read(settings: Any):
    providers.configure(settings, "postmark")
    made = providers.post("postmark", "inbound", {})
    answer = Client().generic(
        "POST", made.path, b"{}", content_type="application/json", CONTENT_LENGTH="70000000",
        headers={"Authorization": AUTHORIZED},
    )  # fmt: skip

    assert (answer.status_code, nothing_stored()) == (400, True)


# --- once ------------------------------------------------------------------------------------------------------------


def test_the_same_report_to_eight_workers_is_applied_once_H03_F25(transactional_db: None, settings: Any):
    providers.configure(settings, "postmark")
    ours(provider_id="pm-1")
    made = providers.post("postmark", "tracking", BOUNCE)

    assert not [trouble for trouble in at_once(*[lambda: made.send().status_code == 200] * 8) if trouble is not True]

    assert DeliveryEvent.objects.count() == 1
    assert HistoryEntry.objects.filter(verb="message.came_back").count() == 1


def test_the_same_mail_posted_again_is_one_mail_H02_H03(settings: Any):
    providers.configure(settings, "sparkpost")
    mail = "From: carla@home.example\r\nSubject: Lamp\r\n\r\nIt is broken."
    payload = {"msys": {"relay_message": {"content": {"email_rfc822": mail}, "rcpt_to": "a@in.example"}}}

    for _again in range(3):
        assert providers.post("sparkpost", "inbound", payload).send().status_code == 200

    assert RawItem.objects.count() == 1


def test_two_mails_with_the_same_words_to_two_addresses_are_two(settings: Any):
    providers.configure(settings, "sparkpost")
    mail = "From: carla@home.example\r\nSubject: Lamp\r\n\r\nIt is broken."
    payload = [
        {"msys": {"relay_message": {"content": {"email_rfc822": mail}, "rcpt_to": to}}}
        for to in ("a@in.example", "b@in.example")
    ]

    assert providers.post("sparkpost", "inbound", payload).send().status_code == 200

    assert RawItem.objects.count() == 2


def test_our_key_comes_back_from_every_provider_that_keeps_one(
    outside_data: Path, settings: Any, heard: list[DeliveryNews]
):
    """H09: the key under which each provider gives back what we gave it."""
    key = "0195d2a4-0000-7000-8000-000000000001"
    found = set()
    for name in FILES:
        provider, _underscore, kind = name.rpartition("_")
        if kind != "tracking":
            continue
        text = json.dumps(told(lines(outside_data, name)[0]))
        providers.configure(settings, provider)
        for place in PLACES_OF_THE_KEY[provider]:
            assert place[0] in text, provider
            text = text.replace(*place)
        assert (
            providers.post(provider, "tracking", json.loads(text.replace("KEY", key)), event_id="e").send().status_code
            == 200
        )
        found.add((provider, str(heard[-1].key)))
    assert found == {(provider, key) for provider in PLACES_OF_THE_KEY}


ADDED = '"evenhand": "KEY", '
PLACES_OF_THE_KEY: dict[str, list[tuple[str, str]]] = {
    "amazon_ses": [('\\\\\\"meta1\\\\\\"', '\\\\\\"evenhand\\\\\\": \\\\\\"KEY\\\\\\", \\\\\\"meta1\\\\\\"')],
    "brevo": [('{\\"meta\\"', '{\\"evenhand\\": \\"KEY\\", \\"meta\\"')],
    "mailersend": [('"tag1"', '"KEY"')],
    "mailgun": [('"user-variables": {', '"user-variables": {"evenhand": "KEY"')],
    "mailjet": [('{\\"meta1\\"', '{\\"evenhand\\": \\"KEY\\", \\"meta1\\"')],
    "mailtrap": [('"custom_variables": {', '"custom_variables": {' + ADDED)],
    "mandrill": [('"metadata": {', '"metadata": {' + ADDED)],
    "postal": [('"tag": null', '"tag": "KEY"')],
    "postmark": [('"RecordType"', '"Metadata": {"evenhand": "KEY"}, "RecordType"')],
    "resend": [('{\\"cohort\\"', '{\\"evenhand\\": \\"KEY\\", \\"cohort\\"')],
    "sendgrid": [('"custom1"', ADDED + '"custom1"')],
    "sparkpost": [('"rcpt_meta": {', '"rcpt_meta": {' + ADDED)],
    "unisender_go": [('"metadata": {', '"metadata": {' + ADDED)],
}
