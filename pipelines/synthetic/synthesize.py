"""Writes a whole sample clinic: nightly drops of Bulk Data NDJSON, its manifest, and two sidecars of truth.

    DIR/clinic.yaml                    name, clock, public hash key
    DIR/YYYY-MM-DD/<Type>.ndjson.gz    one folder a drop, one file a resource type
    DIR/facts.jsonl.gz                 for each reply the rules and segment keys behind it (for measuring only)
    DIR/broken.jsonl                   file, line and kind of every broken line

The same number of patients and seed give the same bytes, whatever the number of processes.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path

import yaml

from pipelines.synthetic.damage import Line
from pipelines.synthetic.patient import Woman, woman
from pipelines.synthetic.records.calendar import Calendar
from pmlm.errors import SettingsError

SAMPLE_PATIENTS, SAMPLE_SEED = 64, 20260601
#: Public on purpose: a synthetic clinic's pseudonyms protect nobody, and must be the same on every machine.
HASH_KEY = "pmlm-sample-clinic-public-key"
FACTS, BROKEN, MANIFEST = "facts.jsonl.gz", "broken.jsonl", "clinic.yaml"


@dataclass(frozen=True, slots=True)
class Synthesised:
    """What was written."""

    patients: int
    lines: int
    broken: int
    replies: int


def synthesize(
    patients: int,
    seed: int,
    out: Path,
    calendar: Calendar | None = None,
    processes: int | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> Synthesised:
    """Write a clinic of ``patients`` women into ``out``; ``told`` hears how many are done.

    ``out`` is replaced as a whole if it is a synthetic clinic (its manifest's ``params`` are kept); anything else that
    is not empty raises SettingsError.
    """
    params = _kept_params(out)
    women: list[Woman] = []
    for her in islice(_women(seed, calendar or Calendar(), processes or os.cpu_count() or 1), patients):
        women.append(her)
        told(len(women))
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    written = _write(women, part)
    _write_manifest(part, _name(patients, seed), params)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return written


def _name(patients: int, seed: int) -> str:
    """The shipped clinic is called ``sample``; any other has a name, and so a state, of its own."""
    return "sample" if (patients, seed) == (SAMPLE_PATIENTS, SAMPLE_SEED) else f"synthetic-{patients}-{seed}"


def _kept_params(out: Path) -> dict[str, dict[str, object]]:
    if not out.exists() or not any(out.iterdir()):
        return {}
    manifest = out / MANIFEST
    found = yaml.safe_load(manifest.read_text()) if manifest.exists() else {}
    if not (found or {}).get("synthetic"):
        raise SettingsError(f"{out} is not empty and not a synthetic clinic; choose another folder")
    return found.get("params", {})


def _women(seed: int, calendar: Calendar, processes: int) -> Iterator[Woman]:
    """Living women in order of their index, without end."""
    make = partial(_make, seed, calendar)
    if processes == 1:
        yield from (her for her in map(make, count()) if her)
        return
    with ProcessPoolExecutor(processes) as pool:
        for first in count(step=processes * 4):
            yield from (her for her in pool.map(make, range(first, first + processes * 4)) if her)


def _make(seed: int, calendar: Calendar, index: int) -> Woman | None:
    return woman(seed, index, calendar)


def _write(women: list[Woman], folder: Path) -> Synthesised:
    files: dict[str, list[Line]] = {}
    practitioners: set[tuple[str, str]] = set()
    for her in women:
        for line in her.lines:
            name = f"{line.drop.isoformat()}/{line.resource_type}.ndjson.gz"
            shared = (name, line.text)
            if line.resource_type == "Practitioner":  # clinicians see several women: each is listed once
                if shared in practitioners:
                    continue
                practitioners.add(shared)
            files.setdefault(name, []).append(line)
    broken = []
    for name, lines in sorted(files.items()):
        _gzip(folder / name, (line.text for line in lines))
        broken += [
            {"file": name, "line": number, "kind": line.damage} for number, line in enumerate(lines, 1) if line.damage
        ]
    truths = [truth for her in women for truth in her.truths]
    _gzip(folder / FACTS, (json.dumps(truth, ensure_ascii=False) for truth in truths))
    (folder / BROKEN).write_text("".join(json.dumps(row) + "\n" for row in broken))
    return Synthesised(len(women), sum(map(len, files.values())), len(broken), len(truths))


def _gzip(path: Path, lines: Iterator[str]) -> None:
    """Write lines as gzip that depends on the content alone: no time and no name in its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), compresslevel=9, mtime=0))


def _write_manifest(folder: Path, name: str, params: dict[str, dict[str, object]]) -> None:
    manifest: dict[str, object] = {"name": name, "clock": "last_drop", "hash_key": HASH_KEY, "synthetic": True}
    if params:
        manifest["params"] = params
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False))
