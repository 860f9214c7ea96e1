"""Response coverage as page and file: what is counted, what is refused, and that real history gives the known figures."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from crm.actions import desk, judgements, listening_places
from crm.channels import Channel
from crm.channels.threads import percentile
from crm.models import ListeningGap, PublicPost, Source, SourceGap
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_deliveries import accepted
from tests.crm.actions.test_judgements import again, none, posted
from tests.crm.stories import colleague
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}


def file_of(client: Client, **asked: str) -> dict[tuple[str, str, str], dict[str, str]]:
    answer = client.get("/admin/coverage.csv", {**MARCH, **asked})
    assert answer["Content-Type"].startswith("text/csv")
    rows = csv.DictReader(io.StringIO(answer.content.decode()))
    return {(row["by"], row["value"], row["hour"]): row for row in rows}


def table_of(client: Client, **asked: str) -> dict[str, list[str]]:
    """The rows of the page's table as somebody reads them, by their heading."""
    page = client.get("/admin/coverage/", {**MARCH, **asked}).content.decode()
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    plain = [
        [
            " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", cell, flags=re.S).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)
        ]
        for row in body.split("</tr>")
    ]
    return {cells[0]: cells[1:] for cells in plain if len(cells) > 1}


@pytest.fixture
def client() -> Client:
    return client_of(colleague(Role.AUDITOR))


def test_answered_of_what_needed_an_answer_by_channel_hour_language_and_account_N8(client: Client):
    ada = colleague()
    told = posted()
    accepted(desk.answer(told.conversation_id, text="Done.", by=ada, at=NOON), at=NOON + timedelta(minutes=10))
    posted(language="de")
    posted(channel=Channel.REVIEW, source="reviews:shop", at=NOON + timedelta(hours=1))
    none(posted(), by=ada)
    rows = file_of(client)
    everything = rows["all", "", ""]
    assert {name: everything[name] for name in ("posts", "judged_not_answerable", "answerable", "answered")} == {
        "posts": "4", "judged_not_answerable": "1", "answerable": "3", "answered": "1",
    }  # fmt: skip
    assert (everything["coverage"], everything["unanswered"], everything["unjudged"]) == ("0.3333", "2", "2")
    assert everything["first_response_half_within_minutes"] == "10.00"
    assert rows["channel", "social_public", ""]["coverage"] == "0.5000"
    assert rows["channel", "review", ""]["coverage"] == "0.0000"
    assert rows["language", "de", ""]["coverage"] == "0.0000"
    assert rows["account", "reviews:shop", ""]["answerable"] == "1"
    assert rows["hour", "13", ""]["answerable"] == "2"  # twelve in UTC is one o'clock in Berlin's winter
    assert rows["channel_and_hour", "review", "14"]["answerable"] == "1"
    assert sum(int(row["posts"]) for (by, _v, _h), row in rows.items() if by == "channel_and_hour") == 4


def test_what_nobody_has_judged_counts_as_needing_an_answer_and_praise_too_R093(client: Client):
    posted("I love this shop!")
    assert file_of(client)["all", "", ""]["answerable"] == "1"
    assert "nobody has judged 1" in client.get("/admin/coverage/", MARCH).content.decode()


def test_what_came_after_the_first_post_counts_where_every_post_is_asked_for(client: Client):
    post = posted()
    again(post, at=NOON + timedelta(hours=1))
    assert file_of(client)["all", "", ""]["answerable"] == "1"
    assert file_of(client, count="every")["all", "", ""]["answerable"] == "2"


def test_a_post_whose_time_is_not_up_counts_nowhere_yet(client: Client):
    PublicPost.objects.filter(pk=posted().pk).update(due_at=datetime(2100, 1, 1, tzinfo=UTC))
    row = file_of(client)["all", "", ""]
    assert (row["posts"], row["still_in_time"], row["answerable"], row["coverage"]) == ("1", "1", "0", "")


def test_days_are_those_of_the_shop_and_both_ends_count(client: Client):
    posted(at=datetime(2026, 3, 1, 22, 59, tzinfo=UTC))  # one minute before midnight in Berlin
    posted(at=datetime(2026, 3, 1, 23, 0, tzinfo=UTC))
    for day, posts in (("2026-03-01", "1"), ("2026-03-02", "1"), ("2026-03-03", "0")):
        assert file_of(client, **{"from": day, "to": day})["all", "", ""]["posts"] == posts


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "yesterday"}, {"to": "2026-13-01"}, {"from": "2026-03-02", "to": "2026-03-01"}, {"to": "9999-12-31"},
        {"from": "2026-03-01\x00"},
    ],
)  # fmt: skip
def test_a_period_that_cannot_be_read_is_refused_in_words(client: Client, asked: dict[str, str]):
    page = client.get("/admin/coverage/", asked)
    assert page.status_code == 400
    assert "The last 90 days are shown" in page.content.decode()
    file = client.get("/admin/coverage.csv", asked)
    assert (file.status_code, file.content.decode().partition(":")[0]) == (400, "unreadable_period")


def test_other_words_in_the_address_change_nothing(client: Client):
    assert client.get("/admin/coverage/?by=followers&origin=x&count=x").context["asked"].by == "channel"


def test_a_name_is_no_formula_in_a_spreadsheet(client: Client):
    posted(source="=cmd()")
    assert ("account", "'=cmd()", "") in file_of(client)


def test_second_looks_stand_beside_it_N8(client: Client):
    ada, eve = colleague(), colleague(name="Eve")
    judgement = none(posted(), by=ada)
    judgements.sample(NOON + timedelta(hours=1))
    judgements.audit(judgement.pk, found=judgements.SecondLook.WRONG, by=eve, at=NOON + timedelta(hours=2))
    assert (
        "1 were looked at again in this time and 1 were wrong" in client.get("/admin/coverage/", MARCH).content.decode()
    )


def test_an_outage_stands_beside_the_shares_it_may_have_hidden_and_moves_none_R027_R045_N8(client: Client):
    ada = colleague(Role.LEAD)
    told = posted()
    accepted(
        desk.answer(told.conversation_id, text="We do.", by=ada, at=NOON + timedelta(hours=1)),
        at=NOON + timedelta(hours=1),
    )
    before = file_of(client)

    place = listening_places.add(
        listening_places.Draft(name="Guitar forum", channel=Channel.SOCIAL_PUBLIC.value), by=ada, at=NOON
    )
    ListeningGap.objects.create(place=place, began_at=NOON + timedelta(days=1), seen_at=NOON + timedelta(days=1))
    for name, channel in (("hook:square", Channel.SOCIAL_PUBLIC), ("hook:texts", Channel.SMS)):
        source = Source.objects.create(name=name, channel=channel)
        for day, hours in ((0, 5), (-60, 1)):
            began = NOON + timedelta(days=day)
            SourceGap.objects.create(
                source=source, began_at=began, ended_at=began + timedelta(hours=hours), because="failing", seen_at=began
            )

    page = client.get("/admin/coverage/", MARCH).content.decode()
    listed = " ".join(re.sub(r"<[^>]+>", " ", page[page.index('id="unheard"') :]).split())
    assert "hook:square Social media, public Mon 2 Mar, 13:00 Mon 2 Mar, 18:00 5 h what comes fails" in listed
    assert listed.count("hook:square") == 1  # the other one was in January
    assert "Guitar forum Social media, public Tue 3 Mar, 13:00 still" in listed
    assert "hook:texts" not in listed  # not said in public
    assert file_of(client) == before
    assert (
        "There was none" in client.get("/admin/coverage/", {"from": "2026-01-20", "to": "2026-01-31"}).content.decode()
    )


def test_nothing_said_is_said(client: Client):
    page = client.get("/admin/coverage/").content.decode()
    assert "Nothing was said in public in this time" in page


def test_real_history_gives_the_figures_computed_without_the_product(client: Client, outside_data: Path):
    path = outside_data / "social" / "twcs_shared.csv"
    expected: dict[str, Any] = json.loads((outside_data / "expected.json").read_text())["twcs"]
    out = io.StringIO()
    call_command("import_threads", str(path), "--json", stdout=out)
    figures = json.loads(out.getvalue())
    days = {"from": "2000-01-01", "to": "2026-01-01"}
    rows, table = file_of(client, **days), table_of(client, by="account", **days)
    for company, right in expected["companies_frt"].items():
        row = rows["account", company, ""]
        assert int(row["answerable"]) == right["opening_tweets"]
        assert int(row["answered"]) == right["answered"]
        assert int(row["unanswered"]) == right["no_reply_in_sample"]
        assert float(row["first_response_half_within_minutes"]) == right["frt_median_min"]
        assert float(row["first_response_nine_of_ten_within_minutes"]) == right["frt_p90_min"]
        shown = table[company]
        assert (int(shown[2]), int(shown[3]), int(shown[4])) == (
            right["answered"], right["opening_tweets"], right["no_reply_in_sample"],
        )  # fmt: skip
        assert (float(shown[8]), float(shown[9])) == (right["frt_median_min"], right["frt_p90_min"])
        assert row["coverage"] == f"{right['answered'] / right['opening_tweets']:.4f}"
    answered = [right for right in figures["per_company"].values() if right["answered"]]
    assert int(rows["all", "", ""]["answered"]) == sum(right["answered"] for right in answered)
    waits = sorted(
        (post.answered_at - post.spoke_at).total_seconds() / 60
        for post in PublicPost.objects.filter(is_first=True, answered_at__isnull=False)
    )
    assert float(rows["all", "", ""]["first_response_half_within_minutes"]) == round(percentile(waits, 0.5), 2)
    every = file_of(client, count="every", **days)["all", "", ""]
    assert int(every["posts"]) == expected["inbound"]
    before = rows["all", "", ""]
    call_command("import_threads", str(path), "--json", stdout=io.StringIO())
    assert file_of(client, **days)["all", "", ""] == before
