"""Cut the sample clinic down to a few patients and two drops, quick to train."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

#: What its nights would score for a minute, by `pmlm scores`; what the code asks beyond is scored as ever.
SCORES = Path(__file__).with_name("small_clinic_scores.parquet")
PATIENTS = 16
NIGHTS = 2
PARAMS = {
    "episodes": {"most_train": 24, "most_held_out": 3},
    "trajectory": {"epochs": 4},
    "train": {"gain_evaluations": 24, "warm_epochs": 2, "warm_steps": 2, "grpo_steps": 1, "batch": 8, "generations": 4},
    "gate": {"bootstrap": 200},
}


def cut(sample: Path, out: Path, nights: int = NIGHTS) -> None:
    """Write the first ``nights`` drops of ``sample`` into ``out``, for ``PATIENTS`` patients only.

    A line belongs to a patient if it contains the patient's id, so a broken line does too.
    """
    drops = sorted(p for p in sample.iterdir() if p.is_dir())[:nights]
    patients = _choose_patients(drops[0])
    for drop in drops:
        for file in sorted(drop.iterdir()):
            lines = [line for line in _lines(file) if any(patient in line for patient in patients)]
            target = out / drop.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            content = "".join(lines).encode()
            target.write_bytes(gzip.compress(content, mtime=0) if file.suffix == ".gz" else content)
    shutil.copy(sample / "facts.jsonl.gz", out)
    shutil.copy(SCORES, out / "scores.parquet")
    manifest = yaml.safe_load((sample / "clinic.yaml").read_text()) | {"name": "small"}
    manifest["params"] = PARAMS
    (out / "clinic.yaml").write_text(yaml.safe_dump(manifest))


def _choose_patients(drop: Path) -> list[str]:
    """Choose the patients who asked most in this drop; ties in order of id."""
    asked: dict[str, int] = {}
    for file in sorted(drop.glob("Communication*")):
        for line in _lines(file):
            subject = _subject(line)
            if subject:
                asked[subject] = asked.get(subject, 0) + 1
    return sorted(asked, key=lambda patient: (-asked[patient], patient))[:PATIENTS]


def _subject(line: str) -> str | None:
    try:
        return str(json.loads(line)["subject"]["reference"]).rsplit("/", 1)[-1]
    except (json.JSONDecodeError, KeyError, TypeError):
        return None


def _lines(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as stream:
        yield from stream
