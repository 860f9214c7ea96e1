"""Customers are asked how it was, or for a public review: all or a drawn share, with their own yes (R068, R150, R171)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from crm.actions import (
    asking,
    bereavement,
    consent,
    desk,
    endings,
    holds,
    intake,
    outgoing,
    persons,
    suppression,
    survey,
)
from crm.admin.timeline import VERBS
from crm.channels import Channel
from crm.models import (
    Ask,
    Asking,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Suppression,
    SurveyAnswer,
    User,
)
from crm.policy import ConversationState, DismissalReason, MessageKind, OutgoingState
from crm.policy.asking import WAITED_FOR, is_drawn
from crm.policy.bereavement import WhoDied
from crm.policy.lives import LifeSource
from crm.policy.suppression import SuppressionReason, SuppressionScope
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

BEGUN = NOON - timedelta(hours=1)
DAY = timedelta(days=1)
ASKED = NOON + DAY + timedelta(hours=1)
REVIEW = asking.Plan(kind="review", share=100, place="Reviews", link="https://reviews.example/shop")
SURVEY = asking.Plan(kind="survey", share=100)


def begun(plan: asking.Plan = SURVEY, *, by: User | None = None, at: datetime = BEGUN) -> Asking:
    return asking.begin(plan, by=by or colleague(), at=at)


def settled(*, allowed: bool = True, at: datetime = NOON, purpose: str = "survey", **changes: Any) -> Conversation:
    """A matter that was answered and closed, of a customer who allowed to be asked."""
    ada = colleague()
    conversation = intake.receive(message(spoke_at=at, **changes), at=at, origin="test").conversation
    if allowed:
        allows(conversation.customer, purpose, at=at)
    desk.answer(conversation.pk, text="A new one is on its way.", by=ada, at=at)
    outgoing.send_batch(at=at)
    desk.close(conversation.pk, by=ada, at=at)
    return Conversation.objects.get(pk=conversation.pk)


def ask_of(conversation: Conversation, kind: str = "survey") -> Ask:
    return Ask.objects.select_related("message").get(conversation=conversation, kind=kind)


def sent(conversation: Conversation, *, kind: str = "survey", at: datetime = ASKED) -> Ask:
    """The ask about a matter, with its question sent."""
    asking.ask_settled(at)
    outgoing.send_batch(at=at)
    return ask_of(conversation, kind)


def token(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def said(ask: Ask, at: datetime = ASKED + DAY, **given: Any) -> SurveyAnswer:
    words, wants = given.pop("words", ""), given.pop("wants_answer", False)
    link = token(survey.answer_link(ask))
    return survey.answer(link, given, words=words, wants_answer=wants, language="en", at=at)[0]


# --- who is asked -------------------------------------------------------------------------------------------------------


def test_whoever_allowed_it_is_asked_a_day_after_their_matter_was_settled_R068():
    begun()
    conversation = settled()
    assert asking.ask_settled(NOON + DAY - timedelta(minutes=1)) == 0
    ask = sent(conversation)
    assert (ask.outcome, ask.message.kind, ask.message.purpose) == ("asked", MessageKind.ASK, "survey")
    assert ask.message.state == OutgoingState.ACCEPTED
    assert survey.answer_link(ask) in ask.message.text
    assert survey.stop_link(ask) in ask.message.text
    assert outgoing.has_one_click(ask.message.headers)
    assert ask.message.conversation_id is None  # it is no answer in the matter
    assert HistoryEntry.objects.filter(verb="survey.asked", customer=conversation.customer).count() == 1
    assert asking.ask_settled(ASKED + DAY) == 0  # once


def test_nothing_is_asked_before_a_lead_begins_it_and_nothing_that_was_settled_before_R150():
    settled()
    assert asking.ask_settled(ASKED) == 0
    begun(at=NOON + timedelta(minutes=1))
    assert asking.ask_settled(ASKED) == 0


@pytest.mark.parametrize("end", ["dismissed", "open", "came_back", "imported"])
def test_only_what_was_answered_and_is_settled_counts(end: str):
    begun()
    ada = colleague()
    if end == "dismissed":
        spam = intake.receive(message(), at=NOON, origin="test").conversation
        allows(spam.customer, "survey")
        endings.dismiss(spam.pk, reason=DismissalReason.SPAM, by=ada, at=NOON)
    elif end == "open":
        intake.receive(message(), at=NOON, origin="test")
    elif end == "came_back":
        endings.open_again(settled().pk, by=ada, at=NOON + timedelta(hours=2))
    else:
        Conversation.objects.filter(pk=settled().pk).update(imported=True)
    assert asking.ask_settled(ASKED) == 0


@pytest.mark.parametrize(
    "reason",
    [
        "no_consent",
        "suppressed",
        "outreach_on_hold",
        "open_matter",
        "kindness_lately",
        "no_address",
        "customer_deceased",
    ],
)
def test_whoever_is_drawn_and_may_not_be_asked_is_left_out_and_counted_R068_R171(reason: str):
    begun()
    conversation = settled(allowed=reason != "no_consent")
    customer = conversation.customer
    point = ContactPoint.objects.get(customer=customer)
    if reason == "suppressed":
        why = SuppressionReason.UNSUBSCRIBE
        suppression.suppress("email", point.address, scope=SuppressionScope.SURVEY, reason=why, at=NOON)
    elif reason == "outreach_on_hold":
        holds.place(customer, key="case", reason="open_case", at=NOON)
    elif reason == "open_matter":
        intake.receive(message(sender_address=point.address), at=NOON + timedelta(hours=3), origin="test")
    elif reason == "kindness_lately":
        gesture(customer, at=NOON)
    elif reason == "no_address":
        ContactPoint.objects.filter(pk=point.pk).update(unlinked_at=NOON)
    elif reason == "customer_deceased":
        Customer.objects.filter(pk=customer.pk).update(status="deceased")
    asking.ask_settled(ASKED)
    assert Ask.objects.exists() == (reason not in WAITED_FOR)
    asking.ask_settled(NOON + timedelta(days=13, hours=1))
    ask = ask_of(conversation)
    assert (ask.outcome, ask.reason, ask.message) == ("left_out", reason, None)


def test_whoever_complained_again_is_asked_when_that_is_settled_as_well_R150():
    begun(REVIEW)
    ada, bea = colleague(), colleague()
    conversation = settled(purpose="review")
    address = ContactPoint.objects.get(customer=conversation.customer).address
    other = intake.receive(message(sender_address=address), at=NOON + timedelta(hours=2), origin="test").conversation
    asking.ask_settled(ASKED)
    assert not Ask.objects.exists()
    desk.answer(other.pk, text="Now it is right.", by=ada, at=ASKED)
    outgoing.send_batch(at=ASKED)
    desk.close(other.pk, by=bea, at=ASKED)
    asking.ask_settled(ASKED + 2 * DAY)
    assert ask_of(conversation, "review").outcome == "asked"
    assert ask_of(other, "review").reason == "asked_lately"


def gesture(customer: Customer, *, at: datetime) -> None:
    """A card that reached them."""
    OutgoingMessage.objects.create(
        key=f"card{customer.pk}", kind="gesture", purpose="birthday", channel="email", address="x@y.example",
        customer=customer, subject="x", text="x", created_at=at, send_after=at, state="accepted", accepted_at=at,
    )  # fmt: skip


def test_two_weeks_after_a_kindness_the_next_matter_is_asked_about_R171():
    begun()
    conversation = settled()
    gesture(conversation.customer, at=ASKED - timedelta(days=14))
    assert sent(conversation).outcome == "asked"


def test_nobody_is_asked_twice_within_ninety_days_in_whatever_record_of_theirs():
    begun()
    first = settled(sender_address="one@home.example")
    sent(first)
    twin = Customer.objects.create(display_name="Carla", created_at=NOON)
    persons.merge(twin.pk, kept_id=first.customer_id, because="same", by=colleague(), at=ASKED)
    soon = settled(sender_address="one@home.example", at=NOON + 3 * DAY)
    asking.ask_settled(NOON + 5 * DAY)
    assert ask_of(soon).reason == "asked_lately"
    later = settled(sender_address="one@home.example", at=NOON + 100 * DAY)
    asking.ask_settled(NOON + 102 * DAY)
    assert ask_of(later).outcome == "asked"


def test_the_same_share_is_drawn_on_every_channel_by_a_draw_that_anyone_can_do_again_R068_R150():
    asked = begun(asking.Plan(kind="survey", share=30))
    for channel in (Channel.EMAIL, Channel.WEB_FORM, Channel.APP):
        for _each in range(8):
            Conversation.objects.filter(pk=settled().pk).update(channel=channel)
    asking.ask_settled(ASKED)
    rows = Ask.objects.select_related("conversation")
    assert len(rows) == 24
    for row in rows:
        drawn = is_drawn(str(row.conversation.public_id), seed=asked.seed, share=30)
        assert drawn == (row.outcome != "not_drawn")
    again = asking.redraw(asked)
    assert (again.looked_at, again.differing, again.held) == (24, (), True)
    told = HistoryEntry.objects.get(verb="asking.begun").detail
    assert told["commitment"] == asked.commitment
    assert asked.seed not in str(told)  # told when it has ended
    lines = asking.coverage(asked)
    assert [line.settled for line in lines] == [8, 8, 8]
    assert sum(line.drawn for line in lines) == rows.exclude(outcome="not_drawn").count()


@pytest.mark.parametrize("score", [1, 5])
def test_what_somebody_answered_before_changes_nothing_about_a_review_R150(score: int):
    begun(SURVEY)
    begun(REVIEW, at=NOON + 3 * DAY)
    first = settled(sender_address="one@home.example")
    allows(first.customer, "review")
    said(sent(first), csat=score, words="Thank you for asking.", wants_answer=True)
    desk.answer(first.pk, text="Thank you.", by=first.owner, at=ASKED + DAY)
    outgoing.send_batch(at=ASKED + DAY)
    desk.close(first.pk, by=colleague(), at=ASKED + 2 * DAY, reason="It is settled now.")
    second = settled(sender_address="one@home.example", at=NOON + 20 * DAY)
    asking.ask_settled(ASKED + 20 * DAY)
    assert ask_of(second, "review").outcome == "asked"


def test_a_review_needs_its_own_yes_and_not_that_to_questions_or_news_R150():
    begun(REVIEW)
    conversation = settled(purpose="survey")
    allows(conversation.customer, "news")
    asking.ask_settled(ASKED)
    assert ask_of(conversation, "review").reason == "no_consent"


def test_the_timeline_does_not_take_a_question_about_a_review_for_a_wish_for_a_second_look():
    begun(REVIEW)
    conversation = settled(purpose="review")
    asking.ask_settled(ASKED)
    verbs = set(HistoryEntry.objects.filter(customer=conversation.customer).values_list("verb", flat=True))
    assert "review.asked" not in verbs
    assert str(VERBS[(verbs & {"public_review.asked"}).pop()]) == "Asked for a public review"


def test_an_objection_to_advertising_stops_asking_for_a_review_R150():
    begun(REVIEW)
    conversation = settled(purpose="review")
    address = ContactPoint.objects.get(customer=conversation.customer).address
    why = SuppressionReason.UNSUBSCRIBE
    suppression.suppress("email", address, scope=SuppressionScope.MARKETING, reason=why, at=NOON)
    asking.ask_settled(ASKED)
    assert ask_of(conversation, "review").reason == "suppressed"


# --- in the moment it leaves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", ["consent", "hold", "matter", "kindness", "suppression"])
def test_it_is_asked_once_more_in_the_moment_it_leaves_and_nobody_can_send_it_after_all_R171_P01(since: str):
    begun()
    conversation = settled()
    customer = conversation.customer
    asking.ask_settled(ASKED)
    address = ContactPoint.objects.get(customer=customer).address
    if since == "consent":
        consent.withdraw(customer, "survey", evidence="said so", at=ASKED)
    elif since == "hold":
        holds.place(customer, key="case", reason="open_case", at=ASKED)
    elif since == "matter":
        intake.receive(message(sender_address=address), at=ASKED, origin="test")
    elif since == "kindness":
        gesture(customer, at=ASKED - timedelta(minutes=1))
    else:
        why = SuppressionReason.UNSUBSCRIBE
        suppression.suppress("email", address, scope=SuppressionScope.SURVEY, reason=why, at=ASKED)
    outgoing.send_batch(at=ASKED)
    question = ask_of(conversation).message
    assert question.state == OutgoingState.CANCELLED
    assert question.reason
    with pytest.raises(outgoing.WrongState):
        outgoing.release(question.pk, by=colleague(), at=ASKED)


def test_what_cannot_leave_for_our_own_trouble_waits_for_nobody_to_choose_it_either_R150(monkeypatch):
    begun()
    conversation = settled()
    asking.ask_settled(ASKED)
    monkeypatch.delitem(outgoing.SENDERS, Channel.EMAIL)
    outgoing.send_batch(at=ASKED)
    question = ask_of(conversation).message
    assert (question.state, question.reason) == (OutgoingState.CANCELLED, "no_provider")


def test_a_death_takes_back_what_waits_to_be_asked_R168():
    begun()
    conversation = settled()
    asking.ask_settled(ASKED)
    bereavement.report(
        conversation.customer_id,
        who_died=WhoDied.HOUSEHOLD,
        source=LifeSource.CUSTOMER,
        evidence="a letter",
        by=colleague(),
        at=ASKED,
    )
    outgoing.send_batch(at=ASKED)
    assert ask_of(conversation).message.state == OutgoingState.CANCELLED


def test_nobody_takes_a_single_question_out_R150():
    begun()
    conversation = settled()
    asking.ask_settled(ASKED)
    with pytest.raises(outgoing.WrongState):
        outgoing.cancel(ask_of(conversation).message.pk, by=colleague(), at=ASKED)
    assert ask_of(conversation).message.state == OutgoingState.READY


def test_ending_it_stops_what_waits_and_tells_the_seed_R150():
    lead = colleague()
    asked = begun(by=lead)
    conversation = settled()
    asking.ask_settled(ASKED)
    asking.end(asked.pk, by=lead, at=ASKED)
    assert ask_of(conversation).message.state == OutgoingState.CANCELLED
    assert HistoryEntry.objects.get(verb="asking.ended").detail["seed"] == asked.seed
    with pytest.raises(asking.AlreadyAsking):
        asking.end(asked.pk, by=lead, at=ASKED)
    assert asking.ask_settled(ASKED + DAY) == 0
    begun(at=ASKED)  # and another may begin


def test_a_question_by_night_waits_for_the_morning():
    begun()
    conversation = settled()
    Customer.objects.filter(pk=conversation.customer_id).update(zone="Asia/Tokyo")
    asking.ask_settled(ASKED)  # 22:00 there
    assert ask_of(conversation).message.send_after == datetime.fromisoformat("2026-03-04T09:00:00+09:00")


# --- what is begun ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        asking.Plan(kind="loud", share=100),
        asking.Plan(kind="survey", share=0),
        asking.Plan(kind="survey", share=101),
        asking.Plan(kind="survey", share=10, not_again_for=89),
        asking.Plan(kind="review", share=10),
        asking.Plan(kind="review", share=10, place="R", link="http://reviews.example"),
        asking.Plan(kind="review", share=10, place="R", link="https://me@reviews.example"),
        asking.Plan(kind="review", share=10, place="R", link="javascript:alert(1)"),
        asking.Plan(kind="survey", share=10, texts={"xx": "Hello."}),
        asking.Plan(kind="survey", share=10, texts={"en": "x" * 601}),
        asking.Plan(kind="survey", share=10, texts={"en": "Tell us and win a voucher."}),
        asking.Plan(
            kind="review", share=10, place="R", link="https://r.example", texts={"de": "Geben Sie uns 5 Sterne!"}
        ),
    ],
    ids=lambda plan: f"{plan.kind}-{plan.share}-{plan.link}-{bool(plan.texts)}",
)
def test_an_asking_that_lacks_something_or_says_too_much_is_refused_and_nothing_is_kept_R150(plan: asking.Plan):
    with pytest.raises(asking.UnusableAsking) as refusal:
        begun(plan)
    assert str(refusal.value)
    assert not Asking.objects.exists()


def test_the_house_s_own_words_stand_in_the_mail_in_the_customer_s_language_R150():
    begun(asking.Plan(kind="survey", share=100, texts={"en": "Please say how it was.", "de": "Wie war es?"}))
    conversation = settled()
    Customer.objects.filter(pk=conversation.customer_id).update(language="de-AT")
    text = sent(conversation).message.text
    assert "Wie war es?" in text
    assert "Please say" not in text


def test_the_same_is_asked_once_at_a_time_whoever_begins_it():
    begun()
    with pytest.raises(asking.AlreadyAsking):
        begun()
    begun(REVIEW)


@pytest.mark.parametrize("table", ["asking", "ask"])
def test_the_database_lets_nobody_rewrite_a_draw_R150(table: str):
    begun()
    settled()
    asking.ask_settled(ASKED)
    change = {"asking": "share = 50", "ask": "outcome = 'not_drawn', message_id = NULL"}[table]
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE crm_{table} SET {change}")


# --- their answer -------------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_once_and_never_changed_R068():
    begun()
    ask = sent(settled())
    kept = said(ask, csat=4, outcome=5, manner=3, effort=7, words="Thank you!")
    assert kept.given == {"csat": 4, "outcome": 5, "process": None, "manner": 3, "effort": 7}
    assert said(ask, csat=1).csat == 4  # the first word counts
    with pytest.raises(IntegrityError), transaction.atomic():
        SurveyAnswer.objects.update(csat=5)
    assert ask.conversation.state == ConversationState.CLOSED
    assert HistoryEntry.objects.filter(verb="survey.answered").count() == 1


def test_a_bad_answer_opens_the_matter_again_for_its_owner_with_their_words_and_a_promise_X51():
    begun()
    conversation = settled()
    said(sent(conversation), csat=4, outcome=2, words="I am still without a lamp.")
    before, conversation = conversation, Conversation.objects.get(pk=conversation.pk)
    assert (conversation.state, conversation.owner_id) == (ConversationState.OPEN, before.owner_id)
    assert conversation.due_at is not None
    heard = Interaction.objects.get(conversation=conversation, source="survey")
    assert heard.text.startswith("I am still without a lamp.")
    assert "2 / 5" in heard.text
    assert not Customer.objects.exclude(pk=conversation.customer_id).exists()


def test_whoever_wants_an_answer_gets_one_whatever_they_think_of_us():
    begun()
    conversation = settled()
    said(sent(conversation), csat=5, words="Do you have it in blue?", wants_answer=True)
    assert Conversation.objects.get(pk=conversation.pk).state == ConversationState.OPEN


def test_a_late_bad_answer_goes_on_in_a_new_matter_X18():
    begun()
    conversation = settled()
    said(sent(conversation), at=ASKED + 30 * DAY, csat=1)
    assert Conversation.objects.get(pk=conversation.pk).state == ConversationState.CLOSED
    assert Conversation.objects.filter(customer=conversation.customer, state=ConversationState.OPEN).count() == 1


@pytest.mark.parametrize(
    "given", [{"csat": 0}, {"csat": 6}, {"effort": 8}, {"manner": -1}], ids=lambda given: str(given)
)
def test_an_answer_outside_its_scale_is_refused(given: dict[str, int]):
    begun()
    ask = sent(settled())
    with pytest.raises(survey.UnusableAnswer):
        said(ask, **given)
    assert not SurveyAnswer.objects.exists()


def test_a_link_opens_one_question_for_sixty_days_and_nothing_else_W11():
    begun(SURVEY)
    begun(REVIEW)
    conversation = settled()
    allows(conversation.customer, "review")
    ask = sent(conversation)
    review = ask_of(conversation, "review")
    for link, at in (
        ("x", ASKED),
        (token(survey.stop_link(ask)), ASKED),
        (token(survey.answer_link(review)), ASKED),
        (token(survey.answer_link(ask)), ASKED + 61 * DAY),
    ):
        with pytest.raises(survey.UnknownLink):
            survey.opened(link, at=at)


def test_no_more_questions_is_one_press_twice_the_same_and_touches_nothing_else_X10():
    begun()
    conversation = settled()
    customer = conversation.customer
    allows(customer, "birthday")
    link = token(survey.stop_link(sent(conversation)))
    assert [survey.stop(link, at=ASKED), survey.stop(link, at=ASKED)] == ["survey", "survey"]
    said_now = consent.counting(customer.pk)
    assert not said_now["survey", "email"].allows
    assert said_now["birthday", "email"].allows
    assert [one.scope for one in Suppression.objects.all()] == [SuppressionScope.SURVEY]


@pytest.mark.django_db(transaction=True)
def test_two_workers_ask_once():
    begun()
    conversation = settled()
    at_once(*[lambda: asking.ask_settled(ASKED)] * 2)
    assert Ask.objects.filter(conversation=conversation).count() == 1
    assert OutgoingMessage.objects.filter(kind=MessageKind.ASK).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_answers_at_once_are_one():
    begun()
    ask = sent(settled())
    at_once(lambda: said(ask, csat=1), lambda: said(ask, csat=5))
    assert SurveyAnswer.objects.count() == 1
