"""What recovery says when a customer's record is parted in two: cases of one incident stay with one person (E03, G19)."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q
from django.utils.translation import gettext as _

from crm.actions.belongings import StayTogether
from recovery.models import Case


def stay_together(conversations: Collection[int]) -> None:
    """Refuse to part cases that are linked as one incident. Raises StayTogether."""
    going = Q(conversation__in=conversations)
    linked = Case.objects.filter(
        (going & Q(same_as__isnull=False) & ~Q(same_as__conversation__in=conversations))
        | (~going & Q(same_as__conversation__in=conversations))
    )
    if linked.exists():
        raise StayTogether(_("Two cases are linked as one incident. Please choose both or neither."))
