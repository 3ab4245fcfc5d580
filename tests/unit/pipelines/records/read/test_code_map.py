"""A clinic's own codes are read as what its files map them to, and never as more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.records.read.code_map import load_code_map
from pmlm.errors import RecordsError
from tests.unit.pipelines.records.fhir import Clinic, condition, observation, patient

FIRST = "2026-06-01"
OWN = "https://clinic.example/codes"


def _own(code: str, text: str = "our own") -> dict[str, Any]:
    return {"coding": [{"system": OWN, "code": code, "display": text}], "text": text}


def _concept_map(relation: str | None = "equivalent", key: str = "equivalence") -> dict[str, Any]:
    target = {"code": "46635009"} | ({key: relation} if relation else {})
    group = {
        "source": f"{OWN}|2",
        "target": "http://snomed.info/sct",
        "element": [{"code": "D1", "target": [target]}],
    }
    return {"resourceType": "ConceptMap", "status": "active", "group": [group]}


def _write(clinic: Clinic, name: str, text: str) -> None:
    clinic.settings.drops.mkdir(parents=True, exist_ok=True)
    (clinic.settings.drops / name).write_text(text)


@pytest.mark.parametrize(
    ("relation", "key", "code"),
    [
        ("equivalent", "equivalence", "SNOMED//46635009"),
        ("wider", "equivalence", "SNOMED//46635009"),
        (None, "equivalence", "SNOMED//46635009"),
        ("source-is-narrower-than-target", "relationship", "SNOMED//46635009"),
        ("narrower", "equivalence", "LOCAL//D1"),
        ("unmatched", "equivalence", "LOCAL//D1"),
        ("source-is-broader-than-target", "relationship", "LOCAL//D1"),
    ],
)
def test_a_concept_map_is_followed_to_what_is_true_of_the_code(
    clinic: Clinic, relation: str | None, key: str, code: str
) -> None:
    _write(clinic, "map.json", json.dumps(_concept_map(relation, key)))
    clinic.drop(FIRST, patient(), condition(code=_own("D1", "Zuckerkrankheit")))
    assert clinic.event("condition")["code"] == code


def test_a_table_maps_by_system_without_one_and_by_text(clinic: Clinic) -> None:
    table = (
        "system,code,target system,target code\n"
        f"{OWN},hb,LOINC,718-7\n"
        ",A1,http://snomed.info/sct,195967001\n"
        "text,Heavy  Migraine,SNOMED,37796009\n"
    )
    _write(clinic, "codes.csv", table)
    clinic.drop(
        FIRST,
        patient(),
        observation("hb", value=11.2, unit="g/dL") | {"code": _own("hb")},
        condition("a", code={"coding": [{"code": "A1"}]}),
        condition("b", code={"text": "heavy migraine"}),
        condition("c", code=_own("A1")),
    )
    found = clinic.events("condition")["code"].to_list()
    assert sorted(found) == ["SNOMED//195967001", "SNOMED//195967001", "SNOMED//37796009"]
    assert [(r.rule, r.reason) for r in clinic.quarantined()] == []
    value = clinic.event("observation")
    assert (value["code"], value["unit"]) == ("LOINC//718-7", "g/dL")


def test_a_new_map_is_applied_to_the_drops_that_are_in_already(clinic: Clinic) -> None:
    lines = (patient(), condition(code=_own("D1")))
    clinic.drop(FIRST, *lines)
    assert clinic.event("condition")["code"] == "LOCAL//D1"
    _write(clinic, "map.json", json.dumps(_concept_map()))
    accounts = clinic.drop(FIRST, *lines)
    assert accounts.events == 1
    latest = clinic.events("condition").sort("known_at")
    assert latest["code"].to_list()[-1] == "SNOMED//46635009"
    assert latest["record"].n_unique() == 1
    assert clinic.drop(FIRST, *lines).events == accounts.events  # of the entry: nothing new is written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("codes.csv", "code,target\nA,B\n"),
        ("codes.csv", "system,code,target_system,target_code\nx,A,FURLONG,1\n"),
        ("codes.csv", "system,code,target_system,target_code\nx,,LOINC,1\n"),
        ("map.json", json.dumps({"resourceType": "ConceptMap", "group": [{"element": [{"target": 3}]}]})),
        ("map.json", json.dumps({"resourceType": "ConceptMap", "group": 5})),
    ],
)
def test_a_map_with_a_mistake_is_refused_whole(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RecordsError, match=name):
        load_code_map(tmp_path)


def test_without_maps_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"resourceType": "Bundle"}')
    assert load_code_map(tmp_path).digest == ""
    assert load_code_map(tmp_path).targets == {}
