"""Who is here, what everybody carries, and the plans of one colleague: shifts, absences, workload, certificates."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import rota, routing, staff
from crm.admin import pages, queue, signature
from crm.models import Absence, Certificate, Pull, RequiredSkill, Shift, User
from crm.policy import Away, LineOfWork, Person, Rota, WeeklyShift, is_away, is_on_shift, is_small_team

PAGE_SIZE = 50
SEES, PLANS, EMPLOYS = "crm.view_pull", "crm.plan_people", "crm.change_user"
DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


@dataclass(frozen=True, slots=True)
class Row:
    """One colleague as the page shows them. load and cap: effort points. taken …: of the last seven days."""

    user: User
    state: str
    tone: str
    load: int
    cap: int
    in_work: int
    taken: int
    out_of_order: int
    passed_over: int


class WorkloadForm(forms.Form):
    takes_conversations = forms.BooleanField(label=gettext_lazy("New conversations are given to them"), required=False)
    customer_service_share = forms.IntegerField(
        label=gettext_lazy("Share of customer service, percent"), min_value=0, max_value=100
    )
    capacity_points = forms.IntegerField(
        label=gettext_lazy("Effort points at full share"), min_value=0, max_value=10_000
    )
    chats_at_once = forms.IntegerField(label=gettext_lazy("Chats at once"), min_value=0, max_value=3)
    written_at_once = forms.IntegerField(label=gettext_lazy("Written matters at once"), min_value=1, max_value=100)
    line_of_work = forms.ChoiceField(label=gettext_lazy("Line of work"), choices=LineOfWork)
    is_vendor = forms.BooleanField(label=gettext_lazy("Works for a vendor"), required=False)


class ShiftsForm(forms.Form):
    zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("For example Europe/Berlin; empty for the shop's own."),
        max_length=64,
        required=False,
    )
    shifts = forms.CharField(
        label=gettext_lazy("Weekly shifts"),
        help_text=gettext_lazy(
            "One a line: weekday from 1 (Monday) to 7, from, to. For example: 1 09:00 17:00. None: always."
        ),
        widget=forms.Textarea(attrs={"rows": 5}),
        max_length=2000,
        required=False,
    )

    def clean_shifts(self) -> list[WeeklyShift]:
        """Read the lines."""
        found = []
        for line in self.cleaned_data["shifts"].splitlines():
            if not line.strip():
                continue
            try:
                weekday, starts, ends = line.replace("–", " ").replace("-", " ").split()
                found.append(WeeklyShift(int(weekday) - 1, time.fromisoformat(starts), time.fromisoformat(ends)))
            except ValueError as mistake:
                raise forms.ValidationError(
                    _("“%(line)s” cannot be read. Please write it like this: 1 09:00 17:00") % {"line": line}
                ) from mistake
        return found


class AbsenceForm(forms.Form):
    starts_at = forms.DateTimeField(label=gettext_lazy("From"), widget=MOMENT)
    ends_at = forms.DateTimeField(label=gettext_lazy("Until"), widget=MOMENT)
    stand_in = forms.ModelChoiceField(
        User.objects.none(), label=gettext_lazy("Stand-in"), empty_label=gettext_lazy("nobody"), required=False
    )


class CertificateForm(forms.Form):
    skill = forms.SlugField(
        label=gettext_lazy("Skill"),
        help_text=gettext_lazy("A complaint type such as damaged_item, or public_writing."),
        max_length=40,
    )
    issued_on = forms.DateField(label=gettext_lazy("Issued"), widget=DAY)
    expires_on = forms.DateField(label=gettext_lazy("Valid until"), widget=DAY)


def _is_small() -> bool:
    return is_small_team(User.objects.colleagues().count())


@pages.page(SEES, methods=["GET"])
def people(request: HttpRequest) -> HttpResponse:
    """Everybody who works here: who is here now, what they carry, and how often they went out of order."""
    at = timezone.now()
    key = pages.read_key(request, int)
    users = list(User.objects.colleagues().filter(pk__gt=key[0] if key else 0).order_by("pk")[: PAGE_SIZE + 1])
    more, users = len(users) > PAGE_SIZE, users[:PAGE_SIZE]
    loads = routing.loads(at, of=[user.pk for user in users])
    away = set(Absence.objects.running(at).filter(user__in=users).values_list("user_id", flat=True))
    counted = {row["by"]: row for row in Pull.objects.filter(by__in=users).by_person(at - queue.COUNTED_FOR)}
    in_work = {user.pk: 0 for user in users}
    for pk in Pull.objects.in_work().filter(by__in=users, idle_at__gt=at).values_list("by_id", flat=True):
        in_work[pk] += 1
    rows = [
        _row(user, loads.get(user.pk, 0), user.pk in away, in_work[user.pk], counted.get(user.pk, {})) for user in users
    ]
    may_plan = request.user.has_perm(PLANS)
    shows_skills = may_plan and (more or key is not None or not is_small_team(len(users)))
    return pages.render(
        request,
        "admin/desk/people.html",
        _("Who is here"),
        rows=rows,
        next_key=pages.write_key(users[-1].pk) if more else "",
        is_first=key is None,
        shows_skills=shows_skills,
        skills=list(RequiredSkill.objects.order_by("skill").values_list("skill", flat=True)) if shows_skills else [],
    )


def _row(user: User, load: int, is_away: bool, in_work: int, counted: dict[str, int]) -> Row:
    if is_away:
        state, tone = _("absent"), "late"
    elif user.customer_service_share == 0:
        state, tone = _("other work"), "calm"
    elif not user.is_available:
        state, tone = _("off shift"), "calm"
    elif user.is_full:
        state, tone = _("here, with a full desk"), "soon"
    else:
        state, tone = _("here"), "good"
    return Row(
        user=user,
        state=state,
        tone=tone,
        load=load,
        cap=Person(share=user.customer_service_share, points=user.capacity_points).cap,
        in_work=in_work,
        taken=counted.get("taken", 0),
        out_of_order=counted.get("out_of_order", 0),
        passed_over=counted.get("passed_over", 0),
    )


@pages.page(PLANS, methods=["POST"])
def skills(request: HttpRequest) -> HttpResponse:
    """Ask for a certificate for a skill, or no longer."""
    skill, by, at = request.POST.get("skill", ""), pages.colleague(request), timezone.now()
    if request.POST.get("do") == "no_more":
        _none, refused = pages.tried(lambda: rota.demand_no_more(skill, by=by, at=at))
        pages.say(request, refused, _("No certificate is asked for that any more."))
    else:
        _required, refused = pages.tried(lambda: rota.demand(skill, by=by, at=at))
        pages.say(request, refused, _("From now on that needs a certificate."))
    return redirect("admin:people")


@pages.page(SEES)
def one_of_us(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One colleague's plan and certificates; a POST is one change, named by its button."""
    user = User.objects.filter(is_staff=True, public_id=public_id).first()
    if user is None:
        raise Http404
    bound: forms.Form | None = None
    refused = ""
    if request.method == "POST":
        pages.require(request, PLANS)
        bound, refused = _change(request, user)
        if not refused and (bound is None or bound.is_valid()):
            pages.say(request, "", _("It is noted."))
            return redirect("admin:one_of_us", public_id=public_id)
    return _show(request, user, bound, refused)


def _change(request: HttpRequest, user: User) -> tuple[forms.Form | None, str]:
    """Make the one call that the pressed button stands for; gives the form that was used, and what stands in the way."""
    by, at, does = pages.colleague(request), timezone.now(), request.POST.get("do", "")
    number = request.POST.get("number", "")
    row = int(number) if number.isdecimal() and len(number) < 18 else 0
    calls: dict[str, tuple[forms.Form, Callable[..., object]]] = {
        "workload": (WorkloadForm(request.POST), rota.set_workload),
        "shifts": (ShiftsForm(request.POST), rota.set_shifts),
        "away": (_absence_form(user, request.POST), rota.be_away),
        "certify": (CertificateForm(request.POST), rota.certify),
        "sign": (signature.SignatureForm(request.POST), staff.sign_as),
    }
    if does in calls:
        form, act = calls[does]
        if not form.is_valid():
            return form, ""
        given: dict[str, Any] = dict(form.cleaned_data)
        if "line_of_work" in given:
            given["line_of_work"] = LineOfWork(given["line_of_work"])
        _result, refused = pages.tried(lambda: act(user.pk, **given, by=by, at=at))
        return form, refused
    if does in ("leaves", "returns"):
        pages.require(request, EMPLOYS)
        return None, pages.tried(lambda: rota.set_active(user.pk, is_active=does == "returns", by=by, at=at))[1]
    if does == "back" and Absence.objects.filter(pk=row, user=user).exists():
        return None, pages.tried(lambda: rota.be_back(row, by=by, at=at))[1]
    if does == "revoke" and Certificate.objects.filter(pk=row, user=user).exists():
        return None, pages.tried(lambda: rota.revoke(row, by=by, at=at))[1]
    return None, _("Please use one of the buttons.")


def _absence_form(user: User, given: Any = None) -> AbsenceForm:
    form = AbsenceForm(given)
    stand_ins: Any = form.fields["stand_in"]
    stand_ins.queryset = User.objects.colleagues().exclude(pk=user.pk).order_by("display_name", "pk")
    return form


def _show(request: HttpRequest, user: User, bound: forms.Form | None, refused: str) -> HttpResponse:
    at = timezone.now()
    shifts = list(Shift.objects.filter(user=user).order_by("weekday", "starts"))
    workload = WorkloadForm(initial={name: getattr(user, name) for name in WorkloadForm.base_fields})
    lines = "\n".join(f"{s.weekday + 1} {s.starts:%H:%M} {s.ends:%H:%M}" for s in shifts)
    shown: dict[type[forms.Form], forms.Form] = {
        WorkloadForm: workload,
        ShiftsForm: ShiftsForm(initial={"zone": user.zone, "shifts": lines}),
        AbsenceForm: _absence_form(user),
        signature.SignatureForm: signature.SignatureForm(initial={"signature": user.signature}),
        CertificateForm: CertificateForm(initial={"issued_on": at.date()}),
    }
    if bound is not None:
        shown[type(bound)] = bound
    absences = list(Absence.objects.not_over(at).filter(user=user).select_related("stand_in").order_by("starts_at"))
    plan = Rota(
        user.zone or settings.TIME_ZONE,
        tuple(shift.as_policy() for shift in shifts),
        tuple(Away(absence.starts_at, absence.ends_at) for absence in absences),
    )
    who = Person(
        is_away=is_away(plan, at),
        is_on_shift=is_on_shift(plan, at),
        share=user.customer_service_share,
        points=user.capacity_points,
        load=routing.loads(at, of=[user.pk]).get(user.pk, 0),
    )
    return pages.render(
        request,
        "admin/desk/one_of_us.html",
        str(user),
        colleague=user,
        who=who,
        now=at.astimezone(ZoneInfo(plan.zone)),
        shifts=[(WEEKDAYS[shift.weekday], shift) for shift in shifts],
        absences=absences,
        certificates=list(
            Certificate.objects.filter(user=user)
            .select_related("issued_by", "revoked_by")
            .order_by("-expires_on", "-pk")
        ),
        today=at.date(),
        workload=shown[WorkloadForm],
        shifts_form=shown[ShiftsForm],
        absence=shown[AbsenceForm],
        certificate=shown[CertificateForm],
        signature=shown[signature.SignatureForm],
        preview=signature.preview(user, user.signature),
        may_plan=request.user.has_perm(PLANS),
        may_employ=request.user.has_perm(EMPLOYS) and user.pk != request.user.pk,
        is_small=_is_small(),
        refused=refused,
        status=409 if refused else 200,
    )
