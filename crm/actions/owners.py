"""Who looks after a matter: given, taken over when somebody is not there, and never nobody for long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, routing, work
from crm.models import Absence, Conversation, HandOff, HistoryEntry, OwnerChange, Promise, Pull, RequiredSkill, User
from crm.policy import (
    OWNERS_WITHIN_A_WEEK,
    WAITING_COUNTS_FOR,
    AlertKind,
    ConversationState,
    HandOffState,
    OwnerChangeReason,
    Person,
    QueueClass,
    effort,
    owner_for,
    returns_at,
)

AT_ONCE = 500


class AlreadyOwned(Exception):
    """Somebody else looks after the conversation, and the customer knows them."""

    code = "already_owned"


def changed(
    conversation: Conversation, owner_id: int, *, why: OwnerChangeReason, by: User | None, at: datetime, note: str = ""
) -> tuple[OwnerChange, HistoryEntry]:
    """Make somebody the owner, and the two rows that tell it; the caller writes all three."""
    change = OwnerChange(
        conversation=conversation, before_id=conversation.owner_id, after_id=owner_id, why=why, note=note, at=at
    )
    entry = history.entry(
        conversation.customer,
        "conversation.owned",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"owner": owner_id, "before": conversation.owner_id, "why": why},
    )
    conversation.owner_id = owner_id
    return change, entry


def follow(conversations: Sequence[Conversation], *, at: datetime) -> None:
    """Let what hangs on these conversations learn that their owner has changed; an offer of the old one is void."""
    HandOff.objects.filter(conversation__in=conversations, state=HandOffState.OFFERED).update(
        state=HandOffState.WITHDRAWN, settled_at=at
    )
    work.follow_each("owner.changed", refs=[f"conversation:{found.public_id}" for found in conversations], at=at)


def give(
    conversation: Conversation, owner_id: int, *, why: OwnerChangeReason, by: User | None, at: datetime, note: str = ""
) -> None:
    """Make somebody the owner of a conversation. Locked by the caller, with its customer; who may is asked before."""
    if conversation.owner_id == owner_id:
        return
    change, entry = changed(conversation, owner_id, why=why, by=by, at=at, note=note)
    conversation.save(update_fields=["owner"])
    change.save(force_insert=True)
    entry.save(force_insert=True)
    follow([conversation], at=at)


@transaction.atomic
def assign(conversation_id: int, *, to: User, by: User, at: datetime) -> Conversation:
    """Give a matter to a colleague, as long as its customer has met nobody; afterwards it is handed over.

    Raises Conversation.DoesNotExist, AlreadyOwned, routing.Refused; then nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if conversation.owner_id == to.pk:
        return conversation
    if conversation.owner_id is not None and conversation.first_answer_at is not None:
        raise AlreadyOwned(_("The customer knows who looks after this; please hand it over instead."))
    routing.check(to, conversation, at=at, mode=None)
    give(conversation, to.pk, why=OwnerChangeReason.ASSIGNED, by=by, at=at)
    return conversation


@dataclass(slots=True)
class _Team:
    """Who takes conversations now: their certified skills and the effort points they have left; and the skills asked for."""

    skills: dict[int, frozenset[str]]
    room: dict[int, int]
    demanded: set[str]

    def choose(self, conversation: Conversation, *, first: int | None, at: datetime) -> int | None:
        """Name who takes a matter, `first` if they can, and count it; None when nobody has room and skill for it."""
        skill = conversation.skill if conversation.skill in self.demanded else ""
        weight = _weight(conversation, at=at)
        able = [
            pk
            for pk, skills in self.skills.items()
            if pk != conversation.owner_id and self.room[pk] >= weight and (not skill or skill in skills)
        ]
        owner = owner_for(str(conversation.public_id), staff=able, previous_owner=first)
        if owner is not None:
            self.room[owner] -= weight
        return owner


def _team(at: datetime) -> _Team:
    """Read who takes conversations now; four statements."""
    staff = list(User.objects.taking_conversations().order_by("pk"))
    keys = [user.pk for user in staff]
    certified, loads = routing.certified(keys, at=at), routing.loads(at, of=keys)
    caps = {user.pk: Person(share=user.customer_service_share, points=user.capacity_points).cap for user in staff}
    return _Team(
        skills={pk: certified.get(pk, (frozenset(), frozenset()))[0] for pk in keys},
        room={pk: caps[pk] - loads.get(pk, 0) for pk in keys},
        demanded=set(RequiredSkill.objects.values_list("skill", flat=True)),
    )


def _weight(conversation: Conversation, *, at: datetime) -> int:
    """What a matter weighs at least for whoever gets it; one that has gone quiet weighs nothing."""
    waits_for_us = conversation.state == ConversationState.OPEN
    spoken = conversation.last_outbound_at
    if not waits_for_us and (spoken is None or spoken <= at - WAITING_COUNTS_FOR):
        return 0
    is_critical = conversation.queue_class == QueueClass.CRITICAL
    return effort(waits_for_us=waits_for_us, is_critical=is_critical, contacts=0)


def give_orphans_an_owner(at: datetime) -> int:
    """Give open conversations without an owner to those who take conversations now and have room. Returns how many were given."""
    team = _team(at)
    moves = []
    with transaction.atomic():
        orphans = (
            Conversation.objects.unowned()
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("customer")
            .in_due_order()[:AT_ONCE]
        )
        for conversation in orphans if team.room else ():
            owner = team.choose(conversation, first=None, at=at)
            if owner is not None:
                moves.append((conversation, owner, ""))
        _move(moves, why=OwnerChangeReason.UNOWNED, at=at)
    return len(moves)


def _move(moves: list[tuple[Conversation, int, str]], *, why: OwnerChangeReason, at: datetime) -> None:
    """Change many owners at once: (conversation, locked by the caller; new owner; note). Five statements."""
    if not moves:
        return
    told = [changed(conversation, owner, why=why, by=None, at=at, note=note) for conversation, owner, note in moves]
    Conversation.objects.bulk_update([conversation for conversation, _owner, _note in moves], ["owner"])
    OwnerChange.objects.bulk_create(change for change, _entry in told)
    HistoryEntry.objects.bulk_create(entry for _change, entry in told)
    follow([conversation for conversation, _owner, _note in moves], at=at)


def reassign_owner(at: datetime) -> int:
    """Move what is due before its owner is back to the stand-in, or to somebody who can take it (R006, X29).

    Of somebody who has left, everything that is not closed moves. What somebody works on right now stays, and so does what
    can wait for its owner; nothing here counts as a hand-off. Safe to repeat. Returns how many were moved.
    """
    owners = User.objects.filter(
        Exists(
            Conversation.objects.filter(
                owner=OuterRef("pk"), state__in=[ConversationState.OPEN, ConversationState.WAITING]
            )
        )
    )
    away = list(owners.filter(Q(is_active=False) | Q(is_available=False)).order_by("pk"))
    team = _team(at)
    if not away or not team.room:
        return 0
    plans = routing.rotas(away, at=at)
    stand_ins = dict(
        Absence.objects.running(at)
        .filter(user__in=away, stand_in__isnull=False)
        .order_by("starts_at")
        .values_list("user_id", "stand_in_id")
    )
    back = {user.pk: returns_at(plans[user.pk], at) if user.is_active else None for user in away}
    urgent = Q(pk__in=())
    for pk, returns in back.items():
        if returns is None:
            urgent |= Q(owner=pk, state__in=[ConversationState.OPEN, ConversationState.WAITING])
        elif returns > at:
            urgent |= Q(owner=pk, state=ConversationState.OPEN, due_at__lt=returns)
    names = {user.pk: str(user) for user in away}
    moves = []
    with transaction.atomic():
        due = (
            Conversation.objects.filter(urgent)
            .filter(~Exists(Pull.objects.in_work().filter(conversation=OuterRef("pk"))))
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("customer")
            .in_due_order()[:AT_ONCE]
        )
        for conversation in due:
            before = conversation.owner_id or 0
            # The stand-in goes first; somebody full or away themselves is none.
            owner = team.choose(conversation, first=stand_ins.get(before), at=at)
            if owner is not None:
                moves.append((conversation, owner, _note(conversation, names[before], back[before])))
        _move(moves, why=OwnerChangeReason.NOT_THERE, at=at)
    return len(moves)


def _note(conversation: Conversation, who: str, returns: datetime | None) -> str:
    """What the new owner has to know, from what is stored; what people wrote stands in the thread."""
    known = {
        "who": who,
        "due": f"{conversation.due_at:%Y-%m-%d %H:%M %Z}" if conversation.due_at else "–",
        "back": f"{returns:%Y-%m-%d %H:%M %Z}" if returns else "",
        "met": _("has had an answer") if conversation.first_answer_at else _("has not had an answer yet"),
    }
    if returns is None:
        return _("%(who)s does not work here any more. Next promise: %(due)s. The customer %(met)s.") % known
    return _("%(who)s is back on %(back)s. Next promise: %(due)s. The customer %(met)s.") % known


def escalate_orphans(at: datetime) -> dict[str, int]:
    """Tell the leads of open matters without an owner, without a next step, or with three owners in seven days (R012).

    Each is told once a day. Returns how many there are of each; four statements.
    """
    day = f"{at:%Y-%m-%d}"
    unowned = list(Conversation.objects.unowned().order_by("id")[:AT_ONCE])
    waiting = Conversation.objects.waiting_for_us().filter(due_at__lt=at)
    stuck = list(
        waiting.filter(
            ~Exists(Promise.objects.running().filter(conversation=OuterRef("pk"), due_at__gte=at)),
            ~Exists(Pull.objects.in_work().filter(conversation=OuterRef("pk"))),
        ).order_by("id")[:AT_ONCE]
    )
    passed = list(
        OwnerChange.objects.filter(at__gt=at - timedelta(days=7), conversation__in=_often_given(at))
        .exclude(conversation__state=ConversationState.CLOSED)
        .select_related("conversation")
        .order_by("id")
    )
    owners: dict[Conversation, set[int]] = {}
    for change in passed:
        owners.setdefault(change.conversation, set()).update({change.before_id or change.after_id, change.after_id})
    often = [conversation for conversation, known in owners.items() if len(known) >= OWNERS_WITHIN_A_WEEK]
    found = {AlertKind.NO_OWNER: unowned, AlertKind.NO_NEXT_STEP: stuck, AlertKind.OWNERS_CHANGED: often}
    alerts.write(
        alerts.told(kind, key=f"{conversation.pk}:{day}", conversation=conversation, at=at)
        for kind, conversations in found.items()
        for conversation in conversations
    )
    return {kind.value: len(conversations) for kind, conversations in found.items()}


def _often_given(at: datetime) -> QuerySet[OwnerChange, Any]:
    recent = OwnerChange.objects.filter(at__gt=at - timedelta(days=7)).values("conversation").order_by()
    return recent.annotate(n=Count("pk")).filter(n__gte=OWNERS_WITHIN_A_WEEK - 1).values("conversation")
