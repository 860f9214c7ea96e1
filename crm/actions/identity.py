"""Who is speaking: contact points are recognised by their normalised address, never by a name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import phonenumbers
from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _

from crm.models import ContactPoint, Conversation, Customer
from crm.models.people import ContactKind
from crm.policy import ConversationState


class UnusableAddress(ValueError):
    """An address that cannot reach anybody."""

    code = "unusable_address"


@dataclass(frozen=True, slots=True)
class Speaker:
    """The customer and the contact point they used; both may be new and unwritten. open_owner: who has their open matter."""

    customer: Customer
    contact_point: ContactPoint
    is_new: bool
    open_owner: int | None


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
        if number is None or phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
            raise UnusableAddress(_("“%(address)s” is not a phone number we could call.") % {"address": address})
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if kind == ContactKind.EMAIL:
        address = address.lower()
        local, at_sign, domain = address.rpartition("@")
        if not (local and at_sign and domain) or len(address) > 320 or any(sign.isspace() for sign in address):
            raise UnusableAddress(_("“%(address)s” is not an e-mail address we could write to.") % {"address": address})
        return address
    if not address:
        raise UnusableAddress(_("An address is missing."))
    return address[:320]


def speaker(kind: str, address: str, *, name: str, language: str, at: datetime) -> Speaker:
    """Find who uses this address, or make a new customer and contact point, not yet written.

    One statement. Raises UnusableAddress.
    """
    address = normalised(kind, address)
    open_owner = (
        Conversation.objects.filter(customer=OuterRef("customer"), state__in=[ConversationState.OPEN, ConversationState.WAITING])
        .exclude(owner=None)
        .order_by("-id")
        .values("owner_id")[:1]
    )
    known = (
        ContactPoint.objects.filter(kind=kind, address=address, unlinked_at=None)
        .select_related("customer")
        .annotate(open_owner=Subquery(open_owner))
        .first()
    )
    if known is not None:
        return Speaker(known.customer, known, is_new=False, open_owner=known.open_owner)
    customer = Customer(display_name=name[:200], language=language[:16], created_at=at)
    point = ContactPoint(customer=customer, kind=kind, address=address, created_at=at)
    return Speaker(customer, point, is_new=True, open_owner=None)
