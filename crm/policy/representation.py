"""Who acts for a customer, and what they may be told and ask for (R089). What is given stays the represented customer's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Authority(TextChoices):
    CONSENTED = "consented", _("the customer asked them to")
    POWER_OF_ATTORNEY = "power_of_attorney", _("power of attorney")
    EXECUTOR = "executor", _("executor of the estate")
    EMPLOYER = "employer", _("employer")
    GUARDIAN = "guardian", _("parent or guardian")


class Scope(TextChoices):
    EVERYTHING = "everything", _("everything")
    MATTER = "matter", _("one matter")
    MONEY = "money", _("money in all matters")
    INFORMATION = "information", _("being told, nothing more")


class Ask(TextChoices):
    """What somebody who acts for a customer may want."""

    BE_TOLD = "be_told", _("be told about a matter")
    ACT = "act", _("decide something in it")
    MONEY = "money", _("decide about money")


_COVERS: dict[Scope, frozenset[Ask]] = {
    Scope.EVERYTHING: frozenset(Ask),
    Scope.MATTER: frozenset(Ask),
    Scope.MONEY: frozenset({Ask.BE_TOLD, Ask.MONEY}),
    Scope.INFORMATION: frozenset({Ask.BE_TOLD}),
}


@dataclass(frozen=True, slots=True)
class Mandate:
    """An authority as it was shown to us. matter: the key of the one matter, where it covers only that."""

    authority: Authority
    scope: Scope
    matter: int | None
    valid_from: datetime
    valid_until: datetime | None
    ended_at: datetime | None


def stands(mandate: Mandate, *, principal_has_died: bool, at: datetime) -> bool:
    """Say whether an authority counts now.

    With a death every authority but the executor's ends, and the executor's begins. A power that outlives the customer is noted
    as the executor's once the paper that says so was seen.
    """
    if at < mandate.valid_from or (mandate.valid_until is not None and at >= mandate.valid_until):
        return False
    if mandate.ended_at is not None and at >= mandate.ended_at:
        return False
    return principal_has_died == (mandate.authority == Authority.EXECUTOR)


def may(mandate: Mandate, ask: Ask, *, matter: int | None, principal_has_died: bool, at: datetime) -> bool:
    """Say whether somebody may be told, decide, or decide about money now, in a matter (its key; None for all of them)."""
    if not stands(mandate, principal_has_died=principal_has_died, at=at):
        return False
    if mandate.scope == Scope.MATTER and mandate.matter != matter:
        return False
    return ask in _COVERS[mandate.scope]
