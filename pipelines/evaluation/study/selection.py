"""Choose parts of the study by what ``--rows`` names: numbers of the table, parts, rows.

A part is what is measured, stored and resumed at once; it makes rows of one or more numbers of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipelines.evaluation.nightly.metrics import MetricRow
from pmlm.errors import TrainingError


@dataclass(frozen=True, slots=True)
class StudyPart:
    """One part: its name, the numbers and names (patterns) of its rows, and how they are built.

    ``inputs`` names what the rows depend on beside the code, the parameters and the options (``finished_parts``).
    """

    name: str
    numbers: frozenset[int]
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    build: Callable[[], list[MetricRow]]

    @property
    def is_scored(self) -> bool:
        """Whether a language model scores it."""
        return "refiner" in self.inputs

    def makes(self, wanted: str) -> bool:
        """Whether some rows of this part are meant by one word of ``--rows``."""
        if wanted.isdigit():
            return int(wanted) in self.numbers
        return wanted == self.name or any(fnmatchcase(wanted, pattern) for pattern in self.names)

    def keeps(self, row: MetricRow, wanted: Iterable[str]) -> bool:
        """Whether one of its rows is meant by one of these words."""
        return any(word in (self.name, row.name, str(row.row)) for word in wanted)


def split_words(rows: str) -> tuple[str, ...]:
    """Split ``6,7,external`` into words; spaces are allowed, duplicates are not repeated."""
    return tuple(dict.fromkeys(word.strip() for word in rows.split(",") if word.strip()))


def select_parts(parts: Sequence[StudyPart], wanted: Sequence[str]) -> list[StudyPart]:
    """Select the parts that make what is wanted, all for nothing; TrainingError names an unknown word."""
    for word in wanted:
        if not any(part.makes(word) for part in parts):
            numbers = sorted({n for part in parts for n in part.numbers})
            raise TrainingError(
                f"no row, part or number {word!r}; numbers: {', '.join(map(str, numbers))}; "
                f"parts: {', '.join(part.name for part in parts)}"
            )
    return [part for part in parts if not wanted or any(part.makes(word) for word in wanted)]
