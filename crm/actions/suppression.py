"""Addresses that want nothing of a kind: kept without the address, so that they outlast whoever is forgotten (P10)."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache

from django.conf import settings
from django.db import IntegrityError, transaction

from crm import history
from crm.actions import identity
from crm.models import ConsentProof, ContactPoint, Customer, Suppression
from crm.models.people import ContactKind
from crm.policy.consent import Medium
from crm.policy.suppression import ENDED_BY_A_YES, SuppressionReason, SuppressionScope, scopes_ended_by_yes

FAMILIES: dict[str, str] = {ContactKind.EMAIL: "email", ContactKind.POSTAL: "post"}
"""What is one kind of address here; numbers and names at providers are another one, since one and the same may be either."""
MEDIA: dict[str, str] = {Medium.EMAIL: "email", Medium.POST: "post", Medium.TEXT: "account", Medium.CALL: "account"}
"""What kind of address a medium reaches."""


def family(kind: str) -> str:
    """The kind of address that a contact point's kind counts as here."""
    return FAMILIES.get(kind, "account")


def keys_of(kind: str, address: str) -> list[str]:
    """What an address is called here, under every key that is set; the first is the one to write. address: normalised."""
    return _digests(family(kind), address)


def keys_reached(medium: str, address: str) -> list[str]:
    """The same for the address to which a message of a medium goes; none for a medium that reaches no address of its own."""
    reached = MEDIA.get(medium)
    return _digests(reached, address.lower() if reached == "email" else address) if reached else []


def _digests(reached: str, address: str) -> list[str]:
    digests = []
    for key in settings.EVENHAND_SUPPRESSION_KEY:
        digest = _begun(key, reached).copy()
        digest.update(address.encode())
        digests.append(digest.hexdigest())
    return digests


@lru_cache(maxsize=32)
def _begun(key: str, reached: str) -> hmac.HMAC:
    return hmac.new(key.encode(), f"evenhand.suppression\n{reached}\n".encode(), hashlib.sha256)


@transaction.atomic
def suppress(
    kind: str,
    address: str,
    *,
    scope: SuppressionScope,
    reason: SuppressionReason,
    at: datetime,
    until: datetime | None = None,
    by_customer: bool = True,
) -> Suppression:
    """Let nothing of a scope reach an address from now on, whoever has it. Done again while it stands, it adds nothing.

    until: when it ends by itself, None for not. Whoever has the address is locked, so that nothing leaves beside it.
    """
    with contextlib.suppress(identity.UnusableAddress):  # a name at a provider is no number, and is stopped as it is
        address = identity.normalised(kind, address)
    point = ContactPoint.objects.filter(kind=kind, address=address, unlinked_at=None).first()
    customer = Customer.objects.select_for_update().get(pk=point.customer_id) if point is not None else None
    keys = keys_of(kind, address)
    same = Suppression.objects.active(at).filter(key__in=keys, scope=scope, reason=reason)
    standing = same.filter(until=None).first() or (same.filter(until__gte=until).first() if until else None)
    if standing is not None:
        return standing
    made = Suppression(key=keys[0], scope=scope, reason=reason, starts_at=at, until=until)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:  # somebody else said so in this moment, of an address that nobody has
        return Suppression.objects.get(key=keys[0], scope=scope, reason=reason, until=None, lifted_at=None)
    if customer is not None:
        origin = "customer" if by_customer else ""
        detail = {"scope": scope, "reason": reason}
        history.record(customer, "suppression.begun", ref=ref_of(made), by=None, at=at, origin=origin, detail=detail)
    return made


def ended_by_yes(proof: ConsentProof, points: Iterable[ContactPoint], *, at: datetime) -> int:
    """End what stops a purpose at these addresses, because their owner said yes to it again. Returns how many ended."""
    keys = [key for point in points for key in keys_of(point.kind, point.address)]
    scopes = scopes_ended_by_yes(proof.purpose, proof.medium)
    return _lift(keys, scopes, ENDED_BY_A_YES, proof=proof, at=at)


def pause_ended(proof: ConsentProof, point: ContactPoint, *, at: datetime) -> int:
    """End the pause of an address, because its owner wants it so. Returns how many ended."""
    scopes = [SuppressionScope.CHEERFUL]
    return _lift(keys_of(point.kind, point.address), scopes, [SuppressionReason.PAUSE], proof=proof, at=at)


def _lift(
    keys: Collection[str],
    scopes: Collection[SuppressionScope],
    reasons: Collection[SuppressionReason],
    *,
    proof: ConsentProof,
    at: datetime,
) -> int:
    standing = Suppression.objects.active(at).filter(key__in=keys, scope__in=scopes, reason__in=reasons)
    lifted = list(standing.select_for_update().order_by("pk"))
    for one in lifted:
        one.lifted_at, one.lifted_by = at, proof.public_id
        one.save(update_fields=["lifted_at", "lifted_by"])
        history.record(proof.customer, "suppression.ended", ref=ref_of(one), by=None, at=at, origin="customer")
    return len(lifted)


def standing(points: Iterable[tuple[str, str]], *, at: datetime) -> list[Suppression]:
    """What stands against any of these addresses, each a kind and a normalised address; one statement."""
    keys = [key for kind, address in points for key in keys_of(kind, address)]
    return list(Suppression.objects.active(at).filter(key__in=keys).order_by("pk")) if keys else []


def ref_of(found: Suppression) -> str:
    """What history entries call it."""
    return f"suppression:{found.public_id}"
