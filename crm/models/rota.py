"""When colleagues are here, what they are certified for, and for which skills this installation asks a certificate."""

from __future__ import annotations

from datetime import date, datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.policy import WeeklyShift


class Shift(models.Model):
    """One weekly shift by the wall clock of the colleague's zone; it ends on the next day when it ends no later than it starts."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="shifts", db_index=False)
    weekday = models.PositiveSmallIntegerField(_("weekday"))  # 0 is Monday
    starts = models.TimeField(_("from"))
    ends = models.TimeField(_("to"))

    class Meta:
        verbose_name = _("shift")
        verbose_name_plural = _("shifts")
        constraints = [
            models.CheckConstraint(condition=Q(weekday__lte=6), name="shift_on_a_weekday"),
            models.UniqueConstraint(fields=["user", "weekday", "starts"], name="shift_once"),
        ]

    def __str__(self) -> str:
        return f"{self.weekday} {self.starts:%H:%M}–{self.ends:%H:%M}"

    def as_policy(self) -> WeeklyShift:
        """This shift as the rules know it."""
        return WeeklyShift(self.weekday, self.starts, self.ends)


class AbsenceQuerySet(models.QuerySet["Absence"]):
    def running(self, at: datetime) -> AbsenceQuerySet:
        return self.filter(starts_at__lte=at, ends_at__gt=at)

    def not_over(self, at: datetime) -> AbsenceQuerySet:
        return self.filter(ends_at__gt=at)


class Absence(models.Model):
    """A time in which a colleague is away, and who stands in. Ending it early moves its end."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="absences", db_index=False)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    stand_in = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("stand-in")
    )
    entered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)

    objects = AbsenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("absence")
        verbose_name_plural = _("absences")
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gte=F("starts_at")), name="absence_ends_after_it_starts"),
            models.CheckConstraint(
                condition=Q(stand_in__isnull=True) | ~Q(stand_in=F("user")), name="absence_stand_in_is_another"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "ends_at"], name="absence_of_user"),
            models.Index(fields=["ends_at"], name="absence_not_over"),
        ]
        permissions = [("plan_people", "Can plan shifts, absences, workload and certificates")]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d} – {self.ends_at:%Y-%m-%d}"


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def standing(self) -> CertificateQuerySet:
        return self.filter(revoked_at=None)

    def valid(self, on: date) -> CertificateQuerySet:
        """Those that count on a day; the last day counts."""
        return self.standing().filter(issued_on__lte=on, expires_on__gte=on)


class Certificate(models.Model):
    """That somebody has shown a skill, until when, and who says so. Skills are of the matter, never of a channel."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="certificates", db_index=False)
    skill = models.CharField(_("skill"), max_length=40)  # a complaint type, or policy.PUBLIC_WRITING
    issued_on = models.DateField(_("issued"))
    expires_on = models.DateField(_("valid until"))
    issued_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, editable=False
    )

    objects = CertificateQuerySet.as_manager()

    class Meta:
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")
        constraints = [
            models.CheckConstraint(condition=~Q(skill=""), name="certificate_names_a_skill"),
            models.CheckConstraint(condition=Q(expires_on__gte=F("issued_on")), name="certificate_ends_after_issue"),
            models.CheckConstraint(condition=~Q(issued_by=F("user")), name="certificate_is_given_by_another"),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_by__isnull=True)
                | Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="certificate_revoked_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "skill", "-expires_on"], name="certificate_of_user"),
            models.Index(fields=["expires_on"], name="certificate_ends", condition=Q(revoked_at=None)),
        ]

    def __str__(self) -> str:
        return self.skill


class RequiredSkill(models.Model):
    """A skill for which this installation asks a certificate; without such a row nobody needs one."""

    skill = models.CharField(_("skill"), max_length=40, unique=True)
    demanded_at = models.DateTimeField(_("asked for since"))
    demanded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)

    class Meta:
        verbose_name = _("required skill")
        verbose_name_plural = _("required skills")
        constraints = [models.CheckConstraint(condition=~Q(skill=""), name="required_skill_has_a_name")]

    def __str__(self) -> str:
        return self.skill
