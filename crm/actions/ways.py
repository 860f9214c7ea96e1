"""How an answer would reach the customer: the way they came, what that channel allows, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from crm.actions import channel_accounts
from crm.channels import PUBLIC, Channel
from crm.channels.provided import by_name
from crm.channels.providers import Limits
from crm.models import ChannelAccount, ContactPoint, Interaction
from crm.models.people import ContactKind


class NoWayBack(Exception):
    """There is no address to which the customer could be answered."""

    code = "no_way_back"


class TooLong(Exception):
    """An answer is longer than the channel takes."""

    code = "answer_too_long"


class WindowClosed(Exception):
    """The channel takes answers only for a while after the customer last wrote, and that has passed or would."""

    code = "reply_window_closed"


ANY_LENGTH = Limits()


@dataclass(frozen=True, slots=True)
class Way:
    """How an answer would reach the customer. account: through which it goes, None for mail and the app; in_reply_to: what it
    answers there; limits: what that channel allows; closes_at: until when it takes an answer, None for any time.
    """

    channel: Channel
    point: ContactPoint
    account: ChannelAccount | None = None
    in_reply_to: str = ""
    limits: Limits = ANY_LENGTH
    closes_at: datetime | None = None

    @property
    def is_public(self) -> bool:
        """Whether everybody could read an answer that goes this way."""
        return self.channel in PUBLIC


def way_among(heard: Iterable[Interaction], points: Iterable[ContactPoint], *, at: datetime) -> Way:
    """The way on which an answer would go, out of what has been read already and the accounts it came through.

    heard: what the customer said, newest first, with its contact points. points: all that they have now, oldest first.
    Raises NoWayBack; WindowClosed when the only way takes no answers any more.
    """
    heard = list(heard)
    accounts = channel_accounts.of_sources([interaction.source for interaction in heard])
    closed: Way | None = None
    for interaction in heard:
        point = interaction.contact_point
        if point is None or point.unlinked_at is not None:
            continue
        if interaction.source in accounts:
            way = _through(accounts[interaction.source], interaction, point)
            if way is not None and (way.closes_at is None or way.closes_at > at):
                return way
            closed = closed or way
        elif point.kind == ContactKind.EMAIL:
            return Way(Channel.EMAIL, point)
        elif point.kind == ContactKind.APP:
            return Way(Channel.APP, point)
    given = next((point for point in points if point.kind == ContactKind.EMAIL), None)
    if given is not None:
        return Way(Channel.EMAIL, given)
    if closed is not None and closed.closes_at is not None:
        raise WindowClosed(
            _(
                "%(account)s takes answers only for %(hours)d hours after the customer last wrote. That time is over; please call "
                "them, or ask for another way when they write again."
            )
            % {"account": closed.account, "hours": (closed.limits.reply_within or timedelta(0)) // timedelta(hours=1)}
        )
    raise NoWayBack(
        _("We have no address to write to yet. Call back, and ask where the customer likes to get it in writing.")
    )


def _through(account: ChannelAccount, interaction: Interaction, point: ContactPoint) -> Way | None:
    """The way through an account; None when it is switched off or cannot send."""
    provider = by_name(account.provider)
    told = replace(channel_accounts.described(account), channel=Channel(interaction.channel))  # its limits are meant
    if not account.is_active or not (account.is_sandbox or provider.can_send(told)):
        return None
    limits = provider.limits(told)
    closes_at = interaction.spoke_at + limits.reply_within if limits.reply_within is not None else None
    return Way(Channel(interaction.channel), point, account, interaction.external_id, limits, closes_at)


def check_fits(way: Way, text: str, *, leaves_at: datetime) -> None:
    """Raise TooLong or WindowClosed for an answer that its channel would not take."""
    most = way.limits.longest
    if most and way.limits.length(text) > most:
        raise TooLong(
            _("This channel takes at most %(most)d characters; your answer has %(length)d. Please write it shorter.")
            % {"most": most, "length": way.limits.length(text)}
        )
    if way.closes_at is not None and leaves_at >= way.closes_at:
        raise WindowClosed(
            _("This channel takes answers only until %(until)s. Please let your answer leave before that.")
            % {"until": date_format(timezone.localtime(way.closes_at), "D j M, H:i")}
        )
