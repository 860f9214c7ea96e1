"""How much one colleague carries, and who may take on what. Counted over everything they look after, never by medium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

POINTS_WAITING_FOR_US = 2
POINTS_WAITING_FOR_CUSTOMER = 1
POINTS_CRITICAL = 2
CONTACTS_PER_POINT = 5
POINTS_FOR_CONTACTS = 4
WAITING_COUNTS_FOR = timedelta(days=2)
"""A matter that waits for the customer weighs something for this long after our last words; then it has gone quiet."""
TALKS_AT_ONCE = 1
CHATS_AT_ONCE = 3
WRITTEN_AT_ONCE = 5
LIVE_FOR = timedelta(minutes=15)
"""Somebody who wrote in a chat this recently is still there and waits for the next words."""
SMALL_TEAM_BELOW = 10


class WorkMode(TextChoices):
    """How closely a matter binds the person who works on it (R118)."""

    TALK = "talk", _("talking")
    LIVE = "live", _("chatting")
    WRITTEN = "written", _("writing")


class RefusalReason(TextChoices):
    """Why the router gives somebody nothing more, or not this."""

    NOT_HERE = "not_here", _("the account is not in use")
    NO_SHARE = "no_share", _("takes no customer service")
    AWAY = "away", _("absent")
    OFF_SHIFT = "off_shift", _("off shift")
    OVERLOADED = "overloaded", _("has as much as they can carry")
    TOO_MANY_AT_ONCE = "too_many_at_once", _("has enough in work at once")
    NOT_CERTIFIED = "not_certified", _("has no certificate for it")
    CERTIFICATE_ENDED = "certificate_ended", _("the certificate has run out")


@dataclass(frozen=True, slots=True)
class Person:
    """What the router knows of a colleague. load: effort points carried now; points: what they carry at a share of 100.

    share: percent of their work that is customer service. in_work: matters they are working on at this moment, by mode.
    skills: certified now; ended: certified once, not any more.
    """

    is_active: bool = True
    is_away: bool = False
    is_on_shift: bool = True
    share: int = 100
    points: int = 120
    load: int = 0
    in_work: Mapping[WorkMode, int] = field(default_factory=dict)
    chats_at_once: int = CHATS_AT_ONCE
    written_at_once: int = WRITTEN_AT_ONCE
    skills: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()

    @property
    def cap(self) -> int:
        """Effort points this person carries at most."""
        return self.points * self.share // 100

    @property
    def is_full(self) -> bool:
        """Whether one more ordinary matter would be too much."""
        return self.load + POINTS_WAITING_FOR_US > self.cap


@dataclass(frozen=True, slots=True)
class Matter:
    """What somebody would take on. demanded_skill: "" when none is asked for. is_theirs: it weighs on them already.

    mode: None when they only come to look after it and do not begin to work on it now.
    """

    effort: int = POINTS_WAITING_FOR_US
    demanded_skill: str = ""
    is_theirs: bool = False
    mode: WorkMode | None = WorkMode.WRITTEN


def effort(*, waits_for_us: bool, is_critical: bool, contacts: int) -> int:
    """Say how many effort points one open matter weighs for its owner.

    contacts: how often something was said or noted. A long hard matter is credited, not charged (R141): every five
    contacts weigh a point, at most four, so whoever stays with it is given less beside it.
    Source: docs/adr/0015.
    """
    base = POINTS_WAITING_FOR_US if waits_for_us else POINTS_WAITING_FOR_CUSTOMER
    return base + (POINTS_CRITICAL if is_critical else 0) + min(contacts // CONTACTS_PER_POINT, POINTS_FOR_CONTACTS)


def may_take(person: Person, matter: Matter) -> RefusalReason | None:
    """Say why somebody may not take a matter on, None when they may. What is theirs already needs no room and no shift."""
    if not person.is_active:
        return RefusalReason.NOT_HERE
    if not matter.is_theirs:
        if person.share == 0:
            return RefusalReason.NO_SHARE
        if person.is_away:
            return RefusalReason.AWAY
        if not person.is_on_shift:
            return RefusalReason.OFF_SHIFT
        if person.load + matter.effort > person.cap:
            return RefusalReason.OVERLOADED
    if matter.mode is not None and person.in_work.get(matter.mode, 0) >= at_once(person, matter.mode):
        return RefusalReason.TOO_MANY_AT_ONCE
    if matter.demanded_skill and matter.demanded_skill not in person.skills:
        ended = matter.demanded_skill in person.ended
        return RefusalReason.CERTIFICATE_ENDED if ended else RefusalReason.NOT_CERTIFIED
    return None


def at_once(person: Person, mode: WorkMode) -> int:
    """Say how many matters of a mode somebody works on at once: one talk, up to three chats, a few written ones (R118)."""
    return {
        WorkMode.TALK: TALKS_AT_ONCE,
        WorkMode.LIVE: min(person.chats_at_once, CHATS_AT_ONCE),
        WorkMode.WRITTEN: person.written_at_once,
    }[mode]


def is_small_team(colleagues: int) -> bool:
    """Say whether so few work here that rotas and approvals are only in the way; clocks, rules and audit stay (R147)."""
    return colleagues < SMALL_TEAM_BELOW
