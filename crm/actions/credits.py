"""Credits in the queue: put in place and taken away by whoever found that a channel's customers wait longer; crm asks no why."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.models import QueueCredit, User
from crm.policy import MOST_CREDIT


class UnusableCredit(ValueError):
    """A credit below nothing, or above what bounds it."""

    code = "unusable_credit"


@transaction.atomic
def put(channel: str, *, minutes: int, most: int, by: User | None, at: datetime) -> QueueCredit | None:
    """Let matters of a channel stand so many minutes nearer from now on, in the place of the credit it has; 0 ends that one.

    most: what bounds it, at most policy.MOST_CREDIT. The same again changes nothing. Returns the live credit, if there is one.
    Raises UnusableCredit; then nothing has changed.
    """
    if not 0 <= minutes <= most or most * 60 > MOST_CREDIT.total_seconds():
        raise UnusableCredit(_("A credit lies between nothing and %(most)s minutes.") % {"most": most})
    live: QueueCredit | None = QueueCredit.objects.live().select_for_update().filter(channel=channel).first()
    if live is not None and live.minutes == minutes:
        return live
    if live is not None:
        live.until = max(at, live.since)
        live.save(update_fields=["until"])
    before = live.minutes if live is not None else 0
    made = QueueCredit.objects.create(channel=channel, minutes=minutes, most=most, since=at) if minutes else None
    if made is not None or live is not None:
        detail = {"channel": channel, "before": before, "after": minutes}
        history.record(None, "queue.credit_set", ref=f"credit:{channel}", by=by, at=at, detail=detail)
    return made


def live() -> dict[str, int]:
    """The minutes of every credit that counts now, by channel."""
    return dict(QueueCredit.objects.live().order_by("channel").values_list("channel", "minutes"))
