"""A small clinic of generated nights: event batches and ledgers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from models.schema import EVENT_SCHEMA
from pipelines.records.log import ledger
from pipelines.records.log.ledger import Accounts, LedgerEntry
from pmlm.settings import Settings

FIRST_NIGHT = datetime(2026, 6, 1, tzinfo=UTC)
PATIENTS = np.arange(1, 401) * 7_919_000_000_000_003


def _event(rng: np.random.Generator, subject: int, end: datetime, kind: str, code: str, value: float | None) -> dict:
    return {
        "subject_id": subject,
        "time": end,
        "code": code,
        "numeric_value": value,
        "known_at": end,
        "kind": kind,
        "record": int(rng.integers(1, 2**62)),
        "source": "0f" * 32,
    }


def night_of_events(rng: np.random.Generator, end: datetime, patients: int, haemoglobin: float) -> pl.DataFrame:
    """One day each of ``patients``: an encounter, two conditions, a blood pressure, a haemoglobin."""
    rows: list[dict[str, Any]] = []
    for subject in rng.choice(PATIENTS, patients, replace=False).tolist():
        rows += [
            _event(rng, subject, end, "encounter", f"SNOMED//{rng.integers(5)}", None),
            *(_event(rng, subject, end, "condition", f"SNOMED//{100 + rng.integers(40)}", None) for _ in range(2)),
            _event(rng, subject, end, "observation", "LOINC//8480-6", float(rng.normal(115, 10))),
            _event(rng, subject, end, "observation", "LOINC//718-7", float(rng.normal(haemoglobin, 1))),
        ]
    frame = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    assert isinstance(frame, pl.DataFrame)
    return frame


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "state", drops=tmp_path / "drops")


@pytest.fixture
def patients() -> list[int]:
    """The subject ids of every patient who may come."""
    subjects: list[int] = PATIENTS.tolist()
    return subjects


@pytest.fixture
def clinic(settings: Settings) -> Callable[..., str]:
    """Write ``nights`` nights, only the last one shifted or broken; return its name."""

    def build(
        nights: int = 8, patients: int = 80, haemoglobin_tonight: float = 12.0, broken_tonight: int = 20, seed: int = 0
    ) -> str:
        rng = np.random.default_rng(seed)
        settings.events.mkdir(parents=True, exist_ok=True)
        for i in range(nights):
            tonight = i == nights - 1
            end = FIRST_NIGHT + timedelta(days=i + 1, seconds=-1)
            night = f"{end:%Y%m%d}"
            events = night_of_events(rng, end, patients, haemoglobin_tonight if tonight else 12.0)
            batch = f"{night}-{i:012x}.parquet"
            events.write_parquet(settings.events / batch)
            broken = broken_tonight if tonight else 20
            accounts = Accounts(1000, 1000 - broken, 0, broken, {"wrong_type": broken})
            ledger.write_entry(settings, LedgerEntry(night, f"{i}", [batch], accounts))
        return night

    return build
