"""Pregnancies: Synthea's are dated by their birth, an added one never overlaps them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.records import fhir, pregnancies
from pipelines.synthetic.records.calendar import Calendar
from pipelines.synthetic.records.fhir import Resource
from pipelines.synthetic.records.pregnancies import BIRTH, NORMAL_PREGNANCY, Pregnancy
from pipelines.synthetic.records.traits import STAGES, draw_traits

CALENDAR = Calendar()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ADULT = date(1994, 1, 1)


def recorded(onset: datetime, weeks: int | None, identity: str = "c") -> list[Resource]:
    """A pregnancy as Synthea records it, with a birth after some weeks or ongoing."""
    birth = None if weeks is None else onset + timedelta(weeks=weeks)
    over = birth and birth + timedelta(days=7)
    found = [fhir.build_condition(identity, "p", fhir.build_concept(fhir.SNOMED, *NORMAL_PREGNANCY), onset, over)]
    return found + ([fhir.build_procedure(f"{identity}b", "p", BIRTH, birth)] if birth else [])


@given(st.integers(400, 4000), st.integers(46, 50), st.uuids())
def test_due_date_is_near_the_birth_though_synthea_took_longer(ago: int, weeks: int, identity: object) -> None:
    (found,) = pregnancies.date_synthea_pregnancies(recorded(NOW - timedelta(days=ago), weeks, str(identity)), "p")
    assert found.ended is not None
    assert abs((found.due - found.ended).days) <= 9
    assert found.due - found.start == timedelta(days=280)


def test_pregnancy_without_a_scan_yet_has_no_date_in_the_record() -> None:
    early = NOW - timedelta(days=60)
    for n in range(20):
        (found,) = pregnancies.date_synthea_pregnancies(recorded(early, None, f"c{n}"), "p")
        dated = pregnancies.record_pregnancy(found, "p")
        assert all(fhir.parse_time(r["effectiveDateTime"]) > NOW for r in dated)


def test_some_pregnancies_are_dated_by_due_date_some_by_last_period_some_not_at_all() -> None:
    found = [
        pregnancies.date_synthea_pregnancies(recorded(NOW - timedelta(days=900), 48, f"c{n}"), "p")[0]
        for n in range(60)
    ]
    codes = [next(fhir.read_codings(r["code"]))[1] for p in found for r in pregnancies.record_pregnancy(p, "p")]
    assert {"11778-8", "8665-2"} == set(codes)
    assert 0 < len(found) - len(codes) < 30


@pytest.mark.parametrize("index", range(len(STAGES) * 3))
def test_added_pregnancy_is_where_the_stage_asks_for_it(index: int) -> None:
    traits = draw_traits(1, index)
    found = pregnancies.add_pregnancy(traits, f"p{index}", ADULT, [], CALENDAR)
    if traits.stage == "none":
        assert found is None
        return
    assert found is not None
    assert found.is_ongoing(NOW) == (traits.stage == "pregnant")
    if traits.stage == "postpartum":
        assert found.ended is not None
        assert 3 <= (CALENDAR.history - found.ended).days <= 190


@given(st.integers(0, 1500), st.integers(0, 63))
def test_added_pregnancy_keeps_clear_of_synthea_s(ago: int, index: int) -> None:
    own = pregnancies.date_synthea_pregnancies(recorded(NOW - timedelta(days=ago), 48 if ago > 400 else None), "p")
    found = pregnancies.add_pregnancy(draw_traits(1, index), f"p{index}", ADULT, own, CALENDAR)
    if found:
        assert not _overlap(found, own[0])


def _overlap(one: Pregnancy, other: Pregnancy) -> bool:
    first, second = sorted((one, other), key=lambda p: p.start)
    return first.ended is None or first.ended >= second.start


def test_no_pregnancy_is_added_to_a_girl() -> None:
    pregnant = next(i for i in range(64) if draw_traits(1, i).stage == "pregnant")
    assert pregnancies.add_pregnancy(draw_traits(1, pregnant), "p", date(2009, 1, 1), [], CALENDAR) is None


def test_spread_pregnancies_end_all_over_the_portal_s_time_and_after_it() -> None:
    found = [
        pregnancies.add_pregnancy(draw_traits(1, n), f"p{n}", ADULT, [], CALENDAR, spread=True) for n in range(400)
    ]
    births = [p.due for p in found if p]
    assert len(births) == 400
    span = (CALENDAR.history - CALENDAR.portal_opens) / 3
    thirds = [sum((d - CALENDAR.portal_opens) // span == third for d in births) for third in range(3)]
    assert min(thirds) > 60
    assert sum(p.is_ongoing(NOW) for p in found if p) > 60
    assert all(p.onset < NOW for p in found if p)
