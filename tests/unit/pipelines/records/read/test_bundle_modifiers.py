"""What may change the meaning of a whole Bundle: its entries are refused, wherever in the document it stands."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from pipelines.records.read.document_keys import find_document_keys
from pipelines.records.replay import replay_quarantine
from tests.unit.pipelines.records.fhir import FIRST, Clinic, Resource, allergy, bundle, observation, patient

RULES = {"implicitRules": "https://ehr.example/rules", "modifierExtension": [{"url": "https://ehr.example/negated"}]}
NAMES = {"implicitRules": "implicit_rules", "modifierExtension": "modifier_extension"}


@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "a document"])
@pytest.mark.parametrize("after", [False, True], ids=["before its entries", "after its entries"])
@pytest.mark.parametrize("key", RULES)
def test_every_entry_of_such_a_bundle_is_quarantined_and_stays(
    clinic: Clinic, key: str, after: bool, indent: int | None
) -> None:
    whole = bundle(patient(), observation("w"), kind="collection")
    stated = whole | {key: RULES[key]} if after else {"resourceType": "Bundle", key: RULES[key]} | whole
    clinic.put(FIRST, "bundle.json", json.dumps(stated, indent=indent).encode())
    accounts = clinic.take(FIRST)

    assert (accounts.read, accounts.by_rule) == (2, {NAMES[key]: 2})
    assert replay_quarantine(clinic.settings).held == 2
    assert clinic.events().is_empty()


def test_an_allergy_of_such_a_bundle_is_an_unread_entry(clinic: Clinic) -> None:
    clinic.put(FIRST, "patient.ndjson", [patient()])
    clinic.put(FIRST, "bundle.json", json.dumps(bundle(allergy()) | {"implicitRules": "https://x.example"}).encode())
    clinic.take(FIRST)

    assert list(clinic.events("allergy.unread")["subject_id"]) == [clinic.settings.subject_id("ana")]


def test_a_refused_entry_is_not_released_without_its_bundle(clinic: Clinic) -> None:
    entry: Resource = {"resource": patient(), "modifierExtension": RULES["modifierExtension"]}
    clinic.drop(FIRST, {"resourceType": "Bundle", "type": "collection", "entry": [entry]})

    assert replay_quarantine(clinic.settings).released == {}


@pytest.mark.parametrize("size", [0, (1 << 20) - 20, 1 << 20], ids=["short", "across blocks", "behind a block"])
def test_keys_are_found_at_the_top_alone(size: int) -> None:
    inner = {"entry": [{"implicitRules": "x", "text": "y" * size}], "note": 'an "implicitRules": in a text'}
    assert find_document_keys(BytesIO(json.dumps(inner).encode()), RULES) == []
    assert find_document_keys(BytesIO(json.dumps(inner | {"implicitRules": "x"}).encode()), RULES) == ["implicitRules"]
