"""What we write where everybody can read it: agreed to as public, and compared with all that we know of the customer (P03, P04)."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import history
from crm.actions import alerts, drafts, endings, routing
from crm.channels import PUBLIC
from crm.language import confidences
from crm.language.confidences import Kind, Known, Told
from crm.models import (
    AnswerDraft,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    HouseholdMember,
    ImportedCustomer,
    Interaction,
    LifeEvent,
    OutgoingMessage,
    Owed,
    PublicLook,
    Representative,
    ServiceChange,
    User,
)
from crm.models.people import ContactKind
from crm.policy import AlertKind, Direction

MAY_RELEASE = "crm.release_public_answer"
RELEASED_FOR = timedelta(days=1)
"""How long a release counts; what may be told can change."""
LOOKED_THROUGH = 100
"""How many of the newest private messages of a customer are looked through for what they confided."""
SHOWN_WORDS = 60

KINDS = {
    Kind.EMAIL: gettext_lazy("a mail address"),
    Kind.PHONE: gettext_lazy("a telephone number"),
    Kind.HANDLE: gettext_lazy("an account of theirs elsewhere"),
    Kind.ADDRESS: gettext_lazy("an address"),
    Kind.NAME: gettext_lazy("a name"),
    Kind.RELATIVE: gettext_lazy("somebody close to them"),
    Kind.REFERENCE: gettext_lazy("a number of theirs"),
    Kind.AMOUNT: gettext_lazy("an amount"),
    Kind.DAY: gettext_lazy("a day of their life"),
    Kind.FIELD: gettext_lazy("something we keep about them"),
    Kind.GIFT: gettext_lazy("that we gave them something"),
    Kind.PRIVATE: gettext_lazy("something from a private talk"),
    Kind.HEALTH: gettext_lazy("their health"),
}
_SAID, OWN_FIELDS = "said", "custom"
_POINTS = {
    ContactKind.EMAIL: Kind.EMAIL,
    ContactKind.PHONE: Kind.PHONE,
    ContactKind.HANDLE: Kind.HANDLE,
    ContactKind.POSTAL: Kind.ADDRESS,
}


class OtherVisibility(Exception):
    """An answer would be read by others than its writer agreed to."""

    code = "other_visibility"


class TellsPersonalThings(Exception):
    """A public answer tells what only we and the customer know; `found` are the kind and the words of the draft."""

    code = "tells_personal_things"

    def __init__(self, found: Sequence[tuple[Kind, str]]) -> None:
        named = "; ".join(f"{KINDS[kind]} (“{words}”)" for kind, words in found)
        super().__init__(
            _(
                "Everybody would read this, and it seems to tell %(what)s. Please take that out, or ask a colleague to look at it."
            )
            % {"what": named}
        )
        self.found = found


class NothingToLookAt(Exception):
    """There is no such answer that waits for a second look, or its words have changed since."""

    code = "nothing_to_look_at"


def agree(*, is_public: bool, agreed: bool | None) -> None:
    """Raise OtherVisibility unless the writer agreed to who can read it. agreed: None where they said nothing."""
    if is_public and agreed is not True:
        raise OtherVisibility(
            _("Everybody can read this answer. Please look at it once more, and send it as a public one.")
        )
    if not is_public and agreed:
        raise OtherVisibility(
            _(
                "This answer would reach the customer alone, not the public. Please look at it once more, and send it then."
            )
        )


def check(
    conversation: Conversation,
    heard: Iterable[Interaction],
    text: str,
    *,
    is_public: bool,
    agreed: bool | None,
    by: User,
    at: datetime,
) -> list[HistoryEntry]:
    """Check an answer before it is written. heard: what the customer said here, with contact points; the newest are enough.

    One statement more for a public answer than the certificate takes, none for a private one. Returns the entries to be written
    with the answer when a second person released it. Raises OtherVisibility, routing.NotCertified, TellsPersonalThings.
    """
    agree(is_public=is_public, agreed=agreed)
    if not is_public:
        return []
    routing.check_public(by, at=at)
    return keeps_to_itself(conversation, heard, text, by=by, at=at)


def keeps_to_itself(
    conversation: Conversation, heard: Iterable[Interaction], text: str, *, by: User, at: datetime
) -> list[HistoryEntry]:
    """Compare public words with what we know. Returns and raises as `check` does."""
    found = tells(conversation, heard, text)
    if not found:
        return []
    released = PublicLook.objects.filter(
        conversation=conversation,
        digest=digest(text),
        asked_by=by,
        released_at__gt=at - RELEASED_FOR,
        kinds__contains=sorted({one.kind for one in found}),
    ).first()
    if released is None:
        raise TellsPersonalThings([(one.kind, _shown(text, one)) for one in found])
    detail = {"look": str(released.public_id), "kinds": released.kinds, "released_by": released.released_by_id}
    return [
        history.entry(
            conversation.customer, "answer.told_in_public", ref=ref_of(conversation), by=by, at=at, detail=detail
        )
    ]


def tells(conversation: Conversation, heard: Iterable[Interaction], text: str) -> list[Told]:
    """Where public words tell what only we and the customer know; one statement."""
    in_public = [said for said in heard if said.channel in PUBLIC]
    shown = {said.contact_point.address for said in in_public if said.contact_point is not None}
    known = [one for one in known_of(conversation.customer) if one.kind != Kind.HANDLE or one.value not in shown]
    public = confidences.Public(names=sorted(shown), said=[said.text for said in in_public])
    return confidences.told(text, known, public=public)


def known_of(customer: Customer) -> list[Known]:
    """All that we know of a person which is nobody else's business; one statement, whatever there is."""
    root = customer.merged_into_id or customer.pk
    who = Customer.objects.filter(Q(pk=root) | Q(merged_into=root)).order_by().values("pk")
    asked = list(_own(who))
    for name in settings.EVENHAND_CONFIDENCES:
        asked += import_string(name)(who)
    found: list[Known] = []
    for kind, value in asked[0].union(*asked[1:], all=True):
        found += _read(kind, value or "")
    return found


def row(rows: QuerySet[Any], kind: str, value: Any) -> QuerySet[Any, tuple[str, str]]:
    """One kind of thing that we know, to be read together with the others. value: a field or an expression."""
    expression = Cast(F(value) if isinstance(value, str) else value, TextField())
    told: QuerySet[Any, tuple[str, str]] = rows.order_by().values_list(
        Value(str(kind), output_field=TextField()), expression
    )
    return told


def _own(who: QuerySet[Any, Any]) -> Iterable[QuerySet[Any, tuple[str, str]]]:
    """What crm knows itself."""
    points, people = ContactPoint.objects.all(), Customer.objects.all()
    acting = Representative.objects.filter(principal__in=who)
    homes = HouseholdMember.objects.filter(customer__in=who).order_by().values("household")
    near = people.filter(
        Q(pk__in=HouseholdMember.objects.filter(household__in=homes).values("customer"))
        | Q(pk__in=acting.values("person"))
        | Q(pk__in=Representative.objects.filter(person__in=who).values("principal"))
    ).exclude(pk__in=who)
    said = Interaction.objects.filter(conversation__customer__in=who, direction=Direction.INBOUND)
    newest = said.exclude(channel__in=sorted(PUBLIC)).order_by("-spoke_at", "-id").values("pk")[:LOOKED_THROUGH]
    number = Cast(Coalesce("year", 0), TextField())
    day = Concat(
        number, Value("-"), Cast("month", TextField()), Value("-"), Cast("day", TextField()), output_field=TextField()
    )
    yield row(people.filter(pk__in=who), Kind.NAME, "display_name")
    yield row(people.filter(pk__in=who), Kind.REFERENCE, "public_id")
    yield row(people.filter(pk__in=who).exclude(custom={}), OWN_FIELDS, "custom")
    for of, kind in _POINTS.items():
        yield row(points.filter(customer__in=who, kind=of), kind, "address")
        yield row(points.filter(customer__in=near.values("pk"), kind=of), kind, "address")
    yield row(User.objects.filter(customer__in=who), Kind.EMAIL, "email")
    yield row(User.objects.filter(customer__in=who), Kind.NAME, "display_name")
    yield row(near, Kind.RELATIVE, "display_name")
    yield row(acting, Kind.RELATIVE, "name")
    yield row(acting, Kind.EMAIL, "address")
    yield row(LifeEvent.objects.standing().filter(customer__in=who, day__isnull=False), Kind.DAY, day)
    yield row(ImportedCustomer.objects.filter(customer__in=who, taken_back=False), Kind.REFERENCE, "external_id")
    yield row(ServiceChange.objects.filter(customer__in=who), Kind.REFERENCE, "key")
    yield row(ServiceChange.objects.filter(customer__in=who, cost__isnull=False), Kind.AMOUNT, "cost")
    yield row(Owed.objects.filter(conversation__customer__in=who, amount__gt=0), Kind.AMOUNT, "amount")
    yield row(Conversation.objects.filter(customer__in=who), Kind.REFERENCE, "public_id")
    yield row(OutgoingMessage.objects.filter(customer__in=who, has_value=True), Kind.GIFT, "pk")
    yield row(Interaction.objects.filter(pk__in=newest), _SAID, "text")
    yield row(Interaction.objects.filter(pk__in=newest), _SAID, "subject")


def _read(kind: str, value: str) -> Iterable[Known]:
    if kind == _SAID:
        return confidences.confided(value)
    if kind == OWN_FIELDS:
        held = json.loads(value)
        return [Known(Kind.FIELD, str(one)) for one in held.values() if one is not None and not isinstance(one, bool)]
    if kind == Kind.DAY:
        year, month, day = value.split("-")
        return [Known(Kind.DAY, f"{month}-{day}" if int(year) == 0 else f"{year}-{month}-{day}")]
    return [Known(Kind(kind), value)] if value else []


# --- the second look --------------------------------------------------------------------------------------------------


@transaction.atomic
def ask(conversation_id: int, *, text: str, because: str, by: User, at: datetime) -> PublicLook:
    """Ask a colleague whether a public answer may go out as it is. Its words are kept as a draft that colleagues can read.

    The same words twice are one request. Raises Conversation.DoesNotExist, endings.ReasonMissing, NothingToLookAt where
    nothing stands in the way; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please write why this may stand in public."))
    conversation = _locked(conversation_id)
    found = tells(conversation, _heard(conversation), text)
    if not found:
        raise NothingToLookAt(_("Nothing in these words seems personal. Please just send them."))
    words, kinds = digest(text), sorted({one.kind for one in found})
    asked = PublicLook.objects.filter(conversation=conversation, asked_by=by, digest=words, kinds__contains=kinds)
    look = asked.filter(asked_at__gt=at - RELEASED_FOR).first()
    drafts.keep(conversation_id, text=text, by=by, at=at, is_shared=True)
    if look is None:
        look = PublicLook.objects.create(
            conversation=conversation,
            asked_by=by,
            digest=words,
            kinds=kinds,
            because=because.strip()[:300],
            asked_at=at,
        )
        _record(look, "answer.look_asked", by=by, at=at)
        alerts.write(
            [alerts.told(AlertKind.SECOND_PERSON, key=f"look:{look.public_id}", conversation=conversation, at=at)]
        )
    return look


@transaction.atomic
def release(look_id: uuid.UUID, *, of: int, because: str, by: User, at: datetime) -> PublicLook:
    """Let a public answer go out as it is; its author then sends those very words. by: somebody else than its author.

    look_id: its public id; of: the key of its conversation. Raises endings.ReasonMissing, routing.NotCertified, NeedsAnother,
    NothingToLookAt when the draft says something else by now; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please write why this may stand in public."))
    conversation = _locked(of)
    asked = PublicLook.objects.select_for_update(of=("self",)).filter(conversation=conversation, released_at=None)
    look = asked.filter(public_id=look_id, asked_at__gt=at - RELEASED_FOR).first()
    if look is None:
        raise NothingToLookAt(_("Nobody asks for a look at this any more."))
    look.conversation = conversation
    if look.asked_by_id == by.pk:
        raise NeedsAnother(_("You wrote this. Please let a colleague look at it."))
    routing.check_public(by, at=at)
    draft = AnswerDraft.objects.filter(
        conversation=look.conversation_id, author=look.asked_by_id, is_shared=True
    ).first()
    if draft is None or digest(draft.text) != look.digest:
        raise NothingToLookAt(_("These words have changed since. Their author has to ask again."))
    look.released_by, look.released_at, look.released_because = by, at, because.strip()[:300]
    look.save(update_fields=["released_by", "released_at", "released_because"])
    _record(look, "answer.look_released", by=by, at=at)
    return look


class NeedsAnother(Exception):
    """Whoever wrote a public answer cannot be the second person."""

    code = "needs_another"


def waiting(conversation: Conversation, shared: Iterable[AnswerDraft], *, at: datetime) -> list[PublicLook]:
    """The second looks asked for here whose words still stand in these drafts, which colleagues can read; one statement."""
    standing = {(draft.author_id, digest(draft.text)) for draft in shared}
    asked = PublicLook.objects.filter(conversation=conversation, released_at=None, asked_at__gt=at - RELEASED_FOR)
    return [
        look
        for look in asked.select_related("asked_by").order_by("-pk")[:20]
        if (look.asked_by_id, look.digest) in standing
    ]


def named(kinds: Iterable[str]) -> str:
    """Kinds of things in words."""
    return ", ".join(str(KINDS[Kind(kind)]) for kind in kinds)


def digest(text: str) -> str:
    """What tells these words from others; how they are broken into lines does not matter."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def ref_of(conversation: Conversation) -> str:
    """What history calls the matter."""
    return f"conversation:{conversation.public_id}"


def _shown(text: str, one: Told) -> str:
    return " ".join(text[one.start : one.end].split())[:SHOWN_WORDS]


def _heard(conversation: Conversation) -> list[Interaction]:
    said = Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
    return list(said.select_related("contact_point").order_by("-spoke_at", "-id")[:10])


def _locked(conversation_id: int) -> Conversation:
    return Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)


def _record(look: PublicLook, verb: str, *, by: User, at: datetime) -> None:
    conversation = look.conversation
    history.record(
        conversation.customer,
        verb,
        ref=ref_of(conversation),
        by=by,
        at=at,
        detail={"look": str(look.public_id), "kinds": look.kinds},
    )
