"""A small synthetic task with known rewards: which facts matter for which question."""

from __future__ import annotations

import os

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from models.encoder import MiniLM
from models.refiner.featurizer import FeatureTable, Featurizer
from models.refiner.grpo import PolicyPrompt
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from models.refiner.warm_start import WarmStartExample
from models.schema import EditProgram, Episode, Segment

TOPICS = ("bleeding", "headache", "sleep", "vaccination", "weight", "iron tablets")
STATES = ("high", "usual", "low")
ASPECTS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class World:
    """Episodes with reward .3 per relevant fact − .003 per token.

    A fact is relevant where it is of the question's topic and not usual.
    """

    episodes: tuple[Episode, ...]

    def reward(self, ids: Sequence[str], programs: Sequence[EditProgram]) -> list[float]:
        by_id = {e.episode_id: e for e in self.episodes}
        return [self.worth(by_id[i], program) for i, program in zip(ids, programs, strict=True)]

    @staticmethod
    def worth(episode: Episode, program: EditProgram) -> float:
        tokens = {s.key: s.tokens for s in episode.segments}
        return 0.3 * len(set(program.picks) & episode.facts) - 0.003 * sum(tokens[k] for k in program.picks)


def _episode(i: int, random: np.random.Generator) -> Episode:
    topic = TOPICS[random.integers(len(TOPICS))]
    free, facts = [], set()
    for about in TOPICS:
        for aspect in ASPECTS:
            state = STATES[random.integers(len(STATES))]
            key = f"{about}.{aspect}"
            text = f"Her {aspect} {about} measure is {state}."
            tokens = int(random.integers(6, 14))
            free.append(Segment(key, "record", text, tokens=tokens, recency_days=float(random.integers(300))))
            if about == topic and state != "usual":
                facts.add(key)
    chosen = [free[j] for j in random.permutation(len(free))[:26]]
    pinned = Segment("safety", "pinned", "Tell her to call at once in an emergency.", pinned=True, tokens=9)
    return Episode(
        episode_id=f"e{i}",
        subject_id=i,
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        question=f"What should I do about my {topic}?",
        segments=(pinned, *chosen),
        reply=("Do this.",),
        facts=frozenset(facts & {s.key for s in chosen}),
    )


@pytest.fixture(scope="session")
def encoder() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="session")
def world() -> World:
    random = np.random.default_rng(0)
    return World(tuple(_episode(i, random) for i in range(160)))


@dataclass(frozen=True)
class Read:
    """A world as a policy reads it."""

    table: FeatureTable
    prompts: tuple[PolicyPrompt, ...]

    def policy(self, seed: int = 0, **config: int) -> Policy:
        """An untrained policy before this table."""
        torch.manual_seed(seed)
        policy = Policy(PolicyConfig(**config)).eval()
        policy.pointer.set_table(self.table)
        return policy

    def examples(self, world: World, count: int, noise: float = 0.05) -> list[WarmStartExample]:
        """Single gains as a reward model would measure them: true, plus noise."""
        random = np.random.default_rng(1)
        found = []
        for episode, prompt in zip(world.episodes[:count], self.prompts[:count], strict=True):
            gains = [
                np.nan if s.pinned else world.worth(episode, EditProgram((s.key,))) + noise * random.normal()
                for s in episode.segments
            ]
            found.append(WarmStartExample(prompt.rows[0], prompt.rows[1:], np.array(gains), np.zeros(3)))
        return found


@pytest.fixture(scope="session")
def read(world: World, encoder: MiniLM) -> Read:
    reader = Featurizer(encoder)
    prompts = tuple(
        PolicyPrompt(e.episode_id, tuple(reader.add_prompt(e.question, e.segments)), tuple(s.key for s in e.segments))
        for e in world.episodes
    )
    return Read(reader.build_table(), prompts)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
