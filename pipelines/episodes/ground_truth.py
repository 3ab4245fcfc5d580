"""Read what a simulator knows of its replies: for evaluation, hidden from every policy.

``facts.jsonl.gz`` in the clinic's folder has one line a reply (``pipelines.synthetic.synthesize``). A clinic without
options states topic and facts alone; a real clinic has no such file.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pmlm.settings import Settings


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """A simulator's ground truth of a reply: topic and the segment keys behind it.

    ``unspoken`` are facts that no sentence of the reply names, ``writer`` is 2 where the second writer answered, and
    ``mechanism`` is how like patients mattered: None in a negative control, and where the clinic has no mechanisms.
    """

    topic: str | None
    facts: frozenset[str]
    unspoken: frozenset[str] = frozenset()
    writer: int = 1
    mechanism: str | None = None


def read_ground_truth(settings: Settings) -> dict[int, GroundTruth]:
    """Read the simulator's ground truth by the reply's record; empty for a real clinic."""
    return {settings.pseudonym("Communication", line["communication"]): _parse(line) for line in _read_lines(settings)}


def read_truth_of_episodes(settings: Settings) -> dict[str, GroundTruth]:
    """Read it by episode id; empty for a real clinic and for one that was made without options."""
    return {
        f"{settings.pseudonym('Communication', line['question']):016x}": _parse(line)
        for line in _read_lines(settings)
        if "question" in line
    }


def _parse(line: dict[str, Any]) -> GroundTruth:
    facts, unspoken = frozenset(line["facts"]), frozenset(line.get("unspoken", ()))
    return GroundTruth(line.get("topic"), facts, unspoken, line.get("writer", 1), line.get("mechanism"))


def _read_lines(settings: Settings) -> Iterator[dict[str, Any]]:
    path = settings.drops / "facts.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
