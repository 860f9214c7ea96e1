"""Where a mail belongs, who may speak there, and what our machine answers: M01–M09, M14, M25, M26, X1, X3, X5."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import transaction

from crm.actions import correspondence, desk, mail_batches, mails, outgoing, reply_addresses
from crm.channels.email import addresses
from crm.models import (
    Alert,
    Consent,
    ContactPoint,
    Conversation,
    Customer,
    Doubt,
    Interaction,
    OutgoingMessage,
    Promise,
    RawItem,
    ReplyToken,
)
from crm.policy import REPLY_TOKEN_LASTS, AlertKind, ConversationState, DoubtCode, MessageKind, OutgoingState, WorkState
from tests.conftest import NOON
from tests.crm.actions.test_races import at_once
from tests.crm.allowing import allows
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague, raw_mail

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
BORDER = "mx.shop.example"
_numbers = count(1)


@pytest.fixture(autouse=True)
def _inbound(settings: Any) -> None:
    settings.EVENHAND_INBOUND_DOMAIN = "in.evenhand.example"
    settings.EVENHAND_BORDER_HOSTS = frozenset({BORDER})


def mailed(
    text: str = "My lamp is broken.",
    *,
    sender: str = "carla@home.example",
    to: str = "support@evenhand.example",
    subject: str = "My lamp",
    extra: str = "",
    at: Any = NOON,
    vouched: bool = False,
) -> RawItem:
    """A mail as our border lets it in, kept and read. vouched: our border found DMARC to pass."""
    stamp = f"Authentication-Results: {BORDER}; dmarc=pass header.from=x\r\n" if vouched else ""
    raw = raw_mail(text, sender=sender, subject=subject, extra=f"{stamp}{extra}X-Number: {next(_numbers)}\r\n")
    raw = raw.replace(b"To: support@evenhand.example", f"To: {to}".encode())
    item = mails.keep_raw(raw, source="mail:test", label="", at=at)
    mails.read_raw(item, at=at)
    item.refresh_from_db()
    return item


def said(item: RawItem) -> Interaction:
    return Interaction.objects.select_related("conversation__customer").get(raw=item)


def doubts(item: RawItem) -> dict[str, Conversation | None]:
    return {doubt.code: doubt.conversation for doubt in Doubt.objects.filter(interaction__raw=item)}


def answered(sender: str = "carla@home.example") -> tuple[Conversation, str, OutgoingMessage]:
    """A customer's matter that a colleague has answered, and the reply address of that answer."""
    owner = colleague()
    conversation = said(mailed(sender=sender)).conversation
    answer = desk.answer(conversation.pk, text="Which lamp is it?", by=owner, at=NOON, out_of_order="knows_it")
    outgoing.send_batch(at=NOON)
    token = ReplyToken.objects.get(conversation=conversation, address=sender)
    return conversation, addresses.reply_address(addresses.token_of(token.nonce)), answer


# --- our own reply address -------------------------------------------------------------------------------------------


def test_an_answer_to_the_reply_address_joins_its_matter_and_proves_the_address_X1():
    conversation, reply_to, _answer = answered()
    item = mailed("The green one.", to=reply_to, subject="something else", at=NOON + HOUR)
    assert said(item).conversation == conversation
    assert doubts(item) == {}
    assert ContactPoint.objects.get(address="carla@home.example").verified_at == NOON + HOUR


def test_the_reply_address_works_in_capitals_and_from_the_envelope_alone_M07():
    conversation, reply_to, _answer = answered()
    assert said(mailed("The green one.", to=reply_to.upper())).conversation == conversation
    raw = raw_mail("Blind copy.", sender="carla@home.example")
    item = mails.keep_raw(raw, source="mail:test", label="", at=NOON, facts={"envelope_to": reply_to})
    assert mails.read_raw(item, at=NOON).conversation == conversation


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda address: address.replace("reply+", "reply+x"), DoubtCode.TOKEN_UNKNOWN),
        (lambda address: address.replace("@", "x@"), DoubtCode.TOKEN_UNKNOWN),
        (lambda address: "reply+" + address.partition("+")[2][5:], DoubtCode.TOKEN_UNKNOWN),
        (lambda address: f"reply+@{address.partition('@')[2]}", DoubtCode.TOKEN_UNKNOWN),
    ],
)
def test_a_forged_or_cut_reply_address_links_nothing_M07(change: Callable[[str], str], code: str):
    conversation, reply_to, _answer = answered()
    before = conversation.interactions.count()
    item = mailed("Let me in.", to=change(reply_to))
    assert said(item).conversation != conversation
    assert doubts(item) == {code: None}
    assert conversation.interactions.count() == before


def test_a_reply_address_that_was_taken_back_or_ran_out_links_nothing_and_nothing_is_lost_M07():
    conversation, reply_to, _answer = answered()
    assert reply_addresses.revoke(conversation.pk, by=colleague(), at=NOON) == 1
    revoked = mailed("Again.", to=reply_to)
    assert said(revoked).conversation != conversation
    assert doubts(revoked) == {DoubtCode.TOKEN_REVOKED: conversation}

    other, later_to, _answer = answered("olga@home.example")
    expired = mailed("Very late.", sender="olga@home.example", to=later_to, at=NOON + REPLY_TOKEN_LASTS + HOUR)
    assert said(expired).conversation != other
    assert doubts(expired) == {DoubtCode.TOKEN_EXPIRED: other}
    assert Conversation.objects.filter(pk=said(expired).conversation_id, due_at__isnull=False).exists()


def test_a_third_person_with_a_valid_reply_address_is_kept_and_marked_and_becomes_nobody_M06():
    conversation, reply_to, _answer = answered()
    owner = Conversation.objects.get(pk=conversation.pk).owner
    people = Customer.objects.count()
    item = mailed("I am her brother.", sender="bob@else.example", to=reply_to, at=NOON + HOUR)
    interaction = said(item)
    assert interaction.conversation == conversation
    assert (interaction.other_address, interaction.contact_point) == ("bob@else.example", None)
    assert doubts(item)[DoubtCode.OTHER_PERSON] is None
    conversation.refresh_from_db()
    assert (conversation.customer.display_name, conversation.owner) == ("Carla Customer", owner)
    assert Customer.objects.count() == people
    reply = desk.answer(conversation.pk, text="Thank you.", by=owner, at=NOON + HOUR, out_of_order="knows_it")
    assert reply.address == "carla@home.example"  # nobody new is written to


def test_what_somebody_else_wrote_is_not_shown_to_the_customer_M08():
    conversation, reply_to, _answer = answered()
    user = app_user()
    Conversation.objects.filter(pk=conversation.pk).update(customer=user.customer)
    mailed("Your confirmation code is 123456.", sender="noreply@service.example", to=reply_to)
    shown = client_for(user).get(f"/api/v1/conversations/{conversation.public_id}/").json()
    assert "123456" not in str(shown)
    staff = client_for(colleague()).get(f"/api/v1/conversations/{conversation.public_id}/").json()
    assert "123456" in str(staff)


def test_reply_addresses_are_kept_as_digests_and_made_anew_after_the_key_changed(settings: Any):
    conversation, reply_to, _answer = answered()
    token = reply_to.partition("+")[2].partition("@")[0]
    row = ReplyToken.objects.get()
    assert token not in (row.nonce, row.digest)
    settings.SECRET_KEY = "another key that is long enough for a test of rotation"
    desk.answer(
        conversation.pk,
        text="One more thing.",
        by=Conversation.objects.get(pk=conversation.pk).owner,
        at=NOON,
        out_of_order="knows_it",
    )
    outgoing.send_batch(at=NOON)
    assert ReplyToken.objects.count() == 2
    assert said(mailed("Old address.", to=reply_to)).conversation == conversation


# --- headers, numbers and names prove nothing ------------------------------------------------------------------------


def test_a_number_in_the_subject_links_nothing_and_is_noted_M01():
    conversation, _reply_to, _answer = answered()
    sent = OutgoingMessage.objects.count()
    item = mailed("Let me see.", sender="mallory@else.example", subject=f"[EV-{conversation.pk}] Re: My lamp")
    assert said(item).conversation != conversation
    assert doubts(item) == {DoubtCode.MENTIONS_CASE: conversation}
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.WAITING
    new = OutgoingMessage.objects.order_by("pk")[sent:]
    assert {one.address for one in new} == {"mallory@else.example"}
    assert "lamp" not in f"{new[0].subject} {new[0].text} {new[0].html}".lower()


def test_nobody_is_subscribed_by_standing_in_to_or_cc_M02():
    conversation, reply_to, _answer = answered()
    owner = Conversation.objects.get(pk=conversation.pk).owner
    item = mailed("See copy.", to=reply_to, extra="Cc: mallory@else.example, victim@else.example\r\n")
    assert said(item).conversation == conversation
    desk.answer(conversation.pk, text="Thank you.", by=owner, at=NOON, out_of_order="knows_it")
    assert set(OutgoingMessage.objects.values_list("address", flat=True)) == {"carla@home.example"}
    assert not ContactPoint.objects.filter(address__endswith="@else.example").exists()


def test_what_leaves_goes_to_one_address_and_names_no_other_whoever_was_in_copy_P11(mailoutbox: Any):
    """There is no reply to all: a mail has one recipient, and neither Cc nor Bcc, also where the customer put others in copy."""
    item = mailed("We are many.", extra="Cc: mallory@else.example\r\nReply-To: list@else.example\r\n")
    conversation = said(item).conversation
    desk.answer(conversation.pk, text="Thank you.", by=colleague(), at=NOON, out_of_order="knows_it")
    while outgoing.send_batch(at=NOON + HOUR):
        pass
    assert mailoutbox
    for sent in mailoutbox:
        assert sent.recipients() == ["carla@home.example"]
        assert (sent.cc, sent.bcc) == ([], [])
        head = sent.message().as_string().split("\n\n")[0].lower()
        assert "\ncc:" not in head
        assert "else.example" not in head


@pytest.mark.parametrize("sender", ["carla@home.example", "mallory@else.example"])
def test_headers_alone_only_suggest_M03(sender: str):
    conversation, _reply_to, answer = answered()
    item = mailed("And?", sender=sender, extra=f"In-Reply-To: <{answer.public_id}@evenhand.example>\r\n")
    assert said(item).conversation != conversation
    assert doubts(item) == {DoubtCode.STRANGERS_HEADERS: conversation}


def test_headers_of_a_verified_participant_join_X1():
    conversation, _reply_to, answer = answered()
    item = mailed("And?", vouched=True, extra=f"In-Reply-To: <{answer.public_id}@evenhand.example>\r\n")
    assert said(item).conversation == conversation
    assert doubts(item) == {}
    stranger = mailed(
        "And?",
        sender="mallory@else.example",
        vouched=True,
        extra=f"References: <{answer.public_id}@evenhand.example>\r\n",
    )
    assert said(stranger).conversation != conversation


@pytest.mark.parametrize("by_token", [True, False])
def test_a_mail_in_a_colleagues_name_reaches_no_customer_M04_M05(by_token: bool):
    _conversation, reply_to, answer = answered()
    agent = colleague(email="ben@shop.example")
    if not by_token:
        agent.is_active = False  # a former colleague
        agent.save()
    leaving = OutgoingMessage.objects.filter(kind=MessageKind.SERVICE).count()
    extra = "" if by_token else f"In-Reply-To: <{answer.public_id}@evenhand.example>\r\n"
    item = mailed(
        "Dear Carla, please pay here.",
        sender="ben@shop.example",
        to=reply_to if by_token else "support@evenhand.example",
        extra=extra,
    )
    assert OutgoingMessage.objects.filter(kind=MessageKind.SERVICE).count() == leaving
    assert not OutgoingMessage.objects.filter(address="carla@home.example", kind=MessageKind.SERVICE).exclude(
        pk=answer.pk
    )
    assert said(item).author is None
    assert (DoubtCode.CLAIMS_STAFF in doubts(item)) == by_token


def test_a_leaked_message_id_used_by_somebody_else_suppresses_nothing_M19():
    first = raw_mail("The real one.", sender="carla@home.example").replace(b"Message-ID: <", b"Message-ID: <same.")
    ours = mails.keep_raw(first, source="mail:test", label="", at=NOON)
    theirs = mails.keep_raw(
        first.replace(b"real", b"forged").replace(b"carla@home", b"mallory@else"), source="mail:test", label="", at=NOON
    )
    mails.read_raw(theirs, at=NOON)
    mails.read_raw(ours, at=NOON)
    assert sorted(Interaction.objects.values_list("text", flat=True)) == ["The forged one.", "The real one."]


@pytest.mark.parametrize(
    ("sender", "extra", "code"),
    [
        ("carla@home.example", "From: Other <other@else.example>\r\n", DoubtCode.SEVERAL_SENDERS),
        ("carla@xn--hme-0na.example", "", DoubtCode.LOOK_ALIKE),
    ],
)
def test_an_odd_sender_is_taken_in_and_marked_M14(sender: str, extra: str, code: str):
    item = mailed(sender=sender, extra=extra)
    assert code in doubts(item)
    assert item.state == WorkState.DONE


# --- what our machine answers ----------------------------------------------------------------------------------------


def notices(address: str = "carla@home.example") -> list[OutgoingMessage]:
    return list(OutgoingMessage.objects.filter(kind=MessageKind.NOTICE, address=address).order_by("pk"))


def test_a_new_matter_is_acknowledged_once_without_a_word_of_the_sender_M26():
    colleague(name="Ada Agent")
    item = mailed("Buy cheap pills at spam.example!", subject="pills pills", sender="victim@home.example")
    only = notices("victim@home.example")
    assert len(only) == 1
    assert only[0].headers["Auto-Submitted"] == "auto-replied"
    assert only[0].headers["In-Reply-To"] == f"<{said(item).message_id}>"
    for word in ("pills", "spam", "Carla"):
        assert word not in f"{only[0].subject} {only[0].text} {only[0].html}"
    mailed("Again.", subject="more pills", sender="victim@home.example", at=NOON + HOUR)
    assert len(notices("victim@home.example")) == 1  # nobody has proved that this address is theirs: one a day
    mailed("Next day.", subject="other", sender="victim@home.example", at=NOON + 25 * HOUR)
    assert len(notices("victim@home.example")) == 2


def test_a_proved_address_is_acknowledged_three_times_a_day_M09():
    for number in range(5):
        mailed(f"Matter {number}", subject=f"Matter {number}", vouched=True, at=NOON + number * 2 * HOUR)
    assert len(notices()) == 3


def test_m10_a_person_whose_program_says_so_is_acknowledged():
    mailed(extra="Auto-Submitted: no\r\n")
    assert len(notices()) == 1


def test_an_acknowledgement_is_no_answer_and_keeps_no_promise():
    item = mailed()
    outgoing.send_batch(at=NOON)
    conversation = said(item).conversation
    conversation.refresh_from_db()
    assert notices()[0].state == OutgoingState.ACCEPTED
    assert (conversation.state, conversation.first_answer_at, conversation.last_outbound_at) == (
        ConversationState.OPEN,
        None,
        None,
    )


@pytest.mark.parametrize(
    "extra",
    [
        "Auto-Submitted: auto-replied\r\n",
        "List-Id: <x.list.example>\r\n",
        "X-Spam-Flag: YES\r\n",
        "Return-Path: <>\r\n",
    ],
)
def test_machines_lists_and_spam_are_not_acknowledged_M11(extra: str):
    mailed(extra=extra)
    assert not OutgoingMessage.objects.exists()
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("keeps_the_reply_address", [True, False])
def test_two_robots_without_a_loop_header_fall_silent_M09(keeps_the_reply_address: bool):
    colleague()
    to = "support@evenhand.example"
    rounds = 1000 if keeps_the_reply_address else 200
    for round_ in range(rounds):
        at = NOON + timedelta(seconds=3 * round_)
        mailed(f"We have received your mail {round_}.", sender="robot@else.example", to=to, at=at)
        if round_ < 10 or round_ % 100 == 0:
            outgoing.send_batch(at=at)
        token = ReplyToken.objects.filter(address="robot@else.example").first()
        if token is not None and keeps_the_reply_address:
            to = addresses.reply_address(addresses.token_of(token.nonce))
    assert len(notices("robot@else.example")) == 1
    assert Conversation.objects.count() == (1 if keeps_the_reply_address else 3)
    assert Alert.objects.filter(kind=AlertKind.MAIL_FLOOD).count() == 1
    assert Interaction.objects.count() == rounds  # nothing was dropped


def test_a_bomb_of_one_address_is_folded_and_other_customers_come_through_M25():
    for number in range(50):
        mailed(f"Bomb {number}", subject=f"Bomb {number}", sender="bomber@else.example")
    mailed("A quiet question.", sender="quiet@home.example")
    assert Conversation.objects.filter(customer__contact_points__address="bomber@else.example").count() == 3
    assert len(notices("quiet@home.example")) == 1


def test_an_out_of_office_lands_on_its_matter_without_opening_it_again_X5_M11():
    conversation, reply_to, _answer = answered()
    item = mailed("I am away.", to=reply_to, extra="Auto-Submitted: auto-replied\r\n")
    assert item.about == conversation
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.WAITING
    assert conversation.interactions.count() == 2


def test_a_mail_in_the_name_of_our_reply_domain_is_nobody():
    item = mailed(sender="reply+abc@in.evenhand.example")
    assert (item.kind, item.state) == ("own_notification", WorkState.DONE)
    assert not Conversation.objects.exists()


def test_control_headers_of_the_sender_change_nothing_M28_E04():
    plain = said(mailed(sender="calm@home.example")).conversation
    loud = said(
        mailed(
            sender="loud@home.example",
            extra="X-Priority: 1\r\nImportance: high\r\nX-Evenhand-Queue: critical\r\nX-Zammad-Ticket-Priority: 3\r\n"
            "Priority: urgent\r\nX-MSMail-Priority: High\r\n",
        )
    ).conversation
    assert (loud.queue_class, loud.due_at, loud.state) == (plain.queue_class, plain.due_at, plain.state)


def with_files(*, vouched: bool, language: str = "") -> RawItem:
    stamp = f"Authentication-Results: {BORDER}; dmarc=pass header.from=x\r\n" if vouched else ""
    raw = (
        f"From: Carla <carla@home.example>\r\nTo: support@evenhand.example\r\nSubject: Photos\r\n{stamp}"
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nHere they are.\r\n"
        "--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=good.png\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n"
        "--b\r\nContent-Type: application/x-msdownload\r\nContent-Disposition: attachment; filename=bad.exe\r\n\r\nMZ\r\n"
        "--b--\r\n"
    ).encode()
    item = mails.keep_raw(raw, source="mail:test", label="", at=NOON)
    mails.read_raw(item, at=NOON)
    if language:
        Customer.objects.update(language=language)
    return item


@pytest.mark.parametrize("vouched", [True, False])
def test_the_good_files_are_kept_and_the_customer_is_told_of_the_other_M22(vouched: bool):
    item = with_files(vouched=vouched)
    kept = {file.name: file.state for file in said(item).attachments.all()}
    assert kept == {"good.png": "stored", "bad.exe": "quarantined"}
    told = [one for one in notices() if one.key.startswith("files:")]
    assert len(told) == 1
    assert ("bad.exe" in told[0].text) == vouched  # nothing of the sender's to an address that nobody has proved
    assert "script or program" in told[0].text
    assert "good.png" not in told[0].text


# --- what comes back, end to end ---------------------------------------------------------------------------------------


def bounce_to(address: str, *, about: str = "carla@home.example") -> bytes:
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.else.example\r\nTo: {address}\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nCould not be delivered.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.else.example\r\n\r\n"
        f"Final-Recipient: rfc822; {about}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    ).encode()


def test_an_answer_that_came_back_to_its_own_return_path_is_unanswered_again_and_its_owner_is_told_X4_M12():
    conversation, _reply_to, answer = answered()
    for forged in ("support@evenhand.example", addresses.return_address(answer.public_id).replace("+", "+a", 1)):
        item = mails.keep_raw(bounce_to(forged), source="mail:test", label="", at=NOON)
        assert mails.read_raw(item, at=NOON + HOUR) is None
        conversation.refresh_from_db()
        assert conversation.state == ConversationState.WAITING
        assert ContactPoint.objects.get(address="carla@home.example").unconfirmed_since is None
    true = addresses.return_address(answer.public_id).upper()
    item = mails.keep_raw(bounce_to(true), source="mail:test", label="", at=NOON)
    assert mails.read_raw(item, at=NOON + HOUR) is None
    item.refresh_from_db()
    assert (item.kind, item.about) == ("bounce", conversation)
    conversation.refresh_from_db()
    assert (conversation.state, conversation.first_answer_at) == (ConversationState.OPEN, None)
    point = ContactPoint.objects.get(address="carla@home.example")
    assert point.unconfirmed_since is not None
    assert point.unlinked_at is None
    assert Alert.objects.filter(kind=AlertKind.ADDRESS_BOUNCED, to=conversation.owner).count() == 1
    assert Promise.objects.get(conversation=conversation, kind="first_response").state == "running"

    mailed("I am still here.", vouched=True, at=NOON + 2 * HOUR)
    point.refresh_from_db()
    assert point.unconfirmed_since is None


def test_a_wish_to_stop_cards_is_heard_and_opens_nothing():
    customer = said(mailed()).conversation.customer
    allows(customer, "birthday", at=NOON)
    before = Conversation.objects.count()
    item = mailed("unsubscribe", subject="unsubscribe", at=NOON + HOUR)
    assert item.kind == "unsubscribe"
    assert Conversation.objects.count() == before
    assert Consent.objects.order_by("-pk")[0].state == "withdrawn"


def test_our_mails_carry_their_own_return_path_and_reply_address(settings: Any, tmp_path: Any):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    from django.core import mail as django_mail

    _conversation, reply_to, answer = answered()
    sent = {one.to[0]: one for one in django_mail.outbox if answer.subject in one.subject}["carla@home.example"]
    assert sent.reply_to == [reply_to]
    assert addresses.return_address(answer.public_id) in (sent.from_email, getattr(sent, "envelope_sender", ""))


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_a_mail_of_somebody_new_is_kept_by_one_statement_and_taken_in_by_four_GOAL3(django_assert_max_num_queries):
    mailed(sender="warm@home.example", vouched=True)
    raw = raw_mail("A new matter.", sender="counted@home.example")
    with django_assert_max_num_queries(7) as kept:
        item = mails.keep_raw(raw, source="mail:test", label="", at=NOON, leased=True)
    assert len(kept.captured_queries) == 1
    with django_assert_max_num_queries(20) as read:
        assert mails.read_now(item, at=NOON).received.opened
    said_to_it = [query["sql"] for query in read.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert len(said_to_it) == 4, said_to_it
    assert len(read.captured_queries) <= 8, "one transaction, which is a savepoint in a test"


def test_the_same_mail_kept_again_is_the_same_item_with_its_own_time_GOAL5():
    raw = raw_mail("Twice.", sender="twice@home.example")
    first = mails.keep_raw(raw, source="mail:test", label="", at=NOON, leased=True)
    again = mails.keep_raw(raw, source="mail:test", label="other", at=NOON + HOUR)
    assert again.pk == first.pk
    assert (again.received_at, again.label, again.state) == (NOON, "", WorkState.CLAIMED)
    assert first.lease_until == again.lease_until
    assert RawItem.objects.get().pk == first.pk


# --- several at once ---------------------------------------------------------------------------------------------------


def waiting(*raws: bytes) -> list[RawItem]:
    return [mails.keep_raw(raw, source="mail:test", label=f"{n}.eml", at=NOON) for n, raw in enumerate(raws)]


def together(*raws: bytes) -> list[RawItem]:
    """Mails that lie in a mailbox and are taken in by the lane."""
    items = waiting(*raws)
    while mails.ingest_batch(at=NOON):
        pass
    for item in items:
        item.refresh_from_db()
    return items


def outcome(item: RawItem) -> dict[str, Any]:
    """What became of a mail, without the numbers that differ from time to time."""
    heard = Interaction.objects.select_related("conversation__customer").filter(raw=item).first()
    found: dict[str, Any] = {"state": item.state, "kind": item.kind, "reason": item.reason}
    if heard is None:
        return found
    matter = heard.conversation
    promised = Promise.objects.filter(conversation=matter).order_by("pk").values_list("kind", "due_at", "state")
    told = (
        OutgoingMessage.objects.filter(conversation=matter)
        .order_by("pk")
        .values_list("kind", "address", "subject", "text")
    )
    return found | {
        "text": heard.text,
        "other": heard.other_address,
        "customer": matter.customer.display_name,
        "matter": (matter.subject, matter.state, matter.spoke_at, matter.due_at, matter.last_inbound_at),
        "first": matter.interactions.order_by("pk").first() == heard,
        "promised": list(promised),
        "told": list(told),
        "doubts": sorted(doubts(item)),
        "proved": list(ContactPoint.objects.filter(customer=matter.customer).values_list("address", "verified_at")),
    }


def mixed(reply_to: str) -> list[bytes]:
    """One of each kind that a mailbox holds, most by different people."""
    stamp = f"Authentication-Results: {BORDER}; dmarc=pass header.from=x\r\n"
    joining = raw_mail("The green one.", sender="carla@home.example").replace(
        b"support@evenhand.example", reply_to.encode()
    )
    stranger = raw_mail("I have it.", sender="bob@home.example").replace(b"support@evenhand.example", reply_to.encode())
    return [
        raw_mail("My lamp is broken.", sender="new@home.example"),
        raw_mail("I am away.", sender="away@home.example", extra="Auto-Submitted: auto-replied\r\n"),
        joining,
        raw_mail("A vouched one.", sender="vouched@home.example", extra=stamp),
        raw_mail("", sender="silent@home.example", subject=""),
        raw_mail("A second matter.", sender="new@home.example"),
        stranger,
        raw_mail("Case 17?", sender="dora@home.example", extra="In-Reply-To: <nobody@knows.example>\r\n"),
        raw_mail("Third.", sender="new@home.example"),
        raw_mail("Fourth.", sender="new@home.example"),
    ]


def test_mails_taken_in_at_once_become_what_each_becomes_by_itself_GOAL3(monkeypatch: pytest.MonkeyPatch):
    _conversation, reply_to, _answer = answered()
    raws = mixed(reply_to)
    # Nobody in the world differs: names and addresses are the same, so one way is undone before the other is tried.
    point = transaction.savepoint()
    monkeypatch.setattr(mail_batches, "AT_ONCE", 100)
    at_once = [outcome(item) for item in together(*raws)]
    transaction.savepoint_rollback(point)
    by_itself = []
    for raw in raws:
        by_itself += together(raw)

    assert at_once == [outcome(item) for item in by_itself]
    assert [one["state"] for one in at_once].count("parked") == 1  # the one that says nothing
    assert at_once[2]["text"] == "The green one."
    assert at_once[6]["other"] == "bob@home.example"


def test_what_hinders_one_of_several_mails_hinders_no_other(monkeypatch: pytest.MonkeyPatch):
    """F24: whatever goes wrong while several are written, each is tried by itself and only the bad one is parked."""
    taken_in, sizes = correspondence.take_in, []

    def take_in(letters: Any, **more: Any) -> Any:
        sizes.append(len(letters))
        if any("poison" in message.text for _letter, _sender, message in letters):
            raise ValueError("a word nobody can bear")
        return taken_in(letters, **more)

    monkeypatch.setattr(correspondence, "take_in", take_in)
    monkeypatch.setattr(mail_batches, "AT_ONCE", 100)
    names = ("ada", "ben", "cleo", "dan")
    items = together(
        *(raw_mail("poison" if name == "cleo" else "Help.", sender=f"{name}@home.example") for name in names)
    )

    assert [item.state for item in items] == ["done", "done", "parked", "done"]
    assert "a word nobody can bear" in items[2].reason
    assert Conversation.objects.count() == 3
    assert sizes[0] == 4


def test_two_answers_to_one_matter_that_come_together_are_both_in_it_M01():
    """By their headers, so that only writing tells that both belong to one matter."""
    conversation, _reply_to, answer = answered()
    stamp = f"Authentication-Results: {BORDER}; dmarc=pass header.from=x\r\n"
    second = "carla.work@home.example"
    ContactPoint.objects.create(customer=conversation.customer, kind="email", address=second, created_at=NOON)
    head = f"{stamp}In-Reply-To: <{answer.public_id}@evenhand.example>\r\n"
    heard = said(mailed("First words.", extra=head, vouched=False))
    own = f"{stamp}In-Reply-To: <{heard.message_id}>\r\n"
    items = together(
        raw_mail("From home.", sender="carla@home.example", extra=own), raw_mail("From work.", sender=second, extra=own)
    )

    matters = {said(item).conversation_id for item in items}
    assert len(matters) == 1
    assert [item.state for item in items] == ["done", "done"]


@pytest.mark.django_db(transaction=True)
def test_two_lanes_that_take_in_several_mails_at_once_do_each_once_and_wait_for_no_one_for_ever():
    """Both hold several matters locked: in one order, so that neither waits for the other."""
    colleague()
    names = [f"carla{n}@home.example" for n in range(12)]
    waiting(*(raw_mail("My lamp is broken.", sender=name) for name in names))
    while mails.ingest_batch(at=NOON):
        pass
    reply_to = {}
    for matter in Conversation.objects.all():
        name = ContactPoint.objects.get(customer=matter.customer).address
        token = reply_addresses._new(matter.pk, name, at=NOON)
        token.save()
        reply_to[name] = addresses.reply_address(addresses.token_of(token.nonce)).encode()
    for order in (names, names[::-1]):
        for name in order:
            raw = raw_mail(f"More {order[0]}.", sender=name).replace(b"support@evenhand.example", reply_to[name])
            mails.keep_raw(raw, source="mail:test", label="", at=NOON)

    def lane() -> None:
        while mails.ingest_batch(at=NOON, size=6):
            pass

    at_once(lane, lane)

    assert RawItem.objects.exclude(state="done").count() == 0
    assert Interaction.objects.count() == 36
    assert Conversation.objects.count() == 12
