"""Build a patient's timeline: signals over time, and when one left the patient's own band.

    z_i = score of a new level among the values up to value i        outside: |z_i| > OUTSIDE_Z

The score is that of ``models.patient.change_detection`` on the values of the two years up to value i, so that a point
is judged by what was measured until then. Bounds and preliminary values have no score and count in none. Times are
days ago and weeks of pregnancy, never dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import fmean

from bentos.personalizer.patient.patient_events import PatientEvent
from models.patient.change_detection import OUTSIDE_Z, detect_change, discount_score
from models.patient.changes.shifts import BAND_DAYS, find_shift
from models.patient.gestational_age import find_start_at, read_pregnancy_state
from models.schema import FeatureRow
from models.vocabulary import SIGNALS, Signal
from pmlm.api_types import Timeline, TimelinePoint, TimelineSignal

BAND = timedelta(days=BAND_DAYS)
DAY_S = 86_400


def build_timeline(events: Sequence[PatientEvent], row: FeatureRow, as_of: datetime) -> Timeline:
    """Every signal with a value, from ``events`` known by ``as_of``, oldest first."""
    state = read_pregnancy_state(row, as_of)
    signals = (_build_signal(signal, events, row, as_of) for signal in SIGNALS)
    return Timeline(
        pregnant=state.pregnant,
        gestational_week=state.weeks,
        postpartum_weeks=state.postpartum_weeks,
        signals=[signal for signal in signals if signal.points],
    )


def _build_signal(signal: Signal, events: Sequence[PatientEvent], row: FeatureRow, as_of: datetime) -> TimelineSignal:
    values = [
        (e.time, e.value, e.exact)
        for e in events
        if e.code in signal.codes and e.value is not None and e.time is not None and e.time <= as_of
    ]
    latest = detect_change(row, signal, as_of)
    return TimelineSignal(
        name=signal.name,
        label=signal.label,
        unit=signal.unit,
        points=[_build_point(signal, values[: i + 1], row, as_of) for i in range(len(values))],
        direction=latest.direction if latest else None,
        changed=latest.outside if latest else False,
    )


def _build_point(
    signal: Signal, values: Sequence[tuple[datetime, float, bool]], row: FeatureRow, as_of: datetime
) -> TimelinePoint:
    """The last of ``values`` with the score of a new level that ends with it."""
    time, value, judged = values[-1]
    band = [(t, v) for t, v, exact in values if exact and time - t <= BAND]
    shift, z = find_shift([v for _, v in band], signal.step) if judged else None, None
    if shift is not None:
        seconds = [t.timestamp() for t, _ in band]
        before, after = seconds[: -shift.values], seconds[-shift.values]
        middle_before = datetime.fromtimestamp(fmean(before), time.tzinfo)
        middle_after = datetime.fromtimestamp((after + seconds[-1]) / 2, time.tzinfo)
        z = discount_score(signal.name, shift.score, shift.size, middle_before, middle_after, row, as_of)
    return TimelinePoint(
        days_ago=int((as_of - time).total_seconds() // DAY_S),
        gestational_week=week_at(time, row, as_of),
        value=round(value, signal.decimals + 1),
        z=None if z is None else round(z, 2),
        outside=z is not None and abs(z) > OUTSIDE_Z,
    )


def week_at(time: datetime, row: FeatureRow, as_of: datetime) -> int | None:
    """The completed week at ``time`` of the pregnancy going on then; None outside of one, or without an exact date.

    A last period alone is asked of every patient: it dates a pregnancy that is on record, and makes none.
    """
    start = find_start_at(row, time, as_of)
    return None if start is None else (time.date() - start).days // 7
