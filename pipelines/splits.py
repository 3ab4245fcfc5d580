"""Split questions by patient and by time: train, gate (nightly decisions), locked test.

Assumption: questions come in a stream, and a refiner is used on later questions of patients it was not trained on. So
a patient belongs to one split for good (by hash of their id, whatever the clinic's size); training questions are before
the ``time_quantile`` of all questions, gate and test questions at or after it. Other questions belong to no split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.replies import patient_split

TRAIN, GATE, TEST = patient_split.TRAIN, patient_split.GATE, patient_split.TEST
FEWEST_TO_TRAIN_ON = 20  # episodes of the train split


@dataclass(frozen=True, slots=True)
class SplitParams:
    """Shares of patients, and the quantile of question times before which training stays."""

    gate_share: float
    test_share: float
    time_quantile: float


def assign_patient(subject_id: int, params: SplitParams) -> str:
    """Assign a patient to a split, independent of all other patients."""
    return patient_split.assign_split(subject_id, params.gate_share, params.test_share)


def find_time_cut(times: Sequence[datetime], quantile: float) -> datetime:
    """Find the time before which training questions are: the ``quantile`` of question times."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


def assign_splits(questions: Sequence[tuple[int, datetime]], params: SplitParams) -> list[str | None]:
    """Assign each (subject, time) to a split, or to None by the time cut."""
    if not questions:
        return []
    moment = find_time_cut([time for _, time in questions], params.time_quantile)
    splits = [assign_patient(subject_id, params) for subject_id, _ in questions]
    return [
        split if (time < moment) == (split == TRAIN) else None
        for split, (_, time) in zip(splits, questions, strict=True)
    ]


def hash_order(identifier: str) -> bytes:
    """Hash an id to a sort key: a fixed order, independent of content."""
    return hashlib.blake2b(identifier.encode(), digest_size=8).digest()
