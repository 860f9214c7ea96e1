"""What goes in and out of the API: every field is named, unknown ones are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.channels import Channel
from crm.policy import (
    CallEventKind,
    CallState,
    ConversationState,
    Delivery,
    Direction,
    EndedBy,
    OutgoingState,
    OutOfOrder,
    PromiseKind,
    PromiseState,
)
from crm.policy.lives import LifeEventKind, Purpose
from crm.policy.privacy import PackageState
from crm.policy.representation import Authority, Scope

WORDS_AT_MOST = 100_000
"""Characters of one message; longer ones come as a file."""


class StrictIn(serializers.Serializer[Any]):
    """Refuses fields that are not named, so that a typing mistake or a forbidden field is never silently ignored (C03)."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = set(data) - set(self.fields)
            if unknown:
                raise serializers.ValidationError(
                    {
                        name: serializers.ErrorDetail(str(_("There is no such field.")), code="unknown_field")
                        for name in sorted(unknown)
                    }
                )
        return super().to_internal_value(data)


class MessageIn(StrictIn):
    subject = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    text = serializers.CharField(max_length=WORDS_AT_MOST, help_text="What you want to tell us.")
    key = serializers.CharField(
        max_length=100, required=False, help_text="Your own key; the same key twice is one message."
    )


def out_of_order() -> serializers.ChoiceField:
    """The field in which somebody says why a matter is taken out of order."""
    return serializers.ChoiceField(
        OutOfOrder.choices,
        required=False,
        default="",
        allow_blank=True,
        help_text="Why this one comes before others that stand before it; refused as `not_next` when it is needed and missing.",
    )


@extend_schema_field({"type": "string", "maxLength": 40})
class MomentField(serializers.Field[Any, Any, Any, Any]):
    """A moment; without an offset it is meant on the customer's clock."""

    default_error_messages = {"no_moment": _("Write a time such as 2026-03-02T09:30, with or without an offset.")}

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return datetime.fromisoformat(data[:41])
        except (ValueError, TypeError):
            self.fail("no_moment")


def agreed_public() -> serializers.BooleanField:
    """Who can read the words, as their writer saw it."""
    return serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text=(
            "Whether the writer saw and agreed that everybody can read it. Without `true` nothing goes a public way, and with it"
            " nothing goes another one: `other_visibility`."
        ),
    )


class AnswerIn(StrictIn):
    text = serializers.CharField(max_length=WORDS_AT_MOST)
    key = serializers.CharField(max_length=80, required=False, help_text="The same key twice is one answer.")
    public = agreed_public()
    stays_open = serializers.BooleanField(default=False, help_text="The next step is ours.")
    out_of_order = out_of_order()
    correction = serializers.CharField(
        max_length=500, default="", help_text="Why it is otherwise than we said before, in words of the text itself."
    )
    send_after = MomentField(
        required=False,
        allow_null=True,
        default=None,
        help_text=(
            "When it leaves, within 90 days and before anything promised; without an offset, on the customer's clock. When"
            " absent, it leaves within seconds, in which it can be taken back."
        ),
    )
    stops_if_they_write = serializers.BooleanField(
        default=False, help_text="It does not leave when the customer writes before."
    )
    seen = serializers.IntegerField(
        min_value=0,
        max_value=1_000_000,
        required=False,
        allow_null=True,
        default=None,
        help_text="How many interactions you have shown; refused as `newer_said` when there are more by now.",
    )
    representative = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Who acts for the customer and is answered instead of them; refused as `may_not_be_told` when they may not.",
    )


class AnswerElsewhereIn(StrictIn):
    url = serializers.CharField(max_length=2000, help_text="The link to the answer, where it stands.")
    text = serializers.CharField(max_length=WORDS_AT_MOST, help_text="What was written there.")
    answered_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="When it was given; now when absent."
    )
    signed_off_by = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The account that signs it off; its author when absent, where the author may.",
    )
    key = serializers.CharField(
        max_length=80, required=False, default="", help_text="The same key twice is one answer."
    )
    stays_open = serializers.BooleanField(default=False, help_text="The next step is ours.")
    out_of_order = out_of_order()
    correction = serializers.CharField(
        max_length=500, default="", help_text="Why it is otherwise than we said before, in words of the text itself."
    )


class DraftIn(StrictIn):
    text = serializers.CharField(max_length=WORDS_AT_MOST, allow_blank=True, trim_whitespace=False)
    is_shared = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Colleagues may read it; as before when absent."
    )
    key = serializers.CharField(
        max_length=80,
        required=False,
        default="",
        help_text="The key that the answer will have; once sent, nothing is kept.",
    )
    expects = serializers.CharField(
        max_length=40,
        required=False,
        allow_null=True,
        allow_blank=True,
        default=None,
        help_text="The `version` that these words go on from; refused as `draft_changed` when there is a newer one.",
    )


class NothingIn(StrictIn):
    """Nothing has to be said; what is said is refused."""


class OpenHistoryIn(StrictIn):
    code = serializers.CharField(
        max_length=20,
        required=False,
        allow_blank=True,
        default="",
        help_text="The code that was sent; empty after logging in with a second factor.",
    )


class CloseIn(StrictIn):
    reason = serializers.CharField(
        max_length=1000, default="", help_text="Why it is settled now; needed when it came back within two weeks."
    )


class NoteIn(StrictIn):
    text = serializers.CharField(max_length=WORDS_AT_MOST)


class CallIn(StrictIn):
    key = serializers.CharField(max_length=100, help_text="The same key twice is one call.")
    phone = serializers.CharField(max_length=40, required=False, default="", allow_blank=True)
    email = serializers.CharField(max_length=320, required=False, default="", allow_blank=True)
    name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    subject = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    said = serializers.CharField(max_length=WORDS_AT_MOST, help_text="What the customer told us.")
    agreed = serializers.CharField(
        max_length=WORDS_AT_MOST, required=False, default="", allow_blank=True, help_text="What we confirm in writing."
    )
    spoke_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The first ring; when absent, as long ago as it took.",
    )
    spoke_at_known_from = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    wait_seconds = serializers.IntegerField(
        min_value=0, max_value=86_400, default=0, help_text="From the first ring until somebody talked to them."
    )
    hold_seconds = serializers.IntegerField(min_value=0, max_value=86_400, default=0)
    call_seconds = serializers.IntegerField(min_value=0, max_value=86_400, default=0)
    live = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="The call as it was reported; its times are taken."
    )
    conversation = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="The matter this talk goes on with."
    )
    said_all = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Whether everything was said before the line ended."
    )


REPORTED = [(kind.value, kind.label) for kind in CallEventKind if kind != CallEventKind.SILENT]
"""What may be reported; that nothing more was heard is for us to conclude."""


class CallEventIn(StrictIn):
    system = serializers.SlugField(max_length=60, help_text="The name of your phone system; calls belong to it.")
    call = serializers.CharField(max_length=160, help_text="Your id of the call.")
    event = serializers.CharField(max_length=160, help_text="Your id of the event; the same one twice is one event.")
    what = serializers.ChoiceField(REPORTED)
    at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="When it happened; now when absent."
    )
    caller = serializers.CharField(max_length=320, required=False, default="", allow_blank=True)
    colleague = serializers.EmailField(
        max_length=320, required=False, default="", allow_blank=True, help_text="Who answered."
    )
    ended_by = serializers.ChoiceField(EndedBy.choices, required=False, default=EndedBy.UNKNOWN.value)


class PersonOut(serializers.Serializer[Any]):
    email = serializers.CharField()
    name = serializers.CharField()


class CallOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(CallState.choices)
    rang_at = serializers.DateTimeField()
    answered_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_by = serializers.ChoiceField(EndedBy.choices, allow_null=True)
    hold_seconds = serializers.IntegerField()
    put_through_to = PersonOut(allow_null=True, help_text="Told with a ring: whom the caller's open matter belongs to.")


class PromiseOut(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(PromiseKind.choices)
    state = serializers.ChoiceField(PromiseState.choices)
    due_at = serializers.DateTimeField()
    met_at = serializers.DateTimeField(allow_null=True)


class ReceivedOut(serializers.Serializer[Any]):
    conversation = serializers.UUIDField()
    interaction = serializers.UUIDField()
    spoke_at = serializers.DateTimeField()
    created = serializers.BooleanField(help_text="False when this key had been received before.")
    promises = PromiseOut(many=True)


class OutgoingOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(OutgoingState.choices)
    channel = serializers.ChoiceField(Channel.choices)
    send_after = serializers.DateTimeField(help_text="It does not leave before.")
    stops_if_they_write = serializers.BooleanField()
    can_be_taken_back = serializers.BooleanField()
    accepted_at = serializers.DateTimeField(allow_null=True, help_text="When the other side took it.")
    reason = serializers.CharField(help_text="Why it is in this state; empty where that needs no reason.")
    delivery = serializers.ChoiceField(
        Delivery.choices, allow_null=True, help_text="What the other side told afterwards; null while it told nothing."
    )
    delivery_at = serializers.DateTimeField(allow_null=True)
    delivery_reason = serializers.CharField()


class DraftOut(serializers.Serializer[Any]):
    by = serializers.CharField()
    version = serializers.CharField(help_text="Of these words; empty when nothing is kept.")
    text = serializers.CharField()
    is_shared = serializers.BooleanField()
    kept_at = serializers.DateTimeField(allow_null=True, help_text="Null when nothing is kept.")


class DraftsOut(DraftOut):
    shared = DraftOut(many=True, help_text="What colleagues have begun here and share.")


class InteractionOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    direction = serializers.ChoiceField(Direction.choices)
    channel = serializers.ChoiceField(Channel.choices)
    author = serializers.CharField(help_text="The name of the colleague; empty for the customer.")
    text = serializers.CharField()
    spoke_at = serializers.DateTimeField()
    outgoing = OutgoingOut(allow_null=True, help_text="For colleagues: what became of an answer of ours.")


class ConversationRowOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    subject = serializers.CharField()
    state = serializers.ChoiceField(ConversationState.choices)
    spoke_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    owner = serializers.CharField(help_text="Who takes care of it; empty while nobody does.")


class InboxRowOut(ConversationRowOut):
    customer = serializers.CharField()
    customer_id = serializers.UUIDField()


class ConversationOut(ConversationRowOut):
    customer_id = serializers.UUIDField()
    customer = serializers.CharField()
    interactions = InteractionOut(many=True)
    promises = PromiseOut(many=True)


class ConversationPageOut(serializers.Serializer[Any]):
    results = ConversationRowOut(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="Give it as `cursor` to get the next page.")


class InboxPageOut(serializers.Serializer[Any]):
    results = InboxRowOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class TimelineRowOut(serializers.Serializer[Any]):
    verb = serializers.CharField()
    ref = serializers.CharField()
    at = serializers.DateTimeField()
    origin = serializers.CharField()
    by = serializers.CharField()


class TimelinePageOut(serializers.Serializer[Any]):
    results = TimelineRowOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class DataPackageOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(PackageState.choices)
    asked_at = serializers.DateTimeField()
    made_at = serializers.DateTimeField(allow_null=True)
    size = serializers.IntegerField(allow_null=True, help_text="Bytes.")
    removed_at = serializers.DateTimeField(allow_null=True, help_text="When the copy is removed.")
    link = serializers.CharField(
        allow_null=True, help_text="Where it is fetched from within ten minutes, logged in with the same account."
    )


class OwnDataOut(serializers.Serializer[Any]):
    packages = DataPackageOut(many=True)


class MeOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.CharField()
    name = serializers.CharField()
    is_staff = serializers.BooleanField()
    customer_id = serializers.UUIDField(allow_null=True)


class SightOut(serializers.Serializer[Any]):
    sees_since = serializers.DateTimeField(
        allow_null=True, help_text="Matters that began before are not shown; null when all are."
    )
    can_be_sent_a_code = serializers.BooleanField(help_text="Whether there is another proved address for a code.")


class LifeEventOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(LifeEventKind.choices)
    year = serializers.IntegerField(allow_null=True)
    month = serializers.IntegerField(allow_null=True)
    day = serializers.IntegerField(allow_null=True)
    words = serializers.CharField()
    purpose = serializers.ChoiceField(Purpose.choices)
    told_at = serializers.DateTimeField()


class LifeEventPageOut(serializers.Serializer[Any]):
    results = LifeEventOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class RepresentativeOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    authority = serializers.ChoiceField(Authority.choices)
    scope = serializers.ChoiceField(Scope.choices)
    conversation = serializers.UUIDField(allow_null=True)
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)
    counts_now = serializers.BooleanField()


class RepresentativePageOut(serializers.Serializer[Any]):
    results = RepresentativeOut(many=True)
