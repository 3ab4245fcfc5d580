"""Metrics of several workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bentos.telemetry import metrics


def test_the_running_requests_of_a_killed_worker_are_taken_out_of_the_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f"gauge_livesum_{dead.pid}.db", f"gauge_livesum_{os.getpid()}.db", f"counter_{dead.pid}.db"):
        (tmp_path / name).touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    metrics.forget_dead_workers()
    assert {path.name for path in tmp_path.iterdir()} == {f"gauge_livesum_{os.getpid()}.db", f"counter_{dead.pid}.db"}
