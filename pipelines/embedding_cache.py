"""Cache sentence vectors in the workspace by text hash, without the text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.encoder import DIMENSIONS, Encoder, MiniLM
from pmlm.settings import Settings
from pmlm.storage import atomic_write

SCHEMA = pa.schema([pa.field("key", pa.binary(16)), pa.field("vector", pa.list_(pa.float32(), DIMENSIONS))])


class CachedEncoder:
    """An ``Encoder`` that calls another, whose ``id`` it has, for missing texts only."""

    def __init__(self, encoder: Encoder, file: Path, id: str) -> None:
        self.id = id
        self.encoder = encoder
        self.file = file
        self._vectors = _read_vectors(file)
        self._before = len(self._vectors)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        keys = [self._key(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors}
        self._vectors.update(zip(missing, self.encoder.encode(list(missing.values())), strict=True))
        return np.stack([self._vectors[k] for k in keys]) if keys else np.zeros((0, DIMENSIONS), np.float32)

    def save(self) -> None:
        """Replace the file atomically by all vectors, sorted by key, if there are new ones."""
        if len(self._vectors) == self._before:
            return
        keys = sorted(self._vectors)
        flat = pa.array(np.concatenate([self._vectors[k] for k in keys]))
        columns = [pa.array(keys, pa.binary(16)), pa.FixedSizeListArray.from_arrays(flat, DIMENSIONS)]
        with atomic_write(self.file) as temporary:
            pq.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), temporary, compression="zstd")
        self._before = len(keys)

    def _key(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self.id.encode()[:64], digest_size=16).digest()


def _read_vectors(file: Path) -> dict[bytes, np.ndarray]:
    if not file.exists():
        return {}
    table = pq.read_table(file, schema=SCHEMA)
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, DIMENSIONS)
    return dict(zip(table["key"].to_pylist(), vectors, strict=True))


def cache_path(settings: Settings) -> Path:
    """The file of the clinic's cache."""
    return settings.workspace / "cache" / "vectors.parquet"


@contextmanager
def open_encoder(settings: Settings) -> Iterator[CachedEncoder]:
    """Open the clinic's sentence encoder; save its cache when the block ends without error."""
    cached = CachedEncoder(MiniLM(), cache_path(settings), MiniLM.id)
    yield cached
    cached.save()
