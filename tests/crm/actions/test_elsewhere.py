"""Answers given by hand where we have no account: kept with link, author and sign-off, and counted as every other answer is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crm.actions import (
    answers,
    capture,
    deadlines,
    desk,
    elsewhere,
    identity,
    intake,
    outgoing,
    queue,
    routing,
    statements,
    talks,
)
from crm.channels import Channel
from crm.models import (
    Alert,
    AnswerElsewhere,
    ChannelAccount,
    Conversation,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Promise,
    PublicPost,
)
from crm.policy import AlertKind, LineOfWork, Role
from tests.conftest import NOON
from tests.crm.actions.test_judgements import again, now, posted
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LINK = "https://forum.example/t/7#answer-2"


def mentioned(text: str = "My lamp is broken.", **changes: Any) -> PublicPost:
    """A post on a place that is not ours."""
    return posted(text, **{"source": "feed:forum.example/0123456789", "sender_kind": "handle", **changes})


def given(text: str = "We mend it. Please bring it in.", **changes: Any) -> elsewhere.Given:
    return elsewhere.Given(**{"url": LINK, "text": text, **changes})


def log(post: PublicPost, *, by: Any, at: Any = NOON + HOUR, **changes: Any) -> OutgoingMessage:
    return elsewhere.log(post.conversation_id, given(**changes), by=by, at=at)


def test_an_answer_is_kept_with_its_link_its_author_and_who_signed_it_off_R028():
    post, ada, bob = mentioned(), colleague(name="Ada"), colleague(name="Bob")

    sent = log(post, by=ada, signed_off_by=bob.public_id)

    said = Interaction.objects.get(direction="out")
    assert (said.text, said.author, said.channel) == ("We mend it. Please bring it in.", ada, "social_public")
    assert (said.spoke_at, said.ingested_at, said.source) == (NOON + HOUR, NOON + HOUR, "desk:elsewhere")
    where = AnswerElsewhere.objects.get(interaction=said)
    assert (where.url, where.site, where.signed_off_by) == (LINK, "forum.example", bob)
    assert (sent.state, sent.accepted_at, sent.signed_by) == ("accepted", NOON + HOUR, ada)
    told = HistoryEntry.objects.get(verb="conversation.answered_elsewhere")
    assert (told.by, told.detail["signed_off_by"]) == (ada, str(bob.public_id))
    alert = Alert.objects.get(kind=AlertKind.SIGNED_OFF)
    assert (alert.to, alert.conversation_id) == (bob, post.conversation_id)
    assert not outgoing.send_batch(at=NOON + 2 * HOUR)  # nothing is handed to anybody


def test_it_counts_as_an_answer_that_leaves_through_us_does_R028():
    """The same words, asked and answered at the same moments, once by mail and once by hand: nothing but the way differs."""
    ada = colleague(name="Ada")
    by_hand = mentioned()
    by_mail = intake.receive(message("My lamp is broken.", spoke_at=NOON), at=NOON, origin="test").conversation
    Conversation.objects.update(owner=ada)

    log(by_hand, by=ada, at=NOON + HOUR)
    desk.answer(by_mail.pk, text="We mend it. Please bring it in.", by=ada, at=NOON + HOUR)
    assert outgoing.send_batch(at=NOON + HOUR)

    def treated(number: int) -> Any:
        matter = Conversation.objects.get(pk=number)
        promised = Promise.objects.filter(conversation=number).values_list("kind", "state", "due_at", "met_at")
        return (
            matter.state,
            matter.owner_id,
            matter.first_answer_at,
            matter.last_outbound_at,
            matter.due_at,
            sorted(promised),
            list(
                OutgoingMessage.objects.filter(conversation=number).values_list("state", "meets", "kind", "accepted_at")
            ),
            list(matter.pulls.values_list("finished_how", "ahead", "reason")),
        )

    assert treated(by_hand.conversation_id) == treated(by_mail.pk)
    assert Promise.objects.get(conversation=by_hand.conversation_id).met_at == NOON + HOUR
    counted = PublicPost.objects.counted(at=NOON + 3 * timedelta(days=1), zone=ZoneInfo("UTC")).get()
    assert (counted["answered"], counted["unanswered"]) == (1, 0)
    assert now(by_hand).answered_at == NOON + HOUR


def test_an_answer_told_later_counts_from_when_it_was_given_and_a_colleague_signs_it_off_R028():
    post, ada, bob = mentioned(), colleague(), colleague()
    with pytest.raises(elsewhere.SignOffMissing):
        log(post, by=ada, at=NOON + 3 * HOUR, answered_at=NOON + HOUR)
    assert not Interaction.objects.filter(direction="out").exists()

    log(post, by=ada, at=NOON + 3 * HOUR, answered_at=NOON + HOUR, signed_off_by=bob.public_id)

    assert Promise.objects.get().met_at == NOON + HOUR
    matter = Conversation.objects.get()
    assert (matter.first_answer_at, now(post).answered_at) == (NOON + HOUR, NOON + HOUR)
    assert AnswerElsewhere.objects.get().logged_at == NOON + 3 * HOUR


def test_a_quarter_of_an_hour_is_written_down_in_the_same_breath_R028():
    post, ada = mentioned(), colleague()
    log(post, by=ada, at=NOON + HOUR, answered_at=NOON + 45 * MINUTE)
    assert AnswerElsewhere.objects.get().signed_off_by == ada


def test_what_was_missed_when_nobody_had_written_it_down_stays_missed_Q6():
    post, ada, bob = mentioned(), colleague(), colleague()
    due_at = Promise.objects.get().due_at
    deadlines.tick(at=due_at + MINUTE)
    assert Promise.objects.get().state == "breached"
    log(post, by=ada, at=due_at + HOUR, answered_at=due_at - HOUR, signed_off_by=bob.public_id)
    promise = Promise.objects.get()
    assert (promise.state, promise.met_at, promise.breached_at) == ("met_late", due_at - HOUR, due_at + MINUTE)


def test_what_was_said_after_it_waits_on_with_a_promise_of_its_own_R007():
    post, ada, bob = mentioned(), colleague(), colleague()
    later = again(post, "Hello? Nobody there?", at=NOON + 2 * HOUR, sender_kind="handle")

    log(post, by=ada, at=NOON + 3 * HOUR, answered_at=NOON + HOUR, signed_off_by=bob.public_id)

    assert (now(post).answered_at, now(later).answered_at) == (NOON + HOUR, None)
    first, following = Promise.objects.order_by("starts_at")
    assert (first.state, following.state) == ("met", "running")
    assert following.starts_at == NOON + 2 * HOUR
    matter = Conversation.objects.get()
    assert (matter.state, matter.due_at) == ("open", following.due_at)


def test_whoever_may_not_write_in_public_needs_a_colleague_who_may_R113():
    post, intern, bob = mentioned(), colleague(name="Ivo"), colleague()
    type(intern).objects.filter(pk=intern.pk).update(line_of_work=LineOfWork.INTERN)
    intern.refresh_from_db()
    with pytest.raises(elsewhere.SignOffMissing):
        log(post, by=intern)
    other = colleague()
    type(other).objects.filter(pk=other.pk).update(line_of_work=LineOfWork.IT)
    with pytest.raises(routing.NotCertified):
        log(post, by=bob, signed_off_by=other.public_id)
    log(post, by=intern, signed_off_by=bob.public_id)
    assert AnswerElsewhere.objects.get().signed_off_by == bob


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.LOYALTY_MANAGER])
def test_only_those_who_answer_customers_sign_off_R028(role):
    post = mentioned()
    with pytest.raises(elsewhere.SignOffMissing):
        log(post, by=colleague(), signed_off_by=colleague(role).public_id)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"text": "  "}, intake.NothingSaid),
        ({"url": "forum.example/7"}, identity.UnusableAddress),
        ({"url": "javascript:alert(1)"}, identity.UnusableAddress),
        ({"answered_at": NOON + 2 * HOUR}, talks.NotYet),
        ({"answered_at": NOON - MINUTE}, talks.NotYet),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_has_changed_R028(changes, refusal):
    post, ada = mentioned(), colleague()
    with pytest.raises(refusal):
        log(post, by=ada, **changes)
    assert not OutgoingMessage.objects.exists()
    assert Promise.objects.get().state == "running"
    assert now(post).answered_at is None


def test_who_can_be_answered_from_here_is_answered_from_here_R028():
    ada = colleague()
    mail = intake.receive(message(), at=NOON, origin="test").conversation
    with pytest.raises(elsewhere.AnswerHere):
        elsewhere.log(mail.pk, given(), by=ada, at=NOON + HOUR)


def test_what_was_said_in_person_is_no_place_to_answer_at_R028():
    ada = colleague()
    noted = capture.Capture(key="k", channel=Channel.STORE, said="It broke.", name="Carla", phone="030 1234567")
    matter = capture.write_down(noted, by=ada, at=NOON).conversation
    with pytest.raises(elsewhere.AnswerHere):
        elsewhere.log(matter.pk, given(), by=ada, at=NOON + HOUR)


@pytest.mark.parametrize("is_active", [True, False])
def test_an_account_without_a_way_back_is_answered_by_hand_R028(is_active):
    account = ChannelAccount.objects.create(
        provider="mastodon", channel=Channel.SOCIAL_PUBLIC, name="Shop", created_at=NOON, is_active=is_active
    )
    post, ada = mentioned(source=account.source), colleague()
    if is_active:  # a sandbox answers: nothing leaves, but it is the way
        with pytest.raises(elsewhere.AnswerHere):
            log(post, by=ada)
        return
    log(post, by=ada)
    assert now(post).answered_at == NOON + HOUR


def test_order_is_asked_as_for_every_other_answer_E09():
    ada = colleague()
    mentioned("First.")
    second = mentioned("Second.", at=NOON + MINUTE)
    Conversation.objects.update(owner=None)
    with pytest.raises(queue.NotNext):
        log(second, by=ada)
    log(second, by=ada, out_of_order="on_the_line")


def test_what_we_said_before_is_not_contradicted_without_a_word():
    post, ada = mentioned(), colleague()
    log(post, text="You get 20 euros back.", by=ada)
    with pytest.raises(statements.Contradicts):
        log(post, text="You get 10 euros back.", by=ada, at=NOON + 2 * HOUR)


def test_the_same_press_twice_is_one_answer_and_other_words_are_refused():
    post, ada = mentioned(), colleague()
    first = log(post, by=ada, key="k")
    assert log(post, by=ada, key="k", at=NOON + 2 * HOUR) == first
    with pytest.raises(outgoing.DifferentContent):
        log(post, text="Something else.", by=ada, key="k")
    assert AnswerElsewhere.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_are_one_answer_X4():
    post, ada = mentioned(), colleague()
    found = at_once(*[lambda: log(post, by=ada, key="k").pk] * 2)
    assert len({one for one in found if isinstance(one, int)}) == 1
    assert AnswerElsewhere.objects.count() == 1


def test_a_pasted_link_is_logged_owned_and_answered_on_a_lawful_way_R057():
    ada = colleague(name="Ada")
    noted = capture.Capture(
        key="k",
        channel=Channel.SOCIAL_PUBLIC,
        said="Their lamps break.",
        url="https://nowhere.example/p/1",
        account="@carla",
        email="Carla@Home.example",
    )
    received = capture.write_down(noted, by=ada, at=NOON)
    matter = received.conversation
    assert matter.owner_id == ada.pk
    assert Promise.objects.get(conversation=matter).kind == "first_response"
    assert set(matter.customer.contact_points.values_list("kind", "address")) == {
        ("handle", "nowhere.example/carla"),
        ("email", "carla@home.example"),
    }
    # They can be written to at the address they gave …
    sent = answers.answer(matter.pk, text="We mend it.", by=ada, at=NOON)
    assert (sent.channel, sent.address) == ("email", "carla@home.example")
    assert outgoing.send_batch(at=NOON)
    # … and answered there by hand.
    log(PublicPost.objects.get(), by=ada, at=NOON + HOUR, url="https://nowhere.example/p/1#2")
    assert Interaction.objects.filter(direction="out").count() == 2


def test_an_address_that_somebody_else_uses_stays_theirs_R057():
    ada = colleague()
    other = intake.receive(message(sender_address="dora@home.example"), at=NOON, origin="test").conversation.customer
    noted = capture.Capture(
        key="k",
        channel=Channel.BLOG,
        said="It broke.",
        url="https://nowhere.example/p/1",
        account="carla",
        email="dora@home.example",
    )
    matter = capture.write_down(noted, by=ada, at=NOON).conversation
    assert matter.customer != other
    assert matter.customer.contact_points.count() == 1
    with pytest.raises(answers.NoWayBack):
        answers.answer(matter.pk, text="We mend it.", by=ada, at=NOON)
