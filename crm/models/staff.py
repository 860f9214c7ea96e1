"""Everybody who logs in: colleagues, and customers who use the app."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager, Group
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.policy import LineOfWork


class UserQuerySet(models.QuerySet["User"]):
    def taking_conversations(self) -> UserQuerySet:
        """Colleagues to whom a conversation can be given now; asks columns of the account alone."""
        return self.filter(is_active=True, takes_conversations=True, is_available=True, is_full=False)

    def colleagues(self) -> UserQuerySet:
        """Everybody who works here now."""
        return self.filter(is_active=True, is_staff=True)


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]
    """Makes accounts; an e-mail address is the name people log in with."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Store an account with a hashed password (unusable when None). Raises ValueError without an address."""
        if not email:
            raise ValueError("An account needs an e-mail address.")
        user: User = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Store an account with every right."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """An account. A colleague has `is_staff`; a customer's account points at the customer."""

    username = None  # type: ignore[assignment]
    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True)
    display_name = models.CharField(_("name shown to customers"), max_length=120, blank=True)
    zone = models.CharField(_("time zone"), max_length=64, blank=True)
    signature = models.CharField(
        _("signature"),
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text=_("Lines below the name in mails to customers: what you look after, how to reach you."),
    )
    takes_conversations = models.BooleanField(
        _("takes conversations"), default=False, help_text=_("New conversations are given to this colleague.")
    )
    line_of_work = models.CharField(
        _("line of work"), max_length=12, choices=LineOfWork, default=LineOfWork.SERVICE, db_default=LineOfWork.SERVICE
    )
    is_vendor = models.BooleanField(_("works for a vendor"), default=False, db_default=False)
    customer_service_share = models.PositiveSmallIntegerField(
        _("share of customer service, percent"), default=100, db_default=100
    )
    capacity_points = models.PositiveSmallIntegerField(_("effort points at full share"), default=120, db_default=120)
    chats_at_once = models.PositiveSmallIntegerField(_("chats at once"), default=3, db_default=3)
    written_at_once = models.PositiveSmallIntegerField(_("written matters at once"), default=5, db_default=5)
    # Kept by tick_availability every minute and by the actions, so that intake reads this row alone.
    is_available = models.BooleanField(_("is here now"), default=True, db_default=True, editable=False)
    is_full = models.BooleanField(_("has a full desk"), default=False, db_default=False, editable=False)
    # Two accounts of one person see the same record.
    customer = models.ForeignKey(
        "crm.Customer", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("customer")
    )
    # Somebody made this account by themselves in the app; nobody who knows the customer gave it to them (C04).
    signed_up = models.BooleanField(_("made by themselves"), default=False, db_default=False, editable=False)
    # What began before is not shown to this account; empty: everything is.
    sees_since = models.DateTimeField(_("sees what began since"), null=True, editable=False)
    history_opened_at = models.DateTimeField(_("showed a second proof for the history"), null=True, editable=False)
    second_factor_at = models.DateTimeField(_("showed a second proof"), null=True, editable=False)
    address_changed_at = models.DateTimeField(_("address changed"), null=True, editable=False)
    # Raised to end every session of the account at once; it is part of what a session must know.
    sessions_ended = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.CheckConstraint(
                condition=Q(customer__isnull=True) | Q(is_staff=False), name="user_is_colleague_or_customer"
            ),
            models.CheckConstraint(
                condition=Q(takes_conversations=False) | Q(is_staff=True),
                name="user_only_colleagues_take_conversations",
            ),
            models.CheckConstraint(
                condition=Q(signed_up=False) | Q(is_staff=False, is_superuser=False),
                name="user_nobody_signs_up_as_colleague",
            ),
            models.CheckConstraint(
                condition=Q(signed_up=False)
                | Q(customer=None)
                | Q(sees_since__isnull=False)
                | Q(history_opened_at__isnull=False),
                name="user_signed_up_sees_no_history",
            ),
            models.CheckConstraint(condition=Q(customer_service_share__lte=100), name="user_share_in_percent"),
            models.CheckConstraint(condition=Q(chats_at_once__lte=3), name="user_at_most_three_chats"),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                name="user_taking",
                condition=Q(is_active=True, takes_conversations=True, is_available=True, is_full=False),
            ),
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.email

    def get_full_name(self) -> str:
        """The name this account is shown under."""
        return self.display_name or super().get_full_name()

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session of this account must hold: gone with its password, and with whatever ends its sessions."""
        salt = "crm.models.User.get_session_auth_hash"
        return salted_hmac(
            salt, f"{self.sessions_ended} {self.password}", secret=secret, algorithm="sha256"
        ).hexdigest()

    @property
    def roles(self) -> list[str]:
        """Names of the groups this account belongs to."""
        return list(Group.objects.filter(user=self).order_by("name").values_list("name", flat=True))
