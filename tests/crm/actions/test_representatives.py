"""Who acts for a customer: what they may be told, whose their matters are, and what they write after it ended (R089)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, transaction

from crm.actions import answers, bereavement, desk, endings, holds, outgoing, persons, representatives
from crm.channels.email import addresses
from crm.models import (
    ContactPoint,
    Conversation,
    Customer,
    Doubt,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Placement,
    ReplyToken,
    Representative,
)
from crm.policy import DoubtCode, OutgoingState
from crm.policy.bereavement import WhoDied
from crm.policy.lives import LifeSource
from crm.policy.representation import Ask, Authority, Scope
from recovery import actions as recovery_actions
from recovery.models import Case
from recovery.policy import Facts
from tests.conftest import NOON
from tests.crm.actions.test_correspondence import _inbound, doubts, mailed, said  # noqa: F401 – a fixture of every test here
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
CARER = "ruth@home.example"


def two() -> tuple[Conversation, Conversation]:
    """The matter of a customer, and one in which somebody wrote about that customer."""
    theirs = said(mailed("My lamp is broken.", sender="carla@home.example", vouched=True)).conversation
    carers = said(mailed("My mother's lamp is broken.", sender=CARER, subject="Her lamp", vouched=True)).conversation
    return theirs, carers


def acts(principal: Customer, person: Customer | None, **more: Any) -> Representative:
    given: dict[str, Any] = {
        "authority": Authority.POWER_OF_ATTORNEY,
        "scope": Scope.EVERYTHING,
        "source": LifeSource.REPRESENTATIVE,
        "evidence": "We saw the paper at the counter.",
        "person_id": person.pk if person else None,
        "by": more.pop("by", None) or colleague(),
        "at": NOON,
    }
    return representatives.note(principal.pk, **(given | more))


def test_an_authority_is_noted_with_what_was_seen_and_opens_nothing_R089_P02():
    theirs, carers = two()
    users = list(carers.customer.conversations.values_list("pk", flat=True))
    noted = acts(theirs.customer, carers.customer)
    assert noted.stands(status="active", at=NOON)
    assert list(carers.customer.conversations.values_list("pk", flat=True)) == users
    assert HistoryEntry.objects.filter(verb="representative.noted", customer=theirs.customer).exists()


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"evidence": " "}, endings.ReasonMissing),
        ({"person_id": None}, representatives.UnusableAuthority),
        ({"person_id": None, "name": "Ruth"}, representatives.UnusableAuthority),
        ({"scope": Scope.MATTER}, representatives.UnusableAuthority),
        ({"valid_until": NOON}, representatives.UnusableAuthority),
    ],
)
def test_what_is_no_authority_is_refused_and_changes_nothing(more, refusal):
    theirs, carers = two()
    with pytest.raises(refusal):
        acts(theirs.customer, carers.customer, **more)
    with pytest.raises(representatives.UnusableAuthority):
        acts(theirs.customer, theirs.customer)
    assert not Representative.objects.exists()


def test_a_matter_that_came_through_them_is_the_customers_with_all_that_hangs_on_it_R089():
    theirs, carers = two()
    owner = colleague(name="Looks After")
    Conversation.objects.filter(pk=theirs.pk).update(owner=owner)
    case = recovery_actions.open_case(carers.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    noted = acts(theirs.customer, carers.customer)

    placed = representatives.place(carers.pk, representative_id=noted.pk, by=colleague(), at=NOON)

    carers.refresh_from_db()
    assert (carers.customer, carers.owner) == (theirs.customer, owner)
    assert Case.objects.get().customer == theirs.customer
    assert not Case.objects.filter(customer=placed.came_with).exists()  # their own record earns nothing
    one = Interaction.objects.get(conversation=carers)
    assert (one.other_address, one.contact_point) == (CARER, None)
    assert representatives.who_wrote(one, [noted]) == noted
    assert list(holds.Hold.objects.values_list("customer", flat=True)) == [theirs.customer_id]

    back = representatives.put_back(placed.pk, by=colleague(), at=NOON + HOUR)
    carers.refresh_from_db()
    case.refresh_from_db()
    one.refresh_from_db()
    assert carers.customer == case.customer == back.came_with
    assert (one.other_address, one.contact_point.address) == ("", CARER)
    with pytest.raises(representatives.NotPlaceable):
        representatives.put_back(placed.pk, by=colleague(), at=NOON + HOUR)


def test_the_same_failure_earns_the_same_whether_they_wrote_or_somebody_for_them_R089():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer)
    representatives.place(carers.pk, representative_id=noted.pk, by=colleague(), at=NOON)
    decided = [
        recovery_actions.open_case(one.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
        for one in (theirs, carers)
    ]
    assert decided[0].severity == decided[1].severity
    assert {case.customer_id for case in decided} == {theirs.customer_id}


def test_what_does_not_come_from_a_proved_address_of_theirs_is_not_placed_M06():
    theirs, _carers = two()
    stranger = said(mailed("About Carla.", sender="eve@else.example", vouched=True)).conversation
    unproved = said(mailed("About Carla.", sender="mia@else.example")).conversation
    noted = acts(theirs.customer, None, name="Mia", address="mia@else.example")
    for one in (stranger, unproved):
        with pytest.raises(representatives.NotPlaceable):
            representatives.place(one.pk, representative_id=noted.pk, by=colleague(), at=NOON)
    assert not Placement.objects.exists()


def test_one_matter_alone_covers_no_other():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer, scope=Scope.MATTER, conversation_id=theirs.pk)
    with pytest.raises(representatives.NotTold):
        representatives.place(carers.pk, representative_id=noted.pk, by=colleague(), at=NOON)
    assert noted.may(Ask.MONEY, matter=theirs.pk, status="active", at=NOON)


# --- answers to them ----------------------------------------------------------------------------------------------------


def answered_to(noted: Representative, conversation: Conversation) -> OutgoingMessage:
    return answers.answer(
        conversation.pk,
        text="Her lamp is on its way.",
        by=colleague(),
        at=NOON,
        out_of_order="knows_it",
        to_representative=noted.pk,
    )


def test_an_answer_goes_to_them_where_that_is_chosen_and_their_reply_is_known_as_theirs_R089():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer)
    message = answered_to(noted, theirs)
    assert (message.address, message.customer_id, message.representative) == (CARER, theirs.customer_id, noted)
    outgoing.send_batch(at=NOON)
    assert mail.outbox[-1].to == [CARER]

    token = ReplyToken.objects.get(conversation=theirs, address=CARER)
    reply_to = addresses.reply_address(addresses.token_of(token.nonce))
    item = mailed("Thank you.", sender=CARER, to=reply_to, at=NOON + HOUR)
    assert said(item).conversation == theirs
    assert (said(item).other_address, said(item).contact_point) == (CARER, None)
    assert doubts(item) == {}


def test_what_they_write_after_it_ended_is_somebody_elses_word_R089_M06():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer)
    answered_to(noted, theirs)
    outgoing.send_batch(at=NOON)
    token = ReplyToken.objects.get(conversation=theirs, address=CARER)
    reply_to = addresses.reply_address(addresses.token_of(token.nonce))
    representatives.end(noted.pk, because="Carla said so.", by=colleague(), at=NOON + HOUR)

    item = mailed("Send it to my house.", sender=CARER, to=reply_to, at=NOON + 2 * HOUR)
    assert (said(item).conversation, said(item).other_address) == (theirs, CARER)
    assert DoubtCode.OTHER_PERSON in doubts(item)
    assert Doubt.objects.filter(code=DoubtCode.OTHER_PERSON, settled_at=None).exists()


def test_an_authority_that_ends_before_an_answer_leaves_stops_it_R089():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer)
    message = answered_to(noted, theirs)
    representatives.end(noted.pk, because="Carla said so.", by=colleague(), at=NOON)
    outgoing.send_batch(at=NOON + HOUR)
    message.refresh_from_db()
    assert (message.state, message.reason) == (OutgoingState.HELD, "representative_ended")
    with pytest.raises(representatives.NotTold):
        answered_to(noted, theirs)


def test_an_authority_that_runs_out_counts_until_its_moment_and_not_after():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer, valid_until=NOON + HOUR)
    assert representatives.acting(theirs, CARER, at=NOON) == "stands"
    assert representatives.acting(theirs, CARER, at=NOON + HOUR) == "ended"
    assert representatives.acting(theirs, "eve@else.example", at=NOON) == ""
    assert not noted.stands(status="active", at=NOON + HOUR)


def test_after_a_death_the_executor_is_answered_and_nobody_else_P01_R168():
    theirs, carers = two()
    power = acts(theirs.customer, carers.customer)
    executor = acts(theirs.customer, None, name="Notary Noor", address="noor@law.example", authority=Authority.EXECUTOR)
    with pytest.raises(representatives.NotTold):
        answered_to(executor, theirs)  # nobody has died
    waiting = answered_to(power, theirs)
    bereavement.report(
        theirs.customer_id,
        who_died=WhoDied.CUSTOMER,
        source=LifeSource.REPRESENTATIVE,
        evidence="The notary wrote.",
        by=colleague(),
        at=NOON,
    )
    answered_to(executor, theirs)
    desk.answer(theirs.pk, text="Dear Carla", by=colleague(), at=NOON, out_of_order="knows_it")
    outgoing.send_batch(at=NOON + HOUR)
    states = dict(OutgoingMessage.objects.exclude(key__startswith="ack").values_list("address", "reason"))
    assert states["noor@law.example"] == ""
    assert states[CARER] == "representative_ended"
    assert states["carla@home.example"] == "customer_deceased"
    assert [one.to for one in mail.outbox if one.to == ["noor@law.example"]] == [["noor@law.example"]]
    waiting.refresh_from_db()
    assert waiting.state == "held"


# --- one person ---------------------------------------------------------------------------------------------------------


def test_nobody_becomes_one_with_whom_they_act_for_until_it_is_ended_N12():
    theirs, carers = two()
    noted, ada = acts(theirs.customer, carers.customer), colleague()
    for gone, kept in ((theirs, carers), (carers, theirs)):
        with pytest.raises(persons.NotMergeable):
            persons.merge(gone.customer_id, kept_id=kept.customer_id, because="x", by=ada, at=NOON)
    representatives.end(noted.pk, because="the same person", by=ada, at=NOON)
    made = persons.merge(carers.customer_id, kept_id=theirs.customer_id, because="x", by=ada, at=NOON)
    persons.undo(made.pk, by=ada, at=NOON + HOUR)
    noted.refresh_from_db()
    assert (noted.principal_id, noted.person_id) == (theirs.customer_id, carers.customer_id)


def test_whoever_acts_for_one_record_acts_for_the_person_N12():
    theirs, carers = two()
    other = said(mailed("From work.", sender="carla@work.example", vouched=True)).conversation
    noted = acts(other.customer, carers.customer)
    persons.merge(other.customer_id, kept_id=theirs.customer_id, because="x", by=colleague(), at=NOON)
    assert representatives.acting(Conversation.objects.get(pk=theirs.pk), CARER, at=NOON) == "stands"
    assert list(representatives.of(theirs.customer_id)) == [noted]


def test_what_a_representative_wrote_is_not_shown_in_the_customers_app_M08():
    user = app_user()
    user.customer.contact_points.create(kind="email", address="carla@home.example", created_at=NOON, verified_at=NOON)
    theirs, carers = two()
    noted = acts(user.customer, carers.customer)
    representatives.place(carers.pk, representative_id=noted.pk, by=colleague(), at=NOON)
    assert theirs.customer == user.customer
    shown = Interaction.objects.shown_to_customers().filter(conversation=carers, other_address="")
    assert not shown.exists()
    assert ContactPoint.objects.get(address=CARER).customer != user.customer


def test_the_database_knows_nobody_who_acts_for_themselves_or_without_evidence_R089():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer)
    for changes in (
        {"person": theirs.customer},
        {"evidence": ""},
        {"scope": "matter"},
        {"valid_until": NOON - HOUR},
        {"ended_at": NOON},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Representative.objects.filter(pk=noted.pk).update(**changes)
