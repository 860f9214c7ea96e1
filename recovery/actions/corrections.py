"""Levelling up: every Monday what lags is looked at, causes are named first, and a bounded credit lets a channel borrow slack.

A person agrees to what is proposed; credits begin by themselves only where a lead has let them. Only a later look ends a finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm import history
from crm.actions import alerts, credits
from crm.actions.promises import WordsMissing
from crm.channels import Channel
from crm.models import User
from crm.policy import CREDIT_GUARD, AlertKind
from recovery.actions import audits, back_pay, levels
from recovery.models import Correction, CreditSwitch, LevellingWeek, ParityAudit, ParityFinding
from recovery.parity.levelling import CAUSES, CorrectionKind, Gap, House, Lag, Step, plan
from recovery.policy import CORRECTION_NEXT, CorrectionState, FindingState

GUARD_MINUTES = int(CREDIT_GUARD.total_seconds()) // 60
BY_HAND = (*CAUSES, CorrectionKind.CAPACITY_MOVE)
"""What a person may note that nobody proposed."""
TO_CORRECT = (FindingState.OPEN, FindingState.CORRECTING)
"""What people explained or dispute is not corrected."""
CURE_OF = {
    "ingest_lag": CorrectionKind.INGEST_FIX,
    "remedy_in_full": CorrectionKind.BACKPAY_REMEDY,
    "remedy_part": CorrectionKind.BACKPAY_REMEDY,
}
"""Findings that no order of the queue can put right, and what does."""


class WrongCorrectionState(Exception):
    """The correction cannot go from its state to the wanted one."""

    code = "wrong_correction_state"


class CorrectionStands(Exception):
    """The same is being done for this channel already."""

    code = "correction_stands"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is being done about a finding, for whoever shows the finding. says: in words; state: CorrectionState; before and after:
    how much longer they waited, 1 is equal, None while not measured.
    """

    finding: int
    kind: str
    state: str
    says: str
    before: float | None
    after: float | None


def standing() -> list[Standing]:
    """Everything proposed or at work now, by finding, in the order in which it was proposed; one statement."""
    rows = Correction.objects.live().select_related("finding").order_by("finding", "pk")
    return [Standing(row.finding_id, row.kind, row.state, says(row), row.ratio_before, row.ratio_after) for row in rows]


def says(row: Correction) -> str:
    """One sentence about what a correction does."""
    on, percent = Channel(row.channel).label, f"{row.size:.0%}"
    match CorrectionKind(row.kind):
        case CorrectionKind.PRIORITY_CREDIT:
            text = _(
                "%(on)s: matters stand %(minutes)d minutes nearer when the next one is taken; who is due soon is not passed."
            )
            return text % {"on": on, "minutes": row.size}
        case CorrectionKind.INGEST_FIX if row.size:
            text = _("%(on)s: %(percent)s of what customers say reaches us too late. Mend the way in; no queue can.")
            return text % {"on": on, "percent": percent}
        case CorrectionKind.CERTIFY if row.size:
            text = _(
                "%(on)s: in %(percent)s of cases whoever was free lacked the certificate. Certify more colleagues."
            )
            return text % {"on": on, "percent": percent}
        case CorrectionKind.CAPACITY_MOVE if row.size:
            text = _("No reordering can fix this; you need %(hours).0f hours a week more.")
            return text % {"hours": row.size}
        case CorrectionKind.CAPACITY_MOVE:
            return _("No reordering can fix this; you need more hours, or hours at other times of the day.")
        case CorrectionKind.BACKPAY_REMEDY:
            text = ngettext(
                "%(number)d settled case got less than was owed. Please give the rest.",
                "%(number)d settled cases got less than was owed. Please give the rest.",
                int(row.size),
            )
            return text % {"number": row.size}
        case kind:
            return _("%(on)s: %(what)s.") % {"on": on, "what": kind.label}


# --- every Monday -----------------------------------------------------------------------------------------------------


def correct_levels(at: datetime) -> int:
    """Plan one step for every channel from the newest look and write it. Returns 1, or 0 when this week has been planned.

    Safe to repeat. What is measured for a channel begins with its last step, so that its effect comes before the next one.
    """
    week = _monday(at)
    look = ParityAudit.objects.exclude(report=None).defer("report", "dismissals").order_by("-id").first()
    if look is None or LevellingWeek.objects.filter(week=week).exists():
        return 0
    seen = _seen(look, at=at)
    try:
        with transaction.atomic():
            _write(week, look, seen, at=at)
    except IntegrityError:
        if not LevellingWeek.objects.filter(week=week).exists():
            raise
        return 0  # another worker was first
    return 1


@dataclass(frozen=True, slots=True)
class _Seen:
    lags: list[Lag]
    house: House
    skills: Mapping[str, list[str]]

    def gap(self, channel: str) -> Gap | None:
        return next((lag.gap for lag in self.lags if lag.channel == channel), None)


def _seen(look: ParityAudit, *, at: datetime) -> _Seen:
    stepped = dict(
        Correction.objects.filter(kind=CorrectionKind.PRIORITY_CREDIT, since__gt=look.since)
        .values_list("channel")
        .order_by("channel")
        .annotate(last=Max("since"))
    )
    whole = levels.gaps(since=look.since, until=look.until, at=look.at)
    later = {
        since: levels.gaps(since=since, until=look.until, at=look.at) if since < look.until else {}
        for since in set(stepped.values())
    }
    why = levels.causes(since=look.since, until=look.until)
    stands = set(_to_correct().filter(metric=levels.GAP_IN).values_list("channel", flat=True))
    minutes = credits.live()
    named = set(Correction.objects.filter(kind__in=CAUSES, finding__in=_to_correct()).values_list("channel", flat=True))
    guides = set(
        Correction.objects.live().filter(kind=CorrectionKind.GUIDE_FIX).values_list("channel", flat=True).order_by()
    )
    lags = [
        Lag(
            channel=channel,
            gap=later[stepped[channel]].get(channel) if channel in stepped else whole.get(channel),
            stands=channel in stands,
            credit=minutes.get(channel, 0),
            late_in=why.late_in.get(channel, 0.0),
            uncertified=why.uncertified.get(channel, 0.0),
            lacks_guide=channel in guides,
            causes_named=channel in named,
        )
        for channel in Channel.values
        if channel in whole or channel in minutes or channel in stands
    ]
    return _Seen(lags, levels.house(since=look.since, until=look.until, at=at), why.skills)


def _to_correct() -> Any:
    return ParityFinding.objects.filter(is_favoured=False, state__in=TO_CORRECT)


def _write(week: date, look: ParityAudit, seen: _Seen, *, at: datetime) -> None:
    planned = plan(seen.lags, seen.house)
    LevellingWeek.objects.create(
        week=week,
        at=at,
        look=look,
        promised=seen.house.promised,
        late=seen.house.late,
        offered=seen.house.offered,
        capacity=seen.house.capacity,
        says_hours=planned.says_hours,
        hours_short=planned.hours_short,
        lags=[_numbers(lag) for lag in seen.lags],
    )
    live = list(ParityFinding.objects.select_for_update().exclude(state=FindingState.VERIFIED).order_by("pk"))
    by_channel = {
        found.channel: found
        for found in live
        if found.metric == levels.GAP_IN and not found.is_favoured and found.state in TO_CORRECT
    }
    _measure(seen, at=at)
    _end_what_is_gone(at=at)
    switch = CreditSwitch.objects.order_by("-id").first()
    automatic = switch.by if switch is not None and switch.is_on else None
    for step in planned.steps:
        if step.kind == CorrectionKind.PRIORITY_CREDIT:
            _credit(step, by_channel.get(step.channel), look, seen, automatic=automatic, at=at)
        elif step.channel in by_channel:
            detail = {"skills": seen.skills.get(step.channel, [])} if step.kind == CorrectionKind.CERTIFY else {}
            _propose(step, by_channel[step.channel], look, seen, detail=detail, at=at)
    cured = [
        (found, CURE_OF[found.metric])
        for found in live
        if found.metric in CURE_OF and not found.is_favoured and found.state in TO_CORRECT
    ]
    pays = any(kind == CorrectionKind.BACKPAY_REMEDY for _found, kind in cured)
    owed = sum(1 for _case in back_pay.owed(at=at)) if pays else 0
    for found, kind in cured:
        size = float(owed) if kind == CorrectionKind.BACKPAY_REMEDY else 0.0
        if size or kind == CorrectionKind.INGEST_FIX:
            _propose(Step(kind, found.channel, size), found, look, seen, detail={}, at=at)
    steps = {"steps": len(planned.steps), "says_hours": planned.says_hours}
    history.record(None, "levels.looked_at", ref=f"week:{week}", by=None, at=at, detail=steps)


def _numbers(lag: Lag) -> dict[str, Any]:
    return {
        "channel": lag.channel,
        "ratio": lag.gap.ratio if lag.gap else None,
        "low": lag.gap.low if lag.gap else None,
        "lags": bool(lag.stands and lag.gap and lag.gap.lags),
        "credit": lag.credit,
        "late_in": lag.late_in,
        "uncertified": lag.uncertified,
    }


def _measure(seen: _Seen, *, at: datetime) -> None:
    """Note on what is at work how much longer its channel's customers wait now."""
    for row in Correction.objects.working().select_for_update().order_by("pk"):
        gap = seen.gap(row.channel)
        if gap is not None:
            row.ratio_after, row.after_low = gap.ratio, gap.low
            row.after_high = gap.high if gap.high != float("inf") else None
            row.save(update_fields=["ratio_after", "after_low", "after_high"])


def _end_what_is_gone(*, at: datetime) -> None:
    """End what was proposed or is at work for findings that a later look no longer found; a credit is let go step by step."""
    gone = Correction.objects.live().filter(finding__state=FindingState.VERIFIED)
    for row in gone.select_for_update(of=("self",)).order_by("pk"):
        if row.state == CorrectionState.PROPOSED or row.kind != CorrectionKind.PRIORITY_CREDIT:
            _end(row, by=None, at=at)


def _propose(
    step: Step, found: ParityFinding, look: ParityAudit, seen: _Seen, *, detail: dict[str, Any], at: datetime
) -> Correction | None:
    """Name one thing to people, once for a finding; what is proposed already gets its newest size."""
    of_kind = Correction.objects.select_for_update().filter(channel=step.channel, kind=step.kind)
    live = of_kind.live().order_by("pk").first()
    is_credit = step.kind == CorrectionKind.PRIORITY_CREDIT
    if is_credit:
        live = of_kind.filter(state=CorrectionState.PROPOSED).first()
    elif of_kind.filter(finding=found, state=CorrectionState.DECLINED).exists():
        return None
    gap = seen.gap(step.channel)
    if live is not None:
        if live.state == CorrectionState.PROPOSED:
            live.size, live.before, live.look, live.detail = step.size, step.before, look, detail
            live.ratio_before = gap.ratio if gap else live.ratio_before
            live.save(update_fields=["size", "before", "look", "detail", "ratio_before"])
        return live
    made = Correction.objects.create(
        finding=found,
        kind=step.kind,
        channel=step.channel,
        before=step.before,
        size=step.size,
        guard=GUARD_MINUTES if is_credit else None,
        look=look,
        ratio_before=gap.ratio if gap else None,
        detail=detail,
        proposed_at=at,
    )
    alerts.write(
        [
            alerts.told(
                AlertKind.LEVELS_LAG,
                key=str(made.public_id),
                at=at,
                detail={"channel": step.channel, "kind": step.kind.value},
            )
        ]
    )
    _record(made, "correction.proposed", by=None, at=at)
    return made


def _credit(
    step: Step, found: ParityFinding | None, look: ParityAudit, seen: _Seen, *, automatic: User | None, at: datetime
) -> None:
    """Propose a larger credit, or let it work where a lead has let credits run; a smaller one takes effect at once."""
    working = (
        Correction.objects.working()
        .select_for_update(of=("self",))
        .filter(channel=step.channel, kind=CorrectionKind.PRIORITY_CREDIT)
        .select_related("finding", "agreed_by")
        .first()
    )
    detail = {"most": seen.house.most}
    if step.size > step.before:
        if found is None:
            return
        made = _propose(step, found, look, seen, detail=detail, at=at)
        if made is not None and automatic is not None:
            _work(made, by=automatic, at=at)
        return
    Correction.objects.filter(
        channel=step.channel, kind=CorrectionKind.PRIORITY_CREDIT, state=CorrectionState.PROPOSED
    ).update(state=CorrectionState.ENDED, until=at)
    if working is None or step.size == 0:
        if working is not None:
            _end(working, by=None, at=at)
        credits.put(step.channel, minutes=0, most=seen.house.most, by=None, at=at)
        return
    _end(working, by=None, at=at)
    gap = seen.gap(step.channel)
    less = Correction.objects.create(
        finding=working.finding,
        kind=CorrectionKind.PRIORITY_CREDIT,
        channel=step.channel,
        state=CorrectionState.WORKING,
        before=step.before,
        size=step.size,
        guard=GUARD_MINUTES,
        look=look,
        ratio_before=gap.ratio if gap else None,
        detail=detail,
        proposed_at=at,
        agreed_by=working.agreed_by,
        since=at,
    )
    credits.put(step.channel, minutes=int(step.size), most=seen.house.most, by=None, at=at)
    _record(less, "correction.lessened", by=None, at=at)


# --- what people do ---------------------------------------------------------------------------------------------------


@transaction.atomic
def agree(correction_id: int, *, by: User, at: datetime) -> Correction:
    """Let a proposed correction work: a credit counts from now on, its finding is being put right.

    Raises Correction.DoesNotExist, WrongCorrectionState; then nothing has changed.
    """
    row = _locked(correction_id)
    if row.finding.state == FindingState.VERIFIED:
        raise WrongCorrectionState(_("A later look no longer finds what this was for; there is nothing to put right."))
    _may_become(row, CorrectionState.WORKING)
    return _work(row, by=by, at=at)


def _work(row: Correction, *, by: User, at: datetime) -> Correction:
    if row.kind == CorrectionKind.PRIORITY_CREDIT:
        before = Correction.objects.working().select_for_update().filter(channel=row.channel, kind=row.kind)
        for one in before:
            _end(one, by=by, at=at)
        credits.put(row.channel, minutes=int(row.size), most=row.detail["most"], by=by, at=at)
    row.state, row.agreed_by, row.since = CorrectionState.WORKING, by, at
    row.save(update_fields=["state", "agreed_by", "since"])
    _record(row, "correction.agreed", by=by, at=at)
    if row.finding.state != FindingState.CORRECTING:
        words = row.words or says(row)
        audits.answer_finding(row.finding_id, state=FindingState.CORRECTING, words=words, by=by, at=at)
    return row


@transaction.atomic
def decline(correction_id: int, *, words: str, by: User, at: datetime) -> Correction:
    """Do not do what is proposed, and say why. A cause is not proposed again for the same finding; a credit may be.

    Raises Correction.DoesNotExist, promises.WordsMissing, WrongCorrectionState; then nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please say why this shall not be done."))
    row = _locked(correction_id)
    _may_become(row, CorrectionState.DECLINED)
    row.state, row.words, row.until, row.ended_by = CorrectionState.DECLINED, words.strip()[:2000], at, by
    row.save(update_fields=["state", "words", "until", "ended_by"])
    _record(row, "correction.declined", by=by, at=at)
    return row


@transaction.atomic
def end(correction_id: int, *, words: str, by: User, at: datetime) -> Correction:
    """Note that a correction is done or shall work no longer; a credit ends at once.

    Raises Correction.DoesNotExist, promises.WordsMissing, WrongCorrectionState; then nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please say what was done, or why it shall end."))
    row = _locked(correction_id)
    if row.state != CorrectionState.WORKING:
        raise WrongCorrectionState(_("This is not at work."))
    row.words = words.strip()[:2000]
    if row.kind == CorrectionKind.PRIORITY_CREDIT:
        credits.put(row.channel, minutes=0, most=row.detail["most"], by=by, at=at)
    _end(row, by=by, at=at)
    return row


@transaction.atomic
def note(finding_id: int, *, kind: CorrectionKind, words: str, by: User, at: datetime) -> Correction:
    """Note what is done about a finding that nobody proposed; it is at work from now on, under this name.

    kind: one of BY_HAND. Raises ParityFinding.DoesNotExist, promises.WordsMissing, WrongCorrectionState, CorrectionStands; then
    nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please say what is done."))
    found = ParityFinding.objects.select_for_update().get(pk=finding_id)
    if kind not in BY_HAND or found.is_favoured or found.state == FindingState.VERIFIED:
        raise WrongCorrectionState(_("This cannot be noted for this finding."))
    if Correction.objects.live().filter(channel=found.channel, kind=kind).exists():
        raise CorrectionStands(_("The same is proposed or at work for this channel already."))
    row = Correction.objects.create(
        finding=found, kind=kind, channel=found.channel, size=0, look=found.seen_by, words=words.strip()[:2000],
        proposed_at=at, ratio_before=found.value if found.effect == "time_ratio" else None,
    )  # fmt: skip
    return _work(row, by=by, at=at)


@transaction.atomic
def let_credits_run(*, is_on: bool, by: User, at: datetime) -> None:
    """Say whether credits of the weekly duty begin by themselves, in this name, or wait for a person each time."""
    if runs_by_itself() == is_on:
        return
    CreditSwitch.objects.create(is_on=is_on, by=by, at=at)
    history.record(None, "levels.switched", ref="levels", by=by, at=at, detail={"is_on": is_on})


def runs_by_itself() -> bool:
    """Whether credits begin by themselves; they do not until a lead lets them."""
    newest = CreditSwitch.objects.order_by("-id").first()
    return newest is not None and newest.is_on


def _locked(correction_id: int) -> Correction:
    """A correction and its finding, locked in the order in which the duty locks them."""
    finding = Correction.objects.values_list("finding", flat=True).get(pk=correction_id)
    ParityFinding.objects.select_for_update().get(pk=finding)
    return Correction.objects.select_for_update(of=("self",)).select_related("finding").get(pk=correction_id)


def _may_become(row: Correction, wanted: CorrectionState) -> None:
    if wanted not in CORRECTION_NEXT[CorrectionState(row.state)]:
        raise WrongCorrectionState(
            _("What is “%(now)s” cannot become “%(wanted)s”.")
            % {"now": CorrectionState(row.state).label, "wanted": wanted.label}
        )


def _end(row: Correction, *, by: User | None, at: datetime) -> None:
    row.state, row.until, row.ended_by = CorrectionState.ENDED, max(at, row.since or at), by
    row.save(update_fields=["state", "until", "ended_by", "words"])
    _record(row, "correction.ended", by=by, at=at)


def _record(row: Correction, verb: str, *, by: User | None, at: datetime) -> None:
    detail = {"channel": row.channel, "kind": row.kind, "before": row.before, "size": row.size}
    history.record(None, verb, ref=f"correction:{row.public_id}", by=by, at=at, detail=detail)


def _monday(at: datetime) -> date:
    day = timezone.localdate(at, ZoneInfo(settings.EVENHAND_ZONE))
    return day - timedelta(days=day.weekday())
