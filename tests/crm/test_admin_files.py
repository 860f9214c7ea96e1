"""The pages that show a mail and hand out its files: who may, with which headers, and that looking changes nothing."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.channels.email import showing
from crm.models import Attachment, Conversation, HistoryEntry, Interaction
from crm.policy import Role
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, STATEMENTS, WITHOUT_ROLE, browser, statements, stored, told

pytestmark = pytest.mark.django_db
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PAGE = '<p onclick=x>Hello <b>you</b> <img src="cid:a@b"><img src="https://t.example/p.gif"><script>1</script></p>'


def heard(html: str = PAGE, key: str = "mail") -> Interaction:
    conversation = told(key)
    Interaction.objects.filter(conversation=conversation).update(html=html)
    return Interaction.objects.get(conversation=conversation)


def attached(to: Interaction, content: bytes = PNG, **columns: object) -> Attachment:
    found = Attachment(interaction=to, name="a.png", content_type="image/png", size=len(content), state="stored")
    for name, value in columns.items():
        setattr(found, name, value)
    found.file.save("a", ContentFile(content), save=True)
    return found


def page_of(one: Interaction) -> str:
    return reverse("admin:message_page", args=[one.public_id])


def picture_in(client: Client, one: Interaction) -> str:
    """The address of the first picture in a shown mail."""
    return client.get(page_of(one)).content.decode().partition('<img src="')[2].partition('"')[0]


# --- the message as it was sent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_a_mail_is_shown_to_those_who_may_read_it_and_to_nobody_else_S02(who: str) -> None:
    status = browser(who).get(page_of(heard())).status_code
    assert status == (302 if who == NOBODY else 403 if who in (CUSTOMER, WITHOUT_ROLE) else 200)


def test_a_mail_is_shown_cleaned_in_a_page_that_can_do_nothing_M20_M24() -> None:
    answer = browser(Role.AGENT).get(page_of(heard()))
    assert answer["Content-Security-Policy"] == showing.CONTENT_POLICY
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-DNS-Prefetch-Control"] == "off"
    assert "no-store" in answer["Cache-Control"]
    content = answer.content.decode()
    assert "<p>Hello <b>you</b> <img><img></p>" in content
    assert "1 picture from elsewhere is left out" in content
    assert "1 picture did not come with it" in content


def test_looking_at_a_mail_changes_nothing_and_costs_the_same_for_one_picture_and_for_twenty() -> None:
    one = heard()
    attached(one, content_id="a@b")
    client = browser(Role.AGENT)
    cost = statements(client, page_of(one))
    for number in range(20):
        attached(one, content_id=f"{number}@b")
    before = stored()
    assert statements(client, page_of(one)) == cost <= STATEMENTS
    assert stored() == before


def test_there_is_a_page_where_html_was_sent_and_nowhere_else() -> None:
    client = browser(Role.AGENT)
    with_page, without = heard(), heard("", key="plain")
    conversation = Conversation.objects.get(pk=with_page.conversation_id)
    shown = client.get(reverse("admin:conversation", args=[conversation.public_id])).content.decode()
    assert f'src="{page_of(with_page)}"' in shown
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in shown
    assert 'referrerpolicy="no-referrer" loading="lazy"' in shown
    assert "onclick=x" not in shown
    assert client.get(page_of(without)).status_code == 404


# --- its pictures -------------------------------------------------------------------------------------------------------


def test_a_picture_of_the_mail_comes_by_a_key_and_without_a_session_M21() -> None:
    one = heard()
    attached(one, content_id="a@b")
    address = picture_in(browser(Role.AGENT), one)
    answer = Client().get(address.replace("&amp;", "&"))
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, PNG, "image/png")
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cache-Control"] == "private, no-store"


def test_a_key_opens_one_picture_for_one_account_and_five_minutes_S02() -> None:
    one = heard()
    mine, other = attached(one, content_id="a@b"), attached(one, content_id="c@d")
    agent = browser(Role.AGENT)
    address = picture_in(agent, one)
    assert Client().get(address).status_code == 200
    assert Client().get(address.replace(str(mine.public_id), str(other.public_id))).status_code == 404
    assert Client().get(address[:-1] + ("A" if address[-1] != "A" else "B")).status_code == 404
    assert Client().get(address.partition("?")[0]).status_code == 404
    assert agent.get(address.partition("?")[0]).status_code == 404  # a session alone opens none
    assert Client().post(address).status_code == 405
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert Client().get(address).status_code == 404


def test_a_key_ends_with_the_rights_of_its_account_S02() -> None:
    one = heard()
    attached(one, content_id="a@b")
    client = browser(Role.AGENT)
    address = picture_in(client, one)
    user = client.get(reverse("admin:index")).wsgi_request.user
    user.groups.clear()
    assert Client().get(address).status_code == 404
    user.is_superuser = True
    user.save()
    assert Client().get(address).status_code == 200
    user.is_active = False
    user.save()
    assert Client().get(address).status_code == 404


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "stored"),
        (b"<html><script>alert(1)</script>", "stored"),
        (b"%PDF-1.7", "stored"),
        (PNG, "quarantined"),
        (PNG, "checking"),
    ],
)
def test_only_a_plain_picture_that_is_kept_is_ever_shown_M21(content: bytes, state: str) -> None:
    one = heard()
    found = attached(one, content_id="a@b")
    address = picture_in(browser(Role.AGENT), one)
    Attachment.objects.filter(pk=found.pk).update(state=state, reason="Why.")
    with found.file.open("wb") as file:
        file.write(content)
    assert Client().get(address).status_code == 404


# --- files that are kept apart ------------------------------------------------------------------------------------------


def apart(found: Attachment) -> str:
    return reverse("admin:attachment_apart", args=[found.public_id])


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_a_file_that_is_kept_apart_is_for_leads_S02_M23(who: str) -> None:
    address = apart(attached(heard(), state="quarantined", reason="It is packed with a password."))
    client = browser(who)
    right = {NOBODY: 302, Role.LEAD: 200}.get(who, 403)
    before = stored()
    assert client.get(address).status_code == right
    assert stored() == before
    assert client.post(address).status_code == right
    assert HistoryEntry.objects.filter(verb="file.fetched_apart").count() == (1 if who == Role.LEAD else 0)


def test_before_it_is_handed_out_there_is_a_warning_M23() -> None:
    one = heard()
    found = attached(one, b"secret", state="quarantined", reason="It is packed with a password.", name="a.zip")
    client = browser(Role.LEAD)
    thread = client.get(reverse("admin:conversation", args=[one.conversation.public_id])).content.decode()
    assert apart(found) in thread
    assert client.get(reverse("admin:attachment", args=[found.public_id])).status_code == 404
    warning = client.get(apart(found)).content.decode()
    assert "It is packed with a password." in warning
    assert "can harm your computer" in warning
    answer = client.post(apart(found))
    assert b"".join(answer.streaming_content) == b"secret"  # type: ignore[attr-defined]
    assert answer["Content-Disposition"] == 'attachment; filename="a.zip"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Security-Policy"].startswith("sandbox")


def test_an_infected_file_is_handed_to_nobody_M23() -> None:
    one = heard()
    found = attached(one, state="quarantined", reason="A virus.", is_infected=True)
    client = browser(Role.LEAD)
    thread = client.get(reverse("admin:conversation", args=[one.conversation.public_id])).content.decode()
    assert apart(found) not in thread
    before = stored()
    assert "Nobody can fetch it" in client.get(apart(found)).content.decode()
    answer = client.post(apart(found))
    assert (answer.status_code, answer.streaming) == (409, False)
    assert client.get(reverse("admin:attachment", args=[found.public_id])).status_code == 404
    assert stored() == before


@pytest.mark.parametrize("state", ["checking", "stored", "refused"])
def test_a_file_that_is_not_apart_has_no_such_page(state: str) -> None:
    found = attached(heard(), state=state, reason="Why.")
    assert browser(Role.LEAD).get(apart(found)).status_code == 404


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE])
def test_who_may_not_have_a_file_cannot_tell_whether_it_is_there_W12(who: str) -> None:
    """No token in an address opens it, and the folder of files has no address of its own."""
    found = attached(heard())
    there = reverse("admin:attachment", args=[found.public_id])
    nowhere = reverse("admin:attachment", args=["018f0000-0000-7000-8000-000000000000"])
    client = browser(who)
    for query in ("", "?token=abc", "?signature=abc&expires=99999999999"):
        answers = [client.get(path + query) for path in (there, nowhere)]
        assert len({answer.status_code for answer in answers}) == 1
        assert {answer.status_code for answer in answers} <= {302, 403, 404}
        wheres = {
            answer.headers.get("Location", "").replace(path, "")
            for answer, path in zip(answers, (there, nowhere), strict=True)
        }
        assert len(wheres) == 1
        assert not any(PNG in answer.content for answer in answers)
    for path in (f"/media/{found.file.name}", f"/{found.file.name}", f"/static/{found.file.name}"):
        assert client.get(path).status_code == 404


def test_a_file_that_was_taken_away_is_as_one_that_never_was_W12() -> None:
    found = attached(heard())
    there = reverse("admin:attachment", args=[found.public_id])
    assert browser(Role.AGENT).get(there).status_code == 200
    Attachment.objects.filter(pk=found.pk).update(state="refused", reason="The customer took it back.", file="")
    nowhere = reverse("admin:attachment", args=["018f0000-0000-7000-8000-000000000000"])
    assert {browser(Role.AGENT).get(path).status_code for path in (there, nowhere)} == {404}
