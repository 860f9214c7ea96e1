"""Mail that a person should look at: doubtful messages, and mail that became no conversation."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BinaryField, Exists, F, Func, OuterRef, Q, Value
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import doubts, mails, reply_addresses, set_aside
from crm.admin import pages, panels
from crm.channels.email import glance
from crm.models import Conversation, Doubt, RawItem, ReplyToken, SetAside
from crm.models.talk import NO_PERSON
from crm.policy import DoubtCode, LookedAs

PAGE_SIZE = 50
LISTED = 5
CAN_SETTLE = "crm.answer_conversation"
CAN_LOOK = "crm.change_setaside"
GLANCED = 32_768
KIND_WORDS = {
    "spam": gettext_lazy("marked as advertising"),
    "list": gettext_lazy("sent to a mailing list or to many"),
    "unparsable": gettext_lazy("could not be read"),
    "auto_reply": gettext_lazy("answered by a machine"),
    "unsubscribe": gettext_lazy("wants no more cards"),
}


SHOWN = 20
DOUBT = {
    "number": "public_id",
    "code": "code",
    "settled": "settled_at",
    "linked": "is_linked",
    "address": "interaction__other_address",
    "matter": "interaction__conversation__public_id",
    "subject": "interaction__conversation__subject",
    "customer": "interaction__conversation__customer__display_name",
    "other": "conversation__public_id",
    "other_subject": "conversation__subject",
    "other_customer": "conversation__customer__display_name",
}
"""What is read of each doubt, by the name it has here."""


class _Start(Func):
    """The first bytes of a stored mail, cut by the database."""

    function = "substring"
    output_field = BinaryField()


# --- doubtful messages ----------------------------------------------------------------------------------------------


@pages.page("crm.view_doubt", methods=["GET"])
def doubt_list(request: HttpRequest) -> HttpResponse:
    """What nobody has looked at yet, newest first."""
    found = Doubt.objects.filter(settled_at=None).filter(
        interaction__conversation__in=Conversation.objects.visible_to(pages.colleague(request))
    )
    key = pages.read_key(request, int)
    if key is not None:
        found = found.filter(pk__lt=key[0])
    rows = list(
        found.select_related(
            "interaction__conversation__customer", "interaction__contact_point", "conversation__customer"
        )
        .defer("interaction__html", "interaction__full_text")
        .order_by("-pk")[: PAGE_SIZE + 1]
    )
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/doubts.html",
        _("Doubtful mail"),
        doubts=rows,
        may_settle=request.user.has_perm(CAN_SETTLE),
        next_key=pages.write_key(rows[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page(CAN_SETTLE, methods=["POST"])
def settle_doubt(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Say that a doubtful message was looked at, and whether it belongs to the suggested matter."""
    visible = Conversation.objects.visible_to(pages.colleague(request))
    doubt = Doubt.objects.filter(public_id=public_id, interaction__conversation__in=visible).first()
    if doubt is None:
        raise Http404
    belongs = request.POST.get("do") == "belongs"
    _row, refused = pages.tried(
        lambda: doubts.settle(doubt.pk, belongs=belongs, by=pages.colleague(request), at=timezone.now())
    )
    pages.say(request, refused, _("The two matters are linked.") if belongs else _("Noted. Thank you for looking."))
    return _back(request, doubt.interaction.conversation)


@pages.page(CAN_SETTLE, methods=["POST"])
def revoke(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Take back the reply addresses of a matter."""
    found = Conversation.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    _count, refused = pages.tried(
        lambda: reply_addresses.revoke(found.pk, by=pages.colleague(request), at=timezone.now())
    )
    done = _("Taken back. The next mail gives a new one; whatever comes to the old ones opens a matter of its own.")
    pages.say(request, refused, done)
    return redirect("admin:conversation", public_id=public_id)


def _back(request: HttpRequest, conversation: Conversation) -> HttpResponse:
    if request.POST.get("from") == "conversation":
        return redirect("admin:conversation", public_id=conversation.public_id)
    return redirect("admin:doubts")


def side(request: HttpRequest, conversation: Conversation) -> str:
    """What is doubtful about this matter's messages, what it is linked to, what machines wrote about it; one statement."""
    here = Q(interaction__conversation=OuterRef("pk"))
    doubted = Doubt.objects.filter(here | Q(conversation=OuterRef("pk"), is_linked=True)).order_by("-pk")
    machines = RawItem.objects.filter(about=OuterRef("pk")).order_by("-pk")
    found = (
        Conversation.objects.filter(pk=conversation.pk)
        .annotate(
            doubts_here=ArraySubquery(doubted.values(json=JSONObject(**DOUBT))[:SHOWN]),
            automatic=ArraySubquery(machines.values(json=JSONObject(kind="kind", came="received_at"))[:LISTED]),
            has_reply_address=Exists(ReplyToken.objects.filter(conversation=OuterRef("pk"), revoked_at=None)),
        )
        .values("doubts_here", "automatic", "has_reply_address")
        .get()
    )
    rows = found["doubts_here"]
    open_ = [row for row in rows if row["settled"] is None and row["matter"] == str(conversation.public_id)]
    linked = {}
    for row in rows:
        if row["linked"]:
            ours = row["matter"] == str(conversation.public_id)
            linked[row["other"] if ours else row["matter"]] = (
                (row["other_customer"], row["other_subject"]) if ours else (row["customer"], row["subject"])
            )
    automatic = [
        (KIND_WORDS.get(mail["kind"], _("a report of a mail server")), datetime.fromisoformat(mail["came"]))
        for mail in found["automatic"]
    ]
    if not (open_ or linked or automatic or found["has_reply_address"]):
        return ""
    codes = dict(DoubtCode.choices)
    return render_to_string(
        "admin/desk/mail_side.html",
        {
            "conversation": conversation,
            "open": [row | {"words": codes.get(row["code"], row["code"])} for row in open_],
            "linked": [(number, *words) for number, words in linked.items()],
            "automatic": automatic,
            "has_reply_address": found["has_reply_address"],
            "may_settle": request.user.has_perm(CAN_SETTLE),
        },
        request=request,
    )


panels.sides.append(side)


# --- mail set aside -------------------------------------------------------------------------------------------------


@pages.page("crm.view_setaside", methods=["GET"])
def set_aside_list(request: HttpRequest) -> HttpResponse:
    """Mail that became no conversation and that nobody has looked at: what was drawn for a look, or all of one kind."""
    tabs = {"drawn": _("Drawn for a look"), **{kind: str(words).capitalize() for kind, words in KIND_WORDS.items()}}
    tab = request.GET.get("show", "drawn")
    tab = tab if tab in tabs else "drawn"
    key = pages.read_key(request, int)
    if tab == "drawn":
        rows = SetAside.objects.filter(verdict="", drawn_at__isnull=False)
        rows = rows if key is None else rows.filter(pk__lt=key[0])
        drawn = list(rows.order_by("-pk").values_list("pk", "raw_id")[: PAGE_SIZE + 1])
        places = {raw: place for place, raw in drawn}
        items = _glanced(RawItem.objects.filter(pk__in=places))
        items.sort(key=lambda item: -places[item["pk"]])
        place_of = [places[item["pk"]] for item in items]
    else:
        looked = SetAside.objects.filter(raw=OuterRef("pk")).exclude(verdict="")
        raws = RawItem.objects.filter(~Exists(looked), kind=tab)
        raws = raws if key is None else raws.filter(pk__lt=key[0])
        items = _glanced(raws.order_by("-pk")[: PAGE_SIZE + 1])
        items.sort(key=lambda item: -item["pk"])
        place_of = [item["pk"] for item in items]
    more = len(items) > PAGE_SIZE
    return pages.render(
        request,
        "admin/desk/set_aside.html",
        _("Set aside"),
        items=items[:PAGE_SIZE],
        tabs=[(name, label, name == tab) for name, label in tabs.items()],
        tab=tab,
        may_look=request.user.has_perm(CAN_LOOK),
        next_key=pages.write_key(place_of[PAGE_SIZE - 1]) if more else "",
        is_first=key is None,
    )


def _glanced(raws: Any) -> list[dict[str, Any]]:
    """The beginning of each mail, enough to see who wrote and what about."""
    start = raws.annotate(start=_Start(F("content"), Value(1), Value(GLANCED)))
    found = list(start.values("pk", "public_id", "received_at", "source", "label", "kind", "reason", "start"))
    for item in found:
        item["sender"], item["subject"] = glance(bytes(item.pop("start")))
        item["words"] = KIND_WORDS.get(item["kind"], item["kind"])
        item["why"] = item["reason"].partition(": ")[2] or item["reason"]
    return found


@pages.page("crm.view_setaside")
def set_aside_mail(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One mail that was set aside, as text; a POST says what it was."""
    item = RawItem.objects.select_related("mailbox").filter(public_id=public_id, kind__in=NO_PERSON).first()
    if item is None:
        raise Http404
    looked = SetAside.objects.filter(raw=item).select_related("looked_by", "interaction__conversation").first()
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_LOOK)
        wrong = request.POST.get("do") == "customer"
        verdict = LookedAs.WRONG if wrong else LookedAs.RIGHT
        received, refused = pages.tried(
            lambda: set_aside.look(item.pk, verdict=verdict, by=pages.colleague(request), at=timezone.now())
        )
        if not refused:
            pages.say(request, "", _("It is taken in; its promises count from when it came.") if wrong else _("Noted."))
            if received is not None:
                return redirect("admin:conversation", public_id=received.conversation.public_id)
            return redirect("admin:set_aside")
    mail = mails.read_item(item)
    return pages.render(
        request,
        "admin/desk/set_aside_mail.html",
        mail.subject or _("Without a subject"),
        item=item,
        mail=mail,
        words=KIND_WORDS.get(item.kind, item.kind),
        why=item.reason.partition(": ")[2] or item.reason,
        looked=looked if looked is not None and looked.verdict else None,
        may_look=request.user.has_perm(CAN_LOOK),
        refused=refused,
        status=409 if refused else 200,
    )


urlpatterns: list[URLPattern] = [
    path("doubts/", doubt_list, name="doubts"),
    path("doubts/<uuid:public_id>/", settle_doubt, name="settle_doubt"),
    path("conversation/<uuid:public_id>/reply-addresses/", revoke, name="revoke_reply_addresses"),
    path("set-aside/", set_aside_list, name="set_aside"),
    path("set-aside/<uuid:public_id>/", set_aside_mail, name="set_aside_mail"),
]
