"""Sets of 63-bit hashes that take eight bytes a member: what must be known of a whole drop or a whole log."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np


class HashSet:
    """A fixed set of hashes; ``place`` numbers its members from 0 on in ascending order."""

    __slots__ = ("_sorted",)

    def __init__(self, *parts: np.ndarray | array[int]) -> None:
        whole = np.unique(np.concatenate([np.asarray(part, dtype=np.int64) for part in (*parts, ())]))
        self._sorted = array("q", whole.tobytes())

    def place(self, value: int) -> int | None:
        """Where a member stands, or None for what is no member."""
        at = bisect_left(self._sorted, value)
        return at if at < len(self._sorted) and self._sorted[at] == value else None

    def __contains__(self, value: int) -> bool:
        return self.place(value) is not None

    def __or__(self, other: HashSet) -> HashSet:
        return HashSet(self._sorted, other._sorted)

    def __len__(self) -> int:
        return len(self._sorted)
