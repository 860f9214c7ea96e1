"""How long things are kept: rules with a look before, removal at night in portions, and a proof of each run (P19, R073).

No rule is on before a person switches it on. Nothing is removed of a customer with a hold, an open case (which is a hold) or a
matter that waits for us.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import clearing, fingerprints
from crm.models import (
    AnswerDraft,
    Attachment,
    Call,
    CallEvent,
    Conversation,
    Hold,
    IdentityCheck,
    ImportedCustomer,
    Interaction,
    MessageChange,
    OutgoingMessage,
    RawItem,
    RetentionProof,
    RetentionRule,
    SurveyAnswer,
    User,
)
from crm.models.talk import NO_PERSON, AttachmentState
from crm.policy import ConversationState, WorkState
from crm.policy.privacy import MOST_DAYS, RetentionKind, without_words

COUNTED_UP_TO = 10_000
"""A look before counts so far and no further."""
PORTIONS_A_NIGHT = 200
EVENT = "retention.changed"


class UnusableRule(ValueError):
    """A rule without a number of days or a reason."""

    code = "unusable_rule"


@dataclass(frozen=True, slots=True)
class Look:
    """What a rule would remove now. number: of rows, counted up to COUNTED_UP_TO; oldest: of them, None when there is none."""

    number: int
    more: bool
    oldest: datetime | None
    before: datetime


@dataclass(frozen=True, slots=True)
class _Kind:
    """due: the rows that a rule lets go, given the moment before which they lie and now; moment: the field that says how old
    one is; remove: lets go of the rows with these keys."""

    due: Callable[[datetime, datetime], QuerySet[Any]]
    moment: str
    remove: Callable[[Sequence[int]], object]


def _protected(path: str, at: datetime) -> Q:
    """That the customer at the end of a path has a hold, or a matter that waits for us."""
    holds = Hold.objects.active(at).filter(customer=OuterRef(path))
    waiting = Conversation.objects.filter(customer=OuterRef(path), state=ConversationState.OPEN)
    return Q(Exists(holds)) | Q(Exists(waiting))


def _raw(before: datetime, at: datetime) -> QuerySet[Any]:
    theirs = Interaction.objects.filter(raw=OuterRef("pk")).filter(_protected("conversation__customer", at))
    read = RawItem.objects.filter(state=WorkState.DONE, received_at__lt=before).exclude(content=b"")
    return (
        read.exclude(kind__in=NO_PERSON)
        .filter(~Exists(theirs))
        .filter(Q(about=None) | ~_protected("about__customer", at))
    )


def _set_aside(before: datetime, at: datetime) -> QuerySet[Any]:
    found = RawItem.objects.filter(kind__in=NO_PERSON, state=WorkState.DONE, received_at__lt=before).exclude(
        content=b""
    )
    return found.filter(Q(about=None) | ~_protected("about__customer", at))


def _forget_raw(keys: Sequence[int]) -> None:
    for item in RawItem.objects.filter(pk__in=keys).only("pk", "facts").order_by("pk"):
        RawItem.objects.filter(pk=item.pk).update(content=b"", label="", facts=without_words(item.facts))


def _quarantined(before: datetime, at: datetime) -> QuerySet[Any]:
    found = Attachment.objects.filter(state=AttachmentState.QUARANTINED, interaction__ingested_at__lt=before)
    return found.filter(~_protected("interaction__conversation__customer", at))


def _drafts(before: datetime, at: datetime) -> QuerySet[Any]:
    return AnswerDraft.objects.filter(updated_at__lt=before).filter(~_protected("conversation__customer", at))


def _words(before: datetime, at: datetime) -> QuerySet[Any]:
    said = Interaction.objects.filter(conversation=OuterRef("pk"))
    lately = said.filter(ingested_at__gte=before)
    left = said.exclude(text="", full_text="", html="", subject="")
    closed = Conversation.objects.filter(state=ConversationState.CLOSED, spoke_at__lt=before)
    answered = SurveyAnswer.objects.filter(ask__conversation=OuterRef("pk")).exclude(words="")
    asked = IdentityCheck.objects.filter(conversation=OuterRef("pk")).exclude(because__in=["", clearing.GONE])
    return closed.filter(~Exists(lately), Exists(left) | Exists(answered) | Exists(asked)).filter(
        ~_protected("customer", at)
    )


def _forget_words(keys: Sequence[int]) -> None:
    matters = {"conversation__in": list(keys)}
    empty = {"subject": "", "text": "", "full_text": "", "html": ""}
    files = Attachment.objects.filter(interaction__conversation__in=list(keys))
    clearing.clear("crm.Attachment", list(files.values_list("pk", flat=True)))
    MessageChange.objects.filter(interaction__conversation__in=list(keys)).update(text="", text_before="")
    OutgoingMessage.objects.filter(**matters).update(subject="", text="", html="", headers={})
    Interaction.objects.filter(**matters).update(**empty)
    Conversation.objects.filter(pk__in=keys).update(subject="")
    SurveyAnswer.objects.filter(ask__conversation__in=list(keys)).exclude(words="").update(words="")
    IdentityCheck.objects.filter(**matters).exclude(because="").update(because=clearing.GONE)


def _imported(before: datetime, at: datetime) -> QuerySet[Any]:
    found = ImportedCustomer.objects.filter(brought_by__at__lt=before).exclude(filled={}, claims=[])
    return found.filter(~_protected("customer", at))


def _calls(before: datetime, at: datetime) -> QuerySet[Any]:
    found = Call.objects.filter(interaction=None, ended_at__lt=before, followed_up_at__isnull=False)
    return found.exclude(caller__in=["", clearing.GONE])


def _forget_callers(keys: Sequence[int]) -> None:
    CallEvent.objects.filter(call__in=keys).exclude(caller="").update(caller="")
    Call.objects.filter(pk__in=keys).update(caller=clearing.GONE, caller_name="")


_KINDS: dict[RetentionKind, _Kind] = {
    RetentionKind.RAW: _Kind(_raw, "received_at", _forget_raw),
    RetentionKind.SET_ASIDE: _Kind(_set_aside, "received_at", _forget_raw),
    RetentionKind.QUARANTINED: _Kind(
        _quarantined, "interaction__ingested_at", lambda keys: clearing.clear("crm.Attachment", keys)
    ),
    RetentionKind.DRAFTS: _Kind(_drafts, "updated_at", lambda keys: AnswerDraft.objects.filter(pk__in=keys).delete()),
    RetentionKind.WORDS: _Kind(_words, "spoke_at", _forget_words),
    RetentionKind.IMPORTED: _Kind(
        _imported,
        "brought_by__at",
        lambda keys: ImportedCustomer.objects.filter(pk__in=keys).update(filled={}, claims=[]),
    ),
    RetentionKind.CALLS: _Kind(_calls, "ended_at", _forget_callers),
}


def look(kind: RetentionKind, *, keep_days: int, at: datetime) -> Look:
    """Say what a rule of so many days would remove now; reads only."""
    before = at - timedelta(days=keep_days)
    told = _KINDS[kind]
    rows = told.due(before, at).annotate(moment=F(told.moment)).order_by("pk").values("pk", "moment")
    found = rows[: COUNTED_UP_TO + 1].aggregate(number=Count("pk"), oldest=Min("moment"))
    number = found["number"]
    return Look(min(number, COUNTED_UP_TO), number > COUNTED_UP_TO, found["oldest"], before)


@transaction.atomic
def set_rule(
    kind: RetentionKind, *, keep_days: int, basis: str, is_active: bool, by: User, at: datetime
) -> RetentionRule:
    """Say how long a kind of thing is kept and why, and whether the rule is on. Raises UnusableRule; then nothing has changed."""
    if not 1 <= keep_days <= MOST_DAYS or not basis.strip():
        raise UnusableRule(_("Please give a number of days from 1 on, and why it is kept that long."))
    rule = RetentionRule.objects.select_for_update().get(kind=kind)
    before = [rule.keep_days, rule.is_active]
    rule.keep_days, rule.basis, rule.is_active = keep_days, basis.strip()[:300], is_active
    rule.changed_by, rule.changed_at = by, at
    rule.save(update_fields=["keep_days", "basis", "is_active", "changed_by", "changed_at"])
    detail = {"kind": str(kind), "before": before, "after": [keep_days, is_active], "why": rule.basis}
    history.record(None, EVENT, ref=f"retention:{kind}", by=by, at=at, detail=detail)
    return rule


def remove_due(at: datetime) -> int:
    """Remove what the rules that are on let go, in portions, and write a proof of each rule's run. Returns how many rows."""
    total = 0
    for rule in RetentionRule.objects.filter(is_active=True).order_by("pk"):
        kind, before = RetentionKind(rule.kind), at - timedelta(days=rule.keep_days)
        removed = _remove(kind, before, at=at)
        RetentionProof.objects.create(kind=kind, keep_days=rule.keep_days, before=before, removed=removed, at=at)
        total += removed
    return total + fingerprints.forget(at=at)


def _remove(kind: RetentionKind, before: datetime, *, at: datetime) -> int:
    told, removed = _KINDS[kind], 0
    for _portion in range(PORTIONS_A_NIGHT):
        with transaction.atomic():
            due = told.due(before, at).select_for_update(skip_locked=True, of=("self",)).order_by("pk")
            keys = [row.pk for row in due.only("pk")[: clearing.AT_ONCE]]
            if not keys:
                break
            told.remove(keys)
            removed += len(keys)
    return removed
