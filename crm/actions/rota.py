"""Shifts, absences, workload and certificates of colleagues, and the flags that intake reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, routing
from crm.models import Absence, Certificate, RequiredSkill, Shift, User
from crm.policy import AlertKind, LineOfWork, Person, WeeklyShift, is_present

WARNED_BEFORE = timedelta(days=30)


class NotPossible(ValueError):
    """A plan that cannot be: an end before its beginning, a share over 100, somebody who certifies themselves."""

    code = "plan_not_possible"


@transaction.atomic
def set_workload(
    user_id: int,
    *,
    customer_service_share: int,
    capacity_points: int,
    chats_at_once: int,
    written_at_once: int,
    takes_conversations: bool,
    line_of_work: LineOfWork,
    is_vendor: bool,
    by: User,
    at: datetime,
) -> User:
    """Say how much of what a colleague takes. Raises User.DoesNotExist, NotPossible; then nothing has changed."""
    user = _colleague(user_id)
    if not (0 <= customer_service_share <= 100 and 0 <= chats_at_once <= 3 and 1 <= written_at_once <= 100):
        raise NotPossible(_("A share is 0 to 100 percent, chats at once 0 to 3, written matters at once 1 to 100."))
    if not 0 <= capacity_points <= 10_000:
        raise NotPossible(_("Effort points are 0 to 10,000."))
    values = {
        "customer_service_share": customer_service_share,
        "capacity_points": capacity_points,
        "chats_at_once": chats_at_once,
        "written_at_once": written_at_once,
        "takes_conversations": takes_conversations,
        "line_of_work": line_of_work,
        "is_vendor": is_vendor,
    }
    before = {name: getattr(user, name) for name in values}
    changed = {name: value for name, value in values.items() if before[name] != value}
    if changed:
        for name, value in changed.items():
            setattr(user, name, value)
        user.save(update_fields=list(changed))
        detail = {"before": {name: before[name] for name in changed}, "after": changed}
        _record(user, "staff.workload", by=by, at=at, detail=detail)
        refresh([user], at=at)
    return user


@transaction.atomic
def set_active(user_id: int, *, is_active: bool, by: User, at: datetime) -> User:
    """Note that a colleague leaves us, or is back; whoever has left cannot log in, and what is theirs moves on by itself.

    Raises User.DoesNotExist, NotPossible when somebody means themselves; then nothing has changed.
    """
    user = _colleague(user_id)
    if user.pk == by.pk:
        raise NotPossible(_("Nobody closes their own account; please ask a colleague."))
    if user.is_active != is_active:
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        _record(user, "staff.back_with_us" if is_active else "staff.left", by=by, at=at, detail={})
    return user


@transaction.atomic
def set_shifts(user_id: int, *, shifts: Collection[WeeklyShift], zone: str, by: User, at: datetime) -> None:
    """Replace a colleague's weekly shifts; none means always. zone: IANA name, "" for the shop's own.

    Raises User.DoesNotExist, NotPossible; then nothing has changed.
    """
    user = _colleague(user_id)
    try:
        ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError) as unknown:
        raise NotPossible(_("“%(zone)s” is not a time zone we know.") % {"zone": zone}) from unknown
    if any(not 0 <= shift.weekday <= 6 for shift in shifts):
        raise NotPossible(_("A shift is on one of seven weekdays."))
    if len({(shift.weekday, shift.starts) for shift in shifts}) < len(shifts):
        raise NotPossible(_("Two shifts cannot begin at the same time."))
    before = Shift.objects.filter(user=user).count()
    Shift.objects.filter(user=user).delete()
    Shift.objects.bulk_create(Shift(user=user, weekday=s.weekday, starts=s.starts, ends=s.ends) for s in shifts)
    if user.zone != zone:
        user.zone = zone
        user.save(update_fields=["zone"])
    _record(user, "staff.shifts", by=by, at=at, detail={"before": before, "after": len(shifts), "zone": zone})
    refresh([user], at=at)


@transaction.atomic
def be_away(
    user_id: int, *, starts_at: datetime, ends_at: datetime, stand_in: User | None, by: User, at: datetime
) -> Absence:
    """Note that a colleague is away, and who stands in. Raises User.DoesNotExist, NotPossible; then nothing has changed."""
    user = _colleague(user_id)
    if ends_at <= starts_at or ends_at <= at:
        raise NotPossible(_("An absence ends after it begins, and not in the past."))
    if stand_in is not None and (stand_in.pk == user.pk or not stand_in.is_staff or not stand_in.is_active):
        raise NotPossible(_("The stand-in is another colleague who works here."))
    absence = Absence.objects.create(user=user, starts_at=starts_at, ends_at=ends_at, stand_in=stand_in, entered_by=by)
    _record(user, "staff.away", by=by, at=at, detail={"absence": absence.pk, "until": ends_at.isoformat()})
    refresh([user], at=at)
    return absence


@transaction.atomic
def be_back(absence_id: int, *, by: User, at: datetime) -> Absence:
    """End an absence now, or cancel one that lies ahead. Raises Absence.DoesNotExist; one that is over stays as it is."""
    absence = Absence.objects.select_for_update(of=("self",)).select_related("user").get(pk=absence_id)
    if absence.ends_at > at:
        absence.ends_at = max(at, absence.starts_at)
        absence.save(update_fields=["ends_at"])
        _record(absence.user, "staff.back", by=by, at=at, detail={"absence": absence.pk})
        refresh([absence.user], at=at)
    return absence


@transaction.atomic
def certify(user_id: int, *, skill: str, issued_on: date, expires_on: date, by: User, at: datetime) -> Certificate:
    """Certify a skill of a colleague. Raises User.DoesNotExist, NotPossible; then nothing has changed."""
    user = _colleague(user_id)
    if not skill.strip() or len(skill) > 40:
        raise NotPossible(_("Please say for which skill the certificate is."))
    if expires_on < issued_on:
        raise NotPossible(_("A certificate ends after it begins."))
    if by.pk == user.pk:
        raise NotPossible(_("Nobody certifies themselves; please ask a colleague."))
    certificate = Certificate.objects.create(
        user=user, skill=skill.strip(), issued_on=issued_on, expires_on=expires_on, issued_by=by
    )
    detail = {"skill": certificate.skill, "until": expires_on.isoformat()}
    _record(user, "staff.certified", by=by, at=at, detail=detail)
    return certificate


@transaction.atomic
def revoke(certificate_id: int, *, by: User, at: datetime) -> Certificate:
    """Take a certificate back; one taken back before stays as it is. Raises Certificate.DoesNotExist."""
    certificate = Certificate.objects.select_for_update(of=("self",)).select_related("user").get(pk=certificate_id)
    if certificate.revoked_at is None:
        certificate.revoked_at, certificate.revoked_by = at, by
        certificate.save(update_fields=["revoked_at", "revoked_by"])
        _record(certificate.user, "staff.certificate_revoked", by=by, at=at, detail={"skill": certificate.skill})
    return certificate


@transaction.atomic
def demand(skill: str, *, by: User, at: datetime) -> RequiredSkill:
    """Ask for a certificate for a skill from now on; asked before, it stays asked for. Raises NotPossible."""
    if not skill.strip() or len(skill) > 40:
        raise NotPossible(_("Please say which skill is asked for."))
    required, new = RequiredSkill.objects.get_or_create(
        skill=skill.strip(), defaults={"demanded_at": at, "demanded_by": by}
    )
    if new:
        history.record(None, "skill.demanded", ref=f"skill:{required.skill}", by=by, at=at)
    return required


@transaction.atomic
def demand_no_more(skill: str, *, by: User, at: datetime) -> None:
    """Ask for no certificate for a skill any more; not asked for is fine too."""
    removed, _of_which = RequiredSkill.objects.filter(skill=skill).delete()
    if removed:
        history.record(None, "skill.demanded_no_more", ref=f"skill:{skill}", by=by, at=at)


def tick_availability(at: datetime) -> int:
    """Bring the flags that intake reads in line with shifts, absences, shares and load. Safe to repeat.

    Returns how many accounts changed; a handful of statements for any number of colleagues.
    """
    return refresh(User.objects.colleagues().order_by("pk"), at=at)


def refresh(users: Iterable[User], *, at: datetime) -> int:
    """Set the flags of these accounts anew; returns how many changed."""
    known = list(users)
    plans = routing.rotas(known, at=at)
    loads = routing.loads(at, of=[user.pk for user in known])
    changes: dict[tuple[bool, bool], list[int]] = {}
    for user in known:
        is_available = user.customer_service_share > 0 and is_present(plans[user.pk], at)
        is_full = Person(
            share=user.customer_service_share, points=user.capacity_points, load=loads.get(user.pk, 0)
        ).is_full
        if (is_available, is_full) != (user.is_available, user.is_full):
            changes.setdefault((is_available, is_full), []).append(user.pk)
            user.is_available, user.is_full = is_available, is_full
    for (is_available, is_full), pks in changes.items():
        User.objects.filter(pk__in=pks).update(is_available=is_available, is_full=is_full)
    return sum(map(len, changes.values()))


def warn_of_ending_certificates(at: datetime) -> int:
    """Tell holder and leads of certificates that run out within 30 days and have no successor. Safe to repeat.

    Returns how many there are; told once each.
    """
    today = at.date()
    standing = list(
        Certificate.objects.standing().filter(expires_on__gte=today, user__is_active=True).select_related("user")
    )
    last: dict[tuple[int, str], Certificate] = {}
    for certificate in sorted(standing, key=lambda one: (one.expires_on, one.pk)):
        last[certificate.user_id, certificate.skill] = certificate
    ending = [one for one in last.values() if one.expires_on <= today + WARNED_BEFORE]
    alerts.write(
        alerts.told(
            AlertKind.CERTIFICATE_ENDS,
            key=f"{one.pk}:{'holder' if to else 'leads'}",
            to=to,
            detail={"skill": one.skill, "until": one.expires_on.isoformat(), "user": one.user_id},
            at=at,
        )
        for one in ending
        for to in (one.user, None)
    )
    return len(ending)


def _colleague(user_id: int) -> User:
    user: User = User.objects.select_for_update(no_key=True).get(pk=user_id, is_staff=True)
    return user


def _record(user: User, verb: str, *, by: User, at: datetime, detail: dict[str, Any]) -> None:
    history.record(None, verb, ref=f"user:{user.public_id}", by=by, at=at, detail=detail)
