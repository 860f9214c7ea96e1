"""Where relationships stand: derived by stated rules every night and soon after something happened, or said by a person (R087).

Only pages of colleagues read it. Nothing that decides, promises, orders the queue or gives may import this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from crm import history
from crm.models import Customer, RelationshipRole, RelationshipStage, User
from crm.models.people import CustomerStatus
from crm.policy.stages import (
    CAME_BACK_WITHIN,
    MISSED_WITHIN,
    RULES,
    Derived,
    Known,
    RelationshipKind,
    Stage,
    Standing,
    derive,
)

AT_ONCE = 500
EVIDENCE_AT_MOST = 5
LOOKS_BACK = timedelta(minutes=15)
NEWEST_LOOKED_AT = 20_000
"""History entries that `follow` looks through; what lies further back waits for the night."""
NEWS = (
    "conversation.opened",
    "promise.missed",
    "case.opened",
    "case.confirmed",
    "case.reopened",
    "case.dismissed",
    "case.went_quiet",
    "customer.merged",
    "customer.parted",
)
_SHOWN_BY = {rule.code: rule.evidence for rule in RULES}
_REF = re.compile(r"(conversation|case)[/:]([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)


class WordsNeeded(ValueError):
    """A reason or an evidence in words."""

    code = "words_needed"


class StageStands(Exception):
    """The relationship stands there already, has changed in this moment, or its record is closed."""

    code = "stage_stands"


class RoleStands(Exception):
    """The customer has this role already, or has it no more."""

    code = "role_stands"


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of one customer, where they stand now, and what shows it, by kind of evidence."""

    customer_id: int
    known: Known
    previous_id: int | None
    standing: Standing | None
    shown: dict[str, list[str]]


_LOOK = """
SELECT person.id, person.status,
       talk.first_heard, talk.last_heard, talk.matters, talk.newest,
       held.open_cases, held.cases, told.came_back, told.missed, told.changed_at, told.missed_in, told.back_in,
       stage.id, stage.stage, stage.since, stage.by_id IS NOT NULL
FROM crm_customer person
CROSS JOIN LATERAL (
  SELECT array_agg(record.id) AS ids FROM crm_customer record WHERE record.id = person.id OR record.merged_into_id = person.id
) records
CROSS JOIN LATERAL (
  SELECT min(c.spoke_at) AS first_heard, max(c.last_inbound_at) AS last_heard, count(*) AS matters,
         (array_agg('conversation:' || c.public_id ORDER BY c.last_inbound_at DESC))[1:1] AS newest
  FROM crm_conversation c WHERE c.customer_id = person.id AND c.last_inbound_at IS NOT NULL
) talk
CROSS JOIN LATERAL (
  SELECT count(*) AS open_cases, (array_agg(h.key ORDER BY h.id DESC))[1:%(evidence)s] AS cases
  FROM crm_hold h WHERE h.customer_id = person.id AND h.until IS NULL AND h.reason = 'open_case'
) held
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE e.verb = 'case.reopened') AS came_back,
         count(*) FILTER (WHERE e.verb = 'promise.missed' AND e.at > %(missed_since)s) AS missed,
         max(e.at) AS changed_at,
         (array_agg(DISTINCT e.ref) FILTER (WHERE e.verb = 'promise.missed' AND e.at > %(missed_since)s))[1:%(evidence)s]
           AS missed_in,
         (array_agg(DISTINCT e.ref) FILTER (WHERE e.verb = 'case.reopened'))[1:%(evidence)s] AS back_in
  FROM crm_historyentry e
  WHERE e.customer_id = ANY(records.ids) AND e.at > %(back_since)s
    AND e.verb IN ('promise.missed', 'case.opened', 'case.reopened', 'case.confirmed', 'case.went_quiet', 'case.dismissed')
) told
LEFT JOIN LATERAL (
  SELECT s.id, s.stage, s.since, s.by_id FROM crm_relationshipstage s WHERE s.customer_id = person.id ORDER BY s.id DESC LIMIT 1
) stage ON true
WHERE person.id = ANY(%(ids)s) AND person.merged_into_id IS NULL AND person.status NOT IN ('erased', 'taken_back')
ORDER BY person.id
"""
"""One statement for a batch; every part is found by an index that begins with the customer."""


def look(customers: Sequence[int], *, at: datetime) -> list[Looked]:
    """Read what the rules ask for about these customers, in one statement. Records that are part of another are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LOOK,
            {
                "ids": list(customers),
                "missed_since": at - MISSED_WITHIN,
                "back_since": at - CAME_BACK_WITHIN,
                "evidence": EVIDENCE_AT_MOST,
            },
        )
        return [_looked(row) for row in cursor.fetchall()]


def _looked(row: tuple) -> Looked:  # type: ignore[type-arg]
    (
        customer_id, status, first_heard, last_heard, matters, newest, open_cases, cases, came_back, missed, changed_at, missed_in,
        back_in, previous_id, stage, since, by_person,
    ) = row  # fmt: skip
    return Looked(
        customer_id=customer_id,
        known=Known(
            is_ended=status in (CustomerStatus.CLOSED, CustomerStatus.DECEASED),
            first_heard_at=first_heard,
            last_heard_at=last_heard,
            matters=matters,
            open_cases=open_cases,
            came_back=came_back,
            missed=missed,
            changed_at=changed_at,
        ),
        previous_id=previous_id,
        standing=Standing(Stage(stage), since, by_person) if stage else None,
        shown={
            "matter": newest or [],
            "missed": missed_in or [],
            "cases": list(dict.fromkeys([*(cases or []), *(back_in or [])]))[:EVIDENCE_AT_MOST],
        },
    )


def derive_batch(customers: Sequence[int], *, at: datetime) -> int:
    """Write where these customers stand, where that has changed. Returns how many changed.

    Nothing is locked: of two who write at once one finds that another row follows already, and leaves it at that.
    """
    rows = []
    for looked in look(customers, at=at):
        with translation.override("en"):  # kept as it is; pages of colleagues show it
            derived = derive(looked.known, looked.standing, at=at)
        before = looked.standing.stage if looked.standing is not None else ""
        if derived is not None and derived.stage != before:
            rows.append(_row(looked, derived, before=before, at=at))
    written = RelationshipStage.objects.bulk_create(rows, ignore_conflicts=True) if rows else []
    return len(written)


def _row(looked: Looked, derived: Derived, *, before: str, at: datetime) -> RelationshipStage:
    return RelationshipStage(
        customer_id=looked.customer_id,
        previous_id=looked.previous_id,
        before=before,
        stage=derived.stage,
        since=at,
        rule=derived.rule,
        because=derived.because,
        evidence=looked.shown.get(_SHOWN_BY[derived.rule], []),
    )


def derive_all(at: datetime) -> int:
    """Derive every customer's stage, in batches by key. Returns how many changed."""
    changed, last = 0, 0
    while keys := list(
        Customer.objects.filter(pk__gt=last, merged_into=None).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]
    ):
        changed += derive_batch(keys, at=at)
        last = keys[-1]
    return changed


def follow(at: datetime) -> int:
    """Derive again for those about whom something happened within the last minutes. Returns how many changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT customer_id FROM"
            " (SELECT customer_id, verb, at FROM crm_historyentry ORDER BY id DESC LIMIT %(most)s) newest"
            " WHERE verb = ANY(%(verbs)s) AND at > %(since)s AND customer_id IS NOT NULL ORDER BY customer_id",
            {"most": NEWEST_LOOKED_AT, "verbs": list(NEWS), "since": at - LOOKS_BACK},
        )
        found = [number for (number,) in cursor.fetchall()]
    return sum(
        derive_batch(found[start : start + AT_ONCE], at=at) for start in range(0, len(found), AT_ONCE)
    )  # fmt: skip


@transaction.atomic
def note(
    customer_id: int, stage: Stage, *, because: str, evidence: str = "", by: User, at: datetime
) -> RelationshipStage:
    """Say where a relationship stands, with a reason; it counts until the facts change (policy.stages.stands_by_a_person).

    evidence: addresses of the matters or cases that show it, if any. Raises Customer.DoesNotExist, WordsNeeded, StageStands; then
    nothing has changed.
    """
    if not because.strip():
        raise WordsNeeded(_("Please write why you see it so."))
    customer = _standing_customer(customer_id)
    before = RelationshipStage.objects.filter(customer=customer).order_by("-pk").first()
    if before is not None and before.stage == stage:
        raise StageStands(_("It stands there already."))
    try:
        with transaction.atomic():
            written = RelationshipStage.objects.create(
                customer=customer,
                previous=before,
                before=before.stage if before is not None else "",
                stage=stage,
                since=at,
                by=by,
                because=because.strip()[:300],
                evidence=refs_in(evidence),
            )
    except IntegrityError:
        raise StageStands(_("It changed in this very moment. Please look at it again.")) from None
    history.record(
        customer, "customer.stage_noted", ref=f"stage:{written.pk}", by=by, at=at,
        detail={"before": written.before, "after": written.stage},
    )  # fmt: skip
    return written


def refs_in(text: str) -> list[str]:
    """The matters and cases that a text names by the address of their page."""
    found = [f"{kind.lower()}:{public_id.lower()}" for kind, public_id in _REF.findall(text)]
    return list(dict.fromkeys(found))[:EVIDENCE_AT_MOST]


@transaction.atomic
def add_role(customer_id: int, role: RelationshipKind, *, evidence: str, by: User, at: datetime) -> RelationshipRole:
    """Say what a customer is to us besides, with what shows it. Raises Customer.DoesNotExist, WordsNeeded, RoleStands."""
    if not evidence.strip():
        raise WordsNeeded(_("Please write what shows it. How many people follow somebody shows nothing."))
    customer = _standing_customer(customer_id)
    if RelationshipRole.objects.filter(customer=customer, role=role, ended_at=None).exists():
        raise RoleStands(_("That is noted already."))
    written = RelationshipRole.objects.create(
        customer=customer, role=role, evidence=evidence.strip()[:300], said_by=by, since=at
    )
    _record(customer, "customer.role_noted", written, by=by, at=at)
    return written


@transaction.atomic
def end_role(role_id: int, *, customer_id: int, by: User, at: datetime) -> RelationshipRole:
    """Say that a customer is that no more; the row stays. Raises RelationshipRole.DoesNotExist, RoleStands."""
    found = RelationshipRole.objects.select_for_update(of=("self",)).select_related("customer").get(
        pk=role_id, customer=customer_id
    )  # fmt: skip
    if found.ended_at is not None:
        raise RoleStands(_("They are that no more already."))
    found.ended_at, found.ended_by = max(at, found.since), by
    found.save(update_fields=["ended_at", "ended_by"])
    _record(found.customer, "customer.role_ended", found, by=by, at=at)
    return found


def _record(customer: Customer, verb: str, role: RelationshipRole, *, by: User, at: datetime) -> None:
    history.record(customer, verb, ref=f"role:{role.pk}", by=by, at=at, detail={"role": role.role})


def _standing_customer(customer_id: int) -> Customer:
    customer = Customer.objects.select_for_update(no_key=True).get(pk=customer_id)
    if customer.status != CustomerStatus.ACTIVE:
        raise StageStands(_("This record is closed."))
    return customer


def history_of(records: Iterable[int]) -> QuerySet[RelationshipStage]:
    """Every change of where a person stands, over all their records, newest first."""
    return RelationshipStage.objects.filter(customer__in=list(records)).select_related("by").order_by("-since", "-pk")
