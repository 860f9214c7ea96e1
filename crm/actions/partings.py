"""Two people behind one record: what belongs to the other one gets a record of its own (R080, G19)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm.actions import endings, persons
from crm.actions.belongings import both, may_part, relations, with_matters
from crm.actions.persons import LIVING
from crm.models import ContactPoint, Conversation, Customer, Parting, User
from crm.models.people import ContactKind, CustomerStatus
from crm.models.persons import SuggestionState


class NotPartable(Exception):
    """What was chosen cannot become a record of its own."""

    code = "not_partable"


@transaction.atomic
def part(
    customer_id: int,
    *,
    points: Collection[int],
    conversations: Collection[int],
    name: str,
    because: str,
    by: User,
    at: datetime,
) -> Parting:
    """Give part of a record to a new one, because two people stand behind it.

    points, conversations: keys of what goes; with a matter go its messages and its case. The new record allows nothing and is owed
    nothing of its own; what is given once a person keeps counting for both (G19). What was done stays told where it was.
    Raises Customer.DoesNotExist, endings.ReasonMissing, NotPartable, StayTogether; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say how you know that they are two people."))
    (source,) = both(customer_id)
    if source.status not in LIVING:
        raise NotPartable(_("%(name)s: %(status)s.") % {"name": source, "status": source.get_status_display()})
    theirs = ContactPoint.objects.filter(customer=source, pk__in=points)
    matters = Conversation.objects.filter(customer=source, pk__in=conversations)
    if not (points or conversations):
        raise NotPartable(_("Please choose what belongs to the other person."))
    if theirs.count() != len(set(points)) or matters.count() != len(set(conversations)):
        raise NotPartable(_("Something that was chosen does not belong to this customer any more."))
    may_part(sorted(conversations))
    made = Customer.objects.create(
        display_name=name.strip()[:200],
        language=source.language,
        zone=source.zone,
        region=source.region,
        status=CustomerStatus.ACTIVE,
        created_at=source.created_at,
        parted_from_id=source.parted_from_id or source.pk,
    )
    accounts = list(theirs.filter(kind=ContactKind.APP).values_list("address", flat=True))
    moved = {
        "crm.User.customer": list(
            User.objects.filter(customer=source, public_id__in=accounts).values_list("pk", flat=True)
        ),
        "crm.ContactPoint.customer": sorted(points),
        **with_matters(source.pk, sorted(conversations)),
    }
    for relation in relations():
        if moved.get(relation.name):
            relation.hand_over(relation.of(source.pk).filter(pk__in=moved[relation.name]), to=made.pk)
    parting = Parting.objects.create(
        source=source,
        made=made,
        because=because.strip()[:300],
        by=by,
        at=at,
        moved={k: v for k, v in moved.items() if v},
    )
    persons.decide(source.pk, made.pk, SuggestionState.APART, by=by, at=at)
    detail = {"made": str(made.public_id), "rows": sum(map(len, moved.values()))}
    persons.record([source, made], "customer.parted", ref=f"parting:{parting.public_id}", by=by, at=at, detail=detail)
    return parting
