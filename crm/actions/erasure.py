"""Forgetting a person: asked for, agreed to, carried out by a lane, journalled; what stands in the way restricts it (P07–P09).

Two steps: somebody notes who asks and why; somebody who may erase has it carried out. Statistics and money rows stay, with the
row's own key as the only name and no way back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, Q
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import clearing, fingerprints, holds, journal, lease
from crm.actions.belongings import records_of, standing
from crm.models import (
    ContactPoint,
    Conversation,
    Customer,
    Erasure,
    Hold,
    OutgoingMessage,
    ReplyToken,
    User,
)
from crm.models.outgoing import UNSETTLED
from crm.models.people import CustomerStatus
from crm.policy import ConversationState, OutgoingState
from crm.policy.privacy import AskedBy, ErasureState, Obstacle, obstacle_words

TRIED_AGAIN_AFTER = timedelta(minutes=5)
TRIES = 5
LEGAL = "legal"
"""The reason of a hold that keeps data from being erased."""
_RAW, _NAMED, _SEARCHED, _SESSIONS, _CACHE = "raw", "named raw", "searched", "sessions", "cache"


class WordsMissing(ValueError):
    """Nobody said who asks, or why."""

    code = "erasure_words_missing"


class NotErasable(Exception):
    """The step is not the next one: it was asked for, done or taken back already."""

    code = "not_erasable"


class Restricted(Exception):
    """Something stands in the way; the request waits and is looked at again by itself."""

    code = "erasure_restricted"


class LeaseLost(Exception):
    """Another worker has taken this erasure up."""

    code = "erasure_lease_lost"


@dataclass(frozen=True, slots=True)
class Preview:
    """What erasing a person would do now. goes, changes, stays: rows by label of a table, but of those whose rows nobody is told of
    beforehand; ways: what stands in the way.
    """

    goes: list[tuple[str, int]]
    changes: list[tuple[str, int]]
    stays: list[tuple[str, int, list[str]]]
    ways: list[str]
    records: int


def preview(customer: Customer, *, at: datetime) -> Preview:
    """Say what would go, what would be emptied and what would stay, and why; reads only."""
    records = records_of(standing(customer))
    named = clearing.identifiers(records)
    numbers = clearing.numbers(records, named)
    goes, changes, stays = [], [], []
    for label, table in settings.EVENHAND_PERSONAL.items():
        number = numbers[label]
        if not number or table.untold:
            continue
        if table.removed:
            goes.append((label, number))
        elif table.empties or table.words or table.own or table.files or table.shrinks:
            changes.append((label, number))
        if table.keeps and not table.removed:
            stays.append((label, number, sorted(set(table.keeps.values()))))
    return Preview(goes, changes, stays, obstacle_words(in_the_way(records, at=at)), len(records))


def in_the_way(records: Collection[int], *, at: datetime) -> list[str]:
    """The codes of what forbids erasing these records now, by crm's own rules and by those of whoever knows more."""
    theirs = {"customer__in": list(records)}
    asked = (
        Customer.objects.filter(pk__in=list(records)[:1])
        .values_list(
            Exists(Hold.objects.active(at).filter(**theirs, reason=LEGAL)),
            Exists(Conversation.objects.filter(**theirs, state=ConversationState.OPEN)),
            Exists(OutgoingMessage.objects.filter(**theirs, state__in=UNSETTLED)),
        )
        .get()
    )
    codes = (Obstacle.LEGAL_HOLD, Obstacle.OPEN_MATTER, Obstacle.LEAVING)
    found = [str(code) for code, stands in zip(codes, asked, strict=True) if stands]
    for name in settings.EVENHAND_BEFORE_ERASING:
        found += import_string(name)(list(records), at=at)
    return [str(code) for code in found]


@transaction.atomic
def ask(customer_id: int, *, asked_by: AskedBy, words: str, reason: str, by: User, at: datetime) -> Erasure:
    """Note that a person is to be forgotten. words: how we know that it is they who ask.

    Asking again while it is on its way gives the same request. Raises Customer.DoesNotExist, WordsMissing, NotErasable.
    """
    if not words.strip() or not reason.strip():
        raise WordsMissing(_("Please write down how you know who asks, and why."))
    customer = standing(Customer.objects.get(pk=customer_id))
    customer = Customer.objects.select_for_update(of=("self",), no_key=True).get(pk=customer.pk)
    if customer.status == CustomerStatus.ERASED:
        raise NotErasable(_("This customer is erased already."))
    asked = (
        Erasure.objects.filter(customer=customer).exclude(state__in=[ErasureState.DONE, ErasureState.DROPPED]).first()
    )
    if asked is not None:
        return asked
    ways = in_the_way(records_of(customer), at=at)
    asked = Erasure.objects.create(
        customer=customer,
        asked_by=asked_by,
        asked_by_words=words.strip()[:300],
        reason=reason.strip(),
        noted_by=by,
        asked_at=at,
        state=ErasureState.RESTRICTED if ways else ErasureState.ASKED,
        stands_in_the_way=ways,
    )
    _record(asked, "erasure.asked", by=by, at=at)
    return asked


def carry_out(erasure_id: int, *, by: User, at: datetime) -> Erasure:
    """Have a request carried out. It begins at once, in a lane; there is no way back.

    Raises Erasure.DoesNotExist, NotErasable, Restricted: then it is noted as agreed to, and begins by itself once nothing stands in
    the way any more.
    """
    with transaction.atomic():
        asked = Erasure.objects.select_for_update(of=("self",)).get(pk=erasure_id)
        if asked.state not in (ErasureState.ASKED, ErasureState.RESTRICTED):
            raise NotErasable(_("This request was decided on before."))
        ways = in_the_way(records_of(asked.customer), at=at)
        asked.stands_in_the_way, asked.confirmed_by, asked.confirmed_at = ways, by, at
        asked.state = ErasureState.RESTRICTED if ways else ErasureState.READY
        asked.due_at = at
        asked.save(update_fields=["stands_in_the_way", "confirmed_by", "confirmed_at", "state", "due_at"])
        _record(asked, "erasure.restricted" if ways else "erasure.agreed", by=by, at=at, detail={"ways": len(ways)})
        if not ways:
            dispatch.after_commit("erasure.agreed")
    if ways:
        later = _("It is carried out by itself as soon as nothing stands in its way.")
        raise Restricted(" ".join([*obstacle_words(ways), later]))
    return asked


@transaction.atomic
def drop(erasure_id: int, *, by: User, at: datetime) -> Erasure:
    """Take a request back that has not begun. Raises Erasure.DoesNotExist, NotErasable."""
    asked = Erasure.objects.select_for_update(of=("self",)).get(pk=erasure_id)
    if asked.state not in (ErasureState.ASKED, ErasureState.RESTRICTED):
        raise NotErasable(_("This request was decided on before."))
    asked.state = ErasureState.DROPPED
    asked.save(update_fields=["state"])
    _record(asked, "erasure.dropped", by=by, at=at)
    return asked


@transaction.atomic
def hold(customer: Customer, *, standing_now: bool, by: User, at: datetime) -> None:
    """Place or lift a legal hold: while it stands, nothing of this person is erased or removed by a rule."""
    key = f"legal:{customer.public_id}"
    if standing_now:
        holds.place(customer, key=key, reason=LEGAL, at=at, by=by)
    else:
        holds.lift(key, at=at, by=by)


def look_again(at: datetime) -> int:
    """See whether something still stands in the way of requests that wait. Returns how many may go on."""
    count = 0
    for waiting in Erasure.objects.filter(state=ErasureState.RESTRICTED).order_by("pk").select_related("customer"):
        with transaction.atomic():
            asked = Erasure.objects.select_for_update(of=("self",)).get(pk=waiting.pk)
            ways = in_the_way(records_of(waiting.customer), at=at)
            if asked.state != ErasureState.RESTRICTED or ways == asked.stands_in_the_way:
                continue
            asked.stands_in_the_way = ways
            if not ways:
                asked.state = ErasureState.ASKED if asked.confirmed_at is None else ErasureState.READY
                asked.due_at = at
                count += 1
                dispatch.after_commit("erasure.agreed")
            asked.save(update_fields=["stands_in_the_way", "state", "due_at"])
    return count


# --- carrying it out ------------------------------------------------------------------------------------------------------


def work_batch(*, at: datetime) -> int:
    """Carry out one agreed erasure, or go on with one whose worker was lost. Returns how many were taken up."""
    due = Erasure.objects.filter(
        lease.claimable(ready=ErasureState.READY, claimed=ErasureState.CLAIMED), due_at__lte=at
    )
    taken = lease.claim(due.order_by("due_at", "pk"), size=1, claimed_state=ErasureState.CLAIMED)
    for one in taken:
        lease.guarded(partial(_work, one, at=at), failed=partial(_failed, one, at=at))
    return len(taken)


def _failed(erasure: Erasure, trouble: Exception, *, at: datetime) -> None:
    if isinstance(trouble, LeaseLost):
        return
    failures = erasure.failures + (0 if lease.is_trouble_of_the_database(trouble) else 1)
    restricted = isinstance(trouble, Restricted)
    state = ErasureState.RESTRICTED if restricted else ErasureState.PARKED if failures >= TRIES else ErasureState.READY
    Erasure.objects.filter(pk=erasure.pk, attempt=erasure.attempt).update(
        state=state,
        failures=failures,
        due_at=at + TRIED_AGAIN_AFTER,
        lease_until=None,
        # The kind of trouble alone: its words may name the person.
        trouble="" if restricted else type(trouble).__name__,
        stands_in_the_way=in_the_way(records_of(erasure.customer), at=at) if restricted else erasure.stands_in_the_way,
    )


def _work(erasure: Erasure, *, at: datetime, force: bool = False) -> None:
    if not erasure.step:
        _begin(erasure, at=at, force=force)
    records = erasure.records
    named = clearing.identifiers(records)
    steps = [_RAW, _NAMED, _SEARCHED, _SESSIONS, _CACHE, *settings.EVENHAND_PERSONAL]
    done = steps.index(erasure.step) + 1 if erasure.step in steps else 0
    for step in steps[done:]:
        count = _step(erasure, step, records, named)
        with transaction.atomic():
            _still_ours(erasure, step=step, counts=erasure.counts | ({step: count} if count else {}))
    with transaction.atomic():
        _still_ours(erasure, state=ErasureState.DONE, done_at=at, lease_until=None, trouble="")
        _record(erasure, "customer.erased", by=erasure.confirmed_by, at=at, detail={"rule": erasure.rule_version})


@transaction.atomic
def _begin(erasure: Erasure, *, at: datetime, force: bool) -> None:
    """Shut every way in, note what has to outlive it, and write the journal, all at once or not at all."""
    customer = Customer.objects.select_for_update(of=("self",), no_key=True).get(pk=erasure.customer_id)
    customer = standing(customer)
    records = records_of(customer)
    ways = [] if force else in_the_way(records, at=at)
    if ways:
        raise Restricted(", ".join(ways))
    for name in settings.EVENHAND_ON_ERASING:
        import_string(name)(records, at=at)
    addresses = fingerprints.of_customers(records)
    public_ids = list(Customer.objects.filter(pk__in=records).order_by("pk").values_list("public_id", flat=True))
    ContactPoint.objects.filter(customer__in=records, unlinked_at=None).update(unlinked_at=at)
    ReplyToken.objects.filter(conversation__customer__in=records).delete()
    User.objects.filter(customer__in=records).update(is_active=False)
    waiting = [OutgoingState.READY, OutgoingState.HELD, OutgoingState.PARKED, *UNSETTLED]
    OutgoingMessage.objects.filter(customer__in=records, state__in=waiting).update(
        state=OutgoingState.CANCELLED, lease_until=None
    )
    if force:  # what was open when the backup was made
        Conversation.objects.filter(customer__in=records, state=ConversationState.OPEN).update(
            state=ConversationState.CLOSED, due_at=None
        )
    Customer.objects.filter(pk=customer.pk).update(status=CustomerStatus.ERASED)
    Customer.objects.filter(pk__in=records).exclude(pk=customer.pk).exclude(merged_into=customer.pk).update(
        status=CustomerStatus.ERASED
    )
    _still_ours(erasure, step="begun", records=records, rule_version=settings.EVENHAND_PERSONAL_VERSION)
    if not erasure.is_replayed:
        journal.append(customers=public_ids, addresses=addresses, version=settings.EVENHAND_PERSONAL_VERSION, at=at)


def _step(erasure: Erasure, step: str, records: Sequence[int], named: Collection[str]) -> int:
    if step == _RAW:
        return _in_portions(
            erasure, clearing.raw_of(records), partial(clearing.clear_raw, records=records, named=named)
        )
    if step == _NAMED:
        return _raw_that_names(erasure, records, named)
    if step in (_SEARCHED, _SESSIONS, _CACHE):
        with transaction.atomic():
            if step == _SEARCHED:
                return clearing.search(named)
            return clearing.end_sessions(records, named) if step == _SESSIONS else clearing.empty_cache(named)
    return _in_portions(erasure, clearing.keys_of(step, records, named), partial(clearing.clear, step))


def _in_portions(erasure: Erasure, keys: Sequence[Any], clear: Any) -> int:
    count = 0
    for portion in clearing.portions(keys):
        with transaction.atomic():
            _still_ours(erasure)
            _named_to_the_guards(erasure)
            count += clear(portion)
    return count


def _raw_that_names(erasure: Erasure, records: Sequence[int], named: Collection[str]) -> int:
    count, after = 0, erasure.raw_cursor
    while True:
        found, onward = clearing.raw_that_names(named, after=after)
        with transaction.atomic():
            count += clearing.clear_raw(found, records, named) if found else 0
            _still_ours(erasure, raw_cursor=after if onward is None else onward)
        if onward is None:
            return count
        after = onward


def _still_ours(erasure: Erasure, **changes: Any) -> None:
    """Go on holding the row, and note how far the work is. Raises LeaseLost when another worker has it."""
    mine = Erasure.objects.filter(pk=erasure.pk, attempt=erasure.attempt, state=ErasureState.CLAIMED)
    told: dict[str, Any] = {"lease_until": Now() + settings.EVENHAND_LEASE, **changes}
    if not mine.update(**told):
        raise LeaseLost
    for name, value in changes.items():
        setattr(erasure, name, value)


def _named_to_the_guards(erasure: Erasure) -> None:
    """Tell the guards of append-only tables, for this transaction alone, which erasure is being carried out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('evenhand.erasing', %s, true)", [str(erasure.pk)])


def _record(
    erasure: Erasure, verb: str, *, by: User | None, at: datetime, detail: dict[str, Any] | None = None
) -> None:
    ref = f"erasure:{erasure.public_id}"
    history.record(erasure.customer, verb, ref=ref, by=by, at=at, detail=detail or {})


# --- after a restore --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """lines: of the journal that the database did not know; persons: who were erased again; elsewhere: other customers who hold an
    address of somebody erased, for a colleague to look at."""

    lines: int
    persons: int
    elsewhere: list[str]


def replay(*, at: datetime) -> Replayed:
    """Erase again whomever the journal names and the database does not know as erased. Safe to repeat.

    Raises journal.JournalBroken.
    """
    unknown = journal.unknown()
    persons = 0
    for line in unknown:
        for customer in Customer.objects.filter(public_id__in=line.customers).order_by("pk"):
            persons += _erase_again(standing(customer), at=at)
        with transaction.atomic():
            journal.keep(line)
    return Replayed(len(unknown), persons, _elsewhere({digest for line in unknown for digest in line.addresses}))


def _erase_again(customer: Customer, *, at: datetime) -> int:
    if customer.status == CustomerStatus.ERASED:
        return 0
    with transaction.atomic():
        Erasure.objects.filter(customer=customer).exclude(state__in=[ErasureState.DONE, ErasureState.DROPPED]).update(
            state=ErasureState.DROPPED, lease_until=None
        )
        again = Erasure.objects.create(
            customer=customer,
            asked_by=AskedBy.US,
            asked_by_words="journal",
            reason="journal",
            is_replayed=True,
            asked_at=at,
            confirmed_at=at,
            state=ErasureState.READY,
            due_at=at,
        )
    mine = lease.claim(Erasure.objects.filter(pk=again.pk), size=1, claimed_state=ErasureState.CLAIMED)
    _work(mine[0], at=at, force=True)
    return 1


def _elsewhere(digests: Collection[str]) -> list[str]:
    if not digests:
        return []
    found = set()
    points = ContactPoint.objects.filter(kind__in=fingerprints.ADDRESSES, unlinked_at=None).exclude(
        Q(customer__status=CustomerStatus.ERASED) | Q(address__startswith="erased:")
    )
    for kind, address, public_id in points.values_list("kind", "address", "customer__public_id").iterator(
        chunk_size=2000
    ):
        if fingerprints.of_address(kind, address) in digests:
            found.add(str(public_id))
    return sorted(found)


def again(erasure_id: int, *, by: User, at: datetime) -> None:
    """Take up an erasure again that got stuck. Raises NotErasable."""
    with transaction.atomic():
        taken = Erasure.objects.filter(pk=erasure_id, state=ErasureState.PARKED).update(
            state=ErasureState.READY, failures=0, due_at=at
        )
        if not taken:
            raise NotErasable(_("This request was decided on before."))
        _record(Erasure.objects.select_related("customer").get(pk=erasure_id), "erasure.again", by=by, at=at)
        dispatch.after_commit("erasure.agreed")
