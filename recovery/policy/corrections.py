"""What becomes of a correction: proposed by the weekly duty or a person, agreed to by a person, ended when it has done its work."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class CorrectionState(TextChoices):
    PROPOSED = "proposed", _("proposed")
    WORKING = "working", _("at work")
    ENDED = "ended", _("ended")
    DECLINED = "declined", _("declined")


CORRECTION_NEXT: dict[CorrectionState, frozenset[CorrectionState]] = {
    CorrectionState.PROPOSED: frozenset({CorrectionState.WORKING, CorrectionState.DECLINED, CorrectionState.ENDED}),
    CorrectionState.WORKING: frozenset({CorrectionState.ENDED}),
    CorrectionState.ENDED: frozenset(),
    CorrectionState.DECLINED: frozenset(),
}
"""Which state may follow which. A proposal ends by itself when what it is about is gone."""
