"""Reads MEDS rows as FHIR resources, so that they pass the same checks.

MEDS names a code but not what it stands for. Observations (LOINC), diagnoses (ICD-10, and SNOMED CT where the code
has a meaning here) and medicines (RxNorm, ATC, NDC) become resources; every other row is passed on as ``Basic``,
which is counted as ignored. A value without a unit is quarantined by the checks where its signal needs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
from meds import code_metadata_filepath

from models.vocabulary import BIRTH_CODE, DEATH_CODE, SYSTEMS, find_concept
from pipelines.records.read.raw_resource import RawResource, Resource

NEEDED = ("subject_id", "time", "code", "numeric_value")
#: Prefixes of codes as MEDS extractions write them, beside our own → the FHIR system.
PREFIXES = {name: url for url, name in reversed(SYSTEMS.items())} | {
    "RxNorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "ICD10": "http://hl7.org/fhir/sid/icd-10-cm",
}
_DRUGS = ("RXNORM", "RxNorm", "ATC", "NDC")
_GENDERS = {"F": "female", "FEMALE": "female", "8532": "female", "M": "male", "MALE": "male", "8507": "male"}

Row = dict[str, Any]


def is_meds_file(path: Path) -> bool:
    """Whether a file is Parquet with the columns of MEDS data."""
    return path.suffix == ".parquet" and set(NEEDED) <= set(pq.read_schema(path).names)


def read_meds_file(path: Path, name: str) -> Iterator[RawResource]:
    """Yield a patient for each subject and a resource for each row; ``line`` is the row, from 1."""
    displays = read_descriptions(path)
    for subject, rows in groupby(_read_rows(path), key=lambda numbered: numbered[1]["subject_id"]):
        facts = list(rows)
        yield _wrap(name, facts[0][0], make_patient(str(subject), [row for _, row in facts]))
        for number, row in facts:
            if _is_static(str(row["code"])):
                continue
            yield _wrap(name, number, make_resource(row, number, displays.get(row["code"])))


def make_patient(subject: str, rows: list[Row]) -> Resource:
    """The Patient that a subject's rows without other meaning describe."""
    patient: Resource = {"resourceType": "Patient", "id": subject}
    for row in rows:
        code = str(row["code"])
        if code == BIRTH_CODE and row["time"] is not None:
            patient["birthDate"] = row["time"].date().isoformat()
        elif code == DEATH_CODE and row["time"] is not None:
            patient["deceasedDateTime"] = _write_time(row["time"])
        elif code.upper().startswith("GENDER"):
            patient["gender"] = _GENDERS.get(code.split("/")[-1].upper(), "unknown")
    return patient


def make_resource(row: Row, number: int, display: str | None = None) -> Resource:
    """The resource that a row describes; ``Basic`` where its meaning is not known."""
    system, code = _split_code(str(row["code"]))
    own = f"{system}//{code}"
    coding = {"system": PREFIXES.get(system, f"urn:meds:{system or 'code'}"), "code": code}
    concept = {"coding": [coding | ({"display": display} if display else {})]}
    ident = blake2b(
        orjson.dumps([row["subject_id"], row["code"], str(row["time"]), number]), digest_size=16
    ).hexdigest()
    known: Resource = {"id": ident, "subject": {"reference": f"Patient/{row['subject_id']}"}, "code": concept}
    if row["time"] is None or system not in PREFIXES:
        return known | {"resourceType": "Basic"}
    at = _write_time(row["time"])
    if system == "LOINC":
        return known | {"resourceType": "Observation", "status": "final", "effectiveDateTime": at} | _make_value(row)
    if system in _DRUGS:
        medicine = {"medicationCodeableConcept": known.pop("code"), "authoredOn": at}
        return known | {"resourceType": "MedicationRequest", "status": "unknown", "intent": "order"} | medicine
    if system.startswith("ICD10") or (system == "SNOMED" and find_concept(own)):
        return known | {"resourceType": "Condition", "onsetDateTime": at, "recordedDate": at}
    return known | {"resourceType": "Basic"}


def read_descriptions(path: Path) -> dict[str, str]:
    """The description of each code by the dataset's ``metadata/codes.parquet``; empty without one."""
    metadata = next((p / code_metadata_filepath for p in path.parents if (p / code_metadata_filepath).exists()), None)
    if metadata is None:
        return {}
    table = pq.read_table(metadata, columns=["code", "description"])
    rows = zip(table["code"].to_pylist(), table["description"].to_pylist(), strict=True)
    return {code: text for code, text in rows if text}


def _make_value(row: Row) -> Resource:
    if row["numeric_value"] is not None:
        unit = row.get("unit")
        named = {"unit": str(unit), "code": str(unit), "system": "http://unitsofmeasure.org"} if unit else {}
        return {"valueQuantity": {"value": float(format(row["numeric_value"], ".7g")), **named}}
    return {"valueString": str(row["text_value"])} if row.get("text_value") else {}


def _read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    number = 0
    with pq.ParquetFile(path) as file:
        columns = [c for c in (*NEEDED, "text_value", "unit") if c in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _split_code(code: str) -> tuple[str, str]:
    """System and code of ``SYSTEM//code`` or ``SYSTEM/code``."""
    system, _, rest = code.partition("/")
    own = rest.lstrip("/")
    return (system, own) if own else ("", code)


def _is_static(code: str) -> bool:
    return code in (BIRTH_CODE, DEATH_CODE) or code.upper().startswith("GENDER")


def _write_time(at: datetime) -> str:
    return at.replace(tzinfo=UTC).isoformat()


def _wrap(name: str, number: int, resource: Resource) -> RawResource:
    return RawResource(name, number, orjson.dumps(resource), resource=resource)
