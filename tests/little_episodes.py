"""A clinic of episodes alone, with real sentences and scoring, trained in seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import yaml

from models.llm import unpack_embedded_llm
from models.schema import Episode, Segment
from pipelines.episodes import episode_file
from pmlm.settings import Settings, load_settings

NIGHT = "20260601"
PARAMS = {
    "episodes": {"free_segments": 5},
    "train": {
        "pick_cap": 2,
        "token_cap": 30,
        "gain_evaluations": 40,
        "warm_epochs": 5,
        "warm_steps": 5,
        "grpo_steps": 2,
        "continued_steps": 1,
        "batch": 8,
        "generations": 4,
    },
    "gate": {"bootstrap": 200, "minimum_episodes": 6, "minimum_patients": 3},
}
#: question → what may be known of the patient → what the clinician then writes
TOPICS: dict[str, dict[str, tuple[str, str]]] = {
    "Which painkiller may I take?": {
        "condition.asthma": ("She has asthma.", "Because of your asthma, do not take ibuprofen."),
        "medicine.anticoagulant": ("She takes a blood thinner.", "With your blood thinner, avoid aspirin."),
        "condition.reflux": ("She has acid reflux.", "As you have reflux, take it after food."),
    },
    "Why am I so tired?": {
        "haemoglobin.latest": ("Her haemoglobin was 9.8 g/dL a week ago.", "Your haemoglobin is low: take iron."),
        "condition.thyroid": ("She has thyroid disease.", "Your thyroid should be checked again."),
        "condition.depression": ("She has depression.", "Low mood can tire you: tell us how you feel."),
    },
}
PINNED = (
    Segment("safety", "pinned", "In an emergency tell her to call for help at once.", pinned=True, tokens=12),
    Segment("allergies", "pinned", "No drug allergies on record.", pinned=True, tokens=6),
)


SPLITS = ("train", "gate", "test")


def episode(number: int, split: str) -> Episode:
    """The ``number``-th episode of a split; the same number is always the same episode."""
    place = SPLITS.index(split)
    random = np.random.default_rng([number, place])
    subject = 100 * place + number // 3
    question = list(TOPICS)[random.integers(len(TOPICS))]
    free, reply, facts = [], ["Thank you for your message."], set()
    for topic, known in TOPICS.items():
        for key, (text, advice) in known.items():
            if random.random() < 0.6:
                free.append(Segment(key, "record", text, sources=(f"s{number}",), tokens=8, recency_days=7.0))
                if topic == question:
                    reply.append(advice)
                    facts.add(key)
    return Episode(
        episode_id=f"{split}{number:04d}",
        subject_id=subject,
        as_of=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
        question=question,
        segments=(*PINNED, *free),
        reply=tuple(reply),
        specific=(False, *[True] * (len(reply) - 1)) if facts else (True,),
        rating=4.0,
        split=split,
        topic=question,
        facts=frozenset(facts),
    )


def clinic(home: Path, params: dict[str, dict[str, float]] | None = None, held_out: int = 9) -> Settings:
    """Write a clinic's episodes and link its embedded LLM; nothing is trained yet."""
    drops = home / "drops"
    drops.mkdir(parents=True)
    merged = {section: values | (params or {}).get(section, {}) for section, values in PARAMS.items()}
    manifest = {"name": "little", "hash_key": "public", "synthetic": True, "params": merged}
    (drops / "clinic.yaml").write_text(yaml.safe_dump(manifest))
    settings = Settings(home=home, drops=drops)
    settings.embedded_llm.symlink_to(unpack_embedded_llm(load_settings().embedded_llm))
    parts = [("train", 24), ("gate", held_out), ("test", held_out)]
    episode_file.write_episodes(settings, [episode(i, split) for split, count in parts for i in range(count)])
    return settings
