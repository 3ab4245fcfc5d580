"""Whether another release has the code that this worker runs."""

from __future__ import annotations

from pathlib import Path

from bentos.personalizer.release import CODE

#: This worker's own code: of the bento, also where another ``pmlm`` is on the path.
SOURCE = Path(__file__).resolve().parents[3]


def read_own_code(source: Path = SOURCE) -> bytes:
    """The hash of this worker's code; empty where it runs from no bento."""
    return (source / CODE).read_bytes() if (source / CODE).exists() else b""


def is_same_code(version: str, source: Path = SOURCE) -> bool:
    """Whether the bento of ``version``, beside this worker's own, has this worker's code."""
    other = source.parents[1] / version / "src" / CODE
    return other.exists() and other.read_bytes() == read_own_code(source)
