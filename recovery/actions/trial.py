"""What a draft of the rules would have changed for the people of the last twelve months.

The rules see no channel. This report does, because it has to show that they do not: it decides for each channel separately and
compares.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.fields import ArrayField
from django.db.models import Case as If
from django.db.models import DecimalField, F, Func, IntegerField, JSONField, Max, Min, Sum, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from crm import money
from crm.channels import Channel
from recovery import obtainable
from recovery.models import Decision, PolicyRule
from recovery.policy import (
    FACT_NAMES,
    REFUNDS,
    Difference,
    Entitlement,
    Facts,
    Policy,
    canonical,
    difference,
    entitlement_for,
    sentences,
)

WINDOW = timedelta(days=365)
FLIPPED = 1000
READ_AT_ONCE = 2000
KINDS_SHOWN = 20
EXAMPLES_SHOWN = 3
SMALLEST = Decimal("0.0001")
"""No currency has a smaller unit."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """One decision as it was made, and its case, for a link."""

    facts: Facts
    before: Entitlement
    example: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Group:
    """Cases of one channel that are equal in all that counts: at most their losses differ, and not in what follows from them.

    cases: how many. matter: what the facts of two groups share when they differ in their channel only. decided: one of them, and
    after: what the draft gives it. money: the change for all of them together.
    """

    channel: str
    cases: int
    matter: tuple[str, int]
    decided: _Decided
    after: Entitlement
    money: Decimal


@dataclass(slots=True)
class _Tally:
    """Counted cases, and the money that changes in each currency."""

    cases: int = 0
    winners: int = 0
    losers: int = 0
    by_currency: Counter[str] = field(default_factory=Counter)
    money: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, found: Difference, *, group: _Group) -> None:
        cases, currency = group.cases, group.after.currency
        self.cases += cases
        self.losers += cases if found.gives_less else 0
        self.winners += cases if found.gives_more and not found.gives_less else 0
        self.by_currency[currency] += cases
        self.money[currency] += group.money

    def cost(self) -> dict[str, str]:
        """The change of money in each currency that has one."""
        return {
            currency: str(money.rounded(amount, currency)) for currency, amount in sorted(self.money.items()) if amount
        }

    def mean(self) -> dict[str, str]:
        """The change of money per case, for each currency of these cases."""
        return {
            currency: str(money.rounded(self.money[currency] / cases, currency))
            for currency, cases in sorted(self.by_currency.items())
        }


@dataclass(slots=True)
class _Kind:
    """Cases to which the same kind of thing happens."""

    cases: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


def tried_on_cases(draft: Policy, *, at: datetime) -> dict[str, Any]:
    """Decide the newest decision of each case of the last twelve months again, and the last 1,000 decisions on every channel.

    Winners get more of something and less of nothing; losers get less of anything. Money is draft minus decided.
    Returns JSON values: how many cases are unchanged, win and lose, what changes, cost per currency, examples, shares per
    channel, and what shows that the channel was not read. Keeps counts, not cases; writes nothing.
    """
    everybody, channels = _Tally(), defaultdict[str, _Tally](_Tally)
    changes: Counter[str] = Counter()
    kinds: dict[str, defaultdict[tuple[Any, ...], _Kind]] = {
        "losers": defaultdict(_Kind),
        "winners": defaultdict(_Kind),
    }
    earned = _SameFacts()
    for group in _groups(at - WINDOW, draft):
        facts = group.decided.facts
        earned.met(group.matter, group.after, facts=facts)
        found = difference(group.decided.before, group.after)
        for tally in (everybody, channels[group.channel]):
            tally.add(found, group=group)
        for what in _changes(found):
            changes[what] += group.cases
        if found.gives_less or found.gives_more:
            kind = kinds["losers" if found.gives_less else "winners"][_kind(found)]
            kind.cases += group.cases
            if len(kind.examples) < EXAMPLES_SHOWN:
                said = {"facts": sentences.known(facts), "changes": sentences.changes(found, currency=facts.currency)}
                kind.examples.append({**group.decided.example, **said})
    return {
        "since": (at - WINDOW).isoformat(),
        "cases": everybody.cases,
        "unchanged": everybody.cases - everybody.winners - everybody.losers,
        "winners": everybody.winners,
        "losers": everybody.losers,
        "changes": dict(changes),
        "cost": everybody.cost(),
        "kinds": {
            side: [
                {"cases": kind.cases, "examples": kind.examples}
                for kind in sorted(found_kinds.values(), key=lambda kind: -kind.cases)[:KINDS_SHOWN]
            ]
            for side, found_kinds in kinds.items()
        },
        "channels": [
            {
                "channel": channel,
                "cases": tally.cases,
                "winners": tally.winners,
                "losers": tally.losers,
                "mean": tally.mean(),
            }
            for channel, tally in sorted(channels.items(), key=lambda item: (-item[1].cases, item[0]))
        ],
        "neutral": earned.as_data(),
        "flips": _flipped(draft),
    }


class _SameFacts:
    """Whether equal matters earned the same on each channel they came by; groups come in the order of their matters."""

    def __init__(self) -> None:
        self.matters = self.on_several = self.differing = self._times = 0
        self._matter: tuple[str, int] | None = None
        self._first = ""

    def met(self, matter: tuple[str, int], after: Entitlement, *, facts: Facts) -> None:
        """Note what one group earned: everything but the loss itself."""
        earned = canonical({**after.as_data(), "owed": str(after.owed - _paid_back(after, facts.loss))})
        if matter != self._matter:
            self._matter, self._first, self._times = matter, earned, 1
            self.matters += 1
            return
        self._times += 1
        self.on_several += self._times == 2
        self.differing += earned != self._first

    def as_data(self) -> dict[str, Any]:
        return {
            "matters": self.matters,
            "decided_more_than_once": self.on_several,
            "differing": self.differing,
            "read": list(FACT_NAMES),
        }


def _paid_back(entitlement: Entitlement, loss: Decimal) -> Decimal:
    return loss if REFUNDS.intersection(entitlement.remedies) else Decimal(0)


_AMOUNT: DecimalField[Any, Any] = DecimalField(max_digits=24, decimal_places=4)


class _Without(Func):
    """A JSON object without some of its keys."""

    arg_joiner = " - "
    template = "(%(expressions)s)"
    output_field = JSONField()


def _groups(since: datetime, draft: Policy) -> Iterator[_Group]:
    """Read the newest decision of each case since then, grouped in the database.

    Where one set of rules pays the loss back and the other does not, small losses may win and large ones lose; cases are grouped
    over different losses only where all of them fare alike, and are read one by one otherwise.
    """
    newest = Decision.objects.filter(decided_at__gte=since).order_by("case_id", "-id").distinct("case_id").values("pk")
    rows = (
        Decision.objects.filter(pk__in=newest)
        .annotate(
            amount=Cast(KeyTextTransform("loss", "facts"), _AMOUNT),
            paid_back=If(
                When(entitlement__remedies__contains=sorted(REFUNDS), then=F("amount")), default=Value(Decimal(0))
            ),
            bare=_Without("facts", Cast(Value("loss"), TextField())),
            cell=Func(
                "amount",
                Value(_cuts(draft), output_field=ArrayField(_AMOUNT)),
                function="width_bucket",
                output_field=IntegerField(),
            ),
            before=_Without("entitlement", Cast(Value("owed"), TextField()), Cast(Value("explanation"), TextField())),
            on_top=Cast(KeyTextTransform("owed", "entitlement"), _AMOUNT) - F("paid_back"),
        )
        .values("bare", "cell", "before", "on_top", "case__conversation__channel")
        .annotate(members=ArrayAgg("pk"), least=Min("amount"), most=Max("amount"), sum=Sum("amount"))
        .order_by("bare", "cell", "before", "on_top", "case__conversation__channel")
        .iterator(chunk_size=READ_AT_ONCE)
    )
    while batch := list(islice(rows, READ_AT_ONCE)):
        ones = _read([row["members"][0] for row in batch])
        for row in batch:
            members, one = row["members"], ones[row["members"][0]]
            channel, matter = row["case__conversation__channel"], (canonical(row["bare"]), row["cell"])
            after = entitlement_for(one.facts, draft)
            more = (after.owed - _paid_back(after, one.facts.loss)) - row["on_top"]
            pays = bool(REFUNDS.intersection(after.remedies)) - bool(REFUNDS.intersection(one.before.remedies))
            if _sign(pays * row["least"] + more) == _sign(pays * row["most"] + more):
                yield _Group(channel, len(members), matter, one, after, pays * row["sum"] + more * len(members))
                continue
            for single in _one_by_one(members):
                earned = entitlement_for(single.facts, draft)
                yield _Group(channel, 1, matter, single, earned, earned.owed - single.before.owed)


def _cuts(draft: Policy) -> list[Decimal]:
    """The losses at which something can change: where a rule begins, and where a loss outweighs one goodwill for another."""
    begins = {Decimal(str(wanted)) for rule in draft.rules for wanted in rule.when.get("loss", {}).values()}
    given = {Decimal(0), *(rule.goodwill for rule in draft.rules)}
    gave = {Decimal(0), *PolicyRule.objects.order_by("goodwill").values_list("goodwill", flat=True).distinct()}
    even = {abs(one - other) for one in given for other in gave}
    return sorted({Decimal(0), *begins, *even, *(loss + SMALLEST for loss in even)})


def _sign(amount: Decimal) -> int:
    return (amount > 0) - (amount < 0)


def _one_by_one(numbers: list[int]) -> Iterator[_Decided]:
    for start in range(0, len(numbers), READ_AT_ONCE):
        yield from _read(numbers[start : start + READ_AT_ONCE]).values()


def _read(numbers: list[int]) -> dict[int, _Decided]:
    return {
        row["pk"]: _Decided(
            facts=Facts.from_data(row["facts"]),
            before=Entitlement.from_data(row["entitlement"]),
            example={"case": str(row["case__public_id"]), "number": row["case_id"]},
        )
        for row in Decision.objects.filter(pk__in=numbers)
        .order_by("id")
        .values("pk", "facts", "entitlement", "case_id", "case__public_id")
    }


def _changes(found: Difference) -> Iterator[str]:
    """Name what changes, one word for each kind."""
    if found.money:
        yield "more_money" if found.money > 0 else "less_money"
    if found.sooner:
        yield "sooner"
    if found.later:
        yield "later"
    if found.severity:
        yield "graver" if found.severity > 0 else "milder"
    if found.gained:
        yield "more_remedies"
    if found.lost:
        yield "fewer_remedies"


def _kind(found: Difference) -> tuple[Any, ...]:
    return (
        found.money > 0,
        found.money < 0,
        *(tuple(times) for times in (found.sooner, found.later)),
        found.severity,
        found.gained,
        found.lost,
    )


def _flipped(draft: Policy) -> dict[str, int]:
    """Decide the last 1,000 decisions as if each had come by every other channel, and count what comes out differently."""
    decisions = differing = changed = 0
    for row in Decision.objects.order_by("-id").values("facts", "entitlement")[:FLIPPED]:
        facts = Facts.from_data(row["facts"])
        earned = entitlement_for(facts, draft)
        decisions += 1
        found = difference(Entitlement.from_data(row["entitlement"]), earned)
        changed += found.gives_less or found.gives_more
        differing += sum(
            entitlement_for(obtainable.as_known_on(channel, facts), draft) != earned for channel in Channel
        )
    return {"decisions": decisions, "flips": decisions * len(Channel), "differing": differing, "changed": changed}
