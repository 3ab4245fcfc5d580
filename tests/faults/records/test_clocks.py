"""Clocks: the zone of a machine and its change to summer time leave an import as it is; so does a wrong clock."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pmlm.settings import PROJECT, Settings
from tests.faults.records.waiting_drop import SECOND, filled, state
from tests.unit.pipelines.records.fhir import Clinic, observation, patient

#: The night of a change to summer time, and moments around it as a machine there writes them.
CHANGES = {
    "Europe/Berlin": ("2026-03-29", ["2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29"]),
    "America/New_York": ("2026-11-01", ["2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-01"]),
    "Pacific/Auckland": ("2026-09-27", ["2026-09-27T01:59:00+12:00", "2026-09-27T03:01:00+13:00", "2026-09-26"]),
}
IMPORT = """
import sys
from datetime import date
from pathlib import Path
from pipelines.records.ingest import import_drop
from pmlm.settings import Settings

home, drops = Path(sys.argv[1]), Path(sys.argv[2])
import_drop(Settings(home=home, drops=drops, key_dir=home.parent / "keys"), drops / "2026-06-02", date(2026, 6, 2))
"""


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's zone; UTC again afterwards."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield str(request.param)
    monkeypatch.undo()
    time.tzset()


def take_changing_day(folder: Path, day: str, moments: list[str]) -> Clinic:
    drops = folder / "clinic"
    drops.mkdir(parents=True)
    (drops / "clinic.yaml").write_text("name: clocks\nclock: last_drop\nhash_key: test\n")
    clinic = Clinic(Settings(home=folder / "state", drops=drops, key_dir=folder / "keys"))
    clinic.drop(day, patient(), *(observation(f"w{i}", effectiveDateTime=at) for i, at in enumerate(moments)))
    return clinic


@pytest.mark.fault(
    "clock", "a machine's zone with its change to summer time, both ways", "the same events, bytes and clock as in UTC"
)
@pytest.mark.parametrize("zone", CHANGES, indirect=True)
def test_a_change_to_summer_time_changes_no_event(tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = state(take_changing_day(tmp_path / "there", *CHANGES[zone]))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    here = take_changing_day(tmp_path / "here", *CHANGES[zone])
    assert here.events().filter(kind="observation").height == 3
    assert there == state(here)


@pytest.mark.fault("clock", "a machine's clock 400 days ahead or behind", "a clean import's state")
@pytest.mark.parametrize("skew", ["+400d", "-400d"])
def test_a_wrong_clock_changes_no_event(tmp_path: Path, skew: str) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    clean, wrong = filled(tmp_path / "clean"), filled(tmp_path / "wrong")
    clean.take(SECOND)
    command = ["faketime", "-f", skew, sys.executable, "-c", IMPORT, wrong.settings.home, wrong.settings.drops]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert state(wrong) == state(clean)
