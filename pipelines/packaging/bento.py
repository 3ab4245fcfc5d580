"""Build the bento of a release, from a copy of the code that serving needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bentos.personalizer.release import CODE
from pipelines.packaging.requirements import list_serve_requirements
from pmlm.errors import ServingError
from pmlm.settings import PROJECT, Settings, format_settings
from pmlm.storage import hash_files

KEEP = 5
#: What goes into a bento, relative to the project.
SOURCE = (
    "models",
    "bentos",
    "feature_repo",
    "pmlm/__init__.py",
    "pmlm/served_releases.py",
    "pmlm/settings.py",
    "pmlm/errors.py",
    "pmlm/language_models.py",
    "pmlm/storage.py",
    "pmlm/worker_count.py",
    "pmlm/api_types.py",
    "pmlm/draft_types.py",
    "pmlm/feedback_types.py",
    "pmlm/operations_types.py",
)


def bento_home(settings: Settings) -> Path:
    """This clinic's BentoML store (``BENTOML_HOME``)."""
    return settings.workspace / "bentoml"


def make_serving_environment(settings: Settings) -> dict[str, str]:
    """The environment of BentoML and a bento: this clinic's stores and settings, no telemetry."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PMLM_")}
    return inherited | format_settings(settings) | {
        "BENTOML_HOME": str(bento_home(settings).absolute()),
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "FEAST_USAGE": "False",
        "FORWARDED_ALLOW_IPS": "",  # uvicorn would believe this machine; PMLM_TRUSTED_PROXIES decides
        "OMP_NUM_THREADS": "1",  # an idle thread pool spins on the core that serves
        "MKL_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # glibc keeps freed memory in one heap per thread
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip


def copy_sources(target: Path) -> None:
    """Copy ``SOURCE`` from the project into ``target``."""
    for name in SOURCE:
        source, copy = PROJECT / name, target / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)


def write_code_hash(source: Path) -> None:
    """Write the hash of the code and packages, by which a running endpoint knows that it may serve a release."""
    needed = hashlib.sha256("\n".join(list_serve_requirements()).encode()).hexdigest()
    (source / CODE).write_text(f"{hash_files(source.iterdir())} {needed}\n")


def run_bento_build(settings: Settings, release: Path, started: str | None = None) -> None:
    """Build the bento of the folder ``release``; :class:`ServingError` with the end of BentoML's output.

    Old bentos are deleted, but not ``started``, the one that an endpoint began with and starts its worker from.
    """
    bento_home(settings).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pmlm-bento-") as source:
        copy_sources(Path(source))
        write_code_hash(Path(source))
        command = [sys.executable, "-m", "pipelines.packaging.build", str(release), source, "--keep", str(KEEP)]
        command += ["--started", started] if started else []
        done = subprocess.run(
            command, cwd=PROJECT, env=make_serving_environment(settings), capture_output=True, text=True
        )
    if done.returncode:
        raise ServingError("the bento cannot be built:\n" + "\n".join(done.stderr.splitlines()[-12:]))
