"""``pmlm trace``: from an answer back to its records, and from a line to answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmlm.errors import PmlmError
from pmlm.settings import load_settings

if TYPE_CHECKING:
    from rich.tree import Tree

    from pmlm.console.answer_trace import AnswerTrace, LineTrace

EXAMPLES = "Examples: pmlm trace\n\npmlm trace --source 2026-06-01/AllergyIntolerance.ndjson.gz:1 --json"

PIPE_WIDTH = 400  # no line is cut where another program reads them


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command(epilog=EXAMPLES)(trace)


def trace(
    answer: Annotated[str | None, typer.Argument(help="The answer's id; by default the newest answer.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="FILE:LINE", help="Trace this line of a drop forward instead.")
    ] = None,
    drops: Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object (--source: one per resource).")
    ] = False,
) -> None:
    """Trace an answer back: release, bento, refiner, experiment, episodes, events, down to file, line and hash.

    With `--source`, trace a line forward: its events, feature rows, episodes, the releases trained on them, and the
    answers whose prompts state it. Patients appear by pseudonym; the look is in the audit record.
    """
    if answer and source:
        raise PmlmError("an answer and --source cannot be traced at once")
    from pmlm.console import answer_trace, trace_tree

    settings = load_settings(drops=drops)
    if source is not None:
        lines = answer_trace.trace_source(settings, source)
        _write(lines, [] if as_json else map(trace_tree.draw_line, lines))
    else:
        found = answer_trace.trace_answer(settings, answer)
        _write([found], [] if as_json else [trace_tree.draw_answer(found)])


def _write(traces: Sequence[AnswerTrace | LineTrace], trees: Iterable[Tree]) -> None:
    """Print the trees; JSON where there are none."""
    drawn = list(trees)
    if not drawn:
        for found in traces:
            typer.echo(json.dumps(asdict(found), ensure_ascii=False, default=lambda model: model.model_dump()))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for tree in drawn:
        console.print(tree)
