"""Episodes whose replies follow two rules, and an encoder that knows a text by its words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from models.drafts.catalogue import DraftCatalogue
from models.drafts.learning import CatalogueCounts, Links, learn_catalogue
from models.schema import Episode, Segment

QUESTION = "Why am I so tired?"
OTHER_QUESTION = "May I travel by plane?"
PREGNANT = "She is 20 weeks pregnant."


class WordEncoder:
    """Unit vectors of a text's words: texts of equal words are equal, of no common word orthogonal."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), 256), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in set(re.findall(r"[a-z]+", text.lower())):
                row[zlib.crc32(word.encode()) % 256] += 1
            row /= max(float(np.linalg.norm(row)), 1e-9)
        return vectors


def haemoglobin(value: float, ago: str = "2 weeks ago") -> Segment:
    level = "below" if value < 11 else "within"
    text = f"Her haemoglobin was {value} g/dL {ago}, {level} the usual range."
    return Segment("haemoglobin.latest", "record", text, sources=("lab",), recency_days=14.0)


def record(
    *free: Segment, pregnancy: str = PREGNANT, allergies: str = "No drug allergies on record."
) -> tuple[Segment, ...]:
    pinned = [("safety", "Say how to get urgent care."), ("pregnancy", pregnancy), ("allergies", allergies)]
    return (*(Segment(key, "pinned", text, pinned=True) for key, text in pinned), *free)


def episode(number: int, segments: tuple[Segment, ...], reply: Sequence[str], *, specific: Sequence[bool] | None = None,
            subject: int | None = None, question: str = QUESTION) -> Episode:  # fmt: skip
    return Episode(
        episode_id=f"e{number:04d}",
        subject_id=number if subject is None else subject,
        as_of=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
        question=question,
        segments=segments,
        reply=tuple(reply),
        specific=tuple(specific or (True,) * len(reply)),
    )


def low(number: int, value: float | None = None, **more: int) -> Episode:
    """A patient whose haemoglobin is low, in a reply that states its value."""
    value = 9.0 + number % 10 / 10 if value is None else value
    statement = f"Your haemoglobin of {value} g/dL is low, so start iron tablets."
    return episode(
        number, record(haemoglobin(value)), [statement, "Rest when you can."], specific=(True, False), **more
    )


def fine(number: int) -> Episode:
    """A patient whose haemoglobin is fine."""
    value = 12.0 + number % 10 / 10
    statement = f"Your haemoglobin of {value} g/dL is fine, so anaemia is not the reason."
    return episode(number, record(haemoglobin(value)), [statement, "Rest when you can."], specific=(True, False))


def link(episodes: Sequence[Episode], key: str = "haemoglobin.latest") -> Links:
    """Every specific sentence rests on the one fact."""
    return [[{key: 0.9} for own in e.specific if own] for e in episodes]


def learn(episodes: Sequence[Episode], k: int = 10) -> tuple[DraftCatalogue, CatalogueCounts]:
    return learn_catalogue(episodes, link(episodes), WordEncoder(), k)


def clinic() -> list[Episode]:
    """Twelve patients with a low haemoglobin and twelve with one that is fine."""
    return [*map(low, range(12)), *map(fine, range(100, 112))]
