"""Search every byte a night wrote, packed or not, for many needles at once (Aho–Corasick, by polars)."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 8 << 20
OVERLAP = 1 << 10  # longer than any needle, so that none is cut in two
BATCH = 64 << 20  # searched at once


def contents(data: bytes) -> Iterator[bytes]:
    """A file's bytes, and what is inside them if it is packed: gzip, zlib (Git objects), zip, tar, Parquet."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield from contents(gzip.decompress(data))
    elif data[:1] == b"\x78" and (unpacked := _inflated(data)) is not None:
        yield from contents(unpacked)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from contents(archive.read(name))
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                if (stream := tar.extractfile(member)) is not None:
                    yield from contents(stream.read())
    elif data[:4] == b"PAR1":
        yield from (column_text(column) for column in pq.read_table(io.BytesIO(data)).columns)


def _inflated(data: bytes) -> bytes | None:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return None


def column_text(column: pa.ChunkedArray) -> bytes:
    """The distinct strings of a Parquet column, lists opened, one a line; nothing for a column without text."""
    values = column.combine_chunks()
    while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values = values.flatten()
    if pa.types.is_struct(values.type):
        return b"\n".join(column_text(pa.chunked_array([part])) for part in values.flatten())
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return b""
    return "\n".join(v for v in values.unique().to_pylist() if v is not None).encode()


def found(data: Iterable[bytes], needles: list[str]) -> set[str]:
    """The needles that occur in any of the byte strings, letters' case aside; needles are compared as UTF-8.

    A number counts where it stands alone: seven digits in the middle of a hash are nobody's record number.
    """
    texts = [("", text) for content in data for text in _chunks(content)]
    return _search(texts, needles).get("", set())


def leaks(files: Iterable[Path], needles: list[str]) -> dict[str, set[str]]:
    """File → the needles found in it, for the files that hold any; equal files are read once and named once."""
    found_in: dict[str, set[str]] = {}
    seen: set[bytes] = set()
    texts: list[tuple[str, str]] = []
    for file in files:
        data = file.read_bytes()
        digest = hashlib.sha256(data).digest()
        if digest in seen:
            continue
        seen.add(digest)
        texts += [(str(file), text) for content in contents(data) for text in _chunks(content)]
        if sum(len(text) for _, text in texts) > BATCH:
            found_in |= _search(texts, needles)
            texts = []
    return found_in | _search(texts, needles)


def _search(texts: list[tuple[str, str]], needles: list[str]) -> dict[str, set[str]]:
    """Name → the needles in the texts of that name; all at once, since to prepare the needles takes longest."""
    packed = {needle.encode().decode("latin-1").lower(): needle for needle in needles}
    series = pl.Series([text for _, text in texts], dtype=pl.String)
    matched = series.str.extract_many(list(packed), ascii_case_insensitive=True)
    hits: dict[str, set[str]] = {}
    for (name, text), inside in zip(texts, matched.to_list(), strict=True):
        for hit in {hit.lower() for hit in inside}:
            if not hit.isdecimal() or re.search(rf"(?<![0-9A-Za-z.]){hit}(?![0-9A-Za-z])", text):
                hits.setdefault(name, set()).add(packed[hit])
    return hits


def _chunks(content: bytes) -> Iterator[str]:
    for start in range(0, max(len(content), 1), CHUNK):
        yield content[start : start + CHUNK + OVERLAP].decode("latin-1")
