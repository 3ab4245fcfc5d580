"""A clinic's folder as a reader sees it."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from pmlm.settings import PROJECT

SAMPLE = PROJECT / "examples" / "clinic"


@dataclass(frozen=True)
class Clinic:
    """One clinic: raw lines by file, resources of good lines by drop, sidecars."""

    folder: Path

    @cached_property
    def lines(self) -> dict[str, list[str]]:
        """File name relative to the folder → its lines."""
        files = sorted(self.folder.glob("*-*-*/*.ndjson.gz"))
        return {str(f.relative_to(self.folder)): gzip.decompress(f.read_bytes()).decode().splitlines() for f in files}

    @cached_property
    def broken(self) -> dict[tuple[str, int], str]:
        """(file, line) → kind of damage."""
        rows = map(json.loads, (self.folder / "broken.jsonl").read_text().splitlines())
        return {(row["file"], row["line"]): row["kind"] for row in rows}

    @cached_property
    def arrivals(self) -> list[tuple[date, dict]]:
        """(drop, resource) of every good line, in order of drop and file."""
        return [
            (date.fromisoformat(name[:10]), json.loads(text))
            for name, texts in self.lines.items()
            for number, text in enumerate(texts, 1)
            if (name, number) not in self.broken
        ]

    def of_type(self, kind: str) -> list[tuple[date, dict]]:
        return [(drop, r) for drop, r in self.arrivals if r["resourceType"] == kind]

    @cached_property
    def facts(self) -> list[dict]:
        text = gzip.decompress((self.folder / "facts.jsonl.gz").read_bytes()).decode()
        return list(map(json.loads, text.splitlines()))
