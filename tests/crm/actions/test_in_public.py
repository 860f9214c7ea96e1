"""Public answers tell nothing of a customer, and an answer is read only by those its writer agreed to (P03, P04)."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import desk, drafts, elsewhere, endings, in_public, outgoing, routing, statements
from crm.channels import Channel
from crm.language.confidences import Kind
from crm.models import (
    Alert,
    AnswerDraft,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    LifeEvent,
    OutgoingMessage,
    PublicLook,
    User,
)
from crm.models.people import CustomerStatus
from crm.policy import OutgoingState, Role
from tests.conftest import NOON
from tests.crm.actions.test_elsewhere import LINK, mentioned
from tests.crm.channels.provided import EXAMPLES, account_of, say
from tests.crm.stories import app_user, colleague
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
GENERIC = EXAMPLES["standard_webhooks"]
HOUR = timedelta(hours=1)
_numbers = itertools.count(1)
WORDS = "Please call us: is 0170 1234567 still right?"
PLAIN = "We are sorry. A new lamp is on its way."


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def asked_in(
    channel: Channel = Channel.SOCIAL_PUBLIC, text: str = "My lamp is broken.", **changes: Any
) -> Conversation:
    """A matter that came through an account of ours by this medium."""
    number = f"said-{next(_numbers)}"
    assert say(account_of(GENERIC), GENERIC, text, external_id=number, **changes).status_code < 300
    found = Interaction.objects.filter(direction="in").latest("pk")
    Interaction.objects.filter(pk=found.pk).update(channel=channel)
    Conversation.objects.filter(pk=found.conversation_id).update(channel=channel)
    return Conversation.objects.select_related("customer").get(pk=found.conversation_id)


def knows(customer: Customer, kind: str, address: str) -> ContactPoint:
    return ContactPoint.objects.create(customer=customer, kind=kind, address=address, created_at=NOON)


def answer(matter: Conversation, text: str = PLAIN, *, by: User | None = None, **changes: Any) -> OutgoingMessage:
    return desk.answer(matter.pk, text=text, by=by or colleague(), at=NOON, **{"public": True, **changes})


# --- who can read it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "agreed", "goes"),
    [
        (Channel.SOCIAL_PUBLIC, True, True),
        (Channel.SOCIAL_PUBLIC, False, False),
        (Channel.SOCIAL_PUBLIC, None, False),
        (Channel.REVIEW, None, False),
        (Channel.CHAT, True, False),
        (Channel.CHAT, False, True),
        (Channel.CHAT, None, True),
    ],
)
def test_an_answer_goes_only_where_its_writer_agreed_to_P04(channel: Channel, agreed: bool | None, goes: bool) -> None:
    matter = asked_in(channel)
    if goes:
        assert answer(matter, public=agreed).is_public is (channel != Channel.CHAT)
        return
    with pytest.raises(in_public.OtherVisibility) as refusal:
        answer(matter, public=agreed)
    assert refusal.value.code == "other_visibility"
    assert not OutgoingMessage.objects.exists()


def test_a_thread_that_turned_public_while_it_was_written_is_seen_at_submit_P04() -> None:
    matter = asked_in(Channel.CHAT)
    Interaction.objects.update(channel=Channel.SOCIAL_PUBLIC)
    with pytest.raises(in_public.OtherVisibility):
        answer(matter, public=False)


@pytest.mark.parametrize("planned", [None, NOON + HOUR])
def test_a_thread_that_turned_public_before_it_left_sends_nothing_P04(planned: Any) -> None:
    sent = answer(asked_in(Channel.CHAT), public=False, send_after=planned)
    Interaction.objects.filter(direction="in").update(channel=Channel.SOCIAL_PUBLIC)
    outgoing.send_batch(at=NOON + 2 * HOUR)
    sent.refresh_from_db()
    assert (sent.state, sent.reason, sent.accepted_at) == (OutgoingState.HELD, "other_visibility", None)
    told = HistoryEntry.objects.get(verb="message.held")
    assert told.detail == {"reason": "other_visibility"}
    outgoing.release(sent.pk, by=colleague(Role.LEAD), at=NOON + 2 * HOUR)  # a person looks, and it is asked again
    outgoing.send_batch(at=NOON + 3 * HOUR)
    sent.refresh_from_db()
    assert sent.state == OutgoingState.HELD


@pytest.mark.parametrize("changes", [{"channel": Channel.SOCIAL_PUBLIC}, {"is_public": True}])
def test_a_row_whose_medium_and_agreement_differ_is_held_P04(changes: dict[str, Any]) -> None:
    sent = answer(asked_in(Channel.CHAT), public=False)
    OutgoingMessage.objects.filter(pk=sent.pk).update(**changes)
    outgoing.send_batch(at=NOON)
    sent.refresh_from_db()
    assert (sent.state, sent.reason) == (OutgoingState.HELD, "other_visibility")


def test_another_account_or_another_place_is_held_P04() -> None:
    sent = answer(asked_in(Channel.CHAT), public=False)
    other = account_of(GENERIC, own_id="another", name="Another")
    OutgoingMessage.objects.filter(pk=sent.pk).update(account=other)
    outgoing.send_batch(at=NOON)
    sent.refresh_from_db()
    assert (sent.state, sent.reason) == (OutgoingState.HELD, "other_place")


def test_a_thread_that_turns_public_at_the_same_moment_sends_nothing_in_private_words_P04(
    transactional_db: None,
) -> None:
    sent = answer(asked_in(Channel.CHAT), public=False)

    def turns() -> int:
        return Interaction.objects.filter(direction="in").update(channel=Channel.SOCIAL_PUBLIC)

    turned = at_once(turns)
    at_once(lambda: outgoing.send_batch(at=NOON), lambda: outgoing.send_batch(at=NOON))
    sent.refresh_from_db()
    assert turned == [1]
    assert sent.state == OutgoingState.HELD


def test_a_hand_over_is_not_told_in_public_P04() -> None:
    told = desk.tell(
        asked_in(), text="From now on Bob looks after it.", template="hand_over", by=colleague(), at=NOON, key="k"
    )
    assert told is None
    assert not OutgoingMessage.objects.exists()


# --- what it tells ----------------------------------------------------------------------------------------------------


def test_a_public_answer_that_tells_a_number_is_held_and_its_words_are_kept_P03() -> None:
    matter, ada = asked_in(), colleague()
    knows(matter.customer, "phone", "+491701234567")
    with pytest.raises(in_public.TellsPersonalThings) as refusal:
        answer(matter, WORDS, by=ada)
    assert refusal.value.code == "tells_personal_things"
    assert refusal.value.found == [(Kind.PHONE, "0170 1234567")]
    assert "+49170" not in str(refusal.value)
    assert not OutgoingMessage.objects.exists()
    assert AnswerDraft.objects.get(author=ada).text == WORDS
    answer(matter, PLAIN, by=ada)
    assert not AnswerDraft.objects.exists()


def test_the_same_words_are_nobodys_business_in_private_P03() -> None:
    matter = asked_in(Channel.CHAT)
    knows(matter.customer, "phone", "+491701234567")
    assert answer(matter, WORDS, public=False)


def test_what_is_planned_for_later_is_looked_at_when_it_is_written_P03() -> None:
    matter = asked_in()
    knows(matter.customer, "email", "carla@home.example")
    with pytest.raises(in_public.TellsPersonalThings):
        answer(matter, "We wrote to carla (at) home dot example.", send_after=NOON + HOUR)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("We wrote to c.mustermann@home.example.", Kind.EMAIL), ("Dear Mrs Musterfrau!", Kind.NAME),
        ("You get 80,00 €.", Kind.AMOUNT),
        ("Is it still Rosenweg 12?", Kind.ADDRESS), ("As on 14 March.", Kind.DAY), ("Your contract K-88231 ends.", Kind.FIELD),
        ("The order 4711-0815 left.", Kind.REFERENCE), ("We called 0221 9876543.", Kind.PHONE), ("Dear Petra Altmann!", Kind.NAME),
    ],
)  # fmt: skip
def test_all_that_we_know_is_compared_also_of_records_that_are_one_P03(words: str, kind: Kind) -> None:
    matter = asked_in()
    who = matter.customer
    Customer.objects.filter(pk=who.pk).update(display_name="Carla Musterfrau", custom={"contract": "K-88231"})
    gone = app_user(name="Petra Altmann", email="c.mustermann@home.example").customer
    assert gone is not None
    Customer.objects.filter(pk=gone.pk).update(merged_into=who, status=CustomerStatus.MERGED)
    knows(gone, "phone", "+492219876543")
    ContactPoint.objects.filter(address="+492219876543").update(unlinked_at=NOON)
    knows(who, "postal", "Rosenweg 12, 50667 Köln")
    statements.owe(matter.pk, amount=Decimal("80.00"), currency="EUR", acts=["refund"], given_by="decision:1", at=NOON)
    LifeEvent.objects.create(customer=who, kind="birthday", month=3, day=14, told_at=NOON)
    private = asked_in(Channel.CHAT, "My order 47110815 is late.")
    Conversation.objects.filter(pk=private.pk).update(customer=who)
    Interaction.objects.filter(conversation=private).update(channel=Channel.CHAT)
    newest = asked_in()
    assert newest.customer_id == who.pk
    with pytest.raises(in_public.TellsPersonalThings) as refusal:
        answer(newest, words)
    assert [found for found, _words in refusal.value.found] == [kind]


def test_an_answer_given_by_hand_in_public_is_held_too_P03() -> None:
    post, ada = mentioned(), colleague()
    knows(post.conversation.customer, "phone", "+491701234567")
    with pytest.raises(in_public.TellsPersonalThings):
        elsewhere.log(post.conversation_id, elsewhere.Given(url=LINK, text=WORDS), by=ada, at=NOON)
    assert not OutgoingMessage.objects.exists()
    assert AnswerDraft.objects.get(author=ada).text == WORDS
    elsewhere.log(post.conversation_id, elsewhere.Given(url=LINK, text=PLAIN), by=ada, at=NOON)
    assert OutgoingMessage.objects.get().is_public


# --- the second look --------------------------------------------------------------------------------------------------


def held() -> tuple[Conversation, User, PublicLook]:
    matter, ada = asked_in(), colleague()
    knows(matter.customer, "phone", "+491701234567")
    look = in_public.ask(matter.pk, text=WORDS, because="It is our own number there.", by=ada, at=NOON)
    return matter, ada, look


def release(
    matter: Conversation, look: PublicLook, *, by: User, at: Any = NOON, because: str = "It is ours."
) -> PublicLook:
    return in_public.release(look.public_id, of=matter.pk, because=because, by=by, at=at)


def test_a_second_person_lets_those_very_words_out_and_history_says_so_without_values_P03() -> None:
    matter, ada, look = held()
    assert Alert.objects.get(conversation=matter).kind == "second_person"
    assert AnswerDraft.objects.get(author=ada).is_shared
    lead = colleague(Role.LEAD)
    release(matter, look, by=lead)
    sent = answer(matter, WORDS.replace(" is ", "  is "), by=ada)
    assert sent.is_public
    told = HistoryEntry.objects.get(verb="answer.told_in_public")
    assert told.detail == {"look": str(look.public_id), "kinds": ["phone"], "released_by": lead.pk}
    assert [entry.by for entry in HistoryEntry.objects.filter(verb__startswith="answer.look").order_by("pk")] == [
        ada,
        lead,
    ]
    assert not any("1234567" in str(entry.detail) for entry in HistoryEntry.objects.all())


def test_nobody_releases_their_own_words_other_words_or_without_a_reason_P03() -> None:
    matter, ada, look = held()
    lead = colleague(Role.LEAD)
    with pytest.raises(in_public.NeedsAnother):
        release(matter, look, by=ada)
    with pytest.raises(endings.ReasonMissing):
        release(matter, look, by=lead, because=" ")
    with pytest.raises(in_public.NothingToLookAt):
        release(asked_in(), PublicLook(public_id=colleague().public_id), by=lead)
    drafts.keep(matter.pk, text=WORDS + " Or 0170 7654321?", by=ada, at=NOON)
    with pytest.raises(in_public.NothingToLookAt):
        release(matter, look, by=lead)
    assert PublicLook.objects.get().released_at is None


def test_a_release_is_for_its_author_its_words_and_a_day_P03() -> None:
    matter, ada, look = held()
    release(matter, look, by=colleague(Role.LEAD))
    for changes in ({"text": WORDS + " 0170 1234567", "by": ada}, {"text": WORDS, "by": colleague()}):
        with pytest.raises(in_public.TellsPersonalThings):
            answer(matter, **changes)
    with pytest.raises(in_public.TellsPersonalThings):
        desk.answer(matter.pk, text=WORDS, by=ada, at=NOON + timedelta(days=1), public=True)
    knows(matter.customer, "email", "carla@home.example")
    with pytest.raises(in_public.TellsPersonalThings):
        answer(matter, WORDS + " carla@home.example", by=ada)


def test_harmless_words_need_no_second_look_and_asking_twice_asks_once_P03() -> None:
    matter, ada, look = held()
    assert in_public.ask(matter.pk, text=WORDS, because="Again.", by=ada, at=NOON) == look
    with pytest.raises(in_public.NothingToLookAt):
        in_public.ask(matter.pk, text=PLAIN, because="?", by=ada, at=NOON)
    with pytest.raises(endings.ReasonMissing):
        in_public.ask(matter.pk, text=WORDS, because=" ", by=ada, at=NOON)
    assert PublicLook.objects.count() == 1


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_a_public_answer_costs_one_statement_more_and_a_private_one_none_P03() -> None:
    def statements_of(channel: Channel, known: int) -> int:
        matter, ada = asked_in(channel, by=f"carla{known}{channel}"), colleague()
        for _each in range(known):
            knows(matter.customer, "phone", f"+49170{ContactPoint.objects.count():08d}")
        with CaptureQueriesContext(connection) as asked:
            answer(matter, by=ada, public=channel != Channel.CHAT)
        return len(asked)

    private = statements_of(Channel.CHAT, 1)
    assert private == statements_of(Channel.CHAT, 20)
    public = statements_of(Channel.SOCIAL_PUBLIC, 20)
    assert public == statements_of(Channel.SOCIAL_PUBLIC, 1)
    certificate = 2  # asked before as well
    assert public == private + certificate + 1


def test_whoever_may_not_write_in_public_is_told_that_first_P03() -> None:
    matter, intern = asked_in(), colleague()
    User.objects.filter(pk=intern.pk).update(line_of_work="it")
    intern.refresh_from_db()
    with pytest.raises(routing.NotCertified):
        answer(matter, by=intern)


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("Nous vous remboursons 80 euros.", "Nous vous remboursons 60 euros."),
        ("Le reembolsaremos el importe.", "We cannot refund you."),
        ("Wij gaan het u terugbetalen voor 12 maart.", "Vi rimborsiamo entro il 20 marzo."),
    ],
)
@pytest.mark.parametrize("channel", [Channel.CHAT, Channel.SOCIAL_PUBLIC])
def test_an_answer_that_contradicts_an_earlier_one_is_stopped_in_public_and_in_private_alike_R082(
    channel: Channel, earlier: str, now: str
) -> None:
    matter, ada, public = asked_in(channel), colleague(), channel != Channel.CHAT
    answer(matter, earlier, by=ada, public=public)
    with pytest.raises(statements.Contradicts):
        answer(matter, now, by=ada, public=public)
    assert Interaction.objects.filter(conversation=matter, author=ada).count() == 1
