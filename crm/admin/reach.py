"""A look at the reach of a customer: for a reason, in a matter that its owner has taken, written down every time (N3)."""

from __future__ import annotations

import base64
import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import reach
from crm.admin import pages
from crm.channels.email.files import sniffed
from crm.models import Conversation, ReachLook
from crm.policy import REACH_KEPT_FOR, RevealReason

CAN_REVEAL = "crm.reveal_reach"
LISTED = 50


@pages.page("crm.view_conversation", CAN_REVEAL)
def reveal(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Ask for a reason; a POST with one shows what is kept, once, on the answer to it alone."""
    visible = Conversation.objects.visible_to(pages.colleague(request)).select_related("customer")
    found = visible.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    seen, refused = None, ""
    if request.method == "POST":
        try:
            reason = RevealReason(request.POST.get("reason", ""))
        except ValueError:
            refused = _("Please choose a reason.")
        else:
            seen, refused = pages.tried(
                lambda: reach.reveal(
                    found.pk,
                    reason=reason,
                    words=request.POST.get("words", ""),
                    by=pages.colleague(request),
                    at=timezone.now(),
                )
            )
    looks = ReachLook.objects.filter(conversation=found).select_related("by").order_by("-at", "-pk")[:LISTED]
    return pages.render(
        request,
        "admin/desk/reach.html",
        _("Reach, hidden"),
        conversation=found,
        seen=None if seen is None else [(one, _picture(one.avatar)) for one in seen],
        refused=refused,
        reasons=RevealReason.choices,
        looks=looks,
        is_taken=reach.is_taken(found),
        days=REACH_KEPT_FOR.days,
        status=409 if refused else 200,
    )


def _picture(content: bytes) -> str:
    """A picture that came with what was told, as an address that holds it; nothing is fetched to show it."""
    return f"data:{sniffed(content)};base64,{base64.b64encode(content).decode()}" if content else ""


urlpatterns: list[URLPattern] = [path("conversation/<uuid:public_id>/reach/", reveal, name="reach")]
