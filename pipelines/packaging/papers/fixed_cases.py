"""Prompts of a refiner for 20 invented patients, and where two refiners differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.encoder import Encoder
from models.prompt.personalize import apply_program
from models.prompt.ranking import rank_segments
from models.refiner.interface import Refiner
from models.schema import Segment

FILE = Path(__file__).with_name("fixed_cases.yaml")
SAFETY = "If a warning sign is possible, say first how to get urgent care. Never suggest a drug she is allergic to."


@dataclass(frozen=True, slots=True)
class FixedCase:
    """An invented patient's question and sentences."""

    name: str
    question: str
    segments: tuple[Segment, ...]


def read_cases() -> list[FixedCase]:
    """Read the cases; each is the same in every release of this version of the file."""
    content = yaml.safe_load(FILE.read_text())
    return [FixedCase(c["name"], c["question"], tuple(_build_segments(c, content))) for c in content["cases"]]


def _build_segments(case: Mapping[str, Any], content: Mapping[str, Any]) -> Sequence[Segment]:
    drugs = case.get("allergies")
    allergies = f"Drug allergies: {', '.join(drugs)}." if drugs else "No drug allergies on record."
    pinned = {"safety": SAFETY, "pregnancy": content["pregnant"][case["pregnant"]], "allergies": allergies}
    free = ((key, content["sentences"][key]) for key in case["sentences"])
    return [
        *(Segment(key, "pinned", text, pinned=True, tokens=len(text.split())) for key, text in pinned.items()),
        *(
            Segment(
                key, one["kind"], one["text"], tokens=len(one["text"].split()), recency_days=one.get("days"),
                change=one.get("change", 0.0),
            )
            for key, one in free
        ),
    ]  # fmt: skip


def write_prompts(refiner: Refiner, encoder: Encoder) -> dict[str, dict[str, Any]]:
    """Write a refiner's prompt for every case: case → question, style, chosen sentences, prompt."""
    found = {}
    for case in read_cases():
        segments = rank_segments(case.question, case.segments, encoder)
        program = refiner.refine(case.question, segments)
        prompt, chosen = apply_program(segments, program)
        found[case.name] = {
            "question": case.question,
            "style": program.style,
            "chosen": [next(s.text for s in segments if s.key == key) for key in chosen],
            "prompt": prompt,
        }
    return found


def compare_prompts(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cases whose prompts differ: what was added and dropped, and the styles."""
    differences = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None or old["prompt"] != new["prompt"]:
            was, now = (one["chosen"] if one else [] for one in (old, new))
            differences.append(
                {
                    "case": name,
                    "question": (new or old or {})["question"],
                    "added": [text for text in now if text not in was],
                    "dropped": [text for text in was if text not in now],
                    "style": [one["style"] if one else None for one in (old, new)],
                }
            )
    return differences
