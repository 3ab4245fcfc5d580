"""The ``pmlm`` command line: each module of this folder registers a group of commands.

These modules import only typer and the settings at the top, and heavy libraries inside a command, so that
``pmlm --help`` is fast. A ``PmlmError`` is printed without a traceback and exits 1.
"""

from __future__ import annotations

import sys

import typer

from pmlm.cli import audit, codes, features, monitoring, night, patient, records, serving, synthetic, training, triage
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

for group in (night, records, codes, features, patient, training, serving, audit, monitoring, synthetic, triage):
    group.register(app)


def main() -> None:
    """Run the command line; print a ``PmlmError`` as one line on stderr and exit 1."""
    set_private_umask()
    try:
        app()
    except PmlmError as error:
        typer.secho(f"pmlm: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
