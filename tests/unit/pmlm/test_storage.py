"""Lines are appended whole or not at all, to private files; a torn one stops no reader."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pmlm.settings import PROJECT
from pmlm.storage import append_lines, check_room, make_private_folder, read_lines

NAMES = ("ann", "bea\u2028cleo", "妊娠", "")


def line(number: int) -> str:
    return json.dumps({"number": number, "name": NAMES[number % len(NAMES)]}, ensure_ascii=False)


def text(numbers: range) -> str:
    return "".join(f"{line(number)}\n" for number in numbers)


def read(path: Path) -> list[int]:
    return [value["number"] for value in read_lines(path, json.loads)]


@hypothesis_settings(deadline=None)
@given(count=st.integers(1, 6), cut=st.integers(0, 400), more=st.integers(0, 3))
@pytest.mark.attack("data at rest", "a log cut at any byte", "the next line starts anew; the torn one is skipped")
def test_a_file_cut_at_any_byte_loses_the_torn_line_alone(
    tmp_path_factory: pytest.TempPathFactory, count: int, cut: int, more: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "log" / "day.jsonl"
    append_lines(path, text(range(count)))
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    append_lines(path, text(range(100, 100 + more)))
    ends = [len("".join(f"{line(n)}\n" for n in range(number + 1)).encode()) for number in range(count)]
    whole = [number for number, end in enumerate(ends) if end - 1 <= len(content)]  # without its newline it is whole
    assert read(path) == [*whole, *range(100, 100 + more)]


def test_the_number_of_torn_lines_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "audit" / "202601.jsonl"
    append_lines(path, text(range(3)))
    path.write_bytes(b'{"number": 7\n\xff\xfe\n\0\0\0\n\n' + path.read_bytes() + b"[1, 2")
    assert read_quietly(path) == [0, 1, 2]
    assert read_quietly(path) == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == ["audit/202601.jsonl: 4 torn lines skipped"]


def read_quietly(path: Path) -> list[int]:
    return list(read_lines(path, lambda raw: int(json.loads(raw)["number"])))


@pytest.mark.fault("disk", "a disk that is full in the middle of a line", "the file is as it was")
@pytest.mark.attack("data at rest", "the disk is full in the middle of a line", "the file is as it was before")
def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_lines(path, "x" * 99 + "\n")
    script = (
        "import resource, sys; from pathlib import Path; from pmlm.storage import append_lines, check_room\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))\n"
        "for write in (lambda p: append_lines(p, 'y' * 99 + '\\n'), check_room):\n"
        "    try: write(Path(sys.argv[1]))\n"
        "    except OSError: continue\n"
        "    sys.exit(1)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], cwd=PROJECT).returncode == 0
    assert path.read_text() == "x" * 99 + "\n"


@pytest.mark.attack("data at rest", "a pipe or a device where the log should be", "refused at once, not waited for")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/full"), lambda path: path.mkdir()])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "log.jsonl")
    for write in (lambda path: append_lines(path, "1\n"), check_room):
        with pytest.raises(OSError, match=r"regular|directory|device"):
            write(tmp_path / "log.jsonl")


def test_a_writer_that_has_stopped_is_not_waited_for_long(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    append_lines(path, line(1) + "\n")
    with path.open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            append_lines(path, line(2) + "\n")
        assert time.monotonic() - start < 10
    append_lines(path, line(3) + "\n")
    assert read(path) == [1, 3]


WRITER = r"""
import sys
from pathlib import Path
from pmlm.storage import append_lines
for number in range(200):
    append_lines(Path(sys.argv[1]), sys.argv[2] * 2000 + "\n" + sys.argv[2] + "\n")
"""


def test_processes_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    started = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "123"]
    assert [process.wait() for process in started] == [0] * 3
    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted([name * n for name in "123" for n in (1, 2000)] * 200)
    assert all(len(lines[i]) == 2000 and lines[i + 1] == lines[i][0] for i in range(0, len(lines), 2))


@pytest.mark.attack("data at rest", "a process with a lax umask writes the logs", "files 600, folders 700")
def test_files_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = tmp_path / "state" / "clinic" / "audit"
        append_lines(folder / "new.jsonl", line(1) + "\n")
        open_folder = tmp_path / "old"
        open_folder.mkdir(mode=0o777)
        (open_folder / "old.jsonl").write_text("")
        append_lines(open_folder / "old.jsonl", line(1) + "\n")
        make_private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    folders = (folder, folder.parent, folder.parent.parent, open_folder, tmp_path / "a", tmp_path / "a" / "b")
    assert {stat.S_IMODE(place.stat().st_mode) for place in folders} == {0o700}
    files = (folder / "new.jsonl", open_folder / "old.jsonl")
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
