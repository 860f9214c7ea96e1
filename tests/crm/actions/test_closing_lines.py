"""A matter that began in public and was settled in private gets a short public last word, unless the customer says no (R128)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings as configured
from django.db import IntegrityError, transaction

from crm.actions import (
    closing_lines,
    consent,
    desk,
    erasure,
    holds,
    in_public,
    intake,
    letters,
    outcomes,
    outgoing,
    removals,
    routing,
    suppression,
    ways,
)
from crm.channels import Channel
from crm.channels.sending import Handed, Outcome
from crm.models import (
    ClosingLine,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Promise,
    PublicPost,
    User,
    WorkItem,
)
from crm.policy import ConversationState, OutgoingState
from crm.policy.closing_lines import LAPSES_AFTER, VETO_FOR, LineState
from crm.policy.privacy import AskedBy
from crm.policy.removals import RemovalKind, RemovalReason
from crm.policy.suppression import SuppressionReason, SuppressionScope
from recovery import actions as recovery
from recovery.policy import Facts
from recovery.policy import Outcome as CaseOutcome
from tests.conftest import NOON
from tests.crm.actions.test_in_public import GENERIC, asked_in, knows
from tests.crm.channels.provided import account_of
from tests.crm.channels.serving import serving
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RIPE = NOON + VETO_FOR
MAIL = "carla@home.example"


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def wrote_in_private(matter: Conversation, text: str = "Order 4711, please.", *, mail: str = MAIL) -> Interaction:
    """The customer goes on in private, where they tell what is nobody else's business."""
    if not ContactPoint.objects.filter(customer=matter.customer, kind="email").exists():
        knows(matter.customer, "email", mail)
    heard = message(text, sender_address=mail, spoke_at=NOON)
    return intake.receive(heard, at=NOON, origin="test", conversation=matter).interaction


def settled(*, who: str = "carla") -> Conversation:
    """A matter that began in public, was answered by mail and is closed; what follows is worked off."""
    ada, matter = colleague(), asked_in(by=who)
    wrote_in_private(matter, mail=f"{who}@home.example")
    desk.answer(matter.pk, text="A new one is on its way.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    desk.close(matter.pk, by=ada, at=NOON)
    closing_lines.work_batch(at=NOON)
    return Conversation.objects.select_related("customer").get(pk=matter.pk)


def line_of(matter: Conversation) -> ClosingLine:
    return ClosingLine.objects.select_related("word", "message").filter(conversation=matter).latest("pk")


def proposed() -> ClosingLine:
    return line_of(settled())


def told(
    line: ClosingLine | None = None, *, by: User | None = None, text: str = "", at: datetime = NOON
) -> ClosingLine:
    line = line or proposed()
    closing_lines.tell(line.pk, text=text or line.text, by=by or colleague(), at=at)
    outgoing.send_batch(at=at)
    return line_of(line.conversation)


def posted(line: ClosingLine | None = None, *, at: datetime = RIPE) -> ClosingLine:
    line = line or told()
    return closing_lines.post(line.pk, by=colleague(), at=at)


def token(line: ClosingLine) -> str:
    return closing_lines.no_link(line).rstrip("/").rpartition("/")[2]


# --- proposed -----------------------------------------------------------------------------------------------------------


def test_a_matter_that_began_in_public_and_was_settled_in_private_gets_a_proposal_R128() -> None:
    line = proposed()
    assert (line.state, line.post.channel) == (LineState.PROPOSED, Channel.SOCIAL_PUBLIC)
    assert line.text == "We have looked into this with you directly and answered you there. Thank you for telling us."
    assert HistoryEntry.objects.filter(verb="closing_line.proposed").count() == 1
    assert not OutgoingMessage.objects.filter(is_public=True).exists()  # nothing is written by itself
    assert not WorkItem.objects.filter(lane="closing_lines").exists()


def test_a_case_gets_it_once_its_settlement_is_confirmed_and_whatever_its_outcome_R128() -> None:
    words = set()
    for outcome in (CaseOutcome.UPHELD, CaseOutcome.NOT_UPHELD):
        ada, matter = colleague(), asked_in(by=outcome.value)
        knows(matter.customer, "email", f"{outcome.value.replace('_', '-')}@home.example")
        heard = message("It broke.", sender_address=f"{outcome.value.replace('_', '-')}@home.example", spoke_at=NOON)
        intake.receive(heard, at=NOON, origin="test", conversation=matter)
        case = recovery.open_case(matter.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
        recovery.decide(case.pk, facts=Facts(), by=ada, at=NOON)
        told_so = {"outcome": outcome, "explanation": "We looked into it.", "reason": "Nothing was wrong."}
        recovery.resolve(case.pk, by=ada, at=NOON, **told_so)
        assert closing_lines.work_batch(at=NOON) == 0
        outgoing.send_batch(at=NOON)
        recovery.work_batch("recovery", at=NOON)
        assert closing_lines.work_batch(at=NOON) == 1
        line = line_of(matter)
        assert line.state == LineState.PROPOSED
        words.add(line.text)
        told(line)
        assert posted(line_of(matter)).state == LineState.POSTED
    assert len(words) == 1  # whoever compares two of them learns nothing about what came of either


def test_proposing_again_adds_nothing_and_the_hour_finds_what_was_missed_R128() -> None:
    matter = settled()
    assert closing_lines.propose(matter.pk, at=NOON) == line_of(matter)
    ClosingLine.objects.all().delete()
    assert closing_lines.tend(NOON + DAY) == 2  # the matter, and the line that it got
    assert closing_lines.tend(NOON + DAY) == 1
    assert line_of(matter).state == LineState.PROPOSED
    ClosingLine.objects.all().delete()
    assert closing_lines.tend(NOON + 15 * DAY) == 0  # settled too long ago


@pytest.mark.parametrize("race", range(3))
def test_two_workers_propose_one_R128(transactional_db: None, race: int) -> None:
    matter = settled()
    ClosingLine.objects.all().delete()
    at_once(*[lambda: closing_lines.propose(matter.pk, at=NOON)] * 3)
    assert ClosingLine.objects.count() == 1


def test_what_began_in_private_gets_none_R128() -> None:
    ada = colleague()
    matter = intake.receive(message(spoke_at=NOON), at=NOON, origin="test").conversation
    desk.answer(matter.pk, text="Done.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    desk.close(matter.pk, by=ada, at=NOON)
    assert closing_lines.work_batch(at=NOON) == closing_lines.tend(NOON) == 0
    assert closing_lines.propose(matter.pk, at=NOON) is None
    assert not ClosingLine.objects.exists()


def test_a_thread_that_ended_in_public_needs_none_R128() -> None:
    ada, matter = colleague(), asked_in()
    desk.answer(matter.pk, text="We are open until six.", by=ada, at=NOON, public=True)
    outgoing.send_batch(at=NOON)
    desk.close(matter.pk, by=ada, at=NOON)
    closing_lines.work_batch(at=NOON)
    assert (line_of(matter).state, line_of(matter).reason) == (LineState.STOPPED, "ended_in_public")


def test_where_no_account_of_ours_can_answer_that_is_said_R128() -> None:
    ada, matter = colleague(), asked_in()
    wrote_in_private(matter)
    desk.answer(matter.pk, text="Done.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    account_of(GENERIC).__class__.objects.update(is_active=False)
    desk.close(matter.pk, by=ada, at=NOON)
    closing_lines.work_batch(at=NOON)
    assert line_of(matter).reason == "no_account"


def test_who_could_not_be_told_could_not_say_no_so_there_is_none_R128() -> None:
    ada, matter = colleague(), asked_in()
    wrote_in_private(matter)
    desk.answer(matter.pk, text="Done.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    desk.close(matter.pk, by=ada, at=NOON)
    ContactPoint.objects.filter(kind="email").update(unlinked_at=NOON)
    closing_lines.work_batch(at=NOON)
    assert line_of(matter).reason == "no_private_way"


@pytest.mark.parametrize("language", configured.EVENHAND_CUSTOMER_LANGUAGES)
def test_the_proposed_words_pass_the_check_of_public_words_in_every_language_R128_P03(language: str) -> None:
    line = proposed()
    Customer.objects.update(language=language)
    words = closing_lines.words_for(language)
    assert (words == closing_lines.words_for("en")) is (language == "en")
    assert len(words) <= 200
    word = told(line, text=words).word
    assert word is not None
    assert words in word.text
    assert closing_lines.no_link(line) in word.text
    assert f'href="{closing_lines.no_link(line)}"' in word.html
    assert posted(line_of(line.conversation)).message.text == words


# --- told and written ---------------------------------------------------------------------------------------------------


def test_the_customer_is_told_in_private_and_a_day_later_it_can_be_written_below_their_post_R128() -> None:
    line, ada = proposed(), colleague()
    matter = line.conversation
    before = list(Promise.objects.filter(conversation=matter).values_list("pk", "state", "met_at"))
    line = told(line, by=ada)
    assert (line.word.channel, line.word.address, line.word.is_public) == (Channel.EMAIL, MAIL, False)
    assert line.word.state == OutgoingState.ACCEPTED
    with pytest.raises(closing_lines.TooEarly):
        closing_lines.post(line.pk, by=ada, at=RIPE - timedelta(seconds=1))
    line = closing_lines.post(line.pk, by=ada, at=RIPE)
    message = line.message
    assert (message.channel, message.is_public, message.text) == (Channel.SOCIAL_PUBLIC, True, line.text)
    assert message.headers == {"In-Reply-To": line.post.external_id}
    outgoing.send_batch(at=RIPE)
    message.refresh_from_db()
    assert message.state == OutgoingState.ACCEPTED
    matter.refresh_from_db()
    assert matter.state == ConversationState.CLOSED
    after = list(Promise.objects.filter(conversation=matter).values_list("pk", "state", "met_at"))
    assert after == before  # it is no answer and keeps no promise
    assert [entry for entry in HistoryEntry.objects.values_list("verb", flat=True) if entry.startswith("closing_line")] == [
        "closing_line.proposed", "closing_line.told", "closing_line.posted",
    ]  # fmt: skip


def test_it_is_sent_as_a_reply_to_the_post_although_the_last_word_was_private_R128(settings: Any) -> None:
    with serving() as server:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({server.host})
        account_of(
            GENERIC, is_sandbox=False, settings={"answer_url": f"http://{server.host}/answers", "longest": "300"}
        )
        line = posted()
        outgoing.send_batch(at=RIPE)
        sent = json.loads(server.asked[-1].body)["data"]
    assert (sent["text"], sent["in_reply_to"]) == (line.text, line.post.external_id)


def test_two_presses_of_a_button_are_one_R128() -> None:
    line, ada = told(), colleague()
    closing_lines.tell(line.pk, text=line.text, by=ada, at=NOON + HOUR)
    posted(line)
    posted(line)
    assert OutgoingMessage.objects.filter(concerns__startswith="closing_line:").count() == 2


def test_other_words_are_told_anew_and_the_day_begins_again_R128() -> None:
    line = told(text="We have talked.")
    line = told(line, text="We have talked about it.", at=NOON + 20 * HOUR)
    with pytest.raises(closing_lines.TooEarly):
        posted(line)
    line = posted(line, at=NOON + 20 * HOUR + VETO_FOR)
    assert line.message.text == "We have talked about it."
    words = OutgoingMessage.objects.filter(concerns=f"closing_line:{line.public_id}", is_public=False)
    assert [message.text.count("talked about it") for message in words.order_by("pk")] == [0, 1]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("Order 4711 is settled.", in_public.TellsPersonalThings),
        (f"We wrote to {MAIL}.", in_public.TellsPersonalThings),
        (" ", closing_lines.WordsMissing),
        ("x" * 301, closing_lines.WordsMissing),
        ("Dear {{ name }}", letters.Unfilled),
    ],
)
def test_words_that_tell_what_only_we_and_they_know_are_refused_R128_P03(text: str, refusal: type[Exception]) -> None:
    line = proposed()
    with pytest.raises(refusal):
        closing_lines.tell(line.pk, text=text, by=colleague(), at=NOON)
    line.refresh_from_db()
    assert (line.state, line.word_id) == (LineState.PROPOSED, None)


def test_what_was_learned_since_is_compared_once_more_before_it_is_written_R128_P03() -> None:
    line = told(text="All is well in Quickbornhausen 7.")
    knows(line.conversation.customer, "postal", "Quickbornhausen 7, 25451 Quickborn")
    with pytest.raises(in_public.TellsPersonalThings):
        posted(line)


def test_a_word_that_did_not_arrive_lets_nothing_be_written_R128() -> None:
    line = proposed()
    closing_lines.tell(line.pk, text=line.text, by=colleague(), at=NOON)
    with pytest.raises(closing_lines.TooEarly):
        posted(line_of(line.conversation), at=RIPE + DAY)
    outgoing.send_batch(at=NOON)
    OutgoingMessage.objects.filter(pk=line_of(line.conversation).word_id).update(delivery="bounced")
    with pytest.raises(closing_lines.TooEarly):
        posted(line_of(line.conversation), at=RIPE + DAY)


def test_a_channel_that_takes_less_refuses_it_in_words_R128() -> None:
    line = proposed()
    settings_of = {"answer_url": "https://answers.example/x", "longest": "20"}
    account_of(GENERIC).__class__.objects.update(settings=settings_of)
    with pytest.raises(ways.TooLong):
        closing_lines.tell(line.pk, text=line.text, by=colleague(), at=NOON)


def test_it_can_be_left_out_with_a_reason_R128() -> None:
    line, ada = told(), colleague()
    with pytest.raises(closing_lines.WordsMissing):
        closing_lines.drop(line.pk, because=" ", by=ada, at=NOON)
    closing_lines.drop(line.pk, because="They took their post back.", by=ada, at=NOON)
    with pytest.raises(closing_lines.WrongStep):
        closing_lines.post(line.pk, by=ada, at=RIPE)
    assert line_of(line.conversation).why_not == "They took their post back."
    assert closing_lines.propose(line.conversation_id, at=NOON + DAY) == line


def test_a_private_word_and_a_public_line_are_no_tries_to_reach_a_silent_customer_R128_R013() -> None:
    ada, matter = colleague(), asked_in()
    wrote_in_private(matter)
    case = recovery.open_case(matter.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    recovery.decide(case.pk, facts=Facts(), by=ada, at=NOON)
    desk.answer(matter.pk, text="We look into it.", by=ada, at=NOON)
    recovery.resolve(case.pk, outcome=CaseOutcome.UPHELD, explanation="A new one is on its way.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    recovery.work_batch("recovery", at=NOON)
    closing_lines.work_batch(at=NOON)
    posted(told(line_of(matter)))
    outgoing.send_batch(at=RIPE)
    assert desk.close(matter.pk, by=ada, at=RIPE).state == ConversationState.CLOSED


def test_who_wrote_in_private_through_an_account_is_told_there_and_can_say_no_too_late_R128() -> None:
    ada, matter = colleague(), asked_in()
    said = Interaction.objects.get()
    Interaction.objects.create(
        conversation=matter, direction="in", channel=Channel.CHAT, contact_point=said.contact_point, source=said.source,
        external_id="private", text="Order 4711.", spoke_at=NOON, ingested_at=NOON,
    )  # fmt: skip
    desk.answer(matter.pk, text="A new one is on its way.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    desk.close(matter.pk, by=ada, at=NOON)
    closing_lines.work_batch(at=NOON)
    line = told(line_of(matter))
    assert (line.word.channel, line.word.account, line.word.is_public) == (Channel.CHAT, account_of(GENERIC), False)
    assert closing_lines.no_link(line) in line.word.text
    posted(line)
    outgoing.send_batch(at=RIPE)
    closing_lines.say_no(token(line), at=RIPE + HOUR)
    assert Conversation.objects.get().state == ConversationState.OPEN
    assert Customer.objects.count() == 1


def test_who_may_not_write_in_public_may_not_plan_it_either_R128() -> None:
    line = proposed()
    intern = colleague()
    intern.line_of_work = "it"
    with pytest.raises(routing.NotCertified):
        closing_lines.tell(line.pk, text=line.text, by=intern, at=NOON)


def test_erasing_empties_the_words_R128_P07(settings: Any, tmp_path: Path) -> None:
    settings.EVENHAND_ERASURE_JOURNAL = tmp_path / "erasures.journal"
    line, ada = proposed(), colleague()
    closing_lines.drop(line.pk, because="Carla said so.", by=ada, at=NOON)
    asked = erasure.ask(
        line.conversation.customer_id, asked_by=AskedBy.CUSTOMER, words="by mail", reason="x", by=ada, at=NOON
    )
    erasure.carry_out(asked.pk, by=ada, at=NOON)
    while erasure.work_batch(at=NOON):
        pass
    line.refresh_from_db()
    assert (line.text, line.because) == ("erased", "erased")


# --- what stops it ------------------------------------------------------------------------------------------------------


def _says_no(line: ClosingLine) -> None:
    closing_lines.say_no(token(line), at=NOON + HOUR)


def _comes_back(line: ClosingLine) -> None:
    desk.reopen(line.conversation_id, by=colleague(), at=NOON + HOUR)


def _is_held(line: ClosingLine) -> None:
    holds.place(line.conversation.customer, key="test", reason="bereavement", at=NOON + HOUR)


def _asks_to_be_forgotten(line: ClosingLine) -> None:
    customer = line.conversation.customer_id
    erasure.ask(customer, asked_by=AskedBy.CUSTOMER, words="by mail", reason="x", by=colleague(), at=NOON + HOUR)


def _objects(line: ClosingLine) -> None:
    consent.withdraw(line.conversation.customer, "public_mention", evidence="said so", at=NOON + HOUR)


def _wants_only_what_is_owed(line: ClosingLine) -> None:
    point = line.post.contact_point
    scope, reason = SuppressionScope.ALL_BUT_OWED, SuppressionReason.LEGAL
    suppression.suppress(point.kind, point.address, scope=scope, reason=reason, at=NOON + HOUR)


def _post_is_gone(line: ClosingLine) -> None:
    Interaction.objects.filter(pk=line.post_id).update(withdrawn_at=NOON + HOUR)


def _post_is_to_be_taken_away(line: ClosingLine) -> None:
    told_at, kind, reason = line.post.spoke_at, RemovalKind.HIDE, RemovalReason.DOXXING
    PublicPost.objects.create(
        interaction=line.post,
        conversation=line.conversation,
        channel=line.post.channel,
        spoke_at=told_at,
        is_first=True,
    )
    removals.ask(line.post_id, kind=kind, reason=reason, words="An address.", by=colleague(), at=NOON + HOUR)


def _dies(line: ClosingLine) -> None:
    Customer.objects.filter(pk=line.conversation.customer_id).update(status="deceased")


def _writes(line: ClosingLine) -> None:
    Conversation.objects.filter(pk=line.conversation_id).update(state="open", due_at=NOON + DAY)


STOPS: dict[str, Callable[[ClosingLine], None]] = {
    "said_no": _says_no,
    "came_back": _comes_back,
    "on_hold": _is_held,
    "to_be_forgotten": _asks_to_be_forgotten,
    "objects": _objects,
    "post_gone": _post_is_gone,
    "customer_gone": _dies,
    "waits_for_us": _writes,
}
LASTING = sorted(set(STOPS) - {"on_hold", "waits_for_us"})


@pytest.mark.parametrize("reason", [*STOPS, "objects too", "post_gone too"])
def test_it_is_stopped_before_somebody_writes_it_R128(reason: str) -> None:
    line = told()
    {**STOPS, "objects too": _wants_only_what_is_owed, "post_gone too": _post_is_to_be_taken_away}[reason](line)
    if reason == "said_no":
        with pytest.raises(closing_lines.WrongStep):
            posted(line)
        return
    with pytest.raises(closing_lines.MayNotStand) as refusal:
        posted(line)
    assert refusal.value.reason == reason.removesuffix(" too")
    assert not OutgoingMessage.objects.filter(is_public=True).exists()


@pytest.mark.parametrize("reason", STOPS)
def test_it_is_stopped_in_the_transaction_that_would_send_it_R128(reason: str) -> None:
    line = posted()
    STOPS[reason](line)
    outgoing.send_batch(at=RIPE)
    message = OutgoingMessage.objects.get(is_public=True)
    assert (message.state, message.accepted_at) == (OutgoingState.CANCELLED, None)
    line.refresh_from_db()
    if reason in LASTING:
        assert (line.state, line.reason) == (LineState.STOPPED, reason)
    else:  # what passes lets it be written later
        assert (line.state, line.message_id) == (LineState.TOLD, None)


@pytest.mark.parametrize("reason", LASTING)
def test_the_hour_clears_away_what_is_not_to_be_R128(reason: str) -> None:
    line = told()
    STOPS[reason](line)
    closing_lines.tend(NOON + 2 * HOUR)
    assert ClosingLine.objects.get(pk=line.pk).reason == reason


def test_what_passes_is_waited_for_and_what_nobody_touches_lapses_R128() -> None:
    line = told()
    _is_held(line)
    closing_lines.tend(NOON + 2 * HOUR)
    assert line_of(line.conversation).state == LineState.TOLD
    holds.lift("test", at=NOON + 3 * HOUR)
    assert posted(line).state == LineState.POSTED
    other = line_of(settled(who="dora"))
    closing_lines.tend(NOON + LAPSES_AFTER + HOUR)
    assert line_of(other.conversation).reason == "lapsed"
    assert line_of(line.conversation).state == LineState.POSTED


def test_a_matter_that_comes_back_and_is_settled_again_gets_another_R128() -> None:
    line, matter = told(), Conversation.objects.get()
    _comes_back(line)
    ada = Conversation.objects.get().owner
    desk.answer(matter.pk, text="Now it is done.", by=ada, at=NOON + 2 * HOUR)
    outgoing.send_batch(at=NOON + 2 * HOUR)
    desk.close(matter.pk, by=colleague(), at=NOON + 3 * HOUR, reason="It works now.")
    closing_lines.work_batch(at=NOON + 3 * HOUR)
    again = line_of(matter)
    assert again.pk != line.pk
    assert again.state == LineState.PROPOSED
    line.refresh_from_db()
    assert (line.state, line.reason) == (LineState.STOPPED, "came_back")


# --- the customer says no -----------------------------------------------------------------------------------------------


def test_a_no_is_kept_and_nothing_else_changes_R128() -> None:
    line = told()
    assert closing_lines.say_no(token(line), at=NOON + HOUR).reason == "said_no"
    closing_lines.say_no(token(line), at=NOON + 2 * HOUR)
    line.refresh_from_db()
    assert line.said_no_at == NOON + HOUR
    assert Conversation.objects.get().state == ConversationState.CLOSED
    assert Interaction.objects.filter(direction="in").count() == 2
    stopped = HistoryEntry.objects.get(verb="closing_line.stopped")
    assert (stopped.origin, stopped.detail["because"]) == ("customer", "said_no")
    assert closing_lines.propose(line.conversation_id, at=NOON + DAY) == line  # nobody asks a second time


def test_a_no_that_finds_it_written_brings_the_matter_back_to_its_owner_R128() -> None:
    line = posted()
    outgoing.send_batch(at=RIPE)
    late = closing_lines.say_no(token(line), at=RIPE + HOUR)
    assert (late.state, late.said_no_at) == (LineState.POSTED, RIPE + HOUR)
    matter = Conversation.objects.get()
    assert matter.state == ConversationState.OPEN
    heard = Interaction.objects.filter(direction="in").latest("pk")
    assert heard.text.startswith("Please take your line below my post away again.")
    closing_lines.say_no(token(line), at=RIPE + 2 * HOUR)
    assert Interaction.objects.filter(direction="in").count() == 3


@pytest.mark.parametrize("link", ["x", "0198:abc", ""])
def test_a_link_that_is_not_ours_opens_nothing_R128(link: str) -> None:
    with pytest.raises(closing_lines.UnknownLink):
        closing_lines.say_no(link, at=NOON)


def test_the_link_of_somebody_forgotten_opens_nothing_R128() -> None:
    line = told()
    Customer.objects.update(status="erased")
    with pytest.raises(closing_lines.UnknownLink):
        closing_lines.opened(token(line))


@pytest.mark.parametrize("race", range(5))
def test_a_no_in_the_moment_of_sending_stops_it_or_brings_the_matter_back_R128(
    transactional_db: None, race: int
) -> None:
    line = posted()
    results = at_once(
        lambda: closing_lines.say_no(token(line), at=RIPE),
        lambda: outgoing.send_batch(at=RIPE),
        lambda: outgoing.send_batch(at=RIPE),
    )
    assert not [result for result in results if isinstance(result, Exception)]
    outgoing.send_batch(at=RIPE)
    line, message = ClosingLine.objects.get(), OutgoingMessage.objects.get(is_public=True)
    if message.state == OutgoingState.ACCEPTED:
        assert line.state == LineState.POSTED
        assert Conversation.objects.get().state == ConversationState.OPEN
    else:
        assert message.state == OutgoingState.CANCELLED
        assert (line.state, line.reason) == (LineState.STOPPED, "said_no")
    assert line.said_no_at == RIPE


# --- what the database refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"text": ""},
        {"state": "posted"},
        {"state": "told"},
        {"state": "stopped"},
        {"state": "dropped"},
        {"said_no_at": NOON},
        {"decided_at": NOON},
        {"reason": "lapsed"},
    ],
)
def test_the_database_refuses_a_line_that_cannot_be_R128(changes: dict[str, Any]) -> None:
    line = proposed()
    with pytest.raises(IntegrityError), transaction.atomic():
        ClosingLine.objects.filter(pk=line.pk).update(**changes)


def test_the_database_refuses_a_second_line_for_a_matter_R128() -> None:
    line = proposed()
    with pytest.raises(IntegrityError), transaction.atomic():
        ClosingLine.objects.create(conversation=line.conversation, post=line.post, text="x", proposed_at=NOON)


def test_a_line_that_the_other_side_refused_is_seen_as_such_R128() -> None:
    line = posted()
    OutgoingMessage.objects.filter(pk=line.message_id).update(state="handing", attempt=1, lease_until=RIPE)
    message = OutgoingMessage.objects.get(pk=line.message_id)
    outcomes.settle(message, Handed(Outcome.REFUSED, "the post is gone"), at=RIPE)
    assert closing_lines.say_no(token(line), at=RIPE + HOUR).reason == "said_no"
