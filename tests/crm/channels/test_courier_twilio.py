"""Real posts of Twilio's, gathered by another program's tests: each gives what is stated there, through the whole door."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import time_machine

from crm.actions import channel_accounts
from crm.channels.provided import by_name
from crm.channels.providers import DeliveryReport
from crm.models import AwaitedFile, ChannelAccount, Interaction, RawItem
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, Sent, account_of, post, url_of
from tests.crm.channels.provided.twilio_sms import signed

pytestmark = pytest.mark.django_db
EXAMPLE = EXAMPLES["twilio_sms"]
ARRIVALS = {
    "Failed": "failed",
    "Read": "read",
    "Delivered": "delivered",
    "Sent": "sent",
    "Errored": "failed",
    "Wired": "sent",
}


def lines(outside_data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (outside_data / "webhooks/courier/twiml.jsonl").read_text().splitlines()]


def played(line: dict[str, Any], account: ChannelAccount) -> Sent:
    """The post with a signature as the line wants it: valid, wrong or none."""
    query, given = line["query"] or "", line["payload"]
    query = query if isinstance(query, str) else "&".join(f"{name}={value}" for name, value in query.items())
    form = (
        {name: values[0] for name, values in parse_qs(given, keep_blank_values=True).items()}
        if line["format"] == "form"
        else {}
    )
    wanted = (line["expect"].get("PrepRequest") or {}).get("__ident", "")
    made = signed(
        form, secret=EXAMPLE.secret if "Invalid" not in wanted else "another", url=url_of(account), query=query
    )
    headers = dict(made.headers) if wanted else {"Content-Type": made.headers["Content-Type"]}
    return Sent(given.encode() if line["format"] == "form" else b"", headers, query)


@pytest.mark.parametrize("number", range(34))
def test_every_line_gives_what_it_states(number: int, outside_data: Path) -> None:
    line = lines(outside_data)[number]
    expect, sid = line["expect"], parse_qs(line["payload"]).get("AccountSid", ["AC1"])[0]
    account = account_of(EXAMPLE, own_id="whatsapp:+12028831111" if "whatsapp" in line["payload"] else "")
    ChannelAccount.objects.update(settings={"account_sid": sid}, own_id="")
    account.refresh_from_db()
    with time_machine.travel(NOON, tick=False):
        answer = post(account, played(line, account))
    if not expect.get("PrepRequest") or "Invalid" in expect["PrepRequest"]["__ident"]:
        assert answer.status_code in (401, 403)
        assert not RawItem.objects.exists()
        return
    assert answer.status_code == 200
    if "ExpectedURN" in expect:
        said = Interaction.objects.get()
        scheme, _colon, path = expect["ExpectedURN"].partition(":")
        address = said.contact_point.address
        assert address.removeprefix("whatsapp:").lstrip("+") == path.lstrip("+"), scheme
        assert said.text == expect.get("ExpectedMsgText", "")
        assert said.external_id == expect["ExpectedExternalID"]
        files = list(AwaitedFile.objects.order_by("pk").values_list("reference", flat=True))
        assert files == expect.get("ExpectedAttachments", [])
        return
    assert not Interaction.objects.exists()
    told = expect.get("ExpectedStatuses", {}).get("__raw", "")
    if not told:
        assert RawItem.objects.get().kind == "unknown_event"
        return
    raw = RawItem.objects.get()
    from crm.actions.channel_raw import post_of

    described = channel_accounts.described(account)
    [report] = by_name("twilio_sms").parse(post_of(raw, described), described)
    assert isinstance(report, DeliveryReport)
    named = re.search(r"(ExternalID|MsgUUID): \"([^\"]+)\"", told)
    assert named is not None
    assert named[2] in (report.provider_id, report.key) or "uuid=" in (line["query"] or "")
    assert report.arrival == ARRIVALS[re.search(r"MsgStatus(\w+)", told)[1]]  # type: ignore[index]
