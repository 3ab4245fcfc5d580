"""Write a sample clinic: nightly drops of Bulk Data NDJSON, manifest, ground-truth sidecars.

    DIR/clinic.yaml                    name, clock, public hash key
    DIR/YYYY-MM-DD/<Type>.ndjson.gz    one folder per drop, one file per resource type
    DIR/facts.jsonl.gz                 for each reply the rules and segment keys behind it (for measuring only):
                                       topic, rule_ids, facts, sentences; with options also question, unspoken (facts
                                       that no sentence names), writer (2: the second), mechanism (null: a control)
    DIR/broken.jsonl                   file, line and kind of every broken line

The same number of patients and seed give the same bytes, whatever the number of processes. Run: ``pmlm synthesize``.
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

from pipelines.synthetic.damage import DropLine
from pipelines.synthetic.patient import SyntheticPatient, build_patient
from pipelines.synthetic.records.calendar import Calendar
from pipelines.synthetic.records.options import HASH_KEY, SAMPLE_OPTIONS, ClinicOptions
from pmlm.errors import SettingsError

SAMPLE_PATIENTS, SAMPLE_SEED = 64, 20260601
FACTS, BROKEN, MANIFEST = "facts.jsonl.gz", "broken.jsonl", "clinic.yaml"


@dataclass(frozen=True, slots=True)
class SynthesisSummary:
    """Counts of what was written."""

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
    report: Callable[[int], None] = lambda done: None,
    cache: Path | None = None,
    options: ClinicOptions = SAMPLE_OPTIONS,
) -> SynthesisSummary:
    """Write a clinic of ``patients`` into ``out``; call ``report`` with the number done.

    ``cache`` is where Synthea's records are read from, and added to, whatever the clinic's size.

    ``out`` is replaced as a whole if it is a synthetic clinic (but for its manifest's ``params``); anything else that
    is not empty raises SettingsError.
    """
    params = _read_params(out)
    built: list[SyntheticPatient] = []
    make = partial(_make_patient, seed, calendar or Calendar(), cache, options)
    for patient in islice(_generate_patients(make, processes or os.cpu_count() or 1), patients):
        built.append(patient)
        report(len(built))
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    summary = _write_files(built, part)
    _write_manifest(part, patients, seed, options, params)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return summary


def _choose_name(patients: int, seed: int, options: ClinicOptions) -> str:
    """``sample`` for the shipped clinic, else a name, and so a state, of its own."""
    if (patients, seed, options) == (SAMPLE_PATIENTS, SAMPLE_SEED, SAMPLE_OPTIONS):
        return "sample"
    return "-".join(["synthetic", str(patients), str(seed)] + ([options.abbreviate()] if options.abbreviate() else []))


def _read_params(out: Path) -> dict[str, dict[str, object]]:
    if not out.exists() or not any(out.iterdir()):
        return {}
    manifest = out / MANIFEST
    found = yaml.safe_load(manifest.read_text()) if manifest.exists() else {}
    if not (found or {}).get("synthetic"):
        raise SettingsError(f"{out} is not empty and not a synthetic clinic; choose another folder")
    return found.get("params", {})


def _generate_patients(make: Callable[[int], SyntheticPatient | None], processes: int) -> Iterator[SyntheticPatient]:
    """Yield living patients in order of their index, without end."""
    if processes == 1:
        yield from (patient for patient in map(make, count()) if patient)
        return
    with ProcessPoolExecutor(processes) as pool:
        for first in count(step=processes * 4):
            yield from (patient for patient in pool.map(make, range(first, first + processes * 4)) if patient)


def _make_patient(
    seed: int, calendar: Calendar, cache: Path | None, options: ClinicOptions, index: int
) -> SyntheticPatient | None:
    return build_patient(seed, index, calendar, cache, options)


def _write_files(patients: list[SyntheticPatient], folder: Path) -> SynthesisSummary:
    files: dict[str, list[DropLine]] = {}
    practitioners: set[tuple[str, str]] = set()
    for patient in patients:
        for line in patient.lines:
            name = f"{line.drop.isoformat()}/{line.resource_type}.ndjson.gz"
            shared = (name, line.text)
            if line.resource_type == "Practitioner":  # clinicians see several patients: each is listed once
                if shared in practitioners:
                    continue
                practitioners.add(shared)
            files.setdefault(name, []).append(line)
    broken = []
    for name, lines in sorted(files.items()):
        _write_gzip(folder / name, (line.text for line in lines))
        broken += [
            {"file": name, "line": number, "kind": line.damage} for number, line in enumerate(lines, 1) if line.damage
        ]
    truths = [truth for patient in patients for truth in patient.truths]
    _write_gzip(folder / FACTS, (json.dumps(truth, ensure_ascii=False) for truth in truths))
    (folder / BROKEN).write_text("".join(json.dumps(row) + "\n" for row in broken))
    return SynthesisSummary(len(patients), sum(map(len, files.values())), len(broken), len(truths))


def _write_gzip(path: Path, lines: Iterator[str]) -> None:
    """Write lines as gzip without time or name, so that equal content gives equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), compresslevel=9, mtime=0))


def _write_manifest(
    folder: Path, patients: int, seed: int, options: ClinicOptions, params: dict[str, dict[str, object]]
) -> None:
    name = _choose_name(patients, seed, options)
    manifest: dict[str, object] = {"name": name, "clock": "last_drop", "hash_key": HASH_KEY, "synthetic": True}
    if described := options.describe():
        manifest["synthesis"] = {"patients": patients, "seed": seed, **described}
    if params:
        manifest["params"] = params
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False))
