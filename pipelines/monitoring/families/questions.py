"""Drift of questions: what tonight's patients asked about, and how they worded it.

A topic is the nearest of ``TOPICS`` by meaning. No word of a question is stored: only its topic, its nearness to that
topic, and lengths and shares of characters. Every patient's questions count, and not the episodes alone: of late
questions these have only what the gate and the test measure.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import polars as pl

from models.vocabulary import QUESTION_CODE
from pipelines.monitoring.families.drift_table import SAMPLE
from pipelines.monitoring.families.records import list_event_files
from pmlm.settings import Settings

TOPICS: dict[str, str] = {
    "bleeding": "I am bleeding. Is this much blood normal?",
    "blood pressure": "My blood pressure reading was high.",
    "contraception": "Which contraception or pill suits me?",
    "diabetes": "My blood sugar is high. What should I eat?",
    "exercise and travel": "May I fly, travel or exercise?",
    "fertility": "We are trying for a baby. What should I do before?",
    "headache": "I have a bad headache.",
    "heartburn": "I have heartburn and feel sick after eating.",
    "medicines": "Can I take this medicine together with mine?",
    "mood": "I feel low, anxious and cannot sleep.",
    "movements": "My baby moves less than usual.",
    "pain": "My belly hurts and I have cramps.",
    "periods": "My periods are heavy, painful or late.",
    "test results": "What does my test result mean?",
    "tiredness": "I am tired all the time.",
    "urine": "It burns when I pee.",
    "weight": "I have gained too much weight.",
    "appointment": "When is my next appointment, and whom do I call?",
}


def build_questions(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient who asked a clinician: topic and wording of a question."""
    files = list_event_files(settings, night)
    if not files:
        return pl.DataFrame()
    asked = pl.scan_parquet(files).filter((pl.col("code") == QUESTION_CODE) & (pl.col("known_at") > since))
    one_each = asked.sort("record", "known_at").unique("subject_id", keep="first", maintain_order=True).head(SAMPLE)
    found = one_each.select("subject_id", "text_value").drop_nulls().collect()
    if found.is_empty():
        return pl.DataFrame()
    return describe_questions(settings, found["text_value"].to_list()).with_columns(found["subject_id"])


def describe_questions(settings: Settings, texts: list[str]) -> pl.DataFrame:
    """Describe texts by numbers and one category, none of which contains a word of them."""
    from pipelines.embedding_cache import open_encoder

    with open_encoder(settings) as encode:
        nearness = encode.encode(texts) @ encode.encode(list(TOPICS.values())).T
    words = [text.split() for text in texts]
    return pl.DataFrame(
        {
            "topic of the question": np.array(list(TOPICS))[nearness.argmax(axis=1)].tolist(),
            "nearness to its topic": nearness.max(axis=1).astype(float),
            "words of the question": [float(len(found)) for found in words],
            "letters a word": [sum(map(len, found)) / max(1, len(found)) for found in words],
            "share of capitals": [_share(text, str.isupper) for text in texts],
            "share of marks": [_share(text, _is_mark) for text in texts],
        }
    )


def _is_mark(character: str) -> bool:
    return not character.isalnum() and not character.isspace()


def _share(text: str, test: Callable[[str], bool]) -> float:
    return sum(map(test, text)) / max(1, len(text))
