"""Mail that became no conversation: people look through it, some drawn every night, so that no customer is dropped in silence."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import forms, mails
from crm.actions.intake import Received
from crm.channels import web_form
from crm.models import RawItem, SetAside, User
from crm.models.talk import NO_PERSON
from crm.policy import SAMPLED_A_NIGHT, LookedAs, WorkState

DRAWN_FROM = timedelta(days=2)
"""How far back a night's sample reaches, so that a missed night is made up for."""


class NotSetAside(Exception):
    """This mail is not one that was set aside, or somebody has looked at it already."""

    code = "not_set_aside"


@transaction.atomic
def look(raw_id: int, *, verdict: LookedAs, by: User, at: datetime) -> Received | None:
    """Say what a mail was that we had set aside. What a customer wrote after all is taken in now; its promises count from
    when it reached us.

    Returns what it became; None when it was rightly set aside. Raises RawItem.DoesNotExist, NotSetAside,
    intake.NothingSaid, identity.UnusableAddress; then nothing has changed.
    """
    item = RawItem.objects.select_for_update(of=("self",)).select_related("mailbox").get(pk=raw_id)
    row, _new = SetAside.objects.get_or_create(raw=item)
    if row.verdict or item.kind not in NO_PERSON or item.state not in (WorkState.DONE, WorkState.PARKED):
        raise NotSetAside(_("This mail was looked at already."))
    received = None
    row.verdict, row.looked_at, row.looked_by = verdict, at, by
    if verdict == LookedAs.WRONG:
        by_a_form = item.source.startswith(web_form.SOURCE)
        take_in = forms.take_in_anyway if by_a_form else mails.take_in_anyway
        received = take_in(item, mails.read_item(item), at=at)
        row.interaction = received.interaction
        item.state = WorkState.DONE
        item.save(update_fields=["state"])
    row.save(update_fields=["verdict", "looked_at", "looked_by", "interaction"])
    history.record(
        received.conversation.customer if received else None,
        "mail.looked_at",
        ref=f"raw:{item.public_id}",
        by=by,
        at=at,
        detail={"kind": item.kind, "verdict": verdict},
    )
    return received


@transaction.atomic
def sample(at: datetime) -> int:
    """Draw a few of the last days' mails for a person to look at. Safe to repeat: a night draws once. Returns how many.

    Which are drawn follows from their public ids alone, so anybody can draw again.
    """
    since = at - DRAWN_FROM
    waiting = RawItem.objects.filter(
        kind__in=NO_PERSON, received_at__gt=since, received_at__lte=at, set_aside=None
    ).values_list("pk", "public_id")
    ranked = sorted(waiting, key=lambda row: hashlib.sha256(row[1].bytes).digest())
    drawn = [SetAside(raw_id=number, drawn_at=at) for number, _public_id in ranked[:SAMPLED_A_NIGHT]]
    SetAside.objects.bulk_create(drawn, ignore_conflicts=True)
    return len(drawn)
