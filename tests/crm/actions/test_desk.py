"""What colleagues do: answer, write down calls, note, close, take on."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes

import pytest
from django.core import mail

from crm.actions import deadlines, desk, identity, intake, outgoing, queue, talks
from crm.models import ContactPoint, Conversation, Customer, HistoryEntry, Interaction, OutgoingMessage, Promise
from crm.policy import ConversationState, PromiseKind
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message

pytestmark = pytest.mark.django_db


def told(**changes: object) -> Conversation:
    return intake.receive(message(**changes), at=NOON, origin="test").conversation


def test_an_answer_leaves_by_mail_threaded_signed_and_keeps_the_promise_when_accepted_R134_X2():
    owner = colleague(name="Ada Okafor")
    conversation = told(sender_address="carla@home.example", message_id="theirs@home.example")
    desk.answer(conversation.pk, text="We are <on> it & sorry.", by=owner, at=NOON + timedelta(hours=1))
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.WAITING
    assert Promise.objects.get().state == "running"  # written is not answered

    outgoing.send_batch(at=NOON + timedelta(hours=2))
    promise = Promise.objects.get()
    assert (promise.state, promise.met_at) == ("met", NOON + timedelta(hours=2))
    sent = mail.outbox[0]
    assert sent.to == ["carla@home.example"]
    assert "Ada Okafor" in sent.extra_headers["From"]
    assert "Ada Okafor" in sent.body
    assert "We are <on> it & sorry." in sent.body
    assert "We are &lt;on&gt; it &amp; sorry." in sent.alternatives[0][0]
    assert sent.extra_headers["In-Reply-To"] == "<theirs@home.example>"
    assert sent.extra_headers["Message-ID"].endswith("@evenhand.example>")
    conversation.refresh_from_db()
    assert conversation.first_answer_at == NOON + timedelta(hours=2)


def test_late_is_late_E08():
    owner, conversation = colleague(), told()
    deadlines.miss_batch(at=NOON + timedelta(hours=9))
    desk.answer(conversation.pk, text="Sorry for the wait.", by=owner, at=NOON + timedelta(hours=10))
    outgoing.send_batch(at=NOON + timedelta(hours=10))
    promise = Promise.objects.get()
    assert (promise.state, promise.breached_at) == ("met_late", NOON + timedelta(hours=9))


def test_breaches_are_written_once_and_kept(django_assert_max_num_queries):
    for _ in range(20):
        told()
    with django_assert_max_num_queries(6):
        assert deadlines.miss_batch(at=NOON + timedelta(hours=9)) == 20
    assert deadlines.miss_batch(at=NOON + timedelta(hours=9)) == 0
    assert HistoryEntry.objects.filter(verb="promise.missed").count() == 20


def test_the_same_key_twice_is_one_answer_and_with_other_words_a_refusal_G14():
    owner, conversation = colleague(), told()
    first = desk.answer(conversation.pk, text="Hello", by=owner, at=NOON, key="k")
    assert desk.answer(conversation.pk, text="Hello", by=owner, at=NOON, key="k") == first
    with pytest.raises(outgoing.DifferentContent):
        desk.answer(conversation.pk, text="Other", by=owner, at=NOON, key="k")
    assert OutgoingMessage.objects.count() == 1


def test_an_app_customer_is_answered_in_the_app():
    owner, user = colleague(), app_user()
    conversation = told(sender_kind="app", sender_address=str(user.public_id), channel="app")
    desk.answer(conversation.pk, text="Hello", by=owner, at=NOON)
    outgoing.send_batch(at=NOON)
    assert OutgoingMessage.objects.get().state == "accepted"
    assert not mail.outbox
    assert Promise.objects.get().state == "met"


def test_an_empty_answer_or_note_is_refused():
    owner, conversation = colleague(), told()
    for act in (desk.answer, desk.note):
        with pytest.raises(intake.NothingSaid):
            act(conversation.pk, text=" \n ", by=owner, at=NOON)


def test_what_stays_with_us_is_promised_news_R007():
    owner, conversation = colleague(), told()
    desk.answer(conversation.pk, text="I am asking the workshop.", by=owner, at=NOON, stays_open=True)
    outgoing.send_batch(at=NOON)
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.OPEN
    assert conversation.due_at == NOON + timedelta(hours=24)
    assert Promise.objects.unmet().get().kind == PromiseKind.NEXT_UPDATE


def test_a_conversation_closes_when_nothing_is_promised_any_more():
    owner, conversation = colleague(), told()
    with pytest.raises(desk.StillPromised, match="first answer"):
        desk.close(conversation.pk, by=owner, at=NOON)
    desk.answer(conversation.pk, text="Hello", by=owner, at=NOON)
    outgoing.send_batch(at=NOON)
    desk.close(conversation.pk, by=owner, at=NOON)
    for refused in (
        lambda: desk.close(conversation.pk, by=owner, at=NOON),
        lambda: desk.answer(conversation.pk, text="x", by=owner, at=NOON),
    ):
        with pytest.raises(desk.WrongState):
            refused()


def test_a_closed_conversation_opens_again_with_a_promise_and_the_same_owner():
    owner, conversation = colleague(), told()
    with pytest.raises(desk.WrongState):
        desk.reopen(conversation.pk, by=owner, at=NOON)
    desk.answer(conversation.pk, text="Hello", by=owner, at=NOON)
    outgoing.send_batch(at=NOON)
    desk.close(conversation.pk, by=owner, at=NOON)
    desk.reopen(conversation.pk, by=owner, at=NOON + timedelta(days=1))
    conversation.refresh_from_db()
    assert (conversation.state, conversation.owner) == (ConversationState.OPEN, owner)
    assert conversation.due_at == NOON + timedelta(days=2)


def test_the_same_note_twice_is_one_note():
    owner, conversation = colleague(), told()
    for _ in range(2):
        desk.note(conversation.pk, text="The courier again.", by=owner, at=NOON, key="n1")
    assert Interaction.objects.filter(direction="internal").count() == 1


def test_a_note_never_leaves_X22():
    owner, conversation = colleague(), told()
    desk.note(conversation.pk, text="The courier again.", by=owner, at=NOON)
    assert not OutgoingMessage.objects.exists()
    assert Interaction.objects.get(direction="internal").text == "The courier again."


def test_taking_on_is_for_one():
    conversation = told()
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    queue.take(conversation.pk, by=ada, at=NOON)
    queue.take(conversation.pk, by=ada, at=NOON)
    with pytest.raises(queue.InWork):
        queue.take(conversation.pk, by=ben, at=NOON)
    assert HistoryEntry.objects.filter(verb="conversation.owned").count() == 1


def call(**changes: object) -> desk.Call:
    plain = {
        "key": "c1",
        "phone": "030 1234567",
        "said": "It is broken.",
        "agreed": "We will look at it.",
        "email": "carla@home.example",
    }
    return desk.Call(**{**plain, **changes})


def test_a_call_gets_its_written_confirmation_R052_N6():
    by = colleague(name="Ada Okafor")
    received = desk.log_call(call(hold_seconds=90), by=by, at=NOON)
    assert {p.kind: p.state for p in Promise.objects.all()} == {"first_response": "running", "confirmation": "running"}
    outgoing.send_batch(at=NOON + timedelta(minutes=1))
    assert {p.state for p in Promise.objects.all()} == {"met"}
    assert "We will look at it." in mail.outbox[0].body
    points = {(p.kind, p.address) for p in ContactPoint.objects.filter(customer=received.conversation.customer)}
    assert points == {("phone", "+49301234567"), ("email", "carla@home.example")}
    assert received.interaction.hold_seconds == 90


def test_a_call_counts_from_the_first_ring_R084():
    received = desk.log_call(
        call(spoke_at=NOON - timedelta(minutes=20), spoke_at_known_from="phone display"), by=colleague(), at=NOON
    )
    assert received.conversation.spoke_at == NOON - timedelta(minutes=20)


def test_without_a_stated_time_a_call_began_as_long_ago_as_waiting_and_talking_took_R014_R084():
    received = desk.log_call(call(wait_seconds=300, call_seconds=600, hold_seconds=120), by=colleague(), at=NOON)
    said = received.interaction
    assert (said.wait_seconds, said.call_seconds, said.hold_seconds) == (300, 600, 120)
    assert said.spoke_at == NOON - timedelta(minutes=15)
    assert {p.starts_at for p in Promise.objects.filter(kind="first_response")} == {NOON - timedelta(minutes=15)}


@pytest.mark.parametrize(
    "changes",
    [
        {"call_seconds": 60, "hold_seconds": 61},
        {"wait_seconds": 86_400},
        {"spoke_at": NOON - timedelta(days=91), "spoke_at_known_from": "diary"},
    ],
)
def test_lengths_and_times_that_cannot_be_are_refused_R084(changes):
    with pytest.raises(talks.NotYet):
        desk.log_call(call(**changes), by=colleague(), at=NOON)
    assert not Conversation.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [{"spoke_at": NOON + timedelta(minutes=1), "spoke_at_known_from": "x"}, {"spoke_at": NOON - timedelta(hours=1)}],
)
def test_a_stated_time_needs_a_reason_and_lies_in_the_past_E14(changes):
    with pytest.raises(talks.NotYet):
        desk.log_call(call(**changes), by=colleague(), at=NOON)
    assert not Conversation.objects.exists()


def test_a_call_without_a_way_back_keeps_its_promises_open():
    desk.log_call(call(email=""), by=colleague(), at=NOON)
    assert set(Promise.objects.unmet().values_list("kind", flat=True)) == {"first_response", "confirmation"}


def test_a_wrong_address_for_the_confirmation_is_refused_before_anything_is_written():
    with pytest.raises(identity.UnusableAddress):
        desk.log_call(call(email="nobody"), by=colleague(), at=NOON)
    assert not Customer.objects.exists()


def test_an_address_that_belongs_to_somebody_else_only_receives():
    other = told(sender_address="carla@home.example").customer
    received = desk.log_call(call(), by=colleague(), at=NOON)
    assert received.conversation.customer != other
    assert ContactPoint.objects.get(address="carla@home.example").customer == other
    assert OutgoingMessage.objects.get().customer == received.conversation.customer


def test_the_same_call_twice_is_one_call():
    by = colleague()
    first, again = desk.log_call(call(), by=by, at=NOON), desk.log_call(call(), by=by, at=NOON)
    assert first.interaction == again.interaction
    assert OutgoingMessage.objects.count() == 1


def test_line_ends_in_names_and_subjects_never_become_headers_M27():
    owner = colleague(name="Ada\r\nBcc: everybody@else.example")
    conversation = told(subject="Hello\r\nBcc: everybody@else.example")
    desk.answer(conversation.pk, text="Hi", by=owner, at=NOON)
    outgoing.send_batch(at=NOON)
    headers, _blank, _body = mail.outbox[0].message().as_bytes().partition(b"\n\n")
    assert b"\nBcc:" not in headers
    assert mail.outbox[0].recipients() == [conversation.customer.contact_points.get().address]
    assert OutgoingMessage.objects.get().state == "accepted"


def test_whatever_stands_in_names_subjects_and_ids_an_answer_has_the_same_headers_M27():
    """Line ends of every kind, also in the Message-IDs that stand in References."""
    counts = []
    for number, evil in enumerate(
        ["plain", *(f"a{end}Bcc: x@y.example{end}{end}<b>" for end in ("\r\n", "\n", "\r", "\u2028", "\x0b"))]
    ):
        owner = colleague(name=f"Ada {evil}")
        conversation = told(subject=evil, message_id=f"{number}{evil}@home.example", sender_name=evil)
        desk.answer(conversation.pk, text="Hi", by=owner, at=NOON, out_of_order="knows_it")
        outgoing.send_batch(at=NOON)
        sent = message_from_bytes(mail.outbox[-1].message().as_bytes())
        assert "Bcc" not in sent
        counts.append(sorted(sent.keys()))
    assert all(headers == counts[0] for headers in counts), counts
    assert mail.outbox[-1].recipients() == [conversation.customer.contact_points.get().address]
