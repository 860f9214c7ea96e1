"""What customers were asked to show before they were helped: that it was asked, and what came of it, never what they showed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.outgoing import OutgoingMessage
from crm.models.talk import Conversation
from crm.policy.identity_checks import COUNTING, TRIES, CheckKind, CheckNeed, CheckState


class IdentityCheckQuerySet(models.QuerySet["IdentityCheck"]):
    def standing(self) -> IdentityCheckQuerySet:
        """Those shown or still asked for."""
        return self.filter(state__in=COUNTING)


class IdentityCheck(models.Model):
    """One step of verification in one matter. No number, document or answer of the customer has a place here."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(_("what was asked"), max_length=12, choices=CheckKind)
    need = models.CharField(_("what it was needed for"), max_length=12, choices=CheckNeed)
    is_beyond = models.BooleanField(_("more than the rules ask for"), default=False)
    because = models.CharField(_("why more than the rules ask for"), max_length=300, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=CheckState, default=CheckState.ASKED, editable=False)
    asked_at = models.DateTimeField(_("asked"))
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False, verbose_name=_("asked by")
    )
    settled_at = models.DateTimeField(_("settled"), null=True)
    settled_by = models.ForeignKey(  # nobody where it lapsed
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("settled by"),
    )
    message = models.OneToOneField(
        OutgoingMessage, models.PROTECT, null=True, related_name="+"
    )  # that carries the code
    digest = models.CharField(max_length=64, blank=True)  # of the code, keyed; gone once it is settled
    tries = models.PositiveSmallIntegerField(_("codes typed in"), default=0)

    objects = IdentityCheckQuerySet.as_manager()

    class Meta:
        verbose_name = _("identity check")
        verbose_name_plural = _("identity checks")
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "kind"], condition=Q(state=CheckState.ASKED), name="identity_check_asked_once"
            ),
            models.CheckConstraint(
                condition=Q(state=CheckState.ASKED, settled_at=None, settled_by=None)
                | Q(
                    state__in=[CheckState.PASSED, CheckState.FAILED], settled_at__isnull=False, settled_by__isnull=False
                )
                | Q(state=CheckState.WITHDRAWN, settled_at__isnull=False),
                name="identity_check_settled_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(settled_at=None) | Q(settled_at__gte=F("asked_at")), name="identity_check_settled_later"
            ),
            models.CheckConstraint(
                condition=Q(is_beyond=False, because="") | (Q(is_beyond=True) & ~Q(because="")),
                name="identity_check_beyond_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(kind=CheckKind.CODE) ^ Q(message__isnull=True), name="identity_check_code_has_letter"
            ),
            models.CheckConstraint(
                condition=Q(digest="") | Q(kind=CheckKind.CODE, state=CheckState.ASKED),
                name="identity_check_digest_while_asked",
            ),
            models.CheckConstraint(
                condition=Q(tries=0) | Q(kind=CheckKind.CODE, tries__lte=TRIES), name="identity_check_tries"
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "-id"], name="identity_check_of_matter"),
            models.Index(fields=["asked_at"], name="identity_check_open", condition=Q(state=CheckState.ASKED)),
        ]

    def __str__(self) -> str:
        return str(self.get_kind_display())
