"""A short soak at 50 requests per second; ``make soak`` runs the half hour that is published."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import environment
from tests.conftest import NightDone

pytestmark = pytest.mark.slow
MINUTES = 1.0


def test_no_request_fails_and_no_worker_dies_under_steady_load(night_done: NightDone, tmp_path: Path) -> None:
    rows = tmp_path / "soak.json"
    command = [sys.executable, "-m", "benchmarks.serving.soak", "--minutes", str(MINUTES), "--out", str(rows)]
    done = subprocess.run(command, env=environment(night_done.settings), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    failed = next(row for row in json.loads(rows.read_text()) if row["name"] == "soak.failed")
    assert failed["holds"], failed
    assert failed["n"] > 0
