"""A change is measured against the patient's own past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.patient.change_detection import OUTSIDE_Z, detect_change
from models.patient.changes.gestational_changes import take_off_normal
from models.patient.changes.shifts import find_shift
from models.vocabulary import SIGNALS, Signal

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
HAEMOGLOBIN = next(s for s in SIGNALS if s.name == "haemoglobin")


def _row(values: list[float], days: list[int], signal: Signal = HAEMOGLOBIN) -> dict[str, Any]:
    """A row as the features would have it; ``days`` are days before ``AS_OF``."""
    times = [AS_OF - timedelta(days=d) for d in days]
    name, shift = signal.name, find_shift(values, signal.step)
    row: dict[str, Any] = {f"{name}_latest": values[-1], f"{name}_time": times[-1], f"{name}_source": "h"}
    if shift is None:
        return row
    before = sum(t.timestamp() for t in times[: -shift.values]) / (len(times) - shift.values)
    return row | {
        f"{name}_previous": values[-2],
        f"{name}_previous_time": times[-2],
        f"{name}_shift": shift.score,
        f"{name}_shift_size": shift.size,
        f"{name}_shift_time": times[-shift.values],
        f"{name}_shift_from": datetime.fromtimestamp(before, UTC),
    }


def test_a_fall_below_her_band_is_outside_with_its_time_span() -> None:
    found = detect_change(_row([12.1, 11.9, 12.0, 12.2, 11.9, 9.9], [400, 300, 200, 100, 47, 5]), HAEMOGLOBIN, AS_OF)
    assert found is not None
    assert (found.direction, found.outside, found.days, found.sources) == ("fall", True, 42, ("h",))
    assert found.z < -OUTSIDE_Z


def test_the_same_value_is_news_for_one_woman_and_none_for_another() -> None:
    days = [300, 200, 100, 47, 5]
    anaemic = detect_change(_row([10.1, 10.0, 10.2, 10.3, 10.2], days), HAEMOGLOBIN, AS_OF)
    healthy = detect_change(_row([12.5, 12.4, 12.6, 12.6, 10.2], days), HAEMOGLOBIN, AS_OF)
    assert anaemic is not None
    assert healthy is not None
    assert (anaemic.outside, healthy.outside) == (False, True)


def test_one_value_is_no_change() -> None:
    assert detect_change(_row([10.2], [5]), HAEMOGLOBIN, AS_OF) is None


def test_a_difference_below_the_signals_step_is_steady() -> None:
    found = detect_change(_row([11.8, 12.1], [47, 5]), HAEMOGLOBIN, AS_OF)
    assert found is not None
    assert found.direction == "steady"


def test_a_value_of_the_future_is_not_read() -> None:
    assert detect_change(_row([11.9, 10.2], [47, 5]), HAEMOGLOBIN, AS_OF - timedelta(days=6)) is None


WEIGHT = next(s for s in SIGNALS if s.name == "weight")
GAIN = ([62.0, 61.8, 62.1, 63.4, 66.5, 69.6, 72.4], [420, 380, 330, 200, 140, 84, 5])


def test_the_weight_gain_of_a_normal_pregnancy_is_no_alarm_and_the_same_gain_without_one_is() -> None:
    row = _row(*GAIN, WEIGHT)
    alarmed = detect_change(row, WEIGHT, AS_OF)
    pregnant = {
        "pregnancy_codes": ["LOINC//11778-8"], "pregnancy_values": [(AS_OF + timedelta(days=35)).date().isoformat()],
        "pregnancy_times": [AS_OF - timedelta(days=190)], "pregnancy_sources": ["e"],
    }  # fmt: skip
    expected = detect_change(row | pregnant, WEIGHT, AS_OF)
    assert alarmed is not None
    assert expected is not None
    assert (alarmed.outside, expected.outside) == (True, False)
    assert expected.direction == "rise"


def test_a_gain_beyond_the_normal_one_is_an_alarm_in_pregnancy_too() -> None:
    assert take_off_normal("weight", 25.0, None, 35.0) > 8
    assert take_off_normal("weight", 10.0, None, 35.0) == 0


@given(
    size=st.floats(-30, 30),
    signal=st.sampled_from([s.name for s in SIGNALS]),
    weeks=st.tuples(*[st.none() | st.floats(0, 42)] * 2),
)
def test_pregnancy_explains_a_change_away_or_leaves_part_of_it(
    size: float, signal: str, weeks: tuple[float | None, float | None]
) -> None:
    left = take_off_normal(signal, size, *weeks)
    assert left * size >= 0 or left == 0
    assert abs(left) <= abs(size)
    if weeks == (None, None):
        assert left == size


@given(values=st.lists(st.floats(2, 25), min_size=2, max_size=30))
def test_a_shift_turns_with_the_values(values: list[float]) -> None:
    found, turned = find_shift(values, 0.5), find_shift([30 - v for v in values], 0.5)
    assert found is not None
    assert turned is not None
    assert abs(found.score) == pytest.approx(abs(turned.score), rel=0.02, abs=0.02)
    assert found.values <= min(5, len(values) - 1)


def test_a_steady_woman_has_no_new_level() -> None:
    found = find_shift([12.0] * 9, 0.5)
    assert found is not None
    assert found.score == 0
