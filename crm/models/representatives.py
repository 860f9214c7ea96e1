"""Who acts for a customer, by what authority, and which matters came through them (R089)."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import Customer, CustomerStatus
from crm.models.talk import Conversation, Interaction
from crm.policy import representation
from crm.policy.lives import LifeSource
from crm.policy.representation import Ask, Authority, Mandate, Scope


class Representative(models.Model):
    """One authority of one person to act for a customer. What they ask for is the customer's; nothing is theirs by it."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    principal = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    # Who acts: somebody we know, or a name. They write from `address`, or from any proved address of theirs.
    person = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="+")
    name = models.CharField(_("name"), max_length=200, blank=True)
    address = models.CharField(_("mail address"), max_length=320, blank=True)  # normalised
    authority = models.CharField(_("authority"), max_length=20, choices=Authority)
    scope = models.CharField(_("covers"), max_length=12, choices=Scope)
    conversation = models.ForeignKey(Conversation, models.PROTECT, null=True, related_name="+", db_index=False)
    source = models.CharField(_("who told us"), max_length=16, choices=LifeSource)
    evidence = models.TextField(_("what we saw or heard"))
    interaction = models.ForeignKey(Interaction, models.PROTECT, null=True, related_name="+", db_index=False)
    valid_from = models.DateTimeField(_("from"))
    valid_until = models.DateTimeField(_("until"), null=True, blank=True)
    noted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    noted_at = models.DateTimeField(_("noted"))
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, editable=False
    )
    ended_because = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = _("representative")
        verbose_name_plural = _("representatives")
        constraints = [
            models.CheckConstraint(
                condition=Q(person__isnull=False) | (~Q(name="") & ~Q(address="")), name="representative_is_somebody"
            ),
            # Two records that are one person since may say so of the past; nobody acts for themselves.
            models.CheckConstraint(
                condition=~Q(person=models.F("principal")) | Q(ended_at__isnull=False), name="representative_is_another"
            ),
            models.CheckConstraint(condition=~Q(evidence=""), name="representative_has_evidence"),
            models.CheckConstraint(
                condition=Q(scope=Scope.MATTER) ^ Q(conversation=None), name="representative_of_one_matter_names_it"
            ),
            models.CheckConstraint(
                condition=Q(valid_until=None) | Q(valid_until__gt=models.F("valid_from")),
                name="representative_until_after_from",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_by=None)
                | (Q(ended_at__isnull=False, ended_by__isnull=False) & ~Q(ended_because="")),
                name="representative_ended_because",
            ),
        ]
        indexes = [
            models.Index(fields=["principal", "id"], name="representatives_of"),
            models.Index(fields=["address"], name="representative_by_address", condition=~Q(address="")),
        ]

    def __str__(self) -> str:
        return self.name or (str(self.person) if self.person_id else "")

    @property
    def mandate(self) -> Mandate:
        """The authority as policy sees it."""
        return Mandate(
            authority=Authority(self.authority),
            scope=Scope(self.scope),
            matter=self.conversation_id,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            ended_at=self.ended_at,
        )

    def stands(self, *, status: str, at: datetime) -> bool:
        """Whether it counts now. status: the represented customer's."""
        died = status == CustomerStatus.DECEASED
        return representation.stands(self.mandate, principal_has_died=died, at=at)

    def may(self, ask: Ask, *, matter: int | None, status: str, at: datetime) -> bool:
        """Whether they may be told, decide or decide about money in a matter now. status: the represented customer's."""
        died = status == CustomerStatus.DECEASED
        return representation.may(self.mandate, ask, matter=matter, principal_has_died=died, at=at)


class Placement(models.Model):
    """A matter that somebody wrote in for the customer they act for; a colleague gave it to that customer. It can be put back."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="placements", db_index=False)
    representative = models.ForeignKey(Representative, models.PROTECT, related_name="placements", db_index=False)
    came_with = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    owner_before = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    points = models.JSONField(default=dict)  # key of each of its interactions -> key of the contact point it came from
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("placed"))
    put_back_at = models.DateTimeField(null=True, editable=False)
    put_back_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, editable=False
    )

    class Meta:
        verbose_name = _("matter placed with the customer it is about")
        verbose_name_plural = _("matters placed with the customers they are about")
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"], condition=Q(put_back_at=None), name="placement_one_stands"
            ),
            models.CheckConstraint(
                condition=Q(put_back_at=None, put_back_by=None)
                | Q(put_back_at__isnull=False, put_back_by__isnull=False),
                name="placement_put_back_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.conversation_id}: {self.representative_id}"
