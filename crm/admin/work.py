"""Work that is due, parked work that a person lets try again, and the periodic duties."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.actions import work
from crm.admin import pages
from crm.admin.base import ReadOnlyAdmin
from crm.models import DutyRun, WorkItem


@admin.register(WorkItem)
class WorkItemAdmin(ReadOnlyAdmin):
    """Follow-ups that have not been done yet; a parked one says why."""

    list_display = ("due_at", "lane", "event", "ref", "state", "attempt", "reason")
    list_filter = ("state",)
    actions = ("retry",)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether this account may let parked work try again."""
        return request.user.has_perm("crm.retry_work")

    @admin.action(description=_("Try again"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[WorkItem]) -> None:
        """Let each chosen item be tried again; one call each, and each says how it went."""
        for item in queryset.order_by("pk"):
            _nothing, refused = pages.tried(
                lambda item=item: work.retry(item.pk, by=pages.colleague(request), at=timezone.now())  # type: ignore[misc]
            )
            pages.say(request, refused, str(_("Will be tried again: %(item)s")) % {"item": item.ref})


@admin.register(DutyRun)
class DutyRunAdmin(ReadOnlyAdmin):
    list_display = ("name", "finished_at", "claimed_slot", "reason")
    ordering = ("name",)
