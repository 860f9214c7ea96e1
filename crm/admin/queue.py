"""Taking work from the queue, and the panel that says who looks after a matter and who works on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.actions import handoffs, owners, queue
from crm.admin import pages, panels, words
from crm.models import Conversation, HandOff, Helper, OwnerChange, Pull, User
from crm.models.talk import ConversationQuerySet
from crm.policy import ConversationState, HandOffReason, HandOffState, OutOfOrder, PutBack, is_locked

CAN_ANSWER = "crm.answer_conversation"
CAN_PLAN = "crm.plan_people"
COUNTED_FOR = timedelta(days=7)
CHANGES_SHOWN = 20


def chosen_reason(form: QueryDict) -> str:
    """The reason to take a matter before others, as far as one of ours was chosen."""
    given = form.get("out_of_order", "")
    return given if given in OutOfOrder.values else ""


@pages.page(CAN_ANSWER, methods=["POST"])
def take_next(request: HttpRequest) -> HttpResponse:
    """Take the head of the queue and open it."""
    pull, refused = pages.tried(lambda: queue.next_for(pages.colleague(request), at=timezone.now()))
    if pull is not None:
        return redirect("admin:conversation", public_id=pull.conversation.public_id)
    pages.say(request, refused, _("Nobody is waiting for you at the moment."))
    return redirect("admin:inbox")


@pages.page()
def work_on(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Who does a matter, and how it came to them; a POST is one act around that, named by its button."""
    user, at, form = pages.colleague(request), timezone.now(), request.POST
    found = (
        Conversation.objects.visible_to(user).filter(public_id=public_id).select_related("customer", "owner").first()
    )
    if found is None:
        raise Http404
    if request.method != "POST":
        return _around(request, found)
    pages.require(request, CAN_ANSWER)
    does: dict[str, tuple[Callable[[], object], str]] = {
        "take": (
            lambda: queue.take(found.pk, by=user, at=at, out_of_order=chosen_reason(form)),
            _("You are working on this now."),
        ),
        "put_back": (
            lambda: queue.put_back(found.pk, by=user, because=PutBack(form.get("because", "")), at=at),
            _("It is back in the queue, where it stood."),
        ),
        "wait": (
            lambda: queue.wait_for_colleague(found.pk, by=user, at=at),
            _("It stays with you for eight hours while you ask. What was promised runs on."),
        ),
        "join": (lambda: handoffs.join(found.pk, by=user, at=at), _("You are helping now; the owner stays the same.")),
        "leave": (lambda: handoffs.leave(found.pk, by=user, at=at), _("You are not helping any more.")),
        "offer": (
            lambda: handoffs.offer(
                found.pk,
                to=_colleague(form.get("to", "")),
                reason=HandOffReason(form.get("reason", "")),
                context_note=form.get("context_note", ""),
                by=user,
                at=at,
            ),
            _("Your colleague is asked. It stays yours until they accept."),
        ),
        "assign": (
            lambda: owners.assign(found.pk, to=_colleague(form.get("to", "")), by=user, at=at),
            _("It has an owner now."),
        ),
    }
    act = does.get(form.get("do", ""))
    if act is None or not _is_complete(form):
        pages.say(request, _("Please choose from the list first."), "")
        return redirect("admin:conversation", public_id=public_id)
    if form.get("do") == "assign":
        pages.require(request, CAN_PLAN)
    _result, refused = pages.tried(act[0])
    if refused and form.get("do") == "offer":  # what was typed is not lost
        return _around(request, found, refused=refused)
    pages.say(request, refused, act[1])
    return redirect("admin:conversation", public_id=public_id)


def _is_complete(form: QueryDict) -> bool:
    """Whether everything that the pressed button needs was chosen from its list."""
    needed = {"put_back": ["because"], "offer": ["to", "reason"], "assign": ["to"]}.get(form.get("do", ""), [])
    known = {
        "because": lambda given: given in PutBack.values,
        "reason": lambda given: given in HandOffReason.values,
        "to": lambda given: _is_colleague(given),
    }
    return all(known[name](form.get(name, "")) for name in needed)


def _is_colleague(given: str) -> bool:
    return given.isdecimal() and len(given) < 18 and User.objects.colleagues().filter(pk=int(given)).exists()


def _colleague(given: str) -> User:
    user: User = User.objects.colleagues().get(pk=int(given))
    return user


@pages.page(CAN_ANSWER, methods=["POST"])
def answer_offer(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Accept, decline or withdraw an offer."""
    user, at = pages.colleague(request), timezone.now()
    offered = HandOff.objects.select_related("conversation").filter(public_id=public_id).first()
    if offered is None:
        raise Http404
    does: dict[str, tuple[Callable[[], HandOff], str]] = {
        "accept": (lambda: handoffs.accept(offered.pk, by=user, at=at), _("It is yours now.")),
        "decline": (lambda: handoffs.decline(offered.pk, by=user, at=at), _("You have declined; the owner stays.")),
        "withdraw": (lambda: handoffs.withdraw(offered.pk, by=user, at=at), _("The offer is taken back.")),
    }
    act = does.get(request.POST.get("do", ""))
    if act is None:
        pages.say(request, _("Please use one of the buttons."), "")
        return redirect("admin:inbox")
    settled, refused = pages.tried(act[0])
    done = act[1]
    if settled is not None and settled.state == HandOffState.ACCEPTED:
        told = _("The customer is told your name.") if settled.customer_told_at else _("Please tell the customer.")
        done = f"{done} {told}"
    pages.say(request, refused, done)
    return redirect("admin:conversation", public_id=offered.conversation.public_id)


def offers_to(user: User) -> list[HandOff]:
    """What colleagues offer somebody now, one statement."""
    return list(
        HandOff.objects.filter(to=user, state=HandOffState.OFFERED)
        .select_related("conversation__customer", "giver")
        .order_by("-id")[:20]
    )


def own_count(user: User) -> str:
    """How much of what somebody took lately was out of order, in words; "" when they took nothing. One statement."""
    row: Any = Pull.objects.filter(by=user).by_person(timezone.now() - COUNTED_FOR).first()
    if row is None:
        return ""
    taken = ngettext("You took %(n)s matter in seven days", "You took %(n)s matters in seven days", row["taken"])
    if not row["out_of_order"]:
        return taken % {"n": row["taken"]} + ", " + _("each of them when it was next.")
    passed = _("%(out)s out of order; others were passed over %(passed)s times.")
    numbers = {"out": row["out_of_order"], "passed": row["passed_over"]}
    return taken % {"n": row["taken"]} + ", " + passed % numbers


def with_work(conversations: ConversationQuerySet, *, at: datetime) -> ConversationQuerySet:
    """Read with each conversation who works on it, since when, and to whom it is offered; no statement of its own."""
    pulls = Pull.objects.in_work().filter(conversation=OuterRef("pk"), idle_at__gt=at)
    name = Coalesce(NullIf("by__display_name", Value("")), "by__email", output_field=CharField())
    offered = HandOff.objects.filter(conversation=OuterRef("pk"), state=HandOffState.OFFERED)
    return conversations.annotate(
        worker=Subquery(pulls.values(who=name)[:1]),
        worker_id=Subquery(pulls.values("by_id")[:1]),
        worked_since=Subquery(pulls.values("at")[:1]),
        offered_to=Subquery(offered.values("to_id")[:1]),
    )


def side(request: HttpRequest, conversation: Conversation) -> str:
    """Who looks after a matter and who works on it, from what was read with the conversation (`with_work`)."""
    user, at = pages.colleague(request), timezone.now()
    worker_id, since = getattr(conversation, "worker_id", None), getattr(conversation, "worked_since", None)
    may_answer = user.has_perm(CAN_ANSWER)
    is_open = conversation.state == ConversationState.OPEN
    is_up = is_open or (conversation.owner_id is None and conversation.state != ConversationState.CLOSED)
    return render_to_string(
        "admin/desk/queue_side.html",
        {
            "conversation": conversation,
            "worker": getattr(conversation, "worker", None) or "",
            "since": words.ago(since, at=at) if since else "",
            "is_mine_now": worker_id == user.pk,
            "may_take": may_answer and is_up and worker_id is None,
            "is_open": is_open,
            "is_asked": getattr(conversation, "offered_to", None) == user.pk,
            "is_offered": getattr(conversation, "offered_to", None) is not None,
            "may_answer": may_answer,
            "put_backs": PutBack.choices,
            "out_of_order": OutOfOrder.choices,
        },
        request=request,
    )


panels.sides.append(side)


def _around(request: HttpRequest, conversation: Conversation, *, refused: str = "") -> HttpResponse:
    """The page of hand-offs, helpers and changes of owner of one matter."""
    user = pages.colleague(request)
    may_answer, may_plan = user.has_perm(CAN_ANSWER), user.has_perm(CAN_PLAN)
    hand_offs = list(
        HandOff.objects.filter(conversation=conversation).select_related("giver", "to").order_by("-id")[:20]
    )
    helpers = list(Helper.objects.filter(conversation=conversation, left_at=None).select_related("user").order_by("id"))
    changes = OwnerChange.objects.filter(conversation=conversation).select_related("before", "after").order_by("-id")
    is_owner, is_owned = conversation.owner_id == user.pk, conversation.owner_id is not None
    is_running = may_answer and conversation.state != ConversationState.CLOSED
    offered = next((one for one in hand_offs if one.state == HandOffState.OFFERED), None)
    locked = is_locked(sum(one.state == HandOffState.ACCEPTED for one in hand_offs))
    may_hand_over = is_running and is_owned and not offered and not locked and (is_owner or may_plan)
    may_assign = may_plan and is_running and (conversation.first_answer_at is None or not is_owned)
    colleagues = User.objects.colleagues().exclude(pk=conversation.owner_id or 0).order_by("display_name", "pk")
    return pages.render(
        request,
        "admin/desk/work_on.html",
        str(conversation.customer),
        conversation=conversation,
        offered=offered,
        is_asked=may_answer and offered is not None and offered.to_id == user.pk,
        may_withdraw=offered is not None and (is_owner or offered.giver_id == user.pk or may_plan),
        hand_offs=[one for one in hand_offs if one.state != HandOffState.OFFERED],
        helpers=helpers,
        helps=any(helper.user_id == user.pk for helper in helpers),
        may_help=is_running and is_owned and not is_owner,
        changes=list(changes[:CHANGES_SHOWN]),
        is_locked=locked,
        may_hand_over=may_hand_over,
        may_assign=may_assign,
        colleagues=list(colleagues) if may_hand_over or may_assign else [],
        reasons=HandOffReason.choices,
        refused=refused,
        typed=request.POST,
        status=409 if refused else 200,
    )
