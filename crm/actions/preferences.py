"""A customer's own page without log-in: what they allow, a pause, and why they got what they got.

Its link names one customer and one address. It opens nothing else: no matter, no money, no other address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import belongings, consent, identity, letters, outgoing, suppression
from crm.actions.questions import UnknownLink
from crm.models import Consent, ContactPoint, Customer, OutgoingMessage
from crm.models.people import ContactKind, CustomerStatus
from crm.policy import NEEDS_A_YES, MessageKind, OutgoingState
from crm.policy.consent import CHEERFUL, LINKS_A_DAY, PAUSES, PREFERENCES_OPEN_FOR, WORDS, WORDS_VERSION
from crm.policy.suppression import SuppressionReason, SuppressionScope

PAGE_LINK = "crm.preferences"
"""What a link to somebody's page grants: to see and change what this one customer allows, at this one address."""
LINK_KEYS = "preferences:"
MESSAGES_SHOWN = 10
NOTHING_CHEERFUL = "On their page: nothing cheerful any more."
NOT_ME = "On their page: that was not me."


class NoSuchPause(ValueError):
    """A pause that the page does not offer."""

    code = "no_such_pause"


class OtherWords(Exception):
    """A yes to words that are not ours, or not any more."""

    code = "other_words"


@dataclass(frozen=True, slots=True)
class Opened:
    """Whose page a link opens, and the address it was sent to."""

    customer: Customer
    point: ContactPoint


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that can be allowed: the words of it, and since when it is allowed, None while it is not."""

    purpose: str
    medium: str
    words: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that went to this address, and why: by a yes to words of theirs, or because they had written.

    subject: only of a kindness; yes: the event they had said yes with, where it was one.
    """

    at: datetime
    kind: MessageKind
    subject: str
    purpose: str
    yes: Consent | None


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the page shows. paused_until: None when nothing is paused; stopped: nothing cheerful without an end."""

    address: str
    lines: list[Line]
    paused_until: datetime | None
    stopped: bool
    sent: list[Sent]


@cache
def _signer(key: str) -> signing.Signer:
    return signing.Signer(key=key, salt=PAGE_LINK)


def link(customer_id: int, point_id: int, *, at: datetime) -> str:
    """The address of a customer's page, to be sent to this address of theirs and nowhere else."""
    token = _signer(settings.SECRET_KEY).sign_object([customer_id, point_id, at.date().toordinal()])
    return f"{settings.PUBLIC_URL}/preferences/{token}/"


def opened(token: str, *, at: datetime) -> Opened:
    """Read a link to somebody's page. Changes nothing. Raises UnknownLink for whatever is no link of ours, too old, or revoked.

    It is revoked when the address is taken away from the customer or goes to another; after two records were made one, it
    leads to the kept one.
    """
    try:
        customer_id, point_id, day = _signer(settings.SECRET_KEY).unsign_object(token)
        made_on = date.fromordinal(day)
    except (signing.BadSignature, ValueError, TypeError, OverflowError) as refusal:
        raise UnknownLink from refusal
    if at.date() - made_on > PREFERENCES_OPEN_FOR:
        raise UnknownLink
    point = ContactPoint.objects.select_related("customer").filter(pk=point_id, unlinked_at=None).first()
    if point is None or point.customer.status not in (CustomerStatus.ACTIVE, CustomerStatus.CLOSED):
        raise UnknownLink
    named = Customer.objects.filter(pk=customer_id).values_list("merged_into_id", flat=True)
    if point.customer_id != customer_id and point.customer_id not in named:
        raise UnknownLink
    return Opened(point.customer, point)


def page(opened: Opened, *, at: datetime) -> Page:
    """What the page shows now, in the active language; a fixed number of statements."""
    said = consent.counting(opened.customer.pk)
    standing = suppression.standing([(opened.point.kind, opened.point.address)], at=at)
    cheerful = [one for one in standing if one.scope in (SuppressionScope.CHEERFUL, SuppressionScope.ALL_BUT_OWED)]
    return Page(
        address=opened.point.address,
        lines=[
            Line(purpose, medium, str(words), _since(said.get((purpose, medium))))
            for (purpose, medium), words in WORDS.items()
        ],
        paused_until=max((one.until for one in cheerful if one.until is not None), default=None),
        stopped=any(one.until is None for one in cheerful),
        sent=_sent(opened),
    )


def _since(event: Consent | None) -> datetime | None:
    return event.at if event is not None and event.allows else None


def _sent(opened: Opened) -> list[Sent]:
    messages = list(
        OutgoingMessage.objects.filter(
            customer=opened.customer, address=opened.point.address, state=OutgoingState.ACCEPTED
        )
        .exclude(kind=MessageKind.NOTICE, key__startswith=LINK_KEYS)
        .order_by("-id")
        .values_list("accepted_at", "kind", "subject", "purpose", "channel")[:MESSAGES_SHOWN]
    )
    records = belongings.records_of(opened.customer)
    said = list(Consent.objects.decisive().filter(customer__in=records).select_related("proof").order_by("-at", "-id"))
    return [
        Sent(at, MessageKind(kind), subject, purpose, _reason(said, purpose, channel, at))
        if kind in NEEDS_A_YES
        else Sent(at, MessageKind(kind), "", "", None)
        for at, kind, subject, purpose, channel in messages
        if at is not None
    ]


def _reason(said: Sequence[Consent], purpose: str, channel: str, at: datetime) -> Consent | None:
    """The yes that stood when a message left; the newest comes first."""
    line = (purpose, consent.MEDIUM_OF.get(channel))
    event = next((one for one in said if (one.purpose, one.medium) == line and one.at <= at), None)
    return event if event is not None and event.allows else None


# --- what they change --------------------------------------------------------------------------------------------------


def say_yes(token: str, purpose: str, medium: str, *, shown: consent.Shown, at: datetime) -> Consent:
    """Take the yes that a customer gives on their page. Raises UnknownLink, consent.CannotBeAllowed."""
    opening = opened(token, at=at)
    return consent.grant(opening.customer, purpose, medium, shown=replace(shown, point=opening.point), at=at)


def say_yes_in_app(customer: Customer, purpose: str, medium: str, *, shown: consent.Shown, at: datetime) -> Consent:
    """Take the yes that a customer gives in the app, which shows our words in the active language.

    Raises OtherWords when it showed others, consent.CannotBeAllowed; then nothing has changed.
    """
    if (purpose, medium) not in WORDS:
        raise consent.CannotBeAllowed(_("There is nothing of this kind that could be allowed."))
    if (shown.words, shown.version) != (str(WORDS[purpose, medium]), WORDS_VERSION):
        raise OtherWords(
            _("These are not the words as they are now. Please read them again and show them as they are.")
        )
    return consent.grant(customer, purpose, medium, shown=shown, at=at)


def say_no_in_app(customer: Customer, purpose: str, medium: str, *, at: datetime) -> None:
    """Take back what a customer allowed, in the app. Raises consent.CannotBeAllowed."""
    if (purpose, medium) not in WORDS:
        raise consent.CannotBeAllowed(_("There is nothing of this kind that could be allowed."))
    consent.withdraw(customer, purpose, medium=medium, evidence="In the app.", at=at)


def say_no(token: str, purpose: str, medium: str, *, at: datetime, was_not_me: bool = False) -> None:
    """Take back what a customer allowed, on their page. was_not_me: they say that they never allowed it.

    Raises UnknownLink, consent.CannotBeAllowed.
    """
    opening = opened(token, at=at)
    if (purpose, medium) not in WORDS:
        raise consent.CannotBeAllowed(_("There is nothing of this kind that could be allowed."))
    with transaction.atomic():
        evidence = NOT_ME if was_not_me else "On their page."
        consent.withdraw(opening.customer, purpose, medium=medium, evidence=evidence, at=at)
        if was_not_me:
            ref = f"consent:{purpose}:{medium}"
            history.record(opening.customer, "consent.disowned", ref=ref, by=None, at=at, origin="customer")


@transaction.atomic
def pause(token: str, days: int, *, at: datetime) -> None:
    """Let nothing cheerful reach this address for some days. Raises UnknownLink, NoSuchPause."""
    opening = opened(token, at=at)
    if days not in PAUSES:
        raise NoSuchPause(_("That pause is not offered."))
    _suppress(opening, reason=SuppressionReason.PAUSE, until=at + timedelta(days=days), at=at)


@transaction.atomic
def go_on(token: str, *, shown: consent.Shown, at: datetime) -> None:
    """End the pause of this address before its time. Raises UnknownLink."""
    opening = opened(token, at=at)
    consent.goes_on(opening.customer, opening.point, shown=replace(shown, point=opening.point), at=at)


@transaction.atomic
def nothing_cheerful(token: str, *, at: datetime) -> None:
    """No card and no surprise any more, by no medium, and nothing cheerful to this address. Raises UnknownLink."""
    opening = opened(token, at=at)
    consent.end_all(opening.customer, evidence=NOTHING_CHEERFUL, told_at=at, at=at, only=CHEERFUL)
    _suppress(opening, reason=SuppressionReason.UNSUBSCRIBE, until=None, at=at)


def _suppress(opening: Opened, *, reason: SuppressionReason, until: datetime | None, at: datetime) -> None:
    point, scope = opening.point, SuppressionScope.CHEERFUL
    suppression.suppress(point.kind, point.address, scope=scope, reason=reason, until=until, at=at)


# --- asking for the link -----------------------------------------------------------------------------------------------


def send_link(address: str, *, language: str, at: datetime) -> None:
    """Mail the link to somebody's page to their address. Who asks learns nothing: known and unknown are the same (W01).

    At most a few a day for an address (W05). language: of the page, for whom we do not know.
    Raises identity.UnusableAddress, which depends on nothing but how the address is written.
    """
    address = identity.normalised(ContactKind.EMAIL, address)
    since = at - timedelta(days=1)
    known = ContactPoint.objects.select_related("customer").filter(
        kind=ContactKind.EMAIL,
        address=address,
        unlinked_at=None,
        customer__status__in=[CustomerStatus.ACTIVE, CustomerStatus.CLOSED],
    )
    point = known.first()
    notices = OutgoingMessage.objects.filter(kind=MessageKind.NOTICE, address=address, created_at__gt=since)
    lately = notices.filter(key__startswith=LINK_KEYS).count()
    whom = point.customer if point is not None else Customer(language=language)
    letter = letters.render(
        "crm/preferences_link",
        language=whom.language or language,
        zone=whom.zone,
        name=whom.display_name,
        page_url=link(whom.pk or 0, point.pk if point is not None else 0, at=at),
    )
    if point is None or lately >= LINKS_A_DAY:
        return
    outgoing.queue(
        outgoing.notice(letter, key=f"{LINK_KEYS}{point.pk}:{at.isoformat()}", address=address),
        customer=point.customer,
        at=at,
    )


def lines_of(customer: Customer) -> list[Line]:
    """What can be allowed and what this customer allows, in the active language, for the app; one statement."""
    said = consent.counting(customer.pk)
    return [
        Line(purpose, medium, str(words), _since(said.get((purpose, medium))))
        for (purpose, medium), words in WORDS.items()
    ]
