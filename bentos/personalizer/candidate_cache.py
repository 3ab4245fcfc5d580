"""Cache a patient's candidate sentences between questions.

An entry holds for one row as it was read and for the minute it was made in, because prompts name days.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from models.patient.currency import DEFAULT_RULE, CurrencyRule
from models.peers.outcome_estimates import NO_FINDINGS, Findings
from models.prompt.candidates import build_candidates
from models.schema import FeatureRow, Segment

CAPACITY = 2000  # rows, as many as ``feature_repo.store.online`` keeps


class CandidateCache:
    """The latest patients' candidates, by the clinic's ``rule`` of what is current and the release's ``findings``.

    Thread-safe.
    """

    def __init__(self, rule: CurrencyRule = DEFAULT_RULE, findings: Findings = NO_FINDINGS) -> None:
        self._rule = rule
        self.findings = findings
        self._entries: OrderedDict[tuple[int, str], tuple[FeatureRow, datetime, tuple[Segment, ...]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, row: FeatureRow, as_of: datetime, count: Callable[[str], int], language: str) -> tuple[Segment, ...]:
        """The candidate segments of a row, which must never be changed afterwards."""
        key, minute = (id(row), language), as_of.replace(second=0, microsecond=0)
        with self._lock:
            entry = self._entries.get(key)
        if entry is not None and entry[0] is row and entry[1] == minute:
            return entry[2]
        segments = build_candidates(row, as_of, count, language, self._rule, self.findings)
        with self._lock:
            self._entries[key] = (row, minute, segments)  # a reference to the row, so that no other can get its id
            while len(self._entries) > CAPACITY:
                self._entries.popitem(last=False)
        return segments
