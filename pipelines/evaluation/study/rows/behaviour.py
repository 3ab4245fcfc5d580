"""Row 15: what a prompt must keep for questions that clinicians answer the same way.

Each case is a question, put to every held-out patient of whom the record says what matters; the row is the share of
them whose refined prompt has it. No language model is asked.

    tired, with anaemia          the anaemia, or the low haemoglobin
    tired, haemoglobin fallen    the fall, or the low haemoglobin
    may I take ibuprofen         asthma, kidney disease, reflux, each; from week 20 on the pregnancy, which is pinned
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.prompt.personalize import apply_program
from models.refiner.interface import Refiner
from models.schema import Episode, Segment
from models.templates import sanitize_line
from pipelines.evaluation.nightly.intervals import bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow

TARGET = 0.9
LOW_HAEMOGLOBIN = 11.0  # g/dL, anaemia in pregnancy
LARGE_FALL = 1.0  # g/dL
TIRED = "Is it normal to feel this tired?"
IBUPROFEN = "Can I take ibuprofen for the pain?"
_VALUE = re.compile(r"(\d+(?:\.\d+)?)\s*g/dL")
_FALL = re.compile(r"fell (\d+(?:\.\d+)?) g/dL")
_WEEK = re.compile(r"(\d+) weeks?")


@dataclass(frozen=True, slots=True)
class BehaviourCase:
    """A question, and which segments matter to it: one must be in the prompt.

    ``asked_of`` narrows the patients to those whose record states it; by default those of whom anything matters.
    """

    name: str
    question: str
    matters: Callable[[Segment], bool]
    asked_of: Callable[[Segment], bool] | None = None


def states_anaemia(segment: Segment) -> bool:
    """Whether a segment states anaemia, or a haemoglobin below ``LOW_HAEMOGLOBIN``."""
    if segment.key == "condition.anaemia":
        return True
    value = _VALUE.search(segment.text) if segment.key == "haemoglobin.latest" else None
    return value is not None and float(value[1]) < LOW_HAEMOGLOBIN


def states_fall(segment: Segment) -> bool:
    """Whether a segment states that haemoglobin fell by ``LARGE_FALL``."""
    fall = _FALL.search(segment.text) if segment.key == "haemoglobin.change" else None
    return fall is not None and float(fall[1]) >= LARGE_FALL


def states_second_half(segment: Segment) -> bool:
    """Whether the pinned sentence states a pregnancy of 20 weeks or more."""
    if segment.key != "pregnancy" or "not pregnant" in segment.text.lower():
        return False
    week = _WEEK.search(segment.text)
    return week is not None and "pregnant" in segment.text and int(week[1]) >= 20


def states_fall_or_anaemia(segment: Segment) -> bool:
    return states_fall(segment) or states_anaemia(segment)


def _of_key(key: str) -> Callable[[Segment], bool]:
    return lambda segment: segment.key == key


CASES = (
    BehaviourCase("tired_keeps_anaemia", TIRED, states_anaemia),
    BehaviourCase("tired_keeps_fallen_haemoglobin", TIRED, states_fall_or_anaemia, asked_of=states_fall),
    BehaviourCase("ibuprofen_keeps_asthma", IBUPROFEN, _of_key("condition.asthma")),
    BehaviourCase("ibuprofen_keeps_kidney_disease", IBUPROFEN, _of_key("condition.kidney_disease")),
    BehaviourCase("ibuprofen_keeps_reflux", IBUPROFEN, _of_key("condition.reflux")),
    BehaviourCase("ibuprofen_keeps_20_weeks", IBUPROFEN, states_second_half),
)


def build_rows(refined: Refiner, episodes: Sequence[Episode], split: str) -> list[MetricRow]:
    """Build one row per case, over the last episode of each patient."""
    latest = {e.subject_id: e for e in sorted(episodes, key=lambda e: (e.as_of, e.episode_id))}
    rows = []
    for case in CASES:
        present = [
            (float(found), subject) for subject, e in latest.items() if (found := keeps(refined, e, case)) is not None
        ]
        if present:
            e = bootstrap_mean([p for p, _ in present], [s for _, s in present])
            rows.append(MetricRow.of(15, case.name, split, e, target=TARGET, holds=e.value >= TARGET))
    return rows


def keeps(refined: Refiner, episode: Episode, case: BehaviourCase) -> bool | None:
    """Whether the prompt has what matters; None where the record has none of it."""
    matter = [s for s in episode.segments if case.matters(s)]
    if not matter or not any(map(case.asked_of or case.matters, episode.segments)):
        return None
    prompt, _ = apply_program(episode.segments, refined.refine(case.question, episode.segments))
    return any(sanitize_line(s.text) in prompt for s in matter)
