"""A change is measured against the patient's own past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.patient.change_detection import compute_own_band_z, detect_change
from models.vocabulary import SIGNALS

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
HAEMOGLOBIN = next(s for s in SIGNALS if s.name == "haemoglobin")


def _row(latest: float, previous: float | None, mean: float | None = 12.0, sd: float | None = 0.4) -> dict[str, Any]:
    return {
        "haemoglobin_latest": latest,
        "haemoglobin_time": AS_OF - timedelta(days=5),
        "haemoglobin_previous": previous,
        "haemoglobin_previous_time": AS_OF - timedelta(days=47),
        "haemoglobin_mean": mean,
        "haemoglobin_sd": sd,
        "haemoglobin_source": "h",
    }


def test_a_fall_below_her_band_is_outside_with_its_time_span() -> None:
    found = detect_change(_row(10.2, 11.9), HAEMOGLOBIN, AS_OF)
    assert found is not None
    assert (found.direction, found.outside, found.days, found.sources) == ("fall", True, 42, ("h",))
    assert round(found.z, 2) == round((10.2 - 12.0) / 0.5, 2)


def test_the_same_value_is_news_for_one_woman_and_none_for_another() -> None:
    anaemic = detect_change(_row(10.2, 10.3, mean=10.1), HAEMOGLOBIN, AS_OF)
    healthy = detect_change(_row(10.2, 12.6, mean=12.5), HAEMOGLOBIN, AS_OF)
    assert anaemic is not None
    assert healthy is not None
    assert (anaemic.outside, healthy.outside) == (False, True)


def test_one_value_is_no_change() -> None:
    assert detect_change(_row(10.2, None), HAEMOGLOBIN, AS_OF) is None


def test_a_difference_below_the_signals_step_is_steady() -> None:
    found = detect_change(_row(12.1, 11.8), HAEMOGLOBIN, AS_OF)
    assert found is not None
    assert found.direction == "steady"


def test_a_value_of_the_future_is_not_read() -> None:
    assert detect_change(_row(10.2, 11.9), HAEMOGLOBIN, AS_OF - timedelta(days=6)) is None


@given(latest=st.floats(2, 25), mean=st.floats(2, 25), sd=st.floats(0, 5), floor=st.floats(0.1, 2))
def test_the_band_is_never_narrower_than_the_floor(latest: float, mean: float, sd: float, floor: float) -> None:
    assert abs(compute_own_band_z(latest, mean, sd, floor)) <= abs(latest - mean) / floor + 1e-9
