"""Reach: what a platform tells about an account. Kept apart where the house wants it at all, seen only by a logged look (N3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.db.models.expressions import Combinable
from django.utils.translation import gettext as _

from crm import history
from crm.actions import endings, holds
from crm.channels import profiles
from crm.channels.profiles import Profile
from crm.models import ContactPoint, Conversation, OwnerChange, PublicPost, Pull, Reach, ReachLook, User
from crm.models.people import ContactKind
from crm.policy import REACH_KEPT_FOR, OwnerChangeReason, RevealReason

LEAST_IN_GROUP = 10
"""Below so many different accounts a mean would tell of single ones."""
_TOOK = (OwnerChangeReason.TAKEN, OwnerChangeReason.HANDED_OVER)


class Hidden(Exception):
    """Reach stays hidden until an owner has taken the matter."""

    code = "hidden_until_taken"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one account of a customer. followers and has_badge are None, the rest empty, where nothing was told."""

    account: str
    followers: int | None
    has_badge: bool | None
    avatar_url: str
    avatar: bytes
    told_at: datetime


@dataclass(frozen=True, slots=True)
class Spread:
    """How far matters of one group that began in public may have spread.

    matters: how many; posts: what was posted in them by anybody; known: how many of them began by an account whose reach is kept.
    mean: how many follow such an account on average; None where there are too few accounts to say without telling of one.
    """

    group: str
    matters: int
    posts: int
    known: int
    mean: float | None


@transaction.atomic
def keep(contact_point_id: int, told: Profile, *, at: datetime) -> bool:
    """Keep what a platform told about an account for 30 days, in place of what it told before; nothing is ever fetched.

    Dropped, as everywhere by default, unless the house turned keeping on (EVENHAND_KEEP_REACH, R152). Returns whether it was
    kept. Raises ContactPoint.DoesNotExist.
    """
    if not settings.EVENHAND_KEEP_REACH:
        return False
    point = ContactPoint.objects.get(pk=contact_point_id)
    told = profiles.cleaned(told)
    Reach.objects.update_or_create(
        contact_point=point,
        defaults={
            "followers": told.followers,
            "has_badge": told.has_badge,
            "avatar_url": told.avatar_url,
            "avatar": told.avatar or None,
            "told_at": at,
        },
    )
    return True


@transaction.atomic
def reveal(conversation_id: int, *, reason: RevealReason, words: str, by: User, at: datetime) -> list[Seen]:
    """Show the reach of a customer in a matter that its owner has taken, for a reason. Every look is written down.

    Returns what is kept of the customer's accounts, which may be nothing.
    Raises Conversation.DoesNotExist, Hidden, endings.ReasonMissing; then nothing was seen and nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if not words.strip():
        raise endings.ReasonMissing(_("Please say in a few words what you need it for."))
    if not is_taken(conversation):
        raise Hidden(_("This stays hidden until the owner has taken the matter from the queue."))
    ReachLook.objects.create(conversation=conversation, by=by, reason=reason, words=words.strip()[:300], at=at)
    history.record(
        conversation.customer,
        "reach.seen",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"reason": reason.value},
    )
    theirs = ContactPoint.objects.filter(customer=conversation.customer, kind=ContactKind.HANDLE, unlinked_at=None)
    kept = Reach.objects.filter(contact_point__in=theirs, told_at__gt=at - REACH_KEPT_FOR)
    return [
        Seen(
            account=row.contact_point.address,
            followers=row.followers,
            has_badge=row.has_badge,
            avatar_url=row.avatar_url,
            avatar=bytes(row.avatar or b""),
            told_at=row.told_at,
        )
        for row in kept.select_related("contact_point").order_by("pk")
    ]


def looks_at(customer_id: int, *, since: datetime, until: datetime) -> list[ReachLook]:
    """Who looked at the reach of a customer in a time, in whichever matter; oldest first. What they saw is not told."""
    looked = ReachLook.objects.filter(conversation__customer=customer_id, at__gt=since, at__lte=until)
    return list(looked.order_by("at", "pk"))


def is_taken(conversation: Conversation) -> bool:
    """Whether the owner of a matter has taken it: from the queue, or from the colleague who handed it over."""
    if conversation.owner_id is None:
        return False
    took = Q(after=conversation.owner_id, why__in=_TOOK)
    return (
        Pull.objects.filter(conversation=conversation, by=conversation.owner_id).exists()
        or OwnerChange.objects.filter(took, conversation=conversation).exists()
    )


def spread_by(group: Combinable, *, at: datetime) -> list[Spread]:
    """Say how far public criticism of the last 30 days may have spread, by group: to learn from, never to treat anybody by.

    group: an expression over PublicPost that names the group of a post, "" or None for none. Sums over accounts alone: whoever
    reads them cannot tell one account's reach. A group of fewer than LEAST_IN_GROUP known accounts tells no sum. Agreed testers
    are left out. One statement.
    """
    since = at - REACH_KEPT_FOR
    told = Reach.objects.filter(contact_point=OuterRef("interaction__contact_point"), told_at__gt=since).order_by()
    matter = PublicPost.objects.filter(conversation=OuterRef("conversation")).order_by().values("conversation")
    began = PublicPost.objects.filter(is_first=True, imported=False, spoke_at__gt=since, spoke_at__lte=at)
    for testers in holds.not_greeted():
        began = began.exclude(conversation__customer__in=testers)
    rows = (
        began.annotate(
            group=group,
            told=Subquery(told.values("followers")[:1]),
            said=Subquery(matter.annotate(n=Count("pk")).values("n")),
        )
        .values("group")
        .order_by("group")
        .annotate(
            matters=Count("pk"),
            posts=Sum("said"),
            known=Count("told"),
            accounts=Count("interaction__contact_point", filter=Q(told__isnull=False), distinct=True),
            read_by=Sum("told"),
        )
    )
    return [
        Spread(
            group=row["group"] or "",
            matters=row["matters"],
            posts=row["posts"] or 0,
            known=row["known"],
            mean=row["read_by"] / row["known"] if row["accounts"] >= LEAST_IN_GROUP else None,
        )
        for row in rows
    ]


@transaction.atomic
def forget(at: datetime) -> int:
    """Remove what was last told more than 30 days ago, and everything once keeping is turned off. Returns how many rows."""
    old = (
        Reach.objects.filter(told_at__lte=at - REACH_KEPT_FOR) if settings.EVENHAND_KEEP_REACH else Reach.objects.all()
    )
    return old.delete()[0]
