"""What is doubtful about a message, settled by a person: whether it belongs to the matter it seems to belong to."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from crm import history
from crm.models import Conversation, Doubt, User
from crm.policy import DoubtCode


class AlreadySettled(Exception):
    """Somebody has looked at this before."""

    code = "already_settled"


@transaction.atomic
def settle(doubt_id: int, *, belongs: bool, by: User, at: datetime) -> Doubt:
    """Say that a message was looked at, and whether it belongs to the matter that was suggested.

    Belonging links the two matters for colleagues to read side by side; no words, no person and no promise moves.
    Raises Doubt.DoesNotExist, AlreadySettled; then nothing has changed.
    """
    doubt = (
        Doubt.objects.select_for_update(of=("self",))
        .select_related("interaction__conversation__customer", "conversation")
        .get(pk=doubt_id)
    )
    if doubt.settled_at is not None:
        raise AlreadySettled(_("A colleague has looked at this already."))
    doubt.settled_at, doubt.settled_by = at, by
    doubt.is_linked = belongs and doubt.conversation is not None
    doubt.save(update_fields=["settled_at", "settled_by", "is_linked"])
    matter = doubt.interaction.conversation
    detail = {"interaction": str(doubt.interaction.public_id), "code": doubt.code, "linked": doubt.is_linked}
    if doubt.conversation is not None:
        detail["conversation"] = str(doubt.conversation.public_id)
    ref = f"conversation:{matter.public_id}"
    history.record(matter.customer, "doubt.settled", ref=ref, by=by, at=at, detail=detail)
    return doubt


def hold_money(conversation: Conversation, *, by: User) -> bool:
    """Whether this colleague may give nothing of value in this matter: another person wrote into it, and nobody but the
    giver has looked at that yet (M06)."""
    wrote = Doubt.objects.filter(interaction__conversation=conversation, code=DoubtCode.OTHER_PERSON)
    return wrote.filter(Q(settled_at=None) | Q(settled_by=by)).exists()
