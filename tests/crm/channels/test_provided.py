"""Every provider's file: what its provider documents means what it should, and what leaves is one request."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from crm.channels import Channel
from crm.channels.provided import NoSuchProvider, all_of_them, by_name
from crm.channels.provided.twilio_sms import PROVIDER as TWILIO
from crm.channels.providers import (
    Account,
    Event,
    Fetched,
    HttpAnswer,
    HttpRequest,
    LeftMessage,
    Limits,
    Media,
    NotGenuine,
    NotGiven,
    Outgoing,
    Post,
    Said,
    by_status,
)
from crm.channels.sending import Outcome
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, HERE, Example, Sent, described
from tests.crm.channels.provided import twilio_sms as twilio

every_provider = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def post_of(sent: Sent, account: Account) -> Post:
    url = account.hook_url + (f"?{sent.query}" if sent.query else "")
    headers = {name.lower(): value for name, value in sent.headers.items()}
    return Post(sent.method, url, sent.query, headers, sent.body, NOON)


def documented_post(case: dict[str, Any], account: Account) -> Post:
    """A documented request: "body" is JSON, "form" a form, "text" the bytes as they are, "query" alone a GET."""
    if "form" in case:
        sent = Sent(urlencode(case["form"]).encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    elif "body" in case:
        sent = Sent(json.dumps(case["body"], ensure_ascii=False).encode(), {"Content-Type": "application/json"})
    else:
        sent = Sent(case.get("text", "").encode(), {})
    method = case.get("method", "POST" if sent.body else "GET")
    return post_of(
        replace(sent, query=case.get("query", ""), method=method, headers={**sent.headers, **case.get("headers", {})}),
        account,
    )


def found_in(event: Event, name: str) -> Any:
    if name == "is":
        return type(event).__name__
    if isinstance(event, Said | LeftMessage) and name == "media":
        return [one.reference for one in event.media]
    value = getattr(event.message if isinstance(event, Said) else event, name)
    value = value.total_seconds() if isinstance(value, timedelta) else value
    value = value.isoformat() if hasattr(value, "isoformat") else value
    return list(value) if isinstance(value, tuple) else value


def documented() -> list[Any]:
    return [
        pytest.param(example, case, id=f"{name}-{case['name']}")
        for name, example in EXAMPLES.items()
        for case in example.documented
    ]


@pytest.mark.parametrize(("example", "case"), documented())
def test_what_a_provider_documents_means_what_it_says(example: Example, case: dict[str, Any]) -> None:
    account = replace(described(example), **case.get("account", {}))
    if "channel" in case.get("account", {}):
        account = replace(account, channel=Channel(account.channel))
    events = by_name(example.provider).parse(documented_post(case, account), account)
    assert [found_in(event, "is") for event in events] == [meant["is"] for meant in case["means"]]
    for event, meant in zip(events, case["means"], strict=True):
        assert {name: found_in(event, name) for name in meant} == meant
        if isinstance(event, Said):
            assert event.message.source == account.source
            assert event.message.channel == meant.get("channel", account.channel)
            assert event.message.channel in by_name(example.provider).channels


def test_every_provider_has_an_example_and_its_documentation() -> None:
    assert set(EXAMPLES) == set(all_of_them())
    for name, provider in all_of_them().items():
        assert provider.name == name
        assert (HERE / f"{name}.json").is_file()
        assert EXAMPLES[name].documented
        assert EXAMPLES[name].channel in provider.channels
        assert not provider.trouble_with(described(EXAMPLES[name]))
    with pytest.raises(NoSuchProvider):
        by_name("pigeons")


@every_provider
def test_nothing_that_is_kept_of_a_post_holds_a_secret(example: Example) -> None:
    provider = by_name(example.provider)
    sent = example.said(
        "Hello",
        sender=example.sender("carla")[1],
        external_id="1",
        at=NOON,
        secret=example.secret,
        url=described(example).hook_url,
    )
    kept = {name.lower(): value for name, value in sent.headers.items() if name.lower() in provider.kept_headers}
    assert not [value for value in kept.values() if example.secret and example.secret in value]
    assert (
        all(name not in provider.secret_query for name in post_of(sent, described(example)).asked())
        or provider.secret_query
    )


@every_provider
def test_secrets_never_show_in_what_is_printed(example: Example) -> None:
    account = replace(described(example), receiving=("hidden-one", "hidden-two"), sending="hidden-three")
    assert "hidden" not in repr(account)
    if by_name(example.provider).can_send(described(example)):
        request = by_name(example.provider).compose(
            Outgoing("k" * 36, example.sender("carla")[1], "Hello", NOON), described(example)
        )
        assert example.credential not in repr(request)


@every_provider
def test_an_answer_is_one_request_and_its_outcome_is_told(example: Example) -> None:
    provider, account = by_name(example.provider), described(example)
    if example.accepted is None:
        assert not provider.can_send(account)
        return
    request = provider.compose(Outgoing("k" * 36, example.sender("carla")[1], "We are on it.", NOON, "m1"), account)
    assert request.url.startswith("https://")
    handed = provider.read_answer(example.accepted, account)
    assert (handed.outcome, handed.provider_id) == (Outcome.ACCEPTED, example.provider_id)
    assert example.refused is not None
    assert provider.read_answer(example.refused, account).outcome == Outcome.REFUSED
    assert provider.read_answer(HttpAnswer(401, {}, b""), account).outcome == Outcome.UNREACHABLE
    assert provider.read_answer(HttpAnswer(500, {}, b"oops"), account).outcome == Outcome.UNKNOWN
    later = provider.read_answer(HttpAnswer(429, {"retry-after": "17"}, b""), account)
    assert (later.outcome, later.wait) == (Outcome.TRY_LATER, timedelta(seconds=17))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(204, Outcome.ACCEPTED), (302, Outcome.UNKNOWN), (404, Outcome.REFUSED), (503, Outcome.TRY_LATER), (403, Outcome.UNREACHABLE)],
)  # fmt: skip
def test_what_a_status_says_F33(status: int, outcome: Outcome) -> None:
    assert by_status(HttpAnswer(status, {}, b"")).outcome == outcome


@pytest.mark.parametrize(("counted", "length"), [("characters", 2), ("utf16", 3), ("bytes", 6)])
def test_a_length_is_counted_as_the_provider_counts(counted: Any, length: int) -> None:
    assert Limits(10, counted).length("é😀") == length


# --- Twilio -----------------------------------------------------------------------------------------------------------


def test_whatsapp_goes_through_the_same_file() -> None:
    account = replace(described(twilio.EXAMPLE), channel=Channel.CHAT, own_id="whatsapp:+4930555000")
    form = {
        "MessageSid": "SM1",
        "From": "whatsapp:+4930111222",
        "To": account.own_id,
        "Body": "Hi",
        "ButtonText": "Confirm",
        "ProfileName": "Carla",
    }
    [said] = TWILIO.parse(post_of(Sent(urlencode(form).encode()), account), account)
    assert isinstance(said, Said)
    assert (said.message.sender_kind, said.message.sender_address, said.message.text) == (
        "phone",
        "+4930111222",
        "Confirm",
    )
    nameless = {**form, "From": "whatsapp:US.1234"}
    [said] = TWILIO.parse(post_of(Sent(urlencode(nameless).encode()), account), account)
    assert isinstance(said, Said)
    assert (said.message.sender_kind, said.message.sender_address) == ("handle", "whatsapp:US.1234")
    assert TWILIO.limits(account).reply_within == timedelta(hours=24)
    request = TWILIO.compose(Outgoing("k" * 36, "+4930111222", "Hello", NOON), account)
    assert parse_qs(request.body.decode())["To"] == ["whatsapp:+4930111222"]
    assert parse_qs(request.body.decode())["StatusCallback"] == [f"{account.hook_url}?key={'k' * 36}"]


def test_a_file_at_twilio_is_asked_for_with_our_credential_and_elsewhere_without_it_O01() -> None:
    account = described(twilio.EXAMPLE)
    media = Media("https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1")
    first = TWILIO.media_request(media, account)
    assert "Authorization" in first.headers
    moved = HttpAnswer(307, {"location": "https://mms.twiliocdn.com/AC1/x"}, b"")
    second = TWILIO.read_media(media, moved, account)
    assert isinstance(second, HttpRequest)
    assert "Authorization" not in second.headers
    assert isinstance(TWILIO.read_media(media, HttpAnswer(200, {"content-type": "image/jpeg"}, b"x"), account), Fetched)
    for elsewhere in (
        "http://mms.twiliocdn.com/x",
        "https://169.254.169.254/x",
        "https://twilio.com.evil.example/x",
        "",
    ):
        with pytest.raises(NotGiven):
            TWILIO.read_media(media, HttpAnswer(302, {"location": elsewhere}, b""), account)
        with pytest.raises(NotGiven):
            TWILIO.media_request(Media(elsewhere), account)


def test_the_signature_twilio_documents_is_the_one_we_make() -> None:
    """The worked example of "Validating requests", with its published token and result."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    account = replace(described(twilio.EXAMPLE), receiving=("12345",))
    url = "https://example.com/myapp.php?foo=1&bar=2"
    for mark, genuine in (("L/OH5YylLD5NRKLltdqwSvS0BnU=", True), (base64.b64encode(b"x" * 20).decode(), False)):
        post = Post("POST", url, "foo=1&bar=2", {"x-twilio-signature": mark}, urlencode(form).encode(), NOON)
        if genuine:
            assert TWILIO.verify(post, account, at=NOON).is_signed
        else:
            with pytest.raises(NotGenuine):
                TWILIO.verify(post, account, at=NOON)
