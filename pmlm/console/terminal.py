"""Who may speak on the terminal: the night's own screen. Everything the libraries print goes to the night's log."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console

FILE_WIDTH = 120  # columns, where the screen is a file or a pipe


def redirect_output(log: Path) -> Console:
    """A console on the real standard output; descriptors 1 and 2 lead to ``log`` from now on, to the process's end.

    To the end, because libraries still have things to say while the interpreter shuts down. Child processes
    write to the log too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    screen = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    return Console(file=screen, highlight=False, width=None if screen.isatty() else FILE_WIDTH)
