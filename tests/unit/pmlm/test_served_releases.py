"""What each worker notes of the release that it serves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pmlm.served_releases import note_served, read_served
from tests.unit.bentos.auth.clinic_tokens import clinic


def test_each_worker_notes_its_release_and_what_a_dead_one_left_is_removed(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    assert read_served(settings) == {}
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (settings.workspace / "serving").mkdir(parents=True)
    (settings.workspace / "serving" / str(dead.pid)).write_text("first")
    (settings.workspace / "serving" / str(os.getppid())).write_text("first")
    note_served(settings, "first")
    note_served(settings, "second")
    assert read_served(settings) == {os.getpid(): "second", os.getppid(): "first"}
