"""Logs cut at any byte: the night, the drift report and the audit go on, and say what they skipped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bentos.auth import audit
from bentos.auth.audit import RequestAudit
from pipelines.monitoring.families.prompts import build_served
from pipelines.records import stage
from pipelines.records.log import ledger, quarantine
from pmlm import storage
from pmlm.errors import RecordsError
from tests.unit.pipelines.records.feedback.test_intake import FIRST, NIGHT, SECOND, answer, interaction, say
from tests.unit.pipelines.records.fhir import Clinic, clinic, no_data_docs, observation, patient

__all__ = ["clinic", "no_data_docs"]

CUTS = (0.02, 0.5, 0.98)


def fill(clinic: Clinic) -> dict[str, Path]:
    """A clinic between two drops; every log of its endpoint, and its quarantine, with some lines."""
    clinic.drop(FIRST, patient(), observation("w"), "broken", "broken too")
    clinic.put(SECOND, "records.ndjson", [observation("x", value=62.0, effectiveDateTime="2026-06-02T09:00:00Z")])
    storage._reported.clear()
    workspace = clinic.settings.workspace
    served = {
        "candidates": 3, "kept": ["a"], "program": {"picks": ["a"], "style": "plain"}, "language": "en", "signs": [],
        "personalization": "full", "patient": 7,
    }  # fmt: skip
    answers = [json.loads(interaction(clinic.settings, n, words=20)) | served for n in range(4)]
    for value in answers:
        value["versions"]["refiner"] = "refiner-1"
    lines = "".join(json.dumps(value, separators=(",", ":")) + "\n" for value in answers)
    storage.append_lines(workspace / "interactions" / "20260601.jsonl", lines)
    for number in range(3):
        say(clinic.settings, number, number)
        audit.write(clinic.settings, RequestAudit("/answer", "portal", [number]), 200)
    return {
        "interactions": workspace / "interactions" / "20260601.jsonl",
        "feedback": next((workspace / "feedback").glob("*.jsonl")),
        "audit": next((workspace / "audit").glob("*.jsonl")),
        "quarantine": clinic.settings.quarantine / "20260601.jsonl",
    }


@pytest.mark.fault(
    "torn line", "each log and the quarantine cut within a line", "every command goes on and says what it skipped"
)
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", ["interactions", "feedback", "audit", "quarantine"])
@pytest.mark.attack("data at rest", "a log or the quarantine cut in a line", "every command goes on and says so")
def test_every_command_goes_on_and_says_what_it_skipped(
    clinic: Clinic, caplog: pytest.LogCaptureFixture, name: str, cut: float
) -> None:
    path = fill(clinic)[name]
    lines = path.read_bytes().splitlines(keepends=True)
    torn = lines[-1][: max(1, int(len(lines[-1]) * cut) - 1)]
    path.write_bytes(b"".join(lines[:-1]) + torn)
    summary = stage.run(clinic.settings, NIGHT)
    assert summary.status == "done"
    served = build_served(clinic.settings, NIGHT, datetime(2026, 6, 1, 12, tzinfo=UTC) - timedelta(days=1))
    assert len(served) == 1
    assert len(list(audit.read(clinic.settings))) == (2 if name == "audit" else 3)
    assert len(list(quarantine.read_rows(clinic.settings))) == (1 if name == "quarantine" else 2)
    said = {record.getMessage() for record in caplog.records}
    assert f"{path.parent.name}/{path.name}: 1 torn line skipped" in said
    assert torn in path.read_bytes()  # nothing is lost that a person could still read


@pytest.mark.fault("torn line", "a ledger entry that is damaged", "named in one line")
def test_a_damaged_ledger_entry_is_named_in_one_line(clinic: Clinic) -> None:
    fill(clinic)
    entry = ledger.folder(clinic.settings) / "20260601.json"
    entry.write_bytes(entry.read_bytes()[:-20])
    with pytest.raises(RecordsError, match=r"data/ledger/20260601\.json is damaged"):
        stage.run(clinic.settings, NIGHT)


def test_half_a_text_of_feedback_stops_no_night(clinic: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    fill(clinic)
    raw = clinic.settings.quarantine / "feedback"
    raw.mkdir(parents=True)
    (raw / f"{answer(1)}.json").write_text('{"id": "x", "subj')
    assert stage.run(clinic.settings, NIGHT).status == "done"
    assert any("is torn" in record.getMessage() for record in caplog.records)
