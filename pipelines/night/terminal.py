"""Who may speak on the terminal: the night's own screen. Everything the libraries print goes to the night's log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


@contextmanager
def screen_of_its_own(log: Path) -> Iterator[Console]:
    """A console on the real standard output, while descriptors 1 and 2 (of child processes too) lead to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        with os.fdopen(os.dup(terminal), "w", encoding="utf-8", errors="replace") as screen:
            yield Console(file=screen, highlight=False)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(terminal, 1)
        os.dup2(errors, 2)
        os.close(terminal)
        os.close(errors)
