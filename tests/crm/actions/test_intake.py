"""Whatever a customer says comes in here: who they are, which matter it is, what they are promised."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm import dispatch
from crm.actions import desk, identity, intake, mails, outgoing, owners
from crm.channels import Channel, Part
from crm.models import (
    Attachment,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    Promise,
    RawItem,
    WorkItem,
)
from crm.policy import ConversationState
from tests.conftest import NOON
from tests.crm.stories import colleague, message, raw_mail

pytestmark = pytest.mark.django_db


def received(**changes: object) -> intake.Received:
    return intake.receive(message(**changes), at=NOON, origin="test")


def test_a_stranger_becomes_a_customer_with_an_owner_and_a_promise():
    owner = colleague()
    new = received(sender_address="Carla@Home.Example")
    assert new.created
    assert (new.conversation.owner, new.conversation.state) == (owner, ConversationState.OPEN)
    assert ContactPoint.objects.get().address == "carla@home.example"
    assert Promise.objects.get().due_at == NOON + timedelta(hours=8)
    assert new.conversation.due_at == NOON + timedelta(hours=8)
    assert HistoryEntry.objects.filter(verb="conversation.opened").count() == 1
    assert WorkItem.objects.get().ref == f"interaction:{new.interaction.public_id}"


def test_everything_is_written_by_three_statements_and_one_commit_GOAL1(django_assert_max_num_queries):
    colleague()
    with django_assert_max_num_queries(5) as captured:  # two of them are the test's own savepoint
        received()
    assert len([q for q in captured.captured_queries if "SAVEPOINT" not in q["sql"]]) == 3


def test_the_same_delivery_is_one_interaction_however_often_it_comes_M18():
    first = received(external_id="one")
    again = received(external_id="one")
    assert (again.created, again.interaction) == (False, first.interaction)
    assert Interaction.objects.count() == Conversation.objects.count() == 1


def test_the_same_id_with_other_words_is_refused_and_nothing_changes_M19():
    received(external_id="one")
    with pytest.raises(intake.DifferentContent):
        received(external_id="one", text="Something else")
    assert Interaction.objects.get().text == "My parcel arrived broken."


def test_nothing_said_is_refused():
    with pytest.raises(intake.NothingSaid):
        received(text="  \n", subject="", full_text="")
    assert not Customer.objects.exists()


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("email", "nobody"),
        ("email", "a b@c.example"),
        ("email", "a@b@c.example"),
        ("phone", "12"),
        ("phone", "abc"),
        ("handle", " "),
    ],
)
def test_an_address_that_reaches_nobody_is_refused(kind, address):
    with pytest.raises(identity.UnusableAddress):
        received(sender_kind=kind, sender_address=address)
    assert not Customer.objects.exists()


def test_a_returning_customer_reaches_their_owner_on_any_channel_R135():
    for number in range(4):
        colleague(name=f"C{number}")
    first = received(sender_address="carla@home.example")
    later = [
        received(sender_address="carla@home.example", channel=c).conversation.owner
        for c in (Channel.WEB_FORM, Channel.EMAIL)
    ]
    assert later == [first.conversation.owner] * 2


def test_a_name_is_never_an_identity_M14():
    one, two = received(sender_name="Carla"), received(sender_name="Carla")
    assert one.conversation.customer != two.conversation.customer


def test_a_claim_about_the_future_moves_no_clock_E14():
    new = received(spoke_at=NOON + timedelta(days=3))
    assert new.interaction.spoke_at == NOON


def test_nobody_free_means_no_owner_until_the_sweep_finds_one_R012():
    new = received()
    assert new.conversation.owner is None
    assert owners.give_orphans_an_owner(NOON) == 0
    owner = colleague()
    assert owners.give_orphans_an_owner(NOON) == 1
    new.conversation.refresh_from_db()
    assert new.conversation.owner == owner


def answered(sender: str = "carla@home.example") -> tuple[intake.Received, str]:
    """A conversation we have answered; and the Message-ID of our answer."""
    owner = colleague()
    first = received(sender_address=sender, message_id="theirs@home.example")
    sent = desk.answer(first.conversation.pk, text="Hello Carla", by=owner, at=NOON)
    outgoing.send_batch(at=NOON)
    return first, f"{sent.public_id}@evenhand.example"


def test_what_goes_on_after_our_answer_is_promised_an_answer():
    first, _ours = answered()
    later = NOON + timedelta(days=1)
    more = intake.receive(
        message("It is still broken.", sender_address="carla@home.example"),
        conversation=first.conversation,
        at=later,
        origin="mail",
    )
    assert more.conversation == first.conversation
    conversation = Conversation.objects.get()
    assert (conversation.state, conversation.due_at) == (ConversationState.OPEN, later + timedelta(hours=8))
    assert conversation.spoke_at == NOON


def test_writing_again_before_the_answer_adds_no_promise_E12():
    first = received(sender_address="carla@home.example")
    for number in range(5):
        intake.receive(
            message(f"and {number}", sender_address="carla@home.example"),
            at=NOON,
            origin="test",
            conversation=first.conversation,
        )
    assert Promise.objects.count() == 1
    assert Conversation.objects.get().due_at == NOON + timedelta(hours=8)


def test_files_are_kept_under_names_of_our_own_and_what_is_not_kept_is_said_M21_M22():
    parts = (
        Part("photo.jpg", "image/jpeg", "image/jpeg", 3, b"abc", "stored", ""),
        Part("run.exe", "application/x-dosexec", "image/png", 2, b"MZ", "quarantined", "It can run programs."),
        Part("film.mov", "video/quicktime", "video/quicktime", 10**9, b"", "refused", "It is larger than 25 MB."),
    )
    received(attachments=parts)
    kept = {a.name: a for a in Attachment.objects.all()}
    assert kept["photo.jpg"].file.read() == b"abc"
    assert "photo" not in kept["photo.jpg"].file.name
    assert (kept["run.exe"].state, kept["film.mov"].state) == ("quarantined", "refused")
    assert not kept["film.mov"].file
    assert kept["film.mov"].reason


# --- raw mail ---------------------------------------------------------------------------------------------------------


def test_bytes_are_kept_before_they_are_read_and_the_lane_reads_them_Q1():
    kept = mails.keep_raw(raw_mail(), source="mail:file", label="a.eml", at=NOON)
    assert bytes(kept.content) == bytes(RawItem.objects.get().content)
    assert not Interaction.objects.exists()
    assert mails.ingest_batch(at=NOON) == 1
    assert Interaction.objects.get().raw == kept
    assert RawItem.objects.get().state == "done"
    assert mails.ingest_batch(at=NOON) == 0


def test_the_same_mail_three_times_is_one_interaction_M18():
    raw = raw_mail()
    for _ in range(3):
        mails.keep_raw(raw, source="mail:file", label="a.eml", at=NOON)
        mails.ingest_batch(at=NOON)
    assert RawItem.objects.count() == Interaction.objects.count() == 1


def test_a_mail_that_makes_reading_fail_is_parked_and_the_next_goes_on_M17_F24(monkeypatch):
    mails.keep_raw(b"poison", source="mail:file", label="poison.eml", at=NOON)
    mails.keep_raw(raw_mail(), source="mail:file", label="good.eml", at=NOON)
    whole = mails.read_mail

    def read(content: bytes, **given: object) -> object:
        if content == b"poison":
            raise RecursionError("too deep")
        return whole(content, **given)

    monkeypatch.setattr(mails, "read_mail", read)
    for _ in range(4):
        mails.ingest_batch(at=NOON)
    poison, good = RawItem.objects.order_by("pk")
    assert (poison.state, good.state) == ("parked", "done")
    assert "RecursionError" in poison.reason
    assert Interaction.objects.count() == 1


def test_a_mail_that_stops_the_worker_three_times_is_parked_M16():
    kept = mails.keep_raw(b"poison", source="mail:file", label="poison.eml", at=NOON)
    RawItem.objects.filter(pk=kept.pk).update(attempt=3)
    mails.ingest_batch(at=NOON)
    kept.refresh_from_db()
    assert kept.state == "parked"


def test_a_robots_mail_opens_nothing_M11():
    mails.keep_raw(
        raw_mail("I am away.", extra="Auto-Submitted: auto-replied\r\n"), source="mail:file", label="x", at=NOON
    )
    mails.ingest_batch(at=NOON)
    assert not Conversation.objects.exists()
    assert RawItem.objects.get().kind == "auto_reply"


def test_bells_ring_only_after_commit(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as bells:
        received()
    assert len(bells) == 1
    assert dispatch.lanes_after("interaction.received") == ("triage",)
