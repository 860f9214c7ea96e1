"""The pages of the doors: who may do what, what each form keeps, what the pages cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.actions import feeds, forms
from crm.channels import Channel
from crm.models import Attachment, Call, Conversation, Feed, Interaction, Promise, Publication, RawItem, WebForm
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.channels.web_server import Page, Site, entry, rss, serving
from tests.crm.management.test_import_calls import row as call_row
from tests.crm.management.test_import_reviews import COLUMNS, HEAD
from tests.crm.management.test_import_reviews import row as review_row
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, WITHOUT_ROLE, browser, colleague, statements, stored

pytestmark = pytest.mark.django_db

EVERYBODY = [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF]
SEE, MANAGE = (Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR), (Role.LEAD, Role.ADMINISTRATOR)
NOTES = (Role.AGENT, Role.LEAD)
FEED = {"url": "https://blog.example/feed", "channel": "blog", "name": "Blog", "language": "en"}
FORM = {"name": "Shop", "origins": "https://www.shop.example\nhttps://*.shop.example", "takes_files": "on"}
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"


def a_feed(number: int = 0) -> Feed:
    draft = feeds.Draft(f"https://blog{number}.example/feed", f"Blog {number}", Channel.BLOG)
    return feeds.add(draft, by=colleague(Role.ADMINISTRATOR, email=f"boss{number}@shop.example"), at=NOON)


def a_form(number: int = 0) -> WebForm:
    draft = forms.Draft(f"Form {number}", ("https://www.shop.example",))
    return forms.add(draft, by=colleague(Role.ADMINISTRATOR, email=f"chief{number}@shop.example"), at=NOON)


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_sees_feeds_and_forms_and_who_changes_them(who: str) -> None:
    feed, form, client = a_feed(), a_form(), browser(who)
    refused = {NOBODY: 302}.get(who, 403)
    sees = [reverse("admin:feeds"), reverse("admin:web_forms"), reverse("admin:web_form", args=[form.public_id])]
    manages = [
        (reverse("admin:feed_new"), FEED),
        (reverse("admin:feed", args=[feed.public_id]), {"name": "Other", "language": ""}),
        (reverse("admin:web_form_new"), FORM),
    ]
    posts = [
        (reverse("admin:feed_switch", args=[feed.public_id]), {"on": "0"}),
        (reverse("admin:web_form", args=[form.public_id]), FORM),
        (reverse("admin:web_form_switch", args=[form.public_id]), {"on": "0"}),
    ]
    before = stored()
    for url in sees:
        assert client.get(url).status_code == (200 if who in SEE else refused), url
    for url, _given in manages:
        assert client.get(url).status_code == (200 if who in MANAGE else refused), url
    assert stored() == before  # looking changes nothing
    for url, given in [*manages, *posts]:
        before = stored()
        assert client.post(url, given).status_code == (302 if who in MANAGE else refused), url
        assert (stored() != before) is (who in MANAGE), url


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_notes_what_was_said_and_who_brings_files_in(who: str) -> None:
    client, refused = browser(who), {NOBODY: 302}.get(who, 403)
    for name, may in (("capture", NOTES), ("import_calls", MANAGE), ("import_reviews", MANAGE)):
        before = stored()
        assert client.get(reverse(f"admin:{name}")).status_code == (200 if who in may else refused), name
        if who not in may:
            assert client.post(reverse(f"admin:{name}"), {"do": "keep"}).status_code == refused
        assert stored() == before


# --- feeds ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(settings) -> Iterator[Site]:
    with serving() as found:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({found.host})
        yield found


def test_a_first_look_shows_what_is_there_and_keeps_what_was_typed(site: Site) -> None:
    site.pages["/feed"] = Page(rss(entry(1), title="<b>Strings</b> & more"))
    client = browser(Role.LEAD)
    page = client.post(reverse("admin:feed_new"), FEED | {"url": site.url(), "do": "try"}).content.decode()
    assert "It works" in page
    assert site.url() in page
    assert "<b>Strings" not in page
    assert not Feed.objects.exists()
    refused = client.post(
        reverse("admin:feed_new"), FEED | {"url": "http://10.0.0.1/feed", "do": "try"}
    ).content.decode()
    assert "never asked" in refused


def test_the_address_of_a_feed_stays_whatever_is_sent() -> None:
    feed, client = a_feed(), browser(Role.LEAD)
    client.post(reverse("admin:feed", args=[feed.public_id]), FEED | {"url": "https://other.example/", "name": "New"})
    feed.refresh_from_db()
    assert (feed.url, feed.name) == ("https://blog0.example/feed", "New")


def test_the_health_of_a_feed_is_said_in_words() -> None:
    feed = a_feed()
    Feed.objects.filter(pk=feed.pk).update(
        error="It is larger than 2 MB.", failing_since=timezone.now() - timedelta(hours=3), heard_count=7
    )
    page = browser(Role.AUDITOR).get(reverse("admin:feeds")).content.decode()
    assert "It is larger than 2 MB." in page
    assert "for 3 h" in page
    assert "Switch off" not in page


# --- forms ------------------------------------------------------------------------------------------------------------


def test_a_form_shows_the_lines_that_put_it_on_a_page_with_our_own_name_W08(settings) -> None:
    settings.PUBLIC_URL = "https://help.shop.example"
    settings.ALLOWED_HOSTS = ["evil.example", "testserver"]
    form, client = a_form(), browser(Role.LEAD)
    page = client.get(reverse("admin:web_form", args=[form.public_id]), HTTP_HOST="evil.example").content.decode()
    address = f"https://help.shop.example/contact/{form.public_id}/"
    assert f"&lt;iframe src=&quot;{address}?frame=1&quot;" in page
    assert f"&lt;form action=&quot;{address}&quot; method=&quot;post&quot;" in page
    assert "evil.example" not in page
    assert "&lt;script" not in page


def test_the_plain_lines_work_as_they_are(settings) -> None:
    """What the snippet's fields send is taken, from its site."""
    form = a_form()
    page = f"/contact/{form.public_id}/"
    sent = {"name": "Carla", "email": "carla@home.example", "text": "It broke.", "website": ""}
    answer = Client().post(page, sent, headers={"Origin": "https://www.shop.example"}, follow=True)
    assert b"Thank you" in answer.content
    assert Interaction.objects.get().source == f"form:{form.public_id}"


def test_a_form_keeps_what_was_typed_when_a_site_is_none() -> None:
    answer = browser(Role.LEAD).post(reverse("admin:web_form_new"), FORM | {"origins": "shop.example/page"})
    assert (answer.status_code, b"shop.example/page" in answer.content) == (409, True)
    assert not WebForm.objects.exists()


# --- capture ----------------------------------------------------------------------------------------------------------


def noted(client: Client, **given: Any) -> Any:
    plain = {"key": "k1", "channel": "store", "said": "The clerk was rude.", "do": "keep"}
    return client.post(reverse("admin:capture"), {**plain, **given})


def test_something_said_at_the_counter_comes_in_with_its_photo_R054() -> None:
    client = browser(Role.AGENT)
    with time_machine.travel(NOON, tick=False):
        noted(client, phone="030 1234567", files=[SimpleUploadedFile("shelf.png", PNG, "image/png")])
        noted(client, phone="030 1234567")
    said = Interaction.objects.get()
    assert (said.channel, said.spoke_at, said.author.email) == ("store", NOON, "agent@shop.example")
    assert Attachment.objects.get().state == "stored"
    assert {p.kind for p in Promise.objects.all()} == {"first_response", "confirmation"}


@pytest.mark.parametrize(
    ("channel", "kept_at", "counts_from"),
    [
        ("store", "2026-03-02T10:15:00.000Z", -timedelta(hours=1, minutes=45)),  # two hours in the cellar
        ("field", "2026-03-02T11:15:00+01:00", -timedelta(hours=1, minutes=45)),
        ("store", "2026-03-02T11:59:50.000Z", timedelta(0)),  # it was sent at once
        ("store", "2026-03-02T15:00:00.000Z", timedelta(0)),  # a clock that runs ahead
        ("store", "2026-03-02T10:15:00", timedelta(0)),  # nobody knows of which zone
        ("store", "yesterday", timedelta(0)),
        ("store", "2026-99-99T10:15:00Z", timedelta(0)),
        ("letter", "2026-03-02T10:15:00.000Z", timedelta(0)),
    ],
)
def test_what_a_device_kept_without_a_connection_counts_from_when_it_was_noted_R054(
    channel, kept_at, counts_from
) -> None:
    client = browser(Role.AGENT)
    with time_machine.travel(NOON, tick=False):
        assert noted(client, channel=channel, kept_at=kept_at).status_code == 302
        assert noted(client, channel=channel, kept_at=kept_at).status_code == 302  # the answer got lost; it comes again
    said = Interaction.objects.get()
    assert (said.spoke_at, said.ingested_at) == (NOON + counts_from, NOON)
    assert Promise.objects.get(kind="first_response").starts_at == said.spoke_at


def test_what_a_device_kept_for_too_long_is_shown_again_and_not_lost_R054() -> None:
    with time_machine.travel(NOON, tick=False):
        answer = noted(browser(Role.AGENT), kept_at="2025-10-01T10:00:00Z")
    assert (answer.status_code, b"more than 90 days" in answer.content) == (409, True)
    assert b"The clerk was rude." in answer.content


def test_the_form_says_in_words_what_becomes_of_a_note_without_a_connection_R054() -> None:
    page = browser(Role.AGENT).get(reverse("admin:capture")).content.decode()
    assert "It is kept on this device, and sent when there is one" in page
    assert 'role="status"' in page
    assert "evenhand/capture.js" in page


def test_a_public_post_keeps_its_link_and_its_stars_and_counts_from_its_publication_R014_R057() -> None:
    client = browser(Role.AGENT)
    with time_machine.travel(NOON, tick=False):
        answer = noted(
            client, channel="review", url="https://reviews.example/r/5", account="Jane", rating="2", spoke_at="2026-03-02T09:00",
        )  # fmt: skip
    post = Publication.objects.select_related("interaction").get()
    assert (post.url, post.rating, post.rated_out_of) == ("https://reviews.example/r/5", 2, 5)
    assert post.interaction.spoke_at == NOON - timedelta(hours=4)  # 09:00 in Berlin
    page = client.get(answer["Location"]).content.decode()
    assert 'href="https://reviews.example/r/5"' in page
    assert "2 out of 5" in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"said": " "}, "note what the customer said"),
        ({"spoke_at": "2026-03-02T15:00", "spoke_at_known_from": "slip"}, "in the future"),
        ({"spoke_at": "2025-10-01T15:00", "spoke_at_known_from": "slip"}, "more than 90 days"),
        ({"spoke_at": "2026-03-02T09:00"}, "how you know"),
        ({"channel": "review", "said": "Bad."}, "add the link"),
        ({"channel": "review", "said": "Bad.", "url": "javascript:alert(1)"}, "cannot be kept"),
        ({"channel": "review", "url": "https://r.example/1", "rating": "7", "rated_out_of": "5"}, "outside its scale"),
        ({"rating": "5"}, "belongs to something public"),
        ({"email": "nobody"}, "not an e-mail address"),
        ({"email": "a@b.example", "phone": "1"}, "not a phone number"),
    ],
)
def test_what_cannot_have_been_said_so_is_refused_and_what_was_typed_stays(given, words) -> None:
    client = browser(Role.AGENT)
    with time_machine.travel(NOON, tick=False):
        answer = noted(client, name="Carla Noted", **given)
    assert (answer.status_code, words in answer.content.decode()) == (409, True), answer.content.decode()[-3000:]
    assert b"Carla Noted" in answer.content
    assert not Interaction.objects.exists()


def test_a_letter_may_be_its_scan_alone_and_counts_from_when_it_reached_us() -> None:
    client = browser(Role.AGENT)
    with time_machine.travel(NOON, tick=False):
        noted(
            client, channel="letter", said="", name="Carla", spoke_at="2026-02-27T09:00", spoke_at_known_from="stamp",
            files=[SimpleUploadedFile("letter.pdf", b"%PDF-1.4 x", "application/pdf")],
        )  # fmt: skip
    said = Interaction.objects.get()
    assert (said.channel, said.text) == ("letter", "")
    assert said.spoke_at == NOON - timedelta(days=3, hours=4)
    assert said.ingested_at == NOON


def test_the_same_post_is_not_a_second_matter_whoever_brings_it() -> None:
    client = browser(Role.AGENT)
    link = {"channel": "blog", "url": "https://blog.example/1?utm_source=x", "account": "Jane"}
    assert noted(client, **link).status_code == 302
    again = noted(client, **link | {"key": "k2", "url": "https://www.blog.example/1"})
    assert (again.status_code, b"with us already" in again.content) == (409, True)
    assert noted(client, **link | {"key": "k3", "account": "Joe"}).status_code == 302
    assert Conversation.objects.count() == 2


# --- files ------------------------------------------------------------------------------------------------------------


def uploaded(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("file.csv", text.encode(), "text/csv")


def test_calls_are_tried_and_then_brought_in_by_the_page() -> None:
    client = browser(Role.LEAD)
    given = {"system": "main", "zone": "Europe/Berlin", "contexts": ""}
    rows = f"{call_row(1, talked=None)}\n<script>alert(1)</script>,x\n"
    with time_machine.travel(NOON, tick=False):
        tried = client.post(
            reverse("admin:import_calls"), given | {"file": uploaded(rows), "do": "try"}
        ).content.decode()
        assert not Call.objects.exists()
        kept = client.post(
            reverse("admin:import_calls"), given | {"file": uploaded(rows), "do": "keep"}
        ).content.decode()
    assert "Would be new – calls answered: 0, not answered: 1" in tried
    assert "another number of cells" in tried
    assert "<script>alert" not in tried
    assert "New – calls answered: 0" in kept
    assert (Call.objects.get().source, RawItem.objects.get().kind) == ("phone:main", "call_record")
    wrong = client.post(
        reverse("admin:import_calls"),
        given | {"zone": "America/New_York", "file": uploaded(call_row(2)), "do": "keep"},
    )
    assert (wrong.status_code, Call.objects.count()) == (400, 1)


def test_reviews_are_tried_and_then_brought_in_by_the_page() -> None:
    client = browser(Role.LEAD)
    text = f"{HEAD}\n{review_row(1)}\n"
    with time_machine.travel(NOON, tick=False):
        tried = client.post(
            reverse("admin:import_reviews"), {"columns": COLUMNS, "file": uploaded(text), "do": "try"}
        ).content.decode()
        assert not Interaction.objects.exists()
        client.post(reverse("admin:import_reviews"), {"columns": COLUMNS, "file": uploaded(text), "do": "keep"})
    assert "reviews that open a matter: 1" in tried
    assert Interaction.objects.get().channel == "review"
    bad = client.post(reverse("admin:import_reviews"), {"columns": "nonsense [", "file": uploaded(text), "do": "keep"})
    assert (bad.status_code, b"cannot be read" in bad.content) == (400, True)


def test_a_file_that_is_too_large_for_a_page_is_refused_W07(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"system": "main", "zone": "UTC", "contexts": "", "file": uploaded("x" * 5_000_001), "do": "keep"}
    answer = browser(Role.LEAD).post(reverse("admin:import_calls"), given)
    assert (answer.status_code, b"manage.py" in answer.content) == (400, True)


# --- what pages cost --------------------------------------------------------------------------------------------------


def test_the_lists_cost_the_same_for_one_row_and_for_many() -> None:
    a_feed(), a_form()
    client = browser(Role.LEAD)
    lists = [reverse("admin:feeds"), reverse("admin:web_forms")]
    few = [statements(client, url) for url in lists]
    for number in range(1, 60):
        a_feed(number), a_form(number)
    assert [statements(client, url) for url in lists] == few
    assert max(few) <= 10
    second = client.get(lists[0]).content.decode()
    assert "after=" in second


def test_words_that_were_mended_after_the_first_press_are_written_down_by_a_second_one() -> None:
    client, page = browser(Role.AGENT), reverse("admin:capture")
    first = {"key": "a-key", "channel": "store", "said": "The bow is warped.", "name": "Zoe"}
    assert client.post(page, first).status_code == 302
    answer = client.post(page, {**first, "said": "The bow is warped, and so is its case."})
    assert answer.status_code == 409
    shown = answer.content.decode()
    assert "Press again to write these down as well." in shown
    assert "so is its case" in shown
    key = answer.context["form"]["key"].value()
    assert client.post(page, {**first, "said": "The bow is warped, and so is its case.", "key": key}).status_code == 302
    assert Interaction.objects.count() == 2


def test_what_is_wrong_in_a_field_is_read_out_with_it() -> None:
    page = browser(Role.LEAD).post(reverse("admin:feed_new"), {"url": "", "channel": "blog"}).content.decode()
    assert 'id="id_url_error"' in page
    assert "id_url_error" in page.partition('name="url"')[2].partition(">")[0]
