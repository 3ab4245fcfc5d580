"""Assign a patient to training, the gate or the locked test, for good.

A patient's place is a hash of their id, whatever the clinic's size: no reply to a patient of the gate or the test has
taught a refiner anything.
"""

from __future__ import annotations

import hashlib

TRAIN, GATE, TEST = "train", "gate", "test"


def assign_split(subject_id: int, gate_share: float, test_share: float) -> str:
    """Assign a patient to a split, independent of all other patients."""
    digest = hashlib.blake2b(f"split\x1f{subject_id}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    if place < test_share:
        return TEST
    return GATE if place < test_share + gate_share else TRAIN
