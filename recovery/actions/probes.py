"""Agreed test pairs: planned by few, told by people who agreed, answered like every matter, compared and ended with thanks (R051).

Nothing is sent by itself: each side is told by a person through a real door. What arrives from its address is matched by a sweep.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import identity
from crm.channels import Channel
from crm.models import ContactPoint, Conversation, Interaction, User
from recovery import policy
from recovery.models import Case, ParityProbe, ProbeSide
from recovery.policy import LONGEST_WINDOW, SHORTEST_WINDOW, Facts, ProbeState


class UnusableProbe(ValueError):
    """The pair cannot be planned like this."""

    code = "unusable_probe"


class WrongProbe(Exception):
    """The pair cannot take this step now."""

    code = "wrong_probe"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a pair as it is planned. kind, address: under which the tester speaks; text: what they tell."""

    channel: Channel
    kind: str
    address: str
    text: str


def of_customer(customer: Any) -> QuerySet[ProbeSide]:
    """Sides that this customer told (a key or an outer column): who has one is left out of figures about customers."""
    return ProbeSide.objects.filter(customer=customer)


def customers() -> QuerySet[ProbeSide, Any]:
    """Keys of the customers that are testers, as a query: they get no gesture, are asked nothing and count in no audit.

    Where those who answer can see or count single matters, testers are among them like everybody: what was missing there would
    tell which they are.
    """
    return ProbeSide.objects.filter(customer__isnull=False).values("customer")


@transaction.atomic
def plan(
    *,
    title: str,
    facts: Facts,
    consent: str,
    sides: Sequence[Side],
    begins_at: datetime,
    ends_at: datetime,
    by: User,
    at: datetime,
) -> ParityProbe:
    """Plan a pair: the same facts on two channels, each to be told at a moment drawn from the window by itself.

    consent: who agreed, and how. An address that a customer has used already cannot be a tester's: no real matter may be called a
    test afterwards. Raises UnusableProbe, identity.UnusableAddress; then nothing has changed.
    """
    if not (title.strip() and consent.strip()):
        raise UnusableProbe(_("Please give it a name, and say who agreed to it and how."))
    if len({side.channel for side in sides}) != 2 or len(sides) != 2 or not all(side.text.strip() for side in sides):
        raise UnusableProbe(_("A pair has two sides on two channels, and the words of both."))
    if not (at <= begins_at and SHORTEST_WINDOW <= ends_at - begins_at <= LONGEST_WINDOW):
        raise UnusableProbe(_("The window begins in the future and is a day to three months long."))
    told = [(side, identity.normalised(side.kind, side.address)) for side in sides]
    for side, address in told:
        is_known = ContactPoint.objects.filter(kind=side.kind, address=address).exists()
        if is_known or ProbeSide.objects.filter(kind=side.kind, address=address).exists():
            raise UnusableProbe(
                _("“%(address)s” is known already. A tester needs an address of their own.") % {"address": address}
            )
    if len({(side.kind, address) for side, address in told}) != 2:
        raise UnusableProbe(_("Both sides need an address of their own, or we would hear them as one person."))
    probe = ParityProbe.objects.create(
        title=title.strip(), facts=facts.as_data(), consent=consent.strip(), begins_at=begins_at, ends_at=ends_at,
        planned_by=by, planned_at=at,
    )  # fmt: skip
    chance, zone = random.SystemRandom(), ZoneInfo(settings.EVENHAND_ZONE)
    for side, address in told:
        ProbeSide.objects.create(
            probe=probe,
            channel=side.channel,
            kind=side.kind,
            address=address,
            text=side.text.strip(),
            tell_at=policy.moment_within(begins_at, ends_at, zone=zone, chance=chance),
        )
    _record(probe, "probe.planned", by=by, at=at)
    return probe


def match(at: datetime) -> int:
    """Find the matters that testers brought in since their pair was planned, by their address. Safe to repeat; returns how many."""
    found = 0
    waiting = ProbeSide.objects.filter(conversation=None, probe__state=ProbeState.PLANNED).select_related("probe")
    for side in waiting.order_by("pk"):
        theirs = ContactPoint.objects.filter(kind=side.kind, address=side.address, unlinked_at=None).values("customer")
        matter = _may_be(side.probe).filter(customer__in=theirs).order_by("spoke_at", "pk").first()
        # Not in the history: its time would tell colleagues which of the newest matters it is.
        found += matter is not None and _arrived(side.pk, matter)
    return found


def _may_be(probe: ParityProbe) -> QuerySet[Conversation]:
    """Matters that may be a side: of somebody whom we did not know when the pair was planned."""
    return Conversation.objects.filter(
        imported=False, spoke_at__gte=probe.planned_at, customer__created_at__gte=probe.planned_at
    )


@transaction.atomic
def _arrived(side_id: int, matter: Conversation) -> bool:
    side = ProbeSide.objects.select_for_update(of=("self",)).get(pk=side_id)
    if side.conversation_id is not None or ProbeSide.objects.filter(conversation=matter).exists():
        return False
    side.conversation, side.customer = matter, matter.customer
    side.save(update_fields=["conversation", "customer"])
    return True


@transaction.atomic
def name_matter(side_id: int, *, conversation: str, by: User, at: datetime) -> ProbeSide:
    """Say which matter a side became where its address did not tell: a withheld number, a letter.

    conversation: its public id. Another person than the planner says so, and only of somebody we did not know before: nobody can
    take a real matter out of the figures by calling it a test.
    Raises ProbeSide.DoesNotExist, WrongProbe; then nothing has changed.
    """
    side = ProbeSide.objects.select_related("probe").get(pk=side_id)
    probe = side.probe
    if probe.planned_by_id == by.pk:
        raise WrongProbe(_("Please let somebody else than the planner say which matter it is."))
    if probe.state != ProbeState.PLANNED:
        raise WrongProbe(_("This pair has ended."))
    matter = _may_be(probe).filter(public_id=conversation).first()
    if matter is None or not _arrived(side.pk, matter):
        raise WrongProbe(_("That cannot be this side: it is not of somebody new, came before, or is one already."))
    _record(probe, "probe.named", by=by, at=at)
    side.refresh_from_db()
    return side


@transaction.atomic
def end(probe_id: int, *, words: str, by: User, at: datetime) -> ParityProbe:
    """End a pair of which both sides were told. words: how both testers were thanked, and told truthfully what it was.

    From now on the timeline of both says that it was a test. Raises ParityProbe.DoesNotExist, WrongProbe; then nothing has changed.
    """
    probe = _locked(probe_id)
    sides = list(probe.sides.select_related("customer").order_by("pk"))
    if any(side.conversation_id is None for side in sides):
        raise WrongProbe(_("Not both sides have been told. A pair that will not be is withdrawn."))
    _ended(probe, ProbeState.ENDED, words, by=by, at=at)
    for side in sides:
        history.record(side.customer, "probe.ended", ref=f"probe:{probe.public_id}", by=by, at=at)
    return probe


@transaction.atomic
def withdraw(probe_id: int, *, words: str, by: User, at: datetime) -> ParityProbe:
    """Give up a pair before both sides were told. words: why. What was told already is answered on.

    A pair of which both were told is ended instead: it counts whatever came of it, or whoever dislikes what came of it could take
    it out of the evidence. Raises ParityProbe.DoesNotExist, WrongProbe; then nothing has changed.
    """
    probe = _locked(probe_id)
    if not probe.sides.filter(conversation=None).exists():
        raise WrongProbe(_("Both sides have been told, so it counts, whatever came of it. Please end it with thanks."))
    _ended(probe, ProbeState.WITHDRAWN, words, by=by, at=at)
    _record(probe, "probe.withdrawn", by=by, at=at)
    return probe


def _locked(probe_id: int) -> ParityProbe:
    probe = ParityProbe.objects.select_for_update(of=("self",)).get(pk=probe_id)
    if probe.state != ProbeState.PLANNED:
        raise WrongProbe(_("This pair has ended."))
    return probe


def _ended(probe: ParityProbe, state: ProbeState, words: str, *, by: User, at: datetime) -> None:
    if not words.strip():
        raise WrongProbe(_("Please say how both were thanked, or why it is withdrawn."))
    probe.state, probe.words, probe.ended_by, probe.ended_at = state, words.strip()[:2000], by, at
    probe.save(update_fields=["state", "words", "ended_by", "ended_at"])


def _record(probe: ParityProbe, verb: str, *, by: User, at: datetime) -> None:
    # Without customer and matter: colleagues who answer may read the history, and may know that there are pairs, not which.
    history.record(None, verb, ref=f"probe:{probe.public_id}", by=by, at=at)


# --- compared ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one side as of a moment. Times in hours; what has not come yet has waited until then.

    spoke_at: when it was told. severity: "" without a case. in_full: whether all that was owed was given; None where nothing was,
    or it is not settled.
    """

    side: int
    channel: str
    spoke_at: datetime
    first_response: float
    is_answered: bool
    resolution: float
    is_settled: bool
    severity: str
    in_full: bool | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of a pair, the one on the first channel in the order of their names first. is_spoiled: the planner had a part."""

    probe: ParityProbe
    one: Outcome
    other: Outcome
    is_spoiled: bool


def pairs(at: datetime, *, newest: int = 1_000) -> list[Pair]:
    """What became of the newest pairs of which both sides were told, the newest first; a few statements however many."""
    told = ProbeSide.objects.exclude(probe__state=ProbeState.WITHDRAWN)
    return _compared(told.order_by("-probe_id", "channel")[: 2 * newest], at=at)


def pairs_of(probe: ParityProbe, *, at: datetime) -> list[Pair]:
    """The same of one pair; empty until both sides were told."""
    return _compared(ProbeSide.objects.filter(probe=probe).order_by("channel"), at=at)


def pairs_as_of(probes: Collection[int], *, at: datetime) -> list[Pair]:
    """The same of these pairs (keys), as it stood then; the earliest planned first."""
    return _compared(ProbeSide.objects.filter(probe__in=probes).order_by("probe_id", "channel"), at=at)


def _compared(sides_told: QuerySet[ProbeSide], *, at: datetime) -> list[Pair]:
    from recovery.actions import outcomes
    from recovery.parity import own

    told = [side for side in sides_told.select_related("probe") if side.conversation_id is not None]
    both: dict[int, list[ProbeSide]] = defaultdict(list)
    for side in told:
        both[side.probe_id].append(side)
    numbers = [number for side in told if (number := side.conversation_id) is not None]
    if not numbers:
        return []
    since = min(side.probe.planned_at for side in told)
    matters = outcomes.read(since=since, until=at, at=at, of=numbers)
    place = {int(number): row for row, number in enumerate(matters.columns["number"])}
    worked = _worked_on(numbers, at=at)
    found = []
    for sides in both.values():
        known = [place[number] for side in sides if (number := side.conversation_id) in place and number is not None]
        if len(known) != 2:
            continue
        one, other = (
            _outcome(
                side,
                {name: int(column[row]) for name, column in matters.columns.items()},
                matters,
                unknown=own.UNKNOWN,
            )
            for side, row in zip(sides, known, strict=True)
        )
        everybody = {who for side in sides for who in worked[side.conversation_id]}
        probe = sides[0].probe
        spoiled = policy.is_spoiled(probe.planned_by_id, worked_on_it=everybody)
        found.append(Pair(probe, one, other, is_spoiled=spoiled))
    return found


def _outcome(side: ProbeSide, values: dict[str, int], matters: Any, *, unknown: int) -> Outcome:
    def hours(name: str) -> float:
        end = values[name] if values[name] != unknown else int(matters.at.timestamp())
        return (end - values["spoke_at"]) / 3600

    return Outcome(
        side=side.pk,
        channel=matters.channels[values["channel"]],
        spoke_at=datetime.fromtimestamp(values["spoke_at"], UTC),
        first_response=hours("answered_at"),
        is_answered=values["answered_at"] != unknown,
        resolution=hours("settled_at"),
        is_settled=values["settled_at"] != unknown,
        severity=matters.severities[values["severity"]],
        in_full=None if values["remedy_in_full"] == unknown else bool(values["remedy_in_full"]),
    )


def _worked_on(numbers: Sequence[int | None], *, at: datetime) -> dict[int | None, set[int]]:
    """Who wrote in a matter until then, or owns its case now."""
    who: dict[int | None, set[int]] = defaultdict(set)
    said = Interaction.objects.filter(conversation__in=numbers, author__isnull=False, spoke_at__lte=at).order_by()
    for number, author in said.values_list("conversation", "author").distinct():
        if author is not None:
            who[number].add(author)
    for number, owner in Case.objects.filter(conversation__in=numbers).values_list("conversation", "owner"):
        if owner is not None:
            who[number].add(owner)
    return who


def graver(own: Outcome, other: Outcome) -> int:
    """Steps by which one side was graded graver than the other; below 0 milder. Where no failure was found is below all."""
    order = ["", *policy.Severity.values]
    return order.index(own.severity) - order.index(other.severity)


def withdrawn_when_one_was_told() -> int:
    """How many pairs were given up although a side had been told: whoever did it could have seen how that side fared."""
    told = ProbeSide.objects.filter(probe__state=ProbeState.WITHDRAWN, conversation__isnull=False)
    return told.values("probe").distinct().count()
