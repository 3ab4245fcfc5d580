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


def _stated(*entries: tuple[str, str, int]) -> dict:
    """A row of statements: code, value, days ago."""
    codes, values, ago = zip(*entries, strict=True)
    times = [AS_OF - timedelta(days=days) for days in ago]
    return {
        "pregnancy_codes": codes,
        "pregnancy_values": values,
        "pregnancy_times": times,
        "pregnancy_sources": [f"s{i}" for i in range(len(codes))],
    }


@given(days=st.integers(260, 308))
def test_a_month_gives_no_exact_week_up_to_the_longest_pregnancy(days: int) -> None:
    as_of = datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(days=days)
    times = [datetime(2026, 3, 1, tzinfo=UTC)] * 2
    row = {
        "pregnancy_codes": ["SNOMED//77386006", "LOINC//8665-2"],
        "pregnancy_values": ["", "2026-01"],
        "pregnancy_times": times,
        "pregnancy_sources": ["p", "l"],
    }
    state = read_pregnancy_state(row, as_of)
    assert (state.pregnant, state.weeks, state.days) == (True, None, None)
    assert state.dating is not None
    assert state.dating.precision == "range"


def test_a_delivery_date_of_a_pregnancy_to_come_makes_none() -> None:
    due = (AS_OF + timedelta(days=400)).date().isoformat()
    assert read_pregnancy_state(_stated(("LOINC//11778-8", due, 3)), AS_OF).pregnant is None


def test_a_denial_counts_until_it_is_older_than_a_pregnancy() -> None:
    recent, old = (_stated(("LOINC//82810-3", "not pregnant", days)) for days in (30, 300))
    assert read_pregnancy_state(recent, AS_OF).pregnant is False
    assert read_pregnancy_state(old, AS_OF).pregnant is None


def test_an_open_entry_and_a_later_denial_contradict_each_other() -> None:
    entry, denied = ("SNOMED//77386006", "", 90), ("LOINC//82810-3", "not pregnant", 5)
    assert read_pregnancy_state(_stated(entry, denied), AS_OF).pregnant is None
    assert read_pregnancy_state(_stated(("LOINC//82810-3", "pregnant", 90), denied), AS_OF).pregnant is False


def test_what_is_coded_with_the_birth_is_no_new_pregnancy() -> None:
    born = ("ICD10//Z37.0", "", 10)
    assert (
        read_pregnancy_state(_stated(born, ("ICD10//Z3A.39", "", 10), ("ICD10//O48.0", "", 9)), AS_OF).pregnant is False
    )
    assert read_pregnancy_state(_stated(born, ("LOINC//82810-3", "pregnant", 5)), AS_OF).pregnant is None


def test_a_week_code_gives_the_week_and_twins_are_more_than_one() -> None:
    state = read_pregnancy_state(_stated(("ICD10//Z3A.28", "", 14), ("ICD10//O30.003", "", 14)), AS_OF)
    assert (state.weeks, state.days, state.multiple) == (30, None, True)


def test_a_pregnancy_past_44_weeks_should_have_ended() -> None:
    row = _stated(("LOINC//11778-8", (AS_OF - timedelta(days=40)).date().isoformat(), 200))
    state = read_pregnancy_state(row, AS_OF)
    assert (state.pregnant, state.weeks, state.overdue) == (None, None, True)


def test_a_newborns_own_age_is_no_pregnancy() -> None:
    row = _stated(("LOINC//18185-9", f"39 wk {AS_OF.date()}", 0)) | {"birth": AS_OF - timedelta(days=1)}
    assert read_pregnancy_state(row, AS_OF).pregnant is None


OPEN, STATUS = ("SNOMED//77386006", "; undated", 60), ("LOINC//82810-3", "pregnant; undated", 60)


@pytest.mark.parametrize("entry", [OPEN, STATUS])
def test_a_pregnancy_without_a_date_has_no_weeks_and_lasts_44_weeks_at_most(entry: tuple[str, str, int]) -> None:
    code, value, _ = entry
    state = read_pregnancy_state(_stated(entry, ("ICD10//Z3A.20", "; undated", 60)), AS_OF)
    assert (state.pregnant, state.weeks, state.age) == (True, None, None)
    old = read_pregnancy_state(_stated((code, value, 309)), AS_OF)
    assert (old.pregnant, old.overdue) == (None, True)


@pytest.mark.parametrize("entry", [OPEN, STATUS])
@pytest.mark.parametrize(
    "against",
    [
        ("ICD10//Z37.0", "", 90),
        ("ICD10//Z37.0", "; undated", 60),
        ("LOINC//82810-3", "not pregnant", 90),
        ("LOINC//82810-3", "not pregnant; undated", 60),
    ],
)
def test_an_end_and_a_pregnancy_of_unknown_order_leave_it_unknown(entry: tuple, against: tuple) -> None:
    state = read_pregnancy_state(_stated(entry, against), AS_OF)
    assert (state.pregnant, state.weeks) == (None, None)


def test_an_end_without_a_date_is_no_end_and_puts_what_was_stated_before_it_in_doubt() -> None:
    ended = ("ICD10//Z37.0", "; undated", 10)
    state = read_pregnancy_state(_stated(ended), AS_OF)
    assert (state.pregnant, state.postpartum_weeks, state.postpartum) == (None, None, None)
    assert read_pregnancy_state(_stated(ended, ("SNOMED//77386006", "", 90)), AS_OF).pregnant is None
    assert read_pregnancy_state(_stated(ended, ("SNOMED//77386006", "", 5)), AS_OF).pregnant is True


def test_an_old_delivery_date_without_a_date_of_its_own_makes_no_new_pregnancy() -> None:
    due = (AS_OF - timedelta(days=900)).date().isoformat()
    assert read_pregnancy_state(_stated(("LOINC//11778-8", f"{due}; undated", 3)), AS_OF).pregnant is None
