"""Keyed digests: whether an address is one that we have seen, when the address itself may not be kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db.models import Q
from django.utils.crypto import salted_hmac

from crm.models import ContactPoint, Redeemed
from crm.models.people import ContactKind

ADDRESSES = (ContactKind.EMAIL, ContactKind.PHONE, ContactKind.HANDLE, ContactKind.POSTAL, ContactKind.DEVICE)


def of_address(kind: str, address: str) -> str:
    """The digest of a normalised address under the installation's secret key; 64 hexadecimal digits.

    After a change of that key, older digests are not recognised.
    """
    return salted_hmac("evenhand.address", f"{kind}:{address}", algorithm="sha256").hexdigest()


def of_customers(customers: Collection[int]) -> list[str]:
    """The digests of every address that customers have or had, in a stable order."""
    points = ContactPoint.objects.filter(customer__in=customers, kind__in=ADDRESSES)
    return sorted({of_address(kind, address) for kind, address in points.values_list("kind", "address")})


def remember(what: str, customers: Collection[int], *, keep_until: datetime) -> None:
    """Note that something which is given once was given to these customers, who are about to be erased (P09)."""
    rows = [Redeemed(what=what, digest=digest, keep_until=keep_until) for digest in of_customers(customers)]
    Redeemed.objects.bulk_create(rows, ignore_conflicts=True)


def had(wanted: Mapping[int, str], *, at: datetime) -> set[int]:
    """Which customers had something already, as somebody who was erased since. wanted: customer to what it would be."""
    points = ContactPoint.objects.filter(customer__in=wanted, kind__in=ADDRESSES, unlinked_at=None)
    digests: dict[tuple[str, str], set[int]] = {}
    for customer, kind, address in points.values_list("customer_id", "kind", "address"):
        digests.setdefault((wanted[customer], of_address(kind, address)), set()).add(customer)
    known = Redeemed.objects.filter(
        Q(keep_until__gt=at), what__in=set(wanted.values()), digest__in={digest for _what, digest in digests}
    )
    return _all(digests[found] for found in known.values_list("what", "digest") if found in digests)


def forget(*, at: datetime) -> int:
    """Remove what no longer counts. Returns how many."""
    return Redeemed.objects.filter(keep_until__lte=at).delete()[0]


def _all(groups: Iterable[set[int]]) -> set[int]:
    return set().union(*groups)
