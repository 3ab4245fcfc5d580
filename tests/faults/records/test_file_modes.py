"""State belongs to its owner alone, whatever the umask, and whatever an older version left open."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pmlm.settings import PROJECT, Settings
from pmlm.storage import close_to_others
from tests.unit.pipelines.records.fhir import Clinic, clinic, observation, patient

__all__ = ["clinic"]

FIRST, SECOND = "2026-06-01", "2026-06-02"
NIGHT = """
import os, sys
os.umask(0)
from pathlib import Path
from bentos.auth import audit
from bentos.auth.audit import RequestAudit
from pipelines.features.build import stage as features
from pipelines.night.workspace import lock_workspace
from pipelines.records import stage as records
from pmlm.settings import Settings
home, drops, keys = map(Path, sys.argv[1:4])
settings = Settings(home=home, drops=drops, key_dir=keys)
with lock_workspace(settings):
    records.run(settings, sys.argv[4])
    features.run(settings, sys.argv[4])
audit.write(settings, RequestAudit("/answer", "portal", [1]), 200)
"""


def run(settings: Settings, night: str) -> None:
    places = [str(settings.home), str(settings.drops), str(settings.key_dir)]
    subprocess.run([sys.executable, "-c", NIGHT, *places, night], check=True, cwd=PROJECT)


def list_open(root: Path) -> list[str]:
    """What others may read below a folder that they may enter."""
    found = []
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in (".git", ".dvc")]  # closed by the folder above
        paths = [Path(folder), *(Path(folder, name) for name in files)]
        found += [str(path) for path in paths if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    return found


@pytest.mark.attack("data at rest", "a night with umask 000", "every file 600, every folder 700")
def test_a_night_with_a_lax_umask_leaves_nothing_open(clinic: Clinic) -> None:
    settings = clinic.settings
    clinic.put(FIRST, "records.ndjson", [patient(), observation("w"), "broken"])
    run(settings, FIRST.replace("-", ""))
    assert list_open(settings.home) == []
    assert list_open(settings.key_dir) == []


@pytest.mark.attack("data at rest", "a workspace that an older version left open", "closed with the next night")
def test_what_was_open_is_closed_with_the_next_night(clinic: Clinic) -> None:
    settings = clinic.settings
    clinic.put(FIRST, "records.ndjson", [patient(), observation("w")])
    clinic.put(SECOND, "records.ndjson", [observation("x", value=61.0)])
    run(settings, FIRST.replace("-", ""))
    for folder, _, files in os.walk(settings.workspace):
        Path(folder).chmod(0o755)
        for name in files:
            Path(folder, name).chmod(0o644)
    run(settings, SECOND.replace("-", ""))
    assert list_open(settings.workspace) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("another's")
    outside.chmod(0o644)
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    (root / "link").symlink_to(outside)
    close_to_others(root)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
