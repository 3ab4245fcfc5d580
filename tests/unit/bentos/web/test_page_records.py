"""What the page says of a record: versions that count, her own lines only, peers never below k, no dates."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bentos.personalizer.patient.patient_events import find_newest, read_events
from bentos.web import records
from models.fact_disputes import MARK, StatedDispute
from models.patient.currency import CurrencyRule
from models.peers.outcome_estimates import OutcomeFinding
from models.schema import DELETED, EVENT_SCHEMA

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ADA, BEA = 1, 2
HAEMOGLOBIN = "LOINC//718-7"
BETTER = OutcomeFinding(support=10.0, better=0.1, ci_low=0.02, ci_high=0.2, n=300, patients=60)


def _event(subject: int, record: int, days: float, value: float | None = None, **other: Any) -> dict[str, Any]:
    time = NOW - timedelta(days=days)
    event = dict.fromkeys(EVENT_SCHEMA.names) | {
        "subject_id": subject, "record": record, "time": time, "known_at": time, "code": HAEMOGLOBIN,
        "numeric_value": value, "unit": "g/dL", "kind": "observation", "source": f"line{record}",
    }  # fmt: skip
    return event | other


def _write(folder: Path, name: str, *events: dict[str, Any]) -> str:
    pq.write_table(pa.Table.from_pylist(list(events), schema=EVENT_SCHEMA), folder / name)
    return name


@pytest.fixture
def batches(tmp_path: Path) -> list[str]:
    """A first batch, and a second one that corrects one value, deletes another and is known from yesterday on."""
    late = NOW - timedelta(days=1)
    return [
        _write(tmp_path, "a.parquet", _event(ADA, 1, 90, 12.0), _event(ADA, 2, 30, 9.0), _event(BEA, 3, 5, 13.0)),
        _write(
            tmp_path,
            "b.parquet",
            _event(ADA, 1, 90, 11.5, known_at=late, source="line1b"),
            _event(ADA, 2, 30, code=DELETED, kind="deleted", known_at=late),
        ),
    ]


def test_the_version_that_counts_is_the_latest_one_known(tmp_path: Path, batches: list[str]) -> None:
    today = read_events(tmp_path, batches, ADA, NOW)
    assert [(e.value, e.source) for e in today] == [(11.5, "line1b")]
    earlier = read_events(tmp_path, batches, ADA, NOW - timedelta(days=2))
    assert [e.value for e in earlier] == [12.0, 9.0]
    assert read_events(tmp_path, ["missing.parquet"], ADA, NOW) == []


def test_the_newest_entry_of_each_patient(tmp_path: Path, batches: list[str]) -> None:
    assert find_newest(tmp_path, tuple(batches)) == {ADA: NOW - timedelta(days=1), BEA: NOW - timedelta(days=5)}


def test_sources_are_looked_for_in_her_own_record_alone(tmp_path: Path, batches: list[str]) -> None:
    history = read_events(tmp_path, batches, ADA, NOW)
    found = records.find_sources(["line1b", "line3", "rules:safety"], history, {}, NOW, "en")
    assert [(e.what, e.value, e.ago) for e in found.events] == [("haemoglobin", "11.5 g/dL", "3 months ago")]
    assert found.summaries == ["line3", "rules:safety"]


def test_prose_and_birth_dates_are_no_sources(tmp_path: Path) -> None:
    prose = _event(ADA, 4, 3, code="PMLM//REPLY", kind="reply", text_value="Call Dr Quillfeather", unit=None)
    birth = _event(ADA, 5, 11_000, code="MEDS_BIRTH", kind="patient", unit=None)
    history = read_events(tmp_path, [_write(tmp_path, "c.parquet", prose, birth)], ADA, NOW)
    text = records.find_sources(["line4", "line5"], history, {}, NOW, "en").model_dump_json()
    assert "Quillfeather" not in text
    assert "years ago" not in text


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (9, 0), (10, 10), (14, 10), (17, 15), (20, 20)])
def test_peers_below_k_are_never_shown_whatever_a_store_holds_and_counts_coarsely(count: int, shown: int) -> None:
    row = {"peers_count": count, "peer_anaemia": 40.0, "cohort_anaemia": 20.0}
    found = records.summarize_peers(row, {"anaemia": BETTER}, 10, "en")
    estimates = {10: 30.0, 14: 30.0, 17: 35.0, 20: 35.0}  # between 20 and 40, the nearer to 40 the more peers
    assert [o.value for o in found.outcomes] == ([estimates[count]] if shown else [])
    assert found.count == shown


def test_an_outcome_that_does_not_beat_the_cohort_is_named_without_a_number() -> None:
    row = {"peers_count": 20, "peer_anaemia": 40.0, "cohort_anaemia": 20.0}
    found = records.summarize_peers(row, {"anaemia": replace(BETTER, ci_low=-0.1)}, 10, "en")
    assert found.outcomes == []
    assert "have anaemia" in found.unstated


def test_a_k_that_is_no_multiple_of_five_is_never_undercut() -> None:
    assert [records.summarize_peers({"peers_count": n}, {}, 12, "en").count for n in (11, 12, 14, 15, 19)] == [
        0,
        12,
        12,
        15,
        15,
    ]


def test_a_trajectory_has_two_years_the_band_and_the_change(tmp_path: Path) -> None:
    values = [_event(ADA, i, days, value) for i, (days, value) in enumerate([(900, 13.0), (400, 12.2), (9, 9.8)])]
    history = read_events(tmp_path, [_write(tmp_path, "d.parquet", *values)], ADA, NOW)
    row = {
        "haemoglobin_latest": 9.8, "haemoglobin_time": NOW - timedelta(days=9), "haemoglobin_previous": 12.2,
        "haemoglobin_previous_time": NOW - timedelta(days=400), "haemoglobin_mean": 12.2, "haemoglobin_sd": None,
        "haemoglobin_shift": -4.8, "haemoglobin_shift_size": -2.4,
    }  # fmt: skip
    found = records.build_trajectories(history, row, NOW, "en")
    assert [t.name for t in found] == ["haemoglobin"]
    assert [(p.days, p.value) for p in found[0].points] == [(400.0, 12.2), (9.0, 9.8)]
    assert found[0].band is not None
    assert (found[0].band.low, found[0].band.high) == (11.2, 13.2)
    assert found[0].change is not None
    assert found[0].change.outside


def test_every_belief_can_be_called_wrong_but_what_is_called_so_already() -> None:
    row = {
        "condition_codes": ["SNOMED//271737000"], "condition_texts": ["Anemia"], "condition_times": [NOW],
        "suspected_codes": ["SNOMED//195967001"], "suspected_texts": [f"Asthma{MARK}"],
        "allergy_codes": ["RXNORM//7984"], "allergy_texts": ["Penicillin V"], "allergy_kinds": ["medication"],
        "weight_latest": 71.5, "weight_time": NOW, "weight_source": "w",
    }  # fmt: skip
    keys = ("condition:SNOMED//195967001", "allergy:RXNORM//7984")
    disputes = [StatedDispute(key, NOW - timedelta(days=2), "id") for key in keys]
    beliefs = records.list_beliefs(row, NOW, CurrencyRule(), disputes)
    shown = {b.name: [(line.text, line.fact) for line in b.lines] for b in beliefs}

    assert shown["conditions"] == [("anemia", "condition:SNOMED//271737000")]
    assert shown["signals"] == [("weight 71.5 kg", "signal:weight")]
    assert shown["not_current"] == [("asthma: disputed by a clinician", None)]
    ((words, key),) = shown["allergies"]
    assert words.lower().startswith("penicillin v (disputed by a clinician 2 days ago")
    assert key == "allergy:RXNORM//7984"
    assert "suspected" not in shown


def test_a_disputed_value_is_on_no_plot(tmp_path: Path) -> None:
    wrong = _event(ADA, 6, 3, 4.0, kind="observation.disputed")
    right = _event(ADA, 7, 9, 12.0)
    dispute = _event(
        ADA, 8, 1, code="PMLM//FACT_DISPUTED", kind="dispute", text_value="signal:haemoglobin abc", unit=None
    )
    history = read_events(tmp_path, [_write(tmp_path, "d.parquet", wrong, right, dispute)], ADA, NOW)

    assert [e.value for e in history if e.code == HAEMOGLOBIN] == [12.0]
    assert [(d.key, d.id) for d in records.list_disputes(history)] == [("signal:haemoglobin", "abc")]
