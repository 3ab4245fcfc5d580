"""Blank the lines of append-only logs that name a patient, in place.

A line is overwritten with spaces, which every reader skips. So other lines keep their bytes and their place, and a
process that appends meanwhile loses nothing. What a killed run has left of a line is blanked by the next one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pmlm.storage import open_private

_BLANKED = re.compile(rb"  [^\n{]*[^\n ]")  # the rest of a line of which a power cut has left the end


def compile_numbers(numbers: Iterable[int]) -> re.Pattern[bytes]:
    """Match any of the numbers where it stands alone."""
    options = b"|".join(str(number).encode() for number in sorted(numbers))
    return re.compile(rb"(?<![0-9A-Za-z.])(?:%s)(?![0-9A-Za-z.])" % options)


def find_lines(path: Path, is_wanted: Callable[[bytes], bool]) -> Iterator[tuple[int, bytes]]:
    """Yield the wanted lines, without their newline, each with its place in the file."""
    with path.open("rb") as stream:
        at = 0
        for line in stream:
            text = line.rstrip(b"\n")
            if text.strip() and is_wanted(text):
                yield at, text
            at += len(line)


def blank_lines(path: Path, is_wanted: Callable[[bytes], bool]) -> int:
    """Overwrite the wanted lines with spaces; return how many there were."""
    if not path.is_file():
        return 0
    found = list(find_lines(path, lambda line: is_wanted(line) or _BLANKED.match(line) is not None))
    if found:
        with open_private(path) as handle:
            for at, text in found:
                os.pwrite(handle, b" " * len(text), at)
            os.fsync(handle)
    return len(found)
