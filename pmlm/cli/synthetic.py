"""``pmlm synthesize``: write a synthetic clinic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# The shipped sample: the same numbers as in synthesize.py, which is too heavy to import for --help (a test compares)
SAMPLE_PATIENTS, SAMPLE_SEED = 64, 20260601
CACHE = Path("~/.cache/pmlm/synthea")


class Mechanism(StrEnum):
    """The mechanisms of ``pipelines.synthetic.records.options``, or all of them (a test compares)."""

    QUOTED_OUTCOMES = "quoted_outcomes"
    SHARED_TRAITS = "shared_traits"
    LOCAL_PRACTICE = "local_practice"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command(epilog="Example: pmlm synthesize --patients 300 --seed 7 --out /tmp/clinic-300")(synthesize)


def synthesize(
    out: Annotated[Path, typer.Option(help="Folder to write; replaced if it holds a synthetic clinic.")],
    patients: Annotated[int, typer.Option(min=1, help="Number of patients.")] = SAMPLE_PATIENTS,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clinic, byte for byte.")] = SAMPLE_SEED,
    cache: Annotated[Path, typer.Option(help="Where Synthea's records are stored for the next clinic.")] = CACHE,
    mechanism: Annotated[list[Mechanism] | None, typer.Option(help="How similar patients matter; repeatable.")] = None,
    spread_pregnancies: Annotated[bool, typer.Option(help="Pregnancies at any time of the 18 months.")] = False,
    second_writer: Annotated[bool, typer.Option(help="Another hand writes the replies of test patients.")] = False,
) -> None:
    """Write a synthetic clinic: Synthea records, portal questions, replies and ratings in drops."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from pipelines.synthetic.records.options import MECHANISMS, ClinicOptions
    from pipelines.synthetic.synthesize import synthesize as write

    wanted = {str(m) for m in mechanism or ()}
    mechanisms = frozenset(name for name in MECHANISMS if name in wanted or Mechanism.ALL in wanted)
    options = ClinicOptions(mechanisms, spread_pregnancies, second_writer)
    columns = ("[bold]patients", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("patients", total=patients)
        update = lambda done: progress.update(task, completed=done)  # noqa: E731
        made = write(patients, seed, out, report=update, cache=cache.expanduser(), options=options)
    typer.echo(
        f"{out}: {made.patients} patients, {made.lines} lines ({made.broken} broken on purpose), {made.replies} replies"
    )
