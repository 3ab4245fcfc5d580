"""Two processes that write one clinic at once: the second waits, or says who writes and gives up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.records.log import event_log, ledger
from pipelines.records.replay import replay_quarantine
from pmlm.errors import WorkspaceBusyError
from pmlm.settings import Settings
from pmlm.workspace_lock import describe_owner, lock_writing
from tests.unit.pipelines.records.fhir import Clinic, clinic, observation, patient

__all__ = ["clinic"]

FIRST = "2026-06-01"

IMPORT = """
import sys
from pathlib import Path
from typing import Any
from pipelines.records.stage import import_path
from pmlm.settings import Settings
home, drops, keys = map(Path, sys.argv[1:4])
import_path(Settings(home=home, drops=drops, key_dir=keys), drops, None)
"""
OWN = """
import sys, time
from pathlib import Path
from typing import Any
from pmlm.settings import Settings
from pmlm.workspace_lock import lock_writing
home, drops, keys = map(Path, sys.argv[1:4])
with lock_writing(Settings(home=home, drops=drops, key_dir=keys)):
    print("locked", flush=True)
    time.sleep(600)
"""


def start(script: str, settings: Settings, *words: str) -> subprocess.Popen[str]:
    places = [str(settings.home), str(settings.drops), str(settings.key_dir)]
    return subprocess.Popen([sys.executable, "-c", script, *places, *words], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def owner(clinic: Clinic) -> subprocess.Popen[str]:
    """A process that has the lock until it is killed."""
    process = start(OWN, clinic.settings)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.fault("two at once", "the same drop imported by three processes at once", "each record is in the log once")
@pytest.mark.attack("data at rest", "the same records imported three times at once", "each is in the log once")
def test_three_imports_at_once_are_one(clinic: Clinic) -> None:
    lines: list[Any] = [patient(), *(observation(f"w{n}", value=60.0 + n) for n in range(40)), "broken"]
    clinic.put(FIRST, "records.ndjson", lines)
    assert [process.wait() for process in [start(IMPORT, clinic.settings) for _ in range(3)]] == [0] * 3
    (entry,) = ledger.read_entries(clinic.settings)
    assert len(entry.batches) == 1
    weights = event_log.scan_events(clinic.settings).collect().filter(kind="observation")
    assert len(weights) == weights["record"].n_unique() == 40
    assert len(list((clinic.settings.events).glob("*.parquet"))) == 1


@pytest.mark.attack("data at rest", "a second writer that does not want to wait", "it names the first and exits with 1")
def test_the_second_says_who_writes(
    clinic: Clinic, owner: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        with (
            pytest.raises(WorkspaceBusyError, match=rf"process {owner.pid}, since 20\d\d-"),
            lock_writing(clinic.settings, patience_s=0.2),
        ):
            pass
        assert f"process {owner.pid}" in caplog.text
        monkeypatch.setattr("pmlm.workspace_lock.PATIENCE_S", 0.2)
        with pytest.raises(WorkspaceBusyError):
            replay_quarantine(clinic.settings)
    finally:
        owner.kill()
        owner.wait()


@pytest.mark.fault("two at once", "the process that writes is killed", "the next one need not wait")
@pytest.mark.attack("data at rest", "a writer is killed", "the next one need not wait for it")
def test_a_killed_owner_leaves_no_lock(clinic: Clinic, owner: subprocess.Popen[str]) -> None:
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    begun = time.monotonic()
    with lock_writing(clinic.settings, patience_s=30):
        assert f"process {os.getpid()}" in describe_owner(clinic.settings)
    assert time.monotonic() - begun < 10
    assert describe_owner(clinic.settings) == "another process"


def test_a_thread_may_take_its_own_lock_again_and_another_may_not(clinic: Clinic) -> None:
    refused = []

    def try_it() -> None:
        try:
            with lock_writing(clinic.settings, patience_s=0.1):
                pass
        except WorkspaceBusyError:
            refused.append(True)

    with lock_writing(clinic.settings), lock_writing(clinic.settings):
        other = threading.Thread(target=try_it)
        other.start()
        other.join()
    with lock_writing(clinic.settings, patience_s=0.1):
        pass
    assert refused == [True]


def test_no_argument_of_a_command_is_shown(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pmlm", "refine", "Patient/6f0c4a1e", "Am I pregnant?"])
    with lock_writing(clinic.settings):
        assert describe_owner(clinic.settings).startswith("`pmlm refine` (process")


def test_the_lock_and_its_note_are_private(clinic: Clinic) -> None:
    with lock_writing(clinic.settings):
        modes = {path.name: path.stat().st_mode & 0o777 for path in Path(clinic.settings.workspace).glob(".writer.*")}
    assert modes == {".writer.lock": 0o600, ".writer.json": 0o600}
