"""Decide whether a catalogued sentence fits one patient's record, and fill its numbers from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from models.drafts.catalogue import CataloguedSentence, Slot
from models.drafts.fact_conditions import read_statement, share_content
from models.drafts.wordings import fill_blanks, find_substances
from models.replies.sentences import contradicts
from models.schema import Segment

PREGNANCY = "pregnancy"
#: What is not a fact of the record: rules of safety, sentences on other patients, forecasts.
_NOT_FACTS = ("peer", "prediction", "preference")


def list_facts(segments: Sequence[Segment]) -> dict[str, Segment]:
    """The segments that state facts of the record, by key."""
    return {s.key: s for s in segments if s.kind not in _NOT_FACTS and s.key != "safety"}


def find_facts(sentence: CataloguedSentence, facts: Mapping[str, Segment]) -> tuple[Segment, ...] | None:
    """The facts behind the sentence on this record, those it speaks of first; None where it does not fit.

    It does not fit where a condition fails, where it contradicts a fact, or where it speaks of a further fact of the
    record that no donor had.
    """
    found = []
    for condition in sentence.conditions:
        segment = facts.get(condition.key)
        if segment is None or not condition.holds(segment):
            return None
        if condition.stated:
            found.append(segment)
    if sentence.pregnancy is not None and (
        (segment := facts.get(PREGNANCY)) is None or not sentence.pregnancy.holds(segment)
    ):
        return None
    for key, segment in facts.items():
        if _denies(sentence.text, key) or (key not in sentence.known_keys and _speaks_of(sentence.text, segment.text)):
            return None
    return tuple(found)


@lru_cache(maxsize=200_000)
def _denies(sentence: str, key: str) -> bool:
    return contradicts(sentence, key)


@lru_cache(maxsize=200_000)
def _speaks_of(sentence: str, fact: str) -> bool:
    return share_content(sentence, fact) or bool(find_substances(sentence) & find_substances(fact))


def fill_sentence(sentence: CataloguedSentence, facts: Mapping[str, Segment]) -> str | None:
    """The sentence with the record's own numbers; None where one of them is not on the record."""
    numbers = [_find_number(slot, facts) for slot in sentence.slots]
    return None if None in numbers else fill_blanks(sentence.text, [n for n in numbers if n is not None])


def _find_number(slot: Slot, facts: Mapping[str, Segment]) -> str | None:
    if slot.constant is not None:
        return slot.constant
    segment = facts.get(slot.key or "")
    if segment is None or (statement := read_statement(segment)).shape not in slot.shapes:
        return None
    return statement.number(slot.unit, slot.place)
