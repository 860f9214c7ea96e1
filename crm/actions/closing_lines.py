"""A short public last word, where a matter that began in public was settled in private (R128, docs/adr/0047).

It is proposed when the matter is settled. A colleague tells the customer which words are planned; a day later, unless they said no
with one click, a colleague can write these words below the post. Nothing stands in public by itself.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import Final

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from crm.actions import (
    answers,
    belongings,
    closing_stops,
    endings,
    identity,
    in_public,
    intake,
    lease,
    letters,
    ways,
    work,
)
from crm.actions.closing_stops import ref_of
from crm.channels import PUBLIC, Channel, Message
from crm.models import ClosingLine, ContactPoint, Conversation, Interaction, OutgoingMessage, User
from crm.models.people import ContactKind
from crm.policy import Direction, OutgoingState
from crm.policy.closing_lines import (
    LAPSES_AFTER,
    LONGEST,
    PASSES,
    PROPOSED_WITHIN,
    REASONS,
    STANDING,
    LineState,
)

logger = logging.getLogger(__name__)

LANE: Final = "closing_lines"
SOURCE: Final = "closing_line"
LOOKED_AT_ONCE: Final = 200
HEARD_LATELY: Final = 10
NOT_LEFT: Final = (
    OutgoingState.READY,
    OutgoingState.CLAIMED,
    OutgoingState.HELD,
    OutgoingState.PARKED,
    OutgoingState.REFUSED,
)


class WrongStep(Exception):
    """Not from here."""

    code = "wrong_step"


class TooEarly(Exception):
    """The customer has not been told yet, or not long enough ago."""

    code = "too_early"


class MayNotStand(Exception):
    """Something stands in the way of a line in public; `reason` is a key of policy REASONS."""

    code = "may_not_stand"

    def __init__(self, reason: str) -> None:
        super().__init__(_("This line cannot be written: %(why)s.") % {"why": REASONS[reason]})
        self.reason = reason


class WordsMissing(ValueError):
    """This has to be said in words, and briefly."""

    code = "words_missing"


class UnknownLink(Exception):
    """A link that we did not write, or of somebody who was forgotten."""

    code = "unknown_link"


# --- proposed -----------------------------------------------------------------------------------------------------------


def settled(conversation: Conversation, *, at: datetime) -> None:
    """Let a line be proposed soon where a matter that was settled in this moment began in public. In the caller's transaction."""
    if conversation.channel in PUBLIC and not conversation.imported:
        work.follow("matter.settled", ref=f"conversation:{conversation.public_id}", at=at)


def work_batch(*, at: datetime) -> int:
    """Propose lines for matters that were settled a moment ago. Returns how many were looked at."""
    return work.work_batch(LANE, _settled, at=at)


def _settled(event: str, ref: str, at: datetime) -> None:
    propose(Conversation.objects.get(public_id=uuid.UUID(ref.partition(":")[2])).pk, at=at)


@transaction.atomic
def propose(conversation_id: int, *, at: datetime) -> ClosingLine | None:
    """Propose a line for a settled matter that began in public; the one that stands is returned as it is. Safe to repeat.

    Where none can be, that is written down with the reason. None where the matter did not begin in public or is not settled.
    Raises Conversation.DoesNotExist; then nothing has changed.
    """
    conversation = _matter(conversation_id)
    post = _began_with(conversation)
    if post is None or not _candidates(at).filter(pk=conversation.pk).exists():
        return None
    standing = _with_words(
        ClosingLine.objects.select_for_update(of=("self",)).filter(conversation=conversation)
    ).first()
    if standing is not None and standing.is_standing and closing_stops.reason_of(standing, at=at) == "came_back":
        closing_stops.stop(standing, "came_back", at=at)
    if standing is not None and standing.reason != "came_back":
        return standing
    reason = _why_impossible(conversation, post, at=at)
    line = ClosingLine(
        conversation=conversation,
        post=post,
        text=words_for(conversation.customer.language),
        state=LineState.STOPPED if reason else LineState.PROPOSED,
        reason=reason,
        proposed_at=at,
    )
    line.save(force_insert=True)
    if not reason:
        closing_stops.record(line, "closing_line.proposed", by=None, at=at)
    return line


def words_for(language: str) -> str:
    """The proposed words in a customer's language: true of every matter whatever came of it, so that they tell nothing of it."""
    with translation.override(letters.language_for(language)):
        return _("We have looked into this with you directly and answered you there. Thank you for telling us.")


def _began_with(conversation: Conversation) -> Interaction | None:
    """What was said in public by which a matter began; None where it began otherwise."""
    if conversation.channel not in PUBLIC:
        return None
    said = Interaction.objects.filter(
        conversation=conversation, direction=Direction.INBOUND, channel__in=sorted(PUBLIC)
    )
    return said.select_related("contact_point").order_by("spoke_at", "pk").first()


def _candidates(at: datetime) -> QuerySet[Conversation]:
    """Matters that began in public and were settled lately after an answer."""
    return Conversation.objects.filter(
        endings.settled_between(at - PROPOSED_WITHIN, at),
        channel__in=sorted(PUBLIC),
        imported=False,
        first_answer_at__isnull=False,
    )


def _why_impossible(conversation: Conversation, post: Interaction, *, at: datetime) -> str:
    ours = Interaction.objects.filter(conversation=conversation, direction=Direction.OUTBOUND).that_stand()
    newest = ours.order_by("-spoke_at", "-pk").first()
    if newest is not None and newest.channel in PUBLIC:
        return "ended_in_public"
    try:
        _public_way(post, at=at)
    except (ways.NoWayBack, ways.WindowClosed):
        return "no_account"
    try:
        _private_way(conversation, at=at)
    except (ways.NoWayBack, ways.WindowClosed):
        return "no_private_way"
    return ""


def _public_way(post: Interaction, *, at: datetime) -> ways.Way:
    """How the post itself is answered, whatever was said after it. Raises ways.NoWayBack, ways.WindowClosed."""
    way = ways.way_among([post], (), at=at)
    if not way.is_public:
        raise ways.NoWayBack(_("No account of ours can answer where they wrote."))
    return way


def _private_way(conversation: Conversation, *, at: datetime) -> ways.Way:
    """How something reaches the customer alone: as they last wrote in private here, else by mail. Raises as `_public_way`."""
    heard = _heard(conversation).exclude(channel__in=sorted(PUBLIC)).filter(other_address="")
    points = ContactPoint.objects.filter(customer=conversation.customer, unlinked_at=None, unconfirmed_since=None)
    mails = points.filter(kind=ContactKind.EMAIL).order_by(F("verified_at").asc(nulls_last=True), "pk")
    return ways.way_among(heard[:HEARD_LATELY], mails[:1], at=at)


def _heard(conversation: Conversation) -> QuerySet[Interaction]:
    said = Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
    return said.select_related("contact_point").order_by("-spoke_at", "-pk")


# --- told and written ---------------------------------------------------------------------------------------------------


@transaction.atomic
def tell(line_id: int, *, text: str, by: User, at: datetime) -> ClosingLine:
    """Tell the customer alone which words are planned, with a link by which they say no; those words and no others can follow.

    Other words later are told anew, and the day to say no begins again. The same words twice are told once.
    Raises ClosingLine.DoesNotExist, WrongStep, WordsMissing, MayNotStand, routing.NotCertified, in_public.TellsPersonalThings,
    letters.Unfilled, statements.Contradicts, ways.NoWayBack, ways.WindowClosed, ways.TooLong; then nothing has changed.
    """
    line = _locked(line_id, *STANDING)
    said = " ".join(text.split())
    if not said:
        raise WordsMissing(_("There are no words in this line yet."))
    if len(said) > LONGEST:
        raise WordsMissing(_("Please say it in at most %(most)d characters.") % {"most": LONGEST})
    if line.state == LineState.TOLD and line.text == said:
        return line
    letters.check_blanks(said)
    _check(line, said, by=by, at=at)
    way = _private_way(line.conversation, at=at)
    line.text = said
    words = _private_words(line)
    ways.check_fits(way, words, leaves_at=at)
    line.word, line.state = _say(line, words, way=way, by=by, at=at), LineState.TOLD
    line.save(update_fields=["text", "word", "state"])
    closing_stops.record(line, "closing_line.told", by=by, at=at)
    return line


@transaction.atomic
def post(line_id: int, *, by: User, at: datetime) -> ClosingLine:
    """Write a line below the post, where everybody can read it; whoever asks for it knows that. Twice is once.

    It is looked at once more in the moment it leaves. Raises ClosingLine.DoesNotExist, WrongStep, TooEarly, MayNotStand,
    routing.NotCertified, in_public.TellsPersonalThings, ways.NoWayBack, ways.WindowClosed, ways.TooLong; then nothing has changed.
    """
    line = _locked(line_id, LineState.TOLD, LineState.POSTED)
    if line.state == LineState.POSTED:
        return line
    stands_from = line.may_stand_from
    if stands_from is None:
        raise TooEarly(_("The word to the customer has not reached them yet, so they could not say no."))
    if at < stands_from:
        when = date_format(timezone.localtime(stands_from), "D j M, H:i")
        raise TooEarly(_("The customer can say no until %(when)s. Please wait until then.") % {"when": when})
    way = _check(line, line.text, by=by, at=at)
    line.message = _say(line, line.text, way=way, by=by, at=at)
    line.state, line.decided_by, line.decided_at = LineState.POSTED, by, at
    line.save(update_fields=["message", "state", "decided_by", "decided_at"])
    closing_stops.record(line, "closing_line.posted", by=by, at=at)
    return line


@transaction.atomic
def drop(line_id: int, *, because: str, by: User, at: datetime) -> ClosingLine:
    """Leave a line out. Raises ClosingLine.DoesNotExist, WrongStep, WordsMissing; then nothing has changed."""
    if not because.strip():
        raise WordsMissing(_("Please write why it is better left out."))
    line = _locked(line_id, *STANDING)
    line.state, line.because = LineState.DROPPED, because.strip()[:300]
    line.decided_by, line.decided_at = by, at
    line.save(update_fields=["state", "because", "decided_by", "decided_at"])
    closing_stops.record(line, "closing_line.dropped", by=by, at=at)
    return line


def _check(line: ClosingLine, text: str, *, by: User, at: datetime) -> ways.Way:
    """See that words may stand in public now, and how they get there."""
    reason = closing_stops.reason_of(line, at=at)
    if reason:
        raise MayNotStand(reason)
    heard = _heard(line.conversation).filter(channel__in=sorted(PUBLIC))[:HEARD_LATELY]
    released = in_public.check(line.conversation, heard, text, is_public=True, agreed=True, by=by, at=at)
    for entry in released:
        entry.save(force_insert=True)
    way = _public_way(line.post, at=at)
    ways.check_fits(way, text, leaves_at=at)
    return way


def _say(line: ClosingLine, text: str, *, way: ways.Way, by: User, at: datetime) -> OutgoingMessage:
    conversation, concerns = line.conversation, ref_of(line)
    times = OutgoingMessage.objects.filter(conversation=conversation, concerns=concerns).count()
    heard = list(_heard(conversation)[:HEARD_LATELY])
    return answers.say(
        conversation,
        text=text,
        way=way,
        by=by,
        at=at,
        key=f"{concerns}:{times + 1}",
        origin="",
        concerns=concerns,
        meets=[],
        template="closing_line",
        thread=[said.message_id for said in reversed(heard) if said.message_id],
    )


def _private_words(line: ClosingLine) -> str:
    told = {"line": line.text, "link": no_link(line)}
    with translation.override(letters.language_for(line.conversation.customer.language)):
        return (
            _(
                "One more thing. You first told us about this where everybody can read it. So that others see there that it was "
                "answered, we would like to write one short line below it:\n\n“%(line)s”\n\nIt says nothing about you and nothing "
                "about what we settled. If you would rather not, please say so here within a day; one press of a button is "
                "enough, and you need not say why: %(link)s\n\nOtherwise there is nothing for you to do."
            )
            % told
        )


# --- the customer says no -----------------------------------------------------------------------------------------------


@cache
def _signer(key: str) -> signing.Signer:
    return signing.Signer(key=key, salt="crm.closing_line.no")


def no_link(line: ClosingLine) -> str:
    """The page on which the customer says that this one line is not to be; it opens nothing else."""
    return f"{settings.PUBLIC_URL}/in-public/{_signer(settings.SECRET_KEY).sign(line.public_id.hex)}/"


def opened(token: str) -> ClosingLine:
    """The line that a link belongs to, with its matter. Changes nothing. Raises UnknownLink."""
    try:
        public_id = uuid.UUID(_signer(settings.SECRET_KEY).unsign(token))
    except (signing.BadSignature, ValueError) as unknown:
        raise UnknownLink from unknown
    found = _with_words(ClosingLine.objects.filter(public_id=public_id, word__isnull=False)).first()
    if found is None or found.conversation.customer.status not in ("active", "closed"):
        raise UnknownLink
    return found


@transaction.atomic
def say_no(token: str, *, at: datetime) -> ClosingLine:
    """Note that the customer wants no such line; what has not left is stopped. Twice is the same as once.

    Where it was handed over already, the matter comes back to its owner, who takes the line away. Raises UnknownLink.
    """
    found = opened(token)
    conversation = _matter(found.conversation_id)
    belongings.both(conversation.customer_id)  # from here on nothing begins to be handed over
    line = _with_words(ClosingLine.objects.select_for_update(of=("self",)).filter(pk=found.pk)).get()
    line.conversation = conversation
    if line.said_no_at is not None or line.state not in (*STANDING, LineState.POSTED):
        return line
    waiting = OutgoingMessage.objects.filter(pk=line.message_id or 0, state__in=NOT_LEFT)
    if line.is_standing or waiting.update(state=OutgoingState.CANCELLED, reason="said_no", lease_until=None):
        closing_stops.stop(line, "said_no", at=at, origin="customer")
        return line
    line.said_no_at = max(at, line.decided_at or at)
    line.save(update_fields=["said_no_at"])
    closing_stops.record(line, "closing_line.no_too_late", by=None, at=at, origin="customer")
    _take_up(line, at=at)
    return line


def _take_up(line: ClosingLine, *, at: datetime) -> None:
    """Let the matter wait for its owner again, the no being what the customer said."""
    matter, word = line.conversation, line.word
    with translation.override(letters.language_for(matter.customer.language)):
        text = _("Please take your line below my post away again.")
    heard = Message(
        channel=Channel.WEB_FORM,
        source=SOURCE,
        external_id=str(line.public_id),
        sender_kind="email" if word is not None and word.channel == Channel.EMAIL else "handle",
        sender_address=word.address if word is not None else "",
        text=f"{text}\n\n“{line.text}”",
        language=letters.language_for(matter.customer.language),
    )
    speaker = identity.Speaker(matter.customer, None, False, matter.owner_id, None, matter.customer.region)
    intake.receive(heard, at=at, origin=SOURCE, conversation=matter, speaker=speaker)


# --- what was missed ----------------------------------------------------------------------------------------------------


def tend(at: datetime) -> int:
    """Propose what was missed, and let go what has become impossible or was left lying. Safe to repeat, and to be killed.

    Returns how many matters and lines were looked at.
    """
    known = ClosingLine.objects.filter(conversation=OuterRef("pk")).exclude(reason="came_back")
    missed = _candidates(at).exclude(Exists(known)).order_by("pk")
    looked = _each(missed, partial(propose, at=at))
    return looked + _each(ClosingLine.objects.filter(state__in=STANDING).order_by("pk"), partial(_look_again, at=at))


def _each(rows: QuerySet[ClosingLine] | QuerySet[Conversation], act: Callable[[int], object]) -> int:
    count = behind = 0
    while batch := list(rows.filter(pk__gt=behind).values_list("pk", flat=True)[:LOOKED_AT_ONCE]):
        for number in batch:
            lease.guarded(partial(act, number), failed=_passed_over)
        count, behind = count + len(batch), batch[-1]
    return count


def _passed_over(trouble: Exception) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble
    logger.exception("A public closing line could not be looked at; the next hour tries again.", exc_info=trouble)


@transaction.atomic
def _look_again(line_id: int, *, at: datetime) -> None:
    line = _locked(line_id, *LineState)
    if not line.is_standing:
        return
    reason = closing_stops.reason_of(line, at=at)
    if reason and reason not in PASSES:
        closing_stops.stop(line, reason, at=at)
    elif at > line.proposed_at + LAPSES_AFTER:
        closing_stops.stop(line, "lapsed", at=at)


# --- shared -------------------------------------------------------------------------------------------------------------


def _matter(conversation_id: int) -> Conversation:
    return Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)


def _with_words(lines: QuerySet[ClosingLine]) -> QuerySet[ClosingLine]:
    return lines.select_related("conversation__customer", "post__contact_point", "word").order_by("-pk")


def _locked(line_id: int, *states: LineState) -> ClosingLine:
    """One line, its matter locked before it. Raises ClosingLine.DoesNotExist, WrongStep."""
    matter = _matter(ClosingLine.objects.get(pk=line_id).conversation_id)
    line = _with_words(ClosingLine.objects.select_for_update(of=("self",)).filter(pk=line_id)).get()
    line.conversation = matter
    if line.state not in states:
        raise WrongStep(
            _("This line is “%(state)s”; nothing more can be done with it.") % {"state": line.get_state_display()}
        )
    return line
