"""A clinician calls one fact wrong: who may, which fact, and what is stored of it."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bentos.auth.principal import Principal
from bentos.feedback.disputes import record_dispute
from bentos.personalizer.feedback_store import FeedbackStore
from bentos.personalizer.personalizer import Personalizer
from models.fact_disputes import parse_dispute
from pmlm.errors import AccessError, ForeignPatientError, UnknownFactError
from pmlm.feedback_types import DisputeRequest
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import clinic

READS = frozenset({"system/Patient.rs"})
CLINICIAN = Principal("app", READS, None)
AT = datetime(2026, 6, 1, tzinfo=UTC)
ROW: dict[str, Any] = {
    "condition_codes": ["SNOMED//271737000"], "condition_texts": ["Anemia"], "condition_times": [AT],
    "condition_sources": ["c"], "allergy_codes": ["RXNORM//7984"], "allergy_texts": ["Penicillin V"],
    "allergy_kinds": ["medication"], "allergy_sources": ["a"], "weight_latest": 161.0, "weight_time": AT,
    "weight_source": "w",
}  # fmt: skip


class OnePatient:
    """Of a personalizer what a dispute needs: one patient's row and the store."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.feedback = FeedbackStore(settings)

    def read_patient(self, principal: Principal, reference: str) -> tuple[int, Mapping[str, Any]]:
        return principal.subject(self.settings, reference), ROW


def dispute(settings: Settings, fact: str, principal: Principal = CLINICIAN, **more: str) -> Any:
    personalizer = cast("Personalizer", OnePatient(settings))
    return record_dispute(personalizer, principal, DisputeRequest(patient="Patient/ana", fact=fact, **more))


@pytest.mark.parametrize(
    ("fact", "codes", "sources", "stays"),
    [
        ("condition:SNOMED//271737000", ("SNOMED//271737000",), ("c",), False),
        ("allergy:RXNORM//7984", ("RXNORM//7984",), ("a",), True),
        ("signal:weight", None, ("w",), False),
    ],
)
def test_a_dispute_is_stored_with_the_entries_behind_its_fact(
    tmp_path: Path, fact: str, codes: tuple[str, ...] | None, sources: tuple[str, ...], stays: bool
) -> None:
    settings = clinic(tmp_path)
    receipt = dispute(settings, fact, correct="She weighs 61 kg.", user="Practitioner/Wolfram")
    (path,) = (settings.workspace / "feedback" / "disputes").glob("*.jsonl")
    stored = parse_dispute(path.read_text())

    assert (stored.id, stored.key, stored.sources) == (receipt.id, fact, sources)
    assert codes is None or stored.codes == codes
    assert receipt.stays is stays
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [word for word in ("61 kg", "Wolfram", "ana") if word in path.read_text()]
    (raw,) = (settings.quarantine / "feedback").glob("*.json")
    assert json.loads(raw.read_text())["comment"] == "She weighs 61 kg."


def test_a_fact_that_is_not_believed_cannot_be_disputed(tmp_path: Path) -> None:
    with pytest.raises(UnknownFactError):
        dispute(clinic(tmp_path), "condition:SNOMED//1")


@pytest.mark.parametrize("fact", ["condition:SNOMED//271737000", "condition:SNOMED//1"])
def test_only_a_clinician_of_the_clinic_may(tmp_path: Path, fact: str) -> None:
    settings = clinic(tmp_path)
    own = Principal("app", READS, frozenset({settings.subject_id("ana")}))
    with pytest.raises(AccessError):
        dispute(settings, fact, own)
    with pytest.raises(ForeignPatientError):
        dispute(settings, fact, Principal("app", READS, frozenset({7})))
    assert not (settings.workspace / "feedback").exists()


def test_a_dispute_is_filed_by_the_clinics_day(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    settings.drops.mkdir(parents=True)
    (settings.drops / "clinic.yaml").write_text("name: st-anna\ntimezone: Pacific/Kiritimati\n")
    settings = clinic(tmp_path)
    dispute(settings, "signal:weight")
    (path,) = (settings.workspace / "feedback" / "disputes").glob("*.jsonl")
    assert path.stem == f"{settings.localize(datetime.now(UTC)):%Y%m%d}"
