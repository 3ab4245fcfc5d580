"""Lock a clinic's workspace for the one process that may write it.

The system frees the lock with its owner's end, however it ends. ``.writer.json`` says who that is, for those who wait.
A thread that has the lock may take it again, as the stages of a night do.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pmlm.errors import WorkspaceBusyError
from pmlm.settings import Settings
from pmlm.storage import close_to_others, make_private_folder, set_private_umask, write_json

#: As long as a night may take.
PATIENCE_S = 3600.0

log = logging.getLogger(__name__)
_own = threading.local()


@contextmanager
def lock_writing(settings: Settings, patience_s: float | None = None) -> Iterator[None]:
    """Be the only writer of the clinic's workspace during the block; what it writes is its owner's alone.

    Says who has the lock where it must wait; :class:`WorkspaceBusyError` where that process does not end in time.
    """
    workspace = settings.workspace.resolve()
    owned: set[Path] = _own.__dict__.setdefault("workspaces", set())
    if workspace in owned:
        yield
        return
    if not workspace.is_dir():
        make_private_folder(workspace)
    lock = FileLock(workspace / ".writer.lock", mode=0o600)
    _acquire(lock, settings, PATIENCE_S if patience_s is None else patience_s)
    owned.add(workspace)
    umask = set_private_umask()
    try:
        close_to_others(workspace)
        write_json(owner_path(settings), describe_self())
        yield
    finally:
        os.umask(umask)
        owner_path(settings).unlink(missing_ok=True)
        owned.discard(workspace)
        lock.release()


def owner_path(settings: Settings) -> Path:
    """The file that says who writes the workspace."""
    return settings.workspace / ".writer.json"


def describe_owner(settings: Settings) -> str:
    """The process that has the lock, in words."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        owner = json.loads(owner_path(settings).read_text())
        return f"`{owner['command']}` (process {owner['pid']}, since {owner['since']})"
    return "another process"


def describe_self() -> dict[str, Any]:
    """Process, start of the block, and the command without its arguments, which may name a patient."""
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    words = [word for word in sys.argv[1:3] if word.isascii() and word.replace("-", "").isalpha() and word[0] != "-"]
    command = " ".join([name, *words])
    return {"pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", "command": command}


def _acquire(lock: FileLock, settings: Settings, patience_s: float) -> None:
    try:
        lock.acquire(blocking=False)
        return
    except Timeout:
        log.warning("waiting for %s, which writes the clinic's workspace", describe_owner(settings))
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        raise WorkspaceBusyError(
            f"{describe_owner(settings)} writes the workspace of {settings.clinic} and has not ended: "
            f"nothing was done; run it again later"
        ) from None
