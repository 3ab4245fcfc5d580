"""Commands of monitoring: ``pmlm drift``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import load


def register(app: typer.Typer) -> None:
    """Add this room's commands to ``pmlm``."""
    app.command(name="drift", epilog="Example: pmlm drift --json")(drift)


def drift(
    night: Annotated[str | None, typer.Option(help="Night as YYYYMMDD; by default the last one taken in.")] = None,
    drops: Annotated[Path | None, typer.Option(help="The clinic's folder of drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object of verdicts.")] = False,
) -> None:
    """Compare a night with the nights before it: records, features, prompts and rewards, one verdict each."""
    from rich.console import Console
    from rich.table import Table

    from pipelines.monitoring.drift import report_path, run, verdicts
    from pipelines.monitoring.window import known_night

    settings = load(drops=drops)
    chosen = known_night(settings, night)
    run(settings, chosen)
    said = verdicts(settings, chosen)
    table = Table(title=f"Drift, night {chosen}")
    for heading in ("family", "verdict", "tonight", "window", "why"):
        table.add_column(heading)
    for family, v in said.items():
        table.add_row(family, v["verdict"], str(v["n_current"]), str(v["n_reference"]), v["why"])
    console = Console()
    console.print(table)
    console.print(f"Report: {report_path(settings, chosen)}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps({"night": chosen, "report": str(report_path(settings, chosen)), "verdicts": said}))
