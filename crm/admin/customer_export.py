"""Customers written into a file: of what the list shows, with chosen columns; sent row by row, and written down."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import customer_exports
from crm.admin import pages
from crm.models import Customer
from crm.models.people import CustomerQuerySet

EXPORT = "crm.export_customers"
_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_OF_THE_PAGE = ("o", "p", "e", "_changelist_filters")


class ExportForm(forms.Form):
    columns = forms.MultipleChoiceField(label=gettext_lazy("Columns"), widget=forms.CheckboxSelectMultiple)
    form = forms.ChoiceField(
        label=gettext_lazy("Form"),
        choices=[("csv", gettext_lazy("CSV, for spreadsheets")), ("jsonl", gettext_lazy("JSON lines, for programs"))],
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["columns"].choices = list(customer_exports.columns().items())  # type: ignore[attr-defined]


@pages.page("crm.view_customer", EXPORT)
def export_customers(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Ask for columns and form; a POST writes the customers whom the list of the same address shows."""
    filters = {name: str(value) for name, value in request.GET.items() if name not in _OF_THE_PAGE}
    found = _as_listed(request)
    if found is None:
        return pages.render(
            request, "admin/desk/customer_export.html", _("Export what is shown"), status=400, is_fullwidth="",
            refused=_("This list cannot be filtered like that."),
        )  # fmt: skip
    initial = {"columns": ["id", "name", "language", "email", "phone"], "form": "csv"}
    form = ExportForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        rows = customer_exports.lines(
            found, chosen=given["columns"], form=given["form"], filters=filters, by=pages.colleague(request),
            origin="admin", clock=timezone.now,
        )  # fmt: skip
        name = f"customers-{timezone.now():%Y-%m-%d}.{given['form']}"
        return StreamingHttpResponse(
            rows, content_type=_TYPES[given["form"]], headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )
    return pages.render(
        request, "admin/desk/customer_export.html", _("Export what is shown"), form=form, filters=list(filters.items()),
        query=urlencode(filters), is_fullwidth="",
    )  # fmt: skip


def _as_listed(request: HttpRequest) -> CustomerQuerySet | None:
    """The customers whom the list shows under the same address, of those whom this account may see; None for a wrong filter."""
    listed = admin.site._registry[Customer]
    try:
        shown = listed.get_changelist_instance(request).queryset
    except IncorrectLookupParameters:
        return None
    return cast(CustomerQuerySet, shown)


urlpatterns: list[URLPattern] = [path("export/customers/", export_customers, name="export_customers")]
