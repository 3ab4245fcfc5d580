"""The ``pmlm`` command line: each module of this folder registers a group of commands.

These modules import only typer and the settings at the top, and heavy libraries inside a command, so that
``pmlm --help`` is fast. A ``PmlmError``, and a file that the system refuses, are one line without a traceback, and
exit 1; 75 where another process has to end first.
"""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

import typer

from pmlm.cli import (
    audit,
    codes,
    features,
    forget,
    monitoring,
    night,
    patient,
    records,
    releases,
    serving,
    synthetic,
    trace,
    training,
    triage,
)
from pmlm.errors import PmlmError
from pmlm.storage import set_private_umask

app = typer.Typer(
    name="pmlm",
    help="Personalized medical language model: make any language model answer a patient as someone who knows them.",
    epilog="Example: pmlm night",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

#: What the system refuses and the user can mend: rights, space, a wrong kind of file, a name that is too long.
_MENDABLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
    }
)

for group in (
    night,
    records,
    codes,
    features,
    patient,
    training,
    releases,
    serving,
    audit,
    trace,
    forget,
    monitoring,
    synthetic,
    triage,
):
    group.register(app)


def main() -> None:
    """Run the command line; print an error that a user can mend as one line on stderr; exit 1, or 75 to try later."""
    set_private_umask()
    try:
        app()
    except PmlmError as error:
        _exit_with(str(error), error.exit_code)
    except OSError as error:  # a folder that is read-only, a full disk
        if error.filename is None or error.errno not in _MENDABLE:
            raise
        _exit_with(f"{error.filename}: {error.strerror}")


def _exit_with(reason: str, code: int = 1) -> NoReturn:
    typer.secho(f"pmlm: {reason}", fg="red", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
