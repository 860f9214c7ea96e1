"""What every list of the admin has in common: it costs the same at any size, and nothing is changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Model
from django.http import Http404, HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """A list and a detail page without add, change and delete; changes are made by the pages that call an action."""

    show_full_result_count = False
    paginator = InfinitePaginator  # never counts: it goes on while a page is full
    search_fields: Sequence[str] = ()
    list_display: Sequence[str] = ("__str__",)
    list_filter: Sequence[str] = ()
    list_select_related: Sequence[str] = ()
    sortable_by: Sequence[str] = ()  # an order without an index would cost more with every row
    list_per_page = 50
    list_fullwidth = True
    list_filter_sheet = False
    list_disable_select_all = True
    actions: Sequence[str] | None = None
    ordering: Sequence[str] = ("-pk",)
    hidden: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Every stored field but those that are long, secret or of no use to people."""
        never = {"id", "html", "content", "password", "lease_until", *self.hidden}
        return [field.name for field in self.opts.concrete_fields if field.name not in never]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return self.get_fields(request, obj)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """The admin's own log knows nothing of what actions do; the product's history does."""
        raise Http404
