"""Say which process listens on a port, in words for whoever wanted it."""

from __future__ import annotations

from pathlib import Path

import psutil

UNKNOWN = "a process that this user may not see"


def name_holder(port: int) -> str:
    """Name and id of the process that listens on a TCP port; of Python's the module that it runs as well.

    Arguments are left out, since some hold secrets.
    """
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.laddr.port != port:
            continue
        try:
            process = psutil.Process(connection.pid) if connection.pid else None
            words = process.cmdline() if process else []
        except psutil.Error:
            return UNKNOWN
        if process is None:
            return UNKNOWN
        module = f" -m {words[2]}" if words[1:2] == ["-m"] and len(words) > 2 else ""
        program = Path(words[0]).name if words else process.name()  # a name may be a title that it gave itself
        return f"{program}{module} (process {process.pid})"
    return UNKNOWN
