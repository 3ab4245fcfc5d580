"""The summary of the window: the same from the night before's as from all nights, and what it spares."""

from __future__ import annotations

import os
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.monitoring import drift, reference
from pipelines.monitoring.families.drift_table import SealedTable
from pipelines.monitoring.reference import summarise_table
from pipelines.monitoring.window import list_nights, list_nights_before, table_path
from pmlm.settings import Settings

Clinic = Callable[..., str]
WINDOW = 3
TABLES = [table for family in drift.FAMILIES.values() for table in family]


def summarise(settings: Settings, night: str) -> reference.Reference:
    """The summary of the window before ``night``, stored as its drift stage does."""
    nights = list_nights_before(settings, night, WINDOW)
    found = reference.load_reference(settings, nights, TABLES, WINDOW)
    reference.save_reference(settings, night, nights, TABLES, found)
    return found


@pytest.fixture
def judged(settings: Settings, clinic: Clinic) -> Settings:
    """Six nights, of which all but the last have stored their summaries."""
    clinic(nights=6, patients=12)
    for night in list_nights(settings)[:-1]:
        summarise(settings, night)
    return settings


def test_the_summary_by_steps_is_that_of_all_nights(judged: Settings) -> None:
    last = list_nights(judged)[-1]
    by_steps = summarise(judged, last)
    for record in judged.workspace.glob("monitoring/*/reference.json"):
        record.unlink()
    at_once = summarise(judged, last)
    assert_frame_equal(by_steps.counts, at_once.counts)
    assert_frame_equal(by_steps.means, at_once.means)
    assert by_steps.means["night"].n_unique() == WINDOW


def test_a_night_reads_the_tables_of_two_nights(judged: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    whole = pl.read_parquet

    def note(path: object, *arguments: object, **options: object) -> pl.DataFrame:
        read.add(str(path))
        return whole(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pl, "read_parquet", note)
    nights = list_nights(judged)
    summarise(judged, nights[-1])
    tables = {night for night in nights for t in TABLES if str(table_path(judged, night, t)) in read}
    assert tables == {nights[-2], nights[1]}, "the one that came, and the one that left"


def test_a_mended_night_is_summarised_again(judged: Settings) -> None:
    nights = list_nights(judged)
    (batch,) = judged.events.glob(f"{nights[-3]}-*.parquet")
    pl.read_parquet(batch).with_columns(pl.col("numeric_value") + 100.0).write_parquet(batch)
    os.utime(batch)
    values = summarise(judged, nights[-1]).restore_table("patient_days").frame["haemoglobin"].drop_nulls()
    assert (values > 100).sum() == 12


def test_a_restored_table_has_the_window_values(judged: Settings) -> None:
    nights = list_nights(judged)
    restored = summarise(judged, nights[-1]).restore_table("patient_days")
    found = restored.frame
    tables = [pl.read_parquet(judged.workspace / "monitoring" / n / "patient_days.parquet") for n in nights[-4:-1]]
    whole = pl.concat(tables, how="diagonal")
    assert restored.count_patients("haemoglobin") == 3 * 12, "a patient of three nights counts three times"
    assert found.height == whole.height
    for column in found.columns:
        assert found[column].drop_nulls().sort().equals(whole[column].drop_nulls().sort())


def test_an_empty_table_is_a_night_without_sampling_units() -> None:
    assert summarise_table("asked", "20260601", SealedTable()).restore_table("asked").frame.is_empty()
