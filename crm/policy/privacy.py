"""What may be asked about one's own data, what stands in the way of erasing, when a copy may be asked for, how long things stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

PACKAGE_KEPT_FOR = timedelta(days=7)
PROVED_WITHIN = timedelta(minutes=10)
"""How long ago a log-in with a second factor may lie when somebody asks for everything about themselves (P06)."""
NEW_ADDRESS_WAITS = timedelta(days=7)
"""For how long after a change of address nobody gets a copy (P06)."""
FILE_LINK_FOR = timedelta(minutes=10)


class AskedBy(TextChoices):
    CUSTOMER = "customer", _("the customer")
    REPRESENTATIVE = "representative", _("somebody who may act for them")
    AUTHORITY = "authority", _("an authority or a court")
    US = "us", _("we ourselves: there is no more reason to keep it")


class ErasureState(TextChoices):
    ASKED = "asked", _("asked for")
    RESTRICTED = "restricted", _("waits: something stands in the way")
    READY = "ready", _("to be carried out")
    CLAIMED = "claimed", _("being carried out")
    DONE = "done", _("erased")
    DROPPED = "dropped", _("taken back")
    PARKED = "parked", _("stuck; somebody has to look")


class PackageState(TextChoices):
    READY = "ready", _("waiting")
    CLAIMED = "claimed", _("being made")
    DONE = "done", _("made")
    PARKED = "parked", _("stuck; somebody has to look")
    GONE = "gone", _("removed")


class RetentionKind(TextChoices):
    RAW = "raw", _("bytes of mails and posts that were read")
    SET_ASIDE = "set_aside", _("mails that opened no conversation")
    QUARANTINED = "quarantined", _("files that were kept apart")
    DRAFTS = "drafts", _("answers that were begun and left")
    WORDS = "words", _("words of conversations that are closed")
    IMPORTED = "imported", _("what rows of imported files claimed")
    CALLS = "calls", _("numbers of callers whose calls became no matter")


MOST_DAYS = 36_500


class Obstacle(TextChoices):
    OPEN_CASE = "open_case", _("A case of theirs is open. It is settled first, so that nothing they are owed is lost.")
    MONEY_OWED = "money_owed", _("Money that was decided for them has not been given yet.")
    LEGAL_HOLD = "legal_hold", _("A legal hold stands: the data may be needed for a claim.")
    OPEN_MATTER = "open_matter", _("A conversation waits for our answer. It is answered or closed first.")
    LEAVING = "leaving", _("A message to them is being handed over this moment.")


def obstacle_words(codes: Collection[str]) -> list[str]:
    """Say what stands in the way; a code that nobody knows is shown as it is."""
    known = set(Obstacle.values)
    return [str(Obstacle(code).label) if code in known else code for code in codes]


def proved_lately(methods: Collection[Mapping[str, Any]], *, at: datetime) -> bool:
    """Whether somebody showed both that they know and that they have something within the last minutes (P06).

    methods: what a log-in wrote down of each proof: "method" ("password", "mfa", "reauthenticated" …) and "at" in seconds.
    """
    lately = [one for one in methods if timedelta(0) <= at - _moment(one.get("at"), at) <= PROVED_WITHIN]
    return any(one.get("method") == "mfa" for one in lately)


def _moment(seconds: Any, at: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(float(seconds), at.tzinfo)
    except (TypeError, ValueError, OverflowError):
        return datetime.fromtimestamp(0, at.tzinfo)


def address_is_settled(changed_at: datetime | None, *, at: datetime) -> bool:
    """Whether no address of the account changed within the last days (P06)."""
    return changed_at is None or at - changed_at > NEW_ADDRESS_WAITS


_CODES = frozenset(
    {
        "kind", "channel", "promise", "why", "verdict", "state", "ended_by", "because_code", "lane", "told_by_kind", "key", "skill",
        "server", "received_by", "stated_by",
    }
)  # fmt: skip


def without_words(value: Any, *, name: str = "") -> Any:
    """What stays of a JSON value of ours: numbers, yes and no, ids, times, and codes under names that hold codes.

    Everything else could be what somebody wrote or is called; it goes, with the name it stood under.
    """
    if isinstance(value, Mapping):
        kept = {key: without_words(one, name=key) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None}
    if isinstance(value, list):
        return [one for one in (without_words(each, name=name) for each in value) if one is not None]
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and (_is_id(value) or _is_time(value) or (name in _CODES and _is_code(value))):
        return value
    return None


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "-" in text


def _is_code(text: str) -> bool:
    return len(text) <= 40 and text.replace("_", "").replace(":", "").isalpha() and text.islower()
