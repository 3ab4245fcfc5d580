"""Windows that several processes count in: exact, whole after a kill, and they name nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from limits import parse
from limits.strategies import SlidingWindowCounterRateLimiter

from bentos.auth.counting import disk_windows
from bentos.auth.counting.disk_windows import DiskWindows
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import clinic

HOUR = parse("60/hour")


def limiter(settings: Settings) -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(DiskWindows(settings))


def _count_admitted(settings: Settings, times: int, admitted: Any) -> None:
    windows, mine = limiter(settings), 0
    while times:
        try:
            mine += windows.hit(HOUR, "client", "a")
            times -= 1
        except sqlite3.OperationalError:  # a busy machine: what a worker answers by counting for itself
            continue
    admitted.put(mine)


def test_processes_that_count_at_once_admit_no_more_than_the_limit(tmp_path: Path) -> None:
    settings, context = clinic(tmp_path), multiprocessing.get_context("spawn")
    admitted = context.Queue()
    workers = [context.Process(target=_count_admitted, args=(settings, 50, admitted)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert sum(admitted.get(timeout=60) for _ in workers) == 60
    for worker in workers:
        worker.join(60)


def _count_without_end(settings: Settings, started: Any) -> None:
    windows = limiter(settings)
    while True:
        windows.hit(parse("1000000/hour"), "client", "a")
        started.set()


def test_a_worker_killed_while_it_counts_leaves_the_file_whole_and_its_counts(tmp_path: Path) -> None:
    settings, context = clinic(tmp_path), multiprocessing.get_context("spawn")
    left = limiter(settings)
    left.hit(parse("1000000/hour"), "client", "b")
    for _ in range(3):
        started = context.Event()
        worker = context.Process(target=_count_without_end, args=(settings, started))
        worker.start()
        assert started.wait(60)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(60)
    with sqlite3.connect(settings.workspace / "rates.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    counted = 1000000 - left.get_window_stats(parse("1000000/hour"), "client", "a").remaining
    assert counted >= 3
    assert left.hit(parse("1000000/hour"), "client", "a")


def test_the_last_window_counts_by_the_share_that_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, minute, begins = limiter(clinic(tmp_path)), parse("10/minute"), 60_000 * 60.0

    def count_at(moment: float, times: int) -> int:
        monkeypatch.setattr(disk_windows.time, "time", lambda: moment)
        return sum(windows.hit(minute, "client", "a") for _ in range(times))

    assert count_at(begins + 30, 12) == 10
    assert count_at(begins + 60, 12) == 0  # all of the last minute counts
    assert count_at(begins + 90, 12) == 5  # half of it
    assert count_at(begins + 300, 12) == 10  # none
    assert windows.get_window_stats(minute, "client", "a").remaining == 0


def test_a_refused_request_is_not_counted(tmp_path: Path) -> None:
    windows, minute = limiter(clinic(tmp_path)), parse("3/minute")
    assert [windows.hit(minute, "client", "a") for _ in range(50)] == [True] * 3 + [False] * 47
    assert windows.get_window_stats(minute, "client", "a").reset_time - time.time() <= 60


def test_the_file_is_private_names_nobody_and_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = clinic(tmp_path)
    assert limiter(settings).hit(parse("3/second"), "client", "ann@clinic.example")
    path = settings.workspace / "rates.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"ann" not in path.read_bytes() + path.with_name("rates.db-wal").read_bytes()
    later = time.time() + 60
    monkeypatch.setattr(disk_windows.time, "time", lambda: later)
    limiter(settings).hit(parse("3/second"), "client", "another")
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*) FROM windows").fetchone() == (1,)
