"""The staff's pages: who sees what, what a press of a button does, and what a page costs."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crm.actions import desk, intake, mails, staff
from crm.channels import Channel, Message, Part
from crm.models import Attachment, Conversation, HistoryEntry, Interaction, LifeEvent, OutgoingMessage, User, WorkItem
from crm.policy import ConversationState, Direction, OutgoingState, OutOfOrder, Role, WorkState
from tests.conftest import NOON

pytestmark = pytest.mark.django_db

STATEMENTS = 10
NOBODY, CUSTOMER, WITHOUT_ROLE = "nobody", "customer", "without a role"
STAFF = [role.value for role in Role]


def told(
    key: str,
    *,
    text: str = "Where is my parcel?",
    address: str = "kim@example.org",
    at: datetime = NOON,
    attachments: tuple[Part, ...] = (),
    full_text: str = "",
) -> Conversation:
    """Somebody tells us something by mail."""
    message = Message(
        channel=Channel.EMAIL,
        source="mail:test",
        external_id=key,
        sender_kind="email",
        sender_address=address,
        sender_name="Kim Doe",
        subject="Parcel",
        text=text,
        full_text=full_text or text,
        html="<b>never shown</b>",
        spoke_at=at,
        attachments=attachments,
        in_reply_to=(),
        message_id=f"{key}@example.org",
        language="en",
        recipients=(),
    )
    return intake.receive(message, at=at, origin="mail").conversation


def colleague(role: str = Role.AGENT, *, email: str = "", takes: bool = False) -> User:
    """Somebody who works here."""
    return staff.enrol(
        email or f"{role}@shop.example",
        role=Role(role),
        name=f"A {role}",
        password=None,
        at=NOON,
        takes_conversations=takes,
    )


def browser(who: str) -> Client:
    """A browser in which an account of this kind is logged in."""
    client = Client()
    if who == CUSTOMER:
        found = told("app-customer", address="app@example.org").customer
        client.force_login(staff.give_app_account(found, email="app@example.org", password=None, at=NOON))
    elif who == WITHOUT_ROLE:
        client.force_login(User.objects.create_user("new@shop.example", None, is_staff=True))
    elif who != NOBODY:
        client.force_login(colleague(who))
    return client


def stored() -> str:
    """A fingerprint of everything the product stores."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if model._meta.app_label in ("crm", "recovery", "loyalty", "auth"):
                table = connection.ops.quote_name(model._meta.db_table)
                cursor.execute(f"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t")
                found.append(cursor.fetchone()[0])
    return hashlib.sha256("".join(found).encode()).hexdigest()


def statements(client: Client, url: str) -> int:
    """How many SQL statements a page takes, once everything that is looked up once has been."""
    assert client.get(url).status_code == 200
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def page_of(conversation: Conversation) -> str:
    return reverse("admin:conversation", args=[conversation.public_id])


def key_in(content: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', content)
    assert found
    return found[1]


# --- who sees what -----------------------------------------------------------------------------------------------------

PAGES: list[tuple[str, Iterable[str]]] = [
    ("inbox", STAFF),
    ("alerts", STAFF),
    ("hours", STAFF),
    ("hours_new", [Role.LEAD, Role.ADMINISTRATOR]),
    ("people", STAFF),
    ("log_call", [Role.AGENT, Role.LEAD]),
    ("outgoing", STAFF),
    ("crm_customer_changelist", STAFF),
    ("crm_contactpoint_changelist", STAFF),
    ("crm_conversation_changelist", STAFF),
    ("crm_promise_changelist", STAFF),
    ("crm_historyentry_changelist", STAFF),
    ("crm_hold_changelist", STAFF),
    ("crm_lifeevent_changelist", STAFF),
    ("crm_outgoingmessage_changelist", STAFF),
    ("crm_rawitem_changelist", [Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR]),
    ("crm_workitem_changelist", [Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR]),
    ("crm_dutyrun_changelist", [Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR]),
    ("crm_user_changelist", [Role.ADMINISTRATOR]),
    ("auth_group_changelist", [Role.ADMINISTRATOR]),
]


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_every_page_opens_for_those_who_may_and_for_nobody_else(who: str) -> None:
    client = browser(who)
    for name, allowed in PAGES:
        answer = client.get(reverse(f"admin:{name}"))
        if who == NOBODY:
            assert answer.status_code == 302, name
            assert "login" in answer["Location"], name
        elif who == CUSTOMER and answer.status_code == 302:
            assert client.get(answer["Location"]).status_code == 403, name
        else:
            assert answer.status_code == (200 if who in allowed else 403), name


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_a_conversation_that_may_not_be_seen_is_not_there(who: str) -> None:
    conversation, client = told("a"), browser(who)
    expected = {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 404}.get(who, 200)

    assert client.get(page_of(conversation)).status_code == expected
    assert client.get(reverse("admin:customer", args=[conversation.customer.public_id])).status_code == expected
    if expected == 200:
        assert client.get(reverse("admin:conversation", args=[uuid.uuid4()])).status_code == 404
        assert client.get(reverse("admin:customer", args=[uuid.uuid4()])).status_code == 404


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, *STAFF])
def test_only_those_who_answer_customers_change_a_conversation(who: str) -> None:
    conversation, client = told("a"), browser(who)
    may = who in (Role.AGENT, Role.LEAD)
    for does in ("answer", "note", "close", "take"):
        before = stored()

        answer = client.post(page_of(conversation), {"do": does, "answer": "Hello", "note": "Look", "key": does})

        if not may:
            assert answer.status_code == {NOBODY: 302}.get(who, 403)
            assert stored() == before


def test_changes_need_the_token_that_other_sites_cannot_know() -> None:
    conversation, client = told("a"), Client(enforce_csrf_checks=True)
    client.force_login(colleague())
    before = stored()

    assert client.post(page_of(conversation), {"do": "take"}).status_code == 403
    assert stored() == before


def every_address() -> list[str]:
    """Every address of the admin that can be opened without knowing more than what is stored."""
    conversation = Conversation.objects.first()
    assert conversation
    found = [reverse(f"admin:{name}") for name, _allowed in PAGES]
    found += [reverse("admin:index"), page_of(conversation)]
    found += [f"{reverse('admin:inbox')}?show={tab}" for tab in ("mine", "unowned", "all", "overdue", "nonsense")]
    found += [
        f"{reverse('admin:inbox')}?after=nonsense",
        f"{reverse('admin:outgoing')}?show=stopped",
        f"{reverse('admin:outgoing')}?show=planned",
    ]
    found += [reverse("admin:customer", args=[conversation.customer.public_id])]
    for model in admin.site._registry:
        row = model._default_manager.first()
        if row is not None:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            found += [reverse(f"{name}_change", args=[row.pk]), reverse(f"{name}_changelist") + "?q=kim"]
    return found


def test_looking_changes_nothing() -> None:
    conversation = told("a")
    desk.answer(conversation.pk, text="Tomorrow.", by=colleague(), at=NOON)
    client = Client()
    client.force_login(User.objects.create_superuser("root@shop.example", None))
    before = stored()

    for address in every_address():
        assert client.get(address).status_code in (200, 302), address

    assert stored() == before


@pytest.mark.parametrize("name", ["release", "cancel"])
def test_what_changes_cannot_be_opened_by_a_link(name: str) -> None:
    message = desk.answer(told("a").pk, text="Tomorrow.", by=colleague(), at=NOON)
    assert browser(Role.LEAD).get(reverse(f"admin:{name}", args=[message.public_id])).status_code == 405


def test_nothing_is_added_changed_or_deleted_in_a_list() -> None:
    told("a")
    client = Client()
    client.force_login(User.objects.create_superuser("root@shop.example", None))
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model._default_manager.first()
        assert client.get(reverse(f"{name}_add")).status_code == 403
        if row is not None:
            assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
            assert client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403


# --- the inbox ---------------------------------------------------------------------------------------------------------


def test_the_inbox_shows_the_earliest_promise_first_and_no_channel() -> None:
    told("late", address="b@example.org", text="Comes later", at=NOON + timedelta(hours=1))
    told("early", address="a@example.org", text="Comes earlier", at=NOON)

    content = browser(Role.AGENT).get(reverse("admin:inbox") + "?show=all").content.decode()

    assert content.index("Comes earlier") < content.index("Comes later")
    table = content[content.index("<table") : content.index("</table>")]
    assert "Email" not in table


def test_the_inbox_is_narrowed_by_its_tabs() -> None:
    agent = colleague(takes=True)
    told("mine", text="This is mine")
    agent.takes_conversations = False
    User.objects.filter(pk=agent.pk).update(takes_conversations=False)
    told("free", address="b@example.org", text="This is free", at=timezone.now())
    client = Client()
    client.force_login(agent)

    def shows(tab: str) -> tuple[bool, bool]:
        content = client.get(reverse("admin:inbox") + f"?show={tab}").content.decode()
        return "This is mine" in content, "This is free" in content

    assert shows("mine") == (True, False)
    assert shows("unowned") == (False, True)
    assert shows("all") == (True, True)
    assert shows("overdue") == (True, False)


def test_the_inbox_goes_on_after_the_last_row_without_losing_one() -> None:
    for number in range(53):
        told(f"n{number}", address=f"n{number}@example.org", text=f"Matter {number:02}", at=NOON)
    client, seen, url = browser(Role.AGENT), [], reverse("admin:inbox") + "?show=all"
    for _page in range(2):
        content = client.get(url).content.decode()
        seen += re.findall(r"Matter \d\d", content)
        following = re.search(r'rel="next" href="([^"]+)"', content)
        url = reverse("admin:inbox") + following[1].replace("&amp;", "&") if following else ""

    assert url == ""
    assert sorted(seen) == [f"Matter {number:02}" for number in range(53)]


# --- the desk ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk_of_agent() -> tuple[Client, User, Conversation]:
    agent = colleague()
    client = Client()
    client.force_login(agent)
    return client, agent, told("a")


def test_an_answer_leaves_once_however_often_its_button_is_pressed(
    desk_of_agent: tuple[Client, User, Conversation],
) -> None:
    client, agent, conversation = desk_of_agent
    key = key_in(client.get(page_of(conversation)).content.decode())
    for _press in range(2):
        answer = client.post(page_of(conversation), {"do": "answer", "answer": "Tomorrow.", "key": key})
        assert answer.status_code == 302

    message = OutgoingMessage.objects.get()
    assert (message.signed_by, message.interaction.text) == (agent, "Tomorrow.")  # type: ignore[union-attr]
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.WAITING
    assert "leaves in" in client.get(page_of(conversation)).content.decode()


def test_an_answer_may_leave_the_next_step_with_us(desk_of_agent: tuple[Client, User, Conversation]) -> None:
    client, _agent, conversation = desk_of_agent
    client.post(page_of(conversation), {"do": "answer", "answer": "I look into it.", "key": "k", "stays": "us"})
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.OPEN


def test_a_note_is_kept_once_and_never_sent(desk_of_agent: tuple[Client, User, Conversation]) -> None:
    client, _agent, conversation = desk_of_agent
    for _press in range(2):
        client.post(page_of(conversation), {"do": "note", "note": "Ask the workshop.", "key": "k"})

    assert Interaction.objects.filter(direction=Direction.INTERNAL).count() == 1
    assert not OutgoingMessage.objects.exists()


def test_taking_on_names_the_owner(desk_of_agent: tuple[Client, User, Conversation]) -> None:
    client, agent, conversation = desk_of_agent
    client.post(reverse("admin:work_on", args=[conversation.public_id]), {"do": "take"})
    conversation.refresh_from_db()
    assert conversation.owner == agent


def test_a_refusal_says_why_and_keeps_what_was_typed(desk_of_agent: tuple[Client, User, Conversation]) -> None:
    client, agent, conversation = desk_of_agent
    Conversation.objects.filter(pk=conversation.pk).update(state=ConversationState.CLOSED)
    conversation.refresh_from_db()
    typed = {"do": "note", "note": "   ", "key": "k"}
    refused = client.post(page_of(conversation), typed)
    assert refused.status_code == 409
    assert "There are no words in this note yet." in refused.content.decode()

    Conversation.objects.filter(pk=conversation.pk).update(state=ConversationState.OPEN)
    desk.answer(conversation.pk, text="First words", by=agent, at=NOON, key="same")
    before = stored()
    refused = client.post(
        page_of(conversation), {"do": "answer", "answer": "Other words <b>", "key": "same", "stays": "us"}
    )
    assert refused.status_code == 409
    assert "already sent with other words" in refused.content.decode()
    assert "Other words &lt;b&gt;</textarea>" in refused.content.decode()
    assert 'value="us" checked' in refused.content.decode()
    assert stored() == before


def test_closing_is_refused_while_something_is_promised(desk_of_agent: tuple[Client, User, Conversation]) -> None:
    client, _agent, conversation = desk_of_agent
    before = stored()
    refused = client.post(page_of(conversation), {"do": "close", "answer": "half a sentence"})
    assert refused.status_code == 409
    assert "Something promised is still open" in refused.content.decode()
    assert "half a sentence</textarea>" in refused.content.decode()
    assert stored() == before


def test_what_a_customer_wrote_is_shown_as_text(desk_of_agent: tuple[Client, User, Conversation]) -> None:
    client, _agent, _conversation = desk_of_agent
    nasty = told("nasty", address="c@example.org", text="<script>alert(1)</script>", full_text="new\n> quoted words")
    content = client.get(page_of(nasty)).content.decode()
    assert "&lt;script&gt;alert(1)" in content
    assert "never shown" not in content
    assert re.search(r"<details>.*quoted words", content, re.DOTALL)


def test_files_are_handed_out_only_to_those_who_may_and_never_shown() -> None:
    kept = Part("bill.pdf", "application/pdf", "application/pdf", 3, b"%PD", "stored", "")
    apart = Part("run.exe", "application/x-dosexec", "image/png", 2, b"MZ", "quarantined", "It could be a programme.")
    conversation = told("files", attachments=(kept, apart))
    good, bad = Attachment.objects.get(name="bill.pdf"), Attachment.objects.get(name="run.exe")
    client = browser(Role.AGENT)

    answer = client.get(reverse("admin:attachment", args=[good.public_id]))
    assert b"".join(answer.streaming_content) == b"%PD"  # type: ignore[attr-defined]
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert client.get(reverse("admin:attachment", args=[bad.public_id])).status_code == 404
    assert browser(WITHOUT_ROLE).get(reverse("admin:attachment", args=[good.public_id])).status_code == 403
    content = client.get(page_of(conversation)).content.decode()
    assert "It could be a programme." in content
    assert str(bad.public_id) not in content


# --- calls, birthdays, messages, work ----------------------------------------------------------------------------------

CALL = {
    "key": "call-1",
    "channel": "phone",
    "name": "Kim",
    "phone": "+49 30 123456",
    "email": "kim@example.org",
    "said": "The bridge is broken.",
    "agreed": "We repair it by Friday.",
}


def test_a_call_is_written_down_once_and_confirmed() -> None:
    client = browser(Role.AGENT)
    for _press in range(2):
        answer = client.post(reverse("admin:log_call"), CALL)
        assert answer.status_code == 302
    conversation = Conversation.objects.get(channel=Channel.PHONE)
    assert answer["Location"] == page_of(conversation)
    assert OutgoingMessage.objects.get().address == "kim@example.org"


def test_a_call_that_is_refused_keeps_what_was_typed() -> None:
    client, before = browser(Role.AGENT), stored()
    for wrong, words in [
        ({"phone": "", "email": ""}, "so that we can reach them"),
        ({"phone": "12"}, "not a phone number"),
        ({"spoke_at": "2026-01-02T10:00"}, "how you know"),
    ]:
        refused = client.post(reverse("admin:log_call"), {**CALL, **wrong})
        assert words in refused.content.decode()
        assert "The bridge is broken.</textarea>" in refused.content.decode()
        assert 'value="call-1"' in refused.content.decode()
    assert stored() == before


def test_a_birthday_is_noted_with_the_customers_own_words() -> None:
    client, customer = browser(Role.AGENT), told("a").customer
    url = reverse("admin:customer", args=[customer.public_id])

    refused = client.post(url, {"day": 31, "month": 2, "evidence": "said so on the phone"})
    assert refused.status_code == 409
    assert "no such day" in refused.content.decode()
    assert "said so on the phone" in refused.content.decode()
    assert client.post(url, {"day": 3, "month": 2, "evidence": "said so on the phone"}).status_code == 302

    event = LifeEvent.objects.get()
    assert (event.customer, event.day, event.month) == (customer, 3, 2)
    assert "3 February" in client.get(url).content.decode()


def test_a_customers_story_is_complete_and_in_order_over_its_pages() -> None:
    agent, conversation = colleague(), told("a")
    for number in range(30):
        desk.note(conversation.pk, text=f"Note {number:02}", by=agent, at=NOON)
    client, url, seen = Client(), reverse("admin:customer", args=[conversation.customer.public_id]), []
    client.force_login(agent)
    while url:
        content = client.get(url).content.decode()
        seen += re.findall(r"Note \d\d", content)
        following = re.search(r'href="(\?before=[^"]+)"', content)
        url = reverse("admin:customer", args=[conversation.customer.public_id]) + following[1] if following else ""
    assert seen == [f"Note {number:02}" for number in reversed(range(30))]


@pytest.mark.parametrize(("name", "state"), [("release", OutgoingState.READY), ("cancel", OutgoingState.CANCELLED)])
@pytest.mark.parametrize("who", [CUSTOMER, *STAFF])
def test_a_stopped_message_is_released_or_cancelled_by_those_who_may(who: str, name: str, state: str) -> None:
    message = desk.answer(told("a").pk, text="Tomorrow.", by=colleague(email="writer@shop.example"), at=NOON)
    OutgoingMessage.objects.filter(pk=message.pk).update(state=OutgoingState.PARKED, reason="nobody answered")
    client = browser(who)

    answer = client.post(reverse(f"admin:{name}", args=[message.public_id]), {"show": "stopped"})

    message.refresh_from_db()
    if who in (Role.LEAD, Role.ADMINISTRATOR):
        assert (answer.status_code, message.state) == (302, state)
        assert client.post(reverse(f"admin:{name}", args=[uuid.uuid4()])).status_code == 404
    else:
        assert (answer.status_code, message.state) == (403, OutgoingState.PARKED)


def test_a_message_that_has_left_is_not_cancelled() -> None:
    message = desk.answer(told("a").pk, text="Tomorrow.", by=colleague(), at=NOON)
    OutgoingMessage.objects.filter(pk=message.pk).update(state=OutgoingState.ACCEPTED, accepted_at=NOON)
    answer = browser(Role.LEAD).post(reverse("admin:cancel", args=[message.public_id]), follow=True)
    assert "cannot be stopped any more" in answer.content.decode()
    message.refresh_from_db()
    assert message.state == OutgoingState.ACCEPTED


@pytest.mark.parametrize("who", [Role.LEAD, Role.AUDITOR])
def test_parked_work_is_tried_again_by_those_who_may(who: str) -> None:
    told("a")
    item = WorkItem.objects.get()
    WorkItem.objects.filter(pk=item.pk).update(state=WorkState.PARKED, reason="broken")

    browser(who).post(reverse("admin:crm_workitem_changelist"), {"action": "retry", "_selected_action": [item.pk]})

    item.refresh_from_db()
    assert item.state == (WorkState.READY if who == Role.LEAD else WorkState.PARKED)
    assert HistoryEntry.objects.filter(verb="work.retried").exists() == (who == Role.LEAD)


# --- what it costs -----------------------------------------------------------------------------------------------------


def test_a_list_costs_the_same_for_one_row_and_for_twenty() -> None:
    client, lead = Client(), colleague(Role.LEAD)
    client.force_login(lead)
    names = [name for name, allowed in PAGES if Role.LEAD in allowed]
    urls = [reverse(f"admin:{name}") + ("?show=all" if name == "inbox" else "") for name in names]

    def one_more(key: str) -> None:
        conversation = told(key, address=f"{key}@example.org")
        desk.answer(
            conversation.pk, text="Tomorrow.", by=lead, at=NOON, stays_open=True, out_of_order=OutOfOrder.KNOWS_IT
        )
        mails.keep_raw(key.encode(), source="mail:test", label=key, at=NOON)

    one_more("first")
    with_one = {url: statements(client, url) for url in urls}
    for number in range(19):
        one_more(f"n{number}")

    assert {url: statements(client, url) for url in urls} == with_one
    assert max(with_one.values()) <= STATEMENTS


@pytest.mark.parametrize("which", ["conversation", "customer"])
def test_a_matter_costs_the_same_for_one_word_and_for_twenty(which: str) -> None:
    lead = colleague(Role.LEAD)
    conversation = told("first")
    url = reverse(
        f"admin:{which}",
        args=[conversation.public_id if which == "conversation" else conversation.customer.public_id],
    )
    client = Client()
    client.force_login(lead)
    desk.answer(conversation.pk, text="Tomorrow.", by=lead, at=NOON, stays_open=True)
    one = statements(client, url)
    for number in range(20):
        desk.answer(conversation.pk, text=f"Words {number}", by=lead, at=NOON, stays_open=True)
        desk.note(conversation.pk, text="A note", by=lead, at=NOON)

    assert statements(client, url) == one
    # What was begun here, mail around it, who acts for whom and who mourns; what stands against an address, and the panels.
    assert one <= STATEMENTS + 5
