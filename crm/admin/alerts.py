"""What somebody has to look at now: one's own alerts, and for leads those of everybody."""

from __future__ import annotations

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import alerts
from crm.admin import pages
from crm.models import Alert, User
from crm.policy import AlertKind, PromiseKind

PAGE_SIZE = 50
LEADS = "crm.release_outgoing"
"""Who looks after work is told what is for every lead."""
PROMISES = dict(PromiseKind.choices)
GRAVE = {
    AlertKind.PROMISE_MISSED, AlertKind.NO_OWNER, AlertKind.CALL_DROPPED, AlertKind.DECISION_DIFFERS, AlertKind.ORDER_DIFFERS,
    AlertKind.PLACE_WRONG, AlertKind.CRITICAL_SHARE, AlertKind.MAILBOX_FAILS, AlertKind.CHANNEL_FAILS,
    AlertKind.FILE_INFECTED, AlertKind.CHANGE_UNTOLD, AlertKind.CASES_UNEQUAL, AlertKind.REASON_OVERDUE,
    AlertKind.FILE_INFECTED, AlertKind.BEREAVEMENT, AlertKind.BEREAVEMENT_DOUBTED,
    AlertKind.FILE_INFECTED, AlertKind.PARITY_FOUND,
}  # fmt: skip


def unseen_by(user: User) -> Q:
    """The condition for what this account has to look at."""
    mine = Q(to=user.pk) | Q(to=None) if user.has_perm(LEADS) else Q(to=user.pk)
    return mine & Q(seen_at=None)


@pages.page("crm.view_conversation", methods=["GET"])
def alert_list(request: HttpRequest) -> HttpResponse:
    """What has not been looked at yet, newest first."""
    user = pages.colleague(request)
    rows = Alert.objects.filter(unseen_by(user)).select_related("conversation__customer", "to")
    key = pages.read_key(request, int)
    if key is not None:
        rows = rows.filter(pk__lt=key[0])
    found = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    found = found[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/alerts.html",
        _("To look at"),
        alerts=[
            (alert, "late" if alert.kind in GRAVE else "soon", PROMISES.get(alert.detail.get("promise")))
            for alert in found
        ],
        next_key=pages.write_key(found[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page("crm.view_conversation", methods=["POST"])
def see(request: HttpRequest, number: int) -> HttpResponse:
    """Look at one alert: it is seen, and its matter opens."""
    user = pages.colleague(request)
    alert = Alert.objects.filter(unseen_by(user), pk=number).select_related("conversation").first()
    if alert is None:
        raise Http404
    alerts.see(alert.pk, by=user, at=timezone.now())
    if "stay" not in request.POST and alert.conversation is None and "customer" in alert.detail:
        return redirect("admin:customer", public_id=alert.detail["customer"])
    if "stay" in request.POST or alert.conversation is None:
        return redirect("admin:alerts")
    return redirect("admin:conversation", public_id=alert.conversation.public_id)
