"""Random stories of records that are made one, taken apart and parted, and an oracle that shares no code with the product (G19).

The oracle reads tables by SQL of its own: which columns refer to a customer it asks the database's catalogue, not the product's
table of belongings. What must stand in the tables it keeps count of itself, from what each step of a story is allowed to add.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from crm.actions import consent, customers, intake, partings, persons
from crm.actions.belongings import StayTogether
from crm.models import ContactPoint, Conversation, Customer, LifeEvent, Merge, User
from loyalty import actions as loyalty_actions
from recovery import actions
from recovery.models import Case
from recovery.policy import ComplaintType, Facts, GrantKind
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import app_user, message

REFUSED = (persons.NotMergeable, persons.TooLateToPart, persons.OpensToAccount, partings.NotPartable, StayTogether)
TOLD_ONCE = frozenset(
    {
        "crm_consent", "crm_consentproof", "crm_historyentry",
         "crm_personsuggestion", "crm_merge", "crm_parting", "crm_lifeevent", "crm_customer",
    }
)  # fmt: skip
"""Tables whose rows stay where they were written, or are one of a kind for a person; each has a rule of its own below."""
ACTS = ["merge"] * 4 + ["undo"] * 3 + ["part"] * 2 + ["claim", "case", "gesture", "consent"]
STEPS = 8


class Broken(AssertionError):
    """A story after which something is lost, doubled or earned."""


# --- what the oracle sees -----------------------------------------------------------------------------------------------


def columns() -> list[tuple[str, str]]:
    """Every column of the database that refers to a customer, as the catalogue has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint c"
            " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
            " WHERE c.contype = 'f' AND c.confrelid = 'crm_customer'::regclass ORDER BY 1, 2"
        )
        return cursor.fetchall()


@dataclass(slots=True)
class Seen:
    """The tables at one moment. held: (table.column, key) -> customer. people: key -> (into, status, name and what it says)."""

    held: dict[tuple[str, int], int]
    people: dict[int, tuple[Any, ...]]
    allowed: frozenset[tuple[int, str]]
    cards: dict[int, tuple[int, str]]
    decided: tuple[Any, ...]
    given: tuple[Any, ...]

    def living(self) -> set[int]:
        return {key for key, (into, *_rest) in self.people.items() if into is None}

    def person(self, customer: int) -> int:
        return self.people[customer][0] or customer

    def same(self) -> tuple[Any, ...]:
        """What must be as before once all that was made one is taken apart again."""
        return self.held, self.people, self.allowed, self.cards, self.decided, self.given


class Oracle:
    """Reads everything in three statements."""

    def __init__(self) -> None:
        found = [(table, column) for table, column in columns() if table not in TOLD_ONCE]
        assert len(found) >= 8, found
        parts = [f"SELECT '{t}.{c}', {p}, {c} FROM {t} WHERE {c} IS NOT NULL" for t, c in found for p in [_key(t)]]
        self._held = " UNION ALL ".join(parts)

    def look(self) -> Seen:
        with connection.cursor() as cursor:
            cursor.execute(self._held)
            held = {(name, key): customer for name, key, customer in cursor.fetchall()}
            cursor.execute("SELECT id, merged_into_id, status, display_name, language, zone, region FROM crm_customer")
            people = {row[0]: tuple(row[1:]) for row in cursor.fetchall()}
            cursor.execute(
                "SELECT 'allowed', customer_id, purpose, '' FROM (SELECT DISTINCT ON (customer_id, purpose) customer_id, purpose,"
                " state FROM crm_consent ORDER BY customer_id, purpose, at DESC, id DESC) n WHERE state = 'granted'"
                " UNION ALL SELECT 'card', id, key, customer_id || ' ' || state FROM loyalty_gesture"
                " UNION ALL SELECT 'decided', id, case_id::text, entitlement::text FROM recovery_decision"
                " UNION ALL SELECT 'given', id, case_id::text, coalesce(amount::text, '') || kind FROM recovery_grant ORDER BY 1, 2"
            )
            rest = cursor.fetchall()
        living = {key for key, row in people.items() if row[0] is None}
        return Seen(
            held=held,
            people=people,
            allowed=frozenset((key, what) for kind, key, what, _ in rest if kind == "allowed" and key in living),
            cards={key: (int(more.split()[0]), more.split()[1]) for kind, key, _, more in rest if kind == "card"},
            decided=tuple(row for row in rest if row[0] == "decided"),
            given=tuple(row for row in rest if row[0] == "given"),
        )


def _key(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = %s::regclass AND i.indisprimary",
            [table],
        )
        return str(cursor.fetchone()[0])


def check(before: Seen, after: Seen, *, act: str, births: int) -> None:
    """Compare two moments around one step. births: how many people have told us a birthday for a card. Raises Broken."""
    lost = set(before.held) - set(after.held)
    if lost:
        raise Broken(f"{act}: lost {sorted(lost)[:5]}")
    fresh = set(after.held) - set(before.held)
    if fresh and act in ("merge", "undo", "part", "refused", "consent"):
        raise Broken(f"{act}: made {sorted(fresh)[:5]} out of nothing")
    stray = {name: customer for name, customer in after.held.items() if customer not in after.living()}
    if stray:
        raise Broken(f"{act}: belongs to nobody who lives {list(stray.items())[:5]}")
    for key, (into, status, *_rest) in after.people.items():
        if (into is not None) != (status == "merged"):
            raise Broken(f"{act}: customer {key} is {status} and leads to {into}")
        if into is not None and after.people[into][0] is not None:
            raise Broken(f"{act}: a chain from {key}")
    if set(before.people) - set(after.people):
        raise Broken(f"{act}: a customer is gone")
    if len(after.people) - len(before.people) != {"part": 1, "claim": len(after.people) - len(before.people)}.get(
        act, 0
    ):
        raise Broken(f"{act}: customers appeared")
    if act not in ("case",) and (after.decided, after.given) != (before.decided, before.given):
        raise Broken(f"{act}: what is owed or was given changed")
    cards = [card for card in after.cards.values() if card[1] != "dropped"]
    if len(cards) > births:
        raise Broken(f"{act}: {len(cards)} cards for {births} birthdays")
    if act != "gesture" and len(cards) > len([card for card in before.cards.values() if card[1] != "dropped"]):
        raise Broken(f"{act}: a card was earned")
    if act in ("merge", "part", "refused", "claim", "case", "gesture") and after.allowed - before.allowed:
        raise Broken(f"{act}: allowed {sorted(after.allowed - before.allowed)} by nobody")


# --- a story ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What was played."""

    stories: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    undone: int = 0


def start(by: User) -> int:
    """Five people with matters, cases, grants, birthdays today, permissions and an app account. How many birthdays."""
    cases = []
    for number in range(4):
        said = intake.receive(message(sender_address=f"person{number}@home.example"), at=NOON, origin="test")
        case = actions.open_case(said.conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
        actions.decide(
            case.pk, facts=Facts(complaint_type=ComplaintType.DAMAGED_ITEM, loss=Decimal(80)), by=by, at=NOON
        )
        customers.tell_birthday(said.conversation.customer, month=3, day=2, evidence="yes", at=NOON)
        allows(said.conversation.customer)
        cases.append(case)
    _give(cases[0], by=by, at=NOON)
    consent.withdraw(cases[1].customer, "birthday", evidence="phone", at=NOON)
    allows(cases[2].customer, "news")
    again = intake.receive(message(sender_address="person0@home.example"), at=NOON, origin="test").conversation
    ContactPoint.objects.create(customer=again.customer, kind="phone", address="+49301234567", created_at=NOON)
    customers.tell_birthday(app_user().customer, month=3, day=2, evidence="yes", at=NOON)
    _BORN.clear()
    _BORN.update(Customer.objects.values_list("pk", flat=True))
    return len(_BORN)


def _give(case: Case, *, by: User, at: datetime) -> None:
    actions.grant(case.pk, kind=GrantKind.REFUND, amount=Decimal(80), currency="EUR", key="refund", by=by, at=at)


def play(number: int, oracle: Oracle, first: Seen, *, births: int, by: User, tally: Tally) -> None:
    """Play one story and take it back. Raises Broken with its number; the same number is the same story."""
    chance, at, before = random.Random(number), NOON, first
    told: set[int] = set()  # whose birthday was told of anew; a record that was parted counts as the one it is from
    mark = transaction.savepoint()
    try:
        for _ in range(STEPS):
            at += timedelta(minutes=5)
            act = chance.choice(ACTS)
            try:
                with transaction.atomic():
                    made = _act(act, chance, told, by=by, at=at)
            except REFUSED:
                act, made = "refused", None
            after = oracle.look()
            check(before, after, act=act, births=births + len(told))
            tally.acts[act] += 1
            if act == "merge" and made is not None and chance.random() < 0.5:
                _undo_at_once(made, before, oracle, by=by, at=at)
                tally.undone += 1
            before = after
    except Broken as found:
        raise Broken(f"story {number}: {found}") from found
    finally:
        transaction.savepoint_rollback(mark)
    tally.stories += 1


def _undo_at_once(made: Merge, before: Seen, oracle: Oracle, *, by: User, at: datetime) -> None:
    """Where nothing happened since, taking it back gives the very state of before; cards that were one too many stay dropped."""
    inner = transaction.savepoint()
    persons.undo(made.pk, by=by, at=at)
    now = oracle.look()
    for name, was, is_now in zip(
        ("rows", "people", "permissions", "cards", "owed", "given"), _but_dropped(before, now), now.same(), strict=True
    ):
        if was != is_now:
            raise Broken(f"undo: {name} are not as they were: {_differing(was, is_now)}"[:600])
    transaction.savepoint_rollback(inner)


def _differing(was: Any, is_now: Any) -> str:
    if isinstance(was, dict):
        return str([(key, was.get(key), is_now.get(key)) for key in {*was, *is_now} if was.get(key) != is_now.get(key)])
    return f"{was!r} {is_now!r}"


def _but_dropped(before: Seen, now: Seen) -> tuple[Any, ...]:
    cards = {
        key: (customer, now.cards[key][1] if now.cards.get(key, (0, ""))[1] == "dropped" else state)
        for key, (customer, state) in before.cards.items()
    }
    return before.held, before.people, before.allowed, cards, before.decided, before.given


def _act(act: str, chance: random.Random, told: set[int], *, by: User, at: datetime) -> Merge | None:
    every = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    if act == "merge":
        gone, kept = chance.sample(every, 2)
        taken = [name for name in persons.CHOSEN if chance.random() < 0.3]
        return persons.merge(
            gone, kept_id=kept, because="x", by=by, at=at, take=taken, opens_to_account=chance.random() < 0.7
        )
    if act == "undo":
        standing = list(Merge.objects.filter(undone_at=None).order_by("pk").values_list("pk", flat=True))
        if not standing:
            raise persons.TooLateToPart
        persons.undo(chance.choice(standing), by=by, at=at)
    elif act == "part":
        source = chance.choice(every)
        points = ContactPoint.objects.filter(customer=source).order_by("pk").values_list("pk", flat=True)
        matters = Conversation.objects.filter(customer=source).order_by("pk").values_list("pk", flat=True)
        partings.part(
            source, points=[one for one in points if chance.random() < 0.5],
            conversations=[one for one in matters if chance.random() < 0.5], name="Somebody", because="x", by=by, at=at,
        )  # fmt: skip
    elif act == "claim":
        address = chance.choice([f"person{chance.randrange(4)}@home.example", f"new{chance.randrange(9)}@home.example"])
        intake.receive(message(sender_address=address, spoke_at=at), at=at, origin="test")
    elif act == "case":
        case = chance.choice(list(Case.objects.order_by("pk")))
        newest = case.decisions.order_by("-pk")[0]
        if actions.left_to_give(case, newest).money >= 80:
            _give(case, by=by, at=at)
    elif act == "gesture":
        loyalty_actions.plan_birthdays(at)
        _tell_again(chance, told, at=at)
    else:
        whom = Customer.objects.get(pk=chance.choice(every))
        if whom.merged_into_id is None:
            if chance.random() < 0.5 and whom.contact_points.filter(unlinked_at=None).exists():
                allows(whom, "news", at=at)
            else:
                consent.withdraw(whom, "news", evidence="said so", at=at)
    return None


def _tell_again(chance: random.Random, told: set[int], *, at: datetime) -> None:
    """A parted record says it has its birthday today, too, and cards are planned once more.

    Somebody new who was never told of may have a card; whoever the record is parted from, and had one, has no second.
    """
    parted = list(Customer.objects.filter(parted_from__isnull=False, status="active").order_by("pk"))
    if parted and chance.random() < 0.5:
        whom = chance.choice(parted)
        root = whom.parted_from_id or whom.pk
        if not LifeEvent.objects.filter(customer=whom).exists():
            LifeEvent.objects.create(customer=whom, kind="birthday", month=3, day=2, told_at=at)
            if root not in _BORN:
                told.add(root)
        loyalty_actions.plan_birthdays(at)


_BORN: set[int] = set()
"""The people of the beginning, who have all told us a birthday."""
