"""What happened in customers' lives, as they told us: with who said so, given to a person, taken back with a reason (R167)."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, belongings, endings
from crm.actions.customers import NoSuchDay
from crm.actions.persons import LIVING
from crm.models import Interaction, LifeEvent, User
from crm.policy import AlertKind, lives
from crm.policy.lives import LifeEventKind, LifeSource, MomentState, Purpose, When

DECIDES_FOR_OTHERS = "crm.view_private_lifeevent"
"""Leads may look after what was given to somebody else."""


class ToldElsewhere(ValueError):
    """Something that has a way of its own: a birthday with its consent, a death with what it stops."""

    code = "told_elsewhere"


class NeedsAName(ValueError):
    """Something sad that nobody is named for."""

    code = "needs_a_name"


class NotGiven(Exception):
    """Somebody else looks after this."""

    code = "not_given"


class NothingOpen(Exception):
    """This was looked at, or taken back, before."""

    code = "nothing_open"


@transaction.atomic
def tell(
    customer_id: int,
    *,
    kind: LifeEventKind,
    source: LifeSource,
    words: str,
    when: When,
    purpose: Purpose,
    by: User,
    at: datetime,
    handled_by: User | None = None,
    evidence: str = "",
    interaction: Interaction | None = None,
) -> LifeEvent:
    """Note something in a customer's life that we were told; what may be done with it is policy.

    words: what they said, short. evidence: for a public post, where it stands and where they said that we may use it.
    handled_by: who looks after it; needed for what is sad. interaction: in which of their words it was said.
    Raises Customer.DoesNotExist, ToldElsewhere, endings.ReasonMissing, NoSuchDay, NeedsAName, endings.WrongState; then nothing
    has changed.
    """
    if kind in (LifeEventKind.BIRTHDAY, LifeEventKind.BEREAVEMENT):
        raise ToldElsewhere(
            _("A birthday is noted on the customer's page, and a death where it is reported: both have their own form.")
        )
    return note(
        customer_id,
        kind=kind,
        source=source,
        words=words,
        when=when,
        purpose=purpose,
        by=by,
        at=at,
        handled_by=handled_by,
        evidence=evidence,
        interaction=interaction,
    )


def note(
    customer_id: int,
    *,
    kind: LifeEventKind,
    source: LifeSource,
    words: str,
    when: When,
    purpose: Purpose,
    by: User,
    at: datetime,
    handled_by: User | None,
    evidence: str = "",
    interaction: Interaction | None = None,
) -> LifeEvent:
    """What `tell` does, for events that have a way of their own as well. In a transaction of the caller's."""
    if not words.strip():
        raise endings.ReasonMissing(_("Please note what they said, in a few words."))
    if source == LifeSource.PUBLIC_POST and not evidence.strip():
        raise endings.ReasonMissing(_("Please note where the post stands, and where they said that we may use it."))
    if not lives.is_told_right(when):
        raise NoSuchDay(_("There is no such day in the calendar, or a part of it is missing."))
    if lives.needs_a_name(kind) and handled_by is None:
        raise NeedsAName(_("Please name who looks after this; nothing sad is left to a list."))
    (customer,) = belongings.both(customer_id)
    if customer.status not in LIVING:
        raise endings.WrongState(
            _("%(name)s: %(status)s.") % {"name": customer, "status": customer.get_status_display()}
        )
    purpose = lives.purpose_of(kind, purpose)
    moment = lives.moment_of(kind, purpose)
    event = LifeEvent.objects.create(
        customer=customer,
        kind=kind,
        precision=when.precision,
        year=when.year,
        month=when.month,
        day=when.day,
        source=source,
        evidence=evidence.strip()[:500],
        valence=lives.valence_of(kind),
        seen_by=lives.seen_by_of(kind),
        purpose=purpose,
        words=words.strip()[:500],
        interaction=interaction,
        noted_by=by,
        told_at=at,
        handled_by=handled_by,
        urgency=lives.urgency_of(kind),
        moment=moment,
        moment_on=lives.moment_on(when, today=_today(at)) if moment == MomentState.OPEN else None,
    )
    # Not what it is: the history is read by everybody, an illness is not.
    history.record(customer, "life_event.told", ref=ref_of(event), by=by, at=at)
    if handled_by is not None and handled_by.pk != by.pk and moment == MomentState.OPEN:
        _tell_whose_it_is(event, at=at)
    return event


def _today(at: datetime) -> date:
    return at.date()


def ref_of(event: LifeEvent) -> str:
    """What history entries call this event."""
    return f"life_event:{event.public_id}"


def _tell_whose_it_is(event: LifeEvent, *, at: datetime) -> None:
    alert = alerts.told(
        AlertKind.LIFE_MOMENT,
        key=f"{event.public_id}:{event.handled_by_id}:{at.isoformat()}",
        at=at,
        to=event.handled_by,
        detail={"customer": str(event.customer.public_id)},
    )
    alerts.write([alert])


def _locked(event_id: int, *, by: User) -> LifeEvent:
    """Lock what this colleague may see. Raises LifeEvent.DoesNotExist, NothingOpen when it was taken back."""
    visible = LifeEvent.objects.visible_to(by)
    event = visible.select_for_update(of=("self",)).select_related("customer", "handled_by").get(pk=event_id)
    if event.taken_back_at is not None:
        raise NothingOpen(_("This was taken back."))
    return event


@transaction.atomic
def take_back(event_id: int, *, because: str, by: User, at: datetime) -> LifeEvent:
    """Note that something was not so, or that they wish it were not noted; it stays as a row that says so and does nothing.

    Raises LifeEvent.DoesNotExist, endings.ReasonMissing, ToldElsewhere, NothingOpen; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say why it is taken back."))
    event = _locked(event_id, by=by)
    if event.kind == LifeEventKind.BEREAVEMENT:
        raise ToldElsewhere(_("The news of a death is ended where it was reported, since things stopped with it."))
    undo(event, because=because, by=by, at=at)
    return event


def undo(event: LifeEvent, *, because: str, by: User, at: datetime) -> None:
    """Take back an event that the caller has locked."""
    event.taken_back_at, event.taken_back_by, event.taken_back_because = at, by, because.strip()[:300]
    event.save(update_fields=["taken_back_at", "taken_back_by", "taken_back_because"])
    history.record(event.customer, "life_event.taken_back", ref=ref_of(event), by=by, at=at)


@transaction.atomic
def hand_to(event_id: int, *, to: User, by: User, at: datetime) -> LifeEvent:
    """Let somebody look after it, who is told and may see it from then on.

    Whoever has it may hand it on, and leads; what nobody has may be taken by everybody who sees it.
    Raises LifeEvent.DoesNotExist, NotGiven, NothingOpen; then nothing has changed.
    """
    event = _locked(event_id, by=by)
    _check(event, by=by)
    if not (to.is_staff and to.is_active):
        raise NotGiven(_("Please name a colleague."))
    if event.handled_by_id != to.pk:
        event.handled_by = to
        event.save(update_fields=["handled_by"])
        history.record(
            event.customer, "life_event.given", ref=ref_of(event), by=by, at=at, detail={"to": str(to.public_id)}
        )
        if to.pk != by.pk:
            _tell_whose_it_is(event, at=at)
    return event


@transaction.atomic
def settle(event_id: int, *, is_done: bool, because: str, by: User, at: datetime) -> LifeEvent:
    """Say what became of it: a person did something kind (is_done), or it is left alone; both in words.

    Nothing is sent by this. Raises LifeEvent.DoesNotExist, endings.ReasonMissing, NotGiven, NothingOpen; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please note in a few words what was done, or why it is left alone."))
    event = _locked(event_id, by=by)
    _check(event, by=by)
    if event.moment != MomentState.OPEN:
        raise NothingOpen(_("Somebody has looked at this already."))
    event.moment = MomentState.DONE if is_done else MomentState.LEFT
    event.decided_at, event.decided_by, event.decided_because = at, by, because.strip()[:300]
    event.save(update_fields=["moment", "decided_at", "decided_by", "decided_because"])
    history.record(event.customer, f"life_event.{event.moment}", ref=ref_of(event), by=by, at=at)
    return event


def _check(event: LifeEvent, *, by: User) -> None:
    if event.handled_by_id not in (None, by.pk) and not by.has_perm(DECIDES_FOR_OTHERS):
        raise NotGiven(_("%(name)s looks after this.") % {"name": event.handled_by})
