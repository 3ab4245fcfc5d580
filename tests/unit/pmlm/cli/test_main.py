"""What a user reads where a setting or the system is in the way: one line, exit 1."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pmlm.settings import PROJECT


def run_pmlm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pmlm.cli.main", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["PMLM_PORT", "PMLM_AIRFLOW_PORT"])
def test_a_port_that_is_none_is_one_line(name: str) -> None:
    done = run_pmlm("doctor", **{name: "99999"})
    assert done.returncode == 1
    assert done.stderr.startswith(f"pmlm: {name}: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file, no folder")
    (tmp_path / "clinic" / "2026-06-01").mkdir(parents=True)
    (tmp_path / "clinic" / "2026-06-01" / "p.ndjson").write_text('{"resourceType": "Patient", "id": "p"}\n')
    done = run_pmlm("records", "import", str(tmp_path / "clinic"), PMLM_HOME=str(home))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(home) in done.stderr


def test_before_any_night_is_saved_the_list_of_nights_says_so(tmp_path: Path) -> None:
    done = run_pmlm("nights", PMLM_HOME=str(tmp_path))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert done.stdout.startswith("No night is saved here: `pmlm night`")


def test_make_refuses_a_variable_that_it_does_not_know() -> None:
    done = subprocess.run(["make", "-n", "help", "DROP=x"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "unknown variable DROP; known: DROPS" in done.stderr
