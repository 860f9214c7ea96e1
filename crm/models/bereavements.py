"""News of a death: what was told, by whom, what stopped, and how it ended if it was not so (R168, P01, P02)."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.life import LifeEvent
from crm.models.people import Customer
from crm.models.talk import Interaction
from crm.policy.bereavement import BereavementState, WhoDied
from crm.policy.lives import LifeSource


class BereavementQuerySet(models.QuerySet["Bereavement"]):
    def standing(self) -> BereavementQuerySet:
        return self.filter(state=BereavementState.STANDING)

    def undecided(self) -> BereavementQuerySet:
        """What a person has to look at: words that may tell of a death, and somebody taken for dead who spoke."""
        return self.filter(Q(state=BereavementState.PROPOSED) | Q(contradicted_at__isnull=False))


class Bereavement(models.Model):
    """One death as we were told of it. It stops what is cheerful, gives nobody anything, and can be taken back."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    state = models.CharField(_("state"), max_length=10, choices=BereavementState, editable=False)
    noticed_at = models.DateTimeField(_("noticed"))
    # Words that may tell of it, found by a rule; the rule decides nothing.
    interaction = models.ForeignKey(Interaction, models.PROTECT, null=True, related_name="+")
    cautious_until = models.DateTimeField(null=True, editable=False)
    who_died = models.CharField(_("who died"), max_length=10, choices=WhoDied, blank=True)
    source = models.CharField(_("who told us"), max_length=16, choices=LifeSource, blank=True)
    evidence = models.TextField(_("what was said, by whom"), blank=True)
    reported_at = models.DateTimeField(_("reported"), null=True)
    reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    life_event = models.OneToOneField(LifeEvent, models.PROTECT, null=True, related_name="bereavement")
    status_before = models.CharField(max_length=16, blank=True, editable=False)  # the customer's, where they died
    stopped = models.JSONField(default=dict, editable=False)  # how much was stopped, by what it was
    # Whoever was taken for dead spoke or signed in: a person decides what that means (P02).
    watched_from = models.DateTimeField(null=True, editable=False)
    upheld_because = models.CharField(max_length=300, blank=True, editable=False)
    contradicted_at = models.DateTimeField(_("contradicted"), null=True, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, editable=False
    )
    ended_because = models.CharField(max_length=300, blank=True, editable=False)
    was_mistaken = models.BooleanField(default=False, editable=False)

    objects = BereavementQuerySet.as_manager()

    class Meta:
        verbose_name = _("bereavement")
        verbose_name_plural = _("bereavements")
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=BereavementState.PROPOSED)
                | Q(interaction__isnull=False, cautious_until__isnull=False),
                name="bereavement_proposed_by_words",
            ),
            # Nobody but a named person lets it stand, with what was said.
            models.CheckConstraint(
                condition=~Q(state__in=[BereavementState.STANDING, BereavementState.LIFTED])
                | (
                    Q(reported_by__isnull=False, reported_at__isnull=False, life_event__isnull=False)
                    & ~Q(who_died="")
                    & ~Q(source="")
                    & ~Q(evidence="")
                ),
                name="bereavement_stands_by_a_person",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[BereavementState.PROPOSED, BereavementState.STANDING], ended_at=None, ended_by=None
                )
                | (
                    Q(state__in=[BereavementState.DISMISSED, BereavementState.LIFTED])
                    & Q(ended_at__isnull=False, ended_by__isnull=False)
                    & ~Q(ended_because="")
                ),
                name="bereavement_ended_because",
            ),
            models.CheckConstraint(
                condition=Q(contradicted_at=None) | Q(state=BereavementState.STANDING, who_died=WhoDied.CUSTOMER),
                name="bereavement_contradicted_stands",
            ),
            models.UniqueConstraint(
                fields=["interaction"],
                condition=Q(state__in=["proposed", "dismissed"]),
                name="bereavement_proposed_once",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="bereavement_standing", condition=Q(state=BereavementState.STANDING)),
            models.Index(
                fields=["noticed_at", "id"],
                name="bereavement_undecided",
                condition=Q(state=BereavementState.PROPOSED) | Q(contradicted_at__isnull=False),
            ),
        ]
        permissions = [
            ("decide_bereavement", "Can end the news of a death, or let it stand against what was heard since")
        ]

    def __str__(self) -> str:
        return str(self.get_state_display())

    def is_being_cautious(self, at: datetime) -> bool:
        """Whether words alone hold back what is cheerful now."""
        return self.state == BereavementState.PROPOSED and self.cautious_until is not None and self.cautious_until > at
