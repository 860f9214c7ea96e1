"""Two people behind one record: what belongs to the other one gets a record of its own (R080, G19)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from crm.actions import endings, persons
from crm.actions.belongings import both, relations
from crm.actions.persons import LIVING
from crm.models import ContactPoint, Conversation, Customer, Hold, Parting, User
from crm.models.people import ContactKind, CustomerStatus
from crm.models.persons import SuggestionState


class NotPartable(Exception):
    """What was chosen cannot become a record of its own."""

    code = "not_partable"


class StayTogether(Exception):
    """What was chosen belongs together with what was not. Raised by whoever knows why."""

    code = "stay_together"


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
    for check in settings.EVENHAND_BEFORE_PARTING:
        import_string(check)(sorted(conversations))
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
        **_with_matters(source.pk, sorted(conversations)),
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


def _with_matters(source: int, conversations: list[int]) -> dict[str, list[int]]:
    """What goes along with matters, by relation: rows about them, and the holds that these rows placed."""
    found: dict[str, list[int]] = {}
    refs: list[str] = []
    for relation in relations():
        if relation.told.conversation:
            rows = relation.of(source).filter(**{f"{relation.told.conversation}__in": conversations})
            found[relation.name] = list(rows.order_by("pk").values_list("pk", flat=True))
            kind = relation.model._meta.model_name
            refs += [f"{kind}:{public_id}" for public_id in rows.values_list("public_id", flat=True)]
    holds = Hold.objects.filter(customer=source, key__in=refs)
    found["crm.Hold.customer"] = list(holds.order_by("pk").values_list("pk", flat=True))
    return found
