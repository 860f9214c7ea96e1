"""Two matters that are one: a public post about a visit, a call or a delivery goes on in the matter of that visit (R108).

What was said moves; what was promised goes on by the same clocks; nothing is lost, and it can be taken back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import phonenumbers
from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min, Q, QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import capture, endings, owners, promises, queue
from crm.actions.intake import SPOKEN
from crm.models import (
    AnswerDraft,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    IdentityCheck,
    Interaction,
    Joining,
    OutgoingMessage,
    Owed,
    Promise,
    PublicPost,
    User,
)
from crm.models.people import ContactKind
from crm.policy import (
    ConversationState,
    Direction,
    Match,
    MatchReason,
    MessageKind,
    OutgoingState,
    OwnerChangeReason,
    PromiseKind,
    PromiseState,
    PullEnd,
    in_order,
    references,
)
from crm.policy.identity_checks import CheckState
from crm.policy.joining import CLOCKS_APART, TOLD_WITHIN, mail_addresses

WORDS_READ = 20
"""How many of the newest things said in a post's matter are read for numbers and addresses."""
VISITS_READ = 200
_ON_ITS_WAY = (OutgoingState.READY, OutgoingState.CLAIMED, OutgoingState.HANDING)


class NotJoinable(Exception):
    """These two matters cannot be made one, or not now."""

    code = "not_joinable"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A visit that a post may tell of, and why that is thought. said: what the customer said there."""

    conversation: Conversation
    said: Interaction
    reasons: tuple[MatchReason, ...]


# --- which may be one -------------------------------------------------------------------------------------------------


def suggest(conversation: Conversation) -> list[Suggestion]:
    """The visits, calls and deliveries that what was posted here may tell of, the likeliest first; facts alone decide.

    Facts are: the same customer; an address or number of theirs in the post, or noted with it; an order or invoice that both name.
    A fixed number of statements.
    """
    posted_at = PublicPost.objects.filter(conversation=conversation).aggregate(first=Min("spoke_at"))["first"]
    if posted_at is None:
        return []
    said = Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
    text = "\n".join(said.order_by("-id").values_list("text", flat=True)[:WORDS_READ])
    named = references(text)
    theirs = _customers_named(conversation, text)
    visits = _visits(conversation, named=named, customers={conversation.customer_id, *theirs}, posted_at=posted_at)
    reasons: dict[int, set[MatchReason]] = defaultdict(set)
    first: dict[int, Interaction] = {}
    for visit in visits:
        number = visit.conversation_id
        first.setdefault(number, visit)
        if visit.conversation.customer_id == conversation.customer_id:
            reasons[number].add(MatchReason.CUSTOMER)
        if visit.conversation.customer_id in theirs:
            reasons[number].add(MatchReason.ADDRESS)
        if set(named) & set(references(visit.text)):
            reasons[number].add(MatchReason.REFERENCE)
    matches = [Match(number, visit.spoke_at, tuple(sorted(reasons[number]))) for number, visit in first.items()]
    return [
        Suggestion(first[one.number].conversation, first[one.number], one.reasons)
        for one in in_order(matches, posted_at=posted_at)
    ]


def _visits(
    conversation: Conversation, *, named: list[str], customers: Collection[int], posted_at: datetime
) -> QuerySet[Interaction]:
    """What these people, or people who named these numbers, said to us in person in the time a post can tell of; newest first."""
    fits = Q(conversation__customer__in=customers)
    for number in named:
        fits |= Q(text__icontains=number)
    begins, ends = posted_at - TOLD_WITHIN, posted_at + CLOCKS_APART
    return (
        Interaction.objects.filter(
            fits,
            direction=Direction.INBOUND,
            channel__in=sorted(SPOKEN),
            spoke_at__gte=begins,
            spoke_at__lte=ends,
            ingested_at__gte=begins,  # nothing reaches us before it was said; rows of those days are found by their block
            imported=False,
        )
        .exclude(conversation=conversation)
        .select_related("conversation__customer", "conversation__owner")
        .order_by("-spoke_at", "-id")[:VISITS_READ]
    )


def _customers_named(conversation: Conversation, text: str) -> set[int]:
    """The customers, other than whose post it is, whose mail address or phone number stands in it or was noted with it."""
    named = Q(kind=ContactKind.EMAIL, address__in=mail_addresses(text))
    numbers = [
        phonenumbers.format_number(found.number, phonenumbers.PhoneNumberFormat.E164)
        for found in phonenumbers.PhoneNumberMatcher(text[:10_000], settings.EVENHAND_REGION)
    ]
    named |= Q(kind=ContactKind.PHONE, address__in=numbers)
    known = set(ContactPoint.objects.filter(named, unlinked_at=None).values_list("customer_id", flat=True))
    noted = HistoryEntry.objects.filter(ref=ref_of(conversation), verb=capture.KNOWN_ELSEWHERE)
    told = [detail.get("customer") for detail in noted.values_list("detail", flat=True)[:WORDS_READ]]
    known |= set(Customer.objects.filter(public_id__in=told).values_list("pk", flat=True)) if told else set()
    return known - {conversation.customer_id}


# --- joining ----------------------------------------------------------------------------------------------------------


def ref_of(conversation: Conversation) -> str:
    """What history entries call this conversation."""
    return f"conversation:{conversation.public_id}"


@transaction.atomic
def join(
    moved_id: int,
    *,
    into_id: int,
    because: str,
    by: User,
    at: datetime,
    with_case: bool = False,
    beside: dict[str, Any] | None = None,
) -> Joining:
    """Let the matter of a public post go on in that of the visit it tells of; a person has confirmed that they are one.

    because: why, in words. What was said and answered moves, each post keeps its own row and clock in response coverage, and
    every promise that is not kept goes on in the visit's matter by its own due time, so that the earliest counts. The names under
    which the customer posted are theirs from now on. with_case: the caller looks after the case of the post. beside: what the
    caller has to remember until it is taken back.
    Raises Conversation.DoesNotExist, endings.ReasonMissing, NotJoinable; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say how you know that they belong together."))
    moved, into = _both(moved_id, into_id)
    _check(moved, into, with_case=with_case)
    posts = PublicPost.objects.filter(conversation=moved)
    said = Interaction.objects.filter(conversation=moved)
    used = ContactPoint.objects.filter(customer=moved.customer, pk__in=said.values("contact_point"))
    messages = OutgoingMessage.objects.filter(conversation=moved)
    drafts = AnswerDraft.objects.filter(conversation=moved).exclude(
        author__in=AnswerDraft.objects.filter(conversation=into).values("author")
    )
    # What is asked in both stays where it is: somebody is asked for one thing once.
    asked = IdentityCheck.objects.filter(conversation=into, state=CheckState.ASKED)
    checks = IdentityCheck.objects.filter(conversation=moved).exclude(
        state=CheckState.ASKED, kind__in=asked.values("kind")
    )
    moving: dict[str, Any] = {
        "interactions": said, "messages": messages, "posts": posts, "points": used, "drafts": drafts, "checks": checks,
    }  # fmt: skip
    joining = Joining.objects.create(
        moved=moved,
        into=into,
        because=because.strip()[:300],
        by=by,
        at=at,
        before={
            **{name: sorted(rows.values_list("pk", flat=True)) for name, rows in moving.items()},
            "state": moved.state,
            "into_state": into.state,
            "into_spoke_at": into.spoke_at.isoformat(),
            "beside": beside or {},
        },
    )
    _move(joining, into)
    _promises_go_on(joining, moved, into)
    queue.ended(moved, PullEnd.CLOSED, at=at)
    was_open, moved.state = moved.state == ConversationState.OPEN, ConversationState.CLOSED
    moved.due_at = None
    moved.save(update_fields=["state", "due_at"])
    if into.owner_id is None and moved.owner_id is not None:
        owners.give(into, moved.owner_id, why=OwnerChangeReason.TAKEN, by=by, at=at)
    if was_open and into.state == ConversationState.CLOSED:
        endings.comes_back(into, at=at)
    into.state = ConversationState.OPEN if was_open else ConversationState(into.state)
    into.spoke_at = min(into.spoke_at, moved.spoke_at)
    into.queue_class = min(into.queue_class, moved.queue_class)
    _count_again(into)
    promises.settle_due(into, at=at)
    into.save(update_fields=["state", "spoke_at", "queue_class"])
    _record(joining, "conversation.joined", by=by, at=at)
    return joining


def remember(joining: Joining, **beside: str) -> None:
    """Keep more of what a caller has to remember until a joining is taken back. In the transaction that joined."""
    joining.before["beside"] |= beside
    joining.save(update_fields=["before"])


def _both(moved_id: int, into_id: int) -> tuple[Conversation, Conversation]:
    """Lock two matters, in the order of their keys as everybody does who locks several. Raises Conversation.DoesNotExist."""
    rows = Conversation.objects.select_for_update(of=("self",)).select_related("customer").order_by("pk")
    found = {row.pk: row for row in rows.filter(pk__in=[moved_id, into_id])}
    if not {moved_id, into_id} <= set(found):
        raise Conversation.DoesNotExist
    return found[moved_id], found[into_id]


def _check(moved: Conversation, into: Conversation, *, with_case: bool) -> None:
    if moved.pk == into.pk:
        raise NotJoinable(_("That is this very matter."))
    if moved.imported or into.imported:
        raise NotJoinable(_("What was brought in as history is only counted."))
    if Joining.objects.filter(Q(moved=moved) | Q(moved=into) | Q(into=moved), undone_at=None).exists():
        raise NotJoinable(_("One of the two has been joined already."))
    if not PublicPost.objects.filter(conversation=moved).exists():
        raise NotJoinable(_("Only what was said in public is joined to the visit it tells of."))
    visits = Interaction.objects.filter(conversation=into, direction=Direction.INBOUND, channel__in=sorted(SPOKEN))
    if not visits.exists():
        raise NotJoinable(_("Nothing was said at the counter, on a visit or on the phone in that matter."))
    if OutgoingMessage.objects.filter(conversation=moved, state__in=_ON_ITS_WAY).exists():
        raise NotJoinable(_("An answer is on its way there. Please wait until it has left, or take it back."))
    if not with_case and Owed.objects.filter(conversation=moved).exists():
        raise NotJoinable(_("A case hangs on this matter."))


def _move(joining: Joining, to: Conversation) -> None:
    """Put what stands in a joining's list into a matter."""
    kept = joining.before
    Interaction.objects.filter(pk__in=kept["interactions"]).update(conversation=to)
    OutgoingMessage.objects.filter(pk__in=kept["messages"]).update(conversation=to)
    PublicPost.objects.filter(pk__in=kept["posts"]).update(conversation=to)
    ContactPoint.objects.filter(pk__in=kept["points"]).update(customer=to.customer_id)
    AnswerDraft.objects.filter(pk__in=kept["drafts"]).update(conversation=to)
    IdentityCheck.objects.filter(pk__in=kept.get("checks", [])).update(conversation=to)


def _goes_on_as(joining: Joining, promise: Promise) -> str:
    return f"joining:{joining.pk}:{promise.pk}"


def _promises_go_on(joining: Joining, moved: Conversation, into: Conversation) -> None:
    """Let each promise that is not kept go on in the other matter, as late or as early as it is; one miss stays one miss."""
    columns = (
        "kind", "starts_at", "due_at", "warn_at", "warned_at", "within_seconds", "calendar_id", "state", "breached_at", "reason",
        "explanation", "explained_at", "explained_by_id", "reason_asked_at",
    )  # fmt: skip
    unmet = list(Promise.objects.select_for_update().filter(conversation=moved).unmet().order_by("pk"))
    Promise.objects.bulk_create(
        Promise(
            conversation=into,
            given_by=_goes_on_as(joining, promise),
            **{name: getattr(promise, name) for name in columns},
        )
        for promise in unmet
    )
    Promise.objects.filter(pk__in=[promise.pk for promise in unmet]).update(state=PromiseState.RELEASED)


def _count_again(conversation: Conversation) -> None:
    """Write onto a matter what follows from what stands in it now. Locked by the caller."""
    said = Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND, imported=False)
    arrived = OutgoingMessage.objects.filter(
        conversation=conversation, kind=MessageKind.SERVICE, accepted_at__isnull=False
    )
    first = arrived.filter(meets__contains=[PromiseKind.FIRST_RESPONSE.value])
    conversation.last_inbound_at = said.aggregate(last=Max("spoke_at"))["last"] or conversation.last_inbound_at
    conversation.last_outbound_at = arrived.aggregate(last=Max("accepted_at"))["last"]
    conversation.first_answer_at = first.aggregate(first=Min("accepted_at"))["first"]
    conversation.save(update_fields=["last_inbound_at", "last_outbound_at", "first_answer_at"])


# --- taking it back -----------------------------------------------------------------------------------------------------


@transaction.atomic
def undo(joining_id: int, *, by: User, at: datetime, ends: Collection[str] = ()) -> Joining:
    """Part two matters again: what stood in the post's goes back, and its promises run on by their own clocks.

    What was answered meanwhile answered both: it stays where it was written, and what it kept stays kept. ends: what gave promises
    in the visit's matter for the post alone, which nothing stands for any more.
    Raises Joining.DoesNotExist, NotJoinable; then nothing has changed.
    """
    found = Joining.objects.get(pk=joining_id)
    moved, into = _both(found.moved_id, found.into_id)
    joining = Joining.objects.select_for_update().get(pk=joining_id)
    if joining.undone_at is not None:
        raise NotJoinable(_("This was taken back before."))
    if moved.state != ConversationState.CLOSED or Interaction.objects.filter(conversation=moved).exists():
        raise NotJoinable(_("Something new was said in the earlier matter; it has to stay as it is."))
    _move(joining, moved)
    _promises_come_back(joining, moved, into)
    Promise.objects.filter(conversation=into, given_by__in=list(ends)).unmet().update(state=PromiseState.RELEASED)
    joining.undone_at, joining.undone_by = at, by
    joining.save(update_fields=["undone_at", "undone_by"])
    is_owed = Promise.objects.filter(conversation=moved).unmet().exists()
    before = ConversationState(joining.before["state"])
    moved.state = ConversationState.OPEN if is_owed else before
    if moved.state == ConversationState.OPEN and not is_owed:
        moved.state = ConversationState.WAITING  # what was promised there was kept meanwhile
    into.spoke_at = max(into.spoke_at, datetime.fromisoformat(joining.before["into_spoke_at"]))
    if into.state == ConversationState.OPEN and not Promise.objects.filter(conversation=into).unmet().exists():
        into.state = ConversationState.WAITING
    into.save(update_fields=["state", "spoke_at"])
    for matter in (moved, into):
        _count_again(matter)
        promises.settle_due(matter, at=at)
        matter.save(update_fields=["state"])
    _record(joining, "conversation.parted", by=by, at=at)
    return joining


def _promises_come_back(joining: Joining, moved: Conversation, into: Conversation) -> None:
    """Let the promises that went on elsewhere run on in their own matter, with what became of them meanwhile."""
    going_on = {row.given_by: row for row in Promise.objects.select_for_update().filter(conversation=into)}
    for promise in Promise.objects.select_for_update().filter(conversation=moved, state=PromiseState.RELEASED):
        copy = going_on.get(_goes_on_as(joining, promise))
        if copy is None or copy.state == PromiseState.RELEASED:
            continue
        for name in (
            "state", "breached_at", "met_at", "met_by", "warned_at", "reason", "explanation", "explained_at", "reason_asked_at",
        ):  # fmt: skip
            setattr(promise, name, getattr(copy, name))
        promise.explained_by_id = copy.explained_by_id
        promise.save()
        if copy.state in (PromiseState.RUNNING, PromiseState.BREACHED):
            copy.state = PromiseState.RELEASED
            copy.save(update_fields=["state"])


def _record(joining: Joining, verb: str, *, by: User, at: datetime) -> None:
    """Write it down for both matters, and for both customers where they were two."""
    for here, there in ((joining.moved, joining.into), (joining.into, joining.moved)):
        history.record(
            here.customer,
            verb,
            ref=ref_of(here),
            by=by,
            at=at,
            detail={"with": str(there.public_id), "joining": str(joining.public_id)},
        )


def standing_of(conversation: Conversation) -> Joining | None:
    """The joining by which a matter went on in another one; None for a matter that stands by itself."""
    return Joining.objects.filter(moved=conversation, undone_at=None).select_related("into").first()


def joined_into(conversation: Conversation) -> QuerySet[Joining]:
    """What went on in this matter, newest first."""
    standing = Joining.objects.filter(into=conversation, undone_at=None).select_related("moved", "by")
    return standing.order_by("-id")
