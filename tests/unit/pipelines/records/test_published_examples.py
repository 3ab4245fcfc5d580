"""FHIR R4's published examples, from a folder outside: all accounted for, few refused, broken ones refused.

The folder has one JSON file a resource, as HL7 publishes them (CC0), in ``PMLM_FHIR_EXAMPLES`` or
``../shared/fhir-examples``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipelines.records.read.raw_resource import ResourceError
from pipelines.records.validate.fields import FIELDS
from pipelines.records.validate.structure import read_type, select_allowed
from tests.unit.pipelines.records.fhir import FIRST, Clinic, Resource, without

ROOT = Path(__file__).parents[4]
FOLDER = Path(os.environ.get("PMLM_FHIR_EXAMPLES") or ROOT.parent / "shared" / "fhir-examples")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no folder of FHIR examples (PMLM_FHIR_EXAMPLES)")

#: What depends on the other files of the folder, and says nothing of the resource.
OF_THE_FOLDER = ("unknown_patient", "unknown_medication", "duplicate_conflict")
MOST_REFUSED = 0.02
FORMS = ("files", "lines", "bundle")


@cache
def _read_examples() -> list[Resource]:
    read = (json.loads(path.read_bytes()) for path in sorted(FOLDER.rglob("*.json")))
    return [value for value in read if isinstance(value, dict) and "resourceType" in value]


def _put(clinic: Clinic, form: str) -> None:
    examples = _read_examples()
    if form == "lines":
        clinic.put(FIRST, "all.ndjson", examples)
    elif form == "files":
        for number, example in enumerate(examples):
            clinic.put(FIRST, f"{number}.json", json.dumps(example, indent=2).encode())
    else:
        entries = [{"resource": example} for example in examples]
        whole = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        clinic.put(FIRST, "all.json", json.dumps(whole, indent=1, sort_keys=True).encode())


def _list_followed(value: Resource) -> Iterator[Resource]:
    """Yield the resources of the types that are read, those of Bundles too."""
    if value["resourceType"] == "Bundle":
        for entry in value.get("entry", []):
            if "resource" in entry:
                yield from _list_followed(entry["resource"])
    elif value["resourceType"] in FIELDS and "id" in value:
        yield value


def test_the_examples_are_accounted_for_alike_in_every_form_and_few_are_refused(tmp_path: Path, clinic: Clinic) -> None:
    taken = []
    for form in FORMS:
        settings = clinic.settings.model_copy(update={"home": tmp_path / form, "drops": tmp_path / f"{form}-drops"})
        one = Clinic(settings)
        _put(one, form)
        taken.append(one.take(FIRST))
    counts = [(a.read, a.accepted, a.quarantined, a.by_rule, a.ignored_types, a.events) for a in taken]
    assert counts[0] == counts[1] == counts[2]
    followed = taken[0].accepted + taken[0].quarantined
    refused = sum(count for rule, count in taken[0].by_rule.items() if rule not in OF_THE_FOLDER)
    assert refused <= MOST_REFUSED * followed, taken[0].by_rule


def _break(resource: Resource) -> Iterator[tuple[str, Resource]]:
    """Yield broken copies of a sound resource, each with the rule that refuses it."""
    fields = FIELDS[resource["resourceType"]]
    yield "missing_id", without(resource, "id")
    yield "bad_id", resource | {"id": "an id"}
    yield "implicit_rules", resource | {"implicitRules": "http://example.org/rules"}
    yield "modifier_extension", resource | {"modifierExtension": [{"url": "http://example.org/x"}]}
    for name in fields.required:
        yield "missing_field", without(resource, name)
    for name in fields.checks.keys() & resource.keys():
        value: Any = resource[name]
        if name in ("meta", "extension", "contained"):
            continue
        yield "wrong_type", resource | {name: 3.5 if not isinstance(value, bool) else "true"}
        if name == "status":
            yield "bad_code", resource | {name: "of no value set"}
        elif isinstance(value, dict) and "reference" in value:
            yield "bad_reference", resource | {name: {"reference": "not a reference"}}
        elif name.endswith(("Date", "DateTime", "Instant")):
            yield "bad_date", resource | {name: "2026-13-45"}


def test_a_broken_copy_of_each_sound_example_is_refused_by_its_rule() -> None:
    tried = 0
    for example in (resource for whole in _read_examples() for resource in _list_followed(whole)):
        try:
            select_allowed(example, read_type(example))
        except ResourceError:
            continue
        for rule, broken in _break(example):
            with pytest.raises(ResourceError) as refused:
                select_allowed(broken, read_type(broken))
            assert refused.value.rule == rule, (example["resourceType"], refused.value.reason)
            tried += 1
    assert tried > 0
