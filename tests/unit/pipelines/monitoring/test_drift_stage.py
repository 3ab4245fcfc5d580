"""Stage drift: a page, machine-readable verdicts, and no patient in either."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

import polars as pl
import pytest

from pipelines.monitoring import drift, reference
from pipelines.monitoring.window import list_nights, window_folder
from pipelines.runs import read_summaries, summary_path
from pmlm.cli import monitoring as commands
from pmlm.settings import Settings

Clinic = Callable[..., str]
EXTERNAL = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*["']?(?:https?:)?//""")


def _page(settings: Settings, night: str) -> str:
    return drift.report_path(settings, night).read_text()


def test_a_shift_of_haemoglobin_is_drift_of_records(settings: Settings, clinic: Clinic) -> None:
    night = clinic(haemoglobin_tonight=13.0)
    summary = drift.run(settings, night)
    records = drift.read_verdicts(settings, night)["records"]
    assert (records["verdict"], records["drifted"]) == ("drift", ["haemoglobin"])
    assert summary.figures["records"] == "drift"
    assert [s.stage for s in read_summaries(settings, night)] == ["drift"]


def test_a_quiet_night_is_stable(settings: Settings, clinic: Clinic) -> None:
    night = clinic()
    drift.run(settings, night)
    records = drift.read_verdicts(settings, night)["records"]
    assert records["verdict"] == "stable"
    assert (records["n_current"], records["n_reference"], records["nights"]) == (80, 560, 7)


def test_broken_lines_are_drift_of_records(settings: Settings, clinic: Clinic) -> None:
    night = clinic(broken_tonight=90)
    drift.run(settings, night)
    assert drift.read_verdicts(settings, night)["records"]["drifted"] == ["outcome of a line"]


def test_first_night_says_that_there_is_no_reference(settings: Settings, clinic: Clinic) -> None:
    night = clinic(nights=1)
    drift.run(settings, night)
    verdicts = drift.read_verdicts(settings, night)
    assert {v["verdict"] for v in verdicts.values()} == {"no verdict"}
    assert all("no reference" in v["why"] for v in verdicts.values())
    assert "No earlier night" in _page(settings, night)


def test_every_family_has_its_verdict_in_machine_readable_form(settings: Settings, clinic: Clinic) -> None:
    night = clinic()
    drift.run(settings, night)
    verdicts = json.loads(drift.report_path(settings, night).with_suffix(".json").read_text())
    assert list(verdicts) == sorted(drift.FAMILIES)
    for verdict in verdicts.values():
        assert {"verdict", "n_current", "n_reference", "drifted", "share", "why"} <= verdict.keys()
        assert verdict["verdict"] in {"drift", "stable", "no verdict"}


def test_the_same_night_twice_gives_the_same_verdicts(settings: Settings, clinic: Clinic) -> None:
    night = clinic()
    assert drift.run(settings, night).hashes == drift.run(settings, night).hashes


def test_order_of_events_changes_nothing(settings: Settings, clinic: Clinic) -> None:
    night = clinic()
    before = drift.run(settings, night).hashes
    for batch in settings.events.glob("*.parquet"):
        pl.read_parquet(batch).sample(fraction=1.0, shuffle=True, seed=4).write_parquet(batch)
    assert drift.run(settings, night).hashes == before


def test_a_mended_earlier_night_is_seen(settings: Settings, clinic: Clinic) -> None:
    night = clinic(nights=2, haemoglobin_tonight=13.0)
    drift.run(settings, night)
    (earlier,) = settings.events.glob("20260601-*.parquet")
    mended = pl.read_parquet(earlier).with_columns(pl.col("numeric_value") + 1.0)
    mended.write_parquet(earlier)
    os.utime(earlier)
    drift.run(settings, night)
    assert "haemoglobin" not in drift.read_verdicts(settings, night)["records"]["drifted"]


def test_the_window_is_bounded(settings: Settings, clinic: Clinic) -> None:
    night = clinic(nights=34, patients=5)
    drift.run(settings, night)
    assert drift.read_verdicts(settings, night)["records"]["nights"] == 30


def test_history_counts_as_its_last_days(settings: Settings, clinic: Clinic) -> None:
    night = clinic(nights=1)
    (history,) = settings.events.glob("*.parquet")
    recent = pl.read_parquet(history)
    old = recent.with_columns(pl.col("known_at").dt.offset_by("-40d"), pl.col("record") + 1)
    pl.concat([recent, old]).write_parquet(history)
    drift.run(settings, night)
    assert drift.read_verdicts(settings, night)["records"]["n_current"] == 80


def test_the_page_loads_nothing_from_elsewhere(settings: Settings, clinic: Clinic) -> None:
    night = clinic()
    drift.run(settings, night)
    assert not EXTERNAL.search(_page(settings, night))


def test_no_patient_is_in_the_page_the_verdicts_or_the_window(
    settings: Settings, clinic: Clinic, patients: list[int]
) -> None:
    night = clinic()
    drift.run(settings, night)
    text = _page(settings, night) + drift.report_path(settings, night).with_suffix(".json").read_text()
    assert not [p for p in patients if str(p) in text]
    for table in window_folder(settings, night).glob("*.parquet"):
        frame = pl.read_parquet(table)
        counted = table.name in (reference.COUNTS, reference.MEANS)
        assert set(frame.dtypes) <= {pl.Float64, pl.String, *([pl.Int64] if counted else [])}
        named = {*frame.columns, *(frame["column"].to_list() if counted else [])}
        assert not {"subject_id", "record", "source", "time", "known_at", "day"} & named


def test_the_page_shows_distributions_and_no_value_by_row(settings: Settings, clinic: Clinic) -> None:
    night = clinic()
    drift.run(settings, night)
    page = _page(settings, night)
    assert "DATA DISTRIBUTION" in page
    assert "Index binned" not in page


def test_a_sealed_table_holds_no_row_of_a_patient(settings: Settings, clinic: Clinic) -> None:
    night = clinic()
    drift.run(settings, night)
    table = pl.read_parquet(window_folder(settings, night) / "patient_days.parquet")
    for column in table.iter_columns():
        assert column.equals(column.sort(nulls_last=True))


def test_looking_at_a_night_changes_nothing_of_what_nights_recorded(
    settings: Settings, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pmlm drift` shows a verdict on record; a night without one is judged, and takes no part in retraining."""
    night = clinic(nights=2)
    drift.run(settings, night)
    recorded = [
        summary_path(settings, night, "drift"),
        settings.metrics / "drift.json",
        drift.report_path(settings, night).with_suffix(".json"),
    ]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in recorded]
    monkeypatch.setenv("PMLM_HOME", str(settings.home))
    earlier = list_nights(settings)[0]
    for one in (night, earlier):
        commands.drift(one, settings.drops)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in recorded] == before
    assert drift.report_path(settings, earlier).exists()
    assert not summary_path(settings, earlier, "drift").exists()


def test_the_verdicts_of_a_night_are_a_metric_of_it(settings: Settings, clinic: Clinic) -> None:
    night = clinic(haemoglobin_tonight=13.0)
    drift.run(settings, night)
    found = json.loads((settings.metrics / "drift.json").read_text())
    assert (found["night"], found["verdicts"]["records"]) == (night, "drift")
