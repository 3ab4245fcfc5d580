"""Cut the sample clinic down to a few women and two drops, with training numbers that take seconds."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

WOMEN = 16
NIGHTS = 2
PARAMS = {
    "episodes": {"most_train": 24, "most_held_out": 3},
    "trajectory": {"epochs": 4},
    "train": {"gain_evaluations": 24, "warm_epochs": 2, "warm_steps": 2, "grpo_steps": 1, "batch": 8, "generations": 4},
    "gate": {"bootstrap": 200},
}


def cut(sample: Path, out: Path, nights: int = NIGHTS) -> None:
    """Write the first ``nights`` drops of ``sample`` into ``out``, with the lines of the first ``WOMEN`` women only.

    A line belongs to a woman if it names her id, so a broken line goes with her too.
    """
    drops = sorted(p for p in sample.iterdir() if p.is_dir())[:nights]
    kept = _women(drops[0])
    for drop in drops:
        for file in sorted(drop.iterdir()):
            lines = [line for line in _lines(file) if any(woman in line for woman in kept)]
            target = out / drop.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            content = "".join(lines).encode()
            target.write_bytes(gzip.compress(content, mtime=0) if file.suffix == ".gz" else content)
    shutil.copy(sample / "facts.jsonl.gz", out)
    manifest = yaml.safe_load((sample / "clinic.yaml").read_text()) | {"name": "small"}
    manifest["params"] = PARAMS
    (out / "clinic.yaml").write_text(yaml.safe_dump(manifest))


def _women(drop: Path) -> list[str]:
    """The ids of the women who asked most in this drop; ties in order of id."""
    asked: dict[str, int] = {}
    for file in sorted(drop.glob("Communication*")):
        for line in _lines(file):
            subject = _subject(line)
            if subject:
                asked[subject] = asked.get(subject, 0) + 1
    return sorted(asked, key=lambda woman: (-asked[woman], woman))[:WOMEN]


def _subject(line: str) -> str | None:
    try:
        return str(json.loads(line)["subject"]["reference"]).rsplit("/", 1)[-1]
    except (json.JSONDecodeError, KeyError, TypeError):
        return None


def _lines(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as stream:
        yield from stream
