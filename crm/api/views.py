"""crm's addresses of the API. Each translates, makes one action call, and names the fields that go out."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from django.db.models import F, Model, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, permissions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.actions import belongings, desk, identity, intake, talks, undo
from crm.api import shapes
from crm.api.hot import HotView, read
from crm.api.paging import PAGE_SIZE, BadCursor, read_cursor, write_cursor
from crm.channels import Channel, Message
from crm.models import Call, Conversation, Customer, HistoryEntry, Interaction, OutgoingMessage, Promise, User
from crm.models.talk import may_see_every_conversation
from crm.together import Repeated

Row = TypeVar("Row", bound=Model)
CURSOR = OpenApiParameter("cursor", str, description="`next_cursor` of the page before; the first page when absent.")


def asking(request: Request) -> User:
    """The account that asks. Raises NotAuthenticated for nobody."""
    if not isinstance(request.user, User):
        raise exceptions.NotAuthenticated
    return request.user


def may(right: str) -> type[permissions.BasePermission]:
    """A permission class that asks for one right of staff."""

    class May(permissions.IsAuthenticated):
        def has_permission(self, request: Request, view: APIView) -> bool:
            return (
                super().has_permission(request, view) and asking(request).is_staff and asking(request).has_perm(right)
            )

    return May


class IsCustomer(permissions.IsAuthenticated):
    """Accounts that belong to a customer."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return super().has_permission(request, view) and asking(request).customer_id is not None


def get_or_404(rows: QuerySet[Row], public_id: uuid.UUID) -> Row:
    """Find one row among those the account may see; not there and not yours are the same 404 (Q8)."""
    return get_object_or_404(rows, public_id=public_id)


def received_out(received: intake.Received) -> dict[str, Any]:
    return {
        "conversation": received.conversation.public_id,
        "interaction": received.interaction.public_id,
        "spoke_at": received.interaction.spoke_at,
        "created": received.created,
        "promises": [
            {"kind": p.kind, "state": p.state, "due_at": p.due_at, "met_at": p.met_at} for p in received.promises
        ],
    }


def outgoing_out(message: OutgoingMessage, *, by: User) -> dict[str, Any]:
    """What staff read about an answer: where it is, why, and whether this colleague may take it back."""
    return {
        "id": message.public_id,
        "state": message.state,
        "channel": message.channel,
        "send_after": message.send_after,
        "stops_if_they_write": message.stops_if_they_write,
        "can_be_taken_back": undo.may_take_back(message, by=by),
        "accepted_at": message.accepted_at,
        "reason": message.reason,
        "delivery": message.delivery or None,
        "delivery_at": message.delivery_at,
        "delivery_reason": message.delivery_reason,
    }


def app_message(user: User, given: dict[str, Any]) -> Message:
    """What a customer wrote in the app. It counts from when our server got it; what the device says is a claim."""
    account = str(user.public_id)
    return Message(
        channel=Channel.APP,
        source="app",
        external_id=f"{account}:{given.get('key') or uuid.uuid4()}",
        sender_kind="app",
        sender_address=account,
        sender_name=user.display_name,
        subject=given.get("subject", ""),
        text=given["text"],
        full_text=given["text"],
    )


class Me(APIView):
    """The account that asks."""

    @extend_schema(responses=shapes.MeOut, operation_id="me")
    def get(self, request: Request) -> Response:
        user = asking(request)
        customer = (
            Customer.objects.visible_to(user)
            .filter(pk=user.customer_id or 0)
            .values_list("public_id", flat=True)
            .first()
        )
        return Response(
            {
                "id": user.public_id,
                "email": user.email,
                "name": str(user),
                "is_staff": user.is_staff,
                "customer_id": customer,
            }
        )


class Messages(HotView):
    """A customer tells us something new."""

    permission_classes = [IsCustomer]
    shape = shapes.MessageIn
    refusals = (intake.NothingSaid, intake.DifferentContent, identity.UnusableAddress)
    speaks = True  # whoever asks is about to say something: who that is to us is read with the account

    @extend_schema(
        request=shapes.MessageIn,
        responses={201: shapes.ReceivedOut, 200: shapes.ReceivedOut},
        operation_id="message_create",
    )
    def post(self, request: Request) -> Response:
        return super().post(request)

    def answer(self, request: Any, given: dict[str, Any]) -> tuple[dict[str, Any], int]:
        user = asking(request)
        received = intake.receive(
            app_message(user, given),
            at=timezone.now(),
            origin="api",
            by=user,
            speaker=getattr(request.auth, "speaker", None),
        )
        return received_out(received), 201 if received.created else 200


class ConversationMessages(APIView):
    """A customer writes again in a conversation of theirs."""

    permission_classes = [IsCustomer]

    @extend_schema(
        request=shapes.MessageIn,
        responses={201: shapes.ReceivedOut, 200: shapes.ReceivedOut},
        operation_id="conversation_message_create",
    )
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(shapes.MessageIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        received = intake.receive(
            app_message(asking(request), given),
            at=timezone.now(),
            origin="api",
            by=asking(request),
            conversation=conversation,
        )
        return Response(received_out(received), status=201 if received.created else 200)


ROW = ("public_id", "subject", "state", "spoke_at", "due_at", "owner__display_name", "owner__email")


def row_out(row: dict[str, Any], *, for_customer: bool) -> dict[str, Any]:
    owner = row["owner__display_name"] or ("" if for_customer else row["owner__email"] or "")
    return {
        "id": row["public_id"],
        "subject": row["subject"],
        "state": row["state"],
        "spoke_at": row["spoke_at"],
        "due_at": row["due_at"],
        "owner": owner,
    }


class Conversations(APIView):
    """The conversations the account may see, newest first."""

    @extend_schema(parameters=[CURSOR], responses=shapes.ConversationPageOut, operation_id="conversation_list")
    def get(self, request: Request) -> Response:
        after = read_cursor(request, [int])
        rows = Conversation.objects.visible_to(asking(request))
        if after:
            rows = rows.filter(pk__lt=after[0])
        page = list(rows.order_by("-pk").values("pk", *ROW)[: PAGE_SIZE + 1])
        more = page[PAGE_SIZE:]
        return Response(
            {
                "results": [row_out(row, for_customer=not asking(request).is_staff) for row in page[:PAGE_SIZE]],
                "next_cursor": write_cursor([page[PAGE_SIZE - 1]["pk"]]) if more else None,
            }
        )


class Inbox(APIView):
    """What waits for us, in the one order: critical harm, earliest promise, who spoke first."""

    permission_classes = [may("crm.view_conversation")]

    @extend_schema(
        parameters=[
            CURSOR,
            OpenApiParameter("owner", str, enum=["me", "nobody"], description="Everybody's when absent."),
        ],
        responses=shapes.InboxPageOut,
        operation_id="inbox",
    )
    def get(self, request: Request) -> Response:
        if not may_see_every_conversation(asking(request)):
            raise exceptions.PermissionDenied
        after = read_cursor(request, [int, str, str, int])
        owner = request.query_params.get("owner", "")
        if owner not in OWNERS:
            raise exceptions.ValidationError({"owner": "Only “me” and “nobody” are understood."})
        values: dict[str, Any] = {"me": asking(request).pk} if owner == "me" else {}
        if after:
            values |= {
                "queue_class": after[0],
                "due_at": instant(after[1]),
                "spoke_at": instant(after[2]),
                "number": after[3],
            }
        page = [dict(zip(INBOX_ROW, row, strict=True)) for row in _inbox[owner, bool(after)].rows(**values)]
        last = page[PAGE_SIZE - 1] if len(page) > PAGE_SIZE else None
        return Response(
            {
                "results": [
                    {
                        **row_out(row, for_customer=False),
                        "customer": row["customer__display_name"],
                        "customer_id": row["customer__public_id"],
                    }
                    for row in page[:PAGE_SIZE]
                ],
                "next_cursor": last
                and write_cursor(
                    [last["queue_class"], last["due_at"].isoformat(), last["spoke_at"].isoformat(), last["pk"]]
                ),
            }
        )


OWNERS = ("", "me", "nobody")
INBOX_ROW = ("pk", "queue_class", *ROW, "customer__public_id", "customer__display_name")


def _inbox_rows(owner: str, place: bool, **values: Any) -> QuerySet[Conversation, tuple[Any, ...]]:
    """One page of the queue, for colleagues who may see every conversation."""
    rows = Conversation.objects.waiting_for_us()
    if owner:
        rows = rows.filter(owner=values["me"] if owner == "me" else None)
    if place:
        rows = rows.filter(queue_after(values["queue_class"], values["due_at"], values["spoke_at"], values["number"]))
    return rows.in_due_order().values_list(*INBOX_ROW)[: PAGE_SIZE + 1]


_PLACE = {
    "queue_class": 30_000,
    "due_at": datetime(1970, 1, 1, tzinfo=UTC),
    "spoke_at": datetime(1970, 1, 2, tzinfo=UTC),
    "number": -2,
}
_inbox: dict[tuple[str, bool], Repeated[Conversation]] = {
    (owner, place): Repeated(
        partial(_inbox_rows, owner, place), **({"me": -1} if owner == "me" else {}), **(_PLACE if place else {})
    )
    for owner in OWNERS
    for place in (False, True)
}


def queue_after(queue_class: int, due_at: datetime, spoke_at: datetime, number: int) -> Any:
    """The rows behind a place in the queue, as one row comparison that the queue's index answers."""
    return TupleGreaterThan(
        Tuple("queue_class", "due_at", "spoke_at", "pk"),
        (queue_class, due_at, spoke_at, number),
    )


def instant(text: str) -> datetime:
    """Read a time out of a cursor. Raises BadCursor."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as mistake:
        raise BadCursor from mistake
    if moment.tzinfo is None:
        raise BadCursor
    return moment


SAID = (
    "public_id", "direction", "channel", "text", "spoke_at", "author__display_name",
    *(
        f"outgoing__{name}"
        for name in (
            "public_id", "key", "concerns", "channel", "signed_by_id", "send_after", "state", "reason", "unknown_outcomes",
            "accepted_at", "stops_if_they_write", "delivery", "delivery_at", "delivery_reason", "interaction_id",
        )
    ),
)  # fmt: skip


def _said_out(said: Any, *, by: User | None) -> dict[str, Any]:
    """One thing said; by: the colleague who reads it, None for the customer, to whom only what has left is shown."""
    sent = getattr(said, "outgoing", None) if by is not None else None
    return {
        "id": said.public_id,
        "direction": said.direction,
        "channel": said.channel,
        "author": said.author.display_name if said.author else "",
        "text": said.text,
        "spoke_at": said.said_at,
        "outgoing": outgoing_out(sent, by=by) if sent is not None and by is not None else None,
    }


class ConversationDetail(APIView):
    """One conversation with what was said and what is promised; notes between colleagues are for colleagues."""

    @extend_schema(responses=shapes.ConversationOut, operation_id="conversation_retrieve")
    def get(self, request: Request, public_id: uuid.UUID) -> Response:
        staff = asking(request).is_staff
        row = (
            Conversation.objects.visible_to(asking(request))
            .filter(public_id=public_id)
            .values("pk", *ROW, "customer__public_id", "customer__display_name")
            .first()
        )
        if row is None:
            raise exceptions.NotFound
        said: QuerySet[Any] = Interaction.objects.filter(conversation=row["pk"])
        if staff:
            said = said.annotate(said_at=F("spoke_at"))
        else:  # an answer of ours was said to them when it left, not when it was written
            shown = Interaction.objects.shown_to_customers().filter(conversation=row["pk"])
            shown = shown.since(asking(request).sees_since)
            shown = shown.filter(
                other_address=""
            )  # what somebody else wrote into the matter is not theirs to read (M08)
            said = shown.annotate(said_at=Coalesce("outgoing__accepted_at", "spoke_at"))
        said = said.select_related("author", "outgoing").only(*SAID).order_by("said_at", "pk")
        promises = Promise.objects.filter(conversation=row["pk"]).order_by("due_at", "pk")
        return Response(
            {
                **row_out(row, for_customer=not staff),
                "customer_id": row["customer__public_id"],
                "customer": row["customer__display_name"],
                "interactions": [_said_out(one, by=asking(request) if staff else None) for one in said],
                "promises": list(promises.values("kind", "state", "due_at", "met_at")),
            }
        )


class Notes(APIView):
    """A colleague leaves a note that customers never see."""

    permission_classes = [may("crm.answer_conversation")]

    @extend_schema(request=shapes.NoteIn, responses={201: shapes.InteractionOut}, operation_id="note_create")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(shapes.NoteIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        note = desk.note(conversation.pk, text=given["text"], by=asking(request), at=timezone.now())
        return Response(
            {
                "id": note.public_id,
                "direction": note.direction,
                "channel": note.channel,
                "author": str(asking(request)),
                "text": note.text,
                "spoke_at": note.spoke_at,
                "outgoing": None,
            },
            status=201,
        )


class Close(APIView):
    """A colleague closes a conversation in which nothing is promised any more."""

    permission_classes = [may("crm.answer_conversation")]

    @extend_schema(request=shapes.CloseIn, responses={204: None}, operation_id="conversation_close")
    def post(self, request: Request, public_id: uuid.UUID) -> Response:
        given = read(shapes.CloseIn, request.data)
        conversation = get_or_404(Conversation.objects.visible_to(asking(request)), public_id)
        desk.close(conversation.pk, by=asking(request), at=timezone.now(), origin="api", reason=given["reason"])
        return Response(status=204)


class Calls(APIView):
    """A colleague writes down a talk on the phone."""

    permission_classes = [may("crm.log_call")]

    @extend_schema(
        request=shapes.CallIn, responses={201: shapes.ReceivedOut, 200: shapes.ReceivedOut}, operation_id="call_create"
    )
    def post(self, request: Request) -> Response:
        given = read(shapes.CallIn, request.data)
        if given["conversation"]:
            get_or_404(Conversation.objects.visible_to(asking(request)), given["conversation"])
        if given["live"]:
            get_or_404(Call.objects.all(), given["live"])
        call = talks.Call(**given)
        received = desk.log_call(call, by=asking(request), at=timezone.now(), origin="api")
        return Response(received_out(received), status=201 if received.created else 200)


class Timeline(APIView):
    """What happened with one customer, newest first."""

    permission_classes = [may("crm.view_historyentry")]

    @extend_schema(parameters=[CURSOR], responses=shapes.TimelinePageOut, operation_id="customer_timeline")
    def get(self, request: Request, public_id: uuid.UUID) -> Response:
        after = read_cursor(request, [str, int])
        customer = get_or_404(Customer.objects.visible_to(asking(request)).with_records(), public_id)
        if customer.merged_into_id is not None:
            customer = belongings.standing(customer)
        rows = HistoryEntry.objects.filter(customer__in=belongings.records_of(customer))
        if after:
            rows = rows.filter(TupleLessThan(Tuple("at", "pk"), (instant(after[0]), after[1])))
        page = list(
            rows.order_by("-at", "-pk").values("pk", "verb", "ref", "at", "origin", "by__display_name")[: PAGE_SIZE + 1]
        )
        last = page[PAGE_SIZE - 1] if len(page) > PAGE_SIZE else None
        return Response(
            {
                "results": [
                    {
                        "verb": r["verb"],
                        "ref": r["ref"],
                        "at": r["at"],
                        "origin": r["origin"],
                        "by": r["by__display_name"] or "",
                    }
                    for r in page[:PAGE_SIZE]
                ],
                "next_cursor": last and write_cursor([last["at"].isoformat(), last["pk"]]),
            }
        )
