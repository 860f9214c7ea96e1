"""Looking for cases: by their number or id, by what went wrong, by what was lost."""

from __future__ import annotations

import re
from decimal import Decimal

from django.db.models import Q
from django.db.models.fields.json import KT
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan

from crm.actions.searching import GONE, Found, Hit, Place, ids_in
from crm.language import searching
from crm.language.searching import Search
from crm.models import User
from recovery.models import Case, Decision
from recovery.policy import ComplaintType

LOST_AT_MOST = 200
"""Newest decisions about one sum that are looked at."""
_NUMBER = re.compile(r"(?:case|#)?\s*#?(\d{1,18})", re.IGNORECASE)
_AMOUNT = re.compile(r"\d{1,8}(?:[.,]\d{2})?")


def cases(user: User, search: Search, *, place: Place | None = None, most: int = 20) -> Found:
    """Cases among those the account may see, newest first: by number, public id, words of what went wrong, or the sum lost.

    One statement, and one more for a sum. Where a case was decided differently since, the sums noted before find it too.
    """
    if search.is_about_messages:
        return Found([])
    wanted = Q(public_id__in=ids_in(search.text)) | Q(complaint_type__in=_types(search))
    number, amount = _NUMBER.fullmatch(search.text), _AMOUNT.fullmatch(search.text)
    if number and int(number[1]) < 2**63:
        wanted |= Q(pk=int(number[1]))
    if amount:
        lost = str(Decimal(amount[0].replace(",", ".")).quantize(Decimal("0.01")))
        visible = Case.objects.visible_to(user)
        lost_it = Decision.objects.alias(lost=KT("facts__loss")).filter(lost=lost, case__in=visible).order_by("-pk")
        wanted |= Q(pk__in=list(lost_it.values_list("case", flat=True)[:LOST_AT_MOST]))
    rows = Case.objects.visible_to(user).filter(wanted).exclude(customer__status__in=GONE).select_related("customer")
    if place is not None:
        rows = rows.filter(TupleLessThan(Tuple("opened_at", "pk"), place))
    found = list(rows.order_by("-opened_at", "-pk")[: most + 1])
    hits = [
        Hit(
            kind="case",
            public_id=case.public_id,
            title=str(case),
            at=case.opened_at,
            pieces=searching.snippet(str(ComplaintType(case.complaint_type).label), search),
            customer=str(case.customer),
            customer_id=case.customer.public_id,
            note=str(case.get_status_display()),
        )
        for case in found[:most]
    ]
    last = found[most - 1] if len(found) > most else None
    return Found(hits, next=(last.opened_at, last.pk) if last else None)


def _types(search: Search) -> list[str]:
    """What can have gone wrong, where all of these words are among the words for it."""
    found = []
    for kind in ComplaintType:
        said = {word for word, _start, _end in searching.cut(str(kind.label))}
        if all(said.issuperset(term.words) != term.is_absent for term in search.terms):
            found.append(kind.value)
    return found
