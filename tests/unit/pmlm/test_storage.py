"""Appending to files that are torn, full or no files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pmlm.settings import PROJECT
from pmlm.storage import append_lines, check_room


def test_lines_are_appended_whole_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    append_lines(path, "1\n2\n")
    path.write_text("1\n2\nto")
    append_lines(path, "3\n")
    assert path.read_text() == "1\n2\nto\n3\n"


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


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/full"), lambda path: path.mkdir()])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "log.jsonl")
    for write in (lambda path: append_lines(path, "1\n"), check_room):
        with pytest.raises(OSError, match=r"regular|directory|device"):
            write(tmp_path / "log.jsonl")
