"""Grading again without knowing how a matter came: drawn by a rule nobody can bend, graded by who had no part in it (C.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from crm import history
from crm.actions import endings
from crm.language.cues import without_cues
from crm.models import (
    Certificate,
    Closing,
    ContactPoint,
    Conversation,
    Dismissal,
    Interaction,
    OwnerChange,
    Pull,
    RequiredSkill,
    User,
)
from crm.policy import Direction, HowClosed
from recovery import policy
from recovery.actions.probes import of_customer as probes_of
from recovery.models import (
    Case,
    Decision,
    Grading,
    MannerSheet,
    Regrade,
    RegradeSkip,
    Settlement,
)
from recovery.policy import (
    GOOD_MANNER,
    Facts,
    Manner,
    Outcome,
    RegradeKind,
    Severity,
    SkipReason,
    Status,
)

if TYPE_CHECKING:
    from recovery.parity.regrades import Line, Regraded

DRAWN_FROM = timedelta(days=8)
"""How far back a night's draw reaches; the rule is the same every night, so a night that was missed is made up for."""
WINDOW = timedelta(days=91)
"""Gradings of so many days are compared: a few in a hundred matters are not many in four weeks."""
SHOWN = 200
"""Messages of one matter that are shown; the first ones tell what it is about."""


class NothingToGrade(Exception):
    """No matter waits that this colleague may grade."""

    code = "nothing_to_grade"


class WrongRegrade(Exception):
    """The matter cannot take this step now."""

    code = "wrong_regrade"


# --- drawn ------------------------------------------------------------------------------------------------------------


def draw(at: datetime) -> int:
    """Draw among the matters that ended in the last days, every one in the same share; give back what was left lying.

    Returns how many are new. Safe to repeat: whether a matter is drawn follows from its public id and our key alone.
    """
    new = [
        Regrade(conversation_id=number, kind=kind, looks_at_id=decision, drawn_at=at)
        for number, kind, decision in _drawn(since=at - DRAWN_FROM, until=at)
    ]
    with transaction.atomic():
        before = Regrade.objects.count()
        Regrade.objects.bulk_create(new, ignore_conflicts=True, batch_size=1_000)
        for left in Regrade.objects.select_for_update().filter(done_at=None, taken_at__isnull=False).order_by("pk"):
            if left.taken_at is not None and policy.is_left_lying(left.taken_at, at=at):
                left.taken_by, left.taken_at = None, None
                left.save(update_fields=["taken_by", "taken_at"])
        return Regrade.objects.count() - before


def _drawn(*, since: datetime, until: datetime) -> Iterator[tuple[int, RegradeKind, int | None]]:
    """Conversations that are drawn and not yet among those drawn: key, what is asked, and the grading of a case."""
    share = settings.EVENHAND_REGRADED_SHARE
    ours = Conversation.objects.filter(imported=False).exclude(Exists(probes_of(OuterRef("customer"))))
    ours = ours.exclude(Exists(Regrade.objects.filter(conversation=OuterRef("pk"))))
    settlements = Settlement.objects.filter(case=OuterRef("pk"), at__gte=since, at__lt=until)
    settled = Case.objects.filter(Exists(settlements), status=Status.RESOLVED, conversation__in=ours)
    newest = Decision.objects.filter(case__in=settled).order_by("case_id", "-pk").distinct("case_id")
    graded = dict(newest.values_list("case__conversation", "pk"))
    rows = settled.order_by("pk").values_list("conversation", "conversation__public_id", "outcome")
    for number, public_id, outcome in rows.iterator():
        if number in graded and _is_drawn(public_id, policy.share_of(outcome, share=share)):
            yield number, RegradeKind.CASE, graded[number]
    kinds = {HowClosed.DISMISSED: RegradeKind.DISMISSAL, HowClosed.CLOSED: RegradeKind.ANSWERED}
    ended = Closing.objects.filter(
        at__gte=since, at__lt=until, reopened_at=None, how__in=kinds, conversation__in=ours
    ).exclude(Exists(Case.objects.filter(conversation=OuterRef("conversation"))))
    found = ended.order_by("pk").values_list("conversation", "conversation__public_id", "how")
    for number, public_id, how in found.iterator():
        if _is_drawn(public_id, share):
            yield number, kinds[HowClosed(how)], None


def _is_drawn(public_id: object, share: float) -> bool:
    digest = salted_hmac("recovery.regrading", str(public_id), algorithm="sha256").digest()
    return policy.is_drawn(digest, share=share)


# --- graded -----------------------------------------------------------------------------------------------------------


def for_colleague(by: User, *, at: datetime) -> QuerySet[Regrade]:
    """Matters that wait and that this colleague may grade: nobody's now, with no part of theirs in it, and of a skill they have."""
    case, talk = OuterRef("looks_at__case"), OuterRef("conversation")
    had_a_part = [
        Interaction.objects.filter(conversation=talk, author=by),
        OwnerChange.objects.filter(Q(before=by) | Q(after=by), conversation=talk),
        Pull.objects.filter(conversation=talk, by=by),
        Dismissal.objects.filter(conversation=talk, dismissed_by=by),
        Closing.objects.filter(conversation=talk, closed_by=by),
        Case.objects.filter(conversation=talk, owner=by),
        Decision.objects.filter(case=case, decided_by=by),
        Settlement.objects.filter(case=case, settled_by=by),
        RegradeSkip.objects.filter(regrade=OuterRef("pk"), by=by),
    ]
    waiting = Regrade.objects.filter(done_at=None, taken_by=None).exclude(conversation__owner=by)
    for part in had_a_part:
        waiting = waiting.exclude(Exists(part))
    theirs = Certificate.objects.filter(user=by).valid(timezone.localdate(at, _zone())).values("skill")
    beyond = RequiredSkill.objects.exclude(skill__in=theirs).values("skill")
    return waiting.exclude(conversation__skill__in=beyond)


@transaction.atomic
def take_next(*, by: User, at: datetime) -> Regrade:
    """Take on the matter that has waited longest among those this colleague may grade; they have one at a time.

    Nobody chooses: asking again gives the same one until it is graded or left to another. Raises NothingToGrade.
    """
    User.objects.select_for_update().get(pk=by.pk)
    standing = Regrade.objects.filter(taken_by=by, done_at=None).first()
    if standing is not None:
        return standing
    found = for_colleague(by, at=at).select_for_update(skip_locked=True, of=("self",)).order_by("pk").first()
    if found is None:
        raise NothingToGrade(_("Nothing waits that you may grade. Thank you for asking."))
    found.taken_by, found.taken_at = by, at
    found.save(update_fields=["taken_by", "taken_at"])
    return found


@transaction.atomic
def leave(regrade_id: int, *, reason: SkipReason, by: User, at: datetime) -> None:
    """Leave a matter to another, for a coded reason; it stays drawn. Raises Regrade.DoesNotExist, WrongRegrade."""
    found = _mine(regrade_id, by=by)
    RegradeSkip.objects.create(regrade=found, by=by, reason=reason, at=at)
    found.taken_by, found.taken_at = None, None
    found.save(update_fields=["taken_by", "taken_at"])
    _record(found, "regrade.left", by=by, at=at, reason=reason.value)


@transaction.atomic
def grade(regrade_id: int, *, facts: Facts, merit: Outcome, by: User, at: datetime, guess: str = "") -> Grading:
    """Note what this colleague reads in the words of a case; severity follows from the facts by the rules of the first grading.

    guess: the channel they think it came by, "" for no idea. Raises Regrade.DoesNotExist, WrongRegrade; then nothing has changed.
    """
    found = _mine(regrade_id, by=by)
    decision = found.looks_at
    if decision is None or merit not in policy.MERIT:
        raise WrongRegrade(_("This is not asked of this matter."))
    first = Severity(decision.entitlement["severity"])
    again = policy.entitlement_for(facts, decision.policy_version.as_policy()).severity
    outcome = str(Case.objects.values_list("outcome", flat=True).get(pk=decision.case_id))
    return _graded(
        found,
        Grading(
            regrade=found, by=by, at=at, facts=facts.as_data(), severity_first=first, severity=again,
            severity_difference=policy.severity_steps(first, again), merit_first=outcome, merit=merit,
            merit_difference=policy.merit_steps(outcome, merit),
        ),
        guess=guess,
    )  # fmt: skip


@transaction.atomic
def judge_dismissal(regrade_id: int, *, would_answer: bool, by: User, at: datetime, guess: str = "") -> Grading:
    """Say whether a dismissed matter should have been answered; if so, it is put before the second person who can open it (R010).

    Raises Regrade.DoesNotExist, WrongRegrade; then nothing has changed.
    """
    found = _mine(regrade_id, by=by)
    if found.kind != RegradeKind.DISMISSAL:
        raise WrongRegrade(_("This is not asked of this matter."))
    graded = _graded(found, Grading(regrade=found, by=by, at=at, would_answer=would_answer), guess=guess)
    if would_answer:
        endings.put_before_second_person(found.conversation_id, at=at)
    return graded


def _graded(found: Regrade, graded: Grading, *, guess: str) -> Grading:
    if Grading.objects.filter(regrade=found).exists():
        raise WrongRegrade(_("You have graded this already; that stands."))
    graded.save(force_insert=True)
    found.guess = guess
    if not _has_answers(found):
        found.done_at = graded.at
    found.save(update_fields=["guess", "done_at"])
    _record(found, "regrade.graded", by=graded.by, at=graded.at)
    return graded


@transaction.atomic
def score(regrade_id: int, *, manner: Manner, by: User, at: datetime, guess: str = "") -> MannerSheet:
    """Score how we answered, once the facts are graded (R111).

    Raises Regrade.DoesNotExist, WrongRegrade; then nothing has changed.
    """
    found = _mine(regrade_id, by=by)
    if not is_graded(found):
        raise WrongRegrade(_("Please grade the matter first, before you read what we answered."))
    if not _has_answers(found):
        raise WrongRegrade(_("Nothing was answered here."))
    sheet = MannerSheet.objects.create(
        regrade=found, by=by, at=at, friendly=manner.friendly, helpful=manner.helpful, sympathetic=manner.sympathetic
    )
    found.done_at, found.guess = at, found.guess or guess
    found.save(update_fields=["done_at", "guess"])
    _record(found, "regrade.scored", by=by, at=at)
    return sheet


def is_graded(found: Regrade) -> bool:
    """Whether what comes before the manner is done: of an answered matter nothing else is asked."""
    return found.kind == RegradeKind.ANSWERED or Grading.objects.filter(regrade=found).exists()


def _has_answers(found: Regrade) -> bool:
    return _said(found).filter(direction=Direction.OUTBOUND).exists()


def _mine(regrade_id: int, *, by: User) -> Regrade:
    found = (
        Regrade.objects.select_for_update(of=("self",)).select_related("looks_at__policy_version").get(pk=regrade_id)
    )
    if found.taken_by_id != by.pk or found.done_at is not None:
        raise WrongRegrade(_("This matter is not with you. Please take the next one."))
    return found


def _record(found: Regrade, verb: str, *, by: User, at: datetime, **detail: str) -> None:
    # Without the customer: on their page it would tell colleagues which matters are among those drawn.
    history.record(None, verb, ref=f"regrade:{found.public_id}", by=by, at=at, detail=detail)


# --- shown ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What one side said at a stretch, without what tells the channel. days_later: whole days after what stands before it."""

    ours: bool
    sentences: tuple[str, ...]
    days_later: int


def words_of(found: Regrade, *, with_ours: bool) -> list[Said]:
    """The words of a matter in their order; with_ours: also what we answered. No time of day, name, address or file is told."""
    said = _said(found)
    if not with_ours:
        said = said.filter(direction=Direction.INBOUND)
    told = list(said.select_related("author").order_by("spoke_at", "id")[:SHOWN])
    names = {one.author.display_name for one in told if one.author is not None}
    matter = Conversation.objects.select_related("customer").get(pk=found.conversation_id)
    names |= {matter.customer.display_name}
    names |= set(ContactPoint.objects.filter(customer=matter.customer_id).values_list("address", flat=True))
    shown: list[Said] = []
    before: datetime | None = None
    for one in told:
        ours = one.direction == Direction.OUTBOUND
        sentences = without_cues(one.text, subject="" if ours else one.subject, names=names)
        days = (one.spoke_at.date() - before.date()).days if before is not None else 0
        before = one.spoke_at
        if shown and shown[-1].ours == ours and days == 0:
            known = shown[-1]
            fresh = tuple(each for each in sentences if each not in known.sentences)
            shown[-1] = Said(ours, known.sentences + fresh, known.days_later)
        elif sentences:
            shown.append(Said(ours, sentences, days))
    return shown


def _said(found: Regrade) -> QuerySet[Interaction]:
    spoken = [Direction.INBOUND, Direction.OUTBOUND]
    return Interaction.objects.that_stand().filter(
        conversation=found.conversation_id, direction__in=spoken, withdrawn_at=None
    )


def done_this_week(by: User, *, at: datetime) -> int:
    """How many matters a colleague has graded again since Monday; the house asks for policy.WEEKLY_TARGET."""
    today = timezone.localtime(at, _zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    return Regrade.objects.filter(taken_by=by, done_at__gte=today - timedelta(days=today.weekday())).count()


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.EVENHAND_ZONE)


# --- compared ---------------------------------------------------------------------------------------------------------


def by_channel(since: datetime, until: datetime) -> list[Line]:
    """What gradings from since to before until say of each channel, beside all others: one line per metric and channel."""
    from recovery.parity import regrades

    return list(regrades.by_channel(rows(since, until)))


def rows(since: datetime, until: datetime) -> list[Regraded]:
    """The matters that were graded again from since to before until, under the channel they first came by; one statement.

    Those of agreed testers are left out, also where somebody found out after they were drawn.
    """
    from recovery.parity.regrades import Regraded

    found = Regrade.objects.filter(done_at__gte=since, done_at__lt=until).order_by("done_at", "id")
    found = found.exclude(Exists(probes_of(OuterRef("conversation__customer"))))
    made = []
    for one in found.select_related("conversation", "grading", "manner").iterator(chunk_size=2_000):
        graded, sheet = getattr(one, "grading", None), getattr(one, "manner", None)
        manner = Manner(sheet.friendly, sheet.helpful, sheet.sympathetic).index if sheet else None
        made.append(
            Regraded(
                number=one.conversation_id,
                channel=one.conversation.channel,
                severity=graded.severity if graded else "",
                severity_difference=graded.severity_difference if graded else None,
                merit=graded.merit if graded else "",
                merit_difference=graded.merit_difference if graded else None,
                overturned=graded.would_answer if graded else None,
                manner=manner,
                is_kind=None if manner is None else manner >= GOOD_MANNER,
                guessed=one.guess == one.conversation.channel if one.guess else None,
            )
        )
    return made


def behind(metric: str, channel: str, *, until: datetime) -> list[int]:
    """The matters of a channel that went the worse way by one metric, the newest first. Keys of conversations.

    Raises KeyError for a metric that is none of parity.regrades.METRICS.
    """
    from recovery.parity import regrades

    theirs = [one for one in rows(until - WINDOW, until) if one.channel == channel]
    return [one.number for one in reversed(theirs) if regrades.went_worse(one, metric)]
