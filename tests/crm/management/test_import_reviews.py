"""`manage.py import_reviews`: exports of review sites by a table of columns (R014, X31)."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command

from crm.channels import review_files
from crm.models import ContactPoint, Conversation, Interaction, Promise, Publication, RawItem
from tests.conftest import NOON
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db

COLUMNS = """
site = "trust.example"
language = "en"
zone = "Europe/Berlin"
dates = ["%d.%m.%Y %H:%M"]
rated_out_of = 5

[columns]
id = "Review ID"
url = "Link"
author = "Reviewer"
rating = "Stars"
title = "Headline"
text = "Review"
date = "Published"
"""
HEAD = "Review ID,Link,Reviewer,Stars,Headline,Review,Published,Likes"


def row(
    number: int = 1,
    *,
    at: str = "2026-03-02T11:30:00+00:00",
    stars: str = "1",
    said: str = "The lamp broke.",
    by: str = "Jane",
) -> str:
    return f'{number},https://trust.example/r/{number},{by},{stars},Broken,"{said}",{at},4000'


def imported(
    tmp_path: Path, *rows: str, after: timedelta = timedelta(0), columns: str = COLUMNS, **options: Any
) -> dict[str, Any]:
    file, table = tmp_path / "reviews.csv", tmp_path / "columns.toml"
    file.write_text("\n".join([HEAD, *rows]), encoding="utf-8")
    table.write_text(columns, encoding="utf-8")
    out = StringIO()
    with time_machine.travel(NOON + after, tick=False):
        call_command("import_reviews", str(file), columns=table, stdout=out, **{"json": True, **options})
    return json.loads(out.getvalue())


def test_a_review_is_a_public_post_with_its_link_its_stars_and_its_promise_R014(tmp_path):
    colleague()
    imported(tmp_path)
    figures = imported(tmp_path, row(stars='"2,5"'), after=timedelta(minutes=20))
    assert (figures["news"], figures["counted"], figures["rejected"]) == (1, 0, {})
    said = Interaction.objects.select_related("conversation__owner").get()
    assert (said.channel, said.text, said.subject, said.language) == ("review", "The lamp broke.", "Broken", "en")
    assert said.contact_point.address == "trust.example/jane"
    assert said.conversation.owner is not None
    post = said.publication
    assert (post.url, post.site, post.rating, post.rated_out_of) == (
        "https://trust.example/r/1", "trust.example", Decimal("2.50"), Decimal("5.00"),
    )  # fmt: skip
    assert Promise.objects.get().starts_at == said.spoke_at == NOON  # our last look was at noon, and it was not there


def test_since_the_last_export_reviews_are_news_and_older_ones_are_counted(tmp_path):
    first = imported(tmp_path, row(1, at="01.01.2026 10:00"), row(2, at="02.03.2026 11:00"))
    assert (first["news"], first["counted"]) == (1, 1)
    later = imported(tmp_path, row(1), row(2), row(3, at="04.03.2026 09:30"), after=timedelta(days=2))
    assert (later["news"], later["known"]) == (1, 2)
    newest = Conversation.objects.latest("id")
    assert newest.spoke_at.isoformat() == "2026-03-04T08:30:00+00:00"
    old = Conversation.objects.get(imported=True)
    assert (old.state, Promise.objects.filter(conversation=old).exists()) == ("closed", False)
    assert Publication.objects.count() == 3


def test_the_reach_of_a_review_has_no_place_with_us_R075_R152(tmp_path):
    imported(tmp_path, row())
    stored = " ".join(
        str(value) for model in (Interaction, Publication, ContactPoint) for value in model.objects.values_list()
    )
    assert "4000" not in stored


BROKEN = {
    "wrong_columns": row(9) + ",more",
    "no_id": ",,Jane,1,Broken,It broke.,2026-03-02T11:30:00,",
    "duplicate_id": row(1),
    "no_author": row(3, by=""),
    "no_words": row(4, said="").replace("Broken", ""),
    "unreadable_date": row(5, at="yesterday"),
    "future": row(6, at="2027-01-01T00:00:00"),
    "unreadable_rating": row(7, stars="six"),
    "too_long": row(8, said="x" * 100_001),
}


def test_every_row_that_cannot_be_is_refused_with_its_reason_and_stops_no_other(tmp_path):
    figures = imported(tmp_path, row(1), *BROKEN.values(), row(2, by="Joe"))
    assert figures["rejected"] == dict.fromkeys(BROKEN, 1)
    assert set(BROKEN) == set(review_files.REASONS)
    assert figures["news"] == 2
    assert RawItem.objects.filter(kind="review_row").count() == len(BROKEN)
    assert (tmp_path / "reviews.errors.csv").exists()


def test_a_dry_run_writes_nothing(tmp_path):
    assert imported(tmp_path, row(1), "x", dry_run=True)["news"] == 1
    assert not Interaction.objects.exists()
    assert not RawItem.objects.exists()
    assert imported(tmp_path, row(1), history=True)["counted"] == 1


def test_a_mere_day_is_its_end_or_now(tmp_path):
    imported(tmp_path, after=timedelta(days=-3))
    imported(tmp_path, row(1, at="2026-03-01"), row(2, at="2026-03-02"))
    assert [one.published_at.isoformat() for one in Publication.objects.order_by("published_at")] == [
        "2026-03-01T22:59:00+00:00",
        "2026-03-02T12:00:00+00:00",
    ]


def test_a_link_that_is_none_and_words_that_act_are_only_words(tmp_path):
    imported(
        tmp_path, row(1, said="<script>alert(1)</script>").replace("https://trust.example/r/1", "javascript:alert(2)")
    )
    assert Publication.objects.get().url == ""
    assert Interaction.objects.get().html == ""


@pytest.mark.parametrize(
    "columns",
    [
        "not toml [",
        "site = 'x'",
        COLUMNS.replace('author = "Reviewer"', ""),
        COLUMNS.replace('id = "Review ID"\nurl = "Link"\n', ""),
        COLUMNS.replace("Review ID", "Nothing of the kind"),
        COLUMNS.replace("Europe/Berlin", "Mars/Olympus"),
        COLUMNS.replace("rated_out_of = 5", "rated_out_of = 0"),
        COLUMNS.replace("rated_out_of = 5", 'followers = "F"'),
        COLUMNS + 'reach = "Likes"\n',
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_anything_is_read(tmp_path, columns):
    with pytest.raises(CommandError, match="is not imported"):
        imported(tmp_path, row(), columns=columns)
    assert not Interaction.objects.exists()


def test_people_read_what_happened(tmp_path):
    (tmp_path / "c.toml").write_text(COLUMNS)
    (tmp_path / "r.csv").write_text(HEAD + "\n" + row() + "\n")
    out = StringIO()
    with time_machine.travel(NOON, tick=False):
        call_command(
            "import_reviews", str(tmp_path / "r.csv"), columns=tmp_path / "c.toml", stdout=out, stderr=StringIO()
        )
    assert "Opened 1 matters" in out.getvalue()
