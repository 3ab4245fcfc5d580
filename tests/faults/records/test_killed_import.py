"""An import killed at any write leaves a valid state; the next import completes it."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.records.log import ledger
from tests.faults.records.waiting_drop import SECOND, State, filled, state

MOST_WRITES = 40

KILLED_BEFORE = """
import os, signal, sys
from datetime import date
from pathlib import Path
from pipelines.records.ingest import import_drop
from pmlm.settings import Settings

home, drops, folder = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
rename = Path.replace

def last_breath(self, target):
    if Path(target).parent.name == folder:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.replace = last_breath
import_drop(Settings(home=home, drops=drops, key_dir=home / "keys"), drops / "2026-06-02", date(2026, 6, 2))
"""


class Killed(BaseException):
    """What no handler catches."""


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> State:
    clinic = filled(tmp_path_factory.mktemp("unharmed"))
    clinic.take(SECOND)
    return state(clinic)


@pytest.mark.fault(
    "kill and write error",
    "an import stopped, or refused by the disk (EIO), at every rename",
    "run again: the state of a clean import",
)
@pytest.mark.parametrize("error", [Killed(), OSError(errno.EIO, "input/output error")], ids=["killed", "EIO"])
def test_killed_at_any_write_and_run_again_gives_the_same_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unharmed: State, error: BaseException
) -> None:
    clinic = filled(tmp_path)
    before = clinic.events()
    rename = Path.replace
    deaths = 0
    for allowed in range(MOST_WRITES):
        left = allowed

        def replace(self: Path, target: Path) -> Path:
            nonlocal left
            if left == 0:
                raise error
            left -= 1
            return rename(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        try:
            clinic.take(SECOND)
        except type(error):
            deaths += 1
        else:
            break
        finally:
            monkeypatch.setattr(Path, "replace", rename)
        taken_in = ledger.read_entry(clinic.settings, "20260602") is not None
        assert taken_in or clinic.events().equals(before)

    assert 4 <= deaths < MOST_WRITES
    assert state(clinic) == unharmed


@pytest.mark.fault(
    "kill and write error",
    "an import killed with kill -9 before its events or its ledger are in place",
    "run again: the state of a clean import",
)
@pytest.mark.slow
@pytest.mark.parametrize("folder", ["events", "ledger"])
def test_a_process_killed_outright_leaves_nothing_behind(folder: str, tmp_path: Path, unharmed: State) -> None:
    clinic = filled(tmp_path)
    settings = clinic.settings
    command = [sys.executable, "-c", KILLED_BEFORE, str(settings.home), str(settings.drops), folder]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert ledger.read_entry(settings, "20260602") is None
    assert list(settings.workspace.rglob("*.part"))
    spilled = settings.workspace / "data" / "aside"
    assert spilled.exists() == (folder == "events")

    clinic.take(SECOND)
    assert state(clinic) == unharmed
    assert not list(settings.workspace.rglob("*.part"))
    assert not spilled.exists()
