"""Read what a simulator knows of its replies: for evaluation, hidden from every policy.

``facts.jsonl.gz`` in the clinic's folder has one line a reply (``pipelines.synthetic.synthesize``); a real clinic has
no such file. What it states beyond topic and facts is read where it is measured with (``evaluation.study.comparison``).
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass

from pmlm.settings import Settings


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """A simulator's ground truth of a reply: topic and the segment keys behind it."""

    topic: str | None
    facts: frozenset[str]


def read_ground_truth(settings: Settings) -> dict[int, GroundTruth]:
    """Read the simulator's ground truth by the reply's record; empty for a real clinic."""
    path = settings.drops / "facts.jsonl.gz"
    if not path.exists():
        return {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {
            settings.pseudonym("Communication", line["communication"]): GroundTruth(
                line.get("topic"), frozenset(line["facts"])
            )
            for line in map(json.loads, lines)
        }
