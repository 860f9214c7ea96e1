"""What became of what we sent: believed only with our own mark or key, applied once, the same in every order."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest

from crm.actions import deliveries, desk, intake, mails, outcomes, outgoing, promises
from crm.channels import email as mail_channel
from crm.channels.email.addresses import read as read_address
from crm.channels.email.addresses import return_address
from crm.channels.esp import DeliveryNews
from crm.channels.esp_inbound import InboundMail
from crm.channels.sending import Handed, Outcome
from crm.models import (
    Alert,
    Consent,
    ContactPoint,
    Conversation,
    DeliveryEvent,
    HistoryEntry,
    OutgoingMessage,
    Promise,
    RawItem,
    WorkItem,
)  # fmt: skip
from crm.policy import AlertKind, ConversationState, Delivery, MessageKind, OutgoingState, PromiseKind
from tests.conftest import NOON
from tests.crm import stories
from tests.crm.actions.test_outgoing import ONE_CLICK, answered, draft, first_answer, now, queued
from tests.crm.allowing import allows

pytestmark = pytest.mark.django_db

SOON = NOON + timedelta(minutes=10)
LATER = NOON + timedelta(hours=1)


def accepted(message: OutgoingMessage, *, at: Any = SOON, provider_id: str = "pm-1") -> OutgoingMessage:
    """Handed over and accepted, as the sending lane does it."""
    OutgoingMessage.objects.filter(pk=message.pk).update(state=OutgoingState.HANDING, attempt=1, lease_until=at)
    message = now(message)
    outcomes.settle(message, Handed(Outcome.ACCEPTED, provider_id=provider_id), at=at)
    return now(message)


def news(event: str = "bounced", **changes: Any) -> DeliveryNews:
    plain: dict[str, Any] = {
        "provider": "postmark", "event": event, "key": None, "provider_id": "pm-1", "recipient": "", "reason": "",
        "said": "smtp;550 5.1.1 unknown", "event_at": LATER, "event_id": f"{event}:1", "is_permanent": event == "bounced",
    }  # fmt: skip
    return DeliveryNews(**{**plain, **changes})


def state_of(message: OutgoingMessage) -> dict[str, Any]:
    """Everything that a report may change."""
    message = now(message)
    talk = Conversation.objects.filter(pk=message.conversation_id or 0)
    return {
        "message": (message.state, message.delivery, message.delivery_at, message.delivery_reason),
        "talk": list(talk.values("state", "due_at", "first_answer_at", "last_outbound_at")),
        "promises": list(
            Promise.objects.order_by("pk").values("kind", "state", "due_at", "met_at", "met_by", "breached_at")
        ),
        "points": list(
            ContactPoint.objects.order_by("pk").values("address", "unconfirmed_since", "unconfirmed_because")
        ),
        "consents": list(Consent.objects.order_by("pk").values("purpose", "state")),
        "events": DeliveryEvent.objects.count(),
        "alerts": list(Alert.objects.order_by("pk").values("kind", "to")),
        "verbs": sorted(HistoryEntry.objects.values_list("verb", flat=True)),
    }


# --- came back for good ----------------------------------------------------------------------------------------------


def test_an_answer_that_came_back_answered_nobody_X4():
    """A promise is met when the answer was accepted, and unmet again when it comes back; its due time never moves."""
    message = accepted(answered())
    before = first_answer(message)
    assert before.met_at == SOON
    talk = message.conversation

    deliveries.report(news(), at=LATER)

    talk.refresh_from_db()
    after = first_answer(message)
    assert (after.state, after.met_at, after.met_by, after.due_at) == ("running", None, None, before.due_at)
    assert (talk.state, talk.first_answer_at, talk.due_at) == (ConversationState.OPEN, None, before.due_at)
    assert talk.owner is not None
    told = now(message)
    assert (told.state, told.delivery, told.delivery_at) == (OutgoingState.ACCEPTED, Delivery.BOUNCED, LATER)
    assert told.delivery_reason == "smtp;550 5.1.1 unknown"


def test_its_address_is_doubted_and_not_deleted_and_the_owner_told_M12():
    message = accepted(answered())

    deliveries.report(news(), at=LATER)

    point = ContactPoint.objects.get(address="carla@home.example")
    assert (point.unlinked_at, point.unconfirmed_since, point.unconfirmed_because) == (
        None,
        LATER,
        "smtp;550 5.1.1 unknown",
    )
    alert = Alert.objects.get(kind=AlertKind.ADDRESS_BOUNCED)
    assert (alert.to, alert.conversation) == (message.conversation.owner, message.conversation)
    assert "carla" not in str(alert.detail)


def test_nobody_s_matter_is_told_the_leads():
    message = accepted(answered())
    Conversation.objects.update(owner=None)

    deliveries.report(news(), at=LATER)

    assert Alert.objects.get(kind=AlertKind.ADDRESS_BOUNCED).to is None
    assert now(message).delivery == Delivery.BOUNCED


def test_a_closed_matter_opens_again():
    message = accepted(answered())
    desk.close(message.conversation_id, by=message.signed_by, at=SOON)

    deliveries.report(news(), at=LATER)

    assert Conversation.objects.get().state == ConversationState.OPEN
    assert HistoryEntry.objects.filter(verb="conversation.reopened").count() == 1


def test_a_promise_that_was_kept_late_stays_missed():
    message = answered()
    due = first_answer(message).due_at
    message = accepted(message, at=due + timedelta(hours=1))
    assert first_answer(message).state == "met_late"

    deliveries.report(news(event_at=due + timedelta(hours=2)), at=due + timedelta(hours=2))

    promise = first_answer(message)
    assert (promise.state, promise.met_at, promise.due_at) == ("breached", None, due)
    assert promise.breached_at == due + timedelta(hours=1)


def test_another_answer_that_arrived_keeps_the_promise_at_its_own_time():
    first = accepted(answered())
    second = desk.answer(first.conversation_id, text="And the large one fits too.", by=first.signed_by, at=SOON)
    accepted(second, at=SOON + timedelta(minutes=5), provider_id="pm-2")

    deliveries.report(news(), at=LATER)

    promise = first_answer(first)
    assert (promise.state, promise.met_at, promise.met_by) == ("met", SOON + timedelta(minutes=5), second.interaction)
    assert Conversation.objects.get().first_answer_at == SOON + timedelta(minutes=5)

    deliveries.report(news(provider_id="pm-2", event_id="x"), at=LATER)

    assert (first_answer(first).state, Conversation.objects.get().first_answer_at) == ("running", None)


def test_value_is_never_sent_again_by_itself_G16():
    carla = stories.app_user().customer
    allows(carla, "birthday", at=NOON)
    card = outgoing.queue(
        draft("card", kind=MessageKind.GESTURE, purpose="birthday", has_value=True, headers=ONE_CLICK),
        customer=carla,
        at=NOON,
    )
    card = accepted(card)

    deliveries.report(news(), at=LATER)

    assert (now(card).state, outgoing.send_batch(at=LATER)) == (OutgoingState.ACCEPTED, 0)
    assert OutgoingMessage.objects.count() == 1
    assert Alert.objects.get(kind=AlertKind.ADDRESS_BOUNCED).to is None  # a person decides what becomes of the value
    with pytest.raises(outgoing.WrongState):
        outgoing.release(card.pk, by=stories.colleague(), at=LATER)


def test_an_acknowledgement_that_comes_back_disturbs_nobody():
    received = intake.receive(stories.message(sender_address="k@home.example"), at=NOON, origin="test")
    notice = outgoing.queue(draft("k", kind=MessageKind.NOTICE), customer=received.conversation.customer, at=NOON)
    accepted(notice)

    deliveries.report(news(), at=LATER)

    assert ContactPoint.objects.get(address="k@home.example").unconfirmed_since == LATER
    assert not Alert.objects.exists()


def test_what_concerns_a_case_is_told_its_keepers():
    message = accepted(answered())
    OutgoingMessage.objects.update(concerns=f"case:{uuid.uuid4()}")

    deliveries.report(news(), at=LATER)

    followed = set(WorkItem.objects.filter(event="outgoing.came_back").values_list("lane", flat=True))
    assert followed == {"recovery", "gestures"}
    assert now(message).delivery == Delivery.BOUNCED


# --- not for good ----------------------------------------------------------------------------------------------------


def test_a_mail_that_a_full_mailbox_gave_back_is_no_reason_to_doubt_the_address_X4():
    """Given up by the other side, so nobody was answered; but the address exists."""
    message = accepted(answered())

    deliveries.report(news(is_permanent=False, said="552 5.2.2 mailbox full"), at=LATER)

    assert ContactPoint.objects.get(address="carla@home.example").unconfirmed_since is None
    assert not Alert.objects.filter(kind=AlertKind.ADDRESS_BOUNCED).exists()
    assert (first_answer(message).state, Conversation.objects.get().state) == ("running", ConversationState.OPEN)


def test_what_is_only_delayed_is_no_failure_F29():
    message = accepted(answered())
    before = state_of(message)

    deliveries.report(news("deferred"), at=LATER)

    after = state_of(message)
    assert after.pop("message") == (OutgoingState.ACCEPTED, Delivery.DEFERRED, LATER, "smtp;550 5.1.1 unknown")
    assert {**after, "events": 0} == {name: value for name, value in before.items() if name != "message"}


@pytest.mark.parametrize("event", ["opened", "clicked", "sent", "queued", "subscribed", "autoresponded"])
def test_what_recipients_open_or_click_is_not_kept(event: str):
    message = accepted(answered())
    before = state_of(message)

    assert deliveries.report(news(event), at=LATER) is None

    assert state_of(message) == before
    assert not RawItem.objects.exists()


# --- in any order, once ----------------------------------------------------------------------------------------------

FIVE = (
    news("deferred", event_at=SOON + timedelta(minutes=1), event_id="1", said="a"),
    news("delivered", event_at=SOON + timedelta(minutes=2), event_id="2", said="b"),
    news("bounced", event_at=SOON + timedelta(minutes=3), event_id="3", said="c"),
    news("complained", event_at=SOON + timedelta(minutes=4), event_id="4", said="d"),
    news("delivered", event_at=SOON + timedelta(minutes=5), event_id="5", said="e"),
)


@pytest.mark.parametrize("without", [None, 3], ids=["all five", "without the complaint"])
def test_every_order_of_five_reports_ends_the_same_H04_F26(without: int | None):
    """All 120 (24 without the complaint), each report also told twice."""
    from django.db import transaction

    message = accepted(answered())
    allows(message.customer, "birthday", at=NOON)
    told = [one for place, one in enumerate(FIVE) if place != without]
    ends = []
    for order in itertools.permutations(told):
        with transaction.atomic():
            for one in (*order, order[0]):
                deliveries.report(one, at=LATER)
            ends.append(state_of(message))
            transaction.set_rollback(True)

    assert all(end == ends[0] for end in ends)
    assert ends[0]["message"][1] == (Delivery.COMPLAINED if without is None else Delivery.BOUNCED)
    assert ends[0]["events"] == len(told)


def test_a_report_keeps_both_times_and_lies_neither_before_the_message_nor_ahead_of_us_H05():
    message = accepted(answered())

    deliveries.report(news("deferred", event_at=LATER - timedelta(hours=6), event_id="a"), at=LATER)
    deliveries.report(news("delivered", event_at=LATER + timedelta(days=3), event_id="b"), at=LATER)

    early, late = DeliveryEvent.objects.order_by("pk")
    assert (early.event_at, early.received_at) == (message.created_at, LATER)
    assert (late.event_at, late.received_at) == (LATER, LATER)


def test_a_bounce_that_is_quicker_than_our_own_note_keeps_no_promise():
    message = answered()
    OutgoingMessage.objects.filter(pk=message.pk).update(state=OutgoingState.HANDING, attempt=1, lease_until=NOON)

    deliveries.report(news(key=message.public_id, provider_id="", event_at=SOON), at=SOON)
    outcomes.settle(now(message), Handed(Outcome.ACCEPTED, provider_id="pm-1"), at=SOON)

    assert (now(message).state, now(message).delivery) == (OutgoingState.ACCEPTED, Delivery.BOUNCED)
    assert first_answer(message).met_at is None
    assert (Conversation.objects.get().state, Conversation.objects.get().first_answer_at) == (
        ConversationState.OPEN,
        None,
    )


def test_a_report_settles_an_outcome_that_nobody_knew():
    """The line broke before the answer; what the provider reports says that it had arrived (reliability 14: look up)."""
    message = answered()
    OutgoingMessage.objects.filter(pk=message.pk).update(state=OutgoingState.HANDING, attempt=1, lease_until=NOON)
    outcomes.settle(now(message), Handed(Outcome.UNKNOWN, "the line broke"), at=SOON)
    assert now(message).state == OutgoingState.READY

    deliveries.report(news("delivered", key=message.public_id, provider_id="", event_at=SOON), at=LATER)

    assert (now(message).state, now(message).accepted_at, now(message).delivery) == ("accepted", SOON, "delivered")
    assert first_answer(message).met_at == SOON


# --- who is not believed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"provider_id": "pm-2"}, {"provider_id": ""}, {"key": uuid.uuid4(), "provider_id": ""},
        {"recipient": "somebody@else.example"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("event", ["bounced", "complained", "unsubscribed", "delivered"])
def test_news_that_names_no_message_of_ours_changes_nothing_H09(changes: dict[str, Any], event: str):
    message = accepted(answered())
    allows(message.customer, "birthday", at=NOON)
    before = state_of(message)

    assert deliveries.report(news(event, **changes), at=LATER) is None

    assert state_of(message) == before


def test_a_key_and_an_id_that_disagree_name_nothing_H09():
    message = accepted(answered())
    other = accepted(queued("other"), provider_id="pm-9")
    before = state_of(message)

    assert deliveries.report(news(key=other.public_id), at=LATER) is None

    assert state_of(message) == before


def test_a_message_that_never_left_has_no_news_H09():
    message = answered()
    before = state_of(message)

    assert deliveries.report(news("delivered", key=message.public_id, provider_id=""), at=LATER) is None

    assert state_of(message) == before


def test_our_own_message_id_names_the_message_where_the_provider_keeps_it():
    message = accepted(answered(), provider_id="")
    named = f"<{message.public_id}@evenhand.example>"

    assert deliveries.report(news("delivered", provider_id=named), at=LATER) == message


# --- mails that came back --------------------------------------------------------------------------------------------

DSN = """From: Mail Delivery System <mailer-daemon@mx.example>\r
To: {to}\r
Subject: Undelivered Mail Returned to Sender\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r
\r
--b\r
Content-Type: text/plain\r
\r
We are sorry.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example\r
\r
Final-Recipient: rfc822; {recipient}\r
Action: {action}\r
Status: {status}\r
--b--\r
"""


def returned(
    to: str, *, action: str = "failed", status: str = "5.1.1", recipient: str = "carla@home.example", at: Any = LATER
) -> Any:
    """A returned mail arrives and is applied, as the reading of mail does it."""
    content = DSN.format(to=to, action=action, status=status, recipient=recipient).encode()
    raw = mails.keep_raw(content, source="mail:test", label="", at=at)
    mail = mail_channel.read(content, received_at=at)
    assert mail.kind == "bounce"
    return deliveries.bounce_mail(raw, mail, read_address([to]), at=at)


def test_a_returned_mail_with_our_mark_does_what_a_report_does_M11():
    message = accepted(answered())

    assert returned(return_address(message.public_id)) == message
    assert returned(return_address(message.public_id)) == message  # the same mail again

    event = DeliveryEvent.objects.get()
    assert (event.kind, event.is_permanent, event.source, event.reason) == (
        "bounced",
        True,
        "bounce mail",
        "5.1.1 failed",
    )
    assert ContactPoint.objects.get(address="carla@home.example").unconfirmed_because == "5.1.1 failed"
    assert (first_answer(message).met_at, Conversation.objects.get().state) == (None, ConversationState.OPEN)


def test_a_forged_one_changes_nothing_M12():
    message = accepted(answered())
    real = return_address(message.public_id)
    domain = real.partition("@")[2]
    before = state_of(message)

    forged = [
        f"return+{real[7 : -len(domain) - 17]}{'a' * 16}@{domain}",  # the right message, another mark
        f"return+@{domain}",
        f"return+{'a' * 42}@{domain}",
        real.replace(domain, "elsewhere.example"),
        f"reply+{'a' * 26}@{domain}",
        "support@evenhand.example",
        return_address(uuid.uuid4()),  # our mark, no message of ours
    ]
    for to in forged:
        assert returned(to) is None, to
    assert state_of(message) == before


@pytest.mark.parametrize(
    ("action", "status", "delivery", "is_permanent"),
    [
        ("delayed", "4.4.1", "deferred", False), ("delivered", "2.0.0", "delivered", False), ("failed", "4.4.7", "bounced", False),
        ("failed", "5.2.2", "bounced", False), ("failed", "5.7.1", "bounced", False), ("failed", "5.1.1", "bounced", True),
        ("failed", "5.4.4", "bounced", True), ("failed", "5.1.10", "bounced", True), ("relayed", "2.0.0", "", False),
        ("expanded", "2.0.0", "", False),
    ],
)  # fmt: skip
def test_what_a_returned_mail_says_is_read_by_its_action_and_status_F29(
    action: str, status: str, delivery: str, is_permanent: bool
):
    message = accepted(answered())

    returned(return_address(message.public_id), action=action, status=status)

    assert now(message).delivery == delivery
    doubted = ContactPoint.objects.get(address="carla@home.example").unconfirmed_since is not None
    assert doubted is is_permanent
    assert (first_answer(message).met_at is None) is (delivery == "bounced")


def test_a_recipient_behind_a_forwarding_is_still_ours_by_the_mark():
    message = accepted(answered())

    returned(return_address(message.public_id), recipient="c.carlson@work.example")

    assert now(message).delivery == Delivery.BOUNCED


def test_a_mail_that_vouches_for_an_address_takes_the_doubt_away():
    accepted(answered())
    deliveries.report(news(), at=LATER)
    point = ContactPoint.objects.get(address="carla@home.example")

    assert deliveries.address_works(point, at=LATER) is True
    assert deliveries.address_works(point, at=LATER) is False

    point.refresh_from_db()
    assert (point.unconfirmed_since, point.unconfirmed_because) == (None, "")
    assert HistoryEntry.objects.filter(verb="address.works").count() == 1


# --- no more, please -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["complained", "unsubscribed"])
def test_complaint_and_unsubscribing_stop_kindness_and_never_an_answer_X10(event: str):
    message = accepted(answered())
    for purpose in ("birthday", "news"):
        allows(message.customer, purpose, at=NOON)

    for _again in range(2):
        deliveries.report(news(event), at=LATER)

    newest = Consent.objects.order_by("purpose", "-pk").distinct("purpose")
    assert {one.purpose: one.state for one in newest} == {"birthday": "withdrawn", "news": "withdrawn"}
    assert Consent.objects.count() == 4
    assert first_answer(message).met_at == SOON
    assert ContactPoint.objects.get(address="carla@home.example").unconfirmed_since is None
    more = desk.answer(message.conversation_id, text="The large one too.", by=message.signed_by, at=LATER)
    OutgoingMessage.objects.filter(pk=more.pk).update(state=OutgoingState.CLAIMED, attempt=1, lease_until=LATER)
    assert outgoing._begin_handing(now(more), at=LATER)  # a service answer is owed and leaves


def test_a_complaint_from_before_they_said_yes_again_ends_nothing():
    message = accepted(answered())
    allows(message.customer, "birthday", at=LATER)

    deliveries.report(news("complained", event_at=SOON), at=LATER + timedelta(hours=1))

    assert Consent.objects.get().state == "granted"
    assert now(message).delivery == Delivery.COMPLAINED


# --- keeping mail ----------------------------------------------------------------------------------------------------


def test_a_mail_that_a_provider_took_in_is_read_by_the_lane():
    mail = InboundMail(
        "postmark", stories.raw_mail(), "id-1", envelope_to="in@x.example", spam_score=1.5, is_spam=False
    )

    deliveries.keep_mails([mail], at=NOON)
    deliveries.keep_mails([mail], at=LATER)

    item = RawItem.objects.get()
    assert item.facts == {"provider": "postmark", "envelope_to": "in@x.example", "spam_score": 1.5, "is_spam": False}
    assert mails.ingest_batch(at=NOON) == 1
    assert Conversation.objects.count() == 1  # a score decides nothing


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [({"is_spam": True}, "spam", "spam_flag"), ({"has_null_sender": True}, "auto_reply", "null_sender")],
)
def test_what_a_provider_says_of_a_mail_counts_as_a_header_of_our_server_would(
    said: dict[str, bool], kind: str, reason: str
):
    """It is set aside, where a person looks at a sample of it and can take it in all the same (M10, M11)."""
    deliveries.keep_mails([InboundMail("postmark", stories.raw_mail(), "id-1", **said)], at=NOON)

    mails.ingest_batch(at=NOON)

    item = RawItem.objects.get()
    assert (item.kind, item.reason.partition(":")[0]) == (kind, reason)
    assert not Conversation.objects.exists()
    assert not OutgoingMessage.objects.exists()


def test_unmeeting_by_hand_touches_only_what_was_kept_then():
    message = accepted(answered())
    talk = Conversation.objects.select_for_update().get()

    assert promises.unmeet(talk, [PromiseKind.FIRST_RESPONSE], kept_at=LATER, at=LATER) == []

    assert first_answer(message).met_at == SOON
