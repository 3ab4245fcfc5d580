"""Dating follows ACOG Committee Opinion 700, and a partial date never gives an exact day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from models.patient.pregnancy_dating import TERM, Start, choose_start, find_allowance, read_start
from models.patient.pregnancy_statements import Meaning, Statement

LMP = date(2026, 1, 1)
#: Committee Opinion 700, table 1: the first and last day of each age, and by how many days a scan has to differ.
TABLE = (
    ((8, 6), (9, 0), 5, 7),
    ((15, 6), (16, 0), 7, 10),
    ((21, 6), (22, 0), 10, 14),
    ((27, 6), (28, 0), 14, 21),
)


def _state(meaning: Meaning, value: str, day: date, method: str, source: str = "s") -> Statement:
    return Statement(meaning, "LOINC//0", value, day, source, method)


def _start(meaning: Meaning, value: str, day: date, method: str) -> Start:
    found = read_start(_state(meaning, value, day, method))
    assert found is not None
    return found


def _scan(age: int, differs: int) -> Start:
    """A scan at an age by the last period, whose start differs by so many days."""
    due = LMP + timedelta(days=differs) + TERM
    return _start("edd", due.isoformat(), LMP + timedelta(days=age), "ultrasound")


PERIOD = _start("lmp", LMP.isoformat(), LMP + timedelta(days=30), "last period")


@pytest.mark.parametrize(("last", "first", "allowed", "next_allowed"), TABLE)
def test_the_table_of_acog_700(last: tuple[int, int], first: tuple[int, int], allowed: int, next_allowed: int) -> None:
    assert find_allowance(7 * last[0] + last[1]) == allowed
    assert find_allowance(7 * first[0] + first[1]) == next_allowed


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("age", "allowed"), [(50, 5), (80, 7), (130, 10), (180, 14), (230, 21)])
def test_a_scan_dates_only_beyond_the_stated_difference(age: int, allowed: int, sign: int) -> None:
    near, far = _scan(age, sign * allowed), _scan(age, sign * (allowed + 1))
    assert choose_start([PERIOD, near]) == PERIOD
    assert choose_start([PERIOD, far]) == far


def test_the_earliest_scan_is_the_one_compared() -> None:
    early, late = _scan(60, 3), _scan(230, 40)
    assert choose_start([PERIOD, late, early]) == PERIOD
    assert choose_start([late, early]) == early


def test_a_transfer_of_embryos_dates_for_good() -> None:
    transfer = _start("edd", (LMP + timedelta(days=2) + TERM).isoformat(), LMP, "embryo transfer")
    assert choose_start([PERIOD, _scan(50, 20), transfer]) == transfer


def test_the_clinicians_own_date_stands_until_a_later_scan_differs() -> None:
    own = _start("edd", (LMP + timedelta(days=1) + TERM).isoformat(), LMP + timedelta(days=100), "clinical")
    assert choose_start([PERIOD, own, _scan(70, 30)]) == own  # stated after the scan
    assert choose_start([PERIOD, own, _scan(130, 4)]) == own
    later = _scan(130, 30)
    assert choose_start([PERIOD, own, later]) == later


@pytest.mark.parametrize(
    ("meaning", "value", "first", "days"),
    [
        ("edd", "2026-10-08", date(2026, 1, 1), 0),
        ("edd", "2026-10", date(2025, 12, 25), 30),
        ("edd", "2026", date(2025, 3, 27), 364),
        ("lmp", "2026-02", date(2026, 2, 1), 27),
        ("age", "100 d 2026-04-11", date(2026, 1, 1), 0),
        ("age", "14 wk 2026-04-11", date(2025, 12, 28), 6),
        ("age", "100 d 2026-04", date(2025, 12, 22), 29),
        ("age", "196-308 d", date(2025, 4, 29), 112),
    ],
)
def test_a_statement_implies_a_start_or_a_range(meaning: Meaning, value: str, first: date, days: int) -> None:
    start = _start(meaning, value, date(2026, 3, 3), "clinical")
    assert (start.first, (start.last - start.first).days) == (first, days)


@pytest.mark.parametrize("value", ["", "soon", "2026-13-01", "22 stone"])
def test_an_unreadable_value_dates_nothing(value: str) -> None:
    assert read_start(_state("edd", value, LMP, "clinical")) is None
    assert read_start(_state("age", value, LMP, "clinical")) is None


def test_an_exact_day_within_a_better_methods_range_is_taken() -> None:
    vague = _start("edd", (LMP + TERM).isoformat()[:7], LMP + timedelta(days=50), "clinical")
    assert not vague.exact
    assert choose_start([vague, PERIOD]) == PERIOD
    elsewhere = _start("lmp", "2025-11-02", LMP, "last period")
    assert choose_start([vague, elsewhere]) == vague
