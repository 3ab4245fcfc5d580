"""Lines of a patient are blanked in place; all others keep their bytes and their place."""

from __future__ import annotations

from pathlib import Path

from pipelines.erasure.log_lines import blank_lines, compile_numbers
from pmlm.storage import read_lines

NUMBER = 4711


def blank(path: Path) -> int:
    pattern = compile_numbers([NUMBER])
    return blank_lines(path, lambda line: pattern.search(line) is not None)


def test_the_lines_that_name_the_number_are_blanked(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n": 1, "subject": 4711}\n{"n": 2, "subject": 47110}\n{"n": 3, "subject": 4711}\n')
    assert blank(path) == 2
    lines = path.read_bytes().split(b"\n")
    assert [line.strip() for line in lines] == [b"", b'{"n": 2, "subject": 47110}', b"", b""]
    assert [len(line) for line in lines[:3]] == [25, 26, 25]
    assert list(read_lines(path, bytes.strip)) == [lines[1]]


def test_a_second_time_nothing_is_left_to_blank(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"subject": 4711}\n')
    assert (blank(path), blank(path)) == (1, 0)


def test_what_a_power_cut_left_of_a_blanked_line_goes_too(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'         ct": 47\n{"subject": 1}\n')
    assert blank(path) == 1
    assert path.read_bytes().split(b"\n")[1] == b'{"subject": 1}'


def test_a_line_without_an_end_is_blanked(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"subject": 4711, "torn": "')
    assert blank(path) == 1
    assert path.read_bytes().strip() == b""


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert blank(tmp_path / "none.jsonl") == 0
