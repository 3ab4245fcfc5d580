"""The sample clinic's training episodes, and a champion trained on them as a night does, without the reward.

``tests/data/training/sample_episodes.parquet`` is what a night of the sample writes, cut to the training split. After a
change of sentences or candidates make it again from the state of ``make night``:

    python -m tests.behaviour.training.sample_episodes STATE/sample/data/episodes/episodes.parquet
"""

from __future__ import annotations

import shutil
import sys
from functools import cache
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.encoder import Encoder
from models.llm import make_token_counter
from models.peers.recommendation import Reply
from models.prompt.ranking import Ranker
from models.prompt.ranking_fit import fit_ranker
from models.refiner.featurizer import Featurizer
from models.refiner.inference import PolicyRefiner
from models.schema import Episode
from pipelines.episodes import episode_file
from pipelines.episodes.recommend import rank_episodes, read_replies
from pipelines.params import load_params
from pipelines.training import label_propagation, methods
from pipelines.training.guidance import build_guided_examples
from pmlm.settings import PROJECT, Settings, load_settings

FILE = Path(__file__).parents[2] / "data" / "training" / "sample_episodes.parquet"


@cache
def count_tokens(text: str) -> int:
    return int(make_token_counter(load_settings().embedded_llm)(text))


def read_sample(home: Path) -> tuple[Settings, list[Episode]]:
    """Read the episodes, by way of a home of the sample's settings."""
    settings = Settings(home=home, drops=PROJECT / "examples" / "clinic")
    settings.episodes.mkdir(parents=True)
    shutil.copy(FILE, episode_file.episodes_path(settings))
    return settings, episode_file.read_episodes(settings)


def train_champion(home: Path, encoder: Encoder) -> tuple[PolicyRefiner, Ranker, list[Episode]]:
    """Train a policy by the labels read off replies, with the sample's parameters; return the ranked episodes too."""
    settings, episodes = read_sample(home)
    params = load_params(settings)
    replies: list[Reply] = read_replies(episodes, encoder)
    ranker = fit_ranker(replies, encoder, settings.k_anonymity)
    assert ranker is not None
    ranked = rank_episodes(episodes, ranker, encoder)
    reader = Featurizer(encoder)
    prompts = methods.build_prompts(ranked, reader, params.slots)
    guided = build_guided_examples(ranked, reader, params.slots)
    policy = methods.build_policy(params, 0)
    policy.pointer.set_table(reader.build_table())
    labels = label_propagation.propagate_labels([], ranked, encoder, params.slots)
    methods.fit_warm_start(policy, methods.build_examples(labels.gains, prompts, guided), params.train, 0)
    return PolicyRefiner(policy, encoder, "sample"), ranker, ranked


def main() -> None:
    table = pq.read_table(sys.argv[1])
    FILE.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.filter(pc.field("split") == "train"), FILE, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main()
