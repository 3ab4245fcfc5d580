"""The naive chart: what was known when, and what follows from it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.chart import Chart, ResourceVersion, build_version, read_chart
from pipelines.synthetic.records.fhir import Resource

NOW = datetime(2026, 6, 3, tzinfo=UTC)
PATIENT: Resource = {"resourceType": "Patient", "id": "p", "birthDate": "1996-06-04"}


def chart(*resources: Resource, as_of: datetime = NOW) -> Chart:
    return read_chart([build_version(r, date(2026, 6, 1), True) for r in (PATIENT, *resources)], as_of)


def haemoglobin(value: float, days_ago: int, unit: str = "g/dL", identity: str | None = None) -> Resource:
    code = fhir.build_concept(fhir.LOINC, "718-7", "Hemoglobin")
    when = NOW - timedelta(days=days_ago)
    return fhir.build_observation(
        identity or f"hb{days_ago}", "p", code, when, valueQuantity=fhir.build_quantity(value, unit)
    )


def problem(code: str, days_ago: int, over: int | None = None) -> Resource:
    end = None if over is None else NOW - timedelta(days=over)
    concept = fhir.build_concept(fhir.SNOMED, code, "x")
    return fhir.build_condition(f"c{code}", "p", concept, NOW - timedelta(days=days_ago), end)


def test_age_counts_completed_years() -> None:
    assert chart().facts["age"] == 29


def test_latest_value_is_read_in_the_canonical_unit() -> None:
    assert chart(haemoglobin(12.0, 90), haemoglobin(101, 10, "g/L")).facts["haemoglobin"] == pytest.approx(10.1)


def test_a_value_in_a_unit_that_the_intake_quarantines_is_not_read() -> None:
    assert chart(haemoglobin(12.0, 90), haemoglobin(7.0, 10, "furlong")).facts["haemoglobin"] == 12.0


def test_fall_since_an_earlier_day_is_a_fact_of_its_own() -> None:
    facts = chart(haemoglobin(12.0, 90), haemoglobin(10.5, 10)).facts
    assert facts["haemoglobin_fall"] == pytest.approx(1.5)
    assert "haemoglobin_rise" not in facts


def test_value_older_than_two_years_is_no_longer_the_latest() -> None:
    assert "haemoglobin" not in chart(haemoglobin(9.0, 731)).facts


def test_correction_counts_from_its_drop_on() -> None:
    first = build_version(haemoglobin(8.0, 9, identity="hb"), date(2026, 6, 1), True)
    second = build_version(haemoglobin(12.0, 9, identity="hb"), date(2026, 6, 3), False)
    patient = build_version(PATIENT, date(2026, 6, 1), True)
    assert read_chart([patient, second, first], NOW).facts["haemoglobin"] == 8.0
    assert read_chart([patient, second, first], NOW + timedelta(days=1)).facts["haemoglobin"] == 12.0


def test_withdrawn_value_is_gone() -> None:
    first = build_version(haemoglobin(8.0, 9, identity="hb"), date(2026, 6, 1), True)
    gone = build_version(haemoglobin(8.0, 9, identity="hb") | {"status": "entered-in-error"}, date(2026, 6, 2), False)
    assert "haemoglobin" not in read_chart([build_version(PATIENT, date(2026, 6, 1), True), first, gone], NOW).facts


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(5, 18)), max_size=8), st.integers(0, 400))
def test_nothing_is_read_that_was_not_yet_known(values: list[tuple[int, float]], days: int) -> None:
    resources = [haemoglobin(value, ago, identity=str(n)) for n, (ago, value) in enumerate(values)]
    versions = [build_version(r, date(2026, 6, 2), True) for r in (PATIENT, *resources)]
    as_of = NOW - timedelta(days=days)
    known = [v for v in versions if v.known_at <= as_of]
    assert read_chart(versions, as_of).facts == read_chart(known, as_of).facts


@given(st.permutations(range(5)))
def test_order_of_resources_does_not_matter(order: list[int]) -> None:
    resources = [problem("195967001", 900), haemoglobin(11, 40), haemoglobin(12, 80), problem("72892002", 100), PATIENT]
    versions = [ResourceVersion(NOW - timedelta(days=1), resources[n]) for n in order]
    assert read_chart(versions, NOW).facts["haemoglobin"] == 11
    assert read_chart(versions, NOW).keys >= {"condition.asthma", "haemoglobin.change", "pregnancy", "no.epilepsy"}


def test_absence_of_a_condition_is_a_fact() -> None:
    facts = chart(problem("84757009", 900)).facts
    assert facts["epilepsy"]
    assert not facts["no_epilepsy"]
    assert facts["no_asthma"]


def test_condition_that_is_over_is_absent_again() -> None:
    assert chart(problem("195967001", 900, over=10)).facts["no_asthma"]


def test_gestational_age_comes_from_the_due_date() -> None:
    due = fhir.build_observation(
        "d", "p", fhir.build_concept(fhir.LOINC, "11778-8", "EDD"), NOW - timedelta(days=70), valueDateTime="2026-10-14"
    )
    assert chart(problem("72892002", 100), due).facts["weeks"] == 21


def test_gestational_age_without_a_date_is_unknown_not_guessed() -> None:
    facts = chart(problem("72892002", 100)).facts
    assert facts["pregnant"]
    assert "weeks" not in facts


def test_birth_ends_a_pregnancy_that_the_record_has_not_closed() -> None:
    birth = fhir.build_procedure("b", "p", ("386216000", "Human parturition"), NOW - timedelta(days=21))
    facts = chart(problem("72892002", 300), birth).facts
    assert not facts["pregnant"]
    assert facts["postpartum_weeks"] == 3


def test_sentence_with_an_unknown_value_cannot_be_said() -> None:
    assert chart().fill("Your haemoglobin is {haemoglobin}.") is None
    assert chart(haemoglobin(10.25, 3)).fill("Your haemoglobin is {haemoglobin}.") == "Your haemoglobin is 10.2."
