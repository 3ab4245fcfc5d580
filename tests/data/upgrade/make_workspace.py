"""Make the upgrade test's fixture: a small clinic's workspace after two nights.

Run it in a checkout of commit 198ff8d (it imports that commit's modules by name, so it works in no other)::

    git worktree add /tmp/before 198ff8d && cd /tmp/before
    PYTHONPATH=$PWD python <this repository>/tests/data/upgrade/make_workspace.py

It writes ``workspace.tar.xz`` (drops, a drop yet to be read, the pseudonymisation key, the workspace) and
``workspace.json`` (the facts that the test checks) to its own folder. It trains, packages and serves: some minutes.
The archive omits what is large and rebuilt on demand: BentoML's store, DVC's cache and remote, logs, reports.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import os
import re
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ARCHIVE, FACTS = HERE / "workspace.tar.xz", HERE / "workspace.json"
CLINIC, KEY = "upgrade", "2f" * 32
PATIENTS, NIGHTS, SINCE = 20, 2, "2025"
PARAMS: dict[str, dict[str, Any]] = {
    "episodes": {"most_train": 32, "most_held_out": 6, "gate_share": 0.2, "test_share": 0.2},
    "trajectory": {"epochs": 4},
    "train": {"gain_evaluations": 240, "warm_epochs": 4, "warm_steps": 100, "grpo_steps": 2, "continued_steps": 1,
              "batch": 8, "generations": 4},
    # promote any policy that scores better: so few patients give no significant difference
    "gate": {"bootstrap": 200, "confidence": 0.05, "minimum_episodes": 1, "minimum_patients": 1},
}  # fmt: skip
#: Paths below the workspace that the archive omits.
LEFT_OUT = (
    ".dvc/cache", ".dvc/tmp", ".env", ".git/hooks", ".writer.lock", "bentoml", "cache/gx", "cache/vectors.parquet",
    "endpoint.log", "explanations.db-shm", "feast/offline", "logs", "models/challenger", "monitoring", "reports",
)  # fmt: skip
_DATE = re.compile(r'"((?:19|20)\d\d-\d\d-\d\d)')


def main() -> None:
    """Make the clinic, run its nights and write the archive."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, help="an empty folder to work in, left behind; by default a temporary one")
    work = parser.parse_args().work
    with tempfile.TemporaryDirectory() as temporary:
        root = work or Path(temporary) / "clinic"
        root.mkdir(parents=True, exist_ok=True)
        facts = make(root)
        pack(root)
    FACTS.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def make(root: Path) -> dict[str, Any]:
    """Create the clinic below ``root``, run its nights, and return what it was made from."""
    os.environ.update({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})
    old_settings, night = import_module("pipelines.settings"), import_module("pipelines.night.night")
    unpack = import_module("models.llm").unpack
    project: Path = old_settings.PROJECT
    write_drops(project / "examples" / "clinic", root)
    settings = old_settings.load(home=root / "state", drops=root / "drops", key_dir=root / "keys")
    settings.home.mkdir(parents=True)
    settings.embedded_llm.symlink_to(unpack(old_settings.load().embedded_llm))
    nights = night.pending(settings)
    for one in nights:
        night.run(settings, one)
        ask_and_rate(settings)
    now = import_module("pipelines.training.champion").current(settings)
    if now is None or now.kind != "policy":
        raise SystemExit(f"the champion is {now}: change PARAMS so that a policy is promoted")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True)
    return {
        "commit": commit.stdout.strip(),
        "clinic": CLINIC,
        "patients": PATIENTS,
        "k_anonymity": settings.k_anonymity,
        "nights": nights,
        "to_come": [p.name for p in sorted((root / "to_come").iterdir())],
        "champion": now.id,
        "champion_since": now.since,
        "trajectory": import_module("pipelines.trajectory.kept").version(settings),
        "peers": count_peer_rows(settings.features / "peers"),
        "params": PARAMS,
    }


def write_drops(sample: Path, root: Path) -> None:
    """Write the drops of the patients who ask most, one later drop, manifest and key."""
    dated = sorted(p for p in sample.iterdir() if p.is_dir())[: NIGHTS + 1]
    asked = Counter(
        s for file in dated[0].glob("Communication*") for line in read_lines(file) if (s := read_subject(line))
    )
    patients = sorted(asked, key=lambda patient: (-asked[patient], patient))[:PATIENTS]
    asked_in: set[str] = set()
    for number, drop in enumerate(dated):
        for file in sorted(drop.iterdir()):
            dateless = file.name.startswith(("Patient", "AllergyIntolerance"))
            chosen = [x for x in read_lines(file) if any(p in x for p in patients) and (dateless or is_recent(x))]
            target = root / ("drops" if number < NIGHTS else "to_come") / drop.name / file.name.removesuffix(".gz")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("".join(chosen))
            if file.name.startswith("Communication"):
                asked_in |= {line.split('"id":', 1)[-1].split('"')[1] for line in chosen if '"id":' in line}
    known = [line for line in read_lines(sample / "facts.jsonl.gz") if json.loads(line)["communication"] in asked_in]
    (root / "drops" / "facts.jsonl.gz").write_bytes(gzip.compress("".join(known).encode(), mtime=0))
    manifest = {"name": CLINIC, "clock": "last_drop", "synthetic": True, "params": PARAMS}
    (root / "drops" / "clinic.yaml").write_text(yaml.safe_dump(manifest))
    (root / "keys").mkdir(mode=0o700)
    (root / "keys" / f"{CLINIC}.key").write_text(KEY)


def read_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a text file, compressed or not."""
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as stream:
        yield from stream


def is_recent(line: str) -> bool:
    """Return whether a line contains a date since ``SINCE``, or no date."""
    days = _DATE.findall(line)
    return not days or max(days) >= SINCE


def read_subject(line: str) -> str | None:
    """Return the patient id of a FHIR line; None where there is none."""
    try:
        return str(json.loads(line)["subject"]["reference"]).rsplit("/", 1)[-1]
    except (json.JSONDecodeError, KeyError, TypeError):
        return None


def ask_and_rate(settings: Any) -> None:
    """Ask the night's release two questions and give feedback on both answers."""
    serving, keys = import_module("pipelines.packaging.serving"), import_module("bentos.access.keys")
    client = import_module("bentos.client").Client
    read_episodes = import_module("pipelines.training.episode_file").read
    episodes = sorted(read_episodes(settings), key=lambda e: e.episode_id)
    with serving.served(settings) as endpoint, client(endpoint.url, keys.development_token(settings), 120) as pmlm:
        first, second = (pmlm.answer(f"subject:{e.subject_id}", e.question) for e in (episodes[0], episodes[-1]))
        pmlm.feedback(first.id, rating=4, comment="Short and clear.")
        pmlm.feedback(second.id, thumbs="down")
        pmlm.explain(first.id)


def count_peer_rows(folder: Path) -> int:
    """Count the peer feature rows that have any value."""
    import polars as pl

    rows = pl.read_parquet(folder / "*.parquet")
    values = [c for c in rows.columns if c not in ("subject_id", "event_timestamp", "created_timestamp")]
    return rows.filter(pl.any_horizontal(pl.col(c).is_not_null() for c in values)).height


def pack(root: Path) -> None:
    """Write the files that the test needs below ``root`` as one archive."""
    workspace = Path("state") / CLINIC
    left_out = ("drops/facts.jsonl.gz", *(str(workspace / name) for name in LEFT_OUT))
    files = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_symlink() or not path.is_dir()]
    with (
        lzma.open(ARCHIVE, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for file in files:
            name = str(file)
            wanted = name.startswith((f"{workspace}/", "drops/", "to_come/", f"keys/{CLINIC}.key"))
            if wanted and not any(name == out or name.startswith(f"{out}/") for out in left_out):
                tar.add(root / file, name, filter=_drop_owner)


def _drop_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an archive entry without its owner's name."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
