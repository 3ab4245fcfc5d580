"""Conditions under which a sentence fits a record: the fact is as with the donors.

A sentence cluster is bound to facts (segment keys). It fits a patient only where each of these facts is on the record,
states what it stated of the patients who received the sentence (the donors), and has its numbers within theirs:

    fits(c, s) = key(s) = key ∧ words(s) ⊆ words of the donors' facts
               ∧ (words(c) ∩ words that all the donors' facts have) ⊆ words(s) ∧ one drug of c in s
               ∧ each number of s in the donors' range ∧ age(s) ≤ that of the donors' facts

The first keeps a suspicion from passing for a diagnosis and a rise from passing for a fall, the second a drug's or an
illness's name from reaching a patient with another, the third "is low" from a value that is not. Ranges leave out the
lowest and the highest donor: no bound is one patient's extreme, and a value at the edge counts as outside.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from models.drafts.wordings import NUMBER, find_substances, mask_numbers, name_wording, split_words
from models.schema import Segment

#: Donors whose fact has a word before a patient's may: what one alone had counts for nobody.
FEWEST_WITH_WORD = 2
#: Share of donors whose fact has a word of the sentence from which on every patient's fact must have it.
ALL_DONORS = 0.9
_TIME = re.compile(
    r"\b(?:\d+ (?:day|week|month|year)s? ago|yesterday|today"
    r"|(?:in|over|since|for) \d+ (?:day|week|month|year)s?)\b"
)
_AFTER = re.compile(r"\s*([^\s\d,.;:()]*)")
_COMMON = split_words(
    "a an the she he her his hers you your yours is are was were be been has have had it its this that these "
    "those of in on at to for from by with and or but as so if then than not no never any some more most very "
    "can could may might will would should do does did done day days week weeks month months year years ago "
    "today yesterday last latest current currently record recorded noted prescribed takes take taking one "
    "time times only also there here we us our i me my please still usual usually range below above before "
    "after since over under up down out about into per g dl mg mcg kg mmhg ml bpm high low value result level "
    "test tests tested check checked means such other "
)


@dataclass(frozen=True, slots=True)
class StatedFact:
    """What one segment states: its words, its drugs, and its numbers by the unit after them and their order.

    ``shape`` names the sentence without numbers and ages: in one shape, one place always means the same.
    """

    words: frozenset[str]
    numbers: tuple[tuple[str, str], ...]
    shape: str
    substances: frozenset[str]
    age_days: float | None

    def number(self, unit: str, place: int) -> str | None:
        """The ``place``-th number with this unit; None where there is none."""
        found = [number for number, own in self.numbers if own == unit]
        return found[place] if place < len(found) else None


@lru_cache(maxsize=100_000)
def _read_text(text: str, pinned: bool) -> tuple[frozenset[str], tuple[tuple[str, str], ...], str, frozenset[str]]:
    stated = text if pinned else _TIME.sub(" ", text)  # weeks of a pregnancy are a value, not an age
    numbers = tuple(
        (m.group(), _AFTER.match(stated, m.end()).group(1).lower())  # type: ignore[union-attr]
        for m in NUMBER.finditer(stated)
    )
    return split_words(stated), numbers, name_wording(" ".join(mask_numbers(stated).split())), find_substances(stated)


def read_statement(segment: Segment) -> StatedFact:
    """Read what a segment states."""
    return StatedFact(*_read_text(segment.text, segment.pinned), segment.recency_days)


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The range of the ``place``-th number with this unit; a pressure has one for each part."""

    unit: str
    place: int
    low: tuple[float, ...]
    high: tuple[float, ...]

    def holds(self, statement: StatedFact) -> bool:
        """Whether the statement's number is within; true where it has none."""
        number = statement.number(self.unit, self.place)
        if number is None:
            return True
        parts = _to_floats(number)
        return len(parts) == len(self.low) and all(
            low <= part <= high for low, part, high in zip(self.low, parts, self.high, strict=True)
        )


@dataclass(frozen=True, slots=True)
class PregnancyCondition:
    """The states of pregnancy that donors had, and their weeks where they were pregnant.

    A state is what the pinned sentence denies or does not know.
    """

    states: frozenset[str]
    weeks: NumberRange | None

    def holds(self, segment: Segment) -> bool:
        """Whether the patient's state is one of the donors', at a time of pregnancy like theirs."""
        statement = read_statement(segment)
        state = _read_state(statement)
        return state in self.states and (state != PREGNANT or self.weeks is None or self.weeks.holds(statement))


PREGNANT = "pregnant"
_UNSURE = frozenset({"not", "known", "unknown", "whether"})


def _read_state(statement: StatedFact) -> str:
    return " ".join(sorted(statement.words & _UNSURE)) or PREGNANT


def learn_pregnancy(segments: Sequence[Segment]) -> PregnancyCondition:
    """Learn the states of the donors, one a patient; what one alone had counts for nobody."""
    statements = [read_statement(segment) for segment in segments]
    counts = Counter(map(_read_state, statements))
    weeks = [_to_floats(one.numbers[0][0]) for one in statements if _read_state(one) == PREGNANT and one.numbers]
    unit = next((one.numbers[0][1] for one in statements if _read_state(one) == PREGNANT and one.numbers), "")
    return PregnancyCondition(
        states=frozenset(state for state, n in counts.items() if n >= FEWEST_WITH_WORD),
        weeks=_find_range(unit, 0, weeks) if weeks else None,
    )


@dataclass(frozen=True, slots=True)
class FactCondition:
    """When one fact of a record is as it was with the donors of a sentence.

    ``words`` may stand in the fact, ``needed`` must, and one of ``drugs`` if there are any. ``stated``: the sentence
    speaks of this fact; else the donors merely all had it.
    """

    key: str
    words: frozenset[str]
    needed: frozenset[str]
    drugs: frozenset[str]
    ranges: tuple[NumberRange, ...]
    oldest_days: float | None
    stated: bool = True

    def holds(self, segment: Segment) -> bool:
        """Whether the segment is the fact, and states what the donors' facts stated."""
        statement = read_statement(segment)
        if segment.key != self.key or not self.needed <= statement.words or not statement.words <= self.words:
            return False
        if self.drugs and not self.drugs & statement.substances:
            return False
        measured = self.stated and bool(statement.numbers)  # an illness does not age as a value does
        if measured and self.oldest_days is not None and (statement.age_days or 0.0) > self.oldest_days:
            return False
        return all(one.holds(statement) for one in self.ranges)


def learn_condition(key: str, wording: str, facts: Sequence[Segment], stated: bool) -> FactCondition:
    """Learn the condition from a sentence's wording and the donors' facts of this key, one a patient."""
    statements = [read_statement(segment) for segment in facts]
    counts = Counter(word for one in statements for word in one.words)
    known = frozenset(word for word, n in counts.items() if n >= FEWEST_WITH_WORD)
    spoken = split_words(wording) - _COMMON if stated else frozenset()
    drugs = find_substances(wording) if stated else frozenset()
    numbers: dict[tuple[str, int], list[tuple[float, ...]]] = defaultdict(list)
    for one in statements:
        seen: Counter[str] = Counter()
        for number, unit in one.numbers:
            numbers[unit, seen[unit]].append(_to_floats(number))
            seen[unit] += 1
    ages = sorted(one.age_days for one in statements if one.age_days is not None)
    ranges = [_find_range(unit, place, values) for (unit, place), values in sorted(numbers.items())] if stated else []
    return FactCondition(
        key=key,
        words=known,
        needed=frozenset(word for word in spoken if counts[word] >= ALL_DONORS * len(statements)),
        drugs=drugs & frozenset(name for one in statements for name in one.substances),
        ranges=tuple(ranges),
        oldest_days=_inner(ages)[1] if ages else None,
        stated=stated,
    )


def share_content(text: str, other: str) -> bool:
    """Whether two texts have a word in common that says what they are about."""
    return bool((split_words(text) & split_words(other)) - _COMMON)


def _find_range(unit: str, place: int, values: Sequence[tuple[float, ...]]) -> NumberRange:
    width = Counter(map(len, values)).most_common(1)[0][0]
    columns = [sorted(column) for column in zip(*(v for v in values if len(v) == width), strict=True)]
    bounds = [_inner(column) for column in columns]
    return NumberRange(unit, place, tuple(low for low, _ in bounds), tuple(high for _, high in bounds))


def _inner(ordered: Sequence[float]) -> tuple[float, float]:
    """The second lowest and the second highest value; an empty range below three values."""
    return (ordered[1], ordered[-2]) if len(ordered) > 2 else (1.0, 0.0)


def _to_floats(number: str) -> tuple[float, ...]:
    return tuple(map(float, number.split("/")))
