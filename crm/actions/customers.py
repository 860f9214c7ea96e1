"""Customers' own records: what we know because they told us."""

from __future__ import annotations

import calendar
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import consent
from crm.language import tags
from crm.models import Customer, LifeEvent, User
from crm.policy.lives import LifeEventKind

BIRTHDAY = "birthday"
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


@transaction.atomic
def tell_birthday(
    customer: Customer, *, month: int, day: int, evidence: str, at: datetime, by: User | None = None
) -> LifeEvent:
    """Write down a birthday that the customer told us for a card, with their words as evidence of their consent.

    month 1–12, day 1–31; no year is stored. Raises NoSuchDay, consent.EvidenceMissing.
    """
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(2000, month)[1]:
        raise NoSuchDay(_("There is no such day in the calendar."))
    event, _new = LifeEvent.objects.update_or_create(
        customer=customer,
        kind=LifeEventKind.BIRTHDAY,
        taken_back_at=None,
        defaults={"month": month, "day": day, "told_at": at, "noted_by": by},
    )
    consent.grant(customer, BIRTHDAY, evidence=evidence, at=at)
    history.record(customer, "customer.birthday_told", ref=f"customer:{customer.public_id}", by=by, at=at)
    return event
