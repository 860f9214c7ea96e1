"""Real posts of Meta's, gathered by another program's tests: each gives what is stated there, through the whole door."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils.dateparse import parse_datetime

from crm.actions import channel_accounts
from crm.actions.channel_raw import post_of
from crm.channels.provided import by_name
from crm.channels.providers import DeliveryReport
from crm.models import AwaitedFile, ChannelAccount, Interaction, RawItem
from tests.crm.channels.meta import signed_bytes
from tests.crm.channels.provided import EXAMPLES, Example, Sent, account_of, post

pytestmark = pytest.mark.django_db
FILES = {
    "meta_whatsapp_cloud": ("whatsapp_cloud", 15),
    "dialog360": ("whatsapp_cloud", 14),  # the same posts, handed on by somebody else
    "meta_messenger": ("messenger", 14),
    "facebook_legacy": ("messenger", 13),
    "meta_instagram": ("instagram", 10),
}
OWN_ID = {"facebook_legacy": "1234"}
ARRIVALS = {"Failed": "failed", "Delivered": "delivered", "Sent": "sent", "Read": "read"}
WORDS = {"facebook_legacy": "mysecret"}
FLOW = "Receive Valid Interactive Flow Reply Message"


def lines(outside_data: Path, name: str) -> list[dict[str, Any]]:
    text = (outside_data / f"webhooks/courier/{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def played(line: dict[str, Any], example: Example) -> Sent:
    """The post, signed as the line wants it; those of programs that check nothing are signed too."""
    if line["format"] == "none":
        return Sent(query=line["query"] or "", method="GET")
    wanted = (line["expect"].get("PrepRequest") or {}).get("__ident", "addValidSignature")
    secret = example.secret if wanted == "addValidSignature" else "somebody else's"
    return Sent(*signed_bytes(line["payload"].encode(), secret=secret))


def test_every_line_of_each_file_is_played(outside_data: Path) -> None:
    assert {name: len(lines(outside_data, name)) for name in FILES} == {
        name: count for name, (_p, count) in FILES.items()
    }


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, (_provider, count) in FILES.items() for number in range(count)]
)
def test_every_line_gives_what_it_states(name: str, number: int, outside_data: Path) -> None:
    line, example = lines(outside_data, name)[number], EXAMPLES[FILES[name][0]]
    expect, own_id = line["expect"], OWN_ID.get(name, "1234567890")
    account = account_of(
        example, own_id=own_id, settings={**example.settings, "verify_token": WORDS.get(name, "fb_webhook_secret")}
    )
    stated = (
        parse_datetime(expect["ExpectedDate"]) if "ExpectedDate" in expect else parse_datetime("2026-03-02T12:00:00Z")
    )
    assert stated is not None
    sent = played(line, example)
    with time_machine.travel(stated, tick=False):
        answer = post(account, sent)
    if line["format"] == "none":
        _is_answered(line, answer)
    elif sent.headers != signed_bytes(sent.body, secret=example.secret)[1]:
        assert answer.status_code == 401
        assert not RawItem.objects.exists()
    else:
        assert answer.status_code == 200
        _gives(line, account, stated)


def _is_answered(line: dict[str, Any], answer: Any) -> None:
    """The question whether the address is ours: answered for our word, refused for every other."""
    is_ours = line["case"] == "Valid Secret"
    assert answer.status_code == (200 if is_ours else 401)
    assert (b"yarchallenge" in answer.content) == is_ours
    assert not RawItem.objects.exists()


def _gives(line: dict[str, Any], account: ChannelAccount, stated: Any) -> None:
    expect, raw = line["expect"], RawItem.objects.get()
    if "ExpectedURN" in expect:
        said = Interaction.objects.select_related("contact_point").get()
        network, _colon, person = expect["ExpectedURN"].partition(":")
        assert said.contact_point is not None
        assert said.contact_point.address == f"{network}:{person}"
        assert (said.external_id, said.spoke_at) == (expect["ExpectedExternalID"], stated)
        attached = expect.get("ExpectedAttachments", [])
        places = [one for one in attached if one.startswith("geo:")]
        assert said.text == "\n".join(filter(None, [expect["ExpectedMsgText"], *places]))
        if line["case"] == FLOW:
            assert "first_name: Bob" in said.full_text
        if "ExpectedContactName" in expect:
            assert _read(raw, account)[0].message.sender_name == expect["ExpectedContactName"]
        assert [_same_file(one) for one in AwaitedFile.objects.order_by("pk").values_list("reference", flat=True)] == [
            _same_file(one) for one in attached if not one.startswith("geo:")
        ]
        return
    told = re.search(r"ExternalID: \"([^\"]+)\", Status: models.MsgStatus(\w+)", _raw(expect.get("ExpectedStatuses")))
    if told is not None:
        [report] = _read(raw, account)
        assert isinstance(report, DeliveryReport)
        assert (report.provider_id, report.arrival) == (told[1], ARRIVALS[told[2]])
        if "ExpectedErrors" in expect:
            assert report.reason.removeprefix("Meta's error ").split(": ")[0] in _raw(expect["ExpectedErrors"])
    elif "131051" in _raw(expect.get("ExpectedErrors")):
        assert Interaction.objects.get().text == ""  # they said something; nobody can read it, and somebody asks
        return
    elif "ExpectedErrors" in expect:
        assert raw.reason.rpartition(" ")[2] in _raw(expect["ExpectedErrors"])
    assert not Interaction.objects.exists()


def _raw(stated: Any) -> str:
    return (stated or {}).get("__raw", "")


def _read(raw: RawItem, account: ChannelAccount) -> list[Any]:
    described = channel_accounts.described(account)
    return list(by_name(account.provider).parse(post_of(raw, described), described))


def _same_file(reference: str) -> str:
    """Files of WhatsApp are named by an id; that program has asked for their address already, of its own double."""
    return reference.rpartition("attachmentURL_")[2].rpartition("mid=")[2].lower().removeprefix("id_")
