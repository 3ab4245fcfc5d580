"""Detect when a signal leaves the patient's own band, beyond what her pregnancy explains.

    z = score · (size − allowed) / size          outside: |z| > OUTSIDE_Z

``score`` and ``size`` are of the likeliest new level among the newest values (``models.patient.changes.shifts``,
computed every night), ``allowed`` is the part of the size that is normal between the gestational ages of the values
before and on the new level (``models.patient.changes.gestational_changes``).

1. The paper names changes without defining them; this definition is ours.
2. It is no population range: 128/84 is a change for a patient who is always at 104/62, and none for another.
3. A pregnancy without an exact date, or none, explains nothing.

Run: ``pmlm evaluate`` (row 3), ``pmlm ask``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from models.feature_row import read_number, read_text, read_time
from models.patient.bounds import is_preliminary, read_comparator
from models.patient.changes.gestational_changes import take_off_normal
from models.patient.gestational_age import find_start_at
from models.schema import FeatureRow
from models.vocabulary import Signal

Direction = Literal["rise", "fall", "steady"]

#: Score beyond which a signal has left the band: of 24 values without a change, a tenth of the patients have one.
OUTSIDE_Z = 3.3


@dataclass(frozen=True, slots=True)
class Change:
    """The latest value of a signal against the patient's own past.

    ``z`` is the signed score of a new level, without what a pregnancy explains; ``difference`` is latest − previous in
    the signal's unit; ``days`` lie between the two; ``outside`` says whether ``|z|`` is above ``OUTSIDE_Z``.
    """

    signal: str
    latest: float
    previous: float
    difference: float
    days: int
    z: float
    direction: Direction
    sources: tuple[str, ...]

    @property
    def outside(self) -> bool:
        return abs(self.z) > OUTSIDE_Z


def detect_change(row: FeatureRow, signal: Signal, as_of: datetime) -> Change | None:
    """Compare a signal's latest value with the past; None without two exact, final values by ``as_of``."""
    name = signal.name
    if read_comparator(row, name) or is_preliminary(row, name):
        return None
    latest, at = read_number(row, f"{name}_latest"), read_time(row, f"{name}_time")
    previous, before = read_number(row, f"{name}_previous"), read_time(row, f"{name}_previous_time")
    if latest is None or at is None or previous is None or before is None or at > as_of or before >= at:
        return None
    z = _read_score(row, name, at, as_of)
    difference = latest - previous
    direction: Direction = "steady" if abs(difference) < signal.step else "rise" if difference > 0 else "fall"
    source = read_text(row, f"{name}_source")
    return Change(
        name, latest, previous, difference, max(1, (at - before).days), z, direction, (source,) if source else ()
    )


def _read_score(row: FeatureRow, name: str, at: datetime, as_of: datetime) -> float:
    """The score of the new level without what a pregnancy explains; 0 where none was computed."""
    score, size = read_number(row, f"{name}_shift") or 0.0, read_number(row, f"{name}_shift_size")
    begun, before = read_time(row, f"{name}_shift_time"), read_time(row, f"{name}_shift_from")
    if not size or begun is None or before is None:
        return score
    return discount_score(name, score, size, before, begun + (at - begun) / 2, row, as_of)


def discount_score(
    signal: str, score: float, size: float, before: datetime, after: datetime, row: FeatureRow, as_of: datetime
) -> float:
    """Scale a score by the part of the size that is not normal between two times; both are middles of levels."""
    if abs(score) <= OUTSIDE_Z or not size:
        return score
    return score * take_off_normal(signal, size, *(_find_week(row, t, as_of) for t in (before, after))) / size


def _find_week(row: FeatureRow, moment: datetime, as_of: datetime) -> float | None:
    start = find_start_at(row, moment, as_of)
    return None if start is None else (moment.date() - start).days / 7
