"""The catalogue of sentences that the clinic writes: learnt by night, served by a release.

Every sentence stands for at least k patients who received it or one that says the same. No id and no question is in
here. Conditions hold words that two donors' facts had, and as bounds the second lowest and second highest of the
donors' numbers: they are never shown, but whoever may read a release reads them (docs/privacy.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from models.drafts.fact_conditions import FactCondition, NumberRange, PregnancyCondition
from models.replies.question_kinds import SAME_KIND_COSINE

FILE = "catalogue.json"
VERSION = 1
JUDGEMENT_PRIOR = 5


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a sentence's number comes from: a number of the fact ``key``, by its unit and order; else ``constant``.

    Only a fact worded in one of ``shapes`` gives it: elsewhere the same place may hold another number.
    """

    constant: str | None = None
    key: str | None = None
    unit: str = ""
    place: int = 0
    shapes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judgement:
    """How often clinicians accepted, edited and rejected a sentence in drafts."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0

    @property
    def factor(self) -> float:
        """``(accepted + edited / 2 + 5) / (all + 5)``: 1 without judgements, below where they speak against it."""
        judged = self.accepted + self.edited + self.rejected
        return (self.accepted + self.edited / 2 + JUDGEMENT_PRIOR) / (judged + JUDGEMENT_PRIOR)


@dataclass(frozen=True, slots=True)
class CataloguedSentence:
    """One sentence that the clinic writes, with whose record it fits and how often it is written.

    ``text`` has ``#`` for each number, ``slots`` what goes there. ``wordings`` names every wording of its cluster, its
    own first. ``conditions`` must all hold, and ``pregnancy``. ``known_keys`` are facts that donors had: a record's
    other facts of which the sentence speaks forbid it. ``rates`` is, for each kind of question, the share of the
    patients whose record it fits that received it. ``general``: written to anybody who asks, of no fact. ``place`` is
    where in a reply it usually stands, from 0 to 1. ``apart`` names sentences that are never written beside it;
    ``after``, where there are any, those of which one must stand before it, because it goes on from them. ``factor`` is
    what clinicians made of it in drafts (``Judgement``).
    """

    text: str
    slots: tuple[Slot, ...]
    wordings: tuple[str, ...]
    donors: int
    conditions: tuple[FactCondition, ...]
    pregnancy: PregnancyCondition | None
    known_keys: frozenset[str]
    rates: tuple[float, ...]
    general: bool
    place: float
    apart: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    factor: float = 1.0

    @property
    def id(self) -> str:
        """The name of its wording, the same on every night."""
        return self.wordings[0]


@dataclass(frozen=True)
class DraftCatalogue:
    """All sentences, the kinds of question, and the k of k-anonymity.

    ``kinds`` are unit vectors ``[kinds, width]``, ``lengths`` how many specific sentences a reply to the kind has on
    average.
    """

    sentences: tuple[CataloguedSentence, ...]
    kinds: tuple[tuple[float, ...], ...]
    lengths: tuple[float, ...]
    k: int

    @cached_property
    def kind_vectors(self) -> np.ndarray:
        """The kinds' vectors as an array."""
        return np.array(self.kinds, dtype=np.float64) if self.kinds else np.zeros((0, 0))


def dump_catalogue(catalogue: DraftCatalogue) -> bytes:
    """Write a catalogue as JSON; equal catalogues give equal bytes."""
    value = {"version": VERSION, "k": catalogue.k, "kinds": catalogue.kinds, "lengths": catalogue.lengths} | {
        "sentences": [asdict(sentence) for sentence in catalogue.sentences]
    }
    return json.dumps(value, default=sorted, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def read_catalogue(folder: Path) -> DraftCatalogue | None:
    """Read the catalogue in ``folder``; None where there is none, ``ValueError`` for one of another version."""
    path = folder / FILE
    if not path.exists():
        return None
    value = json.loads(path.read_text("utf-8"))
    if value["version"] != VERSION:
        raise ValueError(f"{FILE} has version {value['version']}, not {VERSION}")
    sentences = tuple(_parse_sentence(one) for one in value["sentences"])
    kinds = tuple(tuple(kind) for kind in value["kinds"])
    return DraftCatalogue(sentences, kinds, tuple(value["lengths"]), value["k"])


def _parse_sentence(value: dict[str, Any]) -> CataloguedSentence:
    return CataloguedSentence(
        **value
        | {
            "slots": tuple(Slot(**slot | {"shapes": frozenset(slot["shapes"])}) for slot in value["slots"]),
            "conditions": tuple(_parse_condition(one) for one in value["conditions"]),
            "pregnancy": value["pregnancy"] and _parse_pregnancy(value["pregnancy"]),
            "known_keys": frozenset(value["known_keys"]),
            **{name: tuple(value[name]) for name in ("wordings", "rates", "apart", "after")},
        }
    )


def _parse_condition(value: dict[str, Any]) -> FactCondition:
    ranges = tuple(map(_parse_range, value["ranges"]))
    words = {name: frozenset(value[name]) for name in ("words", "needed", "drugs")}
    return FactCondition(**value | words | {"ranges": ranges})


def _parse_pregnancy(value: dict[str, Any]) -> PregnancyCondition:
    return PregnancyCondition(frozenset(value["states"]), value["weeks"] and _parse_range(value["weeks"]))


def _parse_range(value: dict[str, Any]) -> NumberRange:
    return NumberRange(**value | {"low": tuple(value["low"]), "high": tuple(value["high"])})


def weigh_kinds(question: np.ndarray, kinds: np.ndarray, sharpness: float) -> np.ndarray:
    """Weigh the like kinds of question by nearness; all zeros where none is like this one.

    Of another kind of question nothing may be drafted, however near it is among the kinds there are.
    """
    if not len(kinds):
        return np.zeros(0)
    near = np.round(kinds @ question, 5)
    weights = np.where(near >= SAME_KIND_COSINE, np.exp((near - near.max()) / sharpness), 0.0)
    return np.asarray(weights / max(float(weights.sum()), 1e-12))


def order_sentences(sentences: Sequence[CataloguedSentence]) -> tuple[CataloguedSentence, ...]:
    """Order sentences by id, so that a catalogue's bytes depend on nothing else."""
    return tuple(sorted(sentences, key=lambda sentence: sentence.id))
