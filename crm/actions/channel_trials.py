"""Asking a provider whether it knows us: one harmless question that reads and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from crm.actions import channel_accounts
from crm.channels import http
from crm.channels.provided import by_name
from crm.channels.providers import NotGiven
from crm.models import ChannelAccount


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went. is_well: the provider knows us by our credential; said: for people, without any secret."""

    is_well: bool
    said: str


def can_try(account: ChannelAccount) -> bool:
    """Whether its provider can be asked harmlessly, and a credential is named where it needs one."""
    provider = by_name(account.provider)
    is_named = bool(account.credential_from) or not provider.credential_help
    return is_named and provider.trial(channel_accounts.described(account)) is not None


def try_now(account_id: int) -> Trial:
    """Ask the provider of an account, as it is kept, once; nothing is written. Raises ChannelAccount.DoesNotExist."""
    account = ChannelAccount.objects.get(pk=account_id)
    provider, told = by_name(account.provider), channel_accounts.described(account)
    question = provider.trial(told)
    if question is None:
        return Trial(False, _("This provider cannot be asked without sending something."))
    if provider.credential_help and not told.sending:
        return Trial(False, _("The credential cannot be read where it is said to stand."))
    try:
        return Trial(True, provider.read_trial(http.send(question), told))
    except (NotGiven, http.NotReached, http.Broken) as trouble:
        return Trial(False, str(trouble))
