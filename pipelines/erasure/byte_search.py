"""Search every byte of a clinic's state for a patient, packed files included."""

from __future__ import annotations

import gzip
import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import tombstones
from pmlm.settings import Settings

_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_ALPHANUMERIC = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SHORTEST_ID = 6  # characters: a shorter one would be found in any file by chance


@dataclass(frozen=True, slots=True)
class Traces:
    """What names a patient: pseudonyms as numbers, and the id in the clinic's records where it is known."""

    numbers: frozenset[int]
    ident: str = ""

    def occur_in(self, data: bytes | mmap.mmap) -> bool:
        """Whether a pseudonym, as digits or as eight bytes of either order, or the id is in the data."""
        raw = (number.to_bytes(8, order) for number in self.numbers for order in _ORDERS)
        return any(data.find(one) >= 0 for one in raw) or any(_stands_alone(data, word) for word in self._list_words())

    def _list_words(self) -> list[bytes]:
        known = [self.ident.encode()] if len(self.ident) >= _SHORTEST_ID else []
        return [*(str(number).encode() for number in self.numbers), *known]


def _stands_alone(data: bytes | mmap.mmap, word: bytes) -> bool:
    """Whether the word is in the data and not part of a longer one."""
    at = data.find(word)
    while at >= 0:
        around = data[max(at - 1, 0) : at] + data[at + len(word) : at + len(word) + 1]
        if not any(one in _ALPHANUMERIC for one in around):
            return True
        at = data.find(word, at + 1)
    return False


def list_files(settings: Settings) -> Iterator[Path]:
    """Every file that a clinic's nights and endpoint write: its workspace, its DVC remote, Airflow's folder."""
    roots = (settings.workspace, settings.home / ".remotes" / settings.clinic, settings.home / "airflow")
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and tombstones.folder(settings) not in path.parents:
                yield path


def find_traces(settings: Settings, traces: Traces) -> list[Path]:
    """The files in which the patient is found, relative to ``PMLM_HOME``."""
    return [path.relative_to(settings.home) for path in list_files(settings) if _is_in(path, traces)]


def _is_in(path: Path, traces: Traces) -> bool:
    try:
        if not path.stat().st_size:
            return False
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if traces.occur_in(data):
                return True
            head = data[:4]
            if head[:2] == b"\x1f\x8b":
                return traces.occur_in(gzip.decompress(data))
            if head[:1] == b"\x78" and ".git" in path.parts:
                return traces.occur_in(zlib.decompress(data))
    except FileNotFoundError:  # a file of a running endpoint
        return False
    return head == b"PAR1" and _is_in_rows(path, traces)


def _is_in_rows(path: Path, traces: Traces) -> bool:
    """Whether any column of a Parquet file has one of the numbers, or a text that names the patient."""
    wanted = pa.array(sorted(traces.numbers), pa.int64())
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group).columns:
                for values in _flatten(column.combine_chunks()):
                    if pa.types.is_int64(values.type) and pc.any(pc.is_in(values, wanted)).as_py():
                        return True
                    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
                    if is_text and traces.occur_in("\n".join(values.unique().drop_null().to_pylist()).encode()):
                        return True
    return False


def _flatten(values: pa.Array) -> Iterator[pa.Array]:
    """The plain columns within a column: lists and structures opened."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type):
        yield from _flatten(values.flatten())
    elif pa.types.is_struct(values.type):
        for part in values.flatten():
            yield from _flatten(part)
    elif pa.types.is_dictionary(values.type):
        yield values.dictionary_decode()
    else:
        yield values
