"""``pmlm drift``: compare a night with its reference window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command(name="drift", epilog="Example: pmlm drift --json")(drift)


def drift(
    night: Annotated[str | None, typer.Option(help="Night as YYYYMMDD; by default the last one taken in.")] = None,
    drops: Annotated[Path | None, typer.Option(help="The clinic's folder of drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object of verdicts.")] = False,
) -> None:
    """Compare a night's records, features, prompts and rewards with the nights before."""
    from rich.console import Console
    from rich.table import Table

    from pipelines.monitoring.drift import read_verdicts, report_path, run
    from pipelines.monitoring.window import resolve_night

    settings = load_settings(drops=drops)
    chosen = resolve_night(settings, night)
    run(settings, chosen)
    verdicts = read_verdicts(settings, chosen)
    table = Table(title=f"Drift, night {chosen}")
    for heading in ("family", "verdict", "tonight", "window", "why"):
        table.add_column(heading)
    for family, v in verdicts.items():
        table.add_row(family, v["verdict"], str(v["n_current"]), str(v["n_reference"]), v["why"])
    console = Console()
    console.print(table)
    console.print(f"Report: {report_path(settings, chosen)}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps({"night": chosen, "report": str(report_path(settings, chosen)), "verdicts": verdicts}))
