"""What happens to the rules: they are drafted, checked by machine, tried on a year of real cases, and approved by a second person.

Every change of a draft holds its row, and approval looks at the rules again while it holds that row; so nothing can slip in between
what was checked and what is approved.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts
from crm.models import User
from crm.policy import AlertKind
from recovery import obtainable, policy
from recovery.actions import trial
from recovery.models import PolicyRule, PolicyVersion
from recovery.policy import NEXT_STATE, Rule, VersionState
from recovery.policy.checks import checked, mistakes_in, no_barred_fact

SHIFT = 10_000
"""Added to the places of rules while they are put in another order, so that no two are in one place in between."""


class WrongVersionState(Exception):
    """Only a draft can be changed, checked, discarded or approved."""

    code = "wrong_version_state"


class UnusableRule(ValueError):
    """A rule that cannot be read, or that asks for what may not count."""

    code = "unusable_rule"


class NoSuchRule(ValueError):
    """The draft has no rule of this name."""

    code = "no_such_rule"


class DraftNotChecked(Exception):
    """The checks or the what-if have not been made yet."""

    code = "draft_not_checked"


class DraftFailedChecks(Exception):
    """The machine's checks found something."""

    code = "draft_failed_checks"


class DraftChangedSinceCheck(Exception):
    """The rules are not those that were checked and tried."""

    code = "draft_changed_since_check"


class NeedsSecondPerson(Exception):
    """Nobody approves what they drafted or edited."""

    code = "needs_second_person"


class MustStartInFuture(ValueError):
    """Rules never start in the past, nor before every process can have read them."""

    code = "must_start_in_future"


@transaction.atomic
def begin_draft(*, copy_of: int | None = None, note: str = "", by: User, at: datetime) -> PolicyVersion:
    """Begin a draft as a copy of a version, by its number; of the newest approved one when none is named.

    Raises PolicyVersion.DoesNotExist; then nothing has changed.
    """
    # The first version's row is held so that two drafts begun at once get two numbers.
    PolicyVersion.objects.select_for_update(of=("self",), no_key=True).order_by("number")[:1].get()
    if copy_of is None:
        source = PolicyVersion.objects.approved().order_by("-effective_from", "-number")[:1].get()
    else:
        source = PolicyVersion.objects.get(number=copy_of)
    highest = PolicyVersion.objects.aggregate(number=Max("number"))["number"]
    draft = PolicyVersion.objects.create(
        number=highest + 1, copied_from=source, note=note.strip()[:300], drafted_by=by, drafted_at=at, edited_by=[by.pk]
    )
    rules = list(source.rules.order_by("position"))
    PolicyRule.objects.bulk_create(
        PolicyRule(version=draft, position=position, code=rule.code, **_columns(rule.as_rule()))
        for position, rule in enumerate(rules, start=1)
    )
    _fingerprinted(draft, by=by)
    _recorded(draft, "drafted", by=by, at=at, copy_of=source.number)
    return draft


@transaction.atomic
def put_rule(number: int, rule: Rule, *, replaces: str = "", by: User, at: datetime) -> PolicyRule:
    """Add a rule to the end of a draft, or put it in the place of the one named by `replaces`.

    Raises PolicyVersion.DoesNotExist, WrongVersionState, UnusableRule, NoSuchRule; then nothing has changed.
    """
    draft = _draft(number)
    mistakes = [*mistakes_in(rule), *(found.words for found in no_barred_fact([rule]))]
    if mistakes:
        raise UnusableRule(" ".join(mistakes))
    if rule.code != replaces and draft.rules.filter(code=rule.code).exists():
        raise UnusableRule(_("There is a rule of this name already."))
    if replaces:
        row = _rule(draft, replaces)
    else:
        last = draft.rules.aggregate(position=Max("position"))["position"] or 0
        row = PolicyRule(version=draft, position=last + 1)
    row.code = rule.code
    for name, value in _columns(rule).items():
        setattr(row, name, value)
    row.save()
    _fingerprinted(draft, by=by)
    _recorded(draft, "rule_put", by=by, at=at, rule=rule.code, replaces=replaces)
    return row


@transaction.atomic
def remove_rule(number: int, code: str, *, by: User, at: datetime) -> None:
    """Take a rule out of a draft. Raises PolicyVersion.DoesNotExist, WrongVersionState, NoSuchRule; then nothing has changed."""
    draft = _draft(number)
    row = _rule(draft, code)
    row.delete()
    draft.rules.filter(position__gt=row.position).update(position=F("position") + SHIFT)
    draft.rules.filter(position__gt=SHIFT).update(position=F("position") - SHIFT - 1)
    _fingerprinted(draft, by=by)
    _recorded(draft, "rule_removed", by=by, at=at, rule=code)


@transaction.atomic
def move_rule(number: int, code: str, *, to: int, by: User, at: datetime) -> None:
    """Put a rule in another place (1 is the first; beyond the last is the last). Only the order of the reasons changes by it.

    Raises PolicyVersion.DoesNotExist, WrongVersionState, NoSuchRule; then nothing has changed.
    """
    draft = _draft(number)
    moved = _rule(draft, code)
    rows = [row for row in draft.rules.order_by("position") if row.pk != moved.pk]
    rows.insert(max(to, 1) - 1, moved)
    draft.rules.update(position=F("position") + SHIFT)
    for position, row in enumerate(rows, start=1):
        row.position = position
    PolicyRule.objects.bulk_update(rows, ["position"])
    _fingerprinted(draft, by=by)
    _recorded(draft, "rule_moved", by=by, at=at, rule=code, to=moved.position)


@transaction.atomic
def discard(number: int, *, by: User, at: datetime) -> PolicyVersion:
    """Give a draft up; it stays readable and its number stays taken. Raises PolicyVersion.DoesNotExist, WrongVersionState."""
    draft = _draft(number)
    draft.state = VersionState.DISCARDED
    draft.save(update_fields=["state"])
    _recorded(draft, "discarded", by=by, at=at)
    return draft


@transaction.atomic
def check(number: int, *, by: User, at: datetime) -> PolicyVersion:
    """Let the machine check a draft and keep what it found with the fingerprint of the rules it looked at.

    Raises PolicyVersion.DoesNotExist, WrongVersionState; then nothing has changed.
    """
    draft = _draft(number)
    result = checked(draft.as_policy().rules, unequal=obtainable.unequal())
    draft.checks = {"content_hash": draft.content_hash, "at": at.isoformat(), **result.as_data()}
    draft.save(update_fields=["checks", "content_hash"])
    _recorded(draft, "checked", by=by, at=at, passed=result.passed, findings=len(result.findings))
    return draft


def what_if(number: int, *, by: User, at: datetime) -> PolicyVersion:
    """Decide the cases of the last twelve months again under a draft that passed its checks, and keep who wins and who loses.

    The cases are read without holding the draft; when its rules change meanwhile, nothing is kept.
    Raises PolicyVersion.DoesNotExist, WrongVersionState, DraftNotChecked, DraftFailedChecks, DraftChangedSinceCheck.
    """
    draft = PolicyVersion.objects.prefetch_related("rules").get(number=number)
    _require_draft(draft)
    draft.content_hash = policy.content_hash(draft.as_policy().rules)
    _require_checks(draft)
    found = trial.tried_on_cases(draft.as_policy(), at=at)
    with transaction.atomic():
        held = _draft(number)
        if held.content_hash != draft.content_hash:
            raise DraftChangedSinceCheck(_("The rules were changed meanwhile. Please check the draft and try again."))
        held.what_if = {"content_hash": held.content_hash, "at": at.isoformat(), **found}
        held.save(update_fields=["what_if"])
        _recorded(held, "tried", by=by, at=at, cases=found["cases"], winners=found["winners"], losers=found["losers"])
        waiting = alerts.told(
            AlertKind.SECOND_PERSON, key=f"policy:{number}:{held.content_hash}", at=at, detail={"policy": number}
        )
        alerts.write([waiting])
    return held


@transaction.atomic
def approve(number: int, *, starts_at: datetime, by: User, at: datetime) -> PolicyVersion:
    """Approve a draft that another person made, to start at a time in the future.

    Checks and what-if must have been made on exactly the rules that are there now.
    Raises PolicyVersion.DoesNotExist, WrongVersionState, NeedsSecondPerson, DraftNotChecked, DraftFailedChecks,
    DraftChangedSinceCheck, MustStartInFuture; then nothing has changed.
    """
    draft = _draft(number)
    if by.pk in draft.edited_by:
        raise NeedsSecondPerson(
            _(
                "You have drafted or edited these rules. Somebody else has to approve them, so that two people stand for them."
            )
        )
    _require_checks(draft)
    if draft.what_if is None:
        raise DraftNotChecked(_("Please look first at who would win and who would lose."))
    if not draft.what_if_stands:
        raise DraftChangedSinceCheck(
            _("The rules were changed since they were tried on past cases. Please try them again.")
        )
    if not policy.may_start(starts_at, at=at):
        raise MustStartInFuture(
            _("Rules start in the future: at %(earliest)s or later.")
            % {"earliest": date_format(timezone.localtime(at + policy.STARTS_AFTER), "DATETIME_FORMAT")}
        )
    draft.state, draft.effective_from = VersionState.APPROVED, starts_at
    draft.approved_by, draft.approved_at = by, at
    draft.save(update_fields=["state", "effective_from", "approved_by", "approved_at"])
    _recorded(draft, "approved", by=by, at=at, starts_at=starts_at.isoformat(), content_hash=draft.content_hash)
    return draft


def ref_of(version: PolicyVersion) -> str:
    """What history entries call a version."""
    return f"policy:{version.number}"


def _draft(number: int) -> PolicyVersion:
    """Hold a draft; its fingerprint is that of the rules it has now, whatever was stored."""
    draft = PolicyVersion.objects.select_for_update(of=("self",), no_key=True).get(number=number)
    _require_draft(draft)
    draft.content_hash = policy.content_hash(draft.as_policy().rules)
    return draft


def _require_draft(version: PolicyVersion) -> None:
    if not NEXT_STATE[VersionState(version.state)]:
        raise WrongVersionState(
            _("%(version)s is %(state)s and does not change any more. A copy of it can be drafted.")
            % {"version": version, "state": version.get_state_display()}
        )


def _require_checks(draft: PolicyVersion) -> None:
    if draft.checks is None:
        raise DraftNotChecked(_("Please let the machine check the draft first."))
    if draft.checks["content_hash"] != draft.content_hash:
        raise DraftChangedSinceCheck(_("The rules were changed since they were checked. Please check them again."))
    if not draft.checks["passed"]:
        raise DraftFailedChecks(_("The checks found something. Please correct it first; it stands on this page."))


def _rule(draft: PolicyVersion, code: str) -> PolicyRule:
    row = draft.rules.filter(code=code).first()
    if row is None:
        raise NoSuchRule(_("The draft has no rule “%(code)s” any more.") % {"code": code})
    return row


def _columns(rule: Rule) -> dict[str, Any]:
    return {
        "when": {name: dict(condition) for name, condition in rule.when.items()},
        "remedies": list(rule.remedies),
        "goodwill": rule.goodwill,
        "within_minutes": dict(rule.within),
        "severity": rule.severity,
        "because": rule.because.strip(),
    }


def _fingerprinted(draft: PolicyVersion, *, by: User) -> None:
    """Note what the rules are now and who had a hand in them."""
    draft.content_hash = policy.content_hash(
        [row.as_rule() for row in PolicyRule.objects.filter(version=draft).order_by("position")]
    )
    draft.edited_by = [*draft.edited_by, *([by.pk] if by.pk not in draft.edited_by else [])]
    draft.save(update_fields=["content_hash", "edited_by"])


def _recorded(version: PolicyVersion, what: str, *, by: User, at: datetime, **detail: Any) -> None:
    history.record(None, f"policy.{what}", ref=ref_of(version), by=by, at=at, detail=detail)
