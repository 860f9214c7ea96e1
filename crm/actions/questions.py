"""Asking a customer for a permission: a question is mailed, and their yes counts when they press it on the page it leads to.

A colleague cannot say yes for them; this is what a colleague can do instead (N7). Opening the link changes nothing (W06).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from crm import history
from crm.actions import consent, letters, outgoing, suppression
from crm.models import Consent, ConsentQuestion, ContactPoint, Customer, User
from crm.models.consents import ConsentActor
from crm.models.people import ContactKind, CustomerStatus
from crm.policy.consent import QUESTION_STANDS_FOR, WORDS
from crm.policy.ledger import ConsentState
from crm.policy.suppression import scopes_that_stop

ANSWER_LINK = "crm.consent.question"
"""The one narrow act the link in a question grants: to answer it."""


class NotAskable(Exception):
    """This customer cannot be asked for this, or not now."""

    code = "not_askable"


class UnknownLink(Exception):
    """A link that is not ours, was changed, or has had its time."""

    code = "unknown_link"


@dataclass(frozen=True, slots=True)
class Opened:
    """What the link of a question opens: the question, and the words to say yes to in the active language."""

    question: ConsentQuestion
    words: str


@transaction.atomic
def ask(
    customer: Customer, purpose: str, medium: str, *, evidence: str, at: datetime, by: User | None = None
) -> ConsentQuestion:
    """Mail a customer the question whether they allow something. evidence: why we think that they may want it.

    One question a day and address, none while one stands (W05), and none to whoever has said no themselves.
    Raises consent.EvidenceMissing, consent.CannotBeAllowed, NotAskable; then nothing has changed.
    """
    if not evidence.strip():
        raise consent.EvidenceMissing(_("Please note what the customer said, and where."))
    if (purpose, medium) not in WORDS:
        raise consent.CannotBeAllowed(_("There is nothing of this kind that could be allowed."))
    customer = Customer.objects.select_for_update().get(pk=customer.pk)
    point = _askable(customer, purpose, medium, at=at)
    keys = suppression.keys_of(point.kind, point.address)
    ConsentQuestion.objects.filter(key__in=keys, ended_at=None, until__lte=at).update(ended_at=at)
    try:
        with transaction.atomic():
            question = ConsentQuestion.objects.create(
                customer=customer,
                purpose=purpose,
                medium=medium,
                contact_point=point,
                key=keys[0],
                evidence=evidence.strip()[:2000],
                asked_by=by,
                asked_at=at,
                asked_on=at.astimezone(UTC).date(),
                until=at + QUESTION_STANDS_FOR,
            )
    except IntegrityError:
        raise NotAskable(
            _(
                "They have been asked already. No second question goes to an address on one day, or before they answered."
            )
        ) from None
    Consent.objects.create(
        customer=customer,
        purpose=purpose,
        medium=medium,
        state=ConsentState.ASKED,
        actor=ConsentActor.STAFF,
        noted_by=by,
        evidence=question.evidence,
        at=at,
    )
    _mail(question, customer, point, at=at)
    history.record(customer, "consent.asked", ref=f"consent:{purpose}:{medium}", by=by, at=at)
    return question


def _askable(customer: Customer, purpose: str, medium: str, *, at: datetime) -> ContactPoint:
    """The address at which this may be asked: the first they gave, as cards go there. Raises NotAskable."""
    if customer.status != CustomerStatus.ACTIVE:
        raise NotAskable(_("This customer is not written to any more."))
    standing = consent.counting(customer.pk).get((purpose, medium))
    if standing is not None and standing.allows:
        raise NotAskable(_("They have allowed this already."))
    if standing is not None and standing.state == ConsentState.WITHDRAWN and standing.actor == ConsentActor.CUSTOMER:
        raise NotAskable(_("They have said no themselves, so nobody asks again. On their own page they can say yes."))
    points = ContactPoint.objects.filter(customer=customer, kind=ContactKind.EMAIL, unlinked_at=None)
    point = points.order_by("id").first()
    if point is None:
        raise NotAskable(_("We have no e-mail address at which we could ask them."))
    scopes = scopes_that_stop(purpose, medium)
    if any(found.scope in scopes for found in suppression.standing([(point.kind, point.address)], at=at)):
        raise NotAskable(
            _("This address wants nothing of this kind, so nobody asks. On their own page they can say yes.")
        )
    return point


def _mail(question: ConsentQuestion, customer: Customer, point: ContactPoint, *, at: datetime) -> None:
    with translation.override(letters.language_for(customer.language)):
        words = str(WORDS[question.purpose, question.medium])
    letter = letters.render(
        "crm/consent_question",
        language=customer.language,
        zone=customer.zone,
        name=customer.display_name,
        words=words,
        answer_url=link(question),
        answer_until=question.until,
    )
    outgoing.queue(
        outgoing.notice(letter, key=f"consent_question:{question.public_id}", address=point.address),
        customer=customer,
        at=at,
    )


@cache
def _signer(key: str) -> signing.Signer:
    return signing.Signer(key=key, salt=ANSWER_LINK)


def link(question: ConsentQuestion) -> str:
    """The address at which a question is answered."""
    token = _signer(settings.SECRET_KEY).sign_object(str(question.public_id))
    return f"{settings.PUBLIC_URL}/preferences/answer/{token}/"


def opened(token: str, *, at: datetime) -> Opened:
    """Read the link of a question that can be answered now. Changes nothing. Raises UnknownLink."""
    try:
        public_id = uuid.UUID(_signer(settings.SECRET_KEY).unsign_object(token))
    except (signing.BadSignature, ValueError, TypeError, AttributeError) as refusal:
        raise UnknownLink from refusal
    standing = ConsentQuestion.objects.filter(
        public_id=public_id,
        ended_at=None,
        until__gt=at,
        contact_point__unlinked_at=None,
        customer__status=CustomerStatus.ACTIVE,
    )
    question = standing.select_related("contact_point", "customer").first()
    if question is None or question.contact_point.customer_id != question.customer_id:
        raise UnknownLink
    return Opened(question, str(WORDS[question.purpose, question.medium]))


@transaction.atomic
def answer(token: str, *, yes: bool, shown: consent.Shown, at: datetime) -> ConsentQuestion:
    """Take the answer to a question, given by pressing a button on the page that the link leads to.

    shown: what stood on the page; through which address they came is told by the link. Raises UnknownLink.
    """
    question = opened(token, at=at).question
    Customer.objects.select_for_update().get(pk=question.customer_id)
    question = (
        ConsentQuestion.objects.select_for_update(of=("self",))
        .select_related("contact_point", "customer")
        .get(pk=question.pk)
    )
    if question.ended_at is not None or question.contact_point.customer_id != question.customer_id:
        raise UnknownLink
    if yes:
        shown = replace(shown, point=question.contact_point)
        consent.grant(question.customer, question.purpose, question.medium, shown=shown, at=at)
    else:
        evidence = "Answered no to the question we mailed them."
        consent.withdraw(question.customer, question.purpose, medium=question.medium, evidence=evidence, at=at)
    question.ended_at = at
    question.answer = ConsentState.GRANTED if yes else ConsentState.WITHDRAWN
    question.save(update_fields=["ended_at", "answer"])
    return question
