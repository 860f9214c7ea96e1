"""No path grants without the customer as actor; what stops an address outlasts whoever had it (N7, R056, X10, W05, W06, P10)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction

from crm.actions import consent, customers, deliveries, identity, kindness, outgoing, persons, questions, suppression
from crm.models import (
    Consent,
    ConsentProof,
    ConsentQuestion,
    ContactPoint,
    Customer,
    HistoryEntry,
    OutgoingMessage,
    Suppression,
)
from crm.policy import MessageKind, OutgoingState, reason_to_stop
from crm.policy.ledger import ProofDoor
from crm.policy.suppression import SuppressionReason, SuppressionScope
from tests.conftest import NOON
from tests.crm.allowing import allows, shown_to
from tests.crm.stories import app_user, colleague
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
ONE_CLICK = {"List-Unsubscribe": "<https://x.example>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def carla(address: str = "carla@home.example", name: str = "Carla") -> Customer:
    customer = customers.welcome(name, at=NOON)
    ContactPoint.objects.create(customer=customer, kind="email", address=address, created_at=NOON)
    return customer


def card(customer: Customer, key: str = "card", *, purpose: str = "birthday", **more: Any) -> OutgoingMessage:
    address = customer.contact_points.order_by("pk")[0].address
    draft = outgoing.Draft(
        key=key, kind=MessageKind.GESTURE, purpose=purpose, channel="email", address=address, subject="All the best",
        text="Today is your day.", headers=ONE_CLICK, **more,
    )  # fmt: skip
    return outgoing.queue(draft, customer=customer, at=NOON)


def now(message: OutgoingMessage) -> tuple[str, str]:
    message.refresh_from_db()
    return message.state, message.reason


def stands(customer: Customer) -> dict[tuple[str, str], bool]:
    return {line: event.allows for line, event in consent.counting(customer.pk).items()}


# --- nobody but the customer: the database -----------------------------------------------------------------------------


def refused(statement: str, **values: Any) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, values)
    except IntegrityError:
        return True
    return False


GRANT = """
INSERT INTO crm_consent (customer_id, purpose, medium, state, actor, evidence, proof_id, at)
VALUES (%(customer)s, %(purpose)s, %(medium)s, %(state)s, %(actor)s, 'x', %(proof)s, %(at)s)
"""
PROOF = """
INSERT INTO crm_consentproof (public_id, customer_id, purpose, medium, words, version, language, door, network,
                              account_id, contact_point_id, at)
VALUES (gen_random_uuid(), %(customer)s, 'birthday', 'email', %(words)s, %(version)s, 'en', %(door)s, '', %(account)s, %(point)s,
        %(at)s)
"""


def grants(customer: Customer, proof: int | None, **changes: Any) -> bool:
    """Whether a bare INSERT gives a permission."""
    plain = {
        "customer": customer.pk, "purpose": "birthday", "medium": "email", "state": "granted", "actor": "customer",
        "proof": proof, "at": NOON + DAY,
    }  # fmt: skip
    return not refused(GRANT, **{**plain, **changes})


def proves(customer: Customer, **changes: Any) -> bool:
    plain = {
        "customer": customer.pk, "words": "Yes.", "version": "1", "door": "page", "account": None,
        "point": customer.contact_points.order_by("pk")[0].pk, "at": NOON,
    }  # fmt: skip
    return not refused(PROOF, **{**plain, **changes})


def fresh_proof(customer: Customer) -> int:
    assert proves(customer)
    return ConsentProof.objects.latest("pk").pk


def test_no_bare_insert_grants_without_a_proof_of_the_customer_N7_R056():
    anna, ben = carla("anna@home.example"), carla("ben@home.example")
    assert not grants(anna, None)
    assert not grants(anna, None, actor="staff")
    assert not grants(anna, fresh_proof(ben))  # somebody else's
    assert not grants(anna, fresh_proof(anna), actor="staff")
    assert not grants(anna, fresh_proof(anna), actor="import")
    assert not grants(anna, fresh_proof(anna), purpose="news")  # of something else
    assert not grants(anna, fresh_proof(anna), medium="post")
    assert not grants(anna, fresh_proof(anna), at=NOON - DAY)  # from before it was said
    assert not grants(anna, fresh_proof(anna), state="withdrawn")  # a no has no proof of a yes
    assert not grants(anna, None, state="asked", actor="import")  # a file brings “unknown” and nothing else
    assert not grants(anna, None, state="unknown", purpose="anything")
    assert not Consent.objects.exists()
    assert grants(anna, fresh_proof(anna))


def test_a_proof_grants_once_and_not_again_after_a_no_N7():
    anna = carla()
    proof = allows(anna).proof_id
    assert not grants(anna, proof)
    consent.withdraw(anna, "birthday", evidence="by phone", at=NOON, by=colleague())
    assert not grants(anna, proof)
    assert stands(anna) == {("birthday", "email"): False}


def test_a_proof_is_words_from_where_only_the_customer_is_N7():
    anna, ben = carla("anna@home.example"), carla("ben@home.example")
    theirs, app = ben.contact_points.get(), app_user()
    assert not proves(anna, words=" ")
    assert not proves(anna, version="")
    assert not proves(anna, point=None)
    assert not proves(anna, point=theirs.pk)
    assert not proves(anna, door="app")  # without an account
    assert not proves(anna, door="app", account=colleague().pk)
    assert not proves(anna, account=colleague().pk)
    assert not proves(anna, door="app", account=app.pk)  # another customer's
    ContactPoint.objects.filter(customer=anna).update(unlinked_at=NOON)
    assert not proves(anna)
    assert not ConsentProof.objects.exists()


def test_neither_ledger_nor_proofs_nor_suppressions_are_changed_afterwards_N7():
    anna = carla()
    allows(anna)
    suppression.suppress("email", "anna@home.example", scope=SuppressionScope.CHEERFUL, reason="unsubscribe", at=NOON)
    for table, change in [
        ("crm_consent", "evidence = 'y'"), ("crm_consentproof", "words = 'y'"), ("crm_suppression", "scope = 'survey'"),
        ("crm_suppression", "lifted_at = now()"), ("crm_suppression", "lifted_at = now(), lifted_by = gen_random_uuid()"),
        ("crm_suppression", "until = now()"),
    ]:  # fmt: skip
        assert refused(f"UPDATE {table} SET {change}"), change
        assert refused(f"DELETE FROM {table}")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, trigger in [("crm_suppression", "suppression_not_emptied"), ("crm_consent", "consent_not_emptied")]:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
            assert refused(f"TRUNCATE {table}")
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


# --- nobody but the customer: the actions ------------------------------------------------------------------------------


def test_the_newest_yes_or_no_of_a_purpose_and_a_medium_counts_and_being_asked_changes_nothing_R056():
    anna = carla()
    assert stands(anna) == {}
    allows(anna)
    assert stands(anna) == {("birthday", "email"): True}
    assert consent.unknown(anna, "birthday", "email", evidence="shop.csv", at=NOON + DAY) is None
    Consent.objects.create(
        customer=anna, purpose="birthday", medium="email", state="asked", actor="staff", evidence="x", at=NOON + DAY
    )
    assert stands(anna) == {("birthday", "email"): True}
    consent.withdraw(anna, "birthday", medium="email", evidence="by phone", at=NOON + DAY, by=colleague())
    assert stands(anna) == {("birthday", "email"): False}


def test_a_file_brings_unknown_which_allows_nothing_and_overwrites_nothing_N7():
    anna = carla()
    event = consent.unknown(anna, "news", "post", evidence="shop.csv, line 3", at=NOON)
    assert event is not None
    assert (event.state, event.actor, event.proof_id) == ("unknown", "import", None)
    assert consent.unknown(anna, "news", "post", evidence="shop.csv, line 4", at=NOON) is None
    assert stands(anna) == {}
    message = card(anna, purpose="news")
    outgoing.send_batch(at=NOON)
    assert now(message) == (OutgoingState.HELD, "no_consent")
    with pytest.raises(consent.EvidenceMissing):
        consent.unknown(anna, "survey", "email", evidence=" ", at=NOON)


def test_a_yes_needs_words_a_place_and_something_that_can_be_allowed_N7():
    anna = carla()
    for broken in ({"words": " "}, {"version": ""}, {"point": None}):
        with pytest.raises(consent.EvidenceMissing):
            consent.grant(anna, "birthday", "email", shown=replace(shown_to(anna), **broken), at=NOON)
    with pytest.raises(consent.CannotBeAllowed):
        consent.grant(anna, "birthday", "call", shown=shown_to(anna), at=NOON)
    by_staff = replace(shown_to(anna), door=ProofDoor.APP, account=colleague())
    with pytest.raises(IntegrityError), transaction.atomic():
        consent.grant(anna, "birthday", "email", shown=by_staff, at=NOON)
    assert not Consent.objects.exists()


def test_a_permission_is_for_its_medium_alone_R056():
    anna = carla()
    allows(anna, "birthday", "post")
    message = card(anna)
    outgoing.send_batch(at=NOON)
    assert now(message) == (OutgoingState.HELD, "no_consent")


def test_a_permission_of_a_record_that_goes_is_no_permission_of_the_kept_one_and_an_end_by_a_merge_is_taken_back_N12():
    home, work = carla("c@home.example"), carla("c@work.example")
    granted = allows(home)
    allows(work, "news")
    consent.withdraw(work, "birthday", evidence="by phone", at=NOON)
    assert persons.preview(work, home).ending == ["Birthday card, by e-mail"]
    made = persons.merge(work.pk, kept_id=home.pk, because="same", by=colleague(), at=NOON)
    assert stands(home) == {("birthday", "email"): False}
    persons.undo(made.pk, by=colleague(), at=NOON + DAY)
    assert stands(home) == {("birthday", "email"): True}
    again = consent.counting(home.pk)["birthday", "email"]
    assert again.pk != granted.pk
    assert again.proof == granted.proof


# --- asking ------------------------------------------------------------------------------------------------------------


def asked(customer: Customer, at: Any = NOON) -> ConsentQuestion:
    return questions.ask(customer, "birthday", "email", evidence="On the repair form.", at=at, by=colleague())


def token_of(question: ConsentQuestion) -> str:
    return questions.link(question).rstrip("/").rpartition("/")[2]


def answered(question: ConsentQuestion, *, yes: bool = True, at: Any = NOON) -> None:
    shown = consent.Shown(
        words="Yes, a card.", version="1", language="en", door=ProofDoor.LINK, network="203.0.113.0/24"
    )
    questions.answer(token_of(question), yes=yes, shown=shown, at=at)


def test_a_birthday_that_a_colleague_notes_allows_nothing_and_mails_the_question_N7():
    anna = carla()
    told = customers.tell_birthday(anna, month=3, day=2, evidence="She said yes on the phone.", at=NOON, by=colleague())
    assert (stands(anna), told.not_asked) == ({}, "")
    outgoing.send_batch(at=NOON)
    letter = mail.outbox[0]
    assert letter.to == ["carla@home.example"]
    assert "Yes, please send me a card by e-mail on my birthday." in letter.body
    assert questions.link(ConsentQuestion.objects.get()) in letter.body
    assert letter.extra_headers["Auto-Submitted"] == "auto-generated"

    answered(ConsentQuestion.objects.get())

    event = consent.counting(anna.pk)["birthday", "email"]
    assert (event.actor, event.proof.door, event.proof.network) == ("customer", "link", "203.0.113.0/24")
    assert HistoryEntry.objects.filter(verb="consent.granted", by=None, origin="customer").count() == 1


def test_one_question_a_day_and_address_and_none_while_one_stands_W05():
    anna = carla()
    question = asked(anna)
    for later in (NOON, NOON + DAY, NOON + 13 * DAY):
        with pytest.raises(questions.NotAskable, match="already"):
            questions.ask(anna, "news", "email", evidence="x", at=later, by=colleague())
    assert asked(anna, at=NOON + 14 * DAY).pk != question.pk  # the first had its time
    assert OutgoingMessage.objects.count() == 2
    ben = carla("ben@home.example")
    answered(asked(ben), yes=False)
    with pytest.raises(questions.NotAskable, match="already"):  # another thing, on the same day
        questions.ask(ben, "news", "email", evidence="x", at=NOON, by=colleague())


def test_a_thousand_wishes_to_ask_one_address_are_one_mail_W05(transactional_db: None):
    anna, ada = carla(), colleague()
    ask = partial(questions.ask, anna, "birthday", "email", evidence="x", at=NOON, by=ada)
    results = at_once(*[ask] * 8)
    assert sum(isinstance(result, ConsentQuestion) for result in results) == 1
    assert OutgoingMessage.objects.count() == ConsentQuestion.objects.count() == 1


def test_whoever_said_no_allowed_it_has_no_address_or_wants_nothing_is_not_asked_N7_W05():
    anna = carla()
    allows(anna)
    with pytest.raises(questions.NotAskable, match="allowed"):
        asked(anna)
    consent.withdraw(anna, "birthday", evidence="On their page.", at=NOON)
    with pytest.raises(questions.NotAskable, match="no themselves"):
        asked(anna)
    with pytest.raises(questions.NotAskable, match="no e-mail"):
        asked(customers.welcome("Nobody", at=NOON))
    ben = carla("ben@home.example")
    suppression.suppress("email", "Ben@Home.example", scope=SuppressionScope.ALL_BUT_OWED, reason="complaint", at=NOON)
    with pytest.raises(questions.NotAskable, match="wants nothing"):
        asked(ben)
    dead = carla("dead@home.example")
    Customer.objects.filter(pk=dead.pk).update(status="deceased")
    with pytest.raises(questions.NotAskable, match="not written to"):
        asked(dead)
    for empty in ("", "  "):
        with pytest.raises(consent.EvidenceMissing):
            questions.ask(carla(f"e{len(empty)}@home.example"), "news", "email", evidence=empty, at=NOON)
    with pytest.raises(consent.CannotBeAllowed):
        questions.ask(anna, "news", "call", evidence="x", at=NOON)
    assert not OutgoingMessage.objects.exists()


def test_a_question_is_answered_once_in_time_and_by_whom_it_was_sent_to_W04_W06():
    anna = carla()
    question = asked(anna)
    with pytest.raises(questions.UnknownLink):
        answered(question, at=question.until)
    answered(question, yes=False)
    with pytest.raises(questions.UnknownLink):
        answered(question)
    assert stands(anna) == {("birthday", "email"): False}
    ben = carla("ben@home.example")
    moved = asked(ben)
    ContactPoint.objects.filter(customer=ben).update(unlinked_at=NOON)
    with pytest.raises(questions.UnknownLink):
        answered(moved)
    assert stands(ben) == {}


# --- what stops an address ---------------------------------------------------------------------------------------------


def test_an_address_that_complained_stays_stopped_for_whoever_has_it_next_P10():
    """The customer is forgotten, the same address is brought in again and somebody ticks a box: still nothing but answers."""
    anna = carla()
    allows(anna)
    sent = card(anna)
    OutgoingMessage.objects.filter(pk=sent.pk).update(state="accepted", accepted_at=NOON, attempt=1)
    sent.refresh_from_db()
    deliveries._stop_gestures(
        anna.pk,
        kind="email",
        address=sent.address,
        reason=SuppressionReason.COMPLAINT,
        told_at=NOON,
        evidence="x",
        at=NOON,
    )
    row = Suppression.objects.get()
    assert not [value for value in vars(row).values() if isinstance(value, str) and "carla" in value]
    assert not [field for field in Suppression._meta.get_fields() if field.is_relation]
    ContactPoint.objects.filter(customer=anna).update(unlinked_at=NOON, address="erased")
    Customer.objects.filter(pk=anna.pk).update(status="erased", display_name="")

    again = carla("carla@home.example", "Carla from a file")
    phone = ContactPoint.objects.create(
        customer=again, kind="phone", address="+4930123456", created_at=NOON, verified_at=NOON
    )
    consent.grant(
        again, "birthday", "email", shown=replace(shown_to(again), point=phone), at=NOON + DAY
    )  # not from there
    message = card(again, "again")
    outgoing.send_batch(at=NOON + DAY)
    assert now(message) == (OutgoingState.HELD, "suppressed")
    assert not mail.outbox

    consent.withdraw(again, "birthday", evidence="x", at=NOON + DAY)
    allows(again, at=NOON + 2 * DAY)  # from that very address
    outgoing.release(message.pk, by=colleague(), at=NOON + 2 * DAY)
    outgoing.send_batch(at=NOON + 2 * DAY)
    assert now(message)[0] == OutgoingState.ACCEPTED
    row.refresh_from_db()
    assert row.lifted_by == ConsentProof.objects.latest("pk").public_id


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(
    ("scope", "stopped"),
    [("all_but_owed", True), ("cheerful", True), ("marketing", False), ("survey", False), ("calls", False)],
)
def test_a_suppression_holds_at_hand_over_alone_and_in_a_batch_and_only_what_it_names_P10(
    number: int, scope: str, stopped: bool
):
    people = [carla(f"carla{one}@home.example") for one in range(number)]
    cards = []
    for one, customer in enumerate(people):
        allows(customer)
        cards.append(card(customer, f"card{one}"))  # planned before
    suppression.suppress(
        "email", "carla0@home.example", scope=SuppressionScope(scope), reason=SuppressionReason.LEGAL, at=NOON
    )
    outgoing.send_batch(at=NOON)
    assert now(cards[0]) == ((OutgoingState.HELD, "suppressed") if stopped else (OutgoingState.ACCEPTED, ""))
    assert [now(one)[0] for one in cards[1:]] == [OutgoingState.ACCEPTED] * (number - 1)


def test_both_ways_of_asking_before_a_card_leaves_say_the_same_P10(django_assert_num_queries: Any):
    people = [carla(f"p{one}@home.example") for one in range(6)]
    for customer in people[1:]:
        allows(customer)
    consent.withdraw(people[2], "birthday", evidence="x", at=NOON)
    for one, scope in ((3, "cheerful"), (4, "marketing")):
        suppression.suppress("email", f"p{one}@home.example", scope=SuppressionScope(scope), reason="legal", at=NOON)
    cards = [card(customer, f"card{one}") for one, customer in enumerate(people)]
    alone = []
    for one in cards:
        with django_assert_num_queries(1):
            alone.append(reason_to_stop(kindness.facts(one, at=NOON)))
    assert alone == ["no_consent", "", "no_consent", "suppressed", "", ""]
    keys = {one.pk: suppression.keys_reached("email", one.address) for one in cards}
    with django_assert_num_queries(1):
        rows = kindness._known.rows(
            messages=list(keys), keys=[k for several in keys.values() for k in several], at=NOON
        )
    together = {
        number: kindness._stopped(one, rest, keys[one.pk]) for one, (number, *rest) in zip(cards, rows, strict=True)
    }
    assert list(together.values()) == [bool(reason) for reason in alone]


def test_a_pause_ends_by_itself_and_a_yes_does_not_end_it():
    anna = carla()
    suppression.suppress(
        "email",
        "carla@home.example",
        scope=SuppressionScope.CHEERFUL,
        reason=SuppressionReason.PAUSE,
        at=NOON,
        until=NOON + DAY,
    )
    allows(anna)
    first = card(anna)
    outgoing.send_batch(at=NOON)
    assert now(first) == (OutgoingState.HELD, "suppressed")
    second = card(anna, "second")
    outgoing.send_batch(at=NOON + DAY)
    assert now(second)[0] == OutgoingState.ACCEPTED


def test_who_is_on_a_list_stays_stopped_when_somebody_says_yes_for_them():
    anna = carla()
    suppression.suppress(
        "email",
        "carla@home.example",
        scope=SuppressionScope.ALL_BUT_OWED,
        reason=SuppressionReason.DECEASED_LIST,
        at=NOON,
    )
    allows(anna)
    message = card(anna)
    outgoing.send_batch(at=NOON)
    assert now(message) == (OutgoingState.HELD, "suppressed")


def test_an_old_key_still_recognises_and_a_lost_one_does_not_P10(settings: Any):
    settings.EVENHAND_SUPPRESSION_KEY = ("a" * 40,)
    suppression.suppress("email", "carla@home.example", scope=SuppressionScope.CHEERFUL, reason="unsubscribe", at=NOON)
    settings.EVENHAND_SUPPRESSION_KEY = ("b" * 40, "a" * 40)
    assert len(suppression.standing([("email", "carla@home.example")], at=NOON)) == 1
    assert kindness.facts(card(carla()), at=NOON).has_objection
    settings.EVENHAND_SUPPRESSION_KEY = ("b" * 40,)
    assert not suppression.standing([("email", "carla@home.example")], at=NOON)


def test_the_same_address_is_recognised_however_it_is_written():
    for kind, one, other in [
        ("email", "Carla@Home.example ", "carla@home.example"),
        ("phone", "030 123456", "+4930123456"),
    ]:
        suppression.suppress(kind, one, scope=SuppressionScope.CALLS, reason="legal", at=NOON)
        suppression.suppress(kind, other, scope=SuppressionScope.CALLS, reason="legal", at=NOON)
        assert len(suppression.standing([(kind, identity.normalised(kind, one))], at=NOON)) == 1
    assert Suppression.objects.count() == 2


# --- against whoever hands over in the same instant --------------------------------------------------------------------


@pytest.mark.parametrize("way", ["withdraw", "suppress"])
@pytest.mark.parametrize("number", [1, 4])
def test_what_was_said_before_a_card_is_handed_over_stops_it_P01(transactional_db: None, way: str, number: int):
    """Whichever comes first: once the no is committed, nothing begins to leave any more."""
    said_at: list[int] = []
    for round_ in range(4):
        mail.outbox.clear()
        people = [carla(f"r{round_}-{one}@home.example") for one in range(number)]
        for one, customer in enumerate(people):
            allows(customer)
            card(customer, f"r{round_}-{one}")

        def says_no(people: list[Customer] = people) -> None:
            for customer in people:
                if way == "withdraw":
                    consent.withdraw(customer, "birthday", evidence="x", at=NOON)
                else:
                    address = customer.contact_points.get().address
                    suppression.suppress(
                        "email", address, scope=SuppressionScope.CHEERFUL, reason="unsubscribe", at=NOON
                    )
            said_at.append(len(mail.outbox))

        assert not [r for r in at_once(says_no, partial(outgoing.send_batch, at=NOON)) if isinstance(r, Exception)]
        outgoing.send_batch(at=NOON)
        states = [card.state for card in OutgoingMessage.objects.filter(key__startswith=f"r{round_}-")]
        assert set(states) <= {OutgoingState.ACCEPTED, OutgoingState.HELD}
        assert len(mail.outbox) == states.count(OutgoingState.ACCEPTED)
    says_no_first = carla("first@home.example")
    allows(says_no_first)
    last = card(says_no_first, "last")
    consent.withdraw(says_no_first, "birthday", evidence="x", at=NOON)
    mail.outbox.clear()
    outgoing.send_batch(at=NOON)
    assert (now(last), len(mail.outbox)) == ((OutgoingState.HELD, "no_consent"), 0)


def test_a_stop_link_and_a_mail_that_unsubscribes_stop_the_address_too_X10():
    from loyalty import actions as loyalty_actions
    from tests.crm.actions.test_stop_words import allowed

    anna = carla()
    allows(anna)
    customers.tell_birthday(anna, month=3, day=2, evidence="on a form", at=NOON)
    loyalty_actions.plan_birthdays(NOON)
    while loyalty_actions.work_batch("gestures", at=NOON + timedelta(hours=6)):
        pass
    header = OutgoingMessage.objects.get(kind="gesture").headers["List-Unsubscribe"]
    token = re.search(r"/stop/([^/]+)/", header)
    assert token
    loyalty_actions.stop(token[1], at=NOON)
    loyalty_actions.stop(token[1], at=NOON)
    assert allowed(anna) == {"birthday": "withdrawn"}
    assert [(s.scope, s.reason) for s in Suppression.objects.all()] == [("cheerful", "unsubscribe")]
    deliveries.unsubscribed("carla@home.example", evidence="mail:1", told_at=NOON, at=NOON)
    assert {s.scope for s in Suppression.objects.all()} == {"cheerful", "all_but_owed"}
