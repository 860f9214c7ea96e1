"""What customers answer when they are asked how it was: by a link of their own, once, and none of it changes how they are treated.

An answer that is bad, or that asks for one, opens their matter again for its owner (R068, X51).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Final

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from crm import history
from crm.actions import consent, identity, intake, letters, suppression
from crm.channels import Channel, Message
from crm.models import Ask, SurveyAnswer
from crm.models.people import ContactKind
from crm.policy.asking import ANSWERED_WITHIN, ITEMS, PURPOSE_OF, AskingKind, is_bad
from crm.policy.suppression import SuppressionReason, SuppressionScope

LONGEST_WORDS: Final = 4_000
SURVEY_SOURCE: Final = "survey"
STOPPED: Final = "On the page of a question: no more of these."


class UnknownLink(Exception):
    """A link that we did not write, or that has had its time."""

    code = "unknown_link"


class UnusableAnswer(ValueError):
    """An answer outside its scale."""

    code = "unusable_answer"


@cache
def _signer(key: str, act: str) -> signing.Signer:
    return signing.Signer(key=key, salt=f"crm.asking.{act}")


def answer_link(ask: Ask) -> str:
    """The page on which this one question is answered; it opens nothing else."""
    return f"{settings.PUBLIC_URL}/asked/{_signer(settings.SECRET_KEY, 'answer').sign(ask.public_id.hex)}/"


def stop_link(ask: Ask) -> str:
    """The page on which they say that they want no more of these."""
    return f"{settings.PUBLIC_URL}/asked/stop/{_signer(settings.SECRET_KEY, 'stop').sign(ask.public_id.hex)}/"


def opened(token: str, *, at: datetime, act: str = "answer") -> Ask:
    """The ask that a link belongs to, with its matter. act: "answer" or "stop". Changes nothing. Raises UnknownLink.

    An answer can be given for 60 days; whoever was forgotten or has died is asked nothing any more.
    """
    try:
        public_id = uuid.UUID(_signer(settings.SECRET_KEY, act).unsign(token))
    except (signing.BadSignature, ValueError) as unknown:
        raise UnknownLink from unknown
    asked = Ask.objects.select_related("conversation__customer", "message", "answer")
    found = asked.filter(public_id=public_id, message__isnull=False).first()
    if found is None or found.conversation.customer.status not in ("active", "closed"):
        raise UnknownLink
    if act == "answer" and (found.kind != AskingKind.SURVEY or at - found.at > ANSWERED_WITHIN):
        raise UnknownLink
    return found


@transaction.atomic
def answer(
    token: str,
    given: Mapping[str, int | None],
    *,
    words: str = "",
    wants_answer: bool = False,
    language: str,
    at: datetime,
) -> tuple[SurveyAnswer, bool]:
    """Keep what a customer answers; the first answer counts. given: of ITEMS, None for what they skip.

    An answer that is bad, or that asks for one, goes to its matter as their words: it opens again, with its owner and a promise.
    Returns the answer that stands and whether it is this one. Raises UnknownLink, UnusableAnswer; then nothing has changed.
    """
    ask = opened(token, at=at)
    if any(value is not None and not 1 <= value <= ITEMS[item] for item, value in given.items()):
        raise UnusableAnswer(_("Please choose one of the answers, or skip the question."))
    Ask.objects.select_for_update().get(pk=ask.pk)
    standing = SurveyAnswer.objects.filter(ask=ask).first()
    if standing is not None:
        return standing, False
    kept = SurveyAnswer.objects.create(
        ask=ask,
        **{item: given.get(item) for item in ITEMS},
        words=words.replace("\x00", "").strip()[:LONGEST_WORDS],
        wants_answer=wants_answer,
        language=language,
        at=at,
    )
    detail = {"bad": is_bad(kept.given), "wants_answer": wants_answer}
    customer = ask.conversation.customer
    history.record(customer, "survey.answered", ref=ref_of(ask), by=None, at=at, origin="customer", detail=detail)
    if is_bad(kept.given) or wants_answer:
        _take_up(ask, kept, at=at)
    return kept, True


def _take_up(ask: Ask, kept: SurveyAnswer, *, at: datetime) -> None:
    """Let the matter wait for its owner again, the answer being what the customer said; one of long ago goes on in a new one."""
    matter, address = ask.conversation, ask.message.address if ask.message else ""
    language = letters.language_for(kept.language)
    asked = questions(language)
    said = [f"{asked[item]} {value} / {ITEMS[item]}" for item, value in kept.given.items() if value]
    with translation.override(language):
        subject = _("Answer to our questions")
    heard = Message(
        channel=Channel.WEB_FORM,
        source=SURVEY_SOURCE,
        external_id=str(ask.public_id),
        sender_kind="email" if ask.message and ask.message.channel == Channel.EMAIL else "phone",
        sender_address=address,
        subject=subject,
        text="\n\n".join(filter(None, [kept.words, "\n".join(said)])) or subject,
        language=kept.language,
    )
    speaker = identity.Speaker(matter.customer, None, False, matter.owner_id, None, matter.customer.region)
    intake.receive(heard, at=at, origin=SURVEY_SOURCE, conversation=matter, speaker=speaker)


def questions(language: str) -> dict[str, str]:
    """What is asked, in a language that we write in, in its order."""
    with translation.override(language):
        return {
            "csat": _("How satisfied are you with how it went, all in all?"),
            "outcome": _("Was what came of it fair?"),
            "process": _("Was the way there fair, without long waits and detours?"),
            "manner": _("Did we treat you politely, and did we explain ourselves?"),
            "effort": _("Did we make it easy for you?"),
        }


@transaction.atomic
def stop(token: str, *, at: datetime) -> str:
    """Ask this customer no more questions of the kind, and let none reach the address. Twice is the same as once.

    Returns the kind. Raises UnknownLink.
    """
    ask = opened(token, at=at, act="stop")
    customer, message = ask.conversation.customer, ask.message
    consent.withdraw(customer, PURPOSE_OF[ask.kind], evidence=STOPPED, at=at)
    kinds = {Channel.EMAIL: ContactKind.EMAIL}
    if ask.kind == AskingKind.SURVEY and message is not None:
        kind = kinds.get(Channel(message.channel), ContactKind.PHONE)
        reason = SuppressionReason.UNSUBSCRIBE
        suppression.suppress(kind, message.address, scope=SuppressionScope.SURVEY, reason=reason, at=at)
    return ask.kind


def ref_of(ask: Ask) -> str:
    """What history entries call one settled matter in an asking."""
    return f"ask:{ask.public_id}"
