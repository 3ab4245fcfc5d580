"""Remembers a patient's candidate sentences between her questions: they depend on her row and the clock alone.

A memory holds for one row as it was read and for the minute it was made in: prompts tell days.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from models.prompt.candidates import candidates
from models.schema import FeatureRow, Segment

REMEMBERED = 2000  # rows, as many as ``feature_repo.store.online`` keeps


class Offers:
    """The latest patients' candidates. Safe to use from several threads."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[int, str], tuple[FeatureRow, datetime, tuple[Segment, ...]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, row: FeatureRow, as_of: datetime, count: Callable[[str], int], language: str) -> tuple[Segment, ...]:
        """The candidate segments of a row; the row must never be changed afterwards."""
        key = (id(row), language)
        with self._lock:
            found = self._made.get(key)
        if found is not None and found[0] is row and found[1] == _minute(as_of):
            return found[2]
        made = candidates(row, as_of, count, language)
        with self._lock:
            self._made[key] = (row, _minute(as_of), made)  # the row is held on to, so that no other can get its id
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return made


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
