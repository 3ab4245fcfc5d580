"""Let one process at a time run a clinic's night; a second ends at once.

Apart from the lock on writing (``workspace_lock``), which is for one stage and is waited for: a night takes minutes to
hours. The system frees the lock with its owner's end, however it ends. ``.night.json`` says who that is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from pmlm.errors import NightRunningError
from pmlm.settings import Settings
from pmlm.storage import make_private_folder, write_json
from pmlm.workspace_lock import describe_self

#: A look of another process (``find_running_night``) is over by then.
PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class NightOwner:
    """The process that runs a night; ``through_airflow``: it waits for Airflow's run, in other processes."""

    pid: int
    since: str
    command: str
    through_airflow: bool = False
    night: str | None = None

    @property
    def line(self) -> str:
        """Which process runs which night, and since when, in words."""
        night = f"the night {self.night}" if self.night else "a night"
        return f"`{self.command}` (process {self.pid}, since {self.since}) runs {night}"


@contextmanager
def lock_night(settings: Settings, through_airflow: bool = False) -> Iterator[None]:
    """Be the only process that runs the clinic's night during the block; NightRunningError where another does."""
    if not settings.workspace.is_dir():
        make_private_folder(settings.workspace)
    lock = _open_lock(settings)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        raise NightRunningError(describe_running(settings, _read_owner(settings))) from None
    try:
        _write_owner(settings, NightOwner(**describe_self(), through_airflow=through_airflow))
        yield
    finally:
        owner_path(settings).unlink(missing_ok=True)
        lock.release()


def owner_path(settings: Settings) -> Path:
    """The file that says who runs the night."""
    return settings.workspace / ".night.json"


def name_night(settings: Settings, night: str) -> None:
    """Add to the note of this process which night it runs."""
    if owner := _read_owner(settings):
        _write_owner(settings, replace(owner, night=night))


def find_running_night(settings: Settings) -> str | None:
    """The night that another process runs itself, as the line to show; None where none does."""
    owner = _read_owner(settings)
    if owner and (owner.through_airflow or owner.pid == os.getpid()):
        return None
    if not (settings.workspace / ".night.lock").exists():
        return None
    try:
        with _open_lock(settings).acquire(blocking=False):
            return None
    except Timeout:
        return describe_running(settings, owner)


def describe_running(settings: Settings, owner: NightOwner | None) -> str:
    """The one line of whoever is not let in."""
    who = owner.line if owner else "another process runs a night"
    return f"{who} of {settings.clinic}: nothing was done; run it again later"


def _open_lock(settings: Settings) -> FileLock:
    return FileLock(settings.workspace / ".night.lock", mode=0o600, poll_interval=0.02)


def _write_owner(settings: Settings, owner: NightOwner) -> None:
    write_json(owner_path(settings), asdict(owner))


def _read_owner(settings: Settings) -> NightOwner | None:
    with suppress(OSError, ValueError, TypeError):
        return NightOwner(**json.loads(owner_path(settings).read_text()))
    return None
