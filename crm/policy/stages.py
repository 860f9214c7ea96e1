"""Where the relationship with a customer stands: derived by the stated rules below, in any direction, with its reason (R087).

It says how to begin a talk and nothing else. No rule of what is owed, promised, served next or given may read it; the
architecture tests hold that. Nothing here knows how many people follow somebody, what they spent or how they reached us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Stage(TextChoices):
    PROSPECT = "prospect", _("not a customer yet")
    NEW = "new", _("new")
    ACTIVE = "active", _("in touch")
    LOYAL = "loyal", _("with us for long")
    ADVOCATE = "advocate", _("recommends us")
    STRAINED = "strained", _("strained")
    ADVERSARY = "adversary", _("at odds with us")
    LAPSED = "lapsed", _("not heard of for long")
    WON_BACK = "won_back", _("back again")
    ENDED = "ended", _("ended")


class RelationshipKind(TextChoices):
    """What somebody is to us besides; several at once. Said by a person with evidence, never derived, least of all from reach."""

    INFLUENCER = "influencer", _("others ask them for advice")
    PARTNER = "partner", _("partner")
    SUPPLIER = "supplier", _("supplier")
    RESELLER = "reseller", _("sells what we make")
    PRESS = "press", _("writes for the press")
    EMPLOYEE = "employee", _("works here")
    NEIGHBOUR = "neighbour", _("neighbour of one of our places")


NEW_FOR = timedelta(days=90)
HEARD_WITHIN = timedelta(days=365)
LOYAL_AFTER = timedelta(days=730)
LOYAL_MATTERS = 3
MISSED_WITHIN = timedelta(days=90)
MISSED_STRAINS = 2
CAME_BACK_WITHIN = timedelta(days=365)
CAME_BACK_PARTS = 2
BACK_FOR = timedelta(days=180)

AWAY = frozenset({Stage.PROSPECT, Stage.LAPSED, Stage.ENDED})
"""Stages that say they do not talk to us; hearing from them is news about it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What we hold about one customer; times are aware, None for never.

    is_ended: the record is closed. matters: how many they began. open_cases: failures of ours that are not settled.
    came_back: how often one that we called settled was not, within CAME_BACK_WITHIN. missed: promises missed within MISSED_WITHIN.
    changed_at: when a case or a promise of theirs last changed.
    """

    is_ended: bool = False
    first_heard_at: datetime | None = None
    last_heard_at: datetime | None = None
    matters: int = 0
    open_cases: int = 0
    came_back: int = 0
    missed: int = 0
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The stage that counts until now, since when, and whether a person said so."""

    stage: Stage
    since: datetime
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class StageRule:
    """One rule: when it holds, this is the stage. words: the reason, with numbers of `Known`; from: which evidence shows it."""

    code: str
    stage: Stage
    words: Any
    holds: Callable[[Known, Standing | None, datetime], bool]
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Derived:
    """What the rules say: the stage, the rule, and its reason in words."""

    stage: Stage
    rule: str
    because: str


def _within(moment: datetime | None, span: timedelta, at: datetime) -> bool:
    return moment is not None and moment > at - span


def _is_back(known: Known, standing: Standing | None, at: datetime) -> bool:
    if standing is None or known.last_heard_at is None:
        return False
    if standing.stage in (Stage.LAPSED, Stage.ENDED):
        return known.last_heard_at > standing.since
    return standing.stage == Stage.WON_BACK and _within(standing.since, BACK_FOR, at)


RULES: tuple[StageRule, ...] = (
    StageRule("ended", Stage.ENDED, _("The record is closed."), lambda known, _standing, _at: known.is_ended),
    StageRule(
        "came_back_often",
        Stage.ADVERSARY,
        _("A case is open, and %(came_back)d times within a year something we called settled was not."),
        lambda known, _standing, _at: known.open_cases > 0 and known.came_back >= CAME_BACK_PARTS,
        "cases",
    ),
    StageRule(
        "missed_promises",
        Stage.STRAINED,
        _("%(missed)d promises were missed within 90 days."),
        lambda known, _standing, _at: known.missed >= MISSED_STRAINS,
        "missed",
    ),
    StageRule(
        "missed_with_case",
        Stage.STRAINED,
        _("A case is open, and a promise was missed within 90 days."),
        lambda known, _standing, _at: known.open_cases > 0 and known.missed > 0,
        "missed",
    ),
    StageRule(
        "case_came_back",
        Stage.STRAINED,
        _("A case is open, and something we called settled within a year was not."),
        lambda known, _standing, _at: known.open_cases > 0 and known.came_back > 0,
        "cases",
    ),
    StageRule(
        "never_heard",
        Stage.PROSPECT,
        _("They have not talked to us yet."),
        lambda known, _standing, _at: known.last_heard_at is None,
    ),
    StageRule(
        "not_heard",
        Stage.LAPSED,
        _("We have not heard from them for a year."),
        lambda known, _standing, at: not _within(known.last_heard_at, HEARD_WITHIN, at),
        "matter",
    ),
    StageRule(
        "heard_again",
        Stage.WON_BACK,
        _("They talked to us again after they had been away; that counts for 180 days."),
        _is_back,
        "matter",
    ),
    StageRule(
        "first_heard",
        Stage.NEW,
        _("They first talked to us within 90 days."),
        lambda known, _standing, at: _within(known.first_heard_at, NEW_FOR, at),
        "matter",
    ),
    StageRule(
        "long_with_us",
        Stage.LOYAL,
        _("They have talked to us for two years, about %(matters)d matters, and within the last year."),
        lambda known, _standing, at: (
            known.matters >= LOYAL_MATTERS and not _within(known.first_heard_at, LOYAL_AFTER, at)
        ),
        "matter",
    ),
    StageRule(
        "in_touch",
        Stage.ACTIVE,
        _("They have talked to us within a year."),
        lambda _known, _standing, _at: True,
        "matter",
    ),
)
"""In this order; the first that holds counts. That somebody recommends us is proved by nothing we hold, so a person says it."""


def stands_by_a_person(known: Known, standing: Standing) -> bool:
    """Whether what a person said still counts: until a case or a promise changes, or somebody who was away talks to us.

    Time alone changes nothing about it. A closed record is ended whatever was said.
    """
    if not standing.by_person or known.is_ended:
        return False
    news = [known.changed_at, known.last_heard_at if standing.stage in AWAY else None]
    return not any(moment is not None and moment > standing.since for moment in news)


def derive(known: Known, standing: Standing | None, *, at: datetime) -> Derived | None:
    """Say where the relationship stands at `at` (aware); None while what a person said counts.

    Source: RULES, printed in docs/stages.md. Equal knowledge gives the equal stage.
    """
    if standing is not None and stands_by_a_person(known, standing):
        return None
    rule = next(rule for rule in RULES if rule.holds(known, standing, at))
    numbers = {"came_back": known.came_back, "missed": known.missed, "matters": known.matters}
    return Derived(rule.stage, rule.code, str(rule.words) % numbers)


HINTS: dict[str, Any] = {
    Stage.PROSPECT: _("They do not know us yet. Say who you are and answer what they ask; offer nothing beside it."),
    Stage.NEW: _("Much is new to them. Say who you are, and explain one step more than usual."),
    Stage.ACTIVE: _("Nothing out of the ordinary. Begin with what they asked."),
    Stage.LOYAL: _(
        "They have known us for long. Do not explain what they know, and thank them where they had to wait."
    ),
    Stage.ADVOCATE: _("They have spoken well of us. A thank you is enough; ask for nothing."),
    Stage.STRAINED: _("Begin with what happens now and by when, then say what went wrong. Promise only what is sure."),
    Stage.ADVERSARY: _(
        "Listen first and let them finish. Keep to what is true, say what you will do, and do exactly that."
    ),
    Stage.LAPSED: _(
        "It has been a while. Do not expect them to know names or numbers of ours, and do not ask where they were."
    ),
    Stage.WON_BACK: _("They gave us another chance. See that this one goes without a hitch; no fuss about it."),
    Stage.ENDED: _("They are no longer with us. Help with what they ask, and do not ask them to come back."),
}
"""How to talk, in a sentence; it says nothing about what to give."""
