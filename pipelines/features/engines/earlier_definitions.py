"""Recognise trajectory files of versions whose definitions hashed source text.

Up to commit 198ff8d the definition of trajectory rows was a hash of modules' text: 16 hexadecimal digits. Their rows
are those of revision 1, so such a file is read as if it stated revision 1 and the model version in its rows, where it
is one, and stays as it is. A raised revision makes the rule void by itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

_EARLIER = re.compile(r"[0-9a-f]{16}")


def read_definition(group: str, stated: str, files: list[Path]) -> str:
    """Return what a group's ``files`` state as their definition, an earlier one under today's name."""
    if not _EARLIER.fullmatch(stated):
        return stated
    if group == "trajectory":
        versions = pl.scan_parquet(files).select(pl.col("model_version").unique()).collect()["model_version"]
        return f"trajectory-1-{versions[0]}" if len(versions) == 1 else stated
    return stated
