"""Erase patients from the caches of vectors and scores, which know texts by their hashes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.reward.score_cache import hash_episode, remove_episodes
from pipelines import embedding_cache
from pipelines.erasure.parquet_rows import has_patients, read_patients
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json


def erase_scores(settings: Settings, subjects: frozenset[int], episode_files: Iterable[Path]) -> int:
    """Remove the scores of the patients' questions and replies, and of episodes nobody knows; return how many.

    ``episode_files`` are those of the workspace and of every saved night, not rewritten yet.
    """
    from pipelines.training.rewards import cache_path  # imports torch: only where there is something to erase

    episodes = {
        hash_episode(question, reply)
        for path in episode_files
        if has_patients(path, subjects)
        for question, reply in zip(*_read_texts(path, subjects), strict=True)
    }
    return remove_episodes(cache_path(settings), episodes) if episodes else 0


def erase_vectors(settings: Settings) -> int:
    """Remove the whole cache of vectors: which of its texts were whose is not known. 1 if there was one."""
    there = embedding_cache.cache_path(settings).exists()
    embedding_cache.cache_path(settings).unlink(missing_ok=True)
    return int(there)


def erase_choices(settings: Settings, records: Iterable[int]) -> int:
    """Remove the patients' episodes, by the records of their questions, from those chosen to be measured."""
    from pipelines.training.measured_set import choices_path

    path = choices_path(settings)
    if not path.exists():
        return 0
    stored = read_json(path)
    theirs = {f"{record:016x}" for record in records}
    nights = {night: [one for one in chosen if one not in theirs] for night, chosen in stored["nights"].items()}
    removed = sum(map(len, stored["nights"].values())) - sum(map(len, nights.values()))
    if removed:
        write_json(path, stored | {"nights": nights})
    return removed


def _read_texts(path: Path, subjects: frozenset[int]) -> tuple[list[str], list[list[str]]]:
    rows = read_patients(path, subjects)
    return rows["question"].to_pylist(), rows["reply"].to_pylist()
