"""Handing answers to the account through which the customer wrote: one request each, its answer read by the provider's file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from django.utils import timezone

from crm.actions import channel_accounts
from crm.channels import PUBLIC, http
from crm.channels.provided import by_name
from crm.channels.providers import NotGiven, Outgoing
from crm.channels.sending import Handed, Outbound, Outcome
from crm.models import ChannelAccount, Interaction, OutgoingMessage
from crm.policy import Direction

SANDBOX = "accepted in sandbox: nothing left"
"""What stands at a message that a sandbox account took."""
IN_REPLY_TO = "In-Reply-To"
"""The header of an outgoing message that holds the provider's id of what it answers."""


def reason_to_hold(message: OutgoingMessage) -> str:
    """Why a message of an account waits for a person, by its code; "" when it may leave."""
    account = message.account
    if account is None or not account.is_active:
        return "account_off"
    if not account.is_sandbox and not by_name(account.provider).can_send(_told(account)):
        return "no_provider"
    return _goes_elsewhere(message, account)


def _goes_elsewhere(message: OutgoingMessage, account: ChannelAccount) -> str:
    """Why a message does not go where its writer meant it to, by what it answers as that stands now; "" when it does (P04)."""
    answered = message.headers.get(IN_REPLY_TO, "")
    if not answered:
        return ""
    found = Interaction.objects.filter(source=account.source, external_id=answered, direction=Direction.INBOUND)
    told = found.values_list("channel", "contact_point__address").first()
    if told is None:
        return "other_place"  # not of this account, or gone
    channel, address = told
    if (channel in PUBLIC) != message.is_public or channel != message.channel:
        return "other_visibility"
    return "other_place" if address is not None and address != message.address else ""


class AccountSender:
    """One account's line for a batch of messages."""

    def __init__(self, account: ChannelAccount) -> None:
        self._account = account
        self._told = _told(account)
        self._provider = by_name(account.provider)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def send(self, outbound: Outbound, *, still: Callable[[], bool] = lambda: True) -> Handed:
        """Hand one message over. A sandbox account accepts it and sends nothing. still: see `Sender`."""
        if not still():
            return Handed(Outcome.KEPT, "")
        if self._account.is_sandbox:
            return Handed(Outcome.ACCEPTED, SANDBOX, provider_id=f"sandbox:{outbound.key}")
        outgoing = Outgoing(
            key=outbound.key,
            address=outbound.address,
            text=outbound.text,
            at=timezone.now(),
            in_reply_to=outbound.headers.get(IN_REPLY_TO, ""),
        )
        try:
            answer = http.send(self._provider.compose(outgoing, self._told))
        except NotGiven as trouble:
            return Handed(Outcome.REFUSED, str(trouble)[:300])
        except http.NotReached as trouble:
            return Handed(Outcome.UNREACHABLE, f"the provider was not reached: {trouble}"[:300])
        except http.Broken as trouble:
            return Handed(Outcome.UNKNOWN, str(trouble)[:300])
        return self._provider.read_answer(answer, self._told)


def note(account: ChannelAccount, handed: Handed, *, at: datetime) -> None:
    """Note with the account how handing over went."""
    if handed.outcome == Outcome.ACCEPTED:
        channel_accounts.went_well(account, at=at, sent=True)
    else:
        channel_accounts.went_wrong(account, handed.reason, at=at, sent=True)


_told = channel_accounts.described
