"""Patients of the sample clinic with invented findings, each in many words and values.

The records are those of the sample's training episodes (``tests/data/training``), the last of each patient; a finding
takes the place of what the record states of the same matter. Sentences are rendered as the product renders them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from models.schema import Episode, Segment
from models.templates import render_sentence
from models.vocabulary import CONCEPTS
from tests.behaviour.training.sample_episodes import count_tokens

LABELS = {concept.name: concept.label for concept in CONCEPTS}
#: Finding → the names that records give it.
NAMES = {
    "anaemia": ("Iron deficiency anemia", "Anemia", "Anemia complicating pregnancy", "Pernicious anemia"),
    "asthma": ("Asthma", "Childhood asthma", "Exercise-induced asthma"),
    "kidney_disease": ("Chronic kidney disease stage 2", "Chronic kidney disease", "Diabetic renal disease"),
    "reflux": ("Gastroesophageal reflux disease", "Reflux esophagitis"),
}
NOTED = ("5 days ago", "7 weeks ago", "8 months ago", "3 years ago", "11 years ago")


def invent_condition(base: Sequence[Episode], concept: str) -> Iterator[Episode]:
    """Yield every patient with the condition, under each name in turn."""
    for i, episode in enumerate(base):
        for j, name in enumerate(NAMES[concept]):
            label = None if concept.replace("ae", "e").split("_")[0] in name.lower() else LABELS[concept]
            text = render_sentence("condition.present", name=name, label=label, ago=NOTED[(i + j) % len(NOTED)])
            yield replace_facts(episode, [_segment(f"condition.{concept}", text)], {f"no.{concept}"})


def invent_haemoglobin(base: Sequence[Episode], *, low: bool) -> Iterator[Episode]:
    """Yield every patient with a low haemoglobin, or one that fell and is not low, in several values."""
    for i, episode in enumerate(base):
        for j in range(3):
            value = (8.1 if low else 11.1) + 0.3 * ((i + j) % 8)
            latest = render_sentence(
                "latest.value",
                label="haemoglobin",
                value=f"{value:.1f}",
                unit=" g/dL",
                ago=NOTED[(i + j) % 3],
                level="low" if low else "normal",
                preliminary="",
            )
            facts = [_segment("haemoglobin.latest", latest, change=-3.0)]
            if not low:
                fell = f"{1.1 + 0.4 * j:.1f}"
                change = {"label": "haemoglobin", "difference": fell, "unit": " g/dL", "span": "10 weeks", "value": ""}
                text = render_sentence("change.fall", **change, outside=True)
                facts.append(replace(_segment("haemoglobin.change", text, change=-3.0), kind="change"))
            gone = {"condition.anaemia", "suspected.anaemia", "haemoglobin.change", "haemoglobin.latest"}
            yield replace_facts(episode, facts, gone)


def invent_week(base: Sequence[Episode], weeks: Sequence[int]) -> Iterator[Episode]:
    """Yield every patient in each of these weeks of pregnancy."""
    for episode in base:
        for week in weeks:
            text = render_sentence("pregnancy.weeks", weeks=week, days=week % 7, multiple=False)
            pinned = Segment("pregnancy", "pinned", text, pinned=True, sources=("invented",), tokens=count_tokens(text))
            yield replace_facts(episode, [pinned], {"pregnancy"})


def replace_facts(episode: Episode, facts: Sequence[Segment], gone: set[str]) -> Episode:
    """Put ``facts`` into the record for what it has of the same keys and of ``gone``; every episode is a patient."""
    gone = gone | {fact.key for fact in facts}
    segments = (*(s for s in episode.segments if s.key not in gone), *facts)
    return replace(episode, segments=segments)


def _segment(key: str, text: str, change: float = 0.0) -> Segment:
    return Segment(key, "record", text, False, ("invented",), count_tokens(text), recency_days=30.0, change=change)
