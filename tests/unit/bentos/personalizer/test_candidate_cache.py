"""What is remembered of a patient's candidates is what would be made anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bentos.personalizer.candidate_cache import CandidateCache
from models.prompt.candidates import build_candidates
from models.schema import FeatureRow

NOON = datetime(2026, 6, 6, 12, 0, 10, tzinfo=UTC)


def _row(years: int) -> FeatureRow:
    return {"birth": NOON - timedelta(days=365.25 * years), "smoking": "Never smoker"}


def test_a_row_is_read_once_a_minute_and_a_language() -> None:
    offers, row, counted = CandidateCache(), _row(30), []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    first = offers.of(row, NOON, count, "en")
    assert first == build_candidates(row, NOON, len, "en")
    asked = len(counted)
    assert offers.of(row, NOON + timedelta(seconds=40), count, "en") is first
    assert len(counted) == asked
    assert offers.of(row, NOON, count, "zh") == build_candidates(row, NOON, len, "zh")


def test_another_row_of_the_same_patient_is_read_anew_and_so_is_a_later_clock() -> None:
    offers, row = CandidateCache(), _row(30)
    offers.of(row, NOON, len, "en")
    assert offers.of(_row(31), NOON, len, "en") == build_candidates(_row(31), NOON, len, "en")
    later = NOON + timedelta(days=366)
    assert (
        offers.of(row, later, len, "en")
        == build_candidates(row, later, len, "en")
        != build_candidates(row, NOON, len, "en")
    )
