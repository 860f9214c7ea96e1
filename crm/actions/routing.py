"""Who may take a matter on: load, presence and certificates are counted here, and refusals say why in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Count, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from crm import history
from crm.channels import Channel
from crm.models import Absence, Certificate, Conversation, Interaction, Pull, RequiredSkill, Shift, User
from crm.policy import (
    LIVE_FOR,
    PUBLIC_WRITING,
    WAITING_COUNTS_FOR,
    Away,
    ConversationState,
    Matter,
    Person,
    QueueClass,
    RefusalReason,
    Rota,
    WorkMode,
    effort,
    is_away,
    is_on_shift,
    may_take,
    may_write_publicly,
)


class Refused(Exception):
    """This colleague may not take this matter on now."""

    code = "refused"


class NotThere(Refused):
    """The colleague is absent, off shift, or takes no customer service."""

    code = "not_there"


class Overloaded(Refused):
    """The colleague carries as much as they can."""

    code = "overloaded"


class TooManyAtOnce(Refused):
    """The colleague works on as many matters at once as they may."""

    code = "too_many_at_once"


class NotCertified(Refused):
    """The matter asks for a certificate that the colleague does not have."""

    code = "not_certified"


def loads(at: datetime, *, of: Iterable[int] | None = None) -> dict[int, int]:
    """Count the effort points that each owner carries now, one statement. of: only these accounts; everybody's when None."""
    open_now = Q(state=ConversationState.OPEN) | Q(
        state=ConversationState.WAITING, last_outbound_at__gt=at - WAITING_COUNTS_FOR
    )
    owned = Conversation.objects.filter(open_now, owner__isnull=False)
    if of is not None:
        owned = owned.filter(owner__in=list(of))
    rows = (
        owned.annotate(contacts=_contacts())
        .values("owner_id", "state", "queue_class", "contacts")
        .order_by()
        .annotate(number=Count("pk"))
    )
    carried: dict[int, int] = defaultdict(int)
    for row in rows:
        carried[row["owner_id"]] += row["number"] * effort(
            waits_for_us=row["state"] == ConversationState.OPEN,
            is_critical=row["queue_class"] == QueueClass.CRITICAL,
            contacts=row["contacts"],
        )
    return carried


def _contacts() -> Coalesce:
    said = Interaction.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
    return Coalesce(Subquery(said.annotate(n=Count("pk")).values("n"), output_field=IntegerField()), 0)


def rotas(users: Iterable[User], *, at: datetime) -> dict[int, Rota]:
    """Give the plan of each of these accounts, with absences that are not over; two statements."""
    known = {user.pk: user.zone or settings.TIME_ZONE for user in users}
    shifts: dict[int, list[Shift]] = defaultdict(list)
    for shift in Shift.objects.filter(user__in=known).order_by("weekday", "starts"):
        shifts[shift.user_id].append(shift)
    away: dict[int, list[Away]] = defaultdict(list)
    for absence in Absence.objects.not_over(at).filter(user__in=known).order_by("starts_at"):
        away[absence.user_id].append(Away(absence.starts_at, absence.ends_at))
    return {
        pk: Rota(zone, tuple(shift.as_policy() for shift in shifts[pk]), tuple(away[pk])) for pk, zone in known.items()
    }


def certified(users: Iterable[int], *, at: datetime) -> dict[int, tuple[frozenset[str], frozenset[str]]]:
    """Give, per account, the skills certified now and those whose certificate has run out; one statement."""
    valid: dict[int, set[str]] = defaultdict(set)
    ended: dict[int, set[str]] = defaultdict(set)
    today = at.date()
    for row in Certificate.objects.standing().filter(user__in=list(users), issued_on__lte=today):
        (valid if row.expires_on >= today else ended)[row.user_id].add(row.skill)
    return {pk: (frozenset(valid[pk]), frozenset(ended[pk] - valid[pk])) for pk in {*valid, *ended}}


def person(user: User, *, at: datetime) -> Person:
    """Count what the router has to know of a colleague; the same few statements however much there is."""
    rota = rotas([user], at=at)[user.pk]
    skills, ended = certified([user.pk], at=at).get(user.pk, (frozenset(), frozenset()))
    in_work = dict(
        Pull.objects.in_work()
        .filter(by=user, idle_at__gt=at)
        .values_list("mode")
        .order_by("mode")
        .annotate(number=Count("pk"))
    )
    return Person(
        is_active=user.is_active and user.is_staff,
        is_away=is_away(rota, at),
        is_on_shift=is_on_shift(rota, at),
        share=user.customer_service_share,
        points=user.capacity_points,
        load=loads(at, of=[user.pk]).get(user.pk, 0),
        in_work={WorkMode(mode): number for mode, number in in_work.items()},
        chats_at_once=user.chats_at_once,
        written_at_once=user.written_at_once,
        skills=skills,
        ended=ended,
    )


def matter(conversation: Conversation, *, mode: WorkMode | None, is_theirs: bool = False) -> Matter:
    """Weigh a matter as the router sees it; up to two statements."""
    contacts = Interaction.objects.filter(conversation=conversation).count()
    return Matter(
        effort=effort(
            waits_for_us=conversation.state == ConversationState.OPEN,
            is_critical=conversation.queue_class == QueueClass.CRITICAL,
            contacts=contacts,
        ),
        demanded_skill=demanded_skill(conversation),
        is_theirs=is_theirs,
        mode=mode,
    )


def demanded_skill(conversation: Conversation) -> str:
    """The skill for which this matter asks a certificate here, "" for none."""
    skill = conversation.skill
    return skill if skill and RequiredSkill.objects.filter(skill=skill).exists() else ""


def mode_of(conversation: Conversation, *, at: datetime) -> WorkMode:
    """How closely working on this matter binds somebody now: a chat whose customer is still there is live."""
    is_live = (
        conversation.channel == Channel.CHAT
        and conversation.last_inbound_at is not None
        and conversation.last_inbound_at > at - LIVE_FOR
    )
    return WorkMode.LIVE if is_live else WorkMode.WRITTEN


def check(
    user: User, conversation: Conversation, *, at: datetime, mode: WorkMode | None, is_theirs: bool = False
) -> Person:
    """Lock the colleague's row, count exactly, and refuse with the reason when they may not take the matter on.

    mode: how they would work on it at once, None when they only come to look after it. is_theirs: it weighs on them
    already. Within the caller's transaction. Returns what was counted. Raises Refused.
    """
    locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    who, what = person(locked, at=at), matter(conversation, mode=mode, is_theirs=is_theirs)
    reason = may_take(who, what)
    if reason is not None:
        raise refusal(reason, user, who, skill=what.demanded_skill)
    if not is_theirs:
        carries(locked, who, what.effort)
    return who


def carries(user: User, who: Person, more: int) -> None:
    """Note on the account, for intake, whether it is full once it carries so many effort points more. Locked by the caller."""
    is_full = replace(who, load=who.load + more).is_full
    if is_full != user.is_full:
        user.is_full = is_full
        user.save(update_fields=["is_full"])


def check_skill(user: User, conversation: Conversation, *, at: datetime) -> None:
    """Refuse whoever lacks the certificate that a matter asks for; two statements. Raises NotCertified."""
    skill = demanded_skill(conversation)
    skills, ended = certified([user.pk], at=at).get(user.pk, (frozenset(), frozenset())) if skill else ((), ())
    if skill and skill not in skills:
        reason = RefusalReason.CERTIFICATE_ENDED if skill in ended else RefusalReason.NOT_CERTIFIED
        raise refusal(reason, user, Person(), skill=skill)


def refusal(reason: RefusalReason, user: User, who: Person, *, skill: str = "") -> Refused:
    """Say a refusal in words. Returns the exception, not raised."""
    named = {"who": str(user), "load": who.load, "cap": who.cap, "skill": skill_words(skill)}
    kind, words = {
        RefusalReason.NOT_HERE: (NotThere, _("%(who)s does not work here at the moment.")),
        RefusalReason.NO_SHARE: (NotThere, _("%(who)s has other work and takes no customer service.")),
        RefusalReason.AWAY: (NotThere, _("%(who)s is absent; please choose somebody who is here.")),
        RefusalReason.OFF_SHIFT: (NotThere, _("%(who)s is off shift; please choose somebody who is here.")),
        RefusalReason.OVERLOADED: (
            Overloaded,
            _("%(who)s already carries %(load)s of %(cap)s effort points; one more would be too much."),
        ),
        RefusalReason.TOO_MANY_AT_ONCE: (
            TooManyAtOnce,
            _("%(who)s works on enough at once. Please finish or put back one of those first."),
        ),
        RefusalReason.NOT_CERTIFIED: (
            NotCertified,
            _("This matter asks for the certificate “%(skill)s”, which %(who)s does not have."),
        ),
        RefusalReason.CERTIFICATE_ENDED: (
            NotCertified,
            _("This matter asks for the certificate “%(skill)s”; the one of %(who)s has run out."),
        ),
    }[reason]
    return kind(words % named)


def skill_words(skill: str) -> str:
    """A skill as people read it."""
    return _("writing in public") if skill == PUBLIC_WRITING else skill.replace("_", " ")


@transaction.atomic
def require(conversation_id: int, skill: str, *, at: datetime) -> None:
    """Note what it takes to settle a matter, once that is known. skill: a complaint type, "" for nothing special.

    The same again changes nothing. Raises Conversation.DoesNotExist.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if conversation.skill == skill:
        return
    before, conversation.skill = conversation.skill, skill
    conversation.save(update_fields=["skill"])
    history.record(
        conversation.customer,
        "conversation.skill",
        ref=f"conversation:{conversation.public_id}",
        by=None,
        at=at,
        detail={"before": before, "after": skill},
    )


def check_public(user: User, *, at: datetime) -> None:
    """Refuse whoever may not write where everybody can read it (R112, R113). Raises NotCertified."""
    is_certified = Certificate.objects.valid(at.date()).filter(user=user, skill=PUBLIC_WRITING).exists()
    is_demanded = RequiredSkill.objects.filter(skill=PUBLIC_WRITING).exists()
    if not may_write_publicly(user.line_of_work, is_certified=is_certified, is_demanded=is_demanded):
        raise NotCertified(
            _("Everybody can read what is written there. Please let somebody answer who is certified for it.")
        )
