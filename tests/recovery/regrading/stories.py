"""Matters that have ended and were drawn, made by the product's own actions."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from crm.actions import answers, desk, endings, intake, outgoing
from crm.models import Conversation, User
from crm.policy import DismissalReason
from recovery import actions
from recovery.models import Case, Regrade
from recovery.policy import ComplaintType, Facts, Outcome
from tests.conftest import NOON
from tests.crm.stories import message

MILD, GRAVE = Facts(), Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3)
EVENING = NOON + timedelta(hours=8)


def heard(text: str = "My parcel arrived broken.", *, channel: str = "email", at: datetime = NOON) -> Conversation:
    return intake.receive(message(text, channel=channel, spoke_at=at), at=at, origin="test").conversation


def settled(
    by: User,
    *,
    facts: Facts = MILD,
    outcome: Outcome = Outcome.PARTLY,
    channel: str = "email",
    text: str = "It is broken.",
) -> Case:
    case = actions.open_case(heard(text, channel=channel).pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=facts, by=by, at=NOON)
    reason = "It was whole." if outcome == Outcome.NOT_UPHELD else ""
    actions.resolve(case.pk, outcome=outcome, explanation="We are sorry.", reason=reason, by=by, at=NOON)
    outgoing.send_batch(at=NOON)
    return Case.objects.get(pk=case.pk)


def dismissed(by: User, *, channel: str = "email") -> Conversation:
    matter = heard(channel=channel)
    endings.dismiss(matter.pk, reason=DismissalReason.SPAM, by=by, at=NOON)
    return matter


def answered(by: User, *, text: str = "Dear Carla,\nwe have mended it.\nKind regards\nAda") -> Conversation:
    matter = heard("Where is it?")
    answers.answer(matter.pk, text=text, by=by, at=NOON, key=f"answer:{matter.pk}")
    outgoing.send_batch(at=NOON)
    desk.close(matter.pk, by=by, at=NOON + timedelta(hours=1))
    return matter


def drawn(at: datetime = EVENING) -> Regrade:
    actions.draw_regrades(at)
    return Regrade.objects.get()
