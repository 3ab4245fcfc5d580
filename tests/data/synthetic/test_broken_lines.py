"""Broken lines of the sample: about two in a hundred, each broken as named."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date

import pytest

from models.vocabulary import SIGNAL_BY_CODE
from pipelines.night_dates import end_of_day
from pipelines.records.drops import list_drops
from pipelines.records.ingest import import_drop
from pipelines.records.log import quarantine
from pipelines.synthetic.records.fhir import event_time, written_time
from pmlm.settings import Settings
from tests.data.synthetic.clinic_folder import Clinic

KINDS = {"truncated_json", "wrong_type", "impossible_value", "unknown_patient", "future_date", "duplicate_conflict"}


def damaged(clinic: Clinic, kind: str) -> list[tuple[date, str]]:
    return [
        (date.fromisoformat(name[:10]), clinic.lines[name][number - 1])
        for (name, number), found in clinic.broken.items()
        if found == kind
    ]


def test_about_two_in_a_hundred_lines_are_broken_in_six_ways(sample: Clinic) -> None:
    share = len(sample.broken) / sum(map(len, sample.lines.values()))
    assert 0.015 <= share <= 0.025
    counts = Counter(sample.broken.values())
    assert counts.keys() == KINDS
    assert min(counts.values()) >= 30


def test_truncated_lines_are_no_json(sample: Clinic) -> None:
    for _, text in damaged(sample, "truncated_json"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


def test_future_dates_lie_after_their_drop(sample: Clinic) -> None:
    assert all(event_time(json.loads(text)) > end_of_day(drop) for drop, text in damaged(sample, "future_date"))


def test_unknown_patients_are_in_no_drop(sample: Clinic) -> None:
    known = {f"Patient/{r['id']}" for _, r in sample.of_type("Patient")}
    assert not known & {json.loads(text)["subject"]["reference"] for _, text in damaged(sample, "unknown_patient")}


def test_impossible_values_are_outside_what_is_possible(sample: Clinic) -> None:
    for _, text in damaged(sample, "impossible_value"):
        resource = json.loads(text)
        signal = SIGNAL_BY_CODE[f"LOINC//{resource['code']['coding'][0]['code']}"]
        value = resource["valueQuantity"]["value"] * signal.units[resource["valueQuantity"]["unit"]]
        assert not signal.low <= value <= signal.high


def test_conflicting_lines_share_an_id_and_differ(sample: Clinic) -> None:
    versions: dict[str, set[str]] = {}
    for _, text in damaged(sample, "duplicate_conflict"):
        versions.setdefault(json.loads(text)["id"], set()).add(text)
    assert {len(v) for v in versions.values()} == {2}


def test_no_other_id_has_two_contents_in_one_drop(sample: Clinic) -> None:
    contents: dict[tuple[date, str, str], set[str]] = {}
    for drop, r in sample.arrivals:
        contents.setdefault((drop, r["resourceType"], r["id"]), set()).add(json.dumps(r))
    assert {len(v) for v in contents.values()} == {1}


def test_good_lines_are_of_known_patients_and_not_of_the_future(sample: Clinic) -> None:
    known = {f"Patient/{r['id']}" for _, r in sample.of_type("Patient")}
    for drop, r in sample.arrivals:
        written = written_time(r)
        assert written is None or written <= end_of_day(drop)
        assert "subject" not in r or r["subject"]["reference"] in known


def test_quarantine_finds_exactly_the_broken_lines(two_patients: Clinic, tmp_path) -> None:
    settings = Settings(home=tmp_path, drops=two_patients.folder)
    for drop in list_drops(settings):
        import_drop(settings, drop.path, drop.date)
    found = {
        (f"{r.night[:4]}-{r.night[4:6]}-{r.night[6:]}/{r.file}", r.line): r.rule for r in quarantine.read_rows(settings)
    }
    named = {place: "invalid_json" if kind == "truncated_json" else kind for place, kind in two_patients.broken.items()}
    assert named
    assert found == named
