"""Asking customers after their matter is settled: how it was (R068), or for a public review (R150). Everybody, or a random share.

Who is asked follows from a draw that nobody can steer: the seed is made and its digest written down before the first matter is
drawn, every settled matter stands in a row, and the draw can be done again. Nothing here reads what a customer thinks of us.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import BooleanField, Count, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import (
    answers,
    belongings,
    consent,
    endings,
    holds,
    kindness,
    lease,
    letters,
    outgoing,
    preferences,
    survey,
    ways,
)
from crm.channels import PUBLIC, Channel
from crm.language.asks import not_to_be_said
from crm.models import (
    Ask,
    Asking,
    ChannelAccount,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    User,
)
from crm.models.people import ContactKind
from crm.policy import Direction, MessageKind, OutgoingState
from crm.policy.asking import (
    ASKED_AFTER,
    ASKED_BEFORE,
    LAST_DAY,
    MEDIA,
    NOT_AGAIN_FOR,
    PURPOSE_OF,
    WAITED_FOR,
    AskFacts,
    AskingKind,
    AskOutcome,
    commitment,
    is_drawn,
    leaves_at,
    reason_not_to_ask,
)
from crm.policy.consent import Medium

logger = logging.getLogger(__name__)

DRAWN_AT_ONCE: Final = 200
LONGEST_TEXT: Final = 600
HEARD_LATELY: Final = 5
ASKED_IS_CALLED: Final[Mapping[str, str]] = {
    AskingKind.SURVEY: "survey.asked",
    AskingKind.REVIEW: "public_review.asked",
}
"""In the history; "review.asked" there is a customer who asks for a second look."""


class UnusableAsking(ValueError):
    """An asking with something missing, or with words that must not be said."""

    code = "unusable_asking"


class AlreadyAsking(Exception):
    """The same is being asked already, or not any more."""

    code = "already_asking"


# --- beginning and ending -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be asked. share: percent of settled matters that are drawn, 100 for all. not_again_for: days, None for the usual.

    place, link: of a review, the place's name and its address (https). texts: our own words by language, which stand in the mail;
    none for those that the product has.
    """

    kind: str
    share: int
    not_again_for: int | None = None
    place: str = ""
    link: str = ""
    texts: Mapping[str, str] | None = None


@transaction.atomic
def begin(plan: Plan, *, by: User, at: datetime) -> Asking:
    """Begin to ask after every matter that is settled from now on. The draw is committed in this moment.

    Raises UnusableAsking, AlreadyAsking; then nothing has changed.
    """
    made = _asking(plan, by=by, at=at)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as standing:
        raise AlreadyAsking(_("This is being asked already. Please end that first.")) from standing
    detail = {"kind": made.kind, "share": made.share, "days": made.not_again_for, "commitment": made.commitment}
    history.record(None, "asking.begun", ref=ref_of(made), by=by, at=at, detail=detail)
    return made


def _asking(plan: Plan, *, by: User, at: datetime) -> Asking:
    if plan.kind not in AskingKind:
        raise UnusableAsking(_("Please say what is to be asked."))
    if not 1 <= plan.share <= 100:
        raise UnusableAsking(_("Please ask everybody (100), or draw a share between 1 and 100 percent."))
    least = NOT_AGAIN_FOR[plan.kind]
    days = least if plan.not_again_for is None else plan.not_again_for
    if not least <= days <= 3_650:
        raise UnusableAsking(_("Nobody is asked this again within %(days)d days.") % {"days": least})
    is_review = plan.kind == AskingKind.REVIEW
    place, link = " ".join(plan.place.split())[:80], plan.link.strip()
    if is_review:
        _check_place(place, link)
    seed = secrets.token_hex(32)
    return Asking(
        kind=plan.kind,
        share=plan.share,
        not_again_for=days,
        place=place if is_review else "",
        link=link if is_review else "",
        texts=_texts(plan.texts or {}),
        seed=seed,
        commitment=commitment(seed),
        started_at=at,
        started_by=by,
    )


def _check_place(place: str, link: str) -> None:
    try:
        told = urlsplit(link)
    except ValueError as unreadable:
        raise UnusableAsking(_("This address cannot be read.")) from unreadable
    if (
        not place
        or told.scheme != "https"
        or not told.hostname
        or told.username
        or len(link) > 300
        or any(map(str.isspace, link))
    ):
        raise UnusableAsking(_("Please name the place and its address, which begins with https://."))
    _check_words(place)


def _texts(told: Mapping[str, str]) -> dict[str, str]:
    texts = {tag: text.strip() for tag, text in told.items() if text.strip()}
    for tag, text in texts.items():
        if tag not in settings.EVENHAND_CUSTOMER_LANGUAGES:
            raise UnusableAsking(_("We do not write in this language: %(language)s.") % {"language": tag})
        if len(text) > LONGEST_TEXT:
            raise UnusableAsking(_("Please say it in at most %(most)d characters.") % {"most": LONGEST_TEXT})
        letters.check_blanks(text)
        _check_words(text)
    return texts


def _check_words(text: str) -> None:
    found = not_to_be_said(text)
    if found is None:
        return
    code, words = found
    raise UnusableAsking(
        {
            "reward": _("“%(words)s”: nobody gets anything for a review. Please ask without it."),
            "good_ones": _("“%(words)s”: we ask for what they think, whatever that is. Please ask without it."),
            "taken_down": _("“%(words)s”: nobody is asked to take a review back. Please ask without it."),
        }[code]
        % {"words": words}
    )


@transaction.atomic
def end(asking_id: int, *, by: User, at: datetime) -> Asking:
    """Ask nobody any more, neither those whose question waits to leave. The seed of the draw is open from now on.

    Raises Asking.DoesNotExist, AlreadyAsking; then nothing has changed.
    """
    asking = Asking.objects.select_for_update().get(pk=asking_id)
    if asking.ended_at is not None:
        raise AlreadyAsking(_("This has ended already."))
    waiting = OutgoingMessage.objects.select_for_update(of=("self",)).select_related("customer").order_by("pk")
    found = list(waiting.filter(pk__in=Ask.objects.filter(asking=asking).values("message"), state=OutgoingState.READY))
    OutgoingMessage.objects.filter(pk__in=[message.pk for message in found]).update(
        state=OutgoingState.CANCELLED, reason="rule_ended"
    )
    because = {"because": "rule_ended"}
    HistoryEntry.objects.bulk_create(
        history.entry(message.customer, "message.cancelled", ref=outgoing.ref_of(message), by=by, at=at, detail=because)
        for message in found
    )
    asking.ended_at, asking.ended_by = max(at, asking.started_at), by
    asking.save(update_fields=["ended_at", "ended_by"])
    detail = {"kind": asking.kind, "seed": asking.seed, "stopped": len(found)}
    history.record(None, "asking.ended", ref=ref_of(asking), by=by, at=at, detail=detail)
    return asking


# --- drawing and asking -------------------------------------------------------------------------------------------------


def ask_settled(at: datetime) -> int:
    """Draw every matter that was settled a day ago, and ask those who are drawn and may be asked. Safe to repeat, and to be killed.

    Returns how many matters were looked at, in every asking that runs.
    """
    count = 0
    for asking in Asking.objects.filter(ended_at=None).order_by("pk"):
        behind = 0
        while batch := _settled(asking, behind=behind, at=at):
            for number, is_last in batch:
                lease.guarded(partial(_draw, asking, number, is_last=is_last, at=at), failed=_passed_over)
            count += len(batch)
            behind = batch[-1][0]
    return count


def _passed_over(trouble: Exception) -> None:
    if lease.is_trouble_of_the_database(trouble):
        raise trouble
    logger.exception("A settled matter could not be drawn; the next hour tries again.", exc_info=trouble)


def _settled(asking: Asking, *, behind: int, at: datetime) -> list[tuple[int, bool]]:
    """Matters that were settled long enough ago and stand in no row yet, in order; whether each is looked at for the last day.

    Answered and closed, or their case settled. What was dismissed (spam, meant for others), went quiet or needed no answer is not
    among them, nor are those who get no gesture whatever their matters.
    """
    since, until = max(asking.started_at, at - ASKED_BEFORE), at - ASKED_AFTER
    drawn = Ask.objects.filter(kind=asking.kind, conversation=OuterRef("pk"))
    found = Conversation.objects.filter(
        endings.settled_between(since, until), imported=False, first_answer_at__isnull=False, pk__gt=behind
    ).exclude(Exists(drawn))
    for testers in holds.not_greeted():
        found = found.exclude(customer__in=testers)
    is_last = ExpressionWrapper(endings.settled_between(since, at - ASKED_BEFORE + LAST_DAY), BooleanField())
    return list(found.order_by("pk").values_list("pk", is_last)[:DRAWN_AT_ONCE])


@transaction.atomic
def _draw(asking: Asking, number: int, *, is_last: bool, at: datetime) -> None:
    """Write down what becomes of one matter. Who waits for something else is looked at again, until the last day."""
    conversation = Conversation.objects.select_related("customer").get(pk=number)
    drawn = Ask(asking=asking, kind=asking.kind, conversation=conversation, outcome=AskOutcome.NOT_DRAWN, at=at)
    if is_drawn(str(conversation.public_id), seed=asking.seed, share=asking.share):
        (customer,) = belongings.both(conversation.customer_id)
        route = _route(conversation, customer, purpose=PURPOSE_OF[asking.kind], at=at)
        drawn.reason = reason_not_to_ask(_facts(asking, customer, route, at=at))
        if drawn.reason in WAITED_FOR and not is_last:
            return
        drawn.outcome = AskOutcome.LEFT_OUT if drawn.reason else AskOutcome.ASKED
        if not drawn.reason and route is not None:
            drawn.message = _write(asking, drawn, customer, route, at=at)
    try:
        with transaction.atomic():
            drawn.save(force_insert=True)
    except IntegrityError:  # another worker drew it in this moment: the same draw
        transaction.set_rollback(True)
        return
    if drawn.message is not None:
        history.record(customer, ASKED_IS_CALLED[asking.kind], ref=survey.ref_of(drawn), by=None, at=at)


@dataclass(frozen=True, slots=True)
class _Route:
    """A way on which somebody can be asked. allowed: whether they said yes to it."""

    medium: Medium
    channel: Channel
    point: ContactPoint
    allowed: bool
    account: ChannelAccount | None = None
    in_reply_to: str = ""


def _route(conversation: Conversation, customer: Customer, *, purpose: str, at: datetime) -> _Route | None:
    """The way on which to ask: that of their matter where they allowed it, else by mail; the first where none is allowed."""
    said = consent.counting(customer.pk)
    found = []
    for way in _ways(conversation, customer, at=at):
        medium = consent.MEDIUM_OF.get(way.channel)
        if medium in MEDIA and way.channel not in PUBLIC:
            yes = said.get((purpose, medium))
            found.append(
                _Route(medium, way.channel, way.point, yes is not None and yes.allows, way.account, way.in_reply_to)
            )
    return next((route for route in found if route.allowed), found[0] if found else None)


def _ways(conversation: Conversation, customer: Customer, *, at: datetime) -> Iterable[ways.Way]:
    heard = Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND, other_address="")
    newest = heard.select_related("contact_point").order_by("-spoke_at", "-pk")[:HEARD_LATELY]
    points = ContactPoint.objects.filter(customer=customer, unlinked_at=None)
    proved = F("verified_at").asc(nulls_last=True)
    mails = points.filter(kind=ContactKind.EMAIL, unconfirmed_since=None).order_by(proved, "pk")
    with contextlib.suppress(ways.NoWayBack, ways.WindowClosed):
        yield ways.way_among(newest, [], at=at)
    for point in mails[:1]:
        yield ways.Way(Channel.EMAIL, point)


def _facts(asking: Asking, customer: Customer, route: _Route | None, *, at: datetime) -> AskFacts:
    records = belongings.families([customer.pk])[customer.pk].records
    since = at - timedelta(days=asking.not_again_for)
    before = Ask.objects.filter(
        kind=asking.kind, conversation__customer__in=records, outcome=AskOutcome.ASKED, at__gt=since
    ).exclude(message__state=OutgoingState.CANCELLED)
    return AskFacts(
        stop=kindness.known_of(
            customer.pk,
            kind=MessageKind.ASK,
            purpose=PURPOSE_OF[asking.kind],
            medium=route.medium if route else Medium.EMAIL,
            address=route.point.address if route else "",
            at=at,
        ),
        has_route=route is not None,
        was_asked_lately=before.exists(),
    )


def _write(asking: Asking, ask: Ask, customer: Customer, route: _Route, *, at: datetime) -> OutgoingMessage:
    stop, page = survey.stop_link(ask), preferences.link(customer.pk, route.point.pk, at=at)
    link = asking.link if asking.kind == AskingKind.REVIEW else survey.answer_link(ask)
    language = letters.language_for(customer.language)
    own = asking.texts.get(language, "")
    written = letters.render(
        f"crm/{asking.kind}",
        language=language,
        zone=customer.zone,
        name=customer.display_name,
        own=own,
        link=link,
        place=asking.place or settings.EVENHAND_MAIL_NAME,
        stop_url=stop,
        page_url=page,
    )
    text, html = written.text, written.html
    if route.medium == Medium.TEXT:
        text, html = _in_short(language, link=link, stop=stop), ""
    draft = outgoing.Draft(
        key=f"ask:{ask.public_id}",
        kind=MessageKind.ASK,
        purpose=PURPOSE_OF[asking.kind],
        channel=route.channel,
        address=route.point.address,
        account=route.account,
        subject=written.subject,
        text=text,
        html=html,
        concerns="",
        headers={
            **outgoing.AUTOMATIC,
            "List-Unsubscribe": f"<{stop}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            **({"In-Reply-To": route.in_reply_to} if route.in_reply_to else {}),
        },
    )
    message = outgoing.written(
        draft, customer=customer, at=at, send_after=leaves_at(at, zone=answers.clock_of(customer))
    )
    message.save(force_insert=True)
    dispatch.after_commit("outgoing.ready")
    return message


def _in_short(language: str, *, link: str, stop: str) -> str:
    """The survey as a text message."""
    told = {"shop": settings.EVENHAND_MAIL_NAME, "link": link, "stop": stop}
    with translation.override(language):
        return (
            _("%(shop)s: how was it for you? Five short questions, skip what you like: %(link)s No more: %(stop)s")
            % told
        )


# --- looking at it ------------------------------------------------------------------------------------------------------


def ref_of(asking: Asking) -> str:
    """What history entries call an asking."""
    return f"asking:{asking.public_id}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the settled matters of one first channel. accepted: of the questions, for delivery."""

    channel: str
    settled: int
    drawn: int
    asked: int
    accepted: int
    answered: int


def coverage(asking: Asking) -> list[Coverage]:
    """How far an asking reaches, by first channel; one statement."""
    counted = (
        Ask.objects.filter(asking=asking)
        .values("conversation__channel")
        .annotate(
            settled=Count("pk"),
            drawn=Count("pk", filter=~Q(outcome=AskOutcome.NOT_DRAWN)),
            asked=Count("pk", filter=Q(outcome=AskOutcome.ASKED)),
            accepted=Count("pk", filter=Q(message__accepted_at__isnull=False)),
            answered=Count("answer"),
        )
        .order_by("conversation__channel")
    )
    return [
        Coverage(
            one["conversation__channel"], one["settled"], one["drawn"], one["asked"], one["accepted"], one["answered"]
        )
        for one in counted
    ]


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A draw that was done again. differing: public ids of matters of which the row says otherwise; held: the seed is the one whose
    digest was written down."""

    looked_at: int
    differing: tuple[str, ...]
    held: bool


def redraw(asking: Asking) -> Redrawn:
    """Do the draw of every matter of an asking again and compare it with what was written down; writes nothing."""
    looked_at, differing = 0, []
    rows: QuerySet[Ask, Any] = Ask.objects.filter(asking=asking).order_by("pk")
    for number, outcome in rows.values_list("conversation__public_id", "outcome").iterator(chunk_size=2_000):
        looked_at += 1
        if is_drawn(str(number), seed=asking.seed, share=asking.share) != (outcome != AskOutcome.NOT_DRAWN):
            differing.append(str(number))
    return Redrawn(looked_at, tuple(differing), commitment(asking.seed) == asking.commitment)
