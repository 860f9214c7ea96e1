"""Who is speaking: contact points are recognised by their normalised address, never by a name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import phonenumbers
from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from crm.models import ContactPoint, Conversation, Customer, User
from crm.models.people import ContactKind
from crm.policy import ConversationState
from crm.together import Repeated


class UnusableAddress(ValueError):
    """An address that cannot reach anybody."""

    code = "unusable_address"


@dataclass(frozen=True, slots=True)
class Speaker:
    """The customer and the contact point they used; both may be new and unwritten. open_owner: who has their open matter.

    colleagues: who can take a new conversation now, in order; None when somebody new speaks and it was not read.
    """

    customer: Customer
    contact_point: ContactPoint
    is_new: bool
    open_owner: int | None
    colleagues: tuple[int, ...] | None


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


_CUSTOMER = [field.attname for field in Customer._meta.concrete_fields]
_POINT = [field.attname for field in ContactPoint._meta.concrete_fields]


def _who_uses(kind: str, address: str) -> QuerySet[ContactPoint, tuple[Any, ...]]:
    open_owner = (
        Conversation.objects.filter(
            customer=OuterRef("customer"), state__in=[ConversationState.OPEN, ConversationState.WAITING]
        )
        .exclude(owner=None)
        .order_by("-id")
        .values("owner_id")[:1]
    )
    colleagues = User.objects.taking_conversations().order_by("pk").values("pk")
    return (
        ContactPoint.objects.filter(kind=kind, address=address, unlinked_at=None)
        .order_by("pk")
        .values_list(
            *(f"customer__{name}" for name in _CUSTOMER), *_POINT, Subquery(open_owner), ArraySubquery(colleagues)
        )[:1]
    )


_known: Repeated[ContactPoint] = Repeated(_who_uses, kind="a kind", address="an address")


def speaker(kind: str, address: str, *, name: str, language: str, at: datetime) -> Speaker:
    """Find who uses this address, or make a new customer and contact point, not yet written.

    One statement. Raises UnusableAddress.
    """
    address = normalised(kind, address)
    known = _known.rows(kind=kind, address=address)
    if known:
        row = known[0]
        using, split = connection.alias, len(_CUSTOMER)
        customer = Customer.from_db(using, _CUSTOMER, row[:split])
        point = ContactPoint.from_db(using, _POINT, row[split:-2])
        point.customer = customer
        return Speaker(customer, point, is_new=False, open_owner=row[-2], colleagues=tuple(row[-1]))
    customer = Customer(display_name=name[:200], language=language[:16], created_at=at)
    point = ContactPoint(customer=customer, kind=kind, address=address, created_at=at)
    return Speaker(customer, point, is_new=True, open_owner=None, colleagues=None)
