"""Fields of the house's own: which there are, what stands in them beside a customer or a case, and lists narrowed by them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import QuerySet
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import TextFilter

from crm.actions import custom_fields as actions
from crm.admin import pages
from crm.models import Customer, CustomField
from crm.models.fields import SeenBy, holds
from crm.policy import fields as policy
from crm.policy.fields import FieldKind, FieldOf, FieldRule, UnusableValue

CAN_SEE, CAN_MANAGE = "crm.view_customfield", "crm.manage_customfield"
CAN_FILL_IN = "crm.answer_conversation"
YES_OR_NO = [("yes", gettext_lazy("yes")), ("no", gettext_lazy("no"))]


# --- which fields there are ---------------------------------------------------------------------------------------------


class FieldForm(forms.Form):
    """How a field is described. `of`, `code` and `kind` are asked for once."""

    label = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    of = forms.ChoiceField(label=gettext_lazy("It belongs to"), choices=FieldOf)
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        help_text=gettext_lazy("For programs and files: small letters, figures and _. It never changes."),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("What stands in it"), choices=FieldKind, help_text=gettext_lazy("It never changes.")
    )
    choices = forms.CharField(
        label=gettext_lazy("The list to choose from"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One on each line, for “one of a list” only."),
    )
    help = forms.CharField(
        label=gettext_lazy("What it is for"),
        required=False,
        max_length=300,
        help_text=gettext_lazy("Colleagues read it beside the field."),
    )
    seen_by = forms.ChoiceField(label=gettext_lazy("Who may see it"), choices=SeenBy)
    place = forms.IntegerField(
        label=gettext_lazy("Place"), min_value=0, max_value=999, initial=0, help_text=gettext_lazy("Lowest first.")
    )

    def __init__(self, *args: Any, found: CustomField | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if found is not None:
            for name in ("of", "code", "kind"):
                del self.fields[name]
        if found is not None and found.kind != FieldKind.CHOICE:
            del self.fields["choices"]

    def described(self) -> dict[str, Any]:
        """What was typed, as the actions take it."""
        return {**self.cleaned_data, "choices": self.cleaned_data.get("choices", "").splitlines()}


@pages.page(CAN_SEE, methods=["GET"])
def field_list(request: HttpRequest) -> HttpResponse:
    """Every field, in use or not; there are few."""
    rows = list(CustomField.objects.order_by("-of", "-is_active", "place", "pk")[:500])
    return pages.render(
        request,
        "admin/desk/custom_fields.html",
        _("Fields of our own"),
        rows=rows,
        may_manage=request.user.has_perm(CAN_MANAGE),
    )


@pages.page(CAN_SEE, CAN_MANAGE)
def field_new(request: HttpRequest) -> HttpResponse:
    """Set up a field."""
    return _set_up(request, None)


@pages.page(CAN_SEE, CAN_MANAGE)
def field_change(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Describe a field differently; a retired one is in use again with it."""
    return _set_up(request, _found(public_id))


@pages.page(CAN_SEE, CAN_MANAGE, methods=["POST"])
def field_retire(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Stop using a field."""
    number = _found(public_id).pk
    _field, refused = pages.tried(lambda: actions.retire(number, by=pages.colleague(request), at=timezone.now()))
    pages.say(request, refused, _("It is not asked for any more. What stands in records is kept."))
    return redirect("admin:custom_fields")


def _set_up(request: HttpRequest, found: CustomField | None) -> HttpResponse:
    refused, by, at = "", pages.colleague(request), timezone.now()
    form = FieldForm(request.POST if request.method == "POST" else None, found=found, initial=_first_values(found))
    if request.method == "POST" and form.is_valid():
        kept: CustomField | None
        if found is None:
            kept, refused = pages.tried(lambda: actions.define(**form.described(), by=by, at=at))
        else:
            number = found.pk
            kept, refused = pages.tried(lambda: actions.change(number, **form.described(), by=by, at=at))
        if kept is not None:
            pages.say(request, "", _("Noted. It stands on every page of its kind from now on."))
            return redirect("admin:custom_fields")
    return pages.render(
        request,
        "admin/desk/custom_field.html",
        str(found) if found else _("New field"),
        form=form,
        found=found,
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


def _found(public_id: uuid.UUID) -> CustomField:
    found: CustomField | None = CustomField.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def _first_values(found: CustomField | None) -> dict[str, Any]:
    if found is None:
        return {}
    names = ("label", "help", "seen_by", "place")
    return {**{name: getattr(found, name) for name in names}, "choices": "\n".join(found.choices)}


# --- what stands in them ------------------------------------------------------------------------------------------------


def side(request: HttpRequest, found: Customer) -> dict[str, Any]:
    """What stands in a customer's fields, for their page. found: annotated with `in_use`."""
    fields = [CustomField(**row) for row in found.fields_in_use]  # type: ignore[attr-defined]
    return {
        "own_fields": shown(fields, found.custom),
        "may_fill_in": request.user.has_perm(CAN_FILL_IN) and found.status in actions.OPEN,
        "fill_in_url": reverse("admin:customer_fields", args=[found.public_id]),
    }


def in_use(of: str) -> dict[str, ArraySubquery]:
    """An annotation with the fields in use, so that a page need not ask for them by a statement of their own."""
    names = ("code", "label", "kind", "choices", "help")
    rows = CustomField.objects.in_use(of).values(json=JSONObject(**{name: name for name in names}))
    return {"fields_in_use": ArraySubquery(rows)}


def shown(fields: Iterable[CustomField], custom: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields with what stands in them, in words."""
    return [{"field": field, "value": policy.written(field.rule, custom.get(field.code))} for field in fields]


class ValuesForm(forms.Form):
    """One field of the form for each field in use. What may stand in them is said by the policy when they are kept."""

    def __init__(self, sent: Any, *, fields: Sequence[CustomField], custom: dict[str, Any]) -> None:
        self.own, self.custom = list(fields), custom
        super().__init__(sent, initial={_name(one.code): self._now(one.rule) for one in self.own})
        for one in self.own:
            self.fields[_name(one.code)] = self._field(one)

    def _now(self, rule: FieldRule) -> str:
        value = self.custom.get(rule.code)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return "" if value is None else str(value)

    def _field(self, one: CustomField) -> forms.Field:
        about: dict[str, Any] = {"label": one.label, "help_text": one.help, "required": False}
        if one.kind == FieldKind.TEXT:
            return forms.CharField(**about, max_length=policy.TEXT_AT_MOST)
        if one.kind == FieldKind.NUMBER:
            return forms.CharField(**about, max_length=40, widget=forms.TextInput(attrs={"inputmode": "decimal"}))
        if one.kind == FieldKind.DATE:
            return forms.CharField(**about, max_length=40, widget=forms.DateInput(attrs={"type": "date"}))
        now = self._now(one.rule)  # what stands there may have left the list since
        choices = (
            YES_OR_NO if one.kind == FieldKind.YES_NO else [(c, c) for c in dict.fromkeys([*one.choices, now]) if c]
        )
        return forms.ChoiceField(**about, choices=[("", "–"), *choices])

    def changed(self) -> dict[str, Any]:
        """What is different now, by code; what was left as it is is not written anew."""
        given = {one.code: self.cleaned_data[_name(one.code)] for one in self.own}
        return {one.code: given[one.code] for one in self.own if given[one.code] != self._now(one.rule)}


def _name(code: str) -> str:
    return f"custom_{code}"


def fill_in(
    request: HttpRequest,
    *,
    of: str,
    custom: dict[str, Any],
    title: str,
    back: str,
    keep: Callable[[dict[str, Any]], Any],
    refusals: tuple[type[Exception], ...] = pages.REFUSALS,
) -> HttpResponse:
    """A page with every field in use of one record; a POST keeps what is different. keep: makes the one action call."""
    form = ValuesForm(
        request.POST if request.method == "POST" else None,
        fields=list(CustomField.objects.in_use(of)),
        custom=custom,
    )
    refused = ""
    if request.method == "POST" and form.is_valid():
        try:
            _kept, refused = pages.tried(lambda: keep(form.changed()), refusals=refusals)
        except UnusableValue as mistake:
            form.add_error(_name(mistake.field), str(mistake)) if _name(mistake.field) in form.fields else None
        else:
            if not refused:
                pages.say(request, "", _("Noted."))
                return redirect(back)
    return pages.render(
        request,
        "admin/desk/custom_values.html",
        title,
        form=form,
        back=back,
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


@pages.page(CAN_FILL_IN)
def customer_fields(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Fill in the fields of a customer."""
    found = Customer.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    number = found.pk
    return fill_in(
        request,
        of=FieldOf.CUSTOMER,
        custom=found.custom,
        title=str(found),
        back=reverse("admin:customer", args=[public_id]),
        keep=lambda values: actions.set_values(number, values, by=pages.colleague(request), at=timezone.now()),
    )


# --- lists narrowed by them ---------------------------------------------------------------------------------------------


def filters(request: HttpRequest, of: str) -> list[type[SimpleListFilter]]:
    """A filter for each field in use. One statement a request, however often the admin asks."""
    kept = getattr(request, "_own_filters", None)
    if kept is None:
        kept = [_filter(field) for field in CustomField.objects.in_use(of)]
        request._own_filters = kept  # type: ignore[attr-defined]
    return kept


class _ByValue(SimpleListFilter):
    """Rows in whose field exactly this stands; nothing is found by what cannot stand there."""

    rule: FieldRule

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, Any]]:
        if self.rule.kind == FieldKind.YES_NO:
            return list(YES_OR_NO)
        return [(one, one) for one in self.rule.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        given = self.value()
        if not given:
            return queryset
        try:
            return queryset.filter(holds(policy.checked([self.rule], {self.rule.code: given})))
        except UnusableValue:
            return queryset.none()


class _ByTypedValue(_ByValue, TextFilter):  # type: ignore[misc]
    """The same, for values that are typed."""

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> tuple[()]:  # type: ignore[override]
        return ()


def _filter(field: CustomField) -> type[SimpleListFilter]:
    kind = _ByValue if field.kind in (FieldKind.CHOICE, FieldKind.YES_NO) else _ByTypedValue
    about = {"title": field.label, "parameter_name": f"custom.{field.code}", "rule": field.rule}
    made: type[SimpleListFilter] = type(f"By_{field.code}", (kind,), about)
    return made


urlpatterns: list[URLPattern] = [
    path("custom-fields/", field_list, name="custom_fields"),
    path("custom-fields/new/", field_new, name="custom_field_new"),
    path("custom-fields/<uuid:public_id>/", field_change, name="custom_field"),
    path("custom-fields/<uuid:public_id>/retire/", field_retire, name="custom_field_retire"),
    path("customer/<uuid:public_id>/fields/", customer_fields, name="customer_fields"),
]
