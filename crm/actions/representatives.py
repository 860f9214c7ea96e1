"""Who acts for a customer: noted with what we saw, asked in every moment that matters, ended with a reason (R089).

Whatever a representative asks for is the customer's: the matter, its owner, its promises and what it earns hang on the customer
they act for. Their own record gets nothing by it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import belongings, endings, identity, owners
from crm.actions.persons import LIVING
from crm.channels import Channel
from crm.models import (
    ContactPoint,
    Conversation,
    Customer,
    Interaction,
    Placement,
    Representative,
    User,
)
from crm.models.people import ContactKind
from crm.policy import ConversationState, Direction, OwnerChangeReason
from crm.policy.lives import LifeSource
from crm.policy.representation import Ask, Authority, Scope

Acting = Literal["", "stands", "ended"]
"""Whether somebody acts for a customer: no, yes, or not any more (or not in this)."""


class UnusableAuthority(ValueError):
    """What was noted is no authority that anybody could act by."""

    code = "unusable_authority"


class NotTold(Exception):
    """Somebody may not be told about a matter, or not any more."""

    code = "may_not_be_told"


class NotPlaceable(Exception):
    """A matter cannot be given to the customer whom its writer acts for."""

    code = "not_placeable"


@transaction.atomic
def note(
    principal_id: int,
    *,
    authority: Authority,
    scope: Scope,
    source: LifeSource,
    evidence: str,
    by: User,
    at: datetime,
    person_id: int | None = None,
    name: str = "",
    address: str = "",
    conversation_id: int | None = None,
    interaction: Interaction | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Representative:
    """Note that somebody acts for a customer. It opens nothing by itself: no account, no address, no matter.

    evidence: what we saw or heard, by whom. person_id: a customer we know; else name and mail address. conversation_id: the one
    matter, where it covers only that. valid_from: at once when None; valid_until: until it is ended when None.
    Raises Customer.DoesNotExist, endings.ReasonMissing, UnusableAuthority, identity.UnusableAddress; then nothing has changed.
    """
    if not evidence.strip():
        raise endings.ReasonMissing(_("Please note what you saw or heard that shows it."))
    principal, *others = belongings.both(principal_id, *([person_id] if person_id is not None else []))
    person = others[0] if others else None
    for one in (principal, person):
        if one is not None and one.status not in LIVING:
            raise UnusableAuthority(_("%(name)s: %(status)s.") % {"name": one, "status": one.get_status_display()})
    if person is not None and person.pk == principal.pk:
        raise UnusableAuthority(_("Nobody acts for themselves."))
    if person is None and not (name.strip() and address.strip()):
        raise UnusableAuthority(_("Please name who acts: a customer we know, or a name with a mail address."))
    matter = None
    if conversation_id is not None:
        matter = Conversation.objects.filter(pk=conversation_id, customer=principal).first()
    if (scope == Scope.MATTER) != (matter is not None):
        raise UnusableAuthority(_("Please choose the matter of this customer that it covers, for one matter only."))
    begins = valid_from or at
    if valid_until is not None and valid_until <= max(begins, at):
        raise UnusableAuthority(_("It would have run out already."))
    noted = Representative.objects.create(
        principal=principal,
        person=person,
        name=name.strip()[:200],
        address=identity.normalised(ContactKind.EMAIL, address) if address.strip() else "",
        authority=authority,
        scope=scope,
        conversation=matter,
        source=source,
        evidence=evidence.strip(),
        interaction=interaction,
        valid_from=begins,
        valid_until=valid_until,
        noted_by=by,
        noted_at=at,
    )
    history.record(
        principal,
        "representative.noted",
        ref=ref_of(noted),
        by=by,
        at=at,
        detail={"authority": authority, "scope": scope},
    )
    return noted


@transaction.atomic
def end(representative_id: int, *, because: str, by: User, at: datetime) -> Representative:
    """End an authority. What they write from then on is somebody else's word, and what waits for them is not sent.

    Raises Representative.DoesNotExist, endings.ReasonMissing, UnusableAuthority; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say why it ends."))
    noted = Representative.objects.select_for_update(of=("self",)).select_related("principal").get(pk=representative_id)
    if noted.ended_at is not None:
        raise UnusableAuthority(_("It has been ended already."))
    noted.ended_at, noted.ended_by, noted.ended_because = at, by, because.strip()[:300]
    noted.save(update_fields=["ended_at", "ended_by", "ended_because"])
    history.record(noted.principal, "representative.ended", ref=ref_of(noted), by=by, at=at)
    return noted


def ref_of(noted: Representative) -> str:
    """What history entries call this authority."""
    return f"representative:{noted.public_id}"


# --- who writes, and whom we may write to ---------------------------------------------------------------------------------


def of(principal_id: int) -> QuerySet[Representative]:
    """Everybody who acts or acted for a customer, the newest first."""
    found = Representative.objects.filter(principal=principal_id)
    return found.select_related("person", "principal", "conversation", "noted_by").order_by("-pk")


def _writing_from(address: str) -> Q:
    theirs = Q(address=address) & ~Q(address="")
    proved = ContactPoint.objects.filter(
        kind=ContactKind.EMAIL, address=address, unlinked_at=None, verified_at__isnull=False
    )
    return theirs | Q(person__in=proved.values("customer"))


def acting(conversation: Conversation, address: str, *, at: datetime) -> Acting:
    """Say whether whoever has this mail address acts for the customer of a matter, in this matter, now. One statement."""
    noted = list(of(conversation.customer_id).filter(_writing_from(address)))
    if not noted:
        return ""
    told = (one.may(Ask.BE_TOLD, matter=conversation.pk, status=one.principal.status, at=at) for one in noted)
    return "stands" if any(told) else "ended"


def who_wrote(interaction: Interaction, noted: list[Representative]) -> Representative | None:
    """Which of a customer's representatives wrote something into their matter by its address; None for nobody of them."""
    address = interaction.other_address
    if not address:
        return None
    return next((one for one in noted if address in (one.address, *_addresses(one))), None)


def _addresses(noted: Representative) -> list[str]:
    if noted.person is None:
        return []
    if not hasattr(noted.person, "proved_addresses"):
        points = ContactPoint.objects.filter(
            customer=noted.person_id, kind=ContactKind.EMAIL, unlinked_at=None, verified_at__isnull=False
        )
        noted.person.proved_addresses = list(  # type: ignore[attr-defined]
            points.order_by("-verified_at", "-pk").values_list("address", flat=True)
        )
    addresses: list[str] = noted.person.proved_addresses  # type: ignore[attr-defined]
    return addresses


def address_of(noted: Representative) -> str:
    """Where they are written to: the address that was noted, else the newest proved one of theirs; "" for none."""
    return noted.address or next(iter(_addresses(noted)), "")


def reached(conversation: Conversation, representative_id: int, *, at: datetime) -> tuple[Representative, ContactPoint]:
    """Whom an answer goes to instead of the customer, and where. Raises NotTold."""
    noted = of(conversation.customer_id).filter(pk=representative_id).first()
    if noted is None or not noted.may(Ask.BE_TOLD, matter=conversation.pk, status=noted.principal.status, at=at):
        raise NotTold(_("They may not be told about this matter, or not any more."))
    address = address_of(noted)
    if not address:
        raise NotTold(_("No proved mail address of theirs is known. Please note one with their authority."))
    return noted, ContactPoint(kind=ContactKind.EMAIL, address=address)


def may_still_be_told(representative_id: int, *, matter: int | None, status: str, at: datetime) -> bool:
    """Ask in the moment a message leaves whether whom it goes to may be told. status: the customer's, who is locked."""
    noted = Representative.objects.get(pk=representative_id)
    return noted.may(Ask.BE_TOLD, matter=matter, status=status, at=at)


# --- a matter that came through them -------------------------------------------------------------------------------------


@transaction.atomic
def place(conversation_id: int, *, representative_id: int, by: User, at: datetime) -> Placement:
    """Give a matter to the customer it is about, because whoever wrote it acts for them; it stays known who wrote.

    All of it has to be mail from a proved address of theirs. With it go its messages, its case and what hangs on them; its owner
    is then whoever looks after the customer's matters. Can be put back.
    Raises Conversation.DoesNotExist, Representative.DoesNotExist, NotTold, NotPlaceable, StayTogether; then nothing has changed.
    """
    noted = Representative.objects.get(pk=representative_id)
    came_with_id = Conversation.objects.values_list("customer_id", flat=True).get(pk=conversation_id)
    if came_with_id == noted.principal_id:
        raise NotPlaceable(_("This matter is with that customer already."))
    principal, came_with = belongings.both(noted.principal_id, came_with_id)
    conversation = Conversation.objects.select_for_update(of=("self",)).get(pk=conversation_id)
    if conversation.customer_id != came_with.pk:
        raise NotPlaceable(_("A colleague has given this matter to somebody else in this moment."))
    if not noted.may(Ask.BE_TOLD, matter=conversation.pk, status=principal.status, at=at):
        raise NotTold(_("They may not be told about this matter, or not any more."))
    said = list(
        Interaction.objects.select_for_update(of=("self",))
        .select_related("contact_point")
        .filter(conversation=conversation, direction=Direction.INBOUND)
        .order_by("pk")
    )
    addresses = {noted.address, *_addresses(noted)} - {""}
    if not said or not all(_is_proved_mail(one, addresses) for one in said):
        raise NotPlaceable(_("Not all of it is mail from a proved address of theirs."))
    belongings.may_part([conversation.pk])
    points = {}
    for one in said:
        assert one.contact_point is not None  # noqa: S101 – asked above
        points[str(one.pk)] = one.contact_point_id
        one.other_address, one.contact_point = one.contact_point.address, None
    Interaction.objects.bulk_update(said, ["other_address", "contact_point"])
    placed = Placement.objects.create(
        conversation=conversation,
        representative=noted,
        came_with=came_with,
        owner_before=conversation.owner,
        points=points,
        by=by,
        at=at,
    )
    _move(conversation, came_with, principal)
    _with_their_owner(conversation, principal, by=by, at=at)
    for customer in (came_with, principal):
        history.record(
            customer,
            "conversation.placed",
            ref=f"conversation:{conversation.public_id}",
            by=by,
            at=at,
            detail={"representative": str(noted.public_id)},
        )
    return placed


def _is_proved_mail(said: Interaction, addresses: set[str]) -> bool:
    point = said.contact_point
    return (
        said.channel == Channel.EMAIL
        and point is not None
        and point.verified_at is not None
        and point.address in addresses
    )


def _move(conversation: Conversation, source: Customer, to: Customer) -> None:
    """Hand a matter over with all that hangs on it, as parting two people does; both are locked by the caller."""
    going = belongings.with_matters(source.pk, [conversation.pk])
    for relation in belongings.relations():
        if going.get(relation.name):
            relation.hand_over(relation.of(source.pk).filter(pk__in=going[relation.name]), to=to.pk)
    conversation.customer = to


def _with_their_owner(conversation: Conversation, principal: Customer, *, by: User, at: datetime) -> None:
    """One story, one owner: whoever looks after an open matter of the customer looks after this one (C.6)."""
    theirs = Conversation.objects.filter(
        customer=principal, state__in=[ConversationState.OPEN, ConversationState.WAITING], owner__is_active=True
    )
    newest = theirs.exclude(pk=conversation.pk).order_by("-pk").first()
    if newest is not None and newest.owner_id is not None:
        owners.give(conversation, newest.owner_id, why=OwnerChangeReason.ASSIGNED, by=by, at=at)


@transaction.atomic
def put_back(placement_id: int, *, by: User, at: datetime) -> Placement:
    """Give a matter back to whom it came in with; what was said since stays in it.

    Raises Placement.DoesNotExist, NotPlaceable, StayTogether; then nothing has changed.
    """
    found = Placement.objects.select_related("conversation", "came_with").get(pk=placement_id)
    back_to = belongings.standing(found.came_with)
    principal, came_with = belongings.both(found.conversation.customer_id, back_to.pk)
    conversation = Conversation.objects.select_for_update(of=("self",)).get(pk=found.conversation_id)
    placed = Placement.objects.select_for_update(of=("self",)).get(pk=placement_id)
    if placed.put_back_at is not None or conversation.customer_id != principal.pk or principal.pk == came_with.pk:
        raise NotPlaceable(_("This matter was put back already."))
    belongings.may_part([conversation.pk])
    said = list(Interaction.objects.select_for_update(of=("self",)).filter(pk__in=map(int, placed.points)))
    for one in said:
        one.other_address, one.contact_point_id = "", placed.points[str(one.pk)]
    Interaction.objects.bulk_update(said, ["other_address", "contact_point"])
    _move(conversation, principal, came_with)
    placed.put_back_at, placed.put_back_by = at, by
    placed.save(update_fields=["put_back_at", "put_back_by"])
    for customer in (principal, came_with):
        history.record(customer, "conversation.put_back", ref=f"conversation:{conversation.public_id}", by=by, at=at)
    return placed
