"""FHIR R4 resources as other generators write them, and a clinic to drop them into."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.records.ingest import import_drop
from pipelines.records.log import event_log, ledger, quarantine
from pipelines.records.log.ledger import Accounts
from pipelines.records.log.quarantine import QuarantineRow
from pmlm.settings import Settings

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
PORTAL = "https://pmlm.dev/fhir/CodeSystem/portal"

Resource = dict[str, Any]
FIRST = "2026-06-01"


def concept(system: str, code: str, display: str = "") -> Resource:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def patient(ident: str = "ana", **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": ident, "birthDate": "1990-03-04", "gender": "female", **more}


def observation(ident: str, code: str = "29463-7", value: float = 61.5, unit: str = "kg", **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": ident,
        "status": "final",
        "code": concept(LOINC, code),
        "subject": {"reference": "Patient/ana"},
        "effectiveDateTime": "2026-05-20T10:00:00Z",
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        **more,
    }


def without(resource: Resource, *names: str) -> Resource:
    return {k: v for k, v in resource.items() if k not in names}


def condition(ident: str = "c1", **more: Any) -> Resource:
    return {
        "resourceType": "Condition",
        "id": ident,
        "code": concept(ICD10, "O24.4", "Gestational diabetes"),
        "subject": {"reference": "Patient/ana"},
        "onsetDateTime": "2026-04-02",
        **more,
    }


def medication_request(ident: str = "m1", **more: Any) -> Resource:
    return {
        "resourceType": "MedicationRequest",
        "id": ident,
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": concept(RXNORM, "310325", "ferrous sulfate 325 MG Oral Tablet"),
        "subject": {"reference": "Patient/ana"},
        "authoredOn": "2026-05-02T09:00:00Z",
        **more,
    }


def encounter(ident: str = "e1", **more: Any) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": ident,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/ana"},
        "period": {"start": "2026-05-20T09:30:00Z", "end": "2026-05-20T10:30:00Z"},
        **more,
    }


def procedure(ident: str = "p1", **more: Any) -> Resource:
    return {
        "resourceType": "Procedure",
        "id": ident,
        "status": "completed",
        "code": concept(SNOMED, "225158009", "Auscultation of the fetal heart"),
        "subject": {"reference": "Patient/ana"},
        "performedPeriod": {"start": "2026-05-20T09:40:00Z", "end": "2026-05-20T09:50:00Z"},
        **more,
    }


def allergy(ident: str = "a1", **more: Any) -> Resource:
    return {
        "resourceType": "AllergyIntolerance",
        "id": ident,
        "category": ["medication"],
        "code": concept(RXNORM, "7982", "Penicillin V"),
        "patient": {"reference": "Patient/ana"},
        "recordedDate": "2015-01-01",
        **more,
    }


def question(ident: str, text: str, **more: Any) -> Resource:
    return {
        "resourceType": "Communication",
        "id": ident,
        "status": "completed",
        "subject": {"reference": "Patient/ana"},
        "sender": {"reference": "Patient/ana"},
        "sent": "2026-05-21T08:00:00Z",
        "payload": [{"contentString": text}],
        **more,
    }


def reply(ident: str, to: str, text: str, **more: Any) -> Resource:
    answers = {"sender": {"reference": "Practitioner/smith"}, "inResponseTo": [{"reference": f"Communication/{to}"}]}
    return question(ident, text, **{**answers, **more})


def rating(ident: str, of: str, value: int) -> Resource:
    rated = without(observation(ident), "valueQuantity")
    return rated | {
        "code": concept(PORTAL, "reply-rating"),
        "focus": [{"reference": f"Communication/{of}"}],
        "valueInteger": value,
    }


def bundle(*resources: Resource, kind: str = "transaction") -> Resource:
    entries = [{"fullUrl": f"urn:uuid:{r.get('id')}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def ndjson(lines: Iterable[Resource | str | bytes]) -> bytes:
    """One line each; text and bytes go in as they are."""
    encoded = (x if isinstance(x, bytes) else (x if isinstance(x, str) else json.dumps(x)).encode() for x in lines)
    return b"\n".join(encoded) + b"\n"


@dataclass(frozen=True)
class Clinic:
    """A clinic's settings, with methods to import records and to read the result."""

    settings: Settings

    def put(self, day: str, name: str, data: bytes | Iterable[Resource | str | bytes]) -> Path:
        """Write one file of a drop; a list becomes NDJSON, a ``.gz`` name is packed."""
        path = self.settings.drops / day / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = data if isinstance(data, bytes) else ndjson(data)
        path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
        return path

    def take(self, day: str) -> Accounts:
        """Import the drop of a day; every resource must be accounted for."""
        accounts = import_drop(self.settings, self.settings.drops / day, date.fromisoformat(day))
        assert accounts.accepted + accounts.ignored + accounts.quarantined == accounts.read
        assert sum(accounts.by_rule.values()) == accounts.quarantined
        assert sum(accounts.ignored_types.values()) == accounts.ignored
        return accounts

    def drop(self, day: str, *resources: Resource | str | bytes) -> Accounts:
        """Write resources to one NDJSON file of a day's drop and import it."""
        self.put(day, "records.ndjson", resources)
        return self.take(day)

    def events(self, *kinds: str) -> pl.DataFrame:
        """All events, of some kinds or of all."""
        frame = event_log.scan_events(self.settings).collect()
        return frame.filter(pl.col("kind").is_in(kinds)) if kinds else frame

    def event(self, kind: str) -> dict[str, Any]:
        """The only event of a kind."""
        found = self.events(kind).to_dicts()
        assert len(found) == 1, found
        return found[0]

    def quarantined(self) -> list[QuarantineRow]:
        """The rows in quarantine."""
        return list(quarantine.read_rows(self.settings))

    def batches(self) -> list[str]:
        """The names, hence the contents, of all event batches."""
        return [path.name for path in ledger.list_batches(self.settings)]


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """An empty clinic in a folder of its own."""
    (tmp_path / "clinic").mkdir()
    (tmp_path / "clinic" / "clinic.yaml").write_text("name: testing\nclock: last_drop\n")
    return Clinic(Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=tmp_path / "keys"))


@pytest.fixture
def with_data_docs() -> None:
    """For a test whose imports draw Data Docs all the same."""


@pytest.fixture(autouse=True)
def no_data_docs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Draw no Data Docs, which take half of a small import's time."""
    if "with_data_docs" not in request.fixturenames:
        monkeypatch.setattr("pipelines.records.validate.data_docs.build_site", lambda *_: None)
