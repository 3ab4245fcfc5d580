"""Map questions and segments to rows of a frozen feature table, addressed by token ids.

    row(x) = [e_x ; n_x ; c_x]      e_x the sentence embedding (384), n_x the numeric features of a segment, c_x the
                                    concerns that a question matches, or that name a segment's finding

A trainer passes token ids only. Each distinct question and segment is one row, and a prompt is ``R_q R_1 … R_n``: the
question's row, then one row per slot, without positions. The table is built per data set, is not in the checkpoint
and is never trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from models.encoder import Encoder
from models.relevance.concerns import STATES, load_concerns, mark_finding, match_concerns
from models.schema import Segment, SegmentKind

KINDS: tuple[str, ...] = get_args(SegmentKind)
PREFERENCE = KINDS.index("preference")
NUMERIC_FEATURES = len(KINDS) + 7


def numeric_features(segment: Segment) -> list[float]:
    """Build a segment's numeric features [NUMERIC_FEATURES], each of about unit size.

    Kind (one-hot), whether it has an age, log age in days, signed and absolute distance from the patient's own range
    (standard deviations, clipped at 4), lift among peers (clipped at 4), surprise of the last visit (nats, clipped
    at 8) and length (tokens / 30).
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


def find_signal(key: str) -> str:
    """Find the signal whose latest value or change a segment states; empty for another segment."""
    name, _, part = key.rpartition(".")
    return name if part in ("latest", "change") else ""


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """The frozen rows that a policy reads.

    ``embedding`` [rows, 384] and ``numbers`` [rows, NUMERIC_FEATURES] float32, ``tokens`` [rows] int64, ``pinned``
    [rows] bool, ``signal`` [rows] int64: equal numbers above 0 for sentences on one signal, of which one may be picked,
    ``matches`` [rows, concerns] of questions and ``marks`` [rows, concerns, states] of segments (``models.relevance``).
    """

    embedding: np.ndarray
    numbers: np.ndarray
    tokens: np.ndarray
    pinned: np.ndarray
    signal: np.ndarray
    matches: np.ndarray
    marks: np.ndarray

    def __len__(self) -> int:
        return len(self.embedding)


class Featurizer:
    """Collects rows while prompts are built, then encodes every distinct text once."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._rows: dict[str | Segment, int] = {}

    def add_question(self, text: str) -> int:
        """Return the row of a question, added if new."""
        return self._rows.setdefault(text, len(self._rows))

    def add_segments(self, segments: Iterable[Segment]) -> list[int]:
        """Return the rows of segments; segments with equal text and features share a row."""
        return [self._rows.setdefault(_strip_source(s), len(self._rows)) for s in segments]

    def add_prompt(self, question: str, segments: Sequence[Segment]) -> list[int]:
        """Return the rows of a prompt: the question, then slots in the order given."""
        return [self.add_question(question), *self.add_segments(segments)]

    def build_table(self) -> FeatureTable:
        """Encode all rows collected so far into a table."""
        rows = list(self._rows)
        texts = [row.text if isinstance(row, Segment) else row for row in rows]
        blank = [0.0] * NUMERIC_FEATURES
        signals = {"": 0}
        no_match, no_mark = build_blank_concerns()
        return FeatureTable(
            embedding=np.asarray(self.encoder.encode(texts), dtype=np.float32).reshape(len(rows), -1),
            numbers=np.array(
                [numeric_features(r) if isinstance(r, Segment) else blank for r in rows], dtype=np.float32
            ),
            tokens=np.array([r.tokens if isinstance(r, Segment) else 0 for r in rows], dtype=np.int64),
            pinned=np.array([isinstance(r, Segment) and r.pinned for r in rows], dtype=bool),
            signal=np.array(
                [signals.setdefault(find_signal(r.key) if isinstance(r, Segment) else "", len(signals)) for r in rows],
                dtype=np.int64,
            ),
            matches=np.array([no_match if isinstance(r, Segment) else match_concerns(r, self.encoder) for r in rows]),
            marks=np.array([mark_finding(r.key) if isinstance(r, Segment) else no_mark for r in rows]),
        )


def build_blank_concerns() -> tuple[np.ndarray, np.ndarray]:
    """Build the ``matches`` and ``marks`` of a row that has none."""
    count = len(load_concerns())
    return np.zeros(count, np.float32), np.zeros((count, len(STATES)), np.float32)


def _strip_source(segment: Segment) -> Segment:
    """Drop a segment's sources; of its key the policy sees the signal and the concerns that name it."""
    return Segment(
        key=segment.key,
        kind=segment.kind,
        text=segment.text,
        pinned=segment.pinned,
        tokens=segment.tokens,
        recency_days=segment.recency_days,
        change=segment.change,
        peer_lift=segment.peer_lift,
        surprise=segment.surprise,
    )
