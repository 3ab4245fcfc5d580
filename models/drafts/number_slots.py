"""Trace each number of a wording to a number of the fact.

A number of the wording is filled from the place of the fact's own sentence where, with nine of ten patients who
received the wording, the same number stood. It is a constant where all of them, k patients or more, received the same
number and the fact does not explain it. Any other number cannot be traced, and the wording is not offered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from models.drafts import wordings
from models.drafts.catalogue import Slot
from models.drafts.fact_conditions import read_statement
from models.drafts.occurrences import Occurrence
from models.schema import Segment

#: Share of the wording's sentences whose number stands at the place.
MOST = 0.9
FEWEST_IN_SHAPE = 2

#: A fact's rank, its key, the unit of its number, the number's order among those of this unit.
_Place = tuple[int, str, str, int]


def find_slot(
    blank: int, own: Sequence[Occurrence], facts: Sequence[Mapping[str, Segment]], keys: Sequence[str], k: int
) -> Slot | None:
    """Find where the number at a blank comes from, among facts ``keys``; None where it cannot be traced.

    ``facts`` are those of each episode.
    """
    numbers = [wordings.NUMBER.findall(o.text)[blank] for o in own]
    hits: dict[_Place, int] = defaultdict(int)
    for number, one in zip(numbers, own, strict=True):
        for place in _list_places(number, facts[one.episode], keys):
            hits[place] += 1
    for place in sorted(hits, key=lambda p: (-hits[p], p)):
        _, key, unit, order = place
        shapes = _find_shapes(numbers, own, facts, place)
        if shapes and hits[place] >= MOST * len(own):
            return Slot(key=key, unit=unit, place=order, shapes=shapes)
    patients = {one.subject for one in own}
    return Slot(constant=numbers[0]) if len(set(numbers)) == 1 and len(patients) >= k else None


def _list_places(number: str, facts: Mapping[str, Segment], keys: Sequence[str]) -> set[_Place]:
    """Every place of the facts where the number stands."""
    found = set()
    for rank, key in enumerate(keys):
        if key not in facts:
            continue
        seen: dict[str, int] = defaultdict(int)
        for own, unit in read_statement(facts[key]).numbers:
            if own == number:
                found.add((rank, key, unit, seen[unit]))
            seen[unit] += 1
    return found


def _find_shapes(
    numbers: Sequence[str], own: Sequence[Occurrence], facts: Sequence[Mapping[str, Segment]], place: _Place
) -> frozenset[str]:
    """The shapes of the fact in which the number stands at the place, with nine of ten of two patients or more."""
    _, key, unit, order = place
    seen: dict[str, list[bool]] = defaultdict(list)
    patients: dict[str, set[int]] = defaultdict(set)
    for number, one in zip(numbers, own, strict=True):
        segment = facts[one.episode].get(key)
        if segment is None:
            continue
        statement = read_statement(segment)
        seen[statement.shape].append(statement.number(unit, order) == number)
        patients[statement.shape].add(one.subject)
    return frozenset(
        shape
        for shape, found in seen.items()
        if sum(found) >= MOST * len(found) and len(patients[shape]) >= FEWEST_IN_SHAPE
    )
