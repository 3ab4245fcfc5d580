"""Which release each worker of the endpoint serves: a file a worker.

The file is named by the process id. A request reaches one worker, so that none can be asked about the others. What
dead workers left is removed when another starts.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pmlm.settings import Settings
from pmlm.storage import write_bytes


def note_served(settings: Settings, release: str) -> None:
    """Note that this process serves the release from now on."""
    folder = _folder(settings)
    for path in folder.glob("[0-9]*"):
        if not Path("/proc", path.name).exists():
            path.unlink(missing_ok=True)
    write_bytes(folder / str(os.getpid()), release.encode())


def read_served(settings: Settings) -> dict[int, str]:
    """Process id → release, of workers that have loaded one."""
    found: dict[int, str] = {}
    for path in _folder(settings).glob("[0-9]*"):
        with suppress(FileNotFoundError):  # removed meanwhile
            found[int(path.name)] = path.read_text()
    return found


def _folder(settings: Settings) -> Path:
    return settings.workspace / "serving"
