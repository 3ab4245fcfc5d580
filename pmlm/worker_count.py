"""How many worker processes the endpoint has: one a core, as far as memory allows.

Workers share one port and, through files of the workspace or the clinic's Redis, everything that must be counted or
recorded once for all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

from pmlm.language_models import EMBEDDED_ANSWER
from pmlm.settings import Settings

#: Memory of the machine for each worker, which takes half of it at most: a night has to run beside them.
BYTES_EACH = 2 * 2**30
CGROUP = Path("/sys/fs/cgroup")


def count_workers(settings: Settings, cgroup: Path = CGROUP) -> int:
    """The setting; by default one a core, and one alone where a language model runs in the worker's own process."""
    if settings.workers:
        return settings.workers
    if not settings.llm_base_url and settings.llm_model != EMBEDDED_ANSWER:
        return 1  # each would load the model, and they would wait for each other's cores
    return max(1, min(_count_cores(cgroup), _measure_memory(cgroup) // BYTES_EACH))


def share_limit(limit: int, settings: Settings) -> int:
    """One worker's share of a limit that all workers together must not pass; at least 1."""
    return max(1, limit // count_workers(settings))


def _count_cores(cgroup: Path) -> int:
    """The cores that this process may use, whole ones of a container's quota."""
    usable = len(os.sched_getaffinity(0))
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    return min(usable, int(quota) // int(period)) if quota.isdigit() else usable


def _measure_memory(cgroup: Path) -> int:
    limit = _read(cgroup / "memory.max")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(total, int(limit)) if limit.isdigit() else total


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""
