"""How conversations end and come back: closed, dismissed with a reason, gone quiet after real tries, opened again."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm import history
from crm.actions import posts, promises, work
from crm.models import (
    Closing,
    ContactPoint,
    Continuation,
    Conversation,
    Dismissal,
    Interaction,
    OutgoingMessage,
    Outreach,
    Owed,
    Promise,
    User,
)
from crm.policy import (
    MEDIA_BEFORE_QUIET,
    ConversationState,
    DismissalReason,
    HowClosed,
    OutgoingState,
    PromiseState,
    Verdict,
    has_fallen_silent,
    is_the_same_matter,
    sample,
    still_wanted,
)
from crm.policy.closing_lines import CONCERNS


class WrongState(Exception):
    """The conversation cannot go from its state to the wanted one, or not in this way."""

    code = "wrong_state"


class SamePerson(Exception):
    """This needs somebody else than the person who acted before."""

    code = "same_person"


class ReasonMissing(ValueError):
    """This needs a reason in words."""

    code = "reason_missing"


class NotTriedEnough(Exception):
    """The customer was not tried often enough, or not on enough media, to count as gone quiet."""

    code = "not_tried_enough"


# --- closing and coming back ----------------------------------------------------------------------------------------


def closed(conversation: Conversation, how: HowClosed, *, reason: str, by: User, at: datetime) -> Closing:
    """Close a conversation and keep how. The conversation must be locked by the caller.

    reason: why it is settled now; needed when it came back within two weeks, and then another person closes it (R139).
    Raises SamePerson, ReasonMissing; then nothing has changed.
    """
    before = Closing.objects.filter(conversation=conversation).order_by("-id").first()
    not_by = None
    if before is not None and before.reopened_at and is_the_same_matter(before.at, at=before.reopened_at):
        not_by = before.closed_by_id
        if not_by == by.pk:
            raise SamePerson(
                _("It came back after you had closed it. Please let a colleague see whether it is settled now.")
            )
        if not reason.strip():
            raise ReasonMissing(_("It came back within two weeks. Please write why it is settled this time."))
    conversation.state = ConversationState.CLOSED
    conversation.save(update_fields=["state"])
    return Closing.objects.create(
        conversation=conversation, how=how, reason=reason.strip(), closed_by=by, at=at, not_by_id=not_by
    )


def comes_back(conversation: Conversation, *, at: datetime) -> None:
    """Note that a closed conversation is open again. Locked by the caller, who opens it."""
    for standing in Closing.objects.filter(conversation=conversation, reopened_at=None):
        standing.reopened_at = max(at, standing.at)
        standing.save(update_fields=["reopened_at"])


def settled_between(since: datetime, until: datetime) -> Q:
    """Which conversations are settled since then: closed after an answer, or what EVENHAND_SETTLED_BY names, and not come back.

    since is left out, until counts. What was dismissed or went quiet is not among them.
    """
    closings = Closing.objects.filter(how=HowClosed.CLOSED, reopened_at=None, at__gt=since, at__lte=until)
    settled = Q(pk__in=closings.values("conversation"))
    for name in settings.EVENHAND_SETTLED_BY:
        settled |= Q(pk__in=import_string(name)(since, until))
    return settled


def is_long_closed(conversation: Conversation, *, at: datetime) -> bool:
    """Say whether a conversation was closed so long ago that what comes now is a new matter (X18)."""
    if conversation.state != ConversationState.CLOSED:
        return False
    standing = Closing.objects.filter(conversation=conversation).order_by("-id").first()
    return standing is not None and not is_the_same_matter(standing.at, at=at)


@transaction.atomic
def open_again(conversation_id: int, *, by: User, at: datetime, origin: str = "admin") -> Conversation:
    """Open a closed conversation again with the same owner; one closed over two weeks ago goes on in a new one (X18).

    The customer is promised news either way. Raises Conversation.DoesNotExist, WrongState; then nothing has changed.
    """
    conversation = _locked(conversation_id)
    if conversation.state != ConversationState.CLOSED:
        raise WrongState(_("This conversation is open."))
    if is_long_closed(conversation, at=at):
        return go_on_in_a_new_one(conversation.pk, by=by, at=at, origin=origin)
    return _reopen(conversation, by=by, at=at, origin=origin)


def _reopen(conversation: Conversation, *, by: User | None, at: datetime, origin: str) -> Conversation:
    comes_back(conversation, at=at)
    _waits_for_us(conversation, at=at)
    _record(conversation, "conversation.reopened", by=by, at=at, origin=origin)
    return conversation


def runs_on(conversation: Conversation, *, by: User, at: datetime) -> None:
    """Open a closed conversation again with the promises it has, which were never to be let go. Locked by the caller."""
    conversation.state = ConversationState.OPEN
    promises.settle_due(conversation, at=at)
    _reopen(conversation, by=by, at=at, origin="admin")


@transaction.atomic
def wait_for_us(conversation_id: int, *, by: User | None, at: datetime) -> Conversation:
    """Let a conversation wait for us, whatever its state is; a closed one comes back. Raises Conversation.DoesNotExist."""
    conversation = _locked(conversation_id)
    if conversation.state == ConversationState.CLOSED:
        return _reopen(conversation, by=by, at=at, origin="")
    _waits_for_us(conversation, at=at)
    return conversation


def _waits_for_us(conversation: Conversation, *, at: datetime) -> None:
    conversation.state = ConversationState.OPEN
    promises.keep_running(conversation, at=at)
    conversation.save(update_fields=["state", "due_at"])


@transaction.atomic
def go_on_in_a_new_one(conversation_id: int, *, by: User | None, at: datetime, origin: str = "") -> Conversation:
    """Begin a new matter that is linked to an old one, with its owner; news is promised. Raises Conversation.DoesNotExist."""
    before = _locked(conversation_id)
    following = Conversation.objects.create(
        customer=before.customer,
        owner_id=before.owner_id,
        subject=before.subject,
        channel=before.channel,
        state=ConversationState.WAITING,
        spoke_at=at,
    )
    _waits_for_us(following, at=at)
    Continuation.objects.create(conversation=following, continues=before)
    _record(following, "conversation.opened", by=by, at=at, origin=origin, continues=str(before.public_id))
    return following


# --- dismissed ------------------------------------------------------------------------------------------------------


@transaction.atomic
def dismiss(
    conversation_id: int,
    *,
    reason: DismissalReason,
    by: User,
    at: datetime,
    same_as: Conversation | None = None,
    with_case: bool = False,
) -> Dismissal:
    """End a conversation without an answer, for a coded reason; the only end besides an answer and a case (R010).

    same_as: the matter in which the same thing is looked after, needed for a duplicate. What was promised is let go: it counts
    neither as kept nor as missed; what was missed before stays missed. with_case: whoever keeps its case ends that too.
    Raises Conversation.DoesNotExist, WrongState, SamePerson; then nothing has changed.
    """
    conversation = _locked(conversation_id)
    if conversation.state == ConversationState.CLOSED:
        raise WrongState(_("This conversation is already closed."))
    if not with_case and Owed.objects.filter(conversation=conversation).exists():
        raise WrongState(_("A case hangs on this conversation. Please end it on the page of its case."))
    if (reason == DismissalReason.DUPLICATE) != (same_as is not None):
        raise WrongState(_("Please name the other conversation for a duplicate, and only for that."))
    if same_as is not None and (same_as.pk == conversation.pk or same_as.customer_id != conversation.customer_id):
        raise WrongState(_("A duplicate is the same as another conversation of the same customer."))
    closed(conversation, HowClosed.DISMISSED, reason=str(reason.label), by=by, at=at)
    _let_go(conversation, at=at)
    dismissal = Dismissal.objects.create(
        conversation=conversation, reason=reason, same_as=same_as, dismissed_by=by, at=at
    )
    posts.dismissed(dismissal, by=by, at=at)
    _record(conversation, "conversation.dismissed", by=by, at=at, reason=reason.value)
    return dismissal


def _let_go(conversation: Conversation, *, at: datetime) -> None:
    Promise.objects.filter(conversation=conversation).running().update(state=PromiseState.RELEASED)
    promises.settle_due(conversation, at=at)


@transaction.atomic
def sample_dismissals(at: datetime) -> int:
    """Draw the dismissals that somebody else looks at again, one in ten per month and first channel, the same every time.

    at: now; every month, UTC, that ended within a year is drawn, so that a night that was missed is made up for.
    Returns how many are drawn in all those months.
    """
    ends = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows = Dismissal.objects.filter(at__gte=ends.replace(year=ends.year - 1), at__lt=ends).order_by("id")
    for dismissed_at, channel, number in rows.values_list("at", "conversation__channel", "public_id").iterator():
        groups[f"{dismissed_at.astimezone(UTC):%Y-%m}", channel].append(str(number))
    drawn: dict[str, list[str]] = defaultdict(list)
    for (month, _channel), numbers in groups.items():
        drawn[month] += sample(numbers, month=month)
    for month, numbers in drawn.items():
        Dismissal.objects.filter(public_id__in=numbers, sampled_for="").update(sampled_for=month)
    return sum(len(numbers) for numbers in drawn.values())


@transaction.atomic
def put_before_second_person(conversation_id: int, *, at: datetime) -> None:
    """Let a second person look at a dismissal that was not drawn, because somebody doubts it; nothing where they have looked."""
    doubted = Dismissal.objects.filter(conversation=conversation_id, sampled_for="", verdict="")
    doubted.update(sampled_for=f"{at.astimezone(UTC):%Y-%m}")


@transaction.atomic
def audit(dismissal_id: int, *, verdict: Verdict, by: User, at: datetime) -> Dismissal:
    """Look at a drawn dismissal again; one that was wrong opens its conversation, and its promises run on as they were.

    Raises Dismissal.DoesNotExist, WrongState, SamePerson; then nothing has changed.
    """
    dismissal = Dismissal.objects.select_for_update(of=("self",)).get(pk=dismissal_id)
    if not dismissal.sampled_for or dismissal.verdict:
        raise WrongState(_("This one was not drawn, or has been looked at."))
    if dismissal.dismissed_by_id == by.pk:
        raise SamePerson(_("You dismissed this one yourself. Please let a colleague look at it."))
    conversation = _locked(dismissal.conversation_id)
    dismissal.verdict, dismissal.audited_by, dismissal.audited_at = verdict, by, at
    dismissal.save(update_fields=["verdict", "audited_by", "audited_at"])
    _record(conversation, "dismissal.audited", by=by, at=at, verdict=verdict.value)
    if verdict == Verdict.WRONG:
        posts.wrongly_dismissed(dismissal, by=by, at=at)
    if verdict == Verdict.WRONG and conversation.state == ConversationState.CLOSED:
        Promise.objects.filter(conversation=conversation, state=PromiseState.RELEASED).update(
            state=PromiseState.RUNNING
        )
        runs_on(conversation, by=by, at=at)
        work.follow("dismissal.overturned", ref=f"conversation:{conversation.public_id}", at=at)
    return dismissal


# --- gone quiet -----------------------------------------------------------------------------------------------------


@transaction.atomic
def log_try(conversation_id: int, *, medium: str, note: str, by: User, at: datetime) -> Outreach:
    """Note one try to reach a customer who fell silent. Raises Conversation.DoesNotExist, ReasonMissing, WrongState."""
    conversation = _locked(conversation_id)
    if conversation.state == ConversationState.CLOSED:
        raise WrongState(_("This conversation is closed; open it again before you go on."))
    if not note.strip():
        raise ReasonMissing(_("Please note what came of it, for example “nobody picked up”."))
    outreach = Outreach.objects.create(
        conversation=conversation, medium=medium, note=note.strip()[:300], tried_by=by, at=at
    )
    _record(conversation, "conversation.tried", by=by, at=at, medium=medium)
    return outreach


def media_tried(conversation: Conversation) -> list[str]:
    """The medium of every try to reach a customer since they last spoke: accepted messages of ours and logged tries.

    A public closing line and the word about it ask for no reply, so their silence says nothing.
    """
    since = conversation.last_inbound_at or conversation.spoke_at
    sent = (
        OutgoingMessage.objects.filter(conversation=conversation, state=OutgoingState.ACCEPTED, created_at__gte=since)
        .exclude(concerns__startswith=CONCERNS)
        .order_by("id")
    )
    logged = Outreach.objects.filter(conversation=conversation, at__gt=since).order_by("id")
    return [*sent.values_list("channel", flat=True), *logged.values_list("medium", flat=True)]


def is_silent(conversation: Conversation) -> bool:
    """Whether a customer has stopped replying, so that their matter may not be called settled (R013)."""
    since = conversation.last_inbound_at or conversation.spoke_at
    logged = Outreach.objects.filter(conversation=conversation, at__gt=since).count()
    return has_fallen_silent(logged_tries=logged, unanswered=len(media_tried(conversation)) - logged)


@transaction.atomic
def go_quiet(conversation_id: int, *, note: str, by: User, at: datetime, with_case: bool = False) -> Conversation:
    """Close a conversation whose customer could not be reached any more: never as settled, only after real tries (R013).

    note: what was tried; needed where they gave us one medium only. with_case: whoever keeps its case ends that too.
    Raises Conversation.DoesNotExist, WrongState, NotTriedEnough, ReasonMissing, SamePerson; then nothing has changed.
    """
    conversation = _locked(conversation_id)
    if conversation.state == ConversationState.CLOSED:
        raise WrongState(_("This conversation is already closed."))
    if not with_case and Owed.objects.filter(conversation=conversation).exists():
        raise WrongState(_("A case hangs on this conversation. Please end it on the page of its case."))
    tried = media_tried(conversation)
    given = ContactPoint.objects.filter(customer=conversation.customer, unlinked_at=None)
    tries, media = still_wanted(tried, media_given=given.values("kind").distinct().count())
    if tries:
        raise NotTriedEnough(
            ngettext(
                "Please try once more before this ends.", "Please try %(tries)s more times before this ends.", tries
            )
            % {"tries": tries}
        )
    if media:
        raise NotTriedEnough(_("Please try them another way as well: they gave us more than one."))
    if len(set(tried)) < MEDIA_BEFORE_QUIET and not note.strip():
        raise ReasonMissing(_("They gave us only one way to reach them. Please note what you tried."))
    _let_go(conversation, at=at)
    closed(conversation, HowClosed.WENT_QUIET, reason=note or _("no answer to any try"), by=by, at=at)
    _record(conversation, "conversation.went_quiet", by=by, at=at, tries=len(tried), media=len(set(tried)))
    return conversation


# --- shared ---------------------------------------------------------------------------------------------------------


def wrote_or_owns(conversations: list[int], *, person: User) -> bool:
    """Whether a colleague owns one of these conversations, or said or noted anything in them."""
    return (
        Conversation.objects.filter(pk__in=conversations, owner=person).exists()
        or Interaction.objects.filter(conversation__in=conversations, author=person).exists()
    )


def _locked(conversation_id: int) -> Conversation:
    return Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)


def _record(
    conversation: Conversation, verb: str, *, by: User | None, at: datetime, origin: str = "", **detail: str | int
) -> None:
    ref = f"conversation:{conversation.public_id}"
    history.record(conversation.customer, verb, ref=ref, by=by, at=at, origin=origin, detail=detail)
