"""Gestational age is arithmetic on a recorded date, never a guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.patient.gestational_age import PregnancyState, read_pregnancy_state

AS_OF = datetime(2026, 6, 1, 12, tzinfo=UTC)
PREGNANT = {"pregnancy_since": AS_OF - timedelta(days=120), "pregnancy_source": "p", "pregnancies": 1}


@given(days=st.integers(0, 300))
def test_a_week_is_added_every_seven_days(days: int) -> None:
    row = {"edd": AS_OF + timedelta(days=280 - days), "edd_source": "e"}
    now, week_later = read_pregnancy_state(row, AS_OF), read_pregnancy_state(row, AS_OF + timedelta(days=7))
    assert (now.weeks, now.days) == divmod(days, 7)
    assert (week_later.weeks, week_later.days) == (now.weeks + 1, now.days)


def test_the_expected_date_of_delivery_is_forty_weeks() -> None:
    state = read_pregnancy_state({"edd": AS_OF, "edd_source": "e"}, AS_OF)
    assert state == PregnancyState(True, 40, 0, None, ("e",))


def test_without_a_date_gestational_age_is_unknown() -> None:
    state = read_pregnancy_state(PREGNANT, AS_OF)
    assert (state.pregnant, state.weeks, state.days) == (True, None, None)


def test_a_delivery_date_outranks_the_last_period() -> None:
    dates = {
        "edd": AS_OF + timedelta(days=140),
        "edd_source": "e",
        "lmp": AS_OF - timedelta(days=100),
        "lmp_source": "l",
    }
    state = read_pregnancy_state({**PREGNANT, **dates}, AS_OF)
    assert (state.weeks, state.sources) == (20, ("p", "e"))


def test_the_last_period_dates_a_pregnancy() -> None:
    state = read_pregnancy_state({**PREGNANT, "lmp": AS_OF - timedelta(days=100), "lmp_source": "l"}, AS_OF)
    assert (state.weeks, state.days, state.sources) == (14, 2, ("p", "l"))


def test_a_last_period_alone_makes_no_pregnancy_and_no_absence_of_one() -> None:
    assert read_pregnancy_state({"lmp": AS_OF - timedelta(days=60), "pregnancies": 0}, AS_OF).pregnant is None


@given(since_birth=st.integers(0, 364))
def test_an_ended_pregnancy_is_not_current_whatever_dates_it_left(since_birth: int) -> None:
    ended = AS_OF - timedelta(days=since_birth)
    dates = {"edd": ended + timedelta(days=3), "lmp": ended - timedelta(days=277)}
    row = {**dates, "pregnancy_since": ended - timedelta(days=200), "pregnancy_ended": ended}
    state = read_pregnancy_state(row, AS_OF)
    assert (state.pregnant, state.weeks, state.postpartum_weeks) == (False, None, since_birth // 7)


def test_a_new_pregnancy_counts_after_an_ended_one() -> None:
    row = {**PREGNANT, "pregnancy_ended": AS_OF - timedelta(days=400), "edd": AS_OF + timedelta(days=210)}
    state = read_pregnancy_state(row, AS_OF)
    assert (state.pregnant, state.weeks, state.postpartum_weeks) == (True, 10, None)


def test_a_pregnancy_never_closed_is_unknown_not_two_years_long() -> None:
    assert read_pregnancy_state({"pregnancy_since": AS_OF - timedelta(days=700)}, AS_OF).pregnant is None


@pytest.mark.parametrize("row", [{}, {"pregnancies": 0}, {"birth": AS_OF - timedelta(days=9000)}])
def test_a_record_that_says_nothing_of_pregnancy_is_unknown(row: dict) -> None:
    assert read_pregnancy_state(row, AS_OF).pregnant is None
