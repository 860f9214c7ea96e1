"""When an answer may leave that is planned, and which moment a time on the customer's clock is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext as _

PLANNED_AT_MOST = timedelta(days=90)


class NoSuchTime(ValueError):
    """A time that a clock of that zone never shows, because the clocks go forward over it."""

    code = "no_such_time"


def zone_of(name: str, *, otherwise: str) -> ZoneInfo:
    """Give the zone of a name, or the other one where the name is empty or names none."""
    try:
        return ZoneInfo(name or otherwise)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(otherwise)


def moment_in(zone: ZoneInfo, local: datetime) -> datetime:
    """Say which moment (UTC) a time without a zone is on the clocks of a zone.

    Of a time that comes twice, when the clocks go back, the first one is meant: nobody is answered later than they could
    think. Raises NoSuchTime for one that never comes.
    """
    try:
        moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
        exists = moment.astimezone(zone).replace(tzinfo=None) == local
    except OverflowError as beyond:  # a year that has no neighbours
        raise NoSuchTime(_("Please choose a moment within the next 90 days.")) from beyond
    if not exists:
        raise NoSuchTime(
            _("The clocks go forward over %(time)s on that day (%(zone)s). Please choose another time.")
            % {"time": f"{local:%H:%M}", "zone": zone.key}
        )
    return moment


def may_leave_at(send_after: datetime, *, due_at: datetime | None, at: datetime) -> str:
    """Say why a planned answer may not leave at a moment: "past", "too_far", "after_promise"; "" when it may.

    due_at: the earliest promise that runs in the matter; None when none does.
    """
    if send_after <= at:
        return "past"
    if send_after > at + PLANNED_AT_MOST:
        return "too_far"
    return "after_promise" if due_at is not None and send_after > due_at else ""
