"""Customers' own records: what we know because they told us."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import consent, questions
from crm.language import tags
from crm.models import ConsentQuestion, Customer, LifeEvent, User
from crm.policy.consent import Medium, Purpose
from crm.policy.lives import LifeEventKind

BIRTHDAY = Purpose.BIRTHDAY
"""The consent purpose of a birthday card."""


class NotALanguage(ValueError):
    """What no language is called."""

    code = "not_a_language"


class NoSuchDay(ValueError):
    """A day that no year has."""

    code = "no_such_day"


@transaction.atomic
def welcome(name: str, *, at: datetime, by: User | None = None) -> Customer:
    """Write down a customer who has not told us anything yet, for example because they get an account for the app."""
    customer = Customer.objects.create(display_name=name, created_at=at)
    history.record(customer, "customer.welcomed", ref=f"customer:{customer.public_id}", by=by, at=at)
    return customer


@transaction.atomic
def set_language(customer_id: int, *, language: str, by: User, at: datetime) -> Customer:
    """Note in which language a customer wants to be written to from now on; "" for unknown.

    language: BCP 47 tag such as “de” or “pt-BR”. Raises NotALanguage, Customer.DoesNotExist; then nothing has changed.
    """
    told = tags.normalised(language)
    if language.strip() and not told:
        raise NotALanguage(_("“%(language)s” is not a language we know.") % {"language": language.strip()[:40]})
    customer = Customer.objects.select_for_update().get(pk=customer_id)
    before = customer.language
    if before != told:
        customer.language = told
        customer.save(update_fields=["language"])
        history.record(
            customer,
            "customer.language",
            ref=f"customer:{customer.public_id}",
            by=by,
            at=at,
            detail={"before": before, "after": told},
        )
    return customer


@dataclass(frozen=True, slots=True)
class BirthdayTold:
    """A birthday that was noted. question: what was mailed to them about a card; else not_asked says why nothing was."""

    event: LifeEvent
    question: ConsentQuestion | None
    not_asked: str


@transaction.atomic
def tell_birthday(
    customer: Customer, *, month: int, day: int, evidence: str, at: datetime, by: User | None = None
) -> BirthdayTold:
    """Write down a birthday that the customer told us for a card, and mail them the question whether they want one.

    month 1–12, day 1–31; no year is stored. evidence: their words, and where they said them; it allows nothing by itself (N7).
    Raises NoSuchDay, consent.EvidenceMissing.
    """
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(2000, month)[1]:
        raise NoSuchDay(_("There is no such day in the calendar."))
    if not evidence.strip():
        raise consent.EvidenceMissing(_("Please note what the customer said, and where."))
    event, _new = LifeEvent.objects.update_or_create(
        customer=customer,
        kind=LifeEventKind.BIRTHDAY,
        taken_back_at=None,
        defaults={"month": month, "day": day, "told_at": at, "noted_by": by},
    )
    history.record(customer, "customer.birthday_told", ref=f"customer:{customer.public_id}", by=by, at=at)
    try:
        question = questions.ask(customer, BIRTHDAY, Medium.EMAIL, evidence=evidence, at=at, by=by)
    except questions.NotAskable as refusal:
        return BirthdayTold(event, None, str(refusal))
    return BirthdayTold(event, question, "")
