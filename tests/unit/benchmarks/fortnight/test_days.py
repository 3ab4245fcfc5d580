"""The planted records: nothing is brought twice or left out, and each shift changes what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fortnight import drops, shifts
from benchmarks.fortnight.plan import NIGHTS, DriftPlant, FortnightPlan, day_of, draw_plan
from benchmarks.fortnight.sample import HEART_RATE, PRESSURE, WEIGHT, Resource, Sample, Talk, code_of, patient_of

PATIENTS = [f"p{n}" for n in range(30)]
LATE = replace(draw_plan(0), drifts=())


def observation(patient: str, code: str, value: float, unit: str = "kg") -> Resource:
    quantity = {"value": value, "unit": unit, "code": unit}
    concept = {"coding": [{"code": code}]}
    subject = {"reference": f"Patient/{patient}"}
    plain = {"resourceType": "Observation", "id": f"{patient}-{code}", "status": "final", "code": concept}
    return plain | {"subject": subject, "valueQuantity": quantity}


def talk(patient: str) -> Talk:
    subject = {"reference": f"Patient/{patient}"}
    message = {
        "resourceType": "Communication",
        "subject": subject,
        "sender": subject,
        "payload": [{"contentString": ""}],
    }
    rating = observation(patient, "rating", 0) | {"id": f"r-{patient}", "valueInteger": 5}
    return Talk(patient, message | {"id": f"q-{patient}"}, message | {"id": f"a-{patient}"}, rating)


@pytest.fixture
def sample() -> Sample:
    made = Sample(PATIENTS, {patient: f"19{60 + n}-01-01" for n, patient in enumerate(PATIENTS)})
    for patient in PATIENTS:
        rate = observation(patient, HEART_RATE, 70, "/min") | {"effectiveDateTime": "2026-01-05T09:00:00+00:00"}
        made.measured[patient] = {WEIGHT: observation(patient, WEIGHT, 60), HEART_RATE: rate}
        made.history["Observation"].append(json.dumps(rate))
        made.resources += [{"resourceType": "Patient", "id": patient, "birthDate": made.births[patient]}, rate]
        made.talks.append(talk(patient))
    return made


def read_drops(folder: Path) -> dict[int, list[Resource]]:
    return {
        night: [json.loads(line) for file in (folder / day_of(night).isoformat()).iterdir() for line in file.open()]
        for night in range(1, NIGHTS + 1)
    }


def write(sample: Sample, plan: FortnightPlan, folder: Path) -> dict[int, list[Resource]]:
    drops.write_drops(sample, plan, folder)
    return read_drops(folder)


def test_a_late_record_comes_once_and_a_correction_after_what_it_corrects(sample: Sample, tmp_path: Path) -> None:
    found = write(sample, LATE, tmp_path)
    brought: dict[str, list[tuple[int, str]]] = {}
    for night, resources in found.items():
        for one in resources:
            brought.setdefault(one["id"], []).append((night, one.get("status", "")))
    twice = {ident: times for ident, times in brought.items() if len(times) > 1}
    assert len(twice) == drops.CORRECTED * len(LATE.late.of)
    assert {times[1] for times in twice.values()} == {(LATE.late.night, "corrected")}
    assert {times[0][0] for times in twice.values()} <= set(LATE.late.of)
    measured = [r for r in found[LATE.late.night] if r.get("effectiveDateTime", "")[:10] in early(LATE)]
    assert len(measured) > len(twice)


def early(plan: FortnightPlan) -> set[str]:
    return {day_of(night).isoformat() for night in plan.late.of}


def test_the_same_seed_brings_the_same_bytes_and_another_seed_others(sample: Sample, tmp_path: Path) -> None:
    first = write(sample, LATE, tmp_path / "a")
    assert write(sample, LATE, tmp_path / "b") == first
    assert write(sample, replace(LATE, seed=1), tmp_path / "c") != first


def test_a_fifth_of_the_poisoned_nights_ratings_is_flipped_and_of_no_other(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flipped = read_ratings(write(sample, LATE, tmp_path / "flipped"))
    monkeypatch.setattr(drops, "FLIPPED", 0.0)
    plain = read_ratings(write(sample, LATE, tmp_path / "plain"))
    changed = {key for key, points in plain.items() if flipped[key] != points}
    assert {night for night, _ in changed} <= {LATE.poisoned}
    assert all(flipped[key] == drops.flip_rating(plain[key]) for key in changed)
    assert [drops.flip_rating(points) for points in (1, 3, 5)] == [5, 3, 1]


def read_ratings(found: dict[int, list[Resource]]) -> dict[tuple[int, str], int]:
    return {(n, one["id"]): one["valueInteger"] for n, day in found.items() for one in day if "valueInteger" in one}


@pytest.mark.parametrize("kind", ["case_mix", "lab_unit", "topic", "wording", "null_feature"])
def test_a_shift_is_there_in_its_nights_alone(sample: Sample, tmp_path: Path, kind: str) -> None:
    quiet = write(sample, LATE, tmp_path / "quiet")
    plant = DriftPlant(kind, 6, 7)  # type: ignore[arg-type]
    shifted = write(sample, replace(LATE, drifts=(plant,)), tmp_path / kind)
    assert {n: len(day) for n, day in quiet.items() if n < 6} == {n: len(day) for n, day in shifted.items() if n < 6}
    day = shifted[6]
    young = set(PATIENTS[-int(shifts.YOUNGEST * len(PATIENTS)) :])
    assert ({patient_of(one) for one in day} <= young) == (kind == "case_mix")
    pounds = [one["valueQuantity"]["value"] > 100 for one in day if code_of(one) == WEIGHT]
    assert all(pounds) == (kind == "lab_unit")
    words = {one["payload"][0]["contentString"] for one in day if "payload" in one and "inResponseTo" not in one}
    assert (words <= set(shifts.OTHER_TOPIC)) == (kind == "topic")
    assert all(text.isupper() and text.endswith("!!! ???") for text in words) == (kind == "wording")
    withdrawn = {one["id"] for one in day if one.get("status") == "entered-in-error"}
    known = {one["id"] for n in range(1, 6) for one in shifted[n] if code_of(one) == HEART_RATE}
    assert withdrawn == (known if kind == "null_feature" else set())


def test_a_trend_rises_from_night_to_night(sample: Sample) -> None:
    plant, rises = DriftPlant("trend", 2, NIGHTS), []
    for night in (2, 8, 14):
        day = drops.make_day(sample, 0, night, PATIENTS)
        day.measurements = [observation("p0", PRESSURE, 100)]
        shifts.shift_records(day, plant, [])
        rises.append(day.measurements[0]["valueQuantity"]["value"])
    assert rises == [101.2, 108.4, 115.6]
