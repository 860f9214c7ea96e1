"""What our behaviour teaches customers, looked at once a month and said in plain words (R076)."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from recovery.actions import audits, outcomes
from recovery.models import Teaching
from recovery.policy import Taught

if TYPE_CHECKING:
    from recovery.parity.teaching import Lesson

WINDOW = timedelta(days=365)


def what_we_teach(at: datetime) -> int:
    """Look at the year before this month, once a month. Returns 1, or 0 when it is done. Safe to repeat and to run late."""
    from recovery.parity import teaching

    zone = ZoneInfo(settings.EVENHAND_ZONE)
    month = timezone.localdate(at, zone).replace(day=1)
    if Teaching.objects.filter(month=month).exists():
        return 0
    until = timezone.make_aware(datetime.combine(month, time.min), zone)
    since = until - WINDOW
    found = teaching.lesson(outcomes.read(since=since, until=until, at=until), public=audits.public_channels())
    difference = found.difference
    try:
        Teaching.objects.create(
            month=month, since=since, until=until, at=at, late=found.late, late_public=found.late_public,
            in_time=found.in_time, in_time_public=found.in_time_public, difference=difference.value, low=difference.low,
            high=difference.high, needed=found.needed, says=_says(found),
        )  # fmt: skip
    except IntegrityError:
        if not Teaching.objects.filter(month=month).exists():
            raise
        return 0
    return 1


def _says(found: Lesson) -> Taught:
    if not found.tells:
        return Taught.UNKNOWN
    if found.difference.low is not None and found.difference.low > 0:
        return Taught.PUBLIC
    if found.difference.high is not None and found.difference.high < 0:
        return Taught.PRIVATE
    return Taught.NOTHING


def newest_teaching() -> Teaching | None:
    """What was found last; None before the first month."""
    return Teaching.objects.order_by("-month").first()


def in_words(found: Teaching) -> str:
    """Say it plainly: who was answered late, who in time, who spoke publicly next, and what that shows."""
    return f"{_counted(found)} {_shown(found)}"


def _counted(found: Teaching) -> str:
    if not found.late and not found.in_time:
        return _("In the last 12 months no customer whose first matter was private told us of another one.")
    parts = []
    if found.late:
        parts.append(
            _(
                "In the last 12 months, of %(late)s customers whose first private matter was answered late, %(share)s spoke "
                "publicly next time."
            )
            % {"late": found.late, "share": f"{found.late_public / found.late:.0%}"}
        )
    else:
        parts.append(_("In the last 12 months no customer with a second matter was answered late the first time."))
    if found.in_time:
        parts.append(
            _("Of %(in_time)s answered in time, %(share)s did.")
            % {"in_time": found.in_time, "share": f"{found.in_time_public / found.in_time:.0%}"}
        )
    return " ".join(parts)


def _shown(found: Teaching) -> str:
    if found.says == Taught.UNKNOWN or found.difference is None:
        return _("That is too few to say; about %(needed)s customers answered late would tell.") % {
            "needed": found.needed
        }
    if found.says == Taught.NOTHING:
        return _("Like for like there is no difference that matters: waiting does not send people to speak publicly.")
    points = {
        "points": f"{abs(found.difference) * 100:.0f}",
        "low": f"{min(abs(found.low or 0.0), abs(found.high or 0.0)) * 100:.0f}",
        "high": f"{max(abs(found.low or 0.0), abs(found.high or 0.0)) * 100:.0f}",
    }
    if found.says == Taught.PUBLIC:
        return (
            _(
                "Like for like these are %(points)s points more (%(low)s to %(high)s): answering late in private teaches "
                "customers to speak publicly."
            )
            % points
        )
    return _("Like for like these are %(points)s points fewer (%(low)s to %(high)s).") % points
