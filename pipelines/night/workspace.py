"""A clinic's workspace: a Git and DVC repository apart from the user's.

Git tracks the stage order, the parameters and ``dvc.lock``; DVC tracks data, features, models and metrics. Everything
else below the folder (quarantine, reports, stores, releases) is in neither.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pipelines.params import load_params
from pmlm.errors import SettingsError
from pmlm.settings import PROJECT, Settings
from pmlm.storage import SPILL_PREFIX, write_bytes
from pmlm.workspace_lock import lock_writing

if TYPE_CHECKING:
    from dvc.repo import Repo

BRANCH = "main"
NO_ANALYTICS = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}

#: Git tracks only these, so that no new file in the workspace is committed by accident.
GIT_IGNORE = "/*\n" + "".join(
    f"!/{name}\n" for name in (".gitignore", ".dvc", ".dvcignore", "dvc.yaml", "dvc.lock", "params.yaml")
)
#: Folders DVC need not walk.
DVC_IGNORE = "".join(
    f"/{name}\n"
    for name in (
        "quarantine",
        "reports",
        "runs",
        "feast",
        "cache",
        "releases",
        "bentoml",
        "logs",
        "monitoring",
        "erased",
        "history",
    )
)
EMPTY_LOCK = "schema: '2.0'\nstages: {}\n"
RESERVED = ("airflow",)


def open_workspace(settings: Settings) -> Path:
    """Create the workspace on first use, or repair it; update its dvc.yaml."""
    if settings.clinic in RESERVED:
        raise SettingsError(f"a clinic cannot be called {settings.clinic}; give it another name in clinic.yaml")
    workspace = settings.workspace
    os.environ.update(NO_ANALYTICS)
    if not (workspace / ".git" / "refs" / "heads" / BRANCH).exists():
        _create_workspace(settings)
    else:
        _repair_workspace(workspace)
    order = (PROJECT / "dvc.yaml").read_bytes()
    if (workspace / "dvc.yaml").read_bytes() != order:
        write_bytes(workspace / "dvc.yaml", order)
        run_git(workspace, "commit", "--quiet", "--message", "Follow the project's stage order", "--", "dvc.yaml")
    return workspace


def write_night_params(settings: Settings, night: str | None, drop: Path | None = None) -> None:
    """Write params.yaml: this clinic's parameters, with the night and its drop."""
    params = load_params(settings).model_dump() | {"night": {"date": night, "drop": str(drop) if drop else None}}
    write_bytes(settings.workspace / "params.yaml", yaml.safe_dump(params, sort_keys=True).encode())


@contextmanager
def lock_workspace(settings: Settings) -> Iterator[Path]:
    """Lock the workspace against other processes, open and yield it; a killed owner unlocks it."""
    with lock_writing(settings):
        yield open_workspace(settings)


@contextmanager
def open_repository(workspace: Path) -> Iterator[Repo]:
    """Open the workspace as a DVC repository in this process.

    DVC's command line would take a second longer. DVC resolves some names against the working directory, so the block
    runs in the workspace.
    """
    from dvc.repo import Repo

    with _silence_dvc(), contextlib.chdir(workspace):
        repo = Repo(str(workspace))
        try:
            yield repo
        finally:
            repo.close()


def run_git(workspace: Path, *arguments: str, date: str | None = None) -> str:
    """Run Git in the workspace, whatever repository the caller is in; returns its stripped output.

    ``date`` is that of a commit or tag which it makes; by default now.
    """
    return run_git_with(workspace, None, *arguments, date=date).strip()


def run_git_with(workspace: Path, given: bytes | None, *arguments: str, date: str | None = None) -> str:
    """Run Git as ``run_git`` does, with standard input; returns its output but the last newline."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_COMMITTER_DATE": date} if date else {}
    done = subprocess.run(
        ["git", "-C", str(workspace), *arguments], check=True, capture_output=True, input=given, env=environment
    )
    return done.stdout.decode().removesuffix("\n")


def _create_workspace(settings: Settings) -> None:
    workspace = settings.workspace
    workspace.mkdir(parents=True, exist_ok=True)
    for unfinished in (".git", ".dvc"):  # of a process killed while it created the workspace
        shutil.rmtree(workspace / unfinished, ignore_errors=True)
    run_git(workspace, "init", "--quiet", f"--initial-branch={BRANCH}")
    for key, value in {
        "user.name": "PMLM",
        "user.email": "pmlm@localhost",
        "commit.gpgsign": "false",
        "core.hooksPath": os.devnull,
        "gc.auto": "0",
    }.items():
        run_git(workspace, "config", key, value)
    (workspace / "dvc.yaml").write_bytes((PROJECT / "dvc.yaml").read_bytes())
    (workspace / "dvc.lock").write_text(EMPTY_LOCK)
    (workspace / ".gitignore").write_text(GIT_IGNORE)
    # what `dvc repro` and `pmlm` need to know when they run inside the workspace
    (workspace / ".env").write_text(f"PMLM_HOME={settings.home.resolve()}\nPMLM_DROPS={settings.drops.resolve()}\n")
    write_night_params(settings, None)
    _create_dvc(workspace)
    run_git(workspace, "add", ".gitignore", ".dvcignore", ".dvc", "dvc.yaml", "dvc.lock", "params.yaml")
    run_git(workspace, "commit", "--quiet", "--message", f"Open the workspace of {settings.clinic}")


def _create_dvc(workspace: Path) -> None:
    from dvc.config_schema import RelPath
    from dvc.repo import Repo

    with _silence_dvc():
        repo = Repo.init(str(workspace))
    (workspace / ".dvcignore").write_text(DVC_IGNORE)
    # written relative to DVC's config, so that a copied or moved home has a remote of its own
    remote = RelPath((workspace.parent / ".remotes" / workspace.name).resolve())
    with repo.config.edit() as config:
        config["core"].update({"analytics": False, "autostage": False, "check_update": False, "remote": "local"})
        config["remote"]["local"] = {"url": remote}
    repo.close()


def _repair_workspace(workspace: Path) -> None:
    """Repair what a killed process left in Git, DVC and feature builds, under the lock."""
    for lock in (workspace / ".git").rglob("*.lock"):  # Git's and dulwich's, of the index and of any reference
        lock.unlink(missing_ok=True)
    # DVC writes its state files in place: half of one stops every later save, a missing one does not
    shutil.rmtree(workspace / ".dvc" / "tmp", ignore_errors=True)
    for spill in workspace.glob(f"{SPILL_PREFIX}*"):  # of a feature build
        shutil.rmtree(spill, ignore_errors=True)
    if (workspace / ".git" / "HEAD").read_text().strip() != f"ref: refs/heads/{BRANCH}":
        run_git(workspace, "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
        run_git(workspace, "reset", "--quiet", "--mixed")
    elif run_git(workspace, "diff", "--cached", "--name-only"):  # DVC refuses to save over a changed index
        run_git(workspace, "reset", "--quiet", "--mixed")
    if not _is_complete_lock(workspace / "dvc.lock"):  # DVC writes it in place; the next save records it again
        (workspace / "dvc.lock").unlink(missing_ok=True)
    if not _is_mapping(workspace / "params.yaml"):  # the next night writes its own
        (workspace / "params.yaml").unlink(missing_ok=True)
    missing = [n for n in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvcignore") if not (workspace / n).exists()]
    if missing:
        run_git(workspace, "checkout", "--quiet", BRANCH, "--", *missing)


def _is_complete_lock(lock: Path) -> bool:
    """Whether the file satisfies DVC's schema of a lock; a truncated one does not."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(lock.read_text()))
    except (OSError, yaml.YAMLError, Invalid):
        return False
    return True


def _is_mapping(file: Path) -> bool:
    try:
        return isinstance(yaml.safe_load(file.read_text()), dict)
    except (OSError, yaml.YAMLError):
        return False


@contextmanager
def _silence_dvc() -> Iterator[None]:
    """Silence DVC's standard output and logger; its exceptions report the same."""
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
