"""The requirements of serving alone: the lines of the lock that the ``serve`` extra needs.

The closure follows the metadata of the installed packages, without resolver or network; a dependency that an
override removes from the lock is left out here too.
"""

from __future__ import annotations

import importlib.metadata
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pmlm.settings import PROJECT

LOCK = PROJECT / "requirements.lock"


def read_lock() -> dict[str, str]:
    """Canonical name → its line of the lock (``name==version``)."""
    lines = [line.strip() for line in LOCK.read_text().splitlines()]
    return {
        canonicalize_name(re.split(r"[=\[ ;]", line, maxsplit=1)[0]): line
        for line in lines
        if line and not line.startswith(("#", "-"))
    }


def find_closure(root: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Canonical names of all that ``root[extras]`` needs on this machine, without ``root``."""
    found: set[tuple[str, str]] = set()
    pending = [(canonicalize_name(root), extra) for extra in (extras or {""})]
    while pending:
        name, extra = pending.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # overridden out of the lock
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                child = canonicalize_name(need.name)
                pending += [(child, e) for e in {"", *need.extras}]
    return {name for name, _ in found} - {canonicalize_name(root)}


def list_serve_requirements() -> list[str]:
    """The lock's lines for the ``serve`` extra, in the lock's order."""
    names = find_closure("pmlm", frozenset({"serve"}))
    return [line for name, line in read_lock().items() if name in names]
