"""Kindness to look at: programmes, gestures, and their place in a customer's story."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext as _

from crm.admin import panels
from crm.admin.base import ReadOnlyAdmin
from crm.models import Customer, User
from loyalty.models import Gesture, Programme
from loyalty.policy import GestureState

TONES: dict[str, str] = {GestureState.SENT: "good", GestureState.DROPPED: "soon"}


def told(user: User, customer: Customer, before: panels.Before | None, limit: int) -> list[panels.Event]:
    """The customer's gestures, for their story."""
    if not user.has_perm("loyalty.view_gesture"):
        return []
    gestures = (
        Gesture.objects.filter(panels.earlier(before, source="4-gesture", field="send_at"), customer=customer)
        .select_related("programme")
        .order_by("-send_at", "-id")[:limit]
    )
    return [
        panels.Event(
            at=gesture.send_at,
            source="4-gesture",
            number=gesture.pk,
            icon="redeem",
            words=_("Card: %(occasion)s") % {"occasion": gesture.programme.get_occasion_display()},
            state=str(gesture.get_state_display()),
            tone=TONES.get(gesture.state, "calm"),
        )
        for gesture in gestures
    ]


panels.sources.append(told)


@admin.register(Programme)
class ProgrammeAdmin(ReadOnlyAdmin):
    list_display = ("occasion", "is_active", "public_rule")


@admin.register(Gesture)
class GestureAdmin(ReadOnlyAdmin):
    list_display = ("customer", "programme", "occasion_on", "send_at", "state", "reason", "sent_at")
    list_select_related = ("customer", "programme")
    list_filter = ("state",)
