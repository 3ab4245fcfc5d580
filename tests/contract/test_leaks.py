"""No identifier of the sample clinic is in anything a night wrote: searched byte by byte, packed files included.

Quarantine is the one exception: it alone keeps raw lines, and nobody but its owner may read them.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import polars as pl
import pytest
from byte_search import contents, found
from identifiers import Person, persons

from pipelines.settings import Settings

SECRET = "Eulalia Quibblesworth"


@pytest.fixture(scope="module")
def people() -> list[Person]:
    known = persons(Settings().drops)
    assert sum(p.kind == "Patient" for p in known) >= 60
    return known


def _packed(folder: Path) -> dict[str, bytes]:
    text = f"call me, {SECRET}".encode()
    table = pl.DataFrame({"n": [1, 2], "t": [None, [{"text": text.decode()}]]})
    table.write_parquet(folder / "t.parquet", compression="zstd")
    return {
        "plain": text,
        "gzip": gzip.compress(text),
        "git object": zlib.compress(b"blob 9\0" + text),
        "parquet": (folder / "t.parquet").read_bytes(),
    }


@pytest.mark.parametrize("form", ["plain", "gzip", "git object", "parquet"])
def test_a_planted_name_is_found_however_it_is_packed(form: str, tmp_path: Path) -> None:
    data = _packed(tmp_path)[form]
    assert any(found(content, ["nobody at all", SECRET.upper()]) == {SECRET.upper()} for content in contents(data))
