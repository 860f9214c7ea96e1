"""Mail that became no conversation, looked through by people; and what is doubtful about a message."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm.actions import doubts, intake, mails, set_aside
from crm.models import Doubt, HistoryEntry, Interaction, OutgoingMessage, Promise, RawItem, SetAside
from crm.policy import SAMPLED_A_NIGHT, DoubtCode, LookedAs, WorkState
from tests.conftest import NOON
from tests.crm.stories import colleague, message, raw_mail

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def spam(number: int = 0, *, at: object = NOON) -> RawItem:
    raw = raw_mail(f"My lamp {number} is broken.", extra="X-Spam-Flag: YES\r\n")
    item = mails.keep_raw(raw, source="mail:test", label="", at=at)
    assert mails.read_raw(item, at=at) is None
    item.refresh_from_db()
    return item


def test_what_a_customer_wrote_after_all_is_taken_in_and_its_promise_counts_from_when_it_came_X52():
    item, lead = spam(), colleague()
    received = set_aside.look(item.pk, verdict=LookedAs.WRONG, by=lead, at=NOON + DAY)
    assert received is not None
    assert Interaction.objects.get().raw == item
    assert Promise.objects.get().starts_at == NOON
    assert not OutgoingMessage.objects.exists()  # a day later nobody needs a machine's word
    row = SetAside.objects.get()
    assert (row.verdict, row.looked_by, row.interaction) == (LookedAs.WRONG, lead, received.interaction)
    assert HistoryEntry.objects.filter(verb="mail.looked_at", by=lead).count() == 1


def test_what_was_looked_at_is_looked_at_once():
    item, lead = spam(), colleague()
    set_aside.look(item.pk, verdict=LookedAs.RIGHT, by=lead, at=NOON)
    with pytest.raises(set_aside.NotSetAside):
        set_aside.look(item.pk, verdict=LookedAs.WRONG, by=lead, at=NOON)
    assert not Interaction.objects.exists()


def test_a_persons_mail_is_not_set_aside():
    item = mails.keep_raw(raw_mail(), source="mail:test", label="", at=NOON)
    mails.read_raw(item, at=NOON)
    with pytest.raises(set_aside.NotSetAside):
        set_aside.look(item.pk, verdict=LookedAs.WRONG, by=colleague(), at=NOON)
    assert Interaction.objects.count() == 1
    assert not SetAside.objects.exists()


def test_a_mail_from_nobody_cannot_be_taken_in_and_stays():
    item = mails.keep_raw(b"Subject: nobody\r\nDate: today\r\n\r\nHello", source="mail:test", label="", at=NOON)
    mails.read_raw(item, at=NOON)
    item.refresh_from_db()
    assert (item.kind, item.state) == ("unparsable", WorkState.PARKED)
    with pytest.raises(intake.identity.UnusableAddress):
        set_aside.look(item.pk, verdict=LookedAs.WRONG, by=colleague(), at=NOON)
    item.refresh_from_db()
    assert item.state == WorkState.PARKED
    assert not SetAside.objects.exists()


def test_a_night_draws_a_few_once_and_says_which_by_their_ids_alone():
    for number in range(SAMPLED_A_NIGHT + 10):
        spam(number)
    assert set_aside.sample(NOON + timedelta(hours=1)) == SAMPLED_A_NIGHT
    first = set(SetAside.objects.values_list("raw_id", flat=True))
    SetAside.objects.all().delete()
    assert set_aside.sample(NOON + timedelta(hours=2)) == SAMPLED_A_NIGHT
    assert set(SetAside.objects.values_list("raw_id", flat=True)) == first


def test_settling_a_doubt_links_only_what_a_person_says_M01_M03():
    one = intake.receive(message(), at=NOON, origin="test").conversation
    other = intake.receive(message(), at=NOON, origin="test")
    doubt = Doubt.objects.create(
        interaction=other.interaction, code=DoubtCode.MENTIONS_CASE, conversation=one, raised_at=NOON
    )
    by = colleague()
    settled = doubts.settle(doubt.pk, belongs=True, by=by, at=NOON)
    assert (settled.is_linked, settled.settled_by) == (True, by)
    other.interaction.refresh_from_db()
    assert other.interaction.conversation_id == other.conversation.pk  # nothing moved
    with pytest.raises(doubts.AlreadySettled):
        doubts.settle(doubt.pk, belongs=False, by=by, at=NOON)


def test_a_doubt_without_a_matter_is_only_looked_at():
    heard = intake.receive(message(), at=NOON, origin="test")
    doubt = Doubt.objects.create(interaction=heard.interaction, code=DoubtCode.LOOK_ALIKE, raised_at=NOON)
    assert doubts.settle(doubt.pk, belongs=True, by=colleague(), at=NOON).is_linked is False


def test_while_nobody_looked_no_money_moves_and_the_giver_cannot_be_the_one_M06():
    heard = intake.receive(message(), at=NOON, origin="test")
    giver, second = colleague(), colleague()
    assert not doubts.hold_money(heard.conversation, by=giver)
    doubt = Doubt.objects.create(interaction=heard.interaction, code=DoubtCode.OTHER_PERSON, raised_at=NOON)
    assert doubts.hold_money(heard.conversation, by=giver)
    doubts.settle(doubt.pk, belongs=False, by=giver, at=NOON)
    assert doubts.hold_money(heard.conversation, by=giver)
    assert not doubts.hold_money(heard.conversation, by=second)
