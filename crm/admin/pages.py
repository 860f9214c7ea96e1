"""What the admin's own pages share: who may see them, what surrounds them, refusals in words, and paging by key."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import BooleanField, F, Func, Value
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from crm.actions import (
    adverse,
    answers,
    asking,
    belongings,
    bereavement,
    calendars,
    call_backs,
    calls,
    capture,
    channel_accounts,
    closing_lines,
    consent,
    custom_fields,
    customers,
    desk,
    doubts,
    drafts,
    elsewhere,
    endings,
    erasure,
    feeds,
    files,
    forms,
    handoffs,
    households,
    identity,
    identity_checks,
    in_public,
    intake,
    joining,
    judgements,
    letters,
    life_events,
    listening_places,
    mailboxes,
    outgoing,
    owners,
    packages,
    partings,
    persons,
    promises,
    questions,
    queue,
    reach,
    removals,
    representatives,
    retention,
    rota,
    routing,
    service_changes,
    set_aside,
    staff,
    stages,
    statements,
    talks,
    undo,
    waits,
    work,
)
from crm.models import User
from crm.policy import NoSuchTime, UnusableCalendar
from crm.policy.fields import UnusableField

Result = TypeVar("Result")
View = Callable[..., HttpResponseBase]

REFUSALS: tuple[type[Exception], ...] = (
    UnusableCalendar,
    calendars.NoSuchRegion,
    calendars.StartsTooSoon,
    asking.AlreadyAsking,
    asking.UnusableAsking,
    adverse.Involved,
    adverse.NeedsSecondPerson,
    adverse.WrongStep,
    call_backs.CallOver,
    call_backs.NoNumber,
    call_backs.NothingToTry,
    calls.NotAnswered,
    calls.WrittenDown,
    capture.AlreadyHeard,
    capture.WrongRating,
    closing_lines.MayNotStand,
    closing_lines.TooEarly,
    closing_lines.WordsMissing,
    closing_lines.WrongStep,
    consent.CannotBeAllowed,
    consent.EvidenceMissing,
    custom_fields.FieldKnown,
    custom_fields.RecordClosed,
    UnusableField,
    customers.NoSuchDay,
    customers.NotALanguage,
    letters.Unfilled,
    listening_places.PlaceKnown,
    listening_places.UnusablePlace,
    staff.UnusableSignature,
    owners.AlreadyOwned,
    queue.NotNext,
    queue.InWork,
    queue.NotHeld,
    routing.Refused,
    in_public.OtherVisibility,
    in_public.TellsPersonalThings,
    in_public.NothingToLookAt,
    in_public.NeedsAnother,
    handoffs.NotYours,
    handoffs.HandOffLocked,
    handoffs.AlreadyOffered,
    handoffs.NotOffered,
    retention.UnusableRule,
    rota.NotPossible,
    doubts.AlreadySettled,
    NoSuchTime,
    answers.NewerSaid,
    answers.NotThen,
    answers.TooLong,
    answers.WindowClosed,
    elsewhere.AnswerHere,
    elsewhere.SignOffMissing,
    drafts.NotShared,
    drafts.Changed,
    undo.NotTheirs,
    undo.PartOfMore,
    undo.TooLate,
    desk.NoWayBack,
    desk.StillPromised,
    desk.WrongState,
    endings.NotTriedEnough,
    endings.ReasonMissing,
    endings.SamePerson,
    erasure.NotErasable,
    erasure.Restricted,
    erasure.WordsMissing,
    feeds.FeedKnown,
    feeds.UnusableFeed,
    files.FileInfected,
    files.NotKeptApart,
    forms.UnusableForm,
    identity.UnusableAddress,
    identity_checks.AlreadyAsked,
    identity_checks.CheckSettled,
    identity_checks.CodeAlone,
    identity_checks.NothingProved,
    identity_checks.NotThatCode,
    identity_checks.ReasonNeeded,
    identity_checks.TooManyCodes,
    intake.DifferentContent,
    intake.NothingSaid,
    joining.NotJoinable,
    judgements.AlreadyJudged,
    judgements.WrongReason,
    reach.Hidden,
    removals.NotALink,
    removals.SamePerson,
    removals.WordsMissing,
    removals.WrongStep,
    mailboxes.MailboxKnown,
    mailboxes.UnusableMailbox,
    channel_accounts.AccountKnown,
    channel_accounts.UnusableAccount,
    outgoing.DifferentContent,
    outgoing.WrongState,
    packages.AddressIsNew,
    packages.NoPackage,
    packages.NotProved,
    packages.NoteMissing,
    partings.NotPartable,
    belongings.StayTogether,
    bereavement.AlreadyReported,
    bereavement.NothingToDecide,
    households.NotAHousehold,
    households.NotAMember,
    life_events.NeedsAName,
    life_events.NotGiven,
    life_events.NothingOpen,
    life_events.ToldElsewhere,
    representatives.NotPlaceable,
    representatives.NotTold,
    representatives.UnusableAuthority,
    persons.NotMergeable,
    persons.OpensToAccount,
    persons.TooLateToPart,
    promises.NotAMoment,
    promises.NotMissed,
    promises.NotReleasable,
    promises.WordsMissing,
    service_changes.NotEnded,
    service_changes.OtherChange,
    service_changes.TheirsToKeep,
    service_changes.UnknownCustomer,
    service_changes.UnusableChange,
    questions.NotAskable,
    set_aside.NotSetAside,
    stages.RoleStands,
    stages.StageStands,
    stages.WordsNeeded,
    statements.Contradicts,
    waits.AlreadyWaiting,
    waits.NotWaiting,
    talks.NotTheirMatter,
    talks.NotYet,
    work.NotParked,
)
"""What crm's actions may answer instead of acting; each says in its words what stands in the way."""


def page(*permissions: str, methods: Sequence[str] = ("GET", "POST")) -> Callable[[View], View]:
    """Make a view a page of the admin: behind the log-in, for accounts that have every named right, 403 for others."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return require_http_methods([*methods, *(["HEAD"] if "GET" in methods else [])])(view)(
                request, *args, **kwargs
            )

        @wraps(view)
        def behind_login(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.user.is_authenticated and not request.user.is_staff:
                raise PermissionDenied
            return admin.site.admin_view(guarded)(request, *args, **kwargs)

        return behind_login

    return decorate


def colleague(request: HttpRequest) -> User:
    """The account that is logged in; pages are behind the log-in."""
    return cast(User, request.user)


def require(request: HttpRequest, permission: str) -> None:
    """Refuse a change that this account may not make."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def render(request: HttpRequest, template: str, title: str, *, status: int = 200, **context: Any) -> TemplateResponse:
    """Show a page inside the admin's frame. A form that was sent and has mistakes is a refusal (400), as at the API."""
    if status == 200 and request.method == "POST" and any(map(_has_mistakes, context.values())):
        status = 400
    request.current_app = admin.site.name
    surroundings = admin.site.each_context(request)
    return TemplateResponse(
        request, template, {**surroundings, "title": title, "is_fullwidth": "1", **context}, status=status
    )


def _has_mistakes(shown: Any) -> bool:
    return isinstance(shown, BaseForm) and shown.is_bound and not shown.is_valid()


class Refused(str):
    """What stands in the way, in words. code: of the refusal, "" where it has none."""

    __slots__ = ("code",)
    code: str

    @classmethod
    def by(cls, refusal: Exception) -> Refused:
        said = cls(refusal)
        said.code = getattr(refusal, "code", "")
        return said


def tried(act: Callable[[], Result], *, refusals: tuple[type[Exception], ...] = REFUSALS) -> tuple[Result | None, str]:
    """Make one action call. Gives its result and "", or None and what stands in the way, in words."""
    try:
        return act(), ""
    except refusals as refusal:
        if isinstance(refusal, intake.DifferentContent):  # its own words are for programs
            return None, _("Your first words are written down already. To write down more, please open this page anew.")
        return None, Refused.by(refusal)
    except OperationalError:
        return None, _("A colleague is working on this at the same moment. Nothing was changed; please try again.")


def say(request: HttpRequest, refused: str, done: str) -> None:
    """Tell how an action went."""
    if refused:
        messages.warning(request, refused)
    else:
        messages.success(request, done)


def fresh_key() -> str:
    """Make the key that a form carries, so that sending it twice is one change."""
    return str(uuid.uuid4())


# --- paging by key --------------------------------------------------------------------------------------------------


class _Row(Func):
    template = "(%(expressions)s)"
    output_field = BooleanField()


class _Beyond(Func):
    template = "%(expressions)s"
    output_field = BooleanField()


def beyond(fields: Sequence[str], values: Sequence[Any], *, descending: bool = False) -> Func:
    """The condition that a row comes after the given sort key, as one row comparison that an index can answer."""
    return _Beyond(
        _Row(*(F(field) for field in fields)),
        _Row(*(Value(value) for value in values)),
        arg_joiner=" < " if descending else " > ",
    )


def write_key(*values: int | str | datetime) -> str:
    """Write the sort key of a page's last row for the address of the next page."""
    return "~".join(value.isoformat() if isinstance(value, datetime) else str(value) for value in values)


def read_key(request: HttpRequest, *kinds: type, name: str = "after") -> list[Any] | None:
    """Read such a key; None on the first page, and for a key that is not one of ours."""
    parts = request.GET.get(name, "").split("~")
    if len(parts) != len(kinds):
        return None
    values: list[Any] = []
    for part, kind in zip(parts, kinds, strict=True):
        try:
            value = datetime.fromisoformat(part) if kind is datetime else kind(part)
        except ValueError:
            return None
        if isinstance(value, datetime) and value.tzinfo is None:
            return None
        if isinstance(value, int) and abs(value) >= 2**63:
            return None
        values.append(value)
    return values
