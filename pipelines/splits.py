"""Three splits, by patient *and* by time: train, gate (nightly decisions) and a locked test.

Assumption about time: questions come in a stream, and a refiner is used on questions asked after it was trained, by
patients it has not trained on. So a patient belongs to one split for ever (a keyed hash of hers decides, not the
clinic's size), training questions lie before the ``time_quantile`` of all questions known, and gate and test
questions at or after it. Questions on the other side of the cut belong to no split: that is the price.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

TRAIN, GATE, TEST = "train", "gate", "test"
FEWEST_TO_TRAIN_ON = 20  # episodes of the train split


@dataclass(frozen=True, slots=True)
class SplitParams:
    """``gate_share`` and ``test_share`` of patients, and the quantile of time that training stays before."""

    gate_share: float
    test_share: float
    time_quantile: float


def assign_patient(subject_id: int, params: SplitParams) -> str:
    """The split a patient belongs to, whoever else is in the clinic."""
    digest = hashlib.blake2b(f"split\x1f{subject_id}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    if place < params.test_share:
        return TEST
    return GATE if place < params.test_share + params.gate_share else TRAIN


def find_time_cut(times: Sequence[datetime], quantile: float) -> datetime:
    """The moment before which training questions lie: the ``quantile`` of all question times."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


def assign_splits(questions: Sequence[tuple[int, datetime]], params: SplitParams) -> list[str | None]:
    """The split of each (subject, time), None for a question on the wrong side of its patient's cut."""
    if not questions:
        return []
    moment = find_time_cut([time for _, time in questions], params.time_quantile)
    splits = [assign_patient(subject_id, params) for subject_id, _ in questions]
    return [
        split if (time < moment) == (split == TRAIN) else None
        for split, (_, time) in zip(splits, questions, strict=True)
    ]


def hash_order(identifier: str) -> bytes:
    """A key that sorts episodes in an order that has nothing to do with them and never changes."""
    return hashlib.blake2b(identifier.encode(), digest_size=8).digest()
