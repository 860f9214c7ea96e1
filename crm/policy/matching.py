"""Which records of people may be one person: weights in the manner of Fellegi and Sunter, estimated without any labels.

Two records are compared field by field; each comparison falls into a level from "differs" to "same". How often records of one
person reach a level (m) is estimated by expectation and maximisation over the pairs that share something, how often any two
records do (u) from pairs drawn by chance. What comes out is a probability; a person decides. Only verified keys join by themselves.

Source: Fellegi and Sunter, A Theory for Record Linkage, 1969; Winkler, Using the EM Algorithm for Weight Computation, 1988.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from rapidfuzz.distance import OSA, JaroWinkler

Record = Mapping[str, tuple[str, ...]]
"""One record: the values of each field, normalised by `plain`; a field nothing is known of is missing."""

SUGGESTED_FROM = 0.5
"""The probability from which two records are shown to a person: more likely one person than two."""
KEY_HELD_BY_AT_MOST = 20
"""A key that more records than this carry is a mark of a group (a household, a placeholder), and joins nobody."""
CONTRADICTED_BELOW = -10.0
"""Records that share a key but differ in so much else (log2 of the odds) are left to a person."""

_BLOCK_AT_MOST = 150
_CHANCE_PAIRS = 20_000
_ROUNDS = 25
_LIKE, _SOMEWHAT_LIKE = 0.92, 0.82  # Jaro-Winkler; the usual cuts since Winkler 1990
_SEED = 1969

DIFFERS, SOMEWHAT, NEAR, SAME = 0, 1, 2, 3
UNKNOWN = -1


def plain(text: str) -> str:
    """Bring words into the form in which they are compared: lower case, without punctuation and doubled blanks."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold().replace("'", "")).split())


def _words(one: str, other: str) -> int:
    if one == other:
        return SAME
    alike = JaroWinkler.similarity(one, other)
    return NEAR if alike >= _LIKE else SOMEWHAT if alike >= _SOMEWHAT_LIKE else DIFFERS


def _figures(one: str, other: str) -> int:
    if one == other:
        return SAME
    away = OSA.distance(one, other, score_cutoff=2)
    short = min(len(one), len(other))
    return NEAR if away == 1 and short > 3 else SOMEWHAT if away <= 2 and short > 5 else DIFFERS


def _exactly(one: str, other: str) -> int:
    return SAME if one == other else DIFFERS


def _address(one: str, other: str) -> int:
    """Mail addresses: one slip of the finger is near, and nothing but a slip is."""
    return SAME if one == other else NEAR if OSA.distance(one, other, score_cutoff=1) == 1 else DIFFERS


@dataclass(frozen=True, slots=True)
class Field:
    """How one field is compared. m, u: what is thought of each level before anything is counted, from differs to same.

    strong: the least level that is evidence beside a name; None where it never is.
    """

    compare: Callable[[str, str], int]
    m: tuple[float, float, float, float]
    u: tuple[float, float, float, float]
    strong: int | None = None


_NAME_M, _NAME_U = (0.07, 0.05, 0.08, 0.80), (0.96, 0.025, 0.005, 0.01)
FIELDS: dict[str, Field] = {
    "given_name": Field(_words, _NAME_M, _NAME_U),
    "family_name": Field(_words, _NAME_M, _NAME_U),
    "company": Field(_words, (0.30, 0.05, 0.05, 0.60), (0.95, 0.02, 0.01, 0.02)),
    "email": Field(_address, (0.30, 0.0001, 0.05, 0.65), (0.9988, 0.0001, 0.0001, 0.001), NEAR),
    "phone": Field(_exactly, (0.30, 0.0001, 0.0001, 0.70), (0.9968, 0.0001, 0.0001, 0.003), SAME),
    "street": Field(_words, (0.15, 0.07, 0.08, 0.70), (0.94, 0.05, 0.005, 0.005), NEAR),
    "more_street": Field(_words, (0.25, 0.07, 0.08, 0.60), (0.94, 0.05, 0.005, 0.005)),
    "house_number": Field(_figures, (0.15, 0.02, 0.03, 0.80), (0.95, 0.01, 0.02, 0.02)),
    "city": Field(_words, (0.12, 0.05, 0.08, 0.75), (0.94, 0.03, 0.01, 0.02)),
    "postcode": Field(_figures, (0.10, 0.02, 0.06, 0.82), (0.95, 0.02, 0.015, 0.015)),
    "region": Field(_exactly, (0.10, 0.0001, 0.0001, 0.90), (0.75, 0.0001, 0.0001, 0.25)),
    "birth_date": Field(_figures, (0.08, 0.04, 0.06, 0.82), (0.985, 0.01, 0.004, 0.001), SAME),
    "key": Field(_figures, (0.06, 0.02, 0.07, 0.85), (0.9979, 0.001, 0.001, 0.0001), NEAR),
}
"""The fields that are compared; whatever else a file knows of people is not."""

Pattern = tuple[int, ...]
_NAMES = tuple(FIELDS)
_GIVEN, _FAMILY = _NAMES.index("given_name"), _NAMES.index("family_name")
_KEY = _NAMES.index("key")


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two records that may be one person. score: 0–1; evidence: what agrees or differs, by field, and its weight (log2)."""

    one: int
    other: int
    score: float
    evidence: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each level of each field says (log2 of m/u), and the odds that any two records are one person (log2)."""

    levels: tuple[tuple[float, ...], ...]
    prior: float

    def total(self, pattern: Pattern, *, without: int | None = None) -> float:
        """The odds (log2) that two records of this pattern are one person."""
        return self.prior + sum(
            self.levels[place][level] for place, level in enumerate(pattern) if level != UNKNOWN and place != without
        )


@dataclass(frozen=True, slots=True)
class Matched:
    """groups: records that are one person by verified keys; suggested: pairs that a person has to confirm, likeliest first."""

    groups: tuple[tuple[int, ...], ...]
    suggested: tuple[Likeness, ...]


def compare(one: Record, other: Record) -> Pattern:
    """Compare two records field by field; the best of several values counts, names also the other way round."""
    levels = []
    for name, field in FIELDS.items():
        mine, theirs = one.get(name), other.get(name)
        if not mine or not theirs:
            levels.append(UNKNOWN)
        else:
            levels.append(max(field.compare(a, b) for a in mine for b in theirs))
    if levels[_GIVEN] in (DIFFERS, SOMEWHAT) and levels[_FAMILY] in (DIFFERS, SOMEWHAT):
        given = set(one["given_name"]) & set(other["family_name"])
        family = set(one["family_name"]) & set(other["given_name"])
        if given and family:
            levels[_GIVEN] = levels[_FAMILY] = NEAR
    return tuple(levels)


def has_more_than_a_name(pattern: Pattern) -> bool:
    """Whether something beside names agrees that is evidence by itself. Nobody is ever suggested by their name alone."""
    for name, level in zip(_NAMES, pattern, strict=True):
        least = FIELDS[name].strong
        if least is not None and level >= least:
            return True
    place, number = pattern[_NAMES.index("postcode")], pattern[_NAMES.index("house_number")]
    return place == SAME and number == SAME


def _skeleton(name: str) -> str:
    """The first letter and the consonants after it: what most slips of the pen leave as it is."""
    rest = [c for before, c in pairwise(name) if c not in "aeiouyhw " and c != before]
    return name[:1] + "".join(rest)[:3]


def _blocks(record: Record) -> Iterator[tuple[str, ...]]:
    """What a record has to share with another to be compared with it at all."""

    def first(name: str) -> str:
        return record.get(name, ("",))[0]

    given, family, place, street = first("given_name"), first("family_name"), first("postcode"), first("street")
    for name in ("email", "phone", "key", "birth_date"):
        for value in record.get(name, ()):
            yield name, value
    for address in record.get("email", ()):
        yield "local", address.partition("@")[0]
    names = sorted((given, family))
    if all(names):
        yield ("names", *names)
        yield "skeletons", *sorted(map(_skeleton, names))
    for name in (given, family):
        if name and place:
            yield "name and place", _skeleton(name), place
        if name and street:
            yield "name and street", _skeleton(name), street
    if street and place:
        yield "home", street, place
    if street and first("house_number"):
        yield "door", street, first("house_number")
    born = first("birth_date")
    if len(born) >= 6 and given:
        yield "name and year", _skeleton(given), born[:4]
        yield "name and day", _skeleton(given), born[4:]
    for value in record.get("key", ()):
        if len(value) >= 6:
            half = len(value) // 2
            yield "key begins", value[:half], _skeleton(given or family)
            yield "key ends", value[half:], _skeleton(given or family)


def candidates(records: Sequence[Record], *, fresh: int | None = None) -> set[tuple[int, int]]:
    """The pairs worth comparing: those that share a block that is not too common. fresh: see `match`."""
    fresh = len(records) if fresh is None else fresh
    blocks: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        for block in set(_blocks(record)):
            blocks[block].append(number)
    found: set[tuple[int, int]] = set()
    for members in blocks.values():
        if 1 < len(members) <= _BLOCK_AT_MOST and members[0] < fresh:
            found.update(pair for pair in combinations(members, 2) if pair[0] < fresh)
    return found


def _shares(counted: Counter[int], thought: tuple[float, ...], *, weight: float) -> list[float]:
    total = sum(counted.values()) + weight
    return [max((counted[level] + weight * share) / total, 1e-6) for level, share in enumerate(thought)]


def estimate(records: Sequence[Record], patterns: Mapping[Pattern, int]) -> Weights:
    """Estimate the weights from the records themselves. patterns: of the candidates, and how many have each."""
    chance = random.Random(_SEED)  # a sample, and the same one every time
    drawn: list[Counter[int]] = [Counter() for _ in FIELDS]
    size = len(records)
    for _ in range(min(_CHANCE_PAIRS, size * (size - 1) // 2)):
        one, other = chance.sample(range(size), 2)
        for place, level in enumerate(compare(records[one], records[other])):
            if level != UNKNOWN:
                drawn[place][level] += 1
    u = [_shares(counted, field.u, weight=400.0) for counted, field in zip(drawn, FIELDS.values(), strict=True)]
    m = [list(field.m) for field in FIELDS.values()]
    every = max(size * (size - 1) / 2, 1.0)
    share = size / 20 / (every + size)  # until something is counted: one in twenty has a double
    levels: list[tuple[float, ...]] = []
    for _ in range(_ROUNDS):
        levels = [
            tuple(math.log2(a / b) for a, b in zip(of_one, of_any, strict=True))
            for of_one, of_any in zip(m, u, strict=True)
        ]
        weights = Weights(tuple(levels), _log_odds(share))
        counted: list[dict[int, float]] = [defaultdict(float) for _ in FIELDS]
        same = 0.0
        for pattern, number in patterns.items():
            if not has_more_than_a_name(pattern):
                continue
            expected = number * _probability(weights.total(pattern))
            same += expected
            for place, level in enumerate(pattern):
                if level != UNKNOWN:
                    counted[place][level] += expected
        m = [
            _shares(Counter(dict(of_field)), field.m, weight=20.0)
            for of_field, field in zip(counted, FIELDS.values(), strict=True)
        ]
        share = (same + size / 20) / (every + size)
    # More agreement never speaks against one person, whatever few rows happened to say.
    rising = [tuple(max(row[: place + 1]) for place in range(len(row))) for row in levels]
    return Weights(tuple(rising), _log_odds(share))


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-12), 0.5)
    return math.log2(share / (1 - share))


def _probability(odds: float) -> float:
    return 1 / (1 + 2 ** -max(min(odds, 60.0), -60.0))


def match(
    records: Sequence[Record],
    *,
    verified: Sequence[frozenset[str]] = (),
    fresh: int | None = None,
    likely: Iterable[tuple[int, int]] = (),
    told: Callable[[int, int], None] = lambda done, all_: None,
) -> Matched:
    """Say which records are one person, and which may be. verified: the verified keys of each record, in the same order.

    fresh: how many of the records, the first ones, are new; without a key in common, two others are not compared again.
    likely: pairs that are worth comparing besides. told: hears how many pairs have been compared, of how many.
    """
    pairs = candidates(records, fresh=fresh) | set(likely)
    held: dict[str, list[int]] = defaultdict(list)
    for number, keys in enumerate(verified):
        for key in keys:
            held[key].append(number)
    keyed = {
        pair
        for members in held.values()
        if 1 < len(members) <= KEY_HELD_BY_AT_MOST
        for pair in combinations(members, 2)
    }
    pairs |= keyed
    compared: dict[tuple[int, int], Pattern] = {}
    for done, (one, other) in enumerate(sorted(pairs)):
        if done % 5_000 == 0:
            told(done, len(pairs))
        compared[one, other] = compare(records[one], records[other])
    told(len(pairs), len(pairs))
    weights = estimate(records, Counter(compared.values()))
    joined = {
        pair for pair in keyed if weights.total(compared[pair], without=_KEY) - weights.prior > CONTRADICTED_BELOW
    }
    group_of = _closed(len(records), joined)
    suggested = []
    for (one, other), pattern in compared.items():
        if group_of[one] == group_of[other]:
            continue
        score = _probability(weights.total(pattern))
        if (score >= SUGGESTED_FROM and has_more_than_a_name(pattern)) or (one, other) in keyed:
            suggested.append(Likeness(one, other, round(score, 4), _evidence(pattern, weights)))
    groups: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(group_of):
        groups[group].append(number)
    suggested.sort(key=lambda like: (-like.score, like.one, like.other))
    return Matched(tuple(tuple(members) for members in groups.values() if len(members) > 1), tuple(suggested))


def _evidence(pattern: Pattern, weights: Weights) -> tuple[tuple[str, int, float], ...]:
    return tuple(
        (name, level, round(weights.levels[place][level], 1))
        for place, (name, level) in enumerate(zip(_NAMES, pattern, strict=True))
        if level != UNKNOWN
    )


def _closed(size: int, joined: set[tuple[int, int]]) -> list[int]:
    """Which group each record is in when whoever is one with one of a group is one with all of it."""
    group = list(range(size))

    def root(number: int) -> int:
        while group[number] != number:
            group[number] = group[group[number]]
            number = group[number]
        return number

    for one, other in sorted(joined):
        first, second = sorted((root(one), root(other)))
        group[second] = first
    return [root(number) for number in range(size)]
