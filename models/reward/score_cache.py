"""Cache scores on disk by the hash of their trial, since scoring dominates training.

    key = SHA-256(scorer id, prompt, question, reply sentences)  →  (sum of log p, tokens) of each reply sentence

Layers are read-only Parquet files (a clinic's sample ships one); new scores go to one writable file, replaced
atomically, so a killed run resumes and pays for nothing twice. The files have hashes and no text. Two more
hashes, of question and reply, tell whose words a score is of, so that it can be removed with its patient.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.reward.request_pool import ScorerError
from models.reward.terms import Scorer, SentenceScores, Trial

SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(32), nullable=False),
        pa.field("sums", pa.list_(pa.float64()), nullable=False),
        pa.field("counts", pa.list_(pa.int32()), nullable=False),
        pa.field("episode", pa.binary(32)),  # null in files of older versions
    ]
)

_HALF = 16  # bytes


def hash_trial(scorer_id: str, trial: Trial) -> bytes:
    """Hash what a score depends on by SHA-256, each part with its length in front."""
    digest = hashlib.sha256()
    for part in (scorer_id, trial.prompt, trial.question, *trial.reply):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def hash_episode(question: str, reply: Sequence[str]) -> bytes:
    """Hash whose words a trial has: 16 bytes of the question's hash, then 16 of the reply's."""
    halves = []
    for parts in ((question,), reply):
        digest = hashlib.blake2b(digest_size=_HALF)
        for part in parts:
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        halves.append(digest.digest())
    return b"".join(halves)


def remove_episodes(path: Path, episodes: Collection[bytes]) -> int:
    """Remove the scores with the question or the reply of some episodes, and those of which neither is known.

    Returns how many there were.
    """
    if not path.exists():
        return 0
    table = pq.read_table(path, schema=SCHEMA)
    questions, replies = {one[:_HALF] for one in episodes}, {one[_HALF:] for one in episodes}
    others = [
        one is not None and one[:_HALF] not in questions and one[_HALF:] not in replies
        for one in table["episode"].to_pylist()
    ]
    left = table.filter(pa.array(others, pa.bool_()))
    if left.num_rows < table.num_rows:
        _write_file(path, left)
    return int(table.num_rows - left.num_rows)


class ScoreCache:
    """Scores by key: read-only ``layers`` under the writable file ``path``."""

    def __init__(self, path: Path, layers: Sequence[Path] = ()) -> None:
        self.path = path
        self.hits = 0
        self.misses = 0
        self._own = _read_scores(path)
        self._episodes = _read_episodes(path)
        self._layers = [_read_scores(layer) for layer in layers]
        self._unsaved = False

    def get(self, key: bytes) -> SentenceScores | None:
        """Look up a score; count a hit or a miss."""
        found = next((layer[key] for layer in (self._own, *self._layers) if key in layer), None)
        self.hits += found is not None
        self.misses += found is None
        return found

    def put(self, key: bytes, scores: SentenceScores, episode: bytes | None = None) -> None:
        """Add a score in memory, until ``flush``."""
        self._own[key], self._episodes[key] = scores, episode
        self._unsaved = True

    def flush(self) -> None:
        """Replace the file atomically by all own scores, sorted by key."""
        if not self._unsaved:
            return
        keys = sorted(self._own)
        scores = [self._own[k] for k in keys]
        columns = {"key": keys, "sums": [one.sums for one in scores], "counts": [one.counts for one in scores]}
        _write_file(self.path, pa.table(columns | {"episode": [self._episodes[k] for k in keys]}, schema=SCHEMA))
        self._unsaved = False

    def __len__(self) -> int:
        return len(set(self._own).union(*self._layers))


def _write_file(path: Path, table: pa.Table) -> None:
    """Replace the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        pq.write_table(table, name, compression="zstd")
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _read_episodes(path: Path) -> dict[bytes, bytes | None]:
    if not path.exists():
        return {}
    columns = pq.read_table(path, schema=SCHEMA, columns=["key", "episode"]).to_pydict()
    return dict(zip(columns["key"], columns["episode"], strict=True))


def _read_scores(path: Path) -> dict[bytes, SentenceScores]:
    if not path.exists():
        return {}
    columns = pq.read_table(path, schema=SCHEMA).to_pydict()
    return {
        key: SentenceScores(tuple(sums), tuple(counts))
        for key, sums, counts in zip(columns["key"], columns["sums"], columns["counts"], strict=True)
    }


class CachedScorer:
    """Scores missing trials by another scorer and saves every ``save_every`` new scores.

    On a ``ScorerError`` it saves the finished ones.
    """

    def __init__(self, scorer: Scorer, cache: ScoreCache, save_every: int = 128) -> None:
        self.id = scorer.id
        self.scorer = scorer
        self.cache = cache
        self.save_every = save_every

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        keys = [hash_trial(self.id, t) for t in trials]
        known = {k: found for k in dict.fromkeys(keys) if (found := self.cache.get(k)) is not None}
        missing = {k: t for k, t in zip(keys, trials, strict=True) if k not in known}
        episodes = {k: hash_episode(t.question, t.reply) for k, t in missing.items()}
        pending = list(missing.items())
        for start in range(0, len(pending), self.save_every):
            part = pending[start : start + self.save_every]
            try:
                scored = self.scorer.score_sentences([t for _, t in part])
            except ScorerError as error:
                for i, scores in error.done.items():
                    self.cache.put(part[i][0], scores, episodes[part[i][0]])
                self.cache.flush()
                raise
            for (key, _), scores in zip(part, scored, strict=True):
                self.cache.put(key, scores, episodes[key])
                known[key] = scores
            self.cache.flush()
        return [known[k] for k in keys]
