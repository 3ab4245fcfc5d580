"""How text reaches a policy that a trainer hands token ids and nothing else: ids into one frozen table.

Each distinct question and segment is one row: the sentence embedding of its text and a few numbers. The table is
filled per data set, stands outside the checkpoint, and is never trained. A prompt is ``R_q R_1 … R_n``: the
question's row, then one row a slot. Without positions, so that the order of slots says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from models.encoder import Encoder
from models.schema import Segment, SegmentKind

KINDS: tuple[str, ...] = get_args(SegmentKind)
PREFERENCE = KINDS.index("preference")
NUMERIC_FEATURES = len(KINDS) + 7


def numeric_features(segment: Segment) -> list[float]:
    """What is known of a segment beside its text, each about unit size; ``NUMERIC_FEATURES`` long.

    Kind (one-hot), whether it has an age, log age in days, signed and absolute distance from her own band
    (standard deviations, clipped at 4), how much peers with it differ (clipped at 4), how unexpected her last
    visit was (nats, clipped at 8) and length (tokens / 30).
    """
    aged = segment.recency_days is not None
    age = math.log1p(max(0.0, segment.recency_days or 0.0)) / 8 if aged else 0.0
    change = max(-4.0, min(4.0, segment.change)) / 2
    lift = max(-4.0, min(4.0, segment.peer_lift)) / 2
    kind = [float(k == segment.kind) for k in KINDS]
    return [
        *kind,
        float(aged),
        age,
        change,
        abs(change),
        lift,
        min(8.0, max(0.0, segment.surprise)) / 4,
        segment.tokens / 30,
    ]


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """The frozen rows: ``embedding`` [rows, 384] and ``numeric_features`` [rows, NUMBERS] float32, ``tokens`` [rows] int64,
    ``pinned`` [rows] bool."""

    embedding: np.ndarray
    numbers: np.ndarray
    tokens: np.ndarray
    pinned: np.ndarray

    def __len__(self) -> int:
        return len(self.embedding)


class Featurizer:
    """Collects rows while prompts are made, then builds the table once: encode every distinct text, in order."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._rows: dict[str | Segment, int] = {}

    def question(self, text: str) -> int:
        """The row of a question."""
        return self._rows.setdefault(text, len(self._rows))

    def segments(self, segments: Iterable[Segment]) -> list[int]:
        """The rows of segments; two segments that say the same with the same numbers share one."""
        return [self._rows.setdefault(_strip_source(s), len(self._rows)) for s in segments]

    def prompt(self, question: str, segments: Sequence[Segment]) -> list[int]:
        """The rows of a prompt: question first, then slots in the order given."""
        return [self.question(question), *self.segments(segments)]

    def table(self) -> FeatureTable:
        """The table of all rows collected so far."""
        rows = list(self._rows)
        texts = [row.text if isinstance(row, Segment) else row for row in rows]
        blank = [0.0] * NUMERIC_FEATURES
        return FeatureTable(
            embedding=np.asarray(self.encoder.encode(texts), dtype=np.float32).reshape(len(rows), -1),
            numbers=np.array(
                [numeric_features(r) if isinstance(r, Segment) else blank for r in rows], dtype=np.float32
            ),
            tokens=np.array([r.tokens if isinstance(r, Segment) else 0 for r in rows], dtype=np.int64),
            pinned=np.array([isinstance(r, Segment) and r.pinned for r in rows], dtype=bool),
        )


def _strip_source(segment: Segment) -> Segment:
    """The segment without its name and provenance: what the policy may see of it."""
    return Segment(
        key="",
        kind=segment.kind,
        text=segment.text,
        pinned=segment.pinned,
        tokens=segment.tokens,
        recency_days=segment.recency_days,
        change=segment.change,
        peer_lift=segment.peer_lift,
        surprise=segment.surprise,
    )
