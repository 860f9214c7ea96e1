"""Who is speaking: contact points are recognised by their normalised address, never by a name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import phonenumbers
from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import CharField, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from crm.models import ContactPoint, Conversation, Customer, User
from crm.models.people import ContactKind
from crm.policy import ConversationState
from crm.together import Repeated, new, written


class UnusableAddress(ValueError):
    """An address that cannot reach anybody."""

    code = "unusable_address"


@dataclass(frozen=True, slots=True)
class Speaker:
    """The customer and the contact point they used; both may be new and unwritten. open_owner: who has their open matter.

    contact_point: None when somebody else writes in the customer's matter.

    colleagues: who can take a new conversation now, in order; None when somebody new speaks and it was not read.
    region: whose service calendar counts for them.
    """

    customer: Customer
    contact_point: ContactPoint | None
    is_new: bool
    open_owner: int | None
    colleagues: tuple[int, ...] | None
    region: str


def normalised(kind: str, address: str) -> str:
    """Bring an address into the one form it is stored and compared in.

    E-mail: lower case. Phone: E.164, read in the deployment's region when it has no country code. Others: as they are.
    Raises UnusableAddress.
    """
    address = address.strip()
    if kind == ContactKind.PHONE:
        try:
            number = phonenumbers.parse(address, settings.EVENHAND_REGION)
        except phonenumbers.NumberParseException:
            number = None
        if (
            number is None
            or phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE
        ):
            raise UnusableAddress(_("“%(address)s” is not a phone number we could call.") % {"address": address})
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if kind == ContactKind.EMAIL:
        address = address.lower()
        local, at_sign, domain = address.rpartition("@")
        if not (local and at_sign and domain) or "@" in local or len(address) > 320 or any(map(str.isspace, address)):
            raise UnusableAddress(_("“%(address)s” is not an e-mail address we could write to.") % {"address": address})
        return address
    if not address:
        raise UnusableAddress(_("An address is missing."))
    return address[:320]


def _open_owner(customer: str) -> Subquery:
    """Who has the newest open matter of the outer row's customer; `customer`: its column."""
    matters = Conversation.objects.filter(
        customer=OuterRef(customer), state__in=[ConversationState.OPEN, ConversationState.WAITING]
    )
    return Subquery(matters.exclude(owner=None).order_by("-id").values("owner_id")[:1])


def _colleagues() -> ArraySubquery:
    return ArraySubquery(User.objects.taking_conversations().order_by("pk").values("pk"))


def _who_uses(kind: str, address: str) -> QuerySet[ContactPoint, tuple[Any, ...]]:
    uses = ContactPoint.objects.filter(kind=kind, address=address, unlinked_at=None)
    return uses.order_by("pk").values_list(
        "customer_id", "pk", _open_owner("customer_id"), _colleagues(), F("customer__region")
    )[:1]


_known: Repeated[ContactPoint] = Repeated(_who_uses, kind="a kind", address="an address")


def columns_of_account() -> tuple[Subquery | F, ...]:
    """Columns that, read together with an app account, say who speaks with it; `of_account` makes a Speaker of them."""
    point = ContactPoint.objects.filter(
        kind=ContactKind.APP, address=Cast(OuterRef("public_id"), CharField()), unlinked_at=None
    )
    return (
        Subquery(point.order_by("pk").values("pk")[:1]),
        _open_owner("customer_id"),
        _colleagues(),
        F("customer__region"),
    )


def of_account(
    account: User, point_id: int | None, open_owner: int | None, colleagues: list[int], region: str
) -> Speaker | None:
    """Who speaks with this account; None when it has not spoken before. The values are those of `columns_of_account`."""
    if account.customer_id is None or point_id is None:
        return None
    return _met(account.customer_id, point_id, open_owner, colleagues, region)


def _met(customer_id: int, point_id: int, open_owner: int | None, colleagues: list[int], region: str) -> Speaker:
    """Somebody known. Of customer and contact point only the keys are read; anything else is when it is asked for."""
    customer, point = written(Customer, id=customer_id), written(ContactPoint, id=point_id, customer_id=customer_id)
    return Speaker(customer, point, is_new=False, open_owner=open_owner, colleagues=tuple(colleagues), region=region)


def speaker(kind: str, address: str, *, name: str, language: str, at: datetime) -> Speaker:
    """Find who uses this address, or make a new customer and contact point, not yet written.

    One statement. Raises UnusableAddress.
    """
    address = normalised(kind, address)
    known = _known.rows(kind=kind, address=address)
    return _met(*known[0]) if known else _newcomer(kind, address, name=name, language=language, at=at)


def met(customer_id: int, point_id: int, open_owner: int | None, *, region: str, language: str, zone: str) -> Speaker:
    """Somebody known of whom these things have been read; who can take a new matter is known elsewhere."""
    customer = written(Customer, id=customer_id, region=region, language=language, zone=zone)
    point = written(ContactPoint, id=point_id, customer_id=customer_id)
    return Speaker(customer, point, is_new=False, open_owner=open_owner, colleagues=None, region=region)


def newcomer(kind: str, address: str, *, name: str, language: str, at: datetime) -> Speaker:
    """A new customer and contact point for an address that nobody uses, not yet written. Raises UnusableAddress."""
    return _newcomer(kind, normalised(kind, address), name=name, language=language, at=at)


def _newcomer(kind: str, address: str, *, name: str, language: str, at: datetime) -> Speaker:
    customer = new(Customer, display_name=name[:200], language=language[:16], created_at=at)
    point = new(ContactPoint, customer=customer, kind=kind, address=address, created_at=at)
    return Speaker(customer, point, is_new=True, open_owner=None, colleagues=None, region="")


def somebody_else_in(conversation: Conversation) -> Speaker:
    """Somebody who writes in another customer's matter: the matter stays that customer's, and nobody new is made."""
    customer = conversation.customer
    return Speaker(customer, None, is_new=False, open_owner=None, colleagues=None, region=customer.region)
