"""News of a death: words that may tell of it, the report that stops what is cheerful, and taking it back (R168, P01, P02).

What stops, and for whom, is in mourning.py.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, belongings, endings, life_events, mourning, work
from crm.actions.persons import LIVING
from crm.language.bereavement import words_of_a_death
from crm.models import (
    Bereavement,
    Conversation,
    Customer,
    Hold,
    Interaction,
    User,
)
from crm.models.people import CustomerStatus
from crm.policy import AlertKind, ConversationState, Direction
from crm.policy.bereavement import (
    BEREAVEMENT,
    CAUTIOUS_FOR,
    MAY_BE_BEREAVEMENT,
    BereavementState,
    WhoDied,
)
from crm.policy.lives import LifeEventKind, LifeSource, MomentState, Precision, Purpose, When

CAN_DECIDE = "crm.decide_bereavement"
"""Who may end the news of a death, or let it stand against what was heard since."""


class AlreadyReported(Exception):
    """The death of this customer is noted already."""

    code = "already_reported"


class NothingToDecide(Exception):
    """This was decided before."""

    code = "nothing_to_decide"


# --- words that may tell of it ------------------------------------------------------------------------------------------


def work_batch(*, at: datetime) -> int:
    """Look at messages whose words may tell of a death. Returns how many were taken up."""
    return work.work_batch("bereavement", _spoken, at=at)


def _spoken(event: str, ref: str, at: datetime) -> None:
    look_at(ref, at=at)


@transaction.atomic
def look_at(ref: str, *, at: datetime) -> Bereavement | None:
    """Ask a person whether words tell of a death, and hold back what is cheerful for at most 72 hours while nobody has looked.

    Nothing else follows from words alone: no state changes, nothing that waits is dropped, and no customer sees it. None when
    there is nothing to ask.
    """
    said = Interaction.objects.select_related("conversation__customer", "conversation__owner").get(
        public_id=uuid.UUID(ref.partition(":")[2])
    )
    if said.direction != Direction.INBOUND or not words_of_a_death(said.text):
        return None
    customer_id = said.conversation.customer_id
    everybody = belongings.both(*mourning.concerned(customer_id, since=at))
    customer = next(one for one in everybody if one.pk == customer_id)
    known = Bereavement.objects.filter(customer=customer)
    if (
        customer.status not in LIVING
        or known.filter(
            Q(state__in=[BereavementState.PROPOSED, BereavementState.STANDING]) | Q(interaction=said)
        ).exists()
    ):
        return None
    found = Bereavement.objects.create(
        customer=customer,
        state=BereavementState.PROPOSED,
        noticed_at=at,
        interaction=said,
        cautious_until=at + CAUTIOUS_FOR,
    )
    mourning.hold(found, everybody, reason=MAY_BE_BEREAVEMENT, until=found.cautious_until, by=None, at=at)
    _alert(AlertKind.MAY_BE_BEREAVEMENT, found, said.conversation.owner, at=at, conversation=said.conversation)
    history.record(customer, "bereavement.spotted", ref=ref_of(found), by=None, at=at)
    return found


@transaction.atomic
def dismiss(bereavement_id: int, *, because: str, by: User, at: datetime) -> Bereavement:
    """Say that words did not tell of a death; what was held back goes on as far as its day has not passed.

    Raises Bereavement.DoesNotExist, endings.ReasonMissing, NothingToDecide; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say in a few words what it was instead."))
    found = _locked(bereavement_id, BereavementState.PROPOSED)
    _end(found, BereavementState.DISMISSED, because=because, by=by, at=at)
    history.record(found.customer, "bereavement.dismissed", ref=ref_of(found), by=by, at=at)
    return found


# --- reporting it -------------------------------------------------------------------------------------------------------


@transaction.atomic
def report(
    customer_id: int,
    *,
    who_died: WhoDied,
    source: LifeSource,
    evidence: str,
    by: User,
    at: datetime,
    writer: User | None = None,
    proposed: int | None = None,
) -> Bereavement:
    """Note that somebody died: from this commit on nothing cheerful reaches the customer or their home.

    evidence: what was said, and by whom. writer: who writes to them by hand; the owner of their newest open matter when None,
    else `by`. proposed: the key of the suggestion that this confirms. Gives nobody any access, authority or money.
    Raises Customer.DoesNotExist, Bereavement.DoesNotExist, endings.ReasonMissing, AlreadyReported, NothingToDecide,
    endings.WrongState; then nothing has changed.
    """
    if not evidence.strip():
        raise endings.ReasonMissing(_("Please note what was said, and by whom."))
    everybody = belongings.both(*mourning.concerned(customer_id, since=at))
    customer = next(one for one in everybody if one.pk == customer_id)
    if customer.status == CustomerStatus.DECEASED:
        raise AlreadyReported(_("The death of this customer is noted already."))
    if customer.status not in LIVING:
        raise endings.WrongState(
            _("%(name)s: %(status)s.") % {"name": customer, "status": customer.get_status_display()}
        )
    found = _taken_up(customer, proposed, at=at)
    mourning.wait_for_what_is_leaving([one.pk for one in everybody])
    writer = writer or _who_has_their_matter(customer) or by
    died = who_died == WhoDied.CUSTOMER
    found.life_event = life_events.note(
        customer.pk,
        kind=LifeEventKind.BEREAVEMENT,
        source=source,
        words=evidence,
        evidence=evidence,
        when=When(Precision.UNKNOWN),
        purpose=Purpose.CONSIDERATION,
        by=by,
        at=at,
        handled_by=writer,
        interaction=found.interaction,
    )
    found.state, found.who_died, found.source, found.evidence = BereavementState.STANDING, who_died, source, evidence
    found.reported_by, found.reported_at = by, at
    if died:
        found.status_before, found.watched_from = customer.status, at
        customer.status = CustomerStatus.DECEASED
        customer.save(update_fields=["status"])
    found.save()
    mourning.hold(found, everybody, reason=BEREAVEMENT, until=None, by=by, at=at)
    found.stopped = {"messages": mourning.drop([one.pk for one in everybody], at=at), "customers": len(everybody)}
    found.save(update_fields=["stopped"])
    _alert(AlertKind.BEREAVEMENT, found, writer, at=at)
    if died:
        _tell_owners(found, at=at)
    detail = {"who": who_died, "messages": found.stopped["messages"], "customers": len(everybody)}
    history.record(customer, "bereavement.reported", ref=ref_of(found), by=by, at=at, detail=detail)
    return found


def _taken_up(customer: Customer, proposed: int | None, *, at: datetime) -> Bereavement:
    """The suggestion that is confirmed, whichever way it was; a new row where there is none."""
    open_ones = Bereavement.objects.select_for_update(of=("self",), no_key=True).filter(
        customer=customer, state=BereavementState.PROPOSED
    )
    if proposed is not None:
        found = Bereavement.objects.get(pk=proposed)
        if found.customer_id != customer.pk or not open_ones.filter(pk=proposed).exists():
            raise NothingToDecide(_("Somebody has decided this already."))
    taken = open_ones.order_by("pk").first()
    return taken or Bereavement(customer=customer, noticed_at=at)


def _who_has_their_matter(customer: Customer) -> User | None:
    matters = Conversation.objects.filter(
        customer=customer, state__in=[ConversationState.OPEN, ConversationState.WAITING], owner__is_active=True
    )
    newest = matters.select_related("owner").order_by("-pk").first()
    return newest.owner if newest is not None else None


def _tell_owners(found: Bereavement, *, at: datetime) -> None:
    """Tell whoever looks after a matter of the dead that answers to them have stopped; an executor may be written to."""
    matters = Conversation.objects.filter(customer=found.customer).exclude(state=ConversationState.CLOSED)
    alerts.write(
        alerts.told(
            AlertKind.ESTATE,
            key=f"{found.public_id}:{matter.public_id}",
            at=at,
            to=matter.owner,
            conversation=matter,
        )
        for matter in matters.select_related("owner").order_by("pk")[: mourning.STOPPED_AT_ONCE]
    )


def _alert(
    kind: AlertKind,
    found: Bereavement,
    to: User | None,
    *,
    at: datetime,
    conversation: Conversation | None = None,
    again: str = "",
) -> None:
    detail = {"customer": str(found.customer.public_id)}
    key = f"{found.public_id}{again}"
    alerts.write([alerts.told(kind, key=key, at=at, to=to, conversation=conversation, detail=detail)])


def ref_of(found: Bereavement) -> str:
    """What history entries call this news."""
    return f"bereavement:{found.public_id}"


# --- ending it -----------------------------------------------------------------------------------------------------------


def _locked(bereavement_id: int, state: BereavementState) -> Bereavement:
    """Lock the customer and then the row, as everybody does. Raises Bereavement.DoesNotExist, NothingToDecide."""
    belongings.both(Bereavement.objects.values_list("customer_id", flat=True).get(pk=bereavement_id))
    rows = Bereavement.objects.select_for_update(of=("self",), no_key=True)
    found = rows.select_related("customer", "life_event").get(pk=bereavement_id)
    if found.state != state:
        raise NothingToDecide(_("Somebody has decided this already."))
    return found


def _end(found: Bereavement, state: BereavementState, *, because: str, by: User, at: datetime) -> None:
    found.state, found.contradicted_at = state, None
    found.ended_at, found.ended_by, found.ended_because = at, by, because.strip()[:300]
    found.save()
    mourning.lift(Hold.objects.filter(bereavement=found), by=by, at=at)


@transaction.atomic
def lift(bereavement_id: int, *, because: str, was_mistaken: bool, by: User, at: datetime) -> Bereavement:
    """End the news of a death: it was not so (was_mistaken), or the time has come when something cheerful is welcome again.

    A customer who was taken for dead is what they were before. What was dropped stays dropped; nothing is sent late.
    Raises Bereavement.DoesNotExist, endings.ReasonMissing, NothingToDecide, endings.WrongState; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say why."))
    found = _locked(bereavement_id, BereavementState.STANDING)
    if found.who_died == WhoDied.CUSTOMER and not was_mistaken:
        raise endings.WrongState(_("Who has died stays dead. Only a mistaken report is ended."))
    if found.status_before and found.customer.status == CustomerStatus.DECEASED and not _others_say_so(found):
        found.customer.status = found.status_before
        found.customer.save(update_fields=["status"])
    found.was_mistaken = was_mistaken
    _end(found, BereavementState.LIFTED, because=because, by=by, at=at)
    event = found.life_event
    if event is not None and was_mistaken:
        life_events.undo(event, because=because, by=by, at=at)
    elif event is not None and event.moment == MomentState.OPEN:
        event.moment, event.decided_at, event.decided_by = MomentState.LEFT, at, by
        event.decided_because = because.strip()[:300]
        event.save(update_fields=["moment", "decided_at", "decided_by", "decided_because"])
    history.record(
        found.customer, "bereavement.lifted", ref=ref_of(found), by=by, at=at, detail={"mistaken": was_mistaken}
    )
    return found


def _others_say_so(found: Bereavement) -> bool:
    """Whether another report says that the same customer died, as after two records were made one."""
    others = Bereavement.objects.standing().filter(customer=found.customer, who_died=WhoDied.CUSTOMER)
    return others.exclude(pk=found.pk).exists()


@transaction.atomic
def uphold(bereavement_id: int, *, because: str, by: User, at: datetime) -> Bereavement:
    """Let it stand although somebody spoke or signed in as the dead: it was another person with their account or address.

    Raises Bereavement.DoesNotExist, endings.ReasonMissing, NothingToDecide; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say who it was, and how you know."))
    found = _locked(bereavement_id, BereavementState.STANDING)
    if found.contradicted_at is None:
        raise NothingToDecide(_("Somebody has decided this already."))
    found.contradicted_at, found.watched_from, found.upheld_because = None, at, because.strip()[:300]
    found.save(update_fields=["contradicted_at", "watched_from", "upheld_because"])
    history.record(found.customer, "bereavement.upheld", ref=ref_of(found), by=by, at=at)
    return found


# --- every minute --------------------------------------------------------------------------------------------------------


def stop(*, at: datetime) -> dict[str, int]:
    """Bring everything in line with the deaths that stand: who is held, what waits, who speaks who was taken for dead.

    Safe to repeat. Returns how many were held, let go, dropped and contradicted.
    """
    counted = {"held": mourning.spread(at=at), "let_go": mourning.let_go(at=at)}
    counted["dropped"] = 0
    while True:
        with transaction.atomic():
            dropped = mourning.drop(mourning.mourning(at, BEREAVEMENT).values("customer"), at=at)
        counted["dropped"] += dropped
        if dropped < mourning.STOPPED_AT_ONCE:
            break
    return {**counted, "contradicted": _hear(at=at)}


def _hear(*, at: datetime) -> int:
    """Tell the leads of whoever was taken for dead and spoke or signed in since: a person decides what that means (P02)."""
    spoke = Interaction.objects.filter(
        contact_point__customer=OuterRef("customer"),
        direction=Direction.INBOUND,
        other_address="",
        spoke_at__gt=OuterRef("watched_from"),
    )
    came_in = User.objects.filter(customer=OuterRef("customer"), last_login__gt=OuterRef("watched_from"))
    doubted = (
        Bereavement.objects.standing()
        .filter(who_died=WhoDied.CUSTOMER, contradicted_at=None)
        .filter(Exists(spoke) | Exists(came_in))
    )
    count = 0
    for number in doubted.order_by("pk").values_list("pk", flat=True)[: mourning.STOPPED_AT_ONCE]:
        with transaction.atomic():
            count += _contradicted(number, at=at)
    return count


def _contradicted(number: int, *, at: datetime) -> bool:
    rows = Bereavement.objects.standing().select_for_update(of=("self",), no_key=True, skip_locked=True)
    found = rows.select_related("customer", "reported_by").filter(pk=number, contradicted_at=None).first()
    if found is None:
        return False
    found.contradicted_at = at
    found.save(update_fields=["contradicted_at"])
    history.record(found.customer, "bereavement.contradicted", ref=ref_of(found), by=None, at=at)
    again = f":{at.isoformat()}"
    _alert(AlertKind.BEREAVEMENT_DOUBTED, found, None, at=at, again=f"{again}:leads")
    _alert(AlertKind.BEREAVEMENT_DOUBTED, found, found.reported_by, at=at, again=again)
    return True
