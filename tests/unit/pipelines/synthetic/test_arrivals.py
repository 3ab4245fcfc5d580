"""Arrivals: nothing is lost, nothing arrives before it happened, ends are not foreseen."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipelines.night_dates import end_of_day
from pipelines.synthetic.arrivals import schedule_arrivals, withdraw_one
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.calendar import Calendar
from pipelines.synthetic.records.fhir import Resource, event_time, parse_time

CALENDAR = Calendar()
END = end_of_day(CALENDAR.last)
HAEMOGLOBIN = fhir.build_concept(fhir.LOINC, "718-7", "Hemoglobin")
ASTHMA = fhir.build_concept(fhir.SNOMED, "195967001", "Asthma")


def measured(identity: str, days_ago: float, value: float = 11.0) -> Resource:
    when = END - timedelta(days=days_ago)
    return fhir.build_observation(identity, "p", HAEMOGLOBIN, when, valueQuantity=fhir.build_quantity(value, "g/dL"))


def records() -> st.SearchStrategy[list[Resource]]:
    days = st.lists(st.floats(0.01, 60), max_size=30)
    return days.map(lambda found: [measured(f"o{n}", ago) for n, ago in enumerate(found)])


def visits_and_problems() -> Iterator[Resource]:
    start = datetime(2026, 5, 30, 9, tzinfo=UTC)
    yield fhir.build_condition("c", "p", ASTHMA, start, start + timedelta(days=4))
    yield fhir.build_encounter("e", "p", ("424619006", "Prenatal visit"), start, start + timedelta(days=4))


@given(records(), st.integers())
def test_every_record_arrives(resources: list[Resource], seed: int) -> None:
    arrived = schedule_arrivals(resources, CALENDAR, random.Random(seed))
    assert {a.resource["id"] for a in arrived} == {r["id"] for r in resources}


@given(records(), st.integers())
def test_nothing_arrives_before_the_end_of_its_day(resources: list[Resource], seed: int) -> None:
    for arrival in schedule_arrivals(resources, CALENDAR, random.Random(seed)):
        happened = event_time(arrival.resource)
        assert happened is not None
        assert happened <= end_of_day(arrival.drop)
        assert arrival.drop in CALENDAR.drops


@given(records(), st.integers())
def test_last_version_of_a_record_is_the_true_one(resources: list[Resource], seed: int) -> None:
    newest = {
        a.resource["id"]: a
        for a in sorted(schedule_arrivals(resources, CALENDAR, random.Random(seed)), key=lambda a: a.drop)
    }
    assert all(a.resource["valueQuantity"]["value"] == 11.0 for a in newest.values())


def test_late_twice_and_corrected_records_occur() -> None:
    resources = [measured(f"o{n}", 4 + n / 100) for n in range(400)]
    arrived = schedule_arrivals(resources, CALENDAR, random.Random(1))
    by_id: dict[str, list[Resource]] = {}
    for a in arrived:
        by_id.setdefault(a.resource["id"], []).append(a.resource)
    late = [a for a in arrived if (t := event_time(a.resource)) and CALENDAR.drop_of(t) < a.drop]
    twice = [versions for versions in by_id.values() if len(versions) > 1 and versions[0] == versions[1]]
    corrected = [versions for versions in by_id.values() if versions[-1]["status"] == "corrected"]
    assert min(len(late), len(twice), len(corrected)) >= 5


def test_end_still_to_come_is_not_foreseen() -> None:
    for resource in visits_and_problems():
        first, second = schedule_arrivals([resource], CALENDAR, random.Random(1))
        over = fhir.get_path(resource, "abatementDateTime") or fhir.get_path(resource, "period.end")
        assert over not in str(first.resource)
        assert second.resource == resource
        assert parse_time(over) <= end_of_day(second.drop)


def test_withdrawn_record_was_there_before() -> None:
    arrived = schedule_arrivals([measured("o", 30)], CALENDAR, random.Random(1))
    (gone,) = withdraw_one(arrived, CALENDAR, random.Random(1))
    assert gone.resource["id"] == "o"
    assert gone.resource["status"] == "entered-in-error"
    assert gone.drop > arrived[0].drop
