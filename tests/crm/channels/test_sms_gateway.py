"""The configurable door: what may be typed in, what is believed, what is never read, and how an answer leaves."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import time_machine
from django.test import Client

from crm.actions import channel_accounts
from crm.channels import gateway_texts, places
from crm.channels.places import Unreadable
from crm.channels.provided.sms_gateway import PROVIDER
from crm.channels.providers import Account, HttpAnswer, Media, NotGenuine, NotGiven, NotReadable, Outgoing, Post, Said
from crm.channels.sending import Outcome
from crm.models import ChannelAccount, Interaction, RawItem
from crm.policy import WorkState
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, Sent, account_of, described, post

EXAMPLE = EXAMPLES["sms_gateway"]
SECRET = {"secret_by": "query", "secret_name": "secret"}
FORM = {"reads": "form", "sender_at": "from", "text_at": "text", **SECRET}
TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def told(**settings: str) -> Account:
    return replace(described(EXAMPLE), own_id="", settings=settings)


def posted(body: bytes = b"", *, query: str = "", **headers: str) -> Post:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Post("POST", f"https://us.example/?{query}", query, given, body, NOON)


def parsed(body: bytes, **settings: str) -> Any:
    return PROVIDER.parse(posted(body), told(**settings))


# --- what is never read ---------------------------------------------------------------------------------------------------

BOMB = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><m><from>+49301</from><text>&b;</text></m>'
OUTSIDE = b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><m><from>+49301</from><text>&x;</text></m>'


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        OUTSIDE,
        b"<a>" * 100 + b"</a>" * 100,
        b"<m>" + b"<a/>" * 30_000 + b"</m>",
        b"<m>",
        b"",
        b"\xff\xfe<",
        b"<m>&nope;</m>",
    ],
    ids=["entities", "outside", "deep", "many", "open", "empty", "letters", "unknown entity"],
)
def test_xml_that_grows_or_reaches_out_is_not_read_W07_O01(body: bytes) -> None:
    with pytest.raises(Unreadable):
        places.read(body, query="", written="xml")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a": ' * 50_000, b"\xff", b"", b'{"a":1'])
def test_json_that_is_none_or_too_deep_is_not_read_W07(body: bytes) -> None:
    with pytest.raises(Unreadable):
        places.read(body, query="", written="json")


def test_ten_thousand_fields_or_a_thousand_items_are_not_read_W07() -> None:
    many = "&".join(f"f{number}=1" for number in range(10_000)).encode()
    with pytest.raises(Unreadable):
        places.read(many, query="", written="form")
    with pytest.raises(Unreadable):
        parsed(json.dumps([{"from": "+49301", "text": "x"}] * 1_000).encode(), **{**FORM, "reads": "json"})


def test_one_item_that_is_not_as_told_takes_no_other_with_it() -> None:
    items = [
        {"from": "+4930111", "text": "Hello", "at": "2026-03-02T11:00:00Z"},
        {"from": "+4930111", "text": "x", "at": "soon"},
    ]
    first, second = parsed(json.dumps(items).encode(), **{**FORM, "reads": "json", "time_at": "at"})
    assert isinstance(first, Said)
    assert first.message.spoke_at == datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert isinstance(second, NotReadable)


# --- whether it is believed ----------------------------------------------------------------------------------------------------


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("believed_by", "genuine", "wrong"),
    [
        ({"secret_by": "query", "secret_name": "token"}, {"query": "token=user:old"}, {"query": "token=user:older"}),
        ({"secret_by": "header", "secret_name": "X-Key"}, {"x_key": "user:new"}, {"x_key": "user:ne"}),
        (
            {"secret_by": "header", "secret_name": "Authorization", "secret_before": "Bearer "},
            {"authorization": "Bearer user:new"},
            {"authorization": "Basic user:new"},
        ),
        ({"secret_by": "basic"}, {"authorization": basic("user:old")}, {"authorization": basic("user:x")}),
        ({"secret_by": "basic"}, {"authorization": basic("user:new")}, {"authorization": "Basic ???"}),
    ],
)
def test_each_way_of_showing_a_secret_believes_both_secrets_and_no_other_H01(
    believed_by: dict[str, str], genuine: dict[str, str], wrong: dict[str, str]
) -> None:
    account = replace(told(**believed_by), receiving=("user:new", "user:old"))
    assert not PROVIDER.verify(posted(b"x", **genuine), account, at=NOON).is_signed
    for given in (wrong, {}):
        with pytest.raises(NotGenuine):
            PROVIDER.verify(posted(b"x", **given), account, at=NOON)


def test_a_signature_says_nothing_of_the_query_so_nothing_is_read_there_H01() -> None:
    account = told(**{**FORM, "secret_by": "hmac", "secret_name": "X-S", "reads": "form", "id_at": "?id"})
    [said] = PROVIDER.parse(posted(b"from=%2B4930111&text=Hi", query="text=Forged&id=9"), account)
    assert isinstance(said, Said)
    assert said.message.text == "Hi"
    assert said.message.external_id != "9"
    with pytest.raises(NotGenuine):
        PROVIDER.verify(posted(b"", query="from=1"), replace(account, receiving=("k", "")), at=NOON)
    assert PROVIDER.trouble_with(told(**{**FORM, "secret_by": "hmac", "secret_name": "X-S", "takes_get": "yes"}))


@pytest.mark.django_db
def test_a_message_by_get_is_taken_only_where_the_account_says_so_and_with_its_secret_W02() -> None:
    account = account_of(EXAMPLE, own_id="", settings=FORM)
    query = urlencode({"from": "+4930111222", "text": "Hello", "secret": EXAMPLE.secret})
    with time_machine.travel(NOON, tick=False):
        assert post(account, Sent(query=query, method="GET")).status_code == 200
        assert not RawItem.objects.exists()
        ChannelAccount.objects.update(settings={**FORM, "takes_get": "yes"})
        channel_accounts.forget()
        assert Client().get(f"/hooks/channel/{account.public_id}/?from=1&text=x").status_code == 401
        assert not RawItem.objects.exists()
        assert post(account, Sent(query=query, method="GET")).status_code == 200
    assert Interaction.objects.get().text == "Hello"
    assert EXAMPLE.secret not in json.dumps(list(RawItem.objects.values("facts", "external_id", "label")))
    assert "secret" not in RawItem.objects.get().facts["query"]


@pytest.mark.django_db
def test_the_same_words_without_an_id_are_one_within_the_hour_and_two_a_month_later() -> None:
    account = account_of(EXAMPLE, own_id="", settings=FORM)
    sent = Sent(b"from=%2B4930111222&text=Yes", TYPE, urlencode({"secret": EXAMPLE.secret}))
    for moment in (NOON, NOON + timedelta(minutes=5), NOON + timedelta(days=30)):
        with time_machine.travel(moment, tick=False):
            assert post(account, sent).status_code == 200
    assert Interaction.objects.count() == 2


@pytest.mark.django_db
def test_what_is_not_as_told_is_parked_and_read_once_the_account_is_set_right() -> None:
    from crm.actions import channel_hooks

    account = account_of(EXAMPLE, own_id="", settings={**FORM, "text_at": "body"})
    with time_machine.travel(NOON, tick=False):
        post(account, Sent(b"from=%2B4930111222&text=Yes", TYPE, urlencode({"secret": EXAMPLE.secret})))
        raw = RawItem.objects.get()
        assert (raw.state, raw.reason.partition(":")[0]) == (WorkState.PARKED, "event_not_readable")
        ChannelAccount.objects.update(settings=FORM)
        channel_hooks.try_again(raw.pk)
        assert channel_hooks.apply_batch(at=NOON) == 1
    assert Interaction.objects.get().text == "Yes"


@pytest.mark.django_db
def test_what_the_gateway_wants_to_hear_is_answered() -> None:
    settings = {**FORM, "answer_text": "ACK/Jasmin", "answer_type": "application/json"}
    account = account_of(EXAMPLE, own_id="", settings=settings)
    with time_machine.travel(NOON, tick=False):
        answer = post(account, Sent(b"from=%2B4930111222&text=Yes", TYPE, urlencode({"secret": EXAMPLE.secret})))
    assert (answer.content, answer["Content-Type"]) == (b"ACK/Jasmin", "application/json; charset=utf-8")
    assert answer["X-Content-Type-Options"] == "nosniff"


# --- what may be typed in ------------------------------------------------------------------------------------------------------

SENDING = {**FORM, "send_url": "https://api.gateway.example/send", "send_body": "to={to}\ntext={text}"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_name": "key"}, {"secret_by": "header", "secret_name": ""}, {"sender_at": "a..b"}, {"text_at": "a[b"},
        {"time_zone": "Mars/Base"}, {"time_written": "soon"}, {"status_words": "arrived: 1"}, {"status_words": "delivered"},
        {"kind_at": "type"}, {"file_url": "https://{file}.example/"}, {"file_url": "https://u@gateway.example/{file}"},
        {"longest": "many"}, {"send_url": "ftp://x"}, {"send_url": "https://{to}.example/"}, {"send_body": "to={to}"},
        {"send_body": "to={to}\ntext={text}\nx={secret}"}, {"send_written": "json"}, {"send_header": "X-A\nX-B"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_it_is_kept(wrong: dict[str, str]) -> None:
    assert not PROVIDER.trouble_with(told(**SENDING))
    assert PROVIDER.trouble_with(told(**{**SENDING, **wrong}))


# --- how an answer leaves -----------------------------------------------------------------------------------------------------

NASTY = 'Hi "you"}, &to=+49666\r\nBcc: x {credential} {to}'


def composed(text: str = NASTY, **settings: str) -> Any:
    account = replace(told(**{**SENDING, **settings}), sending="user:pass word", own_id="+4930555")
    return PROVIDER.compose(Outgoing("k" * 36, "+4930111222", text, NOON), account)


def test_no_word_of_a_message_becomes_a_field_or_an_address() -> None:
    fields = parse_qs(composed().body.decode())
    assert (fields["to"], fields["text"]) == (["+4930111222"], [NASTY])
    template = '{"messages": [{"to": "{to_digits}", "text": "{text}", "ref": "{key}"}]}'
    request = composed(send_written="json", send_body=template)
    assert json.loads(request.body) == {"messages": [{"to": "4930111222", "text": NASTY, "ref": "k" * 36}]}
    request = composed(
        send_written="query", send_url="https://api.gateway.example/{to}/send?v=1", send_body="text={text}"
    )
    assert (request.method, request.body, urlsplit(request.url).path) == ("GET", b"", "/%2B4930111222/send")
    assert parse_qs(urlsplit(request.url).query) == {"v": ["1"], "text": [NASTY]}
    assert parse_qs(composed("Zażółć", send_body="t={text_hex}").body.decode())["t"] == ["005A0061017C00F301420107"]


def test_the_credential_stands_where_the_account_says_and_in_nothing_that_is_printed_O04() -> None:
    request = composed(send_header="Authorization", send_header_value="Basic {basic}")
    assert request.headers["Authorization"] == basic("user:pass word")
    request = composed(send_body="password={credential}\ntext={text}")
    assert parse_qs(request.body.decode())["password"] == ["user:pass word"]
    assert "pass" not in repr(request)
    with pytest.raises(NotGiven) as refusal:
        PROVIDER.compose(
            Outgoing("k", "+49301", "Hi", NOON), replace(told(**SENDING, send_header_value="{basic}"), sending="")
        )
    assert "pass" not in str(refusal.value)


@pytest.mark.parametrize(
    ("body", "outcome", "identity"),
    [
        (b"OK: 17", Outcome.ACCEPTED, "17"),
        (b"BUSY", Outcome.TRY_LATER, ""),
        (b"ERR 5", Outcome.REFUSED, ""),
        (b"huh", Outcome.UNKNOWN, ""),
        (b"", Outcome.UNKNOWN, ""),
    ],
)
def test_a_gateways_own_words_say_what_came_of_it(body: bytes, outcome: Outcome, identity: str) -> None:
    account = told(
        **SENDING, sent_reads="text", sent_status_at="word.0", sent_id_at="word.1", sent_good="OK", sent_bad="ERR",
        sent_later="BUSY",
    )  # fmt: skip
    handed = PROVIDER.read_answer(HttpAnswer(200, {}, body), account)
    assert (handed.outcome, handed.provider_id) == (outcome, identity)


def test_the_credential_goes_along_to_the_accounts_own_address_of_files_alone_O01() -> None:
    account = replace(
        told(**FORM, file_url="https://gw.example/media/{file}", send_header="Authorization", send_header_value="Key {credential}"),
        sending="hidden",
    )  # fmt: skip
    assert PROVIDER.media_request(Media("https://gw.example/media/7"), account).headers == {
        "Authorization": "Key hidden"
    }
    for elsewhere in ("https://gw.example.evil.example/media/7", "https://evil.example/?https://gw.example/media/7"):
        assert not PROVIDER.media_request(Media(elsewhere), account).headers
    with pytest.raises(NotGiven):
        PROVIDER.media_request(Media("file:///etc/passwd"), account)
    body = json.dumps({"from": "+4930111", "text": "", "pic": "../../x?y"}).encode()
    [said] = parsed(body, **{**FORM, "reads": "json", "files_at": "pic", "file_url": "https://gw.example/media/{file}"})
    assert said.media[0].reference == "https://gw.example/media/..%2F..%2Fx%3Fy"


@pytest.mark.parametrize(
    ("stated", "written", "hour"),
    [
        ("2026-03-02T12:00:00+01:00", "iso", 11), ("1772449200", "seconds", 11), ("1772449200000", "milliseconds", 11),
        ("Mon, 2 Mar 2026 12:00:00 +0100", "rfc2822", 11), ("02.03.2026 12:00", "%d.%m.%Y %H:%M", 11),
    ],
)  # fmt: skip
def test_times_are_read_as_they_are_written(stated: str, written: str, hour: int) -> None:
    assert gateway_texts.moment(stated, written=written, zone="Europe/Berlin") == datetime(2026, 3, 2, hour, tzinfo=UTC)
    for nonsense in ("soon", "9" * 30, "2026-03-02", "nan", "-1e400"):
        with pytest.raises(Unreadable):
            gateway_texts.moment(nonsense, written=written if "%" not in written else "%d", zone="")
