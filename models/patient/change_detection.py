"""Detect when a signal leaves the patient's own band.

    z = (latest − mean) / max(sd, step)

``mean`` and ``sd`` are of the patient's own values in the two years before the latest (latest excluded), ``step`` the
smallest change of that signal worth a word (models/vocabulary.py). It also keeps a very steady or twice-measured
signal from alarming at noise.

1. The paper names changes without defining them; this definition is ours.
2. It is no population range: 128/84 is a change for a patient who is always at 104/62, and none for another.

Run: ``pmlm evaluate`` (row 3), ``pmlm ask``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from models.feature_row import read_number, read_text, read_time
from models.patient.bounds import is_preliminary, read_comparator
from models.schema import FeatureRow
from models.vocabulary import Signal

Direction = Literal["rise", "fall", "steady"]

#: Own standard deviations beyond which a value has left the band.
OUTSIDE_Z = 2.0


@dataclass(frozen=True, slots=True)
class Change:
    """The latest value of a signal against the patient's own past.

    ``z`` is in own standard deviations (0 with no past value); ``difference`` is latest − previous in the signal's
    unit; ``days`` lie between the two; ``outside`` says whether ``|z|`` is above 2.
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


def compute_own_band_z(latest: float, mean: float, sd: float, floor: float) -> float:
    """Distance from the own mean in standard deviations, which are at least ``floor`` (> 0)."""
    return (latest - mean) / max(sd, floor)


def detect_change(row: FeatureRow, signal: Signal, as_of: datetime) -> Change | None:
    """Compare a signal's latest value with the past; None without two exact, final values by ``as_of``."""
    name = signal.name
    if read_comparator(row, name) or is_preliminary(row, name):
        return None
    latest, at = read_number(row, f"{name}_latest"), read_time(row, f"{name}_time")
    previous, before = read_number(row, f"{name}_previous"), read_time(row, f"{name}_previous_time")
    if latest is None or at is None or previous is None or before is None or at > as_of or before >= at:
        return None
    mean = read_number(row, f"{name}_mean")
    sd = read_number(row, f"{name}_sd") or 0.0
    z = compute_own_band_z(latest, previous if mean is None else mean, sd, signal.step)
    difference = latest - previous
    direction: Direction = "steady" if abs(difference) < signal.step else "rise" if difference > 0 else "fall"
    source = read_text(row, f"{name}_source")
    return Change(
        name, latest, previous, difference, max(1, (at - before).days), z, direction, (source,) if source else ()
    )
