"""Recognise feature files of versions whose definitions hashed source text.

Up to commit 198ff8d the definition of peers and of trajectory rows was a hash of modules' text: 16 hexadecimal digits.
Their rows are those of revision 1, so such a file is read as if it stated revision 1 and stays as it is:

- a peers file by ``earlier_peers.csv``, which pairs the hash of commit 198ff8d for each k from 2 to 100 (column
  ``earlier``) with the definition today (``definition``, of the self groups as they were there);
- a trajectory file by the model version in its rows, where it is one.

The table was made in a checkout of 198ff8d, then in this tree, with ``selves`` the self groups' ``definition``:
``pipelines.features.engine.definition_of_peers(selves, k)`` there, ``definitions.define_peers(selves, k)`` here.
A changed self group or a raised revision makes both rules void by themselves.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import polars as pl

_EARLIER = re.compile(r"[0-9a-f]{16}")


def read_definition(group: str, stated: str, files: list[Path]) -> str:
    """Return what a group's ``files`` state as their definition, an earlier one under today's name."""
    if not _EARLIER.fullmatch(stated):
        return stated
    if group == "peers":
        return _read_earlier_peers().get(stated, stated)
    if group == "trajectory":
        versions = pl.scan_parquet(files).select(pl.col("model_version").unique()).collect()["model_version"]
        return f"trajectory-1-{versions[0]}" if len(versions) == 1 else stated
    return stated


@cache
def _read_earlier_peers() -> dict[str, str]:
    with Path(__file__).with_name("earlier_peers.csv").open(encoding="utf-8", newline="") as file:
        return {row["earlier"]: row["definition"] for row in csv.DictReader(file)}
