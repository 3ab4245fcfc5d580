"""Topics of questions: the clinic's names, else nearest centres of training questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from models.schema import Episode
from pipelines.embedding_cache import CachedEncoder
from pipelines.features.trajectory import sequences

#: Bins of a topic's number of training episodes: name and exclusive upper bound.
BINS = (("under_20", 20), ("20_to_79", 80), ("80_and_over", 1 << 62))


def assign_topics(episodes: Sequence[Episode], train: Sequence[Episode], encode: CachedEncoder) -> dict[str, str]:
    """Assign each episode its own topic or the nearest centre of training questions."""
    if all(e.topic for e in train):
        return {e.episode_id: e.topic or "" for e in episodes}
    codes = sequences.assign_topics(
        [e.question for e in episodes], sequences.find_centres([e.question for e in train], encode), encode
    )
    return {e.episode_id: code or "" for e, code in zip(episodes, codes, strict=True)}


def bin_by_training(topic_of: Mapping[str, str], train: Sequence[Episode]) -> dict[str, str]:
    """Bin each episode by how many training episodes its topic has."""
    counted = Counter(topic_of[e.episode_id] for e in train)
    return {
        episode: next(name for name, below in BINS if counted[topic] < below) for episode, topic in topic_of.items()
    }
