"""`airflow backfill` of past nights leaves the bytes that running them in order leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.night import airflow_settings, night
from pipelines.night.schedule import airflow_processes, dag_runs
from pmlm.settings import PROJECT, Settings
from pmlm.storage import hash_files
from tests.command_line import pmlm
from tests.conftest import NightDone
from tests.dags.scheduler import WAIT_S, free_port, list_runs, wait_for_first_run
from tests.small_clinic import NIGHTS, cut

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("airflow"),
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        not os.environ.get("PMLM_BACKFILL"),
        reason="some minutes: PMLM_BACKFILL=1 pytest -n0 tests/dags/test_backfill.py",
    ),
]
SAMPLE = PROJECT / "examples" / "clinic"
MORE = 2


@pytest.fixture
def in_order(tmp_path: Path, night_done: NightDone) -> Settings:
    """The clinic, each of whose further drops was taken in by `pmlm night` on its day."""
    settings = copy_clinic(night_done.settings, tmp_path / "in-order")
    for nights in range(NIGHTS + 1, NIGHTS + MORE + 1):
        cut(SAMPLE, settings.drops, nights=nights)
        pmlm(settings, "night")
    return settings


@pytest.fixture
def airflow_up(tmp_path: Path, night_done: NightDone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The same clinic before its further drops, with an Airflow whose own run found nothing to do."""
    settings = copy_clinic(night_done.settings, tmp_path / "backfilled")
    cut(SAMPLE, settings.drops, nights=NIGHTS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    airflow_processes.start_airflow(settings)
    yield settings
    airflow_processes.stop_airflow(settings)


def copy_clinic(done: Settings, folder: Path) -> Settings:
    shutil.copytree(done.home, folder / "state", ignore=shutil.ignore_patterns("airflow"), symlinks=True)
    return Settings(home=folder / "state", drops=folder / "small", port=free_port(), airflow_port=free_port())


def test_a_backfill_of_past_nights_leaves_the_bytes_of_having_run_them(
    in_order: Settings, airflow_up: Settings
) -> None:
    with dag_runs.open_client(airflow_up) as api:
        assert wait_for_first_run(api, airflow_settings.DAG_ID).tasks["intake"] == "skipped"
        cut(SAMPLE, airflow_up.drops, nights=NIGHTS + MORE)
        pending = night.list_pending_nights(airflow_up)
        assert len(pending) == MORE
        backfill(airflow_up, "2026-06-01", "2026-06-04")
        runs = wait_for_backfill(api)
        assert len(runs) >= MORE
        assert {run["state"] for run in runs} == {"success"}
        wait_for_silence(api)
    assert night.list_nights(airflow_up) == night.list_nights(in_order)
    assert night.list_pending_nights(airflow_up) == []
    for name in ("events", "ledger", "features", "episodes"):
        backfilled, expected = (list_bytes(s.workspace / "data" / name) for s in (airflow_up, in_order))
        assert backfilled == expected, name
        assert expected, name


def backfill(settings: Settings, first: str, last: str) -> None:
    environment = os.environ | airflow_settings.make_airflow_environment(settings)
    command = ["backfill", "create", "--dag-id", airflow_settings.DAG_ID, "--from-date", first, "--to-date", last]
    subprocess.run(
        [sys.executable, "-m", "airflow", *command, "--max-active-runs", "1"],
        env=environment, cwd=airflow_settings.airflow_home(settings), check=True, capture_output=True,
    )  # fmt: skip


def wait_for_backfill(api: Any) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WAIT_S
    while not (runs := list_runs(api, airflow_settings.DAG_ID, "backfill")) or any(
        run["state"] in ("queued", "running") for run in runs
    ):
        assert time.monotonic() < deadline, runs
        time.sleep(1.0)
    return runs


def wait_for_silence(api: Any) -> None:
    """Wait for the end of what the backfill's assets have started."""
    deadline = time.monotonic() + WAIT_S
    while any(
        run["state"] in ("queued", "running")
        for dag_id in airflow_settings.DAG_CHAIN
        for run in list_runs(api, dag_id, "asset_triggered")
    ):
        assert time.monotonic() < deadline
        time.sleep(1.0)


def list_bytes(folder: Path) -> dict[str, str]:
    """Every file's content hash, by its path."""
    return {str(p.relative_to(folder)): hash_files([p]) for p in sorted(folder.rglob("*")) if p.is_file()}
