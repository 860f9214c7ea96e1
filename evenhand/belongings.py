"""The one table of what hangs on a customer, and what becomes of it when two records turn out to be one person, or one record two.

crm reads this table through settings and never imports it. A relation to a customer that is not in it stops the tests
(tests/architecture/test_belongings.py).
"""

from __future__ import annotations

from dataclasses import dataclass

MOVES = "moves"
"""The row belongs to the kept customer from then on, and goes back when that is taken back."""
WHERE_FREE = "moves where free"
"""It moves unless the kept customer has one of its kind already."""
STAYS = "stays"
"""The row says what happened then. It stays where it is and is read together with the kept customer's, or speaks of the record."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """What becomes of one relation. because: why, for people.

    kind: the field of which a customer has one of each value (WHERE_FREE); only: just these values of it, () for every one.
    conversation: the field by which the row goes along with a matter when a record is parted in two; "" where it stays with the
    record unless it is chosen itself.
    """

    rule: str
    because: str
    kind: str = ""
    conversation: str = ""
    only: tuple[str, ...] = ()


BELONGINGS: dict[str, Belonging] = {
    "crm.Conversation.customer": Belonging(MOVES, "one story, one owner, one queue", conversation="pk"),
    "crm.ContactPoint.customer": Belonging(MOVES, "whoever writes from there is this person"),
    "crm.OutgoingMessage.customer": Belonging(MOVES, "goes with its matter", conversation="conversation"),
    "crm.Hold.customer": Belonging(MOVES, "what must not reach one must not reach the person"),
    "crm.AdverseAct.customer": Belonging(MOVES, "an act concerns the person"),
    "crm.LifeEvent.customer": Belonging(
        WHERE_FREE,
        "what happened to one happened to the person, who has one birthday; the kept customer's counts",
        kind="kind",
        only=("birthday",),
    ),
    "crm.Bereavement.customer": Belonging(MOVES, "whoever mourns in one record mourns"),
    "crm.HouseholdMember.customer": Belonging(MOVES, "the person lives there"),
    "crm.Representative.principal": Belonging(MOVES, "whoever acts for one acts for the person"),
    "crm.Representative.person": Belonging(MOVES, "the person acts for others"),
    "crm.Placement.came_with": Belonging(STAYS, "says where a matter came in"),
    "crm.User.customer": Belonging(MOVES, "both accounts see the person's matters"),
    "crm.ImportedCustomer.customer": Belonging(MOVES, "the next file finds the person by its own id"),
    "crm.Customer.merged_into": Belonging(MOVES, "never a chain"),
    "crm.Customer.parted_from": Belonging(STAYS, "what was given once keeps counting for both (G19)"),
    "crm.ConsentQuestion.customer": Belonging(MOVES, "whoever answers it is the person; it goes with its address"),
    "crm.ConsentProof.customer": Belonging(STAYS, "append-only; says who said yes then"),
    "crm.Consent.customer": Belonging(STAYS, "append-only; the strictest is written anew for the kept customer (N12)"),
    "crm.HistoryEntry.customer": Belonging(STAYS, "append-only; read together with the kept customer's"),
    "crm.PersonSuggestion.one": Belonging(STAYS, "speaks of the record"),
    "crm.PersonSuggestion.other": Belonging(STAYS, "speaks of the record"),
    "crm.Merge.gone": Belonging(STAYS, "speaks of the record"),
    "crm.Merge.kept": Belonging(STAYS, "speaks of the record"),
    "crm.RelationshipStage.customer": Belonging(STAYS, "append-only; the kept customer's is derived anew"),
    "crm.RelationshipRole.customer": Belonging(WHERE_FREE, "one of each role a person", kind="role"),
    "crm.ServiceChange.customer": Belonging(MOVES, "goes with its matter", conversation="conversation"),
    "crm.Parting.source": Belonging(STAYS, "speaks of the record"),
    "crm.Parting.made": Belonging(STAYS, "speaks of the record"),
    "crm.Erasure.customer": Belonging(STAYS, "erasing one record erases all that are the person"),
    "crm.DataPackage.customer": Belonging(STAYS, "says what was asked for and made then"),
    "recovery.Case.customer": Belonging(
        MOVES, "goes with its matter; what it owes is its own", conversation="conversation"
    ),
    "recovery.ProbeSide.customer": Belonging(MOVES, "goes with its matter", conversation="conversation"),
    "loyalty.Gesture.customer": Belonging(MOVES, "what a person was given counts for the person"),
}

AFTER_MERGING = ("loyalty.actions.merged",)
"""Called in the transaction that made two customers one, with the kept customer's key and `at`."""

BEFORE_PARTING = ("recovery.actions.persons.stay_together",)
"""Called with the matters that are to go to a record of their own; each may refuse."""

WHEN_BEREAVED = ("loyalty.actions.bereaved",)
"""Called in the transaction that stops what is cheerful, with the customers whom a death concerns (keys, or a query of them) and
`at`; what is planned for them is dropped. Whatever gives or draws something adds a line. Repeated every minute."""

NOT_GREETED = ("recovery.actions.probes.customers",)
"""Each gives the keys of customers who get no gesture and are asked nothing, as a query: agreed testers (R051)."""
