"""Say which process listens on a port, in words for whoever wanted it."""

from __future__ import annotations

from pathlib import Path

import psutil

UNKNOWN = "a process that this user may not see"


def name_holder(port: int) -> str:
    """Name and id of the process that listens on a TCP port; of Python's the module that it runs as well.

    Arguments are left out, since some hold secrets.
    """
    try:
        connections = psutil.net_connections(kind="tcp")
        listening = {c.laddr.port: c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr}
        if (pid := listening.get(port)) is None:  # psutil.Process(None) would be this one
            return UNKNOWN
        process = psutil.Process(pid)
        words = process.cmdline()
        name = process.name()
    except (psutil.Error, OSError):
        return UNKNOWN
    module = f" -m {words[2]}" if words[1:2] == ["-m"] and len(words) > 2 else ""
    # a name may be a title that a process gave itself, and so may its words, all in the first
    program = Path(words[0]).name if words and " " not in words[0] else name.split()[0]
    return f"{program}{module} (process {process.pid})"
