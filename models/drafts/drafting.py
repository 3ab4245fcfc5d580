"""Draft a reply for a clinician, in sentences that fit this patient's record and question.

    p(c | q, x) = f_c · Σ_κ w_κ(q) r(c, κ)  where c fits x, else 0    w_κ ∝ exp(cos(q, κ) / .05), 0 where cos < .6
    draft       = the first k by p that maximise 2 Σ_{≤k} p / (k + ℓ), at most eight, between two general ones

``ℓ`` is the usual number of specific sentences in a reply to such a question; ``f_c ≤ 1`` is what clinicians did with
the sentence in earlier drafts. No language model writes a word: a sentence is
the clinic's own, its numbers are the record's, and each passes the safety check of answers by itself and in the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.drafts.catalogue import CataloguedSentence, DraftCatalogue, weigh_kinds
from models.drafts.fitting import fill_sentence, find_facts, list_facts
from models.schema import Segment

SHARPNESS = 0.05
MOST_SENTENCES = 8
FEWEST_PROBABILITY = 0.05
GENERAL_PROBABILITY = 0.3

Role = Literal["opening", "fact", "closing"]
Check = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DraftSentence:
    """One sentence of a draft: its facts (none if general), its donors, and how likely a reply has it."""

    id: str
    text: str
    role: Role
    facts: tuple[Segment, ...]
    donors: int
    probability: float


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft in the order in which it is read; ``withheld`` counts sentences by what the safety check found."""

    sentences: tuple[DraftSentence, ...]
    withheld: Mapping[str, int]

    @property
    def text(self) -> str:
        """The draft as one text."""
        return " ".join(sentence.text for sentence in self.sentences)


def draft_reply(
    question: np.ndarray, segments: Sequence[Segment], catalogue: DraftCatalogue, check: Check = lambda _: ()
) -> Draft:
    """Draft a reply to a question (a unit vector) on this record; without a sentence where none fits."""
    facts = list_facts(segments)
    weights = weigh_kinds(question, catalogue.kind_vectors, SHARPNESS)
    withheld: dict[str, int] = {}
    offered: list[tuple[CataloguedSentence, DraftSentence]] = []
    for sentence in catalogue.sentences:
        probability = sentence.factor * float(weights @ np.array(sentence.rates)) if len(weights) else 0.0
        if probability < FEWEST_PROBABILITY or (behind := find_facts(sentence, facts)) is None:
            continue
        if not behind and probability < GENERAL_PROBABILITY:
            continue
        text = fill_sentence(sentence, facts)
        if text is None:
            continue
        findings = check(text)
        for finding in findings:
            withheld[finding] = withheld.get(finding, 0) + 1
        if not findings:
            role: Role = "fact" if behind or not sentence.general else "opening" if sentence.place < 0.5 else "closing"
            made = DraftSentence(sentence.id, text, role, behind, sentence.donors, round(probability, 4))
            offered.append((sentence, made))
    offered.sort(key=lambda pair: (-pair[1].probability, pair[0].id))
    chosen = _choose(offered, float(weights @ np.array(catalogue.lengths)) if len(weights) else 0.0)
    while chosen and (found := check(" ".join(one.text for _, one in chosen))):  # what no sentence says alone
        for finding in found:
            withheld[finding] = withheld.get(finding, 0) + 1
        chosen = chosen[:-1]
    return Draft(tuple(one for _, one in _arrange(chosen)), dict(sorted(withheld.items())))


def _choose(
    offered: Sequence[tuple[CataloguedSentence, DraftSentence]], length: float
) -> list[tuple[CataloguedSentence, DraftSentence]]:
    """Choose the sentences of most expected F1, without alternatives, and one general one at either end."""
    chosen: list[tuple[CataloguedSentence, DraftSentence]] = []
    for sentence, made in offered:
        before = {other.id for other, _ in chosen}
        if (
            made.role == "fact"
            and not before & {*sentence.apart}
            and (not sentence.after or before & {*sentence.after})
        ):
            chosen.append((sentence, made))
    probabilities = [made.probability for _, made in chosen]
    most = count_best(probabilities, length)
    ends = [next((pair for pair in offered if pair[1].role == role), None) for role in ("opening", "closing")]
    return [*chosen[:most], *(pair for pair in ends if pair is not None)] if most else []


def count_best(probabilities: Sequence[float], length: float) -> int:
    """How many of the first sentences, most probable first, have the greatest expected F1 with a reply's ``length``."""
    sums = np.cumsum(probabilities)[:MOST_SENTENCES]
    if not len(sums):
        return 0
    expected = 2 * sums / (np.arange(1, len(sums) + 1) + length)
    return int(np.round(expected, 6).argmax()) + 1


def _arrange(
    chosen: Sequence[tuple[CataloguedSentence, DraftSentence]],
) -> list[tuple[CataloguedSentence, DraftSentence]]:
    """In reading order: what is on one fact together, facts in the order of their likeliest sentence."""
    first: dict[str, int] = {}
    for rank, (_, made) in enumerate(chosen):
        if made.role == "fact":
            first.setdefault(_subject(made), rank)
    order = {"opening": 0, "fact": 1, "closing": 2}
    return sorted(
        chosen, key=lambda p: (order[p[1].role], first.get(_subject(p[1]), 0), bool(p[0].after), p[0].place, p[0].id)
    )


def _subject(made: DraftSentence) -> str:
    return made.facts[0].key if made.facts else made.id
