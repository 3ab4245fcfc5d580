"""Read sets of codes, each with its source, from ``code_files/*.csv``.

A code that ends in ``*`` stands for every code that begins so; such a prefix is listed only where each code below it
means the same. Codes are as in the event log, ``SYSTEM//code``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "code_files"


@dataclass(frozen=True, slots=True)
class CodeSet:
    """Exact codes, and prefixes of codes."""

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()

    def __contains__(self, code: str) -> bool:
        return code in self.exact or code.startswith(self.prefixes)

    def __or__(self, other: CodeSet) -> CodeSet:
        return CodeSet(self.exact | other.exact, tuple(dict.fromkeys(self.prefixes + other.prefixes)))


@cache
def read_code_sets(name: str) -> Mapping[str, CodeSet]:
    """The sets of one file, by name, in the file's order."""
    codes: dict[str, list[str]] = {}
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            codes.setdefault(row["set"], []).append(f"{row['system']}//{row['code']}")
    return {
        key: CodeSet(
            frozenset(code for code in found if not code.endswith("*")),
            tuple(code[:-1] for code in found if code.endswith("*")),
        )
        for key, found in codes.items()
    }
