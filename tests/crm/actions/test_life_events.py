"""What customers tell of their lives: noted as told, given to a person, taken back with a reason (R166–R168)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from crm.actions import customers, endings, life_events, outgoing, persons
from crm.models import Alert, Customer, HistoryEntry, LifeEvent, OutgoingMessage
from crm.policy import AlertKind, Role
from crm.policy.lives import LifeEventKind, LifeSource, Precision, Purpose, When
from loyalty import actions as loyalty_actions
from tests.conftest import NOON
from tests.crm.actions.test_persons import two
from tests.crm.stories import app_user, colleague
from tests.loyalty.test_actions import told_birthday

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def somebody() -> Customer:
    return customers.welcome("Carla Customer", at=NOON)


def told(customer: Customer, kind: LifeEventKind = LifeEventKind.WEDDING, **more: object) -> LifeEvent:
    given: dict[str, object] = {
        "source": LifeSource.CUSTOMER,
        "words": "We marry in May!",
        "when": When(Precision.DAY, 2026, 5, 9),
        "purpose": Purpose.CARD,
        "by": more.pop("by", None) or colleague(),
        "at": NOON,
    }
    return life_events.tell(customer.pk, kind=kind, **(given | more))  # type: ignore[arg-type]


def test_something_happy_suggests_a_kind_word_to_a_person_and_sends_nothing_R167():
    customer = somebody()
    event = told(customer)
    assert (event.valence, event.moment, str(event.moment_on)) == ("happy", "open", "2026-05-09")
    outgoing.send_batch(at=NOON)
    assert not OutgoingMessage.objects.exists()
    life_events.settle(event.pk, is_done=True, because="wrote a card", by=colleague(), at=NOON + HOUR)
    event.refresh_from_db()
    assert (event.moment, event.decided_because) == ("done", "wrote a card")
    with pytest.raises(life_events.NothingOpen):
        life_events.settle(event.pk, is_done=False, because="again", by=colleague(), at=NOON + HOUR)


def test_what_is_sad_needs_a_name_and_is_never_a_reason_for_a_card_R168():
    customer, ada = somebody(), colleague()
    with pytest.raises(life_events.NeedsAName):
        told(customer, LifeEventKind.ILLNESS)
    event = told(customer, LifeEventKind.ILLNESS, handled_by=ada)
    assert (event.purpose, event.seen_by, event.urgency, event.moment) == ("consideration", "leads", 1, "open")
    assert Alert.objects.get(kind=AlertKind.LIFE_MOMENT).to == ada


@pytest.mark.parametrize("role", Role)
def test_who_may_see_an_illness_C01_P13(role: Role):
    """Leads, whoever noted it and whoever looks after it; its kind stands in no history and no alert."""
    customer, ada, by = somebody(), colleague(name="Looks After"), colleague(name="Noted It")
    event = told(customer, LifeEventKind.ILLNESS, handled_by=ada, by=by)
    seen = LifeEvent.objects.visible_to(colleague(role)).filter(pk=event.pk).exists()
    assert seen == (role == Role.LEAD)
    assert all(LifeEvent.objects.visible_to(one).filter(pk=event.pk).exists() for one in (ada, by))
    assert not LifeEvent.objects.visible_to(app_user()).exists()
    entries = HistoryEntry.objects.filter(customer=customer).values_list("verb", "ref", "detail")
    alerts = Alert.objects.values_list("key", "detail")
    assert not [one for one in [*entries, *alerts] if "illness" in str(one)]


def test_what_a_colleague_cannot_see_they_cannot_take_back_or_give_C01():
    event = told(somebody(), LifeEventKind.ILLNESS, handled_by=colleague())
    stranger = colleague()
    with pytest.raises(LifeEvent.DoesNotExist):
        life_events.take_back(event.pk, because="x", by=stranger, at=NOON)
    with pytest.raises(LifeEvent.DoesNotExist):
        life_events.hand_to(event.pk, to=stranger, by=stranger, at=NOON)


def test_it_is_given_by_whoever_has_it_or_a_lead_and_the_other_is_told():
    ada, bob, cem = colleague(), colleague(name="Bob"), colleague(name="Cem")
    event = told(somebody(), LifeEventKind.MOVE, handled_by=ada, by=ada)
    with pytest.raises(life_events.NotGiven):
        life_events.hand_to(event.pk, to=cem, by=bob, at=NOON)
    with pytest.raises(life_events.NotGiven):
        life_events.settle(event.pk, is_done=True, because="x", by=bob, at=NOON)
    life_events.hand_to(event.pk, to=bob, by=ada, at=NOON)
    life_events.hand_to(event.pk, to=cem, by=colleague(Role.LEAD), at=NOON + HOUR)
    event.refresh_from_db()
    assert event.handled_by == cem
    assert set(Alert.objects.filter(kind=AlertKind.LIFE_MOMENT).values_list("to", flat=True)) == {bob.pk, cem.pk}


def test_it_is_taken_back_with_a_reason_and_asks_nothing_more():
    event = told(somebody())
    with pytest.raises(endings.ReasonMissing):
        life_events.take_back(event.pk, because=" ", by=colleague(), at=NOON)
    life_events.take_back(event.pk, because="it was her sister", by=colleague(), at=NOON)
    assert not LifeEvent.objects.waiting().exists()
    assert LifeEvent.objects.get().taken_back_because == "it was her sister"
    with pytest.raises(life_events.NothingOpen):
        life_events.settle(event.pk, is_done=True, because="x", by=colleague(), at=NOON)


def test_a_birthday_that_was_taken_back_brings_no_card_and_can_be_told_again_R166():
    customer = told_birthday()
    life_events.take_back(LifeEvent.objects.get().pk, because="wrong day", by=colleague(), at=NOON)
    assert loyalty_actions.plan_birthdays(NOON) == 0
    customers.tell_birthday(customer, month=3, day=2, evidence="asked again", at=NOON)
    assert loyalty_actions.plan_birthdays(NOON) == 1
    assert LifeEvent.objects.count() == 2


@pytest.mark.parametrize("kind", [LifeEventKind.BIRTHDAY, LifeEventKind.BEREAVEMENT])
def test_a_birthday_and_a_death_have_their_own_ways(kind):
    with pytest.raises(life_events.ToldElsewhere):
        told(somebody(), kind)
    assert not LifeEvent.objects.exists()


def test_a_refused_event_changes_nothing():
    customer = somebody()
    before = HistoryEntry.objects.count()
    ada = colleague()
    entries = HistoryEntry.objects.count()
    for more, refusal in (
        ({"words": " "}, endings.ReasonMissing),
        ({"when": When(Precision.DAY, 2026, 2, 30)}, customers.NoSuchDay),
        ({"source": LifeSource.PUBLIC_POST}, endings.ReasonMissing),
    ):
        with pytest.raises(refusal):
            told(customer, by=ada, **more)
    assert not LifeEvent.objects.exists()
    assert HistoryEntry.objects.count() == entries >= before


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "inferred"},
        {"source": "public_post"},
        {"kind": "illness"},
        {"valence": "sad"},
        {"precision": "day"},
        {"kind": "birthday"},
        {"moment": "open", "moment_on": None},
        {"taken_back_at": NOON},
        {"month": 13},
    ],
)
def test_the_database_knows_no_inferred_source_and_nothing_sad_without_a_name_R167_R168(changes):
    event = told(somebody(), when=When(Precision.UNKNOWN))
    with pytest.raises(IntegrityError), transaction.atomic():
        LifeEvent.objects.filter(pk=event.pk).update(**changes)


def test_when_two_records_become_one_all_events_come_along_but_one_birthday_counts_N12():
    home, work = two()
    for customer in (home, work):
        customers.tell_birthday(customer, month=3, day=2, evidence="yes", at=NOON)
        told(customer)
        told(customer, LifeEventKind.MOVE)
    ada = colleague()
    made = persons.merge(work.pk, kept_id=home.pk, because="told us", by=ada, at=NOON)
    kinds = LifeEvent.objects.filter(customer=home).values_list("kind", flat=True)
    assert sorted(kinds) == ["birthday", "move", "move", "wedding", "wedding"]
    persons.undo(made.pk, by=ada, at=NOON + HOUR)
    assert LifeEvent.objects.filter(customer=work).count() == 3
