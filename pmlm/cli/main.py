"""The ``pmlm`` command line: one command a stage, registered by the room that owns it.

Command modules import only typer and the settings at the top; heavy libraries load inside a command, so
``pmlm --help`` answers at once. A ``PmlmError`` is printed without a traceback and exits 1.
"""

from __future__ import annotations

import sys

import typer

from pmlm.cli import features, monitoring, night, records, training, triage
from pmlm.cli import serving as packaging
from pmlm.cli import synthetic as clinic
from pmlm.errors import PmlmError

app = typer.Typer(
    name="pmlm",
    help="Personalized medical language model: make any language model answer a patient as someone who knows her.",
    epilog="Example: pmlm night",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for room in (night, records, features, training, packaging, monitoring, clinic, triage):
    room.register(app)


def main() -> None:
    """Run the command line; turn a known error into one line on stderr and exit code 1."""
    try:
        app()
    except PmlmError as error:
        typer.secho(f"pmlm: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
