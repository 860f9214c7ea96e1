"""Cases of different customers that are about the same thing: linked, compared, parted (R088)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts
from crm.models import User
from crm.policy import AlertKind
from recovery.actions.cases import ReasonMissing, ref_of
from recovery.models import LIVE, Case, CaseLink, Decision, Grant
from recovery.policy import Entitlement, Facts
from recovery.policy.linking import Compared, Side, Verdict, compare

AT_ONCE = 200
NOTHING = Decimal(0)


class NotLinkable(Exception):
    """Two cases that cannot be linked, or are linked already."""

    code = "not_linkable"


@dataclass(frozen=True, slots=True)
class Pair:
    """A link with what its two cases have in common. one, other: the newest decision of each, None where nothing was decided.

    given: the money that was given in each so far, inside what was decided and beyond it.
    """

    link: CaseLink
    one: Decision | None
    other: Decision | None
    compared: Compared | None
    given: tuple[Decimal, Decimal]


@transaction.atomic
def link(case_id: int, *, to_id: int, because: str, by: User, at: datetime) -> CaseLink:
    """Link two cases of different customers; whoever sees both may. Leads are told at once when equals did not get equal.

    Raises Case.DoesNotExist, ReasonMissing, NotLinkable; then nothing has changed.
    """
    if not because.strip():
        raise ReasonMissing(_("Please write how you know that both speak of the same thing."))
    pair = list(
        Case.objects.select_for_update(of=("self",)).select_related("customer").filter(pk__in=(case_id, to_id)).order_by("pk")
    )  # fmt: skip
    if case_id == to_id:
        raise NotLinkable(_("Please name another case."))
    if len(pair) < 2:
        raise Case.DoesNotExist
    one, other = pair
    if one.customer_id == other.customer_id:
        raise NotLinkable(_("Both are of the same customer. Link them as one incident on the page of the later case."))
    if CaseLink.objects.filter(one=one, other=other, ended_at=None).exists():
        raise NotLinkable(_("These two are linked already."))
    made = CaseLink.objects.create(one=one, other=other, because=because.strip()[:300], by=by, at=at)
    _record("case.linked", made, by=by, at=at)
    _tell(compared([made]), at=at)
    return made


@transaction.atomic
def part(link_id: int, *, by: User, at: datetime) -> CaseLink:
    """Take a link back; it stays on record. Raises CaseLink.DoesNotExist, NotLinkable."""
    found = (
        CaseLink.objects.select_for_update(of=("self",)).select_related("one__customer", "other__customer").get(pk=link_id)
    )  # fmt: skip
    if found.ended_at is not None:
        raise NotLinkable(_("These two are not linked any more."))
    found.ended_at, found.ended_by = max(at, found.at), by
    found.save(update_fields=["ended_at", "ended_by"])
    _record("case.link_ended", found, by=by, at=at)
    return found


def of_case(case: Case) -> QuerySet[CaseLink]:
    """The links of a case that stand, newest first."""
    standing = CaseLink.objects.filter(Q(one=case) | Q(other=case), ended_at=None)
    return standing.select_related("one__customer", "other__customer", "by").order_by("-pk")


def compared(links: Sequence[CaseLink]) -> list[Pair]:
    """Compare the two cases of each link; two statements for all."""
    numbers = {number for found in links for number in found.both}
    decisions = {
        decision.case_id: decision
        for decision in Decision.objects.filter(case__in=numbers)
        .select_related("policy_version", "case")
        .order_by("case_id", "-pk")
        .distinct("case_id")
    }
    given = _given(numbers)
    pairs = []
    for found in links:
        one, other = decisions.get(found.one_id), decisions.get(found.other_id)
        both = None if one is None or other is None else compare(_side(one, given), _side(other, given))
        totals = [sum((given.get((case, beyond), NOTHING) for beyond in (False, True)), NOTHING) for case in found.both]
        pairs.append(Pair(found, one, other, both, (totals[0], totals[1])))
    return pairs


def _given(cases: Collection[int]) -> dict[tuple[int, bool], Decimal]:
    """The money given in each case: inside its entitlement (False) and beyond it (True)."""
    rows = Grant.objects.filter(case__in=cases).values_list("case_id", "beyond_id", "amount")
    total: dict[tuple[int, bool], Decimal] = {}
    for case, beyond, amount in rows:
        key = (case, beyond is not None)
        total[key] = total.get(key, NOTHING) + amount
    return total


def _side(decision: Decision, given: dict[tuple[int, bool], Decimal]) -> Side:
    return Side(
        facts=Facts.from_data(decision.facts),
        entitlement=Entitlement.from_data(decision.entitlement),
        given=given.get((decision.case_id, False), NOTHING),
        beyond=given.get((decision.case_id, True), NOTHING),
        is_settled=decision.case.status not in LIVE,
    )


def compare_all(at: datetime) -> int:
    """Compare every link that stands, in batches by key, and tell the leads of equals that did not get equal; each once.

    Returns how many links were compared.
    """
    number, last = 0, 0
    standing = CaseLink.objects.filter(ended_at=None).select_related("one__conversation", "other")
    while links := list(standing.filter(pk__gt=last).order_by("pk")[:AT_ONCE]):
        _tell(compared(links), at=at)
        number, last = number + len(links), links[-1].pk
    return number


def _tell(pairs: Sequence[Pair], *, at: datetime) -> None:
    """Tell the leads once of each state in which two are unequal: what is decided or given anew is told anew."""
    told = [
        alerts.told(
            AlertKind.CASES_UNEQUAL,
            key=f"{pair.link.pk}:{pair.one.pk}:{pair.other.pk}:{pair.compared.given_more}",
            at=at,
            conversation=pair.link.one.conversation,
            detail={"one": str(pair.link.one.public_id), "other": str(pair.link.other.public_id)},
        )
        for pair in pairs
        if pair.one and pair.other and pair.compared and pair.compared.verdict == Verdict.UNEQUAL
    ]
    if told:
        alerts.write(told)


def _record(verb: str, found: CaseLink, *, by: User, at: datetime) -> None:
    """One entry with each customer; neither names the other's customer."""
    for mine in (found.one, found.other):
        history.record(mine.customer, verb, ref=ref_of(mine), by=by, at=at, detail={"link": str(found.public_id)})
