"""The audit of our own work: every night and whenever somebody asks; what it finds stays open until it finds it no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, gates
from crm.actions.promises import WordsMissing
from crm.channels import PUBLIC
from crm.models import User
from crm.policy import AlertKind
from recovery.actions import outcomes, regrading
from recovery.models import ParityAudit, ParityFinding
from recovery.policy import BY_PEOPLE, FINDING_NEXT, FindingOrigin, FindingState, LaterLook, is_favoured, is_gone

if TYPE_CHECKING:
    from recovery.parity.audit import Audit
    from recovery.parity.effects import Estimate
    from recovery.parity.own import Matters

WINDOW = timedelta(days=28)
"""Matters of so many days are compared, and so many are behind the public response times (R062)."""
LISTED = 200
OTHERS = "others"
GATE = "parity"
"""While a finding stands, no new programme of kindness begins (R071)."""


class AnsweredMeanwhile(Exception):
    """Somebody else said something about it since it was read; theirs is not written over unread."""

    code = "answered_meanwhile"


class WrongFindingState(Exception):
    """The finding cannot go from its state to the wanted one."""

    code = "wrong_finding_state"


def parity_nightly(at: datetime) -> int:
    """Look at the last 28 whole days, once a night. Returns 1, or 0 when another worker was first. Safe to repeat."""
    until = timezone.make_aware(datetime.combine(timezone.localdate(at, _zone()), time.min), _zone())
    night = timezone.localdate(at, _zone())
    if ParityAudit.objects.filter(night=night).exists():
        return 0
    try:
        _look(since=until - WINDOW, until=until, at=at, night=night, by=None)
    except IntegrityError:
        if not ParityAudit.objects.filter(night=night).exists():
            raise
        return 0
    return 1


def look_now(*, by: User, at: datetime, window: timedelta = WINDOW) -> ParityAudit:
    """Look at the matters of a window that ends now. Its findings count like those of a night."""
    return _look(since=at - window, until=at, at=at, night=None, by=by)


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.EVENHAND_ZONE)


def _look(*, since: datetime, until: datetime, at: datetime, night: Any, by: User | None) -> ParityAudit:
    matters = outcomes.read(since=since, until=until, at=at)
    compared, dismissals = compare(matters)
    lines = [*_overall(compared), *_overall(dismissals), *_went_public(compared)]
    counted = {level: sum(line.verdict == level for line in lines) for level in ("red", "amber", "green", "grey")}
    with transaction.atomic():
        one_after_another()
        made = ParityAudit.objects.create(
            night=night,
            since=since,
            until=until,
            at=at,
            asked_by=by,
            matters=len(matters),
            dismissed=int(matters.dismissed["is"].sum()),
            content_hash=matters.content_hash,
            report=_report(compared),
            dismissals=_report(dismissals),
            **counted,
        )
        _follow(made, lines, since=since, at=at)
        _follow(made, _of_gradings(at), since=at - regrading.WINDOW, at=at)
        keep_gate(at=at)
        history.record(
            None,
            "parity.looked",
            ref=f"audit:{made.public_id}",
            by=by,
            at=at,
            detail={"matters": len(matters), **counted},
        )
    return made


def compare(matters: Matters) -> tuple[Audit | None, Audit | None]:
    """Compare the channels of these matters, like load with like load; and who was dismissed, and whose kindness was sent.

    None where there is nothing to compare.
    """
    from recovery.parity import audit as auditing
    from recovery.parity import own

    compared = (
        auditing.audit(own.cases_of(matters, public=public_channels()), strata_by=("type", "load"))
        if len(matters)
        else None
    )
    besides = len(matters.dismissed["is"]) or len(matters.gestures["sent"])
    dismissals = auditing.audit(own.besides_of(matters)) if besides else None
    return compared, dismissals


def public_channels() -> frozenset[str]:
    """Channels on which everybody can read along."""
    return frozenset(channel.value for channel in PUBLIC)


def _overall(audit: Audit | None) -> list[Any]:
    return list(audit.overall) if audit is not None else []


def _of_gradings(at: datetime) -> list[Any]:
    return [line.contrast for line in regrading.by_channel(at - regrading.WINDOW, at)]


def _went_public(audit: Audit | None) -> list[Any]:
    """Whether whoever goes public is served sooner: a comparison like the others, and a finding where it is credibly so (R061)."""
    from recovery.parity import public

    return [public.as_contrast(audit.went_public)] if audit is not None and audit.went_public is not None else []


def _report(audit: Audit | None) -> dict[str, Any] | None:
    from recovery.parity import report

    return report.of(audit, file="own", by_stratum=False, modified=0) if audit is not None else None


def _follow(made: ParityAudit, lines: Iterable[Any], *, since: datetime, at: datetime) -> None:
    """Open what is found anew, renew what is found again, and end what is gone. since: of the matters these lines compare."""
    by_key = {(line.metric, line.channel): line for line in lines}
    live = {
        (found.metric, found.channel): found
        for found in ParityFinding.objects.select_for_update().exclude(state=FindingState.VERIFIED).order_by("pk")
    }
    for key, line in by_key.items():
        if line.verdict == "red":
            _found(made, live.get(key), line, at=at)
    for key, found in live.items():
        line = by_key.get(key)
        look = LaterLook(line.verdict if line is not None else "", since)
        if found.opened_at > at:  # it rang while this look was read, which knows nothing of that yet
            continue
        if look.verdict != "red" and is_gone(look, opened_at=found.opened_at, held_by_pairs=found.held_by_pairs):
            found.state, found.ended_by = FindingState.VERIFIED, made
            found.save(update_fields=["state", "ended_by"])
            _record(found, "parity.finding_gone", by=None, at=at, detail={"audit": str(made.public_id)})


def one_after_another() -> None:
    """Let whoever opens or ends findings wait for whoever is doing so, until the end of their transaction.

    So nothing is opened twice, and the gate follows from all findings that stand, not from those that one of two could see.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ["findings"])


def keep_gate(*, at: datetime) -> None:
    """Keep new programmes of kindness from beginning while a finding stands, and no longer (R071)."""
    standing = ParityFinding.objects.exclude(state=FindingState.VERIFIED).count()
    if standing:
        gates.close(
            GATE,
            reason=_("customers of some channels are not treated like others (%(n)s findings stand).")
            % {"n": standing},
            at=at,
        )
    else:
        gates.reopen(GATE, at=at)


def _found(made: ParityAudit, known: ParityFinding | None, line: Any, *, at: datetime) -> None:
    effect = line.tested.effects[0]
    size = {"effect": effect.kind, "value": effect.value, "low": effect.low, "high": effect.high}
    favoured = is_favoured(line.metric, effect=effect.kind, value=effect.value)
    if known is not None:
        for name, value in size.items():
            setattr(known, name, value)
        known.is_favoured, known.seen_by, known.versus = favoured, made, line.versus
        known.save(update_fields=[*size, "is_favoured", "seen_by", "versus"])
        return
    found = ParityFinding.objects.create(
        metric=line.metric, channel=line.channel, versus=line.versus, is_favoured=favoured, found_by=made, seen_by=made,
        opened_at=at, **size,
    )  # fmt: skip
    detail = {"metric": line.metric, "channel": line.channel}
    alerts.write([alerts.told(AlertKind.PARITY_FOUND, key=str(found.public_id), at=at, detail=detail)])
    _record(found, "parity.found", by=None, at=at, detail=detail)


def rung(
    metric: str, channel: str, effect: Estimate, *, origin: FindingOrigin, how: str, day: date, at: datetime
) -> ParityFinding:
    """Open a finding for what rang between looks, or note on the one that stands that it rang; tell the leads.

    For a transaction that has called `one_after_another` and will call `keep_gate`, once there is a look. how: in a word, for the
    history. A finding keeps the size that its own origin told last.
    """
    size = {"effect": effect.kind, "value": effect.value, "low": effect.low, "high": effect.high}
    favoured = is_favoured(metric, effect=effect.kind, value=effect.value or 0.0)
    held = origin == FindingOrigin.PAIRS
    standing = ParityFinding.objects.select_for_update().exclude(state=FindingState.VERIFIED)
    found = standing.filter(metric=metric, channel=channel).first()
    if found is None:
        newest = ParityAudit.objects.order_by("-pk")[0]
        found = ParityFinding.objects.create(
            metric=metric, channel=channel, versus=OTHERS, is_favoured=favoured, found_by=newest, seen_by=newest,
            opened_at=at, origin=origin, rang_on=day, held_by_pairs=held, **size,
        )  # fmt: skip
    else:
        found.rang_on, found.held_by_pairs = day, found.held_by_pairs or held
        if found.origin == origin:
            found.is_favoured = favoured
            for name, value in size.items():
                setattr(found, name, value)
        found.save(update_fields=["rang_on", "held_by_pairs", "is_favoured", *size])
    detail = {"metric": metric, "channel": channel, "rang": how, "day": day.isoformat()}
    key = f"{found.public_id}:{origin.value}:{day}" if held else f"{found.public_id}:{day}"
    alerts.write([alerts.told(AlertKind.PARITY_FOUND, key=key, at=at, detail=detail)])
    _record(found, "parity.rang", by=None, at=at, detail=detail)
    return found


@transaction.atomic
def answer_finding(
    finding_id: int, *, state: FindingState, words: str, by: User, at: datetime, read: str | None = None
) -> ParityFinding:
    """Say why a difference is there, that it is being put right and how, or that it is disputed. Only a later audit ends it.

    read: when that was said which stood there while this was written, in ISO 8601, "" for nothing; None where nobody looked.
    Raises ParityFinding.DoesNotExist, promises.WordsMissing, WrongFindingState, AnsweredMeanwhile; then nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please say why this is so, or what is done about it."))
    found = ParityFinding.objects.select_for_update().get(pk=finding_id)
    before = FindingState(found.state)
    if state not in BY_PEOPLE or (state != before and state not in FINDING_NEXT[before]):
        raise WrongFindingState(
            _("A finding that is “%(before)s” cannot become “%(after)s”: only a later audit ends it.")
            % {"before": before.label, "after": FindingState(state).label}
        )
    if read is not None and read != (found.said_at.isoformat() if found.said_at else ""):
        raise AnsweredMeanwhile(
            _("%(who)s said something about it meanwhile. Please read it first.") % {"who": found.said_by}
        )
    found.state, found.words, found.said_by, found.said_at = state, words.strip()[:2000], by, at
    found.save(update_fields=["state", "words", "said_by", "said_at"])
    _record(found, "parity.finding_answered", by=by, at=at, detail={"before": before.value, "after": state.value})
    return found


def _record(
    found: ParityFinding, verb: str, *, by: User | None, at: datetime, detail: Mapping[str, Any] | None = None
) -> None:
    history.record(None, verb, ref=f"finding:{found.public_id}", by=by, at=at, detail=dict(detail or {}))


def matters_behind(metric: str, channel: str, *, since: datetime, until: datetime, at: datetime) -> list[int]:
    """The very matters of a channel to look at for one metric, the gravest first; at most LISTED. Keys of conversations.

    A yes/no outcome: those that went the worse way. A time: the longest, those without an end first.
    """
    from recovery.parity import own, regrades

    if metric in regrades.METRICS:
        return regrading.behind(metric, channel, until=at)[:LISTED]
    matters = outcomes.read(since=since, until=until, at=at)
    return own.behind(matters, metric, channel, public=public_channels())[:LISTED]
