"""What customers allowed: an append-only ledger. Only a customer gives a permission; staff may take one away (N7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import suppression
from crm.channels import Channel
from crm.models import Consent, ConsentProof, ContactPoint, Customer, User
from crm.models.consents import ConsentActor
from crm.policy.consent import WORDS, Medium
from crm.policy.ledger import ConsentState, ProofDoor

MEDIUM_OF: dict[str, Medium] = {
    Channel.EMAIL: Medium.EMAIL,
    Channel.SMS: Medium.TEXT,
    Channel.CHAT: Medium.TEXT,
    Channel.LETTER: Medium.POST,
    Channel.PHONE: Medium.CALL,
}
"""Which medium a message uses that leaves through a channel; through any other nothing can leave that needs a permission."""

Line = tuple[str, str]
"""A purpose and a medium."""


class EvidenceMissing(ValueError):
    """A permission without evidence is none."""

    code = "evidence_missing"


class CannotBeAllowed(ValueError):
    """Something for which there are no words to say yes to."""

    code = "cannot_be_allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a customer had before their eyes when they said yes, and where. network: see networks.network_of.

    account: theirs, when they said it in the app; point: their address to which the way to say it had been sent, otherwise.
    """

    words: str
    version: str
    language: str
    door: ProofDoor
    network: str = ""
    account: User | None = None
    point: ContactPoint | None = None


@transaction.atomic
def grant(customer: Customer, purpose: str, medium: str, *, shown: Shown, at: datetime) -> Consent:
    """Write down that the customer said yes, with the proof of it; what they had against it at that address ends.

    Saying it twice adds nothing. Raises EvidenceMissing when words or place are missing, CannotBeAllowed; the database refuses a
    proof that is not the customer's own (IntegrityError).
    """
    if (purpose, medium) not in WORDS:
        raise CannotBeAllowed(_("There is nothing of this kind that could be allowed."))
    if not shown.words.strip() or not shown.version.strip():
        raise EvidenceMissing(_("A permission needs the words that the customer said yes to."))
    if shown.account is None and shown.point is None:
        raise EvidenceMissing(_("A permission needs to say where the customer gave it."))
    customer = _locked(customer)
    standing = counting(customer.pk).get((purpose, medium))
    proof = _proof(customer, shown, at=at, purpose=purpose, medium=medium)
    suppression.ended_by_yes(proof, _reached(proof), at=at)
    if standing is not None and standing.allows:
        return standing
    event = Consent.objects.create(
        customer=customer,
        purpose=purpose,
        medium=medium,
        state=ConsentState.GRANTED,
        actor=ConsentActor.CUSTOMER,
        evidence=shown.words,
        proof=proof,
        at=at,
    )
    _record(customer, "consent.granted", (purpose, medium), by=shown.account, at=at, origin="customer")
    return event


@transaction.atomic
def goes_on(customer: Customer, point: ContactPoint, *, shown: Shown, at: datetime) -> int:
    """End the pause that the customer had asked for at this address, because they say so. Returns how many ended."""
    customer = _locked(customer)
    return suppression.pause_ended(_proof(customer, shown, at=at), point, at=at)


def _proof(customer: Customer, shown: Shown, *, at: datetime, purpose: str = "", medium: str = "") -> ConsentProof:
    return ConsentProof.objects.create(
        customer=customer,
        purpose=purpose,
        medium=medium,
        words=shown.words,
        version=shown.version,
        language=shown.language,
        door=shown.door,
        network=shown.network,
        account=shown.account,
        contact_point=shown.point,
        at=at,
    )


def _reached(proof: ConsentProof) -> list[ContactPoint]:
    """The addresses at which a yes ends what was said against it: where it was said, or what is proved to be theirs."""
    if proof.contact_point is not None:
        return [proof.contact_point]
    proved = ContactPoint.objects.filter(customer=proof.customer_id, unlinked_at=None, verified_at__isnull=False)
    return [point for point in proved if suppression.family(point.kind) == suppression.MEDIA.get(proof.medium)]


@transaction.atomic
def withdraw(
    customer: Customer,
    purpose: str,
    *,
    evidence: str,
    at: datetime,
    medium: str | None = None,
    by: User | None = None,
) -> list[Consent]:
    """Write down that a permission ended. by: the colleague who noted it; None when the customer did it themselves.

    medium: None for every one they ever said something of. Doing it twice adds nothing. Returns what counts now.
    Raises EvidenceMissing.
    """
    if not evidence.strip():
        raise EvidenceMissing(_("Please note how the customer said no."))
    customer = _locked(customer)
    said = counting(customer.pk)
    media = [medium] if medium is not None else [known for about, known in said if about == purpose] or [Medium.EMAIL]
    return [
        _end(customer, (purpose, known), said.get((purpose, known)), evidence=evidence, at=at, by=by) for known in media
    ]


def _end(
    customer: Customer, line: Line, standing: Consent | None, *, evidence: str, at: datetime, by: User | None
) -> Consent:
    if standing is not None and standing.state == ConsentState.WITHDRAWN:
        return standing
    event = Consent.objects.create(
        customer=customer,
        purpose=line[0],
        medium=line[1],
        state=ConsentState.WITHDRAWN,
        actor=ConsentActor.STAFF if by else ConsentActor.CUSTOMER,
        noted_by=by,
        evidence=evidence,
        at=at,
    )
    _record(customer, "consent.withdrawn", line, by=by, at=at, origin="" if by else "customer")
    return event


@transaction.atomic
def end_all(customer: Customer, *, evidence: str, told_at: datetime, at: datetime, only: tuple[str, ...] = ()) -> bool:
    """End every permission that the customer gave before they said so, of all purposes or some. They did it themselves.

    Returns whether a later yes stands, so that what they said before says nothing about it.
    """
    customer = _locked(customer)
    said_later = False
    for (purpose, medium), standing in counting(customer.pk).items():
        if not standing.allows or (only and purpose not in only):
            continue
        if standing.at > told_at:
            said_later = True
            continue
        _end(customer, (purpose, medium), standing, evidence=evidence, at=at, by=None)
    return said_later


@transaction.atomic
def unknown(customer: Customer, purpose: str, medium: str, *, evidence: str, at: datetime) -> Consent | None:
    """Note that a file claims a permission. It makes nothing effective; the customer can be asked whether it is so.

    Where the customer, or a file, has said something before, it adds nothing and returns None. Raises EvidenceMissing.
    """
    if not evidence.strip():
        raise EvidenceMissing(_("Please note where this comes from."))
    customer = _locked(customer)
    if Consent.objects.filter(customer=customer, purpose=purpose, medium=medium).exists():
        return None
    event = Consent.objects.create(
        customer=customer,
        purpose=purpose,
        medium=medium,
        state=ConsentState.UNKNOWN,
        actor=ConsentActor.IMPORT,
        evidence=evidence,
        at=at,
    )
    _record(customer, "consent.claimed", (purpose, medium), by=None, at=at, origin="import")
    return event


def counting(customer_id: int) -> dict[Line, Consent]:
    """What counts of each purpose and medium that the customer ever said yes or no to."""
    events = Consent.objects.counting().filter(customer=customer_id)
    return {(event.purpose, event.medium): event for event in events}


def _locked(customer: Customer) -> Customer:
    """The record that a customer is part of now, locked; whoever speaks by an old link may be one with another record."""
    found = Customer.objects.select_for_update().get(pk=customer.pk)
    if found.merged_into_id is not None:
        found = Customer.objects.select_for_update().get(pk=found.merged_into_id)
    return found


def _record(customer: Customer, verb: str, line: Line, *, by: User | None, at: datetime, origin: str) -> None:
    history.record(customer, verb, ref=f"consent:{line[0]}:{line[1]}", by=by, at=at, origin=origin)
