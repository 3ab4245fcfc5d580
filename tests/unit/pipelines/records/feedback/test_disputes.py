"""What a clinician calls wrong is stated no more, until a record states it again; an allergy stays."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from models.fact_disputes import Dispute, is_disputed
from models.vocabulary import DISPUTE_CODE
from pipelines.records import stage
from pipelines.records.feedback import texts
from pipelines.records.feedback.disputes import list_disputes
from pipelines.records.log import event_log
from tests.unit.pipelines.records.fhir import (
    Clinic,
    Resource,
    allergy,
    condition,
    medication_request,
    observation,
    patient,
)

FIRST, SECOND, THIRD = "2026-06-01", "2026-06-02", "2026-06-03"
RECORD: list[Resource] = [
    patient(name=[{"family": "Torres", "given": ["Maria"]}]),
    condition(),
    allergy(),
    medication_request(),
    observation("w", value=161.0),
    observation("v", value=60.0, effectiveDateTime="2026-05-01T10:00:00Z"),
]


def dispute(clinic: Clinic, key: str, sources: tuple[str, ...] = (), correct: str = "", at: str = FIRST) -> str:
    """Write a dispute as the endpoint does; return its id."""
    settings, received = clinic.settings, datetime.now(UTC) - timedelta(hours=1)
    code = key.partition(":")[2]
    one = Dispute(
        id=f"{abs(hash(key)):032x}"[:32], subject=settings.subject_id("ana"),
        at=datetime.fromisoformat(f"{at}T23:59:59+00:00"), received=received, giver=1, client=1, key=key,
        codes=("LOINC//29463-7",) if key.startswith("signal") else (code,), sources=sources,
    )  # fmt: skip
    path = texts.dispute_folder(settings) / f"{received:%Y%m%d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        stream.write(one.line() + "\n")
    if correct:
        raw = {"id": one.id, "subject": one.subject, "received": received.isoformat(), "comment": correct}
        texts.raw_folder(settings).mkdir(parents=True, exist_ok=True, mode=0o700)
        (texts.raw_folder(settings) / f"{one.id}.json").write_text(json.dumps(raw))
    return one.id


def known(clinic: Clinic) -> pl.DataFrame:
    found = event_log.select_as_of(event_log.scan_events(clinic.settings), clinic.settings.now())
    return found.collect()


def night(clinic: Clinic, day: str, *records: Resource) -> dict[str, Any]:
    clinic.put(day, "records.ndjson", list(records))
    return dict(stage.run(clinic.settings, day.replace("-", "")).figures)


@pytest.fixture
def recorded(clinic: Clinic) -> Clinic:
    clinic.drop(FIRST, *RECORD)
    return clinic


def test_a_disputed_condition_and_medicine_are_marked_and_counted(recorded: Clinic) -> None:
    dispute(recorded, "condition:ICD10//O24.4")
    dispute(recorded, "medicine:RXNORM//310325")
    figures = night(recorded, SECOND, patient("eve"))

    assert figures["feedback"]["disputes"] == 2
    kinds = {e["kind"]: e["text_value"] for e in known(recorded).to_dicts()}
    assert "condition" not in kinds
    assert is_disputed(kinds["condition.suspected"])
    assert is_disputed(kinds["medicine"])
    assert set(known(recorded).filter(kind="dispute")["code"]) == {DISPUTE_CODE}


def test_a_disputed_value_gives_way_to_the_one_before(recorded: Clinic) -> None:
    (source,) = known(recorded).filter(pl.col("numeric_value") == 161)["source"]
    dispute(recorded, "signal:weight", (source,))
    night(recorded, SECOND, patient("eve"))

    assert known(recorded).filter(kind="observation")["numeric_value"].to_list() == [60.0]


def test_an_allergy_stays_and_its_dispute_is_listed(recorded: Clinic) -> None:
    dispute(recorded, "allergy:RXNORM//7982", correct="Maria only had a rash as a child.")
    night(recorded, SECOND, patient("eve"))

    assert known(recorded).filter(kind="allergy.medication")["text_value"].to_list() == ["Penicillin V"]
    ((stated, words),) = list_disputes(recorded.settings, "ana", recorded.settings.now())
    assert (stated.key, f"{stated.at:%Y-%m-%d}") == ("allergy:RXNORM//7982", FIRST)
    assert words is not None
    assert "rash as a child" in words
    assert "Maria" not in words


def test_equal_content_leaves_a_dispute_and_a_new_record_ends_it(recorded: Clinic) -> None:
    dispute(recorded, "condition:ICD10//O24.4")
    night(recorded, SECOND, *RECORD)
    night(recorded, THIRD, *RECORD)
    assert "condition" not in set(known(recorded)["kind"])

    night(recorded, "2026-06-04", condition("c2", recordedDate="2026-06-04"))
    night(recorded, "2026-06-05", patient("eve"))
    assert known(recorded).filter(kind="condition")["text_value"].to_list() == ["Gestational diabetes"]


def test_a_night_that_runs_again_adds_nothing(recorded: Clinic) -> None:
    dispute(recorded, "condition:ICD10//O24.4")
    night(recorded, SECOND, patient("eve"))
    before = recorded.batches()
    stage.run(recorded.settings, "20260602")

    assert recorded.batches() == before


def test_a_dispute_of_a_later_day_waits(recorded: Clinic) -> None:
    dispute(recorded, "condition:ICD10//O24.4", at=THIRD)
    assert night(recorded, SECOND, patient("eve"))["feedback"]["disputes"] == 0
    assert "condition" in set(known(recorded)["kind"])
