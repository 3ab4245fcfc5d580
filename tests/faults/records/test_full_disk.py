"""A disk that fills up anywhere in an import: the import fails, and completes once there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.records.log import ledger
from tests.faults.records.waiting_drop import SECOND, filled, state

DISK = 8 * 2**20
PAGE = 4096
MOST_PAGES = 200


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory of its own."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", mounted], capture_output=True)
    if done.returncode:
        pytest.skip("no right to mount a small file system")
    yield mounted
    subprocess.run(["umount", "--lazy", mounted], check=True)


def leave_room(disk: Path, pages: int) -> None:
    """Fill the disk up, but for some pages."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    free = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(b"\0" * (free.f_bavail * free.f_bsize - pages * PAGE))


@pytest.mark.fault(
    "disk", "a disk that fills up at every page an import writes", "the import fails; with room: a clean import's state"
)
def test_an_import_completes_once_there_is_room(disk: Path, tmp_path: Path) -> None:
    clean = filled(tmp_path)
    clean.take(SECOND)
    clinic = filled(disk)
    before = clinic.events()
    failures, raised = 0, set[int | None]()
    for pages in range(MOST_PAGES):
        leave_room(disk, pages)
        try:
            clinic.take(SECOND)
        except OSError as error:
            raised.add(error.errno)
            failures += 1
        else:
            break
        taken_in = ledger.read_entry(clinic.settings, "20260602") is not None
        assert taken_in or clinic.events().equals(before)
    (disk / "ballast").unlink()
    assert 2 <= failures < MOST_PAGES
    assert raised == {errno.ENOSPC}, "what an operator is shown as one line"
    assert state(clinic) == state(clean)
