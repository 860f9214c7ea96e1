"""Taking work from the head of the one queue, and giving it back; whoever goes out of order says why (E09)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm import history
from crm.actions import calendars, owners, routing
from crm.channels import Channel
from crm.models import Conversation, CreditedPull, HistoryEntry, OwnerChange, Pull, QueueCredit, User
from crm.models.credits import LISTED, in_pull_order
from crm.models.queue import in_queue_of
from crm.models.talk import ConversationQuerySet
from crm.policy import (
    COUNTED_AT_MOST,
    CREDIT_GUARD,
    IDLE_AFTER,
    IDLE_AFTER_ASKING,
    LIVE_FOR,
    ConversationState,
    Matter,
    OutOfOrder,
    OwnerChangeReason,
    PullEnd,
    PutBack,
    QueueClass,
    WorkMode,
    may_take,
    needs_a_reason,
)
from crm.policy.capacity import at_once

RACES_TRIED = 5
SWEPT_AT_ONCE = 500


class NotNext(Exception):
    """Others wait in front of this matter, or it is a colleague's; `ahead` says how many."""

    code = "not_next"

    def __init__(self, words: str, *, ahead: int) -> None:
        super().__init__(words)
        self.ahead = ahead


class InWork(Exception):
    """A colleague is working on this matter right now."""

    code = "in_work"


class NotHeld(Exception):
    """Nobody, or somebody else, is working on this matter."""

    code = "not_held"


def next_for(by: User, *, at: datetime) -> Pull | None:
    """Give and claim the head of the one queue among what this colleague may take; None when nothing waits for them.

    A matter whose customer has met nobody becomes theirs. Two colleagues in the same instant get different matters.
    Raises routing.Refused with the reason when something waits that they may not take on now.
    """
    for race in range(RACES_TRIED):
        try:
            with transaction.atomic():
                return _next_for(by, at=at)
        except IntegrityError as collision:
            constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
            if constraint != "pull_one_at_a_time" or race == RACES_TRIED - 1:
                raise  # otherwise somebody took the head between our look and our claim: look again
    raise AssertionError("the loop above returns or raises")


def _next_for(by: User, *, at: datetime) -> Pull | None:
    me = User.objects.select_for_update(no_key=True).annotate(credits=QueueCredit.objects.beside()).get(pk=by.pk)
    who = routing.person(me, at=at)
    for_any = may_take(who, Matter(is_theirs=True))
    if for_any is not None:
        raise routing.refusal(for_any, by, who)
    reason = may_take(who, Matter())
    queue = in_queue_of(by.pk, at=at, may_take_new=reason is None).select_related("customer")
    if who.in_work.get(WorkMode.LIVE, 0) >= at_once(who, WorkMode.LIVE):
        queue = queue.exclude(channel=Channel.CHAT, last_inbound_at__gt=at - LIVE_FOR)
    head, credited = _by_credit(queue, {each["channel"]: each["minutes"] for each in me.credits}, at=at)
    if head is None:
        head = queue.in_due_order().select_for_update(skip_locked=True, of=("self",)).first()
    if head is None:
        if reason is not None and in_queue_of(by.pk, at=at, may_take_new=True).exists():
            raise routing.refusal(reason, by, who)
        return None
    if _moves(head, by):
        routing.carries(me, who, routing.matter(head, mode=None).effort)
    return _begin(head, by=by, ahead=0, reason="", at=at, credited=credited)


def _by_credit(
    queue: ConversationQuerySet, credits: Mapping[str, int], *, at: datetime
) -> tuple[Conversation | None, CreditedPull | None]:
    """Whom a credit lets come first now, locked, and what is noted of it when it passes others; nobody where no credit counts.

    Where somebody is due soon, or needs us now, the queue's own order stands. Credits reach only as far as the largest of them.
    """
    if not credits:
        return None, None
    first = queue.in_due_order().values_list("queue_class", "due_at").first()
    guarded_until = calendars.last_after(at, CREDIT_GUARD)
    if first is None or first[1] is None or first[0] == QueueClass.CRITICAL or first[1] < guarded_until:
        return None, None
    within_reach = queue.filter(due_at__lte=first[1] + timedelta(minutes=max(credits.values())))
    order = in_pull_order(within_reach, credits, guarded_until=guarded_until)
    head: Conversation | None = order.select_for_update(skip_locked=True, of=("self",)).first()
    minutes = credits.get(head.channel, 0) if head is not None else 0
    if head is None or head.due_at is None or not minutes:
        return head, None
    passed = list(queue.filter(_before(head)).in_due_order().values_list("pk", flat=True)[:COUNTED_AT_MOST])
    if not passed:
        return head, None
    only_after = max(guarded_until, head.due_at - timedelta(minutes=minutes))
    noted = CreditedPull(minutes=minutes, only_after=only_after, passed=len(passed), passed_first=passed[:LISTED])
    return head, noted


def _before(conversation: Conversation) -> Q:
    """The condition for what stands in the one queue before a matter."""
    key = (conversation.queue_class, conversation.due_at, conversation.spoke_at, conversation.pk)
    return Q(TupleLessThan(Tuple("queue_class", "due_at", "spoke_at", "pk"), key))


@transaction.atomic
def take(conversation_id: int, *, by: User, at: datetime, out_of_order: str = "") -> Conversation:
    """Begin to work on this very matter, and look after it when its customer has met nobody yet.

    out_of_order: an OutOfOrder, needed when others stand in front of it or it is a colleague's. What waits for the
    customer is in no queue; taking it is looking after it.
    Raises Conversation.DoesNotExist, InWork, NotNext, owners.AlreadyOwned, routing.Refused; then nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if conversation.state != ConversationState.OPEN:
        if conversation.owner_id not in (None, by.pk):
            raise owners.AlreadyOwned(_("A colleague already looks after this conversation."))
        if conversation.owner_id is None:
            routing.check(by, conversation, at=at, mode=None)
            owners.give(conversation, by.pk, why=OwnerChangeReason.TAKEN, by=by, at=at)
        return conversation
    if _standing(conversation, by=by, at=at) is not None:
        return conversation
    ahead, reason = _place(conversation, by=by, reason=out_of_order, at=at)
    moves = _moves(conversation, by)
    mode = routing.mode_of(conversation, at=at)
    routing.check(by, conversation, at=at, mode=mode, is_theirs=not moves)
    _begin(conversation, by=by, ahead=ahead, reason=reason, at=at)
    return conversation


def _moves(conversation: Conversation, by: User) -> bool:
    """Whether working on it makes it theirs: nobody owns it, or its customer has met nobody."""
    return conversation.owner_id != by.pk and (conversation.owner_id is None or conversation.first_answer_at is None)


def _begin(
    conversation: Conversation,
    *,
    by: User,
    ahead: int,
    reason: str,
    at: datetime,
    credited: CreditedPull | None = None,
) -> Pull:
    if _moves(conversation, by):
        owners.give(conversation, by.pk, why=OwnerChangeReason.TAKEN, by=by, at=at)
    pull = _pull(conversation, by=by, ahead=ahead, reason=reason, mode=routing.mode_of(conversation, at=at), at=at)
    pull.save(force_insert=True)
    told = _told(conversation, pull, by=by, at=at)
    if credited is not None:
        credited.pull = pull
        credited.save(force_insert=True)
        told.detail |= {"credit": credited.minutes, "passed": credited.passed}
    told.save(force_insert=True)
    return pull


def _pull(
    conversation: Conversation,
    *,
    by: User,
    ahead: int,
    reason: str,
    mode: WorkMode,
    at: datetime,
    answered: bool = False,
) -> Pull:
    return Pull(
        conversation=conversation,
        by=by,
        at=at,
        mode=mode,
        ahead=ahead,
        reason=reason,
        idle_at=at + IDLE_AFTER,
        finished_at=at if answered else None,
        finished_how=PullEnd.ANSWERED if answered else "",
    )


def _told(conversation: Conversation, pull: Pull, *, by: User, at: datetime) -> HistoryEntry:
    return history.entry(
        conversation.customer,
        "conversation.pulled",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"ahead": pull.ahead, "reason": pull.reason},
    )


def _standing(conversation: Conversation, *, by: User, at: datetime) -> Pull | None:
    """This colleague's own unfinished work on a matter; one that went idle is ended. Raises InWork when it is another's."""
    standing = Pull.objects.in_work().filter(conversation=conversation).select_related("by").first()
    if standing is None or standing.by_id == by.pk:
        return standing
    if standing.idle_at > at:
        raise InWork(_("%(who)s is working on this right now.") % {"who": standing.by})
    _end(standing, PullEnd.IDLE, at=at)
    return None


def _place(conversation: Conversation, *, by: User, reason: str, at: datetime) -> tuple[int, str]:
    """How many others this colleague passes over for a matter, and the reason where that needs one; one statement.

    Raises NotNext when it needs a reason and none is given.
    """
    may_take_new = by.is_available and not by.is_full and by.customer_service_share > 0
    up_to_here = Q(pk=conversation.pk) | _before(conversation)
    nearest = list(
        in_queue_of(by.pk, at=at, may_take_new=may_take_new)
        .filter(up_to_here)
        .order_by("-queue_class", "-due_at", "-spoke_at", "-id")
        .values_list("pk", flat=True)[: COUNTED_AT_MOST + 1]
    )
    is_theirs_to_take = bool(nearest) and nearest[0] == conversation.pk
    ahead = min(len(nearest) - is_theirs_to_take, COUNTED_AT_MOST)
    if not needs_a_reason(ahead=ahead, is_theirs_to_take=is_theirs_to_take):
        return ahead, ""
    if reason:
        return ahead, OutOfOrder(reason)
    if not is_theirs_to_take:
        raise NotNext(
            _("A colleague looks after this, or it is not yours to take now. Please say why it is you who takes it."),
            ahead=ahead,
        )
    raise NotNext(
        ngettext(
            "%(number)s other customer stands before this one. Please take the next, or say why this one comes first.",
            "%(number)s other customers stand before this one. Please take the next, or say why this one comes first.",
            ahead,
        )
        % {"number": ahead},
        ahead=ahead,
    )


def answered(
    conversation: Conversation, *, by: User, at: datetime, out_of_order: str = "", mode: WorkMode | None = None
) -> list[Pull | HistoryEntry | OwnerChange]:
    """End the work on a matter that is being answered; whoever had not taken it takes it in the same moment.

    The conversation is locked by the caller, who saves its owner and writes the rows returned. What waits for the customer
    is in no queue. Raises InWork, NotNext, routing.NotCertified.
    """
    rows: list[Pull | HistoryEntry | OwnerChange] = []
    if conversation.state == ConversationState.OPEN:
        standing = _standing(conversation, by=by, at=at)
        if standing is not None:
            _end(standing, PullEnd.ANSWERED, at=at)
        else:
            ahead, reason = _place(conversation, by=by, reason=out_of_order, at=at)
            if conversation.skill:
                routing.check_skill(by, conversation, at=at)
            mode = mode or routing.mode_of(conversation, at=at)
            pull = _pull(conversation, by=by, ahead=ahead, reason=reason, mode=mode, at=at, answered=True)
            rows += [pull, _told(conversation, pull, by=by, at=at)] if reason else [pull]
    has_room = by.takes_conversations and by.is_available and not by.is_full and by.customer_service_share > 0
    if conversation.owner_id is None or (has_room and _moves(conversation, by)):
        rows += owners.changed(conversation, by.pk, why=OwnerChangeReason.TAKEN, by=by, at=at)
        owners.follow([conversation], at=at)
    return rows


@transaction.atomic
def put_back(conversation_id: int, *, by: User, because: PutBack, at: datetime) -> None:
    """Give a matter back to the queue unanswered; its place is where it was. Raises Conversation.DoesNotExist, NotHeld."""
    conversation, pull = _held(conversation_id, by=by)
    pull.put_back_because = because
    _end(pull, PullEnd.PUT_BACK, at=at)
    history.record(
        conversation.customer,
        "conversation.put_back",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"because": because},
    )


@transaction.atomic
def wait_for_colleague(conversation_id: int, *, by: User, at: datetime) -> None:
    """Keep a matter for some hours while a colleague is asked; its promises run on. Raises Conversation.DoesNotExist, NotHeld."""
    _conversation, pull = _held(conversation_id, by=by)
    pull.idle_at = at + IDLE_AFTER_ASKING
    pull.save(update_fields=["idle_at"])


def _held(conversation_id: int, *, by: User) -> tuple[Conversation, Pull]:
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    pull = Pull.objects.in_work().filter(conversation=conversation, by=by).first()
    if pull is None:
        raise NotHeld(_("You are not working on this at the moment."))
    return conversation, pull


def goes_on(conversation: Conversation, *, by: User, at: datetime) -> None:
    """Note that work on a matter goes on, so that it is not taken for idle."""
    Pull.objects.in_work().filter(conversation=conversation, by=by).update(
        idle_at=Greatest(F("idle_at"), at + IDLE_AFTER)
    )


def ended(conversation: Conversation, how: PullEnd, *, at: datetime) -> None:
    """End whoever's work on a matter, because the matter itself has moved on. Locked by the caller."""
    Pull.objects.in_work().filter(conversation=conversation).update(finished_at=at, finished_how=how)


def _end(pull: Pull, how: PullEnd, *, at: datetime) -> None:
    pull.finished_at, pull.finished_how = at, how
    pull.save(update_fields=["finished_at", "finished_how", "put_back_because"])


@transaction.atomic
def sweep_idle(at: datetime) -> int:
    """Give back to the queue what somebody took and then left. Safe to repeat. Returns how many."""
    idle = list(
        Pull.objects.in_work()
        .filter(idle_at__lte=at)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("conversation")
        .order_by("idle_at")[:SWEPT_AT_ONCE]
    )
    if not idle:
        return 0
    Pull.objects.filter(pk__in=[pull.pk for pull in idle]).update(finished_at=at, finished_how=PullEnd.IDLE)
    HistoryEntry.objects.bulk_create(
        HistoryEntry(
            customer_id=pull.conversation.customer_id,
            verb="conversation.idle",
            ref=f"conversation:{pull.conversation.public_id}",
            origin="worker",
            at=at,
            detail={"was_with": pull.by_id},
        )
        for pull in idle
    )
    return len(idle)
