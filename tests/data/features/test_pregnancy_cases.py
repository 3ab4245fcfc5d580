"""Small clinics through import, build and ``pmlm patient``: pregnancy and its end are right, or said to be unknown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.features.build import stage
from pipelines.records.ingest import import_drop
from pmlm.cli.main import app
from pmlm.settings import Settings
from tests.data.features.stated_pregnancies import (
    CM,
    EARLIER,
    ENDED,
    EXACT,
    LAST,
    LOINC,
    MORE,
    MORE_RIGHT,
    SNOMED,
    VAGUE,
    Resource,
    code,
    condition,
    name_resource,
    observation,
    pregnant,
    procedure,
)

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
RESOLVED = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
CHILD = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
#: Patient → what the record states in the last drop.
STATED: dict[str, list[Resource]] = {
    # dated by each kind of statement: 30 weeks and 2 days on the last day
    "due": [observation("due", "11780-4", "2026-03-01", "e", valueDateTime="2026-08-17")],
    "scan": [
        observation("scan", "8665-2", "2026-01-10", "l", valueDateTime="2025-12-01"),
        observation("scan", "11781-2", "2026-01-20", "e", valueDateTime="2026-08-17"),
    ],
    "age": [observation("age", "11888-5", "2026-05-20", "a", valueString="27 2/7")],
    "days": [observation("days", "49052-4", "2026-05-20", "a", valueQuantity={"value": 191, "code": "d"})],
    "night": [observation("night", "11778-8", "2026-03-01", "e", valueDateTime="2026-08-17T23:30:00-08:00")],
    "panel": [
        observation("panel", "82810-3", "2026-05-20", "s", valueCodeableConcept=code(LOINC, "LA15173-0"),
                     component=[{"code": code(LOINC, "11887-7"), "valueQuantity": {"value": 191, "unit": "days"}}])
    ],
    # dated in part, or not at all
    "weeks": [observation("weeks", "18185-9", "2026-05-27", "a", valueQuantity={"value": 30, "code": "wk"})],
    "month": [observation("month", "11779-6", "2026-03-01", "e", valueDateTime="2026-10")],
    "status": [observation("status", "82810-3", "2026-05-01", "s", valueCodeableConcept=code(SNOMED, "77386006"))],
    "care": [
        name_resource("EpisodeOfCare", "care", "e", status="active", type=[code(SNOMED, "424525001")],
                  period={"start": "2026-03-01"})
    ],
    "twins": [condition("twins", "O30.042", "2026-05-01", CM)],
    # not pregnant, not known, or past any length
    "denied": [
        observation("denied", "82810-3", "2026-05-01", "s", valueCodeableConcept=code(LOINC, "LA26683-5"))
    ],
    "nothing": [condition("nothing", "195967001", "2020-01-01")],
    "overdue": [observation("overdue", "11778-8", "2025-03-01", "e", valueDateTime="2025-11-01")],
    "newborn": [observation("newborn", "18185-9", "2026-06-01", "a", valueQuantity={"value": 39, "code": "wk"})],
    # ended, each in its own way
    "pcs": [*pregnant("pcs"), procedure("pcs", "http://www.cms.gov/Medicare/Coding/ICD10", "10E0XZZ", "2026-06-02")],
    "cpt": [*pregnant("cpt"), procedure("cpt", "http://www.ama-assn.org/go/cpt", "59612", "2026-06-02")],
    "forceps": [*pregnant("forceps"), procedure("forceps", SNOMED, "302383004", "2026-06-02")],
    "o80": [*pregnant("o80"), condition("o80", "O80", "2026-06-02", "http://hl7.org/fhir/sid/icd-10", "d")],
    "outcome": [
        *pregnant("outcome"),
        observation("outcome", "63893-2", "2026-06-02", "o", valueCodeableConcept=code(SNOMED, "281050002")),
    ],
    "child": [
        *pregnant("child"),
        name_resource("RelatedPerson", "child", "r", relationship=[code(CHILD, "NCHILD")], birthDate="2026-06-02"),
    ],
    "finished": [
        *pregnant("finished")[1:],
        name_resource("EpisodeOfCare", "finished", "e", status="finished", type=[{"text": "Maternity care"}],
                  period={"start": "2025-10-01", "end": "2026-06-02"}),
    ],
    "abated": [
        pregnant("abated")[0] | RESOLVED | {"abatementDateTime": "2026-06-02"},
        pregnant("abated")[1],
    ],
    "undated": [pregnant("undated")[0] | RESOLVED, pregnant("undated")[1]],
    "loss": [*pregnant("loss"), condition("loss", "O03.9", "2026-06-02", CM, "d")],
    "visit": [*pregnant("visit"), condition("visit", "Z39.2", "2026-06-09", CM, "d")],
}  # fmt: skip
UNKNOWN = {"pregnant": "unknown", "gestational_weeks": None, "postpartum_weeks": None}
RIGHT: dict[str, Mapping[str, Any]] = {
    **dict.fromkeys(("due", "scan", "age", "days", "night", "panel"), EXACT),
    "weeks": {"pregnant": "yes", "gestational_weeks": 32, "gestational_days": None},
    **dict.fromkeys(("month", "status", "care", "twins"), VAGUE),
    "denied": {"pregnant": "no", "postpartum_weeks": None},
    **dict.fromkeys(("nothing", "newborn"), UNKNOWN | {"overdue": False}),
    "overdue": UNKNOWN | {"overdue": True},
    **dict.fromkeys(("pcs", "cpt", "forceps", "o80", "outcome", "child", "finished", "abated", "loss"), ENDED),
    "undated": {"pregnant": "no", "postpartum_weeks": None, "postpartum_range": (0, 1)},
    "visit": {"pregnant": "no", "postpartum_weeks": None},
    **MORE_RIGHT,
}
METHODS = {
    "due": "ovulation",
    "scan": "ultrasound",
    "age": "ultrasound",
    "days": "clinical",
    "month": "last period",
    "transfer": "embryo transfer",
}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two drops: in the first every pregnancy that ends undated is active, in the last all is stated."""
    folder = tmp_path_factory.mktemp("pregnancies")
    born = {"newborn": "2026-06-01"}
    people = [{"resourceType": "Patient", "id": w, "birthDate": born.get(w, "1995-04-02")} for w in STATED | MORE]
    everything = [*people, *(r for resources in (STATED | MORE).values() for r in resources)]
    for day, resources in (("2026-06-01", [*people, pregnant("undated")[0], *EARLIER]), (LAST, everything)):
        path = folder / "clinic" / day / "records.ndjson"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(r) + "\n" for r in resources))
    return _build(folder)


def _build(folder: Path) -> Settings:
    (folder / "clinic" / "clinic.yaml").write_text("name: small\nclock: last_drop\n")
    settings = Settings(home=folder / "state", drops=folder / "clinic", key_dir=folder / "keys")
    days = sorted(path.name for path in settings.drops.iterdir() if path.is_dir())
    for day in days:
        import_drop(settings, settings.drops / day, date.fromisoformat(day))
    stage.run(settings, days[-1].replace("-", ""))
    return settings


def _show(settings: Settings, patient: str) -> dict[str, Any]:
    env = {"PMLM_HOME": str(settings.home), "PMLM_DROPS": str(settings.drops), "PMLM_KEY_DIR": str(settings.key_dir)}
    done = CliRunner().invoke(app, ["patient", patient, "--json"], env=env)
    assert done.exit_code == 0, done.output
    shown: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return shown


def _differences(shown: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    wanted = {name: list(value) if isinstance(value, tuple) else value for name, value in right.items()}
    return {name: (shown[name], value) for name, value in wanted.items() if shown[name] != value}


@pytest.mark.parametrize("woman", RIGHT)
def test_what_is_believed_is_right_or_said_to_be_unknown(clinic: Settings, woman: str) -> None:
    shown = _show(clinic, woman)
    assert _differences(shown, RIGHT[woman]) == {}
    assert (shown["dating"] or {}).get("method") == METHODS.get(woman, (shown["dating"] or {}).get("method"))
    assert shown["multiple"] is (woman in ("twins", "pair"))


CASE_VALUES: dict[str, dict[str, dict[str, Any]]] = {
    "01-edd-codes": {key: {"pregnant": "yes", "gestational_weeks": 32, "gestational_days": 0} for key in ("a1", "a2")},
    "03-components": {"c2": {"pregnant": "yes", "gestational_weeks": 22, "gestational_days": 3}},
    "05-partial-edd": dict.fromkeys(("e1", "e2"), VAGUE),
    "06-zone-edd": {"f1": {"pregnant": "yes", "gestational_weeks": 32, "gestational_days": 0}},
    "10-delivery": {key: {"pregnant": "no", "postpartum_weeks": 0} for key in ("j1", "j4", "j7")},
    "11-prefixes": {"k4": {"pregnant": "no"}},
    "12-resolved": {"l1": {"pregnant": "no", "postpartum_range": (0, 1)}},
}


@pytest.mark.skipif(not CASES.exists(), reason="../shared/cases is not beside the repository")
@pytest.mark.parametrize("case", CASE_VALUES)
def test_the_shared_cases(case: str, tmp_path: Path) -> None:
    shutil.copytree(CASES / case / "clinic", tmp_path / "clinic")
    settings = _build(tmp_path)
    for patient, right in CASE_VALUES[case].items():
        shown = _show(settings, patient)
        assert _differences(shown, right) == {}
        assert not {c["concept"] for c in shown["conditions"]} & {"clot", "depression"}
