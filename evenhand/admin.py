"""The admin as a whole: its addresses, its sidebar, the page of today, and the folder of the demo's mails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Min, Q, Subquery, Value
from django.db.models.functions import Coalesce, TruncDate
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import alerts as alert_pages
from crm.admin import neglect, pages, words
from crm.admin import talk as crm_pages
from crm.admin.base import ReadOnlyAdmin
from crm.models import (
    Alert,
    Attachment,
    ChannelAccount,
    Conversation,
    DutyRun,
    Feed,
    ListeningGap,
    Mailbox,
    OutgoingMessage,
    Promise,
    RawItem,
    User,
    WorkItem,
)
from crm.models.channels import HOOK
from crm.models.talk import AttachmentState
from crm.policy import MessageKind, OutgoingState, PromiseState, WorkState
from evenhand import mailbox
from loyalty import admin as loyalty_pages
from loyalty.models import Gesture
from loyalty.policy import GestureState
from recovery import admin as recovery_pages
from recovery.admin.queue import CAN_SEE as CAN_SEE_QUEUE
from recovery.models import Case
from recovery.policy import Severity, Status

MAILS_SHOWN = 50
LISTED = 7
DAYS = 7
CHART_HEIGHT, BAR_WIDTH, DAY_WIDTH = 64, 14, 46
LATE_LANE = timedelta(minutes=1)
UNFINISHED = (WorkState.READY, WorkState.CLAIMED)


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add today's numbers to the first page."""
    return {**context, **numbers(pages.colleague(request), at=timezone.now()), "title": _("Today"), "is_fullwidth": "1"}


@pages.page(methods=["GET"])
def home_numbers(request: HttpRequest) -> HttpResponse:
    """Today's numbers alone, for the page that renews itself."""
    return TemplateResponse(request, "admin/evenhand/today.html", numbers(pages.colleague(request), at=timezone.now()))


@pages.page("crm.view_outgoingmessage", methods=["GET"])
def mail_folder(request: HttpRequest) -> HttpResponse:
    """The mails that the demo wrote into its folder, newest first, as text."""
    return pages.render(
        request,
        "admin/evenhand/mail_folder.html",
        _("Mail folder"),
        mails=mailbox.newest(limit=MAILS_SHOWN),
        limit=MAILS_SHOWN,
    )


urlpatterns: list[URLPattern] = [
    path("today/", home_numbers, name="today"),
    path("mail-folder/", mail_folder, name="mail_folder"),
]

# Tables of other packages (e-mail addresses, second factors) have no page here: they would be written without an action.
for model, registered in list(admin.site._registry.items()):
    if not isinstance(registered, ReadOnlyAdmin):
        admin.site.unregister(model)

admin.site.index_title = gettext_lazy("Today")
# Unfold's hook for addresses of one's own, read when the admin's addresses are.
admin.site.extra_urls = lambda: [  # type: ignore[attr-defined]
    *crm_pages.urlpatterns,
    *loyalty_pages.urlpatterns,
    *recovery_pages.urlpatterns,
    *urlpatterns,
]


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """What an account may change about itself."""
    signs = request.user.has_perm("crm.answer_conversation")
    return [
        *([{"title": gettext_lazy("My signature"), "link": reverse("admin:my_signature")}] if signs else []),
        {"title": gettext_lazy("Password"), "link": reverse("account_change_password")},
        {"title": gettext_lazy("Second factor"), "link": reverse("mfa_index")},
    ]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The ways through the admin, only those that this account may go."""
    groups: list[tuple[Any, bool, list[tuple[Any, str, str, str, tuple[str, ...]]]]] = [
        (
            None,
            False,
            [
                (_("Today"), "today", "index", "", ()),
                (_("To look at"), "notifications", "alerts", "crm.view_conversation", ()),
                (_("Inbox"), "inbox", "inbox", "crm.view_conversation", ("conversation",)),
                (_("Search"), "search", "find", "crm.view_conversation", ()),
                (_("Doubtful mail"), "unknown_document", "doubts", "crm.view_doubt", ()),
                (_("Set aside"), "inventory_2", "set_aside", "crm.view_setaside", ("set-aside",)),
                (_("Public posts"), "public", "posts", "crm.view_publicpost", ()),
                (_("Public closing lines"), "short_text", "closing_lines", "crm.view_conversation", ("closing-lines",)),
                (_("Where customers talk"), "hearing", "places", "crm.view_listeningplace", ()),
                (_("Calls"), "phone_in_talk", "calls", "crm.view_call", ()),
                (_("Log a call"), "call", "log_call", "crm.log_call", ()),
                (_("Note what was said"), "edit_note", "capture", "crm.log_call", ()),
                (_("Cases"), "support", "recovery_case_changelist", "recovery.view_case", ("case",)),
                (_("Second looks"), "visibility", "reviews", "recovery.view_casereview", ("review",)),
                (_("Grade again"), "rate_review", "regrading", "recovery.grade_again", ("regrading",)),
                (_("Customers"), "group", "crm_customer_changelist", "crm.view_customer", ("customer",)),
                (_("Who may be one person"), "join", "persons", "crm.merge_customers", ("merge",)),
                (_("Changes nobody asked for"), "undo", "service_changes", "crm.view_servicechange", ("changes",)),
                (_("In their lives"), "volunteer_activism", "moments", "crm.answer_conversation", ("customer-life",)),
                (_("All conversations"), "forum", "crm_conversation_changelist", "crm.view_conversation", ()),
            ],
        ),
        (
            _("What leaves"),
            False,
            [
                (_("Outgoing"), "outbox", "outgoing", "crm.view_outgoingmessage", ()),
                (_("Mail folder"), "folder_open", "mail_folder", "crm.view_outgoingmessage", ()),
            ],
        ),
        (
            _("Appreciation"),
            False,
            [
                (_("Gestures"), "redeem", "loyalty_gesture_changelist", "loyalty.view_gesture", ()),
                (_("Programmes"), "volunteer_activism", "programmes", "loyalty.view_programme", ()),
                (_("Asking customers"), "forum", "asking", "crm.view_asking", ("asking",)),
                (_("Permissions given"), "how_to_reg", "crm_consent_changelist", "crm.view_consent", ()),
            ],
        ),
        (
            _("Fair play"),
            False,
            [
                (_("Equal treatment"), "diversity_3", "parity", "recovery.view_parityaudit", ("equal-treatment",)),
                (_("Levelling up"), "vertical_align_center", "levelling", "recovery.view_correction", ()),
                (_("Test pairs"), "science", "probes", "recovery.plan_parityprobe", ("probes",)),
                (_("Given and owed"), "balance", "ledger", "recovery.view_ledgerweek", ()),
                (_("Nobody answered in time"), "notification_important", "neglect", "crm.view_conversation", ()),
                (_("Answered by a person"), "mark_chat_read", "answered", "recovery.view_case", ()),
                (_("What the rules do"), "rule", "rule_reviews", "recovery.view_policyversion", ()),
                (_("Response coverage"), "grid_on", "coverage", "crm.view_publicpost", ()),
                (_("Before they had to tell us"), "travel_explore", "proactive", "recovery.view_case", ()),
                (_("Which failures spread"), "campaign", "spread", "recovery.view_parityaudit", ()),
                (_("Afterwards"), "update", "afterwards", "recovery.view_case", ()),
                (_("How matters end"), "flag", "endings", "crm.view_closing", ()),
                (_("Waiting inside the house"), "hourglass", "waits", "crm.view_internalwait", ()),
                (_("Public words taken away"), "policy", "removals", "crm.view_publicpost", ()),
                (_("To customers' disadvantage"), "shield", "adverse", "crm.view_adverseact", ()),
            ],
        ),
        (
            _("Under the bonnet"),
            True,
            [
                (_("Service hours"), "calendar_month", "hours", "crm.view_servicecalendar", ()),
                (_("Order of the queue"), "sort", "queue_days", CAN_SEE_QUEUE, ("queue-order",)),
                (_("Promises"), "handshake", "crm_promise_changelist", "crm.view_promise", ()),
                (_("What came in"), "move_to_inbox", "crm_rawitem_changelist", "crm.view_rawitem", ()),
                (_("Sources"), "sensors", "sources", "crm.view_source", ()),
                (_("Mailboxes"), "mark_email_unread", "mailboxes", "crm.view_mailbox", ()),
                (_("Channels"), "hub", "channel_accounts", "crm.view_channelaccount", ("channels",)),
                (_("Feeds"), "rss_feed", "feeds", "crm.view_feed", ()),
                (_("Contact forms"), "contact_mail", "web_forms", "crm.view_webform", ()),
                (
                    _("Bring in customers"),
                    "person_add",
                    "customer_files",
                    "crm.import_customers",
                    ("import/customers",),
                ),
                (_("Bring in calls"), "upload_file", "import_calls", "crm.import_calls", ()),
                (_("Bring in reviews"), "reviews", "import_reviews", "crm.import_reviews", ()),
                (_("Work"), "pending_actions", "crm_workitem_changelist", "crm.view_workitem", ()),
                (_("Duties"), "schedule", "crm_dutyrun_changelist", "crm.view_dutyrun", ()),
                (_("How long things are kept"), "auto_delete", "retention", "crm.view_retentionrule", ()),
                (_("Asked to be forgotten"), "person_off", "erasures", "crm.view_erasure", ()),
                (_("History"), "history", "crm_historyentry_changelist", "crm.view_historyentry", ()),
                (_("Holds"), "pan_tool", "crm_hold_changelist", "crm.view_hold", ()),
                (_("Contact points"), "alternate_email", "crm_contactpoint_changelist", "crm.view_contactpoint", ()),
                (_("Fields of our own"), "dynamic_form", "custom_fields", "crm.view_customfield", ("custom-fields",)),
                (_("Rules"), "gavel", "policies", "recovery.view_policyversion", ("policies",)),
            ],
        ),
        (
            _("People"),
            False,
            [
                (_("Who is here"), "diversity_3", "people", "crm.view_pull", ()),
                (_("Accounts"), "badge", "crm_user_changelist", "crm.view_user", ()),
                (_("Roles"), "verified_user", "auth_group_changelist", "auth.view_group", ()),
            ],
        ),
    ]
    found = []
    for title, folds, lines in groups:
        items = [
            _line(request, name, icon, view, places)
            for name, icon, view, permission, places in lines
            if not permission or request.user.has_perm(permission)
        ]
        if items:
            found.append({"title": title, "collapsible": folds, "separator": bool(title), "items": items})
    return found


def _line(request: HttpRequest, name: str, icon: str, view: str, places: tuple[str, ...]) -> dict[str, Any]:
    link, root = reverse(f"admin:{view}"), reverse("admin:index")
    here = request.path
    active = here == link if view == "index" else here.startswith((link, *(f"{root}{place}/" for place in places)))
    return {"title": name, "icon": icon, "link": link, "active": active}


# --- today: promises first, then cases, then kindness, then whether everything runs ---------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """One number with its words and the list behind it. tone: "late", "soon", "good" or "calm"."""

    number: int
    words: str
    url: str
    tone: str = "calm"


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the chart: two bars, measured in the chart's own units from its top."""

    label: str
    came: int
    answered: int
    x: int
    came_y: int
    answered_x: int
    answered_y: int

    @property
    def came_height(self) -> int:
        return CHART_HEIGHT - self.came_y

    @property
    def answered_height(self) -> int:
        return CHART_HEIGHT - self.answered_y


def numbers(user: User, *, at: datetime) -> dict[str, Any]:
    """Gather what the page of today shows, as far as this account may see it. A fixed number of statements."""
    talks, cases = user.has_perm("crm.view_conversation"), user.has_perm("recovery.view_case")
    found: dict[str, Any] = {"at": at, "tiles": []}
    if talks:
        found |= _promises(user, at=at)
        found["promise_tiles"] += _alerts(user)
        found |= neglect.on_the_first_page(user, at=at)
    if cases:
        found |= _cases(user)
    for part in ("promise_tiles", "case_tiles"):
        found["tiles"] += found.pop(part, [])
    if user.has_perm("loyalty.view_gesture"):
        found["tiles"].append(_gestures(at=at))
    if user.has_perm("crm.view_outgoingmessage") or user.has_perm("crm.view_rawitem"):
        found["tiles"] += _stopped(user)
    if talks:
        found["days"] = _days(at=at)
        found["chart_width"], found["chart_height"] = DAYS * DAY_WIDTH, CHART_HEIGHT
        found["bar_width"] = BAR_WIDTH
    if user.has_perm("crm.view_workitem"):
        found["lanes"] = _lanes(at=at)
    if user.has_perm("crm.view_dutyrun"):
        found["duties"] = _duties(at=at)
        found["troubled"] = sum(bool(trouble) for *_rest, trouble in found["duties"])
    return found


def _promises(user: User, *, at: datetime) -> dict[str, Any]:
    inbox = reverse("admin:inbox")
    waiting = Conversation.objects.visible_to(user).waiting_for_us()
    count = waiting.aggregate(
        all=Count("pk"),
        overdue=Count("pk", filter=Q(due_at__lt=at)),
        soon=Count("pk", filter=Q(due_at__gte=at, due_at__lt=at + timedelta(hours=1))),
        unowned=Count("pk", filter=Q(owner=None)),
    )
    ran_out = Promise.objects.filter(due_at__gte=at - timedelta(days=DAYS), due_at__lt=at)
    past = ran_out.exclude(state=PromiseState.RELEASED).aggregate(
        kept=Count("pk", filter=Q(state=PromiseState.MET)), all=Count("pk")
    )
    broken = past["all"] - past["kept"]
    next_up = list(waiting.select_related("customer", "owner").in_due_order()[:LISTED])
    promise_list = reverse("admin:crm_promise_changelist")
    return {
        "kept": past["kept"],
        "broken": broken,
        "kept_url": f"{promise_list}?state__exact={PromiseState.MET}",
        "broken_url": f"{promise_list}?state__exact={PromiseState.BREACHED}",
        "kept_share": round(100 * past["kept"] / past["all"]) if past["all"] else None,
        "promise_tiles": [
            Tile(count["overdue"], _("overdue"), f"{inbox}?show=overdue", "late" if count["overdue"] else "good"),
            Tile(count["soon"], _("due within the hour"), f"{inbox}?show=all", "soon" if count["soon"] else "calm"),
            Tile(count["all"], _("waiting for us"), f"{inbox}?show=all"),
            Tile(count["unowned"], _("nobody's yet"), f"{inbox}?show=unowned", "soon" if count["unowned"] else "calm"),
        ],
        "next_up": [(found, words.due(found.due_at, at=at)) for found in next_up if found.due_at],
    }


def _alerts(user: User) -> list[Tile]:
    """What waits to be looked at, and for whoever lists places those where nobody listens; one statement."""
    counts = User.objects.filter(pk=user.pk).values_list(
        _number_of(Alert.objects.filter(alert_pages.unseen_by(user))),
        _number_of(ListeningGap.objects.filter(ended_at=None)),
    )
    number, gaps = counts[0]
    tiles = [Tile(number, _("to look at"), reverse("admin:alerts"), "soon" if number else "good")]
    if gaps and user.has_perm("crm.manage_listeningplace"):
        tiles.append(Tile(gaps, _("places where nobody listens"), reverse("admin:places"), "late"))
    return tiles


def _number_of(rows: Any) -> Coalesce:
    one = rows.order_by().annotate(every=Value(1)).values("every").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(one), 0)


def _cases(user: User) -> dict[str, Any]:
    live = Case.objects.visible_to(user).live()
    grave = Q(severity__in=[Severity.HIGH, Severity.CRITICAL])
    seen = Q(status=Status.DETECTED)
    count = live.aggregate(all=Count("pk"), seen=Count("pk", filter=seen), grave=Count("pk", filter=grave))
    seen_link = f"{reverse('admin:recovery_case_changelist')}?status__exact={Status.DETECTED}"
    link = reverse("admin:recovery_case_changelist")
    oldest = live.select_related("customer", "owner").order_by("id")[:LISTED]
    return {
        "case_tiles": [
            Tile(count["seen"], _("cases nobody has taken on"), seen_link, "soon" if count["seen"] else "calm"),
            Tile(count["all"], _("cases open"), link, "late" if count["grave"] else "calm"),
        ],
        "cases": list(oldest),
    }


def _gestures(*, at: datetime) -> Tile:
    today = timezone.localdate(at)
    start = timezone.make_aware(datetime.combine(today, time.min))
    leaving = Gesture.objects.filter(send_at__gte=start, send_at__lt=start + timedelta(days=1)).exclude(
        state=GestureState.DROPPED
    )
    return Tile(leaving.count(), _("cards going out today"), reverse("admin:loyalty_gesture_changelist"))


def _stopped(user: User) -> list[Tile]:
    """What waits for a person before it leaves, and what came in and could not be taken in; one statement.

    A customer may stand behind each of the latter.
    """
    stopped = [OutgoingState.HELD, OutgoingState.PARKED, OutgoingState.UNKNOWN, OutgoingState.REFUSED]
    counts = User.objects.filter(pk=user.pk).values_list(
        _number_of(OutgoingMessage.objects.filter(state__in=stopped)),
        _number_of(RawItem.objects.filter(state=WorkState.PARKED)),
    )
    number, unread = counts[0]
    tiles = []
    if user.has_perm("crm.view_outgoingmessage"):
        link = reverse("admin:outgoing") + "?show=stopped"
        tiles.append(Tile(number, _("messages waiting for a person"), link, "late" if number else "good"))
    if unread and user.has_perm("crm.view_rawitem"):
        link = reverse("admin:crm_rawitem_changelist") + "?state__exact=parked"
        tiles.append(Tile(unread, _("could not be read and wait for a person"), link, "late"))
    return tiles


def _days(*, at: datetime) -> list[Day]:
    """What came in and what was answered on each of the last days, in the viewer's zone."""
    first = timezone.localdate(at) - timedelta(days=DAYS - 1)
    since = timezone.make_aware(datetime.combine(first, time.min))
    came = _by_day(Conversation.objects.filter(spoke_at__gte=since), "spoke_at")
    sent = OutgoingMessage.objects.filter(created_at__gte=since, kind=MessageKind.SERVICE)
    answered = _by_day(sent.exclude(state=OutgoingState.CANCELLED), "created_at")
    dates = [first + timedelta(days=number) for number in range(DAYS)]
    highest = max([1, *came.values(), *answered.values()])

    def top(number: int) -> int:
        return CHART_HEIGHT - round(CHART_HEIGHT * number / highest)

    return [
        Day(
            label=date_format(day, "D"),
            came=came.get(day, 0),
            answered=answered.get(day, 0),
            x=place * DAY_WIDTH + 6,
            came_y=top(came.get(day, 0)),
            answered_x=place * DAY_WIDTH + 6 + BAR_WIDTH + 2,
            answered_y=top(answered.get(day, 0)),
        )
        for place, day in enumerate(dates)
    ]


def _by_day(rows: Any, field: str) -> dict[date, int]:
    counted = rows.annotate(day=TruncDate(field)).values("day").order_by("day").annotate(number=Count("pk"))
    return {row["day"]: row["number"] for row in counted}


def _lanes(*, at: datetime) -> list[tuple[str, str, str, str]]:
    """Each lane, what it does, how long its oldest due row has waited, and a tone."""
    oldest: dict[str, list[datetime | None]] = {name: [] for name in settings.EVENHAND_LANES}
    for row in (
        WorkItem.objects.filter(state__in=UNFINISHED).values("lane").order_by("lane").annotate(due=Min("due_at"))
    ):
        oldest.setdefault(row["lane"], []).append(row["due"])
    raw = (
        RawItem.objects.filter(state__in=UNFINISHED)
        .exclude(source__startswith=HOOK)
        .order_by("id")
        .values("received_at")
    )
    post = RawItem.objects.filter(state__in=UNFINISHED, source__startswith=HOOK).order_by("id").values("received_at")
    file = Attachment.objects.filter(state=AttachmentState.FETCHING).order_by("id").values("interaction__ingested_at")
    if settings.EVENHAND_CLAMD is not None:
        unchecked = Attachment.objects.filter(state=AttachmentState.CHECKING).order_by("id")
        oldest["files"].append(unchecked.values_list("interaction__ingested_at", flat=True).first())
    ready = OutgoingMessage.objects.filter(state=OutgoingState.READY, send_after__lte=at).order_by("send_after", "id")
    card = Gesture.objects.due(at).order_by("send_at", "id").values("send_at")
    # The head of each of these queues, in one statement.
    heads = User.objects.order_by("pk").values_list(
        Subquery(raw[:1]),
        Subquery(ready.values("send_after")[:1]),
        Subquery(card[:1]),
        Subquery(post[:1]),
        Subquery(file[:1]),
        Subquery(ChannelAccount.objects.to_be_asked().values("ask_at")[:1]),
        Subquery(Feed.objects.to_be_asked().values("next_at")[:1]),
    )
    names = ("ingest", "send", "gestures", "posts", "awaited_files", "accounts", "feeds")
    for name, moment in zip(names, heads[:1][0], strict=True):
        oldest[name].append(moment)
    oldest["mailboxes"].append(Mailbox.objects.waiting_since())
    oldest["promises"].append(Promise.objects.overdue(at).aggregate(due=Min("due_at"))["due"])
    found = []
    for name, moments in oldest.items():
        moment = min((one for one in moments if one is not None and one <= at), default=None)
        late = moment is not None and at - moment > LATE_LANE
        does = settings.EVENHAND_LANES[name].words if name in settings.EVENHAND_LANES else ""
        found.append((name, _(does), words.duration(at - moment) if moment else "", "late" if late else "good"))
    return found


def _duties(*, at: datetime) -> list[tuple[str, str, datetime | None, str, str]]:
    """Each duty, its words, when it last finished, how long ago, and what stood in its way."""
    runs = {run.name: run for run in DutyRun.objects.order_by("name")}
    found = []
    for name, duty in settings.EVENHAND_DUTIES.items():
        run = runs.get(name)
        finished = run.finished_at if run else None
        found.append(
            (name, _(duty.words), finished, words.ago(finished, at=at) if finished else "", run.reason if run else "")
        )
    return found
