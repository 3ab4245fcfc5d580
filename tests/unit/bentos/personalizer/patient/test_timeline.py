"""The score of a timeline's points."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bentos.personalizer.patient.patient_events import PatientEvent
from bentos.personalizer.patient.timeline import build_timeline
from models.vocabulary import SIGNALS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GLUCOSE = next(signal for signal in SIGNALS if signal.name == "glucose")


def glucose(days_ago: int, value: float, exact: bool = True) -> PatientEvent:
    time = NOW - timedelta(days=days_ago)
    return PatientEvent(time, time, "observation", GLUCOSE.codes[0], "glucose", value, "mg/dL", str(days_ago), exact)


@pytest.mark.parametrize("bound", [20.0, 600.0])
def test_a_bound_or_preliminary_value_has_no_score_and_changes_none(bound: float) -> None:
    exact = [glucose(days, 90.0 + days % 3) for days in (40, 30, 20, 10)]
    scores = [point.z for point in build_timeline(exact, {}, NOW).signals[0].points]
    among = [*exact[:2], glucose(25, bound, exact=False), *exact[2:]]
    points = build_timeline(among, {}, NOW).signals[0].points

    assert (points[2].value, points[2].z, points[2].outside) == (bound, None, False)
    assert [point.z for i, point in enumerate(points) if i != 2] == scores
