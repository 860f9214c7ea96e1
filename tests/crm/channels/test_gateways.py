"""Requests of some forty gateways, gathered by another program's tests, through the one configurable door: rows and no code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import transaction

from crm.actions import channel_raw
from crm.channels.provided.sms_gateway import PROVIDER
from crm.channels.providers import Account, DeliveryReport, Post, Said
from crm.models import AwaitedFile, ChannelAccount, Interaction, RawItem
from tests.conftest import NOON
from tests.crm.channels.gateway_rows import ROWS
from tests.crm.channels.provided import EXAMPLES, Sent, account_of, described, post

pytestmark = pytest.mark.django_db
EXAMPLE = EXAMPLES["sms_gateway"]
NAMED = {"twiml", "telegram", "meta_messenger", "meta_instagram", "meta_whatsapp_cloud", "facebook_legacy"}
"""Providers with a file of their own."""
OF_CHAT = {
    "dialog360", "firebase", "freshchat", "jiochat", "line", "rocketchat", "slack", "turn", "viber", "vk", "wechat", "zenvia",
    "whatsapp_legacy",
}  # fmt: skip
"""Not gateways of text messages, but services of chat; read all the same."""
ARRIVALS = {
    "Failed": "failed",
    "Delivered": "delivered",
    "Sent": "sent",
    "Wired": "sent",
    "Errored": "failed",
    "Read": "read",
}


TAKEN_HERE = {
    "line | Invalid URN": "who writes there may be called anything",
    "dialog360 | Receive Invalid FROM": "who writes there may be called anything",
    "mtarget | Receive Part 2": "a part of a long message is taken by itself, so that none is lost",
}
"""Refused or put aside by that program, taken as a message here."""


def lines(outside_data: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted((outside_data / "webhooks/courier").glob("*.jsonl")):
        if file.stem not in NAMED:
            found += [json.loads(line) for line in file.read_text().splitlines()]
    return found


def states_a_message(line: dict[str, Any]) -> bool:
    return bool({"ExpectedMsgText", "ExpectedURN"} & set(line["expect"]))


def account_for(gateway: str) -> ChannelAccount:
    row = ROWS[gateway]
    return account_of(
        EXAMPLE,
        own_id=row["own_id"] or f"of {gateway}" * (not row["settings"].get("to_at")),
        settings=row["settings"],
        name=gateway,
        channel="chat" if gateway in OF_CHAT else "sms",
    )


def told_of(account: ChannelAccount) -> Account:
    return replace(described(EXAMPLE), settings=account.settings, own_id=account.own_id)


def played(line: dict[str, Any], settings: dict[str, str]) -> Sent:
    """The request with the secret as the row says, and none or a wrong one where the line wants that."""
    body = (line["payload"] or "").encode()
    query = line["query"] or ""
    query = query if isinstance(query, str) else urlencode(query)
    stated = json.dumps(line["expect"].get("PrepRequest") or {}) + str(line["expect"].get("Headers", ""))
    is_missing = "issing" in line["case"] and ("ignature" in line["case"] or "Authorization" in line["case"])
    secret = "another" if "Invalid" in stated else EXAMPLE.secret
    headers = {"Content-Type": "application/x-www-form-urlencoded" if line["format"] == "form" else "application/json"}
    if is_missing:
        return Sent(body, headers, query)
    if settings["secret_by"] == "hmac":
        mark = hmac.new(secret.encode(), body, hashlib.sha256)
        written = base64.b64encode(mark.digest()).decode() if settings.get("hmac_written") else mark.hexdigest()
        headers[settings["secret_name"]] = written
    elif settings["secret_by"] == "header":
        headers[settings["secret_name"]] = settings.get("secret_before", "") + secret
    else:
        query = f"{query}&secret={secret.replace(' ', '+')}"
    return Sent(body, headers, query, "GET" if line["format"] == "none" else "POST")


def difference(line: dict[str, Any], account: ChannelAccount, sent: Sent) -> str:
    """What of a stated message is not as stated; "" when all of it is."""
    expect = line["expect"]
    said = Interaction.objects.filter(source=account.source).order_by("id").first()
    if said is None:
        return f"no interaction: {RawItem.objects.filter(source=account.source).values_list('kind', 'reason').first()}"
    if "uplicate" in line["case"] and Interaction.objects.filter(source=account.source).count() != 1:
        return "not one interaction"
    found, wanted = said.text, expect.get("ExpectedMsgText", "")
    if found != wanted:
        return f"words {found!r}, not {wanted!r}"
    address = said.contact_point.address.lstrip("+")
    stated = expect["ExpectedURN"]
    if address not in (stated.removeprefix("tel:").lstrip("+"), stated.partition("#")[0]):
        return f"sender {address}, not {stated}"
    if expect.get("ExpectedExternalID", said.external_id) != said.external_id:
        return f"id {said.external_id}, not {expect['ExpectedExternalID']}"
    files = list(AwaitedFile.objects.filter(account=account).order_by("id").values_list("reference", flat=True))
    files = [one.replace("https://channels.jiochat.example/media?media_id=12", "made by that program") for one in files]
    wished = [one if isinstance(one, str) else "made by that program" for one in expect.get("ExpectedAttachments", [])]
    if files != [one.removeprefix("image/jpeg:") for one in wished]:
        return f"files {files}, not {wished}"
    return difference_as_read(expect, account, sent)


def difference_as_read(expect: dict[str, Any], account: ChannelAccount, sent: Sent) -> str:
    """Time and name as they were read: a time that nobody signed, or of years ago, is not believed."""
    stated = expect.get("ExpectedDate")
    first = PROVIDER.parse(Post(sent.method, "", sent.query, {}, sent.body, NOON), told_of(account))[0]
    assert isinstance(first, Said)
    found = first.message
    if expect.get("ExpectedContactName", found.sender_name) != found.sender_name:
        return f"name {found.sender_name}, not {expect['ExpectedContactName']}"
    if not isinstance(stated, str) or "-00-" in stated:  # two of them have minutes where a month should stand
        return ""
    if found.spoke_at is None or abs(found.spoke_at - datetime.fromisoformat(stated)).total_seconds() > 0.001:
        return f"time {found.spoke_at}, not {stated}"
    return ""


@contextmanager
def alone() -> Iterator[None]:
    """Each request meets an empty database, as the tests that it was taken from mean it."""
    mark = transaction.savepoint()
    try:
        with time_machine.travel(NOON, tick=False):
            yield
    finally:
        transaction.savepoint_rollback(mark)


def test_at_least_four_fifths_of_the_gateways_messages_are_read_by_rows(
    outside_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right: Counter[str] = Counter()
    stated: Counter[str] = Counter()
    wrong: list[str] = []
    for line in filter(states_a_message, lines(outside_data)):
        gateway = line["provider"]
        of = "of chat services" if gateway in OF_CHAT else "of SMS gateways"
        kinds = ["all", of, *([] if line["expect"].get("ExpectedAttachments") else [f"{of}, words alone"])]
        stated.update(kinds)
        with alone():
            account = account_for(gateway)
            sent = played(line, account.settings)
            assert post(account, sent).status_code == 200, line
            trouble = difference(line, account, sent)
        if trouble:
            wrong.append(f"{gateway} | {line['case']}: {trouble}")
        else:
            right.update(kinds)
    with capsys.disabled():
        print()
        for kind in sorted(stated):
            print(f"{kind}: {right[kind]} of {stated[kind]} ({right[kind] / stated[kind]:.0%})")
        print("\n".join(wrong))
    assert all(right[kind] >= 0.8 * stated[kind] for kind in stated)


def test_what_is_no_message_to_us_makes_none_and_is_kept_where_it_is_believed(
    outside_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Broken requests, senders that are none, reports, other numbers, and such without their secret or with a wrong one."""
    made: list[str] = []
    reports: Counter[str] = Counter()
    for line in (one for one in lines(outside_data) if not states_a_message(one) and one["provider"] in ROWS):
        with alone():
            account = account_for(line["provider"])
            status = post(account, played(line, account.settings)).status_code
            if Interaction.objects.exists():
                made.append(f"{line['provider']} | {line['case']}: {line['expect'].get('ExpectedBodyContains')}")
            assert status == 200 or not RawItem.objects.exists()
            believed = "ignature" not in line["case"] and "Authorization" not in line["case"]
            assert status == (200 if believed else 401), line
            wanted = line["expect"].get("ExpectedStatuses")
            if wanted:
                told = RawItem.objects.get()
                named = re.findall(r'ExternalID: "([^"]+)"', wanted["__raw"])
                states = re.findall(r"MsgStatus(\w+)", wanted["__raw"])
                seen = PROVIDER.parse(channel_raw.post_of(told, described(EXAMPLE)), told_of(account))
                pairs = [(one.provider_id, one.arrival) for one in seen if isinstance(one, DeliveryReport)]
                is_right = pairs == [(name, ARRIVALS[state]) for name, state in zip(named, states, strict=True)]
                reports.update(["stated", *(["right"] if is_right else [])])
                if not is_right:
                    made.append(f"report {line['provider']} | {line['case']}: {pairs}, not {named} {states}")
    with capsys.disabled():
        print(f"\nreports: {reports['right']} of {reports['stated']}")
        print("\n".join(made))
    assert {one.partition(":")[0] for one in made if not one.startswith("report ")} <= set(TAKEN_HERE)
    assert reports["right"] >= 0.9 * reports["stated"]
