"""One person behind two records: made one with a preview, taken back for 30 days (N12, R080).

What hangs on a customer moves by one table (evenhand/belongings.py) and by a list that is kept, so that taking it back loses
nothing. What is given to a person is counted for the person: nothing is earned by making one or parting (G19).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from crm import history
from crm.actions import consent, endings
from crm.actions.belongings import Relation, StayTogether, both, may_part, relations, with_matters
from crm.models import (
    Consent,
    Conversation,
    Customer,
    Interaction,
    Merge,
    PersonSuggestion,
    Representative,
    User,
)
from crm.models.consents import ConsentActor
from crm.models.people import ContactKind, CustomerStatus
from crm.models.persons import SuggestionState
from crm.policy import Direction
from crm.policy.consent import Medium, Purpose
from crm.policy.ledger import ConsentState, strictest
from crm.policy.matching import SAME

TAKEN_BACK_WITHIN = timedelta(days=30)
"""For how long making two records one can be taken back (N12)."""
GAVE_THE_OTHER_S = Decimal("0.9")
"""How likely one person is behind two records when one of them gave the other's address: said by us, not counted."""
CHOSEN = ("display_name", "language", "zone", "region")
"""The fields of which one record's is chosen."""
GATHERED_AT_ONCE = 200

LIVING = (CustomerStatus.ACTIVE, CustomerStatus.CLOSED, CustomerStatus.DECEASED)


class NotMergeable(Exception):
    """These two records cannot be made one, or not now."""

    code = "not_mergeable"


class OpensToAccount(Exception):
    """Somebody who uses the app would see the other record's matters; that has to be said to be right (C04)."""

    code = "opens_to_account"


class TooLateToPart(Exception):
    """Two records that were made one cannot be taken apart as they were any more."""

    code = "too_late_to_part"


# --- looking before it is done ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """A field of which the two records say something else, or only one says something. from_gone: what is proposed."""

    name: str
    kept: str
    gone: str
    from_gone: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What making two records one would do. moving: how many rows of each relation; ending: purposes that end for the person."""

    choices: list[Choice]
    moving: list[tuple[Relation, int]]
    ending: list[str]
    opens_to_account: bool
    refused: str


def preview(gone: Customer, kept: Customer) -> Preview:
    """Say what `merge` would do now. Writes nothing; a fixed number of statements."""
    refused = ""
    try:
        _check(gone, kept)
    except NotMergeable as refusal:
        refused = str(refusal)
    choices = [
        Choice(name, getattr(kept, name), getattr(gone, name), from_gone=not getattr(kept, name))
        for name in CHOSEN
        if getattr(gone, name) and getattr(gone, name) != getattr(kept, name)
    ]
    moving = [(each, _moving(each, gone.pk, kept.pk).count()) for each in relations() if each.told.rule != "stays"]
    return Preview(
        choices=choices,
        moving=[(each, number) for each, number in moving if number],
        ending=[
            f"{Purpose(purpose).label}, {Medium(medium).label}"
            for (purpose, medium), _grant in _ending(gone.pk, kept.pk)
        ],
        opens_to_account=_opens_to_account(gone.pk, kept.pk),
        refused=refused,
    )


def _moving(relation: Relation, gone: int, kept: int) -> QuerySet[Any]:
    """The rows that would move; where one has only one of a kind, those whose kind the kept customer has not."""
    rows, kind = relation.of(gone), relation.told.kind
    if kind:
        has = Q(**{f"{kind}__in": relation.of(kept).values(kind)})
        rows = rows.exclude(has & Q(**{f"{kind}__in": relation.told.only}) if relation.told.only else has)
    return rows


def _check(gone: Customer, kept: Customer) -> None:
    if gone.pk == kept.pk:
        raise NotMergeable(_("That is this very record."))
    for one in (gone, kept):
        if one.merged_into_id is not None:
            raise NotMergeable(_("%(name)s is one with another customer already.") % {"name": one})
        if one.status not in LIVING:
            raise NotMergeable(_("%(name)s: %(status)s.") % {"name": one, "status": one.get_status_display()})
    acts = Q(principal=gone, person=kept) | Q(principal=kept, person=gone)
    if Representative.objects.filter(acts, ended_at=None).exists():
        raise NotMergeable(_("One of them acts for the other. Please end that first; nobody acts for themselves."))


def _opens_to_account(gone: int, kept: int) -> bool:
    """Whether somebody who uses the app would see matters that they cannot see now."""
    has_account = set(User.objects.filter(customer__in=[gone, kept]).values_list("customer_id", flat=True))
    return any(
        Conversation.objects.filter(customer=other).exists()
        for one, other in ((gone, kept), (kept, gone))
        if one in has_account
    )


def _ending(gone: int, kept: int) -> list[tuple[consent.Line, int]]:
    """What the kept customer allowed and the other took back; a permission never passes to the kept one (N12)."""
    theirs, ours = consent.counting(gone), consent.counting(kept)
    return [
        (line, standing.pk)
        for line, standing in sorted(ours.items())
        if standing.allows
        and line in theirs
        and strictest(standing.state, theirs[line].state) == ConsentState.WITHDRAWN
    ]


# --- making one, and taking it back -------------------------------------------------------------------------------------


@transaction.atomic
def merge(
    gone_id: int,
    *,
    kept_id: int,
    because: str,
    by: User,
    at: datetime,
    take: Collection[str] = (),
    opens_to_account: bool = False,
) -> Merge:
    """Make two records one: whatever belonged to the one that goes belongs to the kept one; its address leads there.

    because: how it is known that they are one person. take: fields of CHOSEN that count as the going record has them; what the
    kept one does not know is taken anyway. opens_to_account: it was said to be right that an app account sees the other's matters.
    Of what either allowed the strictest counts; the kept customer's own permission stays unless the other took it back.
    Raises Customer.DoesNotExist, endings.ReasonMissing, NotMergeable, OpensToAccount; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say how you know that they are one person."))
    gone, kept = both(gone_id, kept_id)
    _check(gone, kept)
    if not opens_to_account and _opens_to_account(gone.pk, kept.pk):
        raise OpensToAccount(
            _("Whoever uses the app account would see the matters of both. Please confirm that this is right.")
        )
    ending = _ending(gone.pk, kept.pk)
    moved = {}
    for relation in relations():
        if relation.told.rule != "stays":
            moved[relation.name] = relation.hand_over(_moving(relation, gone.pk, kept.pk), to=kept.pk)
    made = Merge.objects.create(
        gone=gone,
        kept=kept,
        because=because.strip()[:300],
        by=by,
        at=at,
        moved={name: rows for name, rows in moved.items() if rows},
        fields=_take(gone, kept, take=take),
        status_before=gone.status,
        withdrawn=[[line[0], grant, _end(kept, line, by=by, at=at).pk] for line, grant in ending],
    )
    gone.merged_into, gone.status = kept, CustomerStatus.MERGED
    gone.save(update_fields=["merged_into", "status"])
    decide(gone.pk, kept.pk, SuggestionState.ONE, by=by, at=at)
    _suggest_the_kept_one(gone.pk, kept.pk, at=at)
    detail = {"gone": str(gone.public_id), "rows": sum(map(len, moved.values())), "ended": len(ending)}
    record([gone, kept], "customer.merged", ref=_ref(made), by=by, at=at, detail=detail)
    for name in settings.EVENHAND_AFTER_MERGING:
        import_string(name)(kept.pk, at=at)
    return made


def _take(gone: Customer, kept: Customer, *, take: Collection[str]) -> dict[str, list[Any]]:
    changed: dict[str, list[Any]] = {}
    for name in CHOSEN:
        ours, theirs = getattr(kept, name), getattr(gone, name)
        if theirs and theirs != ours and (not ours or name in take):
            changed[name] = [ours, theirs]
    custom = {**gone.custom, **kept.custom}
    if custom != kept.custom:
        changed["custom"] = [kept.custom, custom]
    stricter = max(kept.status, gone.status, key=lambda status: LIVING.index(CustomerStatus(status)))
    if stricter != kept.status:
        changed["status"] = [kept.status, stricter]
    for name, (_before, after) in changed.items():
        setattr(kept, name, after)
    kept.save(update_fields=list(changed)) if changed else None
    return changed


def _end(kept: Customer, line: consent.Line, *, by: User, at: datetime) -> Consent:
    return Consent.objects.create(
        customer=kept,
        purpose=line[0],
        medium=line[1],
        state=ConsentState.WITHDRAWN,
        actor=ConsentActor.MERGE,
        noted_by=by,
        evidence="The same person had taken it back in another record that is one with this now.",
        at=at,
    )


def _suggest_the_kept_one(gone: int, kept: int, *, at: datetime) -> None:
    """Whoever may have been one with the record that went may be one with the kept one."""
    pairs = PersonSuggestion.objects.filter(Q(one=gone) | Q(other=gone), state=SuggestionState.OPEN)
    fresh = []
    for each in pairs.order_by("-likelihood", "pk"):
        third = each.other_id if each.one_id == gone else each.one_id
        if third != kept:
            one, other = sorted((third, kept))
            fresh.append(
                PersonSuggestion(
                    one_id=one, other_id=other, likelihood=each.likelihood, evidence=each.evidence, made_at=at
                )
            )
    PersonSuggestion.objects.bulk_create(fresh, ignore_conflicts=True)


@transaction.atomic
def undo(merge_id: int, *, by: User, at: datetime) -> Merge:
    """Take apart again what was made one: every row that moved and is still there goes back, with the fields that were taken.

    A matter that came since goes with the address that it came from alone; what else came stays with the kept customer. They are
    noted as two people, so that nobody suggests it again.
    Raises Merge.DoesNotExist, TooLateToPart; then nothing has changed.
    """
    found = Merge.objects.get(pk=merge_id)
    gone, kept = both(found.gone_id, found.kept_id)
    made = Merge.objects.select_for_update().get(pk=merge_id)
    if made.undone_at is not None:
        raise TooLateToPart(_("This was taken back before."))
    if at - made.at > TAKEN_BACK_WITHIN:
        raise TooLateToPart(
            _("This was done more than 30 days ago. What belongs to somebody else can still be parted.")
        )
    if kept.status == CustomerStatus.ERASED:
        raise TooLateToPart(_("They are erased; there is nothing left to part."))
    if kept.merged_into_id is not None:
        raise TooLateToPart(_("They have been made one with somebody else since; please take that back first."))
    for relation in relations():
        keys = made.moved.get(relation.name, [])
        if keys:
            relation.hand_over(relation.of(kept.pk).filter(pk__in=keys), to=gone.pk)
    _matters_since(made)
    gone.merged_into, gone.status = None, made.status_before
    gone.save(update_fields=["merged_into", "status"])
    back = {name: before for name, (before, after) in made.fields.items() if getattr(kept, name) == after}
    for name, before in back.items():
        setattr(kept, name, before)
    kept.save(update_fields=list(back)) if back else None
    for _purpose, grant, end in made.withdrawn:
        before = Consent.objects.get(pk=grant)
        newest = consent.counting(kept.pk).get((before.purpose, before.medium))
        if newest is not None and newest.pk == end and before.allows:
            _stands_again(before, at=at)
    made.undone_at, made.undone_by = at, by
    made.save(update_fields=["undone_at", "undone_by"])
    decide(gone.pk, kept.pk, SuggestionState.APART, by=by, at=at)
    record([gone, kept], "customer.merge_undone", ref=_ref(made), by=by, at=at)
    return made


def _matters_since(made: Merge) -> None:
    """Give a matter that came since to the customer from whose address alone it came, with all that hangs on it.

    One that was the kept customer's before stays, although it came from the other's address: somebody parted it off.
    """
    theirs = Q(contact_point__in=made.moved.get("crm.ContactPoint.customer", []), contact_point__customer=made.gone)
    said = Interaction.objects.filter(conversation=OuterRef("pk"), direction=Direction.INBOUND)
    since = Conversation.objects.filter(
        Exists(said.filter(theirs)), ~Exists(said.exclude(theirs)), ~Exists(said.filter(ingested_at__lt=made.at))
    ).filter(customer=made.kept)
    matters = list(since.order_by("pk").values_list("pk", flat=True))
    try:
        may_part(matters)
    except StayTogether:
        return  # a colleague linked them with others of the kept customer; they can be parted one by one
    going = with_matters(made.kept_id, matters)
    for relation in relations():
        if going.get(relation.name):
            relation.hand_over(relation.of(made.kept_id).filter(pk__in=going[relation.name]), to=made.gone_id)


def _stands_again(grant: Consent, *, at: datetime) -> None:
    """What the customer had allowed, and nobody but our mistake ended, counts again by the customer's own words."""
    Consent.objects.create(
        customer_id=grant.customer_id,
        purpose=grant.purpose,
        medium=grant.medium,
        state=ConsentState.GRANTED,
        actor=ConsentActor.CUSTOMER,
        evidence=grant.evidence,
        proof=grant.proof,
        at=at,
    )


def _ref(made: Merge) -> str:
    return f"merge:{made.public_id}"


def record(
    customers: Iterable[Customer],
    verb: str,
    *,
    ref: str,
    by: User,
    at: datetime,
    detail: Mapping[str, Any] | None = None,
) -> None:
    for customer in customers:
        history.record(customer, verb, ref=ref, by=by, at=at, detail=dict(detail or {}))


def gather(*, at: datetime) -> int:
    """Bring to the kept customer what was written about a record while it went. Safe to repeat. Returns how many rows."""
    count = 0
    for relation in relations():
        if relation.told.rule != "moves" or relation.name == "crm.Customer.merged_into":
            continue
        strays = relation.model._default_manager.filter(**{f"{relation.field}__merged_into__isnull": False})
        places = strays.order_by(f"{relation.field}_id").values_list(f"{relation.field}_id", flat=True).distinct()
        for gone in list(places[:GATHERED_AT_ONCE]):
            count += _gather(relation, gone)
    return count


@transaction.atomic
def _gather(relation: Relation, gone: int) -> int:
    made = Merge.objects.select_for_update().filter(gone=gone, undone_at=None).first()
    if made is None:
        return 0
    to = Customer.objects.get(pk=gone).merged_into_id
    assert to is not None  # noqa: S101 – a merge that stands
    keys = relation.hand_over(relation.of(gone), to=to)
    if keys:
        made.moved[relation.name] = sorted({*made.moved.get(relation.name, []), *keys})
        made.save(update_fields=["moved"])
    return len(keys)


# --- what may be one ----------------------------------------------------------------------------------------------------


def told_both(one: int, other: int, *, kind: ContactKind, at: datetime) -> None:
    """Suggest that two customers are one person, because one gave an address that is the other's. Decided pairs stay decided."""
    first, second = sorted((one, other))
    field = "phone" if kind == ContactKind.PHONE else "email"
    PersonSuggestion.objects.bulk_create(
        [
            PersonSuggestion(
                one_id=first, other_id=second, likelihood=GAVE_THE_OTHER_S, evidence=[[field, SAME, 0.0]], made_at=at
            )
        ],
        ignore_conflicts=True,
    )


def decide(one: int, other: int, state: SuggestionState, *, by: User, at: datetime) -> None:
    first, second = sorted((one, other))
    decided = {"state": state, "decided_by": by, "decided_at": at}
    fresh = {**decided, "likelihood": int(state == SuggestionState.ONE), "made_at": at}
    PersonSuggestion.objects.update_or_create(one_id=first, other_id=second, defaults=decided, create_defaults=fresh)


@transaction.atomic
def are_two(suggestion_id: int, *, because: str, by: User, at: datetime) -> PersonSuggestion:
    """Note that two customers are two people, so that nobody suggests it again.

    Raises PersonSuggestion.DoesNotExist, NotMergeable when it was decided before; then nothing has changed.
    """
    found = (
        PersonSuggestion.objects.select_for_update(of=("self",)).select_related("one", "other").get(pk=suggestion_id)
    )
    if found.state != SuggestionState.OPEN:
        raise NotMergeable(_("Somebody has decided this already."))
    found.state, found.decided_by, found.decided_at = SuggestionState.APART, by, at
    found.because = because.strip()[:300]
    found.save(update_fields=["state", "decided_by", "decided_at", "because"])
    record([found.one, found.other], "customer.two_people", ref=f"suggestion:{found.public_id}", by=by, at=at)
    return found
