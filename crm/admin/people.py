"""Customers and colleagues, as lists to look things up in."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from crm.admin import custom_fields, pages
from crm.admin.base import ReadOnlyAdmin
from crm.models import Consent, ContactPoint, Customer, Hold, LifeEvent, User
from crm.policy.fields import FieldOf


@admin.register(Customer)
class CustomerAdmin(ReadOnlyAdmin):
    list_display = ("page", "status", "language", "created_at")
    list_display_links = None
    list_filter = ("status",)
    change_list_template = "admin/desk/customer_list.html"
    ordering = ("-created_at", "-id")
    search_fields = ("display_name",)
    search_help_text = _("A name, or a whole e-mail address or phone number")

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [*self.list_filter, *custom_fields.filters(request, FieldOf.CUSTOMER)]

    @admin.display(description=_("name"), ordering="display_name")
    def page(self, customer: Customer) -> SafeString:
        """The customer's name, as the way to their page."""
        return format_html(
            '<a class="eh-link" href="{}">{}</a>', reverse("admin:customer", args=[customer.public_id]), customer
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        """Whom this account may see; the list, its filters and what is exported of it begin here."""
        return Customer.objects.visible_to(cast(User, request.user))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Customer], search_term: str
    ) -> tuple[QuerySet[Customer], bool]:
        """Find by a part of the name, or by a whole address."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        reached = ContactPoint.objects.filter(address=wanted.lower(), unlinked_at=None).values("customer")
        return queryset.filter(Q(display_name__icontains=wanted) | Q(pk__in=reached)), False


@admin.register(ContactPoint)
class ContactPointAdmin(ReadOnlyAdmin):
    list_display = ("address", "kind", "customer", "verified_at", "unlinked_at", "created_at")
    list_select_related = ("customer",)
    list_filter = ("kind",)
    search_fields = ("address__exact",)


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    list_display = ("at", "customer", "purpose", "medium", "state", "actor")
    list_select_related = ("customer",)
    list_filter = ("state", "purpose", "medium")


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ("customer", "reason", "starts_at", "until", "placed_by")
    list_select_related = ("customer", "placed_by")


@admin.register(LifeEvent)
class LifeEventAdmin(ReadOnlyAdmin):
    list_display = ("customer", "kind", "day", "month", "told_at")
    list_select_related = ("customer",)
    list_filter = ("month",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LifeEvent]:
        """Only what this account may see; an illness is for leads and whoever looks after it."""
        return LifeEvent.objects.visible_to(pages.colleague(request)).order_by("-pk")


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """Accounts of colleagues and of customers who use the app."""

    list_display = ("email", "display_name", "is_staff", "is_active", "takes_conversations", "last_login")
    list_filter = ("is_staff", "is_active", "takes_conversations")
    search_fields = ("email__exact", "display_name")
    hidden = ("first_name", "last_name")

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:  # type: ignore[override]
        return [*super().get_fields(request, obj), "of_role"]

    @admin.display(description=_("roles"))
    def of_role(self, user: User) -> str:
        """The roles of an account, in words."""
        return ", ".join(user.roles) or "–"


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    """Roles and their rights; the table they come from is in the code."""

    list_display = ("name",)
    ordering = ("name",)

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> list[str]:  # type: ignore[override]
        return ["name", "rights"]

    @admin.display(description=_("rights"))
    def rights(self, group: Group) -> str:
        """What this role may do."""
        return ", ".join(sorted(str(name) for name in group.permissions.values_list("name", flat=True)))
