"""One rule of a draft, as a form; and the rules of all versions to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import money
from crm.admin import pages
from crm.admin.base import ReadOnlyAdmin
from crm.policy import PromiseKind
from recovery import actions
from recovery.admin.policies import CAN_DRAFT, REFUSALS
from recovery.models import PolicyRule, PolicyVersion
from recovery.policy import ComplaintType, RemedyKind, Rule, Severity
from recovery.policy.checks import HIGHEST, LONGEST, MAY_PROMISE

YES, NO = "yes", "no"


def _anything(label: Any) -> list[tuple[str, Any]]:
    return [("", label), (YES, gettext_lazy("Only when it is so")), (NO, gettext_lazy("Only when it is not so"))]


class LengthField(forms.Field):
    """An amount of service time as people write it, “30 min”, “24 h”; its value is whole minutes, None when empty."""

    MINUTES = {"min": 1, "h": 60}

    def to_python(self, value: Any) -> int | None:
        """Read the text. Raises ValidationError with an example."""
        text = str(value or "").strip().lower()
        if not text:
            return None
        read = re.fullmatch(r"(\d{1,6})\s*(min|h)", text)
        minutes = int(read[1]) * self.MINUTES[read[2]] if read else 0
        if not 0 < minutes <= LONGEST:
            raise forms.ValidationError(_("Please write a time like 30 min or 24 h of service time, at most a year."))
        return minutes

    def prepare_value(self, value: Any) -> Any:
        """Write minutes in the largest unit that is whole."""
        if not isinstance(value, int):
            return value
        unit = next(unit for unit in ("h", "min") if value % self.MINUTES[unit] == 0)
        return f"{value // self.MINUTES[unit]} {unit}"


class RuleForm(forms.Form):
    """One rule: when it applies, what it gives, and why. An empty condition means that the fact does not matter."""

    code = forms.RegexField(
        r"^[a-z][a-z0-9_]{0,47}$",
        label=gettext_lazy("Short name"),
        help_text=gettext_lazy("Small letters, digits and “_”, for lists and records: late_parcel"),
        error_messages={"invalid": gettext_lazy("Small letters, digits and “_”, beginning with a letter.")},
        max_length=48,
    )
    because = forms.CharField(
        label=gettext_lazy("Reason, as you would say it in public"),
        help_text=gettext_lazy("Customers read this sentence. Would a bystander find it fair?"),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=300,
    )
    complaint_type = forms.MultipleChoiceField(
        label=gettext_lazy("What went wrong"),
        help_text=gettext_lazy("None chosen: whatever it was."),
        choices=ComplaintType,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    loss = forms.DecimalField(
        label=gettext_lazy("Money lost: at least"), min_value=0, max_value=HIGHEST, decimal_places=2, required=False
    )
    days_without = forms.IntegerField(
        label=gettext_lazy("Days without: at least"), min_value=0, max_value=100_000, required=False
    )
    our_failures = forms.IntegerField(
        label=gettext_lazy("Failures of ours: at least"), min_value=0, max_value=100_000, required=False
    )
    currency = forms.CharField(
        label=gettext_lazy("Currencies"),
        help_text=gettext_lazy("Codes like EUR, USD; empty: any. A goodwill is paid in the currency of the loss."),
        required=False,
    )
    safety = forms.ChoiceField(
        label=gettext_lazy("Somebody is or was in danger"),
        choices=_anything(gettext_lazy("Does not matter")),
        required=False,
    )
    essential = forms.ChoiceField(
        label=gettext_lazy("Something they need to live"),
        choices=_anything(gettext_lazy("Does not matter")),
        required=False,
    )
    vulnerable = forms.ChoiceField(
        label=gettext_lazy("Waiting would hit them harder"),
        choices=_anything(gettext_lazy("Does not matter")),
        required=False,
    )
    remedies = forms.MultipleChoiceField(
        label=gettext_lazy("What is owed"), choices=RemedyKind, widget=forms.CheckboxSelectMultiple, required=False
    )
    goodwill = forms.DecimalField(
        label=gettext_lazy("Goodwill on top"),
        min_value=0,
        max_value=HIGHEST,
        decimal_places=2,
        required=False,
        help_text=gettext_lazy("Of several rules that apply the highest goodwill counts."),
    )
    severity = forms.ChoiceField(label=gettext_lazy("Severity"), choices=Severity, initial=Severity.LOW)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in MAY_PROMISE:
            self.fields[f"within_{kind}"] = LengthField(
                label=_("%(promise)s: within") % {"promise": PromiseKind(kind).label.capitalize()},
                help_text=_("Elapsed time, like 720 h")
                if kind == PromiseKind.STATUTORY
                else _("Service time, like 30 min or 24 h"),
                required=False,
            )

    def clean_currency(self) -> list[str]:
        """Read the codes. Unknown ones are refused beside the field."""
        codes: list[str] = self.cleaned_data["currency"].upper().replace(",", " ").split()
        unknown = [code for code in codes if code not in money.CURRENCIES]
        if unknown:
            raise forms.ValidationError(_("“%(code)s” is no currency in use.") % {"code": unknown[0]})
        return codes

    def rule(self) -> Rule:
        """Translate what was filled in."""
        given = self.cleaned_data
        when: dict[str, dict[str, Any]] = {}
        for name in ("complaint_type", "currency"):
            values = given[name]
            if values:
                when[name] = {"is": values[0]} if len(values) == 1 else {"one_of": values}
        if given["loss"] is not None:
            when["loss"] = {"at_least": f"{given['loss']:.2f}"}
        when |= {
            name: {"at_least": given[name]} for name in ("days_without", "our_failures") if given[name] is not None
        }
        when |= {name: {"is": given[name] == YES} for name in ("safety", "essential", "vulnerable") if given[name]}
        return Rule(
            code=given["code"],
            when=when,
            remedies=tuple(given["remedies"]),
            goodwill=given["goodwill"] or Decimal(0),
            within={str(kind): given[f"within_{kind}"] for kind in MAY_PROMISE if given[f"within_{kind}"]},
            severity=Severity(given["severity"]),
            because=given["because"],
        )

    @staticmethod
    def filled_with(rule: Rule) -> dict[str, Any]:
        """The form's values for a rule that is there."""

        def values(name: str) -> list[Any]:
            condition = rule.when.get(name, {})
            return list(condition.get("one_of", [condition["is"]] if "is" in condition else []))

        yes_or_no = {name: values(name) for name in ("safety", "essential", "vulnerable")}
        return {
            "code": rule.code,
            "because": rule.because,
            "complaint_type": values("complaint_type"),
            "currency": ", ".join(values("currency")),
            **{name: rule.when.get(name, {}).get("at_least") for name in ("loss", "days_without", "our_failures")},
            **{name: (YES if found[0] else NO) if found else "" for name, found in yes_or_no.items()},
            "remedies": list(rule.remedies),
            "goodwill": rule.goodwill or None,
            "severity": rule.severity,
            **{f"within_{kind}": minutes for kind, minutes in rule.within.items()},
        }

    def times(self) -> Sequence[forms.BoundField]:
        return [self[f"within_{kind}"] for kind in MAY_PROMISE]


@pages.page(CAN_DRAFT)
def policy_rule(request: HttpRequest, number: int, code: str = "") -> HttpResponse:
    """Edit one rule of a draft, or write a new one."""
    draft = PolicyVersion.objects.filter(number=number).first()
    if draft is None:
        raise Http404
    row = draft.rules.filter(code=code).first() if code else None
    if code and row is None:
        raise Http404
    form, refused = RuleForm(initial=RuleForm.filled_with(row.as_rule()) if row else {}), ""
    if request.method == "POST":
        form = RuleForm(request.POST)
        if form.is_valid():
            _row, refused = pages.tried(
                lambda: actions.put_rule(
                    number, form.rule(), replaces=code, by=pages.colleague(request), at=timezone.now()
                ),
                refusals=REFUSALS,
            )
            if not refused:
                pages.say(request, "", _("Kept in the draft. Please check it again before it is approved."))
                return redirect("admin:policy", number=number)
    return pages.render(
        request,
        "admin/recovery/policy_rule.html",
        _("Rule “%(code)s”") % {"code": code} if code else _("New rule"),
        version=draft,
        form=form,
        refused=refused,
        status=409 if refused else 200,
    )


urlpatterns: list[URLPattern] = [
    path("policies/<int:number>/rule/", policy_rule, name="policy_rule_new"),
    path("policies/<int:number>/rule/<slug:code>/", policy_rule, name="policy_rule"),
]


# --- lists ----------------------------------------------------------------------------------------------------------


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnlyAdmin):
    list_display = ("number", "state", "effective_from", "note", "content_hash")
    ordering = ("-number",)
    hidden = ("checks", "what_if", "edited_by")


@admin.register(PolicyRule)
class PolicyRuleAdmin(ReadOnlyAdmin):
    list_display = ("version", "position", "code", "because", "goodwill", "severity")
    list_display_links = ("code",)
    list_select_related = ("version",)
    ordering = ("-version_id", "position")
