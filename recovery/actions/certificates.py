"""Certificates of equal treatment: one for every month, whatever it shows; and whether they stand in public (R070)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from crm import history
from crm.channels import PUBLIC, Channel
from crm.models import Conversation, User
from recovery.actions import audits, outcomes
from recovery.models import Disclosure, ParityCertificate, ParityFinding
from recovery.policy import CertificateResult, FindingState, Pool, metric_result, whole_result

if TYPE_CHECKING:
    from recovery.parity.audit import Audit
    from recovery.parity.contrasts import Contrast
    from recovery.parity.own import Matters

MATURES = timedelta(days=7)
"""A month is looked at so long after its end, so that whoever spoke on its last day could be answered."""
CAUGHT_UP = 12
"""Months back for which a certificate that is missing is still issued; as of the same moment as if it had been issued in time."""

GROUPS: dict[str, str] = {
    **dict.fromkeys((Channel.PHONE, Channel.CHAT, Channel.STORE, Channel.FIELD), Pool.LIVE),
    **dict.fromkeys((Channel.EMAIL, Channel.WEB_FORM, Channel.APP, Channel.SMS), Pool.WRITTEN),
    **dict.fromkeys((Channel.LETTER, Channel.SOCIAL_DIRECT), Pool.WRITTEN),
    **dict.fromkeys(PUBLIC, Pool.PUBLIC),
}
"""Pooled for houses with few matters, and named as such (domain.md D.4)."""


def certificate_monthly(at: datetime) -> int:
    """Issue a certificate for every month that has none and ended a week ago; red months too. Returns how many.

    Safe to repeat: a month has one certificate. Before the first matter of the house there is nothing to certify.
    """
    first_of_this = timezone.localdate(at, _zone()).replace(day=1)
    months = [_before(first_of_this, number) for number in range(1, CAUGHT_UP + 1)]
    there = set(ParityCertificate.objects.filter(month__in=months).values_list("month", flat=True))
    issued = 0
    for month in reversed(months):
        since, until = _begins(month), _begins(_after(month))
        if month in there or at < until + MATURES or not _has_begun(until):
            continue
        try:
            with transaction.atomic():
                _issue(month, since=since, until=until, at=at)
        except IntegrityError:
            if not ParityCertificate.objects.filter(month=month).exists():
                raise
            continue  # another worker was first
        issued += 1
    return issued


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.EVENHAND_ZONE)


def _before(month: date, number: int) -> date:
    years, place = divmod(month.year * 12 + month.month - 1 - number, 12)
    return date(years, place + 1, 1)


def _after(month: date) -> date:
    return _before(month, -1)


def _begins(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min), _zone())


def _has_begun(until: datetime) -> bool:
    return Conversation.objects.filter(imported=False, spoke_at__lt=until).exists()


def _issue(month: date, *, since: datetime, until: datetime, at: datetime) -> ParityCertificate:
    from recovery.parity import groups

    as_of = until + MATURES
    matters = outcomes.read(since=since, until=until, at=as_of)
    alone = list(_overall(audits.compare(matters)))
    together = list(_overall(audits.compare(groups.pooled(matters, GROUPS))))
    metrics = [
        _metric(
            name, [each for each in alone if each.metric == name], [each for each in together if each.metric == name]
        )
        for name in dict.fromkeys(each.metric for each in (*alone, *together))
    ]
    made = ParityCertificate.objects.create(
        month=month,
        since=since,
        until=until,
        at=as_of,
        issued_at=at,
        result=whole_result(CertificateResult(each["result"]) for each in metrics),
        matters=len(matters),
        dismissed=int(matters.dismissed["is"].sum()),
        counts=_counts(matters),
        metrics=metrics,
        content_hash=matters.content_hash,
        rows_hash=rows_hash(matters),
    )
    detail = {"month": f"{month:%Y-%m}", "result": made.result, "matters": made.matters}
    history.record(None, "parity.certified", ref=f"certificate:{made.public_id}", by=None, at=at, detail=detail)
    return made


def _overall(found: Iterable[Audit | None]) -> Iterator[Contrast]:
    for audit in found:
        if audit is not None:
            yield from audit.overall


def _metric(name: str, alone: list[Contrast], pooled: list[Contrast]) -> dict[str, Any]:
    from recovery.parity import verdicts

    alone, pooled = ([each for each in lines if each.n] for lines in (alone, pooled))
    shown = (*alone, *pooled)
    judged = ((each.verdict for each in lines if not _had_none(each)) for lines in (alone, pooled))
    kind = shown[0].tested.effects[0].kind if shown else ""
    margin = verdicts.margin_of(name, kind) if kind else None
    return {
        "metric": name,
        "result": metric_result(*judged).value,
        "margin": {"effect": kind, "low": margin.low, "high": margin.high} if margin else None,
        "channels": [_place(each) for each in alone],
        "groups": [_place(each) for each in pooled],
    }


def _had_none(line: Contrast) -> bool:
    """Whether an amount or a count was nought for everybody on both sides, so that there is nothing to be alike in.

    Whether it happened at all is a comparison of its own, with exact bounds.
    """
    size, *shares = line.tested.effects
    counted = size.kind in ("amount_ratio", "count_ratio") and size.value is None and line.tested.p is None
    return counted and [each.value for each in shares] == [0.0]


def _place(line: Contrast) -> dict[str, Any]:
    effect = line.tested.effects[0]
    return {
        "name": line.channel, "verdict": line.verdict, "effect": effect.kind, "estimate": effect.value, "low": effect.low,
        "high": effect.high, "n": line.n, "n_versus": line.n_versus, "n_needed": line.n_needed,
    }  # fmt: skip


def _counts(matters: Matters) -> dict[str, int]:
    import numpy as np

    counted = np.bincount(matters.columns["channel"], minlength=len(matters.channels))
    return {name: int(number) for name, number in zip(matters.channels, counted, strict=True) if number}


def rows_hash(matters: Matters) -> str:
    """The SHA-256 of the file of rows, byte for byte as it is handed out."""
    from recovery.parity import own

    made = hashlib.sha256()
    for line in own.csv_lines(matters):
        made.update(line.encode())
    return made.hexdigest()


def as_told(certificate: ParityCertificate) -> dict[str, Any]:
    """What a certificate says, for programs: counts and comparisons, no persons."""
    return {
        "month": f"{certificate.month:%Y-%m}",
        "result": certificate.result,
        "since": certificate.since.isoformat(),
        "until": certificate.until.isoformat(),
        "as_of": certificate.at.isoformat(),
        "issued_at": certificate.issued_at.isoformat(),
        "matters": certificate.matters,
        "needed_no_answer": certificate.dismissed,
        "matters_by_channel": certificate.counts,
        "metrics": certificate.metrics,
        "groups": {pool: sorted(name for name, of in GROUPS.items() if of == pool) for pool in Pool.values},
        "content_hash": certificate.content_hash,
        "rows_sha256": certificate.rows_hash,
    }


@dataclass(frozen=True, slots=True)
class Checked:
    """What the rows say today. same_rows: the file is what it was, byte for byte; matters: how many there are now."""

    same_rows: bool
    matters: int


def check(certificate: ParityCertificate) -> Checked:
    """Read the month again, as of the certificate's moment, and compare. Records that were erased or made one since then tell."""
    matters = outcomes.read(since=certificate.since, until=certificate.until, at=certificate.at)
    return Checked(rows_hash(matters) == certificate.rows_hash, len(matters))


# --- in public -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def publish(*, is_public: bool, by: User, at: datetime) -> bool:
    """Show all certificates to everybody, or no longer; never some of them alone. Returns whether that changed anything."""
    newest = Disclosure.objects.select_for_update().order_by("-id").first()
    if (newest is not None and newest.is_public) == is_public:
        return False
    Disclosure.objects.create(is_public=is_public, by=by, at=at)
    history.record(None, "parity.published" if is_public else "parity.unpublished", ref="certificates", by=by, at=at)
    return True


def disclosure() -> Disclosure | None:
    """Who switched the public page on or off last; None while nobody did."""
    found: Disclosure | None = Disclosure.objects.select_related("by").order_by("-id").first()
    return found


def is_public() -> bool:
    """Whether everybody may read the certificates."""
    return Disclosure.objects.order_by("-id").values_list("is_public", flat=True).first() or False


@dataclass(frozen=True, slots=True)
class State:
    """What holds now. result: of the newest certificate, or a difference where a finding stands; since: when the first of these was
    found.
    """

    result: CertificateResult | None
    certificate: ParityCertificate | None
    findings: int
    since: datetime | None


def state_now() -> State:
    """What the badge says. A finding that stands makes a certificate of an earlier month no excuse."""
    certificate = ParityCertificate.objects.order_by("-month").first()
    opened = list(
        ParityFinding.objects.exclude(state=FindingState.VERIFIED)
        .order_by("opened_at")
        .values_list("opened_at", flat=True)
    )
    result = CertificateResult(certificate.result) if certificate is not None else None
    if opened:
        result = CertificateResult.DIFFERS
    return State(result, certificate, len(opened), opened[0] if opened else None)
