"""``pmlm synthesize``: write a synthetic clinic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# The shipped sample: the same numbers as in synthesize.py, which is too heavy to import for --help (a test compares)
SAMPLE_PATIENTS, SAMPLE_SEED = 64, 20260601
CACHE = Path("~/.cache/pmlm/synthea")


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command(epilog="Example: pmlm synthesize --patients 300 --seed 7 --out /tmp/clinic-300")(synthesize)


def synthesize(
    out: Annotated[Path, typer.Option(help="Folder to write; replaced if it holds a synthetic clinic.")],
    patients: Annotated[int, typer.Option(min=1, help="Number of patients.")] = SAMPLE_PATIENTS,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clinic, byte for byte.")] = SAMPLE_SEED,
    cache: Annotated[Path, typer.Option(help="Where Synthea's records are stored for the next clinic.")] = CACHE,
) -> None:
    """Write a synthetic clinic: Synthea records, portal questions, replies and ratings in drops."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from pipelines.synthetic.synthesize import synthesize as write

    columns = ("[bold]patients", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("patients", total=patients)
        update = lambda done: progress.update(task, completed=done)  # noqa: E731
        made = write(patients, seed, out, report=update, cache=cache.expanduser())
    typer.echo(
        f"{out}: {made.patients} patients, {made.lines} lines ({made.broken} broken on purpose), {made.replies} replies"
    )
