"""What happens in customers' lives as far as they told us, and what must not reach them now."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import Customer
from crm.models.staff import User
from crm.models.talk import Interaction
from crm.policy.lives import YEARS, LifeEventKind, LifeSource, MomentState, Precision, Purpose, SeenBy, Valence

SEES_PRIVATE = "crm.view_private_lifeevent"


class LifeEventQuerySet(models.QuerySet["LifeEvent"]):
    def standing(self) -> LifeEventQuerySet:
        """What was told and not taken back."""
        return self.filter(taken_back_at=None)

    def visible_to(self, user: User) -> LifeEventQuerySet:
        """What this account may see: colleagues with the right see what everybody may; the rest is for leads, for whoever noted
        it and whoever looks after it. A customer sees what they told us themselves.
        """
        if user.is_staff:
            if not user.has_perm("crm.view_lifeevent"):
                return self.none()
            if user.has_perm(SEES_PRIVATE):
                return self
            return self.filter(Q(seen_by=SeenBy.EVERYBODY) | Q(handled_by=user.pk) | Q(noted_by=user.pk))
        if not user.customer_id:
            return self.none()
        return self.standing().filter(customer=user.customer_id, source=LifeSource.CUSTOMER)

    def waiting(self) -> LifeEventQuerySet:
        """What somebody should look at."""
        return self.filter(moment=MomentState.OPEN, taken_back_at=None)


class LifeEvent(models.Model):
    """A date in somebody's life that they told us, and what it was told for. Nobody infers one (R167).

    A birthday has no year, because none is needed (R166). What was told is taken back with a reason, not removed.
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="life_events")
    kind = models.CharField(_("kind"), max_length=16, choices=LifeEventKind)
    precision = models.CharField(
        _("what is known of the day"), max_length=8, choices=Precision, default=Precision.YEARLY, db_default="yearly"
    )
    year = models.PositiveSmallIntegerField(_("year"), null=True)
    month = models.PositiveSmallIntegerField(_("month"), null=True)
    day = models.PositiveSmallIntegerField(_("day"), null=True)
    source = models.CharField(
        _("who told us"), max_length=16, choices=LifeSource, default=LifeSource.CUSTOMER, db_default="customer"
    )
    evidence = models.CharField(  # where the public post stands, and where they said that we may use it
        _("where, and how we may use it"), max_length=500, blank=True, default="", db_default=""
    )
    valence = models.CharField(max_length=8, choices=Valence, default=Valence.HAPPY, db_default="happy")
    seen_by = models.CharField(
        _("who may see it"), max_length=12, choices=SeenBy, default=SeenBy.EVERYBODY, db_default="everybody"
    )
    purpose = models.CharField(
        _("what it may be used for"), max_length=16, choices=Purpose, default=Purpose.CARD, db_default="card"
    )
    words = models.CharField(_("what they said"), max_length=500, blank=True, default="", db_default="")
    interaction = models.ForeignKey(Interaction, models.PROTECT, null=True, related_name="+", db_index=False)
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("noted by"),
    )
    told_at = models.DateTimeField(_("told on"))
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("looked after by"),
    )
    urgency = models.PositiveSmallIntegerField(default=3, db_default=3)  # 0 a death, 1 sad, 2 may be, 3 happy
    moment = models.CharField(
        max_length=8, choices=MomentState, blank=True, default=MomentState.NONE, db_default="", editable=False
    )
    moment_on = models.DateField(_("by"), null=True, editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, editable=False
    )
    decided_because = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    taken_back_at = models.DateTimeField(_("taken back"), null=True, editable=False)
    taken_back_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, editable=False
    )
    taken_back_because = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)

    objects = LifeEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("life event")
        verbose_name_plural = _("life events")
        constraints = [
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(kind=LifeEventKind.BIRTHDAY, taken_back_at=None),
                name="life_event_one_birthday",
            ),
            models.CheckConstraint(condition=Q(month__range=(1, 12)) | Q(month=None), name="life_event_month"),
            models.CheckConstraint(condition=Q(day__range=(1, 31)) | Q(day=None), name="life_event_day"),
            models.CheckConstraint(condition=Q(year__range=YEARS) | Q(year=None), name="life_event_year"),
            # Exactly the parts of the day that were told.
            models.CheckConstraint(
                condition=Q(precision=Precision.DAY, year__isnull=False, month__isnull=False, day__isnull=False)
                | Q(precision=Precision.MONTH, year__isnull=False, month__isnull=False, day=None)
                | Q(precision=Precision.YEARLY, year=None, month__isnull=False, day__isnull=False)
                | Q(precision=Precision.UNKNOWN, year=None, month=None, day=None),
                name="life_event_day_as_told",
            ),
            models.CheckConstraint(
                condition=~Q(kind=LifeEventKind.BIRTHDAY) | Q(precision=Precision.YEARLY),
                name="life_event_birthday_without_year",
            ),
            # There is no other source, whatever a program wishes (R167).
            models.CheckConstraint(condition=Q(source__in=LifeSource.values), name="life_event_was_told"),
            models.CheckConstraint(
                condition=~Q(source=LifeSource.PUBLIC_POST) | ~Q(evidence=""), name="life_event_post_has_their_yes"
            ),
            # Nothing sad is left to a list, and none is used for a cheerful word (R168).
            models.CheckConstraint(
                condition=~Q(valence=Valence.SAD) | Q(handled_by__isnull=False, purpose=Purpose.CONSIDERATION),
                name="life_event_sad_has_a_name",
            ),
            models.CheckConstraint(
                condition=~Q(kind=LifeEventKind.ILLNESS) | Q(seen_by=SeenBy.LEADS),
                name="life_event_illness_is_private",
            ),
            models.CheckConstraint(
                condition=~Q(moment=MomentState.OPEN) | Q(moment_on__isnull=False), name="life_event_moment_has_a_day"
            ),
            models.CheckConstraint(
                condition=~Q(moment__in=[MomentState.DONE, MomentState.LEFT])
                | Q(decided_at__isnull=False, decided_by__isnull=False),
                name="life_event_moment_decided",
            ),
            models.CheckConstraint(
                condition=Q(taken_back_at=None, taken_back_by=None)
                | (Q(taken_back_at__isnull=False, taken_back_by__isnull=False) & ~Q(taken_back_because="")),
                name="life_event_taken_back_because",
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "month", "day"], name="life_event_by_day"),
            models.Index(
                fields=["urgency", "moment_on", "id"], name="life_event_waits", condition=Q(moment=MomentState.OPEN)
            ),
        ]
        permissions = [("view_private_lifeevent", "Can see what customers told of their health")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.day}.{self.month}." if self.day else str(self.get_kind_display())


class HoldQuerySet(models.QuerySet["Hold"]):
    def not_over(self, at: datetime) -> HoldQuerySet:
        """Those that have not ended by then. For whatever is about to leave: its clock may stand before that of whoever placed
        a hold a moment ago, and no hold is placed for later.
        """
        return self.filter(Q(until__isnull=True) | Q(until__gt=at))

    def active(self, at: datetime) -> HoldQuerySet:
        return self.filter(Q(until__isnull=True) | Q(until__gt=at), starts_at__lte=at)


class Hold(models.Model):
    """A reason to send a customer nothing but what is owed: an open case, a bereavement. Other apps read holds, not each other."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    key = models.CharField(max_length=80, unique=True)  # who placed it, e.g. "case:12"
    reason = models.CharField(_("reason"), max_length=80)
    starts_at = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"), null=True, blank=True)
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    # The news of a death that it belongs to; its members come and go with the household.
    bereavement = models.ForeignKey(
        "crm.Bereavement", models.PROTECT, null=True, related_name="holds", editable=False, db_index=False
    )

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gte=models.F("starts_at")), name="hold_ends_after_start"
            )
        ]
        indexes = [
            models.Index(fields=["customer"], name="hold_open", condition=Q(until__isnull=True)),
            models.Index(fields=["bereavement"], name="hold_of_bereavement", condition=Q(bereavement__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.reason
