"""How accounts behave: colleagues are enrolled, customers are invited or, where the house wants it, sign up in the app.

What django-allauth tells by its signals is a door like every other: each receiver makes one action call.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account import signals
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.account.stages import EmailVerificationStage, LoginStageController
from allauth.headless.constants import Client
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from crm.actions import accounts
from crm.language import tags
from crm.models import Customer, User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # django-allauth has no types
    """Sign-up in the app alone and where it is open; what mails say about where we are is what was configured, never what a
    request's Host claims (W08)."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.EVENHAND_APP_SIGNUP) and _is_app(request)

    def new_user(self, request: HttpRequest) -> User:
        """An account that somebody makes by themselves: nobody's until its address is proved (C04), never a colleague's."""
        return User(signed_up=True)

    def clean_email(self, email: str) -> str:
        """No account gets an address on which our own mail arrives: whoever reads answers there could pass for one of us (M08)."""
        address = str(super().clean_email(email)).lower()
        user = getattr(self.request, "user", None)
        if isinstance(user, User) and user.is_authenticated and user.is_staff:
            raise ValidationError(
                _("Addresses of colleagues are changed by an administrator."), code="not_for_colleagues"
            )
        if address in settings.EVENHAND_OWN_ADDRESSES or (
            settings.EVENHAND_INBOUND_DOMAIN and address.rpartition("@")[2] == settings.EVENHAND_INBOUND_DOMAIN
        ):
            raise ValidationError(_("That is an address of ours."), code="our_own_address")
        return address

    def get_reset_password_from_key_url(self, key: str) -> str:
        return _at_home(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: EmailConfirmation) -> str:
        return _at_home(super().get_email_confirmation_url(request, emailconfirmation))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Write in the customer's language where it is known, in one their device asks for where it is not."""
        with translation.override(_language(self.request, context.get("user"))):
            super().send_mail(template_prefix, email, {"current_site": _home(), **context})

    def format_email_subject(self, subject: str) -> str:
        return f"[{_home().name}] {subject}"


def _is_app(request: HttpRequest) -> bool:
    return bool(getattr(getattr(getattr(request, "allauth", None), "headless", None), "client", None) == Client.APP)


def _language(request: HttpRequest | None, user: object) -> str:
    if isinstance(user, User) and user.is_staff:
        return translation.get_language() or settings.LANGUAGE_CODE
    told = ""
    if isinstance(user, User) and user.customer_id:
        told = Customer.objects.filter(pk=user.customer_id).values_list("language", flat=True).first() or ""
    asked = tags.told(request.headers.get("Accept-Language", "")) if request is not None else ()
    return tags.closest([told] if told else asked, offered=settings.EVENHAND_CUSTOMER_LANGUAGES)


def _at_home(address: str) -> str:
    return f"{settings.PUBLIC_URL}{urlsplit(address).path}"


def _home() -> SimpleNamespace:
    """What mails call this installation: the host of its configured address, as the templates of the accounts read it."""
    host = urlsplit(settings.PUBLIC_URL).netloc
    return SimpleNamespace(domain=host, name=host)


# --- what django-allauth tells ------------------------------------------------------------------------------------------


@receiver(signals.email_confirmed, dispatch_uid="evenhand.address_proved")
def _address_proved(request: HttpRequest, email_address: EmailAddress, **_kwargs: object) -> None:
    user_id = email_address.user_id
    stage = LoginStageController.enter(request, EmailVerificationStage.key)
    waits_here = stage is not None and stage.login.user is not None and stage.login.user.pk == user_id
    user = accounts.prove_address(
        user_id, email=email_address.email, proved_here=waits_here or request.user.pk == user_id, at=timezone.now()
    )
    _keep_this_session(request, user)


@receiver(signals.email_changed, dispatch_uid="evenhand.address_changed")
def _address_changed(
    request: HttpRequest,
    user: User,
    from_email_address: EmailAddress | None,
    to_email_address: EmailAddress,
    **_kwargs: object,
) -> None:
    if from_email_address is None:
        return  # the first address that was proved
    changed = accounts.address_changed(
        user.pk, before=from_email_address.email, after=to_email_address.email, at=timezone.now()
    )
    _keep_this_session(request, changed)


@receiver(signals.password_reset, dispatch_uid="evenhand.password_reset")
def _password_reset(request: HttpRequest, user: User, **_kwargs: object) -> None:
    accounts.secured(user.pk, at=timezone.now())


@receiver(signals.authentication_step_completed, dispatch_uid="evenhand.second_factor")
def _step_completed(request: HttpRequest, user: User, method: str, **told: Any) -> None:
    if method == "mfa":
        accounts.second_factor_shown(user.pk, factor_id=told.get("id"), at=timezone.now())


def _keep_this_session(request: HttpRequest, user: User) -> None:
    """All sessions of the account ended; the one in which its owner just proved themselves goes on."""
    if request.user.is_authenticated and request.user.pk == user.pk:
        request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()
