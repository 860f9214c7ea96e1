"""Customers who share a home: what the same home is not given twice (N10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def one_a_home(people: Iterable[tuple[int, Sequence[int]]]) -> list[int]:
    """Choose from people in their order so that no home is chosen twice; whoever has no home noted stands for themselves.

    people: key of a customer and the keys of their homes. Returns the keys of those chosen, in the same order. For what is given to
    a home (a card for the season, a draw); a birthday is a person's own.
    """
    taken: set[int] = set()
    chosen = []
    for person, homes in people:
        if taken.isdisjoint(homes):
            chosen.append(person)
            taken.update(homes)
    return chosen
